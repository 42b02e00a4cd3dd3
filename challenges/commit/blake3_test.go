package commit

import (
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"math/bits"
	"testing"

	"lukechampine.com/blake3"
)

// A second BLAKE3, written from the paper alone (O'Connor et al., "BLAKE3: one
// function, fast everywhere", 2020) and slow on purpose: it is what the commitment
// code and the vectors are compared with.

const (
	paperChunkStart = 1 << iota
	paperChunkEnd
	paperParent
	paperRoot
)

var paperIV = [8]uint32{
	0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19,
}

// paperNode is a node's last compression, not yet done: whether it is the root
// is known only later.
type paperNode struct {
	h    [8]uint32
	m    [16]uint32
	t    uint64
	b, d uint32
}

func (n paperNode) compress(t uint64, flags uint32) [16]uint32 {
	order := [16]int{2, 6, 3, 10, 7, 0, 4, 13, 1, 11, 12, 5, 9, 14, 15, 8}
	lanes := [8][4]int{
		{0, 4, 8, 12},
		{1, 5, 9, 13},
		{2, 6, 10, 14},
		{3, 7, 11, 15},
		{0, 5, 10, 15},
		{1, 6, 11, 12},
		{2, 7, 8, 13},
		{3, 4, 9, 14},
	}
	var v [16]uint32
	copy(v[:8], n.h[:])
	copy(v[8:12], paperIV[:4])
	v[12], v[13], v[14], v[15] = uint32(t), uint32(t>>32), n.b, n.d|flags
	m := n.m
	for round := range 7 {
		if round > 0 {
			var permuted [16]uint32
			for i, from := range order {
				permuted[i] = m[from]
			}
			m = permuted
		}
		for i, l := range lanes {
			a, b, c, d := l[0], l[1], l[2], l[3]
			for half := range 2 {
				v[a] += v[b] + m[2*i+half]
				v[d] = bits.RotateLeft32(v[d]^v[a], -[2]int{16, 8}[half])
				v[c] += v[d]
				v[b] = bits.RotateLeft32(v[b]^v[c], -[2]int{12, 7}[half])
			}
		}
	}
	for i := range 8 {
		v[i] ^= v[i+8]
		v[i+8] ^= n.h[i]
	}
	return v
}

func (n paperNode) cv() [8]uint32 {
	full := n.compress(n.t, 0)
	return [8]uint32(full[:8])
}

// out is the root's extendable output: the same compression, counting blocks.
func (n paperNode) out(size int) []byte {
	var b []byte
	for block := uint64(0); len(b) < size; block++ {
		for _, w := range n.compress(block, paperRoot) {
			b = binary.LittleEndian.AppendUint32(b, w)
		}
	}
	return b[:size]
}

func paperLeaf(key [8]uint32, flags uint32, chunk []byte, index uint64) paperNode {
	n := paperNode{h: key, t: index}
	for first := true; ; first = false {
		size := min(len(chunk), 64)
		var block [64]byte
		copy(block[:], chunk[:size])
		for i := range n.m {
			n.m[i] = binary.LittleEndian.Uint32(block[4*i:])
		}
		n.b, n.d = uint32(size), flags
		if first {
			n.d |= paperChunkStart
		}
		if chunk = chunk[size:]; len(chunk) == 0 {
			n.d |= paperChunkEnd
			return n
		}
		n.h = n.cv()
	}
}

func paperJoin(key [8]uint32, flags uint32, left, right [8]uint32) paperNode {
	n := paperNode{h: key, b: 64, d: flags | paperParent}
	copy(n.m[:8], left[:])
	copy(n.m[8:], right[:])
	return n
}

func paperTree(key [8]uint32, flags uint32, data []byte, index uint64) paperNode {
	if len(data) <= 1024 {
		return paperLeaf(key, flags, data, index)
	}
	left := 1024
	for 2*left < len(data) {
		left *= 2
	}
	l := paperTree(key, flags, data[:left], index)
	r := paperTree(key, flags, data[left:], index+uint64(left/1024))
	return paperJoin(key, flags, l.cv(), r.cv())
}

func paperWords(b []byte) (key [8]uint32) {
	for i := range key {
		key[i] = binary.LittleEndian.Uint32(b[4*i:])
	}
	return key
}

func paperSum(data []byte) [32]byte { return [32]byte(paperTree(paperIV, 0, data, 0).out(32)) }

func hashed(data []byte) []byte {
	h := paperSum(data)
	return h[:]
}

func TestPaperBLAKE3(t *testing.T) {
	// The empty input's digest, from the paper's published test vectors.
	if got := hex.EncodeToString(hashed(nil)); got != "af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262" {
		t.Fatalf("empty input: %s", got)
	}
	for _, n := range []int{0, 1, 63, 64, 65, 1023, 1024, 1025, 2048, 2049, 3072, 5000, 31744} {
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			data := make([]byte, n)
			for i := range data {
				data[i] = byte(i % 251)
			}
			if paperSum(data) != blake3.Sum256(data) {
				t.Error("sums differ")
			}
		})
	}
}
