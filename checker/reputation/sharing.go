package reputation

import (
	"cmp"
	"math/big"
	"math/bits"
	"slices"

	"github.com/assaynet/assay/challenges"
	"github.com/assaynet/assay/checker/committee"
)

// Ran is one device's part in one global slot.
type Ran struct {
	Slot    uint64
	Target  committee.Target
	Ops     uint64 // figure, ops/s; 0: none
	Flavour challenges.Flavour
	Slow    bool // refused, but not neutrally, late or withheld
	Void    bool // whether the device ran is not known
}

// Shared is a pair of devices that passed the screen of the sharing test.
type Shared struct {
	A, B         committee.Target
	Either       bool    // together, either of them may be the slow one
	P            float64 // of the screen
	Screened     uint64  // slot after which it passed
	Together     int     // later slots in which both ran, as far as they count
	TogetherSlow int
	Apart        int // later slots in which A ran and B did not, as far as they count
	ApartSlow    int
	Confirmed    bool
	Cleared      bool // neither: the pair is to be watched
}

// Sharing looks for devices that are one card, whoever offers them. Of two such
// devices one is slow where both run, and only there. The result is ascending by
// A, then B; the order of ran does not matter.
//
// A device that was to run, and of which nothing is known, must be there as void:
// without an entry it was out, and free.
func Sharing(ran []Ran, p *committee.Params) []Shared {
	w := newSharing(ran, p)
	var out []Shared
	for i := range w.devices {
		for j := range w.devices[:i] {
			if s, ok := w.pair(&w.devices[j], &w.devices[i]); ok {
				out = append(out, s)
			}
		}
	}
	slices.SortFunc(out, func(a, b Shared) int { return cmp.Or(a.A.Compare(b.A), a.B.Compare(b.B)) })
	return out
}

// sharing is what ran, as sets of slots.
type sharing struct {
	p       *committee.Params
	slots   []uint64 // ascending
	devices []sharer // ascending by target
	tests   map[table]float64
}

// sharer is one device. Bit i of a set is the i-th slot.
type sharer struct {
	target         committee.Target
	in, slow, void []uint64 // it ran; and was slow; or nobody knows
	slows, least   int      // slots in which it was slow; fewer pass no screen
}

const par = 1e6 // a device at its usual rate, in millionths

func newSharing(ran []Ran, p *committee.Params) *sharing {
	w := &sharing{p: p, tests: make(map[table]float64)}
	ran = unambiguous(ran)
	for _, r := range ran {
		w.slots = append(w.slots, r.Slot)
	}
	slices.Sort(w.slots)
	w.slots = slices.Compact(w.slots)
	shares := relative(ran)
	words := (len(w.slots) + 63) / 64
	for k, r := range ran {
		if n := len(w.devices); n == 0 || w.devices[n-1].target != r.Target {
			set := make([]uint64, 3*words)
			w.devices = append(w.devices, sharer{target: r.Target, in: set[:words], slow: set[words : 2*words], void: set[2*words:]})
		}
		d := &w.devices[len(w.devices)-1]
		at, _ := slices.BinarySearch(w.slots, r.Slot)
		bit := uint64(1) << (at % 64)
		switch {
		case r.Void || r.Ops == 0 && !r.Slow: // a neutral refusal says nothing either
			d.void[at/64] |= bit
			continue
		case r.Slow, shares[k] < uint64(p.SharingSlow)*(par/100):
			d.slow[at/64] |= bit
			d.slows++
		}
		d.in[at/64] |= bit
	}
	for i := range w.devices {
		d := &w.devices[i]
		n := 0
		for _, v := range d.in {
			n += bits.OnesCount64(v)
		}
		for d.least = 1; d.least <= n && !w.telling(n, d.least); d.least++ {
		}
	}
	return w
}

// unambiguous is ran by target and slot, each once. Entries that contradict each
// other are void.
func unambiguous(ran []Ran) []Ran {
	ran = slices.Clone(ran)
	slices.SortFunc(ran, func(a, b Ran) int { return cmp.Or(a.Target.Compare(b.Target), cmp.Compare(a.Slot, b.Slot)) })
	out := ran[:0]
	for _, r := range ran {
		if n := len(out); n == 0 || out[n-1].Target != r.Target || out[n-1].Slot != r.Slot {
			out = append(out, r)
		} else if out[n-1] != r {
			out[n-1] = Ran{Slot: r.Slot, Target: r.Target, Void: true}
		}
	}
	return out
}

// relative is each figure as a share of the device's usual figure and of what its
// provider's devices did in that slot, in millionths: integers, the same on every
// machine. Ran must be in order of targets.
func relative(ran []Ran) []uint64 {
	type site struct {
		slot     uint64
		provider challenges.NodeID
	}
	shares := make([]uint64, len(ran))
	sites := make(map[site][]uint64)
	for from := 0; from < len(ran); {
		to := from
		figures := make(map[challenges.Flavour][]uint64)
		for ; to < len(ran) && ran[to].Target == ran[from].Target; to++ {
			if r := ran[to]; r.Ops > 0 && !r.Void {
				figures[r.Flavour] = append(figures[r.Flavour], r.Ops)
			}
		}
		for _, v := range figures {
			slices.Sort(v)
		}
		for k := from; k < to; k++ {
			if r := ran[k]; r.Ops > 0 && !r.Void {
				shares[k] = ratio(r.Ops, usual(figures[r.Flavour]))
				at := site{r.Slot, r.Target.Provider}
				sites[at] = append(sites[at], shares[k])
			}
		}
		from = to
	}
	for k, r := range ran {
		// Two devices of a site are no witness against each other.
		if v := sites[site{r.Slot, r.Target.Provider}]; len(v) >= 3 && shares[k] > 0 {
			shares[k] = ratio(shares[k], min(par, max(1, slices.Max(v))))
		}
	}
	return shares
}

// usual is a device's usual figure, of its sorted ones.
func usual(figures []uint64) uint64 { return figures[len(figures)*9/10] }

// pair follows two devices through the slots: from the screen to the verdict, and
// where that clears them, on to the next screen.
func (w *sharing) pair(x, y *sharer) (Shared, bool) {
	var out Shared
	found := false
	for from := 0; ; {
		s, at, ok := w.screen(x, y, from)
		if !ok {
			return out, found
		}
		out, found = s, true
		a, b := x, y
		if out.A != x.target {
			a, b = y, x
		}
		from = w.follow(&out, a, b, at+1)
		if !out.Cleared {
			return out, true
		}
	}
}

// screen is the first slot, of those from a given one on, after which a pair
// passes the screen from either side.
func (w *sharing) screen(x, y *sharer, from int) (out Shared, at int, ok bool) {
	at = len(w.slots)
	try := func(a, b *sharer, either bool) {
		if n, p, passes := w.look(a, b, either, from); passes && (n < at || n == at && p < out.P) {
			at, ok = n, true
			out = Shared{A: a.target, B: b.target, Either: either, P: p, Screened: w.slots[n]}
		}
	}
	try(x, y, false)
	try(y, x, false)
	try(x, y, true)
	return out, at, ok
}

// look is the screen from one side: a is slow where b runs too, and else it is
// not. With either set, one of them is slow where both run, each in a quarter of
// those slots or more, and else neither is. Without the quarter a device that is
// never slow would pass beside one that is slow because of a third.
func (w *sharing) look(a, b *sharer, either bool, from int) (int, float64, bool) {
	least, slows := a.least, a.slows
	if either {
		least, slows = max(a.least, b.least), a.slows+b.slows
	}
	if slows < least || !w.maybe(a, b, either, least, from) {
		return 0, 0, false
	}
	var ta, tb table
	byA, byB := 0, 0
	for s := from; s < len(w.slots); s++ {
		inA, inB := has(a.in, s), has(b.in, s)
		switch {
		case inA && inB:
			slowA, slowB := has(a.slow, s), has(b.slow, s)
			slow := slowA || either && slowB
			ta.add(slow, true)
			tb.add(slow, true)
			byA, byB = byA+one(slowA), byB+one(slowB)
		case inA && !has(b.void, s):
			ta.add(has(a.slow, s), false)
		case inB && !has(a.void, s):
			tb.add(has(b.slow, s), false)
		default:
			continue
		}
		p, ok := w.passes(&ta)
		if ok && either {
			q, also := w.passes(&tb)
			p, ok = max(p, q), also && 4*min(byA, byB) >= ta.together
		}
		if ok {
			return s, p, true
		}
	}
	return 0, 0, false
}

// maybe is false for most pairs at once: in none of the slots where both ran, and
// one was slow, the share of such slots came up to what the screen asks.
func (w *sharing) maybe(a, b *sharer, either bool, least, from int) bool {
	together, slow := 0, 0
	for k := from / 64; k < len(a.in); k++ {
		both, hits := a.in[k]&b.in[k], a.slow[k]
		if either {
			hits |= b.slow[k]
		}
		if k == from/64 {
			both &= ^uint64(0) << (from % 64)
		}
		for hits &= both; hits != 0; hits &= hits - 1 {
			slow++
			upTo := together + bits.OnesCount64(both&(hits^(hits-1)))
			if slow >= least && 10*slow >= 7*upTo {
				return true
			}
		}
		together += bits.OnesCount64(both)
	}
	return false
}

// table is the fourfold table of the test.
type table struct{ together, slow, apart, apartSlow int }

func (t *table) add(slow, together bool) {
	if together {
		t.together++
		t.slow += one(slow)
	} else {
		t.apart++
		t.apartSlow += one(slow)
	}
}

// passes reports whether a table passes the screen.
func (w *sharing) passes(t *table) (float64, bool) {
	n, slow := t.together+t.apart, t.slow+t.apartSlow
	// No table of these margins has a smaller p than one in the number of ways to
	// choose one of them.
	if t.slow == 0 || t.apart == 0 || 10*t.slow < 7*t.together || 10*t.apartSlow > 2*t.apart ||
		!w.telling(n, slow) || !w.telling(n, t.together) {
		return 1, false
	}
	p := w.fisher(t)
	return p, p < float64(w.p.SharingScreen)/1e6
}

// fisher is Fisher's exact test, one-sided: how likely are so many of the slow
// slots among those together, if it were all the same to the device?
func (w *sharing) fisher(t *table) float64 {
	if p, ok := w.tests[*t]; ok {
		return p
	}
	n, slow := t.together+t.apart, t.slow+t.apartSlow
	choose := func(n, k int) *big.Int { return new(big.Int).Binomial(int64(n), int64(k)) }
	ways := new(big.Int)
	for k := t.slow; k <= min(slow, t.together); k++ {
		ways.Add(ways, new(big.Int).Mul(choose(slow, k), choose(n-slow, t.together-k)))
	}
	p, _ := new(big.Rat).SetFrac(ways, choose(n, t.together)).Float64()
	w.tests[*t] = p
	return p
}

// telling reports that one choice of k out of n is rare enough for the screen.
func (w *sharing) telling(n, k int) bool {
	ways := uint64(1)
	for i := range min(k, n-k) {
		if ways = ways * uint64(n-i) / uint64(i+1); ways*uint64(w.p.SharingScreen) > 1e6 {
			return true
		}
	}
	return false
}

// follow counts the slots after the screen until there are enough of both kinds.
// It returns the first slot that it left out.
func (w *sharing) follow(out *Shared, a, b *sharer, from int) int {
	half := int(w.p.SharingTargeted) / 2
	byA, byB := 0, 0
	for s := from; s < len(w.slots); s++ {
		slowA, slowB := has(a.slow, s), has(b.slow, s)
		switch {
		case !has(a.in, s) || has(b.void, s):
		case has(b.in, s) && out.Together < half:
			out.Together++
			out.TogetherSlow += one(slowA || out.Either && slowB)
			byA, byB = byA+one(slowA), byB+one(slowB)
		case !has(b.in, s) && out.Apart < half:
			out.Apart++
			out.ApartSlow += one(slowA)
		}
		missed := out.Together - out.TogetherSlow
		switch {
		case 12*missed > 2*half, 12*out.ApartSlow > 2*half:
			out.Cleared = true // whatever comes
			return s + 1
		case out.Together == half && out.Apart == half:
			out.Confirmed = (!out.Either || 4*min(byA, byB) >= half) && !w.rival(a, b, out.Either, s+1)
			out.Cleared = !out.Confirmed
			return s + 1
		}
	}
	return len(w.slots)
}

// rival reports a third device whose slots go with a's slow ones better than b's
// do, over all slots before a given one. Without it a true partner that is not
// under test makes one device in some thousands look like it.
func (w *sharing) rival(a, b *sharer, either bool, until int) bool {
	count := func(c *sharer) (t table) {
		for s := range until {
			if has(a.in, s) && !has(c.void, s) {
				in := has(c.in, s)
				t.add(has(a.slow, s) || either && in && has(c.slow, s), in)
			}
		}
		return t
	}
	t := count(b)
	p := w.fisher(&t)
	for i := range w.devices {
		if c := &w.devices[i]; c != a && c != b {
			if t := count(c); 10*t.slow >= 7*t.together && w.fisher(&t) < p {
				return true
			}
		}
	}
	return false
}

func has(set []uint64, i int) bool { return set[i/64]>>(i%64)&1 == 1 }

func one(b bool) int {
	if b {
		return 1
	}
	return 0
}
