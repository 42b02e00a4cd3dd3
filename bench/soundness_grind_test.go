package bench

import (
	"fmt"
	"math"
	"strings"
	"testing"
	"testing/synctest"

	"gonum.org/v1/gonum/stat/distuv"

	"github.com/assaynet/assay/challenges"
	"github.com/assaynet/assay/gpu"
	"github.com/assaynet/assay/prover/cheat"
)

// grindPasses is the exact probability that a grinder with the checker's secret
// passes: a round that happens to have the honest share h passes with
// 1 - (1 - h^s)^tries.
func grindPasses(row challenges.Profile, share float64, tries int) float64 {
	n := row.Shape.Entries()
	entries := distuv.Binomial{N: float64(n), P: share}
	var round float64
	for k := range n + 1 {
		hit := math.Pow(1-float64(k)/float64(n), float64(row.Samples))
		round += entries.Prob(float64(k)) * (1 - math.Pow(1-hit, float64(tries)))
	}
	return math.Pow(round, float64(row.Rounds))
}

// TestGrindingRoots: roots are ground for positions that miss what was skipped.
// Without the secret that gains nothing: the formula of a plain liar holds. With a
// leaked secret it gains what is stated, no more.
func TestGrindingRoots(t *testing.T) {
	tests := []struct {
		profile uint16
		tries   int
		share   float64 // skipped
		leaked  bool
		few     int // runs without the flag
		weight  int // share of the flag's runs, in sixteenths
	}{
		{profile: 1, tries: 10, share: 0.01, few: 25, weight: 8},
		{profile: 1, tries: 100, share: 0.02, few: 10, weight: 4},
		{profile: 9, tries: 100, share: 0.2, few: 100, weight: 16},
		// The share that the gain's bound allows: h = T^(-1/s).
		{profile: 9, tries: 1, share: 0.1, leaked: true, few: 100, weight: 16},
		{profile: 9, tries: 10, share: 0.438, leaked: true, few: 60, weight: 16},
		{profile: 9, tries: 100, share: 0.684, leaked: true, few: 60, weight: 16},
		{profile: 9, tries: 1000, share: 0.822, leaked: true, few: 30, weight: 16},
		{profile: 9, tries: 10000, share: 0.9, leaked: true, few: 10, weight: 4},
		// With more rounds all of them must be lucky.
		{profile: 1, tries: 1, share: 0.01, leaked: true, few: 20, weight: 8},
		{profile: 1, tries: 10, share: 0.13, leaked: true, few: 20, weight: 8},
		{profile: 1, tries: 100, share: 0.35, leaked: true, few: 10, weight: 4},
		{profile: 1, tries: 1000, share: 0.51, leaked: true, few: 3, weight: 1},
		{profile: 7, tries: 10, share: 0.05, leaked: true, few: 10, weight: 4},
		{profile: 7, tries: 100, share: 0.15, leaked: true, few: 6, weight: 2},
	}
	if *soundness > 0 {
		fmt.Println("\n| row | rounds x samples | tries a round | skipped | secret | passed of runs | measured, 95 % interval | formula |\n|---|---|---|---|---|---|---|---|")
	}
	for _, tt := range tests {
		if testing.Short() && tt.tries > 10 {
			continue
		}
		row, err := challenges.LookupProfile(tt.profile)
		if err != nil {
			t.Fatal(err)
		}
		n, want, secret := tt.few, grindPasses(row, tt.share, tt.tries), "leaked"
		if !tt.leaked {
			want, _ = passes(row, cheat.Spread, tt.share)
			secret = "guessed wrong"
		}
		if *soundness > 0 {
			n = max(1, *soundness*tt.weight/16)
		}
		got := 0
		synctest.Test(t, func(t *testing.T) { got = grind(t, tt.profile, tt.share, tt.tries, tt.leaked, n) })
		if low, high := interval(got, n, 0.9999); want < low-1e-12 || want > high+1e-12 {
			t.Errorf("row %d, %v skipped, %d tries, secret %s: passed %d of %d, the formula says %.4f", tt.profile, tt.share, tt.tries, secret, got, n, want)
		}
		if *soundness > 0 {
			low, high := interval(got, n, 0.95)
			fmt.Printf("| %d | %d x %d | %d | %.1f %% | %s | %d of %d | %.3f to %.3f | %.4f |\n",
				tt.profile, row.Rounds, row.Samples, tt.tries, 100*tt.share, secret, got, n, low, high, want)
		}
	}
}

// grind plays n challenges against a grinder and counts the passes.
func grind(t *testing.T, profile uint16, share float64, tries int, leaked bool, n int) int {
	g := &cheat.Grind{Liar: cheat.Liar{Inner: gpu.Exact{}, Share: share}, Secret: challenges.Secret{99}, Tries: tries}
	a := newArena(t, 0, nil, cheat.Grinder{Device: simDevice(t, "sim-100", "sim-100", g)})
	passed := 0
	for i := range n {
		secret := challenges.Secret{byte(i), byte(i >> 8), 5}
		if leaked {
			g.Secret = secret
		}
		s := a.play(bout{profile: profile, secret: secret})
		switch v := s.Verdict(); v.Outcome {
		case challenges.Pass:
			passed++
		case challenges.Wrong:
			if err := replays(s); i%16 == 0 && err != nil {
				t.Fatalf("transcript of a wrong: %v", err)
			}
		default:
			t.Fatalf("verdict %+v", v)
		}
	}
	return passed
}

// TestGainOfALeakedSecret: whoever knows the positions of every root in advance
// and tries T roots a round may skip so much that one root in T is lucky, h^s =
// 1/T: it does h of the work, and looks 1/h = T^(1/s) times as fast. The test
// holds that number against the exact probability.
func TestGainOfALeakedSecret(t *testing.T) {
	tries := []float64{1, 1e2, 1e4, 1e6, 1e8}
	samples := []float64{4, 8, 20, 80}
	if *soundness > 0 {
		fmt.Println("\n| tries a round | s = 4 | s = 8 | s = 20 | s = 80 |\n|---|---|---|---|---|")
	}
	for _, n := range tries {
		var line strings.Builder
		fmt.Fprintf(&line, "| %.0e |", n)
		for _, s := range samples {
			gain := math.Pow(n, 1/s)
			fmt.Fprintf(&line, " %.2f |", gain)
			// Log1p, since 1 - h^s is near 1.
			round := func(gain float64) float64 { return -math.Expm1(n * math.Log1p(-math.Pow(1/gain, s))) }
			if p := round(gain); p < 0.63 {
				t.Errorf("%v tries, %v samples: a round of gain %v passes with %v", n, s, gain, p)
			}
			// A round that skips more passes a hundred times less often: no gain is left.
			if p := round(gain * math.Pow(100, 1/s)); p > 0.0101 {
				t.Errorf("%v tries, %v samples: more than the stated gain passes with %v", n, s, p)
			}
		}
		if *soundness > 0 {
			fmt.Println(line.String())
		}
	}
}
