package bench

import (
	"context"
	"flag"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"gonum.org/v1/gonum/stat/distuv"

	"github.com/assaynet/assay/challenges"
	"github.com/assaynet/assay/gpu"
	"github.com/assaynet/assay/prover/cheat"
)

var soundness = flag.Int("soundness", 0, "runs for each cell of the tables of docs/SOUNDNESS.md, which are printed; 0: a few, for the assertions alone")

// half is not a liar's own pattern: all that it skips lies in every second round.
const half cheat.Pattern = "half"

// skipper is a liar that counts its rounds.
type skipper struct {
	cheat.Liar
	round *int
}

func (s skipper) Compute(ctx context.Context, key challenges.Hash, shape challenges.Shape, c []byte) error {
	*s.round++
	if s.Pattern != half {
		return s.Liar.Compute(ctx, key, shape, c)
	}
	if *s.round%2 == 0 {
		return s.Inner.Compute(ctx, key, shape, c)
	}
	return cheat.Liar{Inner: s.Inner, Share: 2 * s.Share}.Compute(ctx, key, shape, c)
}

// passes is the exact probability that a liar passes a challenge of a row: each
// round of it is made of n pieces, each skipped with probability share. skipped is
// the share of all entries that those who pass have skipped on the average.
func passes(row challenges.Profile, p cheat.Pattern, share float64) (pass, skipped float64) {
	s := row.Shape
	n := int(s.Entries())
	rounds := float64(row.Rounds)
	switch p {
	case cheat.Columns:
		n = s.N
	case cheat.Tiles:
		n = (s.M + 7) / 8 * ((s.N + 31) / 32)
	case cheat.Rounds:
		n = 1
	case half:
		pass, skipped = passesRound(n, 2*share, row.Samples)
		return math.Pow(pass, rounds/2), skipped / 2
	}
	pass, skipped = passesRound(n, share, row.Samples)
	return math.Pow(pass, rounds), skipped
}

// passesRound is the mean of (1-F)^s over the share F that a round of n pieces
// happens to skip, and the mean of F in the rounds that pass.
func passesRound(n int, share float64, samples int) (pass, skipped float64) {
	if share == 1 {
		return 0, math.NaN()
	}
	pieces := distuv.Binomial{N: float64(n), P: share}
	for k := range n + 1 {
		f := float64(k) / float64(n)
		p := pieces.Prob(float64(k)) * math.Pow(1-f, float64(samples))
		pass += p
		skipped += f * p
	}
	return pass, skipped / pass
}

// interval is Clopper and Pearson's exact one for a probability, of which k of n
// were seen.
func interval(k, n int, confidence float64) (low, high float64) {
	tail, high := (1-confidence)/2, 1
	if k > 0 {
		low = distuv.Beta{Alpha: float64(k), Beta: float64(n - k + 1)}.Quantile(tail)
	}
	if k < n {
		high = distuv.Beta{Alpha: float64(k + 1), Beta: float64(n - k)}.Quantile(1 - tail)
	}
	return low, high
}

// cell is a row, a pattern and a share.
type cell struct {
	row     challenges.Profile
	pattern cheat.Pattern
	share   float64
}

// caught plays n challenges against a liar and counts those that end wrong. All
// others must pass: a liar that answers is shown wrong or not at all.
func (c cell) caught(t *testing.T, n int) int {
	t.Helper()
	wrong := 0
	synctest.Test(t, func(t *testing.T) {
		round := 0
		product := skipper{cheat.Liar{Inner: gpu.Exact{}, Share: c.share, Pattern: c.pattern}, &round}
		a := newArena(t, 0, nil, simDevice(t, "sim-100", "sim-100", product))
		for i := range n {
			round = 0
			s := a.play(bout{profile: c.row.Number})
			switch v := s.Verdict(); {
			case v.Outcome == challenges.Wrong && v.Clause == challenges.ClauseValue:
				wrong++
				// The evidence convicts on its own.
				if i%16 == 0 {
					if err := replays(s); err != nil {
						t.Fatalf("transcript of a wrong: %v", err)
					}
				}
			case v.Outcome != challenges.Pass:
				t.Fatalf("row %d, %s, %v skipped, run %d: %+v", c.row.Number, c.pattern, c.share, i, v)
			}
		}
	})
	return wrong
}

// TestDetection holds the share of liars that are caught against the formula, for
// every share, pattern and size of challenge.
func TestDetection(t *testing.T) {
	rows := []struct {
		profile uint16
		few     int // runs for each cell without the flag
		weight  int // share of the flag's runs, in eighths
	}{{1, 30, 8}, {3, 8, 4}, {4, 8, 4}, {7, 8, 4}, {8, 3, 1}}
	shares := []float64{0.01, 0.02, 0.05, 0.1, 0.5}
	if testing.Short() {
		rows = slices.Delete(rows, 1, 4)
		shares = []float64{0.02, 0.1}
	}
	for _, r := range rows {
		row, err := challenges.LookupProfile(r.profile)
		if err != nil {
			t.Fatal(err)
		}
		n := r.few
		if *soundness > 0 {
			n = max(1, *soundness*r.weight/8)
			fmt.Printf("\nRow %d, %s, %d x %d samples; %d runs a cell:\n\n", row.Number, row.Name, row.Rounds, row.Samples, n)
			fmt.Println("| | 1 % | 2 % | 5 % | 10 % | 50 % | 1 %: skipped by those that pass |\n|---|---|---|---|---|---|---|")
		}
		for _, pattern := range []cheat.Pattern{cheat.Spread, cheat.Columns, cheat.Tiles, cheat.Rounds, half} {
			cells := []string{string(pattern)}
			for _, share := range shares {
				cells = append(cells, cell{row, pattern, share}.check(t, n))
			}
			if *soundness > 0 {
				_, skipped := passes(row, pattern, shares[0])
				fmt.Printf("| %s | %.2f %% |\n", strings.Join(cells, " | "), 100*skipped)
			}
		}
	}
}

// check asserts, and writes down what was caught, with its interval, and the
// formula's value, in percent.
func (c cell) check(t *testing.T, n int) string {
	t.Helper()
	wrong := c.caught(t, n)
	pass, _ := passes(c.row, c.pattern, c.share)
	// The secrets are fixed, so this never flakes.
	if low, high := interval(wrong, n, 0.9999); 1-pass < low-1e-12 || 1-pass > high+1e-12 {
		t.Errorf("row %d, %s, %v skipped: caught %d of %d, the formula says %.4f", c.row.Number, c.pattern, c.share, wrong, n, 1-pass)
	}
	low, high := interval(wrong, n, 0.95)
	formula := fmt.Sprintf("%.1f", 100*(1-pass))
	if pass > 0 && pass < 0.0005 {
		formula = fmt.Sprintf("100 - %.0e", 100*pass)
	}
	return fmt.Sprintf("%.1f [%.1f, %.1f] %s", 100*float64(wrong)/float64(n), 100*low, 100*high, formula)
}
