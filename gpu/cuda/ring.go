package cuda

import (
	"errors"
	"fmt"

	"github.com/assaynet/assay/challenges/commit"
	"github.com/assaynet/assay/gpu/cuda/driver"
)

// slot is where a round stands until it is opened.
type slot struct {
	data driver.Devptr // the entries
	tree driver.Devptr // the chaining values, level by level
	done driver.Event  // the round's root is in pinned memory
	read driver.Event  // its opening is in pinned memory: the slot is free
}

// level is a level of a round's tree.
type level struct {
	at uint64 // bytes from the tree's begin
	n  uint64 // chaining values
}

const cvBytes = 32

// levelsOf lists the levels of a tree of so many chunks, and its size in bytes.
func levelsOf(chunks int) (levels []level, size uint64) {
	n := uint64(chunks)
	for {
		levels = append(levels, level{size, n})
		size += n * cvBytes
		if n <= 2 {
			return levels, size
		}
		n = ceil(n, 2)
	}
}

// fillRing takes as many slots as there is memory for, at least one: fewer only
// make the card wait.
func (r *run) fillRing(c *driver.Calls, most int) error {
	_, tree := levelsOf(r.layout.Chunks)
	data := uint64(r.layout.Chunks) * commit.ChunkBytes
	for len(r.all) < most {
		if len(r.all) > 0 {
			free, total, err := c.MemInfo()
			if err != nil {
				return err
			}
			if free < data+tree+total/spareShare {
				return nil
			}
		}
		s := &slot{}
		err := r.takeSlot(c, s, data, tree)
		if errors.Is(err, driver.ErrOutOfMemory) && len(r.all) > 0 {
			return nil // what was taken for it is freed with the run
		}
		if err != nil {
			return err
		}
		r.all, r.slots = append(r.all, s), append(r.slots, s)
	}
	return nil
}

// spareShare of a card's memory stays free: the driver takes some of it for each
// kernel that is used for the first time.
const spareShare = 64

func (r *run) takeSlot(c *driver.Calls, s *slot, data, tree uint64) (err error) {
	if err = r.holds.EventsFor(c, &s.done, &s.read); err != nil {
		return err
	}
	if s.data, err = r.holds.Alloc(c, "entries of a round", data); err != nil {
		return err
	}
	s.tree, err = r.holds.Alloc(c, "tree of a round", tree)
	return err
}

// pump queues the rounds whose keys can be known and that have a slot.
func (r *run) pump(c *driver.Calls) error {
	for r.queued < r.rounds && r.queued-r.given < ahead && len(r.slots) > 0 {
		n := r.queued
		old := r.work.feeds(n)
		if old >= 0 && r.state[old].packed == nil {
			return nil
		}
		var packed []byte
		if old >= 0 {
			packed = r.state[old].packed
		}
		s := r.slots[0]
		if err := r.put(queue{c, r.d.program, r.side}, n, old, packed, s); err != nil {
			return fmt.Errorf("round %d: %w", n, err)
		}
		r.slots = r.slots[1:]
		r.state[n].slot = s
		r.queued++
		close(r.state[n].queued)
	}
	return nil
}

// put queues a round: its key, its entries and their chunks, the tree above them,
// and the copy that tells the host.
func (r *run) put(q queue, n, old int, packed []byte, s *slot) error {
	if err := q.Wait(r.side, s.read); err != nil {
		return err
	}
	if err := r.work.derive(q, n, old, packed); err != nil {
		return err
	}
	if err := r.work.compute(q, n, s); err != nil {
		return err
	}
	if err := r.climb(q, s, r.work.root(n)); err != nil {
		return err
	}
	if err := q.ToHost(r.answers, n*answerBytes, r.work.key(n), 32, r.side); err != nil {
		return err
	}
	if err := q.ToHost(r.answers, n*answerBytes+32, r.work.root(n), 32, r.side); err != nil {
		return err
	}
	return q.Record(s.done, r.side)
}

// climb makes the tree above the chunks, and its root.
func (r *run) climb(q queue, s *slot, root driver.Devptr) error {
	for h, l := range r.levels[:len(r.levels)-1] {
		if err := q.parents(s.tree+driver.Devptr(l.at), s.tree+driver.Devptr(r.levels[h+1].at), l.n); err != nil {
			return err
		}
	}
	last := r.levels[len(r.levels)-1]
	if last.n == 1 {
		return q.single(s.data, root)
	}
	return q.top(s.tree+driver.Devptr(last.at), root)
}
