package cuda

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/assaynet/assay/challenges"
	"github.com/assaynet/assay/challenges/commit"
	"github.com/assaynet/assay/gpu/cuda/driver"
)

// jobBytes is one of gather's jobs: where from (8), where to (4), how many (4).
const jobBytes = 16

// parts is where openings are gathered: as many bytes and jobs as one may have.
type parts struct {
	jobs, out   driver.Devptr
	ask, answer *driver.Pinned
}

// grow makes room for openings of so many entries.
func (p *parts) grow(c *driver.Calls, h *driver.Holds, layout commit.Layout, entries int) error {
	levels, _ := levelsOf(layout.Chunks)
	jobs := entries * (1 + len(levels))
	size := entries * (commit.ChunkBytes + len(levels)*cvBytes)
	if p.ask != nil && len(p.ask.B) >= jobs*jobBytes {
		return nil
	}
	var err error
	if p.jobs, err = h.Alloc(c, "openings", uint64(jobs*jobBytes)); err != nil {
		return err
	}
	if p.out, err = h.Alloc(c, "openings", uint64(size)); err != nil {
		return err
	}
	answer, err := h.Host(c, "openings", size)
	if err != nil {
		return err
	}
	ask, err := h.Host(c, "openings", jobs*jobBytes)
	if err != nil {
		return err
	}
	p.ask, p.answer = ask, answer
	return nil
}

// list writes the jobs of an opening, and says how many they are and how long the
// opening is.
func (p *parts) list(layout commit.Layout, levels []level, s *slot, at []uint32) (jobs, size int) {
	chunks, siblings := layout.Parts(at)
	add := func(from driver.Devptr, n int) {
		b := p.ask.B[jobs*jobBytes:]
		binary.LittleEndian.PutUint64(b, uint64(from))
		binary.LittleEndian.PutUint32(b[8:], uint32(size))
		binary.LittleEndian.PutUint32(b[12:], uint32(n))
		jobs, size = jobs+1, size+n
	}
	for _, i := range chunks {
		add(s.data+driver.Devptr(i)*commit.ChunkBytes, commit.ChunkBytes)
	}
	for _, i := range siblings {
		add(s.tree+driver.Devptr(levels[i.Level].at)+driver.Devptr(i.Index)*cvBytes, cvBytes)
	}
	return jobs, size
}

// Open proves entries of a round that Next gave.
func (r *run) Open(ctx context.Context, n int, at []uint32) ([]byte, error) {
	if err := r.openable(n, at); err != nil {
		return nil, err
	}
	r.open.Lock()
	defer r.open.Unlock()
	var size int
	var read driver.Event
	err := r.d.thread.Do(ctx, func(c *driver.Calls) (err error) {
		size, read, err = r.ask(c, n, at)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("open round %d: %w", n, err)
	}
	var opening []byte
	err = r.d.poll(ctx, func(c *driver.Calls) (bool, error) {
		if r.over {
			return false, errEnded
		}
		done, err := c.Done(read)
		if done && err == nil {
			opening = append([]byte(nil), r.parts.answer.B[:size]...)
		}
		return done, err
	})
	if errors.Is(err, errEnded) {
		err = r.why(ctx)
	}
	if err != nil {
		return nil, fmt.Errorf("open round %d: %w", n, err)
	}
	return opening, nil
}

// ask queues the opening of a round, and the rounds that waited for its positions
// or its slot. read is the event that tells when it is there.
func (r *run) ask(c *driver.Calls, n int, at []uint32) (size int, read driver.Event, err error) {
	if r.over {
		return 0, 0, errEnded
	}
	s := r.state[n].slot
	if n >= r.given || s == nil {
		return 0, 0, errors.New("not computed, or opened before")
	}
	if err := r.parts.grow(c, &r.holds, r.layout, len(at)); err != nil {
		return 0, 0, err
	}
	if size, err = r.gather(queue{c, r.d.program, r.out}, s, at); err != nil {
		return 0, 0, err
	}
	r.state[n].slot, r.state[n].packed = nil, challenges.PackPositions(at)
	r.slots = append(r.slots, s)
	if err := r.pump(c); err != nil {
		r.end(err) // Next would wait for what never comes
		return 0, 0, err
	}
	return size, s.read, nil
}

func (r *run) openable(n int, at []uint32) error {
	if n < 0 || n >= r.rounds {
		return fmt.Errorf("open round %d: no such round", n)
	}
	if len(at) == 0 || len(at) > maxPositions {
		return fmt.Errorf("open round %d: %d entries", n, len(at))
	}
	for _, e := range at {
		if uint64(e) >= r.entries {
			return fmt.Errorf("open round %d: entry %d outside the matrix", n, e)
		}
	}
	return nil
}

// gather queues the copies that make an opening of a round. The round's own event
// is done, so nothing is left to wait for.
func (r *run) gather(q queue, s *slot, at []uint32) (size int, err error) {
	jobs, size := r.parts.list(r.layout, r.levels, s, at)
	if err := q.ToDevice(r.parts.jobs, r.parts.ask, 0, jobs*jobBytes, r.out); err != nil {
		return 0, err
	}
	if err := q.gather(r.parts.jobs, r.parts.out, jobs); err != nil {
		return 0, err
	}
	if err := q.ToHost(r.parts.answer, 0, r.parts.out, size, r.out); err != nil {
		return 0, err
	}
	return size, q.Record(s.read, r.out)
}
