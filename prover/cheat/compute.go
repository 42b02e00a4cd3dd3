// Package cheat holds planted behaviour: decorators over the interfaces that an
// honest agent is configured with. Networks that check themselves run them, and
// so do tests; nothing else imports them.
package cheat

import (
	"context"
	"encoding/binary"
	"math/rand/v2"
	"sync"

	"github.com/assaynet/assay/challenges"
	"github.com/assaynet/assay/gpu"
	"github.com/assaynet/assay/prover"
)

// Liar is a product that skips a share of the entries and invents them. Which
// ones follows from the round's key, so that a [Coward] knows.
type Liar struct {
	Inner gpu.Product
	Share float64 // of the entries, 0 to 1
}

// Multiply makes the product with inventions in it. The honest product is made
// first, since what the liar saves is a modelled device's time, not ours.
func (l Liar) Multiply(ctx context.Context, key challenges.Hash, s challenges.Shape, c []int32) error {
	if err := l.Inner.Multiply(ctx, key, s, c); err != nil {
		return err
	}
	for i, lie := range l.lies(key, len(c)) {
		if lie != 0 {
			c[i] += lie
		}
	}
	return nil
}

// lies gives, for each entry, what is added to the truth; 0 is honest.
func (l Liar) lies(key challenges.Hash, n int) []int32 {
	r := rand.New(rand.NewPCG(binary.LittleEndian.Uint64(key[:]), binary.LittleEndian.Uint64(key[8:])))
	out := make([]int32, n)
	for i := range out {
		if r.Float64() < l.Share {
			out[i] = 1 + r.Int32N(1<<16)
		}
	}
	return out
}

// Coward is a device that lies, and falls silent whenever a sample hits a lie.
type Coward struct {
	gpu.Device
	Liar Liar // the product that the device computes with
}

// Start begins a job that will not answer what would convict it.
func (c Coward) Start(ctx context.Context, job gpu.Job) (gpu.Run, error) {
	run, err := c.Device.Start(ctx, job)
	if err != nil {
		return nil, err
	}
	return &cowardRun{Run: run, liar: c.Liar, entries: int(job.Profile.Shape.Entries()), lies: make(map[int][]int32)}, nil
}

type cowardRun struct {
	gpu.Run
	liar    Liar
	entries int

	mu   sync.Mutex
	lies map[int][]int32 // by round
}

func (c *cowardRun) Next(ctx context.Context) (gpu.Root, error) {
	root, err := c.Run.Next(ctx)
	if err == nil {
		c.mu.Lock()
		c.lies[root.Round] = c.liar.lies(root.Key, c.entries)
		c.mu.Unlock()
	}
	return root, err
}

func (c *cowardRun) Open(ctx context.Context, round int, at []uint32) ([]byte, error) {
	c.mu.Lock()
	lies := c.lies[round]
	delete(c.lies, round)
	c.mu.Unlock()
	for _, e := range at {
		if int(e) < len(lies) && lies[e] != 0 {
			<-ctx.Done()
			return nil, context.Cause(ctx)
		}
	}
	return c.Run.Open(ctx, round, at)
}

// Busy is an admission that refuses all GPU work, signed, and still answers
// probes.
type Busy struct{ prover.Admission }

// Admit refuses.
func (Busy) Admit(prover.Request) (func(), *prover.Refusal) {
	return nil, &prover.Refusal{Reason: challenges.ReasonBusy}
}

// Busy says so.
func (Busy) Busy() bool { return true }
