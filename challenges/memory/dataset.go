// Package memory is the dataset that a proof of memory fills and walks, the table
// of classes, and what a run shows.
//
// An item of 64 bytes costs a chain of dependent reads of a cache, which a checker
// holds and a card keeps in its fastest memory: to make an item again is many
// times dearer than to read it. Walks hop through the dataset by what they read,
// so each read waits for the one before it. Sampled walks are checked from the
// cache alone.
package memory

import (
	"encoding/binary"
	"math/bits"

	"github.com/assaynet/assay/challenges/simd"
)

// ItemBytes is the size of an item, and of a line of the cache.
const ItemBytes = 64

// OutputBytes is the size of what a walk commits to.
const OutputBytes = 8

// Matrix ids in the generator's nonce word, after those of the products.
const (
	matrixCache = 4
	matrixItems = 5
	matrixWalks = 6
)

// chain is how many lines of the cache follow from one block of the generator:
// a line cannot be made again without half of them, on average.
const chain = 256

// hop is how many reads of a walk stay in one window.
const hop = 8

// Item is 64 bytes of the dataset, a line of the cache, or the state of a walk:
// little-endian words.
type Item = [16]uint32

// Dataset is a dataset of so many items of a class.
type Dataset struct {
	Profile
	Items uint64
}

// Bytes is the size of the dataset.
func (d Dataset) Bytes() uint64 { return d.Items * ItemBytes }

// Walks is how many walks a round has.
func (d Dataset) Walks() uint64 {
	// SPEC: D3. The walks of a round are a 16th of the items, at most the row's
	// number, in whole chunks of outputs: so few walks that meet an item at the same
	// step gain next to nothing by sharing it.
	const each = 1024 / OutputBytes
	return min(d.MaxWalks, d.Items/16) / each * each
}

// Windows is how many windows the dataset has.
func (d Dataset) Windows() uint64 { return (d.Items + d.Window - 1) / d.Window }

// Reads is how many items a whole run reads.
func (d Dataset) Reads() uint64 { return uint64(d.Rounds) * d.Walks() * uint64(d.Steps) }

// Cache makes the cache of a dataset's key.
func (d Dataset) Cache(key *[32]byte) []Item {
	// SPEC: D1. The cache has L lines. The first max(1, L/256) are the blocks of
	// matrix 4; every other is a ChaCha double round of the line so many before it.
	cache := make([]Item, d.Lines)
	first := max(1, d.Lines/chain)
	generate(key, matrixCache, 0, cache[:first])
	for i := first; i < d.Lines; i += first {
		simd.Rounds(cache[i:i+first], cache[i-first:i])
	}
	return cache
}

// generate writes blocks of the generator as items.
func generate(key *[32]byte, matrix uint32, from uint64, out []Item) {
	var blocks [64 * ItemBytes]byte
	for len(out) > 0 {
		n := min(len(out), len(blocks)/ItemBytes)
		simd.ChaCha8(blocks[:n*ItemBytes], key, matrix, from)
		for i := range out[:n] {
			for w := range out[i] {
				out[i][w] = binary.LittleEndian.Uint32(blocks[i*ItemBytes+4*w:])
			}
		}
		out, from = out[n:], from+uint64(n)
	}
}

// Fill makes items, from item from on.
func (d Dataset) Fill(key *[32]byte, cache []Item, from uint64, out []Item) {
	// SPEC: D1. Item i begins as block i of matrix 5. P times: the line whose number
	// is its first word modulo L is XORed into it, and a double round follows.
	generate(key, matrixItems, from, out)
	simd.Mix(out, cache, d.Parents)
}

// Make makes single items.
func (d Dataset) Make(key *[32]byte, cache []Item, at []uint64, out []Item) {
	for i, item := range at {
		generate(key, matrixItems, item, out[i:i+1])
	}
	simd.Mix(out[:len(at)], cache, d.Parents)
}

// Start makes the states in which a round's walks begin, from walk from on.
func Start(key *[32]byte, from uint64, out []Item) {
	// SPEC: D2. Walk w begins as block w of matrix 6 under the round's key.
	generate(key, matrixWalks, from, out)
}

// Next is the item that walk w, in state s, reads at a step.
func (d Dataset) Next(w uint64, step int, s *Item) uint64 {
	// SPEC: D2. There are W = ceil(items / Window) windows of n = floor(items / W)
	// items: all alike, since each has a W-th of the reads. Step t reads in window
	// (w / Batch + t / 8) modulo W, there item floor(x n / 2^64), x being the state's
	// first two words.
	windows := d.Windows()
	size := d.Items / windows
	at, _ := bits.Mul64(uint64(s[0])|uint64(s[1])<<32, size)
	return (w/d.Batch+uint64(step/hop))%windows*size + at
}

// Step takes items into the states of walks.
func Step(states, items []Item) {
	// SPEC: D2. The item is XORed into the state, and a double round follows.
	simd.Walk(states, items)
}

// Output is what a walk's last state commits to.
func Output(s *Item) uint64 {
	// SPEC: D2. The output is the third and the fourth word of the last state.
	return uint64(s[2]) | uint64(s[3])<<32
}

// Sample is a walk to check.
type Sample struct {
	Key  [32]byte // of its round
	Walk uint32
}

// Light computes the outputs of walks without the dataset, each item from the
// cache. out has one element for each walk.
func (d Dataset) Light(key *[32]byte, cache []Item, samples []Sample, out []uint64) {
	states, items := make([]Item, len(samples)), make([]Item, len(samples))
	at := make([]uint64, len(samples))
	for i, s := range samples {
		Start(&s.Key, uint64(s.Walk), states[i:i+1])
	}
	for step := range d.Steps {
		for i, s := range samples {
			at[i] = d.Next(uint64(s.Walk), step, &states[i])
		}
		d.Make(key, cache, at, items)
		Step(states, items)
	}
	for i := range states {
		out[i] = Output(&states[i])
	}
}
