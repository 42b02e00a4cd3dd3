package bench

import (
	"math/bits"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/assaynet/assay/challenges"
	"github.com/assaynet/assay/checker/committee"
	"github.com/assaynet/assay/checker/report"
	"github.com/assaynet/assay/checker/reputation"
)

// honestPool is what a path left of the true rate: figure / truth of the challenges
// that gave a figure, or the same with the benefit of the doubt. Histories of months
// draw from it.
func honestPool(runs []honestRun, doubt bool) []float64 {
	var pool []float64
	for _, r := range runs {
		switch {
		case r.verdict.OpsLower == 0:
		case doubt && r.complete:
			pool = append(pool, float64(r.fair())/float64(r.truth))
		default:
			pool = append(pool, float64(r.verdict.OpsLower)/float64(r.truth))
		}
	}
	return pool
}

// Bounds of the curve over the threshold, in percent of the claim.
const (
	belowFrom = 80
	belowTo   = 99
)

// honestBelow is how often honest providers are flagged below-claim, by threshold.
type honestBelow struct {
	name    string
	months  int
	first   [100]float64 // share of first months in which the flag is up at some time
	later   [100]float64 // the same of second months: as many figures as a standing keeps
	raised  [100]float64 // times that it goes up in a second month
	standed [100]float64 // share of a second month that it is up
	fast    float64      // share of second months accused by 6 of 7 daily medians < 0.92 X
	slow    float64      // by 12 of 14 < 0.95 X
}

// honestHistory is a provider of one device that several checkers measure in turn.
type honestHistory struct {
	random *rand.Rand
	life   *honestLife
	claim  uint64
	pool   []float64
	n      int
}

func newHonestHistory(pool []float64, seed uint64) *honestHistory {
	random := rand.New(rand.NewPCG(seed, 3))
	life := newHonestLife(random)
	return &honestHistory{random: random, life: life, claim: uint64(100e6 * life.selfTest()), pool: pool}
}

// next is the figure of a challenge so many hours into the life.
func (h *honestHistory) next(hour float64) (ops uint64) {
	h.n++
	return uint64(100e6 * h.life.at(hour) * h.pool[h.random.IntN(len(h.pool))])
}

// honestMedian is the median over the latest figures, in millionths of the claim, as
// reputation has it (TestHonestBelowIsTheRule).
type honestMedian struct {
	ring, sorted []uint64
	n            int
}

func (w *honestMedian) add(ops, claim uint64) {
	hi, lo := bits.Mul64(ops, 1e6)
	q, _ := bits.Div64(hi, lo, claim)
	if len(w.ring) < reputation.MaxFigures {
		w.ring = append(w.ring, q)
	} else {
		w.ring[w.n%len(w.ring)] = q
	}
	w.n++
}

// below says for which thresholds from belowFrom on the flag is down; at least the
// figures that the rule asks for must be there.
func (w *honestMedian) below(p *committee.Params) (from int) {
	if len(w.ring) < int(p.BelowFigures) {
		return belowTo + 1
	}
	w.sorted = append(w.sorted[:0], w.ring...)
	slices.Sort(w.sorted)
	n := len(w.sorted)
	m := w.sorted[n/2]
	if n%2 == 0 {
		m = w.sorted[n/2-1] + (m-w.sorted[n/2-1])/2
	}
	return max(belowFrom, int(m/1e4)+1)
}

// honestMonths follows providers through their first two months of 30 days.
func honestMonths(pool []float64, perDay, checkers, providers int, seed uint64) honestBelow {
	p := committee.Standard()
	b := honestBelow{months: providers}
	epochs := perDay / checkers // a day; each checker measures once in each
	for i := range providers {
		h := newHonestHistory(pool, seed+uint64(i))
		var w honestMedian
		var daily, today []float64
		up := belowTo + 1
		var any [2][100]bool
		for e := range 60 * epochs {
			for c := range checkers {
				ops := h.next(24 + (float64(e)+float64(c)/float64(checkers))*24/float64(epochs))
				w.add(ops, h.claim)
				today = append(today, float64(ops)/float64(h.claim))
			}
			month := e / (30 * epochs)
			from := w.below(&p)
			for x := from; x <= belowTo; x++ {
				any[month][x] = true
				if month == 1 {
					b.standed[x] += 1 / float64(30*epochs)
				}
				if month == 1 && x < up {
					b.raised[x]++
				}
			}
			up = from
			if (e+1)%epochs == 0 {
				slices.Sort(today)
				daily, today = append(daily, today[len(today)/2]), today[:0]
			}
		}
		for x := range any[0] {
			b.first[x] += honestShare(any[0][x])
			b.later[x] += honestShare(any[1][x])
		}
		b.fast += honestShare(honestAccused(daily[24:], 7, 6, 0.92))
		b.slow += honestShare(honestAccused(daily[17:], 14, 12, 0.95))
	}
	for x := range b.first {
		for _, v := range []*float64{&b.first[x], &b.later[x], &b.raised[x], &b.standed[x]} {
			*v /= float64(providers)
		}
	}
	b.fast /= float64(providers)
	b.slow /= float64(providers)
	return b
}

func honestShare(b bool) float64 {
	if b {
		return 1
	}
	return 0
}

// honestAccused reports k of n daily medians in a row below x.
func honestAccused(daily []float64, n, k int, x float64) bool {
	return honestAccusations(daily, n, k, x) > 0
}

func honestAccusations(daily []float64, n, k int, x float64) (times int) {
	was := false
	for i := n; i <= len(daily); i++ {
		low := 0
		for _, m := range daily[i-n : i] {
			if m < x {
				low++
			}
		}
		if low >= k && !was {
			times++
		}
		was = low >= k
	}
	return times
}

// The histories' own median is the flag of the code: figures folded by reputation,
// at every threshold.
func TestHonestBelowIsTheRule(t *testing.T) {
	h := newHonestHistory([]float64{0.85, 0.9, 0.95, 1}, 5)
	var w honestMedian
	var s reputation.Standing
	up := 0
	for e := range uint64(60) {
		a := reputation.Aggregate{Epoch: e, Provider: challenges.NodeID{1}}
		for c := range byte(2) {
			ops := h.next(24 + float64(e)*12)
			w.add(ops, h.claim)
			a.Observers = append(a.Observers, reputation.Observer{Checker: challenges.NodeID{c}, Items: []report.Item{
				{Kind: challenges.Matmul, Profile: 7, Outcome: challenges.Pass, OpsLower: ops, Claim: h.claim},
			}})
		}
		p := committee.Standard()
		s, _ = reputation.Fold(s, a, &p)
		from := w.below(&p)
		for x := belowFrom; x <= belowTo; x++ {
			p.BelowPercent = uint8(x)
			got := slices.Contains(reputation.Flags(&s, &p), reputation.FlagBelowClaim)
			if got != (x >= from) {
				t.Fatalf("epoch %d, threshold %d %%: flag %v, the histories say %v", e, x, got, x >= from)
			}
			up += int(honestShare(got))
		}
	}
	if up == 0 {
		t.Error("no threshold ever raised the flag: nothing was compared")
	}
}

// The model of an honest card gives the false alarms that were measured for it:
// 0.21, 0.0020 and 0.0007 a device and year for claims that are the 10th
// percentile of a self-test, 0.13 for the median with the rule of 6 of 7 days.
func TestHonestLife(t *testing.T) {
	devices := 400
	if *honestFull > 0 {
		devices = 6000
	}
	var loose, fast, slow, median float64
	for i := range devices {
		l := newHonestLife(rand.New(rand.NewPCG(uint64(i), 4)))
		test := l.selfTests()
		var daily []float64
		for day := 1; day <= 365; day++ {
			var v []float64
			for k := range 12 {
				v = append(v, l.at(float64(24*day+2*k)))
			}
			slices.Sort(v)
			daily = append(daily, v[6])
		}
		claim := test[len(test)/10]
		loose += float64(honestAccusations(daily, 7, 6, 0.95*claim)) / float64(devices)
		fast += float64(honestAccusations(daily, 7, 6, 0.92*claim)) / float64(devices)
		slow += float64(honestAccusations(daily, 14, 12, 0.95*claim)) / float64(devices)
		median += float64(honestAccusations(daily, 7, 6, 0.92*test[len(test)/2])) / float64(devices)
	}
	t.Logf("%d device-years: 6 of 7 < 0.95 X %.3f, 6 of 7 < 0.92 X %.4f, 12 of 14 < 0.95 X %.4f, of the median 6 of 7 < 0.92 X %.3f",
		devices, loose, fast, slow, median)
	if loose < 0.10 || loose > 0.35 || fast > 0.02 || slow > 0.02 || median < 0.05 || median > 0.25 {
		t.Error("the model is not the one that the rules were measured on")
	}
}
