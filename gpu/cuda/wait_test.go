package cuda

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/assaynet/assay/challenges"
)

// Nothing in walks waits for the checker: a silent one is not to look like a card
// that hangs.
func TestWalksWaitForNobody(t *testing.T) {
	d, _ := device(t, "")
	job := memoryJob(t, 501, 1<<13)
	filled, err := d.Fill(t.Context(), job)
	if err != nil {
		t.Fatal(err)
	}
	defer filled.Close()
	run, err := filled.Walk(t.Context(), challenges.Hash{})
	if err != nil {
		t.Fatal(err)
	}
	for r := range job.Set.Rounds {
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		_, err := run.Next(ctx)
		cancel()
		if err != nil {
			t.Fatalf("round %d of %d, none opened: %v", r, job.Set.Rounds, err)
		}
	}
}

// A dataset that was closed is not walked: its memory is somebody else's by now.
func TestWalkAfterClose(t *testing.T) {
	d, _ := device(t, "")
	filled, err := d.Fill(t.Context(), memoryJob(t, 502, 2048))
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := filled.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := filled.Walk(t.Context(), challenges.Hash{}); err == nil {
		t.Error("walked a closed dataset")
	}
	if err := d.thread.Err(); err != nil {
		t.Error(err)
	}
}

func TestCloseEndsDatasets(t *testing.T) {
	f := newFake(t, "")
	d, err := New(t.Context(), f.config(t, 0))
	if err != nil {
		t.Fatal(err)
	}
	filled, err := d.Fill(t.Context(), memoryJob(t, 502, 2048))
	if err != nil {
		t.Fatal(err)
	}
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	if err := filled.Close(); err != nil {
		t.Error(err)
	}
	f.Leaves(t)
}

// Whoever ends a run by its context gets the context's reason, though the run ends by
// it too.
func TestCauseOfTheCaller(t *testing.T) {
	d, f := device(t, "")
	why := errors.New("why")
	for range 5 {
		f.Configure("polls=1000000")
		ctx, cancel := context.WithCancelCause(t.Context())
		run, err := d.Start(ctx, computeJob(t, 2, 1))
		if err != nil {
			t.Fatal(err)
		}
		time.AfterFunc(10*time.Millisecond, func() { cancel(why) })
		time.AfterFunc(30*time.Millisecond, func() { f.Configure("polls=1") })
		if _, err = run.Next(ctx); !errors.Is(err, why) {
			t.Errorf("next: %v", err)
		}
		if err := run.Close(); err != nil {
			t.Error(err)
		}
	}
}
