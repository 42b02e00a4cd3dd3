package reputation

import (
	"slices"

	"github.com/assaynet/assay/checker/committee"
)

// Watched is the pairs that wait for a verdict, those with most slots first: what
// lasts long under test is mostly right, and is not to be disturbed.
func Watched(shared []Shared) []committee.Pair {
	shared = slices.Clone(shared)
	slices.SortStableFunc(shared, func(a, b Shared) int { return b.Together + b.Apart - a.Together - a.Apart })
	var out []committee.Pair
	for _, s := range shared {
		if !s.Confirmed && !s.Cleared {
			out = append(out, committee.Pair{A: s.A, B: s.B})
		}
	}
	return out
}
