package challenges

import (
	"encoding/binary"
	"fmt"
)

// Shape is the size of one exact product C = A x B: A is M x K, B is K x N,
// entries are int8 over their full range, sums are int32.
type Shape struct{ M, N, K int }

// ChunkEntries is how many entries of C, all of one row, an opening chunk holds.
const ChunkEntries = chunkBytes / 4

// Check says whether the shape can be generated, summed and opened exactly.
func (s Shape) Check() error {
	switch {
	case s.M < 1 || s.N < 1 || s.K < 1:
		return fmt.Errorf("shape %v: not positive", s)
	case s.K%blockBytes != 0 || s.K > 65536:
		// 65536 x 2^14 = 2^30 keeps every sum inside int32.
		return fmt.Errorf("shape %v: K must be a multiple of 64, at most 65536", s)
	case s.N%ChunkEntries != 0:
		return fmt.Errorf("shape %v: N must be a multiple of %d", s, ChunkEntries)
	case uint64(s.M)*uint64(s.N) > 1<<32:
		return fmt.Errorf("shape %v: more than 2^32 entries", s)
	}
	return nil
}

// Ops is the work of one product, in operations (a multiply and an add are two).
func (s Shape) Ops() uint64 { return 2 * uint64(s.M) * uint64(s.N) * uint64(s.K) }

// Entries is how many entries C has.
func (s Shape) Entries() uint64 { return uint64(s.M) * uint64(s.N) }

// Chunks is how many opening chunks C has.
func (s Shape) Chunks() int { return int(s.Entries() / ChunkEntries) }

// RowA writes row i of A, K bytes, each an int8.
func (s Shape) RowA(key *Hash, i int, row []byte) {
	// SPEC: M0. A is stored by rows: byte i*K + k of the generator's matrix 0.
	fillChaCha8(row[:s.K], key, matrixA, uint64(i)*uint64(s.K/blockBytes))
}

// ColB writes column j of B, K bytes, each an int8.
func (s Shape) ColB(key *Hash, j int, col []byte) {
	// SPEC: M0. B is stored by columns: byte j*K + k of the generator's matrix 1.
	fillChaCha8(col[:s.K], key, matrixB, uint64(j)*uint64(s.K/blockBytes))
}

// Dot is the exact product of a row and a column, each byte an int8.
func Dot(row, col []byte) int32 {
	col = col[:len(row)]
	var a, b, c, d int32
	i := 0
	for ; i+4 <= len(row); i += 4 {
		a += int32(int8(row[i])) * int32(int8(col[i]))
		b += int32(int8(row[i+1])) * int32(int8(col[i+1]))
		c += int32(int8(row[i+2])) * int32(int8(col[i+2]))
		d += int32(int8(row[i+3])) * int32(int8(col[i+3]))
	}
	for ; i < len(row); i++ {
		a += int32(int8(row[i])) * int32(int8(col[i]))
	}
	return a + b + c + d
}

// Entry is C[at], at = i*N + j, computed from the key alone. The buffers hold K
// bytes each and are overwritten.
func (s Shape) Entry(key *Hash, at uint32, row, col []byte) int32 {
	s.RowA(key, int(at)/s.N, row)
	s.ColB(key, int(at)%s.N, col)
	return Dot(row[:s.K], col[:s.K])
}

// FirstKey is the generator key of round 0.
func FirstKey(id Hash, device string) Hash {
	// SPEC: M2. key_0 = derive_key("assay/matmul/key0/v1", challenge id || device).
	return derive("assay/matmul/key0/v1", id[:], []byte(device))
}

// NextKey is the generator key of round r+1, from the key and root of round r
// and the packed positions of round r-W (empty while r < W): a chain that
// neither side can run ahead of the other's word by more than W rounds.
func NextKey(key, root Hash, positions []byte) Hash {
	// SPEC: M2. key_{r+1} = derive_key("assay/matmul/key/v1", key_r || root_r ||
	// pos_{r-W}).
	return derive("assay/matmul/key/v1", key[:], root[:], positions)
}

// AppendEntries appends entries as C is committed to: little-endian int32.
func AppendEntries(b []byte, entries []int32) []byte {
	for _, v := range entries {
		b = binary.LittleEndian.AppendUint32(b, uint32(v))
	}
	return b
}
