package checker

import (
	"context"
	"encoding/binary"
	"sync"
	"time"

	"lukechampine.com/blake3"

	"github.com/assaynet/assay/challenges"
	"github.com/assaynet/assay/checker/report"
)

// prober probes one provider in every slice of every epoch.
func (c *Checker) prober(ctx context.Context, p challenges.NodeID) {
	every := c.params.ProbeEvery
	// Each checker has its own moment within a provider's slice, in its first half.
	h := blake3.New(8, nil)
	h.Write(c.id[:])
	h.Write(p[:])
	offset := time.Duration(binary.LittleEndian.Uint64(h.Sum(nil)) % uint64(every/2))
	per := int64(c.params.Slices())
	var running sync.WaitGroup
	defer running.Wait()
	slice := max(0, int64((time.Since(c.clock.Genesis)+every-1)/every))
	for {
		if !sleepUntil(ctx, c.clock.Genesis.Add(time.Duration(slice)*every+offset)) {
			return
		}
		epoch, k := uint64(slice/per), int(slice%per)
		// A silent provider is waited for over several slices, each with its own
		// probe, so that a slice says what was true in it.
		if done, ok := c.track(epoch); ok {
			running.Go(func() {
				defer done()
				c.probe(ctx, p, epoch, k)
			})
		}
		slice = max(slice+1, int64(time.Since(c.clock.Genesis)/every))
	}
}

// probe sends one probe and notes its outcome.
func (c *Checker) probe(ctx context.Context, p challenges.NodeID, epoch uint64, k int) {
	ch := challenges.Challenge{
		Epoch: epoch, Provider: p, Kind: challenges.Probe, Seq: uint32(k), Deadline: challenges.ProbeDeadline,
		Params: challenges.Marshal(&challenges.ProbeParams{Pings: c.params.Pings}),
	}
	env, _, s, err := c.draw(ch)
	if err != nil {
		c.log.ErrorContext(ctx, "probe", "peer", p, "err", err)
		return
	}
	relayed := drive(ctx, c.cfg.Network, s, challenges.Marshal(&env), challenges.ProtoProbe)
	v := s.Verdict()
	if ctx.Err() != nil {
		return // the checker stops; nothing was seen
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	byProvider := c.probes[epoch]
	if byProvider == nil {
		byProvider = make(map[challenges.NodeID]*report.Slices)
		c.probes[epoch] = byProvider
	}
	row := byProvider[p]
	if row == nil {
		row = &report.Slices{Provider: p, Simulated: c.cfg.Registry.Simulated, Slices: make([]byte, c.params.Slices())}
		byProvider[p] = row
	}
	row.Slices[k] = byte(v.Outcome)
	if v.Outcome != challenges.Pass {
		// Failures keep their transcript; what went well is only counted.
		c.failed = append(c.failed, c.finished(s))
		return
	}
	if !relayed && v.RTT > 0 {
		if row.RTT == 0 || v.RTT < row.RTT {
			row.RTT = v.RTT
		}
		if old := c.rtts[p]; old == 0 || v.RTT < old {
			c.rtts[p] = v.RTT
		}
	}
}

// flusher writes the probes down, one batch a second.
func (c *Checker) flusher(ctx context.Context) error {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return c.flush()
		case <-tick.C:
			if err := c.flush(); err != nil {
				c.log.ErrorContext(ctx, "flush probes", "err", err)
			}
		}
	}
}

func (c *Checker) flush() error {
	c.mu.Lock()
	failed := c.failed
	c.failed = nil
	batches := make(map[uint64][]report.Slices, len(c.probes))
	for epoch, byProvider := range c.probes {
		for _, s := range byProvider {
			row := *s
			row.Slices = append([]byte(nil), s.Slices...)
			batches[epoch] = append(batches[epoch], row)
		}
	}
	c.mu.Unlock()
	for _, f := range failed {
		if err := c.cfg.Challenges.Finish(f); err != nil {
			return err
		}
	}
	for epoch, b := range batches {
		if err := c.cfg.Epochs.PutSlices(epoch, b); err != nil {
			return err
		}
	}
	return nil
}
