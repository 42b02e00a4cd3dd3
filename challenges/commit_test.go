package challenges

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"lukechampine.com/blake3"
	"pgregory.net/rapid"
)

func testMatrix(chunks int) []byte {
	rng := rand.New(rand.NewPCG(uint64(chunks), 3))
	data := make([]byte, chunks*chunkBytes)
	for i := range data {
		data[i] = byte(rng.Uint32())
	}
	return data
}

func TestTreeRootIsBLAKE3(t *testing.T) {
	counts := []int{63, 64, 65, 96, 127}
	for n := 1; n <= 40; n++ {
		counts = append(counts, n)
	}
	for _, n := range counts {
		data := testMatrix(n)
		root := NewTree(data).Root()
		if root != blake3.Sum256(data) || root != paperSum(data) {
			t.Errorf("%d chunks: root %v, library %x, paper %v", n, root, blake3.Sum256(data), paperSum(data))
		}
	}
}

// paperOpening verifies an opening with the second BLAKE3: it rebuilds the root
// from the chunks and the siblings in the order that the specification gives.
func paperOpening(root Hash, chunks int, entries []uint32, opening []byte) ([]int32, error) {
	asked := map[int]bool{}
	for _, e := range entries {
		asked[int(e)/256] = true
	}
	held := map[int][]byte{} // chunk -> its bytes
	for c := range chunks {
		if asked[c] {
			if len(opening) < 1024 {
				return nil, errors.New("short of chunks")
			}
			held[c], opening = opening[:1024], opening[1024:]
		}
	}
	if len(held) != len(asked) {
		return nil, errors.New("entries outside")
	}
	short := false
	var rebuild func(first, count int) paperNode
	value := func(first, count int) [8]uint32 {
		for c := first; c < first+count; c++ {
			if asked[c] {
				n := rebuild(first, count)
				return n.cv()
			}
		}
		if len(opening) < 32 {
			short = true
			return [8]uint32{}
		}
		cv := paperWords(opening)
		opening = opening[32:]
		return cv
	}
	rebuild = func(first, count int) paperNode {
		if count == 1 {
			return paperLeaf(paperIV, 0, held[first], uint64(first))
		}
		left := 1
		for 2*left < count {
			left *= 2
		}
		l := value(first, left)
		r := value(first+left, count-left)
		return paperJoin(paperIV, 0, l, r)
	}
	top := rebuild(0, chunks)
	if short || len(opening) != 0 || Hash(top.out(32)) != root {
		return nil, errors.New("another root")
	}
	var values []int32
	for _, e := range entries {
		values = append(values, int32(binary.LittleEndian.Uint32(held[int(e)/256][e%256*4:])))
	}
	return values, nil
}

func TestOpeningRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		chunks := rapid.IntRange(1, 33).Draw(t, "chunks")
		entries := rapid.SliceOfN(rapid.Uint32Range(0, uint32(chunks*ChunkEntries-1)), 1, 24).Draw(t, "entries")
		data := testMatrix(chunks)
		tree := NewTree(data)
		opening := tree.Open(entries)
		if len(opening) != OpeningBytes(chunks, entries) {
			t.Fatalf("%d bytes, computed %d", len(opening), OpeningBytes(chunks, entries))
		}
		values, err := VerifyOpening(tree.Root(), chunks, entries, opening)
		if err != nil {
			t.Fatal(err)
		}
		for i, e := range entries {
			if want := int32(binary.LittleEndian.Uint32(data[4*e:])); values[i] != want {
				t.Fatalf("entry %d: got %d, want %d", e, values[i], want)
			}
		}
		second, err := paperOpening(tree.Root(), chunks, entries, opening)
		if err != nil || !slices.Equal(second, values) {
			t.Fatalf("second verifier: %v, %v", second, err)
		}
		// One flipped bit anywhere, and it is another matrix.
		bad := slices.Clone(opening)
		bad[rapid.IntRange(0, len(bad)-1).Draw(t, "byte")] ^= 1 << rapid.IntRange(0, 7).Draw(t, "bit")
		if _, err := VerifyOpening(tree.Root(), chunks, entries, bad); !errors.Is(err, ErrOpening) {
			t.Fatalf("altered opening: %v", err)
		}
	})
}

func TestEveryByteOfAnOpeningCounts(t *testing.T) {
	tree := NewTree(testMatrix(3))
	entries := []uint32{2*ChunkEntries + 7}
	opening := tree.Open(entries)
	for i := range opening {
		for _, mask := range []byte{0x01, 0x80, 0xff} {
			bad := slices.Clone(opening)
			bad[i] ^= mask
			if _, err := VerifyOpening(tree.Root(), 3, entries, bad); !errors.Is(err, ErrOpening) {
				t.Fatalf("byte %d ^ %#x: %v", i, mask, err)
			}
		}
	}
}

func TestOpeningRefused(t *testing.T) {
	const chunks = 5
	tree := NewTree(testMatrix(chunks))
	entries := []uint32{3, 2 * ChunkEntries, 2*ChunkEntries + 1}
	good := tree.Open(entries)
	siblings := good[2*chunkBytes:]
	tests := []struct {
		name    string
		root    Hash
		chunks  int
		entries []uint32
		opening []byte
	}{
		{"a byte short", tree.Root(), chunks, entries, good[:len(good)-1]},
		{"a sibling short", tree.Root(), chunks, entries, good[:len(good)-cvBytes]},
		{"a byte more", tree.Root(), chunks, entries, append(slices.Clone(good), 0)},
		{"a sibling more", tree.Root(), chunks, entries, append(slices.Clone(good), siblings[:cvBytes]...)},
		{"empty", tree.Root(), chunks, entries, nil},
		{"other root", Hash{1}, chunks, entries, good},
		{"other positions, same shape", tree.Root(), chunks, []uint32{ChunkEntries, 3 * ChunkEntries}, good},
		{"other positions, other shape", tree.Root(), chunks, []uint32{3}, good},
		{"matrix of another size", tree.Root(), chunks + 4, entries, good},
		{"chunks swapped", tree.Root(), chunks, entries, slices.Concat(good[chunkBytes:2*chunkBytes], good[:chunkBytes], siblings)},
		{"siblings swapped", tree.Root(), chunks, entries, slices.Concat(good[:2*chunkBytes], siblings[32:64], siblings[:32], siblings[64:])},
		{"siblings first", tree.Root(), chunks, entries, slices.Concat(siblings, good[:2*chunkBytes])},
		{"entry outside", tree.Root(), chunks, []uint32{chunks * ChunkEntries}, good},
		{"no entries", tree.Root(), chunks, nil, good},
	}
	if _, err := VerifyOpening(tree.Root(), chunks, entries, good); err != nil {
		t.Fatal(err)
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if _, err := VerifyOpening(tt.root, tt.chunks, tt.entries, tt.opening); !errors.Is(err, ErrOpening) {
				t.Errorf("got %v", err)
			}
		})
	}
}

func TestOpeningOfDuplicates(t *testing.T) {
	tree := NewTree(testMatrix(4))
	once := []uint32{5, 900}
	twice := []uint32{900, 5, 5, 900, 5}
	if !bytes.Equal(tree.Open(once), tree.Open(twice)) {
		t.Error("duplicates change the opening")
	}
	values, err := VerifyOpening(tree.Root(), 4, twice, tree.Open(once))
	if err != nil || len(values) != 5 || values[0] != values[3] || values[1] != values[2] || values[1] != values[4] {
		t.Errorf("values %v, %v: want one for each position, as drawn", values, err)
	}
}

// paperPositions draws positions as the specification says, a second time: all
// words at once, then filtered.
func paperPositions(s Secret, id Hash, round uint64, root Hash, n uint64, k int) []uint32 {
	r := binary.LittleEndian.AppendUint64(nil, round)
	stream := paperKeyed(s[:], framed([]byte("pos"), id[:], r, root[:]), 8*(64+16*k))
	var out []uint32
	for ; len(out) < k; stream = stream[8:] {
		w := binary.LittleEndian.Uint64(stream)
		// q full multiples of n fit into 2^64; words of the partial last one are
		// skipped. For n a power of two q*n wraps to zero and nothing is.
		if rest := (1<<64 - 1) % n; rest != n-1 && w >= 1<<64-1-rest {
			continue
		}
		out = append(out, uint32(w%n))
	}
	return out
}

func TestPositionsAgainstASecondDerivation(t *testing.T) {
	// Sizes over 2^32 never occur; they are here because only they make the
	// rejection likely enough to be seen.
	for _, n := range []uint64{1, 2, 3, 768, 8192, 1e6 + 3, 1<<32 - 5, 1 << 32, 1<<63 + 1, 3 << 62} {
		for round := range 4 {
			s, id, root := Secret{byte(n), 1}, Hash{2, byte(round)}, Hash{3}
			got := s.Positions(id, round, root, n, 32)
			if want := paperPositions(s, id, uint64(round), root, n, 32); !slices.Equal(got, want) {
				t.Errorf("n %d round %d: got %v, want %v", n, round, got, want)
			}
			for _, p := range got {
				if n <= 1<<32 && uint64(p) >= n {
					t.Errorf("n %d: position %d", n, p)
				}
			}
		}
	}
}

func TestPositionsDependOnEverything(t *testing.T) {
	base := Secret{1}.Positions(Hash{2}, 3, Hash{4}, 1<<32, 8)
	for name, other := range map[string][]uint32{
		"secret":    Secret{9}.Positions(Hash{2}, 3, Hash{4}, 1<<32, 8),
		"challenge": Secret{1}.Positions(Hash{9}, 3, Hash{4}, 1<<32, 8),
		"round":     Secret{1}.Positions(Hash{2}, 9, Hash{4}, 1<<32, 8),
		"root":      Secret{1}.Positions(Hash{2}, 3, Hash{9}, 1<<32, 8),
	} {
		if slices.Equal(base, other) {
			t.Errorf("another %s, the same positions", name)
		}
	}
	if more := (Secret{1}).Positions(Hash{2}, 3, Hash{4}, 1<<32, 20); !slices.Equal(base, more[:8]) {
		t.Error("the first positions depend on how many are drawn")
	}
}

func TestPositionsAreUniform(t *testing.T) {
	const draws = 60000
	for _, n := range []uint64{7, 16, 48, 100} {
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			counts := make([]float64, n)
			for _, p := range (Secret{byte(n)}).Positions(Hash{1}, 0, Hash{2}, n, draws) {
				counts[p]++
			}
			expected, chi := draws/float64(n), 0.0
			for _, c := range counts {
				chi += (c - expected) * (c - expected) / expected
			}
			// Mean df, variance 2 df: five standard deviations.
			if df := float64(n - 1); chi > df+5*math.Sqrt(2*df) {
				t.Errorf("chi squared %.1f of %v degrees of freedom", chi, df)
			}
		})
	}
}

func TestSecretCommitAndNonce(t *testing.T) {
	s, id := Secret{5, 6}, Hash{7}
	if want := paperDerive("assay/secret-commit/v1", framed(s[:])); s.Commit() != want {
		t.Errorf("commit %v, want %v", s.Commit(), want)
	}
	for i := range 8 {
		seq := binary.LittleEndian.AppendUint64(nil, uint64(i))
		want := paperKeyed(s[:], framed([]byte("nonce"), id[:], seq), 16)
		if got := s.Nonce(id, i); !bytes.Equal(got[:], want) {
			t.Errorf("nonce %d: got %x, want %x", i, got, want)
		}
	}
}

func TestKeyChainAgainstASecondDerivation(t *testing.T) {
	id, root := Hash{1}, Hash{2}
	first := FirstKey(id, "gpu0")
	if want := paperDerive("assay/matmul/key0/v1", framed(id[:], []byte("gpu0"))); first != want {
		t.Errorf("key 0: got %v, want %v", first, want)
	}
	for _, packed := range [][]byte{nil, {5, 0, 0, 0, 6, 0, 0, 0}} {
		want := paperDerive("assay/matmul/key/v1", framed(first[:], root[:], packed))
		if got := NextKey(first, root, packed); got != want {
			t.Errorf("next key: got %v, want %v", got, want)
		}
	}
}
