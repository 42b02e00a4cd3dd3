package checker

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/assaynet/assay/checker/committee"
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
	epoch := max(next, c.clock.Epoch(time.Now()))
	for {
		if !sleepUntil(ctx, c.clock.Start(epoch)) {
			return nil
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
			targets = append(targets, committee.Target{Provider: p, Device: d.ID})
		}
	}
	c.mu.Unlock()
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
			if err := c.issue(ctx, a); err != nil {
				c.log.ErrorContext(ctx, "challenge", "peer", a.Provider, "kind", a.Kind, "err", err)
			}
		}()
	}
}

// track counts one more challenge of an epoch, unless the epoch is being closed.
// The sealer waits until each one's done was called.
func (c *Checker) track(epoch uint64) (done func(), ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if epoch < c.closed {
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

// sealer closes epochs in order, each when its last challenge is final.
func (c *Checker) sealer(sealing <-chan uint64) error {
	var first error
	for epoch := range sealing {
		c.close(epoch)
		if err := c.seal(epoch); err != nil && first == nil {
			first = fmt.Errorf("seal epoch %d: %w", epoch, err)
		}
	}
	return first
}

// seal writes an epoch's observations and folds them.
func (c *Checker) seal(epoch uint64) error {
	if err := c.flush(); err != nil {
		return err
	}
	records, err := c.cfg.Epochs.EpochRecords(epoch)
	if err != nil {
		return err
	}
	sealed := make([]reputation.Sealed, 0, len(records))
	for _, r := range records {
		o := report.Observation{
			Epoch: epoch, Provider: r.Provider, Simulated: c.cfg.Registry.Simulated,
			Slices: r.Slices.Slices, RTT: r.RTT, Items: r.Items,
		}
		old, err := c.cfg.Reports.Standing(r.Provider)
		if err != nil && !errors.Is(err, report.ErrNotFound) {
			return err
		}
		a := reputation.Combine(c.cfg.Registry, epoch, r.Provider, []reputation.Seen{{Checker: c.id, Observation: o}})
		standing, events := reputation.Fold(old, a, c.params)
		for _, e := range events {
			c.log.Info("flag", "peer", e.Provider, "flag", e.Code, "epoch", e.Epoch)
		}
		sealed = append(sealed, reputation.Sealed{
			Observation: o.Seal(c.network, c.cfg.Key), Epoch: epoch, Provider: r.Provider, Standing: standing,
		})
	}
	if err := c.cfg.Reports.Seal(epoch, sealed); err != nil {
		return err
	}
	c.mu.Lock()
	delete(c.probes, epoch)
	c.mu.Unlock()
	return nil
}
