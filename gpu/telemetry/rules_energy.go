package telemetry

import "fmt"

// energyRules are about power, over time.
func energyRules() []Rule {
	return []Rule{
		{"energy-limit", true, "energy, of two snapshots; a power limit, or the model's power", "1.15 x limit x (time + 1 s); without a limit 1.5 x the model's power", "attestation.md 5.4; the counter may be read half a second after the snapshot's time, and lags", func(c *card) verdict {
			spent, _, span, ok := c.energy()
			limit, said := c.most(PowerLimit)
			switch {
			case said:
			case c.inventory.PowerMax != 0:
				limit = float64(c.inventory.PowerMax)
			default:
				limit = float64(float64(c.model.Watts) * 1500)
			}
			if !ok || limit <= 0 {
				return skip
			}
			if most := float64(float64(1.15*limit) * (span + 1)); spent > most {
				return found(fmt.Sprintf("%.4g J in %.4g s", spent/1000, span), fmt.Sprintf("at most %.4g J", most/1000))
			}
			return fine
		}},
		{"energy-power", false, "energy and power, of at least eight snapshots over at least 5 s (the work begins and ends between snapshots)", "what the counter rose is within a quarter of power x time", "attestation.md 3: A100's and H100's sensors see a quarter of the time (arXiv 2312.02741)", func(c *card) verdict {
			spent, from, span, ok := c.energy()
			power := c.series(Power)
			for len(power) > 0 && power[0].at < from {
				power = power[1:]
			}
			if !ok || span < 5 || len(power) < 8 || power[len(power)-1].at-power[0].at < float64(0.9*span) {
				return skip
			}
			sum := 0.0
			for n := 1; n < len(power); n++ {
				sum += float64((power[n].v + power[n-1].v) / 2 * (power[n].at - power[n-1].at))
			}
			if spent < float64(0.75*sum) || spent > float64(1.25*sum) {
				return found(fmt.Sprintf("%.4g J by the counter", spent/1000), fmt.Sprintf("%.4g J by power x time", sum/1000))
			}
			return fine
		}},
		{"energy-ops", false, "energy over at least 80 % of the challenge and 5 s; name of the table; int8 or bf16 ops; no slices", "joules an op are 0.5 to 4 times the model's power / peak", "attestation.md 5.4", func(c *card) verdict {
			spent, _, span, ok := c.energy()
			if !ok || !c.known || c.sliced || c.work.Ops == 0 || c.model.Watts == 0 || span < 5 || span < float64(0.8*c.work.Elapsed.Seconds()) {
				return skip
			}
			var peak uint64
			switch c.work.Flavour {
			case Int8:
				peak = c.model.Peak.Exact().Int8
			case BF16:
				peak = c.model.Peak.Exact().BF16
			}
			if peak == 0 {
				return skip
			}
			each, right := spent/1000/float64(c.work.Ops), float64(c.model.Watts)/float64(peak)
			if each < float64(0.5*right) || each > float64(4*right) {
				return found(fmt.Sprintf("%.3g J an op", each), fmt.Sprintf("about %.3g", right))
			}
			return fine
		}},
		{"energy-falls", false, "energy, of two snapshots", "it does not fall", nvmlDoc + ", nvmlDeviceGetTotalEnergyConsumption: since the driver was loaded, which it cannot be while a challenge runs", func(c *card) verdict {
			all := c.series(Energy)
			for n := 1; n < len(all); n++ {
				if all[n].v < all[n-1].v {
					return found(fmt.Sprintf("from %.6g to %.6g J", all[n-1].v/1000, all[n].v/1000), "a counter that rises")
				}
			}
			return verdict{applied: len(all) > 1}
		}},
		{"power-physical", true, "power; a power limit, or the model's power", "at most 3 times the highest of the limits and the model's power", "peaks of milliseconds reach twice the limit on RTX 3090; range " + proposal, func(c *card) verdict {
			power, ok := c.most(Power)
			limit, _ := c.most(PowerLimit)
			limit = max(limit, float64(c.inventory.PowerMax), float64(float64(c.model.Watts)*1000))
			if !ok || limit <= 0 {
				return skip
			}
			if power > float64(3*limit) {
				return found(fmt.Sprintf("%.4g W", power/1000), fmt.Sprintf("a limit of %.4g W", limit/1000))
			}
			return fine
		}},
		{"power-constant", false, "power, of at least six snapshots over at least 3 s", "not all equal", "the sensor counts milliwatts and is noisy; number of samples " + proposal, func(c *card) verdict {
			return constant(c.series(Power), 6, 3, "mW")
		}},
		{"energy-constant", false, "energy, of at least three snapshots over at least 3 s", "not all equal", "a card that is on takes power", func(c *card) verdict {
			return constant(c.series(Energy), 3, 3, "mJ")
		}},
	}
}

// energy is what the counter rose in mJ since it last fell, from when on, and in how
// many seconds.
func (c *card) energy() (spent, from, span float64, ok bool) {
	all := c.series(Energy)
	start := 0
	for n := 1; n < len(all); n++ {
		if all[n].v < all[n-1].v {
			start = n
		}
	}
	if len(all)-start < 2 {
		return 0, 0, 0, false
	}
	first, last := all[start], all[len(all)-1]
	return last.v - first.v, first.at, last.at - first.at, true
}

// constant is a verdict on a series that should not be.
func constant(all []point, samples int, span float64, unit string) verdict {
	if len(all) < samples || all[len(all)-1].at-all[0].at < span {
		return skip
	}
	for _, p := range all {
		if p.v != all[0].v {
			return fine
		}
	}
	return found(fmt.Sprintf("%d times %.0f %s", len(all), all[0].v, unit), "noise")
}
