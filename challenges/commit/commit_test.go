package commit

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"lukechampine.com/blake3"
	"lukechampine.com/blake3/guts"
	"pgregory.net/rapid"
)

// widths are the sizes of an entry.
var widths = []int{4, 8}

func testMatrix(chunks int) []byte {
	rng := rand.New(rand.NewPCG(uint64(chunks), 3))
	data := make([]byte, chunks*ChunkBytes)
	for i := range data {
		data[i] = byte(rng.Uint32())
	}
	return data
}

// valueAt reads an entry out of a whole matrix.
func valueAt(data []byte, width int, entry uint32) uint64 {
	var wide [8]byte
	copy(wide[:], data[int(entry)*width:][:width])
	return binary.LittleEndian.Uint64(wide[:])
}

func TestTreeRootIsBLAKE3(t *testing.T) {
	counts := []int{63, 64, 65, 96, 127}
	for n := 1; n <= 40; n++ {
		counts = append(counts, n)
	}
	for _, n := range counts {
		data := testMatrix(n)
		for _, width := range widths {
			root := New(data, width).Root()
			if root != blake3.Sum256(data) {
				t.Errorf("%d chunks: root %x, library %x", n, root, blake3.Sum256(data))
			}
		}
	}
}

// paperOpening verifies an opening with the library's BLAKE3: it rebuilds the root
// from the chunks and the siblings in the order that the specification gives.
func paperOpening(root [32]byte, l Layout, entries []uint32, opening []byte) ([]uint64, error) {
	asked := map[int]bool{}
	for _, e := range entries {
		asked[int(e)*l.Width/1024] = true
	}
	held := map[int][]byte{} // chunk -> its bytes
	for c := range l.Chunks {
		if asked[c] {
			if len(opening) < 1024 {
				return nil, errors.New("short of chunks")
			}
			held[c], opening = opening[:1024], opening[1024:]
		}
	}
	if len(held) != len(asked) || len(asked) == 0 {
		return nil, errors.New("entries outside")
	}
	short := false
	var rebuild func(first, count int) guts.Node
	value := func(first, count int) [8]uint32 {
		for c := first; c < first+count; c++ {
			if asked[c] {
				return guts.ChainingValue(rebuild(first, count))
			}
		}
		if len(opening) < 32 {
			short = true
			return [8]uint32{}
		}
		var cv [8]uint32
		for i := range cv {
			cv[i] = binary.LittleEndian.Uint32(opening[4*i:])
		}
		opening = opening[32:]
		return cv
	}
	rebuild = func(first, count int) guts.Node {
		if count == 1 {
			return guts.CompressChunk(held[first], &guts.IV, uint64(first), 0)
		}
		left := 1
		for 2*left < count {
			left *= 2
		}
		l := value(first, left)
		r := value(first+left, count-left)
		return guts.ParentNode(l, r, &guts.IV, 0)
	}
	top := rebuild(0, l.Chunks)
	top.Flags |= guts.FlagRoot
	var sum []byte
	for _, w := range guts.ChainingValue(top) {
		sum = binary.LittleEndian.AppendUint32(sum, w)
	}
	if short || len(opening) != 0 || [32]byte(sum) != root {
		return nil, errors.New("another root")
	}
	var values []uint64
	for _, e := range entries {
		at := int(e) * l.Width
		values = append(values, valueAt(held[at/1024][at%1024:], l.Width, 0))
	}
	return values, nil
}

func TestOpeningRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		l := Layout{rapid.IntRange(1, 70).Draw(t, "chunks"), rapid.SampledFrom(widths).Draw(t, "width")}
		most := uint32(l.Chunks*ChunkBytes/l.Width - 1)
		entries := rapid.SliceOfN(rapid.Uint32Range(0, most), 1, 24).Draw(t, "entries")
		data := testMatrix(l.Chunks)
		tree := New(data, l.Width)
		opening := tree.Open(entries)
		if len(opening) != l.OpeningBytes(entries) {
			t.Fatalf("%d bytes, computed %d", len(opening), l.OpeningBytes(entries))
		}
		values, err := l.Verify(tree.Root(), entries, opening)
		if err != nil {
			t.Fatal(err)
		}
		for i, e := range entries {
			if want := valueAt(data, l.Width, e); values[i] != want {
				t.Fatalf("entry %d: got %d, want %d", e, values[i], want)
			}
		}
		second, err := paperOpening(tree.Root(), l, entries, opening)
		if err != nil || !slices.Equal(second, values) {
			t.Fatalf("second verifier: %v, %v", second, err)
		}
		// One flipped bit anywhere, and it is another matrix.
		bad := slices.Clone(opening)
		bad[rapid.IntRange(0, len(bad)-1).Draw(t, "byte")] ^= 1 << rapid.IntRange(0, 7).Draw(t, "bit")
		if _, err := l.Verify(tree.Root(), entries, bad); !errors.Is(err, ErrOpening) {
			t.Fatalf("altered opening: %v", err)
		}
	})
}

// TestEverySetOfChunks opens each set of chunks of the small trees: whatever the
// shape, the verifier that climbs by levels and the one that walks agree.
func TestEverySetOfChunks(t *testing.T) {
	sets := 0
	for chunks := 1; chunks <= 9; chunks++ {
		l := Layout{chunks, 8}
		tree := New(testMatrix(chunks), 8)
		for set := 1; set < 1<<chunks; set++ {
			var entries []uint32
			for c := range chunks {
				if set>>c&1 == 1 {
					entries = append(entries, uint32(128*c+set%128))
				}
			}
			values, err := l.Verify(tree.Root(), entries, tree.Open(entries))
			second, paperErr := paperOpening(tree.Root(), l, entries, tree.Open(entries))
			if err != nil || paperErr != nil || !slices.Equal(values, second) {
				t.Fatalf("%d chunks, set %b: %v, %v", chunks, set, err, paperErr)
			}
			sets++
		}
	}
	t.Logf("%d sets of chunks", sets)
}

func TestEveryByteOfAnOpeningCounts(t *testing.T) {
	for _, width := range widths {
		l := Layout{5, width}
		tree := New(testMatrix(5), width)
		entries := []uint32{uint32(4*ChunkBytes/width + 7)}
		opening := tree.Open(entries)
		for i := range opening {
			for _, mask := range []byte{0x01, 0x80, 0xff} {
				bad := slices.Clone(opening)
				bad[i] ^= mask
				if _, err := l.Verify(tree.Root(), entries, bad); !errors.Is(err, ErrOpening) {
					t.Fatalf("width %d, byte %d ^ %#x: %v", width, i, mask, err)
				}
			}
		}
	}
}

func TestOpeningRefused(t *testing.T) {
	for _, width := range widths {
		l, each := Layout{5, width}, uint32(ChunkBytes/width)
		tree := New(testMatrix(l.Chunks), width)
		root, entries := tree.Root(), []uint32{3, 2 * each, 2*each + 1}
		good := tree.Open(entries)
		siblings := good[2*ChunkBytes:]
		tests := []struct {
			name    string
			root    [32]byte
			layout  Layout
			entries []uint32
			opening []byte
		}{
			{"a byte short", root, l, entries, good[:len(good)-1]},
			{"a sibling short", root, l, entries, good[:len(good)-cvBytes]},
			{"a byte more", root, l, entries, append(slices.Clone(good), 0)},
			{"a sibling more", root, l, entries, append(slices.Clone(good), siblings[:cvBytes]...)},
			{"empty", root, l, entries, nil},
			{"other root", [32]byte{1}, l, entries, good},
			{"other positions, same shape", root, l, []uint32{each, 3 * each}, good},
			{"other positions, other shape", root, l, []uint32{3}, good},
			{"entries of the other width", root, Layout{5, 12 - width}, entries, good},
			{"matrix of another size", root, Layout{9, width}, entries, good},
			{"chunks swapped", root, l, entries, slices.Concat(good[ChunkBytes:2*ChunkBytes], good[:ChunkBytes], siblings)},
			{"siblings swapped", root, l, entries, slices.Concat(good[:2*ChunkBytes], siblings[32:64], siblings[:32], siblings[64:])},
			{"siblings first", root, l, entries, slices.Concat(siblings, good[:2*ChunkBytes])},
			{"entry outside", root, l, []uint32{5 * each}, good},
			{"last entry of 2^32", root, l, []uint32{1<<32 - 1}, good},
			{"no entries", root, l, nil, good},
		}
		if _, err := l.Verify(root, entries, good); err != nil {
			t.Fatal(err)
		}
		for _, tt := range tests {
			t.Run(fmt.Sprintf("width %d, %s", width, tt.name), func(t *testing.T) {
				if _, err := tt.layout.Verify(tt.root, tt.entries, tt.opening); !errors.Is(err, ErrOpening) {
					t.Errorf("got %v", err)
				}
			})
		}
	}
}

func TestOpeningOfDuplicates(t *testing.T) {
	l := Layout{4, 4}
	tree := New(testMatrix(4), 4)
	once := []uint32{5, 900}
	twice := []uint32{900, 5, 5, 900, 5}
	if !bytes.Equal(tree.Open(once), tree.Open(twice)) {
		t.Error("duplicates change the opening")
	}
	values, err := l.Verify(tree.Root(), twice, tree.Open(once))
	if err != nil || len(values) != 5 || values[0] != values[3] || values[1] != values[2] || values[1] != values[4] {
		t.Errorf("values %v, %v: want one for each position, as drawn", values, err)
	}
}

// The parts of an opening, fetched from wherever the tree stands, are the opening.
func TestPartsAreTheOpening(t *testing.T) {
	for _, chunks := range []int{1, 2, 3, 7, 8, 13, 64, 65} {
		data := testMatrix(chunks)
		tree := New(data, 4)
		entries := []uint32{uint32(chunks*256 - 1), 0, 1, uint32(chunks/2) * 256}
		want, siblings := tree.layout.Parts(entries)
		if !slices.IsSorted(want) {
			t.Errorf("%d chunks: %v", chunks, want)
		}
		var opening []byte
		for _, c := range want {
			opening = append(opening, data[c*ChunkBytes:][:ChunkBytes]...)
		}
		for _, s := range siblings {
			// A subtree is BLAKE3 of its own chunks, but for the root's flag.
			cv := subtree(data, s.Index<<s.Level, min((s.Index+1)<<s.Level, chunks))
			for _, w := range cv {
				opening = binary.LittleEndian.AppendUint32(opening, w)
			}
		}
		if !bytes.Equal(opening, tree.Open(entries)) {
			t.Errorf("%d chunks: the parts differ from the opening", chunks)
		}
		if len(opening) != tree.layout.OpeningBytes(entries) {
			t.Errorf("%d chunks: %d bytes", chunks, len(opening))
		}
	}
}

// subtree is the chaining value of chunks [lo, hi), by the paper's recursion.
func subtree(data []byte, lo, hi int) [8]uint32 {
	if hi-lo == 1 {
		return guts.ChainingValue(guts.CompressChunk(data[lo*ChunkBytes:hi*ChunkBytes], &guts.IV, uint64(lo), 0))
	}
	left := 1
	for 2*left < hi-lo {
		left *= 2
	}
	return guts.ChainingValue(guts.ParentNode(subtree(data, lo, lo+left), subtree(data, lo+left, hi), &guts.IV, 0))
}
