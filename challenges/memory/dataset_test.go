package memory

import (
	"math/rand/v2"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// small is a row for tests.
func small(lines, parents int, window, batch uint64, steps int) Profile {
	return Profile{
		Lines: lines, Parents: parents, Window: window, Batch: batch, Steps: steps, MaxWalks: 1 << 26,
		Rounds: 2, Samples: 4,
	}
}

func drawKey(t *rapid.T, name string) (key [32]byte) {
	copy(key[:], rapid.SliceOfN(rapid.Byte(), 32, 32).Draw(t, name))
	return key
}

// drawSet draws a dataset of any shape that a row might have: a cache from one
// line on, windows that divide the items and that do not.
func drawSet(t *rapid.T) Dataset {
	p := small(
		1<<rapid.IntRange(0, 11).Draw(t, "log lines"), rapid.IntRange(0, 20).Draw(t, "parents"),
		rapid.Uint64Range(1, 3000).Draw(t, "window"), rapid.Uint64Range(1, 300).Draw(t, "batch"),
		rapid.IntRange(1, 40).Draw(t, "steps"),
	)
	return Dataset{p, rapid.Uint64Range(1<<11, 9000).Draw(t, "items")}
}

func TestCacheAgainstThePaper(t *testing.T) {
	for lines := 1; lines <= 1<<11; lines *= 2 {
		d := Dataset{small(lines, 1, 1, 1, 1), 1 << 11}
		key := [32]byte{byte(lines), 3}
		if got, want := d.Cache(&key), paperCache(key, lines); !slices.Equal(got, want) {
			t.Errorf("%d lines: other lines", lines)
		}
	}
	// The rows that no test's paper makes whole: lines at the ends of their chains.
	for _, number := range []uint16{5001, 5005} {
		p, err := Lookup(number)
		if err != nil {
			t.Fatal(err)
		}
		key := [32]byte{5}
		cache := Dataset{p, 1 << 11}.Cache(&key)
		chains := p.Lines / 256
		for _, chain := range []int{0, 1, 63, 64, chains - 1} { // as the generator works in pieces
			line := paperBlock(key, 4, uint64(chain))
			for i := chain; i < p.Lines; i += chains {
				if cache[i] != line {
					t.Fatalf("%s: line %d differs", p.Name, i)
				}
				line = paperRounds(line, 2)
			}
		}
	}
}

func TestItemsAgainstThePaper(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		d, key := drawSet(t), drawKey(t, "key")
		cache, paper := d.Cache(&key), paperCache(key, d.Lines)
		// A run of items, as a fill makes them, and single ones, the last among them.
		from := rapid.Uint64Range(0, d.Items-1).Draw(t, "from")
		run := make([]Item, min(uint64(rapid.IntRange(1, 150).Draw(t, "run")), d.Items-from))
		d.Fill(&key, cache, from, run)
		at := []uint64{d.Items - 1, 0, from, d.Items - 1}
		single := make([]Item, len(at)+1) // one more than is made
		d.Make(&key, cache, at, single)
		for i, item := range run {
			if want := paperItem(key, paper, d.Parents, from+uint64(i)); item != want {
				t.Fatalf("item %d of %d: %x, want %x", from+uint64(i), d.Items, item, want)
			}
		}
		for i, n := range at {
			if want := paperItem(key, paper, d.Parents, n); single[i] != want {
				t.Fatalf("item %d of %d, made alone: %x, want %x", n, d.Items, single[i], want)
			}
		}
		if single[len(at)] != (Item{}) {
			t.Fatal("an item that was not asked for")
		}
	})
}

func TestLargeItemNumbers(t *testing.T) {
	d := Dataset{small(64, 3, 1<<40, 1, 1), 1 << 36}
	key := [32]byte{9}
	cache, paper := d.Cache(&key), paperCache(key, 64)
	for _, n := range []uint64{1<<32 - 1, 1 << 32, 1<<36 - 1} {
		got := make([]Item, 1)
		if d.Fill(&key, cache, n, got); got[0] != paperItem(key, paper, 3, n) {
			t.Errorf("item %d differs", n)
		}
	}
}

// heldWalk leads a walk through items in memory, as a device does.
func heldWalk(d Dataset, items []Item, round [32]byte, w uint64) uint64 {
	s := make([]Item, 1)
	Start(&round, w, s)
	for step := range d.Steps {
		n := d.Next(w, step, &s[0])
		Step(s, items[n:n+1])
	}
	return Output(&s[0])
}

// TestLightAgainstTheWholeDataset: a checker with the cache and a device with the
// items see the same walks, and so does the paper.
func TestLightAgainstTheWholeDataset(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		d, key := drawSet(t), drawKey(t, "key")
		cache := d.Cache(&key)
		items := make([]Item, d.Items)
		d.Fill(&key, cache, 0, items)
		var samples []Sample
		for range rapid.IntRange(1, 6).Draw(t, "walks") {
			samples = append(samples, Sample{drawKey(t, "round"), uint32(rapid.Uint64Range(0, d.Walks()-1).Draw(t, "walk"))})
		}
		samples = append(samples, samples[0]) // drawn with replacement
		out := make([]uint64, len(samples))
		d.Light(&key, cache, samples, out)
		for i, s := range samples {
			if want := heldWalk(d, items, s.Key, uint64(s.Walk)); out[i] != want {
				t.Fatalf("walk %d: light %x, with the dataset %x", s.Walk, out[i], want)
			}
		}
		turns, want := paperWalk(d, key, paperCache(key, d.Lines), samples[0].Key, uint64(samples[0].Walk))
		if out[0] != want {
			t.Fatalf("walk %d: %x, paper %x", samples[0].Walk, out[0], want)
		}
		for step, turn := range turns {
			if turn.item >= d.Items || turn.window >= d.Windows() {
				t.Fatalf("step %d reads item %d in window %d of %d in %d", step, turn.item, turn.window, d.Items, d.Windows())
			}
		}
	})
}

// TestStepsAgainstThePaper follows a walk by hand, so that every index is compared
// and not only where it ends.
func TestStepsAgainstThePaper(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		d, key, round := drawSet(t), drawKey(t, "key"), drawKey(t, "round")
		cache := paperCache(key, d.Lines)
		w := rapid.Uint64Range(0, 1<<26-1).Draw(t, "walk")
		turns, output := paperWalk(d, key, cache, round, w)
		s := make([]Item, 1)
		Start(&round, w, s)
		for step, turn := range turns {
			if n := d.Next(w, step, &s[0]); n != turn.item {
				t.Fatalf("step %d reads item %d, paper %d", step, n, turn.item)
			}
			Step(s, []Item{paperItem(key, cache, d.Parents, turn.item)})
		}
		if Output(&s[0]) != output {
			t.Fatal("another output")
		}
	})
}

// TestStartsInPieces: the walks begin alike wherever a piece of them begins.
func TestStartsInPieces(t *testing.T) {
	key := [32]byte{1}
	for _, from := range []uint64{0, 1, 63, 64, 1<<26 - 200} {
		got := make([]Item, 200)
		Start(&key, from, got)
		for i := range got {
			if got[i] != paperBlock(key, 6, from+uint64(i)) {
				t.Fatalf("walk %d begins elsewhere", from+uint64(i))
			}
		}
	}
}

// TestWindowsAreAlike: all have the same size, what is left over is less than one
// item a window, and no window is larger than the row says.
func TestWindowsAreAlike(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		d := Dataset{small(1, 0, rapid.Uint64Range(1, 1<<30).Draw(t, "window"), 1, 8), rapid.Uint64Range(1<<11, 1<<36).Draw(t, "items")}
		windows := d.Windows()
		size := d.Items / windows
		if size > d.Window || (windows-1)*d.Window >= d.Items || d.Items-windows*size >= windows {
			t.Fatalf("%d windows of %d items, at most %d, of %d", windows, size, d.Window, d.Items)
		}
		// The least and the largest state read the ends of their window.
		last := Item{1<<32 - 1, 1<<32 - 1}
		for _, window := range []uint64{0, windows - 1} {
			if lo, hi := d.Next(window, 0, &Item{}), d.Next(window, 0, &last); lo != window*size || hi != window*size+size-1 || hi >= d.Items {
				t.Fatalf("window %d reads items %d to %d, has %d", window, lo, hi, size)
			}
		}
	})
}

// TestWalksHop: in every row a walk stays in a window for 8 reads, walks of a batch
// are in one window, and of the next batch in the next.
func TestWalksHop(t *testing.T) {
	for _, p := range Profiles() {
		d := Dataset{p, 5*p.Window - 3}
		size := d.Items / d.Windows()
		window := func(w uint64, step int) uint64 { return d.Next(w, step, &Item{0, 1 << 31}) / size }
		for step := range d.Steps {
			if got := window(0, step); got != uint64(step/8)%5 {
				t.Errorf("%s: step %d in window %d", p.Name, step, got)
			}
			if a, b := window(d.Batch-1, step), window(d.Batch, step); a != window(0, step) || b != (a+1)%5 {
				t.Errorf("%s, step %d: last walk of a batch in window %d, first of the next in %d", p.Name, step, a, b)
			}
		}
	}
}

// TestReadsAreEven: over all walks of a round each window has its share of the
// reads, where every batch is whole.
func TestReadsAreEven(t *testing.T) {
	for _, windows := range []uint64{1, 2, 3, 5, 8} {
		p, _ := Lookup(501)
		d := Dataset{p, windows * p.Window}
		counts := make([]int, d.Windows())
		rng := rand.New(rand.NewPCG(1, windows))
		size := d.Items / d.Windows()
		for w := range d.Walks() {
			for step := range d.Steps {
				s := Item{rng.Uint32(), rng.Uint32()}
				counts[d.Next(w, step, &s)/size]++
			}
		}
		for _, n := range counts {
			if n != counts[0] {
				t.Fatalf("%d windows: reads %v", windows, counts)
			}
		}
	}
}

// TestItemsDifferInEveryWord: an item of which a part is not stored is no item.
func TestItemsDifferInEveryWord(t *testing.T) {
	d := Dataset{small(256, 4, 1<<13, 1, 1), 1 << 11}
	key := [32]byte{4}
	items := make([]Item, d.Items)
	d.Fill(&key, d.Cache(&key), 0, items)
	for word := range 16 {
		seen := map[uint32]bool{}
		for _, item := range items {
			seen[item[word]] = true
		}
		if len(seen) < len(items)-2 { // 2^11 of 2^32: one pair in 2,000 sets
			t.Errorf("word %d has %d values in %d items", word, len(seen), len(items))
		}
	}
}

// TestEveryBitOfAnItemCounts: a walk that reads an item with one bit flipped ends
// elsewhere, wherever the bit is, as long as two steps follow.
func TestEveryBitOfAnItemCounts(t *testing.T) {
	d := Dataset{small(16, 2, 1<<13, 1, 8), 1 << 11}
	key, round := [32]byte{4}, [32]byte{5}
	items := make([]Item, d.Items)
	d.Fill(&key, d.Cache(&key), 0, items)
	turns, want := paperWalk(d, key, paperCache(key, 16), round, 3)
	for _, step := range []int{0, 3, 6} {
		n := turns[step].item
		for bit := range 512 {
			items[n][bit/32] ^= 1 << (bit % 32)
			if heldWalk(d, items, round, 3) == want {
				t.Errorf("step %d: bit %d of item %d does not count", step, bit, n)
			}
			items[n][bit/32] ^= 1 << (bit % 32)
		}
	}
}

func TestWalksOfARound(t *testing.T) {
	for _, tt := range []struct{ items, most, want uint64 }{
		{1 << 11, 1 << 26, 128},
		{1<<12 - 1, 1 << 26, 128},
		{1 << 12, 1 << 26, 256},
		{6149, 1 << 26, 384},
		{1 << 30, 1 << 26, 1 << 26},
		{1 << 36, 1 << 26, 1 << 26},
		{1<<30 - 1, 1 << 26, 1<<26 - 128},
		{1 << 30, 1000, 896},
	} {
		p := small(1, 0, 1, 1, 32)
		p.MaxWalks = tt.most
		d := Dataset{p, tt.items}
		if d.Walks() != tt.want || d.Reads() != 2*tt.want*32 || d.Bytes() != 64*tt.items {
			t.Errorf("%d items, at most %d: %d walks, %d reads, %d bytes", tt.items, tt.most, d.Walks(), d.Reads(), d.Bytes())
		}
	}
}

// FuzzWalk: whatever the row, no step leaves the dataset, and light and held agree.
func FuzzWalk(f *testing.F) {
	f.Add(uint16(2048), uint16(1024), uint16(64), uint8(3), uint8(16), uint32(0), []byte("key"))
	f.Add(uint16(6149), uint16(1000), uint16(1), uint8(0), uint8(32), uint32(383), []byte{})
	f.Fuzz(func(t *testing.T, items, window, batch uint16, parents, steps uint8, walk uint32, seed []byte) {
		d := Dataset{small(16, int(parents%8), max(1, uint64(window)), max(1, uint64(batch)), int(steps%48)), max(1<<11, uint64(items)%(1<<13))}
		var key [32]byte
		copy(key[:], seed)
		cache := d.Cache(&key)
		all := make([]Item, d.Items)
		d.Fill(&key, cache, 0, all)
		out := make([]uint64, 1)
		d.Light(&key, cache, []Sample{{key, walk}}, out)
		if want := heldWalk(d, all, key, uint64(walk)); out[0] != want {
			t.Fatalf("walk %d: light %x, held %x", walk, out[0], want)
		}
	})
}
