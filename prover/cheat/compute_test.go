package cheat

import (
	"bytes"
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

// testShapes are a small round of each flavour.
func testShapes() []challenges.Shape {
	return []challenges.Shape{
		{Flavour: challenges.Int8, M: 3, N: 256, K: 64},
		{Flavour: challenges.BF16, M: 3, N: 256, K: 64},
		{Flavour: challenges.FP64, M: 3, N: 128, K: 8},
	}
}

// compute makes a round with a product.
func compute(t *testing.T, p gpu.Product, key challenges.Hash, s challenges.Shape) []byte {
	t.Helper()
	c := make([]byte, s.Bytes())
	if err := p.Compute(t.Context(), key, s, c); err != nil {
		t.Fatal(err)
	}
	return c
}

// wrongs are the entries in which two rounds differ.
func wrongs(s challenges.Shape, a, b []byte) []bool {
	out := make([]bool, s.Entries())
	for i := range out {
		out[i] = !bytes.Equal(a[i*s.Width():][:s.Width()], b[i*s.Width():][:s.Width()])
	}
	return out
}

func count(of []bool) int {
	n := 0
	for _, v := range of {
		if v {
			n++
		}
	}
	return n
}

// Each pattern skips its share on the average over many rounds, in its own pieces.
func TestLiarShare(t *testing.T) {
	shape := challenges.Shape{Flavour: challenges.Int8, M: 16, N: 256, K: 64}
	pieces := map[Pattern]int{"": 1, Spread: 1, Columns: 16, Tiles: 8 * 32, Rounds: 16 * 256}
	for pattern, piece := range pieces {
		for _, share := range []float64{0, 0.01, 0.3, 1} {
			l := Liar{Inner: gpu.Exact{}, Share: share, Pattern: pattern}
			got := 0
			const rounds = 100
			for r := range rounds {
				n := count(l.Skips(challenges.Hash{1, 2, byte(r)}, shape))
				if n%piece != 0 {
					t.Errorf("%q, share %v: %d entries, not whole pieces of %d", pattern, share, n, piece)
				}
				got += n / piece
			}
			// Five standard deviations: the keys are fixed, so this never flakes.
			n := float64(rounds * int(shape.Entries()) / piece)
			if off := math.Abs(float64(got) - share*n); off > 5*math.Sqrt(share*(1-share)*n) {
				t.Errorf("%q, share %v: %d lies of %v", pattern, share, got, n)
			}
		}
	}
}

// A tile or a column at the edge of a matrix ends with it.
func TestLiarAtTheEdge(t *testing.T) {
	for _, s := range testShapes() {
		for _, p := range []Pattern{Spread, Columns, Tiles, Rounds} {
			if n := count((Liar{Share: 1, Pattern: p}).Skips(challenges.Hash{1}, s)); n != int(s.Entries()) {
				t.Errorf("%v, %s: %d of %d entries", s, p, n, s.Entries())
			}
		}
	}
}

// A coward, and a test, must know the lies from the round's key alone.
func TestLiarFollowsFromTheKey(t *testing.T) {
	l := Liar{Inner: gpu.Exact{}, Share: 0.5}
	s := testShapes()[0]
	a := l.Skips(challenges.Hash{1}, s)
	if !slices.Equal(a, l.Skips(challenges.Hash{1}, s)) {
		t.Error("the same key, other lies")
	}
	if slices.Equal(a, l.Skips(challenges.Hash{2}, s)) {
		t.Error("another key, the same lies")
	}
}

// What a liar says it skips is what differs, and nothing else does.
func TestLiarCompute(t *testing.T) {
	key := challenges.Hash{5}
	for _, s := range testShapes() {
		truth := compute(t, gpu.Exact{}, key, s)
		for _, p := range []Pattern{Spread, Columns, Tiles, Rounds} {
			l := Liar{Inner: gpu.Exact{}, Share: 0.4, Pattern: p}
			if !slices.Equal(wrongs(s, truth, compute(t, l, key, s)), l.Skips(key, s)) {
				t.Errorf("%v, %s: other entries than it says", s, p)
			}
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	s := testShapes()[0]
	if err := (Liar{Inner: gpu.Exact{}, Share: 0.4}).Compute(ctx, key, s, make([]byte, s.Bytes())); !errors.Is(err, context.Canceled) {
		t.Errorf("inner's error is lost: %v", err)
	}
}

// cowardJob starts a job of four small rounds on a coward's device.
func cowardJob(t *testing.T, profile uint16, share float64) (gpu.Run, Liar, challenges.Profile) {
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
	row, _ := challenges.LookupProfile(profile)
	run, err := (Coward{Device: d, Liar: l}).Start(t.Context(), gpu.Job{ID: challenges.Hash{1}, Device: "gpu0", Profile: row, Window: 1})
	if err != nil {
		t.Fatal(err)
	}
	return run, l, row
}

// A coward answers what cannot convict it, so that its only trace is silence.
func TestCowardIsSilentIfASampleHits(t *testing.T) {
	for _, profile := range []uint16{2, 5, 6} {
		synctest.Test(t, func(t *testing.T) { cowardIsSilent(t, profile) })
	}
}

func cowardIsSilent(t *testing.T, profile uint16) {
	run, l, row := cowardJob(t, profile, 0.3)
	s := row.Shape
	root, err := run.Next(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var honest []uint32
	for i, lie := range l.Skips(root.Key, s) {
		if !lie && len(honest) < 40 {
			honest = append(honest, uint32(i))
		}
	}
	opening, err := run.Open(t.Context(), 0, honest)
	if err != nil {
		t.Fatal(err)
	}
	values, err := s.Layout().Verify(root.Root, honest, opening)
	if err != nil {
		t.Fatal(err)
	}
	truth := make([]uint64, len(honest))
	s.Values(&root.Key, honest, truth)
	if !slices.Equal(values, truth) {
		t.Errorf("%v: an entry that it took for honest is a lie", s)
	}

	if root, err = run.Next(t.Context()); err != nil {
		t.Fatal(err)
	}
	hit := uint32(slices.Index(l.Skips(root.Key, s), true))
	why := errors.New("deadline")
	ctx, cancel := context.WithTimeoutCause(t.Context(), time.Minute, why)
	defer cancel()
	start := time.Now()
	if _, err := run.Open(ctx, 1, append(honest[:3:3], hit)); !errors.Is(err, why) || time.Since(start) != time.Minute {
		t.Errorf("%v: asked for a lie it said %v after %v, want silence", s, err, time.Since(start))
	}
}

// Without a lie the coward is an honest device.
func TestCowardWithoutLies(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		run, _, row := cowardJob(t, 2, 0)
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
	gate := prover.NewGate(prover.GateConfig{PerEpoch: 1})
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
