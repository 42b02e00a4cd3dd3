package evidence

import (
	"math/bits"
	"time"

	"github.com/assaynet/assay/challenges"
)

// Course is when one of several devices did what: times on one clock of the
// checker's, since the instant at which all were to start.
type Course struct {
	Start time.Duration   // its challenge, or its nonce, left
	Ends  []time.Duration // of its rounds: the roots came, ascending
	Ops   uint64          // a round, in operations
}

// Together is how many operations a second several devices did at one time, as a
// lower bound: a device behind several names adds nothing to it.
//
// Both ways to count are sound: everything from the first start to the last end,
// and the whole rounds of those devices while none of them had ended. The larger
// counts. One after another or all at half speed, both stay at what there is.
func Together(courses []Course) uint64 {
	first, last := time.Duration(1<<62), time.Duration(0) // of all
	from, to := time.Duration(0), time.Duration(1<<62)    // while none had ended
	var all uint64
	for _, c := range courses {
		n := len(c.Ends)
		if n == 0 {
			continue
		}
		first, last = min(first, c.Start), max(last, c.Ends[n-1])
		from, to = max(from, c.Start), min(to, c.Ends[n-1])
		all += uint64(n) * c.Ops
	}
	var within uint64
	for _, c := range courses {
		rounds := 0
		for _, end := range c.Ends {
			if end > from && end <= to {
				rounds++
			}
		}
		if c.Start < from {
			rounds-- // it may have begun before
		}
		within += uint64(max(0, rounds)) * c.Ops
	}
	return max(perSecond(all, last-first), perSecond(within, to-from))
}

// perSecond is floor(n x 10^9 / took), saturating; 0 if took <= 0.
func perSecond(n uint64, took time.Duration) uint64 {
	if took <= 0 {
		return 0
	}
	hi, lo := bits.Mul64(n, 1e9)
	if hi >= uint64(took) {
		return 1<<64 - 1
	}
	q, _ := bits.Div64(hi, lo, uint64(took))
	return q
}

// RootTimes is when the roots came, of the events of one challenge, each by the
// checker's clock since the challenge left.
func RootTimes(events []challenges.Event) []time.Duration {
	var out []time.Duration
	for _, e := range events {
		var f challenges.RootFrame
		if e.Stream == challenges.StreamControl && !e.Out && e.End == challenges.EndNone && challenges.Unmarshal(e.Frame, &f) == nil {
			out = append(out, e.At)
		}
	}
	return out
}
