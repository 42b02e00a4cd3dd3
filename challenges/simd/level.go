package simd

// level names a set of instructions. A machine that has one has those below it.
type level int

const (
	plain  level = iota // Go, on any machine
	avx2                // AVX2 and FMA
	avx512              // AVX-512 F, BW, DQ and VL
	vnni                // AVX-512 VNNI besides
)

// machine is the highest level that this machine runs.
var machine = detect()

func (l level) String() string {
	return [...]string{"plain", "avx2", "avx512", "vnni"}[l]
}
