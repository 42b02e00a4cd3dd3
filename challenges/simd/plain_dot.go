package simd

import "encoding/binary"

// dotInt8Plain keeps four sums so that the additions do not wait for each other.
func dotInt8Plain(a, b []byte) int32 {
	b = b[:len(a)]
	var s0, s1, s2, s3 int32
	for ; len(a) >= 4 && len(b) >= 4; a, b = a[4:], b[4:] {
		s0 += int32(int8(a[0])) * int32(int8(b[0]))
		s1 += int32(int8(a[1])) * int32(int8(b[1]))
		s2 += int32(int8(a[2])) * int32(int8(b[2]))
		s3 += int32(int8(a[3])) * int32(int8(b[3]))
	}
	return s0 + s1 + s2 + s3
}

func dot9Plain(a, b []byte) int32 {
	b = b[:len(a)]
	var s0, s1 int32
	for ; len(a) >= 4 && len(b) >= 4; a, b = a[4:], b[4:] {
		s0 += entry9(binary.LittleEndian.Uint16(a)) * entry9(binary.LittleEndian.Uint16(b))
		s1 += entry9(binary.LittleEndian.Uint16(a[2:])) * entry9(binary.LittleEndian.Uint16(b[2:]))
	}
	return s0 + s1
}

// entry9 has no branch: random signs would mispredict every other one.
func entry9(w uint16) int32 {
	sign := -int32(w >> 8 & 1)
	return (int32(w&0xff) ^ sign) - sign
}
