// Package kernels holds the code that runs on NVIDIA cards: the generator, exact
// products, lanes of fused multiply-adds, BLAKE3 trees, and the dataset of a proof of
// memory with its walks.
//
// The sources in c are freestanding C. They are compiled to PTX, which the card's
// driver compiles for the card, so that a provider needs nothing but the driver. The
// compiled modules are part of the repository; SOURCES says from what and how they
// were made.
//
// All kernels are one-dimensional. c's comments say what each takes; the constants
// here say how many threads and how much shared memory it wants.
package kernels

import (
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
)

//go:generate go run ./build

// Threads is the size of a block of all kernels but the products and those of one
// thread, which are b3_top, b3_single and derive_key.
const Threads = 256

// OneThread is the size of the only block of a kernel of one thread: a warp.
const OneThread = 32

// What kernels want besides Threads, and how their grids follow from the work: every
// thread has one unit of it where nothing is said.
const (
	// FMAShared is the dynamic shared memory of fma_lanes, in bytes.
	FMAShared = 128 * 64
	// FMALanes is how many lanes a thread of fma_lanes has. It divides every number of
	// lanes.
	FMALanes = 4
	// ChunkShared is the dynamic shared memory of b3_chunks, in bytes.
	ChunkShared = Threads * 64
	// ChunksPerBlock is how many chunks a block of b3_chunks hashes.
	ChunksPerBlock = Threads
	// JobsPerBlock is how many jobs a block of gather has: a warp has one.
	JobsPerBlock = Threads / 32
	// EntriesPerThread is how many entries a thread of to_int32 converts.
	EntriesPerThread = 4
	// DeriveBytes is the most material that derive_key takes.
	DeriveBytes = 1024
)

// What the products' operands in tiles consist of.
const (
	// TileLines and TileLineBytes are how much of how many lines a tile holds.
	TileLines     = 128
	TileLineBytes = 128
	// TileBytes is the size of a tile.
	TileBytes = TileLines * TileLineBytes
)

// Module is one compiled module.
type Module struct {
	Target string // as ptxas has it: sm_80
	PTX    string

	// Major and Minor are the compute capability that it is for: that one alone if
	// Exact, else that one and all later ones.
	Major, Minor int
	Exact        bool

	Products [2]Geometry // of matmul_int8 and matmul_short
	Half     bool        // matmul_short and gen_short have binary16, not bfloat16

	cubin []byte // compressed
}

// The products in [Module.Products].
const (
	Int8 = iota
	Short
)

// Geometry is how a product wants to be launched: Threads a block, Shared bytes of
// dynamic shared memory, and a block for each tile of Rows x Cols entries. Cols
// divides the number of columns.
type Geometry struct{ Threads, Shared, Rows, Cols int }

// Blocks is how many blocks compute m x n entries.
func (g Geometry) Blocks(m, n int) int { return (m + g.Rows - 1) / g.Rows * (n / g.Cols) }

// ErrNoCubin says that a module was made without machine code.
var ErrNoCubin = errors.New("no machine code")

// Cubin is the module's machine code, for a driver that came without its compiler. It
// runs on fewer cards than the PTX, see [Module.CubinRuns].
func (m Module) Cubin() ([]byte, error) {
	if len(m.cubin) == 0 {
		return nil, fmt.Errorf("%s: %w", m.Target, ErrNoCubin)
	}
	r, err := gzip.NewReader(bytes.NewReader(m.cubin))
	if err != nil {
		return nil, fmt.Errorf("%s: machine code: %w", m.Target, err)
	}
	b, err := io.ReadAll(r)
	if err != nil {
		return nil, fmt.Errorf("%s: machine code: %w", m.Target, err)
	}
	return b, nil
}

// CubinRuns says whether the machine code runs on a card: machine code is for cards of
// the same major and at least the same minor number (CUDA C++ Programming Guide,
// "Binary Compatibility").
func (m Module) CubinRuns(major, minor int) bool {
	return m.runs(major, minor) && major == m.Major
}

// Modules lists the modules that a card of a compute capability runs, the best first:
// a driver may be too old for one. It is empty below 7.5, whose matrix units have no
// int8.
func Modules(major, minor int) []Module {
	var out []Module
	for _, m := range all() {
		if m.runs(major, minor) {
			out = append(out, m)
		}
	}
	return out
}

func (m Module) runs(major, minor int) bool {
	if m.Exact {
		return major == m.Major && minor == m.Minor
	}
	return major > m.Major || major == m.Major && minor >= m.Minor
}
