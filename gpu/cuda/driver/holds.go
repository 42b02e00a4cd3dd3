package driver

import (
	"errors"
	"fmt"
)

// Holds is what somebody has of a card, given back all at once. It belongs to the
// card's thread.
type Holds struct {
	Memory  []Devptr
	pinned  []*Pinned
	Streams []Stream
	events  []Event
	Marks   []Event // one for each stream
}

// Alloc is device memory. An error of a full card says how full it is.
func (h *Holds) Alloc(c *Calls, what string, n uint64) (Devptr, error) {
	p, err := c.Alloc(n)
	if err != nil {
		return 0, full(c, what, n, err)
	}
	h.Memory = append(h.Memory, p)
	return p, nil
}

func full(c *Calls, what string, n uint64, err error) error {
	if !errors.Is(err, ErrOutOfMemory) {
		return fmt.Errorf("%s: %w", what, err)
	}
	free, total, infoErr := c.MemInfo()
	if infoErr != nil {
		return fmt.Errorf("%s: %d bytes asked: %w", what, n, errors.Join(err, infoErr))
	}
	return fmt.Errorf("%s: %d bytes asked, %d of %d free: %w", what, n, free, total, err)
}

// Host is memory of the host that copies run to and from beside kernels.
func (h *Holds) Host(c *Calls, what string, n int) (*Pinned, error) {
	p, err := c.HostAlloc(n)
	if err != nil {
		return nil, fmt.Errorf("%s: %d bytes of pinned memory: %w", what, n, err)
	}
	h.pinned = append(h.pinned, p)
	return p, nil
}

// stream is a queue of work, with the event that tells when it is empty.
func (h *Holds) stream(c *Calls, urgent bool) (Stream, error) {
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
	h.Streams, h.Marks = append(h.Streams, s), append(h.Marks, mark)
	return s, nil
}

// Event is a mark for streams.
func (h *Holds) Event(c *Calls, timing bool) (Event, error) {
	e, err := c.NewEvent(timing)
	if err == nil {
		h.events = append(h.events, e)
	}
	return e, err
}

// EventsFor makes events, until the first error.
func (h *Holds) EventsFor(c *Calls, all ...*Event) error {
	for _, e := range all {
		var err error
		if *e, err = h.Event(c, false); err != nil {
			return err
		}
	}
	return nil
}

// StreamsFor makes streams, urgent ones or not, until the first error.
func (h *Holds) StreamsFor(c *Calls, urgent bool, all ...*Stream) error {
	for _, s := range all {
		var err error
		if *s, err = h.stream(c, urgent); err != nil {
			return err
		}
	}
	return nil
}

// Free gives everything back. Nothing may run on the streams any more.
func (h *Holds) Free(c *Calls) error {
	var errs []error
	for _, e := range append(h.events, h.Marks...) {
		errs = append(errs, c.DestroyEvent(e))
	}
	for _, s := range h.Streams {
		errs = append(errs, c.DestroyStream(s))
	}
	for _, p := range h.Memory {
		errs = append(errs, c.Free(p))
	}
	for _, p := range h.pinned {
		errs = append(errs, c.HostFree(p))
	}
	*h = Holds{}
	return errors.Join(errs...)
}
