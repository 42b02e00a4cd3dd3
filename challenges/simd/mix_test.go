package simd

import (
	"encoding/binary"
	"math/bits"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// naiveRound is a double round written from the definition alone: the matrix as
// rows and columns, the diagonals as columns that wrap.
func naiveRound(in [16]uint32) (out [16]uint32) {
	var m [4][4]uint32
	for i, w := range in {
		m[i/4][i%4] = w
	}
	for diagonal := range 2 {
		for col := range 4 {
			at := func(row int) *uint32 { return &m[row][(col+diagonal*row)%4] }
			for i, n := range []int{16, 12, 8, 7} {
				sum, rot, add := at(0), at(3), at(1)
				if i%2 == 1 {
					sum, rot, add = at(2), at(1), at(3)
				}
				*sum += *add
				*rot = bits.RotateLeft32(*rot^*sum, n)
			}
		}
	}
	for i := range out {
		out[i] = m[i/4][i%4]
	}
	return out
}

func naiveStep(state, line [16]uint32) [16]uint32 {
	for i := range state {
		state[i] ^= line[i]
	}
	return naiveRound(state)
}

func naiveMix(state [16]uint32, cache [][16]uint32, parents int) [16]uint32 {
	for range parents {
		state = naiveStep(state, cache[uint64(state[0])%uint64(len(cache))])
	}
	return state
}

func randomStates(r *rand.Rand, n int) [][16]uint32 {
	s := make([][16]uint32, n)
	for i := range s {
		for j := range s[i] {
			s[i][j] = r.Uint32()
		}
	}
	return s
}

// guardedStates has a copy of s at shift states from the start of a larger array,
// and a check that nothing around it was written.
func guardedStates(s [][16]uint32, shift int) ([][16]uint32, func() bool) {
	const margin = 32
	mem := make([][16]uint32, len(s)+2*margin)
	lo := margin/2 + shift
	copy(mem[lo:], s)
	return mem[lo : lo+len(s) : lo+len(s)], func() bool {
		used := func(s [16]uint32) bool { return s != [16]uint32{} }
		return !slices.ContainsFunc(mem[:lo], used) && !slices.ContainsFunc(mem[lo+len(s):], used)
	}
}

// The quarter round of RFC 8439, section 2.1.1.
func TestQuarterPublished(t *testing.T) {
	a, b, c, d := quarter(0x11111111, 0x01020304, 0x9b8d6f43, 0x01234567)
	if a != 0xea2a92f4 || b != 0xcb1cf8ce || c != 0x4581472e || d != 0x5881c4bb {
		t.Errorf("quarter round: %x %x %x %x", a, b, c, d)
	}
}

// Four double rounds and the addition of the initial state are the block of the
// published cipher.
func TestRoundsChaCha8(t *testing.T) {
	key := [32]byte(randomBytes(newRand(20), 32))
	const n, matrix, counter = 23, 7, 1<<32 - 9
	initial := make([][16]uint32, n)
	for i := range initial {
		at := uint64(counter + i)
		initial[i] = [16]uint32{sigma0, sigma1, sigma2, sigma3, 12: uint32(at), 13: uint32(at >> 32), 14: matrix}
		for j := range 8 {
			initial[i][4+j] = binary.LittleEndian.Uint32(key[4*j:])
		}
	}
	want := naiveChaCha8(64*n, &key, matrix, counter)
	eachLevel(t, func(t *testing.T, l level) {
		s := slices.Clone(initial)
		for range 4 {
			rounds(l, s, s)
		}
		for i := range s {
			for j, w := range s[i] {
				if got := w + initial[i][j]; got != binary.LittleEndian.Uint32(want[64*i+4*j:]) {
					t.Fatalf("block %d, word %d: %#x", i, j, got)
				}
			}
		}
	})
}

func TestRoundsLevels(t *testing.T) {
	r := newRand(21)
	eachLevel(t, func(t *testing.T, l level) {
		for n := range 41 {
			src := randomStates(r, n)
			dst, clean := guardedStates(src, n%7)
			kept := slices.Clone(src)
			rounds(l, dst, src)
			inPlace, cleanInPlace := guardedStates(src, n%5)
			rounds(l, inPlace, inPlace)
			for i := range src {
				if want := naiveRound(src[i]); dst[i] != want || inPlace[i] != want {
					t.Fatalf("%d states: state %d is %x and in place %x, want %x", n, i, dst[i], inPlace[i], want)
				}
			}
			if !clean() || !cleanInPlace() || !slices.Equal(src, kept) {
				t.Fatalf("%d states: written outside", n)
			}
		}
	})
}

func TestWalkLevels(t *testing.T) {
	r := newRand(22)
	eachLevel(t, func(t *testing.T, l level) {
		for n := range 41 {
			before, items := randomStates(r, n), randomStates(r, n)
			states, clean := guardedStates(before, n%7)
			kept := slices.Clone(items)
			walk(l, states, items)
			for i := range states {
				if want := naiveStep(before[i], items[i]); states[i] != want {
					t.Fatalf("%d states: state %d is %x, want %x", n, i, states[i], want)
				}
			}
			if !clean() || !slices.Equal(items, kept) {
				t.Fatalf("%d states: written outside", n)
			}
			walk(l, states, states)
			for i := range states {
				if states[i] != naiveRound([16]uint32{}) {
					t.Fatalf("%d states: state %d against itself is %x", n, i, states[i])
				}
			}
		}
	})
}

// Long inputs go to the assembly in pieces.
func TestRoundsWalkLong(t *testing.T) {
	const n = 2*32<<10 + 7
	src := randomStates(newRand(23), n)
	eachLevel(t, func(t *testing.T, l level) {
		dst, clean := guardedStates(make([][16]uint32, n), 1)
		rounds(l, dst, src)
		states, cleanStates := guardedStates(src, 1)
		walk(l, states, dst)
		for i := range src {
			once := naiveRound(src[i])
			if dst[i] != once || states[i] != naiveStep(src[i], once) {
				t.Fatalf("state %d is wrong", i)
			}
		}
		if !clean() || !cleanStates() {
			t.Error("written outside")
		}
	})
}

func TestMixLevels(t *testing.T) {
	r := newRand(24)
	sizes := []int{63, 64, 65, 79, 80, 100, 127, 128, 130}
	for n := range 41 {
		sizes = append(sizes, n)
	}
	eachLevel(t, func(t *testing.T, l level) {
		for _, n := range sizes {
			for _, lines := range []int{1, 2, 64, 4096} {
				cache := randomStates(r, lines)
				kept := slices.Clone(cache)
				for _, parents := range []int{0, 1, 2, 3, 4, 5, 33} {
					checkMix(t, l, randomStates(r, n), cache, parents)
				}
				if !slices.Equal(cache, kept) {
					t.Fatalf("%d states: the cache was written", n)
				}
			}
		}
	})
}

// Many steps go to the assembly in pieces.
func TestMixLong(t *testing.T) {
	r := newRand(25)
	cache := randomStates(r, 1<<10)
	eachLevel(t, func(t *testing.T, l level) {
		for _, parents := range []int{511, 512, 513, 1025} {
			checkMix(t, l, randomStates(r, 17), cache, parents)
		}
	})
}

// The line is chosen by the low bits of the first word alone, up to the last
// line: a cache whose lines differ from zero in one place shows which was read.
func TestMixLine(t *testing.T) {
	const lines = 1 << 12
	cache := make([][16]uint32, lines)
	for i := range cache {
		cache[i][5] = uint32(i)
	}
	eachLevel(t, func(t *testing.T, l level) {
		states := make([][16]uint32, lines)
		for i := range states {
			states[i][0] = uint32(i) | 0xdead0000
		}
		checkMix(t, l, states, cache, 1)
	})
}

func checkMix(t *testing.T, l level, before, cache [][16]uint32, parents int) {
	t.Helper()
	states, clean := guardedStates(before, len(before)%7)
	mixLines(l, states, cache, parents)
	for i := range states {
		if want := naiveMix(before[i], cache, parents); states[i] != want {
			t.Fatalf("%v: %d states, %d lines, %d parents: state %d is %x, want %x",
				l, len(before), len(cache), parents, i, states[i], want)
		}
	}
	if !clean() {
		t.Fatalf("%v: %d states, %d parents: written outside", l, len(before), parents)
	}
}

// A mix is the same in two parts, of its states or of its steps, on the
// machine's level; with one line it is a walk along that line.
func TestMixParts(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := newRand(rapid.Uint64().Draw(t, "seed"))
		n, parents := rapid.IntRange(0, 150).Draw(t, "states"), rapid.IntRange(0, 20).Draw(t, "parents")
		cutN, cutParents := rapid.IntRange(0, n).Draw(t, "cut"), rapid.IntRange(0, parents).Draw(t, "step")
		cache := randomStates(r, 1<<rapid.IntRange(0, 8).Draw(t, "log lines"))
		whole := randomStates(r, n)
		parts, walked := slices.Clone(whole), slices.Clone(whole)
		Mix(whole, cache, parents)
		Mix(parts[:cutN], cache, parents)
		Mix(parts[cutN:], cache, cutParents)
		Mix(parts[cutN:], cache, parents-cutParents)
		if !slices.Equal(whole, parts) {
			t.Fatalf("%d states cut at %d, %d parents at %d differ", n, cutN, parents, cutParents)
		}
		mixed := slices.Clone(walked)
		Mix(mixed, cache[:1], parents)
		for range parents {
			Walk(walked, slices.Repeat(cache[:1], n))
		}
		if !slices.Equal(mixed, walked) {
			t.Fatalf("%d states: %d parents of one line are not a walk", n, parents)
		}
	})
}

func TestMixAllocates(t *testing.T) {
	r := newRand(26)
	states, cache := randomStates(r, 67), randomStates(r, 64)
	eachLevel(t, func(t *testing.T, l level) {
		if n := testing.AllocsPerRun(10, func() {
			mixLines(l, states, cache, 3)
			rounds(l, states, states)
			walk(l, states, states)
		}); n != 0 {
			t.Errorf("%v allocations", n)
		}
	})
}

func TestMixPanics(t *testing.T) {
	s := make([][16]uint32, 16)
	for _, c := range []struct {
		f    func()
		want string
	}{
		{func() { Rounds(s[:3], s[:4]) }, "Rounds: 3 states to write but 4 to read"},
		{func() { Walk(s[:5], s[:4]) }, "Walk: 5 states but 4 items"},
		{func() { Mix(s[:1], nil, 1) }, "Mix: cache of 0 lines"},
		{func() { Mix(s[:1], s[:3], 1) }, "Mix: cache of 3 lines"},
		{func() { Mix(s[:1], s[:12], 0) }, "Mix: cache of 12 lines"},
		{func() { Mix(nil, s[:6], 1) }, "Mix: cache of 6 lines"},
		{func() { Mix(s[:1], s[:8], -1) }, "Mix: -1 parents"},
	} {
		if msg := panics(t, c.f); !strings.Contains(msg, c.want) {
			t.Errorf("panic %q, want %q", msg, c.want)
		}
	}
	Rounds(nil, nil)
	Walk(nil, nil)
	Mix(nil, s[:1], 1)
}

func FuzzMix(f *testing.F) {
	f.Add(uint64(1), uint8(5), uint8(3), uint16(5))
	f.Add(uint64(2), uint8(17), uint8(10), uint16(513))
	f.Add(uint64(3), uint8(129), uint8(0), uint16(2))
	f.Fuzz(func(t *testing.T, seed uint64, n, logLines uint8, parents uint16) {
		r := newRand(seed)
		cache := randomStates(r, 1<<(logLines%13))
		before := randomStates(r, int(n))
		for l := plain; l <= machine; l++ {
			checkMix(t, l, before, cache, int(parents%1100))
		}
	})
}

func FuzzRounds(f *testing.F) {
	f.Add(make([]byte, 64))
	f.Add([]byte("expand 32-byte k"))
	f.Fuzz(func(t *testing.T, data []byte) {
		src := make([][16]uint32, len(data)/64+1)
		for i, b := range data {
			src[i/64][i%64/4] |= uint32(b) << (8 * (i % 4))
		}
		for l := plain; l <= machine; l++ {
			dst, clean := guardedStates(src, len(src)%7)
			rounds(l, dst, src)
			walked, cleanWalked := guardedStates(src, 0)
			walk(l, walked, dst)
			for i := range src {
				if want := naiveRound(src[i]); dst[i] != want || walked[i] != naiveStep(src[i], want) {
					t.Fatalf("%v: state %d of %d is wrong", l, i, len(src))
				}
			}
			if !clean() || !cleanWalked() {
				t.Errorf("%v: written outside", l)
			}
		}
	})
}
