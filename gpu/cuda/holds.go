package cuda

import (
	"context"
	"errors"
	"fmt"

	"github.com/assaynet/assay/gpu/cuda/driver"
)

// holds is what somebody has of a card, given back all at once. It belongs to the
// card's thread.
type holds struct {
	memory  []driver.Devptr
	pinned  []*driver.Pinned
	streams []driver.Stream
	events  []driver.Event
	marks   []driver.Event // one for each stream
}

// alloc is device memory. An error of a full card says how full it is.
func (h *holds) alloc(c *driver.Calls, what string, n uint64) (driver.Devptr, error) {
	p, err := c.Alloc(n)
	if err != nil {
		return 0, full(c, what, n, err)
	}
	h.memory = append(h.memory, p)
	return p, nil
}

func full(c *driver.Calls, what string, n uint64, err error) error {
	if !errors.Is(err, driver.ErrOutOfMemory) {
		return fmt.Errorf("%s: %w", what, err)
	}
	free, total, infoErr := c.MemInfo()
	if infoErr != nil {
		return fmt.Errorf("%s: %d bytes asked: %w", what, n, errors.Join(err, infoErr))
	}
	return fmt.Errorf("%s: %d bytes asked, %d of %d free: %w", what, n, free, total, err)
}

// host is memory of the host that copies run to and from beside kernels.
func (h *holds) host(c *driver.Calls, what string, n int) (*driver.Pinned, error) {
	p, err := c.HostAlloc(n)
	if err != nil {
		return nil, fmt.Errorf("%s: %d bytes of pinned memory: %w", what, n, err)
	}
	h.pinned = append(h.pinned, p)
	return p, nil
}

// stream is a queue of work, with the event that tells when it is empty.
func (h *holds) stream(c *driver.Calls, urgent bool) (driver.Stream, error) {
	mark, err := c.NewEvent(false)
	if err != nil {
		return 0, err
	}
	create := c.NewStream
	if urgent {
		create = c.NewUrgentStream
	}
	s, err := create()
	if err != nil {
		return 0, errors.Join(err, c.DestroyEvent(mark))
	}
	h.streams, h.marks = append(h.streams, s), append(h.marks, mark)
	return s, nil
}

func (h *holds) event(c *driver.Calls, timing bool) (driver.Event, error) {
	e, err := c.NewEvent(timing)
	if err == nil {
		h.events = append(h.events, e)
	}
	return e, err
}

// eventsFor makes events, until the first error.
func (h *holds) eventsFor(c *driver.Calls, all ...*driver.Event) error {
	for _, e := range all {
		var err error
		if *e, err = h.event(c, false); err != nil {
			return err
		}
	}
	return nil
}

func (h *holds) streamsFor(c *driver.Calls, urgent bool, all ...*driver.Stream) error {
	for _, s := range all {
		var err error
		if *s, err = h.stream(c, urgent); err != nil {
			return err
		}
	}
	return nil
}

// free gives everything back. Nothing may run on the streams any more.
func (h *holds) free(c *driver.Calls) error {
	var errs []error
	for _, e := range append(h.events, h.marks...) {
		errs = append(errs, c.DestroyEvent(e))
	}
	for _, s := range h.streams {
		errs = append(errs, c.DestroyStream(s))
	}
	for _, p := range h.memory {
		errs = append(errs, c.Free(p))
	}
	for _, p := range h.pinned {
		errs = append(errs, c.HostFree(p))
	}
	*h = holds{}
	return errors.Join(errs...)
}

// release waits until the streams are empty and frees what there is. stop runs
// first, on the thread: from then on nobody else may use it.
func (d *Device) release(h *holds, stop func()) error {
	// Whoever ends a run does so under a context that has ended.
	ctx := context.Background()
	var marks []driver.Event
	err := d.thread.Do(ctx, func(c *driver.Calls) error {
		stop()
		for i, s := range h.streams {
			if err := c.Record(h.marks[i], s); err != nil {
				return err
			}
		}
		marks = h.marks
		return nil
	})
	if err != nil {
		return fmt.Errorf("release: %w", err)
	}
	for _, mark := range marks {
		if err := d.poll(ctx, func(c *driver.Calls) (bool, error) { return c.Done(mark) }); err != nil {
			return err
		}
	}
	return d.thread.Do(ctx, h.free)
}

// take runs f on the thread with something to hold; on an error nothing is held.
func (d *Device) take(ctx context.Context, h *holds, f func(c *driver.Calls) error) error {
	err := d.thread.Do(ctx, f)
	if err == nil {
		return nil
	}
	if freeErr := d.release(h, func() {}); freeErr != nil && !driver.Ends(err) {
		return errors.Join(err, freeErr)
	}
	return err
}
