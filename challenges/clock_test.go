package challenges

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"
)

const ms = time.Millisecond

// schedule is when the roots of a run came and their positions left.
type schedule struct {
	in, out []time.Duration
}

// judge is the verdict on a run with that schedule, of which so many rounds were
// opened: complete, or at its deadline.
func (c schedule) judge(row Profile, p ComputeParams, opened int, at time.Duration) Verdict {
	m := newComputeScript(Hash{}, "gpu0", p, Secret{})
	for i, in := range c.in {
		m.rounds = append(m.rounds, round{in: in, out: c.out[i], mono: in})
	}
	m.opened = opened
	if opened == row.Rounds {
		m.time(Pass, opened, at)
	} else {
		m.end(EndTimeout, at)
	}
	return m.v
}

// perRound is a duration for each round.
type perRound func(round int) time.Duration

func always(d time.Duration) perRound { return func(int) time.Duration { return d } }

// device is a provider whose rounds cost so much. Nothing else binds it: hold says
// how long it keeps a root back, and lag how long the checker takes to answer.
// Positions reach it in no time, the case that is best for it.
func device(row Profile, window, rounds int, cost, hold, lag perRound) (c schedule) {
	var done, sent time.Duration
	for r := range rounds {
		start := done
		// A key is known once the root before it is, and the positions that feed it.
		if r > 0 {
			if from := row.Feeds(r, window); from >= 0 {
				start = max(start, c.out[from])
			}
		}
		done = start + cost(r)
		sent = max(sent, done+hold(r))
		c.in = append(c.in, sent)
		c.out = append(c.out, sent+lag(r))
	}
	return c
}

var none = always(0)

// TestFeeds: whose positions enter a key.
func TestFeeds(t *testing.T) {
	for _, tt := range []struct {
		profile       uint16
		round, window int
		want          int
	}{
		{1, 1, 1, -1},
		{1, 2, 1, 0},
		{1, 15, 4, 10},
		{1, 4, 4, -1},
		{1, 5, 4, 0},
		{7, 5, 5, -1},
		{7, 6, 5, 0},
		{8, 1, 1, -1},
		{8, 15, 5, 9},
		{8, 16, 5, 15},
		{8, 17, 5, 11},
		{8, 16, 20, 15},
		{8, 17, 20, -4},
		{8, 21, 20, 0},
		{8, 79, 1, 77},
	} {
		row, _ := LookupProfile(tt.profile)
		got := row.Feeds(tt.round, tt.window)
		if got != tt.want && (got >= 0 || tt.want >= 0) {
			t.Errorf("%s, round %d, window %d: round %d, want %d", row.Name, tt.round, tt.window, got, tt.want)
		}
	}
}

// TestBoundsNeverExceedTheTrueRate: whatever roots a provider holds back, and
// whatever round-trip time it showed before, both bounds stay below its rate.
func TestBoundsNeverExceedTheTrueRate(t *testing.T) {
	for _, profile := range []uint16{1, 7, 8} {
		row, _ := LookupProfile(profile)
		t.Run(row.Name, func(t *testing.T) {
			best := 0.0
			rapid.Check(t, func(t *rapid.T) {
				d := time.Duration(rapid.Int64Range(int64(ms), int64(100*ms)).Draw(t, "round"))
				p := ComputeParams{
					Profile: profile, Window: uint8(rapid.IntRange(1, row.MaxWindow()).Draw(t, "window")),
					Claim: rapid.Uint64Range(1e6, 1e10).Draw(t, "claim"),
					RTT:   time.Duration(max(0, rapid.Int64Range(-int64(ms), int64(10*ms)).Draw(t, "rtt"))),
				}
				// Roots are kept back to come in bursts, and some at random besides.
				holds := make([]time.Duration, row.Rounds)
				for range rapid.IntRange(0, 4).Draw(t, "bursts") {
					from := rapid.IntRange(0, row.Rounds-1).Draw(t, "from")
					to := min(row.Rounds, from+rapid.IntRange(1, row.Rounds).Draw(t, "roots"))
					for r := from; r < to; r++ {
						holds[r] += time.Duration(to-1-r) * d
					}
				}
				for range rapid.IntRange(0, 3).Draw(t, "held") {
					holds[rapid.IntRange(0, row.Rounds-1).Draw(t, "root")] += time.Duration(rapid.Int64Range(0, int64(40*d)).Draw(t, "hold"))
				}
				hold := func(r int) time.Duration { return holds[r] }
				lags := rapid.SliceOfN(rapid.Int64Range(0, int64(d)/50), row.Rounds, row.Rounds).Draw(t, "lags")
				lag := func(r int) time.Duration { return time.Duration(lags[r]) }
				rounds := row.Rounds
				if rapid.Bool().Draw(t, "cut") {
					rounds = rapid.IntRange(1, row.Rounds-1).Draw(t, "rounds")
				}
				c := device(row, int(p.Window), rounds, always(d), hold, lag)
				v := c.judge(row, p, rounds, max(c.out[rounds-1], row.Deadline(p.Claim, p.RTT)))
				if rate := rate(row.Shape.Ops(), d); v.OpsLower > rate || v.OpsBest > rate {
					t.Fatalf("a device of %d ops/s shows %d and %d", rate, v.OpsLower, v.OpsBest)
				} else {
					best = max(best, float64(v.OpsLower)/float64(rate), float64(v.OpsBest)/float64(rate))
				}
			})
			t.Logf("largest share of the true rate that was shown: %.3f", best)
		})
	}
}

// TestHonestScheduleShowsItsRate: the bounds are of use.
func TestHonestScheduleShowsItsRate(t *testing.T) {
	for _, profile := range []uint16{1, 7, 8} {
		row, _ := LookupProfile(profile)
		d := 50 * ms
		p := ComputeParams{Profile: profile, Window: 1, Claim: rate(row.Shape.Ops(), d), RTT: ms}
		v := device(row, 1, row.Rounds, always(d), none, none).judge(row, p, row.Rounds, 80*d)
		if v.Outcome != Pass || v.OpsLower != p.Claim || v.OpsBest < p.Claim*9/10 || v.OpsBest > p.Claim {
			t.Errorf("%s: %+v of %d", row.Name, v, p.Claim)
		}
	}
}

// TestWarmUp plays runs of the row with a warm-up: rounds of 50 ms, as claimed, but
// for what is said.
func TestWarmUp(t *testing.T) {
	row, _ := LookupProfile(8)
	const d, window = 50 * ms, 4
	p := ComputeParams{Profile: 8, Window: window, Claim: rate(row.Shape.Ops(), d)}
	deadline := row.Deadline(p.Claim, 0)
	split := func(warm, timed time.Duration) perRound {
		return func(r int) time.Duration {
			if r < row.Warm {
				return warm
			}
			return timed
		}
	}
	whole := func(cost, lag perRound) Verdict {
		return device(row, window, row.Rounds, cost, none, lag).judge(row, p, row.Rounds, 0)
	}
	far := func(rtt time.Duration, cost perRound) Verdict {
		p := p
		p.RTT = rtt
		return device(row, window, row.Rounds, cost, none, none).judge(row, p, row.Rounds, 0)
	}
	// cut is a run so slow that only these roots and openings came by the deadline.
	cut := func(roots, opened int) Verdict {
		step := (deadline - 100*ms) / time.Duration(roots)
		return device(row, window, roots, always(step), none, none).judge(row, p, opened, deadline)
	}
	// ending has two timed roots right before the deadline, and no opening of theirs;
	// the checker answered each root after 10 us.
	ending := func(cost perRound) Verdict {
		return device(row, window, 18, cost, none, always(10*time.Microsecond)).judge(row, p, 16, deadline)
	}
	stall := func(at ...int) perRound {
		return func(r int) time.Duration {
			if slices.Contains(at, r) {
				return 31 * d
			}
			return d
		}
	}
	lagging := func(from, to int) perRound {
		return func(r int) time.Duration {
			if r >= from && r < to {
				return d / 5
			}
			return 0
		}
	}
	for _, tt := range []struct {
		name    string
		v       Verdict
		want    Outcome
		clause  string
		percent uint64 // of the claim that the figure is; 0: no figure
	}{
		{"as claimed", whole(always(d), none), Pass, "", 100},
		{"slow warm-up, then as claimed", whole(split(10*d, d), none), Pass, "", 100},
		{"fast warm-up, then slow", whole(split(d/10, 2*d), none), Late, ClauseLate, 50},
		{"both slow", whole(always(2*d), none), Late, ClauseLate, 50},
		{"within the slack", whole(split(3*d, d*20/17), none), Pass, "", 85},
		{"measured time of 20 round trips", far(160*ms, always(d)), Pass, "", 100},
		{"measured time under 20 round trips, the whole run over", far(161*ms, always(d)), Pass, "", 0},
		{"doubt of 3 % of the measured time", far(155*ms, split(10*d, d*102/85)), Pass, "", 83},
		{"doubt of 3 % of the measured time, not of the run", far(155*ms, split(10*d, d*104/85)), Late, ClauseLate, 82},
		{"slow beyond 20 round trips that it was not to have", far(161*ms, split(d, 2*d)), Pass, "", 0},
		{"a stall in the warm-up", whole(stall(3), none), Pass, "", 100},
		{"a stall early on, then as claimed", whole(stall(20), none), Pass, "", 68},
		{"a stall in the middle, then as claimed", whole(stall(47), none), Pass, "", 68},
		{"two stalls that leave no half as claimed", whole(stall(30, 62), none), Late, ClauseLate, 52},
		{"checker lags in the warm-up", whole(always(d), lagging(0, 15)), Pass, "", 100},
		{"checker lags over the last positions of the warm-up", whole(always(d), lagging(15, 16)), Pass, "", 100},
		{"checker lags in the timed rounds", whole(always(d), lagging(16, 80)), Pass, "", 0},
		{"checker lags and the device is slow", whole(always(4*d), func(int) time.Duration { return d }), Unknown, ClauseLag, 0},
		{"deadline in the warm-up", cut(10, 10), Late, ClauseLate, 0},
		{"deadline, no timed round is opened yet", ending(split(deadline/16-50*ms, 300*ms)), Late, ClauseLate, 0},
		{"deadline at the end of the warm-up", cut(16, 16), Late, ClauseLate, 0},
		{"deadline after the first timed round", cut(17, 17), Late, ClauseLate, 3},
		{"deadline after half of the timed rounds", cut(48, 48), Late, ClauseLate, 10},
		{"deadline, the last opening on its way", cut(48, 47), Late, ClauseLate, 10},
	} {
		t.Run(tt.name, func(t *testing.T) {
			v := tt.v
			if v.Outcome != tt.want || v.Clause != tt.clause {
				t.Errorf("got %+v of %d", v, p.Claim)
			}
			if got := (v.OpsLower*1000/p.Claim + 5) / 10; got != tt.percent {
				t.Errorf("figure is %d %% of the claim, want %d", got, tt.percent)
			}
			if v.OpsBest > p.Claim || v.OpsBest > 0 && v.OpsLower == 0 {
				t.Errorf("best interval %d of %d", v.OpsBest, p.Claim)
			}
		})
	}
}

// TestNothingOfTheWarmUpCounts: the figure is the same to the last digit whatever
// the warm-up was and however long the checker took over its positions, and a device that computes ahead in it and holds its roots back
// gains nothing.
func TestNothingOfTheWarmUpCounts(t *testing.T) {
	row, _ := LookupProfile(8)
	const d = 50 * ms
	claim := rate(row.Shape.Ops(), d)
	for _, window := range []int{1, 4, 20} {
		p := ComputeParams{Profile: 8, Window: uint8(window), Claim: claim, RTT: ms}
		honest := device(row, window, row.Rounds, always(d), none, none).judge(row, p, row.Rounds, 0)
		if honest.OpsLower != claim {
			t.Errorf("window %d: an honest device shows %d of %d", window, honest.OpsLower, claim)
		}
		slow := func(r int) time.Duration {
			if r < row.Warm {
				return 3 * d
			}
			return 0
		}
		if v := device(row, window, row.Rounds, always(d), none, slow).judge(row, p, row.Rounds, 0); v.OpsLower != claim || v.OpsBest != honest.OpsBest {
			t.Errorf("window %d, a checker that is slow in the warm-up: %+v, else %+v", window, v, honest)
		}
		for from := range row.Warm + 1 {
			name := fmt.Sprintf("window %d, roots %d to %d held back", window, from, row.Warm-1)
			hold := func(r int) time.Duration {
				if r >= from && r < row.Warm {
					return time.Duration(row.Warm-r+30) * d
				}
				return 0
			}
			v := device(row, window, row.Rounds, always(d), hold, none).judge(row, p, row.Rounds, 0)
			if v.Outcome != Pass || v.OpsLower != honest.OpsLower || v.OpsBest != honest.OpsBest {
				t.Errorf("%s: %+v, honest %+v", name, v, honest)
			}
		}
	}
}

// TestKeyAfterTheWarmUp: a key chain that takes other positions than those of the
// last round of the warm-up ends there.
func TestKeyAfterTheWarmUp(t *testing.T) {
	row, _ := LookupProfile(8)
	for _, tt := range []struct {
		name  string
		feeds func(round, window int) int
		want  Outcome
		roots int
	}{
		{"as specified", nil, Pass, 80},
		{"as without a warm-up", func(round, window int) int { return round - 1 - window }, Withheld, 16},
		{"none after the warm-up", func(round, window int) int {
			if round == row.Warm {
				return -1
			}
			return round - 1 - window
		}, Withheld, 16},
		{"one round late", func(round, window int) int {
			if round == row.Warm+1 {
				return row.Warm - 1
			}
			return row.Feeds(round, window)
		}, Withheld, 17},
	} {
		t.Run(tt.name, func(t *testing.T) {
			e, secret := sealed(t, 8, func(_ *Challenge, p *ComputeParams) { p.Window = 3 }, true)
			s, p := newTestSession(t, e, secret), newPlayer(e, providerKey)
			p.feeds = tt.feeds
			v := play(t, s, p).Verdict()
			clause := map[bool]string{true: "", false: ClauseKeyChain}[tt.want == Pass]
			if v.Outcome != tt.want || v.Clause != clause || int(v.Samples) != tt.roots*row.Samples {
				t.Errorf("got %+v", v)
			}
			replays(t, s)
		})
	}
}

// TestDeadlineInTheWarmUp: a whole run that did not get out of its warm-up.
func TestDeadlineInTheWarmUp(t *testing.T) {
	e, secret := testChallenge(8, testClaim(8))
	s, p := newTestSession(t, e, secret), newPlayer(e, providerKey)
	p.rounds, p.round = 10, s.Challenge().Deadline/11
	v := play(t, s, p).Verdict()
	if v.Outcome != Late || v.Clause != ClauseLate || v.OpsLower != 0 || v.OpsBest != 0 || v.Elapsed != 10*p.round {
		t.Errorf("got %+v", v)
	}
	replays(t, s)
}
