package challenges

import (
	"math"
	"math/bits"
	"time"
)

// Purpose is what a profile is for.
type Purpose string

// Purposes.
const (
	Devnet   Purpose = "devnet"   // a second of a simulated device
	Vector   Purpose = "vector"   // published vectors: as small as can be
	Spot     Purpose = "spot"     // about a second
	Capacity Purpose = "capacity" // about five seconds after a warm-up
	Slot     Purpose = "slot"     // a fifth of a second of a simulated device
	Pulse    Purpose = "pulse"    // one round of at most 20 ms: is the device there at all
)

// Profile is one numbered row of the table. Everything that decides a verdict
// stands in the row, so a replay needs no registry and neither side chooses
// anything.
type Profile struct {
	Number    uint16
	Name      string
	Purpose   Purpose
	Simulated bool  // for simulated devices only; allows the abort "overrun"
	Shape     Shape // of every round
	Rounds    int   // R
	Warm      int   // U: rounds at the start that are sampled and not timed
	Samples   int   // s: positions a round

	Slack    int // percent below the claim that is not yet late
	Doubt    int // percent of the measured time: most that the benefit of the doubt may subtract
	LagShare int // permille of the measured time that the checker's own answers may take
	MinRTTs  int // timed rounds that are to take less than so many RTTs give no figure
	Patience int // deadline, in expected run times

	Grace    time.Duration // added to the deadline, for connection and start
	OpenWait time.Duration // an opening that is outstanding so long at the deadline is owed
}

// MaxWindow is the largest W that the row allows.
func (p Profile) MaxWindow() int { return max(1, min(p.Rounds/4, 64)) }

// TotalOps is the work of the whole chain, in operations.
func (p Profile) TotalOps() uint64 { return uint64(p.Rounds) * p.Shape.Ops() }

// Expected is how long the chain takes at claim ops/s.
func (p Profile) Expected(claim uint64) time.Duration { return p.expected(claim, p.Rounds) }

// Measured is how long its timed rounds take at claim ops/s.
func (p Profile) Measured(claim uint64) time.Duration { return p.expected(claim, p.Rounds-p.Warm) }

func (p Profile) expected(claim uint64, rounds int) time.Duration {
	hi, lo := bits.Mul64(uint64(rounds)*p.Shape.Ops(), 1e9)
	if hi >= claim {
		return 1<<63 - 1
	}
	q, _ := bits.Div64(hi, lo, claim)
	return time.Duration(min(q, 1<<62))
}

// Deadline is how long a checker waits from challenge to result.
func (p Profile) Deadline(claim uint64, rtt time.Duration) time.Duration {
	// SPEC: C4. deadline = Patience x expected + 4 x RTT + Grace.
	expected := min(p.Expected(claim), time.Hour)
	return time.Duration(p.Patience)*expected + 4*rtt + p.Grace
}

// Miss is the probability that a prover who leaves a share f of all entries
// wrong, spread evenly, passes. Spread in any other way it passes less often.
func (p Profile) Miss(f float64) float64 {
	return math.Pow(1-f, float64(p.Rounds*p.Samples))
}
