package simd

import "math"

const (
	mantissa = 1<<52 - 1
	one      = 0x3ff << 52 // the bits of 1.0
)

// fmaPlain takes four lanes at a time: the eight multiply-adds of a step wait
// for each other, and other lanes fill the time.
func fmaPlain(x, lane []uint64, coef []float64) {
	for ; len(x) >= 4; x, lane = x[4:], lane[4:] {
		x0, x1 := math.Float64frombits(x[0]), math.Float64frombits(x[1])
		x2, x3 := math.Float64frombits(x[2]), math.Float64frombits(x[3])
		for c := coef; len(c) >= degree; c = c[degree:] {
			p0, p1, p2, p3 := x0, x1, x2, x3
			for _, k := range c[:degree] {
				p0 = math.FMA(p0, x0, k)
				p1 = math.FMA(p1, x1, k)
				p2 = math.FMA(p2, x2, k)
				p3 = math.FMA(p3, x3, k)
			}
			x0, x1 = mix(p0, lane[0]), mix(p1, lane[1])
			x2, x3 = mix(p2, lane[2]), mix(p3, lane[3])
		}
		x[0], x[1] = math.Float64bits(x0), math.Float64bits(x1)
		x[2], x[3] = math.Float64bits(x2), math.Float64bits(x3)
	}
	for i := range x {
		x0 := math.Float64frombits(x[i])
		for c := coef; len(c) >= degree; c = c[degree:] {
			p := x0
			for _, k := range c[:degree] {
				p = math.FMA(p, x0, k)
			}
			x0 = mix(p, lane[i])
		}
		x[i] = math.Float64bits(x0)
	}
}

// mix makes the next x of a lane, again in [1,2), from the mantissa of p.
func mix(p float64, lane uint64) float64 {
	m := math.Float64bits(p) & mantissa
	m = (m<<17 | m>>35) & mantissa
	return math.Float64frombits(one | (m ^ lane))
}
