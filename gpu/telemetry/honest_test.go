package telemetry_test

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/assaynet/assay/gpu/models"
	"github.com/assaynet/assay/gpu/telemetry"
)

// load is how a card of the tests is kept and what it does.
type load struct {
	flavour   telemetry.Flavour
	seconds   float64
	snapshots int     // 0: twelve
	limit     float64 // share of the board's power; 0: 1
	tuned     float64 // clocks, of the table's; 0: 1
	share     float64 // of the reference; 0: 1
	held      float64 // share of the total; 0: 0.9 with reads, else none
	seed      uint64
}

func or(v, otherwise float64) float64 {
	if v == 0 {
		return otherwise
	}
	return v
}

func lookup(t testing.TB, name string) models.Spec {
	t.Helper()
	s, err := models.Lookup(name)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// real are the rows that say what they are as a driver would, the simulated ones too.
func real() []models.Spec {
	var out []models.Spec
	for _, s := range models.Table() {
		if s.Names[0] != "" {
			out = append(out, s)
		}
	}
	return out
}

func isGeForce(s models.Spec) bool { return strings.Contains(s.Names[0], "GeForce") }

func bios(s models.Spec) string {
	switch {
	case s.Major == 7:
		return "90.04.38.00.03"
	case s.Major == 8 && s.Minor == 0:
		return "92.00.9E.00.02"
	case s.Major == 8 && s.Minor == 6:
		return "94.02.5C.00.02"
	case s.Major == 8:
		return "95.02.47.00.01"
	case s.Major == 9:
		return "96.00.74.00.0D"
	case s.Major == 10:
		return "97.00.82.00.15"
	}
	return "98.02.2E.40.61"
}

// totalOf is what a driver says of a model's memory.
func totalOf(s models.Spec) int64 {
	if all := telemetry.Totals(s.Name); len(all) > 0 {
		return int64(all[0])
	}
	return int64(s.Memory / 1000 * 985)
}

// honest is what a card in order says, and the work that it did, as a model of the
// physics makes them: power between idle and the limit, energy as power over time,
// clocks that follow the power.
func honest(s models.Spec, l load) (telemetry.Record, telemetry.Work) {
	noise := rand.New(rand.NewPCG(l.seed, 1))
	cores, watts := 128, float64(s.Watts)
	if s.Major == 7 || s.Major == 8 && s.Minor == 0 {
		cores = 64
	}
	watts = or(watts, 400)
	boost := float64(max(s.ClockHz, s.TensorHz)) / 1e6 * or(l.tuned, 1)
	limit, total := watts*or(l.limit, 1), totalOf(s)
	r := telemetry.Record{Inventory: telemetry.Inventory{
		Name: s.Names[0], UUID: "GPU-10f35015-e921-bfab-2eb8-4e9b6664d5f1", PCI: "0000:19:00.0", Driver: "570.124.06", NVML: "12.570.124.06", CUDA: "12.8",
		VBIOS: bios(s), PCIDevice: uint32(s.PCI[0])<<16 | 0x10de, PCISubsystem: 0x16c110de, Major: uint8(s.Major), Minor: uint8(s.Minor),
		Cores: uint32(s.SMs * cores), BusBits: uint32(s.BusBits), PowerMax: uint32(watts * 1000),
	}}
	data := !isGeForce(s)
	if data {
		r.Inventory.Serial, r.Inventory.Confidential = "1654123038646", "off"
	}
	w := telemetry.Work{Flavour: l.flavour, Elapsed: time.Duration(l.seconds * 1e9)}
	// A cap takes less of the rate than of the power.
	slower := min(1, 0.3+0.7*or(l.limit, 1)) * or(l.share, 1)
	rate := map[telemetry.Flavour]float64{
		telemetry.Int8: float64(s.Int8Ops), telemetry.BF16: float64(s.BF16Ops), telemetry.FP64: float64(s.FP64Ops), telemetry.Reads: 0.6 * float64(s.Bandwidth) / 64,
	}[l.flavour]
	rate *= or(l.tuned, 1)
	w.Ops = uint64(rate * slower * l.seconds)
	if l.flavour == telemetry.Reads {
		l.held = or(l.held, 0.9)
	}
	w.Held = uint64(float64(total) * l.held)

	n := l.snapshots
	if n == 0 {
		n = telemetry.MaxSnapshots
	}
	energy, before, at := 9_876_543_210.0+noise.Float64()*1e6, 0.0, 0.0
	for i := range n {
		idle := i == 0 || i == n-1 && l.seconds > 1.5
		power := watts * (0.1 + 0.01*noise.Float64())
		if !idle {
			power = limit * (0.92 + 0.05*noise.Float64())
		}
		now := 0.0
		if n > 1 {
			now = min(l.seconds*(float64(i)+0.2*noise.Float64())/float64(n-1), l.seconds+0.1)
		}
		// The card is busy from soon after the first snapshot to just before the last.
		if busy := limit * 0.945; i > 0 {
			energy += busy * 1000 * (now - at)
		}
		before, at = power, now
		snap := telemetry.Snapshot{At: time.Duration(now * 1e9)}
		set := func(k telemetry.Kind, v float64) { snap.Set(k, int64(v)) }
		set(telemetry.Power, before*1000)
		set(telemetry.PowerLimit, limit*1000)
		set(telemetry.ClockSMMax, boost)
		set(telemetry.ClockMemoryMax, float64(s.MemoryHz)/1e6)
		set(telemetry.MemoryTotal, float64(total))
		set(telemetry.MemoryReserved, float64(total)/200)
		set(telemetry.PCIeGenerationMax, 4)
		set(telemetry.PCIeWidthMax, 16)
		set(telemetry.PCIeWidth, 16)
		set(telemetry.PCIeReplays, 2)
		set(telemetry.Processes, 1)
		if idle {
			set(telemetry.ClockSM, 210)
			set(telemetry.ClockMemory, 405)
			set(telemetry.Throttle, telemetry.ThrottleIdle)
			set(telemetry.Temperature, 33)
			set(telemetry.PerformanceState, 8)
			set(telemetry.MemoryUsed, 2<<20*min(1, float64(total)/(1<<30)))
			set(telemetry.UtilGPU, 0)
			set(telemetry.UtilMemory, 0)
			set(telemetry.PCIeGeneration, 1)
		} else {
			set(telemetry.ClockSM, boost*slower*(0.95+0.05*noise.Float64()))
			set(telemetry.ClockMemory, float64(s.MemoryHz)/1e6)
			set(telemetry.Throttle, telemetry.ThrottlePowerCap)
			set(telemetry.Temperature, 60+10*noise.Float64())
			set(telemetry.PerformanceState, 0)
			set(telemetry.MemoryUsed, max(float64(w.Held), float64(total)/10)*1.02)
			set(telemetry.UtilGPU, 97+3*noise.Float64())
			set(telemetry.UtilMemory, 60)
			set(telemetry.PCIeGeneration, 4)
		}
		if s.Major > 7 || data {
			set(telemetry.Energy, energy)
		}
		if data {
			set(telemetry.ECC, 1)
			set(telemetry.ECCCorrected, 3)
			set(telemetry.ECCUncorrected, 0)
			set(telemetry.RemappedCorrectable, 0)
			set(telemetry.RemappedUncorrectable, 1)
			set(telemetry.RemapPending, 0)
			set(telemetry.RemapFailed, 0)
			set(telemetry.RetiredPages, 0)
			set(telemetry.MIG, 0)
		}
		if s.Major >= 9 && data && !idle {
			units := rate * slower / float64(s.Peak.Exact().Int8)
			switch l.flavour {
			case telemetry.BF16:
				units = rate * slower / float64(s.Peak.Exact().BF16)
			case telemetry.FP64:
				set(telemetry.GPMFP64, 10000*rate*slower/float64(s.Peak.FP64))
				units = 0
			case telemetry.Reads:
				units = 0
				set(telemetry.GPMMemory, 7000)
			}
			set(telemetry.GPMTensor, 10000*units)
			set(telemetry.GPMSM, 9900)
		}
		r.Snapshots = append(r.Snapshots, snap)
	}
	return r, w
}

// without removes a reading from all snapshots.
func without(r *telemetry.Record, kinds ...telemetry.Kind) {
	for i := range r.Snapshots {
		s := telemetry.Snapshot{At: r.Snapshots[i].At}
		for _, reading := range r.Snapshots[i].Readings {
			keep := true
			for _, k := range kinds {
				keep = keep && reading.Kind != k
			}
			if keep {
				s.Set(reading.Kind, reading.Value)
			}
		}
		r.Snapshots[i] = s
	}
}

// setAll gives a reading in all snapshots.
func setAll(r *telemetry.Record, k telemetry.Kind, v int64) {
	for i := range r.Snapshots {
		r.Snapshots[i].Set(k, v)
	}
}

// said lists findings for a message.
func said(j telemetry.Judgement) string {
	var out []string
	for _, f := range j.Findings {
		mark := "soft "
		if f.Hard {
			mark = "HARD "
		}
		out = append(out, mark+f.String())
	}
	return strings.Join(out, "; ")
}

// Every card in order is plausible, and no finding is soft either on a plain one.
func TestHonestModels(t *testing.T) {
	for _, s := range real() {
		for _, f := range []telemetry.Flavour{telemetry.Int8, telemetry.BF16, telemetry.FP64, telemetry.Reads} {
			t.Run(fmt.Sprintf("%s %v", s.Name, f), func(t *testing.T) {
				r, w := honest(s, load{flavour: f, seconds: 20})
				if err := r.Check(); err != nil {
					t.Fatal(err)
				}
				j := telemetry.Judge(r, w)
				if !j.Plausible() || j.Model.Name != s.Name || !j.Known || len(j.Findings) > 0 {
					t.Errorf("%s, known %v, plausible %v: %s", j.Model.Name, j.Known, j.Plausible(), said(j))
				}
			})
		}
	}
}

// What honest providers have. None of it is ever a hard finding.
func TestHonestEdges(t *testing.T) {
	mib := func(v int64) int64 { return v << 20 }
	tests := []struct {
		name  string
		model string
		load  load
		edit  func(r *telemetry.Record, w *telemetry.Work)
		soft  string // the only findings, with a comma between; they are soft
		thin  bool   // too little to be plausible
	}{
		{name: "power cap at 50 %", model: "h100-sxm", load: load{limit: 0.5}},
		{name: "a cap of a tenth on GH200", model: "gh200-96", load: load{limit: 0.12}, soft: "energy-ops"},
		{name: "thermal throttle with its reason", model: "h100-pcie", load: load{share: 0.5}, edit: func(r *telemetry.Record, _ *telemetry.Work) {
			for i := 1; i < 11; i++ {
				r.Snapshots[i].Set(telemetry.Throttle, telemetry.ThrottleThermal|telemetry.ThrottleHWThermal)
				r.Snapshots[i].Set(telemetry.ClockSM, 800)
				r.Snapshots[i].Set(telemetry.Temperature, 92)
			}
		}, soft: ""},
		{name: "MIG on", model: "a100-sxm-80", load: load{flavour: telemetry.Reads}, edit: func(r *telemetry.Record, w *telemetry.Work) {
			r.Inventory.MIG = true
			setAll(r, telemetry.MIG, 1)
			setAll(r, telemetry.MemoryUsed, mib(5000))
			without(r, telemetry.UtilGPU, telemetry.UtilMemory)
			w.Held = uint64(mib(9000))
		}, soft: "slice"},
		{name: "a slice's own name", model: "a100-sxm-40", edit: func(r *telemetry.Record, _ *telemetry.Work) {
			r.Inventory.Name, r.Inventory.UUID = "NVIDIA A100-SXM4-40GB MIG 1g.5gb", "MIG-10f35015-e921-bfab-2eb8-4e9b6664d5f1"
			setAll(r, telemetry.MemoryTotal, mib(4864))
			setAll(r, telemetry.MemoryReserved, 0)
		}, soft: "pci-name,slice"},
		{name: "a virtual card", model: "a10", edit: func(r *telemetry.Record, w *telemetry.Work) {
			r.Inventory.Name = "NVIDIA A10-12Q"
			setAll(r, telemetry.MemoryTotal, mib(12288))
			w.Ops /= 2
		}, soft: "pci-name,slice"},
		{name: "ECC off on A10", model: "a10", edit: func(r *telemetry.Record, _ *telemetry.Work) {
			setAll(r, telemetry.ECC, 0)
			setAll(r, telemetry.MemoryTotal, mib(24564))
		}},
		{name: "ECC off on A40", model: "a40", edit: func(r *telemetry.Record, _ *telemetry.Work) {
			setAll(r, telemetry.ECC, 0)
			setAll(r, telemetry.MemoryTotal, mib(49140))
		}},
		{name: "ECC on on RTX 6000 Ada", model: "rtx-6000-ada", edit: func(r *telemetry.Record, _ *telemetry.Work) {
			setAll(r, telemetry.MemoryTotal, mib(46068))
		}},
		{name: "ECC on on RTX 4090", model: "rtx-4090", edit: func(r *telemetry.Record, _ *telemetry.Work) {
			setAll(r, telemetry.ECC, 1)
			setAll(r, telemetry.MemoryTotal, mib(23028))
		}},
		{name: "drivers before 510 on A100", model: "a100-sxm-40", edit: func(r *telemetry.Record, _ *telemetry.Work) {
			r.Inventory.Driver, r.Inventory.NVML, r.Inventory.Name = "470.57.02", "11.470.57.02", "A100-SXM4-40GB"
			setAll(r, telemetry.MemoryTotal, mib(40536))
		}},
		{name: "drivers before 510 on T4", model: "t4", edit: func(r *telemetry.Record, _ *telemetry.Work) {
			r.Inventory.Driver, r.Inventory.NVML = "450.51.05", "11.450.51.05"
			setAll(r, telemetry.MemoryTotal, mib(15109))
		}},
		{name: "a driver of two parts", model: "t4", edit: func(r *telemetry.Record, _ *telemetry.Work) {
			r.Inventory.Driver, r.Inventory.NVML = "460.39", "11.460.39"
		}},
		{name: "Windows' subsystem for Linux", model: "rtx-4090", edit: func(r *telemetry.Record, _ *telemetry.Work) {
			// As nvidia-smi prints it there: NVML is of the driver for Linux that was built along.
			r.Inventory.Driver, r.Inventory.NVML = "551.86", "12.550.54.10"
		}, soft: "driver-windows,nvml-version"},
		{name: "a new driver of two parts", model: "h100-sxm", edit: func(r *telemetry.Record, _ *telemetry.Work) {
			r.Inventory.Driver, r.Inventory.NVML = "590.12", "13.590.12"
		}},
		{name: "RTX 4090 with 48 GB", model: "rtx-4090", edit: func(r *telemetry.Record, _ *telemetry.Work) { setAll(r, telemetry.MemoryTotal, mib(49140)) }, soft: "memory-above"},
		{name: "RTX 3080 with 20 GB", model: "rtx-3080-10", edit: func(r *telemetry.Record, _ *telemetry.Work) { setAll(r, telemetry.MemoryTotal, mib(20480)) }, soft: "memory-above"},
		{name: "RTX 3090 with a VBIOS of 1000 W", model: "rtx-3090", edit: func(r *telemetry.Record, _ *telemetry.Work) {
			r.Inventory.PowerMax = 1_000_000
			setAll(r, telemetry.PowerLimit, 1_000_000)
		}, soft: "power-raised"},
		{name: "RTX 5090 with a VBIOS of 2001 W", model: "rtx-5090", edit: func(r *telemetry.Record, _ *telemetry.Work) { r.Inventory.PowerMax = 2_001_000 }, soft: "power-raised"},
		{name: "a slice's UUID before R470", model: "a100-sxm-40", edit: func(r *telemetry.Record, _ *telemetry.Work) {
			r.Inventory.UUID = "MIG-GPU-10f35015-e921-bfab-2eb8-4e9b6664d5f1/13/0"
		}},
		{name: "use of 110", model: "h100-sxm", edit: func(r *telemetry.Record, _ *telemetry.Work) {
			r.Snapshots[3].Set(telemetry.UtilGPU, 101)
			r.Snapshots[4].Set(telemetry.UtilMemory, 110)
		}},
		{name: "used says little, and nobody measured the time", model: "h100-sxm", load: load{flavour: telemetry.Reads}, edit: func(r *telemetry.Record, w *telemetry.Work) {
			setAll(r, telemetry.MemoryUsed, mib(2000))
			w.Elapsed = 0
		}},
		{name: "overclocked GeForce", model: "rtx-3090", load: load{tuned: 1.1}},
		{name: "stock RTX 4090, whose driver allows 3105 MHz", model: "rtx-4090", edit: func(r *telemetry.Record, _ *telemetry.Work) { setAll(r, telemetry.ClockSMMax, 3105) }},
		{name: "stock RTX 5090, whose driver allows 3090 MHz", model: "rtx-5090", edit: func(r *telemetry.Record, w *telemetry.Work) {
			setAll(r, telemetry.ClockSMMax, 3090)
			r.Snapshots[0].Set(telemetry.ClockSM, 22)
			r.Snapshots[0].Set(telemetry.Throttle, telemetry.ThrottlePowerCap)
			r.Inventory.Serial = "0"
			w.Ops = w.Ops / 100 * 115
		}},
		{name: "memory of RTX 5090 overclocked by a fifth", model: "rtx-5090", load: load{flavour: telemetry.Reads}, edit: func(r *telemetry.Record, w *telemetry.Work) {
			setAll(r, telemetry.ClockMemoryMax, 17001)
			w.Ops = w.Ops / 5 * 6
		}},
		{name: "driver reload between snapshots", model: "h100-sxm", edit: func(r *telemetry.Record, _ *telemetry.Work) {
			for i := range r.Snapshots {
				e, _ := r.Snapshots[i].Get(telemetry.Energy)
				if first, _ := r.Snapshots[6].Get(telemetry.Energy); i > 6 {
					r.Snapshots[i].Set(telemetry.Energy, e-first)
				}
				if i >= 6 {
					r.Snapshots[i].Set(telemetry.ECCCorrected, 0)
					r.Snapshots[i].Set(telemetry.PCIeReplays, 0)
				}
			}
			r.Snapshots[6].Set(telemetry.Energy, 0)
		}, soft: "energy-falls,counters"},
		{name: "GeForce with no serial, ECC, GPM or energy", model: "rtx-3080-10", edit: func(r *telemetry.Record, _ *telemetry.Work) { without(r, telemetry.Energy, telemetry.PCIeReplays) }},
		{name: "GPU clocks idle in all snapshots but one", model: "h100-sxm", load: load{snapshots: 3}},
		{name: "only before and after", model: "l4", load: load{snapshots: 2}},
		{name: "one snapshot", model: "l4", load: load{snapshots: 1}, thin: true},
		{name: "no snapshot", model: "l4", edit: func(r *telemetry.Record, _ *telemetry.Work) { r.Snapshots = nil }, thin: true},
		{name: "PCIe wide and fast only when busy", model: "l4", edit: func(r *telemetry.Record, _ *telemetry.Work) {
			r.Snapshots[0].Set(telemetry.PCIeGeneration, 1)
			r.Snapshots[0].Set(telemetry.PCIeWidth, 8)
		}},
		{name: "GH200's narrow link", model: "gh200-96", edit: func(r *telemetry.Record, _ *telemetry.Work) {
			setAll(r, telemetry.PCIeWidth, 1)
			setAll(r, telemetry.PCIeWidthMax, 1)
		}},
		{name: "a virtual machine's slot", model: "l4", edit: func(r *telemetry.Record, _ *telemetry.Work) {
			r.Inventory.PCI = "0001:00:00.0"
			setAll(r, telemetry.PCIeGenerationMax, 1)
		}, soft: "pcie-link"},
		{name: "a short run, power lags", model: "h100-sxm", load: load{seconds: 0.4, snapshots: 5}, edit: func(r *telemetry.Record, _ *telemetry.Work) {
			for i := range r.Snapshots {
				r.Snapshots[i].Set(telemetry.Power, 72_020+int64(i))
			}
		}},
		{name: "the counter rises late and in one step", model: "h100-sxm", load: load{seconds: 0.4, snapshots: 2}, edit: func(r *telemetry.Record, _ *telemetry.Work) {
			e, _ := r.Snapshots[0].Get(telemetry.Energy)
			r.Snapshots[1].Set(telemetry.Energy, e+700_000)
		}},
		{name: "counters at zero", model: "h100-sxm", edit: func(r *telemetry.Record, _ *telemetry.Work) {
			for _, k := range []telemetry.Kind{
				telemetry.Energy, telemetry.ECCCorrected, telemetry.ECCUncorrected, telemetry.RemappedCorrectable, telemetry.RemappedUncorrectable,
				telemetry.RetiredPages, telemetry.PCIeReplays, telemetry.Processes, telemetry.PCIeSent, telemetry.PCIeReceived,
			} {
				setAll(r, k, 0)
			}
		}, soft: "energy-power,energy-ops,energy-constant"},
		{name: "a new model", model: "h100-sxm", edit: func(r *telemetry.Record, _ *telemetry.Work) {
			r.Inventory.Name, r.Inventory.PCIDevice = "NVIDIA H1000", 0x23ff10de
			setAll(r, telemetry.MemoryTotal, mib(100_000))
		}},
		{name: "a new model of a later generation", model: "h100-sxm", edit: func(r *telemetry.Record, w *telemetry.Work) {
			r.Inventory.Name, r.Inventory.PCIDevice, r.Inventory.Major, r.Inventory.VBIOS = "NVIDIA R100", 0x33ff10de, 13, "9A.00.01.00.01"
			setAll(r, telemetry.PowerLimit, 1_800_000)
			w.Ops *= 9
		}},
		{name: "a board with a new id", model: "b200", edit: func(r *telemetry.Record, _ *telemetry.Work) { r.Inventory.PCIDevice = 0x290910de }, soft: "pci-unlisted"},
		{name: "confidential computing keeps more", model: "h100-sxm", edit: func(r *telemetry.Record, _ *telemetry.Work) {
			r.Inventory.Confidential = "on"
			setAll(r, telemetry.MemoryTotal, mib(79_000))
		}},
		{name: "DGX Station's GB300", model: "gb300", edit: func(r *telemetry.Record, _ *telemetry.Work) { setAll(r, telemetry.MemoryTotal, mib(256_703)) }},
		{name: "A10G that does as its units could", model: "a10g", load: load{share: 2}},
		{name: "RTX 3060 of 8 GB with an id of the 12 GB one", model: "rtx-3060-8", edit: func(r *telemetry.Record, _ *telemetry.Work) { r.Inventory.PCIDevice = 0x250410de }},
		{name: "RTX 3060 of 12 GB that says no size and no id", model: "rtx-3060-12", edit: func(r *telemetry.Record, _ *telemetry.Work) {
			r.Inventory.PCIDevice = 0
			without(r, telemetry.MemoryTotal)
		}, thin: true},
		{name: "RTX 3060 Ti with GDDR6X that says no id", model: "rtx-3060-ti-g6x", edit: func(r *telemetry.Record, _ *telemetry.Work) {
			r.Inventory.PCIDevice = 0
		}, thin: true},
		{name: "openings that take 8 s", model: "l4", edit: func(r *telemetry.Record, _ *telemetry.Work) { r.Snapshots[11].At += 8 * time.Second }, soft: ""},
		{name: "three idle readings are enough to say so", model: "l4", load: load{snapshots: 5}, edit: func(r *telemetry.Record, _ *telemetry.Work) { setAll(r, telemetry.UtilGPU, 0) }, soft: "utilisation"},
		{name: "nothing measured", model: "h200-sxm", edit: func(_ *telemetry.Record, w *telemetry.Work) { *w = telemetry.Work{} }},
		{name: "a network that waits", model: "h100-sxm", load: load{share: 0.05}, edit: func(r *telemetry.Record, _ *telemetry.Work) {
			for i := 1; i < 11; i++ {
				r.Snapshots[i].Set(telemetry.UtilGPU, 10)
				r.Snapshots[i].Set(telemetry.ClockSM, 345)
				r.Snapshots[i].Set(telemetry.Throttle, 0)
			}
		}, soft: "utilisation,clock-low,energy-ops"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := lookup(t, tt.model)
			tt.load.seconds = or(tt.load.seconds, 20)
			r, w := honest(s, tt.load)
			if tt.edit != nil {
				tt.edit(&r, &w)
			}
			if err := r.Check(); err != nil {
				t.Fatal(err)
			}
			j := telemetry.Judge(r, w)
			var codes []string
			for _, f := range j.Findings {
				codes = append(codes, f.Code)
			}
			if j.Hard() || strings.Join(codes, ",") != tt.soft || j.Plausible() == tt.thin {
				t.Errorf("%s, plausible %v: %s", j.Model.Name, j.Plausible(), said(j))
			}
		})
	}
}

// Any reading, and any text, may be missing: that is never held against a card.
func TestMissing(t *testing.T) {
	for _, name := range []string{"h100-sxm", "rtx-4090", "t4", "rtx-3060-12"} {
		for _, f := range []telemetry.Flavour{telemetry.Int8, telemetry.Reads} {
			for _, k := range telemetry.Kinds() {
				r, w := honest(lookup(t, name), load{flavour: f, seconds: 20})
				without(&r, k)
				j := telemetry.Judge(r, w)
				if len(j.Findings) > 0 || j.Plausible() == (k == telemetry.MemoryTotal) {
					t.Errorf("%s without %v, plausible %v: %s", name, k, j.Plausible(), said(j))
				}
			}
			for what, clear := range map[string]func(i *telemetry.Inventory){
				"name": func(i *telemetry.Inventory) { i.Name = "" }, "UUID": func(i *telemetry.Inventory) { i.UUID = "" },
				"serial": func(i *telemetry.Inventory) { i.Serial = "" }, "address": func(i *telemetry.Inventory) { i.PCI = "" },
				"driver": func(i *telemetry.Inventory) { i.Driver = "" }, "NVML": func(i *telemetry.Inventory) { i.NVML = "" },
				"CUDA": func(i *telemetry.Inventory) { i.CUDA = "" }, "VBIOS": func(i *telemetry.Inventory) { i.VBIOS = "" },
				"PCI id": func(i *telemetry.Inventory) { i.PCIDevice = 0 }, "subsystem": func(i *telemetry.Inventory) { i.PCISubsystem = 0 },
				"capability": func(i *telemetry.Inventory) { i.Major, i.Minor = 0, 0 }, "cores": func(i *telemetry.Inventory) { i.Cores = 0 },
				"bus": func(i *telemetry.Inventory) { i.BusBits = 0 }, "power": func(i *telemetry.Inventory) { i.PowerMax = 0 },
				"mode": func(i *telemetry.Inventory) { i.Confidential = "" },
			} {
				r, w := honest(lookup(t, name), load{flavour: f, seconds: 20})
				clear(&r.Inventory)
				j := telemetry.Judge(r, w)
				asked := strings.Contains("name UUID driver PCI id capability", what)
				if len(j.Findings) > 0 || j.Plausible() == asked {
					t.Errorf("%s without %s, plausible %v: %s", name, what, j.Plausible(), said(j))
				}
			}
		}
	}
}

// The totals that nvidia-smi prints of real cards, in MiB (attestation.md 6).
func TestRealTotals(t *testing.T) {
	for name, totals := range map[string][]int64{
		"t4": {15360}, "a10": {23028}, "a40": {46068, 49140}, "a100-sxm-40": {40960}, "a100-pcie-40": {40960}, "a100-sxm-80": {81920}, "a100-pcie-80": {81920},
		"l4": {23034}, "l40s": {46068}, "rtx-3090": {24576}, "rtx-4090": {24564}, "rtx-5090": {32607}, "rtx-6000-ada": {49140}, "h100-pcie": {81559},
		"h100-sxm": {81559}, "h100-nvl": {95830}, "h200-sxm": {143771}, "h200-nvl": {143771}, "b200": {183359}, "gh200-96": {97871}, "h20": {97871},
		"rtx-3090-ti": {24564}, "rtx-a6000": {49140}, "rtx-4060-ti-16": {16380}, "gb200": {189471}, "b300": {275040}, "gb300": {284208},
	} {
		s := lookup(t, name)
		for _, total := range totals {
			r, w := honest(s, load{seconds: 20})
			setAll(&r, telemetry.MemoryTotal, total<<20)
			if j := telemetry.Judge(r, w); j.Hard() || !j.Plausible() {
				t.Errorf("%s with %d MiB: %s", name, total, said(j))
			}
		}
	}
}
