package cuda

import (
	"github.com/assaynet/assay/challenges"
	"github.com/assaynet/assay/gpu/cuda/driver"
	"github.com/assaynet/assay/gpu/kernels"
)

// product is a strip of C: m rows of A by all of B.
type product struct {
	flavour challenges.Flavour
	a, b, c driver.Devptr
	scratch driver.Devptr // as much as the maker asks for
	m, n    int
	lines   lines
}

// maker makes products of flavours int8 and bf16: the kernels' own, or a library.
type maker interface {
	name() string
	// kernel is what is at fault if a product is wrong.
	kernel(f challenges.Flavour) string
	// tiled says how the lines are to stand.
	tiled() bool
	// rows is what the rows of a strip must be a multiple of.
	rows() int
	// scratch is how much memory it needs beside, in bytes.
	scratch() uint64
	// multiply queues a product, exact int32.
	multiply(q queue, p product) error
}

// own is the maker that is always there.
type own struct{ g kernels.Geometry }

func (own) name() string { return "own" }

func (own) kernel(f challenges.Flavour) string {
	if f == challenges.BF16 {
		return matmulShort
	}
	return matmulInt8
}

func (own) tiled() bool { return true }

// rows are whole tiles of lines and of C.
func (o own) rows() int {
	n := tileLines
	for n%o.g.Rows != 0 {
		n += tileLines
	}
	return n
}

func (own) scratch() uint64 { return 0 }

func (own) multiply(q queue, p product) error {
	return q.multiply(p.flavour, p.a, p.b, p.c, p.m, p.n, p.lines.slabs())
}
