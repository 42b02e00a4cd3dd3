package challenges

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/assaynet/assay/challenges/fma"
)

// TestEntriesFromTheSpecification recomputes entries with nothing of the
// production code but the shape, one at a time and many together.
func TestEntriesFromTheSpecification(t *testing.T) {
	for _, s := range []Shape{
		{Int8, 3, 256, 64},
		{Int8, 32, 256, 320},
		{Int8, 5, 512, 4096 + 128},
		{BF16, 3, 256, 64},
		{BF16, 5, 512, 2048 + 64},
		{BF16, 1, 256, 8192},
		{FP64, 3, 128, 1},
		{FP64, 3, 128, 8},
		{FP64, 2, 256, 64 + 3},
		{FP64, 1, 128, 130},
	} {
		t.Run(s.String(), func(t *testing.T) {
			if err := s.Check(); err != nil {
				t.Fatal(err)
			}
			key := Hash{9, byte(s.M)}
			rng := rand.New(rand.NewPCG(3, uint64(s.K)))
			at := []uint32{0, 1, uint32(s.N - 1), uint32(s.Entries() - 1), uint32(rng.Uint64N(s.Entries())), 1}
			want := make([]uint64, len(at))
			for i, e := range at {
				want[i] = paperEntry(s, key, int(e))
				alone := make([]uint64, 1)
				if s.Values(&key, at[i:i+1], alone); alone[0] != want[i] {
					t.Errorf("entry %d: got %#x, want %#x", e, alone[0], want[i])
				}
			}
			got := make([]uint64, len(at))
			s.Values(&key, at, got)
			for i := range at {
				if got[i] != want[i] {
					t.Errorf("entry %d, with others: got %#x, want %#x", at[i], got[i], want[i])
				}
			}
			whole := matrix(&key, s)
			for i, e := range at {
				if whole[e] != want[i] {
					t.Errorf("entry %d of the whole matrix: got %#x, want %#x", e, whole[e], want[i])
				}
			}
		})
	}
}

// TestLinesAreStoredByRowsAndColumns: any line is made alone, and its pieces too.
func TestLinesAreStoredByRowsAndColumns(t *testing.T) {
	for _, s := range []Shape{{Int8, 4, 256, 192}, {BF16, 4, 256, 192}} {
		key, line := Hash{4}, make([]byte, s.Line())
		for i := range 4 {
			s.RowA(&key, i, line)
			if want := paperBytes(key, 0, i*s.Line(), s.Line()); !bytes.Equal(line, want) {
				t.Errorf("%v: row %d differs", s, i)
			}
			s.ColB(&key, 63*i, line)
			if want := paperBytes(key, 1, 63*i*s.Line(), s.Line()); !bytes.Equal(line, want) {
				t.Errorf("%v: column %d differs", s, 63*i)
			}
		}
	}
}

// TestLanesFromTheSpecification: start values, constants and coefficients, from
// any lane and any step on.
func TestLanesFromTheSpecification(t *testing.T) {
	key := Hash{6}
	for _, from := range []int{0, 1, 3, 4, 509} {
		x, lane := make([]uint64, 3), make([]uint64, 3)
		fma.Start((*[32]byte)(&key), from, x, lane)
		for i := range x {
			if start, constant := paperStart(key, from+i); x[i] != start || lane[i] != constant {
				t.Errorf("lane %d: start %#x, constant %#x; want %#x, %#x", from+i, x[i], lane[i], start, constant)
			}
		}
	}
	for _, from := range []int{0, 1, 4095, 700} {
		coef := make([]float64, 8*70)
		fma.Coefficients((*[32]byte)(&key), from, coef)
		for step := range 70 {
			if want := paperCoefficients(key, from+step); [8]float64(coef[8*step:]) != want {
				t.Fatalf("step %d: got %v, want %v", from+step, coef[8*step:][:8], want)
			}
		}
	}
}

func TestDotHoldsTheWholeRange(t *testing.T) {
	int8s, nines := Shape{Int8, 1, 256, 65536}, Shape{BF16, 1, 256, 8192}
	// -128 x -128 over the largest K is the largest sum: 2^30.
	row := bytes.Repeat([]byte{0x80}, 65536)
	if got := int8s.Dot(row, row); got != 1<<30 {
		t.Errorf("int8: got %d, want %d", got, 1<<30)
	}
	// 255 x 255 over the largest K, of each sign. Bits 9 to 15 mean nothing.
	plus, minus := bytes.Repeat([]byte{0xff, 0xfe}, 8192), bytes.Repeat([]byte{0xff, 0x01}, 8192)
	const most = 8192 * 255 * 255
	if got := nines.Dot(plus, plus); got != most {
		t.Errorf("bf16: got %d, want %d", got, most)
	}
	if got := nines.Dot(plus, minus); got != -most {
		t.Errorf("bf16: got %d, want %d", got, -most)
	}
	if got := nines.Dot(minus, minus); got != most {
		t.Errorf("bf16: got %d, want %d", got, most)
	}
	// A zero has two encodings and one value.
	zero := bytes.Repeat([]byte{0, 1}, 8192)
	if got := nines.Dot(zero, minus); got != 0 {
		t.Errorf("bf16: got %d, want 0", got)
	}
}

func TestShapeCheck(t *testing.T) {
	tests := []struct {
		name  string
		shape Shape
		ok    bool
	}{
		{"devnet", Shape{Int8, 32, 256, 320}, true},
		{"largest K", Shape{Int8, 1, 256, 65536}, true},
		{"2^32 entries", Shape{Int8, 1 << 16, 1 << 16, 64}, true},
		{"K over 65536", Shape{Int8, 1, 256, 65536 + 64}, false},
		{"K not whole blocks", Shape{Int8, 1, 256, 96}, false},
		{"row not whole chunks", Shape{Int8, 1, 128, 64}, false},
		{"no rows", Shape{Int8, 0, 256, 64}, false},
		{"no steps", Shape{Int8, 1, 256, 0}, false},
		{"over 2^32 entries", Shape{Int8, 1<<16 + 1, 1 << 16, 64}, false},
		{"bf16, largest K", Shape{BF16, 1, 256, 8192}, true},
		{"bf16, K over 8192", Shape{BF16, 1, 256, 8192 + 64}, false},
		{"bf16, K not a multiple of 64", Shape{BF16, 1, 256, 32}, false},
		{"bf16, row not whole chunks", Shape{BF16, 1, 128, 64}, false},
		{"fp64fma, most steps", Shape{FP64, 1, 128, 4096}, true},
		{"fp64fma, one step", Shape{FP64, 1, 128, 1}, true},
		{"fp64fma, over 4096 steps", Shape{FP64, 1, 128, 4097}, false},
		{"fp64fma, row not whole chunks", Shape{FP64, 1, 64, 8}, false},
		{"fp64fma, over 2^32 lanes", Shape{FP64, 1 << 25, 256, 8}, false},
		{"no flavour", Shape{FP64 + 1, 1, 256, 64}, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if err := tt.shape.Check(); (err == nil) != tt.ok {
				t.Errorf("got %v", err)
			}
		})
	}
}

func TestFlavourNames(t *testing.T) {
	names := map[Flavour]string{Int8: "int8", BF16: "bf16", FP64: "fp64fma"}
	kinds := map[Flavour]Kind{Int8: Matmul, BF16: Matmul, FP64: FMA}
	if len(Flavours()) != len(names) {
		t.Errorf("flavours %v", Flavours())
	}
	for _, f := range Flavours() {
		var again Flavour
		text, _ := f.MarshalText()
		if err := again.UnmarshalText(text); err != nil || again != f || f.String() != names[f] || f.Kind() != kinds[f] {
			t.Errorf("%s: reads as %v, %v; kind %v", text, again, err, f.Kind())
		}
	}
	if err := new(Flavour).UnmarshalText([]byte("fp8")); err == nil {
		t.Error("fp8: accepted")
	}
	if got := fmt.Sprint(Flavour(9)); got != "flavour(9)" {
		t.Errorf("got %q", got)
	}
}

// TestOpsAndWidth: the work of a round by hand.
func TestOpsAndWidth(t *testing.T) {
	for _, tt := range []struct {
		shape Shape
		ops   uint64
		width int
		line  int
	}{
		{Shape{Int8, 32, 256, 320}, 5_242_880, 4, 320},
		{Shape{BF16, 32, 256, 320}, 5_242_880, 4, 640},
		{Shape{FP64, 4, 128, 256}, 2_097_152, 8, 256},
	} {
		if s := tt.shape; s.Ops() != tt.ops || s.Width() != tt.width || s.Line() != tt.line || s.Bytes() != s.M*s.N*tt.width {
			t.Errorf("%v: %d operations, width %d, line %d, %d bytes", s, s.Ops(), s.Width(), s.Line(), s.Bytes())
		}
	}
}
