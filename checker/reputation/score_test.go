package reputation

import (
	"math"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/assaynet/assay/challenges"
	"github.com/assaynet/assay/checker/committee"
	"github.com/assaynet/assay/checker/report"
)

func figures(claim uint64, checkers int, ops ...uint64) (out []Figure) {
	for i, o := range ops {
		out = append(out, Figure{Checker: testID(i % checkers), Ops: o, Claim: claim})
	}
	return out
}

func TestFlags(t *testing.T) {
	p := committee.Standard()
	ten := []Figure{{Checker: testID(1), Ops: 10, Claim: 0}}
	tests := []struct {
		name string
		s    Standing
		want []string
	}{
		{"nothing known", Standing{}, []string{}},
		{"a proof", Standing{Proofs: []challenges.Hash{{1}}}, []string{FlagWorkIncorrect}},
		{"five low figures", Standing{Figures: figures(1000, 2, 1, 1, 1, 1, 1)}, []string{}},
		{"six low figures of one checker", Standing{Figures: figures(1000, 1, 1, 1, 1, 1, 1, 1)}, []string{}},
		{"six low figures of two", Standing{Figures: figures(1000, 2, 1, 1, 1, 1, 1, 1)}, []string{FlagBelowClaim}},
		{"five of two, and one without a claim", Standing{Figures: append(figures(1000, 2, 1, 1, 1, 1, 1), ten...)}, []string{}},
		{"six of one, and another's without a claim", Standing{Figures: append(figures(1000, 1, 1, 1, 1, 1, 1, 1), ten...)}, []string{}},
		{"median at 92 %", Standing{Figures: figures(1000, 2, 920, 920, 920, 920, 920, 920)}, []string{}},
		{"median under 92 %", Standing{Figures: figures(1000, 2, 919, 919, 919, 919, 919, 919)}, []string{FlagBelowClaim}},
		{"middle two average over 92 %", Standing{Figures: figures(1000, 2, 1, 1, 900, 941, 999, 999)}, []string{}},
		{"middle two average under 92 %", Standing{Figures: figures(1000, 2, 1, 1, 900, 939, 999, 999)}, []string{FlagBelowClaim}},
		{"three low of seven", Standing{Figures: figures(1000, 2, 1, 1, 1, 930, 999, 999, 999)}, []string{}},
		{"four low of seven", Standing{Figures: figures(1000, 2, 1, 1, 1, 910, 999, 999, 999)}, []string{FlagBelowClaim}},
		{"the order of figures is nothing", Standing{Figures: figures(1000, 2, 999, 1, 930, 1, 999, 1, 999)}, []string{}},
		// Of memory and of fleets half as many figures are enough.
		{"two figures of no memory", Standing{Memory: figures(1000, 2, 0, 0)}, []string{}},
		{"three of one checker", Standing{Memory: figures(1000, 1, 0, 0, 0)}, []string{}},
		{"three of two", Standing{Memory: figures(1000, 2, 0, 0, 0)}, []string{FlagBelowMemory}},
		{"three of two, one without a claim", Standing{Memory: append(figures(1000, 2, 0, 0), ten...)}, []string{}},
		{"memory at 70 %", Standing{Memory: figures(1000, 2, 700, 700, 700)}, []string{}},
		{"memory under 70 %", Standing{Memory: figures(1000, 2, 699, 699, 699)}, []string{FlagBelowMemory}},
		{"memory, one of three low", Standing{Memory: figures(1000, 2, 0, 800, 800)}, []string{}},
		{"memory, two of three low", Standing{Memory: figures(1000, 2, 0, 800, 0)}, []string{FlagBelowMemory}},
		{"two runs of fleets", Standing{Fleets: figures(1000, 2, 1, 1)}, []string{}},
		{"three of one checker's", Standing{Fleets: figures(1000, 1, 1, 1, 1)}, []string{}},
		{"three of two checkers'", Standing{Fleets: figures(1000, 2, 1, 1, 1)}, []string{FlagOversold}},
		{"fleets at 85 %", Standing{Fleets: figures(1000, 2, 850, 850, 850)}, []string{}},
		{"fleets under 85 %", Standing{Fleets: figures(1000, 2, 849, 849, 849)}, []string{FlagOversold}},
		// What one list shows is not held against another's rule.
		{"low memory is no low figure", Standing{Memory: figures(1000, 2, 900, 900, 900, 900, 900, 900)}, []string{}},
		{"high figures do not hide low memory", Standing{Figures: figures(1000, 2, 999, 999, 999, 999, 999, 999), Memory: figures(1000, 2, 1, 1, 1)}, []string{FlagBelowMemory}},
		{"all four", Standing{
			Proofs: []challenges.Hash{{1}}, Figures: figures(1000, 2, 1, 1, 1, 1, 1, 1), Memory: figures(1000, 2, 1, 1, 1), Fleets: figures(1000, 2, 1, 1, 1),
		}, []string{FlagWorkIncorrect, FlagBelowClaim, FlagBelowMemory, FlagOversold}},
		{"both", Standing{Proofs: []challenges.Hash{{1}}, Figures: figures(1000, 2, 1, 1, 1, 1, 1, 1)}, []string{FlagWorkIncorrect, FlagBelowClaim}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := Flags(&tt.s, &p); !slices.Equal(got, tt.want) {
				t.Errorf("flags %v, want %v", got, tt.want)
			}
			// Each flag has its one sentence.
			var codes []string
			for _, r := range Why(&tt.s, &p) {
				codes = append(codes, r.Code)
				if r.Detail == "" {
					t.Errorf("flag %s without a sentence", r.Code)
				}
			}
			if !slices.Equal(codes, tt.want) {
				t.Errorf("reasons for %v, want %v", codes, tt.want)
			}
		})
	}
}

// Each figure is held against the claim that it was measured against, so a
// provider that raises its claim is not flagged for its past.
func TestBelowClaimUsesEachFiguresOwnClaim(t *testing.T) {
	p := committee.Standard()
	s := Standing{Rates: []Rate{{Claim: 2000}}, Figures: figures(1000, 2, 950, 950, 950, 950, 950, 950)}
	if got := Flags(&s, &p); len(got) != 0 {
		t.Errorf("flags %v", got)
	}
}

// rates are best and claim, in pairs, a flavour each.
func rates(bestAndClaim ...uint64) (out []Rate) {
	for i := 0; i < len(bestAndClaim); i += 2 {
		out = append(out, Rate{Flavour: challenges.Flavour(i / 2), Best: bestAndClaim[i], Claim: bestAndClaim[i+1]})
	}
	return out
}

func gpu(o map[challenges.Outcome]uint64) []KindCount {
	k := KindCount{Kind: challenges.Matmul}
	for out, n := range o {
		k.Outcomes[out] = n
	}
	return []KindCount{k}
}

func TestScore(t *testing.T) {
	p := committee.Standard()
	reached := []CheckerRate{{Checker: testID(0), Up: 10, Total: 10}}
	type counts = map[challenges.Outcome]uint64
	tests := []struct {
		name string
		s    Standing
		want float64
	}{
		{"nothing known", Standing{}, 0},
		{"reached, no pass", Standing{Checkers: reached}, 0},
		{"passes of probes are none", Standing{Checkers: reached, Kinds: []KindCount{{Kind: challenges.Probe, Outcomes: [8]uint64{challenges.Pass: 5}}}}, 0},
		{"pass, never probed", Standing{Rates: rates(100, 100), Kinds: gpu(counts{challenges.Pass: 9})}, 0},
		{"pass", Standing{Rates: rates(100, 100), Checkers: reached, Kinds: gpu(counts{challenges.Pass: 9})}, 1},
		{"pass, no figure", Standing{Checkers: reached, Kinds: gpu(counts{challenges.Pass: 9})}, 0},
		{"a proof", Standing{Rates: rates(100, 100), Checkers: reached, Kinds: gpu(counts{challenges.Pass: 9}), Proofs: []challenges.Hash{{1}}}, 0},
		{"late", Standing{Rates: rates(100, 100), Checkers: reached, Kinds: gpu(counts{challenges.Pass: 9, challenges.Late: 1})}, 0.9},
		{"late and withheld", Standing{Rates: rates(100, 100), Checkers: reached, Kinds: gpu(counts{challenges.Pass: 8, challenges.Late: 1, challenges.Withheld: 1})}, 0.8},
		{"5 % refused", Standing{Rates: rates(100, 100), Checkers: reached, Kinds: gpu(counts{challenges.Pass: 95, challenges.Refused: 5})}, 1},
		{"10 % refused", Standing{Rates: rates(100, 100), Checkers: reached, Kinds: gpu(counts{challenges.Pass: 90, challenges.Refused: 10})}, 90.0 / 95},
		{"10 % refused, half of it neutral", Standing{Rates: rates(100, 100), Checkers: reached, Neutral: 6, Kinds: gpu(counts{challenges.Pass: 90, challenges.Refused: 10})}, 1},
		{"all refusals neutral", Standing{Rates: rates(100, 100), Checkers: reached, Neutral: 50, Kinds: gpu(counts{challenges.Pass: 50, challenges.Refused: 50})}, 1},
		{"half reached", Standing{Rates: rates(100, 100), Checkers: []CheckerRate{{Checker: testID(0), Up: 5, Total: 10}}, Kinds: gpu(counts{challenges.Pass: 9})}, 0.5},
		{"80 % of the claim", Standing{Checkers: reached, Kinds: gpu(counts{challenges.Pass: 9}), Rates: rates(80, 100)}, 0.8},
		{"twice the claim", Standing{Checkers: reached, Kinds: gpu(counts{challenges.Pass: 9}), Rates: rates(200, 100)}, 1},
		{"claim without a figure", Standing{Checkers: reached, Kinds: gpu(counts{challenges.Pass: 9}), Rates: rates(0, 100)}, 0}, // the provider may have seen to it
		{"figure without a claim", Standing{Checkers: reached, Kinds: gpu(counts{challenges.Pass: 9}), Rates: rates(80, 0)}, 0},
		{"the flavour shown least", Standing{Checkers: reached, Kinds: gpu(counts{challenges.Pass: 9}), Rates: rates(80, 100, 30, 60, 90, 100)}, 0.5},
		{"the last flavour shown least", Standing{Checkers: reached, Kinds: gpu(counts{challenges.Pass: 9}), Rates: rates(80, 100, 0, 60, 10, 100)}, 0.1},
		{"over the claim in one flavour, under it in another", Standing{Checkers: reached, Kinds: gpu(counts{challenges.Pass: 9}), Rates: rates(900, 100, 80, 100)}, 0.8},
		{"late in one flavour, half shown in the other", Standing{
			Checkers: reached, Rates: rates(50, 100, 100, 100),
			Kinds: append(gpu(counts{challenges.Pass: 5}), KindCount{Kind: challenges.FMA, Outcomes: [8]uint64{challenges.Pass: 3, challenges.Late: 2}}),
		}, 0.4},
		{"memory counts as any kind", Standing{
			Checkers: reached, Rates: rates(100, 100),
			Kinds: append(gpu(counts{challenges.Pass: 5}), KindCount{Kind: challenges.Memory, Outcomes: [8]uint64{challenges.Pass: 3, challenges.Late: 2}}),
		}, 0.8},
		// What a provider is ranked by is its rate: memory alone shows none.
		{"memory alone", Standing{Checkers: reached, Kinds: []KindCount{{Kind: challenges.Memory, Outcomes: [8]uint64{challenges.Pass: 9}}}, Memory: figures(100, 2, 90, 90)}, 0},
		// What lacks of it lowers the rank: up to what raises a flag nothing lacks.
		{"half of the memory that is enough", Standing{Checkers: reached, Rates: rates(100, 100), Kinds: gpu(counts{challenges.Pass: 9}), Memory: figures(100, 2, 35, 35)}, 0.5},
		{"a fifth of the work at one time that is enough", Standing{Checkers: reached, Rates: rates(100, 100), Kinds: gpu(counts{challenges.Pass: 9}), Fleets: figures(100, 2, 17, 17)}, 0.2},
		{"both lack, and a share of the claim", Standing{Checkers: reached, Rates: rates(80, 100), Kinds: gpu(counts{challenges.Pass: 9}), Memory: figures(100, 2, 35, 35), Fleets: figures(100, 2, 17, 17)}, 0.08},
		{"enough of both", Standing{Checkers: reached, Rates: rates(100, 100), Kinds: gpu(counts{challenges.Pass: 9}), Memory: figures(100, 2, 70, 70), Fleets: figures(100, 2, 85, 85)}, 1},
		{"more of both than was claimed", Standing{Checkers: reached, Rates: rates(80, 100), Kinds: gpu(counts{challenges.Pass: 9}), Memory: figures(100, 2, 170, 170), Fleets: figures(100, 2, 185, 185)}, 0.8},
		{"neither held against a claim", Standing{Checkers: reached, Rates: rates(100, 100), Kinds: gpu(counts{challenges.Pass: 9}), Memory: figures(0, 2, 35, 35), Fleets: figures(0, 2, 17, 17)}, 1},
		{"no memory, no rank", Standing{Checkers: reached, Rates: rates(100, 100), Kinds: gpu(counts{challenges.Pass: 9}), Memory: figures(100, 2, 0, 0)}, 0},
		{"unknown", Standing{Rates: rates(100, 100), Checkers: reached, Kinds: gpu(counts{challenges.Pass: 9, challenges.Unknown: 900})}, 1},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := Score(&tt.s, &p); math.Abs(got-tt.want) > 1e-12 {
				t.Errorf("score %v, want %v", got, tt.want)
			}
		})
	}
}

// Unknown is never good and never bad, whether in a challenge or in a probe.
func TestUnknownNeverMovesTheScore(t *testing.T) {
	r := testRegistry(3)
	rapid.Check(t, func(t *rapid.T) {
		seen := drawSeen(t, 3, 0)
		plain, _ := Fold(Standing{}, Combine(r, 0, provider, seen), &r.Params)
		more := slices.Clone(seen)
		for i := range more {
			o := &more[i].Observation
			o.Items = append(slices.Clone(o.Items), item(900+i, challenges.Unknown, 0, 0))
			o.Slices = slices.Clone(o.Slices)
			for len(o.Slices) < r.Params.Slices() {
				o.Slices = append(o.Slices, byte(challenges.Unknown))
			}
		}
		unsure, _ := Fold(Standing{}, Combine(r, 0, provider, more), &r.Params)
		if a, b := Score(&plain, &r.Params), Score(&unsure, &r.Params); a != b {
			t.Fatalf("score %v, with unknowns %v", a, b)
		}
		if a, b := Available(&plain, &r.Params), Available(&unsure, &r.Params); (a.Confirmed == nil) != (b.Confirmed == nil) ||
			(a.Confirmed != nil && *a.Confirmed != *b.Confirmed) {
			t.Fatal("confirmed availability moved with unknowns")
		}
	})
}

func TestScoreIsAShare(t *testing.T) {
	r := testRegistry(6)
	rapid.Check(t, func(t *rapid.T) {
		var s Standing
		for e := range uint64(3) {
			s, _ = Fold(s, Combine(r, e, provider, drawSeen(t, 6, e)), &r.Params)
		}
		if got := Score(&s, &r.Params); !(got >= 0 && got <= 1) {
			t.Fatalf("score %v of %+v", got, s)
		}
	})
}

func TestThroughputAndLevel(t *testing.T) {
	s := Standing{Rates: rates(7, 9, 0, 5)}
	for _, tt := range []struct {
		name       string
		s          Standing
		flavour    challenges.Flavour
		ops, claim uint64
	}{
		{"nothing known", Standing{}, challenges.Int8, 0, 0},
		{"shown", s, challenges.Int8, 7, 9},
		{"not shown yet", s, challenges.BF16, 0, 5},
		{"not asked for", s, challenges.FP64, 0, 0},
		{"only the last flavour", Standing{Rates: []Rate{{Flavour: challenges.FP64, Best: 3, Claim: 4}}}, challenges.FP64, 3, 4},
		{"another than the only one", Standing{Rates: []Rate{{Flavour: challenges.FP64, Best: 3, Claim: 4}}}, challenges.Int8, 0, 0},
	} {
		got := Throughput(&tt.s, tt.flavour)
		if (got == nil) != (tt.ops == 0) || (got != nil && *got != tt.ops) {
			t.Errorf("%s: throughput %v, want %d", tt.name, got, tt.ops)
		}
		if got := Claim(&tt.s, tt.flavour); got != tt.claim {
			t.Errorf("%s: claim %d, want %d", tt.name, got, tt.claim)
		}
	}
	p := committee.Standard()
	if got := LevelOf(&s, &p); got != 0 {
		t.Errorf("level %v of a simulated device", got)
	}
}

func TestAvailability(t *testing.T) {
	p := committee.Standard()
	p.LowerFrom = time.Hour
	rate := func(i int, up, total uint64) CheckerRate {
		return CheckerRate{Checker: testID(i), Up: up, Total: total}
	}
	tests := []struct {
		name                    string
		s                       Standing
		confirmed, reachability *float64
	}{
		{"nothing known", Standing{}, nil, nil},
		{"only uncertain", Standing{Slices: 10, Uncertain: 10}, nil, nil},
		{"only contested", Standing{Slices: 10, Contested: 4, Uncertain: 6}, nil, nil},
		{"up", Standing{Slices: 10}, new(1.0), nil},
		{"a tenth down", Standing{Slices: 20, Uncertain: 6, Contested: 4, Down: 1}, new(0.9), nil},
		{"all down", Standing{Slices: 10, Down: 10}, new(0.0), nil},
		{"checkers without a probe", Standing{Checkers: []CheckerRate{rate(0, 0, 0)}}, nil, nil},
		{"median of two", Standing{Checkers: []CheckerRate{rate(0, 1, 2), rate(1, 2, 2)}}, nil, new(0.75)},
		{"one liar of three", Standing{Checkers: []CheckerRate{rate(0, 0, 9), rate(1, 9, 10), rate(2, 10, 10)}}, nil, new(0.9)},
		{"median leaves out who never probed", Standing{Checkers: []CheckerRate{rate(0, 0, 0), rate(1, 1, 1)}}, nil, new(1.0)},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			a := Available(&tt.s, &p)
			same(t, "confirmed", a.Confirmed, tt.confirmed)
			same(t, "reachability", a.Reachability, tt.reachability)
		})
	}
}

// TestNeutralProbesDoNotUnderflow: only GPU challenges have neutral refusals to
// take off; a checker that signs another item must not turn the score over.
func TestNeutralProbesDoNotUnderflow(t *testing.T) {
	p := committee.Devnet()
	r := committee.Registry{Params: p, Checkers: []committee.Member{{ID: challenges.NodeID{1}}}}
	item := report.Item{Kind: challenges.Probe, Outcome: challenges.Refused, Reason: challenges.ReasonTenant}
	a := Combine(&r, 0, challenges.NodeID{9}, []Seen{{Checker: challenges.NodeID{1}, Observation: report.Observation{
		Provider: challenges.NodeID{9}, Slices: []byte{1},
		Items: []report.Item{item, {Challenge: challenges.Hash{1}, Kind: challenges.Matmul, Profile: 1, Outcome: challenges.Pass, OpsLower: 5, Claim: 5}},
	}}})
	s, _ := Fold(Standing{}, a, &p)
	if got := Score(&s, &p); got != 1 {
		t.Errorf("score %v, want 1", got)
	}
}
