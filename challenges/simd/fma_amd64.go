package simd

// lanes64 is x and the lane constants of up to 64 lanes, the constants with the
// bits of 1.0 set in them.
type lanes64 [128]uint64

// The assembly takes the first 64 or 32 lanes through steps > 0.

//go:noescape
func fma64AVX512(lanes *lanes64, coef *float64, steps int)

//go:noescape
func fma32AVX512(lanes *lanes64, coef *float64, steps int)

//go:noescape
func fma32AVX2(lanes *lanes64, coef *float64, steps int)

func fma(l level, x, lane []uint64, coef []float64) {
	if l == plain {
		fmaPlain(x, lane, coef)
		return
	}
	width := 32
	if l >= avx512 {
		width = 64
	}
	for len(x) > 0 {
		n := min(len(x), width)
		fmaLanes(l, x[:n], lane[:n], coef)
		x, lane = x[n:], lane[n:]
	}
}

// fmaLanes takes up to 64 lanes, on AVX2 up to 32.
func fmaLanes(l level, x, lane []uint64, coef []float64) {
	// 8192 steps are about 0.15 ms without preemption.
	const piece = 8192
	var s lanes64
	for i := range s[:64] {
		s[i], s[64+i] = one, one
	}
	copy(s[:64], x)
	for i, c := range lane {
		s[64+i] |= c
	}
	for len(coef) > 0 {
		steps := min(len(coef)/degree, piece)
		switch {
		case l == avx2:
			fma32AVX2(&s, &coef[0], steps)
		case len(x) <= 32:
			fma32AVX512(&s, &coef[0], steps)
		default:
			fma64AVX512(&s, &coef[0], steps)
		}
		coef = coef[steps*degree:]
	}
	copy(x, s[:64])
}
