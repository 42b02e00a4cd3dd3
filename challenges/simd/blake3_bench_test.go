package simd

import (
	"fmt"
	"testing"
)

func BenchmarkChunks(b *testing.B) {
	for _, n := range []int{1, 2, 8, 16, 64} {
		data, index, cvs := randomBytes(newRand(1), n*chunkBytes), make([]uint64, n), make([][8]uint32, n)
		b.Run(fmt.Sprintf("chunks=%d", n), func(b *testing.B) {
			benchLevels(b, len(data), func(l level) { chunks(l, cvs, data, index) })
		})
	}
}

func BenchmarkParents(b *testing.B) {
	for _, n := range []int{1, 2, 3, 4, 16, 64} {
		in, out := randomCVs(2*n, 1), make([][8]uint32, n)
		b.Run(fmt.Sprintf("parents=%d", n), func(b *testing.B) {
			benchLevels(b, 64*n, func(l level) { parents(l, out, in) })
		})
	}
}
