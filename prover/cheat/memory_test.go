package cheat

import (
	"context"
	"errors"
	"math"
	"math/rand/v2"
	"os"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/assaynet/assay/challenges"
	"github.com/assaynet/assay/challenges/memory"
	"github.com/assaynet/assay/gpu"
)

// testSet is a dataset of the row for tests, with several windows.
func testSet(t *testing.T, items uint64) memory.Dataset {
	t.Helper()
	row, err := memory.Lookup(502)
	if err != nil {
		t.Fatal(err)
	}
	return memory.Dataset{Profile: row, Items: items}
}

// filled are items that are filled, with what that cost.
func filled(t *testing.T, m Maker, set memory.Dataset) (gpu.Items, gpu.Costs) {
	t.Helper()
	items := m(set, challenges.Hash{6})
	costs, err := items.Fill(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := items.Close(); err != nil {
			t.Error(err)
		}
	})
	return items, costs
}

// numbers are items of the windows, drawn with replacement.
func numbers(set memory.Dataset, n int) []uint64 {
	r := rand.New(rand.NewPCG(1, set.Items))
	at := make([]uint64, n)
	for i := range at {
		at[i] = r.Uint64N(set.Items / set.Windows() * set.Windows())
	}
	return at
}

// Whoever answers for items that it does not hold answers right.
func TestItemsAreTheDatasets(t *testing.T) {
	makers := map[string]func(share float64) Maker{
		"partial": NewPartial,
		"sorted":  NewSorted,
		"spill":   func(share float64) Maker { return NewSpill(share, t.TempDir()) },
		"window":  func(float64) Maker { return OneWindow },
		"none":    func(float64) Maker { return Forgetful },
	}
	for name, maker := range makers {
		for _, share := range []float64{0, 0.001, 0.5, 0.97, 1} {
			for _, size := range []uint64{2048, 5000, 9001} {
				set := testSet(t, size)
				items, _ := filled(t, maker(share), set)
				var costs gpu.Costs
				key := [32]byte{6}
				want := make([]memory.Item, set.Items)
				set.Fill(&key, set.Cache(&key), 0, want)
				at, n := numbers(set, 3000), 0.0
				for _, batch := range [][]uint64{at[:1], at[1:10], at[10:], nil, {0, size / set.Windows() * set.Windows() / 2, 0}} {
					out := make([]memory.Item, len(batch))
					c, err := items.Read(t.Context(), batch, out)
					if err != nil {
						t.Fatal(err)
					}
					costs.Add(c)
					for i, item := range batch {
						if out[i] != want[item] {
							t.Fatalf("%s, %v of %d items: item %d is another", name, share, size, item)
						}
					}
					n += float64(len(batch))
				}
				if name == "window" || name == "sorted" {
					continue // what these cost is looked at below
				}
				held := share
				if name == "none" {
					held = 0
				}
				rest := float64(costs.Far + costs.Made)
				if float64(costs.Held)+rest != n || math.Abs(rest-(1-held)*n) > 1+5*math.Sqrt(held*(1-held)*n) {
					t.Errorf("%s, %v of %d items: %+v for %v reads", name, share, size, costs, n)
				}
			}
		}
	}
}

// What is held is spread evenly.
func TestPartialIsEven(t *testing.T) {
	for _, share := range []float64{0, 0.1, 1.0 / 3, 0.75, 0.999, 1} {
		p, n := newPartial(share, testSet(t, 4096), challenges.Hash{}), uint64(0)
		for item := range uint64(4096) {
			at, held := p.at(item)
			if at != n || math.Abs(float64(n)-float64(item)*share) > 1.001 {
				t.Fatalf("share %v: item %d is at %d, %d are held so far", share, item, at, n)
			}
			if held {
				n++
			}
		}
	}
}

// Reading in order makes each missing item once a batch: (1-e^-d)/d of them, d
// being the walks of the batch over the items.
func TestSortedMakesOnce(t *testing.T) {
	set := testSet(t, 8192)
	for _, d := range []float64{1.0 / 16, 0.25, 1, 4} {
		items, _ := filled(t, NewSorted(0.5), set)
		at := numbers(set, int(d*8192))
		c, err := items.Read(t.Context(), at, make([]memory.Item, len(at)))
		if err != nil {
			t.Fatal(err)
		}
		got, want := float64(c.Made)/float64(uint64(len(at))-c.Held), (1-math.Exp(-d))/d
		if math.Abs(got-want) > 0.03 {
			t.Errorf("%v walks an item: %.3f made for each that is missing, want %.3f", d, got, want)
		}
	}
}

// A window is filled again when it changes, and only then.
func TestOneWindowRefills(t *testing.T) {
	set := testSet(t, 4*1024)
	items, costs := filled(t, OneWindow, set)
	if costs != (gpu.Costs{Made: 1024}) {
		t.Errorf("filled with %+v", costs)
	}
	for _, tt := range []struct {
		at      []uint64
		refills uint64
	}{
		{[]uint64{5, 0, 1023}, 0},
		{[]uint64{5, 1024, 6}, 1},
		{[]uint64{1024, 2047}, 0},
		{[]uint64{0, 1024, 2048, 3072, 1, 2}, 3},
		{[]uint64{1}, 0}, // it went round
	} {
		c, err := items.Read(t.Context(), tt.at, make([]memory.Item, len(tt.at)))
		if err != nil || c.Made != 1024*tt.refills || c.Held != uint64(len(tt.at)) {
			t.Errorf("%v: %+v, want %d refills (%v)", tt.at, c, tt.refills, err)
		}
	}
}

// So many walks are given up as was planned, and they save more than their part.
func TestAbandon(t *testing.T) {
	const held, share, walks, rounds = 0.9, 0.05, 1 << 10, 20
	set := testSet(t, 16*walks)
	items, _ := filled(t, NewAbandon(held, share), set)
	honest, _ := filled(t, NewPartial(held), set)
	r := rand.New(rand.NewPCG(7, 7))
	lies, made, plain := 0, uint64(0), uint64(0)
	for range rounds {
		lied := make([]bool, walks)
		for range set.Steps {
			at := make([]uint64, walks)
			for i := range at {
				at[i] = r.Uint64N(set.Items)
			}
			got, want := make([]memory.Item, walks), make([]memory.Item, walks)
			c, err := items.Read(t.Context(), at, got)
			if err != nil {
				t.Fatal(err)
			}
			p, err := honest.Read(t.Context(), at, want)
			if err != nil {
				t.Fatal(err)
			}
			made, plain = made+c.Made, plain+p.Made
			for i := range lied {
				lied[i] = lied[i] || got[i] != want[i]
			}
		}
		for _, l := range lied {
			if l {
				lies++
			}
		}
	}
	if n := float64(share * walks * rounds); float64(lies) < n-2 || float64(lies) > n {
		t.Errorf("%d walks given up, want %v", lies, n)
	}
	// Each saves the item that it meets first, and the rest of its steps.
	steps := float64(set.Steps)
	want := share * (1 + (steps-1)*(1-held)) / (steps * (1 - held))
	if saved := 1 - float64(made)/float64(plain); math.Abs(saved-want) > 0.01 {
		t.Errorf("%.3f of what is missing is not made, want %.3f", saved, want)
	}
}

// Fills and reads end with their context, and a spill leaves no file.
func TestItemsStopWithTheirContext(t *testing.T) {
	dir := t.TempDir()
	for name, m := range map[string]Maker{
		"partial": NewPartial(0.5), "sorted": NewSorted(0.5), "spill": NewSpill(0.5, dir), "window": OneWindow, "abandon": NewAbandon(0.5, 0.1),
	} {
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		d := gpu.NewCPU(gpu.CPUConfig{Items: m})
		if _, err := d.Fill(ctx, gpu.MemoryJob{Set: testSet(t, 4096)}); !errors.Is(err, context.Canceled) {
			t.Errorf("%s: error %v", name, err)
		}
		items, _ := filled(t, m, testSet(t, 4096))
		if _, err := items.Read(ctx, []uint64{1}, make([]memory.Item, 1)); !errors.Is(err, context.Canceled) {
			t.Errorf("%s: read with error %v", name, err)
		}
		if err := items.Close(); err != nil {
			t.Error(err)
		}
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
		t.Errorf("%d files left (%v)", len(left), err)
	}
	if _, err := gpu.NewCPU(gpu.CPUConfig{Items: NewSpill(0.5, dir+"/none")}).Fill(t.Context(), gpu.MemoryJob{Set: testSet(t, 4096)}); err == nil {
		t.Error("spilled to nowhere")
	}
}

// Through the engine a cheat's outputs are the dataset's, whatever it holds.
func TestCheatsWalkRight(t *testing.T) {
	set := testSet(t, 5000)
	var want []challenges.Hash
	for _, m := range []Maker{nil, NewPartial(0.3), NewSorted(0.3), NewSpill(0.3, t.TempDir()), OneWindow, Forgetful} {
		d := gpu.NewCPU(gpu.CPUConfig{Items: m})
		m, err := d.Fill(t.Context(), gpu.MemoryJob{ID: challenges.Hash{8}, Device: "gpu0", Set: set})
		if err != nil {
			t.Fatal(err)
		}
		run, err := m.Walk(t.Context(), challenges.Hash{9})
		if err != nil {
			t.Fatal(err)
		}
		var roots []challenges.Hash
		for range set.Rounds {
			roots = append(roots, next(t, run).Root)
		}
		if want == nil {
			want = roots
		}
		if !slices.Equal(roots, want) {
			t.Errorf("roots %v, want %v", roots, want)
		}
		_ = run.Close()
		if err := m.Close(); err != nil {
			t.Error(err)
		}
	}
}

// A device that begins late is late by that, in each of its phases.
func TestSkewed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sim, err := gpu.NewSim(gpu.SimConfig{ID: "gpu0", Claims: spec(t, "sim-100"), Runs: spec(t, "sim-100")})
		if err != nil {
			t.Fatal(err)
		}
		d := Skewed{Device: sim, By: time.Second, Walks: 2 * time.Second}
		begun, job := time.Now(), testJob(t, 2, 1)
		next(t, start(t, d, job))
		if took, want := time.Since(begun), time.Second+gpu.RoundTime(spec(t, "sim-100"), job.Profile.Shape); took != want {
			t.Errorf("first round after %v, want %v", took, want)
		}
		begun = time.Now()
		mjob := memoryJob(t, d)
		m, err := d.Fill(t.Context(), mjob)
		if err != nil {
			t.Fatal(err)
		}
		if took, want := time.Since(begun), time.Second+mjob.Set.FillTime(); took != want {
			t.Errorf("filled after %v, want %v", took, want)
		}
		begun = time.Now()
		run, err := m.Walk(t.Context(), challenges.Hash{})
		if err != nil {
			t.Fatal(err)
		}
		root := next(t, run)
		if took, want := time.Since(begun), 2*time.Second+root.Costs.Time(mjob.Set); took != want {
			t.Errorf("first walks after %v, want %v", took, want)
		}
		for _, err := range stopped(t, d, mjob) {
			if !errors.Is(err, context.Canceled) {
				t.Errorf("error %v", err)
			}
		}
	})
}

// stopped are the errors of each phase under a context that has ended.
func stopped(t *testing.T, d gpu.Device, job gpu.MemoryJob) []error {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, a := d.Start(ctx, testJob(t, 2, 1))
	_, b := d.Fill(ctx, job)
	m, err := d.Fill(t.Context(), job)
	if err != nil {
		t.Fatal(err)
	}
	_, c := m.Walk(ctx, challenges.Hash{})
	return []error{a, b, c}
}
