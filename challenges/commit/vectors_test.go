package commit

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"testing"

	"github.com/assaynet/assay/challenges/simd"
)

var update = flag.Bool("update", false, "write the commitment's vectors anew")

// hexBytes is hex in JSON.
type hexBytes []byte

func (h hexBytes) MarshalText() ([]byte, error) { return hex.AppendEncode(nil, h), nil }

func (h *hexBytes) UnmarshalText(b []byte) (err error) {
	*h, err = hex.AppendDecode(nil, b)
	return err
}

// openingVector is one opening. V is how a value is written: an integer for
// entries of 4 bytes, the 8 bytes themselves for the others.
type openingVector[V int32 | string] struct {
	Chunks  int       `json:"chunks"`
	DataKey hexBytes  `json:"data_key"` // the data is the generator's output: matrix 0, from block 0
	Root    hexBytes  `json:"root"`
	Entries []uint32  `json:"entries"`
	Values  []V       `json:"values"`
	Opening hexBytes  `json:"opening"`
	Refused []refusal `json:"refused"`
}

type refusal struct {
	Why     string   `json:"why"`
	Opening hexBytes `json:"opening"`
}

func vectorFile(width int) string {
	name := map[int]string{4: "commitment.json", 8: "commitment-8.json"}[width]
	return filepath.Join("..", "testdata", "vectors", name)
}

func makeOpenings[V int32 | string](width int, text func([]byte) V) []openingVector[V] {
	n := uint32(16 / width) // in quarters: an entry of 8 bytes has half the index
	var made []openingVector[V]
	for _, v := range []openingVector[V]{
		{Chunks: 1, Entries: []uint32{0, 255 * n / 4}},
		{Chunks: 3, DataKey: hexBytes{3}, Entries: []uint32{300 * n / 4}},
		{Chunks: 5, DataKey: hexBytes{5}, Entries: []uint32{1100 * n / 4, 7, 7}},
		{Chunks: 32, DataKey: hexBytes{32}, Entries: []uint32{8191 * n / 4, 3000 * n / 4}},
	} {
		var key [32]byte
		copy(key[:], v.DataKey)
		data := make([]byte, v.Chunks*ChunkBytes)
		simd.ChaCha8(data, &key, 0, 0)
		tree := New(data, width)
		root := tree.Root()
		v.DataKey, v.Root, v.Opening = key[:], root[:], tree.Open(v.Entries)
		for _, e := range v.Entries {
			v.Values = append(v.Values, text(data[int(e)*width:][:width]))
		}
		flipped := slices.Clone(v.Opening)
		flipped[len(flipped)-1] ^= 1
		v.Refused = []refusal{
			{"last bit flipped", flipped},
			{"one byte short", v.Opening[:len(v.Opening)-1]},
			{"one byte long", append(slices.Clone(v.Opening), 0)},
		}
		if want := tree.layout.chunksOf(v.Entries); len(want) == 2 {
			swapped := slices.Concat(v.Opening[ChunkBytes:2*ChunkBytes], v.Opening[:ChunkBytes], v.Opening[2*ChunkBytes:])
			v.Refused = append(v.Refused, refusal{"chunks not ascending", swapped})
		}
		made = append(made, v)
	}
	return made
}

func TestVectorsCommitment(t *testing.T) {
	check(t, 4, func(b []byte) int32 { return int32(binary.LittleEndian.Uint32(b)) })
	check(t, 8, hex.EncodeToString)
}

func check[V int32 | string](t *testing.T, width int, text func([]byte) V) {
	t.Helper()
	path := vectorFile(width)
	made, err := json.MarshalIndent(makeOpenings(width, text), "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	made = append(made, '\n')
	if *update {
		if err := os.WriteFile(path, made, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	stored, err := os.ReadFile(path)
	if err != nil {
		t.Fatalf("%v (go test -update writes it)", err)
	}
	if !bytes.Equal(stored, made) {
		t.Errorf("%s: the code makes other bytes than the vector; a published vector never changes", path)
	}
	var vectors []openingVector[V]
	if err := json.Unmarshal(stored, &vectors); err != nil {
		t.Fatal(err)
	}
	for _, v := range vectors {
		l := Layout{v.Chunks, width}
		code := func(root [32]byte, l Layout, entries []uint32, opening []byte) ([]uint64, error) {
			return l.Verify(root, entries, opening)
		}
		for name, verify := range map[string]func([32]byte, Layout, []uint32, []byte) ([]uint64, error){"code": code, "paper": paperOpening} {
			values, err := verify([32]byte(v.Root), l, v.Entries, v.Opening)
			var got []V
			for _, x := range values {
				got = append(got, text(binary.LittleEndian.AppendUint64(nil, x)[:width]))
			}
			if err != nil || !slices.Equal(got, v.Values) {
				t.Errorf("%s, %d chunks: values %v, %v", name, v.Chunks, got, err)
			}
			for _, r := range v.Refused {
				if _, err := verify([32]byte(v.Root), l, v.Entries, r.Opening); err == nil {
					t.Errorf("%s, %d chunks, %s: accepted", name, v.Chunks, r.Why)
				}
			}
		}
	}
}

func FuzzOpening(f *testing.F) {
	b, err := os.ReadFile(vectorFile(4))
	if err != nil {
		f.Fatal(err)
	}
	var vectors []openingVector[int32]
	if err := json.Unmarshal(b, &vectors); err != nil {
		f.Fatal(err)
	}
	for _, v := range vectors {
		var entries []byte
		for _, e := range v.Entries {
			entries = binary.LittleEndian.AppendUint32(entries, e)
		}
		f.Add([]byte(v.Root), uint16(v.Chunks), false, entries, []byte(v.Opening))
		f.Add([]byte(v.Root), uint16(v.Chunks), true, entries, []byte(v.Opening))
		for _, r := range v.Refused {
			f.Add([]byte(v.Root), uint16(v.Chunks), false, entries, []byte(r.Opening))
		}
	}
	f.Fuzz(func(t *testing.T, root []byte, chunks uint16, wide bool, packed, opening []byte) {
		var h [32]byte
		copy(h[:], root)
		var entries []uint32
		for ; len(packed) >= 4; packed = packed[4:] {
			entries = append(entries, binary.LittleEndian.Uint32(packed))
		}
		if chunks == 0 || len(entries) > 1024 {
			return
		}
		l := Layout{int(chunks), 4}
		if wide {
			l.Width = 8
		}
		values, err := l.Verify(h, entries, opening)
		second, serr := paperOpening(h, l, entries, opening)
		if (err == nil) != (serr == nil) || !reflect.DeepEqual(values, second) {
			t.Fatalf("verifiers disagree: %v, %v", err, serr)
		}
	})
}
