package simd

import "unsafe"

// The assembly takes n bytes of each vector, a multiple of 64, possibly none.

//go:noescape
func dotInt8VNNI(a, b *byte, n int) int32

//go:noescape
func dotInt8AVX512(a, b *byte, n int) int32

//go:noescape
func dotInt8AVX2(a, b *byte, n int) int32

//go:noescape
func dot9AVX512(a, b *byte, n int) int32

//go:noescape
func dot9AVX2(a, b *byte, n int) int32

func dotInt8(l level, a, b []byte) int32 {
	p, q := unsafe.SliceData(a), unsafe.SliceData(b)
	switch l {
	case vnni:
		return dotInt8VNNI(p, q, len(a))
	case avx512:
		return dotInt8AVX512(p, q, len(a))
	case avx2:
		return dotInt8AVX2(p, q, len(a))
	}
	return dotInt8Plain(a, b)
}

func dot9(l level, a, b []byte) int32 {
	p, q := unsafe.SliceData(a), unsafe.SliceData(b)
	switch l {
	case vnni, avx512:
		return dot9AVX512(p, q, len(a))
	case avx2:
		return dot9AVX2(p, q, len(a))
	}
	return dot9Plain(a, b)
}
