package gpu

import (
	"context"
	"fmt"
	"math/bits"
	"sync"
	"time"

	"github.com/assaynet/assay/challenges"
	"github.com/assaynet/assay/challenges/memory"
	"github.com/assaynet/assay/gpu/models"
)

// Sim is a simulated device: it gives the answers of a real engine at the time
// that a model would take. Its level is L0: it proves nothing about any card.
type Sim struct {
	engine *CPU
	info   Info
	runs   models.Spec
}

// SimConfig describes a simulated device. A device whose Claims differ from what
// it Runs claims more, or less, than it has.
type SimConfig struct {
	ID      string
	Product Product                                             // of the engine; nil: Exact
	Items   func(set memory.Dataset, key challenges.Hash) Items // of the engine; nil: NewHeld
	Claims  models.Spec
	Runs    models.Spec
}

// NewSim makes a simulated device.
func NewSim(cfg SimConfig) (*Sim, error) {
	if !cfg.Claims.Simulated || !cfg.Runs.Simulated {
		return nil, fmt.Errorf("simulated device %q: model %q or %q is not a simulated one", cfg.ID, cfg.Claims.Name, cfg.Runs.Name)
	}
	if cfg.Claims.Int8Ops < 100 || cfg.Runs.Int8Ops == 0 {
		return nil, fmt.Errorf("simulated device %q: a model without a rate", cfg.ID)
	}
	// An offer claims the 10th percentile of a self-test: here 5 % under the model.
	info := Info{
		ID: cfg.ID, Model: cfg.Claims.Name, Memory: cfg.Claims.Memory, Simulated: true,
		Int8Ops: cfg.Claims.Int8Ops / 100 * 95, BF16Ops: cfg.Claims.BF16Ops / 100 * 95, FP64Ops: cfg.Claims.FP64Ops / 100 * 95,
	}
	return &Sim{NewCPU(CPUConfig{Info: info, Product: cfg.Product, Items: cfg.Items}), info, cfg.Runs}, nil
}

// Info is what the device claims.
func (s *Sim) Info() Info { return s.info }

// Start begins a job; its modelled time runs from here.
func (s *Sim) Start(ctx context.Context, job Job) (Run, error) {
	run, err := s.engine.Start(ctx, job)
	if err != nil {
		return nil, err
	}
	return &simRun{
		Run: run, round: RoundTime(s.runs, job.Profile.Shape),
		job: job, due: time.Now(), opened: make([]time.Time, job.Profile.Rounds),
	}, nil
}

// RoundTime is how long a model takes for a round of compute.
func RoundTime(runs models.Spec, s challenges.Shape) time.Duration {
	rate := runs.Int8Ops
	switch s.Flavour {
	case challenges.BF16:
		rate = runs.BF16Ops
	case challenges.FP64:
		rate = runs.FP64Ops
	}
	return roundTime(s.Ops(), rate)
}

// roundTime is how long a model of so many ops/s takes for ops.
func roundTime(ops, rate uint64) time.Duration {
	hi, lo := bits.Mul64(ops, uint64(time.Second))
	if hi >= rate {
		return 1<<63 - 1
	}
	q, _ := bits.Div64(hi, lo, rate)
	return time.Duration(min(q, 1<<62))
}

// simRun delivers each root when the model would: one round after the later of
// the root before it and the positions that its key needs.
type simRun struct {
	Run
	round time.Duration
	job   Job
	due   time.Time // of the last root; owned by Next's caller

	mu     sync.Mutex
	opened []time.Time // when each round's positions came
}

// Next computes at the machine's speed and waits for the model's.
func (s *simRun) Next(ctx context.Context) (Root, error) {
	root, err := s.Run.Next(ctx)
	if err != nil {
		return Root{}, err
	}
	start := s.due
	if old := s.job.Profile.Feeds(root.Round, s.job.Window); old >= 0 {
		s.mu.Lock()
		if at := s.opened[old]; at.After(start) {
			start = at
		}
		s.mu.Unlock()
	}
	s.due = start.Add(s.round)
	// Half a round late is more than a sleeping scheduler.
	if err := until(ctx, s.due, s.round/2); err != nil {
		return Root{}, fmt.Errorf("round %d: %w", root.Round, err)
	}
	return root, nil
}

// until waits for a modelled time. A machine that cannot keep the model's pace
// must not pretend: the device would be blamed.
func until(ctx context.Context, due time.Time, late time.Duration) error {
	wait := time.Until(due)
	if wait < -late {
		return fmt.Errorf("%v late: %w", -wait, ErrOverrun)
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-timer.C:
		return nil
	}
}

// Open notes when the positions came.
func (s *simRun) Open(ctx context.Context, round int, at []uint32) ([]byte, error) {
	opening, err := s.Run.Open(ctx, round, at)
	if err == nil {
		s.mu.Lock()
		s.opened[round] = time.Now()
		s.mu.Unlock()
	}
	return opening, err
}
