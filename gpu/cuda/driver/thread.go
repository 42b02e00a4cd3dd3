package driver

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"time"
	"unsafe"
)

// Thread is the one thread of the operating system that holds a card's primary
// context: a context is current to a thread, not to a process or a goroutine.
// Each card has its own; they don't know of each other.
//
// After an error that ends the context (see the classes) every later do fails
// with that first error. Nothing is tried to mend it: a driver whose context is
// lost takes a new process.
type Thread struct {
	lib   *Library
	card  Card
	grace time.Duration // how long a call may go on after its context's end; set before the first do

	jobs   chan job      // unbuffered: a job that is taken runs
	stop   chan struct{} // closed by close
	Failed chan struct{} // closed with the first error that ends the context
	gone   chan struct{} // closed when the goroutine has ended

	mu     sync.Mutex
	broken error // the first error that ends the context
	closed bool
}

// job is one do.
type job struct {
	f    func(c *Calls) error
	done chan error // of size 1: the thread never waits for who asked
}

// grace is how long a call of the driver may outlast its context: compiling the
// kernels takes seconds, and it can't be interrupted.
const grace = 10 * time.Second

// blockingSync is CU_CTX_SCHED_BLOCKING_SYNC: where the driver itself waits, as
// in freeing, it sleeps and doesn't take a core of the processor.
const blockingSync = 4

// Open makes a card's primary context current to a thread of its own. The driver
// must have been started by Cards. The caller closes the thread. Cards and open take
// as long as the driver does, seconds where it has to wake the card.
func (l *Library) Open(card Card) (*Thread, error) {
	t := &Thread{
		lib:    l,
		card:   card,
		grace:  grace,
		jobs:   make(chan job),
		stop:   make(chan struct{}),
		Failed: make(chan struct{}),
		gone:   make(chan struct{}),
	}
	ready := make(chan error, 1)
	go t.run(ready)
	if err := <-ready; err != nil {
		return nil, fmt.Errorf("open card %d: %w", card.Ordinal, err)
	}
	return t, nil
}

// run is the thread: it takes the context, does the jobs, and gives it back.
func (t *Thread) run(ready chan<- error) {
	defer close(t.gone)
	runtime.LockOSThread() // unlocked only with no context on it; else the thread ends with the goroutine
	dev, err := t.acquire()
	ready <- err
	if err != nil {
		return
	}
	c := &Calls{t: t, lib: t.lib, sym: &t.lib.sym, params: new(params)}
	var pinner runtime.Pinner
	pinner.Pin(c.params)
	defer pinner.Unpin()
	for {
		select {
		case j := <-t.jobs:
			if err := t.usable(); err != nil {
				j.done <- err
				continue
			}
			j.done <- j.f(c)
		case <-t.stop:
			if t.Err() == nil && t.release(dev) == nil {
				runtime.UnlockOSThread()
			}
			return
		}
	}
}

// acquire makes the primary context current to this thread.
func (t *Thread) acquire() (dev uintptr, err error) {
	l := t.lib
	dev, err = l.device(t.card.Ordinal)
	if err != nil {
		return 0, err
	}
	const primaryContextActive = 708 // somebody in this process has it already: its flags stay
	if err := l.call(l.sym.primaryCtxSetFlags, dev, blockingSync); err != nil && l.sym.primaryCtxSetFlags.at != 0 {
		if e, ok := errors.AsType[*Error](err); !ok || e.Code != primaryContextActive {
			return 0, err
		}
	}
	var ctx uintptr
	if err := l.call(l.sym.primaryCtxRetain, uintptr(unsafe.Pointer(&ctx)), dev); err != nil {
		return 0, err
	}
	if err := l.call(l.sym.ctxSetCurrent, ctx); err != nil {
		return 0, errors.Join(err, l.call(l.sym.primaryCtxRelease, dev))
	}
	return dev, nil
}

// release gives the context back. It isn't called after an error that ends it:
// the driver would wait for a kernel that hangs.
func (t *Thread) release(dev uintptr) error {
	err := t.lib.call(t.lib.sym.ctxSetCurrent, 0)
	if e := t.lib.call(t.lib.sym.primaryCtxRelease, dev); e != nil {
		err = errors.Join(err, e)
	}
	if err != nil {
		t.mu.Lock()
		defer t.mu.Unlock()
		t.broken = fmt.Errorf("give card %d back: %w", t.card.Ordinal, err)
	}
	return err
}

// Do runs f on the thread, alone, and gives its error. A context that ends before
// f began is do's error and nothing happened. Once f runs, do waits for it: f
// should end with the context, and everything in this package does but a call of
// the driver itself. If f goes on for longer than grace after the context's end,
// do gives ErrTimeout, and so does every later one: the thread is stuck in the
// driver and is left behind, together with what f holds, until the process ends.
// f may still be running then, so what it would have set must not be looked at.
func (t *Thread) Do(ctx context.Context, f func(c *Calls) error) error {
	if err := t.usable(); err != nil {
		return err
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	j := job{f: f, done: make(chan error, 1)}
	select {
	case t.jobs <- j:
	case <-t.stop:
		return t.usable()
	case <-t.Failed:
		return t.Err()
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	select {
	case err := <-j.done:
		return err
	case <-t.gone: // f ended the goroutine
		return t.lost(j)
	case <-ctx.Done():
	}
	late := time.NewTimer(t.grace)
	defer late.Stop()
	select {
	case err := <-j.done:
		return err
	case <-t.gone:
		return t.lost(j)
	case <-late.C:
	}
	return t.fail(fmt.Errorf("card %d: a call of the driver does not return: %w (%w)", t.card.Ordinal, ErrTimeout, context.Cause(ctx)))
}

// lost is the answer to a job whose thread has ended.
func (t *Thread) lost(j job) error {
	select {
	case err := <-j.done:
		return err
	default:
		return t.fail(fmt.Errorf("card %d: its thread ended within a job: %w", t.card.Ordinal, ErrSticky))
	}
}

// Close gives the card back and ends the thread. What was made on it should have
// been freed, and no do should be running. After an error that ends the context
// close gives that error, and leaves all of the context to the process' end; it
// never waits for a thread that is stuck in the driver for longer than grace.
func (t *Thread) Close() error {
	t.mu.Lock()
	first := !t.closed
	if first {
		t.closed = true
		close(t.stop)
	}
	t.mu.Unlock()
	if !first {
		return t.Err()
	}
	wait := t.grace
	if errors.Is(t.Err(), ErrTimeout) {
		wait = 0
	}
	late := time.NewTimer(wait)
	defer late.Stop()
	select {
	case <-t.gone:
		return t.Err()
	case <-late.C:
		return t.fail(fmt.Errorf("close card %d: a call of the driver does not return: %w", t.card.Ordinal, ErrTimeout))
	}
}

// fail notes an error that ends the context, and gives the first one.
func (t *Thread) fail(err error) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.broken == nil {
		t.broken = err
		close(t.Failed)
	}
	return t.broken
}

// Err is the first error that ended the context.
func (t *Thread) Err() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.broken
}

// usable is nil while jobs can be done.
func (t *Thread) usable() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.broken != nil {
		return t.broken
	}
	if t.closed {
		return fmt.Errorf("card %d: %w", t.card.Ordinal, errClosed)
	}
	return nil
}
