// Package committee says who checks whom, and when: the registry of checkers,
// its parameters, the clock of epochs and the plan of challenges. All of it is
// pure arithmetic over values; two nodes with the same registry compute the
// same.
//
// Until tickets exist every checker checks every provider.
package committee

import (
	"errors"
	"fmt"
	"time"

	"github.com/assaynet/assay/challenges"
)

// Params holds every duration and threshold that is not part of a profile row.
// The devnet scales them. Times are in nanoseconds.
type Params struct {
	_          struct{}           `cbor:",toarray"`
	Epoch      time.Duration      // length of an epoch
	ProbeEvery time.Duration      // one probe of each provider by each checker in every such slice
	Pings      uint8              // pings a probe
	Purpose    challenges.Purpose // of the profiles that GPU challenges take; capacity where it does not fit
	MinSlot    time.Duration      // a device's slot for one checker is at least so long, and bounds a challenge's device time

	// Below-claim (provisional): so many figures of so many checkers, with a median
	// under so many percent of the claim.
	BelowFigures  uint16
	BelowCheckers uint16
	BelowPercent  uint8

	RefusalPermille uint16 // refusals beyond this share of GPU challenges count as failures

	// Demonstrated availability, LB95 (statistics: chi-squared bound on outage
	// episodes times an assumed repair time).
	RepairPrior        time.Duration // R until the network has measured its own
	DispersionPermille uint32        // phi x 1000, at least 1500
	EpisodeGap         time.Duration // outages closer than this are one episode
	LowerFrom          time.Duration // no bound from a shorter observation
}

// Standard is the parameters of a production network.
func Standard() Params {
	return Params{
		Epoch: 10 * time.Minute, ProbeEvery: 30 * time.Second, Pings: 5, Purpose: challenges.Spot, MinSlot: 30 * time.Second,
		BelowFigures: 6, BelowCheckers: 2, BelowPercent: 92, RefusalPermille: 50,
		RepairPrior: 240 * time.Minute, DispersionPermille: 1500,
		EpisodeGap: 6 * time.Hour, LowerFrom: 30 * 24 * time.Hour,
	}
}

// Devnet is the standard parameters with an epoch of 5 s and every other
// duration scaled along.
func Devnet() Params {
	p := Standard()
	scale := p.Epoch / (5 * time.Second)
	p.Epoch /= scale
	p.RepairPrior /= scale
	p.EpisodeGap /= scale
	p.LowerFrom /= scale
	p.ProbeEvery = 500 * time.Millisecond
	p.Pings = 2
	p.Purpose = challenges.Devnet
	p.MinSlot = 1200 * time.Millisecond
	return p
}

// Check bounds the fields.
func (p *Params) Check() error {
	switch {
	case p.Epoch < time.Second || p.Epoch > 24*time.Hour:
		return fmt.Errorf("epoch %v: want 1 s to 24 h", p.Epoch)
	case p.ProbeEvery < 10*time.Millisecond || p.Epoch%p.ProbeEvery != 0 || p.Epoch/p.ProbeEvery > 1024:
		return fmt.Errorf("probe every %v: must divide the epoch into at most 1024 slices", p.ProbeEvery)
	case p.MinSlot <= 0 || p.MinSlot > p.Epoch:
		return fmt.Errorf("slot of %v in an epoch of %v", p.MinSlot, p.Epoch)
	case p.Pings < 1 || p.Pings > 8:
		return fmt.Errorf("pings %d: want 1 to 8", p.Pings)
	case p.BelowPercent == 0 || p.BelowPercent >= 100 || p.BelowFigures == 0 || p.BelowCheckers == 0:
		return errors.New("below-claim rule: out of range")
	case p.RefusalPermille >= 1000:
		return fmt.Errorf("refusal allowance %d permille", p.RefusalPermille)
	case p.RepairPrior <= 0 || p.DispersionPermille < 1500 || p.EpisodeGap <= 0 || p.LowerFrom <= 0:
		return errors.New("availability bound: out of range")
	}
	if p.Purpose != challenges.Devnet && p.Purpose != challenges.Spot && p.Purpose != challenges.Capacity {
		return fmt.Errorf("purpose %q: want devnet, spot or capacity", p.Purpose)
	}
	return nil
}

// Slices is how many probe slices an epoch has.
func (p *Params) Slices() int { return int(p.Epoch / p.ProbeEvery) }
