package bench

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/assaynet/assay/challenges"
	"github.com/assaynet/assay/challenges/memory"
	"github.com/assaynet/assay/gpu"
	"github.com/assaynet/assay/gpu/models"
	"github.com/assaynet/assay/prover/cheat"
)

// memoryBout is one proof of memory to play. The zero value of a field is the
// usual.
type memoryBout struct {
	device string // "gpu0"
	offer  uint64 // bytes; those of simDevice "sim-100"
	rtt    time.Duration
	filled func() // before the nonce leaves
}

// playMemory judges one proof of memory to its end, and says what it was of.
func (a *arena) playMemory(b memoryBout) (*challenges.Session, memory.Dataset) {
	a.t.Helper()
	n := a.played.Add(1)
	if b.device == "" {
		b.device = "gpu0"
	}
	if b.offer == 0 {
		b.offer = 2 << 20
	}
	if b.rtt == 0 {
		b.rtt = 2 * a.delay
	}
	secret := challenges.Secret{byte(n), byte(n >> 8), byte(n >> 16), 2}
	p := memory.Params{Profile: 501, Items: memory.Items(b.offer), RTT: b.rtt}
	c := challenges.Challenge{
		Network: a.registry.Hash(), Epoch: a.registry.Clock().Epoch(time.Now()), Provider: a.id, Device: b.device,
		Kind: challenges.Memory, Seq: n, Commit: secret.Commit(),
		Deadline: p.Dataset().Deadline(b.rtt), Params: challenges.Marshal(&p),
	}
	env := challenges.Seal(c.Network, challenges.KindChallenge, challenges.Marshal(&c), simKey(0))
	s, err := challenges.NewSession(env, secret)
	if err != nil {
		a.t.Fatal(err)
	}
	a.drive(s, challenges.Marshal(&env), b.filled)
	return s, p.Dataset()
}

// memorySet is what a simulated device is asked to fill that offers so many bytes.
func memorySet(t *testing.T, offer uint64) memory.Dataset {
	t.Helper()
	row, err := memory.Lookup(501)
	if err != nil {
		t.Fatal(err)
	}
	return memory.Dataset{Profile: row, Items: memory.Items(offer)}
}

// memoryDevice is a simulated device of so many bytes with given items.
func memoryDevice(t *testing.T, bytes uint64, items cheat.Maker) gpu.Device {
	t.Helper()
	spec, err := models.Lookup("sim-100")
	if err != nil {
		t.Fatal(err)
	}
	spec.Memory = bytes
	d, err := gpu.NewSim(gpu.SimConfig{ID: "gpu0", Claims: spec, Runs: spec, Items: items})
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// proven is V as a share of the dataset.
func proven(set memory.Dataset, rate float64) float64 {
	return float64(set.Proven(uint64(rate))) / float64(set.Bytes())
}

// memoryCheat is a way to answer with less than the dataset.
type memoryCheat struct {
	name  string
	items cheat.Maker
	held  float64 // in truth, of the dataset
	made  float64 // of the items read
	far   float64
	lies  float64 // of the walks, invented
	few   int     // runs without the flag
	runs  int     // share of the flag's runs, in 64ths
}

// rate is what the law of resources that overlap says of it: items a second.
func (c memoryCheat) rate(set memory.Dataset) float64 {
	took := max((1-c.made-c.far)/float64(set.ReadRate), c.made/float64(set.MakeRate), c.far/float64(set.LinkRate))
	return 1 / took
}

// abandoned is what a cheat makes again who gives up a share of the walks, each at
// the first item that it does not hold, in the first steps.
func abandoned(set memory.Dataset, missing, share float64) float64 {
	n := float64(set.Steps)
	return missing - share*(1+(n-1)*missing)/n
}

// halfFar is a dataset of which a share is held. Of the rest every second item
// counts as brought from elsewhere: who has both uses both.
func halfFar(held float64) cheat.Maker {
	return func(set memory.Dataset, key challenges.Hash) gpu.Items {
		return halved{cheat.NewPartial(held)(set, key)}
	}
}

type halved struct{ gpu.Items }

func (h halved) Read(ctx context.Context, at []uint64, out []memory.Item) (gpu.Costs, error) {
	c, err := h.Items.Read(ctx, at, out)
	c.Far = c.Made / 2
	c.Made -= c.Far
	return c, err
}

func memoryCheats(t *testing.T, set memory.Dataset) []memoryCheat {
	partial := func(held float64, runs int) memoryCheat {
		return memoryCheat{fmt.Sprintf("%.3g %% held", 100*held), cheat.NewPartial(held), held, 1 - held, 0, 0, 1, runs}
	}
	out := []memoryCheat{
		{"honest", nil, 1, 0, 0, 0, 1, 4},
		partial(0.99, 4), partial(0.975, 4), partial(0.95, 4), partial(0.9, 4), partial(0.75, 2), partial(0.5, 1),
		{"half held, the rest in a file", cheat.NewSpill(0.5, t.TempDir()), 0.5, 0, 0.5, 0, 1, 1},
		{"95 % held, the rest in a file", cheat.NewSpill(0.95, t.TempDir()), 0.95, 0, 0.05, 0, 1, 1},
		{"94.7 % held, of the rest half in a file", halfFar(0.947), 0.947, 0.0265, 0.0265, 0, 1, 2},
		{"90 % held, read in order", cheat.NewSorted(0.9), 0.9, 0.1, 0, 0, 1, 1},
		{"nothing held", cheat.Forgetful, 0, 1, 0, 0, 1, 1},
	}
	for _, share := range []float64{0.005, 0.01, 0.02, 0.05} {
		made := abandoned(set, 0.05, share)
		out = append(out, memoryCheat{
			fmt.Sprintf("95 %% held, %.3g %% of the walks given up", 100*share), cheat.NewAbandon(0.95, share), 0.95, made, 0, share, 12, 64,
		})
	}
	return out
}

// TestMemoryDetection plays whole challenges against cheats whose time is
// modelled: what is read, made again and brought overlaps, as on a card. What is
// proven follows the law, and is never more than what was held.
func TestMemoryDetection(t *testing.T) {
	if *soundness > 0 {
		fmt.Println("\n| | runs | pass | late | wrong | V/D, median | law | held in truth | wrong, 95 % interval | formula |\n|---|---|---|---|---|---|---|---|---|---|")
	}
	// Inventions depend on no size; the others' times do, a little.
	small, whole := uint64(256<<10), uint64(2<<20)
	for _, c := range memoryCheats(t, memorySet(t, whole)) {
		offer, n := whole, c.few
		if c.lies > 0 {
			offer = small
		}
		if testing.Short() {
			if c.name == "nothing held" || c.far == 0.5 {
				continue // long
			}
			n = min(n, 4)
		}
		if *soundness > 0 {
			n = max(1, *soundness*c.runs/64)
		}
		synctest.Test(t, func(t *testing.T) { c.check(t, offer, n) })
	}
}

func (c memoryCheat) check(t *testing.T, offer uint64, n int) {
	a := newArena(t, 0, nil, memoryDevice(t, offer, c.items))
	count := make(map[challenges.Outcome]int)
	var shown []float64
	var set memory.Dataset
	for i := range n {
		var s *challenges.Session
		s, set = a.playMemory(memoryBout{offer: offer})
		v := s.Verdict()
		count[v.Outcome]++
		if i%16 == 0 {
			if err := replays(s); err != nil {
				t.Fatalf("%s: %v", c.name, err)
			}
		}
		if v.Outcome != challenges.Wrong {
			shown = append(shown, proven(set, float64(v.OpsLower)))
		}
	}
	if count[challenges.Pass]+count[challenges.Late]+count[challenges.Wrong] != n {
		t.Errorf("%s: %v", c.name, count)
	}
	law, median := proven(set, c.rate(set)), 0.0
	slices.Sort(shown)
	if len(shown) > 0 {
		median = shown[len(shown)/2]
	}
	// What is missing of the items read varies a little from run to run.
	for _, v := range shown {
		if v > c.held || v < law-0.02 || v > law+0.02 {
			t.Errorf("%s: V is %.4f of the dataset, the law says %.4f, held are %.4f", c.name, v, law, c.held)
		}
	}
	if late := law < float64(set.Need)/100; len(shown) > 0 && (count[challenges.Late] > 0) != late {
		t.Errorf("%s: %v", c.name, count)
	}
	caught := 1 - set.Miss(c.lies)
	low, high := interval(count[challenges.Wrong], n, 0.9999)
	if caught < low-1e-12 || caught > high+1e-12 {
		t.Errorf("%s: caught %d of %d, the formula says %.4f", c.name, count[challenges.Wrong], n, caught)
	}
	if *soundness > 0 {
		low, high = interval(count[challenges.Wrong], n, 0.95)
		fmt.Printf("| %s | %d | %d | %d | %d | %.3f | %.3f | %.3f | %.1f to %.1f %% | %.1f %% |\n", c.name, n,
			count[challenges.Pass], count[challenges.Late], count[challenges.Wrong], median, law, c.held, 100*low, 100*high, 100*caught)
	}
}
