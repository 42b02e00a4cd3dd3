package bench

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"testing/synctest"
	"time"

	"github.com/assaynet/assay/challenges"
	"github.com/assaynet/assay/challenges/memory"
	"github.com/assaynet/assay/gpu"
	"github.com/assaynet/assay/gpu/models"
	"github.com/assaynet/assay/prover/cheat"
)

// Each rule is left out here, beside the same with it, so that it shows what it is
// good for: first an attack that the rule stops, then that it works without.

// memoryTimes is how long a simulated device fills and walks a dataset, and what
// that cost.
func memoryTimes(t *testing.T, set memory.Dataset, items cheat.Maker) (fill, walk time.Duration, costs gpu.Costs) {
	t.Helper()
	spec, err := models.Lookup("sim-100")
	if err != nil {
		t.Fatal(err)
	}
	d, err := gpu.NewSim(gpu.SimConfig{ID: "gpu0", Claims: spec, Runs: spec, Items: items})
	if err != nil {
		t.Fatal(err)
	}
	begun := time.Now()
	m, err := d.Fill(t.Context(), gpu.MemoryJob{ID: challenges.Hash{1}, Device: "gpu0", Set: set})
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
	for range set.Rounds {
		root, err := run.Next(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		costs.Add(root.Costs)
	}
	return fill, time.Since(begun) - fill, costs
}

func simRow(t *testing.T) memory.Dataset { return memorySet(t, 2<<20) }

// TestWithoutTheNonce: if the walks were known from the start, the time of the fill
// would have to count, and who walks little is faster without any memory. With a
// nonce that comes after the fill, the walks alone are measured.
func TestWithoutTheNonce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		set := simRow(t)
		set.MaxWalks, set.Rounds = 128, 4 // 16,384 reads of 29,490 items
		fill, walk, _ := memoryTimes(t, set, nil)
		none, again, _ := memoryTimes(t, set, cheat.Forgetful)
		if none+again >= fill+walk {
			t.Errorf("without memory %v, with it %v: no gain in not having a nonce", none+again, fill+walk)
		}
		if v := proven(set, float64(set.Rate(set.Rounds, again))); v > 0 {
			t.Errorf("measured from the nonce, %v against %v: V is %.3f of the dataset", again, walk, v)
		}
		if *soundness > 0 {
			fmt.Printf("\nfew walks, nothing held: %.2f of the honest time from the challenge, %.1f of it from the nonce\n",
				float64(none+again)/float64(fill+walk), float64(again)/float64(walk))
		}
	})
}

// TestWithoutHops: if walks stayed in one window, a device could work through one
// window after another, with memory for one, and show half of the dataset. Timed
// with its fill a single round would show all of it, hops or not: what it makes, who
// fills makes too.
func TestWithoutHops(t *testing.T) {
	set := simRow(t)
	set.Parents = 1
	set.Items = 8 * set.Window
	if *soundness > 0 {
		fmt.Println("\n| | memory taken | V/D | one round, timed with its fill, of the honest time |\n|---|---|---|---|")
	}
	for _, stay := range []bool{true, false} {
		name, o := "walks hop", predictCourse(set, 1)
		if stay {
			name, o = "walks stay", predictStay(set)
		}
		n := float64(set.Items)
		makes, reads := o.made*n/float64(set.MakeRate), o.reads*n/float64(set.ReadRate)
		once := max(makes, reads) / (n/float64(set.MakeRate) + reads)
		v, takes := proven(set, o.rate(set, 0)), o.memory(0)
		if stay != (takes < 0.13) || stay != (v > takes+overstated) {
			t.Errorf("%s: %.3f proven with memory for %.3f", name, v, takes)
		}
		if *soundness > 0 {
			fmt.Printf("| %s | %.3f | %.3f | %.2f |\n", name, takes, v, once)
		}
	}
}

// TestOneWindowInTheEnginesOrder: a device with memory for one window fills it again
// at each hop, and is many times slower than who holds them all.
func TestOneWindowInTheEnginesOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		set := simRow(t)
		set.Items, set.Rounds, set.Batch = 8192, 4, 512 // a batch of all walks
		set.Window = 2048
		_, honest, _ := memoryTimes(t, set, nil)
		_, walk, costs := memoryTimes(t, set, cheat.OneWindow)
		size := set.Items / set.Windows()
		refills := costs.Made / size
		// Four hops a round, from where the one before it ended.
		if refills < 3*uint64(set.Rounds) || refills > 4*uint64(set.Rounds) {
			t.Errorf("%d refills in %d rounds", refills, set.Rounds)
		}
		v := proven(set, float64(set.Rate(set.Rounds, walk)))
		if v > 1/float64(set.Windows())+overstated {
			t.Errorf("a quarter held: V is %.3f of the dataset", v)
		}
		if *soundness > 0 {
			fmt.Printf("\n1 of %d windows held: %.1f refills a round, %.1f times the honest time, V/D %.3f\n",
				set.Windows(), float64(refills)/float64(set.Rounds), float64(walk)/float64(honest), v)
		}
	})
}

// TestWithoutFewWalks: the walks under way are a 16th of the items, so that reading
// them in order gains little. With as many as items, or more, an item that is made
// serves several at the same step, and V is more than what was held.
func TestWithoutFewWalks(t *testing.T) {
	set := simRow(t)
	const held = 0.5
	if *soundness > 0 {
		fmt.Println("\n| walks an item | made or brought for each read that is missing | V/D | held |\n|---|---|---|---|")
	}
	items := halved{cheat.NewSorted(held)(set, challenges.Hash{1})} // makes and brings, both at once
	if _, err := items.Fill(t.Context()); err != nil {
		t.Fatal(err)
	}
	defer items.Close()
	random := rand.New(rand.NewPCG(1, 2))
	for _, density := range []float64{1.0 / 16, 0.25, 1, 4} {
		at := make([]uint64, int(density*float64(set.Items)))
		out := make([]memory.Item, len(at))
		var c gpu.Costs
		n := 0
		for n < 8*int(set.Items) {
			for i := range at {
				at[i] = random.Uint64N(set.Items)
			}
			costs, err := items.Read(t.Context(), at, out)
			if err != nil {
				t.Fatal(err)
			}
			c.Add(costs)
			n += len(at)
		}
		v := proven(set, float64(n)/c.Time(set).Seconds())
		if over := density >= 1; (v > held) != over {
			t.Errorf("%v walks an item: V is %.3f of the dataset, held are %v", density, v, held)
		}
		if *soundness > 0 {
			fmt.Printf("| %.3g | %.3f | %.3f | %.3f |\n", density, float64(c.Made+c.Far)/float64(uint64(n)-c.Held), v, held)
		}
	}
}
