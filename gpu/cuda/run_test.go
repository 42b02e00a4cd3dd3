package cuda

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"testing"

	"github.com/assaynet/assay/challenges"
	"github.com/assaynet/assay/gpu"
)

// follow plays a job on a run and on the processor's engine, opening a round as
// soon as it comes, and holds one against the other.
func follow(t *testing.T, run, truth gpu.Run, rounds int, at func(round int) []uint32) {
	t.Helper()
	for r := range rounds {
		want, err := truth.Next(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		got, err := run.Next(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		got.Costs, want.Costs = gpu.Costs{}, gpu.Costs{}
		if got != want {
			t.Fatalf("round %d: %+v, want %+v", r, got, want)
		}
		wantOpening, err := truth.Open(t.Context(), r, at(r))
		if err != nil {
			t.Fatal(err)
		}
		opening, err := run.Open(t.Context(), r, at(r))
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(opening, wantOpening) {
			t.Fatalf("round %d: the opening differs", r)
		}
	}
	for range 2 {
		if _, err := run.Next(t.Context()); !errors.Is(err, io.EOF) {
			t.Errorf("after the last round: %v, want EOF", err)
		}
	}
	if err := errors.Join(run.Close(), truth.Close()); err != nil {
		t.Error(err)
	}
}

// shaped is a job of few cheap rounds of a shape.
func shaped(t testing.TB, s challenges.Shape, rounds, warm, window int) gpu.Job {
	t.Helper()
	job := computeJob(t, 2, window)
	job.Profile.Name, job.Profile.Shape, job.Profile.Rounds, job.Profile.Warm = s.String(), s, rounds, warm
	if err := s.Check(); err != nil {
		t.Fatal(err)
	}
	return job
}

func TestRunFollowsTheKeyChain(t *testing.T) {
	d, _ := device(t, "")
	jobs := map[string]gpu.Job{}
	for _, profile := range []uint16{2, 5, 6} {
		for window := range 3 {
			job := computeJob(t, profile, window)
			jobs[fmt.Sprintf("%s, window %d", job.Profile.Name, window)] = job
		}
	}
	jobs["devnet, window 4"] = computeJob(t, 1, 4)
	jobs["devnet-fp64fma, window 4"] = computeJob(t, 4, 4)
	small := challenges.Shape{Flavour: challenges.Int8, M: 1, N: 256, K: 64}
	jobs["warm-up, window 1"] = shaped(t, small, 12, 4, 1)
	jobs["warm-up, window 6"] = shaped(t, small, 12, 4, 6)
	jobs["window beyond the rounds"] = shaped(t, small, 5, 0, 64)
	for _, s := range []challenges.Shape{
		{Flavour: challenges.Int8, M: 600, N: 256, K: 64}, // three strips, the last one not full
		{Flavour: challenges.BF16, M: 257, N: 512, K: 64}, // two columns of tiles, a strip of one row
		{Flavour: challenges.Int8, M: 129, N: 256, K: 448},
		{Flavour: challenges.FP64, M: 1, N: 128, K: 1}, // one chunk
		{Flavour: challenges.FP64, M: 5, N: 128, K: 129},
		{Flavour: challenges.FP64, M: 2, N: 128, K: 3}, // two
	} {
		jobs[s.String()] = shaped(t, s, 3, 0, 1)
	}
	for name, job := range jobs {
		t.Run(name, func(t *testing.T) {
			run, err := d.Start(t.Context(), job)
			if err != nil {
				t.Fatal(err)
			}
			truth, err := gpu.NewCPU(gpu.CPUConfig{}).Start(t.Context(), job)
			if err != nil {
				t.Fatal(err)
			}
			last := uint32(job.Profile.Shape.Entries()) - 1
			follow(t, run, truth, job.Profile.Rounds, func(r int) []uint32 { return []uint32{last - uint32(r), uint32(r), 127, 127} })
		})
	}
}

func TestWalksFollowTheKeyChain(t *testing.T) {
	d, _ := device(t, "")
	for _, tt := range []struct {
		class uint16
		items uint64
	}{{502, 1 << 11}, {502, 2600}, {502, 10_000}, {501, 1 << 13}} {
		job := memoryJob(t, tt.class, tt.items)
		t.Run(fmt.Sprintf("%s/%d", job.Set.Name, tt.items), func(t *testing.T) {
			nonce := job.ID
			filled, err := d.Fill(t.Context(), job)
			if err != nil {
				t.Fatal(err)
			}
			run, err := filled.Walk(t.Context(), nonce)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := filled.Walk(t.Context(), nonce); err == nil {
				t.Error("walked twice")
			}
			truthSet, err := gpu.NewCPU(gpu.CPUConfig{}).Fill(t.Context(), job)
			if err != nil {
				t.Fatal(err)
			}
			truth, err := truthSet.Walk(t.Context(), nonce)
			if err != nil {
				t.Fatal(err)
			}
			last := uint32(job.Set.Walks()) - 1
			follow(t, run, truth, job.Set.Rounds, func(r int) []uint32 { return []uint32{last, uint32(r), 77} })
			if err := filled.Close(); err != nil {
				t.Error(err)
			}
		})
	}
}

// start starts a job that must start.
func start(t testing.TB, d *Device, job gpu.Job) gpu.Run {
	t.Helper()
	run, err := d.Start(t.Context(), job)
	if err != nil {
		t.Fatal(err)
	}
	return run
}

// next asks for a root that must come.
func next(t testing.TB, run gpu.Run) gpu.Root {
	t.Helper()
	root, err := run.Next(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return root
}

func open(t testing.TB, run gpu.Run, round int, at ...uint32) []byte {
	t.Helper()
	opening, err := run.Open(t.Context(), round, at)
	if err != nil {
		t.Fatal(err)
	}
	return opening
}

// The keys follow from the positions, not from the order in which rounds are
// opened.
func TestRunOpensInAnyOrder(t *testing.T) {
	d, _ := device(t, "")
	job := computeJob(t, 2, 2)
	run := start(t, d, job)
	truth, err := gpu.NewCPU(gpu.CPUConfig{}).Start(t.Context(), job)
	if err != nil {
		t.Fatal(err)
	}
	for range 3 {
		if got, want := next(t, run), next(t, truth); got != want {
			t.Fatalf("%+v, want %+v", got, want)
		}
	}
	for _, r := range []int{2, 0, 1} {
		at := []uint32{uint32(r), 767, 5, 5}
		if !bytes.Equal(open(t, run, r, at...), open(t, truth, r, at...)) {
			t.Errorf("round %d: the opening differs", r)
		}
	}
	if got, want := next(t, run), next(t, truth); got != want {
		t.Fatalf("%+v, want %+v", got, want)
	}
	many := make([]uint32, 100) // more than the row's samples
	for i := range many {
		many[i] = uint32(i * 7)
	}
	if !bytes.Equal(open(t, run, 3, many...), open(t, truth, 3, many...)) {
		t.Error("the opening of many entries differs")
	}
	if err := errors.Join(run.Close(), truth.Close()); err != nil {
		t.Error(err)
	}
}

func TestRunOpenRefuses(t *testing.T) {
	d, _ := device(t, "")
	run := start(t, d, computeJob(t, 2, 1))
	defer run.Close()
	next(t, run)
	next(t, run)
	for _, tt := range []struct {
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
		{"too many entries", 0, make([]uint32, maxPositions+1), false},
		{"the last entry", 0, []uint32{767}, true},
		{"twice", 0, []uint32{767}, false},
		{"another round after all that", 1, []uint32{0}, true},
	} {
		if _, err := run.Open(t.Context(), tt.round, tt.at); (err == nil) != tt.ok {
			t.Errorf("%s: error %v, want ok %v", tt.name, err, tt.ok)
		}
	}
	// Queued on the card, but not given to anybody yet.
	if _, err := run.Open(t.Context(), 2, []uint32{0}); err == nil {
		t.Error("a round was opened before its root was given")
	}
}

// A round whose key needs positions does not come without them, and comes when it
// is asked for again.
func TestRunWaitsForPositions(t *testing.T) {
	d, f := device(t, "")
	run := start(t, d, computeJob(t, 2, 0))
	defer run.Close()
	next(t, run)
	made := f.Count("launches." + matmulInt8)
	ctx, cancel := context.WithCancelCause(t.Context())
	why := errors.New("checker left")
	failed := make(chan error)
	go func() {
		_, err := run.Next(ctx)
		failed <- err
	}()
	cancel(why)
	if err := <-failed; !errors.Is(err, why) {
		t.Errorf("error %v, want %v", err, why)
	}
	if n := f.Count("launches." + matmulInt8); n != made {
		t.Errorf("%d products were launched without positions", n-made)
	}
	open(t, run, 0, 1)
	if root := next(t, run); root.Round != 1 {
		t.Errorf("round %d, want 1", root.Round)
	}
}

// Rounds are queued as far as the window lets them, before anybody asks.
func TestRunQueuesAhead(t *testing.T) {
	d, f := device(t, "")
	before := f.Count("launches." + b3Top)
	for _, tt := range []struct {
		window, queued int
	}{{0, 1}, {1, 2}, {2, 3}, {9, ahead}} {
		run := start(t, d, shaped(t, challenges.Shape{M: 2, N: 256, K: 64}, 12, 0, tt.window))
		if n := f.Count("launches."+b3Top) - before; n != tt.queued {
			t.Errorf("window %d: %d rounds queued, want %d", tt.window, n, tt.queued)
		}
		if err := run.Close(); err != nil {
			t.Error(err)
		}
		before = f.Count("launches." + b3Top)
	}
}

// A run ends with Close, and with the context that it was started with: whoever
// waits is told, and nothing stays on the card.
func TestRunEndsUnderItsCaller(t *testing.T) {
	d, f := device(t, "")
	held := f.Count("allocations")
	for _, tt := range []struct {
		name string
		end  func(cancel context.CancelFunc, run gpu.Run)
	}{
		{"close", func(_ context.CancelFunc, run gpu.Run) { _ = run.Close() }},
		{"context of the start", func(cancel context.CancelFunc, _ gpu.Run) { cancel() }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			run, err := d.Start(ctx, computeJob(t, 2, 0))
			if err != nil {
				t.Fatal(err)
			}
			next(t, run)
			failed := make(chan error)
			go func() {
				_, err := run.Next(t.Context())
				failed <- err
			}()
			tt.end(cancel, run)
			if err := <-failed; !errors.Is(err, errEnded) {
				t.Errorf("error %v, want %v", err, errEnded)
			}
			if _, err := run.Open(t.Context(), 0, []uint32{0}); !errors.Is(err, errEnded) && err != nil {
				t.Errorf("open: error %v, want %v", err, errEnded)
			}
			if err := run.Close(); err != nil {
				t.Error(err)
			}
			if n := f.Count("allocations"); n != held {
				t.Errorf("%d allocations are left", n-held)
			}
		})
	}
}

// The card's end ends its runs.
func TestCloseEndsRuns(t *testing.T) {
	f := newFake(t, "")
	d, err := New(t.Context(), f.config(t, 0))
	if err != nil {
		t.Fatal(err)
	}
	run := start(t, d, computeJob(t, 2, 1))
	if err := d.Close(); err != nil {
		t.Error(err)
	}
	f.Leaves(t)
	if _, err := run.Next(t.Context()); !errors.Is(err, errEnded) {
		t.Errorf("error %v", err)
	}
	if _, err := d.Start(t.Context(), computeJob(t, 2, 1)); err == nil {
		t.Error("a closed card started a job")
	}
}
