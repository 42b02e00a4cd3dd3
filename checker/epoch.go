package checker

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/assaynet/assay/challenges"
	"github.com/assaynet/assay/checker/committee"
	"github.com/assaynet/assay/checker/evidence"
	"github.com/assaynet/assay/checker/report"
	"github.com/assaynet/assay/checker/reputation"
)

// epochs starts each epoch's challenges and hands ended epochs to the sealer.
// It closes the channel when it has handed over the last.
func (c *Checker) epochs(ctx context.Context, sealing chan<- uint64) error {
	defer close(sealing)
	next, err := c.cfg.Reports.SealedEpoch()
	if err != nil {
		return err
	}
	// An epoch that an earlier process sealed before its end stays sealed.
	epoch := max(next, c.clock.Epoch(time.Now()), c.first)
	for {
		if !sleepUntil(ctx, c.clock.Start(epoch)) {
			return nil
		}
		if err := c.speak(); err != nil {
			return err
		}
		c.start(ctx, epoch)
		ended := sleepUntil(ctx, c.clock.Start(epoch+1))
		sealing <- epoch
		if !ended {
			return nil
		}
		c.fetchOffers(ctx)
		epoch++
	}
}

// start plans an epoch and sends each challenge at its time.
func (c *Checker) start(ctx context.Context, epoch uint64) {
	c.mu.Lock()
	var targets []committee.Target
	for _, p := range c.cfg.Providers {
		offer := c.offers[p]
		for _, d := range offer.Devices {
			t := committee.Target{Provider: p, Device: d.ID}
			if epoch != c.takenUp || !c.asked[t] {
				targets = append(targets, t)
			}
		}
	}
	c.mu.Unlock()
	c.together(ctx, epoch, targets)
	begin := c.clock.Start(epoch)
	for _, a := range committee.Plan(c.cfg.Registry, c.id, epoch, targets) {
		if time.Since(begin.Add(a.At)) > c.params.ProbeEvery {
			continue // started in the middle of an epoch: that moment is gone
		}
		done, ok := c.track(epoch)
		if !ok {
			return
		}
		go func() {
			defer done() // the sealer waits for it
			if !sleepUntil(ctx, begin.Add(a.At)) {
				return
			}
			land, ok := c.fly(ctx)
			if !ok {
				c.metrics.skipped.Inc()
				return
			}
			defer land()
			if c.paused() {
				c.metrics.skipped.Inc()
				return
			}
			if err := c.issue(ctx, a); err != nil {
				c.log.ErrorContext(ctx, "challenge", "peer", a.Provider, "device", a.Device, "err", err)
			}
		}()
	}
}

// fly takes one of the places for challenges in flight. It waits no longer than a
// challenge may be late for its moment.
func (c *Checker) fly(ctx context.Context) (land func(), ok bool) {
	ctx, cancel := context.WithTimeout(ctx, c.params.ProbeEvery)
	defer cancel()
	select {
	case c.flights <- struct{}{}:
		return func() { <-c.flights }, true
	case <-ctx.Done():
		return nil, false
	}
}

// track counts one more challenge of an epoch, unless the epoch is being closed or
// too many epochs before it wait to be sealed.
// The sealer waits until each one's done was called.
func (c *Checker) track(epoch uint64) (done func(), ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if epoch < c.closed || epoch > c.unsealed+maxUnsealed {
		return nil, false
	}
	open := c.open[epoch]
	if open == nil {
		open = &sync.WaitGroup{}
		c.open[epoch] = open
	}
	open.Add(1)
	return open.Done, true
}

// close stops an epoch from taking more challenges and waits for those it has.
func (c *Checker) close(epoch uint64) {
	c.mu.Lock()
	open := c.open[epoch]
	delete(c.open, epoch)
	c.closed = epoch + 1
	c.mu.Unlock()
	if open != nil {
		open.Wait()
	}
}

// sealer closes epochs in order, each when its last challenge is final. One that
// cannot be sealed is tried again each second, and those after it wait: sealing
// them would seal it without its observations.
func (c *Checker) sealer(ctx context.Context, ended <-chan uint64) error {
	again := time.NewTicker(time.Second)
	defer again.Stop()
	var waiting []uint64
	for {
		var tick <-chan time.Time
		if len(waiting) > 0 {
			tick = again.C
		}
		more := true
		select {
		case <-tick:
		case epoch, ok := <-ended:
			if more = ok; more {
				c.close(epoch)
				waiting = append(waiting, epoch)
			}
		}
		var err error
		for len(waiting) > 0 && err == nil {
			if err = c.seal(ctx, waiting[0]); err == nil {
				waiting = waiting[1:]
			}
		}
		if !more && err != nil {
			return fmt.Errorf("seal epoch %d: %w", waiting[0], err)
		}
		if !more {
			return nil
		}
	}
}

// seal writes an epoch's observations and folds them.
func (c *Checker) seal(ctx context.Context, epoch uint64) error {
	if err := c.flush(ctx); err != nil {
		return err
	}
	start := time.Now()
	sealed, events, err := c.fold(epoch)
	if err == nil {
		err = c.cfg.Reports.Seal(epoch, sealed.rows)
	}
	c.wrote(ctx, opSeal, err, "epoch", epoch)
	if err != nil {
		// A store that failed after it had written must not get it twice.
		if next, nerr := c.cfg.Reports.SealedEpoch(); nerr == nil && next > epoch {
			err = nil
		}
	}
	if err != nil {
		return err
	}
	for _, e := range events {
		c.log.InfoContext(ctx, "flag", "peer", e.Provider, "flag", e.Code, "epoch", e.Epoch)
	}
	c.log.InfoContext(ctx, "epoch sealed", "epoch", epoch, "providers", len(sealed.rows), "challenges", &sealed.items, "probes", &sealed.slices)
	c.metrics.sealed.Inc()
	c.metrics.lastSealed.Set(float64(epoch))
	c.metrics.sealSeconds.Observe(time.Since(start).Seconds())
	c.mu.Lock()
	delete(c.probes, epoch)
	c.unsealed = max(c.unsealed, epoch+1)
	c.mu.Unlock()
	return nil
}

// folded is an epoch that is ready to be sealed, and what is in it.
type folded struct {
	rows          []reputation.Sealed
	items, slices tally
}

// fold makes an epoch's observations and the standings that they lead to.
func (c *Checker) fold(epoch uint64) (f folded, flags []reputation.Event, err error) {
	records, err := c.cfg.Epochs.EpochRecords(epoch)
	if err != nil {
		return f, nil, err
	}
	f.rows = make([]reputation.Sealed, 0, len(records))
	var signed []evidence.Sighting
	for _, r := range records {
		o := report.Observation{
			Epoch: epoch, Provider: r.Provider, Simulated: c.cfg.Registry.Simulated,
			Slices: r.Slices.Slices, RTT: r.RTT, Items: r.Items,
		}
		for _, it := range o.Items {
			f.items.add(it.Outcome)
			if it.Card.Identity != (challenges.Hash{}) {
				signed = append(signed, evidence.Sighting{
					Identity: it.Card.Identity, Provider: r.Provider, Device: it.Device, Epoch: epoch, Transcript: it.Transcript,
				})
			}
		}
		for _, s := range o.Slices {
			f.slices.add(challenges.Outcome(s))
		}
		old, err := c.cfg.Reports.Standing(r.Provider)
		if err != nil && !errors.Is(err, report.ErrNotFound) {
			return f, nil, err
		}
		a := reputation.Combine(c.cfg.Registry, epoch, r.Provider, []reputation.Seen{{Checker: c.id, Observation: o}})
		standing, events := reputation.Fold(old, a, c.params)
		flags = append(flags, events...)
		f.rows = append(f.rows, reputation.Sealed{
			Observation: o.Seal(c.network, c.cfg.Key), Epoch: epoch, Provider: r.Provider, Standing: standing,
		})
	}
	// These are its own transcripts: it need not fetch them to believe itself.
	for _, k := range evidence.Conflicts(signed) {
		for i := range f.rows {
			if s := &f.rows[i]; s.Provider == k.A.Provider || s.Provider == k.B.Provider {
				s.Standing = reputation.Conflicting(s.Standing, k)
				flags = append(flags, reputation.Event{Epoch: epoch, Provider: s.Provider, Code: reputation.FlagIdentityConflict})
			}
		}
	}
	return f, flags, nil
}
