package bench

import (
	"bytes"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"

	"github.com/assaynet/assay/challenges"
	"github.com/assaynet/assay/gpu"
	"github.com/assaynet/assay/prover/cheat"
)

// arithmetics are other ways to compute a round. Those that are not exact must be
// wrong; the exact ones pass, whatever they cost.
func arithmetics() []struct {
	name    string
	profile uint16
	product gpu.Product
	exact   bool
} {
	return []struct {
		name    string
		profile uint16
		product gpu.Product
		exact   bool
	}{
		{"int8: entries without their low bit", 1, cheat.Narrow{Drop: 1}, false},
		{"int8: entries of 4 bits", 1, cheat.Narrow{Drop: 4}, false},
		{"int8: sums in binary16", 1, cheat.Narrow{Sums: 11}, false},
		{"int8: sums in binary32", 1, cheat.Narrow{Sums: 24}, true},
		{"bf16: entries of 8 bits", 3, cheat.Narrow{Drop: 1}, false},
		{"bf16: sums in bfloat16", 3, cheat.Narrow{Sums: 8}, false},
		{"bf16: sums in binary16", 3, cheat.Narrow{Sums: 11}, false},
		{"bf16: sums of 14 bits", 3, cheat.Narrow{Sums: 14}, false},
		{"bf16: sums in binary32", 3, cheat.Narrow{Sums: 24}, true},
		{"bf16: three int8 products", 3, cheat.Residue{}, true},
		{"fp64fma: eight fused multiply-adds", 4, cheat.Polynomial(cheat.Fused), true},
		{"fp64fma: binary32", 4, cheat.Polynomial(cheat.Float32), false},
		{"fp64fma: pairs of binary32", 4, cheat.Polynomial(cheat.DoubleFloat), false},
		{"fp64fma: multiply and add rounded apart", 4, cheat.Polynomial(cheat.Apart), false},
		{"fp64fma: Estrin's order", 4, cheat.Polynomial(cheat.Estrin), false},
		{"fp64fma: exact, rounded once a step", 4, cheat.Polynomial(cheat.Unrounded), false},
	}
}

// TestArithmetic: lower precision is wrong in the first challenge, in every
// flavour; residues have nothing to compute in fp64fma, whose every step rounds
// eight times; and three int8 products pass for bf16, since they are exact. A
// figure is "ops/s of this exact product by any method".
func TestArithmetic(t *testing.T) {
	if *soundness > 0 {
		fmt.Println("\n| arithmetic | entries that differ | verdict |\n|---|---|---|")
	}
	for _, tt := range arithmetics() {
		if _, slow := tt.product.(cheat.Narrow); slow && tt.exact && testing.Short() {
			continue // it passes, and so makes all its rounds
		}
		t.Run(tt.name, func(t *testing.T) {
			want, clause := challenges.Wrong, challenges.ClauseValue
			if tt.exact {
				want, clause = challenges.Pass, ""
			}
			synctest.Test(t, func(t *testing.T) {
				a := newArena(t, 0, nil, simDevice(t, "sim-100", "sim-100", tt.product))
				s := a.play(bout{profile: tt.profile})
				if v := s.Verdict(); v.Outcome != want || v.Clause != clause {
					t.Errorf("verdict %+v, want %v", v, want)
				}
				if err := replays(s); err != nil {
					t.Error(err)
				}
			})
			share := differing(t, tt.profile, tt.product)
			if (share == 0) != tt.exact {
				t.Errorf("%v of the entries differ", share)
			}
			if *soundness > 0 {
				fmt.Printf("| %s | %.2f %% | %v |\n", tt.name, 100*share, want)
			}
		})
	}
}

// differing is the share of a round's entries that a product gets wrong.
func differing(t *testing.T, profile uint16, p gpu.Product) float64 {
	t.Helper()
	row, err := challenges.LookupProfile(profile)
	if err != nil {
		t.Fatal(err)
	}
	s := row.Shape
	truth, told := make([]byte, s.Bytes()), make([]byte, s.Bytes())
	key := challenges.Hash{6}
	if err := errors.Join((gpu.Exact{}).Compute(t.Context(), key, s, truth), p.Compute(t.Context(), key, s, told)); err != nil {
		t.Fatal(err)
	}
	n := 0
	for i := 0; i < len(truth); i += s.Width() {
		if !bytes.Equal(truth[i:i+s.Width()], told[i:i+s.Width()]) {
			n++
		}
	}
	return float64(n) / float64(s.Entries())
}
