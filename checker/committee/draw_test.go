package committee

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"lukechampine.com/blake3"

	"github.com/assaynet/assay/challenges"
)

// drawRegistry is a devnet of so many checkers.
func drawRegistry(n int) *Registry {
	r := &Registry{Name: "draw", Genesis: 1, Simulated: true, Params: Devnet()}
	for i := range n {
		r.Checkers = append(r.Checkers, Member{ID: challenges.NodeID{byte(i + 1)}})
	}
	return r
}

func offerOf(operator string, devices int, addrs ...string) challenges.Offer {
	o := challenges.Offer{Operator: operator, Addrs: addrs}
	for i := range devices {
		o.Devices = append(o.Devices, challenges.OfferDevice{ID: fmt.Sprintf("gpu%d", i)})
	}
	return o
}

func TestGroups(t *testing.T) {
	id := func(b byte) challenges.NodeID { return challenges.NodeID{0xff, b} }
	for _, tt := range []struct {
		name   string
		offers map[challenges.NodeID]challenges.Offer
		want   []int // devices of each group
	}{
		{"one device is no group", map[challenges.NodeID]challenges.Offer{id(1): offerOf("a", 1)}, nil},
		{"a host", map[challenges.NodeID]challenges.Offer{id(1): offerOf("a", 4)}, []int{4}},
		{"an operator of two", map[challenges.NodeID]challenges.Offer{id(1): offerOf("a", 1), id(2): offerOf("a", 1)}, []int{2}},
		{"no operator named", map[challenges.NodeID]challenges.Offer{id(1): offerOf("", 1), id(2): offerOf("", 1)}, nil},
		{"one /24", map[challenges.NodeID]challenges.Offer{
			id(1): offerOf("a", 1, "/ip4/10.1.2.3/udp/1/quic-v1"), id(2): offerOf("b", 1, "/ip4/10.1.2.200/tcp/1"),
		}, []int{2}},
		{"two /24", map[challenges.NodeID]challenges.Offer{
			id(1): offerOf("a", 1, "/ip4/10.1.2.3/tcp/1"), id(2): offerOf("b", 1, "/ip4/10.1.3.3/tcp/1"),
		}, nil},
		{"one /48", map[challenges.NodeID]challenges.Offer{
			id(1): offerOf("a", 1, "/ip6/2001:db8:7::1/tcp/1"), id(2): offerOf("b", 1, "/ip6/2001:db8:7:ffff::2/tcp/1"),
		}, []int{2}},
		{"no address at all", map[challenges.NodeID]challenges.Offer{
			id(1): offerOf("a", 1, "/ip4/10.1.2/tcp/1"), id(2): offerOf("b", 1, "/dns4/x/tcp/1", "/ip6/:::/tcp/1", ""),
		}, nil},
	} {
		var got []int
		for _, g := range Groups(tt.offers) {
			got = append(got, len(g.Targets))
			if !slices.IsSortedFunc(g.Targets, Target.Compare) {
				t.Errorf("%s: %s is not ascending", tt.name, g.Label)
			}
		}
		if !slices.Equal(got, tt.want) {
			t.Errorf("%s: groups of %v, want %v", tt.name, got, tt.want)
		}
	}
}

func FuzzGroups(f *testing.F) {
	for _, s := range []string{"/ip4/1.2.3.4/tcp/1", "/ip6/::1/tcp/1", "/ip6/1:2:3:4:5:6:1.2.3.4/udp/1", "/ip6/::ffff:1.2.3.4", "/ip4//", ":::"} {
		f.Add(s, s)
	}
	f.Fuzz(func(t *testing.T, a, b string) {
		offers := map[challenges.NodeID]challenges.Offer{{1}: offerOf("a", 1, a), {2}: offerOf("b", 1, b)}
		for _, g := range Groups(offers) {
			if len(g.Targets) < 2 || g.Label == "" {
				t.Errorf("group %+v", g)
			}
		}
	})
}

// Every group has its turn, of one checker, by turns of compute and memory, and no
// device is in two fleet challenges of an epoch.
func TestFleets(t *testing.T) {
	r := drawRegistry(3)
	offers := map[challenges.NodeID]challenges.Offer{
		{1}: offerOf("a", 4), {2}: offerOf("a", 2), {3}: offerOf("b", 3),
	}
	groups := Groups(offers)
	runs, memory := map[string]int{}, map[string]int{}
	const epochs = 200
	for epoch := range uint64(epochs) {
		taken := map[Target]int{}
		for _, c := range r.Checkers {
			for _, f := range Fleets(r, challenges.Hash{9}, c.ID, epoch, groups) {
				runs[f.Group.Label]++
				if f.Memory {
					memory[f.Group.Label]++
				}
				for _, d := range f.Group.Targets {
					taken[d]++
				}
			}
		}
		in := InFleet(r, epoch, groups)
		for d, n := range taken {
			if n != 1 || !in[d] {
				t.Fatalf("epoch %d: %v in %d fleet challenges, known %v", epoch, d, n, in[d])
			}
		}
		if len(in) != len(taken) {
			t.Fatalf("epoch %d: %d devices in fleets, %d run", epoch, len(in), len(taken))
		}
	}
	for _, g := range groups {
		if n := runs[g.Label]; n < epochs/16 || n > epochs/2+1 || memory[g.Label] == 0 || memory[g.Label] == n {
			t.Errorf("%s: %d runs, %d of memory", g.Label, n, memory[g.Label])
		}
	}
}

// Each device that is in a slot is run by one checker; half of them are in; a
// watched pair is together in half of the slots, exactly.
func TestSlotPlan(t *testing.T) {
	r := drawRegistry(3)
	var targets []Target
	for i := range 40 {
		targets = append(targets, Target{challenges.NodeID{byte(i)}, "gpu0"})
	}
	watched := []Pair{{targets[3], targets[7]}}
	size := uint64(r.Params.SharingTargeted)
	in, together, seen := 0, 0, map[uint64]map[Target]bool{}
	const epochs = 240
	for epoch := range uint64(epochs) {
		for _, c := range r.Checkers {
			for _, s := range SlotPlan(r, challenges.Hash{9}, c.ID, epoch, targets, watched) {
				if seen[s.Number] == nil {
					seen[s.Number] = map[Target]bool{}
				}
				if seen[s.Number][s.Target] || s.Number != SlotNumber(&r.Params, epoch, s.Index) {
					t.Fatalf("slot %d: %v twice, or misnumbered", s.Number, s.Target)
				}
				seen[s.Number][s.Target] = true
			}
		}
	}
	slots := epochs * int(r.Params.Slots)
	blocks := map[uint64]int{}
	for n, set := range seen {
		in += len(set)
		if !set[targets[3]] {
			t.Errorf("slot %d without the watched device", n)
		}
		if set[targets[7]] {
			together++
			blocks[n/size]++
		}
	}
	if share := float64(in) / float64(slots*len(targets)); len(seen) != slots || share < 0.49 || share > 0.54 {
		t.Errorf("%d of %d slots, %.3f of the devices in", len(seen), slots, share)
	}
	if together != slots/2 {
		t.Errorf("together in %d of %d slots", together, slots)
	}
	for b, n := range blocks {
		if n != int(size/2) {
			t.Errorf("block %d: together %d times of %d", b, n, size)
		}
	}
	if got := SlotPlan(r, challenges.Hash{9}, challenges.NodeID{99}, 0, targets, nil); got != nil {
		t.Errorf("a stranger's plan: %v", got)
	}
}

// TestDrawOfTheSpecification has the bytes of docs/PROTOCOL.md, G2, made by hand.
func TestDrawOfTheSpecification(t *testing.T) {
	spec, err := os.ReadFile(filepath.Join("..", "..", "docs", "PROTOCOL.md"))
	if err != nil {
		t.Fatal(err)
	}
	zeros := strings.Repeat("\x00", 31)
	for _, tt := range []struct {
		name string
		got  challenges.Hash
		by   string
	}{
		{"offset", drawn("offset", []byte("net 10.1.2.0/24")), "assay/draw/v1/offset" + "\x0f" + zeros[:7] + "net 10.1.2.0/24"},
		{
			"slot",
			drawn("slot", make([]byte, 32), number(5), Target{Provider: challenges.NodeID{31: 7}, Device: "gpu0"}.append(nil)),
			"assay/draw/v1/slot" + "\x20" + zeros[:7] + zeros + "\x00" + "\x08" + zeros[:7] + "\x05" + zeros[:7] +
				"\x2c" + zeros[:7] + zeros + "\x07" + "\x04" + zeros[:7] + "gpu0",
		},
	} {
		if want := challenges.Hash(blake3.Sum256([]byte(tt.by))); tt.got != want {
			t.Errorf("%s: %s, want %s", tt.name, tt.got, want)
		}
		if !strings.Contains(string(spec), "\n    "+tt.got.String()+"\n") {
			t.Errorf("%s: the specification does not show %s", tt.name, tt.got)
		}
	}
}
