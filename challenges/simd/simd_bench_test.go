package simd

import (
	"fmt"
	"testing"
)

func benchLevels(b *testing.B, bytes int, f func(l level)) {
	b.Helper()
	for l := plain; l <= machine; l++ {
		b.Run(l.String(), func(b *testing.B) {
			b.SetBytes(int64(bytes))
			b.ReportAllocs()
			for b.Loop() {
				f(l)
			}
		})
	}
}

func BenchmarkChaCha8(b *testing.B) {
	out := make([]byte, 32<<10)
	key := [32]byte(randomBytes(newRand(1), 32))
	benchLevels(b, len(out), func(l level) { chaCha8(l, out, &key, 1, 1<<20) })
}

// One block has no other blocks to share the vectors with.
func BenchmarkChaCha8One(b *testing.B) {
	out := make([]byte, 64)
	key := [32]byte(randomBytes(newRand(1), 32))
	benchLevels(b, len(out), func(l level) { chaCha8(l, out, &key, 1, 1<<20) })
}

func BenchmarkDotInt8(b *testing.B) {
	x, y := randomBytes(newRand(1), 32<<10), randomBytes(newRand(2), 32<<10)
	benchLevels(b, len(x), func(l level) { sink += dotInt8(l, x, y) })
}

func BenchmarkDot9(b *testing.B) {
	x, y := randomBytes(newRand(1), max9Bytes), randomBytes(newRand(2), max9Bytes)
	benchLevels(b, len(x), func(l level) { sink += dot9(l, x, y) })
}

// BenchmarkSample is one entry of a product with K = 32768: a row, a column and
// their dot product.
func BenchmarkSample(b *testing.B) {
	row, col := make([]byte, 32<<10), make([]byte, 32<<10)
	key := [32]byte(randomBytes(newRand(1), 32))
	benchLevels(b, 2*len(row), func(l level) {
		chaCha8(l, row, &key, 0, 512)
		chaCha8(l, col, &key, 1, 1024)
		sink += dotInt8(l, row, col)
	})
}

// BenchmarkFMA takes lanes through 4096 steps; "scalar" is math.FMA with one
// lane after the other.
func BenchmarkFMA(b *testing.B) {
	r := newRand(1)
	coef := plainCoef(r, 4096)
	for _, n := range []int{6, 32, 64} {
		x, lane := randomLanes(r, n)
		b.Run(fmt.Sprintf("lanes=%d", n), func(b *testing.B) {
			benchLevels(b, 0, func(l level) { fma(l, x, lane, coef) })
			b.Run("scalar", func(b *testing.B) {
				for b.Loop() {
					naiveFMA(x, lane, coef)
				}
			})
		})
	}
}

// sink keeps the sums alive.
var sink int32
