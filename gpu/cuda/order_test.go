package cuda

import (
	"bytes"
	"errors"
	"testing"

	"github.com/assaynet/assay/challenges"
	"github.com/assaynet/assay/challenges/commit"
	"github.com/assaynet/assay/gpu"
	"github.com/assaynet/assay/gpu/cuda/driver"
)

// begun is a run whose streams a test can look at, and the same on the processor.
func begun(t *testing.T, d *Device, job gpu.Job, slots int) (*run, *compute, gpu.Run) {
	t.Helper()
	w := &compute{job: job, shape: job.Profile.Shape, maker: d.makers[0], step: tileLines}
	r, err := d.start(t.Context(), w, job.Profile.Rounds, job.Profile.Shape.Layout(), job.Profile.Samples, slots)
	if err != nil {
		t.Fatal(err)
	}
	truth, err := gpu.NewCPU(gpu.CPUConfig{}).Start(t.Context(), job)
	if err != nil {
		t.Fatal(err)
	}
	return r, w, truth
}

// However far a stream of the card gets before the others, the answers are the
// same: whatever it needs of them it waits for.
func TestStreamsInAnyOrder(t *testing.T) {
	d, _ := device(t, "")
	job := shaped(t, challenges.Shape{M: 500, N: 256, K: 64}, 3, 0, 2)
	for name, first := range map[string]func(r *run, w *compute) driver.Stream{
		"products, even strips": func(_ *run, w *compute) driver.Stream { return w.streams[0] },
		"products, odd strips":  func(_ *run, w *compute) driver.Stream { return w.streams[1] },
		"generator and hash":    func(r *run, _ *compute) driver.Stream { return r.side },
	} {
		t.Run(name, func(t *testing.T) {
			r, w, truth := begun(t, d, job, 3)
			err := d.thread.Do(t.Context(), func(c *driver.Calls) error {
				mark, err := r.holds.Event(c, false)
				if err != nil {
					return err
				}
				if err := c.Record(mark, first(r, w)); err != nil {
					return err
				}
				return c.Await(t.Context(), mark)
			})
			if err != nil {
				t.Fatal(err)
			}
			follow(t, r, truth, 3, func(r int) []uint32 { return []uint32{uint32(r)} })
		})
	}
}

// A slot's next round does not overwrite it before its opening was read.
func TestSlotIsReadBeforeItIsUsedAgain(t *testing.T) {
	d, _ := device(t, "")
	r, _, truth := begun(t, d, shaped(t, challenges.Shape{M: 5, N: 256, K: 64}, 3, 0, 1), 1)
	next(t, r)
	next(t, truth)
	at := []uint32{1000, 3}
	want := open(t, truth, 0, at...)
	var size int
	var read driver.Event
	err := d.thread.Do(t.Context(), func(c *driver.Calls) (err error) {
		size, read, err = r.ask(c, 0, at)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if got, want := next(t, r), next(t, truth); got != want { // in the same slot
		t.Errorf("%+v, want %+v", got, want)
	}
	var got []byte
	err = d.thread.Do(t.Context(), func(c *driver.Calls) error {
		err := c.Await(t.Context(), read)
		got = append(got, r.parts.answer.B[:size]...)
		return err
	})
	if err != nil || !bytes.Equal(got, want) {
		t.Errorf("the opening differs; error %v", err)
	}
	if err := r.Close(); err != nil {
		t.Error(err)
	}
}

// A dataset that is closed under its walks ends them.
func TestDatasetEndsItsWalks(t *testing.T) {
	d, f := device(t, "")
	held := f.Count("allocations")
	filled, err := d.Fill(t.Context(), memoryJob(t, 502, 2048))
	if err != nil {
		t.Fatal(err)
	}
	run, err := filled.Walk(t.Context(), challenges.Hash{})
	if err != nil {
		t.Fatal(err)
	}
	if err := filled.Close(); err != nil {
		t.Error(err)
	}
	if _, err := run.Next(t.Context()); !errors.Is(err, errEnded) {
		t.Errorf("error %v, want %v", err, errEnded)
	}
	if n := f.Count("allocations"); n != held {
		t.Errorf("%d allocations are left", n-held)
	}
}

func TestLevels(t *testing.T) {
	for chunks, want := range map[int][]uint64{1: {1}, 2: {2}, 3: {3, 2}, 8: {8, 4, 2}, 9: {9, 5, 3, 2}} {
		levels, size := levelsOf(chunks)
		var at uint64
		for i, l := range levels {
			if i >= len(want) || l.n != want[i] || l.at != at {
				t.Errorf("%d chunks: level %d is %+v", chunks, i, l)
			}
			at += l.n * cvBytes
		}
		if len(levels) != len(want) || size != at {
			t.Errorf("%d chunks: %d levels, %d bytes", chunks, len(levels), size)
		}
		// As many as openings speak of.
		_, siblings := commit.Layout{Chunks: chunks, Width: 4}.Parts([]uint32{0})
		for _, s := range siblings {
			if s.Level >= len(levels) || uint64(s.Index) >= levels[s.Level].n {
				t.Errorf("%d chunks: sibling %+v", chunks, s)
			}
		}
	}
}
