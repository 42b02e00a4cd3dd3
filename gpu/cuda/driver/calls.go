package driver

import (
	"context"
	"fmt"
	"runtime"
	"time"
	"unsafe"

	"github.com/assaynet/assay/gpu/cuda/dl"
)

// Calls are the driver's functions on one card's thread. They are used only by
// the functions that do runs, and only until those return. Once the context is
// lost, each of them fails with the error that lost it and the driver isn't called.
type Calls struct {
	t      *Thread
	lib    *Library
	sym    *symbols
	params *params        // of the launch being made; pinned
	pinner runtime.Pinner // of what a call points to through other memory
}

type (
	Devptr   uint64  // address in a card's memory; 0: none
	Stream   uintptr // CUstream
	Event    uintptr // CUevent
	Module   uintptr // CUmodule
	Function uintptr // CUfunction
)

// call is a call of the driver with the card's context current.
//
//go:uintptrescapes
func (c *Calls) call(f symbol, args ...uintptr) error {
	if err := c.t.Err(); err != nil {
		return err
	}
	err := c.lib.call(f, args...)
	if err != nil && Ends(err) {
		return c.t.fail(err)
	}
	return err
}

// NewStream makes a queue of the card. It doesn't wait for the default stream,
// which nothing here uses.
func (c *Calls) NewStream() (Stream, error) {
	const nonBlocking = 1
	var s Stream
	err := c.call(c.sym.streamCreate, uintptr(unsafe.Pointer(&s)), nonBlocking)
	return s, err
}

// NewUrgentStream makes a queue whose blocks go before those of other queues when a
// part of the card comes free; without priorities it is a queue as any other.
func (c *Calls) NewUrgentStream() (Stream, error) {
	if c.sym.streamCreateWithPriority.at == 0 {
		return c.NewStream()
	}
	const nonBlocking = 1
	highest := int32(-5) // the driver takes its own highest for what is beyond it
	var s Stream
	err := c.call(c.sym.streamCreateWithPriority, uintptr(unsafe.Pointer(&s)), nonBlocking, uintptr(uint32(highest)))
	return s, err
}

// DestroyStream gives a stream back; what is in it goes on.
func (c *Calls) DestroyStream(s Stream) error { return c.call(c.sym.streamDestroy, uintptr(s)) }

// NewEvent makes a mark for streams. One that isn't for timing is cheaper to wait for.
func (c *Calls) NewEvent(timing bool) (Event, error) {
	const blocking, noTiming = 1, 2
	flags := uintptr(blocking)
	if !timing {
		flags |= noTiming
	}
	var e Event
	err := c.call(c.sym.eventCreate, uintptr(unsafe.Pointer(&e)), flags)
	return e, err
}

// DestroyEvent gives an event back.
func (c *Calls) DestroyEvent(e Event) error { return c.call(c.sym.eventDestroy, uintptr(e)) }

// Record puts an event behind what is in a stream so far.
func (c *Calls) Record(e Event, s Stream) error {
	return c.call(c.sym.eventRecord, uintptr(e), uintptr(s))
}

// Wait holds what comes into a stream later until an event, as it was recorded
// last. Without a record it holds nothing.
func (c *Calls) Wait(s Stream, e Event) error {
	return c.call(c.sym.streamWaitEvent, uintptr(s), uintptr(e), 0)
}

// Done says whether the card has come to an event. One that was never recorded is done.
func (c *Calls) Done(e Event) (bool, error) {
	const notReady = 600
	if err := c.t.Err(); err != nil {
		return false, err
	}
	code := int32(dl.Call(c.sym.eventQuery.at, uintptr(e)))
	switch code {
	case 0:
		return true, nil
	case notReady: // an answer, not a failure: no error is built for it
		return false, nil
	}
	err := &Error{Call: c.sym.eventQuery.name, Code: int(code), Name: c.lib.errorName(code)}
	if Ends(err) {
		return false, c.t.fail(err)
	}
	return false, err
}

// Elapsed is the card's time between two timing events that are done. The
// driver's resolution is about half a microsecond.
func (c *Calls) Elapsed(from, to Event) (time.Duration, error) {
	var ms float32
	err := c.call(c.sym.eventElapsedTime, uintptr(unsafe.Pointer(&ms)), uintptr(from), uintptr(to))
	return time.Duration(float64(ms) * float64(time.Millisecond)), err
}

// Await waits for an event on the thread, which does nothing else meanwhile. See thread.await.
func (c *Calls) Await(ctx context.Context, e Event) error {
	return c.t.Poll(ctx, func(context.Context) (bool, error) { return c.Done(e) })
}

// await waits for an event. It asks from time to time and sleeps in between, so
// that others' jobs get their turn on the thread, and never waits in the driver.
// At its context's deadline it gives ErrTimeout, and the card is not usable any
// more: a kernel that doesn't end can't be stopped. A context that was cancelled
// is the error and nothing more: the work in the stream goes on, and what it uses
// must not be freed before another await has seen its end.
func (t *Thread) await(ctx context.Context, e Event) error {
	return t.Poll(ctx, func(ctx context.Context) (bool, error) {
		var done bool
		err := t.Do(ctx, func(c *Calls) (err error) {
			done, err = c.Done(e)
			return err
		})
		return err == nil && done, err // after an error the job may still be at it
	})
}

// Poll asks until the answer is yes or the context ends. The sleeps grow with the
// time waited, so that a wait is overdrawn by 2 % at most, beside the system's own delay.
func (t *Thread) Poll(ctx context.Context, ask func(ctx context.Context) (bool, error)) error {
	const part, shortest, longest = 64, 20 * time.Microsecond, time.Millisecond
	start := time.Now()
	timer := time.NewTimer(0)
	defer timer.Stop()
	for ctx.Err() == nil {
		done, err := ask(ctx)
		if done {
			return nil
		}
		if err != nil && (t.Err() != nil || ctx.Err() == nil) {
			return err
		}
		timer.Reset(min(max(time.Since(start)/part, shortest), longest))
		select {
		case <-ctx.Done():
		case <-timer.C:
		}
	}
	// The last question has its own time: the thread may have been busy, and the
	// card done for long.
	last, cancel := context.WithTimeout(context.WithoutCancel(ctx), t.grace)
	defer cancel()
	if done, err := ask(last); done || err != nil && last.Err() == nil {
		return err
	}
	if ctx.Err() != context.DeadlineExceeded {
		return context.Cause(ctx)
	}
	return t.fail(fmt.Errorf("card %d: work of %v did not end: %w (%w)", t.card.Ordinal, time.Since(start).Round(time.Millisecond), ErrTimeout, context.Cause(ctx)))
}
