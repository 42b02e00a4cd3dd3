package reputation

import (
	"slices"
	"testing"

	"github.com/assaynet/assay/challenges"
	"github.com/assaynet/assay/checker/committee"
)

// Each flavour has its own best and its own claim, whatever order they come in.
func TestFoldKeepsFlavoursApart(t *testing.T) {
	r := testRegistry(2)
	s := foldAll(
		t, r,
		[]Seen{saw(0, 0, "u", in(challenges.FP64, item(1, challenges.Pass, 30, 40)), item(2, challenges.Pass, 90, 100))},
		[]Seen{
			saw(0, 1, "u", item(3, challenges.Late, 70, 100), in(challenges.FP64, item(4, challenges.Pass, 35, 44))),
			saw(1, 1, "u", in(challenges.BF16, item(5, challenges.Refused, 0, 50)), item(6, challenges.Pass, 95, 0)),
		},
	)
	want := []Rate{
		{Flavour: challenges.Int8, Best: 95, Claim: 100},
		{Flavour: challenges.BF16, Claim: 50},
		{Flavour: challenges.FP64, Best: 35, Claim: 44},
	}
	if !slices.Equal(s.Rates, want) {
		t.Errorf("rates %+v, want %+v", s.Rates, want)
	}
	var got []challenges.Flavour
	for _, f := range s.Figures {
		got = append(got, f.Flavour)
	}
	slices.Sort(got)
	if want := []challenges.Flavour{challenges.Int8, challenges.Int8, challenges.Int8, challenges.FP64, challenges.FP64}; !slices.Equal(got, want) {
		t.Errorf("figures of %v, want %v", got, want)
	}
	for _, f := range s.Figures {
		if f.Flavour == challenges.FP64 && (f.Ops != 30 || f.Claim != 40) && (f.Ops != 35 || f.Claim != 44) {
			t.Errorf("figure %+v", f)
		}
	}
	if fma, matmul := s.Count(challenges.FMA, challenges.Pass), s.Count(challenges.Matmul, challenges.Pass); fma != 2 || matmul != 2 {
		t.Errorf("%d passes of kind fma, %d of kind matmul; want 2 of each", fma, matmul)
	}
}

// A device that is below its claim in one flavour alone is below it: the figures
// of the others must not hide it.
func TestBelowClaimInOneFlavour(t *testing.T) {
	p := committee.Standard()
	six := func(ops uint64) []uint64 { return []uint64{ops, ops, ops, ops, ops, ops} }
	of := func(f challenges.Flavour, checkers int, ops ...uint64) []Figure {
		out := figures(1000, checkers, ops...)
		for i := range out {
			out[i].Flavour = f
		}
		return out
	}
	tests := []struct {
		name    string
		figures [][]Figure
		want    bool
	}{
		{"all fine", [][]Figure{of(challenges.Int8, 2, six(999)...), of(challenges.BF16, 2, six(999)...), of(challenges.FP64, 2, six(999)...)}, false},
		{"int8 low", [][]Figure{of(challenges.Int8, 2, six(1)...), of(challenges.BF16, 2, six(999)...), of(challenges.FP64, 2, six(999)...)}, true},
		{"bf16 low", [][]Figure{of(challenges.Int8, 2, six(999)...), of(challenges.BF16, 2, six(919)...), of(challenges.FP64, 2, six(999)...)}, true},
		{"bf16 just not low", [][]Figure{of(challenges.Int8, 2, six(999)...), of(challenges.BF16, 2, six(920)...), of(challenges.FP64, 2, six(999)...)}, false},
		{"fp64fma low", [][]Figure{of(challenges.Int8, 2, six(999)...), of(challenges.BF16, 2, six(999)...), of(challenges.FP64, 2, six(1)...)}, true},
		{"five low in one", [][]Figure{of(challenges.Int8, 2, six(999)...), of(challenges.FP64, 2, six(1)[1:]...)}, false},
		{"six low in one, of one checker", [][]Figure{of(challenges.Int8, 2, append(six(999), 999)...), of(challenges.FP64, 1, six(1)...)}, false},
		{"low over all, too few in each", [][]Figure{of(challenges.Int8, 2, 1, 1), of(challenges.BF16, 2, 1, 1), of(challenges.FP64, 2, 1, 1)}, true},
		{"half of each low", [][]Figure{of(challenges.Int8, 2, 1, 1, 1, 999, 999, 999, 999), of(challenges.FP64, 2, 1, 1, 1, 999, 999, 999, 999)}, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := Standing{Figures: slices.Concat(tt.figures...)}
			if got := slices.Contains(Flags(&s, &p), FlagBelowClaim); got != tt.want {
				t.Errorf("below claim %v, want %v", got, tt.want)
			}
			// The rule reads the figures; it must not sort or cut the caller's.
			if !slices.Equal(s.Figures, slices.Concat(tt.figures...)) {
				t.Error("the figures changed")
			}
		})
	}
}
