package cheat

import (
	"context"
	"sync"
	"time"

	"github.com/assaynet/assay/challenges"
	"github.com/assaynet/assay/gpu"
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

// Card is one card behind several names: a round of one name's challenge waits
// for the others'.
type Card struct {
	round time.Duration
	free  chan struct{} // holds the card while nobody computes
}

// NewCard makes a card that takes so long for a round.
func NewCard(round time.Duration) *Card {
	c := &Card{round, make(chan struct{}, 1)}
	c.free <- struct{}{}
	return c
}

// Named is the card under one name. The inner device makes its answers at once.
func (c *Card) Named(inner gpu.Device) gpu.Device { return named{inner, c} }

type named struct {
	gpu.Device
	card *Card
}

// Start begins a job on the shared card.
func (n named) Start(ctx context.Context, job gpu.Job) (gpu.Run, error) {
	run, err := n.Device.Start(ctx, job)
	if err != nil {
		return nil, err
	}
	return namedRun{run, n.card}, nil
}

type namedRun struct {
	gpu.Run
	card *Card
}

func (n namedRun) Next(ctx context.Context) (gpu.Root, error) {
	root, err := n.Run.Next(ctx)
	if err != nil {
		return gpu.Root{}, err
	}
	select {
	case <-ctx.Done():
		return gpu.Root{}, context.Cause(ctx)
	case <-n.card.free:
	}
	defer func() { n.card.free <- struct{}{} }()
	return root, sleep(ctx, n.card.round)
}
