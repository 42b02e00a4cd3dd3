package bench

import (
	"encoding/binary"
	"flag"
	"fmt"
	"maps"
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
	sharingFull = flag.Int("sharing", 0, "so many worlds of 2,000 devices in each row of TestSharing, and so many hundred in TestSharingDevnet")
	sharingSeed = flag.Uint64("sharing.seed", 9000, "seed of the first world; the rules were chosen on others, from 1 to 220")
)

// sharingCheat is what two devices do that are one card, and what is about them.
type sharingCheat struct {
	name    string
	pairs   int     // of 2,000 devices; the same share of fewer, at least one
	speed   float64 // of each while both run
	refuse  int     // in place of slow: 1, the same one refuses always; 2, the one that is asked later
	triple  bool    // every two pairs are three devices instead, at two thirds of the speed when all run
	hosts   bool    // the pairs are those of whole hosts under two names
	slow    float64 // share of all figures that are slow for no reason
	site    float64 // share of slots in which a whole site is slow
	evasion float64 // share of common slots in which a device is spared
	spare   float64 // share of common slots in which a second card is at hand
	least   int     // percent of the pairs that must be found; 0: it is only said how many are
}

func sharingCheats() []sharingCheat {
	return []sharingCheat{
		{name: "halving", pairs: 60, speed: 0.5, least: 70},
		{name: "one refuses", pairs: 60, speed: 1, refuse: 1, least: 70},
		{name: "noisy: 3 % slow, 3 % site events, 15 % evasion", pairs: 60, speed: 0.5, slow: 0.03, site: 0.03, evasion: 0.15, least: 70},
		{name: "slowdown to 0.7", pairs: 60, speed: 0.7, least: 70},
		{name: "no sharing", speed: 1},
		{name: "no sharing, noisy", speed: 1, slow: 0.03, site: 0.03},
		{name: "`busy` to the second", pairs: 60, speed: 1, refuse: 2, least: 70},
		{name: "noisy, a second card in 15 %", pairs: 60, speed: 0.5, slow: 0.03, site: 0.03, spare: 0.15},
		{name: "the same, `busy` to the second", pairs: 60, speed: 1, refuse: 2, slow: 0.03, site: 0.03, spare: 0.15},
		{name: "hosts of 8 under two names", pairs: 64, speed: 0.5, hosts: true},
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
type sharingFound struct{ found, of, wrong, screened, pairs int }

func (a *sharingFound) add(b sharingFound) {
	a.found += b.found
	a.of += b.of
	a.wrong += b.wrong
	a.screened += b.screened
	a.pairs += b.pairs
}

// judge is what the test says so far, and whom it wants to watch.
func (w *sharingWorld) judge() (sharingFound, []committee.Pair) {
	f := sharingFound{pairs: len(w.targets) * (len(w.targets) - 1) / 2}
	devices := make(map[int]int)
	for _, t := range w.targets {
		devices[w.card[t]]++
	}
	for _, n := range devices {
		f.of += n * (n - 1) / 2
	}
	shared := reputation.Sharing(w.ran, &w.params)
	for _, s := range shared {
		switch one := w.card[s.A] == w.card[s.B]; {
		case !one:
			f.screened++
			f.wrong += int(honestShare(s.Confirmed))
		case s.Confirmed:
			f.found++
		}
	}
	return f, reputation.Watched(shared)
}

// until runs slots up to a given one. Pairs that pass the screen are watched from another
// on; what the test says is kept by slot.
func (w *sharingWorld) until(slot, aim uint64, say map[uint64]*sharingFound) {
	var watched []committee.Pair
	for w.slot < slot {
		if w.slot >= aim {
			_, watched = w.judge()
		}
		w.run(watched)
		if sum := say[w.slot]; sum != nil {
			f, _ := w.judge()
			sum.add(f)
		}
	}
}

// sharingRow is what is found of a cheat after so many slots.
type sharingRow struct {
	aimed  map[uint64]*sharingFound // 48 by chance, then aimed at those that pass the screen
	live   map[uint64]*sharingFound // aimed from the first one on
	chance map[uint64]*sharingFound // nobody aims
}

func sharingSlots(slots ...uint64) map[uint64]*sharingFound {
	out := make(map[uint64]*sharingFound)
	for _, s := range slots {
		out[s] = new(sharingFound)
	}
	return out
}

func sharingRun(cheat sharingCheat, devices int, seeds []uint64, full bool) sharingRow {
	row := sharingRow{sharingSlots(72), nil, nil}
	if full {
		row = sharingRow{sharingSlots(72, 96), sharingSlots(48, 72), sharingSlots(72, 96, 120, 144, 168)}
	}
	const never = 1000
	for _, seed := range seeds {
		for _, part := range []struct {
			say map[uint64]*sharingFound
			aim uint64
		}{{row.aimed, 48}, {row.live, 0}, {row.chance, never}} {
			if len(part.say) > 0 {
				last := slices.Max(slices.Collect(maps.Keys(part.say)))
				newSharingWorld(cheat, committee.Standard(), devices, seed).until(last, part.aim, part.say)
			}
		}
	}
	return row
}

// TestSharing lets devices that are one card run in global slots, as they are
// planned, and asks the sharing test: it finds most of them, and nobody else.
func TestSharing(t *testing.T) {
	devices, seeds := 240, []uint64{*sharingSeed}
	for k := 1; k < *sharingFull; k++ {
		seeds = append(seeds, *sharingSeed+uint64(k))
	}
	full := *sharingFull > 0
	if full {
		devices = 2000
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%d devices, %d worlds, all rules of the standard network.\n\n", devices, len(seeds))
	fmt.Fprintf(&b, "| world | found by 48 + 24 slots | false | false that passed the screen |")
	if full {
		fmt.Fprintf(&b, " by 48 + 48 | aimed from the first on: by 48 | by 72 | never aimed: by 72 | 96 | 120 | 144 | 168 | false in all of these |")
	}
	b.WriteString("\n")
	for i, cheat := range sharingCheats() {
		if testing.Short() && i%4 != 0 {
			continue
		}
		row := sharingRun(cheat, devices, seeds, full)
		f := row.aimed[72]
		fmt.Fprintf(&b, "| %s | %d of %d | %d | %d |", cheat.name, f.found, f.of, f.wrong, f.screened)
		if 100*f.found < cheat.least*f.of {
			t.Errorf("%s: found %d of %d pairs", cheat.name, f.found, f.of)
		}
		worst := 0
		for _, say := range []map[uint64]*sharingFound{row.aimed, row.live, row.chance} {
			for _, f := range say {
				worst = max(worst, f.wrong)
			}
		}
		if full {
			fmt.Fprintf(&b, " %d |", row.aimed[96].found)
			for _, say := range []map[uint64]*sharingFound{row.live, row.chance} {
				for _, s := range slices.Sorted(maps.Keys(say)) {
					fmt.Fprintf(&b, " %d |", say[s].found)
				}
			}
			fmt.Fprintf(&b, " %d |", worst)
		}
		b.WriteString("\n")
		if worst > 0 {
			t.Errorf("%s: %d innocent pairs confirmed, of %d", cheat.name, worst, f.pairs)
		}
	}
	t.Log("\n" + b.String())
}

// TestSharingDevnet runs worlds of nine devices by the devnet's parameters, with
// one pair or none, aimed from the first epoch on.
func TestSharingDevnet(t *testing.T) {
	worlds, epochs := 8, 40
	if *sharingFull > 0 {
		worlds, epochs = 100**sharingFull, 60
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%d worlds of 9 devices, 2 %% of figures slow for no reason, %d epochs of 3 slots.\n\n", worlds, epochs)
	fmt.Fprintf(&b, "| world | found | slots, median | p95 | worlds with an innocent pair confirmed |\n")
	for _, cheat := range []sharingCheat{
		{name: "halving", pairs: 1, speed: 0.5, slow: 0.02, least: 90},
		{name: "one refuses", pairs: 1, speed: 1, refuse: 1, slow: 0.02, least: 90},
		{name: "`busy` to the second", pairs: 1, speed: 1, refuse: 2, slow: 0.02, least: 90},
		{name: "no sharing", speed: 1, slow: 0.02},
	} {
		var took []uint64
		wrong := 0
		for k := range worlds {
			w := newSharingWorld(cheat, committee.Devnet(), 9, *sharingSeed+uint64(k))
			var watched []committee.Pair
			found, innocent := uint64(0), false
			for range epochs {
				for range w.params.Slots { // those of an epoch are planned at once
					w.run(watched)
				}
				var f sharingFound
				f, watched = w.judge()
				if f.found > 0 && found == 0 {
					found = w.slot
					took = append(took, found)
				}
				innocent = innocent || f.wrong > 0
			}
			wrong += int(honestShare(innocent))
		}
		slices.Sort(took)
		fmt.Fprintf(&b, "| %s | %d |", cheat.name, len(took))
		if n := len(took); n > 0 {
			fmt.Fprintf(&b, " %d | %d |", took[n/2], took[n*95/100])
		} else {
			b.WriteString(" - | - |")
		}
		fmt.Fprintf(&b, " %d |\n", wrong)
		if 100*len(took) < cheat.least*worlds || 100*wrong > worlds {
			t.Errorf("%s: found in %d of %d worlds, innocent pairs in %d", cheat.name, len(took), worlds, wrong)
		}
	}
	t.Log("\n" + b.String())
}

// BenchmarkSharing is the test over 2,000 devices, in a noisy world with cheats.
func BenchmarkSharing(b *testing.B) {
	for _, slots := range []uint64{72, 720} {
		b.Run(fmt.Sprint(slots), func(b *testing.B) {
			w := newSharingWorld(sharingCheats()[2], committee.Standard(), 2000, 1)
			w.until(slots, slots, nil)
			for b.Loop() {
				reputation.Sharing(w.ran, &w.params)
			}
		})
	}
}
