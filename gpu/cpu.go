package gpu

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"

	"github.com/assaynet/assay/challenges"
	"github.com/assaynet/assay/challenges/commit"
)

// CPU is the engine: it answers challenges exactly, on one core.
type CPU struct {
	info    Info
	product Product
}

// CPUConfig describes an engine. A nil Product is Exact.
type CPUConfig struct {
	Info    Info
	Product Product
}

// NewCPU makes an engine.
func NewCPU(cfg CPUConfig) *CPU {
	if cfg.Product == nil {
		cfg.Product = Exact{}
	}
	return &CPU{cfg.Info, cfg.Product}
}

// Info is the configured one.
func (c *CPU) Info() Info { return c.info }

// Start begins a job.
func (c *CPU) Start(ctx context.Context, job Job) (Run, error) {
	if err := job.Profile.Shape.Check(); err != nil {
		return nil, fmt.Errorf("start: %w", err)
	}
	r := &cpuRun{job: job, product: c.product, rounds: make([]cpuRound, job.Profile.Rounds), closed: make(chan struct{})}
	for i := range r.rounds {
		r.rounds[i].opened = make(chan struct{})
	}
	r.detach = context.AfterFunc(ctx, r.end)
	return r, nil
}

type cpuRun struct {
	job     Job
	product Product
	next    int // owned by Next's caller
	closed  chan struct{}
	once    sync.Once
	detach  func() bool // from the context of Start

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
	shape := r.job.Profile.Shape
	c := make([]byte, shape.Bytes())
	if err := r.product.Compute(ctx, key, shape, c); err != nil {
		return Root{}, fmt.Errorf("round %d: %w", n, err)
	}
	tree := commit.New(c, shape.Width())
	r.mu.Lock()
	defer r.mu.Unlock()
	round := &r.rounds[n]
	round.key, round.root, round.tree = key, tree.Root(), tree
	r.next++
	return Root{Round: n, Root: round.root, Key: key}, nil
}

// key waits for the positions that the key of round n needs.
func (r *cpuRun) key(ctx context.Context, n int) (challenges.Hash, error) {
	if n == 0 {
		return challenges.FirstKey(r.job.ID, r.job.Device), nil
	}
	var packed []byte
	if old := r.job.Profile.Feeds(n, r.job.Window); old >= 0 {
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
	prev := &r.rounds[n-1]
	return challenges.NextKey(prev.key, prev.root, packed), nil
}

// Open proves entries of a computed round.
func (r *cpuRun) Open(_ context.Context, round int, at []uint32) ([]byte, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if round < 0 || round >= len(r.rounds) || r.rounds[round].tree == nil {
		return nil, fmt.Errorf("open round %d: not computed, or opened before", round)
	}
	for _, e := range at {
		if uint64(e) >= r.job.Profile.Shape.Entries() {
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
