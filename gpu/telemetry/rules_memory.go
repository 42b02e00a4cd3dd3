package telemetry

import (
	"fmt"

	"github.com/assaynet/assay/gpu/models"
)

// What a driver's total may be off what is known, and part of a model's memory it may
// be where nothing was observed.
const (
	totalOver    = 1.002 // go-nvml's stand-ins give nominal sizes, 0.4 % over the real ones
	totalUnder   = 0.975 // drivers before 510 left the reserved pages out, up to 1.6 %
	nominalUnder = 0.88
	eccShare     = 15.0 / 16 // of GDDR that is left beside its error correction
)

// Totals are the totals that drivers report of a model, in bytes, as nvidia-smi dumps
// in public repositories have them; none where none was found.
func Totals(model string) []uint64 {
	var mib []uint64
	switch model {
	case "t4":
		mib = []uint64{15360}
	case "a10", "a10g":
		mib = []uint64{23028}
	case "a16":
		mib = []uint64{15356}
	case "a40":
		mib = []uint64{46068, 49140}
	case "a100-pcie-40", "a100-sxm-40":
		mib = []uint64{40960}
	case "a100-pcie-80", "a100-sxm-80":
		mib = []uint64{81920}
	case "l4":
		mib = []uint64{23034}
	case "l40s":
		mib = []uint64{46068}
	case "rtx-3090":
		mib = []uint64{24576}
	case "rtx-3090-ti", "rtx-4090":
		mib = []uint64{24564}
	case "rtx-4060-ti-8":
		mib = []uint64{8188}
	case "rtx-4060-ti-16":
		mib = []uint64{16380}
	case "rtx-4000-ada":
		mib = []uint64{20475}
	case "rtx-a6000", "rtx-6000-ada":
		mib = []uint64{49140}
	case "rtx-5090":
		mib = []uint64{32607}
	case "rtx-pro-6000-ws":
		mib = []uint64{97887}
	case "h100-pcie", "h100-sxm":
		mib = []uint64{81559}
	case "h100-nvl":
		mib = []uint64{95830}
	case "h20", "gh200-96":
		mib = []uint64{97871}
	case "h200-sxm", "h200-nvl", "h20-3e":
		mib = []uint64{143771}
	case "gh200-144":
		mib = []uint64{145920}
	case "b200":
		mib = []uint64{183359}
	case "gb200":
		mib = []uint64{189471}
	case "b300":
		mib = []uint64{275040}
	case "gb300":
		mib = []uint64{284208, 256703} // the second is DGX Station's, which is named alike
	}
	for n := range mib {
		mib[n] <<= 20
	}
	return mib
}

// fits is whether a driver may report a total of a model. The memory of GDDR cards is
// a sixteenth smaller with error correction on, which their owners switch.
func fits(s models.Spec, total float64) bool {
	observed := Totals(s.Name)
	for _, t := range observed {
		shares := []float64{1, eccShare, 1 / eccShare}
		if s.BusBits > 512 { // HBM has its correction beside
			shares = shares[:1]
		}
		for _, share := range shares {
			if v := float64(float64(t) * share); total >= float64(v*totalUnder) && total <= float64(v*totalOver) && !above(s, total) {
				return true
			}
		}
	}
	return len(observed) == 0 && nominal(s, total)
}

// nominal is whether a total is near what a model is sold with.
func nominal(s models.Spec, total float64) bool {
	return total >= float64(float64(s.Memory)*nominalUnder) && !above(s, total)
}

// above is whether a total is more than a model is sold with.
func above(s models.Spec, total float64) bool { return total > float64(float64(s.Memory)*totalOver) }

// memoryRules are about sizes.
func memoryRules() []Rule {
	return []Rule{
		{"memory-total", true, "name of the table, total", "one of the totals of the model, -2.5 % to +0.2 %, also with ECC on or off; 88 % to 100.2 % of its size where none is known, or in confidential mode; more than its size is memory-above's", "dumps of nvidia-smi in public repositories; drivers before 510 leave out reserved pages", func(c *card) verdict {
			all := c.series(MemoryTotal)
			if len(all) == 0 || !c.known {
				return skip
			}
			// With confidential computing drivers may keep more; nobody printed how much.
			confidential := c.inventory.Confidential != "" && c.inventory.Confidential != "off"
			for _, p := range all {
				if !fits(c.model, p.v) && !above(c.model, p.v) && !(confidential && nominal(c.model, p.v)) {
					return found(mib(p.v), fmt.Sprintf("a total of %s, of %s", c.model.Name, mib(float64(c.model.Memory))))
				}
			}
			return fine
		}},
		{"memory-above", false, "name of the table, total", "at most the model's size, +0.2 %", "datasheets (gpu/models); cards are refitted with more (RTX 3080 of 20 GB, RTX 4090 of 48 GB)", func(c *card) verdict {
			total, ok := c.most(MemoryTotal)
			if !ok || !c.known {
				return skip
			}
			if above(c.model, total) {
				return found(mib(total), fmt.Sprintf("a total of %s, of %s", c.model.Name, mib(float64(c.model.Memory))))
			}
			return fine
		}},
		{"memory-sum", true, "total, and used or reserved", "each at most the total", nvmlDoc + ", nvmlMemory_v2_t", func(c *card) verdict {
			applied := false
			for n := range c.snapshots {
				total, ok := c.snapshots[n].Get(MemoryTotal)
				if !ok {
					continue
				}
				for _, k := range []Kind{MemoryUsed, MemoryReserved} {
					v, ok := c.snapshots[n].Get(k)
					applied = applied || ok
					if ok && v > total {
						return found(fmt.Sprintf("%s of %s", k, mib(float64(v))), "at most "+mib(float64(total)))
					}
				}
			}
			return verdict{applied: applied}
		}},
		{"memory-fits", true, "total, held", "the dataset is not larger than the total", "arithmetic", func(c *card) verdict {
			total, ok := c.most(MemoryTotal)
			if !ok || c.work.Held == 0 || c.sliced {
				return skip
			}
			if float64(c.work.Held) > total {
				return found("a total of "+mib(total), "room for "+mib(float64(c.work.Held)))
			}
			return fine
		}},
		{"memory-held", true, "used, of at least four snapshots over at least a second and half of the challenge; elapsed; held; no slices", "used reaches 95 % of the dataset once", nvmlDoc + ", nvmlMemory_v2_t; range " + proposal, func(c *card) verdict {
			all := c.series(MemoryUsed)
			if c.work.Held == 0 || c.work.Elapsed <= 0 || c.sliced || len(all) < 4 {
				return skip
			}
			if span := all[len(all)-1].at - all[0].at; span < 1 || span < c.work.Elapsed.Seconds()/2 {
				return skip
			}
			used, _ := c.most(MemoryUsed)
			if used < float64(0.95*float64(c.work.Held)) {
				return found("used "+mib(used), "a dataset of "+mib(float64(c.work.Held)))
			}
			return fine
		}},
	}
}

func mib(bytes float64) string { return fmt.Sprintf("%.6g MiB", bytes/(1<<20)) }
