package gpu

import (
	"context"

	"github.com/assaynet/assay/challenges"
	"github.com/assaynet/assay/challenges/fma"
	"github.com/assaynet/assay/challenges/simd"
)

// Exact computes rounds of every flavour on one core, exact on every machine.
type Exact struct{}

// Compute makes the whole matrix.
func (Exact) Compute(ctx context.Context, key challenges.Hash, s challenges.Shape, c []byte) error {
	if s.Flavour == challenges.FP64 {
		return lanes(ctx, key, s, c)
	}
	cols := make([]byte, s.N*s.Line())
	for j := range s.N {
		s.ColB(&key, j, cols[j*s.Line():])
	}
	row := make([]byte, s.Line())
	for i := range s.M {
		if err := ctx.Err(); err != nil {
			return err
		}
		s.RowA(&key, i, row)
		for j := range s.N {
			s.PutValue(c[(i*s.N+j)*s.Width():], uint64(uint32(s.Dot(row, cols[j*s.Line():][:s.Line()]))))
		}
	}
	return nil
}

// lanes runs all lanes, a batch at a time.
func lanes(ctx context.Context, key challenges.Hash, s challenges.Shape, c []byte) error {
	const batch = 128 // divides N
	coef := make([]float64, 8*s.K)
	fma.Coefficients((*[32]byte)(&key), 0, coef)
	var x, lane [batch]uint64
	for from := 0; from < int(s.Entries()); from += batch {
		if err := ctx.Err(); err != nil {
			return err
		}
		fma.Start((*[32]byte)(&key), from, x[:], lane[:])
		simd.FMA(x[:], lane[:], coef)
		for i, v := range x {
			s.PutValue(c[(from+i)*s.Width():], v)
		}
	}
	return nil
}
