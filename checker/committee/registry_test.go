package committee

import (
	"bytes"
	"crypto/ed25519"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/assaynet/assay/challenges"
)

func testID(i int) challenges.NodeID {
	return challenges.IDOf(ed25519.NewKeyFromSeed(bytes.Repeat([]byte{byte(i + 1)}, ed25519.SeedSize)))
}

// testRegistry has n checkers; any i of testID(i), i < n, is one of them.
func testRegistry(n int, p Params) *Registry {
	r := &Registry{Name: "test", Version: 1, Genesis: 1_700_000_000e9, Simulated: true, Params: p}
	for i := range n {
		r.Checkers = append(r.Checkers, Member{ID: testID(i), Name: fmt.Sprint("c", i), Operator: "op"})
	}
	slices.SortFunc(r.Checkers, func(a, b Member) int { return a.ID.Compare(b.ID) })
	return r
}

func TestRegistryCheck(t *testing.T) {
	tests := []struct {
		name   string
		change func(*Registry)
		ok     bool
	}{
		{"valid", func(*Registry) {}, true},
		{"no name", func(r *Registry) { r.Name = "" }, false},
		{"name of 64 bytes", func(r *Registry) { r.Name = strings.Repeat("n", 64) }, true},
		{"name of 65 bytes", func(r *Registry) { r.Name = strings.Repeat("n", 65) }, false},
		{"no genesis", func(r *Registry) { r.Genesis = 0 }, false},
		{"genesis beyond what time holds", func(r *Registry) { r.Genesis = 1<<62 + 1 }, false},
		{"no checkers", func(r *Registry) { r.Checkers = nil }, false},
		{"one checker", func(r *Registry) { r.Checkers = r.Checkers[:1] }, true},
		{"checkers out of order", func(r *Registry) { r.Checkers[0], r.Checkers[1] = r.Checkers[1], r.Checkers[0] }, false},
		{"a checker twice", func(r *Registry) { r.Checkers[1] = r.Checkers[0] }, false},
		{"key of small order", func(r *Registry) { r.Checkers[0].ID = challenges.NodeID{} }, false},
		{"key not canonical", func(r *Registry) {
			last := &r.Checkers[len(r.Checkers)-1]
			last.ID = challenges.NodeID(bytes.Repeat([]byte{0xff}, 32))
		}, false},
		{"checker's name too long", func(r *Registry) { r.Checkers[2].Name = strings.Repeat("n", 65) }, false},
		{"operator's name too long", func(r *Registry) { r.Checkers[2].Operator = strings.Repeat("n", 129) }, false},
		{"bad parameters", func(r *Registry) { r.Params.Pings = 0 }, false},
		{"too many checkers", func(r *Registry) { r.Checkers = make([]Member, 10_001) }, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := testRegistry(3, Standard())
			tt.change(r)
			if err := r.Check(); (err == nil) != tt.ok {
				t.Errorf("Check: %v, want ok %v", err, tt.ok)
			}
			_, err := DecodeRegistry(challenges.Marshal(r))
			if (err == nil) != tt.ok {
				t.Errorf("DecodeRegistry: %v, want ok %v", err, tt.ok)
			}
		})
	}
}

func TestRegistryIndex(t *testing.T) {
	r := testRegistry(7, Standard())
	for i, m := range r.Checkers {
		if got := r.Index(m.ID); got != i {
			t.Errorf("index of checker %d: %d", i, got)
		}
	}
	for _, id := range []challenges.NodeID{testID(7), {}, challenges.NodeID(bytes.Repeat([]byte{0xff}, 32))} {
		if got := r.Index(id); got != -1 {
			t.Errorf("index of stranger %s: %d", id.Short(), got)
		}
	}
}

// The hash is the network's id: whatever differs in a registry makes another
// network, or signatures would travel between the two.
func TestRegistryHashCoversEveryField(t *testing.T) {
	base := testRegistry(3, Standard()).Hash()
	if base != testRegistry(3, Standard()).Hash() {
		t.Fatal("same registry, other hash")
	}
	changes := map[string]func(*Registry){
		"name":      func(r *Registry) { r.Name += "x" },
		"version":   func(r *Registry) { r.Version++ },
		"genesis":   func(r *Registry) { r.Genesis++ },
		"simulated": func(r *Registry) { r.Simulated = false },
		"params":    func(r *Registry) { r.Params.Pings++ },
		"member":    func(r *Registry) { r.Checkers = r.Checkers[1:] },
		"operator":  func(r *Registry) { r.Checkers[1].Operator = "other" },
	}
	for name, change := range changes {
		r := testRegistry(3, Standard())
		change(r)
		if r.Hash() == base {
			t.Errorf("%s changed, hash did not", name)
		}
	}
	p := reflect.TypeFor[Params]()
	for i := range p.NumField() {
		if p.Field(i).Name == "_" {
			continue
		}
		r := testRegistry(3, Standard())
		f := reflect.ValueOf(&r.Params).Elem().Field(i)
		switch {
		case f.CanInt():
			f.SetInt(f.Int() + 1)
		case f.CanUint():
			f.SetUint(f.Uint() + 1)
		default:
			f.SetString(f.String() + "x")
		}
		if r.Hash() == base {
			t.Errorf("parameter %s changed, hash did not", p.Field(i).Name)
		}
	}
}

func TestRegistryEncodingIsCanonical(t *testing.T) {
	r := testRegistry(4, Devnet())
	data := challenges.Marshal(r)
	got, err := DecodeRegistry(data)
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(&got, r) {
		t.Errorf("read %+v, wrote %+v", got, r)
	}
	for name, bad := range map[string][]byte{
		"empty":          nil,
		"a byte more":    append(slices.Clone(data), 0),
		"a byte less":    data[:len(data)-1],
		"longer integer": append([]byte{data[0] &^ 0x1f, 0x18, data[0] & 0x1f}, data[1:]...),
	} {
		if _, err := DecodeRegistry(bad); err == nil {
			t.Errorf("%s: read", name)
		}
	}
}

func TestClock(t *testing.T) {
	r := testRegistry(1, Devnet())
	c, g, l := r.Clock(), time.Unix(0, int64(r.Genesis)), r.Params.Epoch
	tests := []struct {
		name string
		at   time.Time
		want uint64
	}{
		{"long before genesis", g.Add(-100 * l), 0},
		{"just before genesis", g.Add(-1), 0},
		{"genesis", g, 0},
		{"end of epoch 0", g.Add(l - 1), 0},
		{"start of epoch 1", g.Add(l), 1},
		{"within epoch 7", g.Add(7*l + l/2), 7},
		{"zero time", time.Time{}, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := c.Epoch(tt.at); got != tt.want {
				t.Errorf("epoch %d, want %d", got, tt.want)
			}
		})
	}
	for e := range uint64(5) {
		if got := c.Epoch(c.Start(e)); got != e {
			t.Errorf("epoch %d starts in epoch %d", e, got)
		}
		if got := c.Epoch(c.Start(e + 1).Add(-1)); got != e {
			t.Errorf("epoch %d ends in epoch %d", e, got)
		}
	}
}

func FuzzDecodeRegistry(f *testing.F) {
	f.Add([]byte{})
	f.Add(challenges.Marshal(testRegistry(1, Standard())))
	f.Add(challenges.Marshal(testRegistry(5, Devnet())))
	f.Fuzz(func(t *testing.T, data []byte) {
		r, err := DecodeRegistry(data)
		if err != nil {
			return
		}
		if !bytes.Equal(challenges.Marshal(&r), data) {
			t.Fatal("reads what it would not write")
		}
		for i, m := range r.Checkers {
			if r.Index(m.ID) != i {
				t.Fatalf("checker %d has index %d", i, r.Index(m.ID))
			}
		}
		// Whatever passes the check must be safe to plan with.
		c := r.Clock()
		if c.Epoch(c.Start(1)) != 1 {
			t.Fatal("epoch 1 does not start in epoch 1")
		}
		targets := []Target{{Provider: r.Checkers[0].ID, Device: "d"}}
		Plan(&r, r.Checkers[0].ID, 1, targets)
		SlotPlan(&r, r.Hash(), r.Checkers[0].ID, uint64(r.Params.SlotEvery), targets, nil)
		Fleets(&r, r.Hash(), r.Checkers[0].ID, uint64(r.Params.FleetEvery), []Group{{"g", targets}})
	})
}
