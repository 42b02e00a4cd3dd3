package bench

import (
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/assaynet/assay/challenges"
	"github.com/assaynet/assay/checker/committee"
	"github.com/assaynet/assay/gpu"
	"github.com/assaynet/assay/gpu/models"
	"github.com/assaynet/assay/prover/cheat"
)

// rated is a simulated device that claims to be a sim-100 and runs at a rate of
// its own, the same in every flavour.
func rated(t *testing.T, rate uint64, p gpu.Product) gpu.Device {
	t.Helper()
	claims, err := models.Lookup("sim-100")
	if err != nil {
		t.Fatal(err)
	}
	runs := models.Spec{Simulated: true, Int8Ops: rate, BF16Ops: rate, FP64Ops: rate}
	d, err := gpu.NewSim(gpu.SimConfig{ID: "gpu0", Product: p, Claims: claims, Runs: runs})
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// spacing is the rate that the median gap between the arrivals of two roots would
// show, if anybody looked at it.
func spacing(t *testing.T, s *challenges.Session, shape challenges.Shape) float64 {
	t.Helper()
	var at, gaps []time.Duration
	for _, e := range s.Transcript().Events {
		var f challenges.RootFrame
		if e.Stream == challenges.StreamControl && !e.Out && challenges.Unmarshal(e.Frame, &f) == nil {
			at = append(at, e.At)
		}
	}
	for i := range at[1:] {
		gaps = append(gaps, at[i+1]-at[i])
	}
	slices.Sort(gaps)
	return float64(shape.Ops()) / gaps[len(gaps)/2].Seconds()
}

// TestRootsComputedAhead: a device that runs ahead of its roots and then sends
// them close together looks many times as fast to whoever measures the gaps. The
// bounds do not move, after a warm-up neither: no key exists before its positions.
func TestRootsComputedAhead(t *testing.T) {
	const rate = 40e6 // of every flavour
	for _, profile := range []uint16{1, 3, 4, 7, 8} {
		row, err := challenges.LookupProfile(profile)
		if err != nil {
			t.Fatal(err)
		}
		round := time.Duration(float64(row.Shape.Ops()) / rate * 1e9)
		for _, window := range []int{1, 3, row.MaxWindow()} {
			t.Run(fmt.Sprintf("%s, window %d", row.Name, window), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					a := newArena(t, time.Millisecond, nil, cheat.Hold{Device: rated(t, rate, nil), Pace: round / 50})
					s := a.play(bout{profile: profile, window: window})
					v := s.Verdict()
					if v.OpsLower == 0 || v.OpsLower > rate || v.OpsBest > rate {
						t.Errorf("a device of %.0f ops/s shows %d and %d (%v)", float64(rate), v.OpsLower, v.OpsBest, v.Outcome)
					}
					// The attack works against the statistic that the protocol does not use.
					if got := spacing(t, s, row.Shape); window > 1 && got < 10*rate {
						t.Errorf("the gaps show %.0f ops/s", got)
					}
				})
			})
		}
	}
}

// TestRoundTripShown: the provider decides how long its pings take, so no round
// trip moves a bound. It is forgiven 3 % in the mark late, at most; and more than
// a twentieth of the time at the claim leaves no figure at all.
func TestRoundTripShown(t *testing.T) {
	const need = 95e6 * 85 / 100 // less is late
	tests := []struct {
		name   string
		rate   uint64
		rtt    time.Duration // shown
		want   challenges.Outcome
		figure bool
	}{
		{"in time, near", 100e6, time.Millisecond, challenges.Pass, true},
		{"in time, far", 100e6, 40 * time.Millisecond, challenges.Pass, true},
		{"in time, just near enough for a figure", 100e6, 44 * time.Millisecond, challenges.Pass, true},
		{"in time, too far for a figure", 100e6, 45 * time.Millisecond, challenges.Pass, false},
		{"in time, very far", 100e6, 2 * time.Second, challenges.Pass, false},
		{"2 % short, near", need * 98 / 100, time.Millisecond, challenges.Late, true},
		{"2 % short, far", need * 98 / 100, 40 * time.Millisecond, challenges.Pass, true},
		{"4 % short, near", need * 96 / 100, time.Millisecond, challenges.Late, true},
		{"4 % short, far", need * 96 / 100, 44 * time.Millisecond, challenges.Late, true},
		{"4 % short, and so no nearer to a figure", need * 96 / 100, 50 * time.Millisecond, challenges.Pass, false},
		// Without a figure nobody is late either, and nothing is shown.
		{"half as fast, too far for a figure", need / 2, 200 * time.Millisecond, challenges.Pass, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				a := newArena(t, 0, nil, rated(t, tt.rate, nil))
				near := a.play(bout{profile: 1, window: 4, rtt: time.Millisecond}).Verdict()
				v := a.play(bout{profile: 1, window: 4, rtt: tt.rtt}).Verdict()
				if v.Outcome != tt.want || (v.OpsLower > 0) != tt.figure {
					t.Errorf("verdict %+v, want %v, figure %v", v, tt.want, tt.figure)
				}
				if v.OpsLower > 0 && (v.OpsLower != near.OpsLower || v.OpsBest != near.OpsBest) {
					t.Errorf("bounds %d and %d, near by %d and %d", v.OpsLower, v.OpsBest, near.OpsLower, near.OpsBest)
				}
			})
		})
	}
}

// TestRoundTripTooLongForAProfile: a network that asks for a figure asks nothing
// of a provider that says it is too far away for one.
func TestRoundTripTooLongForAProfile(t *testing.T) {
	for purpose, most := range map[challenges.Purpose]time.Duration{
		// Of a spot row the positions would come too late, of a capacity row a twentieth
		// of the measured time is less.
		challenges.Spot: 32 * time.Millisecond, challenges.Capacity: 176 * time.Millisecond,
	} {
		want := committee.Want{Flavour: challenges.Int8, Purpose: purpose, Simulated: true, Claim: 95e6, RTT: most}
		if _, err := committee.Choose(want); err != nil {
			t.Errorf("%s at %v: %v", purpose, most, err)
		}
		want.RTT += 2 * time.Millisecond
		if c, err := committee.Choose(want); err == nil {
			t.Errorf("%s at %v: row %d", purpose, want.RTT, c.Profile.Number)
		}
	}
}

// TestRoundsInAPipeline: roots that are invented so that the next round can start
// elsewhere. Every round is sampled, so the very first challenge shows it.
func TestRoundsInAPipeline(t *testing.T) {
	for _, profile := range []uint16{1, 3, 4, 7, 8} {
		for invent, want := range map[bool]challenges.Verdict{
			true:  {Outcome: challenges.Wrong, Clause: challenges.ClauseValue},
			false: {Outcome: challenges.Withheld, Clause: challenges.ClauseAuthentic},
		} {
			synctest.Test(t, func(t *testing.T) {
				pipeline := cheat.Pipeline{
					Device: simDevice(t, "sim-400", "sim-100", nil), Product: gpu.Exact{}, Every: 13 * time.Millisecond, Invent: invent,
				}
				claim := 380e6
				if profile == 4 {
					claim = 152e6
				}
				a := newArena(t, time.Millisecond, nil, pipeline)
				s := a.play(bout{profile: profile, claim: uint64(claim)})
				if v := s.Verdict(); v.Outcome != want.Outcome || v.Clause != want.Clause {
					t.Errorf("row %d: verdict %+v, want %v", profile, v, want.Outcome)
				}
				if err := replays(s); err != nil {
					t.Errorf("row %d: %v", profile, err)
				}
			})
		}
	}
}

// TestCardsAsOneResponder: four cards that share each round's rows are not caught:
// they pass, as one responder of four times the rate. That is what is claimed.
func TestCardsAsOneResponder(t *testing.T) {
	for profile, rate := range map[uint16]uint64{1: 400e6, 3: 400e6, 4: 160e6} {
		synctest.Test(t, func(t *testing.T) {
			a := newArena(t, 0, nil, simDevice(t, "sim-400", "sim-400", cheat.Cards(4)))
			v := a.play(bout{profile: profile, claim: rate / 100 * 95}).Verdict()
			if v.Outcome != challenges.Pass || v.OpsLower < rate/100*99 || v.OpsLower > rate {
				t.Errorf("row %d: verdict %+v, want a pass of %d ops/s", profile, v, rate)
			}
		})
	}
}

// TestOneCardUnderTwoNames: asked under both names at once, a card shows what it
// has, once: both names are late, and their work over their time is within its rate.
// Asked one after the other it passes under both.
func TestOneCardUnderTwoNames(t *testing.T) {
	const rate = 100e6
	row, err := challenges.LookupProfile(1)
	if err != nil {
		t.Fatal(err)
	}
	for _, together := range []bool{true, false} {
		synctest.Test(t, func(t *testing.T) {
			a := newArena(t, time.Millisecond, nil, cardDevices(t, 1, 2)...)
			verdicts := make(chan challenges.Verdict, 2)
			for _, name := range []string{"gpu0", "gpu1"} {
				go func() { verdicts <- a.play(bout{profile: 1, device: name}).Verdict() }()
				if !together {
					time.Sleep(10 * time.Second)
				}
			}
			x, y := <-verdicts, <-verdicts
			want := challenges.Pass
			if together {
				want = challenges.Late
				// The bounds' sum is over two intervals, one of which is a round shorter.
				both := 2 * float64(row.TotalOps()) / max(x.Elapsed, y.Elapsed).Seconds()
				if both > rate || x.OpsLower+y.OpsLower > rate/100*102 {
					t.Errorf("together %.0f, bounds %d and %d, of one card of %.0f", both, x.OpsLower, y.OpsLower, float64(rate))
				}
			}
			if x.Outcome != want || y.Outcome != want || x.OpsLower == 0 || y.OpsLower == 0 {
				t.Errorf("together %v: %+v and %+v, want %v", together, x, y, want)
			}
		})
	}
}
