package checker

import (
	"errors"
	"fmt"
	"time"

	"github.com/assaynet/assay/challenges"
	"github.com/assaynet/assay/challenges/memory"
	"github.com/assaynet/assay/checker/committee"
	"github.com/assaynet/assay/gpu/models"
)

// chosen is a row of a table with its parameters.
type chosen struct {
	kind     challenges.Kind
	profile  uint16
	params   []byte
	deadline time.Duration
	claim    uint64         // ops/s, or bytes of memory
	ops      uint64         // a round of a proof of compute
	set      memory.Dataset // of a proof of memory
	filledBy time.Duration  // of a proof of memory
}

// choose picks what is to be measured in a turn, a flavour or the memory, and a
// profile for it; the next ones where the device does not offer it or no profile
// fits.
func (c *Checker) choose(d challenges.OfferDevice, turn uint64, rtt time.Duration, w want) (chosen, error) {
	var ways []func() (chosen, error)
	if !w.memory {
		for _, f := range d.Flavours() {
			ways = append(ways, func() (chosen, error) { return c.chooseCompute(d, f, w.purpose, rtt) })
		}
	}
	if !w.compute && d.Memory > 0 {
		ways = append(ways, func() (chosen, error) { return c.chooseMemory(d, rtt) })
	}
	var errs []error
	for i := range ways {
		choice, err := ways[(turn+uint64(i))%uint64(len(ways))]()
		if err == nil {
			return choice, nil
		}
		errs = append(errs, err)
	}
	if len(errs) == 0 {
		return chosen{}, errors.New("the device claims no rate")
	}
	return chosen{}, errors.Join(errs...)
}

// chooseCompute picks a profile of a flavour. A capacity profile stands in where a
// shorter one would say nothing, as on a long path.
func (c *Checker) chooseCompute(d challenges.OfferDevice, f challenges.Flavour, purpose challenges.Purpose, rtt time.Duration) (chosen, error) {
	want := committee.Want{
		Flavour: f, Purpose: purpose, Simulated: c.cfg.Registry.Simulated, Claim: d.Claim(f), RTT: rtt, Budget: c.params.MinSlot,
	}
	choice, err := committee.Choose(want)
	if err != nil && want.Purpose == challenges.Spot {
		want.Purpose = challenges.Capacity
		if instead, ierr := committee.Choose(want); ierr == nil {
			choice, err = instead, nil
		}
	}
	return chosen{
		kind: f.Kind(), profile: choice.Params.Profile, params: challenges.Marshal(&choice.Params),
		deadline: choice.Deadline, claim: choice.Params.Claim, ops: choice.Profile.Shape.Ops(),
	}, err
}

// chooseMemory asks for the memory that the offer names, by the row of the model's
// class.
func (c *Checker) chooseMemory(d challenges.OfferDevice, rtt time.Duration) (chosen, error) {
	model, err := models.Lookup(d.Model)
	if err != nil {
		return chosen{}, err
	}
	p := memory.Params{Profile: model.Memories, Items: memory.Items(d.Memory), RTT: min(rtt, 10*time.Second)}
	if err := p.Check(); err != nil {
		return chosen{}, fmt.Errorf("memory of %s: %w", d.Model, err)
	}
	set := p.Dataset()
	if set.Simulated != c.cfg.Registry.Simulated || set.Expected() > c.params.MinSlot {
		return chosen{}, fmt.Errorf("memory of %s takes %v, the budget is %v", d.Model, set.Expected(), c.params.MinSlot)
	}
	return chosen{
		kind: challenges.Memory, profile: p.Profile, params: challenges.Marshal(&p), deadline: set.Deadline(p.RTT),
		claim: d.Memory, set: set, filledBy: set.FillBy(p.RTT),
	}, nil
}
