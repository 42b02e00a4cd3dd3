package cheat

import (
	"context"
	"encoding/binary"
	"math"

	"github.com/assaynet/assay/challenges"
)

// Narrow is a matrix product in fewer bits than its flavour has, as units for
// cheaper formats compute it: with bits of the operands dropped, with running sums
// rounded, or both. The zero value is exact.
type Narrow struct {
	Drop uint // low bits dropped of every operand
	// Significant bits that every running sum is rounded to, to nearest even, at any
	// magnitude: 24 as binary32, 11 as binary16, 8 as bfloat16. 0: exact.
	Sums uint
}

// Compute makes the whole matrix.
func (n Narrow) Compute(ctx context.Context, key challenges.Hash, s challenges.Shape, c []byte) error {
	line := make([]byte, s.Line())
	cols := make([][]int32, s.N)
	for j := range cols {
		s.ColB(&key, j, line)
		cols[j] = n.operands(s, line)
	}
	for i := range s.M {
		if err := ctx.Err(); err != nil {
			return err
		}
		s.RowA(&key, i, line)
		row := n.operands(s, line)
		for j, col := range cols {
			s.PutValue(c[(i*s.N+j)*s.Width():], uint64(uint32(n.dot(row, col))))
		}
	}
	return nil
}

// operands reads a line's entries and drops their low bits.
func (n Narrow) operands(s challenges.Shape, line []byte) []int32 {
	out := integers(s, line)
	for i := range out {
		out[i] = out[i] >> n.Drop << n.Drop
	}
	return out
}

func (n Narrow) dot(a, b []int32) int32 {
	if n.Sums == 0 {
		var sum int32
		for i := range a {
			sum += a[i] * b[i]
		}
		return sum
	}
	var sum float32
	for i := range a {
		sum = round(sum+float32(a[i]*b[i]), n.Sums)
	}
	return int32(sum)
}

// round keeps so many significant bits of x.
func round(x float32, bits uint) float32 {
	u, drop := math.Float32bits(x), 24-bits
	if drop == 0 {
		return x
	}
	u += 1<<(drop-1) - 1 + u>>drop&1
	return math.Float32frombits(u >> drop << drop)
}

// integers are the entries of a row of A or a column of B.
func integers(s challenges.Shape, line []byte) []int32 {
	out := make([]int32, s.K)
	for i := range out {
		if s.Flavour == challenges.Int8 {
			out[i] = int32(int8(line[i]))
			continue
		}
		w := binary.LittleEndian.Uint16(line[2*i:])
		out[i] = int32(w & 0xff)
		if w>>8&1 == 1 {
			out[i] = -out[i]
		}
	}
	return out
}
