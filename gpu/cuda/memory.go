package cuda

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math/bits"
	"slices"
	"sync"
	"time"

	"github.com/assaynet/assay/challenges"
	"github.com/assaynet/assay/challenges/commit"
	"github.com/assaynet/assay/challenges/memory"
	"github.com/assaynet/assay/gpu"
	"github.com/assaynet/assay/gpu/cuda/driver"
)

// launchTime is how long a launch takes at the class's best: short enough for a
// display's watchdog on a far slower card, and for whoever wants to end it.
const launchTime = 50 * time.Millisecond

// pieceItems is log2 of the items of a piece of the dataset, 4 GiB: no driver
// needs to find the whole dataset in one piece.
const pieceItems = 26

// dataset is a filled dataset.
type dataset struct {
	d     *Device
	set   memory.Dataset
	key   challenges.Hash
	shift int // log2 of the items of a piece

	holds  driver.Holds
	queue  driver.Stream
	ready  [2]driver.Event
	keyAt  driver.Devptr
	cache  driver.Devptr
	pieces driver.Devptr  // the pieces' addresses
	host   *driver.Pinned // the key and the addresses

	mu     sync.Mutex
	run    *run // the walks
	closed bool

	frees sync.Once
	freed error
}

// Fill fills the dataset of a proof of memory.
func (d *Device) Fill(ctx context.Context, job gpu.MemoryJob) (gpu.Memory, error) {
	m := &dataset{d: d, set: job.Set, key: challenges.DatasetKey(job.ID, job.Device), shift: d.pieceItems}
	if m.set.Items == 0 || m.set.Walks() == 0 || m.set.Batch&(m.set.Batch-1) != 0 || m.set.Lines&(m.set.Lines-1) != 0 {
		return nil, fmt.Errorf("fill: %d items of class %q", m.set.Items, m.set.Name)
	}
	if err := d.take(ctx, &m.holds, m.take); err != nil {
		return nil, fmt.Errorf("fill: %w", err)
	}
	if err := m.fill(ctx); err != nil {
		if closeErr := m.Close(); d.thread.Err() == nil { // else it is the same error
			err = errors.Join(err, closeErr)
		}
		return nil, fmt.Errorf("fill: %w", err)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.sets = append(d.sets, m)
	return m, nil
}

// take takes the memory and makes the cache.
func (m *dataset) take(c *driver.Calls) error {
	h := &m.holds
	var err error
	if err = h.StreamsFor(c, false, &m.queue); err != nil {
		return err
	}
	if err = h.EventsFor(c, &m.ready[0], &m.ready[1]); err != nil {
		return err
	}
	n := int(ceil(m.set.Items, 1<<m.shift))
	if m.host, err = h.Host(c, "dataset", 32+8*n); err != nil {
		return err
	}
	if m.keyAt, err = h.Alloc(c, "dataset", uint64(32+8*n)); err != nil {
		return err
	}
	if m.cache, err = h.Alloc(c, "cache", uint64(m.set.Lines)*memory.ItemBytes); err != nil {
		return err
	}
	m.pieces = m.keyAt + 32
	copy(m.host.B, m.key[:])
	for i, left := 0, m.set.Items; left > 0; i++ {
		items := min(left, 1<<m.shift)
		at, err := h.Alloc(c, fmt.Sprintf("piece %d of %d of the dataset", i+1, n), items*memory.ItemBytes)
		if err != nil {
			return err
		}
		binary.LittleEndian.PutUint64(m.host.B[32+8*i:], uint64(at))
		left -= items
	}
	q := queue{c, m.d.program, m.queue}
	if err := q.ToDevice(m.keyAt, m.host, 0, 32+8*n, m.queue); err != nil {
		return err
	}
	return q.cache(m.keyAt, m.cache, max(1, m.set.Lines/chain), m.set.Lines)
}

// chain is how many lines of the cache follow from one block of the generator.
const chain = 256

// perLaunch is how many things of which a class does so many a second are done in
// a launch: whole blocks.
func perLaunch(rate uint64) uint64 {
	const block = 256
	return max(1, rate/uint64(time.Second/launchTime)/block) * block
}

// fill makes the items: one launch waits while one runs, so that an end is seen
// soon.
func (m *dataset) fill(ctx context.Context) error {
	each := perLaunch(m.set.MakeRate)
	wait := func(i int) error {
		return m.d.poll(ctx, func(c *driver.Calls) (bool, error) { return c.Done(m.ready[i%2]) })
	}
	launches := int(ceil(m.set.Items, each))
	for i := range launches {
		if i >= 2 {
			if err := wait(i); err != nil {
				return err
			}
		}
		err := m.d.thread.Do(ctx, func(c *driver.Calls) error {
			from := uint64(i) * each
			if err := (queue{c, m.d.program, m.queue}).items(m, from, min(each, m.set.Items-from)); err != nil {
				return err
			}
			return c.Record(m.ready[i%2], m.queue)
		})
		if err != nil {
			return err
		}
	}
	return errors.Join(wait(launches), wait(launches+1))
}

// items makes n items.
func (q queue) items(m *dataset, from, n uint64) error {
	return q.spread(memFill, n, 0, uint64(m.keyAt), uint64(m.cache), uint64(m.set.Lines-1), uint64(m.set.Parents),
		uint64(m.pieces), uint64(m.shift), from, n)
}

// lead leads n walks of a round.
func (q queue) lead(m *dataset, key, out driver.Devptr, first, n uint64) error {
	windows := m.set.Windows()
	return q.spread(memWalk, n, 0, uint64(key), uint64(m.pieces), uint64(m.shift), uint64(out), first, n,
		m.set.Items/windows, windows, uint64(bits.TrailingZeros64(m.set.Batch)), uint64(m.set.Steps))
}

// Close frees the dataset, and ends its walks.
func (m *dataset) Close() error {
	m.mu.Lock()
	run := m.run
	m.closed = true
	m.mu.Unlock()
	m.frees.Do(func() {
		if run != nil {
			m.freed = run.Close()
		}
		m.freed = errors.Join(m.freed, m.d.release(&m.holds))
		m.d.mu.Lock()
		defer m.d.mu.Unlock()
		m.d.sets = slices.DeleteFunc(m.d.sets, func(o *dataset) bool { return o == m })
	})
	return m.freed
}

// Walk begins the walks.
func (m *dataset) Walk(ctx context.Context, nonce challenges.Hash) (gpu.Run, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.run != nil || m.closed {
		return nil, errors.New("walk: begun before, or the dataset is closed")
	}
	w := &walk{set: m, nonce: nonce}
	layout := commit.Layout{Chunks: int(m.set.Walks() * memory.OutputBytes / commit.ChunkBytes), Width: memory.OutputBytes}
	// No key of a walk waits for the checker, so no round is to wait for a slot: as many
	// are kept as there is memory for.
	r, err := m.d.start(ctx, w, m.set.Rounds, layout, m.set.Samples, m.set.Rounds)
	if err != nil {
		return nil, fmt.Errorf("walk: %w", err)
	}
	m.run = r
	return r, nil
}
