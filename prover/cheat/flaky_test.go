package cheat

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/assaynet/assay/challenges"
)

// middle is an instant within a window.
func (f Flaky) middle(window int) time.Time {
	return f.Genesis.Add(time.Duration(window)*f.Window + f.Window/2)
}

func TestFlakyIsDownOneWindowOfThree(t *testing.T) {
	genesis := time.Unix(1_700_000_000, 0)
	for seed := range uint64(20) {
		places := make(map[int]int)
		f := Flaky{Seed: seed, Genesis: genesis, Window: time.Second}
		same := Flaky{Seed: seed, Genesis: genesis, Window: time.Second}
		for block := -10; block < 30; block++ { // before genesis too
			down := 0
			for w := 3 * block; w < 3*block+3; w++ {
				if f.Down(f.middle(w)) != same.Down(f.middle(w)) {
					t.Fatal("the same seed is down at other times")
				}
				start := genesis.Add(time.Duration(w) * f.Window)
				if f.Down(start) != f.Down(f.middle(w)) || f.Down(start.Add(f.Window-1)) != f.Down(f.middle(w)) {
					t.Fatalf("window %d is down in part", w)
				}
				if f.Down(f.middle(w)) {
					down++
					places[w-3*block]++
				}
			}
			if down != 1 {
				t.Fatalf("seed %d: %d windows of block %d are down, want 1", seed, down, block)
			}
		}
		// A window of the block that is never chosen could be waited out.
		if len(places) != 3 {
			t.Errorf("seed %d: down in window %v of the blocks", seed, places)
		}
	}
}

// upFor must agree with Down: up until then, down from then on.
func TestFlakyUpForEndsWhereDownBegins(t *testing.T) {
	f := Flaky{Seed: 5, Genesis: time.Unix(1_700_000_000, 0), Window: time.Second}
	for i := range 300 {
		at := f.Genesis.Add(time.Duration(i) * 370 * time.Millisecond)
		up := f.upFor(at)
		if (up == 0) != f.Down(at) {
			t.Fatalf("%v: up for %v, down %v", at.Sub(f.Genesis), up, f.Down(at))
		}
		if up == 0 {
			continue
		}
		for d := time.Duration(0); d < up; d += 50 * time.Millisecond {
			if f.Down(at.Add(d)) {
				t.Fatalf("%v: up for %v, but down after %v", at.Sub(f.Genesis), up, d)
			}
		}
		if f.Down(at.Add(up-1)) || !f.Down(at.Add(up)) {
			t.Fatalf("%v: up for %v, and down at another instant", at.Sub(f.Genesis), up)
		}
	}
}

func TestFlakyHandle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := fakeNetwork{}
		f := Flaky{Network: net, Seed: 2, Genesis: time.Now(), Window: time.Second}
		calls := 0
		f.Handle("p", func(ctx context.Context, peer challenges.NodeID, _ challenges.Conn) error {
			calls++
			if peer != (challenges.NodeID{7}) {
				t.Errorf("peer %s", peer.Short())
			}
			<-ctx.Done()
			return context.Cause(ctx)
		})
		handle := func() error { return net["p"](t.Context(), challenges.NodeID{7}, nil) }
		for range 8 {
			for f.Down(time.Now()) {
				start, before := time.Now(), calls
				if err := handle(); !errors.Is(err, errDown) || time.Since(start) != 0 || calls != before {
					t.Fatalf("in a window: %v after %v, handler called %d times", err, time.Since(start), calls-before)
				}
				time.Sleep(100 * time.Millisecond)
			}
			// A stream that runs into a window ends as it starts.
			before := calls
			if err := handle(); !errors.Is(err, errDown) || calls != before+1 {
				t.Fatalf("a stream into a window: %v", err)
			}
			if !f.Down(time.Now()) || f.Down(time.Now().Add(-1)) {
				t.Fatalf("cut at %v, not where a window starts", time.Since(f.Genesis))
			}
		}
	})
}

// A stream that ends before the window does so with its own result.
func TestFlakyPassesResultsOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := fakeNetwork{}
		f := Flaky{Network: net, Seed: 2, Genesis: time.Now(), Window: time.Second}
		own := errors.New("own")
		f.Handle("p", func(context.Context, challenges.NodeID, challenges.Conn) error { return own })
		for f.Down(time.Now()) {
			time.Sleep(f.Window)
		}
		if err := net["p"](t.Context(), challenges.NodeID{}, nil); !errors.Is(err, own) {
			t.Errorf("error %v, want %v", err, own)
		}
	})
}
