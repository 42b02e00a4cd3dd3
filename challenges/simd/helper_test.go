package simd

import (
	"bytes"
	"math/rand/v2"
	"testing"
)

// eachLevel runs f once for every implementation that this machine has.
func eachLevel(t *testing.T, f func(t *testing.T, l level)) {
	t.Helper()
	for l := plain; l <= machine; l++ {
		t.Run(l.String(), func(t *testing.T) { f(t, l) })
	}
}

func newRand(seed uint64) *rand.Rand { return rand.New(rand.NewPCG(seed, 9)) }

func randomBytes(r *rand.Rand, n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(r.Uint32())
	}
	return b
}

// guarded is a slice of n bytes that starts at an odd place inside a larger
// array, and a check that nothing around it was written.
func guarded(n, shift int) ([]byte, func() bool) {
	const margin = 256
	mem := bytes.Repeat([]byte{0xa5}, n+2*margin)
	lo := margin/2 + shift
	return mem[lo : lo+n], func() bool {
		clean := bytes.Repeat([]byte{0xa5}, 2*margin)
		return bytes.HasPrefix(clean, mem[:lo]) && bytes.HasPrefix(clean, mem[lo+n:])
	}
}

// panics runs f and returns the message it panicked with.
func panics(t *testing.T, f func()) (msg string) {
	t.Helper()
	defer func() {
		msg, _ = recover().(string)
		if msg == "" {
			t.Error("no panic with a message")
		}
	}()
	f()
	return ""
}
