package client

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/assaynet/assay/challenges"
	"github.com/assaynet/assay/checker/committee"
	"github.com/assaynet/assay/checker/evidence"
	"github.com/assaynet/assay/checker/report"
	"github.com/assaynet/assay/checker/reputation"
)

// Collector combines the observations of several checkers into standings, as
// anybody can: it reads their API, checks every signature, and replays every
// transcript that is said to prove wrong work. Methods must not be called
// concurrently.
type Collector struct {
	registry  *committee.Registry
	clients   []*Client
	trust     evidence.Trust
	next      uint64
	tries     map[challenges.NodeID]int // at the epoch next, while transcripts of a checker could not be fetched
	spent     map[challenges.NodeID]int // transcripts of a checker that were asked for, for the epoch next
	believed  map[belief]evidence.Level // what checkers have shown of cards
	standings map[challenges.NodeID]reputation.Standing
	ran       []reputation.Ran // in the latest global slots
	shared    map[challenges.NodeID][]SharedDevice
	tested    uint64 // epochs that shared takes into account
}

// maxRan bounds what is remembered of global slots: the latest runs.
const maxRan = 1 << 18

// NewCollector makes a collector over the checkers' APIs. trust is what identity
// evidence is judged by.
func NewCollector(r *committee.Registry, clients []*Client, trust evidence.Trust) *Collector {
	return &Collector{
		registry: r, clients: clients, trust: trust,
		standings: make(map[challenges.NodeID]reputation.Standing), believed: make(map[belief]evidence.Level),
		tries: make(map[challenges.NodeID]int), spent: make(map[challenges.NodeID]int),
	}
}

// Update folds every epoch that all reachable checkers have sealed. A checker
// that does not answer is left out and named in the error; the standings are
// good all the same.
func (c *Collector) Update(ctx context.Context) error {
	var errs []error
	var live []*Client
	sealed := uint64(0)
	for _, cl := range c.clients {
		s, err := cl.Status(ctx)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		if len(live) == 0 || s.Sealed < sealed {
			sealed = s.Sealed
		}
		live = append(live, cl)
	}
	for ; c.next < sealed; c.next++ {
		if err := c.epoch(ctx, c.next, live); err != nil {
			return errors.Join(append(errs, err)...)
		}
		clear(c.tries)
	}
	return errors.Join(errs...)
}

func (c *Collector) epoch(ctx context.Context, epoch uint64, live []*Client) error {
	seen := make(map[challenges.NodeID][]reputation.Seen)
	clear(c.spent)
	var signed []sighting
	for _, cl := range live {
		envelopes, err := cl.Observations(ctx, epoch)
		if err != nil {
			return err
		}
		for _, e := range envelopes {
			o, err := report.OpenObservation(e, c.registry.Hash())
			if err != nil {
				return fmt.Errorf("epoch %d: %w", epoch, err)
			}
			if err := c.prove(ctx, cl, e.Signer, &o); err != nil {
				return err
			}
			seen[o.Provider] = append(seen[o.Provider], reputation.Seen{Checker: e.Signer, Observation: o})
			signed = append(signed, sight(cl, e.Signer, &o)...)
		}
	}
	conflicts, err := c.conflicts(ctx, signed)
	if err != nil {
		return err
	}
	// Nothing fails from here on: an epoch is folded once, and whole.
	for p, s := range seen {
		a := reputation.Combine(c.registry, epoch, p, s)
		c.standings[p], _ = reputation.Fold(c.standings[p], a, &c.registry.Params)
		for _, o := range a.Observers {
			c.slots(epoch, p, o)
		}
	}
	for _, k := range conflicts {
		for _, p := range []challenges.NodeID{k.A.Provider, k.B.Provider} {
			if s, ok := c.standings[p]; ok {
				c.standings[p] = reputation.Conflicting(s, k)
			}
			if k.A.Provider == k.B.Provider {
				break
			}
		}
	}
	c.ran = c.ran[max(0, len(c.ran)-maxRan):]
	return nil
}

// slots remembers what a checker tells of global slots, as far as it was that
// checker's part to run the device in them: else one alone could make up a pair.
func (c *Collector) slots(epoch uint64, provider challenges.NodeID, o reputation.Observer) {
	for _, it := range o.Items {
		flavour, ok := it.Flavour()
		if it.Slot == 0 || !ok {
			continue
		}
		r := reputation.Ran{
			Slot: it.Slot, Target: committee.Target{Provider: provider, Device: it.Device}, Ops: it.OpsLower, Flavour: flavour,
		}
		// SPEC: G4. A reader MUST NOT count the slot of an item that these draws do not
		// give to its checker.
		plan := committee.SlotPlan(c.registry, c.registry.Hash(), o.Checker, epoch, []committee.Target{r.Target}, nil)
		if !slices.ContainsFunc(plan, func(s committee.Slotted) bool { return s.Number+1 == it.Slot }) {
			continue
		}
		switch it.Outcome {
		case challenges.Pass:
		case challenges.Late, challenges.Withheld:
			r.Slow = true
		case challenges.Refused:
			r.Slow, r.Void = !it.Neutral(), it.Neutral()
		default:
			r.Void = true
		}
		c.ran = append(c.ran, r)
	}
}

// Epochs is how many epochs are folded.
func (c *Collector) Epochs() uint64 { return c.next }

// Providers describes every provider seen, best score first.
func (c *Collector) Providers() []Provider {
	out := make([]Provider, 0, len(c.standings))
	c.test()
	for id, s := range c.standings {
		p := Describe(&s, &c.registry.Params)
		p.share(c.shared[id])
		out = append(out, p)
	}
	Rank(out)
	return out
}

// test looks for devices that are shared, once for each epoch that was folded.
func (c *Collector) test() {
	if c.shared != nil && c.tested == c.next {
		return
	}
	c.shared, c.tested = make(map[challenges.NodeID][]SharedDevice), c.next
	for _, s := range reputation.Sharing(c.ran, &c.registry.Params) {
		if !s.Confirmed {
			continue
		}
		for _, pair := range [][2]committee.Target{{s.A, s.B}, {s.B, s.A}} {
			c.shared[pair[0].Provider] = append(c.shared[pair[0].Provider], SharedDevice{
				pair[0].Device, pair[1].Provider, pair[1].Device, s.Together, s.TogetherSlow, s.Apart, s.ApartSlow,
			})
		}
	}
}

// share adds the devices that were found to be shared.
func (p *Provider) share(shared []SharedDevice) {
	if len(shared) == 0 {
		return
	}
	p.Shared, p.Flags = shared, append(p.Flags, reputation.FlagSharedDevice)
	for _, s := range shared {
		p.Reasons = append(p.Reasons, evidence.Reason{Code: reputation.FlagSharedDevice, Detail: fmt.Sprintf(
			"%s and %s of %s are slow when both run (%d of %d times) and not when one does (%d of %d): one device under two names",
			s.Device, s.OtherDevice, s.Other.Short(), s.TogetherSlow, s.Together, s.ApartSlow, s.Apart,
		)})
	}
}

// Rank sorts providers by score, best first, ties by id.
func Rank(p []Provider) {
	slices.SortFunc(p, func(a, b Provider) int {
		switch {
		case a.Score > b.Score:
			return -1
		case a.Score < b.Score:
			return 1
		}
		return a.ID.Compare(b.ID)
	})
}
