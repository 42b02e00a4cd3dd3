package driver

import (
	"context"
	"errors"
	"runtime"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// long is longer than anything takes, short is when a test wants to be over.
const long, short = time.Minute, 30 * time.Millisecond

// Within the job that lost the context nothing more goes to the driver.
func TestStickyWithin(t *testing.T) {
	b := newBench(t, "lost_after=5") // newBench makes that many calls
	err := b.th.Do(t.Context(), func(c *Calls) error {
		_, first := c.NewStream()
		n := b.Count("calls")
		_, second := c.NewStream()
		if done, third := c.Done(b.e); first != second || first != third || done || !errors.Is(first, ErrLost) {
			t.Errorf("%v, then %v, then %v", first, second, third)
		}
		if b.Count("calls") != n {
			t.Error("a lost card is called")
		}
		return nil // a job may have no use for the error
	})
	if err != nil {
		t.Error(err)
	}
	if err := b.th.Do(t.Context(), func(*Calls) error { return nil }); !errors.Is(err, ErrLost) {
		t.Errorf("got %v", err)
	}
	if err := b.th.Close(); !errors.Is(err, ErrLost) {
		t.Errorf("got %v", err)
	}
}

func TestHang(t *testing.T) {
	for _, test := range []struct {
		name  string
		await func(b *bench, ctx context.Context) error
	}{
		{"beside the thread", func(b *bench, ctx context.Context) error { return b.th.await(ctx, b.e) }},
		{"on the thread", func(b *bench, ctx context.Context) error {
			return b.th.Do(ctx, func(c *Calls) error { return c.Await(ctx, b.e) })
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			b := newBench(t, "devices=2,hang=probe_warp,only=0")
			other := b.opened(t, 1)
			b.do(func(c *Calls) error {
				b.must(b.launch(c, "probe_warp", 1, 32, 0, uint64(b.mem)))
				return c.Record(b.e, b.s)
			})
			ctx, cancel := context.WithTimeout(t.Context(), short)
			defer cancel()
			err := test.await(b, ctx)
			if !errors.Is(err, ErrTimeout) || !errors.Is(err, context.DeadlineExceeded) {
				t.Fatalf("got %v", err)
			}
			if later := b.th.Do(t.Context(), func(*Calls) error { return nil }); !errors.Is(later, ErrTimeout) {
				t.Errorf("later: %v", later)
			}
			if closed := b.th.Close(); !errors.Is(closed, ErrTimeout) {
				t.Errorf("closed: %v", closed)
			}
			// The other card doesn't notice.
			if err := other.Do(t.Context(), func(c *Calls) error {
				p, err := c.Alloc(1)
				return errors.Join(err, c.Free(p))
			}); err != nil {
				t.Error(err)
			}
			if err := other.Close(); err != nil {
				t.Error(err)
			}
		})
	}
}

// Whoever stops waiting breaks nothing.
func TestAwaitCancelled(t *testing.T) {
	b := newBench(t, "hang=probe_warp")
	defer b.close()
	b.do(func(c *Calls) error {
		b.must(c.fill32(b.mem, 1, benchWords, b.s))
		b.must(b.launch(c, "probe_warp", 1, 32, 0, uint64(b.mem)))
		return c.Record(b.e, b.s)
	})
	cause := errors.New("no longer of interest")
	for _, await := range []func(ctx context.Context) error{
		func(ctx context.Context) error { return b.th.await(ctx, b.e) },
		func(ctx context.Context) error {
			return b.th.Do(ctx, func(c *Calls) error { return c.Await(ctx, b.e) })
		},
	} {
		ctx, cancel := context.WithCancelCause(t.Context())
		time.AfterFunc(short, func() { cancel(cause) })
		if err := await(ctx); !errors.Is(err, cause) {
			t.Errorf("got %v", err)
		}
	}
	b.Configure("hang=")
	b.must(b.th.await(t.Context(), b.e))
}

// A deadline in the past is none of the card's fault if the work is done.
func TestAwaitLate(t *testing.T) {
	b := newBench(t, "")
	defer b.close()
	b.do(func(c *Calls) error { return c.Record(b.e, b.s) })
	b.must(b.th.await(t.Context(), b.e))
	ctx, cancel := context.WithDeadline(t.Context(), time.Now().Add(-long))
	defer cancel()
	b.must(b.th.await(ctx, b.e))
	if err := b.th.Do(ctx, func(*Calls) error { return nil }); !errors.Is(err, context.DeadlineExceeded) || errors.Is(err, ErrTimeout) {
		t.Errorf("a job after the deadline: %v", err)
	}
}

// A call that doesn't return is left behind, at the end of the context and grace.
func TestStuckCall(t *testing.T) {
	f := newFake(t, "stuck=cuMemAlloc_v2")
	th := f.opened(t, 0)
	th.grace = short
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(short, cancel)
	waiting := make(chan error, 1)
	go func() {
		for f.Count("stuck") == 0 {
			runtime.Gosched()
		}
		waiting <- th.Do(t.Context(), func(*Calls) error { return nil }) // ends with the first one's error
	}()
	err := th.Do(ctx, func(c *Calls) error {
		_, err := c.Alloc(1)
		return err
	})
	if !errors.Is(err, ErrTimeout) || !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	if later := <-waiting; later != err {
		t.Errorf("waiting: %v", later)
	}
	if later := th.Do(t.Context(), func(*Calls) error { return nil }); later != err {
		t.Errorf("later: %v", later)
	}
	if closed := th.Close(); closed != err {
		t.Errorf("closed: %v", closed)
	}
	f.Configure("stuck=") // a real one may never return
	<-th.gone
}

// Closing waits for no card that doesn't end either.
func TestStuckClose(t *testing.T) {
	f := newFake(t, "stuck=cuDevicePrimaryCtxRelease_v2")
	th := f.opened(t, 0)
	th.grace = short
	if err := th.Close(); !errors.Is(err, ErrTimeout) {
		t.Errorf("got %v", err)
	}
	f.Configure("stuck=")
	<-th.gone
	f.Leaves(t)
}

func TestClosed(t *testing.T) {
	f := newFake(t, "")
	th := f.opened(t, 0)
	for range 2 {
		if err := th.Close(); err != nil {
			t.Error(err)
		}
	}
	if err := th.Do(t.Context(), func(*Calls) error { return nil }); !errors.Is(err, errClosed) {
		t.Errorf("got %v", err)
	}
	f.Leaves(t)
	again := f.opened(t, 0) // the card isn't gone
	if err := again.Close(); err != nil {
		t.Error(err)
	}
}

// Who waits for a thread that is closed meanwhile is told so.
func TestCloseWhileWaiting(t *testing.T) {
	f := newFake(t, "")
	for range 10 { // the thread chooses by chance which of the two it sees
		synctest.Test(t, func(t *testing.T) { closeWhileWaiting(t, f) })
	}
	f.Leaves(t)
}

func closeWhileWaiting(t *testing.T, f *fake) {
	th := f.opened(t, 0)
	release := make(chan struct{})
	go func() {
		err := th.Do(t.Context(), func(*Calls) error {
			<-release
			return nil
		})
		if err != nil {
			t.Error(err)
		}
	}()
	synctest.Wait() // the job is on the thread
	go func() {
		if err := th.Do(t.Context(), func(*Calls) error { return nil }); !errors.Is(err, errClosed) {
			t.Errorf("waiting: %v", err)
		}
	}()
	synctest.Wait() // the other one waits
	go func() {
		if err := th.Close(); err != nil {
			t.Error(err)
		}
	}()
	<-th.stop
	close(release)
}

func TestOpenFails(t *testing.T) {
	for _, test := range []struct {
		name, settings string
		ordinal        int
		want           error
	}{
		{"no such card", "", 7, ErrLost},
		{"taken by another", "fail=cuDevicePrimaryCtxRetain:46", 0, ErrLost},
		{"no memory", "fail=cuDevicePrimaryCtxRetain:2", 0, ErrOutOfMemory},
		{"not current", "fail=cuCtxSetCurrent:999", 0, ErrSticky},
		{"active", "fail=cuDevicePrimaryCtxSetFlags_v2:708", 0, nil},
		{"odd flags", "fail=cuDevicePrimaryCtxSetFlags_v2:100", 0, ErrLost},
	} {
		t.Run(test.name, func(t *testing.T) {
			f := newFake(t, test.settings)
			if _, err := f.Cards(); err != nil {
				t.Fatal(err)
			}
			th, err := f.Open(Card{Ordinal: test.ordinal})
			if !errors.Is(err, test.want) {
				t.Errorf("got %v", err)
			}
			if th != nil {
				if err := th.Close(); err != nil {
					t.Error(err)
				}
			}
			f.Leaves(t)
		})
	}
}

// What couldn't be given back is an error, and the next one to close hears of it too.
func TestCloseFails(t *testing.T) {
	f := newFake(t, "fail=cuDevicePrimaryCtxRelease_v2:719")
	th := f.opened(t, 0)
	for range 2 {
		if err := th.Close(); !errors.Is(err, ErrSticky) {
			t.Errorf("got %v", err)
		}
	}
}

// A job that ends its goroutine, as a test's Fatal does, ends the thread and hangs nobody.
func TestGoexit(t *testing.T) {
	f := newFake(t, "")
	th := f.opened(t, 0)
	err := th.Do(t.Context(), func(*Calls) error {
		runtime.Goexit()
		return nil
	})
	if err == nil || th.Do(t.Context(), func(*Calls) error { return nil }) == nil || th.Close() == nil {
		t.Errorf("got %v", err)
	}
}

// Two cards work at once, each for several callers.
func TestTwoCards(t *testing.T) {
	f := newFake(t, "devices=2")
	var wg sync.WaitGroup
	for ordinal := range 2 {
		th := f.opened(t, ordinal)
		wg.Go(func() {
			var callers sync.WaitGroup
			for range 3 {
				callers.Go(func() { sumOn(t, th) })
			}
			callers.Wait()
			if err := th.Close(); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	f.Leaves(t)
}

// sumOn runs a kernel that sums warps, with its own things on a card.
func sumOn(t *testing.T, th *Thread) {
	var host *Pinned
	var mem Devptr
	var s Stream
	var e Event
	var m Module
	err := th.Do(t.Context(), func(c *Calls) (err error) {
		if m, err = c.Load(probes); err != nil {
			return err
		}
		if host, err = c.HostAlloc(128); err != nil {
			return err
		}
		if mem, err = c.Alloc(128); err != nil {
			return err
		}
		if s, err = c.NewStream(); err != nil {
			return err
		}
		if e, err = c.NewEvent(false); err != nil {
			return err
		}
		f, err := c.Function(m, "probe_warp")
		if err != nil {
			return err
		}
		clear(host.B)
		host.B[0], host.B[124] = 3, 4
		return errors.Join(c.ToDevice(mem, host, 0, 128, s), c.Launch(f, 1, 32, 0, s, uint64(mem)), c.ToHost(host, 0, mem, 128, s), c.Record(e, s))
	})
	if err != nil {
		t.Error(err)
		return
	}
	if err := th.await(t.Context(), e); err != nil || host.B[64] != 7 {
		t.Errorf("sum %d, %v", host.B[64], err)
	}
	err = th.Do(t.Context(), func(c *Calls) error {
		return errors.Join(c.Free(mem), c.HostFree(host), c.DestroyEvent(e), c.DestroyStream(s), c.Unload(m))
	})
	if err != nil {
		t.Error(err)
	}
}
