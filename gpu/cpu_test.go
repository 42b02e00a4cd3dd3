package gpu

import (
	"context"
	"errors"
	"io"
	"slices"
	"testing"
	"testing/synctest"

	"github.com/assaynet/assay/challenges"
)

// A whole job, held against the protocol's key chain, openings and entries.
func TestCPUFollowsTheKeyChain(t *testing.T) {
	for _, window := range []int{0, 1, 2} {
		job := testJob(t, window)
		run, err := NewCPU(CPUConfig{Info: Info{ID: "gpu0"}}).Start(t.Context(), job)
		if err != nil {
			t.Fatal(err)
		}
		s := job.Profile.Shape
		row, col := make([]byte, s.K), make([]byte, s.K)
		var keys, roots []challenges.Hash
		var packed [][]byte
		for r := range job.Profile.Rounds {
			root := next(t, run)
			key := challenges.FirstKey(job.ID, job.Device)
			if r > 0 {
				var old []byte
				if i := r - 1 - window; i >= 0 {
					old = packed[i]
				}
				key = challenges.NextKey(keys[r-1], roots[r-1], old)
			}
			if root.Round != r || root.Key != key {
				t.Fatalf("window %d: root of round %d with key %v, want round %d, key %v", window, root.Round, root.Key, r, key)
			}
			at := []uint32{uint32(700 - r), uint32(r), 300, 300}
			opening := open(t, run, r, at...)
			values, err := challenges.VerifyOpening(root.Root, s.Chunks(), at, opening)
			if err != nil {
				t.Fatalf("round %d: %v", r, err)
			}
			for i, e := range at {
				if want := s.Entry(&key, e, row, col); values[i] != want {
					t.Errorf("round %d: entry %d is %d, want %d", r, e, values[i], want)
				}
			}
			keys, roots, packed = append(keys, key), append(roots, root.Root), append(packed, challenges.PackPositions(at))
		}
		for range 2 {
			if _, err := run.Next(t.Context()); !errors.Is(err, io.EOF) {
				t.Errorf("after the last round: %v, want EOF", err)
			}
		}
		if err := run.Close(); err != nil {
			t.Error(err)
		}
	}
}

// Without a window's positions a round's key does not exist: nobody computes
// ahead of the checker's word.
func TestCPUWaitsForPositions(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		run, err := NewCPU(CPUConfig{}).Start(t.Context(), testJob(t, 1))
		if err != nil {
			t.Fatal(err)
		}
		next(t, run)
		next(t, run)
		got := make(chan Root, 1)
		go func() {
			root, err := run.Next(t.Context())
			if err != nil {
				t.Error(err)
			}
			got <- root
		}()
		synctest.Wait()
		open(t, run, 1, 5) // not the round that is needed
		synctest.Wait()
		select {
		case root := <-got:
			t.Fatalf("round %d came without positions", root.Round)
		default:
		}
		open(t, run, 0, 5)
		if root := <-got; root.Round != 2 {
			t.Errorf("round %d, want 2", root.Round)
		}
	})
}

func TestCPUStopsWaitingWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		run, err := NewCPU(CPUConfig{}).Start(t.Context(), testJob(t, 0))
		if err != nil {
			t.Fatal(err)
		}
		next(t, run)
		why := errors.New("checker left")
		ctx, cancel := context.WithCancelCause(t.Context())
		failed := make(chan error, 1)
		go func() {
			_, err := run.Next(ctx)
			failed <- err
		}()
		synctest.Wait()
		cancel(why)
		if err := <-failed; !errors.Is(err, why) {
			t.Errorf("error %v, want %v", err, why)
		}
		// The round is not lost: it comes when it is asked for again.
		open(t, run, 0, 1)
		if root := next(t, run); root.Round != 1 {
			t.Errorf("round %d, want 1", root.Round)
		}
	})
}

func TestCPUOpenRefuses(t *testing.T) {
	run, err := NewCPU(CPUConfig{}).Start(t.Context(), testJob(t, 1))
	if err != nil {
		t.Fatal(err)
	}
	next(t, run)
	next(t, run)
	tests := []struct {
		name  string
		round int
		at    []uint32
		ok    bool
	}{
		{"before it is computed", 2, []uint32{0}, false},
		{"negative round", -1, []uint32{0}, false},
		{"round beyond the job", 4, []uint32{0}, false},
		{"entry outside", 0, []uint32{0, 768}, false},
		{"entry far outside", 0, []uint32{1<<32 - 1}, false},
		{"no entries", 0, nil, false},
		{"the last entry", 0, []uint32{767}, true},
		{"twice", 0, []uint32{767}, false},
		{"another round after all that", 1, []uint32{0}, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if _, err := run.Open(t.Context(), tt.round, tt.at); (err == nil) != tt.ok {
				t.Errorf("error %v, want ok %v", err, tt.ok)
			}
		})
	}
}

// failing is a product that gives up.
type failing struct{ err error }

func (f failing) Multiply(context.Context, challenges.Hash, challenges.Shape, []int32) error {
	return f.err
}

func TestCPUProduct(t *testing.T) {
	broken := errors.New("broken")
	run, err := NewCPU(CPUConfig{Product: failing{broken}}).Start(t.Context(), testJob(t, 1))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := run.Next(t.Context()); !errors.Is(err, broken) {
		t.Errorf("error %v, want %v", err, broken)
	}
	if _, err := run.Open(t.Context(), 0, []uint32{0}); err == nil {
		t.Error("a round that failed was opened")
	}
	// A product that leaves C as it is commits to zeros: the engine hashes what it
	// was given.
	if run, err = NewCPU(CPUConfig{Product: failing{}}).Start(t.Context(), testJob(t, 1)); err != nil {
		t.Fatal(err)
	}
	if root, want := next(t, run).Root, challenges.NewTree(make([]byte, 3*1024)).Root(); root != want {
		t.Errorf("root %v, want %v", root, want)
	}
}

func TestCPUStart(t *testing.T) {
	info := Info{ID: "a", Model: "b", Memory: 1, Int8Ops: 2}
	c := NewCPU(CPUConfig{Info: info})
	if c.Info() != info {
		t.Errorf("info %+v", c.Info())
	}
	job := testJob(t, 1)
	job.Profile.Shape.K = 63
	if _, err := c.Start(t.Context(), job); err == nil {
		t.Error("a shape outside the protocol's was started")
	}
}

// Two jobs of one device know nothing of each other.
func TestCPURunsAreApart(t *testing.T) {
	c := NewCPU(CPUConfig{})
	var roots []challenges.Hash
	for i := range 3 {
		job := testJob(t, 1)
		job.ID[0] = byte(i / 2)
		run, err := c.Start(t.Context(), job)
		if err != nil {
			t.Fatal(err)
		}
		roots = append(roots, next(t, run).Root)
	}
	if roots[0] != roots[1] || slices.Contains(roots[:2], roots[2]) {
		t.Errorf("roots %v", roots)
	}
}

// A run ends with Close, and with the context that it was started with.
func TestCPURunEndsUnderItsCaller(t *testing.T) {
	for _, tt := range []struct {
		name string
		end  func(cancel context.CancelFunc, run Run)
	}{
		{"close", func(_ context.CancelFunc, run Run) { _ = run.Close() }},
		{"context of the start", func(cancel context.CancelFunc, _ Run) { cancel() }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				run, err := NewCPU(CPUConfig{}).Start(ctx, testJob(t, 0))
				if err != nil {
					t.Fatal(err)
				}
				next(t, run)
				failed := make(chan error, 1)
				go func() {
					_, err := run.Next(t.Context())
					failed <- err
				}()
				synctest.Wait()
				tt.end(cancel, run)
				if err := <-failed; !errors.Is(err, errClosed) {
					t.Errorf("error %v, want %v", err, errClosed)
				}
			})
		})
	}
}
