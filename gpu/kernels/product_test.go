package kernels_test

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"regexp"

	"github.com/assaynet/assay/challenges/simd"
	"github.com/assaynet/assay/gpu/kernels"
)

// product is C of m x n from lines of so many blocks of 64 bytes.
type product struct{ m, n, blocks int }

func productChecks() []check {
	var out []check
	for which, kernel := range []string{"matmul_int8", "matmul_short"} {
		for _, p := range []product{{1, 256, 1}, {130, 512, 5}, {96, 768, 2}} {
			out = append(out, check{fmt.Sprintf("%s %dx%d of %d", kernel, p.m, p.n, p.blocks), kernel, func(c *card, r *rand.ChaCha8) error {
				a, b := random(r, rounded(p.m)*64*p.blocks), random(r, p.n*64*p.blocks)
				return askProduct(c, which, p, a, b)
			}})
		}
		out = append(out, check{kernel + " of extremes", kernel, func(c *card, _ *rand.ChaCha8) error {
			// -128 x -128 and -255 x -255, whose sums in binary32 stay below 2^24.
			p := product{3, 256, 8}
			entry := []byte{0x80}
			if which == kernels.Short {
				entry = []byte{0xff, 0x01}
			}
			line := bytes.Repeat(entry, 64*p.blocks/len(entry))
			return askProduct(c, which, p, bytes.Repeat(line, rounded(p.m)), bytes.Repeat(line, p.n))
		}})
	}
	return out
}

// rounded is the number of lines that the tiles have.
func rounded(m int) int { return (m + kernels.TileLines - 1) / kernels.TileLines * kernels.TileLines }

func askProduct(c *card, which int, p product, a, b []byte) error {
	name := [2]string{"matmul_int8", "matmul_short"}[which]
	size := 64 * p.blocks
	dot := simd.DotInt8
	if which == kernels.Short {
		dot = simd.Dot9
	}
	want := make([]uint32, p.m*p.n)
	for i := range want {
		want[i] = uint32(dot(a[i/p.n*size:][:size], b[i%p.n*size:][:size]))
	}
	if which == kernels.Short {
		shorts(a, c.Half)
		shorts(b, c.Half)
	}
	lines := func(m []byte) func(int) []byte {
		return func(i int) []byte { return append([]byte{}, m[i*size:(i+1)*size]...) }
	}
	g := c.Products[which]
	at := c.room(4 * len(want))
	c.launch(name, g.Blocks(p.m, p.n), g.Threads, g.Shared,
		c.put(tile(lines(a), 0, p.m, p.blocks)), c.put(tile(lines(b), 0, p.n, p.blocks)),
		at, uint64(p.m), uint64(p.n), uint64((p.blocks+1)/2))
	return c.same("product", at, words32(want))
}

// entries lists the kernels of a module's text.
func entries(text string) []string {
	var out []string
	for _, m := range regexp.MustCompile(`(?m)^\.visible \.entry (\w+)\(`).FindAllStringSubmatch(text, -1) {
		out = append(out, m[1])
	}
	return out
}
