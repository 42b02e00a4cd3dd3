package cheat

import (
	"context"
	"math"
	"math/big"

	"github.com/assaynet/assay/challenges"
	"github.com/assaynet/assay/challenges/fma"
)

// Polynomial is a product of flavour fp64fma whose steps are evaluated in another
// way than by eight fused multiply-adds one after another. It returns
// x^9 + c[0] x^7 + ... + c[7], more or less.
type Polynomial func(x float64, c []float64) float64

// Compute runs all lanes.
func (f Polynomial) Compute(ctx context.Context, key challenges.Hash, s challenges.Shape, c []byte) error {
	const mantissa = 1<<52 - 1
	coef := make([]float64, 8*s.K)
	fma.Coefficients((*[32]byte)(&key), 0, coef)
	var x, lane [1]uint64
	for e := range int(s.Entries()) {
		if err := ctx.Err(); err != nil {
			return err
		}
		fma.Start((*[32]byte)(&key), e, x[:], lane[:])
		for t := range s.K {
			m := math.Float64bits(f(math.Float64frombits(x[0]), coef[8*t:][:8])) & mantissa
			x[0] = 0x3ff<<52 | (m<<17|m>>35)&mantissa ^ lane[0]
		}
		s.PutValue(c[e*s.Width():], x[0])
	}
	return nil
}

// Fused is the protocol's own way.
func Fused(x float64, c []float64) float64 {
	p := x
	for _, k := range c {
		p = math.FMA(p, x, k)
	}
	return p
}

// Apart rounds each product before it is added to.
func Apart(x float64, c []float64) float64 {
	p := x
	for _, k := range c {
		p = float64(p*x) + k // the conversion keeps a compiler from fusing
	}
	return p
}

// Estrin evaluates in Estrin's order: fused, and three times less deep.
func Estrin(x float64, c []float64) float64 {
	x2 := x * x
	x4 := x2 * x2
	low := math.FMA(math.FMA(c[4], x, c[5]), x2, math.FMA(c[6], x, c[7]))
	high := math.FMA(math.FMA(c[0], x, c[1]), x2, math.FMA(c[2], x, c[3]))
	return math.FMA(x, x4*x4, math.FMA(high, x4, low))
}

// Float32 evaluates in binary32.
func Float32(x float64, c []float64) float64 {
	p := float32(x)
	for _, k := range c {
		p = float32(math.FMA(float64(p), float64(float32(x)), float64(float32(k))))
	}
	return float64(p)
}

// Unrounded evaluates exactly and rounds once: what arithmetic on integers, in
// residues or not, can compute.
func Unrounded(x float64, c []float64) float64 {
	const bits = 1024 // x^9 has 477, the coefficients reach 60 below the point
	exact := func(v float64) *big.Float { return new(big.Float).SetPrec(bits).SetFloat64(v) }
	p, bx := exact(x), exact(x)
	for _, k := range c {
		p.Add(p.Mul(p, bx), exact(k))
	}
	v, _ := p.Float64()
	return v
}

// DoubleFloat evaluates in pairs of binary32, as software for units without
// binary64 does.
func DoubleFloat(x float64, c []float64) float64 {
	p, px := pairOf(x), pairOf(x)
	for _, k := range c {
		p = p.times(px).plus(pairOf(k))
	}
	return float64(p.hi) + float64(p.lo)
}

// pair is hi + lo, hi being the sum rounded to binary32.
type pair struct{ hi, lo float32 }

func pairOf(v float64) pair {
	hi := float32(v)
	return pair{hi, float32(v - float64(hi))}
}

// sum is a + b as hi and its rounding error (Knuth).
func sum(a, b float32) pair {
	s := a + b
	t := s - a
	return pair{s, (a - (s - t)) + (b - t)}
}

func (a pair) times(b pair) pair {
	exact := float64(a.hi) * float64(b.hi) // 48 bits
	p := pairOf(exact)
	p.lo += a.hi*b.lo + a.lo*b.hi
	return sum(p.hi, p.lo)
}

func (a pair) plus(b pair) pair {
	p := sum(a.hi, b.hi)
	p.lo += a.lo + b.lo
	return sum(p.hi, p.lo)
}
