package cheat

import (
	"context"
	"errors"
	"io"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/assaynet/assay/challenges"
	"github.com/assaynet/assay/gpu"
)

func testJob(t *testing.T, profile uint16, window int) gpu.Job {
	t.Helper()
	row, err := challenges.LookupProfile(profile)
	if err != nil {
		t.Fatal(err)
	}
	return gpu.Job{ID: challenges.Hash{1}, Device: "gpu0", Profile: row, Window: window}
}

func engine(p gpu.Product) gpu.Device { return gpu.NewCPU(gpu.CPUConfig{Product: p}) }

func start(t *testing.T, d gpu.Device, job gpu.Job) gpu.Run {
	t.Helper()
	run, err := d.Start(t.Context(), job)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = run.Close() })
	return run
}

func next(t *testing.T, run gpu.Run) gpu.Root {
	t.Helper()
	root, err := run.Next(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return root
}

// A grinder that knows the secret answers only what it has; the committed roots
// are those that it looked for, not the first.
func TestGrinderFindsLuckyRoots(t *testing.T) {
	secret := challenges.Secret{7}
	for _, profile := range []uint16{2, 5, 6} {
		job := testJob(t, profile, 1)
		s := job.Profile.Shape
		g := Grind{Liar: Liar{Inner: gpu.Exact{}, Share: 0.9}, Secret: secret, Tries: 500}
		run := start(t, Grinder{engine(g)}, job)
		for r := range job.Profile.Rounds {
			root := next(t, run)
			at := secret.Positions(job.ID, r, root.Root, s.Entries(), job.Profile.Samples)
			opening, err := run.Open(t.Context(), r, at)
			if err != nil {
				t.Fatal(err)
			}
			values, err := s.Layout().Verify(root.Root, at, opening)
			truth := make([]uint64, len(at))
			s.Values(&root.Key, at, truth)
			if err != nil || !slices.Equal(values, truth) {
				t.Errorf("row %d, round %d: a sample hits a lie (%v)", profile, r, err)
			}
		}
	}
}

// One try is a plain liar, and so is a grinder that does not know its round.
func TestGrindWithoutATry(t *testing.T) {
	s, key := testShapes()[0], challenges.Hash{3}
	l := Liar{Inner: gpu.Exact{}, Share: 0.5}
	want := compute(t, l, key, s)
	if got := compute(t, Grind{Liar: l, Tries: 100}, key, s); !slices.Equal(got, want) {
		t.Error("ground without a place")
	}
	job := testJob(t, 2, 1)
	root := next(t, start(t, engine(l), job)).Root
	if got := next(t, start(t, Grinder{engine(Grind{Liar: l, Tries: 1})}, job)).Root; got != root {
		t.Errorf("root %v, the liar's is %v", got, root)
	}
	// Without the first round's luck it goes on: every variant is another lie.
	if got := next(t, start(t, Grinder{engine(Grind{Liar: Liar{Inner: gpu.Exact{}, Share: 1}, Tries: 3})}, job)).Root; got == root {
		t.Error("no variant was tried")
	}
}

// What a hold sends is what its device computed, in order, in bursts as long as
// the key chain allows, and none longer.
func TestHold(t *testing.T) {
	for _, tt := range []struct {
		profile uint16
		window  int
		bursts  []int // rounds that follow a pause
	}{
		{2, 1, []int{0, 2}},
		{1, 3, []int{0, 4, 8, 12}},
		{8, 20, []int{0, 16, 37, 58, 79}}, // the warm-up's last positions are waited for
	} {
		synctest.Test(t, func(t *testing.T) {
			job := testJob(t, tt.profile, tt.window)
			const pace = time.Millisecond
			// A round takes a second.
			run := start(t, Hold{poolDevice(t, PoolConfig{Cards: 1, Runs: rate(job.Profile.Shape.Ops())}), pace}, job)
			var bursts []int
			for r := range job.Profile.Rounds {
				before := time.Now()
				root := next(t, run)
				if root.Round != r {
					t.Fatalf("round %d, want %d", root.Round, r)
				}
				if took := time.Since(before); took > pace {
					bursts = append(bursts, r)
				} else if took < pace {
					t.Errorf("round %d after %v", r, took)
				}
				if _, err := run.Open(t.Context(), r, []uint32{0}); err != nil {
					t.Fatal(err)
				}
			}
			if !slices.Equal(bursts, tt.bursts) {
				t.Errorf("row %d: waited before rounds %v, want %v", tt.profile, bursts, tt.bursts)
			}
			if _, err := run.Next(t.Context()); !errors.Is(err, io.EOF) {
				t.Errorf("after the last round: %v", err)
			}
		})
	}
}

// A pipeline's roots follow the key chain and come at the pace of several cards.
// Its openings are the truth under a false root, or an invention under its own.
func TestPipeline(t *testing.T) {
	for _, invent := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			job := testJob(t, 5, 1)
			s := job.Profile.Shape
			begun := time.Now()
			run := start(t, Pipeline{Device: engine(nil), Product: gpu.Exact{}, Every: time.Second, Invent: invent}, job)
			at := []uint32{0, 300, 767}
			var last gpu.Root
			for r := range job.Profile.Rounds {
				root := next(t, run)
				key := challenges.FirstKey(job.ID, job.Device)
				if r > 0 {
					var packed []byte
					if job.Profile.Feeds(r, 1) >= 0 {
						packed = challenges.PackPositions(at)
					}
					key = challenges.NextKey(last.Key, last.Root, packed)
				}
				if took := time.Since(begun); root.Key != key || took != time.Duration(r+1)*time.Second {
					t.Errorf("round %d after %v with key %v, want %v", r, took, root.Key, key)
				}
				opening, err := run.Open(t.Context(), r, at)
				if err != nil {
					t.Fatal(err)
				}
				values, err := s.Layout().Verify(root.Root, at, opening)
				if (err == nil) != invent {
					t.Errorf("invented %v: an opening authenticates: %v", invent, err)
				}
				truth := make([]uint64, len(at))
				s.Values(&key, at, truth)
				if invent && slices.Equal(values, truth) {
					t.Error("invented the truth")
				}
				if _, err := run.Open(t.Context(), r, at); err == nil {
					t.Error("opened a round twice")
				}
				last = root
			}
			if _, err := run.Next(t.Context()); !errors.Is(err, io.EOF) {
				t.Errorf("after the last round: %v", err)
			}
		})
	}
}

// A pipeline, too, waits for the positions that its next key needs.
func TestPipelineStopsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		run := start(t, Pipeline{Device: engine(nil), Product: gpu.Exact{}, Every: time.Second}, testJob(t, 2, 1))
		next(t, run)
		next(t, run)
		why := errors.New("checker left")
		ctx, cancel := context.WithTimeoutCause(t.Context(), time.Minute, why)
		defer cancel()
		if _, err := run.Next(ctx); !errors.Is(err, why) {
			t.Errorf("error %v", err)
		}
	})
}
