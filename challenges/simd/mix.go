package simd

import "fmt"

// Rounds writes one ChaCha double round (Bernstein, 2008) of src[i] to dst[i]:
// the column round and then the diagonal round, over the words of the 4x4
// matrix in row order, without the final addition. dst may be src, but must not
// overlap it otherwise. It panics unless both have the same length.
func Rounds(dst, src [][16]uint32) {
	if len(dst) != len(src) {
		panic(fmt.Sprintf("simd: Rounds: %d states to write but %d to read", len(dst), len(src)))
	}
	rounds(machine, dst, src)
}

// Mix advances every state by parents >= 0 steps. A step takes line
// state[0]%len(cache) of cache and replaces the state by the double round, as
// in Rounds, of the xor of state and line, word by word. The states must not
// overlap cache. It panics unless len(cache) is a power of two and parents is
// not negative.
func Mix(states, cache [][16]uint32, parents int) {
	if n := len(cache); n == 0 || n&(n-1) != 0 {
		panic(fmt.Sprintf("simd: Mix: cache of %d lines, not a power of two", n))
	}
	if parents < 0 {
		panic(fmt.Sprintf("simd: Mix: %d parents", parents))
	}
	mixLines(machine, states, cache, parents)
}

// Walk replaces states[i] by the double round, as in Rounds, of its xor with
// items[i], word by word. items may be states, but must not overlap it
// otherwise. It panics unless both have the same length.
func Walk(states, items [][16]uint32) {
	if len(states) != len(items) {
		panic(fmt.Sprintf("simd: Walk: %d states but %d items", len(states), len(items)))
	}
	walk(machine, states, items)
}
