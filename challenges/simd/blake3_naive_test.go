package simd

import (
	"encoding/binary"
	"math/bits"
)

// naiveCompress is the compression function from the paper's tables: sections
// 2.1 and 2.2, with an indexed state.
func naiveCompress(h [8]uint32, m [16]uint32, t uint64, length, flags uint32) (cv [8]uint32) {
	v := [16]uint32{
		h[0], h[1], h[2], h[3], h[4], h[5], h[6], h[7],
		0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, uint32(t), uint32(t >> 32), length, flags,
	}
	permutation := [16]int{2, 6, 3, 10, 7, 0, 4, 13, 1, 11, 12, 5, 9, 14, 15, 8}
	for range 7 {
		for i := range 8 {
			a, b, c, d := i%4, 4+i%4, 8+i%4, 12+i%4
			if i >= 4 {
				b, c, d = 4+(i+1)%4, 8+(i+2)%4, 12+(i+3)%4
			}
			for j, r := range [4]int{16, 12, 8, 7} {
				if j%2 == 0 {
					v[a] += v[b] + m[2*i+j/2]
					v[d] = bits.RotateLeft32(v[d]^v[a], -r)
				} else {
					v[c] += v[d]
					v[b] = bits.RotateLeft32(v[b]^v[c], -r)
				}
			}
		}
		var next [16]uint32
		for i, p := range permutation {
			next[i] = m[p]
		}
		m = next
	}
	for i := range cv {
		cv[i] = v[i] ^ v[i+8]
	}
	return cv
}

func naiveChunk(data []byte, counter uint64) [8]uint32 {
	h := iv()
	for i := range 16 {
		var m [16]uint32
		for j := range m {
			m[j] = binary.LittleEndian.Uint32(data[64*i+4*j:])
		}
		var flags uint32
		if i == 0 {
			flags |= 1 // CHUNK_START
		}
		if i == 15 {
			flags |= 2 // CHUNK_END
		}
		h = naiveCompress(h, m, counter, 64, flags)
	}
	return h
}

func naiveParent(l, r [8]uint32) [8]uint32 {
	const parent = 4
	return naiveCompress(iv(), [16]uint32(append(l[:], r[:]...)), 0, 64, parent)
}
