//go:build !amd64

package simd

func detect() level { return plain }

func chaCha8(_ level, out []byte, key *[32]byte, matrix uint32, counter uint64) {
	chaCha8Plain(out, key, matrix, counter)
}

func dotInt8(_ level, a, b []byte) int32 { return dotInt8Plain(a, b) }

func dot9(_ level, a, b []byte) int32 { return dot9Plain(a, b) }

func fma(_ level, x, lane []uint64, coef []float64) { fmaPlain(x, lane, coef) }

func chunks(_ level, cvs [][8]uint32, data []byte, index []uint64) { chunksPlain(cvs, data, index) }

func parents(_ level, out, in [][8]uint32) { parentsPlain(out, in) }

func rounds(_ level, dst, src [][16]uint32) { roundsPlain(dst, src) }

func mixLines(_ level, states, cache [][16]uint32, parents int) {
	mixLinesPlain(states, cache, parents)
}

func walk(_ level, states, items [][16]uint32) { walkPlain(states, items) }
