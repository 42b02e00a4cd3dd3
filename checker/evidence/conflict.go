package evidence

import (
	"cmp"
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

// maxDevices bounds the devices of one conflict: those beyond it add nothing.
const maxDevices = 16

// Conflicts lists, for each card and epoch, its devices two by two, each with the next:
// a device of a conflict is in at least one of the list, which is in a fixed order. A
// card that signs for another device in a later epoch may have been moved, or sold.
// Who believes a list believes each sighting in it: they are to be verified before.
func Conflicts(seen []Sighting) []Conflict {
	seen = slices.Clone(seen)
	slices.SortFunc(seen, func(a, b Sighting) int {
		return cmp.Or(a.Identity.Compare(b.Identity), cmp.Compare(a.Epoch, b.Epoch), a.Provider.Compare(b.Provider),
			strings.Compare(a.Device, b.Device), a.Transcript.Compare(b.Transcript))
	})
	var out []Conflict
	devices := 0 // of the same card and epoch, before this one
	for i := 1; i < len(seen); i++ {
		a, b := seen[i-1], seen[i]
		switch {
		case a.Identity != b.Identity || a.Epoch != b.Epoch:
			devices = 0
		// SPEC: A5. One identity signs for one device in an epoch.
		case a.Provider != b.Provider || a.Device != b.Device:
			if devices++; devices < maxDevices {
				out = append(out, Conflict{a, b})
			}
		}
	}
	return out
}
