package cheat

import (
	"context"
	"sync"

	"github.com/assaynet/assay/challenges"
)

// Cards is a product whose rows are shared out: each card makes its rows from the
// key alone, and they exchange nothing but hashes. It is exact, so it passes, as
// one responder with the rate of all its cards.
type Cards int

// Compute makes the whole matrix, all cards at once.
func (n Cards) Compute(ctx context.Context, key challenges.Hash, s challenges.Shape, c []byte) error {
	var cards sync.WaitGroup
	for card := range int(n) {
		cards.Go(func() {
			at, values := make([]uint32, s.N), make([]uint64, s.N)
			for i := card; i < s.M && ctx.Err() == nil; i += int(n) {
				for j := range at {
					at[j] = uint32(i*s.N + j)
				}
				s.Values(&key, at, values)
				for j, v := range values {
					s.PutValue(c[(i*s.N+j)*s.Width():], v)
				}
			}
		})
	}
	cards.Wait()
	return ctx.Err()
}
