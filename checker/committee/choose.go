package committee

import (
	"errors"
	"fmt"
	"time"

	"github.com/assaynet/assay/challenges"
)

// Want is what a checker would like to measure.
type Want struct {
	Flavour   challenges.Flavour
	Purpose   challenges.Purpose
	Simulated bool          // the network's devices are simulated
	Claim     uint64        // ops/s of the flavour, from the provider's offer
	RTT       time.Duration // least round-trip time seen
	Budget    time.Duration // most device time to spend; 0: no bound but the table's
}

// Choice is a row and the parameters that go with it.
type Choice struct {
	Profile  challenges.Profile
	Params   challenges.ComputeParams
	Deadline time.Duration
	Expected time.Duration // device time at the claimed rate
}

// Bounds of a round and of whole challenges, in expected time at the claim. A long
// path asks for long rounds; where a spot would grow beyond its bound a capacity
// run costs hardly more.
const (
	minRound    = 40 * time.Millisecond
	minBF16     = 30 * time.Millisecond // its rounds cannot grow further: K is 8192 at most
	maxPulse    = 20 * time.Millisecond
	maxSpot     = 4 * time.Second
	maxCapacity = 15 * time.Second
)

var errShort = errors.New("rounds")

// Choose picks the row for a device: the cheapest that is long enough to mean
// something. The error says why none is.
func Choose(w Want) (Choice, error) {
	var best *Choice
	var why error
	for _, p := range challenges.Profiles() {
		if p.Shape.Flavour != w.Flavour || p.Purpose != w.Purpose || p.Simulated != w.Simulated {
			continue
		}
		c, err := w.weigh(p)
		switch {
		case err != nil:
			// The reason of the first row that is not just too small says most.
			if why == nil || errors.Is(why, errShort) {
				why = err
			}
		case best == nil, (c.Expected < best.Expected) != (w.Purpose == challenges.Pulse):
			best = &c
		}
	}
	if best != nil {
		return *best, nil
	}
	if why == nil {
		why = fmt.Errorf("the table has none")
	}
	return Choice{}, fmt.Errorf("no %v %s profile for %d ops/s at %v: %w", w.Flavour, w.Purpose, w.Claim, w.RTT, why)
}

// weigh says whether a row fits.
func (w Want) weigh(p challenges.Profile) (Choice, error) {
	rtt := min(w.RTT, 10*time.Second)
	if w.Claim == 0 {
		return Choice{}, fmt.Errorf("the offer claims nothing")
	}
	window := min(window(p, w.Claim, rtt), 255)
	c := Choice{
		Profile: p, Expected: p.Expected(w.Claim), Deadline: p.Deadline(w.Claim, rtt),
		Params: challenges.ComputeParams{Profile: p.Number, Window: uint8(min(window, p.MaxWindow())), Claim: w.Claim, RTT: rtt},
	}
	if err := c.Params.Check(); err != nil {
		return Choice{}, err
	}
	round, least := c.Expected/time.Duration(p.Rounds), minRound
	if w.Flavour == challenges.BF16 {
		least = minBF16
	}
	switch {
	case w.Budget > 0 && c.Expected > w.Budget:
		return Choice{}, fmt.Errorf("%s takes %v, the budget is %v", p.Name, c.Expected, w.Budget)
	case p.Purpose == challenges.Pulse && c.Expected > maxPulse:
		return Choice{}, fmt.Errorf("%s takes %v, a pulse may take %v", p.Name, c.Expected, maxPulse)
	case p.Purpose == challenges.Spot && c.Expected > maxSpot:
		return Choice{}, fmt.Errorf("%s takes %v, a spot may take %v", p.Name, c.Expected, maxSpot)
	case p.Purpose == challenges.Capacity && c.Expected > maxCapacity:
		return Choice{}, fmt.Errorf("%s takes %v, a capacity run may take %v", p.Name, c.Expected, maxCapacity)
	case p.Purpose != challenges.Spot && p.Purpose != challenges.Capacity:
		return c, nil // a pulse gives no figure, a devnet is near
	case round < least:
		return Choice{}, fmt.Errorf("%s has %w of %v, want %v", p.Name, errShort, round, least)
	case window > p.MaxWindow():
		return Choice{}, fmt.Errorf("%s would wait for positions: window %d, want %d", p.Name, p.MaxWindow(), window)
	case p.Measured(w.Claim) < time.Duration(p.MinRTTs)*rtt:
		return Choice{}, fmt.Errorf("%s measures %v, less than %d round trips", p.Name, p.Measured(w.Claim), p.MinRTTs)
	}
	return c, nil
}

// window is the W that a path of this round-trip time and a device of this claim
// ask for: far enough ahead that the positions never hold an honest device up,
// and no more. It may be more than the row allows.
func window(p challenges.Profile, claim uint64, rtt time.Duration) int {
	// SPEC: C2. W = 2 + ceil((2 x RTT + 100 ms) / round).
	round := max(p.Expected(claim)/time.Duration(p.Rounds), time.Millisecond)
	return int(2 + (2*rtt+100*time.Millisecond+round-1)/round)
}
