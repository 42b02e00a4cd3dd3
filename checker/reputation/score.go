package reputation

import (
	"math"
	"math/bits"
	"slices"
	"time"

	"gonum.org/v1/gonum/stat/distuv"

	"github.com/assaynet/assay/challenges"
	"github.com/assaynet/assay/checker/committee"
)

// Flags that a standing can carry.
const (
	FlagWorkIncorrect = "work-incorrect" // a transcript proves a wrong value
	FlagBelowClaim    = "below-claim"    // the median figure is well under the claim
	FlagBelowMemory   = "below-memory"   // the median of the memory proven is well under the claim
	FlagOversold      = "oversold"       // together its devices do well under what they claim

	FlagCardContradicted = "card-contradicted" // what its results say of a card cannot be true
	FlagUnlikeModel      = "unlike-model"      // a card's rates do not stand to each other as its model's
	FlagIdentityConflict = "identity-conflict" // one card signed for two devices in one epoch
)

// Flags reads the flags off a standing, in a fixed order.
func Flags(s *Standing, p *committee.Params) []string {
	flags := []string{}
	if len(s.Proofs) > 0 {
		flags = append(flags, FlagWorkIncorrect)
	}
	if low, _ := belowClaim(s, p); low != nil {
		flags = append(flags, FlagBelowClaim)
	}
	if below(s.Memory, half(p.BelowFigures), p, p.MemoryPercent) {
		flags = append(flags, FlagBelowMemory)
	}
	if below(s.Fleets, half(p.BelowFigures), p, p.FleetPercent) {
		flags = append(flags, FlagOversold)
	}
	if len(contradicted(s, p)) > 0 {
		flags = append(flags, FlagCardContradicted)
	}
	if len(unlike(s, p)) > 0 {
		flags = append(flags, FlagUnlikeModel)
	}
	if len(conflicting(s, p)) > 0 {
		flags = append(flags, FlagIdentityConflict)
	}
	return flags
}

// belowClaim is the provisional rule: enough figures, of enough checkers, with a
// median under the given percentage of the claim that each was measured against,
// over all flavours or in one of them. It says which figures those are; nil: none.
func belowClaim(s *Standing, p *committee.Params) (low []Figure, of string) {
	if below(s.Figures, int(p.BelowFigures), p, p.BelowPercent) {
		return s.Figures, ""
	}
	for _, f := range challenges.Flavours() {
		own := slices.DeleteFunc(slices.Clone(s.Figures), func(x Figure) bool { return x.Flavour != f })
		if below(own, int(p.BelowFigures), p, p.BelowPercent) {
			return own, f.String()
		}
	}
	return nil, ""
}

// half is rounded up.
func half(n uint16) int { return (int(n) + 1) / 2 }

// below reports so many figures or more, of enough checkers, with a median under a
// percentage of the claim.
func below(figures []Figure, least int, p *committee.Params, percent uint8) bool {
	var ratios []uint64 // in millionths: integers, the same on every machine
	checkers := make(map[challenges.NodeID]bool)
	for _, f := range figures {
		if f.Claim > 0 {
			ratios = append(ratios, ratio(f.Ops, f.Claim))
			checkers[f.Checker] = true
		}
	}
	if len(ratios) < least || len(checkers) < int(p.BelowCheckers) {
		return false
	}
	return median(ratios) < uint64(percent)*1e4
}

// ratio is floor(10^6 x a / b), saturating; b > 0.
func ratio(a, b uint64) uint64 {
	hi, lo := bits.Mul64(a, 1e6)
	if hi >= b {
		return 1<<64 - 1
	}
	q, _ := bits.Div64(hi, lo, b)
	return q
}

// Availability is what is known of a provider's reachability. Nil is unknown,
// which is never good.
type Availability struct {
	Confirmed    *float64 // 1 - time confirmed down by quorum / time with a verdict
	Reachability *float64 // median over checkers of the share of probes answered
	Lower95      *float64 // demonstrated: 95 % lower bound; nil until positive
}

// Available reads the availability off a standing.
func Available(s *Standing, p *committee.Params) Availability {
	var a Availability
	if judged := s.Slices - s.Contested - s.Uncertain; judged > 0 {
		v := 1 - float64(s.Down)/float64(judged)
		a.Confirmed = &v
		a.Lower95 = lower95(s, judged, p)
	}
	var rates []float64
	for _, c := range s.Checkers {
		if c.Total > 0 {
			rates = append(rates, float64(c.Up)/float64(c.Total))
		}
	}
	if len(rates) > 0 {
		v := median(rates)
		a.Reachability = &v
	}
	return a
}

// lower95 is LB95 = 1 - U95 - contested share, with U95 = phi x chi2(0.95; 2(E/phi
// + 1))/2 x R/T: the upper bound on a Poisson count of E outage episodes,
// widened by their dispersion phi, times the repair time R.
func lower95(s *Standing, judged uint64, p *committee.Params) *float64 {
	t := time.Duration(judged) * p.ProbeEvery
	if t < p.LowerFrom {
		return nil
	}
	r := p.RepairPrior
	if s.Episodes > 0 {
		r = max(r, time.Duration(s.Possible)*p.ProbeEvery/time.Duration(s.Episodes))
	}
	phi := float64(p.DispersionPermille) / 1000
	chi := distuv.ChiSquared{K: 2 * (float64(s.Episodes)/phi + 1)}.Quantile(0.95)
	u := phi * chi / 2 * float64(r) / float64(t)
	v := 1 - u - float64(s.Contested)/float64(s.Slices)
	if v <= 0 {
		return nil
	}
	return &v
}

// Throughput is the largest lower bound of a flavour, in ops/s; nil before the
// first.
func Throughput(s *Standing, f challenges.Flavour) *uint64 {
	for _, r := range s.Rates {
		if r.Flavour == f && r.Best > 0 {
			v := r.Best
			return &v
		}
	}
	return nil
}

// Claim is the latest claim of a flavour, in ops/s; 0 before the first.
func Claim(s *Standing, f challenges.Flavour) uint64 {
	for _, r := range s.Rates {
		if r.Flavour == f {
			return r.Claim
		}
	}
	return 0
}

// Score is the provisional sorting number, 0 to 1: the share of GPU challenges
// passed, times reachability, times the share of its claim that was shown in the
// flavour where that is least, of those with a figure, times what lacks of its
// memory and of its devices' work at one time. It is 0 without a pass,
// without any figure (a provider can see to it that there is none), with a
// proof of wrong work, and where a card is not what it is called. Refusals count as failures beyond an allowance; neutral
// ones and unknown never.
func Score(s *Standing, p *committee.Params) float64 {
	passes := float64(s.gpu(challenges.Pass))
	a := Available(s, p)
	if len(s.Proofs) > 0 || passes == 0 || a.Reachability == nil {
		return 0
	}
	failures := float64(s.gpu(challenges.Late) + s.gpu(challenges.Withheld))
	refusals := float64(s.gpu(challenges.Refused) - s.Neutral)
	// The conversions keep a compiler from fusing steps, which would make the last
	// bit depend on the machine.
	allowed := float64(float64(p.RefusalPermille) / 1000 * (passes + failures + refusals))
	score := float64(passes / (passes + failures + max(0, refusals-allowed)) * *a.Reachability)
	least, shown := 1.0, false
	for _, r := range s.Rates {
		if r.Claim > 0 && r.Best > 0 {
			least, shown = min(least, float64(r.Best)/float64(r.Claim)), true
		}
	}
	if !shown || len(contradicted(s, p)) > 0 || len(unlike(s, p)) > 0 {
		return 0
	}
	return score * least * enough(s.Memory, p.MemoryPercent) * enough(s.Fleets, p.FleetPercent)
}

// enough is the median share of what was claimed, in what a sound provider reaches:
// 1 from there on, and without a figure.
func enough(figures []Figure, percent uint8) float64 {
	share := Share(figures)
	if share == nil {
		return 1
	}
	return math.Min(1, *share*100/float64(percent))
}

func median[T uint64 | float64](v []T) T {
	v = slices.Clone(v)
	slices.Sort(v)
	n := len(v)
	if n%2 == 1 {
		return v[n/2]
	}
	return v[n/2-1] + (v[n/2]-v[n/2-1])/2
}

// Proven is the memory that most of the latest proofs showed at least, in bytes: the
// median of the figures. nil before the first.
func Proven(s *Standing) (bytes *uint64, claim uint64) {
	var v []uint64
	for _, f := range s.Memory {
		v = append(v, f.Ops)
		claim = f.Claim
	}
	if len(v) == 0 {
		return nil, 0
	}
	m := median(v)
	return &m, claim
}
