package telemetry

import (
	"fmt"
	"time"
)

const (
	slackShare = 1.02 // of ceilings: clocks are read in whole MHz, peaks are printed in three digits
	// The last snapshot is taken while the last openings travel, after the last root.
	slackTime = 10 * time.Second
)

// workRules hold the record against what the checker measured.
func workRules() []Rule {
	return []Rule{
		{"times", true, "elapsed, a snapshot", "the last at most 1.1 x elapsed + 10 s after the challenge", "the agent reads the card last while its last openings travel; slack " + proposal, func(c *card) verdict {
			if c.work.Elapsed <= 0 || len(c.snapshots) == 0 {
				return skip
			}
			// In integers, and in parts that do not wrap.
			last, elapsed := c.snapshots[len(c.snapshots)-1].At, c.work.Elapsed
			if late := elapsed/10 + slackTime; last > elapsed && last-elapsed > late {
				return found(fmt.Sprintf("the last snapshot after %v", last), fmt.Sprintf("at most %.4g s", elapsed.Seconds()+late.Seconds()))
			}
			return fine
		}},
		{"ops-ceiling", true, "name of the table, or cores and compute capability; ops; elapsed; no slices", "SMs x ops of an SM and clock x clock x time x 1.02; the clock is the highest that was read, at most 1.15 x boost", "datasheets (gpu/models)", func(c *card) verdict {
			done, most, ok := c.ceiling()
			if !ok {
				return skip
			}
			if done > float64(most*slackShare) {
				return found(fmt.Sprintf("%.4g %s ops/s", done, c.work.Flavour), fmt.Sprintf("at most %.4g", most))
			}
			return fine
		}},
		{"ops-high", false, "as ops-ceiling", "95 % of the ceiling", "attestation.md 5.1: products reach 50 to 90 % of the units' peak", func(c *card) verdict {
			done, most, ok := c.ceiling()
			if !ok {
				return skip
			}
			if done > float64(most*0.95) {
				return found(fmt.Sprintf("%.4g %s ops/s", done, c.work.Flavour), fmt.Sprintf("at most %.4g", most*0.95))
			}
			return fine
		}},
		{"bytes-ceiling", true, "name of the table; reads; elapsed; no slices", "bandwidth x time x 1.02 / (1 - L2 / dataset); the bandwidth at the memory's highest clock, at most 1.3 x the model's; the dataset over 8 x L2, if any", "datasheets (gpu/models); hits in the cache take no bandwidth", func(c *card) verdict {
			s, held := &c.model, float64(c.work.Held)
			if !c.known || c.sliced || c.work.Flavour != Reads || c.work.Ops == 0 || c.work.Elapsed <= 0 || s.Bandwidth == 0 || held < float64(8*float64(s.L2)) {
				return skip
			}
			most := float64(float64(s.Bandwidth) * 1.3)
			if clock, ok := c.most(ClockMemoryMax); ok && s.MemoryHz != 0 {
				most = float64(float64(s.Bandwidth) * min(max(float64(clock*1e6)/float64(s.MemoryHz), 1), 1.3))
			}
			if held > 0 {
				most /= 1 - float64(s.L2)/held
			}
			done := float64(float64(c.work.Ops)*ReadBytes) / c.work.Elapsed.Seconds()
			if done > float64(most*slackShare) {
				return found(fmt.Sprintf("%.4g B/s of reads", done), fmt.Sprintf("at most %.4g", most))
			}
			return fine
		}},
		{"gpm", false, "GPM of at least three snapshots during the work; name of the table; ops; elapsed; no slices", "the units' share x their peak at the highest clock is 85 % to 300 % of what was done", nvmlDoc + ", nvmlGpmMetricId_t; the challenge waits for the network, the counters do not; range " + proposal, judgeGPM},
		{"utilisation", false, "utilisation of at least three snapshots during the work; ops; no slices", "half of them at 80 % at least", "attestation.md 5.7", func(c *card) verdict {
			all := c.during(UtilGPU)
			if len(all) < 3 || c.work.Ops == 0 || c.sliced {
				return skip
			}
			low := 0
			for _, p := range all {
				if p.v < 80 {
					low++
				}
			}
			if low*2 > len(all) {
				return found(fmt.Sprintf("%d of %d snapshots under 80 %%", low, len(all)), "a card that works")
			}
			return fine
		}},
		{"clock-low", false, "clock, highest clock and throttle reasons of at least three snapshots during the work; ops", "half of them at 60 % of the highest clock at least, or with a reason", "attestation.md 5.7", func(c *card) verdict {
			if len(c.snapshots) < 3 || c.work.Ops == 0 {
				return skip
			}
			read, low := 0, 0
			for n := 1; n < len(c.snapshots)-1; n++ {
				s := &c.snapshots[n]
				now, ok := s.Get(ClockSM)
				most, there := s.Get(ClockSMMax)
				why, said := s.Get(Throttle)
				if !ok || !there || !said {
					continue
				}
				read++
				if float64(now) < float64(0.6*float64(most)) && why == 0 {
					low++
				}
			}
			switch {
			case read < 3:
				return skip
			case low*2 > read:
				return found(fmt.Sprintf("%d of %d snapshots under 60 %% of the highest clock", low, read), "a reason for it")
			}
			return fine
		}},
	}
}

// ceiling is what was done in a second of the flavours of compute, and what the card
// can do at most.
func (c *card) ceiling() (done, most float64, ok bool) {
	if c.sliced || c.work.Ops == 0 || c.work.Elapsed <= 0 {
		return 0, 0, false
	}
	r := c.rates()
	switch c.work.Flavour {
	case Int8:
		most = r.Int8
	case BF16:
		most = r.BF16
	case FP64:
		most = r.FP64
	}
	most = float64(most * c.clock())
	return float64(c.work.Ops) / c.work.Elapsed.Seconds(), most, most > 0
}

// judgeGPM compares what the counters of the units say with what was done.
func judgeGPM(c *card) verdict {
	if !c.known || c.sliced || c.work.Ops == 0 || c.work.Elapsed <= 0 {
		return skip
	}
	kind, peak := GPMTensor, 0.0
	switch c.work.Flavour {
	case Int8, BF16:
		_, peak, _ = c.ceiling()
	case FP64:
		kind = GPMFP64
		_, peak, _ = c.ceiling()
	case Reads:
		kind, peak = GPMMemory, float64(c.model.Bandwidth)/ReadBytes
	}
	all := c.during(kind)
	if len(all) < 3 || peak == 0 {
		return skip
	}
	sum := 0.0
	for _, p := range all {
		sum += p.v / 10000 // percent x 100
	}
	units, done := float64(sum/float64(len(all))*peak), float64(c.work.Ops)/c.work.Elapsed.Seconds()
	if units < float64(0.85*done) || units > float64(3*done) {
		return found(fmt.Sprintf("%s says %.4g %s/s", kind, units, c.work.Flavour), fmt.Sprintf("%.4g, which were done", done))
	}
	return fine
}
