package evidence

import (
	"slices"
	"strings"

	"github.com/assaynet/assay/challenges"
)

// Sighting is a card's signature under one result.
type Sighting struct {
	Identity   challenges.Hash // of the card that signed
	Provider   challenges.NodeID
	Device     string
	Epoch      uint64
	Transcript challenges.Hash // that shows it
}

// Conflict is one card that signed for two devices in one epoch. It is in one machine,
// so at most one of them has it: the other has somebody relay its questions. Which one,
// nobody can tell from this: also a tenant can let the card that he rents sign.
type Conflict struct {
	A, B Sighting // by provider, then device
}

// Conflicts lists the first conflict of each two devices, in a fixed order. A card that
// signs for another device in a later epoch may have been moved, or sold.
func Conflicts(seen []Sighting) []Conflict {
	seen = slices.Clone(seen)
	slices.SortFunc(seen, func(a, b Sighting) int {
		switch {
		case a.Identity != b.Identity:
			return a.Identity.Compare(b.Identity)
		case a.Epoch < b.Epoch:
			return -1
		case a.Epoch > b.Epoch:
			return 1
		case a.Provider != b.Provider:
			return a.Provider.Compare(b.Provider)
		case a.Device != b.Device:
			return strings.Compare(a.Device, b.Device)
		}
		return a.Transcript.Compare(b.Transcript)
	})
	var out []Conflict
	type pair struct {
		a, b     challenges.NodeID
		ad, bd   string
		identity challenges.Hash
	}
	known := map[pair]bool{}
	for from := 0; from < len(seen); {
		to := from + 1
		for to < len(seen) && seen[to].Identity == seen[from].Identity && seen[to].Epoch == seen[from].Epoch {
			to++
		}
		// One of each device is enough.
		var devices []Sighting
		for _, s := range seen[from:to] {
			if n := len(devices); n == 0 || devices[n-1].Provider != s.Provider || devices[n-1].Device != s.Device {
				devices = append(devices, s)
			}
		}
		// SPEC: A5. One identity signs for one device in an epoch.
		for i, a := range devices {
			for _, b := range devices[i+1:] {
				p := pair{a.Provider, b.Provider, a.Device, b.Device, a.Identity}
				if !known[p] {
					known[p] = true
					out = append(out, Conflict{a, b})
				}
			}
		}
		from = to
	}
	return out
}
