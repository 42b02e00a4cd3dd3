package simd

import (
	"fmt"
	"testing"
)

// BenchmarkMix is 128 steps of each state; the cache is 16 MiB or, for a machine
// whose second-level cache holds it, 2 MiB.
func BenchmarkMix(b *testing.B) {
	const parents = 128
	for _, lines := range []int{1 << 15, 1 << 18} {
		cache := randomStates(newRand(1), lines)
		for _, n := range []int{1, 128, 4096} {
			states := randomStates(newRand(2), n)
			b.Run(fmt.Sprintf("lines=%d/states=%d", lines, n), func(b *testing.B) {
				for l := plain; l <= machine; l++ {
					b.Run(l.String(), func(b *testing.B) {
						b.ReportAllocs()
						for b.Loop() {
							mixLines(l, states, cache, parents)
						}
						b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*n*parents), "ns/step")
					})
				}
			})
		}
	}
}

func BenchmarkRounds(b *testing.B) {
	src, dst := randomStates(newRand(1), 1024), make([][16]uint32, 1024)
	benchLevels(b, 64*len(src), func(l level) { rounds(l, dst, src) })
}

func BenchmarkWalk(b *testing.B) {
	states, items := randomStates(newRand(1), 1024), randomStates(newRand(2), 1024)
	benchLevels(b, 64*len(states), func(l level) { walk(l, states, items) })
}
