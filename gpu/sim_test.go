package gpu

import (
	"context"
	"errors"
	"io"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/assaynet/assay/challenges"
	"github.com/assaynet/assay/gpu/models"
)

func spec(t *testing.T, name string) models.Spec {
	t.Helper()
	s, err := models.Lookup(name)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// simulate starts the small job on a simulated device; call it in a bubble.
func simulate(t *testing.T, claims, runs string, p Product, window int) (run Run, round time.Duration) {
	t.Helper()
	run = start(t, claims, runs, p, testJob(t, window))
	return run, time.Duration(testJob(t, window).Profile.Shape.Ops() * 1e9 / spec(t, runs).Int8Ops)
}

// start starts a job on a simulated device; call it in a bubble.
func start(t *testing.T, claims, runs string, p Product, job Job) Run {
	t.Helper()
	d, err := NewSim(SimConfig{ID: "gpu0", Claims: spec(t, claims), Runs: spec(t, runs), Product: p})
	if err != nil {
		t.Fatal(err)
	}
	run, err := d.Start(t.Context(), job)
	if err != nil {
		t.Fatal(err)
	}
	return run
}

// slow is a product on a machine that takes its time.
type slow struct{ per time.Duration }

func (s slow) Compute(ctx context.Context, key challenges.Hash, shape challenges.Shape, c []byte) error {
	time.Sleep(s.per)
	return Exact{}.Compute(ctx, key, shape, c)
}

func TestSimRoundsComeWhenTheModelWouldMakeThem(t *testing.T) {
	tests := []struct {
		name    string
		profile uint16
		model   string
		round   time.Duration
	}{
		// 98,304 operations a round.
		{"int8 at 100e6", 2, "sim-100", 983_040},
		{"int8 at 200e6", 2, "sim-200", 491_520},
		{"int8 at 400e6", 2, "sim-400", 245_760},
		{"bf16 at 100e6", 5, "sim-100", 983_040},
		{"bf16 at 400e6", 5, "sim-400", 245_760},
		// 49,152.
		{"fp64fma at 40e6", 6, "sim-100", 1_228_800},
		{"fp64fma at 160e6", 6, "sim-400", 307_200},
		// 5,242,880: the warm-up is as slow as what is measured.
		{"after a warm-up", 8, "sim-400", 13_107_200},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				began := time.Now()
				job := jobOf(t, tt.profile, 1)
				run := start(t, "sim-100", tt.model, nil, job)
				for r := range job.Profile.Rounds {
					root := next(t, run)
					if got, want := time.Since(began), time.Duration(r+1)*tt.round; root.Round != r || got != want {
						t.Errorf("root %d after %v, want root %d after %v", root.Round, got, r, want)
					}
					open(t, run, r, 0)
				}
				if _, err := run.Next(t.Context()); !errors.Is(err, io.EOF) {
					t.Errorf("after the last round: %v", err)
				}
			})
		})
	}
}

// A device of one rate for each flavour, all different: a round takes its own.
func TestSimRatesAreTheFlavours(t *testing.T) {
	runs := models.Spec{Name: "lopsided", Simulated: true, Int8Ops: 98_304_000, BF16Ops: 49_152_000, FP64Ops: 4_915_200}
	for profile, want := range map[uint16]time.Duration{
		2: time.Millisecond, 5: 2 * time.Millisecond, 6: 10 * time.Millisecond,
	} {
		synctest.Test(t, func(t *testing.T) {
			d, err := NewSim(SimConfig{ID: "gpu0", Claims: spec(t, "sim-100"), Runs: runs})
			if err != nil {
				t.Fatal(err)
			}
			began := time.Now()
			run, err := d.Start(t.Context(), jobOf(t, profile, 1))
			if err != nil {
				t.Fatal(err)
			}
			next(t, run)
			if got := time.Since(began); got != want {
				t.Errorf("profile %d: a round takes %v, want %v", profile, got, want)
			}
		})
	}
}

// A device that claims a flavour which it does not run never answers; it does not
// answer at once.
func TestSimRunsNothingAtNoRate(t *testing.T) {
	runs := models.Spec{Name: "int8 only", Simulated: true, Int8Ops: 100e6}
	synctest.Test(t, func(t *testing.T) {
		d, err := NewSim(SimConfig{ID: "gpu0", Claims: spec(t, "sim-100"), Runs: runs})
		if err != nil {
			t.Fatal(err)
		}
		run, err := d.Start(t.Context(), jobOf(t, 6, 1))
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 24*time.Hour)
		defer cancel()
		if root, err := run.Next(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("root %d, %v", root.Round, err)
		}
	})
}

// A machine faster than the model does not show, up to the model's pace.
func TestSimHidesTheMachine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		run, round := simulate(t, "sim-100", "sim-100", slow{900 * time.Microsecond}, 1)
		for r := range 4 {
			next(t, run)
			if got, want := time.Since(start), time.Duration(r+1)*round; got != want {
				t.Errorf("root %d after %v, want %v", r, got, want)
			}
			open(t, run, r, 0)
		}
	})
}

// The model cannot start a round whose key is not known yet: late positions cost
// the device time, and what was lost stays lost.
func TestSimStallsOnLatePositions(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		run, round := simulate(t, "sim-100", "sim-100", nil, 1)
		next(t, run)
		next(t, run)
		go func() {
			// The positions that round 2 needs come three rounds late, those of round 3
			// in time.
			for r, wait := range []time.Duration{3 * round, round / 4} {
				time.Sleep(wait)
				if _, err := run.Open(t.Context(), r, []uint32{0}); err != nil {
					t.Error(err)
				}
			}
		}()
		for r, want := range []time.Duration{6 * round, 7 * round} {
			if root := next(t, run); root.Round != r+2 || time.Since(start) != want {
				t.Errorf("root %d after %v, want root %d after %v", root.Round, time.Since(start), r+2, want)
			}
		}
	})
}

// The first measured round begins when the last positions of the warm-up come,
// whatever the window: a device cannot work ahead of the checker's clock.
func TestSimStallsAtTheEndOfTheWarmUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		job := jobOf(t, 8, 4)
		warm, began := job.Profile.Warm, time.Now()
		run := start(t, "sim-100", "sim-100", nil, job)
		round := time.Duration(job.Profile.Shape.Ops() * 1e9 / spec(t, "sim-100").Int8Ops)
		for r := range warm {
			next(t, run)
			if r < warm-1 {
				open(t, run, r, 0)
			}
		}
		go func() {
			time.Sleep(3 * round)
			if _, err := run.Open(t.Context(), warm-1, []uint32{0}); err != nil {
				t.Error(err)
			}
		}()
		// The stall is three rounds, once.
		for r := warm; r <= warm+4; r++ {
			root := next(t, run)
			if got, want := time.Since(began), time.Duration(r+1+3)*round; root.Round != r || got != want {
				t.Errorf("root %d after %v, want root %d after %v", root.Round, got, r, want)
			}
		}
	})
}

func TestSimOverrun(t *testing.T) {
	tests := []struct {
		name    string
		per     time.Duration // in halves of a round
		overrun bool
	}{
		{"as fast as the model", 2, false},
		{"half a round late", 3, false},
		{"a round late", 4, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				_, round := simulate(t, "sim-100", "sim-100", nil, 1)
				run, _ := simulate(t, "sim-100", "sim-100", slow{tt.per * round / 2}, 1)
				_, err := run.Next(t.Context())
				if errors.Is(err, ErrOverrun) != tt.overrun || (err == nil) == tt.overrun {
					t.Errorf("error %v, want overrun %v", err, tt.overrun)
				}
			})
		})
	}
}

// Lateness adds up: a machine a little too slow is found out, not excused round
// by round.
func TestSimOverrunAddsUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, round := simulate(t, "sim-100", "sim-100", nil, 1)
		run, _ := simulate(t, "sim-100", "sim-100", slow{round + round/5}, 1)
		for r := range 4 {
			_, err := run.Next(t.Context())
			// 0.2, 0.4 and 0.6 rounds late.
			if want := r >= 2; errors.Is(err, ErrOverrun) != want {
				t.Fatalf("round %d: %v, want overrun %v", r, err, want)
			}
			if err != nil {
				return
			}
			open(t, run, r, 0)
		}
	})
}

func TestSimNextStopsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		run, round := simulate(t, "sim-100", "sim-100", nil, 1)
		start := time.Now()
		why := errors.New("checker left")
		ctx, cancel := context.WithTimeoutCause(t.Context(), round/2, why)
		defer cancel()
		if _, err := run.Next(ctx); !errors.Is(err, why) || time.Since(start) != round/2 {
			t.Errorf("error %v after %v", err, time.Since(start))
		}
	})
}

func TestNewSim(t *testing.T) {
	real := models.Spec{Name: "H100", Memory: 80 << 30, Int8Ops: 1e15}
	claims, runs := spec(t, "sim-200"), spec(t, "sim-100")
	if _, err := NewSim(SimConfig{ID: "a", Claims: real, Runs: runs}); err == nil {
		t.Error("a simulated device claims to be a real model")
	}
	if _, err := NewSim(SimConfig{ID: "a", Claims: claims, Runs: real}); err == nil {
		t.Error("a simulated device runs at a real model's rate")
	}
	d, err := NewSim(SimConfig{ID: "a", Claims: claims, Runs: runs})
	if err != nil {
		t.Fatal(err)
	}
	// The claim is the 10th percentile of a self-test: 95 % of what it claims to be.
	want := Info{ID: "a", Model: "sim-200", Memory: claims.Memory, Simulated: true, Int8Ops: 190e6, BF16Ops: 190e6, FP64Ops: 76e6}
	if d.Info() != want {
		t.Errorf("info %+v, want %+v", d.Info(), want)
	}
	offer := challenges.OfferDevice{ID: "a", Model: "sim-200", Memory: claims.Memory, Int8Ops: 190e6, BF16Ops: 190e6, FP64Ops: 76e6}
	if got := d.Info().Offer(); got != offer {
		t.Errorf("offer %+v, want %+v", got, offer)
	}
	claims.BF16Ops = 0
	if d, err = NewSim(SimConfig{ID: "a", Claims: claims, Runs: runs}); err != nil {
		t.Fatal(err)
	}
	if got := d.Info().Offer().Flavours(); !slices.Equal(got, []challenges.Flavour{challenges.Int8, challenges.FP64}) {
		t.Errorf("a model without a bf16 rate is offered for %v", got)
	}
	claims.Int8Ops = 99
	if _, err := NewSim(SimConfig{ID: "a", Claims: claims, Runs: runs}); err == nil {
		t.Error("a device without a claim")
	}
	job := testJob(t, 1)
	job.Profile.Shape.N = 255
	if _, err := d.Start(t.Context(), job); err == nil {
		t.Error("a shape outside the protocol's was started")
	}
}

func TestRoundTime(t *testing.T) {
	for _, tt := range []struct {
		ops, rate uint64
		want      time.Duration
	}{
		{5_242_880, 100e6, 52_428_800},
		{2 * 4096 * 4096 * 1024, 100e6, 343_597_383_680},
		{1 << 63, 1, 1<<63 - 1},
	} {
		if got := roundTime(tt.ops, tt.rate); got != tt.want {
			t.Errorf("%d operations at %d ops/s take %v, want %v", tt.ops, tt.rate, got, tt.want)
		}
	}
}
