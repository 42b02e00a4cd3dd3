package cheat

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/assaynet/assay/challenges"
	"github.com/assaynet/assay/gpu"
)

// Pipeline is several devices that share the rounds of one. A round's root is
// invented, so that the next round's key is there and another device can start
// on it at once: so many times one device's rate. What is opened afterwards is
// either the true product, which has another root, or an invented matrix, which
// has the right one.
type Pipeline struct {
	gpu.Device               // says what they claim together
	Product    gpu.Product   // of the openings
	Every      time.Duration // between two roots
	Invent     bool          // the matrix; else only its root
}

// Start begins a job.
func (p Pipeline) Start(_ context.Context, job gpu.Job) (gpu.Run, error) {
	run := &pipelineRun{pipeline: p, job: job, rounds: make([]pipelineRound, job.Profile.Rounds)}
	for i := range run.rounds {
		run.rounds[i].asked = make(chan struct{})
	}
	return run, nil
}

type pipelineRun struct {
	pipeline Pipeline
	job      gpu.Job
	next     int // owned by Next's caller

	mu     sync.Mutex
	rounds []pipelineRound
}

type pipelineRound struct {
	key, root challenges.Hash
	opens     gpu.Run // a job of this round alone; nil: not begun
	packed    []byte
	asked     chan struct{} // closed when packed is set
}

// Next invents a root.
func (p *pipelineRun) Next(ctx context.Context) (gpu.Root, error) {
	n := p.next
	if n == len(p.rounds) {
		return gpu.Root{}, io.EOF
	}
	key := challenges.FirstKey(p.job.ID, p.job.Device)
	if n > 0 {
		var packed []byte
		if old := p.job.Profile.Feeds(n, p.job.Window); old >= 0 {
			select {
			case <-ctx.Done():
				return gpu.Root{}, context.Cause(ctx)
			case <-p.rounds[old].asked:
			}
			packed = p.rounds[old].packed
		}
		key = challenges.NextKey(p.rounds[n-1].key, p.rounds[n-1].root, packed)
	}
	if err := sleep(ctx, p.pipeline.Every); err != nil {
		return gpu.Root{}, err
	}
	root := challenges.NextKey(key, key, nil) // a hash of nothing that anybody has
	var opens gpu.Run
	if p.pipeline.Invent {
		var err error
		if opens, root, err = p.commit(ctx, noise{}, key); err != nil {
			return gpu.Root{}, err
		}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.rounds[n].key, p.rounds[n].root, p.rounds[n].opens = key, root, opens
	p.next++
	return gpu.Root{Round: n, Root: root, Key: key}, nil
}

// commit has the engine make one round with a key of our own.
func (p *pipelineRun) commit(ctx context.Context, product gpu.Product, key challenges.Hash) (gpu.Run, challenges.Hash, error) {
	job := p.job
	job.Profile.Rounds = 1
	run, err := gpu.NewCPU(gpu.CPUConfig{Product: keyed{product, key}}).Start(ctx, job)
	if err != nil {
		return nil, challenges.Hash{}, err
	}
	root, err := run.Next(ctx)
	return run, root.Root, err
}

// Open opens the matrix that is there by now.
func (p *pipelineRun) Open(ctx context.Context, round int, at []uint32) ([]byte, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	r := &p.rounds[round]
	if r.packed != nil {
		return nil, errors.New("opened before")
	}
	r.packed = challenges.PackPositions(at)
	close(r.asked)
	if r.opens == nil {
		var err error
		if r.opens, _, err = p.commit(ctx, p.pipeline.Product, r.key); err != nil {
			return nil, err
		}
	}
	return r.opens.Open(ctx, 0, at)
}

// Close does nothing: the rounds' own jobs end with their contexts.
func (*pipelineRun) Close() error { return nil }

// keyed is a product of another key than the engine asks for.
type keyed struct {
	gpu.Product
	key challenges.Hash
}

func (k keyed) Compute(ctx context.Context, _ challenges.Hash, s challenges.Shape, c []byte) error {
	return k.Product.Compute(ctx, k.key, s, c)
}

// noise is a matrix that follows from the key and is no product.
type noise struct{}

func (noise) Compute(_ context.Context, key challenges.Hash, _ challenges.Shape, c []byte) error {
	r := rand.New(rand.NewPCG(binary.LittleEndian.Uint64(key[:]), 0))
	for i := 0; i < len(c); i += 8 {
		binary.LittleEndian.PutUint64(c[i:], r.Uint64())
	}
	return nil
}
