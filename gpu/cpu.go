package gpu

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"

	"github.com/assaynet/assay/challenges"
	"github.com/assaynet/assay/challenges/commit"
	"github.com/assaynet/assay/challenges/memory"
)

// CPU is the engine: it answers challenges exactly, on one core.
type CPU struct {
	info    Info
	product Product
	items   func(set memory.Dataset, key challenges.Hash) Items
}

// CPUConfig describes an engine.
type CPUConfig struct {
	Info    Info
	Product Product                                             // nil: Exact
	Items   func(set memory.Dataset, key challenges.Hash) Items // nil: NewHeld
}

// NewCPU makes an engine.
func NewCPU(cfg CPUConfig) *CPU {
	if cfg.Product == nil {
		cfg.Product = Exact{}
	}
	if cfg.Items == nil {
		cfg.Items = func(set memory.Dataset, key challenges.Hash) Items { return NewHeld(set, key) }
	}
	return &CPU{cfg.Info, cfg.Product, cfg.Items}
}

// Info is the configured one.
func (c *CPU) Info() Info { return c.info }

// Start begins a job.
func (c *CPU) Start(ctx context.Context, job Job) (Run, error) {
	if err := job.Profile.Shape.Check(); err != nil {
		return nil, fmt.Errorf("start: %w", err)
	}
	shape := job.Profile.Shape
	return newRun(ctx, cpuJob{
		rounds: job.Profile.Rounds, entries: shape.Entries(), width: shape.Width(),
		feeds: func(n int) int { return job.Profile.Feeds(n, job.Window) },
		key: func(n int, key, root challenges.Hash, packed []byte) challenges.Hash {
			if n == 0 {
				return challenges.FirstKey(job.ID, job.Device)
			}
			return challenges.NextKey(key, root, packed)
		},
		compute: func(ctx context.Context, key challenges.Hash) ([]byte, Costs, error) {
			data := make([]byte, shape.Bytes())
			return data, Costs{}, c.product.Compute(ctx, key, shape, data)
		},
	}), nil
}

// cpuJob is what a run needs to know of its challenge.
type cpuJob struct {
	rounds  int
	entries uint64 // a round
	width   int    // of an entry, in bytes
	// feeds is the round whose positions the key of a round needs; negative: none.
	feeds func(n int) int
	// key is that of round n, from the key and root of the round before it.
	key func(n int, key, root challenges.Hash, packed []byte) challenges.Hash
	// compute makes a round's entries, as they are committed to.
	compute func(ctx context.Context, key challenges.Hash) ([]byte, Costs, error)
}

func newRun(ctx context.Context, job cpuJob) *cpuRun {
	r := &cpuRun{job: job, rounds: make([]cpuRound, job.rounds), closed: make(chan struct{})}
	for i := range r.rounds {
		r.rounds[i].opened = make(chan struct{})
	}
	r.detach = context.AfterFunc(ctx, r.end)
	return r
}

type cpuRun struct {
	job    cpuJob
	next   int // owned by Next's caller
	closed chan struct{}
	once   sync.Once
	detach func() bool // from the context of Start

	mu     sync.Mutex
	rounds []cpuRound
}

// cpuRound holds a round until it is opened; the window bounds how many are.
type cpuRound struct {
	key, root challenges.Hash
	tree      *commit.Tree // nil before it is computed and after it is opened
	packed    []byte
	opened    chan struct{} // closed when packed is set
}

// Next computes one round.
func (r *cpuRun) Next(ctx context.Context) (Root, error) {
	n := r.next
	if n == len(r.rounds) {
		return Root{}, io.EOF
	}
	key, err := r.key(ctx, n)
	if err != nil {
		return Root{}, err
	}
	data, costs, err := r.job.compute(ctx, key)
	if err != nil {
		return Root{}, fmt.Errorf("round %d: %w", n, err)
	}
	tree := commit.New(data, r.job.width)
	r.mu.Lock()
	defer r.mu.Unlock()
	round := &r.rounds[n]
	round.key, round.root, round.tree = key, tree.Root(), tree
	r.next++
	return Root{Round: n, Root: round.root, Key: key, Costs: costs}, nil
}

// key waits for the positions that the key of round n needs.
func (r *cpuRun) key(ctx context.Context, n int) (challenges.Hash, error) {
	var packed []byte
	if old := r.job.feeds(n); old >= 0 {
		select {
		case <-ctx.Done():
			return challenges.Hash{}, context.Cause(ctx)
		case <-r.closed:
			return challenges.Hash{}, errClosed
		case <-r.rounds[old].opened:
		}
		r.mu.Lock()
		packed = r.rounds[old].packed
		r.mu.Unlock()
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	var prev cpuRound
	if n > 0 {
		prev = r.rounds[n-1]
	}
	return r.job.key(n, prev.key, prev.root, packed), nil
}

// Open proves entries of a computed round.
func (r *cpuRun) Open(_ context.Context, round int, at []uint32) ([]byte, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if round < 0 || round >= len(r.rounds) || r.rounds[round].tree == nil {
		return nil, fmt.Errorf("open round %d: not computed, or opened before", round)
	}
	for _, e := range at {
		if uint64(e) >= r.job.entries {
			return nil, fmt.Errorf("open round %d: entry %d outside the matrix", round, e)
		}
	}
	if len(at) == 0 {
		return nil, errors.New("open: no entries")
	}
	rd := &r.rounds[round]
	opening := rd.tree.Open(at)
	rd.tree = nil
	rd.packed = challenges.PackPositions(at)
	close(rd.opened)
	return opening, nil
}

// errClosed says that a run was ended under its caller.
var errClosed = errors.New("run is closed")

func (r *cpuRun) end() { r.once.Do(func() { close(r.closed) }) }

// Close ends the run.
func (r *cpuRun) Close() error {
	r.detach()
	r.end()
	return nil
}
