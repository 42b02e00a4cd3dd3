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

// Pattern is how a [Liar] spreads what it skips.
type Pattern string

// Patterns. The empty one is Spread.
const (
	Spread  Pattern = "spread"  // single entries anywhere
	Columns Pattern = "columns" // whole columns
	Tiles   Pattern = "tiles"   // tiles of 8 rows and 32 columns
	Rounds  Pattern = "rounds"  // whole rounds
)

// Liar is a product that skips a share of the work and invents the entries. Which
// ones follows from the round's key, so that a [Coward] knows.
type Liar struct {
	Inner   gpu.Product
	Share   float64 // 0 to 1: how likely each entry, column, tile or round is skipped
	Pattern Pattern
}

// Compute makes the matrix with inventions in it. The honest one is made first,
// since what the liar saves is a modelled device's time, not ours.
func (l Liar) Compute(ctx context.Context, key challenges.Hash, s challenges.Shape, c []byte) error {
	if err := l.Inner.Compute(ctx, key, s, c); err != nil {
		return err
	}
	for i, lie := range l.Skips(key, s) {
		if lie {
			c[i*s.Width()]++ // the least that can be wrong
		}
	}
	return nil
}

// Skips says which entries of a round are invented.
func (l Liar) Skips(key challenges.Hash, s challenges.Shape) []bool {
	r := rand.New(rand.NewPCG(binary.LittleEndian.Uint64(key[:]), binary.LittleEndian.Uint64(key[8:])))
	skip := func() bool { return r.Float64() < l.Share }
	out := make([]bool, s.Entries())
	switch l.Pattern {
	case Columns:
		for j := range s.N {
			if skip() {
				fill(out, s, 0, s.M, j, j+1)
			}
		}
	case Tiles:
		for i := 0; i < s.M; i += 8 {
			for j := 0; j < s.N; j += 32 {
				if skip() {
					fill(out, s, i, min(i+8, s.M), j, min(j+32, s.N))
				}
			}
		}
	case Rounds:
		if skip() {
			fill(out, s, 0, s.M, 0, s.N)
		}
	default:
		for i := range out {
			out[i] = skip()
		}
	}
	return out
}

func fill(out []bool, s challenges.Shape, top, bottom, left, right int) {
	for i := top; i < bottom; i++ {
		for j := left; j < right; j++ {
			out[i*s.N+j] = true
		}
	}
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
	return &cowardRun{Run: run, liar: c.Liar, shape: job.Profile.Shape, lies: make(map[int][]bool)}, nil
}

type cowardRun struct {
	gpu.Run
	liar  Liar
	shape challenges.Shape

	mu   sync.Mutex
	lies map[int][]bool // by round
}

func (c *cowardRun) Next(ctx context.Context) (gpu.Root, error) {
	root, err := c.Run.Next(ctx)
	if err == nil {
		c.mu.Lock()
		c.lies[root.Round] = c.liar.Skips(root.Key, c.shape)
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
		if int(e) < len(lies) && lies[e] {
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
