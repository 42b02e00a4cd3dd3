package challenges

import (
	"encoding/binary"
	"fmt"

	"github.com/assaynet/assay/challenges/commit"
	"github.com/assaynet/assay/challenges/fma"
	"github.com/assaynet/assay/challenges/simd"
)

// Matrix ids in the generator's nonce word.
const (
	matrixA = 0
	matrixB = 1
)

// blockBytes is the size of one generator block: ChaCha8 (Bernstein, "ChaCha, a
// variant of Salsa20", 2008) with a 256-bit key, a 64-bit block index and a
// 64-bit nonce that is the matrix id.
const blockBytes = 64

// Shape is the work of one round: M x N entries that cost K units each.
//
// Flavours int8 and bf16: the exact product C = A x B, A being M x K and B K x N;
// entries of C are int32. Flavour fp64fma: M x N lanes of K steps; an entry is
// the lane's last binary64.
type Shape struct {
	Flavour Flavour
	M, N, K int
}

// Check says whether the shape can be generated, summed and opened exactly.
func (s Shape) Check() error {
	most, unit := 65536, blockBytes // 65536 x 2^14 = 2^30 keeps every sum inside int32
	switch s.Flavour {
	case Int8:
	case BF16:
		// Sums of 8192 products have a standard deviation of 2^20.9: fp32 holds every
		// running sum up to 2^24, 8.5 deviations away, exactly.
		most = 8192
	case FP64:
		most, unit = 4096, 1
	default:
		return fmt.Errorf("shape %v: unknown flavour", s)
	}
	switch {
	case s.M < 1 || s.N < 1 || s.K < 1:
		return fmt.Errorf("shape %v: not positive", s)
	case s.K%unit != 0 || s.K > most:
		return fmt.Errorf("shape %v: K must be a multiple of %d, at most %d", s, unit, most)
	case s.N%(commit.ChunkBytes/s.Width()) != 0:
		return fmt.Errorf("shape %v: N must be a multiple of %d", s, commit.ChunkBytes/s.Width())
	case uint64(s.M)*uint64(s.N) > 1<<32:
		return fmt.Errorf("shape %v: more than 2^32 entries", s)
	}
	return nil
}

func (s Shape) String() string { return fmt.Sprintf("%v %dx%dx%d", s.Flavour, s.M, s.N, s.K) }

// Ops is the work of one round, in operations: a multiply and an add are two, a
// fused one too, and a step of a lane has eight.
func (s Shape) Ops() uint64 {
	n := 2 * uint64(s.M) * uint64(s.N) * uint64(s.K)
	if s.Flavour == FP64 {
		n *= 8
	}
	return n
}

// Entries is how many entries a round has.
func (s Shape) Entries() uint64 { return uint64(s.M) * uint64(s.N) }

// Width is the size of an entry in the commitment, in bytes.
func (s Shape) Width() int {
	if s.Flavour == FP64 {
		return 8
	}
	return 4
}

// Bytes is the size of the committed matrix.
func (s Shape) Bytes() int { return int(s.Entries()) * s.Width() }

// Layout is how the committed matrix divides into opening chunks.
func (s Shape) Layout() commit.Layout {
	return commit.Layout{Chunks: s.Bytes() / commit.ChunkBytes, Width: s.Width()}
}

// Line is the size of a row of A or a column of B, in bytes.
func (s Shape) Line() int {
	if s.Flavour == BF16 {
		return 2 * s.K
	}
	return s.K
}

// RowA writes row i of A, as generated: [Shape.Line] bytes.
func (s Shape) RowA(key *Hash, i int, row []byte) { s.line(key, matrixA, i, 0, row[:s.Line()]) }

// ColB writes column j of B, as generated: [Shape.Line] bytes.
func (s Shape) ColB(key *Hash, j int, col []byte) { s.line(key, matrixB, j, 0, col[:s.Line()]) }

// line writes a piece, whole blocks, of a row of A or a column of B.
func (s Shape) line(key *Hash, matrix uint32, index, from int, out []byte) {
	// SPEC: M0. A is stored by rows, B by columns: line i begins at byte i x line
	// size of its matrix.
	simd.ChaCha8(out, (*[32]byte)(key), matrix, uint64(index)*uint64(s.Line()/blockBytes)+uint64(from/blockBytes))
}

// Dot is the exact product of a row of A and a column of B, or of like pieces of
// both.
func (s Shape) Dot(row, col []byte) int32 {
	if s.Flavour == BF16 {
		return simd.Dot9(row, col)
	}
	return simd.DotInt8(row, col)
}

// tile is how much of a line is in hand at a time: both tiles fit into the
// fastest cache, and nothing is allocated for a challenge that waits.
const tile = 4096

// Values computes entries from the key alone, each as the little-endian integer
// of its bytes in the commitment. out has one element for each entry.
func (s Shape) Values(key *Hash, at []uint32, out []uint64) {
	if s.Flavour == FP64 {
		fma.Lanes((*[32]byte)(key), s.K, at, out)
		return
	}
	var a, b [tile]byte
	for i, e := range at {
		var sum int32
		for from := 0; from < s.Line(); from += tile {
			n := min(tile, s.Line()-from)
			s.line(key, matrixA, int(e)/s.N, from, a[:n])
			s.line(key, matrixB, int(e)%s.N, from, b[:n])
			sum += s.Dot(a[:n], b[:n])
		}
		out[i] = uint64(uint32(sum))
	}
}

// PutValue writes an entry as the commitment holds it: little-endian, of the
// shape's width.
func (s Shape) PutValue(b []byte, v uint64) {
	if s.Width() == 8 {
		binary.LittleEndian.PutUint64(b, v)
		return
	}
	binary.LittleEndian.PutUint32(b, uint32(v))
}
