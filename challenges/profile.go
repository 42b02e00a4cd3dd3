package challenges

import (
	"fmt"
	"math/bits"
	"time"
)

// MatmulProfile is one numbered row of the matmul table. Everything that decides
// a verdict stands in the row, so a replay needs no registry and neither side
// chooses anything.
type MatmulProfile struct {
	Number    uint16
	Name      string
	Simulated bool  // for simulated devices only; allows the abort "overrun"
	Shape     Shape // of every round
	Rounds    int   // R
	Samples   int   // s: positions a round

	Slack    int // percent below the claim that is not yet late
	Doubt    int // percent of elapsed: most that the benefit of the doubt may subtract
	LagShare int // permille of elapsed that the checker's own answers may take
	MinRTTs  int // a run shorter than so many RTTs gives no figure
	Patience int // deadline, in expected run times

	Grace    time.Duration // added to the deadline, for connection and start
	OpenWait time.Duration // an opening that is outstanding so long at the deadline is owed
}

// matmulTable is the profile table. A row, once published, never changes.
func matmulTable() []MatmulProfile {
	// SPEC: C2. The profile table.
	return []MatmulProfile{
		{
			Number: 1, Name: "devnet", Simulated: true,
			Shape: Shape{M: 32, N: 256, K: 320}, Rounds: 16, Samples: 8,
			Slack: 15, Doubt: 3, LagShare: 50, MinRTTs: 20, Patience: 6,
			Grace: 500 * time.Millisecond, OpenWait: time.Second,
		},
		{
			Number: 2, Name: "vector", Simulated: true,
			Shape: Shape{M: 3, N: 256, K: 64}, Rounds: 4, Samples: 1,
			Slack: 15, Doubt: 3, LagShare: 50, MinRTTs: 20, Patience: 6,
			Grace: 500 * time.Millisecond, OpenWait: time.Second,
		},
	}
}

// MatmulProfiles lists the table's rows in their order.
func MatmulProfiles() []MatmulProfile { return matmulTable() }

// LookupMatmul finds a row by its number.
func LookupMatmul(number uint16) (MatmulProfile, error) {
	for _, p := range matmulTable() {
		if p.Number == number {
			return p, nil
		}
	}
	return MatmulProfile{}, fmt.Errorf("profile %d: not in the table", number)
}

// TotalOps is the work of the whole chain, in operations.
func (p MatmulProfile) TotalOps() uint64 { return uint64(p.Rounds) * p.Shape.Ops() }

// Expected is how long the chain takes at claim ops/s.
func (p MatmulProfile) Expected(claim uint64) time.Duration {
	hi, lo := bits.Mul64(p.TotalOps(), 1e9)
	if hi >= claim {
		return 1<<63 - 1
	}
	q, _ := bits.Div64(hi, lo, claim)
	return time.Duration(min(q, 1<<62))
}

// Deadline is how long a checker waits from challenge to result.
func (p MatmulProfile) Deadline(claim uint64, rtt time.Duration) time.Duration {
	// SPEC: C4. deadline = Patience x expected + 4 x RTT + Grace.
	expected := min(p.Expected(claim), time.Hour)
	return time.Duration(p.Patience)*expected + 4*rtt + p.Grace
}

// Window is W for a path of this round-trip time and a device of this claim: far
// enough ahead that the positions never hold an honest device up, and no more.
func (p MatmulProfile) Window(claim uint64, rtt time.Duration) uint8 {
	// SPEC: C2. W = 2 + ceil((2 x RTT + 100 ms) / round), at most R/4.
	round := max(p.Expected(claim)/time.Duration(p.Rounds), time.Millisecond)
	w := 2 + (2*rtt+100*time.Millisecond+round-1)/round
	return uint8(min(int64(w), int64(p.Rounds/4), 64))
}
