package cheat

import (
	"context"
	"errors"
	"math"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/assaynet/assay/challenges"
	"github.com/assaynet/assay/gpu"
	"github.com/assaynet/assay/gpu/models"
	"github.com/assaynet/assay/prover"
)

func TestLiarShare(t *testing.T) {
	const n = 200_000
	for _, share := range []float64{0, 0.01, 0.3, 1} {
		l := Liar{Inner: gpu.Exact{}, Share: share}
		count := 0
		for _, lie := range l.lies(challenges.Hash{1, 2}, n) {
			if lie < 0 || lie > 1<<16 {
				t.Fatalf("share %v: a lie of %d", share, lie)
			}
			if lie != 0 {
				count++
			}
		}
		// Five standard deviations: the key is fixed, so this never flakes.
		if off := math.Abs(float64(count) - share*n); off > 5*math.Sqrt(share*(1-share)*n) {
			t.Errorf("share %v: %d lies of %d", share, count, n)
		}
	}
}

// A coward, and a test, must know the lies from the round's key alone.
func TestLiarFollowsFromTheKey(t *testing.T) {
	l := Liar{Inner: gpu.Exact{}, Share: 0.5}
	a := l.lies(challenges.Hash{1}, 1000)
	if !slices.Equal(a, l.lies(challenges.Hash{1}, 1000)) {
		t.Error("the same key, other lies")
	}
	if slices.Equal(a, l.lies(challenges.Hash{2}, 1000)) {
		t.Error("another key, the same lies")
	}
}

func TestLiarMultiply(t *testing.T) {
	s := challenges.Shape{M: 3, N: 256, K: 64}
	key := challenges.Hash{5}
	truth, told := make([]int32, s.Entries()), make([]int32, s.Entries())
	if err := (gpu.Exact{}).Multiply(t.Context(), key, s, truth); err != nil {
		t.Fatal(err)
	}
	l := Liar{Inner: gpu.Exact{}, Share: 0.2}
	if err := l.Multiply(t.Context(), key, s, told); err != nil {
		t.Fatal(err)
	}
	lies := l.lies(key, len(truth))
	for i := range truth {
		if told[i] != truth[i]+lies[i] {
			t.Errorf("entry %d: told %d, truth %d, lie %d", i, told[i], truth[i], lies[i])
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := l.Multiply(ctx, key, s, told); !errors.Is(err, context.Canceled) {
		t.Errorf("inner's error is lost: %v", err)
	}
}

// cowardJob starts a job of four small rounds on a coward's device.
func cowardJob(t *testing.T, share float64) (gpu.Run, Liar, challenges.MatmulProfile) {
	t.Helper()
	spec, err := models.Lookup("sim-100")
	if err != nil {
		t.Fatal(err)
	}
	l := Liar{Inner: gpu.Exact{}, Share: share}
	d, err := gpu.NewSim(gpu.SimConfig{ID: "gpu0", Claims: spec, Runs: spec, Product: l})
	if err != nil {
		t.Fatal(err)
	}
	row, _ := challenges.LookupMatmul(2)
	run, err := (Coward{Device: d, Liar: l}).Start(t.Context(), gpu.Job{ID: challenges.Hash{1}, Device: "gpu0", Profile: row, Window: 1})
	if err != nil {
		t.Fatal(err)
	}
	return run, l, row
}

// A coward answers what cannot convict it, so that its only trace is silence.
func TestCowardIsSilentIffASampleHits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		run, l, profile := cowardJob(t, 0.3)
		s := profile.Shape
		root, err := run.Next(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		lies := l.lies(root.Key, int(s.Entries()))
		var honest []uint32
		for i, lie := range lies {
			if lie == 0 && len(honest) < 40 {
				honest = append(honest, uint32(i))
			}
		}
		opening, err := run.Open(t.Context(), 0, honest)
		if err != nil {
			t.Fatal(err)
		}
		values, err := challenges.VerifyOpening(root.Root, s.Chunks(), honest, opening)
		if err != nil {
			t.Fatal(err)
		}
		row, col := make([]byte, s.K), make([]byte, s.K)
		for i, e := range honest {
			if values[i] != s.Entry(&root.Key, e, row, col) {
				t.Errorf("entry %d, which it took for honest, is a lie", e)
			}
		}

		if root, err = run.Next(t.Context()); err != nil {
			t.Fatal(err)
		}
		hit := uint32(slices.IndexFunc(l.lies(root.Key, int(s.Entries())), func(v int32) bool { return v != 0 }))
		why := errors.New("deadline")
		ctx, cancel := context.WithTimeoutCause(t.Context(), time.Minute, why)
		defer cancel()
		start := time.Now()
		if _, err := run.Open(ctx, 1, append(honest[:3:3], hit)); !errors.Is(err, why) || time.Since(start) != time.Minute {
			t.Errorf("asked for a lie it said %v after %v, want silence", err, time.Since(start))
		}
	})
}

// Without a lie the coward is an honest device.
func TestCowardWithoutLies(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		run, _, row := cowardJob(t, 0)
		for r := range row.Rounds {
			if _, err := run.Next(t.Context()); err != nil {
				t.Fatal(err)
			}
			if _, err := run.Open(t.Context(), r, []uint32{0, 300, 767}); err != nil {
				t.Fatal(err)
			}
		}
	})
}

func TestBusy(t *testing.T) {
	gate := prover.NewGate()
	b := Busy{gate}
	for epoch := range uint64(3) {
		release, refusal := b.Admit(prover.Request{Challenge: challenges.Challenge{Device: "gpu0", Epoch: epoch}})
		if release != nil || refusal == nil || refusal.Reason != challenges.ReasonBusy {
			t.Fatalf("admitted, or refused with %+v", refusal)
		}
		var f challenges.RefusalFrame
		if err := challenges.Unmarshal(challenges.NewRefusal(refusal.Reason, refusal.Until, refusal.IDs...), &f); err != nil {
			t.Error(err)
		}
	}
	if !b.Busy() {
		t.Error("says that it is free")
	}
	if gate.Busy() {
		t.Error("took the device behind it")
	}
}
