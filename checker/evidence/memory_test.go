package evidence

import (
	"context"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/assaynet/assay/challenges"
	"github.com/assaynet/assay/challenges/memory"
	"github.com/assaynet/assay/gpu"
)

// remembered is the dataset of the small row of memory: two rounds, three samples
// each, walks of 0.7 ms.
func remembered(t *testing.T) memory.Dataset {
	t.Helper()
	row, err := memory.Lookup(502)
	if err != nil {
		t.Fatal(err)
	}
	return memory.Dataset{Profile: row, Items: 1 << 11}
}

// rememberer is a provider of a proof of memory, played as player is.
type rememberer struct {
	filled time.Duration    // when it says so; 0: as fast as the class
	walks  time.Duration    // how long all walks take; 0: as fast as the class
	stop   int              // rounds that it walks; 0: all, -1: none
	spoil  bool             // what it read is off by a bit
	mute   bool             // it says nothing at all
	refuse string           // reason
	far    bool             // the walks are shorter than the round trips that a figure needs
	end    challenges.Cause // ends the session after the last frame; EndNone: at the deadline
}

// spoiled is a dataset that is filled right and read wrong.
type spoiled struct{ gpu.Items }

func (s spoiled) Read(ctx context.Context, at []uint64, out []memory.Item) (gpu.Costs, error) {
	c, err := s.Items.Read(ctx, at, out)
	for i := range out {
		out[i][0] ^= 1
	}
	return c, err
}

func (p rememberer) play(t *testing.T) *challenges.Session {
	t.Helper()
	set := remembered(t)
	params := memory.Params{Profile: set.Number, Items: set.Items}
	if p.far {
		params.RTT = set.WalkTime()
	}
	s, err := challenges.NewSession(seal(challenges.Challenge{
		Device: device, Kind: challenges.Memory, Params: challenges.Marshal(&params), Deadline: set.Deadline(params.RTT),
	}), secret)
	if err != nil {
		t.Fatal(err)
	}
	if p.filled == 0 {
		p.filled = set.FillTime()
	}
	if p.walks == 0 {
		p.walks = set.WalkTime()
	}
	cfg := gpu.CPUConfig{Info: gpu.Info{ID: device}}
	if p.spoil {
		cfg.Items = func(set memory.Dataset, key challenges.Hash) gpu.Items { return spoiled{gpu.NewHeld(set, key)} }
	}
	filled, err := gpu.NewCPU(cfg).Fill(t.Context(), gpu.MemoryJob{ID: s.ID(), Device: device, Set: set})
	if err != nil {
		t.Fatal(err)
	}
	defer filled.Close()
	control := challenges.NewFrameSigner(providerKey, network, s.ID(), challenges.StreamControl)
	bulk := challenges.NewFrameSigner(providerKey, network, s.ID(), challenges.StreamBulk)
	var now time.Duration
	done := false
	// feed tells the session of an event, and that what it asks for was sent.
	feed := func(e challenges.Event) (sent []challenges.Out) {
		e.At = now
		sent, done = s.Step(e)
		for _, o := range sent {
			_, done = s.Step(challenges.Event{At: now, Stream: o.Stream, Out: true, Frame: o.Frame})
		}
		return sent
	}
	for _, o := range s.Start() {
		feed(challenges.Event{Stream: o.Stream, Out: true, Frame: o.Frame})
	}
	core := challenges.Core{Challenge: s.ID(), Device: device}
	switch {
	case p.refuse != "":
		now = time.Millisecond
		feed(challenges.Event{Frame: control.Sign(challenges.NewRefusal(p.refuse, 0))})
	case !p.mute:
		now = p.filled
		out := feed(challenges.Event{Frame: control.Sign(challenges.NewFilled(now))})
		if done {
			break
		}
		var nonce challenges.NonceFrame
		if err := challenges.Unmarshal(out[0].Frame, &nonce); err != nil {
			t.Fatal(err)
		}
		run, err := filled.Walk(t.Context(), nonce.Nonce)
		if err != nil {
			t.Fatal(err)
		}
		defer run.Close()
		for r := 0; r < set.Rounds && !done && (p.stop == 0 || r < p.stop); r++ {
			root, err := run.Next(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			core.Roots = append(core.Roots, root.Root)
			now = p.filled + time.Duration(r+1)*p.walks/time.Duration(set.Rounds)
			for _, o := range feed(challenges.Event{Frame: control.Sign(challenges.NewRoot(r, root.Root, root.Key, now))}) {
				var f challenges.PositionsFrame
				if err := challenges.Unmarshal(o.Frame, &f); err != nil {
					t.Fatal(err)
				}
				opening, err := run.Open(t.Context(), r, challenges.UnpackPositions(f.Positions))
				if err != nil {
					t.Fatal(err)
				}
				for _, b := range challenges.NewOpening(r, challenges.FrameHash(o.Frame), opening) {
					feed(challenges.Event{Stream: challenges.StreamBulk, Frame: bulk.Sign(b)})
				}
			}
		}
		if !done && len(core.Roots) == set.Rounds {
			feed(challenges.Event{Frame: control.Sign(challenges.NewResult(core, nil))})
		}
	}
	if !done {
		if p.end == challenges.EndNone {
			p.end, now = challenges.EndTimeout, max(now, s.Challenge().Deadline)
		}
		feed(challenges.Event{End: p.end})
	}
	if !done {
		t.Fatal("the session is not done")
	}
	return s
}

func TestAssessMemory(t *testing.T) {
	set := remembered(t)
	shown, refuted := unknown, unknown
	shown.Memory, refuted.Memory = IsShown, IsRefuted
	figures := []string{"elapsed_s", "reads_lower", "random_bytes_per_s_lower", "memory_bytes", "dataset_bytes"}
	tests := []struct {
		name      string
		play      rememberer
		outcome   challenges.Outcome
		claims    Claims
		samples   int // of a pass
		testimony []string
		codes     []string
	}{
		{"pass", rememberer{}, challenges.Pass, shown, 6, figures, []string{"pass", challenges.ClauseProven}},
		{
			"pass at half the class's rate",
			rememberer{walks: 2 * set.WalkTime()},
			challenges.Pass, shown, 6, figures,
			[]string{"pass", challenges.ClauseProven},
		},
		{
			// Right, but over a path too long to time it: nothing was held.
			"pass without a figure",
			rememberer{far: true},
			challenges.Pass, unknown, 6,
			[]string{"elapsed_s"},
			[]string{"pass"},
		},
		{
			"wrong",
			rememberer{spoil: true},
			challenges.Wrong, refuted, 0,
			[]string{"elapsed_s"},
			[]string{challenges.ClauseValue},
		},
		{
			"late: so slow that half the dataset need not have been held",
			rememberer{walks: 12 * set.WalkTime()},
			challenges.Late, unknown, 0,
			figures,
			[]string{challenges.ClauseProven, challenges.ClauseProven},
		},
		{
			"filled too late",
			rememberer{filled: set.FillBy(0) + 1},
			challenges.Late, unknown, 0,
			[]string{"elapsed_s"},
			[]string{challenges.ClauseFilled},
		},
		{
			"filled, and silent then",
			rememberer{stop: -1},
			challenges.Withheld, unknown, 0,
			[]string{"elapsed_s", "end_timeout"},
			[]string{challenges.ClauseSilence},
		},
		{
			"stopped by the checker",
			rememberer{stop: 1, end: challenges.EndStopped},
			challenges.Unknown, unknown, 0,
			[]string{"elapsed_s", "end_stopped"},
			[]string{challenges.ClauseEnd},
		},
		{
			"never filled",
			rememberer{mute: true},
			challenges.Unreachable, unknown, 0,
			[]string{"elapsed_s", "end_timeout"},
			[]string{challenges.ClauseSilence},
		},
		{
			"refused",
			rememberer{refuse: challenges.ReasonTenant},
			challenges.Refused, unknown, 0,
			[]string{"elapsed_s"},
			[]string{challenges.ClauseRefusal},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := tt.play.play(t)
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
			miss := math.Pow(0.99, float64(tt.samples))
			if tt.samples == 0 != math.IsNaN(a.Miss) || tt.samples > 0 && a.Miss != miss {
				t.Errorf("miss %v of %d samples", a.Miss, tt.samples)
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

// The figures are the verdict's, and say what they assume of the responder.
func TestAssessMemoryFigures(t *testing.T) {
	set := remembered(t)
	for _, slower := range []time.Duration{1, 2, 12} {
		s := rememberer{walks: slower * set.WalkTime()}.play(t)
		a, err := Assess(s.Transcript(), s.Challenge(), NVIDIA())
		if err != nil {
			t.Fatal(err)
		}
		v := s.Verdict()
		rate := set.ReadRate / uint64(slower)
		if v.OpsLower > rate+rate/1000 || v.OpsLower < rate-rate/1000 {
			t.Errorf("%d reads/s of a device of %d", v.OpsLower, rate)
		}
		bytes := set.Proven(v.OpsLower)
		want := []Testimony{
			{"elapsed_s", v.Elapsed.Seconds()},
			{"reads_lower", v.OpsLower},
			{"random_bytes_per_s_lower", 64 * v.OpsLower},
			{"memory_bytes", bytes},
			{"dataset_bytes", set.Items * 64},
		}
		if !slices.Equal(a.Testimony, want) {
			t.Errorf("testimony %v, want %v", a.Testimony, want)
		}
		if bytes >= set.Bytes() || slower < 3 && bytes < set.Bytes()*8/10 {
			t.Errorf("%d bytes of %d shown at 1/%d of the rate", bytes, set.Bytes(), slower)
		}
		// g* is that of the class's best: at its rate both are the same.
		detail := a.Reasons[len(a.Reasons)-1].Detail
		hidden := 100 * (1 - float64(bytes)/float64(set.Bytes()))
		for _, want := range []string{
			fmt.Sprint(bytes, " bytes of a dataset of ", set.Bytes()), "class " + set.Name,
			fmt.Sprintf("without %.1f %% of it", hidden), fmt.Sprintf("without %.1f %%", 100*set.Hidden()),
		} {
			if !strings.Contains(detail, want) {
				t.Errorf("reason %q, want %q in it", detail, want)
			}
		}
		if slower == 1 && math.Abs(hidden-100*set.Hidden()) > 0.05 {
			t.Errorf("%.2f %% need not be held at the class's best, g* is %.2f %%", hidden, 100*set.Hidden())
		}
	}
}

// A proof of memory says nothing of throughput, nor one of compute of memory.
func TestAssessKeepsClaimsApart(t *testing.T) {
	for name, s := range map[string]*challenges.Session{
		"memory": rememberer{}.play(t), "compute": player{}.play(t), "fp64fma": player{profile: smallFP64}.play(t),
	} {
		a, err := Assess(s.Transcript(), s.Challenge(), NVIDIA())
		if err != nil {
			t.Fatal(err)
		}
		want := Claims{IsUnknown, IsShown, IsUnknown, IsUnknown}
		if name == "memory" {
			want = Claims{IsUnknown, IsUnknown, IsShown, IsUnknown}
		}
		if a.Claims != want {
			t.Errorf("%s: %+v, want %+v", name, a.Claims, want)
		}
	}
}
