package bench

import (
	"context"
	"sync"
	"time"

	"github.com/assaynet/assay/challenges"
)

// probed is a probe.
type probed struct {
	when    span
	outcome challenges.Outcome
}

// probing probes every 100 ms until ctx ends, whatever became of the probe before.
func (c *crowd) probing(ctx context.Context) {
	var open sync.WaitGroup
	defer open.Wait()
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for n := 0; ; n++ {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		open.Go(func() {
			ch := challenges.Challenge{
				Network: c.registry.Hash(), Epoch: c.registry.Clock().Epoch(time.Now()), Provider: c.provider, Kind: challenges.Probe, Seq: uint32(n),
				Deadline: challenges.ProbeDeadline, Params: challenges.Marshal(&challenges.ProbeParams{Pings: 1}),
			}
			p := probed{when: span{from: time.Now()}}
			s := c.play(n%len(c.hosts), ch, challenges.ProtoProbe)
			p.when.to, p.outcome = time.Now(), s.Verdict().Outcome
			c.mu.Lock()
			c.probes = append(c.probes, p)
			c.mu.Unlock()
		})
	}
}

// requireProbes holds that every probe was answered within a second.
func (c *crowd) requireProbes() {
	c.t.Helper()
	c.mu.Lock()
	defer c.mu.Unlock()
	var all []time.Duration
	void := 0
	for _, p := range c.probes {
		if c.lags.during(p.when) && (p.when.length() > time.Second || p.outcome != challenges.Pass) {
			void++
			continue
		}
		all = append(all, p.when.length())
		if p.outcome != challenges.Pass || p.when.length() > time.Second {
			c.t.Errorf("a probe: %v after %v", p.outcome, p.when.length())
		}
	}
	median, most := middleAndMost(all)
	c.t.Logf("%d probes answered: median %.1f ms, longest %.1f ms; %d slow ones while the machine stood still; a timer was at most %v late",
		len(all), ms(median), ms(most), void, c.lags.most.Round(time.Millisecond))
	if len(all) == 0 {
		c.t.Error("no probe")
	}
}
