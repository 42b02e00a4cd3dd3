package kernels_test

import (
	"fmt"
	"math"
	"math/rand/v2"

	"github.com/assaynet/assay/challenges/fma"
	"github.com/assaynet/assay/challenges/simd"
	"github.com/assaynet/assay/gpu/kernels"
)

func laneChecks() []check {
	var out []check
	for _, steps := range []int{1, 7, 256, 300} {
		out = append(out, check{fmt.Sprintf("coefficients of %d steps", steps), "fma_coefficients", func(c *card, r *rand.ChaCha8) error {
			key := randomKey(r)
			at := c.room(64 * steps)
			c.over("fma_coefficients", steps, 0, c.put(key[:]), at, uint64(steps))
			return c.same("coefficients", at, doubles(coefficients(key, steps)))
		}})
	}
	for _, l := range []struct{ lanes, steps int }{
		{128, 1},
		{128, 127},
		{128, 128},
		{384, 129},
		{1024, 3},
		{1152, 300}, // a second block, most of whose threads have no lanes but carry coefficients
	} {
		out = append(out, check{fmt.Sprintf("%d lanes of %d steps", l.lanes, l.steps), "fma_lanes", func(c *card, r *rand.ChaCha8) error {
			return askLanes(c, r, l.lanes, l.steps)
		}})
	}
	return out
}

func askLanes(c *card, r *rand.ChaCha8, lanes, steps int) error {
	key := randomKey(r)
	coef := coefficients(key, steps)
	x, lane := make([]uint64, lanes), make([]uint64, lanes)
	fma.Start(&key, 0, x, lane)
	simd.FMA(x, lane, coef)
	at := c.room(8 * lanes)
	c.over("fma_lanes", lanes/kernels.FMALanes, kernels.FMAShared, c.put(key[:]), c.put(doubles(coef)), at, uint64(lanes), uint64(steps))
	return c.same("lanes", at, words64(x))
}

func coefficients(key [32]byte, steps int) []float64 {
	coef := make([]float64, 8*steps)
	fma.Coefficients(&key, 0, coef)
	return coef
}

func doubles(v []float64) []byte {
	bits := make([]uint64, len(v))
	for i := range v {
		bits[i] = math.Float64bits(v[i])
	}
	return words64(bits)
}
