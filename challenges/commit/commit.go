// Package commit commits to a matrix by its BLAKE3 hash and opens single chunks
// of it: chunks with the siblings that lead to the root, whose shape follows from
// the matrix and the positions alone.
//
// No length and no index is ever read from an opening.
package commit

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math/bits"
	"slices"

	"lukechampine.com/blake3/guts"

	"github.com/assaynet/assay/challenges/simd"
)

// ChunkBytes is BLAKE3's leaf, and what an opening opens.
const ChunkBytes = guts.ChunkSize // 1024

const cvBytes = 32

// ErrOpening says that an opening does not authenticate against its root.
var ErrOpening = errors.New("opening does not authenticate")

// Layout is how a committed matrix divides into chunks, the leaves of BLAKE3.
type Layout struct {
	Chunks int // 1,024 bytes each
	Width  int // of an entry, in bytes: 4 or 8
}

// chunk is the chunk that holds an entry.
func (l Layout) chunk(entry uint32) int { return int(entry) / (ChunkBytes / l.Width) }

// Tree is the BLAKE3 tree of one matrix: its chunks' chaining values, level by
// level, from which any opening is cut. The root is BLAKE3 of the bytes.
type Tree struct {
	data   []byte
	layout Layout
	levels [][][8]uint32 // levels[h][j]: the subtree of up to 2^h chunks from j*2^h on
	root   [32]byte
}

// New hashes data, a whole number of chunks, at least one, of entries of so
// many bytes. It keeps data.
func New(data []byte, width int) *Tree {
	level := make([][8]uint32, len(data)/ChunkBytes)
	index := make([]uint64, len(level))
	for i := range index {
		index[i] = uint64(i)
	}
	simd.Chunks(level, data, index)
	t := &Tree{data: data, layout: Layout{len(level), width}, levels: [][][8]uint32{level}}
	if len(level) == 1 {
		t.root = onlyChunk(data)
		return t
	}
	// Pairing neighbours and carrying an odd last one up makes BLAKE3's tree,
	// whose left subtrees are full.
	for len(level) > 2 {
		next := make([][8]uint32, len(level)/2, (len(level)+1)/2)
		simd.Parents(next, level[:2*len(next)])
		if len(level)%2 == 1 {
			next = append(next, level[len(level)-1])
		}
		t.levels = append(t.levels, next)
		level = next
	}
	t.root = topParent(level[0], level[1])
	return t
}

// Root is BLAKE3 of the data.
func (t *Tree) Root() [32]byte { return t.root }

// Open proves the chunks that hold the given entries.
func (t *Tree) Open(entries []uint32) []byte {
	chunks, siblings := t.layout.Parts(entries)
	out := make([]byte, 0, len(chunks)*ChunkBytes+len(siblings)*cvBytes)
	for _, c := range chunks {
		out = append(out, t.data[c*ChunkBytes:][:ChunkBytes]...)
	}
	for _, s := range siblings {
		cv := cvHash(t.levels[s.Level][s.Index])
		out = append(out, cv[:]...)
	}
	return out
}

// Sibling is where a chaining value stands in a tree: subtree Index of a level,
// whose subtrees have up to 2^Level chunks. Level 0 are the chunks' own.
type Sibling struct{ Level, Index int }

// Parts lists what an opening of the given entries is made of: first the chunks,
// in ascending order and once each, then the siblings that the verifier lacks, in
// the order in which it walks the tree.
func (l Layout) Parts(entries []uint32) (chunks []int, lacking []Sibling) {
	chunks = l.chunksOf(entries)
	siblings(0, l.Chunks, chunks, func(lo, hi int) {
		h := bits.Len(uint(hi - lo - 1))
		lacking = append(lacking, Sibling{h, lo >> h})
	})
	return chunks, lacking
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

// OpeningBytes is the exact size of an opening of these entries. The verifier
// takes it from the parameters, never from the answer.
func (l Layout) OpeningBytes(entries []uint32) int { return l.bytes(l.chunksOf(entries)) }

func (l Layout) bytes(want []int) int {
	lacking := 0
	siblings(0, l.Chunks, want, func(int, int) { lacking++ })
	return len(want)*ChunkBytes + lacking*cvBytes
}

// Verify authenticates an opening of the given entries against root and returns
// their values, in the order of entries, each as the little-endian integer of its
// bytes.
func (l Layout) Verify(root [32]byte, entries []uint32, opening []byte) ([]uint64, error) {
	got, err := l.Root(entries, opening)
	if err != nil {
		return nil, err
	}
	// SPEC: M5. The root is BLAKE3 of the entries, row-major, little-endian.
	if got != root {
		return nil, ErrOpening
	}
	want := l.chunksOf(entries)
	values := make([]uint64, len(entries))
	for i, e := range entries {
		c, _ := slices.BinarySearch(want, l.chunk(e))
		values[i] = l.value(opening[c*ChunkBytes:], e)
	}
	return values, nil
}

// Root is the root that an opening of the given entries leads to.
func (l Layout) Root(entries []uint32, opening []byte) ([32]byte, error) {
	// SPEC: M4. The shape of an opening follows from the parameters and the
	// positions: a byte more or less is an error.
	want := l.chunksOf(entries)
	if len(want) == 0 || want[len(want)-1] >= l.Chunks {
		return [32]byte{}, fmt.Errorf("%w: entries outside the matrix", ErrOpening)
	}
	if n := l.bytes(want); len(opening) != n {
		return [32]byte{}, fmt.Errorf("%w: %d bytes, want %d", ErrOpening, len(opening), n)
	}
	data := opening[:len(want)*ChunkBytes]
	return l.rootOf(want, data, opening[len(data):]), nil
}

// value reads an entry out of its chunk.
func (l Layout) value(chunk []byte, entry uint32) uint64 {
	b := chunk[int(entry)*l.Width%ChunkBytes:]
	if l.Width == 8 {
		return binary.LittleEndian.Uint64(b)
	}
	return uint64(binary.LittleEndian.Uint32(b))
}

// chunksOf lists the chunks that hold the entries, ascending, once each.
func (l Layout) chunksOf(entries []uint32) []int {
	out := make([]int, len(entries))
	for i, e := range entries {
		out[i] = l.chunk(e)
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

func onlyChunk(data []byte) [32]byte {
	n := guts.CompressChunk(data, &guts.IV, 0, 0)
	n.Flags |= guts.FlagRoot // the root flag belongs to the last block alone
	return cvHash(guts.ChainingValue(n))
}

func topParent(l, r [8]uint32) [32]byte {
	return cvHash(guts.ChainingValue(guts.ParentNode(l, r, &guts.IV, guts.FlagRoot)))
}

func cvHash(cv [8]uint32) (h [32]byte) {
	for i, w := range cv {
		binary.LittleEndian.PutUint32(h[4*i:], w)
	}
	return h
}

func hashCV(h [32]byte) (cv [8]uint32) {
	for i := range cv {
		cv[i] = binary.LittleEndian.Uint32(h[4*i:])
	}
	return cv
}
