package reputation

import "github.com/assaynet/assay/challenges"

// Sealed is what a checker stores when it closes an epoch for one provider.
type Sealed struct {
	Observation challenges.Envelope
	Epoch       uint64
	Provider    challenges.NodeID
	Standing    Standing
}
