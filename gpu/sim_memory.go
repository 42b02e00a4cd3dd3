package gpu

import (
	"context"
	"fmt"
	"time"

	"github.com/assaynet/assay/challenges"
	"github.com/assaynet/assay/challenges/memory"
)

// Fill fills the engine's dataset and waits for the model's time.
func (s *Sim) Fill(ctx context.Context, job MemoryJob) (Memory, error) {
	due := time.Now()
	filled, costs, err := s.engine.fill(ctx, job)
	if err != nil {
		return nil, err
	}
	took := costs.Time(job.Set)
	if err := until(ctx, due.Add(took), took/2); err != nil {
		_ = filled.Close()
		return nil, fmt.Errorf("fill: %w", err)
	}
	return simMemory{filled, job.Set}, nil
}

// Time is how long a device of the class takes over so much: what comes from
// memory, from the cache and from elsewhere comes all at once.
func (c Costs) Time(set memory.Dataset) time.Duration {
	return max(roundTime(c.Held, set.ReadRate), roundTime(c.Made, set.MakeRate), roundTime(c.Far, max(1, set.LinkRate)))
}

type simMemory struct {
	Memory
	set memory.Dataset
}

// Walk begins the walks; their modelled time runs from here.
func (s simMemory) Walk(ctx context.Context, nonce challenges.Hash) (Run, error) {
	run, err := s.Memory.Walk(ctx, nonce)
	if err != nil {
		return nil, err
	}
	return &simWalks{Run: run, set: s.set, due: time.Now()}, nil
}

// simWalks delivers each root when the model would.
type simWalks struct {
	Run
	set memory.Dataset
	due time.Time // of the last root; owned by Next's caller
}

// Next walks at the machine's speed and waits for the model's.
func (s *simWalks) Next(ctx context.Context) (Root, error) {
	root, err := s.Run.Next(ctx)
	if err != nil {
		return Root{}, err
	}
	s.due = s.due.Add(root.Costs.Time(s.set))
	// Rounds are short here, and only their sum is measured: a tenth of that.
	if err := until(ctx, s.due, s.set.WalkTime()/10); err != nil {
		return Root{}, fmt.Errorf("round %d: %w", root.Round, err)
	}
	return root, nil
}
