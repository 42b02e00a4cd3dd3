package evidence

import (
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/assaynet/assay/challenges"
)

func TestConflicts(t *testing.T) {
	a, b, c := challenges.NodeID{1}, challenges.NodeID{2}, challenges.NodeID{3}
	card, other := challenges.Hash{0xca}, challenges.Hash{0xcb}
	n := byte(0)
	seen := func(identity challenges.Hash, p challenges.NodeID, device string, epoch uint64) Sighting {
		n++
		return Sighting{identity, p, device, epoch, challenges.Hash{n}}
	}
	type pair struct{ a, b string }
	for _, tt := range []struct {
		name string
		seen []Sighting
		want []pair // device names, with the provider's first byte
	}{
		{"nothing", nil, nil},
		{"one device, often", []Sighting{seen(card, a, "gpu0", 1), seen(card, a, "gpu0", 1), seen(card, a, "gpu0", 2)}, nil},
		{"two cards", []Sighting{seen(card, a, "gpu0", 1), seen(other, b, "gpu0", 1)}, nil},
		{"two agents", []Sighting{seen(card, b, "gpu0", 1), seen(card, a, "gpu0", 1)}, []pair{{"1gpu0", "2gpu0"}}},
		{"two devices of one agent", []Sighting{seen(card, a, "gpu1", 1), seen(card, a, "gpu0", 1)}, []pair{{"1gpu0", "1gpu1"}}},
		{"moved between epochs", []Sighting{seen(card, a, "gpu0", 1), seen(card, b, "gpu0", 2)}, nil},
		{"again in a later epoch", []Sighting{seen(card, a, "gpu0", 1), seen(card, b, "gpu0", 1), seen(card, a, "gpu0", 2), seen(card, b, "gpu0", 2)}, []pair{{"1gpu0", "2gpu0"}, {"1gpu0", "2gpu0"}}},
		{"three agents", []Sighting{seen(card, a, "x", 1), seen(card, b, "x", 1), seen(card, c, "x", 1)}, []pair{{"1x", "2x"}, {"2x", "3x"}}},
		{"two cards, each under two names", []Sighting{seen(other, a, "x", 1), seen(other, b, "x", 1), seen(card, a, "y", 1), seen(card, b, "y", 1)}, []pair{{"1y", "2y"}, {"1x", "2x"}}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			first := Conflicts(tt.seen)
			var got []pair
			for _, k := range first {
				name := func(s Sighting) string { return string('0'+rune(s.Provider[0])) + s.Device }
				got = append(got, pair{name(k.A), name(k.B)})
				if k.A.Identity != k.B.Identity || k.A.Epoch != k.B.Epoch {
					t.Errorf("%+v", k)
				}
			}
			if !slices.Equal(got, tt.want) {
				t.Errorf("got %v, want %v", got, tt.want)
			}
			// The order in which they were seen changes nothing.
			for range 20 {
				mixed := slices.Clone(tt.seen)
				rand.Shuffle(len(mixed), func(i, j int) { mixed[i], mixed[j] = mixed[j], mixed[i] })
				if again := Conflicts(mixed); !slices.Equal(again, first) {
					t.Fatalf("%v, in another order %v", first, again)
				}
			}
		})
	}
}

// TestConflictsAreBounded: whoever invents sightings makes no work.
func TestConflictsAreBounded(t *testing.T) {
	var seen []Sighting
	for i := range 20_000 {
		seen = append(seen, Sighting{Identity: challenges.Hash{1}, Provider: challenges.NodeID{byte(i), byte(i >> 8)}, Epoch: 5})
	}
	if got := len(Conflicts(seen)); got >= maxDevices {
		t.Errorf("%d conflicts", got)
	}
}
