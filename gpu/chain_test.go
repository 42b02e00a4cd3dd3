package gpu

import (
	"errors"
	"fmt"
	"io"
	"testing"
	"testing/synctest"

	"github.com/assaynet/assay/challenges"
)

// Whole jobs, held against the protocol's key chain, openings and entries.
func TestCPUFollowsTheKeyChain(t *testing.T) {
	tests := []struct {
		name    string
		profile uint16
		windows []int
	}{
		{"int8", 2, []int{0, 1, 2}},
		{"bf16", 5, []int{0, 1, 2}},
		{"fp64fma", 6, []int{0, 1, 2}},
		{"after a warm-up", 8, []int{1, 4, 20}},
	}
	for _, tt := range tests {
		for _, window := range tt.windows {
			t.Run(fmt.Sprintf("%s/window %d", tt.name, window), func(t *testing.T) {
				followKeyChain(t, jobOf(t, tt.profile, window))
			})
		}
	}
}

func followKeyChain(t *testing.T, job Job) {
	t.Helper()
	run, err := NewCPU(CPUConfig{Info: Info{ID: "gpu0"}}).Start(t.Context(), job)
	if err != nil {
		t.Fatal(err)
	}
	s := job.Profile.Shape
	var keys, roots []challenges.Hash
	var packed [][]byte
	for r := range job.Profile.Rounds {
		root := next(t, run)
		key := challenges.FirstKey(job.ID, job.Device)
		if r > 0 {
			var old []byte
			if i := feeds(job, r); i >= 0 {
				old = packed[i]
			}
			key = challenges.NextKey(keys[r-1], roots[r-1], old)
		}
		if root.Round != r || root.Key != key {
			t.Fatalf("root of round %d with key %v, want round %d, key %v", root.Round, root.Key, r, key)
		}
		at := []uint32{uint32(s.Entries()) - 1 - uint32(r), uint32(r), 130, 130}
		opening := open(t, run, r, at...)
		values, err := s.Layout().Verify(root.Root, at, opening)
		if err != nil {
			t.Fatalf("round %d: %v", r, err)
		}
		want := make([]uint64, len(at))
		s.Values(&key, at, want)
		for i, e := range at {
			if values[i] != want[i] {
				t.Errorf("round %d: entry %d is %#x, want %#x", r, e, values[i], want[i])
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

// feeds says it again, apart from the package that the engine asks: a key takes
// the positions of W rounds before the round before it, the first after the
// warm-up those of the round before it.
func feeds(job Job, round int) int {
	if job.Profile.Warm > 0 && round == job.Profile.Warm {
		return round - 1
	}
	return round - 1 - job.Window
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
		got := ask(t, run)
		open(t, run, 1, 5) // not the round that is needed
		waits(t, got)
		open(t, run, 0, 5)
		if root := <-got; root.Round != 2 {
			t.Errorf("round %d, want 2", root.Round)
		}
	})
}

// No window reaches over the end of the warm-up: the first measured round waits
// for the positions of the last unmeasured one, the next ones as ever.
func TestCPUWaitsAtTheEndOfTheWarmUp(t *testing.T) {
	const window = 4
	synctest.Test(t, func(t *testing.T) {
		job := jobOf(t, 8, window)
		run, err := NewCPU(CPUConfig{}).Start(t.Context(), job)
		if err != nil {
			t.Fatal(err)
		}
		warm := job.Profile.Warm
		for r := range warm {
			if root := next(t, run); root.Round != r {
				t.Fatalf("round %d, want %d", root.Round, r)
			}
			if r < warm-1 {
				open(t, run, r, 5)
			}
		}
		got := ask(t, run)
		waits(t, got)
		open(t, run, warm-1, 5)
		if root := <-got; root.Round != warm {
			t.Errorf("round %d, want %d", root.Round, warm)
		}
		for r := warm + 1; r <= warm+window; r++ {
			if root := next(t, run); root.Round != r {
				t.Errorf("round %d, want %d", root.Round, r)
			}
		}
		got = ask(t, run)
		waits(t, got)
		open(t, run, warm, 5)
		if root := <-got; root.Round != warm+window+1 {
			t.Errorf("round %d, want %d", root.Round, warm+window+1)
		}
	})
}

// ask asks for a root that may have to wait.
func ask(t *testing.T, run Run) <-chan Root {
	t.Helper()
	got := make(chan Root, 1)
	go func() {
		root, err := run.Next(t.Context())
		if err != nil {
			t.Error(err)
		}
		got <- root
	}()
	return got
}

// waits fails if a root that has to wait is there.
func waits(t *testing.T, got <-chan Root) {
	t.Helper()
	synctest.Wait()
	select {
	case root := <-got:
		t.Fatalf("round %d came without positions", root.Round)
	default:
	}
}
