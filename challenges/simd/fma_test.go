package simd

import (
	"encoding/binary"
	"math"
	"math/big"
	"math/rand/v2"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// naiveFMA is the definition, lane by lane and step by step.
func naiveFMA(x, lane []uint64, coef []float64) {
	for j := range x {
		for step := range len(coef) / 8 {
			v := math.Float64frombits(x[j])
			p := v
			for i := range 8 {
				p = math.FMA(p, v, coef[8*step+i])
			}
			m := math.Float64bits(p) & (1<<52 - 1)
			m = (m<<17 | m>>35) & (1<<52 - 1)
			m ^= lane[j]
			x[j] = 0x3ff<<52 | m
		}
	}
}

func randomLanes(r *rand.Rand, n int) (x, lane []uint64) {
	x, lane = make([]uint64, n), make([]uint64, n)
	for i := range x {
		x[i] = 0x3ff<<52 | r.Uint64()>>12
		lane[i] = r.Uint64() >> 12
		switch r.IntN(16) {
		case 0:
			x[i] = 0x3ff << 52
		case 1:
			x[i] |= 1<<52 - 1
		case 2:
			lane[i] = 0
		case 3:
			lane[i] = 1<<52 - 1
		}
	}
	return x, lane
}

// plainCoef has coefficients of either sign with exponents from -8 to 8.
func plainCoef(r *rand.Rand, steps int) []float64 {
	coef := make([]float64, 8*steps)
	for i := range coef {
		f := 1 + float64(r.Uint64()>>12)/(1<<52)
		coef[i] = math.Copysign(math.Ldexp(f, r.IntN(17)-8), float64(r.IntN(2))-0.5)
	}
	return coef
}

// randomCoef has some special ones besides.
func randomCoef(r *rand.Rand, steps int) []float64 {
	special := []float64{
		0, math.Copysign(0, -1), 1, -1, 2, -2, math.SmallestNonzeroFloat64, -0x1p-1022,
		math.MaxFloat64, -math.MaxFloat64, 0x1p53, -0x1p-53,
	}
	coef := plainCoef(r, steps)
	for i := range coef {
		if r.IntN(8) == 0 {
			coef[i] = special[r.IntN(len(special))]
		}
	}
	return coef
}

// guardedLanes copies x to an odd place inside a larger array.
func guardedLanes(x []uint64, shift int) ([]uint64, func() bool) {
	const margin, mark = 80, 0xa5a5a5a5a5a5a5a5
	mem := make([]uint64, len(x)+2*margin)
	for i := range mem {
		mem[i] = mark
	}
	lo := margin/2 + shift
	copy(mem[lo:], x)
	return mem[lo : lo+len(x)], func() bool {
		other := func(v uint64) bool { return v != mark }
		return !slices.ContainsFunc(mem[:lo], other) && !slices.ContainsFunc(mem[lo+len(x):], other)
	}
}

func TestFMALevels(t *testing.T) {
	lanes := []int{63, 64, 65, 95, 97, 128, 131}
	for n := range 34 {
		lanes = append(lanes, n)
	}
	eachLevel(t, func(t *testing.T, l level) {
		r := newRand(5)
		for _, n := range lanes {
			for _, steps := range []int{0, 1, 2, 3, 40} {
				x, lane := randomLanes(r, n)
				coef := plainCoef(r, steps)
				if r.IntN(2) == 0 {
					coef = randomCoef(r, steps)
				}
				got, clean := guardedLanes(x, n%9)
				constants := slices.Clone(lane)
				fma(l, got, lane, coef)
				naiveFMA(x, lane, coef)
				if !slices.Equal(got, x) {
					t.Fatalf("%d lanes, %d steps: wrong", n, steps)
				}
				if !clean() || !slices.Equal(lane, constants) {
					t.Fatalf("%d lanes, %d steps: written outside x", n, steps)
				}
			}
		}
	})
}

// Many steps go to the assembly in pieces. An overflow would hide a lost step: it
// forgets all that came before.
func TestFMALong(t *testing.T) {
	r := newRand(6)
	x, lane := randomLanes(r, 7)
	coef := plainCoef(r, 20000)
	want := slices.Clone(x)
	naiveFMA(want, lane, coef)
	eachLevel(t, func(t *testing.T, l level) {
		got := slices.Clone(x)
		fma(l, got, lane, coef)
		if !slices.Equal(got, want) {
			t.Error("wrong")
		}
	})
}

// Sums that cancel to exactly zero, sums that round to even at a tie, and sums
// that two roundings would get wrong, each alone in the last coefficient.
func TestFMAExact(t *testing.T) {
	cases := []struct {
		name string
		x    float64
		coef []float64
	}{
		{"zero", 1, []float64{0, 0, 0, 0, 0, 0, 0, -1}},
		{"zero then negative zero", 1, []float64{-1, math.Copysign(0, -1), 0, 0, 0, 0, 0, math.Copysign(0, -1)}},
		{"zero of squares", 1.5, []float64{-2.25, 0, 0, 0, 0, 0, 0, 0}},
		{"low half of a square", 1 + 0x1p-30, []float64{-(1 + 0x1p-29), 0, 0, 0, 0, 0, 0, 0}},
		{"tie", 1, []float64{0x1p53, 0, 0, 0, 0, 0, 0, 0}},
		{"tie above", 1, []float64{0x1p53, 0x1p-60, 0x1p53, 1, 1, 1, 1, 1}},
		{"overflow", 1.999, []float64{math.MaxFloat64, math.MaxFloat64, 1, 1, 1, 1, 1, 1}},
		{"subnormal", 1.999, []float64{-(1.999 * 1.999), 0, 0, 0, 0, 0, 0, 0}},
	}
	eachLevel(t, func(t *testing.T, l level) {
		for _, c := range cases {
			for _, n := range []int{1, 6, 33, 64} {
				x, lane := make([]uint64, n), make([]uint64, n)
				for i := range x {
					x[i], lane[i] = math.Float64bits(c.x), uint64(i)
				}
				want := slices.Clone(x)
				fma(l, x, lane, c.coef)
				naiveFMA(want, lane, c.coef)
				if !slices.Equal(x, want) {
					t.Errorf("%s, %d lanes: got %x, want %x", c.name, n, x, want)
				}
			}
		}
	})
}

// The oracle's math.FMA may itself be the machine's instruction: here the sums
// are exact rationals, rounded once.
func TestFMARounding(t *testing.T) {
	r := newRand(7)
	for range 200 {
		x, lane := randomLanes(r, 33)
		coef := make([]float64, 8)
		for i := range coef {
			coef[i] = math.Copysign(1+float64(r.Uint64()>>12)/(1<<52), float64(r.IntN(2))-0.5)
		}
		want := make([]uint64, len(x))
		for j := range x {
			v := math.Float64frombits(x[j])
			p := v
			for _, k := range coef {
				e := new(big.Float).SetPrec(400).Mul(big.NewFloat(p), big.NewFloat(v))
				p, _ = e.Add(e, big.NewFloat(k)).Float64()
			}
			want[j] = math.Float64bits(mix(p, lane[j]))
		}
		for l := plain; l <= machine; l++ {
			got := slices.Clone(x)
			fma(l, got, lane, coef)
			if !slices.Equal(got, want) {
				t.Fatalf("%v: not the exact sums rounded once", l)
			}
		}
	}
}

// Lanes do not see each other: any part of them alone gives the same.
func TestFMAParts(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := newRand(rapid.Uint64().Draw(t, "seed"))
		n := rapid.IntRange(0, 140).Draw(t, "lanes")
		cut := rapid.IntRange(0, n).Draw(t, "cut")
		steps := rapid.IntRange(0, 9).Draw(t, "steps")
		half := 8 * rapid.IntRange(0, steps).Draw(t, "half")
		x, lane := randomLanes(r, n)
		coef := plainCoef(r, steps)
		parts := slices.Clone(x)
		FMA(x, lane, coef)
		FMA(parts[:cut], lane[:cut], coef)
		FMA(parts[cut:], lane[cut:], coef[:half])
		FMA(parts[cut:], lane[cut:], coef[half:])
		if !slices.Equal(x, parts) {
			t.Fatal("parts differ")
		}
	})
}

func TestFMAPanics(t *testing.T) {
	panics(t, func() { FMA(make([]uint64, 2), make([]uint64, 3), nil) })
	panics(t, func() { FMA(make([]uint64, 2), make([]uint64, 2), make([]float64, 12)) })
}

func FuzzFMA(f *testing.F) {
	f.Add(uint64(1), uint8(6), []byte("0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"))
	f.Fuzz(func(t *testing.T, seed uint64, lanes uint8, data []byte) {
		coef := make([]float64, min(len(data)/64, 64)*8)
		for i := range coef {
			coef[i] = math.Float64frombits(binary.LittleEndian.Uint64(data[8*i:]))
			if math.IsNaN(coef[i]) || math.IsInf(coef[i], 0) {
				coef[i] = 1
			}
		}
		x, lane := randomLanes(newRand(seed), int(lanes))
		want := slices.Clone(x)
		naiveFMA(want, lane, coef)
		for l := plain; l <= machine; l++ {
			got, clean := guardedLanes(x, int(seed%33))
			fma(l, got, lane, coef)
			if !slices.Equal(got, want) || !clean() {
				t.Errorf("%v: wrong or written outside", l)
			}
		}
	})
}
