package cheat

import (
	"context"
	"errors"
	"math"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/assaynet/assay/challenges"
	"github.com/assaynet/assay/gpu"
)

// Without anything dropped or rounded the products are exact: what makes the cheats
// wrong is their arithmetic, not a slip in how they read matrices.
func TestExactArithmetic(t *testing.T) {
	shapes := testShapes()
	tests := []struct {
		name    string
		product gpu.Product
		shapes  []challenges.Shape
	}{
		{"nothing dropped", Narrow{}, shapes[:2]},
		{"sums in binary32", Narrow{Sums: 24}, shapes[:2]},
		{"three int8 products", Residue{}, shapes[1:2]},
		{"fused steps", Polynomial(Fused), shapes[2:]},
		{"one card", Cards(1), shapes},
		{"more cards than rows", Cards(5), shapes},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			for _, s := range tt.shapes {
				for key := range byte(5) {
					key := challenges.Hash{key, 1}
					if n := count(wrongs(s, compute(t, gpu.Exact{}, key, s), compute(t, tt.product, key, s))); n > 0 {
						t.Errorf("%v: %d of %d entries differ", s, n, s.Entries())
					}
				}
			}
		})
	}
}

// Cheaper arithmetic differs in nearly every entry, in the smallest rounds too.
func TestCheaperArithmetic(t *testing.T) {
	shapes := testShapes()
	tests := []struct {
		name    string
		product gpu.Product
		shape   challenges.Shape
	}{
		{"int8 without the low bit", Narrow{Drop: 1}, shapes[0]},
		{"int8 of 4 bits", Narrow{Drop: 4}, shapes[0]},
		{"int8, sums in binary16", Narrow{Sums: 11}, shapes[0]},
		{"bf16 of 8 bits", Narrow{Drop: 1}, shapes[1]},
		{"bf16, sums in bfloat16", Narrow{Sums: 8}, shapes[1]},
		{"bf16, sums in binary16", Narrow{Sums: 11}, shapes[1]},
		{"fp64fma in binary32", Polynomial(Float32), shapes[2]},
		{"fp64fma in pairs of binary32", Polynomial(DoubleFloat), shapes[2]},
		{"fp64fma, rounded apart", Polynomial(Apart), shapes[2]},
		{"fp64fma in Estrin's order", Polynomial(Estrin), shapes[2]},
		{"fp64fma, rounded once a step", Polynomial(Unrounded), shapes[2]},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			key := challenges.Hash{8}
			n := count(wrongs(tt.shape, compute(t, gpu.Exact{}, key, tt.shape), compute(t, tt.product, key, tt.shape)))
			if n < int(tt.shape.Entries())*9/10 {
				t.Errorf("%d of %d entries differ", n, tt.shape.Entries())
			}
		})
	}
}

func TestProductsStopWithTheirContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	shapes := testShapes()
	for i, p := range []gpu.Product{Narrow{}, Residue{}, Polynomial(Fused), Cards(2)} {
		s := shapes[min(i, 2)]
		if err := p.Compute(ctx, challenges.Hash{}, s, make([]byte, s.Bytes())); !errors.Is(err, context.Canceled) {
			t.Errorf("%T: error %v", p, err)
		}
	}
}

func TestRound(t *testing.T) {
	for _, tt := range []struct {
		x    float32
		bits uint
		want float32
	}{
		{0, 8, 0},
		{1<<24 - 1, 24, 1<<24 - 1},
		{1<<11 + 1, 11, 1 << 11},   // half way: to the even neighbour below
		{1<<11 + 3, 11, 1<<11 + 4}, // and above
		{-(1<<11 + 3), 11, -(1<<11 + 4)},
		{257, 8, 256},
		{259, 8, 260},
		{1<<16 - 1, 11, 1 << 16}, // into the next binade
	} {
		if got := round(tt.x, tt.bits); got != tt.want {
			t.Errorf("%v to %d bits is %v, want %v", tt.x, tt.bits, got, tt.want)
		}
	}
}

// Every pair of 9-bit entries, by way of three int8 products.
func TestResidueOfEveryPair(t *testing.T) {
	s := challenges.Shape{Flavour: challenges.BF16, K: 511}
	line := make([]byte, s.Line())
	for i := range s.K {
		if x := i - 255; x < 0 {
			line[2*i], line[2*i+1] = byte(-x), 1
		} else {
			line[2*i] = byte(x)
		}
	}
	all, p := integers(s, line), split(s, line)
	h, l, d := signed(p.h), signed(p.l), signed(p.d)
	for i, x := range all {
		if x != int32(i-255) || h[i] != x/2 || l[i] != x%2 || d[i] != h[i]-l[i] {
			t.Fatalf("entry %d is %d: parts %d, %d, %d", i-255, x, h[i], l[i], d[i])
		}
		for j, y := range all {
			if got := 6*h[i]*h[j] + 3*l[i]*l[j] - 2*d[i]*d[j]; got != x*y {
				t.Fatalf("%d x %d is %d", x, y, got)
			}
		}
	}
}

func signed(b []byte) []int32 {
	var out []int32
	for _, v := range b {
		out = append(out, int32(int8(v)))
	}
	return out
}

// All ways to evaluate a step mean the same polynomial, to their precision.
func TestPolynomialsAreOne(t *testing.T) {
	ways := map[string]struct {
		f    Polynomial
		bits float64
	}{
		"apart": {Apart, 46}, "estrin": {Estrin, 46}, "float32": {Float32, 16}, "double float": {DoubleFloat, 38}, "unrounded": {Unrounded, 46},
	}
	rapid.Check(t, func(t *rapid.T) {
		x := rapid.Float64Range(1, 2-1e-9).Draw(t, "x")
		c := rapid.SliceOfN(rapid.Float64Range(-128, 128), 8, 8).Draw(t, "c")
		exact := Fused(x, c)
		// What cancels is lost to all of them: errors are relative to the terms.
		size := math.Abs(Unrounded(x, mapped(c, math.Abs)))
		for name, way := range ways {
			if off := math.Abs(way.f(x, c) - exact); off > size*math.Exp2(-way.bits) {
				t.Errorf("%s: off by %v of %v", name, off, size)
			}
		}
	})
}

func mapped(v []float64, f func(float64) float64) []float64 {
	v = slices.Clone(v)
	for i := range v {
		v[i] = f(v[i])
	}
	return v
}
