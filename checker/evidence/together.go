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
// and everything from the first start until the first device had ended. The larger
// counts. One after another or all at half speed, both stay at what there is.
// Neither begins later than the first start: a provider chooses when a root leaves
// it, and may have worked ahead of those that it has sent.
func Together(courses []Course) uint64 {
	const never = time.Duration(1 << 62)
	first, ended, last := never, never, -never
	for _, c := range courses {
		if n := len(c.Ends); n > 0 {
			first, ended, last = min(first, c.Start), min(ended, c.Ends[n-1]), max(last, c.Ends[n-1])
		}
	}
	return max(between(courses, first, ended), between(courses, first, last))
}

// between is what came in by an instant, for each second since another.
func between(courses []Course, from, to time.Duration) uint64 {
	var sum uint64
	for _, c := range courses {
		rounds := uint64(0)
		for _, end := range c.Ends {
			if end <= to {
				rounds++
			}
		}
		sum += perSecond(rounds*c.Ops, to-from)
	}
	return sum
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
