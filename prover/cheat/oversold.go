package cheat

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/assaynet/assay/challenges"
	"github.com/assaynet/assay/challenges/memory"
	"github.com/assaynet/assay/gpu"
	"github.com/assaynet/assay/gpu/models"
)

// Pool is a number of simulated cards behind a larger number of devices: rounds
// and fills that find no card free wait, and datasets share the cards' memory. Its
// devices may belong to several providers.
type Pool struct {
	cfg PoolConfig

	mu    sync.Mutex
	idle  []*card
	queue []chan *card // who waits, the first first
	left  uint64       // bytes that no dataset has
}

// PoolConfig describes a pool.
type PoolConfig struct {
	Cards int
	Runs  models.Spec // each card
	Whole bool        // a device keeps its card from a run's first round to its last
}

// card is held by whoever works on it.
type card struct{ free time.Time } // its last work was done

// NewPool makes a pool whose cards are idle.
func NewPool(cfg PoolConfig) *Pool {
	p := &Pool{cfg: cfg, left: uint64(cfg.Cards) * cfg.Runs.Memory}
	for range cfg.Cards {
		p.idle = append(p.idle, new(card))
	}
	return p
}

// Device is one more device of the pool, which claims to be a card of its own.
func (p *Pool) Device(id string, claims models.Spec) (gpu.Device, error) {
	sim, err := gpu.NewSim(gpu.SimConfig{ID: id, Claims: claims, Runs: p.cfg.Runs})
	if err != nil {
		return nil, fmt.Errorf("pool: %w", err)
	}
	return pooled{gpu.NewCPU(gpu.CPUConfig{Info: sim.Info(), Items: p.items}), p}, nil
}

// take waits for a card: of several that are idle, the one that became so last,
// but not after the work was ready. Else two devices on two cards could get into
// each other's way.
func (p *Pool) take(ctx context.Context, ready time.Time) (*card, error) {
	p.mu.Lock()
	if len(p.idle) > 0 {
		defer p.mu.Unlock()
		best := 0
		for i, c := range p.idle {
			b := p.idle[best]
			if b.free.After(ready) && c.free.Before(b.free) || !c.free.After(ready) && c.free.After(b.free) {
				best = i
			}
		}
		c := p.idle[best]
		p.idle = slices.Delete(p.idle, best, best+1)
		return c, nil
	}
	turn := make(chan *card, 1)
	p.queue = append(p.queue, turn)
	p.mu.Unlock()
	select {
	case c := <-turn:
		return c, nil
	case <-ctx.Done():
	}
	p.mu.Lock()
	i := slices.Index(p.queue, turn)
	if i >= 0 {
		p.queue = slices.Delete(p.queue, i, i+1)
	}
	p.mu.Unlock()
	if i < 0 { // it came meanwhile
		p.put(<-turn)
	}
	return nil, context.Cause(ctx)
}

// put hands a card to the next in the queue.
func (p *Pool) put(c *card) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.queue) == 0 {
		p.idle = append(p.idle, c)
		return
	}
	p.queue[0] <- c
	p.queue = p.queue[1:]
}

// turns are one device's in one run.
type turns struct {
	pool *Pool

	mu    sync.Mutex
	due   time.Time // the last work was done, or more could begin
	held  *card     // between two turns; nil: none
	ended bool
}

// ready says that no work could begin before t.
func (u *turns) ready(t time.Time) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if t.After(u.due) {
		u.due = t
	}
}

// work keeps a card busy for so long. As a simulated device does, it fails if the
// machine under it takes longer than that, and late more.
func (u *turns) work(ctx context.Context, took, late time.Duration) error {
	u.mu.Lock()
	c, due := u.held, u.due
	u.held = nil
	u.mu.Unlock()
	if c == nil {
		var err error
		if c, err = u.pool.take(ctx, due); err != nil {
			return err
		}
	}
	if c.free.After(due) {
		due = c.free
	}
	due = due.Add(took)
	var err error
	if wait := time.Until(due); wait < -late {
		err = fmt.Errorf("%v late: %w", -wait, gpu.ErrOverrun)
	} else {
		err = sleep(ctx, wait)
	}
	c.free = due
	if err != nil {
		c.free = time.Now()
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	u.due = c.free
	if u.pool.cfg.Whole && !u.ended && err == nil {
		u.held = c
		return nil
	}
	u.pool.put(c)
	return err
}

// end gives back what was kept.
func (u *turns) end() {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.held != nil {
		u.pool.put(u.held)
	}
	u.held, u.ended = nil, true
}

// pooled is one of a pool's devices. The engine under it takes no modelled time.
type pooled struct {
	*gpu.CPU
	pool *Pool
}

// Start begins a job; its rounds take turns.
func (d pooled) Start(ctx context.Context, job gpu.Job) (gpu.Run, error) {
	run, err := d.CPU.Start(ctx, job)
	if err != nil {
		return nil, err
	}
	round := gpu.RoundTime(d.pool.cfg.Runs, job.Profile.Shape)
	return &pooledRun{
		Run: run, turns: turns{pool: d.pool, due: time.Now()}, job: job, opened: make([]time.Time, job.Profile.Rounds),
		took: func(gpu.Costs) (took, late time.Duration) { return round, round / 2 },
	}, nil
}

// Fill takes a turn for all of it.
func (d pooled) Fill(ctx context.Context, job gpu.MemoryJob) (gpu.Memory, error) {
	u := turns{pool: d.pool, due: time.Now()}
	defer u.end()
	filled, err := d.CPU.Fill(ctx, job)
	if err != nil {
		return nil, err
	}
	took := job.Set.FillTime()
	if err := u.work(ctx, took, took/2); err != nil {
		_ = filled.Close()
		return nil, fmt.Errorf("fill: %w", err)
	}
	return pooledMemory{filled, d.pool, job.Set}, nil
}

type pooledMemory struct {
	gpu.Memory
	pool *Pool
	set  memory.Dataset
}

// Walk begins the walks; their rounds take turns.
func (m pooledMemory) Walk(ctx context.Context, nonce challenges.Hash) (gpu.Run, error) {
	run, err := m.Memory.Walk(ctx, nonce)
	if err != nil {
		return nil, err
	}
	return &pooledRun{
		Run: run, turns: turns{pool: m.pool, due: time.Now()},
		took: func(c gpu.Costs) (took, late time.Duration) { return c.Time(m.set), m.set.WalkTime() / 10 },
	}, nil
}

// pooledRun waits for a card in every round, or once.
type pooledRun struct {
	gpu.Run
	turns turns
	took  func(c gpu.Costs) (took, late time.Duration)
	job   gpu.Job // of compute

	mu     sync.Mutex
	opened []time.Time // when each round's positions came; of compute
}

// Next computes at the machine's speed and then takes the card's time.
func (r *pooledRun) Next(ctx context.Context) (gpu.Root, error) {
	root, err := r.Run.Next(ctx)
	if err != nil {
		r.turns.end() // after the last round, too
		return gpu.Root{}, err
	}
	if r.opened != nil {
		if old := r.job.Profile.Feeds(root.Round, r.job.Window); old >= 0 {
			r.mu.Lock()
			r.turns.ready(r.opened[old])
			r.mu.Unlock()
		}
	}
	took, late := r.took(root.Costs)
	if err := r.turns.work(ctx, took, late); err != nil {
		return gpu.Root{}, fmt.Errorf("round %d: %w", root.Round, err)
	}
	return root, nil
}

// Open notes when the positions came.
func (r *pooledRun) Open(ctx context.Context, round int, at []uint32) ([]byte, error) {
	opening, err := r.Run.Open(ctx, round, at)
	if err == nil && r.opened != nil {
		r.mu.Lock()
		r.opened[round] = time.Now()
		r.mu.Unlock()
	}
	return opening, err
}

// Close ends the run and gives back its card.
func (r *pooledRun) Close() error {
	r.turns.end()
	return r.Run.Close()
}

// items makes a dataset as far as the cards' memory goes.
func (p *Pool) items(set memory.Dataset, key challenges.Hash) gpu.Items {
	p.mu.Lock()
	defer p.mu.Unlock()
	size := min(p.left, set.Bytes())
	p.left -= size
	return &pooledItems{NewPartial(float64(size)/float64(set.Bytes()))(set, key), p, size}
}

// pooledItems give their memory back.
type pooledItems struct {
	gpu.Items
	pool *Pool
	size uint64
}

func (i *pooledItems) Close() error {
	i.pool.mu.Lock()
	i.pool.left += i.size
	i.size = 0
	i.pool.mu.Unlock()
	return i.Items.Close()
}
