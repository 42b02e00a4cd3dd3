package prover

import (
	"github.com/assaynet/assay/challenges"
	"github.com/assaynet/assay/challenges/receipt"
	"github.com/assaynet/assay/prover/why"
)

// Explanation is how a challenge ended, why, and what to do about it.
type Explanation = why.Explanation

// Explain explains the agent's copy of a challenge.
func Explain(id challenges.Hash, c receipt.Copy, network challenges.Hash) Explanation {
	return why.Explain(id, c, network)
}
