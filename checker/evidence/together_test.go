package evidence

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/assaynet/assay/challenges"
)

const ms = time.Millisecond

// steady is a device that runs alone: so many rounds, each as long as the other.
func steady(start, round time.Duration, rounds int, ops uint64) Course {
	c := Course{Start: start, Ops: ops}
	for i := range rounds {
		c.Ends = append(c.Ends, start+time.Duration(i+1)*round)
	}
	return c
}

func TestTogether(t *testing.T) {
	const round = 50 * ms
	const ops = 5e6 // a round: 100e6 ops/s
	const rate = 100e6
	// sequential is one card that serves one device after the other.
	sequential := func(n, rounds int) (out []Course) {
		for i := range n {
			c := steady(time.Duration(i*rounds)*round, round, rounds, ops)
			c.Start = 0
			out = append(out, c)
		}
		return out
	}
	times := func(n int, c Course) (out []Course) {
		for range n {
			out = append(out, c)
		}
		return out
	}
	shift := func(c []Course, by time.Duration) []Course {
		out := slices.Clone(c)
		for i := range out {
			out[i].Start += by
			out[i].Ends = slices.Clone(out[i].Ends)
			for k := range out[i].Ends {
				out[i].Ends[k] += by
			}
		}
		return out
	}
	// held is a device whose roots all come at the end.
	held := steady(0, round, 16, ops)
	for i := range held.Ends {
		held.Ends[i] = 16 * round
	}
	four := []Course{
		steady(0, round, 80, ops), steady(0, round/2, 80, ops), steady(0, round/4, 80, ops), steady(0, round, 20, ops),
	}
	tests := []struct {
		name    string
		courses []Course
		least   float64 // ops/s
		most    float64
	}{
		{"nobody", nil, 0, 0},
		{"no device answered", times(3, Course{Ops: ops}), 0, 0},
		{"one", []Course{steady(0, round, 16, ops)}, rate, rate},
		{"one, of a single round", []Course{steady(0, round, 1, ops)}, rate, rate},
		{"four alike", times(4, steady(0, round, 16, ops)), 4 * rate, 4 * rate},
		{"of four speeds and lengths", four, 0.98 * 8 * rate, 8 * rate},
		{"of other shapes", []Course{steady(0, 40*ms, 20, ops), steady(0, 70*ms, 80, 3*ops)}, 0.95 * (125e6 + 3*5e6/0.070), 125e6 + 3*5e6/0.070},
		// One card behind four names, in turn or at a quarter of the rate each.
		{"one after another", sequential(4, 16), rate, rate},
		{"all at a share of the card", times(4, steady(0, 4*round, 16, ops)), rate, rate},
		{"two cards behind four names", append(sequential(2, 16), sequential(2, 16)...), 2 * rate, 2 * rate},
		{"one of three never answers", append(times(2, steady(0, round, 16, ops)), Course{Ops: ops}), 2 * rate, 2 * rate},
		{"one of three stops half way", append(times(2, steady(0, round, 16, ops)), steady(0, round, 8, ops)), 3 * rate, 3 * rate},
		// A device that starts late by 50 ms of 4 s costs little.
		{"a small skew", []Course{steady(0, round, 80, ops), steady(50*ms, round, 80, ops)}, 1.95 * rate, 2 * rate},
		{"a skew of a whole run", []Course{steady(0, round, 16, ops), steady(16*round, round, 16, ops)}, rate, rate},
		{"all late by as much", shift(times(4, steady(0, round, 16, ops)), 300*ms), 4 * rate, 4 * rate},
		{"roots held back", times(2, held), 2 * rate, 2 * rate},
		// The first device works alone, in secret, until the second starts.
		{"roots held back through a skew", []Course{
			{Start: 0, Ops: ops, Ends: slices.Repeat([]time.Duration{16*round + ms}, 16)},
			steady(16*round, round, 16, ops),
		}, 0, 1.01 * rate},
		{"no time passed", []Course{{Ops: ops, Ends: []time.Duration{0}}}, 0, 0},
		{"a thousand of the largest rows", times(1000, steady(0, 62*ms, 80, 562949953421312)), 1000 * 9.07e15, 1000 * 9.08e15},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := float64(Together(tt.courses))
			if got < tt.least || got > tt.most {
				t.Errorf("%.5g ops/s together, want %.5g to %.5g", got, tt.least, tt.most)
			}
			slices.Reverse(tt.courses)
			if again := float64(Together(tt.courses)); again != got {
				t.Errorf("%v, in another order %v", got, again)
			}
		})
	}
}

// drawCourses makes what a checker sees of devices that k cards of one rate stand
// behind. The provider decides which round a card computes when, as soon as its
// device was asked, and when each root leaves.
func drawCourses(t *rapid.T, cards int, rate uint64) []Course {
	n := rapid.IntRange(1, 6).Draw(t, "devices")
	out := make([]Course, n)
	var left []int // rounds to come, by device
	for i := range out {
		out[i].Ops = rapid.Uint64Range(1, 50).Draw(t, "ops") * rate / 1000
		out[i].Start = time.Duration(rapid.Int64Range(0, int64(200*ms)).Draw(t, "start")) * time.Duration(rapid.IntRange(0, 1).Draw(t, "skew"))
		for range rapid.IntRange(0, 12).Draw(t, "rounds") {
			left = append(left, i)
		}
	}
	left = rapid.Permutation(left).Draw(t, "order")
	free := make([]time.Duration, cards)
	done := make([][]time.Duration, n)
	for _, i := range left {
		// The round goes to the card that is free first.
		card := 0
		for k := range free {
			if free[k] < free[card] {
				card = k
			}
		}
		begin := max(free[card], out[i].Start)
		if len(done[i]) > 0 {
			begin = max(begin, done[i][len(done[i])-1]) // rounds are a chain
		}
		took := time.Duration((out[i].Ops*1e9 + rate - 1) / rate)
		free[card] = begin + took
		done[i] = append(done[i], free[card])
	}
	var latest time.Duration
	for _, c := range out {
		latest = max(latest, c.Start)
	}
	for i := range out {
		// All is held back for a time, or until just after the last device started.
		var last, gate time.Duration
		switch rapid.IntRange(0, 2).Draw(t, "gated") {
		case 1:
			gate = time.Duration(rapid.Int64Range(0, int64(time.Second)).Draw(t, "gate"))
		case 2:
			gate = latest + time.Duration(rapid.Int64Range(1, int64(5*ms)).Draw(t, "gate"))
		}
		for _, at := range done[i] {
			hold := time.Duration(rapid.Int64Range(0, int64(100*ms)).Draw(t, "hold")) * time.Duration(rapid.IntRange(0, 1).Draw(t, "held"))
			last = max(last, at+hold, gate)
			out[i].Ends = append(out[i].Ends, last)
		}
	}
	return out
}

// Whatever a provider does with its cards, it never looks like more of them.
func TestTogetherIsSound(t *testing.T) {
	full := 0
	rapid.Check(t, func(t *rapid.T) {
		const rate = 1e9
		cards := rapid.IntRange(1, 3).Draw(t, "cards")
		courses := drawCourses(t, cards, rate)
		got := Together(courses)
		if got > uint64(cards)*rate {
			t.Fatalf("%d cards of %.3g ops/s did %.5g together: %+v", cards, float64(rate), float64(got), courses)
		}
		if got > uint64(cards)*rate/2 {
			full++
		}
	})
	if full == 0 {
		t.Error("no schedule came near what its cards can do: the draws say little")
	}
}

// What is added to a run never lowers the bound of what is there already, unless
// it ends earlier or starts earlier.
func TestTogetherOfSilentDevices(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		courses := drawCourses(t, 2, 1e9)
		got := Together(courses)
		silent := Course{Start: time.Duration(rapid.Int64().Draw(t, "start")), Ops: 1e6}
		if again := Together(append(slices.Clone(courses), silent)); again != got {
			t.Fatalf("%d, with a device that never answered %d", got, again)
		}
	})
}

// Roots are timed by the checker's clock, and nothing else is.
func TestRootTimes(t *testing.T) {
	row, err := challenges.LookupProfile(small)
	if err != nil {
		t.Fatal(err)
	}
	round := row.Expected(claim) / time.Duration(row.Rounds)
	all := make([]time.Duration, row.Rounds)
	for i := range all {
		all[i] = time.Duration(i+1) * round
	}
	for _, tt := range []struct {
		name    string
		session *challenges.Session
		want    []time.Duration
	}{
		{"pass", player{}.play(t), all},
		{"cut short", player{stop: 2, end: challenges.EndReset}.play(t), all[:2]},
		// A provider's clock is its own word.
		{"by another clock", player{lag: 90 * ms}.play(t), all},
		{"refused", player{refuse: challenges.ReasonBusy}.play(t), nil},
		{"silent", player{stop: -1, end: challenges.EndDial}.play(t), nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := RootTimes(tt.session.Control()); !slices.Equal(got, tt.want) {
				t.Errorf("roots at %v, want %v", got, tt.want)
			}
			// What the checker sent and what came on the other stream is no root.
			if got := RootTimes(tt.session.Transcript().Events); !slices.Equal(got, tt.want) {
				t.Errorf("roots at %v of all events, want %v", got, tt.want)
			}
		})
	}
	root := challenges.NewRoot(0, challenges.Hash{}, challenges.Hash{}, 0)
	for name, e := range map[string]challenges.Event{
		"sent":          {Out: true, Frame: root},
		"of the bulk":   {Stream: challenges.StreamBulk, Frame: root},
		"an end":        {End: challenges.EndTimeout, Frame: root},
		"another frame": {Frame: challenges.NewFilled(0)},
		"no frame":      {},
	} {
		if got := RootTimes([]challenges.Event{e}); len(got) > 0 {
			t.Errorf("%s: roots at %v", name, got)
		}
	}
}

func TestFleetSum(t *testing.T) {
	course := steady(0, 50*ms, 16, 5e6)
	member := func(o challenges.Outcome) Member {
		m := Member{Verdict: challenges.Verdict{Outcome: o}, Claim: 100e6}
		if o != challenges.Unreachable && o != challenges.Refused {
			m.Course = course
		}
		return m
	}
	refused := func(reason string) Member {
		m := member(challenges.Refused)
		m.Reason = reason
		return m
	}
	memory := func(o challenges.Outcome, proven uint64) Member {
		return Member{Verdict: challenges.Verdict{Outcome: o}, Claim: 2 << 20, Proven: proven}
	}
	pass, silent := member(challenges.Pass), member(challenges.Unreachable)
	after := pass
	after.Course.Ends = steady(800*ms, 50*ms, 16, 5e6).Ends
	odd := member(challenges.Withheld)
	odd.Reason = challenges.ReasonTenant
	tests := []struct {
		name       string
		members    []Member
		sum, claim uint64
	}{
		{"nobody", nil, 0, 0},
		{"one", []Member{pass}, 100e6, 100e6},
		{"three", []Member{pass, pass, pass}, 300e6, 300e6},
		// What each did alone is no sum: one card served one after the other.
		{"one after another", []Member{pass, after}, 100e6, 200e6},
		{"one is late: it did what it did", []Member{pass, member(challenges.Late)}, 200e6, 200e6},
		// Nothing may be held against a provider that is not its own doing.
		{"one is unknown", []Member{pass, pass, member(challenges.Unknown)}, 0, 0},
		{"one is rented", []Member{pass, refused(challenges.ReasonTenant)}, 0, 0},
		{"one is draining", []Member{pass, refused(challenges.ReasonDrain)}, 0, 0},
		{"one runs another challenge", []Member{refused(challenges.ReasonCollision), pass}, 0, 0},
		{"none was reached", []Member{silent, silent}, 0, 0},
		{"one was not reached", []Member{pass, silent, pass}, 200e6, 300e6},
		{"the only one that was reached refuses", []Member{silent, refused(challenges.ReasonBusy)}, 0, 200e6},
		// Else a busy second card would be none that is missing.
		{"one is busy", []Member{pass, refused(challenges.ReasonBusy)}, 100e6, 200e6},
		{"one has no turns left", []Member{pass, refused(challenges.ReasonQuota)}, 100e6, 200e6},
		{"all are busy", []Member{refused(challenges.ReasonBusy), refused(challenges.ReasonBusy)}, 0, 200e6},
		{"one is wrong: no work", []Member{pass, member(challenges.Wrong)}, 100e6, 200e6},
		{"one withheld: no work", []Member{pass, member(challenges.Withheld)}, 100e6, 200e6},
		// A reason is only one in a refusal.
		{"one withheld, and speaks of a tenant", []Member{pass, odd}, 100e6, 200e6},
		{"memory", []Member{memory(challenges.Pass, 2000), memory(challenges.Pass, 500)}, 2500, 4 << 20},
		{"memory, one late", []Member{memory(challenges.Pass, 2000), memory(challenges.Late, 0)}, 2000, 4 << 20},
		{"memory, one busy", []Member{memory(challenges.Pass, 2000), {Verdict: challenges.Verdict{Outcome: challenges.Refused}, Reason: challenges.ReasonBusy, Claim: 2 << 20}}, 2000, 4 << 20},
		{"memory, one unknown", []Member{memory(challenges.Pass, 2000), memory(challenges.Unknown, 0)}, 0, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			sum, claim := FleetSum(tt.members)
			if sum != tt.sum || claim != tt.claim {
				t.Errorf("sum %d of %d, want %d of %d", sum, claim, tt.sum, tt.claim)
			}
		})
	}
}

func TestNeutralReason(t *testing.T) {
	neutral := []string{challenges.ReasonTenant, challenges.ReasonDrain, challenges.ReasonCollision}
	for _, reason := range []string{
		"", "else", challenges.ReasonBusy, challenges.ReasonCollision, challenges.ReasonQuota, challenges.ReasonTenant,
		challenges.ReasonDrain, challenges.ReasonUnsupported, challenges.ReasonNotMember, challenges.ReasonReplay, challenges.ReasonFault,
	} {
		if got := NeutralReason(reason); got != slices.Contains(neutral, reason) {
			t.Errorf("%q: neutral %v", reason, got)
		}
	}
}

func ExampleTogether() {
	// Two names for one card: each run alone took a second, both together take two.
	alone := Course{Ops: 100, Ends: []time.Duration{time.Second}}
	shared := Course{Ops: 100, Ends: []time.Duration{2 * time.Second}}
	fmt.Println(Together([]Course{alone}), Together([]Course{shared, shared}))
	// Output: 100 100
}
