package challenges

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math/bits"
	"slices"

	"lukechampine.com/blake3/guts"
)

const (
	chunkBytes = guts.ChunkSize // 1024, BLAKE3's leaf
	cvBytes    = 32
)

// ErrOpening says that an opening does not authenticate against its root.
var ErrOpening = errors.New("opening does not authenticate")

// Tree is the BLAKE3 tree of one matrix: its chunks' chaining values, level by
// level, from which any opening is cut. The root is BLAKE3 of the bytes.
type Tree struct {
	data   []byte
	levels [][][8]uint32 // levels[h][j]: the subtree of up to 2^h chunks from j*2^h on
	root   Hash
}

// NewTree hashes data, a whole number of chunks, at least one. It keeps data.
func NewTree(data []byte) *Tree {
	level := make([][8]uint32, len(data)/chunkBytes)
	for i := range level {
		level[i] = chunkCV(data[i*chunkBytes:][:chunkBytes], i, 0)
	}
	t := &Tree{data: data, levels: [][][8]uint32{level}}
	if len(level) == 1 {
		t.root = cvHash(chunkCV(data, 0, guts.FlagRoot))
		return t
	}
	// Pairing neighbours and carrying an odd last one up makes BLAKE3's tree,
	// whose left subtrees are full.
	for len(level) > 2 {
		next := make([][8]uint32, 0, (len(level)+1)/2)
		for i := 0; i+1 < len(level); i += 2 {
			next = append(next, parentCV(level[i], level[i+1], 0))
		}
		if len(level)%2 == 1 {
			next = append(next, level[len(level)-1])
		}
		t.levels = append(t.levels, next)
		level = next
	}
	t.root = cvHash(parentCV(level[0], level[1], guts.FlagRoot))
	return t
}

// Root is BLAKE3 of the data.
func (t *Tree) Root() Hash { return t.root }

func (t *Tree) chunks() int { return len(t.levels[0]) }

// cv is the chaining value of the subtree over chunks [lo, hi), not the root.
func (t *Tree) cv(lo, hi int) [8]uint32 {
	h := bits.Len(uint(hi - lo - 1))
	return t.levels[h][lo>>h]
}

// Open proves the chunks that hold the given entries: first the chunks, in
// ascending order and once each, then the siblings that the verifier lacks, in
// the order in which it walks the tree.
func (t *Tree) Open(entries []uint32) []byte {
	want := chunksOf(entries)
	out := make([]byte, 0, openingBytes(t.chunks(), want))
	for _, c := range want {
		out = append(out, t.data[c*chunkBytes:][:chunkBytes]...)
	}
	siblings(0, t.chunks(), want, func(lo, hi int) {
		cv := cvHash(t.cv(lo, hi))
		out = append(out, cv[:]...)
	})
	return out
}

// siblings visits the subtrees of chunks [lo, hi) that hold none of the wanted
// chunks while their sister does: what a verifier lacks, in its order.
func siblings(lo, hi int, want []int, visit func(lo, hi int)) {
	if len(want) == 0 {
		visit(lo, hi)
		return
	}
	if hi-lo == 1 {
		return
	}
	mid := lo + leftChunks(hi-lo)
	left, right := splitAt(want, mid)
	siblings(lo, mid, left, visit)
	siblings(mid, hi, right, visit)
}

// OpeningBytes is the exact size of an opening of these entries in a matrix of
// so many chunks. The verifier takes it from the parameters, never from the
// answer.
func OpeningBytes(chunks int, entries []uint32) int {
	return openingBytes(chunks, chunksOf(entries))
}

func openingBytes(chunks int, want []int) int {
	lacking := 0
	siblings(0, chunks, want, func(int, int) { lacking++ })
	return len(want)*chunkBytes + lacking*cvBytes
}

// VerifyOpening authenticates an opening of the given entries against root and
// returns their values, in the order of entries. The matrix has so many chunks.
func VerifyOpening(root Hash, chunks int, entries []uint32, opening []byte) ([]int32, error) {
	// SPEC: M4. The shape of an opening follows from the parameters and the
	// positions: a byte more or less is an error.
	want := chunksOf(entries)
	if len(want) == 0 || want[len(want)-1] >= chunks {
		return nil, fmt.Errorf("%w: entries outside the matrix", ErrOpening)
	}
	if n := openingBytes(chunks, want); len(opening) != n {
		return nil, fmt.Errorf("%w: %d bytes, want %d", ErrOpening, len(opening), n)
	}
	data := opening[:len(want)*chunkBytes]
	given := opening[len(data):]
	next := 0
	var walk func(lo, hi int, want []int, flags uint32) [8]uint32
	walk = func(lo, hi int, want []int, flags uint32) [8]uint32 {
		if len(want) == 0 {
			var h Hash
			copy(h[:], given)
			given = given[cvBytes:]
			return hashCV(h)
		}
		if hi-lo == 1 {
			chunk := data[next*chunkBytes:][:chunkBytes]
			next++
			return chunkCV(chunk, lo, flags)
		}
		mid := lo + leftChunks(hi-lo)
		left, right := splitAt(want, mid)
		l := walk(lo, mid, left, 0)
		r := walk(mid, hi, right, 0)
		return parentCV(l, r, flags)
	}
	// SPEC: M5. The root is BLAKE3 of C's entries, row-major, little-endian int32.
	if cvHash(walk(0, chunks, want, guts.FlagRoot)) != root {
		return nil, ErrOpening
	}
	values := make([]int32, len(entries))
	for i, e := range entries {
		c, _ := slices.BinarySearch(want, int(e/ChunkEntries))
		values[i] = int32(binary.LittleEndian.Uint32(data[c*chunkBytes+int(e%ChunkEntries)*4:]))
	}
	return values, nil
}

// chunksOf lists the chunks that hold the entries, ascending, once each.
func chunksOf(entries []uint32) []int {
	out := make([]int, len(entries))
	for i, e := range entries {
		out[i] = int(e / ChunkEntries)
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// splitAt splits ascending indices into those below mid and the rest.
func splitAt(want []int, mid int) (left, right []int) {
	i, _ := slices.BinarySearch(want, mid)
	return want[:i], want[i:]
}

// leftChunks is the size of the left subtree of n >= 2 chunks: the largest power
// of two below n (BLAKE3 paper, 2.1).
func leftChunks(n int) int { return 1 << (bits.Len(uint(n-1)) - 1) }

func chunkCV(chunk []byte, index int, flags uint32) [8]uint32 {
	n := guts.CompressChunk(chunk, &guts.IV, uint64(index), 0)
	n.Flags |= flags // the root flag belongs to the last block alone
	return guts.ChainingValue(n)
}

func parentCV(l, r [8]uint32, flags uint32) [8]uint32 {
	return guts.ChainingValue(guts.ParentNode(l, r, &guts.IV, flags))
}

func cvHash(cv [8]uint32) (h Hash) {
	for i, w := range cv {
		binary.LittleEndian.PutUint32(h[4*i:], w)
	}
	return h
}

func hashCV(h Hash) (cv [8]uint32) {
	for i := range cv {
		cv[i] = binary.LittleEndian.Uint32(h[4*i:])
	}
	return cv
}
