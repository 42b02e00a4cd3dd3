package challenges

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/assaynet/assay/challenges/memory"
)

// run is when the rounds of a proof of memory came and their positions left.
type run struct {
	schedule
	set    memory.Dataset
	rtt    time.Duration
	begun  time.Duration // the nonce left; -1: never
	opened int
}

// paced is a run whose rounds take so long each, from the nonce on.
func paced(set memory.Dataset, begun time.Duration, rounds int, each, lag perRound) run {
	c := run{set: set, begun: begun, opened: rounds}
	for r := range rounds {
		begun += each(r)
		c.in, c.out = append(c.in, begun), append(c.out, begun+lag(r))
	}
	return c
}

// judge is the verdict: complete, or at an instant.
func (c run) judge(at time.Duration) Verdict {
	p := memory.Params{Profile: c.set.Number, Items: c.set.Items, RTT: c.rtt}
	m := newMemoryScript(Hash{}, "gpu0", p, Secret{})
	m.said, m.begun, m.set = 0, c.begun, c.set
	for i, in := range c.in {
		m.rounds = append(m.rounds, round{in: in, out: c.out[i], mono: in})
	}
	m.opened = c.opened
	if c.opened == c.set.Rounds {
		m.time(Pass, c.opened, at)
	} else {
		m.end(EndTimeout, at)
	}
	return m.v
}

func simSet(t testing.TB) memory.Dataset {
	t.Helper()
	set, ok := setOf(501)
	if !ok {
		t.Fatal("no row 501")
	}
	return set
}

// per is how long a round takes at so many items a second.
func per(set memory.Dataset, rate uint64) perRound {
	reads := set.Walks() * uint64(set.Steps)
	return always(time.Duration(reads * uint64(time.Second) / rate))
}

func TestClockOfMemory(t *testing.T) {
	set := simSet(t)
	const filled = 40 * ms
	best := set.ReadRate
	whole := func(rtt time.Duration, rate uint64, lag perRound) Verdict {
		c := paced(set, filled, set.Rounds, per(set, rate), lag)
		c.rtt = rtt
		return c.judge(c.out[set.Rounds-1])
	}
	least := set.WalkTime() / time.Duration(set.MinRTTs) // the longest path with a figure
	// What the row's device needs to have shown half of the dataset: 2 x 5/4 (make + link).
	const need = 2 * (300_000 / 4 * 5)
	lagOf := func(permille, rate uint64) perRound {
		return always(per(set, rate)(0) * time.Duration(permille) / 1000)
	}
	for _, tt := range []struct {
		name   string
		v      Verdict
		want   Outcome
		clause string
		figure uint64 // 0: none
	}{
		{"at the best of its class", whole(0, best, none), Pass, "", best},
		{"faster than its class", whole(0, 10*best, none), Pass, "", 10 * best},
		{"at half of it", whole(0, best/2, none), Pass, "", best / 2},
		{"just enough for half of the dataset", whole(0, need*101/100, none), Pass, "", need * 101 / 100},
		{"not enough", whole(0, need*99/100, none), Late, ClauseProven, need * 99 / 100},
		{"not enough, within the benefit of the doubt", whole(least, need*998/1000, none), Pass, "", need * 998 / 1000},
		{"not enough beyond it", whole(least, need*99/100, none), Late, ClauseProven, need * 99 / 100},
		{"no rate of the class at all", whole(0, need/4, none), Late, ClauseProven, need / 4},
		{"walks to be of 20 round trips", whole(least, best, none), Pass, "", best},
		{"walks to be shorter than 20 round trips", whole(least+1, best, none), Pass, "", 0},
		{"far and slow: no figure, and not late", whole(least+1, need/4, none), Pass, "", 0},
		{"checker that lags 5 %", whole(0, best, lagOf(50, best)), Pass, "", best},
		{"checker that lags more", whole(0, best, lagOf(51, best)), Pass, "", 0},
		{"checker that lags, device too slow", whole(0, need/2, lagOf(60, need/2)), Unknown, ClauseLag, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			v := tt.v
			if v.Outcome != tt.want || v.Clause != tt.clause || v.Disputed || v.OpsBest != v.OpsLower {
				t.Errorf("got %+v", v)
			}
			if diff := int64(v.OpsLower - tt.figure); diff < 0 || diff > int64(tt.figure/10_000) || tt.figure == 0 && diff != 0 {
				t.Errorf("figure %d, want %d", v.OpsLower, tt.figure)
			}
		})
	}
}

// TestDoubtOfMemory: the benefit is the path's round trip, at most Doubt % of the
// measured time. Only a row that asks for more than any of the table lets the
// second bound bind.
func TestDoubtOfMemory(t *testing.T) {
	set := simSet(t)
	set.Need = 93 // about 4.6 million a second
	rtt := set.WalkTime() / time.Duration(set.MinRTTs)
	other := uint64(300_000 / 4 * 5)
	need := other * 100 / 7
	for _, tt := range []struct {
		permille uint64 // of what is needed
		want     Outcome
	}{{1000, Pass}, {980, Pass}, {972, Pass}, {968, Late}, {950, Late}} {
		c := paced(set, 0, set.Rounds, per(set, need*tt.permille/1000+1), none)
		c.rtt = rtt
		if v := c.judge(c.out[set.Rounds-1]); v.Outcome != tt.want {
			t.Errorf("%d permille of the need, path %v of %v: %+v", tt.permille, rtt, v.Elapsed, v)
		}
	}
}

// TestEveryRowAtItsBest: the best of a class shows all but g* of a card's dataset,
// and a device that is just as late as it may be half of it.
func TestEveryRowAtItsBest(t *testing.T) {
	for _, row := range memory.Profiles() {
		set := memory.Dataset{Profile: row, Items: 1 << 20}
		p := memory.Params{Profile: row.Number, Items: set.Items}
		if err := p.Check(); err != nil {
			t.Errorf("%s: %v", row.Name, err)
			continue
		}
		for rate, want := range map[uint64]Outcome{row.ReadRate: Pass, uint64(2.01 * row.Hidden() * float64(row.ReadRate)): Pass, uint64(1.99 * row.Hidden() * float64(row.ReadRate)): Late} {
			c := paced(set, 0, row.Rounds, per(set, rate), none)
			v := c.judge(c.out[row.Rounds-1])
			if v.Outcome != want {
				t.Errorf("%s at %d items a second: %+v", row.Name, rate, v)
			}
		}
		v := paced(set, 0, row.Rounds, per(set, row.ReadRate), none).judge(0)
		if share := float64(set.Proven(v.OpsLower)) / float64(set.Bytes()); share < 0.999-row.Hidden() || share > 1.001-row.Hidden() {
			t.Errorf("%s shows %.4f of its dataset, g* is %.4f", row.Name, share, row.Hidden())
		}
	}
}

// TestFigureOfMemoryNeverExceedsTheTrueRate: whatever roots a provider holds back,
// however long the nonce was kept, and whatever round-trip time it showed before.
// Nothing gates the rounds: no position enters a key.
func TestFigureOfMemoryNeverExceedsTheTrueRate(t *testing.T) {
	set := simSet(t)
	rapid.Check(t, func(t *rapid.T) {
		costs := rapid.SliceOfN(rapid.Int64Range(int64(ms/100), int64(50*ms)), set.Rounds, set.Rounds).Draw(t, "rounds")
		holds := rapid.SliceOfN(rapid.Int64Range(0, int64(200*ms)), set.Rounds, set.Rounds).Draw(t, "holds")
		lags := rapid.SliceOfN(rapid.Int64Range(0, int64(ms)), set.Rounds, set.Rounds).Draw(t, "lags")
		c := run{set: set, begun: time.Duration(rapid.Int64Range(0, int64(time.Second)).Draw(t, "nonce"))}
		c.rtt = time.Duration(rapid.Int64Range(0, int64(10*ms)).Draw(t, "rtt"))
		rounds := rapid.IntRange(1, set.Rounds).Draw(t, "of")
		done, sent, busy := c.begun, c.begun, time.Duration(0)
		rates := []uint64{}
		for r := range rounds {
			done += time.Duration(costs[r])
			busy += time.Duration(costs[r])
			sent = max(sent, done+time.Duration(holds[r]))
			c.in, c.out = append(c.in, sent), append(c.out, sent+time.Duration(lags[r]))
			rates = append(rates, set.Rate(r+1, busy))
		}
		c.opened = rapid.IntRange(1, rounds).Draw(t, "opened")
		v := c.judge(max(c.out[rounds-1], set.Deadline(c.rtt)))
		if v.OpsLower > rates[c.opened-1] {
			t.Fatalf("%d rounds at %d items a second show %d", c.opened, rates[c.opened-1], v.OpsLower)
		}
	})
}

// TestFillingCountsForNothing: the figure is the same to the last digit whenever the
// nonce left.
func TestFillingCountsForNothing(t *testing.T) {
	set := simSet(t)
	want := paced(set, 0, set.Rounds, per(set, 5_000_000), none).judge(0)
	for _, begun := range []time.Duration{1, 50 * ms, set.FillBy(0), set.FillBy(0) + set.Grace} {
		v := paced(set, begun, set.Rounds, per(set, 5_000_000), none).judge(0)
		if v.OpsLower != want.OpsLower || v.Outcome != Pass || v.Elapsed != want.Elapsed+begun {
			t.Errorf("nonce at %v: %+v, want %+v", begun, v, want)
		}
	}
}

func TestDeadlineOfMemory(t *testing.T) {
	set := simSet(t)
	const filled = 40 * ms
	deadline := set.Deadline(0)
	slow := func(roots, opened int, begun time.Duration) run {
		c := paced(set, begun, roots, always((deadline-begun-20*ms)/time.Duration(roots)), none)
		c.opened = opened
		return c
	}
	silent := func(last time.Duration, roots int) run { // quick rounds, then nothing
		return paced(set, filled, roots, always((last-filled)/time.Duration(roots)), none)
	}
	asked := func(c run, from int, ago time.Duration) run { // positions from a round on went out so long ago
		c.opened = from
		for r := from; r < len(c.out); r++ {
			c.in[r], c.out[r] = deadline-ago, deadline-ago
		}
		return c
	}
	unanswered := func(c run) run {
		c.out = slices.Clone(c.out)
		for r := range c.out[len(c.out)-3:] {
			c.out[len(c.out)-3+r] = -1
		}
		c.opened = len(c.out) - 3
		return c
	}
	lagging := func(lag time.Duration) run { // eight rounds of 200 ms, of which six are opened
		c := paced(set, filled, 8, always(200*ms), always(lag))
		c.opened = 6
		return c
	}
	begun := set.FillBy(0) + set.Grace
	wait := min(set.OpenWait, deadline/4)
	for _, tt := range []struct {
		name   string
		c      run
		at     time.Duration
		want   Outcome
		clause string
		rounds int // in the figure; 0: none
	}{
		{"half of the rounds", slow(16, 16, filled), deadline, Late, ClauseProven, 16},
		{"after the deadline", slow(16, 16, filled), deadline + 100*ms, Late, ClauseProven, 16},
		{"one round", slow(1, 1, filled), deadline, Late, ClauseProven, 1},
		{"all but one", slow(31, 31, filled), deadline, Late, ClauseProven, 31},
		{"the last openings on their way", slow(16, 14, filled), deadline, Late, ClauseProven, 14},
		{"no opening", slow(16, 0, filled), deadline, Withheld, ClauseSilence, 0},
		{"no root", run{set: set, begun: filled}, deadline, Withheld, ClauseSilence, 0},
		{"all roots and no result", slow(32, 31, filled), deadline, Withheld, ClauseSilence, 0},
		{"an opening owed for too long", asked(slow(16, 16, filled), 15, wait), deadline, Withheld, ClauseSilence, 0},
		{"an opening owed for not so long", asked(slow(16, 16, filled), 15, wait-1), deadline, Late, ClauseProven, 15},
		{"before the deadline", slow(16, 16, filled), deadline - 1, Withheld, ClauseSilence, 0},
		{"fell silent", silent(filled+100*ms, 16), deadline, Withheld, ClauseSilence, 0},
		{"fell silent after a long fill", paced(set, begun-1, 4, always(ms), none), deadline, Withheld, ClauseSilence, 0},
		{"the nonce left at the last moment", slow(4, 4, begun), deadline, Late, ClauseProven, 4},
		{"the nonce left too late", slow(4, 4, begun+1), deadline, Unknown, ClauseEnd, 0},
		{"the nonce never left", run{set: set, begun: -1}, deadline, Unknown, ClauseEnd, 0},
		{"the checker lagged 5 % of what is measured, less of the whole time", lagging(9 * ms), deadline, Late, ClauseProven, 6},
		{"the checker lagged 5 % of the whole time", lagging(11 * ms), deadline, Unknown, ClauseLag, 0},
		{"the checker answered nothing", unanswered(slow(16, 16, filled)), deadline, Unknown, ClauseLag, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			v := tt.c.judge(tt.at)
			if v.Outcome != tt.want || v.Clause != tt.clause {
				t.Errorf("got %+v", v)
			}
			var want uint64
			if tt.rounds > 0 {
				want = set.Rate(tt.rounds, tt.c.in[tt.rounds-1]-tt.c.begun)
			}
			if v.OpsLower != want || v.OpsBest != want {
				t.Errorf("figure %d, want %d", v.OpsLower, want)
			}
		})
	}
}

// TestDisputedMemory: the provider's signed clock, and the checker's, of the last
// root.
func TestDisputedMemory(t *testing.T) {
	set := simSet(t)
	for _, tt := range []struct {
		mono func(in time.Duration) time.Duration
		want bool
	}{
		{func(in time.Duration) time.Duration { return in }, false},
		{func(in time.Duration) time.Duration { return in - in/10 - 2*ms }, false},
		{func(in time.Duration) time.Duration { return in - in/10 - 2*ms - 1 }, true},
		{func(in time.Duration) time.Duration { return in + in/10 + 2*ms }, false},
		{func(in time.Duration) time.Duration { return in + in/10 + 2*ms + 1 }, true},
		{func(time.Duration) time.Duration { return 0 }, true},
	} {
		p := memory.Params{Profile: 501, Items: set.Items, RTT: ms}
		m := newMemoryScript(Hash{}, "gpu0", p, Secret{})
		m.begun = 40 * ms
		c := paced(set, 40*ms, set.Rounds, per(set, set.ReadRate), none)
		for _, in := range c.in {
			m.rounds = append(m.rounds, round{in: in, out: in, mono: tt.mono(in)})
		}
		m.time(Pass, set.Rounds, 0)
		if m.v.Disputed != tt.want || m.v.Outcome != Pass {
			t.Errorf("%+v, want %v", m.v, tt.want)
		}
	}
}

// TestSlowWalks plays whole runs.
func TestSlowWalks(t *testing.T) {
	for _, tt := range []struct {
		factor time.Duration
		rounds int
		want   Outcome
		clause string
	}{
		{1, 32, Pass, ""},
		{8, 32, Pass, ""},
		{11, 32, Late, ClauseProven},
		{60, 9, Late, ClauseProven},     // in step until the deadline
		{8, 9, Withheld, ClauseSilence}, // silent long before
	} {
		t.Run(fmt.Sprintf("%d times slower, %d rounds", tt.factor, tt.rounds), func(t *testing.T) {
			s, p := pair(t, 501)
			p.rounds, p.round = tt.rounds, p.round*tt.factor
			v := play(t, s, p).Verdict()
			if v.Outcome != tt.want || v.Clause != tt.clause || int(v.Samples) != tt.rounds*p.row.Samples {
				t.Fatalf("got %+v", v)
			}
			if got := v.OpsLower; tt.want != Withheld && (got > 6e6/uint64(tt.factor) || got < 6e6/uint64(tt.factor)*99/100) {
				t.Errorf("figure %d", got)
			}
			replays(t, s)
		})
	}
}

// TestFarWalksGiveNoFigure: a path of which 20 round trips are more than the walks.
func TestFarWalksGiveNoFigure(t *testing.T) {
	set := simSet(t)
	for _, tt := range []struct {
		rtt    time.Duration
		factor time.Duration
		figure bool
	}{{set.WalkTime() / 20, 1, true}, {set.WalkTime()/20 + 1, 1, false}, {set.WalkTime()/20 + 1, 30, false}} {
		e, secret := memoryChallenge(501, tt.rtt)
		s, p := newTestSession(t, e, secret), newPlayer(e, providerKey)
		p.round *= tt.factor
		if tt.factor > 1 {
			p.round = (s.Challenge().Deadline - p.walker.filled - ms) / time.Duration(p.rounds)
		}
		v := play(t, s, p).Verdict()
		if v.Outcome != Pass || (v.OpsLower > 0) != tt.figure || (v.OpsBest > 0) != tt.figure {
			t.Errorf("path of %v, %d times slower: %+v", tt.rtt, tt.factor, v)
		}
		replays(t, s)
	}
}
