// Package tile is where the elements of matrix instructions stand, in registers and
// in shared memory, and their exact products. It is written from the PTX ISA, not
// from our kernels.
package tile

import (
	"math"
	"strings"

	"github.com/assaynet/assay/gpu/kernels/ptx/scalar"
)

// Shape is a kind of mma.sync: m x n x k, and where a lane's elements stand. An
// operand's element i of lane l is given as row and column.
type Shape struct {
	M, N, K     int
	Per         int // elements of A and B in a register
	RegsA       int
	RegsB       int
	Sum         int // registers of C and D
	A, B        func(l, i int) (row, col int)
	Float       bool
	Value       func(x uint64) (int32, bool) // an element's value, from its bits
	SM, Version int                          // the first that have it
}

// ByOpcode is the shape of an opcode, nil for one that is not known. The layouts are
// the figures of the PTX ISA's sections "Matrix Fragments for mma" of these shapes;
// their groupID is l / 4, their threadID_in_group l % 4.
func ByOpcode(op string) *Shape {
	switch op {
	case "mma.sync.aligned.m8n8k16.row.col.s32.s8.s8.s32": // Matrix Fragments for mma.m8n8k16
		return &Shape{
			M: 8, N: 8, K: 16, Per: 4, RegsA: 1, RegsB: 1, Sum: 2, SM: 75, Version: 65, Value: int8Value,
			A: func(l, i int) (int, int) { return l / 4, l%4*4 + i },
			B: func(l, i int) (int, int) { return l%4*4 + i, l / 4 },
		}
	case "mma.sync.aligned.m16n8k32.row.col.s32.s8.s8.s32": // mma.m16n8k32
		return &Shape{
			M: 16, N: 8, K: 32, Per: 4, RegsA: 4, RegsB: 2, Sum: 4, SM: 80, Version: 70, Value: int8Value,
			A: func(l, i int) (int, int) { return l/4 + 8*(i/4%2), l%4*4 + i%4 + 16*(i/8) },
			B: func(l, i int) (int, int) { return l%4*4 + i%4 + 16*(i/4), l / 4 },
		}
	case "mma.sync.aligned.m16n8k8.row.col.f32.f16.f16.f32": // mma.m16n8k8
		return &Shape{
			M: 16, N: 8, K: 8, Per: 2, RegsA: 2, RegsB: 1, Sum: 4, SM: 75, Version: 65, Float: true, Value: halfValue,
			A: func(l, i int) (int, int) { return l/4 + 8*(i/2), l%4*2 + i%2 },
			B: func(l, i int) (int, int) { return l%4*2 + i, l / 4 },
		}
	case "mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32", "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32": // mma.m16n8k16 with floating point type
		value := halfValue
		if strings.Contains(op, "bf16") {
			value = BFloat
		}
		return &Shape{
			M: 16, N: 8, K: 16, Per: 2, RegsA: 4, RegsB: 2, Sum: 4, SM: 80, Version: 70, Float: true, Value: value,
			A: func(l, i int) (int, int) { return l/4 + 8*(i/2%2), l%4*2 + i%2 + 8*(i/4) },
			B: func(l, i int) (int, int) { return l%4*2 + i%2 + 8*(i/2), l / 4 },
		}
	}
	return nil
}

// Sum is where sum i of lane l stands, in mma and in each 8 columns of wgmma.
func Sum(l, i int) (row, col int) { return l/4 + 8*(i/2%2), l%4*2 + i%2 + 8*(i/4) }

func int8Value(x uint64) (int32, bool) { return int32(int8(x)), true }

// The values of floats are whole numbers here, which is what makes sums in any
// order equal; anything else is refused.
func halfValue(x uint64) (int32, bool) { return whole(scalar.Half(x & 0xffff)) }

func BFloat(x uint64) (int32, bool) {
	return whole(float64(math.Float32frombits(uint32(x) << 16)))
}

func whole(v float64) (int32, bool) {
	i := int32(v)
	return i, float64(i) == v && v > -1<<24 && v < 1<<24
}

// Dot adds a product of lines to a sum. A sum of floats must stay below 2^24, where
// no order of additions rounds; it says whether it did.
func Dot(a, b []int32, sum uint64, float bool) (uint64, bool) {
	b = b[:len(a)]
	if !float {
		s := int32(sum)
		for i, x := range a {
			s += x * b[i]
		}
		return uint64(uint32(s)), true
	}
	v, ok := whole(float64(math.Float32frombits(uint32(sum))))
	s := int64(v)
	for i, x := range a {
		s += int64(x) * int64(b[i])
		ok = ok && s > -1<<24 && s < 1<<24
	}
	if s == 0 {
		return 0, ok
	}
	return uint64(math.Float32bits(float32(s))), ok
}
