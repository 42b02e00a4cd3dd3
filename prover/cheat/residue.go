package cheat

import (
	"context"

	"github.com/assaynet/assay/challenges"
)

// Residue is the bf16 product made of three int8 products. It is exact, so it
// passes: where int8 units are more than three times as fast as bf16 units, it is
// the better method, and a figure of this flavour says "ops/s of this exact
// product by any method".
//
// Each entry is x = 2 h + l, l being its lowest bit with its sign. Then
// x x' = 6 h h' + 3 l l' - 2 (h - l)(h' - l'), and h, l and h - l fit into int8.
type Residue struct{}

// parts are the three int8 operands of a line.
type parts struct{ h, l, d []byte }

// Compute makes the whole matrix, of flavour bf16.
func (Residue) Compute(ctx context.Context, key challenges.Hash, s challenges.Shape, c []byte) error {
	int8s := challenges.Shape{Flavour: challenges.Int8}
	line := make([]byte, s.Line())
	cols := make([]parts, s.N)
	for j := range cols {
		s.ColB(&key, j, line)
		cols[j] = split(s, line)
	}
	for i := range s.M {
		if err := ctx.Err(); err != nil {
			return err
		}
		s.RowA(&key, i, line)
		a := split(s, line)
		for j, b := range cols {
			v := 6*int8s.Dot(a.h, b.h) + 3*int8s.Dot(a.l, b.l) - 2*int8s.Dot(a.d, b.d)
			s.PutValue(c[(i*s.N+j)*s.Width():], uint64(uint32(v)))
		}
	}
	return nil
}

func split(s challenges.Shape, line []byte) parts {
	p := parts{make([]byte, s.K), make([]byte, s.K), make([]byte, s.K)}
	for i, x := range integers(s, line) {
		h := x / 2 // towards zero, so that the rest has x's sign
		l := x - 2*h
		p.h[i], p.l[i], p.d[i] = byte(h), byte(l), byte(h-l)
	}
	return p
}
