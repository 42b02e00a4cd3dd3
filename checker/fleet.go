package checker

import (
	"context"
	"slices"
	"sync"
	"time"

	"lukechampine.com/blake3"

	"github.com/assaynet/assay/challenges"
	"github.com/assaynet/assay/checker/committee"
	"github.com/assaynet/assay/checker/evidence"
	"github.com/assaynet/assay/checker/report"
)

// dialBefore is how long before its instant a run of several devices begins to
// connect: what is dialled later starts late, and says less.
const dialBefore = 5 * time.Second

// together starts what an epoch asks of several devices at one time: fleet
// challenges of this checker's groups, and its part of the global slots.
func (c *Checker) together(ctx context.Context, epoch uint64, targets []committee.Target) {
	c.mu.Lock()
	offers := make(map[challenges.NodeID]challenges.Offer, len(c.cfg.Providers))
	for _, p := range c.cfg.Providers {
		if offer, ok := c.offers[p]; ok {
			offers[p] = offer
		}
	}
	c.mu.Unlock()
	begin, beacon := c.clock.Start(epoch), c.network
	groups := committee.Groups(offers)
	for _, f := range committee.Fleets(c.cfg.Registry, beacon, c.id, epoch, groups) {
		c.later(ctx, epoch, begin.Add(c.params.TogetherAt()), func(at time.Time) { c.fleet(ctx, f, at) })
	}
	fleets := committee.InFleet(c.cfg.Registry, epoch, groups)
	slots := make(map[int][]committee.Slotted)
	for _, s := range committee.SlotPlan(c.cfg.Registry, beacon, c.id, epoch, targets, nil) {
		if !fleets[s.Target] {
			slots[s.Index] = append(slots[s.Index], s)
		}
	}
	for index, in := range slots {
		c.later(ctx, epoch, begin.Add(c.params.SlotAt(index)), func(at time.Time) { c.slot(ctx, in, at) })
	}
}

// later runs something a little before an instant of an epoch, unless that has
// passed.
func (c *Checker) later(ctx context.Context, epoch uint64, at time.Time, run func(at time.Time)) {
	early := at.Add(-min(dialBefore, c.params.MinSlot/4))
	if time.Now().After(early) {
		return // started in the middle of an epoch
	}
	done, ok := c.track(epoch)
	if !ok {
		return
	}
	go func() {
		defer done() // the sealer waits for it
		if sleepUntil(ctx, early) && !c.paused() {
			run(at)
		}
	}()
}

// slot runs this checker's devices of one global slot.
func (c *Checker) slot(ctx context.Context, in []committee.Slotted, at time.Time) {
	start := func(ctx context.Context) { sleepUntil(ctx, at) }
	by := halfWay(at)
	late := at.Add(min(dialBefore, c.params.MinSlot/4) / 5)
	var running sync.WaitGroup
	for _, s := range in {
		a := committee.Assignment{Epoch: s.Epoch, Provider: s.Target.Provider, Device: s.Target.Device, Seq: uint32(2 + s.Index)}
		running.Go(func() {
			i := c.launch(ctx, by, a, want{purpose: c.params.SlotFor, compute: true, slot: s.Number + 1})
			if i == nil {
				return
			}
			defer i.close()
			if c.begin(ctx, i) {
				w := c.drive(ctx, i, pace{start: start})
				if w.left.After(late) {
					i.slot = 0 // it ran, but not beside the others
				}
				c.finish(ctx, i, report.FleetPart{})
			}
		})
	}
	running.Wait()
}

// halfWay is until when a place is waited for by those who start at an instant: it
// takes time to connect, too.
func halfWay(at time.Time) time.Time { return time.Now().Add(time.Until(at) / 2) }

// launch prepares a challenge; nil if there is none, or no place for it in time.
func (c *Checker) launch(ctx context.Context, by time.Time, a committee.Assignment, w want) *issued {
	soon, cancel := context.WithDeadline(ctx, by)
	defer cancel()
	land, ok := c.fly(soon)
	if !ok {
		c.metrics.skipped.Inc()
		return nil
	}
	i, err := c.prepare(ctx, a, w)
	if err != nil {
		c.log.ErrorContext(ctx, "challenge", "peer", a.Provider, "device", a.Device, "err", err)
	}
	if i == nil {
		land()
		return nil
	}
	i.land = land
	return i
}

// fleet runs one fleet challenge: all devices of a group at one instant. A proof
// of memory has a second one: no walk begins before every dataset is filled, so
// that no memory serves two of them.
func (c *Checker) fleet(ctx context.Context, f committee.Fleet, at time.Time) {
	w := want{purpose: c.params.FleetFor, compute: !f.Memory, memory: f.Memory}
	var members []*issued
	by := halfWay(at)
	for _, t := range f.Group.Targets {
		a := committee.Assignment{
			Epoch: f.Epoch, Provider: t.Provider, Device: t.Device, Seq: 1, Turn: f.Epoch / uint64(c.params.FleetEvery) / 2,
		}
		if i := c.launch(ctx, by, a, w); i != nil {
			defer i.close()
			members = append(members, i)
		}
	}
	if len(members) < 2 {
		return // one alone shows nothing
	}
	members = slices.DeleteFunc(members, func(i *issued) bool { return !c.begin(ctx, i) })
	b, filledBy := newBarrier(len(members)), at
	for _, i := range members {
		if t := at.Add(i.filledBy); t.After(filledBy) {
			filledBy = t
		}
	}
	var running sync.WaitGroup
	for _, i := range members {
		arrive := sync.OnceFunc(b.arrive)
		p := pace{
			start: func(ctx context.Context) { sleepUntil(ctx, at) },
			filled: func(ctx context.Context) {
				arrive()
				b.wait(ctx, filledBy)
			},
		}
		running.Go(func() {
			defer arrive() // whoever ends early holds up nobody
			w := c.drive(ctx, i, p)
			i.left = w.left.Sub(at)
			if l := i.line; l != nil && !l.last {
				i.line = nil
				l.drop() // its provider works on, and the end is written down later
			}
		})
	}
	running.Wait()
	parts := fleetParts(members, len(f.Group.Targets))
	for _, i := range members {
		c.finish(ctx, i, parts[i.Provider])
	}
}

// fleetParts says of each provider what its devices did together. One that was left
// alone shows nothing.
func fleetParts(members []*issued, group int) map[challenges.NodeID]report.FleetPart {
	if len(members) < 2 {
		return nil
	}
	run := blake3.New(32, nil)
	by := make(map[challenges.NodeID][]evidence.Member)
	for _, i := range members {
		id := i.session.ID()
		run.Write(id[:])
		v := i.session.Verdict() // first: it drops what nobody signed
		events := i.session.Control()
		m := evidence.Member{Verdict: v, Claim: i.claim}
		if v.Outcome == challenges.Refused {
			m.Reason = refusal(events)
		}
		if i.Kind == challenges.Memory {
			m.Claim, m.Proven = i.set.Bytes(), i.set.Proven(m.Verdict.OpsLower)
		} else {
			m.Course = evidence.Course{Start: i.left, Ops: i.ops}
			for _, at := range evidence.RootTimes(events) {
				m.Course.Ends = append(m.Course.Ends, i.left+at)
			}
		}
		by[i.Provider] = append(by[i.Provider], m)
	}
	parts := make(map[challenges.NodeID]report.FleetPart, len(by))
	for p, ms := range by {
		part := report.FleetPart{Run: challenges.Hash(run.Sum(nil)), Devices: uint16(len(ms)), Group: uint16(group)}
		part.Sum, part.Claim = evidence.FleetSum(ms)
		parts[p] = part
	}
	return parts
}

// refusal is the reason of the refusal that a control stream ends in.
func refusal(events []challenges.Event) string {
	var f challenges.RefusalFrame
	if len(events) == 0 || challenges.Unmarshal(events[len(events)-1].Frame, &f) != nil {
		return ""
	}
	return f.Reason
}

// barrier lets several go on together.
type barrier struct {
	mu      sync.Mutex
	awaited int
	open    chan struct{}
}

func newBarrier(n int) *barrier { return &barrier{awaited: n, open: make(chan struct{})} }

// arrive counts one; the last opens the barrier.
func (b *barrier) arrive() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.awaited--; b.awaited == 0 {
		close(b.open)
	}
}

// wait waits for all, at most until an instant.
func (b *barrier) wait(ctx context.Context, by time.Time) {
	timer := time.NewTimer(time.Until(by))
	defer timer.Stop()
	select {
	case <-b.open:
	case <-timer.C:
	case <-ctx.Done():
	}
}
