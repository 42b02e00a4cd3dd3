package checker

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// Nobody passes before the last has arrived, and then all do at once.
func TestBarrier(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const n = 100
		b := newBarrier(n)
		begin := time.Now()
		var arrived atomic.Int32
		var running sync.WaitGroup
		for i := range n {
			running.Go(func() {
				time.Sleep(time.Duration(i) * time.Millisecond)
				arrived.Add(1)
				b.arrive()
				b.wait(t.Context(), begin.Add(time.Hour))
				if got := arrived.Load(); got != n || time.Since(begin) != (n-1)*time.Millisecond {
					t.Errorf("one of %d passed after %d arrived, at %v", n, got, time.Since(begin))
				}
			})
		}
		running.Wait()
	})
}

// Without a bubble many arrive at the same moment: for the race detector.
func TestBarrierAtOneMoment(t *testing.T) {
	for range 100 {
		const n = 8
		b := newBarrier(n)
		var arrived atomic.Int32
		var running sync.WaitGroup
		for i := range n {
			running.Go(func() {
				arrived.Add(1)
				arrive := sync.OnceFunc(b.arrive)
				arrive()
				arrive() // as who is filled, and ends
				if i%2 == 0 {
					b.wait(t.Context(), time.Now().Add(time.Minute))
					if got := arrived.Load(); got != n {
						t.Errorf("passed after %d of %d arrived", got, n)
					}
				}
			})
		}
		running.Wait()
	}
}

func TestBarrierEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		begin := time.Now()
		b := newBarrier(2)
		b.arrive()
		b.wait(t.Context(), begin.Add(time.Second))
		if got := time.Since(begin); got != time.Second {
			t.Errorf("waited %v for one that does not come, want until the last instant", got)
		}
		b.wait(t.Context(), begin) // has passed
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		b.wait(ctx, begin.Add(time.Hour))
		if got := time.Since(begin); got != 2*time.Second {
			t.Errorf("waited %v, want no longer than the context lives", got)
		}
		b.arrive()
		b.wait(t.Context(), begin.Add(time.Hour))
		if got := time.Since(begin); got != 2*time.Second {
			t.Errorf("waited %v where all had arrived", got)
		}
	})
}
