package reputation

import (
	"fmt"
	"slices"

	"github.com/assaynet/assay/challenges"
	"github.com/assaynet/assay/checker/committee"
	"github.com/assaynet/assay/checker/evidence"
)

// MaxConflicts bounds what is remembered of a provider: the latest.
const MaxConflicts = 16

// Conflict is a card that signed for a device of a provider and for another one.
type Conflict struct {
	_           struct{} `cbor:",toarray"`
	Epoch       uint64
	Identity    challenges.Hash
	Device      string
	Transcript  challenges.Hash // that shows it of this device
	Other       challenges.NodeID
	OtherDevice string
	OtherShows  challenges.Hash // transcript that shows it of the other
}

// Conflicting adds a conflict in which a provider has part; which of the two is at
// fault it does not say. Whoever calls it has seen both transcripts.
func Conflicting(s Standing, k evidence.Conflict) Standing {
	mine, other := k.A, k.B
	if mine.Provider != s.Provider {
		mine, other = k.B, k.A
	}
	c := Conflict{
		Epoch: mine.Epoch, Identity: mine.Identity, Device: mine.Device, Transcript: mine.Transcript,
		Other: other.Provider, OtherDevice: other.Device, OtherShows: other.Transcript,
	}
	s.Conflicts = append(slices.Clone(s.Conflicts), c)
	s.Conflicts = s.Conflicts[max(0, len(s.Conflicts)-MaxConflicts):]
	return s
}

// conflicting are the conflicts that still count.
func conflicting(s *Standing, p *committee.Params) []Conflict {
	return slices.DeleteFunc(slices.Clone(s.Conflicts), func(c Conflict) bool { return !recent(c.Epoch, s.Next, p) })
}

// conflicts reports whether a device has part in one: as one side, or as the other
// where both are of this provider.
func (s *Standing) conflicts(device string, p *committee.Params) bool {
	return slices.ContainsFunc(conflicting(s, p), func(c Conflict) bool {
		return c.Device == device || c.Other == s.Provider && c.OtherDevice == device
	})
}

// explain says it in words.
func (c Conflict) explain() string {
	short := func(h challenges.Hash) string { return h.String()[:12] }
	return fmt.Sprintf("in epoch %d one card (%s) signed for %s here and for %s of %s: transcripts %s and %s; one of the two has its questions relayed",
		c.Epoch, short(c.Identity), c.Device, c.OtherDevice, c.Other.Short(), short(c.Transcript), short(c.OtherShows))
}
