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
	env, _, s, err := c.draw(ch, nil)
	if err != nil {
		c.log.ErrorContext(ctx, "probe", "peer", p, "kind", ch.Kind, "err", err)
		return
	}
	c.metrics.probesRunning.Inc()
	way := drive(ctx, c.cfg.Network, s, challenges.Marshal(&env), pace{}, challenges.ProtoProbe)
	c.metrics.probesRunning.Dec()
	way.line.drop()
	if ctx.Err() != nil {
		return // the checker stops; nothing was seen
	}
	v := c.judged(ctx, s)
	c.noted(p, epoch, k, v, way.relayed)
	if v.Outcome != challenges.Pass {
		// Failures keep their transcript; what went well is only counted.
		f, _ := c.finished(s)
		c.keep(ctx, f)
	}
}

// noted puts a probe's outcome into its slice.
func (c *Checker) noted(p challenges.NodeID, epoch uint64, k int, v challenges.Verdict, relayed bool) {
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
	if v.Outcome == challenges.Pass && !relayed && v.RTT > 0 {
		c.metrics.rtt.Observe(v.RTT.Seconds())
		if row.RTT == 0 || v.RTT < row.RTT {
			row.RTT = v.RTT
		}
		if old := c.rtts[p]; old == 0 || v.RTT < old {
			c.rtts[p] = v.RTT
		}
	}
}

// flusher writes the probes down, one batch a second. A failure is logged where it
// happens; only that of the last flush ends the checker with an error.
func (c *Checker) flusher(ctx context.Context) error {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return c.flush(ctx)
		case <-tick.C:
			_ = c.flush(ctx)
			c.mu.Lock()
			c.look(time.Now())
			c.mu.Unlock()
		}
	}
}
