package bench

import (
	"context"
	"math"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"

	"github.com/assaynet/assay/challenges"
	"github.com/assaynet/assay/gpu"
	"github.com/assaynet/assay/gpu/models"
)

// honestLife is the speed of one honest card over its life, as a share of its
// model's: silicon with a standard deviation of 4 % cut at 12 %; noise of the day,
// AR(1) with 0.8; noise of the moment; heat waves of 2 to 6 days at -8 % on 4 % of
// days; on 3 % of days 1 to 6 hours at -10 to -25 %.
type honestLife struct {
	random  *rand.Rand
	silicon float64
	day     float64 // deviation of today
	today   int
	heat    int        // days left of a heat wave
	bad     [2]float64 // hours of today
	depth   float64    // of the bad hours
}

// The standard deviations of the two noises, which no source gives: with these the
// rules of 6 of 7 and 12 of 14 daily medians accuse as often as they were measured
// to (TestHonestLife).
const (
	honestDay    = 0.010
	honestMoment = 0.020
)

func newHonestLife(random *rand.Rand) *honestLife {
	l := &honestLife{random: random, silicon: 9, day: honestDay * random.NormFloat64()}
	for math.Abs(l.silicon-1) > 0.12 {
		l.silicon = 1 + 0.04*random.NormFloat64()
	}
	return l
}

// selfTest is the 10th percentile of the figures of a day: what an honest offer
// claims.
func (l *honestLife) selfTest() float64 {
	v := l.selfTests()
	return v[len(v)/10]
}

// selfTests are ascending figures, one every 5 minutes, of the first day, which has
// neither heat nor bad hours.
func (l *honestLife) selfTests() []float64 {
	var v []float64
	for range 288 {
		v = append(v, l.now(12))
	}
	slices.Sort(v)
	return v
}

// at is the speed at an hour of the life; hours never fall.
func (l *honestLife) at(hour float64) float64 {
	for l.today < int(hour/24) {
		l.today++
		l.dawn()
	}
	return l.now(math.Mod(hour, 24))
}

func (l *honestLife) dawn() {
	l.day = 0.8*l.day + honestDay*math.Sqrt(1-0.8*0.8)*l.random.NormFloat64()
	switch {
	case l.heat > 0:
		l.heat--
	case l.random.Float64() < 0.0104: // waves of 4 days on average: 4 % of days
		l.heat = 2 + l.random.IntN(5)
	}
	l.depth = 0
	if l.random.Float64() < 0.03 {
		from := float64(l.random.IntN(24))
		l.bad = [2]float64{from, from + 1 + float64(l.random.IntN(6))}
		l.depth = 0.10 + 0.15*l.random.Float64()
	}
}

func (l *honestLife) now(hour float64) float64 {
	x := l.silicon * (1 + l.day + honestMoment*l.random.NormFloat64())
	if l.heat > 0 {
		x *= 0.92
	}
	if l.depth > 0 && hour >= l.bad[0] && hour < l.bad[1] {
		x *= 1 - l.depth
	}
	return x
}

// honestDevice is a simulated device that runs as fast as an honest card does at
// that time of its life. It claims the 10th percentile of its own self-test.
type honestDevice struct {
	gpu.Device
	claims  models.Spec
	nominal float64       // its model's ops/s
	stalls  *honestStalls // nil: it never stops

	mu    sync.Mutex
	life  *honestLife
	hour  float64
	truth map[challenges.Hash]uint64 // ops/s while it answered a challenge
}

// honestEvery is the time of a card's life between two of its challenges: 12 a day.
const honestEvery = 2.0

func newHonestDevice(t *testing.T, random *rand.Rand, nominal uint64, stalls *honestStalls) *honestDevice {
	t.Helper()
	d := &honestDevice{
		nominal: float64(nominal), stalls: stalls, life: newHonestLife(random),
		hour: 24 * float64(1+random.IntN(90)), truth: make(map[challenges.Hash]uint64),
	}
	// A simulated device offers 95 % of what its model claims.
	d.claims = models.Spec{Name: "honest", Simulated: true, Memory: 1 << 30, Int8Ops: uint64(d.life.selfTest()*d.nominal/95) * 100}
	sim, err := gpu.NewSim(gpu.SimConfig{ID: "gpu0", Claims: d.claims, Runs: d.claims})
	if err != nil {
		t.Fatal(err)
	}
	d.Device = sim
	return d
}

// Start runs the job at this moment's speed.
func (d *honestDevice) Start(ctx context.Context, job gpu.Job) (gpu.Run, error) {
	d.mu.Lock()
	d.hour += honestEvery
	rate := uint64(d.nominal * d.life.at(d.hour))
	d.truth[job.ID] = rate
	d.mu.Unlock()
	if d.stalls != nil {
		return newStallRun(ctx, d.Info(), job, rate, d.stalls)
	}
	sim, err := gpu.NewSim(gpu.SimConfig{ID: "gpu0", Claims: d.claims, Runs: models.Spec{Simulated: true, Int8Ops: rate}})
	if err != nil {
		return nil, err
	}
	return sim.Start(ctx, job)
}

func (d *honestDevice) rate(id challenges.Hash) uint64 {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.truth[id]
}
