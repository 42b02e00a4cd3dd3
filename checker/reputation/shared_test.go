package reputation

import (
	"math/rand/v2"
	"reflect"
	"slices"
	"testing"

	"github.com/assaynet/assay/challenges"
	"github.com/assaynet/assay/checker/committee"
)

// slotted is a world of devices in global slots; pair says which are one card.
func slotted(seed uint64, devices, slots int, slow func(slot, d int, in []bool) bool) []Ran {
	rng := rand.New(rand.NewPCG(seed, 5))
	var out []Ran
	for s := range slots {
		in := make([]bool, devices)
		for d := range in {
			in[d] = rng.IntN(2) == 1
		}
		for d := range in {
			if !in[d] {
				continue
			}
			r := Ran{
				Slot: uint64(s + 1), Target: committee.Target{Provider: challenges.NodeID{byte(d + 1)}, Device: "gpu0"},
				Ops: 95_000_000 + rng.Uint64N(5_000_000),
			}
			if slow(s, d, in) {
				r.Ops /= 2
				r.Slow = rng.IntN(2) == 1
			}
			out = append(out, r)
		}
	}
	return out
}

func TestSharing(t *testing.T) {
	p := committee.Devnet()
	one := func(_, d int, in []bool) bool { return d < 2 && in[0] && in[1] }
	honest := func(int, int, []bool) bool { return false }
	for _, tt := range []struct {
		name string
		ran  []Ran
		want bool // devices 0 and 1 are confirmed
	}{
		{"one card", slotted(1, 6, 80, one), true},
		{"one refuses where both run", func() []Ran {
			ran := slotted(2, 6, 80, honest)
			return refused(ran)
		}(), true},
		{"apart", slotted(3, 6, 80, honest), false},
		{"too few slots", slotted(1, 6, 8, one), false},
		{"slow whatever the other does", slotted(4, 6, 80, func(s, d int, _ []bool) bool { return d == 0 && s%2 == 0 }), false},
		{"slow together in the screen alone", slotted(5, 6, 80, func(s, d int, in []bool) bool { return s < 17 && one(s, d, in) }), false},
		{"nothing is known where both run", func() []Ran {
			ran := slotted(1, 6, 80, one)
			for i := range ran {
				ran[i].Void = ran[i].Slow || ran[i].Ops < 60_000_000
			}
			return ran
		}(), false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			found := false
			got := Sharing(tt.ran, &p)
			for _, s := range got {
				a, b := s.A.Provider[0], s.B.Provider[0]
				if s.Confirmed && min(a, b) == 1 && max(a, b) == 2 {
					found = true
				} else if s.Confirmed {
					t.Errorf("innocent pair %d and %d: %+v", a, b, s)
				}
				if s.Confirmed && s.Cleared || s.TogetherSlow > s.Together || s.ApartSlow > s.Apart {
					t.Errorf("%+v", s)
				}
			}
			if found != tt.want {
				t.Errorf("confirmed %v, want %v: %+v", found, tt.want, got)
			}
			// The order in which observations come says nothing.
			mixed := slices.Clone(tt.ran)
			rand.New(rand.NewPCG(8, 8)).Shuffle(len(mixed), func(i, j int) { mixed[i], mixed[j] = mixed[j], mixed[i] })
			if again := Sharing(mixed, &p); !reflect.DeepEqual(again, got) {
				t.Errorf("in another order %+v, else %+v", again, got)
			}
		})
	}
}

// refused makes device 1 refuse wherever device 0 runs.
func refused(ran []Ran) []Ran {
	runs := map[uint64]bool{}
	for _, r := range ran {
		if r.Target.Provider[0] == 1 {
			runs[r.Slot] = true
		}
	}
	for i, r := range ran {
		if r.Target.Provider[0] == 2 && runs[r.Slot] {
			ran[i].Ops, ran[i].Slow = 0, true
		}
	}
	return ran
}

// Worlds without sharing, with common and single slowness: nobody is confirmed.
func TestSharingOfTheInnocent(t *testing.T) {
	p := committee.Standard()
	for seed := range uint64(20) {
		rng := rand.New(rand.NewPCG(seed, 6))
		ran := slotted(seed, 30, 100, func(int, int, []bool) bool { return rng.IntN(100) < 3 })
		for _, s := range Sharing(ran, &p) {
			if s.Confirmed {
				t.Errorf("seed %d: %+v", seed, s)
			}
		}
	}
}
