package evidence

import (
	"errors"
	"math"
	"slices"
	"testing"
	"time"

	"github.com/assaynet/assay/challenges"
)

var unknown = Claims{IsUnknown, IsUnknown, IsUnknown, IsUnknown}

func TestAssess(t *testing.T) {
	shown, refuted := unknown, unknown
	shown.Throughput, refuted.Throughput = IsShown, IsRefuted
	miss := math.Pow(0.99, 4)
	tests := []struct {
		name      string
		session   func(*testing.T) *challenges.Session
		outcome   challenges.Outcome
		claims    Claims
		miss      float64
		testimony []string
		codes     []string
	}{
		{
			"pass", player{}.play, challenges.Pass, shown, miss,
			[]string{"elapsed_s", "ops_lower", "ops_best_interval"},
			[]string{"pass"},
		},
		{
			// Right, but over a path too long to time it: the arithmetic alone is no rate.
			"pass without a figure", player{far: true}.play, challenges.Pass, unknown, miss,
			[]string{"elapsed_s"},
			[]string{"pass"},
		},
		{
			// Wrong is a proof: nothing in it rests on the checker but the time.
			"wrong", player{spoil: 1}.play, challenges.Wrong, refuted, math.NaN(),
			[]string{"elapsed_s"},
			[]string{challenges.ClauseValue},
		},
		{
			"pass of bf16", player{profile: smallBF16}.play, challenges.Pass, shown, miss,
			[]string{"elapsed_s", "ops_lower", "ops_best_interval"},
			[]string{"pass"},
		},
		{
			"pass of fp64fma", player{profile: smallFP64}.play, challenges.Pass, shown, miss,
			[]string{"elapsed_s", "ops_lower", "ops_best_interval"},
			[]string{"pass"},
		},
		{
			"wrong bf16", player{profile: smallBF16, spoil: 1}.play, challenges.Wrong, refuted, math.NaN(),
			[]string{"elapsed_s"},
			[]string{challenges.ClauseValue},
		},
		{
			// A lane that is off in its last bit.
			"wrong fp64fma", player{profile: smallFP64, spoil: 1}.play, challenges.Wrong, refuted, math.NaN(),
			[]string{"elapsed_s"},
			[]string{challenges.ClauseValue},
		},
		{
			"late fp64fma", player{profile: smallFP64, round: 100 * time.Millisecond}.play, challenges.Late, unknown, math.NaN(),
			[]string{"elapsed_s", "ops_lower", "ops_best_interval"},
			[]string{challenges.ClauseLate},
		},
		{
			"late", player{round: 200 * time.Millisecond}.play, challenges.Late, unknown, math.NaN(),
			[]string{"elapsed_s", "ops_lower", "ops_best_interval"},
			[]string{challenges.ClauseLate},
		},
		{
			"late at the deadline", player{round: 900 * time.Millisecond, stop: 3}.play, challenges.Late, unknown, math.NaN(),
			[]string{"elapsed_s", "ops_lower", "ops_best_interval", "end_timeout"},
			[]string{challenges.ClauseLate},
		},
		{
			"withheld opening", player{silent: 2}.play, challenges.Withheld, unknown, math.NaN(),
			[]string{"elapsed_s", "end_timeout"},
			[]string{challenges.ClauseSilence},
		},
		{
			"reset after a root", player{stop: 1, end: challenges.EndReset}.play, challenges.Withheld, unknown, math.NaN(),
			[]string{"elapsed_s", "end_reset"},
			[]string{challenges.ClauseSilence},
		},
		{
			"refused", player{refuse: challenges.ReasonBusy}.play, challenges.Refused, unknown, math.NaN(),
			[]string{"elapsed_s"},
			[]string{challenges.ClauseRefusal},
		},
		{
			"unreachable", player{stop: -1, end: challenges.EndDial}.play, challenges.Unreachable, unknown, math.NaN(),
			[]string{"elapsed_s", "end_dial"},
			[]string{challenges.ClauseSilence},
		},
		{
			"checker stopped", player{stop: 2, end: challenges.EndStopped}.play, challenges.Unknown, unknown, math.NaN(),
			[]string{"elapsed_s", "end_stopped"},
			[]string{challenges.ClauseEnd},
		},
		{
			"overrun", player{stop: 2, abort: true}.play, challenges.Unknown, unknown, math.NaN(),
			[]string{"elapsed_s"},
			[]string{challenges.ClauseAbort},
		},
		{
			"disputed pass", player{lag: 90 * time.Millisecond}.play, challenges.Pass, shown, miss,
			[]string{"elapsed_s", "ops_lower", "ops_best_interval", "disputed"},
			[]string{"pass", challenges.ClauseDisputed},
		},
		{
			// A probe shows an answer, never a claim about the card.
			"probe", func(t *testing.T) *challenges.Session { return playProbe(t, 2) }, challenges.Pass, unknown, math.NaN(),
			[]string{"elapsed_s", "rtt_s"},
			[]string{"pass"},
		},
		{
			"probe cut short", func(t *testing.T) *challenges.Session { return playProbe(t, 1) }, challenges.Pass, unknown, math.NaN(),
			[]string{"elapsed_s", "rtt_s", "end_timeout"},
			[]string{challenges.ClauseProbeSilent},
		},
		{
			"silent probe", func(t *testing.T) *challenges.Session { return playProbe(t, 0) }, challenges.Unreachable, unknown, math.NaN(),
			[]string{"elapsed_s", "end_timeout"},
			[]string{challenges.ClauseProbeSilent},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := tt.session(t)
			a, err := Assess(s.Transcript(), s.Challenge(), NVIDIA())
			if err != nil {
				t.Fatal(err)
			}
			if a.Verdict != s.Verdict() || a.Verdict.Outcome != tt.outcome {
				t.Errorf("verdict %+v, live %+v, want %v", a.Verdict, s.Verdict(), tt.outcome)
			}
			if a.Claims != tt.claims {
				t.Errorf("claims %+v, want %+v", a.Claims, tt.claims)
			}
			if a.Miss != tt.miss && !(math.IsNaN(a.Miss) && math.IsNaN(tt.miss)) {
				t.Errorf("miss %v, want %v", a.Miss, tt.miss)
			}
			if a.Level != 0 {
				t.Errorf("level %v of a simulated device", a.Level)
			}
			var names, codes []string
			for _, x := range a.Testimony {
				names = append(names, x.Name)
			}
			for _, x := range a.Reasons {
				codes = append(codes, x.Code)
				if x.Detail == "" {
					t.Errorf("reason %s without a sentence", x.Code)
				}
			}
			if !slices.Equal(names, tt.testimony) {
				t.Errorf("testimony %v, want %v", names, tt.testimony)
			}
			if !slices.Equal(codes, tt.codes) {
				t.Errorf("reasons %v, want %v", codes, tt.codes)
			}
		})
	}
}

// The figures in the testimony are the verdict's.
func TestAssessFigures(t *testing.T) {
	s := player{}.play(t)
	a, err := Assess(s.Transcript(), s.Challenge(), NVIDIA())
	if err != nil {
		t.Fatal(err)
	}
	v := s.Verdict()
	want := []Testimony{{"elapsed_s", v.Elapsed.Seconds()}, {"ops_lower", v.OpsLower}, {"ops_best_interval", v.OpsBest}}
	if !slices.Equal(a.Testimony, want) {
		t.Errorf("testimony %v, want %v", a.Testimony, want)
	}
	if v.OpsLower < claim*99/100 || v.OpsLower > claim {
		t.Errorf("lower bound %d of a device of %v ops/s", v.OpsLower, claim)
	}
}

// A transcript that breaks the checker's own rules proves nothing, and says
// which rule.
func TestAssessRefusesABrokenTranscript(t *testing.T) {
	tests := []struct {
		name   string
		change func(*challenges.Transcript)
		clause string
	}{
		{"another secret", func(tr *challenges.Transcript) { tr.Secret[0] ^= 1 }, challenges.ClauseSecret},
		{"challenge altered", func(tr *challenges.Transcript) { tr.Challenge[len(tr.Challenge)-1] ^= 1 }, challenges.ClauseSignature},
		{"challenge cut", func(tr *challenges.Transcript) { tr.Challenge = tr.Challenge[1:] }, challenges.ClauseEncoding},
		{"cut short", func(tr *challenges.Transcript) { tr.Events = tr.Events[:len(tr.Events)-1] }, challenges.ClauseEnd},
		{"goes on after the end", func(tr *challenges.Transcript) {
			tr.Events = append(tr.Events, challenges.Event{At: time.Hour, End: challenges.EndTimeout})
		}, challenges.ClauseEnd},
		{"time falls", func(tr *challenges.Transcript) { tr.Events[2].At = -1 }, challenges.ClauseTime},
		{"checker asked for other entries", func(tr *challenges.Transcript) {
			for i, e := range tr.Events {
				if e.Out && e.Stream == challenges.StreamControl {
					tr.Events[i].Frame = slices.Clone(e.Frame)
					tr.Events[i].Frame[len(e.Frame)-1] ^= 1
				}
			}
		}, challenges.ClauseSent},
		{"signature altered", func(tr *challenges.Transcript) { tr.Signatures[0][7] ^= 1 }, challenges.ClauseFrames},
		{"signature left out", func(tr *challenges.Transcript) { tr.Signatures[1] = nil }, challenges.ClauseFrames},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := player{}.play(t)
			tr := s.Transcript()
			tt.change(&tr)
			a, err := Assess(tr, s.Challenge(), NVIDIA())
			var clause *challenges.ClauseError
			if !errors.As(err, &clause) || clause.Clause != tt.clause {
				t.Fatalf("error %v, want one of clause %s", err, tt.clause)
			}
			if a.Verdict.Outcome.Valid() {
				t.Errorf("an error and an assessment: %+v", a)
			}
		})
	}
}

func TestLevelText(t *testing.T) {
	for l := Level(0); l <= 5; l++ {
		text, err := l.MarshalText()
		if err != nil {
			t.Fatal(err)
		}
		var got Level
		if err := got.UnmarshalText(text); err != nil || got != l {
			t.Errorf("%q read as %v, %v", text, got, err)
		}
	}
	for _, bad := range []string{"", "L", "L6", "l1", "L-", "L10", "1"} {
		l := Level(3)
		if err := l.UnmarshalText([]byte(bad)); err == nil || l != 3 {
			t.Errorf("%q read as %v", bad, l)
		}
	}
}
