package simd

import (
	"bytes"
	"encoding/binary"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

func naiveInt8(a, b []byte) int32 {
	var s int64
	for i := range a {
		s += int64(int8(a[i])) * int64(int8(b[i]))
	}
	return int32(s)
}

func naive9(a, b []byte) int32 {
	entry := func(v []byte) int64 {
		w := binary.LittleEndian.Uint16(v)
		if w&0x100 != 0 {
			return -int64(w & 0xff)
		}
		return int64(w & 0xff)
	}
	var s int64
	for i := 0; i < len(a); i += 2 {
		s += entry(a[i:]) * entry(b[i:])
	}
	return int32(s)
}

func repeat(n int, v ...byte) []byte { return bytes.Repeat(v, n/len(v)) }

func TestDotInt8Levels(t *testing.T) {
	r := newRand(3)
	eachLevel(t, func(t *testing.T, l level) {
		check := func(a, b []byte) {
			t.Helper()
			if got, want := dotInt8(l, a, b), naiveInt8(a, b); got != want {
				t.Fatalf("%d entries, first %d x %d: got %d, want %d", len(a), int8(a[0]), int8(b[0]), got, want)
			}
		}
		for _, n := range []int{64, 128, 192, 256, 320, 448, 512, 576, 1024, 4032, 32768, maxInt8} {
			for _, x := range []byte{0x80, 0x7f, 0xff, 0, 1, 0x81} {
				for _, y := range []byte{0x80, 0x7f, 0xff, 0, 1} {
					check(repeat(n, x), repeat(n, y))
				}
				check(repeat(n, x, 0x80), repeat(n, 0x80, x))
			}
			for shift := range 9 {
				check(randomBytes(r, n+shift)[shift:], randomBytes(r, n+2*shift)[2*shift:])
			}
		}
		if got := dotInt8(l, nil, nil); got != 0 {
			t.Errorf("no entries: got %d", got)
		}
		// Every place counts, once, and nothing beyond the end.
		for i := range 576 {
			a, b := make([]byte, 640), repeat(640, 0x7f)
			for j := range b[:576] {
				b[j] = byte(j*37 + 11)
			}
			a[i] = 0x80
			copy(a[576:], repeat(64, 0x7f))
			check(a[:576], b[:576])
		}
	})
}

func TestDot9Levels(t *testing.T) {
	r := newRand(4)
	words := []uint16{0, 1, 0xff, 0x100, 0x101, 0x180, 0x1ff, 0xfe00, 0xfeff, 0xff00, 0xffff, 0x8080, 0x7f7f}
	eachLevel(t, func(t *testing.T, l level) {
		check := func(a, b []byte) {
			t.Helper()
			if got, want := dot9(l, a, b), naive9(a, b); got != want {
				t.Fatalf("%d bytes, first %x x %x: got %d, want %d", len(a), a[:2], b[:2], got, want)
			}
		}
		for _, n := range []int{64, 128, 192, 256, 1024, 4032, max9Bytes} {
			for _, x := range words {
				for _, y := range words {
					check(repeat(n, byte(x), byte(x>>8)), repeat(n, byte(y), byte(y>>8)))
				}
			}
			for shift := range 9 {
				check(randomBytes(r, n+shift)[shift:], randomBytes(r, n+2*shift)[2*shift:])
			}
		}
		if got := dot9(l, nil, nil); got != 0 {
			t.Errorf("no entries: got %d", got)
		}
		for i := range 96 {
			a, b := make([]byte, 256), repeat(256, 0xff)
			for j := range b[:192] {
				b[j] = byte(j*37 + 11)
			}
			binary.LittleEndian.PutUint16(a[2*i:], 0x1fd)
			copy(a[192:], repeat(64, 0x7f))
			check(a[:192], b[:192])
		}
	})
}

// Exchanging the vectors, and negating one, do what arithmetic says.
func TestDotProperties(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := 64 * rapid.IntRange(0, 20).Draw(t, "blocks")
		a := rapid.SliceOfN(rapid.Byte(), n, n).Draw(t, "a")
		b := rapid.SliceOfN(rapid.Byte(), n, n).Draw(t, "b")
		if s := DotInt8(a, b); s != DotInt8(b, a) || s != naiveInt8(a, b) {
			t.Fatal("DotInt8 differs")
		}
		s := Dot9(a, b)
		if s != Dot9(b, a) || s != naive9(a, b) {
			t.Fatal("Dot9 differs")
		}
		for i := 1; i < n; i += 2 {
			a[i] ^= 1
		}
		if Dot9(a, b) != -s {
			t.Fatal("Dot9: negating every entry does not negate the sum")
		}
	})
}

func TestDotPanics(t *testing.T) {
	for _, f := range []func(a, b []byte) int32{DotInt8, Dot9} {
		panics(t, func() { f(make([]byte, 64), make([]byte, 128)) })
		panics(t, func() { f(make([]byte, 32), make([]byte, 32)) })
		panics(t, func() { f(make([]byte, 65600), make([]byte, 65600)) })
	}
	panics(t, func() { Dot9(make([]byte, 16448), make([]byte, 16448)) })
}

// fuzzPair cuts data into two vectors that Dot9 too accepts.
func fuzzPair(data []byte) (a, b []byte) {
	n := min(len(data)/128*64, max9Bytes)
	return slices.Clone(data[:n]), data[n : 2*n]
}

func FuzzDotInt8(f *testing.F) {
	f.Add(repeat(128, 0x80))
	f.Add(repeat(1280, 0x80, 0x7f, 0x80))
	f.Fuzz(func(t *testing.T, data []byte) {
		a, b := fuzzPair(data)
		for l := plain; l <= machine; l++ {
			if got, want := dotInt8(l, a, b), naiveInt8(a, b); got != want {
				t.Errorf("%v: got %d, want %d", l, got, want)
			}
		}
	})
}

func FuzzDot9(f *testing.F) {
	f.Add(repeat(128, 0, 1))
	f.Add(repeat(1280, 0xff, 1, 0xff, 0))
	f.Fuzz(func(t *testing.T, data []byte) {
		a, b := fuzzPair(data)
		for l := plain; l <= machine; l++ {
			if got, want := dot9(l, a, b), naive9(a, b); got != want {
				t.Errorf("%v: got %d, want %d", l, got, want)
			}
		}
	})
}
