package challenges

import (
	"math"

	"github.com/assaynet/assay/challenges/fma"
)

// Ways to compute a round that are nearly right: what they give must be refused.

// wrongWay is one of them, in place of [matrix].
type wrongWay struct {
	why  string
	fill func(key *Hash, s Shape) []uint64
}

func wrongWays(f Flavour) []wrongWay {
	switch f {
	case Int8:
		return []wrongWay{
			{"every entry one more", altered(func(v uint64) uint64 { return v + 1 })},
			{"the last column of A left out", products(func(s Shape, a, b []int64) int64 { return dot(a[:s.K-1], b) })},
			{"entries read as unsigned", products(func(_ Shape, a, b []int64) int64 {
				return dot(changed(a, func(x int64) int64 { return x & 0xff }), b)
			})},
		}
	case BF16:
		return []wrongWay{
			{"the low bit of A's entries dropped", products(func(_ Shape, a, b []int64) int64 {
				return dot(changed(a, func(x int64) int64 { return x / 2 * 2 }), b)
			})},
			{"signs left out", products(func(_ Shape, a, b []int64) int64 {
				return dot(changed(a, func(x int64) int64 { return max(x, -x) }), b)
			})},
			{"sums kept in bf16", products(func(_ Shape, a, b []int64) int64 { return narrowDot(a, b) })},
			{"every entry negated", altered(func(v uint64) uint64 { return uint64(-uint32(v)) })},
		}
	}
	plain := func(p, x, c float64) float64 { return float64(p*x) + c }
	narrow := func(p, x, c float64) float64 {
		// The product of two binary32 is a binary64; only the sum is rounded.
		return float64(float32(float64(float64(float32(p))*float64(float32(x))) + float64(float32(c))))
	}
	return []wrongWay{
		{"multiply and add rounded apart", lanesBy(plain, 17)},
		{"float32 FMAs", lanesBy(narrow, 17)},
		{"every entry negated", altered(func(v uint64) uint64 { return v ^ 1<<63 })},
		{"mantissa rotated by 18", lanesBy(math.FMA, 18)},
	}
}

// altered alters the right entries.
func altered(f func(uint64) uint64) func(*Hash, Shape) []uint64 {
	return func(key *Hash, s Shape) []uint64 {
		out := matrix(key, s)
		for i, v := range out {
			out[i] = f(v)
		}
		return out
	}
}

func changed(a []int64, f func(int64) int64) []int64 {
	out := make([]int64, len(a))
	for i, x := range a {
		out[i] = f(x)
	}
	return out
}

func dot(a, b []int64) (sum int64) {
	for k, x := range a {
		sum += x * b[k]
	}
	return sum
}

// narrowDot rounds every running sum to eight significant bits, to even.
func narrowDot(a, b []int64) int64 {
	var sum float64
	for k, x := range a {
		sum += float64(x * b[k])
		if frac, exp := math.Frexp(sum); sum != 0 {
			sum = math.Ldexp(math.RoundToEven(math.Ldexp(frac, 8)), exp-8)
		}
	}
	return int64(sum)
}

// products fills a matrix by another dot product.
func products(by func(s Shape, a, b []int64) int64) func(*Hash, Shape) []uint64 {
	return func(key *Hash, s Shape) []uint64 {
		out := make([]uint64, 0, s.Entries())
		cols := make([][]int64, s.N)
		for j := range cols {
			cols[j] = paperLine(s, *key, 1, j)
		}
		for i := range s.M {
			row := paperLine(s, *key, 0, i)
			for _, col := range cols {
				out = append(out, uint64(uint32(by(s, row, col))))
			}
		}
		return out
	}
}

// lanesBy walks every lane by another multiply-add and another rotation.
func lanesBy(step func(p, x, c float64) float64, turn int) func(*Hash, Shape) []uint64 {
	return func(key *Hash, s Shape) []uint64 {
		out, lane := make([]uint64, s.Entries()), make([]uint64, s.Entries())
		coef := make([]float64, 8*s.K)
		fma.Start((*[32]byte)(key), 0, out, lane)
		fma.Coefficients((*[32]byte)(key), 0, coef)
		for i := range out {
			x := math.Float64frombits(out[i])
			for c := coef; len(c) > 0; c = c[8:] {
				p := x
				for _, k := range c[:8] {
					p = step(p, x, k)
				}
				m := math.Float64bits(p) & (1<<52 - 1)
				m = (m<<turn | m>>(52-turn)) & (1<<52 - 1)
				x = math.Float64frombits(0x3ff<<52 | m ^ lane[i])
			}
			out[i] = math.Float64bits(x)
		}
		return out
	}
}
