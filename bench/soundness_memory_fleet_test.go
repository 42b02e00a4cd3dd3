package bench

import (
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/assaynet/assay/challenges"
	judged "github.com/assaynet/assay/checker/evidence"
	"github.com/assaynet/assay/gpu"
	"github.com/assaynet/assay/gpu/models"
	"github.com/assaynet/assay/prover/cheat"
)

// cardDevices are n devices of a pool of cards, each of which claims to be one.
func cardDevices(t *testing.T, cards, n int) []gpu.Device {
	t.Helper()
	return poolDevices(t, cards, n, false)
}

func poolDevices(t *testing.T, cards, n int, whole bool) (out []gpu.Device) {
	t.Helper()
	spec, err := models.Lookup("sim-100")
	if err != nil {
		t.Fatal(err)
	}
	pool := cheat.NewPool(cheat.PoolConfig{Cards: cards, Runs: spec, Whole: whole})
	for i := range n {
		d, err := pool.Device(fmt.Sprint("gpu", i), spec)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, d)
	}
	return out
}

// fleet is a group of devices and how a checker runs them together.
type fleet struct {
	name           string
	cards, devices int
	whole          bool          // the cards serve one device after another
	skew           time.Duration // the checker's: between the first start and the last
	by             time.Duration // the provider's: half of its devices begin so late
	fewer          bool          // no second instant: each nonce leaves as soon as its dataset is filled
}

// run runs all devices from one instant, and says what a checker would find.
func (f fleet) run(t *testing.T, row uint16) (members []judged.Member) {
	t.Helper()
	devices := poolDevices(t, f.cards, f.devices, f.whole)
	for i := f.devices / 2; i < f.devices && f.by > 0; i++ {
		devices[i] = cheat.Skewed{Device: devices[i], By: f.by}
	}
	a := newArena(t, time.Millisecond, nil, devices...)
	members = make([]judged.Member, f.devices)
	var running, filled sync.WaitGroup
	filled.Add(f.devices)
	at := time.Now()
	for i, d := range devices {
		running.Go(func() {
			arrive := sync.OnceFunc(filled.Done)
			defer arrive()
			time.Sleep(time.Duration(i) * f.skew / time.Duration(max(1, f.devices-1)))
			left := time.Since(at)
			if row == 501 {
				s, set := a.playMemory(memoryBout{device: d.Info().ID, filled: func() {
					arrive()
					if !f.fewer {
						filled.Wait()
					}
				}})
				v := s.Verdict()
				members[i] = judged.Member{Verdict: v, Claim: set.Bytes(), Proven: set.Proven(v.OpsLower)}
				return
			}
			p, err := challenges.LookupProfile(row)
			if err != nil {
				panic(err)
			}
			s := a.play(bout{profile: row, device: d.Info().ID})
			m := judged.Member{Verdict: s.Verdict(), Claim: 95e6, Course: judged.Course{Start: left, Ops: p.Shape.Ops()}}
			for _, in := range judged.RootTimes(s.Transcript().Events) {
				m.Course.Ends = append(m.Course.Ends, left+in)
			}
			members[i] = m
		})
	}
	running.Wait()
	return members
}

// apart is what counting each device alone would show: the sum of all bounds over
// the sum of all claims, and how many devices pass.
func apart(members []judged.Member) (share float64, pass int) {
	var sum, claim float64
	for _, m := range members {
		claim += float64(m.Claim)
		switch {
		case m.Verdict.Outcome == challenges.Pass:
			pass++
			fallthrough
		case m.Verdict.Outcome == challenges.Late:
			if len(m.Course.Ends) > 0 {
				sum += float64(m.Verdict.OpsLower)
			} else {
				sum += float64(m.Proven)
			}
		}
	}
	return sum / claim, pass
}

// TestFleetSums: more devices than cards. What they show together is what the
// cards have, whatever is served first and whoever begins late; what each shows
// for itself is not.
func TestFleetSums(t *testing.T) {
	fleets := []fleet{
		{name: "3 on 3", cards: 3, devices: 3},
		{name: "2 on 1", cards: 1, devices: 2},
		{name: "4 on 3", cards: 3, devices: 4},
		{name: "8 on 7", cards: 7, devices: 8},
		{name: "2 on 1, the checker 1 s askew", cards: 1, devices: 2, skew: time.Second},
		{name: "4 on 3, the checker 1 s askew", cards: 3, devices: 4, skew: time.Second},
		{name: "4 on 3, half begin 1 s late", cards: 3, devices: 4, by: time.Second},
		{name: "2 on 1, one after the other", cards: 1, devices: 2, whole: true},
		{name: "4 on 2, one after the other", cards: 2, devices: 4, whole: true},
		{name: "2 on 1, begun one after the other", cards: 1, devices: 2, skew: 6 * time.Second},
	}
	rows := []uint16{1, 8}
	if testing.Short() {
		fleets, rows = slices.Delete(fleets, 3, 4), rows[:1]
	}
	if *soundness > 0 {
		fmt.Println("\n| row | fleet | cards / devices | together, of the claim | prediction | each alone | pass alone |\n|---|---|---|---|---|---|---|")
	}
	for _, number := range rows {
		row, err := challenges.LookupProfile(number)
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range fleets {
			synctest.Test(t, func(t *testing.T) {
				members := f.run(t, number)
				sum, claim := judged.FleetSum(members)
				got := float64(sum) / float64(claim)
				alone, pass := apart(members)
				// The cards run at the model's rate, of which 95 % are claimed.
				has := min(1, float64(f.cards)/float64(f.devices)) / 0.95
				if claim == 0 || got > has*1.0001 {
					t.Errorf("row %d, %s: %.3f of the claim together, the cards have %.3f", number, f.name, got, has)
				}
				if f.skew == 0 && f.by == 0 && got < has*0.9 {
					t.Errorf("row %d, %s: %.3f of the claim together, of cards that have %.3f", number, f.name, got, has)
				}
				if *soundness > 0 {
					fmt.Printf("| %s | %s | %.3f | %.3f | %.3f | %.3f | %d of %d |\n",
						row.Name, f.name, float64(f.cards)/float64(f.devices), got, has, alone, pass, f.devices)
				}
			})
		}
	}
}

// TestMemoryFleets: datasets that share memory. Walked at one time after all are
// filled, they are proven to be what the cards hold, no more. Without that second
// instant one card fills and walks for one device after another.
func TestMemoryFleets(t *testing.T) {
	// A device's whole run, on a card of its own.
	const turn = 550 * time.Millisecond
	fleets := []fleet{
		{name: "3 on 3", cards: 3, devices: 3},
		{name: "2 on 1", cards: 1, devices: 2},
		{name: "4 on 3", cards: 3, devices: 4},
		{name: "8 on 7", cards: 7, devices: 8},
		{name: "2 on 1, one begins late", cards: 1, devices: 2, by: turn},
		{name: "2 on 1, one after the other", cards: 1, devices: 2, whole: true},
		{name: "2 on 1, one begins late; no second instant", cards: 1, devices: 2, by: turn, fewer: true},
	}
	if testing.Short() {
		fleets = slices.Delete(fleets, 2, 4)
	}
	if *soundness > 0 {
		fmt.Println("\n| fleet | memory / claim | proven together, of the claim | pass |\n|---|---|---|---|")
	}
	for _, f := range fleets {
		synctest.Test(t, func(t *testing.T) {
			members := f.run(t, 501)
			sum, claim := judged.FleetSum(members)
			_, pass := apart(members)
			got := float64(sum) / float64(claim)
			// A dataset is 90 % of what a card has.
			has := min(1, float64(f.cards)/float64(f.devices)/0.9)
			if claim == 0 || (got > has) != f.fewer {
				t.Errorf("%s: %.3f of the claim together, the cards have %.3f", f.name, got, has)
			}
			if f.cards == f.devices && got < 0.9 {
				t.Errorf("%s: %.3f of the claim together", f.name, got)
			}
			if *soundness > 0 {
				fmt.Printf("| %s | %.3f | %.3f | %d of %d |\n", f.name, has, got, pass, f.devices)
			}
		})
	}
}
