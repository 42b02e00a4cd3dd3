package bench

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/assaynet/assay/challenges"
	"github.com/assaynet/assay/challenges/memory"
	"github.com/assaynet/assay/gpu"
)

// memoryPath is what lies between an honest device and its checker, and what the
// device is like.
type memoryPath struct {
	name   string
	delay  time.Duration // one way
	jitter float64       // median of a lognormal delay of each frame more, in ms, sigma 1
	path   bool          // the path stands still at times
	device bool          // the device does
	life   bool          // the device is as fast as a card is in its life
	claims uint64        // bytes
	late   float64       // such a share may be marked late
}

// life is a device as fast as its class at best, times what its life makes of it,
// that stands still now and then.
type life struct {
	gpu.Device
	random *rand.Rand
	life   *honestLife // nil: the best of its class
	stalls *honestStalls
	hour   float64
}

func (l *life) Fill(ctx context.Context, job gpu.MemoryJob) (gpu.Memory, error) {
	m, err := l.Device.Fill(ctx, job)
	if err != nil {
		return nil, err
	}
	w := &lifeWalks{set: job.Set, speed: 1, stalls: l.stalls, due: time.Now()}
	if l.life != nil {
		l.hour += honestEvery
		// The table has the best of a class: a silicon of the 99th percentile.
		w.speed = l.life.at(l.hour) / 1.09
	}
	return lifeMemory{m, w}, w.work(ctx, gpu.Costs{Made: job.Set.Items})
}

type lifeMemory struct {
	gpu.Memory
	walks *lifeWalks
}

func (m lifeMemory) Walk(ctx context.Context, nonce challenges.Hash) (gpu.Run, error) {
	run, err := m.Memory.Walk(ctx, nonce)
	m.walks.Run, m.walks.due = run, time.Now()
	return m.walks, err
}

type lifeWalks struct {
	gpu.Run
	set    memory.Dataset
	speed  float64
	stalls *honestStalls
	due    time.Time
}

func (w *lifeWalks) Next(ctx context.Context) (gpu.Root, error) {
	root, err := w.Run.Next(ctx)
	if err != nil {
		return root, err
	}
	return root, w.work(ctx, root.Costs)
}

// work waits for what a device of that speed takes, and through its stalls.
func (w *lifeWalks) work(ctx context.Context, c gpu.Costs) error {
	w.due = w.due.Add(time.Duration(float64(c.Time(w.set)) / w.speed))
	for {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(time.Until(w.due)):
		}
		if w.stalls == nil {
			return nil
		}
		wait, _ := w.stalls.hold(time.Now())
		if wait == 0 {
			return nil
		}
		w.due = w.due.Add(wait)
	}
}

func memoryPaths() []memoryPath {
	const near, far = 2 << 20, 4 << 20 // walks of 306 and 612 ms
	ms := time.Millisecond
	return []memoryPath{
		{name: "the best of its class, at no distance", claims: near},
		{name: "as in its life, 2 ms", delay: ms, life: true, claims: near},
		{name: "as in its life, 14 ms", delay: 7 * ms, life: true, claims: near},
		{name: "as in its life, 16 ms", delay: 8 * ms, life: true, claims: near},
		{name: "as in its life, 28 ms, twice the memory", delay: 14 * ms, life: true, claims: far},
		{name: "as in its life, 150 ms", delay: 75 * ms, life: true, claims: near},
		{name: "14 ms and jitter of 2 ms", delay: 7 * ms, jitter: 2, life: true, claims: near},
		{name: "14 ms and jitter of 20 ms", delay: 7 * ms, jitter: 20, life: true, claims: near},
		{name: "14 ms, the path stands still at times", delay: 7 * ms, path: true, life: true, claims: near, late: 0.05},
		{name: "14 ms, the device stands still at times", delay: 7 * ms, device: true, life: true, claims: near, late: 0.05},
	}
}

// TestMemoryHonest is false alarms: honest devices on bad paths.
func TestMemoryHonest(t *testing.T) {
	if *soundness > 0 {
		fmt.Println("\n| device and path | runs | pass | late: fill | late: walks | other | no figure | V/D: 1 % | 10 % | median | 90 % |\n|---|---|---|---|---|---|---|---|---|---|---|")
	}
	for i, p := range memoryPaths() {
		n := 4
		if testing.Short() && i > 2 {
			break
		}
		if *soundness > 0 {
			n = max(1, *soundness/4)
		}
		synctest.Test(t, func(t *testing.T) { p.check(t, n, uint64(i)) })
	}
}

func (p memoryPath) check(t *testing.T, n int, seed uint64) {
	random := rand.New(rand.NewPCG(seed, 77))
	sim := memoryDevice(t, p.claims, nil)
	d := &life{Device: gpu.NewCPU(gpu.CPUConfig{Info: sim.Info()}), random: random}
	if p.device {
		d.stalls = &honestStalls{random: random}
	}
	a := newArena(t, p.delay, nil, d)
	var stops *honestStalls
	if p.path {
		stops = &honestStalls{random: random}
	}
	a.late = func() (more time.Duration) {
		if p.jitter > 0 {
			more = time.Duration(p.jitter * math.Exp(random.NormFloat64()) * float64(time.Millisecond))
		}
		if stops != nil {
			wait, _ := stops.hold(time.Now())
			more += wait
		}
		return more
	}
	count, unfilled := make(map[challenges.Outcome]int), 0
	var shown []float64
	for i := range n {
		if p.life && i%12 == 0 { // another card
			d.life, d.hour = newHonestLife(random), 24*float64(1+random.IntN(90))
		}
		time.Sleep(time.Duration(random.Float64() * float64(20*time.Second)))
		s, set := a.playMemory(memoryBout{offer: p.claims})
		v := s.Verdict()
		count[v.Outcome]++
		if v.Outcome == challenges.Late && v.Clause == challenges.ClauseFilled {
			unfilled++
		}
		if v.OpsLower > 0 {
			shown = append(shown, proven(set, float64(v.OpsLower)))
		}
	}
	pass, late := count[challenges.Pass], count[challenges.Late]
	if count[challenges.Wrong] > 0 || float64(late) > p.late*float64(n)+2*math.Sqrt(p.late*float64(n)) {
		t.Errorf("%s: %v of %d runs", p.name, count, n)
	}
	// No figure where the walks would be shorter than 20 round trips.
	if far := 40*p.delay > memorySet(t, p.claims).WalkTime(); far && len(shown) > 0 || !far && p.late == 0 && len(shown) < n {
		t.Errorf("%s: %d figures of %d runs", p.name, len(shown), n)
	}
	slices.Sort(shown)
	at := func(q float64) string {
		if len(shown) == 0 {
			return ""
		}
		return fmt.Sprintf("%.3f", shown[min(len(shown)-1, int(q*float64(len(shown))))])
	}
	if *soundness > 0 {
		fmt.Printf("| %s | %d | %d | %d | %d | %d | %d | %s | %s | %s | %s |\n",
			p.name, n, pass, unfilled, late-unfilled, n-pass-late, n-len(shown), at(0.01), at(0.1), at(0.5), at(0.9))
	}
}
