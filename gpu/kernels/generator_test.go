package kernels_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math"
	"math/rand/v2"

	"github.com/assaynet/assay/challenges/simd"
	"github.com/assaynet/assay/gpu/kernels"
)

func generatorChecks() []check {
	var out []check
	for _, kernel := range []string{"gen_int8", "gen_short"} {
		for _, g := range []struct{ tiled, first, lines, blocks int }{
			{0, 0, 1, 1},
			{0, 0, 3, 5},
			{0, 7, 33, 9},
			{0, 1<<23 + 5, 2, 1024}, // a block index beyond 2^32
			{1, 0, 1, 1},
			{1, 0, 128, 2},
			{1, 0, 130, 5},
			{1, 256, 100, 3},
			{1, 1 << 23, 3, 1023},
		} {
			name := fmt.Sprintf("%s tiled=%d first=%d %dx%d", kernel, g.tiled, g.first, g.lines, g.blocks)
			out = append(out, check{name, kernel, func(c *card, r *rand.ChaCha8) error {
				return askGenerator(c, r, kernel, g.tiled == 1, g.first, g.lines, g.blocks)
			}})
		}
	}
	return out
}

func askGenerator(c *card, r *rand.ChaCha8, kernel string, tiled bool, first, lines, blocks int) error {
	key, matrix := randomKey(r), uint32(r.Uint64())
	line := func(i int) []byte {
		b := make([]byte, 64*blocks)
		simd.ChaCha8(b, &key, matrix, uint64(i)*uint64(blocks))
		if kernel == "gen_short" {
			shorts(b, c.Half)
		}
		return b
	}
	flag, threads, size := uint64(0), lines*blocks, lines*blocks*64
	var want []byte
	if tiled {
		slabs := (blocks + 1) / 2
		tiles := (lines + 127) / 128 * slabs
		flag, threads, size = 1, tiles*256, tiles*kernels.TileBytes
		want = tile(line, first, lines, blocks)
	} else {
		for i := range lines {
			want = append(want, line(first+i)...)
		}
	}
	// The lines before the first are another's: there is no memory there.
	skip := first * blocks * 64
	if tiled {
		skip = first / 128 * ((blocks + 1) / 2) * kernels.TileBytes
	}
	at := c.room(size)
	c.over(kernel, threads, 0, c.put(key[:]), at-uint64(skip), uint64(matrix), uint64(first), uint64(lines), uint64(blocks), flag)
	return c.same("lines", at, want)
}

// tile lays lines out as the products read them: in tiles of 128 lines and 128 bytes
// of a line, whose pieces of 16 bytes are swizzled.
func tile(line func(int) []byte, first, lines, blocks int) []byte {
	slabs := (blocks + 1) / 2
	rows := (lines + 127) / 128 * 128
	out := make([]byte, rows*slabs*kernels.TileLineBytes)
	for i := range rows {
		l := append(line(first+i), make([]byte, 64)...)
		for p := range slabs * 8 {
			at := (i/128*slabs+p/8)*kernels.TileBytes + i%128*128 + (p%8^i%8)*16
			copy(out[at:at+16], l[16*p:])
		}
	}
	return out
}

// shorts turns 9-bit entries into the matrix units' type.
func shorts(b []byte, half bool) {
	for ; len(b) > 0; b = b[2:] {
		w := binary.LittleEndian.Uint16(b)
		v := float64(w & 0xff)
		if w&0x100 != 0 && v != 0 {
			v = -v
		}
		binary.LittleEndian.PutUint16(b, short(v, half))
	}
}

// short is an integer of up to 8 bits and a sign in bfloat16 or binary16.
func short(v float64, half bool) uint16 {
	if !half {
		return uint16(math.Float32bits(float32(v)) >> 16)
	}
	if v == 0 {
		return 0
	}
	fraction, exponent := math.Frexp(math.Abs(v)) // 0.5 to 1
	bits := uint16(exponent-1+15)<<10 | uint16((2*fraction-1)*1024)
	if v < 0 {
		bits |= 1 << 15
	}
	return bits
}

func gatherChecks() []check {
	return []check{{"gather", "gather", askGather}, {"to_int32", "to_int32", askToInt32}}
}

func askGather(c *card, r *rand.ChaCha8) error {
	// More jobs than a block has, of all lengths from none to more than two turns of a
	// warp, from two buffers.
	sources := [][]byte{random(r, 4096), random(r, 2080)}
	ats := []uint64{c.put(sources[0]), c.put(sources[1])}
	var jobs []uint64
	var want []byte
	for i := range 19 {
		s, n, from := i%2, i%3*512+32*(i%4), 16*i
		jobs = append(jobs, ats[s]+uint64(from), uint64(len(want))|uint64(n)<<32)
		want = append(want, sources[s][from:from+n]...)
		want = append(want, bytes.Repeat([]byte{untouched}, 16)...)
	}
	out := c.room(len(want))
	c.over("gather", 32*19, 0, c.put(words64(jobs)), out, 19)
	return c.same("pieces", out, want)
}

func askToInt32(c *card, r *rand.ChaCha8) error {
	in := []float32{0, float32(math.Copysign(0, -1)), 1, -1, 1<<24 - 1, 1 - 1<<24, 255 * 255, -255}
	for len(in) < 4*300 {
		in = append(in, float32(int32(r.Uint64())>>8))
	}
	given, want := make([]uint32, len(in)), make([]uint32, len(in))
	for i, v := range in {
		given[i], want[i] = math.Float32bits(v), uint32(int32(v))
	}
	at := c.put(words32(given))
	c.over("to_int32", len(in)/kernels.EntriesPerThread, 0, at, uint64(len(in)))
	return c.same("integers", at, words32(want))
}
