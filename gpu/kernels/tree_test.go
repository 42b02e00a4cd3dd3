package kernels_test

import (
	"fmt"
	"math/rand/v2"

	"lukechampine.com/blake3"
	"lukechampine.com/blake3/guts"

	"github.com/assaynet/assay/challenges/simd"
	"github.com/assaynet/assay/gpu/kernels"
)

func treeChecks() []check {
	var out []check
	for _, k := range []struct{ first, n int }{{0, 1}, {0, 31}, {5, 33}, {256, 64}, {3, 259}} {
		out = append(out, check{fmt.Sprintf("%d chunks from %d", k.n, k.first), "b3_chunks", func(c *card, r *rand.ChaCha8) error {
			return askChunks(c, r, uint64(k.first), k.n)
		}})
	}
	out = append(out, check{"chunks from 2^33", "b3_chunks", func(c *card, r *rand.ChaCha8) error {
		return askChunks(c, r, 1<<33|77, 3)
	}})
	for _, n := range []int{1, 2, 3, 512, 517} {
		out = append(out, check{fmt.Sprintf("parents of %d", n), "b3_parents", func(c *card, r *rand.ChaCha8) error {
			return askParents(c, r, n)
		}})
	}
	for _, n := range []int{2, 3, 5, 7, 12, 33} {
		out = append(out, check{fmt.Sprintf("tree of %d chunks", n), "b3_top", func(c *card, r *rand.ChaCha8) error {
			return askTree(c, r, n)
		}})
	}
	out = append(out, check{"one chunk", "b3_single", func(c *card, r *rand.ChaCha8) error {
		data := random(r, 1024)
		root := c.room(32)
		c.launch("b3_single", 1, kernels.OneThread, 0, c.put(data), root)
		want := blake3.Sum256(data)
		return c.same("root", root, want[:])
	}})
	for _, n := range []int{0, 1, 3, 63, 64, 65, 120, 128, 961, 1023, kernels.DeriveBytes} {
		out = append(out, check{fmt.Sprintf("key of %d bytes", n), "derive_key", func(c *card, r *rand.ChaCha8) error {
			return askDerive(c, r, n)
		}})
	}
	return out
}

func askChunks(c *card, r *rand.ChaCha8, first uint64, n int) error {
	data := random(r, 1024*n)
	index, want := make([]uint64, n), make([][8]uint32, n)
	for i := range index {
		index[i] = first + uint64(i)
	}
	simd.Chunks(want, data, index)
	at := c.room(32 * n)
	// What is before the first chunk is not there.
	c.over("b3_chunks", n, kernels.ChunkShared, c.put(data)-1024*first, at-32*first, first, uint64(n))
	return c.same("chaining values", at, values(want))
}

func askParents(c *card, r *rand.ChaCha8, n int) error {
	in := make([][8]uint32, n)
	for i := range in {
		for j := range in[i] {
			in[i][j] = uint32(r.Uint64())
		}
	}
	want := make([][8]uint32, n/2, n)
	simd.Parents(want, in[:n/2*2])
	want = append(want, in[n/2*2:]...)
	at := c.room(32 * len(want))
	c.over("b3_parents", len(want), 0, c.put(values(in)), at, uint64(n))
	return c.same("parents", at, values(want))
}

// askTree hashes in all steps that a commitment takes.
func askTree(c *card, r *rand.ChaCha8, n int) error {
	data := random(r, 1024*n)
	level := c.room(32 * n)
	c.over("b3_chunks", n, kernels.ChunkShared, c.put(data), level, 0, uint64(n))
	for left := n; left > 2; left = (left + 1) / 2 {
		next := c.room(32 * ((left + 1) / 2))
		c.over("b3_parents", (left+1)/2, 0, level, next, uint64(left))
		level = next
	}
	root := c.room(32)
	c.launch("b3_top", 1, kernels.OneThread, 0, level, root)
	want := blake3.Sum256(data)
	return c.same("root", root, want[:])
}

func askDerive(c *card, r *rand.ChaCha8, n int) error {
	const context = "assay/kernels/test/v1"
	message := random(r, n)
	node := guts.CompressChunk([]byte(context), &guts.IV, 0, guts.FlagDeriveKeyContext)
	node.Flags |= guts.FlagRoot
	key := guts.ChainingValue(node)
	at, material := c.room(32), uint64(0)
	if n > 0 {
		material = c.put(message)
	}
	c.launch("derive_key", 1, kernels.OneThread, 0, c.put(words32(key[:])), material, uint64(n), at)
	want := make([]byte, 32)
	blake3.DeriveKey(want, context, message)
	return c.same("key", at, want)
}

func values(cvs [][8]uint32) []byte {
	var b []byte
	for _, cv := range cvs {
		b = append(b, words32(cv[:])...)
	}
	return b
}
