package challenges

import (
	"errors"
	"fmt"
	"time"
)

// Want is what a checker would like to measure.
type Want struct {
	Flavour   Flavour
	Purpose   Purpose
	Simulated bool          // the network's devices are simulated
	Claim     uint64        // ops/s of the flavour, from the provider's offer
	RTT       time.Duration // least round-trip time seen
	Budget    time.Duration // most device time to spend; 0: no bound but the table's
}

// Choice is a row and the parameters that go with it.
type Choice struct {
	Profile  Profile
	Params   ComputeParams
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
	for _, p := range profileTable() {
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
		case best == nil, (c.Expected < best.Expected) != (w.Purpose == Pulse):
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
func (w Want) weigh(p Profile) (Choice, error) {
	rtt := min(w.RTT, 10*time.Second)
	if w.Claim == 0 {
		return Choice{}, fmt.Errorf("the offer claims nothing")
	}
	window := min(p.window(w.Claim, rtt), 255)
	c := Choice{
		Profile: p, Expected: p.Expected(w.Claim), Deadline: p.Deadline(w.Claim, rtt),
		Params: ComputeParams{Profile: p.Number, Window: uint8(min(window, p.MaxWindow())), Claim: w.Claim, RTT: rtt},
	}
	if err := c.Params.Check(); err != nil {
		return Choice{}, err
	}
	round, least := c.Expected/time.Duration(p.Rounds), minRound
	if w.Flavour == BF16 {
		least = minBF16
	}
	switch {
	case w.Budget > 0 && c.Expected > w.Budget:
		return Choice{}, fmt.Errorf("%s takes %v, the budget is %v", p.Name, c.Expected, w.Budget)
	case p.Purpose == Pulse && c.Expected > maxPulse:
		return Choice{}, fmt.Errorf("%s takes %v, a pulse may take %v", p.Name, c.Expected, maxPulse)
	case p.Purpose == Spot && c.Expected > maxSpot:
		return Choice{}, fmt.Errorf("%s takes %v, a spot may take %v", p.Name, c.Expected, maxSpot)
	case p.Purpose == Capacity && c.Expected > maxCapacity:
		return Choice{}, fmt.Errorf("%s takes %v, a capacity run may take %v", p.Name, c.Expected, maxCapacity)
	case p.Purpose != Spot && p.Purpose != Capacity:
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
