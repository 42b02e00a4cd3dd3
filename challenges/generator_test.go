package challenges

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"math/bits"
	"math/rand/v2"
	"testing"
)

// paperChaCha8 is one generator block, written a second time: the state is an
// array and the rounds walk index tables.
func paperChaCha8(key Hash, matrix uint32, counter uint64) []byte {
	var in [16]uint32
	for i, c := range []byte("expand 32-byte k") {
		in[i/4] |= uint32(c) << (8 * (i % 4))
	}
	for i := range 8 {
		in[4+i] = binary.LittleEndian.Uint32(key[4*i:])
	}
	in[12], in[13], in[14], in[15] = uint32(counter), uint32(counter>>32), matrix, 0
	x := in
	columns := [4][4]int{{0, 4, 8, 12}, {1, 5, 9, 13}, {2, 6, 10, 14}, {3, 7, 11, 15}}
	diagonals := [4][4]int{{0, 5, 10, 15}, {1, 6, 11, 12}, {2, 7, 8, 13}, {3, 4, 9, 14}}
	for round := range 8 {
		table := columns
		if round%2 == 1 {
			table = diagonals
		}
		for _, q := range table {
			for step, turn := range []int{16, 12, 8, 7} {
				to, with, mixed := q[0], q[1], q[3]
				if step%2 == 1 {
					to, with, mixed = q[2], q[3], q[1]
				}
				x[to] += x[with]
				x[mixed] = bits.RotateLeft32(x[mixed]^x[to], turn)
			}
		}
	}
	var out []byte
	for i := range x {
		out = binary.LittleEndian.AppendUint32(out, x[i]+in[i])
	}
	return out
}

func TestGeneratorPublishedVectors(t *testing.T) {
	// ChaCha8 with a 256-bit key, as in ECRYPT's eSTREAM set and
	// draft-strombergson-chacha-test-vectors: IV zero, first two blocks.
	tests := []struct {
		name string
		key  Hash
		want string
	}{
		{
			"TC1, key all zero",
			Hash{},
			"3e00ef2f895f40d67f5bb8e81f09a5a12c840ec3ce9a7f3b181be188ef711a1e" +
				"984ce172b9216f419f445367456d5619314a42a3da86b001387bfdb80e0cfe42" +
				"d2aefa0deaa5c151bf0adb6c01f2a5adc0fd581259f9a2aadcf20f8fd566a26b" +
				"5032ec38bbc5da98ee0c6f568b872a65a08abf251deb21bb4b56e5d8821e68aa",
		},
		{
			"TC2, one bit in the key",
			Hash{1},
			"cf5ee9a0494aa9613e05d5ed725b804b12f4a465ee635acc3a311de8740489ea" +
				"289d04f43c7518db56eb4433e498a1238cd8464d3763ddbb9222ee3bd8fae3c8",
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := make([]byte, len(tt.want)/2)
			fillChaCha8(got, &tt.key, 0, 0)
			if hex.EncodeToString(got) != tt.want {
				t.Errorf("got %x", got)
			}
			if first := paperChaCha8(tt.key, 0, 0); hex.EncodeToString(first) != tt.want[:128] {
				t.Errorf("second implementation: got %x", first)
			}
		})
	}
}

func TestGeneratorAgainstASecondImplementation(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	counters := []uint64{0, 1, 1<<32 - 2, 1 << 32, 1<<40 + 7, 1<<64 - 3}
	for range 200 {
		counters = append(counters, rng.Uint64())
	}
	for _, counter := range counters {
		var key Hash
		for i := range key {
			key[i] = byte(rng.Uint32())
		}
		matrix := [...]uint32{matrixA, matrixB, rng.Uint32()}[rng.IntN(3)]
		blocks := 1 + rng.IntN(5)
		got := make([]byte, blocks*blockBytes)
		fillChaCha8(got, &key, matrix, counter)
		for i := range blocks {
			if want := paperChaCha8(key, matrix, counter+uint64(i)); !bytes.Equal(got[i*64:][:64], want) {
				t.Fatalf("key %v, matrix %d, block %d: got %x, want %x", key, matrix, counter+uint64(i), got[i*64:][:64], want)
			}
		}
	}
}

// TestEntryFromTheSpecification recomputes products byte by byte, with nothing
// of the production code but the shape.
func TestEntryFromTheSpecification(t *testing.T) {
	for _, s := range []Shape{{3, 256, 64}, {32, 256, 320}, {5, 512, 128}} {
		if err := s.Check(); err != nil {
			t.Fatal(err)
		}
		key := Hash{9, byte(s.M)}
		at := func(matrix uint32, index int) int64 {
			return int64(int8(paperChaCha8(key, matrix, uint64(index/64))[index%64]))
		}
		row, col := make([]byte, s.K), make([]byte, s.K)
		for _, e := range []uint32{0, 1, uint32(s.N - 1), uint32(s.N), uint32(s.Entries() - 1)} {
			i, j := int(e)/s.N, int(e)%s.N
			var want int64
			for k := range s.K {
				want += at(0, i*s.K+k) * at(1, j*s.K+k)
			}
			if got := s.Entry(&key, e, row, col); int64(got) != want {
				t.Errorf("%v entry %d: got %d, want %d", s, e, got, want)
			}
		}
	}
}

func TestDotHoldsTheWholeRange(t *testing.T) {
	// -128 x -128 over the largest K is the largest sum: 2^30.
	row := bytes.Repeat([]byte{0x80}, 65536)
	if got := Dot(row, row); got != 1<<30 {
		t.Errorf("got %d, want %d", got, 1<<30)
	}
	if got := Dot([]byte{0x80, 1, 2, 3, 0xff}, []byte{0x7f, 1, 1, 1, 0xff}); got != -128*127+1+2+3+1 {
		t.Errorf("tail: got %d", got)
	}
}

func TestShapeCheck(t *testing.T) {
	tests := []struct {
		name  string
		shape Shape
		ok    bool
	}{
		{"devnet", Shape{32, 256, 320}, true},
		{"largest K", Shape{1, 256, 65536}, true},
		{"2^32 entries", Shape{1 << 16, 1 << 16, 64}, true},
		{"K over 65536", Shape{1, 256, 65536 + 64}, false},
		{"K not whole blocks", Shape{1, 256, 96}, false},
		{"row not whole chunks", Shape{1, 128, 64}, false},
		{"no rows", Shape{0, 256, 64}, false},
		{"over 2^32 entries", Shape{1<<16 + 1, 1 << 16, 64}, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if err := tt.shape.Check(); (err == nil) != tt.ok {
				t.Errorf("got %v", err)
			}
		})
	}
	for _, p := range MatmulProfiles() {
		if err := p.Shape.Check(); err != nil {
			t.Errorf("profile %d: %v", p.Number, err)
		}
	}
}
