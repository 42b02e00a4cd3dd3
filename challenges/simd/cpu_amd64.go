package simd

// cpuid runs CPUID for a leaf and a subleaf.
func cpuid(leaf, sub uint32) (a, b, c, d uint32)

// xgetbv reads the low half of XCR0. It faults where CPUID lacks OSXSAVE.
func xgetbv() uint32

// detect finds the highest level that both the processor and the operating
// system support.
func detect() level {
	if top, _, _, _ := cpuid(0, 0); top < 7 {
		return plain
	}
	_, _, c1, _ := cpuid(1, 0)
	if !has(c1, 12, 27, 28) { // FMA, OSXSAVE, AVX
		return plain
	}
	// A system that does not save the wide registers on a task switch would
	// corrupt them, whatever the processor offers.
	saved := xgetbv()
	_, b7, c7, _ := cpuid(7, 0)
	switch {
	case !has(saved, 1, 2) || !has(b7, 5): // XMM and YMM state; AVX2
		return plain
	case !has(saved, 5, 6, 7) || !has(b7, 16, 17, 30, 31): // opmask and ZMM state; F, DQ, BW, VL
		return avx2
	case !has(c7, 11):
		return avx512
	}
	return vnni
}

func has(word uint32, bits ...int) bool {
	for _, b := range bits {
		if word>>b&1 == 0 {
			return false
		}
	}
	return true
}
