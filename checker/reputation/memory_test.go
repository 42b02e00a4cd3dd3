package reputation

import (
	"bytes"
	"math"
	"reflect"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/assaynet/assay/challenges"
	"github.com/assaynet/assay/challenges/memory"
	"github.com/assaynet/assay/checker/committee"
	"github.com/assaynet/assay/checker/report"
)

// What an item of memory adds to the figures.
func TestFoldMemory(t *testing.T) {
	const claim = 2 << 20
	row, err := memory.Lookup(501)
	if err != nil {
		t.Fatal(err)
	}
	set := memory.Dataset{Profile: row, Items: memory.Items(claim)}
	best := set.Proven(row.ReadRate)
	tests := []struct {
		name string
		item report.Item
		want []uint64 // bytes proven
	}{
		{"pass", remembered(1, challenges.Pass, row.ReadRate, claim), []uint64{best}},
		{"pass at a third of the rate", remembered(1, challenges.Pass, row.ReadRate/3, claim), []uint64{set.Proven(row.ReadRate / 3)}},
		// The arithmetic alone shows no memory, and no want of it either.
		{"pass without a figure", remembered(1, challenges.Pass, 0, claim), nil},
		{"late", remembered(1, challenges.Late, row.ReadRate/12, claim), []uint64{set.Proven(row.ReadRate / 12)}},
		// It is the device's own speed that shows so little.
		{"late without a figure", remembered(1, challenges.Late, 0, claim), []uint64{0}},
		{"late, so slow that all could be made again", remembered(1, challenges.Late, row.MakeRate, claim), []uint64{0}},
		{"unknown", remembered(1, challenges.Unknown, 0, claim), nil},
		{"withheld", remembered(1, challenges.Withheld, 0, claim), nil},
		{"wrong", remembered(1, challenges.Wrong, 0, claim), nil},
		{"refused", remembered(1, challenges.Refused, 0, claim), nil},
		{"unreachable", remembered(1, challenges.Unreachable, 0, claim), nil},
		{"compute", item(1, challenges.Pass, 90, 100), nil},
		{"compute, late without a figure", item(1, challenges.Late, 0, 100), nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := foldAll(t, testRegistry(1), []Seen{saw(0, 0, "u", tt.item)})
			var got []uint64
			for _, f := range s.Memory {
				got = append(got, f.Ops)
				if f.Checker != testID(0) || f.Epoch != 0 || f.Claim != claim {
					t.Errorf("figure %+v", f)
				}
			}
			if !slices.Equal(got, tt.want) {
				t.Errorf("%v bytes proven, want %v", got, tt.want)
			}
			if n := s.Count(tt.item.Kind, tt.item.Outcome); n != 1 || s.gpu(tt.item.Outcome) != 1 {
				t.Errorf("counted %d times", n)
			}
			if memory := tt.item.Kind == challenges.Memory; memory && (len(s.Rates) > 0 || len(s.Figures) > 0) {
				t.Errorf("rates %+v, figures %+v of a proof of memory", s.Rates, s.Figures)
			}
			if (len(s.Proofs) > 0) != (tt.item.Outcome == challenges.Wrong) {
				t.Errorf("proofs %v", s.Proofs)
			}
		})
	}
}

// The rate of random reads is the largest that was shown, and none of compute.
func TestFoldReads(t *testing.T) {
	s := foldAll(
		t, testRegistry(2),
		[]Seen{saw(0, 0, "u", remembered(1, challenges.Pass, 5e6, 2<<20), item(2, challenges.Pass, 9e9, 9e9))},
		[]Seen{saw(0, 1, "u", remembered(3, challenges.Late, 6e6, 2<<20)), saw(1, 1, "u", remembered(4, challenges.Pass, 4e6, 2<<20), remembered(5, challenges.Pass, 0, 2<<20))},
	)
	if s.Reads != 6e6 || len(s.Memory) != 3 {
		t.Errorf("%d reads/s of %d figures, want the largest of three", s.Reads, len(s.Memory))
	}
	if Throughput(&s, challenges.Int8) == nil || *Throughput(&s, challenges.Int8) != 9e9 {
		t.Errorf("rates %+v", s.Rates)
	}
}

// Of a run of several devices there is one figure a provider, however many items
// it has.
func TestFoldFleets(t *testing.T) {
	const claim = 2 << 20
	figure := func(checker int, sum, claim uint64) Figure {
		return Figure{Checker: testID(checker), Ops: sum, Claim: claim}
	}
	pass := func(n int) report.Item { return item(n, challenges.Pass, 90, 100) }
	tests := []struct {
		name string
		seen []Seen
		want []Figure
	}{
		{"alone", []Seen{saw(0, 0, "u", pass(1))}, nil},
		{"a run of three devices", []Seen{saw(0, 0, "u", together(1, 200, 300, pass(1)), together(1, 200, 300, pass(2)), together(1, 200, 300, pass(3)))}, []Figure{figure(0, 200, 300)}},
		{"of memory", []Seen{saw(0, 0, "u", together(1, 2e6, 2*claim, remembered(1, challenges.Pass, 6e6, claim)), together(1, 2e6, 2*claim, remembered(2, challenges.Pass, 6e6, claim)))}, []Figure{figure(0, 2e6, 2*claim)}},
		{"two runs", []Seen{saw(0, 0, "u", together(1, 200, 300, pass(1)), together(2, 100, 300, pass(2)), together(1, 200, 300, pass(3)))}, []Figure{figure(0, 200, 300), figure(0, 100, 300)}},
		{"two checkers", []Seen{saw(0, 0, "u", together(1, 200, 300, pass(1))), saw(1, 0, "u", together(2, 150, 300, pass(2)))}, []Figure{figure(0, 200, 300), figure(1, 150, 300)}},
		// One checker cannot take another's run away by its number.
		{"two checkers of one number", []Seen{saw(0, 0, "u", together(1, 200, 300, pass(1))), saw(1, 0, "u", together(1, 150, 300, pass(2)))}, []Figure{figure(0, 200, 300), figure(1, 150, 300)}},
		// Zeros say that it says nothing.
		{"a run that says nothing", []Seen{saw(0, 0, "u", together(1, 0, 0, refusal(1, challenges.ReasonTenant)), together(1, 0, 0, pass(2)))}, nil},
		{"a run in which nothing was done", []Seen{saw(0, 0, "u", together(1, 0, 300, refusal(1, challenges.ReasonBusy)))}, []Figure{figure(0, 0, 300)}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := foldAll(t, testRegistry(2), tt.seen)
			slices.SortFunc(tt.want, func(a, b Figure) int { return a.Checker.Compare(b.Checker) })
			if !slices.Equal(s.Fleets, tt.want) {
				t.Errorf("figures %+v, want %+v", s.Fleets, tt.want)
			}
		})
	}
	s := foldAll(t, testRegistry(1), nil, nil, []Seen{saw(0, 2, "u", together(1, 200, 300, pass(1)))})
	if len(s.Fleets) != 1 || s.Fleets[0].Epoch != 2 {
		t.Errorf("figures %+v, want one of epoch 2", s.Fleets)
	}
}

func TestFoldKeepsTheLatestOfMemoryAndFleets(t *testing.T) {
	var items []report.Item
	for i := range 100 {
		it := remembered(i, challenges.Pass, 6e6, uint64(i+1)<<20)
		it.Fleet = report.FleetPart{Run: challenges.Hash{1, byte(i)}, Devices: 1, Group: 2, Sum: uint64(i + 1), Claim: 1000}
		items = append(items, it)
	}
	s := foldAll(t, testRegistry(1), []Seen{saw(0, 0, "", items...)})
	if err := s.Check(); err != nil {
		t.Fatal(err)
	}
	if n := len(s.Memory); n != MaxFigures || s.Memory[0].Claim != (100-MaxFigures+1)<<20 || s.Memory[n-1].Claim != 100<<20 {
		t.Errorf("%d figures of memory, the first %+v", n, s.Memory[0])
	}
	if n := len(s.Fleets); n != MaxFigures || s.Fleets[0].Ops != 100-MaxFigures+1 || s.Fleets[n-1].Ops != 100 {
		t.Errorf("%d figures of fleets, the first %+v", n, s.Fleets[0])
	}
}

// Items of memory have reads a second where others have operations: they must not
// get into any rate, nor into the share of its claims that a provider is ranked by,
// and neither must sums.
func TestMemoryAndFleetsAreNoRates(t *testing.T) {
	r := testRegistry(3)
	rapid.Check(t, func(t *rapid.T) {
		var with, without Standing
		for e := range uint64(3) {
			seen := drawSeen(t, 3, e)
			other := slices.Clone(seen)
			for i := range other {
				items := slices.Clone(other[i].Observation.Items)
				for k := range items {
					items[k].Fleet = report.FleetPart{}
					if items[k].Kind == challenges.Memory {
						items[k].OpsLower, items[k].Claim = rapid.Uint64().Draw(t, "other reads"), rapid.Uint64().Draw(t, "other claim")
					}
				}
				other[i].Observation.Items = items
			}
			with, _ = Fold(with, Combine(r, e, provider, seen), &r.Params)
			without, _ = Fold(without, Combine(r, e, provider, other), &r.Params)
		}
		if !reflect.DeepEqual(with.Rates, without.Rates) || !reflect.DeepEqual(with.Figures, without.Figures) {
			t.Fatalf("rates %+v and %+v", with.Rates, without.Rates)
		}
		// What lacks of the memory and of the work at one time has its own place there.
		with.Memory, with.Fleets, without.Memory, without.Fleets = nil, nil, nil, nil
		with.Cards, without.Cards = nil, nil // nor to the ratios of a card
		if a, b := Score(&with, &r.Params), Score(&without, &r.Params); a != b {
			t.Fatalf("score %v, with other memory %v", a, b)
		}
		for _, f := range challenges.Flavours() {
			a, b := Throughput(&with, f), Throughput(&without, f)
			if (a == nil) != (b == nil) || a != nil && *a != *b || Claim(&with, f) != Claim(&without, f) {
				t.Fatalf("%v: throughput %v and %v", f, a, b)
			}
		}
	})
}

// A checker's items of one run come in any order among its others.
func TestFleetsOfAnyOrderOfItems(t *testing.T) {
	r := testRegistry(2)
	rapid.Check(t, func(t *rapid.T) {
		items := []report.Item{
			together(1, 200, 300, item(1, challenges.Pass, 90, 100)), together(1, 200, 300, item(2, challenges.Pass, 90, 100)),
			item(3, challenges.Pass, 90, 100), together(1, 200, 300, item(4, challenges.Late, 9, 100)),
		}
		plain, _ := Fold(Standing{}, Combine(r, 0, provider, []Seen{saw(0, 0, "u", items...)}), &r.Params)
		mixed, _ := Fold(Standing{}, Combine(r, 0, provider, []Seen{saw(0, 0, "u", rapid.Permutation(items).Draw(t, "order")...)}), &r.Params)
		if !bytes.Equal(challenges.Marshal(&Standing{Fleets: plain.Fleets}), challenges.Marshal(&Standing{Fleets: mixed.Fleets})) || len(mixed.Fleets) != 1 {
			t.Fatalf("%+v and %+v", plain.Fleets, mixed.Fleets)
		}
	})
}

func TestShareAndProven(t *testing.T) {
	number := func(f *float64) float64 {
		if f == nil {
			return -1
		}
		return *f
	}
	for _, tt := range []struct {
		name    string
		figures []Figure
		share   float64 // -1: nil
		proven  int64   // -1: nil
		claim   uint64
	}{
		{"none", nil, -1, -1, 0},
		{"one", figures(1000, 1, 700), 0.7, 700, 1000},
		{"none at all shown", figures(1000, 1, 0), 0, 0, 1000},
		{"median of three", figures(1000, 1, 900, 100, 500), 0.5, 500, 1000},
		{"median of four", figures(1000, 1, 900, 100, 500, 600), 0.55, 550, 1000},
		{"over the claim", figures(1000, 1, 1500), 1.5, 1500, 1000},
		{"without a claim", figures(0, 1, 5), -1, 5, 0},
		{"of two claims", append(figures(1000, 1, 500), figures(2000, 1, 1800)...), 0.7, 1150, 2000},
		{"a figure beyond all measure", figures(1, 1, math.MaxUint64), 1e6, -2, 1},
	} {
		if got := number(Share(tt.figures)); math.Abs(got-tt.share) > 1e-12 {
			t.Errorf("%s: share %v, want %v", tt.name, got, tt.share)
		}
		if tt.proven == -2 {
			continue
		}
		bytes, claim := Proven(&Standing{Memory: tt.figures})
		if (bytes == nil) != (tt.proven < 0) || bytes != nil && *bytes != uint64(tt.proven) || claim != tt.claim {
			t.Errorf("%s: proven %v of %d, want %d of %d", tt.name, bytes, claim, tt.proven, tt.claim)
		}
	}
}

// A flag's sentence is about the figures that raised it.
func TestWhy(t *testing.T) {
	p := committee.Standard()
	six := []uint64{500, 500, 500, 500, 500, 500}
	fp64 := figures(1000, 2, six...)
	for i := range fp64 {
		fp64[i].Flavour = challenges.FP64
	}
	var wrong [8]uint64
	wrong[challenges.Wrong] = 30
	for _, tt := range []struct {
		name string
		s    Standing
		want []string
	}{
		{"none", Standing{}, nil},
		{"proofs, of which the first are kept", Standing{
			Proofs: make([]challenges.Hash, MaxProofs), Kinds: []KindCount{{Kind: challenges.FMA, Outcomes: wrong}},
		}, []string{"30 transcripts"}},
		{"below the claim", Standing{Figures: figures(1000, 2, six...)}, []string{"50 % (median of 6 figures of 2 checkers) of its claims"}},
		// The figures of the others are fine, and would hide it.
		{
			"below it in one flavour",
			Standing{Figures: append(figures(1000, 3, 999, 999, 999, 999, 999, 999, 999), fp64...)},
			[]string{"50 % (median of 6 figures of 2 checkers) of its claims of fp64fma"},
		},
		{"memory", Standing{Memory: figures(1000, 3, 250, 250, 700, 100)}, []string{"25 % (median of 4 figures of 3 checkers)"}},
		{"oversold", Standing{Fleets: figures(1000, 2, 333, 334, 200)}, []string{"33 % (median of 3 figures of 2 checkers)"}},
		{"figures without a claim say nothing", Standing{Fleets: append(figures(1000, 2, 333, 334, 200), figures(0, 9, 1, 2, 3)...)}, []string{"33 % (median of 3 figures of 2 checkers)"}},
	} {
		why := Why(&tt.s, &p)
		if len(why) != len(tt.want) {
			t.Errorf("%s: %+v", tt.name, why)
			continue
		}
		for i, want := range tt.want {
			if !strings.Contains(why[i].Detail, want) {
				t.Errorf("%s: %q, want %q in it", tt.name, why[i].Detail, want)
			}
		}
	}
}

// As many figures as a number of a parameter holds are not none.
func TestHalfAsManyFigures(t *testing.T) {
	p := committee.Standard()
	p.BelowFigures = math.MaxUint16
	s := Standing{Memory: figures(1000, 2, 1, 1, 1), Fleets: figures(1000, 2, 1, 1, 1)}
	if got := Flags(&s, &p); len(got) > 0 {
		t.Errorf("flags %v of three figures, %d are asked for", got, p.BelowFigures)
	}
}
