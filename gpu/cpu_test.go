package gpu

import (
	"context"
	"errors"
	"slices"
	"testing"
	"testing/synctest"

	"lukechampine.com/blake3"

	"github.com/assaynet/assay/challenges"
)

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

func (f failing) Compute(context.Context, challenges.Hash, challenges.Shape, []byte) error {
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
	for _, profile := range []uint16{2, 5, 6} {
		job := jobOf(t, profile, 1)
		if run, err = NewCPU(CPUConfig{Product: failing{}}).Start(t.Context(), job); err != nil {
			t.Fatal(err)
		}
		if root, want := next(t, run).Root, blake3.Sum256(make([]byte, job.Profile.Shape.Bytes())); root != want {
			t.Errorf("%v: root %v, want %v", job.Profile.Shape, root, want)
		}
	}
}

func TestCPUStart(t *testing.T) {
	info := Info{ID: "a", Model: "b", Memory: 1, Int8Ops: 2}
	c := NewCPU(CPUConfig{Info: info})
	if c.Info() != info {
		t.Errorf("info %+v", c.Info())
	}
	for _, tt := range []struct {
		name  string
		shape challenges.Shape
		ok    bool
	}{
		{"int8", challenges.Shape{M: 3, N: 256, K: 64}, true},
		{"bf16", challenges.Shape{Flavour: challenges.BF16, M: 3, N: 256, K: 64}, true},
		{"fp64fma", challenges.Shape{Flavour: challenges.FP64, M: 3, N: 128, K: 1}, true},
		{"half a block", challenges.Shape{M: 3, N: 256, K: 63}, false},
		{"half a chunk", challenges.Shape{Flavour: challenges.BF16, M: 3, N: 128, K: 64}, false},
		{"lanes too long", challenges.Shape{Flavour: challenges.FP64, M: 3, N: 128, K: 4097}, false},
		{"unknown flavour", challenges.Shape{Flavour: 3, M: 3, N: 256, K: 64}, false},
	} {
		job := testJob(t, 1)
		job.Profile.Shape = tt.shape
		run, err := c.Start(t.Context(), job)
		if (err == nil) != tt.ok {
			t.Errorf("%s: started a shape with error %v, want ok %v", tt.name, err, tt.ok)
		}
		if err == nil {
			_ = run.Close()
		}
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
