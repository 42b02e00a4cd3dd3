package simd

import "fmt"

// chunkBytes is a BLAKE3 chunk, the leaf of its tree.
const chunkBytes = 1024

// Chunks computes the BLAKE3 chaining values, not root, of len(index) whole
// chunks of 1024 bytes that stand one after the other in data; the i-th has
// chunk counter index[i], in any order. cvs[i] is its eight output words. It
// panics unless len(cvs) is len(index) and len(data) is 1024 times that.
func Chunks(cvs [][8]uint32, data []byte, index []uint64) {
	if len(cvs) != len(index) {
		panic(fmt.Sprintf("simd: Chunks: %d chaining values but %d chunk counters", len(cvs), len(index)))
	}
	if len(data)/chunkBytes != len(index) || len(data)%chunkBytes != 0 {
		panic(fmt.Sprintf("simd: Chunks: %d bytes for %d chunks of %d", len(data), len(index), chunkBytes))
	}
	chunks(machine, cvs, data, index)
}

// Parents computes the BLAKE3 chaining values, not root, of the parents of
// pairs: out[i] is the parent of in[2i] and in[2i+1] under the unkeyed hash. out
// may be in[:len(out)], so that a tree folds in place. It panics unless len(in)
// is twice len(out).
func Parents(out, in [][8]uint32) {
	if len(in)%2 != 0 || len(in)/2 != len(out) {
		panic(fmt.Sprintf("simd: Parents: %d chaining values for %d parents", len(in), len(out)))
	}
	parents(machine, out, in)
}
