package simd

import "encoding/binary"

// chaCha8AVX512 writes groups > 0 times sixteen blocks. Words 12, 13 and 15 of
// state are ignored.
//
//go:noescape
func chaCha8AVX512(out *byte, groups int, state *[16]uint32, counter uint64)

// chaCha8AVX2 is the same with groups of eight blocks.
//
//go:noescape
func chaCha8AVX2(out *byte, groups int, state *[16]uint32, counter uint64)

func chaCha8(l level, out []byte, key *[32]byte, matrix uint32, counter uint64) {
	// Half a mebibyte is about 0.1 ms without preemption.
	const piece = 512 << 10
	group := 8
	switch {
	case l == plain:
		chaCha8Plain(out, key, matrix, counter)
		return
	case l >= avx512:
		group = 16
	}
	state := [16]uint32{sigma0, sigma1, sigma2, sigma3, 14: matrix}
	for i := range 8 {
		state[4+i] = binary.LittleEndian.Uint32(key[4*i:])
	}
	for len(out) >= group*blockBytes {
		n := min(len(out), piece) / (group * blockBytes)
		chaCha8Groups(l, &out[0], n, &state, counter)
		out = out[n*group*blockBytes:]
		counter += uint64(n * group)
	}
	switch {
	case len(out) == blockBytes:
		chaCha8Plain(out, key, matrix, counter) // half the time of a group
	case len(out) > 0:
		var tail [16 * blockBytes]byte
		chaCha8Groups(l, &tail[0], 1, &state, counter)
		copy(out, tail[:])
	}
}

func chaCha8Groups(l level, out *byte, groups int, state *[16]uint32, counter uint64) {
	if l >= avx512 {
		chaCha8AVX512(out, groups, state, counter)
	} else {
		chaCha8AVX2(out, groups, state, counter)
	}
}
