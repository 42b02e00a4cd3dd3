package fma

import (
	"math/rand/v2"
	"testing"

	"github.com/assaynet/assay/challenges/simd"
)

// TestStepsKeepInformation: a step is no permutation of the values in [1, 2), but
// it loses little. Nothing met among random values; of neighbours, a few per cent,
// in the steps whose last coefficient outweighs the rest.
func TestStepsKeepInformation(t *testing.T) {
	rng := rand.New(rand.NewPCG(8, 9))
	const lanes, steps = 1 << 12, 128
	coef := make([]float64, stepFMAs*steps)
	Coefficients(&[32]byte{77}, 0, coef)
	lane := make([]uint64, lanes)
	random, near, worst := 0, 0, lanes
	for step := range steps {
		c := coef[stepFMAs*step:][:stepFMAs]
		x := make([]uint64, lanes)
		for i := range x {
			x[i] = one | rng.Uint64()&mantissa
		}
		simd.FMA(x, lane, c)
		random += distinct(x)
		from := one | rng.Uint64()&(mantissa>>1)
		for i := range x {
			x[i] = from + uint64(i)
		}
		simd.FMA(x, lane, c)
		d := distinct(x)
		near, worst = near+d, min(worst, d)
	}
	const all = lanes * steps
	t.Logf("distinct after one step: %.6f of random values, %.4f of neighbours, worst step %.4f",
		float64(random)/all, float64(near)/all, float64(worst)/lanes)
	if random != all || near < all*9/10 {
		t.Errorf("%d and %d of %d", random, near, all)
	}
}

// TestLanesDoNotMeet: lanes that share constant and coefficients, and differ in
// nothing but the start, walk all 4,096 steps apart. So nobody can skip the first
// steps of a lane: where it is after them depends on where it began. (No two
// lanes of a round share a constant anyway.)
func TestLanesDoNotMeet(t *testing.T) {
	const total = 4096
	rng := rand.New(rand.NewPCG(10, 11))
	const random, each = 4096, 256
	gaps := []uint64{1, 2, 3, 4, 16, 1 << 10, 1 << 20, 1 << 40}
	x := make([]uint64, random, random+2*each*len(gaps))
	for i := range x {
		x[i] = one | rng.Uint64()&mantissa
	}
	for _, gap := range gaps {
		for range each {
			from := one | rng.Uint64()&(mantissa>>1)
			x = append(x, from, from+gap)
		}
	}
	lane := make([]uint64, len(x))
	for i := range lane {
		lane[i] = 0x9e3779b97f4a7
	}
	coef := make([]float64, stepFMAs*total)
	Coefficients(&[32]byte{78}, 0, coef)
	met := map[int]int{} // pairs of neighbours that are one after so many steps
	done := 0
	for _, step := range []int{1, 2, 64, total} {
		simd.FMA(x, lane, coef[stepFMAs*done:stepFMAs*step])
		done = step
		for i := random; i < len(x); i += 2 {
			if x[i] == x[i+1] {
				met[step]++
			}
		}
	}
	if d := distinct(x[:random]); d != random {
		t.Errorf("%d of %d random lanes are left", d, random)
	}
	pairs := each * len(gaps)
	t.Logf("%d pairs of random lanes: none met; %d pairs of neighbours met after 1, 2, 64, %d steps: %d, %d, %d, %d",
		random*(random-1)/2, pairs, total, met[1], met[2], met[64], met[total])
	if met[total] > pairs/100 || met[total] != met[2] {
		t.Errorf("%d of %d pairs of neighbours met: %v", met[total], pairs, met)
	}
}

func distinct(x []uint64) int {
	seen := make(map[uint64]bool, len(x))
	for _, v := range x {
		seen[v] = true
	}
	return len(seen)
}
