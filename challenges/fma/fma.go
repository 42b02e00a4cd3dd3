// Package fma makes the lanes of flavour fp64fma: chains of correctly rounded
// binary64 fused multiply-adds, whose start values and coefficients follow from a
// round's key.
package fma

import (
	"encoding/binary"
	"math"

	"github.com/assaynet/assay/challenges/simd"
)

// Matrix ids of the lanes' start values and of the steps' coefficients.
const (
	matrixLanes = 2
	matrixCoefs = 3
)

const (
	one      = 0x3ff << 52 // binary64 1.0: exponent of [1, 2)
	mantissa = 1<<52 - 1

	// Fused multiply-adds a step, and so coefficients, and blocks, a step.
	stepFMAs = 8
	// A lane's start value and constant, in bytes.
	laneBytes = 16

	// How much of the coefficients is in hand at a time, in bytes.
	tile = 4096
	// A block of the generator, in bytes.
	blockBytes = 64
)

// Start gives the start values and constants of the lanes from lane from on, as
// [simd.FMA] takes them: binary64 in [1, 2), and 52 bits.
func Start(key *[32]byte, from int, x, lane []uint64) {
	// SPEC: M0. Lane e takes bytes 16 e to 16 e + 15 of matrix 2: two 64-bit words,
	// whose low 52 bits are the mantissa of a value in [1, 2) and the lane's constant.
	var block [blockBytes]byte
	const each = blockBytes / laneBytes
	for i := range x {
		e := from + i
		if i == 0 || e%each == 0 {
			simd.ChaCha8(block[:], key, matrixLanes, uint64(e/each))
		}
		b := block[e%each*laneBytes:]
		x[i] = one | binary.LittleEndian.Uint64(b)&mantissa
		lane[i] = binary.LittleEndian.Uint64(b[8:]) & mantissa
	}
}

// Coefficients gives the coefficients of the steps from step from on, eight a
// step.
func Coefficients(key *[32]byte, from int, coef []float64) {
	var blocks [tile]byte
	for len(coef) > 0 {
		n := min(len(coef), tile/8)
		simd.ChaCha8(blocks[:8*n], key, matrixCoefs, uint64(from))
		for i := range coef[:n] {
			coef[i] = coefficient(binary.LittleEndian.Uint64(blocks[8*i:]))
		}
		coef, from = coef[n:], from+n/stepFMAs
	}
}

func coefficient(w uint64) float64 {
	// SPEC: M0. Coefficient i of step t is word 8 t + i of matrix 3: bit 63 is the
	// sign, bits 52 to 55 plus 1015 the biased exponent (2^-8 to 2^7), bits 0 to 51
	// the mantissa.
	return math.Float64frombits(w&(1<<63|mantissa) | (1015+w>>52&15)<<52)
}

// Lanes computes single lanes of so many steps: all of them together, a tile of
// steps at a time.
func Lanes(key *[32]byte, steps int, at []uint32, out []uint64) {
	lane := make([]uint64, len(at))
	for i, e := range at {
		Start(key, int(e), out[i:i+1], lane[i:i+1])
	}
	var coef [tile / 8]float64
	for from := 0; from < steps; from += len(coef) / stepFMAs {
		c := coef[:min(len(coef), (steps-from)*stepFMAs)]
		Coefficients(key, from, c)
		// SPEC: M0. Each step of a lane: p = x; eight times p = fma(p, x, c_i); the 52
		// bits of p's mantissa are rotated left by 17 and XORed with the lane's
		// constant; x is the value in [1, 2) with that mantissa.
		simd.FMA(out, lane, c)
	}
}
