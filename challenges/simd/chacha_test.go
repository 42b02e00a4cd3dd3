package simd

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"math"
	"math/bits"
	"testing"

	"pgregory.net/rapid"
)

// naiveBlock is ChaCha8 written from the definition alone: indexed state, a
// loop of quarter rounds.
func naiveBlock(key *[32]byte, matrix uint32, counter uint64) (out [64]byte) {
	var in [16]uint32
	for i := range 4 {
		in[i] = binary.LittleEndian.Uint32([]byte("expand 32-byte k")[4*i:])
	}
	for i := range 8 {
		in[4+i] = binary.LittleEndian.Uint32(key[4*i:])
	}
	in[12], in[13], in[14] = uint32(counter), uint32(counter>>32), matrix
	x := in
	for round := range 8 {
		for i := range 4 {
			a, b, c, d := i, 4+i, 8+i, 12+i
			if round%2 == 1 {
				b, c, d = 4+(i+1)%4, 8+(i+2)%4, 12+(i+3)%4
			}
			for _, n := range [4][4]int{{a, b, d, 16}, {c, d, b, 12}, {a, b, d, 8}, {c, d, b, 7}} {
				x[n[0]] += x[n[1]]
				x[n[2]] = bits.RotateLeft32(x[n[2]]^x[n[0]], n[3])
			}
		}
	}
	for i := range x {
		binary.LittleEndian.PutUint32(out[4*i:], x[i]+in[i])
	}
	return out
}

func naiveChaCha8(n int, key *[32]byte, matrix uint32, counter uint64) []byte {
	out := make([]byte, 0, n)
	for ; len(out) < n; counter++ {
		b := naiveBlock(key, matrix, counter)
		out = append(out, b[:]...)
	}
	return out
}

// The key of all zeros: TC1 of draft-strombergson-chacha-test-vectors-01,
// section "ChaCha8", 256-bit key, block 0 and block 1.
func TestChaCha8Published(t *testing.T) {
	const want = "3e00ef2f895f40d67f5bb8e81f09a5a12c840ec3ce9a7f3b181be188ef711a1e" +
		"984ce172b9216f419f445367456d5619314a42a3da86b001387bfdb80e0cfe42" +
		"d2aefa0deaa5c151bf0adb6c01f2a5adc0fd581259f9a2aadcf20f8fd566a26b" +
		"5032ec38bbc5da98ee0c6f568b872a65a08abf251deb21bb4b56e5d8821e68aa"
	eachLevel(t, func(t *testing.T, l level) {
		out := make([]byte, 128)
		chaCha8(l, out, new([32]byte), 0, 0)
		if got := hex.EncodeToString(out); got != want {
			t.Errorf("key zero:\ngot  %s\nwant %s", got, want)
		}
	})
}

func TestChaCha8Levels(t *testing.T) {
	r := newRand(1)
	counters := []uint64{
		0, 1, 7, 1<<31 - 3, 1<<32 - 1, 1<<32 - 5, 1<<32 - 9, 1<<32 - 17, 1 << 32,
		1<<63 - 2, math.MaxUint64, math.MaxUint64 - 4, math.MaxUint64 - 11, math.MaxUint64 - 32,
	}
	eachLevel(t, func(t *testing.T, l level) {
		for n := range 41 {
			for _, counter := range counters {
				key := [32]byte(randomBytes(r, 32))
				matrix := r.Uint32() >> (n % 32)
				out, clean := guarded(64*n, n%65)
				chaCha8(l, out, &key, matrix, counter)
				if !bytes.Equal(out, naiveChaCha8(64*n, &key, matrix, counter)) {
					t.Fatalf("%d blocks from %#x, key %x, matrix %#x: wrong", n, counter, key, matrix)
				}
				if !clean() {
					t.Fatalf("%d blocks: written outside", n)
				}
			}
		}
	})
}

// A long fill goes to the assembly in pieces.
func TestChaCha8Long(t *testing.T) {
	const n, counter = 1<<20 + 1<<19 + 64*5, 1<<32 - 1<<13
	key := [32]byte(randomBytes(newRand(2), 32))
	want := naiveChaCha8(n, &key, 1, counter)
	eachLevel(t, func(t *testing.T, l level) {
		out, clean := guarded(n, 3)
		chaCha8(l, out, &key, 1, counter)
		if !bytes.Equal(out, want) || !clean() {
			t.Error("wrong or written outside")
		}
	})
}

// One fill is the concatenation of fills of its parts, on the machine's level.
func TestChaCha8Parts(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		key := [32]byte(rapid.SliceOfN(rapid.Byte(), 32, 32).Draw(t, "key"))
		matrix, counter := rapid.Uint32().Draw(t, "matrix"), rapid.Uint64().Draw(t, "counter")
		n := rapid.IntRange(0, 70).Draw(t, "blocks")
		cut := rapid.IntRange(0, n).Draw(t, "cut")
		whole, parts := make([]byte, 64*n), make([]byte, 64*n)
		ChaCha8(whole, &key, matrix, counter)
		ChaCha8(parts[:64*cut], &key, matrix, counter)
		ChaCha8(parts[64*cut:], &key, matrix, counter+uint64(cut))
		if !bytes.Equal(whole, parts) {
			t.Fatalf("%d blocks cut at %d differ", n, cut)
		}
	})
}

func TestChaCha8Panics(t *testing.T) {
	for _, n := range []int{1, 63, 65, 127} {
		panics(t, func() { ChaCha8(make([]byte, n), new([32]byte), 0, 0) })
	}
}

func FuzzChaCha8(f *testing.F) {
	f.Add([]byte("key"), uint32(1), uint64(1<<32-2), uint8(9))
	f.Add([]byte{}, uint32(0), uint64(math.MaxUint64), uint8(33))
	f.Fuzz(func(t *testing.T, seed []byte, matrix uint32, counter uint64, blocks uint8) {
		var key [32]byte
		copy(key[:], seed)
		want := naiveChaCha8(64*int(blocks), &key, matrix, counter)
		for l := plain; l <= machine; l++ {
			out, clean := guarded(len(want), int(counter%64))
			chaCha8(l, out, &key, matrix, counter)
			if !bytes.Equal(out, want) || !clean() {
				t.Errorf("%v: wrong or written outside", l)
			}
		}
	})
}
