package cuda

import (
	"bytes"
	"context"
	"fmt"

	"github.com/assaynet/assay/gpu/cuda/driver"
)

// trial runs kernels one at a time on data of the processor's. After its first
// error it does nothing more, so that a check reads as what it checks.
type trial struct {
	holds driver.Holds
	p     *program
	err   error

	do   func(f func(c *driver.Calls) error) error
	wait func() error // for what is queued

	s    driver.Stream
	mark driver.Event
	host *driver.Pinned
}

// trialBytes is how much is copied at a time.
const trialBytes = 1 << 20

// newTrial makes a trial; close it.
func newTrial(ctx context.Context, d *Device) (*trial, error) {
	t := &trial{p: d.program}
	t.do = func(f func(c *driver.Calls) error) error { return d.thread.Do(ctx, f) }
	t.wait = func() error { return d.poll(ctx, func(c *driver.Calls) (bool, error) { return c.Done(t.mark) }) }
	err := d.take(ctx, &t.holds, func(c *driver.Calls) (err error) {
		if err = t.holds.StreamsFor(c, false, &t.s); err != nil {
			return err
		}
		if err = t.holds.EventsFor(c, &t.mark); err != nil {
			return err
		}
		t.host, err = t.holds.Host(c, "check", trialBytes)
		return err
	})
	return t, err
}

// run queues what f says and waits for it.
func (t *trial) run(f func(q queue) error) {
	if t.err != nil {
		return
	}
	t.err = t.do(func(c *driver.Calls) error {
		if err := f(queue{c, t.p, t.s}); err != nil {
			return err
		}
		return c.Record(t.mark, t.s)
	})
	if t.err == nil {
		t.err = t.wait()
	}
}

// room is memory of the card's.
func (t *trial) room(n int) (at driver.Devptr) {
	if t.err == nil {
		t.err = t.do(func(c *driver.Calls) (err error) {
			at, err = t.holds.Alloc(c, "check", uint64(n))
			return err
		})
	}
	return at
}

// scratch is what a maker needs beside.
func (t *trial) scratch(m maker) driver.Devptr {
	if m.scratch() == 0 {
		return 0
	}
	return t.room(int(m.scratch()))
}

// put copies data to the card.
func (t *trial) put(data []byte) driver.Devptr {
	at := t.room(len(data))
	for from := 0; from < len(data) && t.err == nil; from += trialBytes {
		part := data[from:min(from+trialBytes, len(data))]
		t.run(func(q queue) error {
			copy(t.host.B, part)
			return q.ToDevice(at+driver.Devptr(from), t.host, 0, len(part), t.s)
		})
	}
	return at
}

// get copies n bytes from the card; nil after an error.
func (t *trial) get(at driver.Devptr, n int) []byte {
	var out []byte
	for from := 0; from < n && t.err == nil; from += trialBytes {
		size := min(trialBytes, n-from)
		t.run(func(q queue) error { return q.ToHost(t.host, 0, at+driver.Devptr(from), size, t.s) })
		if t.err == nil {
			t.err = t.do(func(*driver.Calls) error {
				out = append(out, t.host.B[:size]...)
				return nil
			})
		}
	}
	return out
}

// same compares what a kernel left at a place with the processor's result.
func (t *trial) same(kernel string, at driver.Devptr, want []byte) {
	got := t.get(at, len(want))
	if t.err != nil || bytes.Equal(got, want) {
		return
	}
	i := 0
	for got[i] == want[i] {
		i++
	}
	t.err = fmt.Errorf("kernel %s: %w: byte %d of %d is %#02x, the processor has %#02x", kernel, ErrMiscomputes, i, len(want), got[i], want[i])
}

// drop frees what the trial has put on the card.
func (t *trial) drop() {
	if t.err != nil {
		return
	}
	t.err = t.do(func(c *driver.Calls) error {
		for _, p := range t.holds.Memory {
			if err := c.Free(p); err != nil {
				return err
			}
		}
		t.holds.Memory = nil
		return nil
	})
}
