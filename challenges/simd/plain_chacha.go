package simd

import (
	"encoding/binary"
	"math/bits"
)

// The four constant words of the state, "expand 32-byte k".
const sigma0, sigma1, sigma2, sigma3 = 0x61707865, 0x3320646e, 0x79622d32, 0x6b206574

// chaCha8Plain is ChaCha (Bernstein, 2008) with eight rounds, a 64-bit counter
// and a 64-bit nonce.
func chaCha8Plain(out []byte, key *[32]byte, matrix uint32, counter uint64) {
	var k [8]uint32
	for i := range k {
		k[i] = binary.LittleEndian.Uint32(key[4*i:])
	}
	for ; len(out) >= blockBytes; out, counter = out[blockBytes:], counter+1 {
		n0, n1 := uint32(counter), uint32(counter>>32)
		x0, x1, x2, x3 := uint32(sigma0), uint32(sigma1), uint32(sigma2), uint32(sigma3)
		x4, x5, x6, x7 := k[0], k[1], k[2], k[3]
		x8, x9, x10, x11 := k[4], k[5], k[6], k[7]
		x12, x13, x14, x15 := n0, n1, matrix, uint32(0)
		for range 4 {
			x0, x4, x8, x12 = quarter(x0, x4, x8, x12)
			x1, x5, x9, x13 = quarter(x1, x5, x9, x13)
			x2, x6, x10, x14 = quarter(x2, x6, x10, x14)
			x3, x7, x11, x15 = quarter(x3, x7, x11, x15)
			x0, x5, x10, x15 = quarter(x0, x5, x10, x15)
			x1, x6, x11, x12 = quarter(x1, x6, x11, x12)
			x2, x7, x8, x13 = quarter(x2, x7, x8, x13)
			x3, x4, x9, x14 = quarter(x3, x4, x9, x14)
		}
		b := out[:blockBytes]
		binary.LittleEndian.PutUint32(b[0:], x0+sigma0)
		binary.LittleEndian.PutUint32(b[4:], x1+sigma1)
		binary.LittleEndian.PutUint32(b[8:], x2+sigma2)
		binary.LittleEndian.PutUint32(b[12:], x3+sigma3)
		binary.LittleEndian.PutUint32(b[16:], x4+k[0])
		binary.LittleEndian.PutUint32(b[20:], x5+k[1])
		binary.LittleEndian.PutUint32(b[24:], x6+k[2])
		binary.LittleEndian.PutUint32(b[28:], x7+k[3])
		binary.LittleEndian.PutUint32(b[32:], x8+k[4])
		binary.LittleEndian.PutUint32(b[36:], x9+k[5])
		binary.LittleEndian.PutUint32(b[40:], x10+k[6])
		binary.LittleEndian.PutUint32(b[44:], x11+k[7])
		binary.LittleEndian.PutUint32(b[48:], x12+n0)
		binary.LittleEndian.PutUint32(b[52:], x13+n1)
		binary.LittleEndian.PutUint32(b[56:], x14+matrix)
		binary.LittleEndian.PutUint32(b[60:], x15)
	}
}

func quarter(a, b, c, d uint32) (uint32, uint32, uint32, uint32) {
	a += b
	d = bits.RotateLeft32(d^a, 16)
	c += d
	b = bits.RotateLeft32(b^c, 12)
	a += b
	d = bits.RotateLeft32(d^a, 8)
	c += d
	b = bits.RotateLeft32(b^c, 7)
	return a, b, c, d
}
