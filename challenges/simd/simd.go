package simd

import "fmt"

const (
	blockBytes = 64    // a generator block, and the unit of the dot products
	maxInt8    = 65536 // entries: 65536 x 2^14 = 2^30 stays inside int32
	max9Bytes  = 16384 // 8192 entries: 8192 x 255^2 < 2^29
	degree     = 8     // coefficients of a step
)

// ChaCha8 writes len(out)/64 consecutive ChaCha8 blocks from block index
// counter on. Words 4 to 11 of the state are the key, 12 and 13 the block index
// with its low word first, 14 is matrix and 15 zero; the index wraps at 2^64.
// It panics unless len(out) is a multiple of 64.
func ChaCha8(out []byte, key *[32]byte, matrix uint32, counter uint64) {
	if len(out)%blockBytes != 0 {
		panic(fmt.Sprintf("simd: ChaCha8: output of %d bytes, not whole blocks of %d", len(out), blockBytes))
	}
	chaCha8(machine, out, key, matrix, counter)
}

// DotInt8 is the exact dot product of two vectors of int8, one entry a byte. It
// panics unless both have the same length, a multiple of 64 and at most 65536.
func DotInt8(a, b []byte) int32 {
	checkPair("DotInt8", len(a), len(b), maxInt8)
	return dotInt8(machine, a, b)
}

// Dot9 is the exact dot product of two vectors of 9-bit sign-magnitude entries,
// one in each 16-bit little-endian word: bits 0 to 7 are the magnitude, bit 8
// the sign, the rest is ignored. It panics unless both have the same length in
// bytes, a multiple of 64 and at most 16384 (8192 entries).
func Dot9(a, b []byte) int32 {
	checkPair("Dot9", len(a), len(b), max9Bytes)
	return dot9(machine, a, b)
}

// FMA advances lanes by len(coef)/8 steps. x holds the bits of one float64 in
// [1,2) a lane and is overwritten; lane holds one constant a lane, below 2^52;
// coef holds the eight coefficients of each step, all finite. A step takes every
// lane through
//
//	p := x
//	for i := range 8 { p = math.FMA(p, x, coef[8*step+i]) }
//	m := bits(p) & (1<<52 - 1)
//	m = (m<<17 | m>>35) & (1<<52 - 1)
//	x = frombits(0x3ff<<52 | (m ^ lane))
//
// with IEEE 754 rounding to nearest even, once per multiply and add. It panics
// unless x and lane have the same length and len(coef) is a multiple of 8.
func FMA(x, lane []uint64, coef []float64) {
	if len(x) != len(lane) {
		panic(fmt.Sprintf("simd: FMA: %d lanes but %d lane constants", len(x), len(lane)))
	}
	if len(coef)%degree != 0 {
		panic(fmt.Sprintf("simd: FMA: %d coefficients, not a multiple of %d", len(coef), degree))
	}
	fma(machine, x, lane, coef)
}

func checkPair(name string, a, b, limit int) {
	switch {
	case a != b:
		panic(fmt.Sprintf("simd: %s: vectors of %d and %d bytes", name, a, b))
	case a%blockBytes != 0 || a > limit:
		panic(fmt.Sprintf("simd: %s: vectors of %d bytes, not a multiple of %d up to %d", name, a, blockBytes, limit))
	}
}
