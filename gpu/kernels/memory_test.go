package kernels_test

import (
	"fmt"
	"math/bits"
	"math/rand/v2"

	"github.com/assaynet/assay/challenges/memory"
)

// dataset is one to fill and walk, in pieces of 2^shift items.
type dataset struct {
	lines, parents int
	items, window  uint64
	batch          uint64
	shift          int
	steps          int
}

func datasets() []dataset {
	return []dataset{
		{lines: 4, parents: 1, items: 256, window: 256, batch: 8, shift: 8, steps: 1},
		{lines: 512, parents: 5, items: 300, window: 64, batch: 1, shift: 5, steps: 17},
		{lines: 1 << 11, parents: 3, items: 1003, window: 200, batch: 4, shift: 7, steps: 33},
		{lines: 1 << 9, parents: 2, items: 777, window: 1 << 9, batch: 16, shift: 9, steps: 32},
	}
}

func (d dataset) set() memory.Dataset {
	return memory.Dataset{Items: d.items, Profile: memory.Profile{
		Lines: d.lines, Parents: d.parents, Window: d.window, Batch: d.batch, Steps: d.steps,
	}}
}

func memoryChecks() []check {
	var out []check
	for i, d := range datasets() {
		add := func(what, kernel string, ask func(*card, *rand.ChaCha8) error) {
			out = append(out, check{fmt.Sprintf("%s %d", what, i), kernel, ask})
		}
		add("cache", "mem_cache", func(c *card, r *rand.ChaCha8) error {
			key := randomKey(r)
			at := c.cache(d, key)
			return c.same("cache", at, columns(d.set().Cache(&key)))
		})
		for _, part := range [][3]uint64{{0, 0, d.items}, {0, 0, 1}, {0, d.items / 3, d.items / 2}, {1 << 34, 3, 200}} {
			base, from, n := part[0], part[1], part[2]
			add(fmt.Sprintf("fill %d from %d+%d", n, base, from), "mem_fill", func(c *card, r *rand.ChaCha8) error {
				return askFill(c, r, d, base, from, n)
			})
		}
		for _, part := range [][2]uint64{{0, 64}, {3, 33}, {1<<40 + 5, 1}} {
			first, n := part[0], part[1]
			add(fmt.Sprintf("walk %d from %d", n, first), "mem_walk", func(c *card, r *rand.ChaCha8) error {
				return askWalk(c, r, d, first, n)
			})
		}
		add("random reads", "mem_random", func(c *card, r *rand.ChaCha8) error { return askReads(c, r, d) })
	}
	return out
}

func (c *card) cache(d dataset, key [32]byte) uint64 {
	first := max(1, d.lines/256)
	at := c.room(64 * d.lines)
	c.over("mem_cache", first, 0, c.put(key[:]), at, uint64(first), uint64(d.lines))
	return at
}

// columns lays lines out as the cache has them.
func columns(lines []memory.Item) []byte {
	var w []uint32
	for _, l := range lines {
		for c := range 4 {
			w = append(w, l[c], l[4+c], l[8+c], l[12+c])
		}
	}
	return words32(w)
}

// pieces allocates a dataset in pieces, the last of which is shorter.
func (c *card) pieces(d dataset, data []byte) (table uint64, ats []uint64) {
	size := 64 << d.shift
	for from := 0; from < len(data); from += size {
		ats = append(ats, c.put(data[from:min(from+size, len(data))]))
	}
	return c.put(words64(ats)), ats
}

// askFill fills items of a dataset that goes on from item base: before it is nothing.
func askFill(c *card, r *rand.ChaCha8, d dataset, base, from, n uint64) error {
	key, set := randomKey(r), d.set()
	lines := set.Cache(&key)
	want := make([]byte, 64*d.items)
	for i := range want {
		want[i] = untouched
	}
	table, ats := c.pieces(d, want)
	made := make([]memory.Item, n)
	set.Fill(&key, lines, base+from, made)
	for i, item := range made {
		copy(want[64*(int(from)+i):], words32(item[:]))
	}
	c.over("mem_fill", int(n), 0, c.put(key[:]), c.put(columns(lines)), uint64(d.lines-1), uint64(d.parents),
		table-base>>d.shift*8, uint64(d.shift), base+from, n)
	for i, at := range ats {
		size := 64 << d.shift
		if err := c.same(fmt.Sprintf("piece %d", i), at, want[i*size:min((i+1)*size, len(want))]); err != nil {
			return err
		}
	}
	return nil
}

func askWalk(c *card, r *rand.ChaCha8, d dataset, first, n uint64) error {
	key, set := randomKey(r), d.set()
	data := random(r, 64*int(d.items))
	items := itemsOf(data)
	want := make([]uint64, n)
	for i := range want {
		var s [1]memory.Item
		memory.Start(&key, first+uint64(i), s[:])
		for step := range d.steps {
			memory.Step(s[:], items[set.Next(first+uint64(i), step, &s[0]):][:1])
		}
		want[i] = memory.Output(&s[0])
	}
	table, _ := c.pieces(d, data)
	at := c.room(8 * int(n))
	windows := set.Windows()
	c.over("mem_walk", int(n), 0, c.put(key[:]), table, uint64(d.shift), at-8*first, first, n, d.items/windows, windows,
		uint64(bits.TrailingZeros64(d.batch)), uint64(d.steps))
	return c.same("outputs", at, words64(want))
}

// askReads follows the reads by the kernel's description.
func askReads(c *card, r *rand.ChaCha8, d dataset) error {
	data := random(r, 64*int(d.items))
	items := itemsOf(data)
	windows := d.set().Windows()
	size := d.items / windows
	const n, seed = 45, 0xfedcba98
	reads := uint64(d.steps)
	want := make([]uint64, (n+3)/4*4)
	for i := range uint64(len(want)) {
		for read := range reads {
			window := (i/d.batch + read/8) % windows
			hi, _ := bits.Mul64(scramble(seed<<32+i*reads+read), size)
			item := items[window*size+hi]
			// Four threads share the items of four walks.
			for l := range 4 {
				w := item[4*l:]
				want[int(i)/4*4+l] ^= (uint64(w[1]^w[3]) << 32) | uint64(w[0]^w[2])
			}
		}
	}
	table, _ := c.pieces(d, data)
	at := c.room(8 * n)
	c.over("mem_random", n, 0, table, uint64(d.shift), at, n, size, windows, uint64(bits.TrailingZeros64(d.batch)), reads, seed)
	return c.same("sums", at, words64(want[:n]))
}

// scramble is the finaliser of splitmix64.
func scramble(x uint64) uint64 {
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

func itemsOf(data []byte) []memory.Item {
	out := make([]memory.Item, len(data)/64)
	for i := range out {
		for w := range 16 {
			b := data[64*i+4*w:]
			out[i][w] = uint32(b[0]) | uint32(b[1])<<8 | uint32(b[2])<<16 | uint32(b[3])<<24
		}
	}
	return out
}
