package gpu

import (
	"context"
	"encoding/binary"
	"fmt"

	"github.com/assaynet/assay/challenges"
	"github.com/assaynet/assay/challenges/memory"
)

// Fill fills a dataset.
func (c *CPU) Fill(ctx context.Context, job MemoryJob) (Memory, error) {
	m, _, err := c.fill(ctx, job)
	return m, err
}

// fill says what it cost as well.
func (c *CPU) fill(ctx context.Context, job MemoryJob) (Memory, Costs, error) {
	m := &cpuMemory{set: job.Set, key: challenges.DatasetKey(job.ID, job.Device)}
	m.items = c.items(job.Set, m.key)
	costs, err := m.items.Fill(ctx)
	if err != nil {
		_ = m.items.Close()
		return nil, costs, fmt.Errorf("fill: %w", err)
	}
	return m, costs, nil
}

type cpuMemory struct {
	set   memory.Dataset
	key   challenges.Hash
	items Items
}

// Close frees the dataset.
func (m *cpuMemory) Close() error { return m.items.Close() }

// Walk begins the walks.
func (m *cpuMemory) Walk(ctx context.Context, nonce challenges.Hash) (Run, error) {
	return newRun(ctx, cpuJob{
		rounds: m.set.Rounds, entries: m.set.Walks(), width: memory.OutputBytes,
		feeds: func(int) int { return -1 },
		key: func(r int, _, root challenges.Hash, _ []byte) challenges.Hash {
			return challenges.WalkKey(m.key, nonce, r, root)
		},
		compute: m.walk,
	}), nil
}

// group is how many walks the engine leads side by side.
const group = 1 << 12

// walk leads all walks of a round.
func (m *cpuMemory) walk(ctx context.Context, key challenges.Hash) ([]byte, Costs, error) {
	walks := m.set.Walks()
	out := make([]byte, walks*memory.OutputBytes)
	var costs Costs
	states, items, at := make([]memory.Item, group), make([]memory.Item, group), make([]uint64, group)
	for from := uint64(0); from < walks; from += group {
		n := min(group, walks-from)
		memory.Start((*[32]byte)(&key), from, states[:n])
		for step := range m.set.Steps {
			for i := range n {
				at[i] = m.set.Next(from+i, step, &states[i])
			}
			c, err := m.items.Read(ctx, at[:n], items[:n])
			if err != nil {
				return nil, costs, err
			}
			costs.Add(c)
			memory.Step(states[:n], items[:n])
		}
		for i := range n {
			binary.LittleEndian.PutUint64(out[(from+i)*memory.OutputBytes:], memory.Output(&states[i]))
		}
	}
	return out, costs, ctx.Err()
}

// Held is a whole dataset in memory.
type Held struct {
	set   memory.Dataset
	key   challenges.Hash
	items []memory.Item
}

// NewHeld makes an empty dataset.
func NewHeld(set memory.Dataset, key challenges.Hash) *Held { return &Held{set: set, key: key} }

// Fill makes all items.
func (h *Held) Fill(ctx context.Context) (Costs, error) {
	key := [32]byte(h.key)
	cache := h.set.Cache(&key)
	h.items = make([]memory.Item, h.set.Items)
	for from := 0; from < len(h.items); from += group {
		if err := ctx.Err(); err != nil {
			return Costs{}, err
		}
		h.set.Fill(&key, cache, uint64(from), h.items[from:min(from+group, len(h.items))])
	}
	return Costs{Made: h.set.Items}, nil
}

// Read copies items.
func (h *Held) Read(ctx context.Context, at []uint64, out []memory.Item) (Costs, error) {
	for i, item := range at {
		out[i] = h.items[item]
	}
	return Costs{Held: uint64(len(at))}, ctx.Err()
}

// Close frees the items.
func (h *Held) Close() error {
	h.items = nil
	return nil
}
