package simd

import (
	"encoding/hex"
	"math"
	"slices"
	"testing"

	"lukechampine.com/blake3"
	"lukechampine.com/blake3/guts"
	"pgregory.net/rapid"
)

func randomCVs(n int, seed uint64) [][8]uint32 {
	r := newRand(seed)
	cvs := make([][8]uint32, n)
	for i := range cvs {
		for j := range cvs[i] {
			cvs[i][j] = r.Uint32()
		}
	}
	return cvs
}

// guardedCVs has room around it that must stay zero.
func guardedCVs(n int) ([][8]uint32, func() bool) {
	const margin = 16
	mem := make([][8]uint32, n+2*margin)
	return mem[margin : margin+n], func() bool {
		used := func(cv [8]uint32) bool { return cv != [8]uint32{} }
		return !slices.ContainsFunc(mem[:margin], used) && !slices.ContainsFunc(mem[margin+n:], used)
	}
}

// The dependency's own compression agrees with the test's.
func TestNaiveBLAKE3(t *testing.T) {
	data := randomBytes(newRand(8), chunkBytes)
	for _, counter := range []uint64{0, 1, 1 << 32, math.MaxUint64} {
		want := guts.ChainingValue(guts.CompressChunk(data, &guts.IV, counter, 0))
		if got := naiveChunk(data, counter); got != want {
			t.Errorf("chunk %d: %x, want %x", counter, got, want)
		}
	}
	cvs := randomCVs(2, 1)
	if got, want := naiveParent(cvs[0], cvs[1]), guts.ChainingValue(guts.ParentNode(cvs[0], cvs[1], &guts.IV, 0)); got != want {
		t.Errorf("parent: %x, want %x", got, want)
	}
}

func TestChunksLevels(t *testing.T) {
	r := newRand(9)
	eachLevel(t, func(t *testing.T, l level) {
		for n := range 50 {
			data := randomBytes(r, n*chunkBytes+n)[n:]
			index := make([]uint64, n)
			for i := range index {
				index[i] = r.Uint64() >> r.IntN(64)
			}
			if n > 3 {
				index[0], index[2], index[3] = math.MaxUint64, 1<<32-1, 1<<32
			}
			cvs, clean := guardedCVs(n)
			chunks(l, cvs, data, index)
			for i, got := range cvs {
				if want := naiveChunk(data[i*chunkBytes:], index[i]); got != want {
					t.Fatalf("%d chunks, the %d-th, counter %d: %x, want %x", n, i, index[i], got, want)
				}
			}
			if !clean() {
				t.Fatalf("%d chunks: written outside", n)
			}
		}
	})
}

func TestParentsLevels(t *testing.T) {
	eachLevel(t, func(t *testing.T, l level) {
		for n := range 50 {
			in := randomCVs(2*n, uint64(n))
			out, clean := guardedCVs(n)
			parents(l, out, in)
			for i, got := range out {
				if want := naiveParent(in[2*i], in[2*i+1]); got != want {
					t.Fatalf("%d parents, the %d-th: %x, want %x", n, i, got, want)
				}
			}
			if !clean() {
				t.Fatalf("%d parents: written outside", n)
			}
			parents(l, in[:n], in)
			if !slices.Equal(in[:n], out) {
				t.Fatalf("%d parents in place: wrong", n)
			}
		}
	})
}

// A whole tree of 64 chunks has the published hash as its root: the input is the
// counting bytes of the BLAKE3 test vectors. Only the last compression, with the
// root flag, is not this package's.
func TestTreeRoot(t *testing.T) {
	const n = 64
	data := make([]byte, n*chunkBytes)
	index := make([]uint64, n)
	for i := range data {
		data[i] = byte(i % 251)
	}
	for i := range index {
		index[i] = uint64(i)
	}
	eachLevel(t, func(t *testing.T, l level) {
		cvs := make([][8]uint32, n)
		chunks(l, cvs, data, index)
		for len(cvs) > 2 {
			parents(l, cvs[:len(cvs)/2], cvs)
			cvs = cvs[:len(cvs)/2]
		}
		node := guts.ParentNode(cvs[0], cvs[1], &guts.IV, guts.FlagRoot)
		root := guts.WordsToBytes(guts.CompressNode(node))
		if want := blake3.Sum256(data); [32]byte(root[:32]) != want {
			t.Errorf("root %s, want %s", hex.EncodeToString(root[:32]), hex.EncodeToString(want[:]))
		}
	})
}

func TestHashProperties(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(0, 40).Draw(t, "chunks")
		index := rapid.SliceOfN(rapid.Uint64(), n, n).Draw(t, "index")
		data := randomBytes(newRand(rapid.Uint64().Draw(t, "seed")), n*chunkBytes)
		cut := rapid.IntRange(0, n).Draw(t, "cut")
		whole, parts := make([][8]uint32, n), make([][8]uint32, n)
		Chunks(whole, data, index)
		Chunks(parts[:cut], data[:cut*chunkBytes], index[:cut])
		Chunks(parts[cut:], data[cut*chunkBytes:], index[cut:])
		if !slices.Equal(whole, parts) {
			t.Fatal("parts differ")
		}
		whole = whole[:n/2*2]
		up := make([][8]uint32, n/2)
		Parents(up, whole)
		for i := range up {
			if up[i] != naiveParent(whole[2*i], whole[2*i+1]) {
				t.Fatalf("parent %d differs", i)
			}
		}
	})
}

func TestHashPanics(t *testing.T) {
	cvs, data := make([][8]uint32, 2), make([]byte, 2*chunkBytes)
	panics(t, func() { Chunks(cvs, data, make([]uint64, 3)) })
	panics(t, func() { Chunks(cvs, data[1:], make([]uint64, 2)) })
	panics(t, func() { Chunks(cvs, append(data, 0), make([]uint64, 2)) })
	for _, n := range []int{0, 2, 3, 5} {
		panics(t, func() { Parents(cvs, make([][8]uint32, n)) })
	}
}

func FuzzChunks(f *testing.F) {
	f.Add(uint64(1), uint64(0), uint8(17))
	f.Add(uint64(2), uint64(math.MaxUint64-3), uint8(9))
	f.Fuzz(func(t *testing.T, seed, first uint64, n uint8) {
		data := randomBytes(newRand(seed), int(n%40)*chunkBytes)
		index := make([]uint64, len(data)/chunkBytes)
		for i := range index {
			index[i] = first + uint64(i)*(seed|1)
		}
		for l := plain; l <= machine; l++ {
			cvs, clean := guardedCVs(len(index))
			chunks(l, cvs, data, index)
			for i, got := range cvs {
				if got != naiveChunk(data[i*chunkBytes:], index[i]) {
					t.Errorf("%v: chunk %d of %d", l, i, len(index))
				}
			}
			if !clean() {
				t.Errorf("%v: written outside", l)
			}
		}
	})
}

func FuzzParents(f *testing.F) {
	f.Add(uint64(1), uint8(19))
	f.Fuzz(func(t *testing.T, seed uint64, n uint8) {
		in := randomCVs(2*int(n), seed)
		for l := plain; l <= machine; l++ {
			out, clean := guardedCVs(int(n))
			parents(l, out, in)
			for i, got := range out {
				if got != naiveParent(in[2*i], in[2*i+1]) {
					t.Errorf("%v: parent %d of %d", l, i, n)
				}
			}
			if !clean() {
				t.Errorf("%v: written outside", l)
			}
		}
	})
}
