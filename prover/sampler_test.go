package prover

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/assaynet/assay/challenges"
	"github.com/assaynet/assay/gpu"
	"github.com/assaynet/assay/gpu/telemetry"
)

// gauge is a card's monitor that counts its samples.
type gauge struct {
	gpu.Monitor

	inventory telemetry.Inventory
	noCard    error
	sample    func(ctx context.Context, n int) (telemetry.Snapshot, error) // the nth, from 0; nil: plain
	takes     time.Duration                                                // each call, whatever its context says
	calls     atomic.Int64
	now, most atomic.Int64 // calls at one time
}

// Attest is of a card that signs nothing.
func (g *gauge) Attest(context.Context, [32]byte) (gpu.Evidence, error) {
	return gpu.Evidence{}, gpu.ErrNoAttestation
}

func (g *gauge) Inventory(context.Context) (telemetry.Inventory, error) {
	time.Sleep(g.takes)
	return g.inventory, g.noCard
}

func (g *gauge) Sample(ctx context.Context) (telemetry.Snapshot, error) {
	n := int(g.calls.Add(1)) - 1
	g.most.Store(max(g.most.Load(), g.now.Add(1)))
	defer g.now.Add(-1)
	time.Sleep(g.takes)
	if g.sample != nil {
		return g.sample(ctx, n)
	}
	var s telemetry.Snapshot
	s.Set(telemetry.Power, int64(n))
	return s, nil
}

var h100 = telemetry.Inventory{Name: "NVIDIA H100", UUID: "GPU-1", Driver: "570.1"}

// sampled runs a sampler for so long, and reads what it made.
func sampled(t *testing.T, g *gauge, runs time.Duration) (*telemetry.Record, time.Duration) {
	t.Helper()
	start := time.Now()
	s := startSampler(t.Context(), g, start.Add(-time.Second))
	if time.Since(start) != 0 {
		t.Error("the challenge waits")
	}
	time.Sleep(runs)
	stopped := time.Now()
	b := s.stop()
	took := time.Since(stopped)
	if again := s.stop(); !slices.Equal(b, again) {
		t.Error("stopped twice")
	}
	if b == nil {
		return nil, took
	}
	var r telemetry.Record
	if err := challenges.Unmarshal(b, &r); err != nil || len(b) > 4096 {
		t.Fatalf("%d bytes: %v", len(b), err)
	}
	return &r, took
}

func TestSampler(t *testing.T) {
	ms := time.Millisecond
	full := func(_ context.Context, _ int) (s telemetry.Snapshot, err error) {
		for _, k := range telemetry.Kinds() {
			s.Set(k, 1<<62)
		}
		return s, nil
	}
	wordy := telemetry.Inventory{Name: strings.Repeat("n", 96), Serial: strings.Repeat("s", 96), VBIOS: strings.Repeat("v", 96)}
	tests := []struct {
		name  string
		gauge *gauge
		runs  time.Duration
		at    []time.Duration // of the snapshots, since the start; nil: no record
		stop  time.Duration   // at most
	}{
		{"at once over", &gauge{inventory: h100}, 0, []time.Duration{0, 0}, 0},
		{"short", &gauge{inventory: h100}, 350 * ms, []time.Duration{0, 100 * ms, 200 * ms, 300 * ms, 350 * ms}, 0},
		{"many", &gauge{inventory: h100}, 2250 * ms, []time.Duration{0, 200 * ms, 400 * ms, 600 * ms, 800 * ms, 1000 * ms, 1300 * ms, 1500 * ms, 1700 * ms, 1900 * ms, 2100 * ms, 2250 * ms}, 0},
		{"no inventory", &gauge{noCard: errors.New("lost")}, time.Second, nil, 0},
		{"an inventory that is none", &gauge{inventory: telemetry.Inventory{Name: strings.Repeat("n", 97)}}, time.Second, nil, 0},
		{"a name in no script", &gauge{inventory: telemetry.Inventory{Name: "\xff"}}, time.Second, nil, 0},
		{"no samples", &gauge{inventory: h100, sample: func(context.Context, int) (s telemetry.Snapshot, err error) { return s, errors.New("lost") }}, time.Second, []time.Duration{}, 0},
		{"a sample that is none", &gauge{inventory: h100, sample: func(context.Context, int) (s telemetry.Snapshot, err error) {
			s.Readings = []telemetry.Reading{{Kind: 200}}
			return s, nil
		}}, time.Second, []time.Duration{}, 0},
		{"fails in between", &gauge{inventory: h100, sample: func(_ context.Context, n int) (s telemetry.Snapshot, err error) {
			switch n {
			case 0:
				err = errors.New("busy")
			case 2:
				s.Readings = []telemetry.Reading{{Kind: 200}}
			}
			return s, err
		}}, 350 * ms, []time.Duration{100 * ms, 300 * ms, 350 * ms}, 0},
		{"slow", &gauge{inventory: h100, takes: 150 * ms}, 390 * ms, []time.Duration{0, 250 * ms, 400 * ms}, 200 * ms},
		{"hangs", &gauge{inventory: h100, takes: time.Hour}, time.Minute, nil, 0},
		{"hangs for a while", &gauge{inventory: h100, sample: func(_ context.Context, n int) (s telemetry.Snapshot, err error) {
			if n == 2 {
				time.Sleep(950 * ms)
			}
			return s, nil
		}}, 1350 * ms, []time.Duration{0, 100 * ms, 1200 * ms, 1300 * ms, 1350 * ms}, 0},
		{"no time for the last", &gauge{inventory: h100, takes: 450 * ms}, 50 * ms, []time.Duration{0}, 500 * ms},
		{"hangs in the end", &gauge{inventory: h100, sample: func(_ context.Context, n int) (s telemetry.Snapshot, err error) {
			if n == 2 {
				time.Sleep(time.Hour)
			}
			return s, nil
		}}, 250 * ms, []time.Duration{0, 100 * ms}, 500 * ms},
		{"too much to say", &gauge{inventory: wordy, sample: full}, 10 * time.Second, []time.Duration{}, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r, took := sampled(t, tt.gauge, tt.runs)
				if took > tt.stop {
					t.Errorf("stop took %v", took)
				}
				if tt.gauge.most.Load() > 1 {
					t.Errorf("%d calls at one time", tt.gauge.most.Load())
				}
				if r == nil || tt.at == nil {
					if r != nil || tt.at != nil {
						t.Errorf("record %+v", r)
					}
					time.Sleep(2 * time.Hour) // what hangs ends
					return
				}
				var at []time.Duration
				for _, s := range r.Snapshots {
					at = append(at, s.At-time.Second)
				}
				if tt.name == "too much to say" {
					if n := len(at); n < 5 || n > 11 || at[0] != 0 || at[n-1] != tt.runs {
						t.Errorf("snapshots at %v", at)
					}
				} else if !slices.Equal(at, tt.at) || r.Inventory != tt.gauge.inventory {
					t.Errorf("snapshots at %v, want %v; %+v", at, tt.at, r.Inventory)
				}
				time.Sleep(2 * time.Hour)
			})
		})
	}
}

// A long run takes no more memory than a short one, nor ever more samples.
func TestSamplerOfALongRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := &gauge{inventory: h100}
		start := time.Now()
		s := startSampler(t.Context(), g, start)
		time.Sleep(10 * time.Hour)
		b := s.stop()
		if n := g.calls.Load(); n > 64+14*32+1 {
			t.Errorf("%d samples", n)
		}
		if n := len(s.snapshots); n > maxSamples+1 || n < maxSamples/2 || cap(s.snapshots) > 2*maxSamples {
			t.Errorf("%d snapshots", n)
		}
		var r telemetry.Record
		if err := challenges.Unmarshal(b, &r); err != nil || len(r.Snapshots) != telemetry.MaxSnapshots {
			t.Fatalf("%d snapshots, %v", len(r.Snapshots), err)
		}
		if r.Snapshots[0].At != 0 || r.Snapshots[11].At != 10*time.Hour {
			t.Errorf("from %v to %v", r.Snapshots[0].At, r.Snapshots[11].At)
		}
		for i := range 11 {
			if gap := r.Snapshots[i+1].At - r.Snapshots[i].At; gap < 40*time.Minute || gap > 80*time.Minute {
				t.Errorf("a gap of %v", gap)
			}
		}
	})
}

// What ends the challenge ends the sampler, and nothing is owed without a monitor.
func TestSamplerEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		g := &gauge{inventory: h100}
		s := startSampler(ctx, g, time.Now())
		time.Sleep(250 * time.Millisecond)
		cancel()
		time.Sleep(time.Hour)
		if n := g.calls.Load(); n != 3 {
			t.Errorf("%d samples", n)
		}
		if b := s.stop(); b == nil {
			t.Error("no record")
		}
		if b := startSampler(t.Context(), nil, time.Now()).stop(); b != nil {
			t.Error("a record of no monitor")
		}
	})
}
