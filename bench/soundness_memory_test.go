package bench

import (
	"fmt"
	"math"
	"math/bits"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/assaynet/assay/challenges"
	"github.com/assaynet/assay/challenges/memory"
	"github.com/assaynet/assay/challenges/simd"
	"github.com/assaynet/assay/gpu"
	"github.com/assaynet/assay/prover/cheat"
)

// coreRates are the best that one core of this machine does, in ns an item.
type coreRates struct {
	read float64 // by the honest engine: hop, read, mix
	bare float64 // by a loop of reads and steps alone
	made float64 // again from the cache, side by side
	far  float64 // from a file, one at a time
}

// best is how long the fastest of several runs takes, in ns for each of n.
func best(runs, n int, run func()) float64 {
	least := time.Duration(math.MaxInt64)
	for range runs {
		begun := time.Now()
		run()
		least = min(least, time.Since(begun))
	}
	return float64(least) / float64(n)
}

// measure measures all but the honest engine.
func (r *coreRates) measure(t *testing.T, set memory.Dataset) {
	t.Helper()
	const side = 1 << 12
	key := [32]byte{1}
	cache, items := set.Cache(&key), make([]memory.Item, side)
	memory.Start(&key, 0, items)
	// Its block of the generator is four double rounds more.
	r.made = best(12, side, func() { simd.Mix(items, cache, set.Parents) }) * float64(set.Parents+4) / float64(set.Parents)

	all, states := make([]memory.Item, set.Items), make([]memory.Item, 1024)
	memory.Start(&key, 0, states)
	// Any items will do.
	memory.Start(&key, 0, all)
	r.bare = best(24, 16*len(states), func() {
		for range 16 {
			for i := range states {
				at, _ := bits.Mul64(uint64(states[i][0])|uint64(states[i][1])<<32, set.Items)
				items[i] = all[at]
			}
			memory.Step(states, items[:len(states)])
		}
	})
	r.far = fileRate(t, set.Bytes())
}

// fileRate is how long one item takes from a file of so many bytes.
func fileRate(t *testing.T, size uint64) float64 {
	t.Helper()
	name := filepath.Join(t.TempDir(), "items")
	if err := os.WriteFile(name, make([]byte, size), 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	const reads = 2000
	var item [memory.ItemBytes]byte
	return best(8, reads, func() {
		for range reads {
			if _, err := f.ReadAt(item[:], int64(rand.Uint64N(size/memory.ItemBytes))*memory.ItemBytes); err != nil {
				t.Fatal(err)
			}
		}
	})
}

// coreCheat is a way to walk on one core with less than the dataset.
type coreCheat struct {
	name  string
	items cheat.Maker
	held  float64
	cut   func(*memory.Dataset) // of the honest run as well; nil: nothing
	// law is the time of a read, in ns, where a core does one thing after another.
	law func(set memory.Dataset, r coreRates) float64
}

func coreCheats(t *testing.T) []coreCheat {
	made := func(held float64) func(memory.Dataset, coreRates) float64 {
		return func(_ memory.Dataset, r coreRates) float64 { return held*r.read + (1-held)*(r.read+r.made) }
	}
	out := []coreCheat{}
	for _, held := range []float64{0.99, 0.95, 0.9, 0.5, 0.125} {
		out = append(out, coreCheat{fmt.Sprintf("%.3g %% held", 100*held), cheat.NewPartial(held), held, nil, made(held)})
	}
	return append(
		out,
		coreCheat{"nothing held", cheat.Forgetful, 0, nil, made(0)},
		coreCheat{"nothing held, few walks", cheat.Forgetful, 0, func(s *memory.Dataset) { s.MaxWalks = 128 }, made(0)},
		coreCheat{"half held, the rest in a file", cheat.NewSpill(0.5, t.TempDir()), 0.5, nil, func(_ memory.Dataset, r coreRates) float64 {
			return r.read + 0.5*r.far
		}},
		coreCheat{"half held, read in order", cheat.NewSorted(0.5), 0.5, nil, func(set memory.Dataset, r coreRates) float64 {
			// The engine has a group of walks under way at once.
			d := min(float64(set.Walks()), 4096) / float64(set.Items)
			return r.read + 0.5*r.made*(1-math.Exp(-d))/d
		}},
	)
}

// coreRun is how long an honest or a cheating engine takes for the walks, in ns a
// read, and for the fill, in all.
func coreRun(t *testing.T, set memory.Dataset, items cheat.Maker) (read float64, fill time.Duration) {
	t.Helper()
	begun := time.Now()
	m, err := gpu.NewCPU(gpu.CPUConfig{Items: items}).Fill(t.Context(), gpu.MemoryJob{ID: challenges.Hash{1}, Device: "gpu0", Set: set})
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	fill = time.Since(begun)
	run, err := m.Walk(t.Context(), challenges.Hash{2})
	if err != nil {
		t.Fatal(err)
	}
	defer run.Close()
	begun = time.Now()
	for range set.Rounds {
		if _, err := run.Next(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	return float64(time.Since(begun)) / float64(set.Reads()), fill
}

// TestMemoryOnACore measures cheats with real memory on one core against the honest
// engine in the same process: ratios, and what they would prove. A core does one
// thing after another, so a cheat on it does worse than the rule assumes.
func TestMemoryOnACore(t *testing.T) {
	row, err := memory.Lookup(5000)
	if err != nil {
		t.Fatal(err)
	}
	sizes, runs := []uint64{2 << 20}, 3
	if *soundness > 0 {
		sizes, runs = []uint64{2 << 20, 16 << 20, 64 << 20}, 7
	} else if testing.Short() {
		sizes, runs = []uint64{1 << 20}, 1
	}
	row.Rounds = 2 // enough for a ratio
	for _, size := range sizes {
		set := memory.Dataset{Profile: row, Items: size / memory.ItemBytes}
		var r coreRates
		r.measure(t, set)
		// All take turns, so that what disturbs the machine disturbs them alike.
		cheats := coreCheats(t)
		ratios := make([][]float64, len(cheats))
		var honest []float64
		for range runs {
			read, _ := coreRun(t, set, nil)
			honest = append(honest, read)
			for i, c := range cheats {
				s := set
				if c.cut != nil {
					c.cut(&s)
				}
				took, _ := coreRun(t, s, c.items)
				ratios[i] = append(ratios[i], took/read)
			}
		}
		r.read = middle(honest)
		if *soundness > 0 {
			fmt.Printf("\n%d MiB, %d windows; ns an item: honest %.1f, in a bare loop %.1f, made again %.0f (%.1f reads), from a file %.0f\n\n",
				size>>20, set.Windows(), r.read, r.bare, r.made, r.made/r.bare, r.far)
			fmt.Println("| | time, of the honest: measured | law | V/D, measured rates | V/D, the row's | held in truth |\n|---|---|---|---|---|---|")
		}
		for i, c := range cheats {
			c.report(t, set, r, middle(ratios[i]))
		}
	}
}

func middle(v []float64) float64 {
	v = slices.Sorted(slices.Values(v))
	return v[len(v)/2]
}

func (c coreCheat) report(t *testing.T, set memory.Dataset, r coreRates, ratio float64) {
	t.Helper()
	rate := 1e9 / (ratio * r.read)
	measured := set
	measured.MakeRate, measured.LinkRate = uint64(1e9/r.made), uint64(1e9/r.far)
	shown, rows := proven(measured, rate), proven(set, rate)
	law := c.law(set, r) / r.read
	// A busy machine blurs single runs; nothing here is near enough for it to matter.
	if shown > c.held+0.05 {
		t.Errorf("%s: V is %.3f of the dataset, held are %.3f", c.name, shown, c.held)
	}
	if set.MakeRate >= measured.MakeRate && set.LinkRate >= measured.LinkRate && rows > c.held+0.05 {
		t.Errorf("%s: by the row's rates V is %.3f of the dataset, held are %.3f", c.name, rows, c.held)
	}
	if ratio < law/2 {
		t.Errorf("%s: %.1f times the honest time, the law says %.1f", c.name, ratio, law)
	}
	if *soundness > 0 {
		fmt.Printf("| %s | %.2f | %.2f | %.3f | %.3f | %.3f |\n", c.name, ratio, law, shown, rows, c.held)
	}
}
