package simd

import "unsafe"

// batch is up to sixteen inputs of one to sixteen full blocks each, read by the
// assembly.
type batch struct {
	offset    [16]uint64 // of each input, in bytes
	low, high [16]uint32 // its chunk counter
	flags     [16]uint32 // of each block, the same for all inputs
	key       [8]uint32
}

// hash16AVX512 writes the chaining values of b's sixteen inputs of blocks > 0
// blocks.
//
//go:noescape
func hash16AVX512(out *[16][8]uint32, data *byte, b *batch, blocks int)

// hash8AVX2 does so for the first eight inputs.
//
//go:noescape
func hash8AVX2(out *[16][8]uint32, data *byte, b *batch, blocks int)

func chunks(l level, cvs [][8]uint32, data []byte, index []uint64) {
	if l == plain {
		chunksPlain(cvs, data, index)
		return
	}
	const blocks = chunkBytes / blockBytes
	width := hashWidth(l)
	b := batch{key: iv()}
	b.flags[0], b.flags[blocks-1] = flagStart, flagEnd
	// A batch takes less time than a single chunk without vectors.
	for len(index) > 0 {
		n := min(width, len(index))
		for i := range width {
			// Lanes without an input repeat the last one.
			j := min(i, n-1)
			b.offset[i] = uint64(j) * chunkBytes
			b.low[i], b.high[i] = uint32(index[j]), uint32(index[j]>>32)
		}
		hashBatch(l, cvs[:n], &data[0], &b, blocks)
		cvs, data, index = cvs[n:], data[n*chunkBytes:], index[n:]
	}
}

func parents(l level, out, in [][8]uint32) {
	if l == plain {
		parentsPlain(out, in)
		return
	}
	width := hashWidth(l)
	b := batch{key: iv()}
	b.flags[0] = flagParent
	for len(out) > 0 {
		n := min(width, len(out))
		for i := range width {
			b.offset[i] = uint64(min(i, n-1)) * blockBytes
		}
		// Two chaining values are a block: their words are little-endian here.
		hashBatch(l, out[:n], (*byte)(unsafe.Pointer(&in[0])), &b, 1)
		out, in = out[n:], in[2*n:]
	}
}

func hashBatch(l level, cvs [][8]uint32, data *byte, b *batch, blocks int) {
	var out [16][8]uint32
	if l >= avx512 {
		hash16AVX512(&out, data, b, blocks)
	} else {
		hash8AVX2(&out, data, b, blocks)
	}
	copy(cvs, out[:])
}

// hashWidth is how many inputs a level hashes at a time.
func hashWidth(l level) int {
	if l >= avx512 {
		return 16
	}
	return 8
}
