package bench

import (
	"encoding/binary"
	"flag"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/assaynet/assay/challenges"
	"github.com/assaynet/assay/checker/committee"
	"github.com/assaynet/assay/checker/reputation"
)

var (
	sharingFull = flag.Int("sharing", 0, "so many worlds in each row of TestSharing and TestSharingDevnet, and their tables")
	sharingSeed = flag.Uint64("sharing.seed", 9000, "seed of the first world; the rules were chosen on others, from 1 on")
)

// sharingCheat is what two devices do that are one card, and what is about them.
type sharingCheat struct {
	name    string
	pairs   int     // of 2,000 devices
	speed   float64 // of each while both run
	refuse  int     // in place of slow: 1, the same one refuses always; 2, the one that is asked later
	triple  bool    // every two pairs are three devices instead, at two thirds of the speed when all run
	hosts   bool    // the pairs are those of whole hosts under two names
	slow    float64 // share of all figures that are slow for no reason
	site    float64 // share of slots in which a whole site is slow
	evasion float64 // share of common slots in which a device is spared
	spare   float64 // share of common slots in which a second card is at hand
}

func sharingCheats() []sharingCheat {
	return []sharingCheat{
		{name: "halving", pairs: 60, speed: 0.5},
		{name: "one refuses", pairs: 60, speed: 1, refuse: 1},
		{name: "noisy", pairs: 60, speed: 0.5, slow: 0.03, site: 0.03, evasion: 0.15},
		{name: "slowdown to 0.7", pairs: 60, speed: 0.7},
		{name: "no sharing", speed: 1},
		{name: "no sharing, noisy", speed: 1, slow: 0.03, site: 0.03},
		{name: "busy to the second", pairs: 60, speed: 1, refuse: 2},
		{name: "the same, noisy", pairs: 60, speed: 1, refuse: 2, slow: 0.03, site: 0.03, spare: 0.15},
		{name: "noisy, second card", pairs: 60, speed: 0.5, slow: 0.03, site: 0.03, spare: 0.15},
		{name: "hosts under two names", pairs: 64, speed: 0.5, hosts: true},
		{name: "three on one card", pairs: 60, speed: 0.5, triple: true},
	}
}

// sharingWorld is devices of which some are one card.
type sharingWorld struct {
	cheat    sharingCheat
	params   committee.Params
	registry committee.Registry
	beacon   challenges.Hash
	targets  []committee.Target
	card     map[committee.Target]int // which card it is
	noise    map[committee.Target]float64
	random   *rand.Rand
	slot     uint64 // the next
	ran      []reputation.Ran
}

const sharingSite = 8 // devices of a provider

func newSharingWorld(cheat sharingCheat, params committee.Params, devices int, seed uint64) *sharingWorld {
	w := &sharingWorld{
		cheat: cheat, params: params, random: rand.New(rand.NewPCG(seed, 8)),
		registry: committee.Registry{Name: "sharing", Genesis: 1, Simulated: true, Params: params},
		card:     make(map[committee.Target]int), noise: make(map[committee.Target]float64),
	}
	binary.LittleEndian.PutUint64(w.beacon[:], seed)
	for i := range byte(3) {
		w.registry.Checkers = append(w.registry.Checkers, committee.Member{ID: challenges.NodeID{i + 1}})
	}
	for i := range devices {
		t := committee.Target{Device: fmt.Sprint("gpu", i%sharingSite)}
		binary.BigEndian.PutUint32(t.Provider[:], uint32(i/sharingSite+1))
		w.targets = append(w.targets, t)
		w.card[t] = i
		w.noise[t] = w.random.NormFloat64()
	}
	pairs := (cheat.pairs*devices + 1999) / 2000
	order := w.random.Perm(devices)
	switch {
	case cheat.hosts:
		for i := range pairs / sharingSite * sharingSite {
			host := 2 * (i / sharingSite)
			w.card[w.targets[(host+1)*sharingSite+i%sharingSite]] = host*sharingSite + i%sharingSite
		}
	case cheat.triple:
		for i := range pairs / 2 {
			w.card[w.targets[order[3*i+1]]] = order[3*i]
			w.card[w.targets[order[3*i+2]]] = order[3*i]
		}
	default:
		for i := 0; i < pairs && 2*i+1 < devices; i++ {
			a, b := order[2*i], order[2*i+1]
			if w.targets[a].Provider == w.targets[b].Provider {
				order = w.random.Perm(devices) // seldom: as good a world as any
				clear(w.card)
				for k, t := range w.targets {
					w.card[t] = k
				}
				i = -1
				continue
			}
			w.card[w.targets[b]] = a
		}
	}
	return w
}

// run is one global slot, by the plans of all checkers.
func (w *sharingWorld) run(watched []committee.Pair) {
	p := &w.params
	epoch := w.slot / uint64(p.Slots) * uint64(p.SlotEvery)
	index := int(w.slot % uint64(p.Slots))
	var in []committee.Target
	for _, c := range w.registry.Checkers {
		for _, s := range committee.SlotPlan(&w.registry, w.beacon, c.ID, epoch, w.targets, watched) {
			if s.Index == index {
				in = append(in, s.Target)
			}
		}
	}
	slices.SortFunc(in, committee.Target.Compare)
	on := make(map[int]int) // devices of a card that run
	for _, t := range in {
		on[w.card[t]]++
	}
	site := make(map[challenges.NodeID]float64)
	spared, refusing := make(map[int]bool), make(map[int]int)
	for _, t := range in {
		if _, ok := site[t.Provider]; !ok {
			site[t.Provider] = 1
			if w.random.Float64() < w.cheat.site {
				site[t.Provider] = 0.4 + w.random.Float64()/2
			}
		}
		if c := w.card[t]; on[c] > 1 && refusing[c] == 0 {
			spared[c] = w.random.Float64() < w.cheat.spare
			refusing[c] = 1
			if w.cheat.refuse == 2 && w.random.Uint64()&1 == 0 {
				refusing[c] = 2
			}
		}
	}
	// An AR(1) with 0.8 from slot to slot, whether a device is in or not.
	for _, t := range w.targets {
		w.noise[t] = 0.8*w.noise[t] + 0.6*w.random.NormFloat64()
	}
	nth := make(map[int]int)
	for _, t := range in {
		c := w.card[t]
		nth[c]++
		r := reputation.Ran{Slot: w.slot, Target: t}
		speed := site[t.Provider] * math.Exp(0.03*w.noise[t]+0.01*w.random.NormFloat64())
		if on[c] > 1 && !spared[c] && w.random.Float64() >= w.cheat.evasion {
			speed *= w.cheat.speed
			if on[c] > 2 {
				speed *= 2. / 3
			}
			r.Slow = w.cheat.refuse > 0 && nth[c] == refusing[c]
		}
		if w.random.Float64() < w.cheat.slow {
			speed *= 0.3 + 0.45*w.random.Float64()
		}
		if !r.Slow {
			r.Ops = uint64(1e12 * speed)
		}
		w.ran = append(w.ran, r)
	}
	w.slot++
}

// sharingFound is what the test says, against the truth.
type sharingFound struct{ found, of, wrong, wronglyScreened, pending int }

func (w *sharingWorld) judge() (sharingFound, []committee.Pair) {
	var f sharingFound
	devices := make(map[int]int)
	for _, t := range w.targets {
		devices[w.card[t]]++
	}
	for _, n := range devices {
		f.of += n * (n - 1) / 2
	}
	shared := reputation.Sharing(w.ran, &w.params)
	for _, s := range shared {
		one := w.card[s.A] == w.card[s.B]
		switch {
		case !one:
			f.wronglyScreened++
			f.wrong += int(honestShare(s.Confirmed))
		case s.Confirmed:
			f.found++
		}
	}
	watched := reputation.Watched(shared)
	f.pending = len(watched)
	return f, watched
}

// sharingRow is a cheat's row: found after 48 random and 24 targeted slots, and by
// random slots alone.
type sharingRow struct {
	cheat    sharingCheat
	targeted sharingFound
	random   map[int]sharingFound
	screened int
}

func (a *sharingFound) add(b sharingFound) {
	a.found += b.found
	a.of += b.of
	a.wrong += b.wrong
	a.wronglyScreened += b.wronglyScreened
	a.pending += b.pending
}

func sharingRun(cheat sharingCheat, devices int, seeds []uint64, until int) sharingRow {
	row := sharingRow{cheat: cheat, random: make(map[int]sharingFound)}
	for _, seed := range seeds {
		w := newSharingWorld(cheat, committee.Standard(), devices, seed)
		var watched []committee.Pair
		for range 48 {
			w.run(nil)
		}
		plain := *w
		plain.ran = slices.Clip(plain.ran)
		for range 24 {
			_, watched = w.judge()
			row.screened = max(row.screened, len(watched))
			w.run(watched)
		}
		f, _ := w.judge()
		row.targeted.add(f)
		for plain.slot < uint64(until) {
			plain.run(nil)
			if plain.slot%24 == 0 {
				f, _ := plain.judge()
				sum := row.random[int(plain.slot)]
				sum.add(f)
				row.random[int(plain.slot)] = sum
			}
		}
	}
	return row
}

// TestSharing lets devices that are one card run in the global slots, as they are
// planned, and asks the sharing test.
func TestSharing(t *testing.T) {
	devices, until := 240, 0
	seeds := []uint64{*sharingSeed}
	if *sharingFull > 0 {
		devices, until = 2000, 168
		for k := 1; k < *sharingFull; k++ {
			seeds = append(seeds, *sharingSeed+uint64(k))
		}
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%d devices, %d worlds, 48 slots + 24 targeted\n", devices, len(seeds))
	for _, cheat := range sharingCheats() {
		row := sharingRun(cheat, devices, seeds, until)
		f := row.targeted
		fmt.Fprintf(&b, "| %s | %d of %d | %d | %d | %d |", cheat.name, f.found, f.of, f.wrong, f.wronglyScreened, f.pending)
		for n := 72; n <= until; n += 24 {
			fmt.Fprintf(&b, " %d/%d |", row.random[n].found, row.random[n].wrong)
		}
		b.WriteString("\n")
	}
	t.Log("\n" + b.String())
}

// sharingDevnet runs worlds of nine devices by the devnet's parameters, with one
// pair or none, watched from the first epoch on, for so many epochs.
func sharingDevnet(cheat sharingCheat, worlds, epochs int, seed uint64) (slots []int, wrong int) {
	params := committee.Devnet()
	for k := range worlds {
		w := newSharingWorld(cheat, params, 9, seed+uint64(k))
		var watched []committee.Pair
		found, false_ := 0, false
		for range epochs {
			for range params.Slots {
				w.run(watched)
			}
			f, next := w.judge()
			watched = next
			if f.found > 0 && found == 0 {
				found = int(w.slot)
			}
			false_ = false_ || f.wrong > 0
		}
		if found > 0 {
			slots = append(slots, found)
		}
		wrong += int(honestShare(false_))
	}
	slices.Sort(slots)
	return slots, wrong
}

func TestSharingDevnet(t *testing.T) {
	worlds, epochs := 20, 40
	if *sharingFull > 0 {
		worlds, epochs = 1000, 60
	}
	for _, cheat := range []sharingCheat{
		{name: "halving", pairs: 1, speed: 0.5, slow: 0.02},
		{name: "one refuses", pairs: 1, speed: 1, refuse: 1, slow: 0.02},
		{name: "busy to the second", pairs: 1, speed: 1, refuse: 2, slow: 0.02},
		{name: "no sharing", speed: 1, slow: 0.02},
	} {
		slots, wrong := sharingDevnet(cheat, worlds, epochs, *sharingSeed)
		n := len(slots)
		if n == 0 {
			slots = []int{0}
		}
		t.Logf("| %s | %d of %d | %d | %d | %d |", cheat.name, n, worlds, slots[len(slots)/2], slots[len(slots)*95/100], wrong)
	}
}
