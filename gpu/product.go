package gpu

import (
	"context"

	"github.com/assaynet/assay/challenges"
)

// Exact is the product in plain Go, exact on every machine.
type Exact struct{}

// Multiply generates both matrices and multiplies them on one core.
func (Exact) Multiply(ctx context.Context, key challenges.Hash, s challenges.Shape, c []int32) error {
	b := make([]int8, s.N*s.K)
	buf := make([]byte, s.K)
	for j := range s.N {
		s.ColB(&key, j, buf)
		col := b[j*s.K:][:s.K]
		for k, v := range buf {
			col[k] = int8(v)
		}
	}
	pair := make([]int64, s.K)
	for i := 0; i < s.M; i += 2 {
		if err := ctx.Err(); err != nil {
			return err
		}
		// Two rows ride in one 64-bit word: |sum| <= 2^30 stays inside its half, and a
		// negative low half borrows one from the high half, given back below.
		s.RowA(&key, i, buf)
		for k, v := range buf {
			pair[k] = int64(int8(v))
		}
		if i+1 < s.M {
			s.RowA(&key, i+1, buf)
			for k, v := range buf {
				pair[k] += int64(int8(v)) << 32
			}
		}
		for j := range s.N {
			sum := dotPair(pair, b[j*s.K:][:s.K])
			low := int32(sum)
			c[i*s.N+j] = low
			if i+1 < s.M {
				c[(i+1)*s.N+j] = int32((sum - int64(low)) >> 32)
			}
		}
	}
	return nil
}

func dotPair(pair []int64, col []int8) int64 {
	col = col[:len(pair)]
	var a, b, c, d int64
	k := 0
	for ; k+4 <= len(pair); k += 4 {
		a += pair[k] * int64(col[k])
		b += pair[k+1] * int64(col[k+1])
		c += pair[k+2] * int64(col[k+2])
		d += pair[k+3] * int64(col[k+3])
	}
	return a + b + c + d // K is a multiple of 64
}
