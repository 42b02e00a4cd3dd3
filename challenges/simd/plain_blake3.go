package simd

import (
	"encoding/binary"
	"math/bits"
)

// Domain flags of the compression function.
const (
	flagStart  = 1 << 0
	flagEnd    = 1 << 1
	flagParent = 1 << 2
)

// iv is the key of the unkeyed hash: SHA-256's initial value.
func iv() [8]uint32 {
	return [8]uint32{
		0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,
		0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19,
	}
}

func chunksPlain(cvs [][8]uint32, data []byte, index []uint64) {
	const blocks = chunkBytes / blockBytes
	for i, counter := range index {
		cv := iv()
		for j := range blocks {
			var flags uint32
			if j == 0 {
				flags |= flagStart
			}
			if j == blocks-1 {
				flags |= flagEnd
			}
			var m [16]uint32
			for k := range m {
				m[k] = binary.LittleEndian.Uint32(data[4*k:])
			}
			compress(&cv, &m, counter, flags)
			data = data[blockBytes:]
		}
		cvs[i] = cv
	}
}

func parentsPlain(out, in [][8]uint32) {
	for i := range out {
		var m [16]uint32
		copy(m[:8], in[2*i][:])
		copy(m[8:], in[2*i+1][:])
		cv := iv()
		compress(&cv, &m, 0, flagParent)
		out[i] = cv
	}
}

// compress replaces cv by the chaining value of a full block after it (BLAKE3
// paper, section 2.2).
func compress(cv *[8]uint32, block *[16]uint32, counter uint64, flags uint32) {
	m, v := *block, iv()
	v0, v1, v2, v3, v4, v5, v6, v7 := cv[0], cv[1], cv[2], cv[3], cv[4], cv[5], cv[6], cv[7]
	v8, v9, v10, v11 := v[0], v[1], v[2], v[3]
	v12, v13, v14, v15 := uint32(counter), uint32(counter>>32), uint32(blockBytes), flags
	for range 7 {
		v0, v4, v8, v12 = mixG(v0, v4, v8, v12, m[0], m[1])
		v1, v5, v9, v13 = mixG(v1, v5, v9, v13, m[2], m[3])
		v2, v6, v10, v14 = mixG(v2, v6, v10, v14, m[4], m[5])
		v3, v7, v11, v15 = mixG(v3, v7, v11, v15, m[6], m[7])
		v0, v5, v10, v15 = mixG(v0, v5, v10, v15, m[8], m[9])
		v1, v6, v11, v12 = mixG(v1, v6, v11, v12, m[10], m[11])
		v2, v7, v8, v13 = mixG(v2, v7, v8, v13, m[12], m[13])
		v3, v4, v9, v14 = mixG(v3, v4, v9, v14, m[14], m[15])
		// After the last round the words are not used again.
		m = [16]uint32{
			m[2], m[6], m[3], m[10], m[7], m[0], m[4], m[13],
			m[1], m[11], m[12], m[5], m[9], m[14], m[15], m[8],
		}
	}
	*cv = [8]uint32{v0 ^ v8, v1 ^ v9, v2 ^ v10, v3 ^ v11, v4 ^ v12, v5 ^ v13, v6 ^ v14, v7 ^ v15}
}

func mixG(a, b, c, d, x, y uint32) (uint32, uint32, uint32, uint32) {
	a += b + x
	d = bits.RotateLeft32(d^a, -16)
	c += d
	b = bits.RotateLeft32(b^c, -12)
	a += b + y
	d = bits.RotateLeft32(d^a, -8)
	c += d
	b = bits.RotateLeft32(b^c, -7)
	return a, b, c, d
}
