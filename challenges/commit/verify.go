package commit

import (
	"math/bits"

	"github.com/assaynet/assay/challenges/simd"
)

// node is a subtree's chaining value: subtree index of its level.
type node struct {
	index int
	cv    [8]uint32
}

// rootOf climbs from the wanted chunks and the given siblings to the root, a
// level at a time, so that a level's parents are hashed together.
func (l Layout) rootOf(want []int, data, given []byte) [32]byte {
	if l.Chunks == 1 {
		return onlyChunk(data)
	}
	level := l.leaves(want, data)
	siblings := l.siblings(want, given)
	for h, width := 0, l.Chunks; ; h, width = h+1, (width+1)/2 {
		level = merge(level, siblings[h])
		if width == 2 {
			return topParent(level[0].cv, level[1].cv)
		}
		level = climb(level, width)
	}
}

// leaves hashes the wanted chunks.
func (l Layout) leaves(want []int, data []byte) []node {
	index := make([]uint64, len(want))
	for i, c := range want {
		index[i] = uint64(c)
	}
	cvs := make([][8]uint32, len(want))
	simd.Chunks(cvs, data, index)
	out := make([]node, len(want))
	for i, c := range want {
		out[i] = node{c, cvs[i]}
	}
	return out
}

// siblings sorts the given chaining values, which stand in the order of the walk,
// by level; each level ascends.
func (l Layout) siblings(want []int, given []byte) [][]node {
	out := make([][]node, bits.Len(uint(l.Chunks-1)))
	siblings(0, l.Chunks, want, func(lo, hi int) {
		h := bits.Len(uint(hi - lo - 1))
		out[h] = append(out[h], node{lo >> h, hashCV([32]byte(given))})
		given = given[cvBytes:]
	})
	return out
}

// merge joins two ascending lists of different nodes.
func merge(a, b []node) []node {
	if len(b) == 0 {
		return a
	}
	out := make([]node, 0, len(a)+len(b))
	for len(a) > 0 && len(b) > 0 {
		if a[0].index < b[0].index {
			out, a = append(out, a[0]), a[1:]
		} else {
			out, b = append(out, b[0]), b[1:]
		}
	}
	return append(append(out, a...), b...)
}

// climb makes the next level of a tree with width subtrees at this one. Nodes come
// in pairs, but for an odd last one, which is carried up.
func climb(level []node, width int) []node {
	pairs := make([][8]uint32, 0, len(level))
	next := make([]node, 0, (len(level)+1)/2)
	for i := 0; i < len(level); i++ {
		next = append(next, node{index: level[i].index / 2})
		if width%2 == 1 && level[i].index == width-1 {
			next[len(next)-1].cv = level[i].cv
			break
		}
		pairs = append(pairs, level[i].cv, level[i+1].cv)
		i++
	}
	cvs := make([][8]uint32, len(pairs)/2)
	simd.Parents(cvs, pairs)
	for i := range cvs {
		next[i].cv = cvs[i]
	}
	return next
}
