package node

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/assaynet/assay/challenges"
	"github.com/assaynet/assay/checker/committee"
)

func idOf(seed byte) challenges.NodeID { return challenges.IDOf(testKey(seed)) }

// testNetwork has three checkers and two providers.
func testNetwork(p committee.Params) Network {
	n := Network{
		Registry: committee.Registry{Name: "mine: \"1\"", Genesis: 1_700_000_000_123_456_789, Simulated: true, Params: p},
		Providers: []Peer{
			{ID: idOf(10), Addrs: []string{"/ip4/127.0.0.1/udp/1/quic-v1", "/ip4/127.0.0.1/tcp/1"}},
			{ID: idOf(11), Addrs: []string{"/dns4/example.com/udp/2/quic-v1"}},
		},
	}
	for i := range byte(3) {
		n.Registry.Checkers = append(n.Registry.Checkers, committee.Member{ID: idOf(i + 1), Name: "c#" + string('0'+rune(i)), Operator: "op: x"})
	}
	slices.SortFunc(n.Registry.Checkers, func(a, b committee.Member) int { return a.ID.Compare(b.ID) })
	return n
}

func TestNetworkRoundTrip(t *testing.T) {
	standard, alone := testNetwork(committee.Standard()), testNetwork(committee.Devnet())
	alone.Providers, alone.Registry.Simulated = nil, false
	for _, c := range []struct {
		name, params string
		n            Network
	}{
		{"devnet", "devnet", testNetwork(committee.Devnet())},
		{"standard", "standard", standard},
		{"no providers", "devnet", alone},
	} {
		t.Run(c.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "network.yaml")
			check(t, WriteNetwork(path, c.n, c.params))
			got, err := ReadNetwork(path)
			check(t, err)
			if !reflect.DeepEqual(got, c.n) || got.Registry.Hash() != c.n.Registry.Hash() {
				t.Errorf("read\n%+v, wrote\n%+v", got, c.n)
			}
			before, err := os.ReadFile(path)
			check(t, err)
			if err := WriteNetwork(path, testNetwork(committee.Standard()), "standard"); !errors.Is(err, fs.ErrExist) {
				t.Errorf("written over: %v", err)
			}
			if after, err := os.ReadFile(path); err != nil || string(after) != string(before) {
				t.Errorf("changed: %v", err)
			}
		})
	}
}

// TestNetworkID has the order of checkers and the providers make no difference
// to the network's id, and everything else make one.
func TestNetworkID(t *testing.T) {
	hash := func(change func(*Network)) challenges.Hash {
		n := testNetwork(committee.Devnet())
		change(&n)
		path := filepath.Join(t.TempDir(), "network.yaml")
		check(t, WriteNetwork(path, n, "devnet"))
		got, err := ReadNetwork(path)
		check(t, err)
		return got.Registry.Hash()
	}
	same := hash(func(*Network) {})
	for name, change := range map[string]func(*Network){
		"order of checkers": func(n *Network) { slices.Reverse(n.Registry.Checkers) },
		"no providers":      func(n *Network) { n.Providers = nil },
		"another address":   func(n *Network) { n.Providers[0].Addrs = []string{"/ip4/127.0.0.1/tcp/9"} },
	} {
		if hash(change) != same {
			t.Errorf("%s makes another network", name)
		}
	}
	for name, change := range map[string]func(*Network){
		"name":      func(n *Network) { n.Registry.Name = "other" },
		"genesis":   func(n *Network) { n.Registry.Genesis++ },
		"simulated": func(n *Network) { n.Registry.Simulated = false },
		"a checker": func(n *Network) { n.Registry.Checkers = n.Registry.Checkers[1:] },
		"a name":    func(n *Network) { n.Registry.Checkers[0].Name = "x" },
		"operator":  func(n *Network) { n.Registry.Checkers[0].Operator = "x" },
	} {
		if hash(change) == same {
			t.Errorf("another %s makes the same network", name)
		}
	}
}

func TestReadNetworkRefuses(t *testing.T) {
	good := filepath.Join(t.TempDir(), "network.yaml")
	check(t, WriteNetwork(good, testNetwork(committee.Devnet()), "devnet"))
	b, err := os.ReadFile(good)
	check(t, err)
	replace := func(old, by string) string {
		if !strings.Contains(string(b), old) {
			t.Fatalf("%q is not in the file:\n%s", old, b)
		}
		return strings.Replace(string(b), old, by, 1)
	}
	member := testNetwork(committee.Devnet()).Registry.Checkers[1].ID.String()
	first := testNetwork(committee.Devnet()).Registry.Checkers[0].ID.String()
	for _, c := range []struct{ name, text, says string }{
		{"empty", "", "genesis: missing"},
		{"no YAML", "{", "yaml: "},
		{"unknown key", string(b) + "seed: 1\n", "field seed not found"},
		{"unknown key of a checker", replace("    operator:", "    key: 1\n    operator:"), "field key not found"},
		{"unknown key of a provider", replace("    addrs:", "    name: x\n    addrs:"), "field name not found"},
		{"two documents", string(b) + "---\nname: x\n", "more than one YAML document"},
		{"no name", replace(`name: "mine: \"1\""`, `name: ""`), "name"},
		{"no genesis", replace("genesis: 2023-11-14T22:13:20.123456789Z", ""), "genesis: missing"},
		{"genesis is no time", replace("2023-11-14T22:13:20.123456789Z", "soon"), "soon"},
		{"genesis before 1970", replace("2023-", "1969-"), "genesis"},
		{"genesis too late", replace("2023-", "2200-"), "genesis"},
		{"unknown params", replace("params: devnet", "params: fast"), `params: "fast"`},
		{"simulated is no bool", replace("simulated: true", "simulated: 7"), "cannot unmarshal"},
		{"no checkers", string(b[:strings.Index(string(b), "checkers:")]), "0 checkers"},
		{"checker's id too short", replace(member, member[2:]), "checkers[1].id: 62 hex digits"},
		{"checker's id in capitals", replace(member, strings.ToUpper(member)), "checkers[1].id: upper-case"},
		{"checker's id no key", replace(member, strings.Repeat("0", 64)), "checkers[1].id: "},
		{"checker twice", replace(member, first), "checkers not ascending by id"},
		{"checker's name too long", replace(`"c#1"`, `"`+strings.Repeat("x", 65)+`"`), "too long"},
		{"provider's id no hex", replace(idOf(11).String(), strings.Repeat("zz", 32)), "providers[1].id: "},
		{"provider's id no key", replace(idOf(10).String(), strings.Repeat("0", 64)), "providers[0].id: "},
		{"provider twice", replace(idOf(11).String(), idOf(10).String()), "providers[1].id: " + idOf(10).Short() + " stands there twice"},
		{"provider without addresses", replace("    addrs:\n      - \"/dns4/example.com/udp/2/quic-v1\"", "    addrs: []"), "providers[1].addrs: empty"},
		{"too large", "#" + strings.Repeat(" ", maxConfig), "over 16777216 bytes"},
	} {
		t.Run(c.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "network.yaml")
			check(t, os.WriteFile(path, []byte(c.text), 0o644))
			got, err := ReadNetwork(path)
			if err == nil || !strings.Contains(err.Error(), c.says) || !strings.HasPrefix(err.Error(), path+": ") {
				t.Errorf("error %v, want one of the file that says %q", err, c.says)
			}
			if !reflect.DeepEqual(got, Network{}) {
				t.Errorf("a refused file gave %+v", got)
			}
		})
	}
	if _, err := ReadNetwork(filepath.Join(t.TempDir(), "no.yaml")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("no file: %v", err)
	}
	if _, err := ReadNetwork(t.TempDir()); err == nil {
		t.Error("a folder: no error")
	}
	if n, err := ReadNetwork(good); err != nil || n.Registry.Clock().Genesis.UnixNano() != 1_700_000_000_123_456_789 {
		t.Errorf("the good file: %+v, %v", n.Registry.Clock().Genesis, err)
	}
}
