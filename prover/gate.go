package prover

import (
	"slices"
	"sync"

	"github.com/assaynet/assay/challenges"
)

// Gate is the default admission: one job a device, and so many challenges a
// checker, device and epoch.
type Gate struct {
	perEpoch int

	mu      sync.Mutex
	drained bool
	running map[string]challenges.Hash // by device
	last    map[visit]use
}

type visit struct {
	checker challenges.NodeID
	device  string
}

type use struct {
	epoch uint64
	ids   []challenges.Hash
}

// NewGate makes a gate with nothing running.
func NewGate(perEpoch uint8) *Gate {
	return &Gate{perEpoch: int(perEpoch), running: make(map[string]challenges.Hash), last: make(map[visit]use)}
}

// Admit takes the device if it is free and the checker has not had all its turns.
// The table of turns is bounded by the registry: only members come so far.
func (g *Gate) Admit(r Request) (func(), *Refusal) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.drained {
		return nil, &Refusal{Reason: challenges.ReasonDrain}
	}
	device := r.Challenge.Device
	if id, ok := g.running[device]; ok {
		return nil, &Refusal{Reason: challenges.ReasonCollision, IDs: []challenges.Hash{id}}
	}
	turn := visit{r.Checker, device}
	used := g.last[turn]
	if used.epoch < r.Challenge.Epoch {
		used = use{epoch: r.Challenge.Epoch}
	}
	// A checker may be an epoch behind: what it sends late counts for the epoch that
	// was begun.
	if len(used.ids) >= g.perEpoch {
		return nil, &Refusal{Reason: challenges.ReasonQuota, IDs: slices.Clone(used.ids)}
	}
	g.running[device] = r.ID
	used.ids = append(used.ids, r.ID)
	g.last[turn] = used
	return func() {
		g.mu.Lock()
		defer g.mu.Unlock()
		delete(g.running, device)
	}, nil
}

// Drain refuses everything from now on, with the neutral reason drain.
func (g *Gate) Drain() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.drained = true
}

// Draining reports that Drain was called.
func (g *Gate) Draining() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.drained
}

// Busy reports a running job.
func (g *Gate) Busy() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return len(g.running) > 0
}
