package cuda

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"

	"github.com/assaynet/assay/challenges"
	"github.com/assaynet/assay/challenges/commit"
	"github.com/assaynet/assay/gpu"
	"github.com/assaynet/assay/gpu/cuda/driver"
)

// work is what a run needs to know of its challenge. Its methods are called on the
// thread and put work on the queue, which belongs to the side stream.
type work interface {
	// feeds is the round whose positions the key of a round needs; negative: none.
	feeds(round int) int
	// key is where the key of a round stands, root where its root is to stand: in
	// the message that a later key is derived from.
	key(round int) driver.Devptr
	root(round int) driver.Devptr
	// derive makes the key of a round from what came before. old is the round whose
	// positions enter, packed; negative: none.
	derive(q queue, round, old int, packed []byte) error
	// compute makes a round's entries and hashes their chunks.
	compute(q queue, round int, at *slot) error
}

// ahead is how many rounds are queued on the card beyond the last one that was
// asked for: it never waits for the host, and the driver's queue never fills up.
const ahead = 4

// run is a job in progress. What the thread owns is used within its jobs alone.
type run struct {
	d       *Device
	work    work
	rounds  int
	layout  commit.Layout
	entries uint64
	levels  []level
	detach  func() bool // from the context of Start
	next    int         // owned by Next's caller

	open  sync.Mutex    // one opening at a time
	ended chan struct{} // closed by end
	once  sync.Once
	cause error // why it ended; set before ended is closed
	frees sync.Once
	freed error

	// Owned by the thread.
	holds     driver.Holds
	side, out driver.Stream
	slots     []*slot // free ones
	all       []*slot
	state     []round
	queued    int            // rounds that were put on the card
	given     int            // rounds that Next gave
	over      bool           // nothing of the run may be used any more
	answers   *driver.Pinned // key and root of each round
	parts     parts
}

// round is what is known of one.
type round struct {
	slot   *slot         // nil before it is queued and after it is opened
	queued chan struct{} // closed when it has a slot
	packed []byte        // positions; nil before it is opened
}

// answerBytes is a round's place among the answers: a key and a root.
const answerBytes = 64

// errEnded says that a run was ended under its caller.
var errEnded = errors.New("run is closed")

func newRun(d *Device, rounds int, layout commit.Layout) *run {
	r := &run{
		d: d, rounds: rounds, layout: layout, entries: uint64(layout.Chunks) * uint64(commit.ChunkBytes/layout.Width),
		ended: make(chan struct{}), state: make([]round, rounds),
	}
	r.levels, _ = levelsOf(layout.Chunks)
	for i := range r.state {
		r.state[i].queued = make(chan struct{})
	}
	return r
}

// begin takes what every run needs, at most so many slots, and queues the first
// rounds.
func (r *run) begin(c *driver.Calls, w starter, samples, slots int) error {
	h := &r.holds
	var err error
	if err = h.StreamsFor(c, w.beside(), &r.side); err != nil {
		return err
	}
	if err = h.StreamsFor(c, true, &r.out); err != nil {
		return err
	}
	if r.answers, err = h.Host(c, "roots", r.rounds*answerBytes); err != nil {
		return err
	}
	if err := r.parts.grow(c, h, r.layout, samples); err != nil {
		return err
	}
	// The card begins with the first slot, while memory is taken for the others.
	if err := r.fillRing(c, 1); err != nil {
		return err
	}
	if err := w.frame(queue{c, r.d.program, r.side}); err != nil {
		return err
	}
	if err := r.pump(c); err != nil {
		return err
	}
	if err := r.fillRing(c, min(slots, r.rounds)); err != nil {
		return err
	}
	return r.pump(c)
}

// Next waits for the next round's root.
func (r *run) Next(ctx context.Context) (gpu.Root, error) {
	n := r.next
	if n == r.rounds {
		return gpu.Root{}, io.EOF
	}
	select {
	case <-ctx.Done():
		return gpu.Root{}, context.Cause(ctx)
	case <-r.ended:
		return gpu.Root{}, r.why(ctx)
	case <-r.d.thread.Failed:
		return gpu.Root{}, fmt.Errorf("round %d: %w", n, r.d.thread.Err())
	case <-r.state[n].queued:
	}
	root := gpu.Root{Round: n}
	err := r.d.poll(ctx, func(c *driver.Calls) (bool, error) {
		if r.over {
			return false, errEnded
		}
		done, err := c.Done(r.state[n].slot.done)
		if !done || err != nil {
			return false, err
		}
		answer := r.answers.B[n*answerBytes:]
		root.Key, root.Root = challenges.Hash(answer[:32]), challenges.Hash(answer[32:64])
		r.given = n + 1
		if err := r.pump(c); err != nil {
			r.end(err) // the rounds to come will not
		}
		return true, nil
	})
	select {
	case <-r.ended:
		return gpu.Root{}, r.why(ctx)
	default:
	}
	if err != nil {
		return gpu.Root{}, fmt.Errorf("round %d: %w", n, err)
	}
	r.next++
	return root, nil
}

// end ends the run: no call of it will wait any more.
func (r *run) end(why error) {
	r.once.Do(func() {
		r.cause = why
		close(r.ended)
	})
}

// why is why a run ended under a caller: the caller's own reason first.
func (r *run) why(ctx context.Context) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return r.cause
}

// free ends the run and frees what it holds, once.
func (r *run) free() error {
	r.end(errEnded)
	r.frees.Do(func() {
		r.freed = r.drain()
		if r.freed == nil {
			r.freed = r.d.release(&r.holds)
		}
		r.d.forget(r)
	})
	return r.freed
}

// drain waits for the rounds that are queued, each for as long as one may take.
func (r *run) drain() error {
	ctx := context.Background() // whoever ends a run does so under a context that has ended
	var queued []driver.Event
	err := r.d.thread.Do(ctx, func(*driver.Calls) error {
		r.over = true
		for _, s := range r.state[r.given:r.queued] {
			queued = append(queued, s.slot.done)
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("release: %w", err)
	}
	for _, e := range queued {
		if err := r.d.poll(ctx, func(c *driver.Calls) (bool, error) { return c.Done(e) }); err != nil {
			return err
		}
	}
	return nil
}

// Close ends the run and frees what it holds.
func (r *run) Close() error {
	r.detach()
	return r.free()
}
