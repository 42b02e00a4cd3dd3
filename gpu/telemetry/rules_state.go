package telemetry

import "fmt"

// CodeSlice is the rule that finds a part of a card: no fraud, but the rates of the
// work were not judged then.
const CodeSlice = "slice"

// stateRules are about single readings.
func stateRules() []Rule {
	return []Rule{
		{"range", true, "any reading", "none below zero; flags 0 or 1; percents of time 0 to 110; states 0 to 15", nvmlDoc + ": all are unsigned; gpu/nvml drops what is not known", func(c *card) verdict {
			applied := false
			for n := range c.snapshots {
				for _, r := range c.snapshots[n].Readings {
					applied = true
					if r.Value < 0 || r.Value > highest(r.Kind) {
						return found(fmt.Sprintf("%s of %d", r.Kind, r.Value), fmt.Sprintf("0 to %d", highest(r.Kind)))
					}
				}
			}
			return verdict{applied: applied}
		}},
		{"temperature", true, "temperature", "at most 125 degrees", "chips shut down between 90 and 105 degrees; margin " + proposal, func(c *card) verdict {
			t, ok := c.most(Temperature)
			if !ok {
				return skip
			}
			if t > 125 {
				return found(fmt.Sprintf("%.0f degrees", t), "at most 125")
			}
			return fine
		}},
		{"pcie-link", false, "generation or width of the link, and its maximum", "at most the maximum", nvmlDoc + ", nvmlDeviceGetMaxPcieLinkGeneration: of card and slot; in a virtual machine the slot is made up", func(c *card) verdict {
			applied := false
			for n := range c.snapshots {
				for _, pair := range [][2]Kind{{PCIeGeneration, PCIeGenerationMax}, {PCIeWidth, PCIeWidthMax}} {
					now, ok := c.snapshots[n].Get(pair[0])
					most, there := c.snapshots[n].Get(pair[1])
					applied = applied || ok && there
					if ok && there && now > most {
						return found(fmt.Sprintf("%s of %d", pair[0], now), fmt.Sprintf("at most %d", most))
					}
				}
			}
			return verdict{applied: applied}
		}},
		{CodeSlice, false, "MIG's state, or a name", "the card is whole", "attestation.md 5.10: rates of the card are not those of its slices, and are not judged", func(c *card) verdict {
			_, said := c.most(MIG)
			switch {
			case c.sliced:
				return found("MIG is on, or the card is virtual", "a whole card")
			case !said && c.inventory.Name == "":
				return skip
			}
			return fine
		}},
		{"counters", false, "errors or replays, of two snapshots", "they do not fall", nvmlDoc + ", NVML_VOLATILE_ECC: since the driver was loaded, or cleared by the owner", func(c *card) verdict {
			return c.rising(ECCCorrected, ECCUncorrected, PCIeReplays)
		}},
		{"remaps", true, "remapped rows or retired pages, of two snapshots", "they do not fall", nvmlDoc + ", nvmlDeviceGetRemappedRows, nvmlDeviceGetRetiredPages: kept in the board's memory", func(c *card) verdict {
			return c.rising(RemappedCorrectable, RemappedUncorrectable, RetiredPages)
		}},
	}
}

// rising is a verdict on counters that may not fall.
func (c *card) rising(counters ...Kind) verdict {
	applied := false
	for _, k := range counters {
		all := c.series(k)
		applied = applied || len(all) > 1
		for n := 1; n < len(all); n++ {
			if all[n].v < all[n-1].v {
				return found(fmt.Sprintf("%s from %.0f to %.0f", k, all[n-1].v, all[n].v), "a counter that rises")
			}
		}
	}
	return verdict{applied: applied}
}

// highest is the highest value that a reading can have.
func highest(k Kind) int64 {
	switch k {
	case ECC, MIG, RemapPending, RemapFailed:
		return 1
	case UtilGPU, UtilMemory:
		return 110 // drivers overshoot the whole by a few percent
	case PerformanceState:
		return 15
	case PCIeGeneration, PCIeGenerationMax:
		return 15
	case PCIeWidth, PCIeWidthMax:
		return 32
	}
	if k >= GPMGraphics {
		return 100_000 // gpu/nvml takes up to ten times the whole: counters overshoot
	}
	return 1<<63 - 1
}
