package tile

import "fmt"

// Matrix is a decoded matrix descriptor (PTX ISA, wgmma, Matrix
// Descriptor Format).
type Matrix struct {
	start, lead, stride int // bytes
	rowBytes            int // from row to row of eight
	swizzle             int // address bits from 4 on that are XORed with those from 7 on
}

// Describe decodes a descriptor of a K-major matrix.
func Describe(d uint64) (Matrix, error) {
	m := Matrix{start: int(d&0x3fff) << 4, lead: int(d>>16&0x3fff) << 4, stride: int(d>>32&0x3fff) << 4}
	m.swizzle = map[uint64]int{0: 0, 1: 7, 2: 3, 3: 1}[d>>62]
	m.rowBytes = 16 * (m.swizzle + 1)
	switch {
	case d&^(3<<62|0x3fff<<32|0x3fff<<16|0x3fff) != 0:
		return m, fmt.Errorf("descriptor %#x with bits that are not known, or a base offset", d)
	case m.start&(m.swizzle<<7) != 0:
		return m, fmt.Errorf("descriptor %#x: the matrix starts at %#x, inside the pattern of its swizzle", d, m.start)
	case m.swizzle != 0 && m.start&(m.rowBytes-1)+32 > m.rowBytes:
		return m, fmt.Errorf("descriptor %#x: 32 bytes of K from %#x on cross the end of a row", d, m.start)
	case m.stride%(8*m.rowBytes) != 0 && m.swizzle != 0:
		return m, fmt.Errorf("descriptor %#x: a stride of %d bytes, no multiple of the pattern of its swizzle", d, m.stride)
	}
	return m, nil
}

// At is where 16 bytes of a K-major matrix stand: row r, piece 0 or 1 of the 32
// bytes of K. Eight rows form the pattern, of 16, 32, 64 or 128 bytes a row; stride
// leads to the next eight, and without a swizzle lead to the next piece. The swizzle
// works on the address, not on the offset.
func (m Matrix) At(r, piece int) int {
	x := m.start + r%8*m.rowBytes + r/8*m.stride
	if m.swizzle == 0 {
		return x + piece*m.lead
	}
	x += piece * 16
	return x ^ x>>7&m.swizzle<<4
}
