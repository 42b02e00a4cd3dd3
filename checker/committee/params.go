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

	// Memory and exclusive use (provisional, as below-claim): the same half as many
	// figures and checkers, with a median under so many percent of what was claimed.
	MemoryPercent uint8 // of the claimed memory that was proven
	FleetPercent  uint8 // of a provider's claims that its devices did at one time

	// Devices that must run at one time, in a part of the epoch that is kept free for
	// it: those of a group in a fleet challenge, and of all providers in global slots.
	FleetEvery  uint16 // epochs between two fleet challenges of a group
	SlotEvery   uint16 // epochs between two that have global slots
	Slots       uint8  // global slots in such an epoch
	FleetFor    challenges.Purpose
	SlotFor     challenges.Purpose
	PerEpoch    uint8 // challenges that a checker may send to a device in an epoch, of all kinds
	SharingSlow uint8 // a figure under so many percent of the device's median is slow
	// Pairs that pass the screen (Fisher's exact test, p in millionths) are watched
	// in so many slots more, half of them together and half apart.
	SharingScreen   uint32
	SharingTargeted uint16

	RefusalPermille uint16 // refusals beyond this share of GPU challenges count as failures

	// Demonstrated availability, LB95 (statistics: chi-squared bound on outage
	// episodes times an assumed repair time).
	RepairPrior        time.Duration // R until the network has measured its own
	DispersionPermille uint32        // phi x 1000, at least 1500
	EpisodeGap         time.Duration // outages closer than this are one episode
	LowerFrom          time.Duration // no bound from a shorter observation

	CardFor time.Duration // what is known of a card, good or bad, counts so long
}

// Standard is the parameters of a production network.
func Standard() Params {
	return Params{
		Epoch: 10 * time.Minute, ProbeEvery: 30 * time.Second, Pings: 5, Purpose: challenges.Spot, MinSlot: 30 * time.Second,
		BelowFigures: 6, BelowCheckers: 2, BelowPercent: 92, RefusalPermille: 50,
		MemoryPercent: 70, FleetPercent: 85, FleetEvery: 36, SlotEvery: 6, Slots: 1,
		FleetFor: challenges.Capacity, SlotFor: challenges.Capacity, PerEpoch: 4,
		SharingSlow: 75, SharingScreen: 100, SharingTargeted: 24,
		RepairPrior: 240 * time.Minute, DispersionPermille: 1500,
		EpisodeGap: 6 * time.Hour, LowerFrom: 30 * 24 * time.Hour,
		CardFor: 24 * time.Hour,
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
	p.CardFor /= scale
	p.ProbeEvery = 500 * time.Millisecond
	p.Pings = 2
	p.Purpose = challenges.Devnet
	p.MinSlot = 1200 * time.Millisecond
	p.FleetEvery, p.SlotEvery, p.Slots = 2, 1, 3
	p.FleetFor, p.SlotFor, p.PerEpoch = challenges.Devnet, challenges.Slot, 6
	p.SharingScreen, p.SharingTargeted = 5000, 8
	return p
}

// Check bounds the fields.
func (p *Params) Check() error {
	switch {
	case p.Epoch < time.Second || p.Epoch > 24*time.Hour:
		return fmt.Errorf("epoch %v: want 1 s to 24 h", p.Epoch)
	case p.ProbeEvery < 10*time.Millisecond || p.Epoch%p.ProbeEvery != 0 || p.Epoch/p.ProbeEvery > 1024:
		return fmt.Errorf("probe every %v: must divide the epoch into at most 1024 slices", p.ProbeEvery)
	case p.MinSlot <= 0 || p.MinSlot > p.Epoch/2:
		return fmt.Errorf("slot of %v in an epoch of %v", p.MinSlot, p.Epoch)
	case p.Pings < 1 || p.Pings > 8:
		return fmt.Errorf("pings %d: want 1 to 8", p.Pings)
	case p.BelowPercent == 0 || p.BelowPercent >= 100 || p.BelowFigures == 0 || p.BelowCheckers == 0:
		return errors.New("below-claim rule: out of range")
	case p.MemoryPercent == 0 || p.MemoryPercent >= 100 || p.FleetPercent == 0 || p.FleetPercent >= 100:
		return fmt.Errorf("memory %d %%, fleet %d %%: want 1 to 99", p.MemoryPercent, p.FleetPercent)
	case p.FleetEvery == 0 || p.SlotEvery == 0 || p.Slots > 8 || p.PerEpoch == 0:
		return fmt.Errorf("a fleet challenge in %d epochs, %d global slots in %d, %d challenges an epoch", p.FleetEvery, p.Slots, p.SlotEvery, p.PerEpoch)
	case p.SharingSlow == 0 || p.SharingSlow >= 100 || p.SharingScreen == 0 || p.SharingScreen >= 1e6 || p.SharingTargeted < 2:
		return errors.New("sharing test: out of range")
	case p.RefusalPermille >= 1000:
		return fmt.Errorf("refusal allowance %d permille", p.RefusalPermille)
	case p.RepairPrior <= 0 || p.DispersionPermille < 1500 || p.EpisodeGap <= 0 || p.LowerFrom <= 0:
		return errors.New("availability bound: out of range")
	case p.CardFor < p.Epoch || p.CardFor > 365*24*time.Hour:
		return fmt.Errorf("cards count for %v: want an epoch to a year", p.CardFor)
	}
	// A checker sends one challenge to a device alone, and one with others or one in
	// each global slot: an honest provider must not have to refuse any.
	// More than 32 a refusal over the quota could not list.
	if least := 1 + max(1, int(p.Slots)); int(p.PerEpoch) < least || p.PerEpoch > 32 {
		return fmt.Errorf("%d challenges an epoch: want %d to 32", p.PerEpoch, least)
	}
	for _, purpose := range []challenges.Purpose{p.FleetFor, p.SlotFor} {
		if purpose != challenges.Devnet && purpose != challenges.Slot && purpose != challenges.Spot && purpose != challenges.Capacity {
			return fmt.Errorf("purpose %q of several devices: want devnet, slot, spot or capacity", purpose)
		}
	}
	if p.Purpose != challenges.Devnet && p.Purpose != challenges.Spot && p.Purpose != challenges.Capacity {
		return fmt.Errorf("purpose %q: want devnet, spot or capacity", p.Purpose)
	}
	return nil
}

// Slices is how many probe slices an epoch has.
func (p *Params) Slices() int { return int(p.Epoch / p.ProbeEvery) }

// TogetherAt is when, after the start of an epoch, the part begins that is kept
// free for challenges of several devices at one time: a slot, at its end.
func (p *Params) TogetherAt() time.Duration { return p.Epoch - p.MinSlot }

// SlotAt is when a global slot begins, after the start of its epoch.
func (p *Params) SlotAt(index int) time.Duration {
	return p.TogetherAt() + time.Duration(index)*(p.MinSlot/time.Duration(max(1, p.Slots)))
}
