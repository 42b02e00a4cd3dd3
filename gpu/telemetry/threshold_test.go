package telemetry_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/assaynet/assay/gpu/telemetry"
)

// Each threshold, from just inside and from just outside.
func TestThresholds(t *testing.T) {
	type set = func(r *telemetry.Record, w *telemetry.Work, v float64)
	all := func(k telemetry.Kind) set {
		return func(r *telemetry.Record, _ *telemetry.Work, v float64) { setAll(r, k, int64(v)) }
	}
	inventory := func(change func(i *telemetry.Inventory, v uint32)) set {
		return func(r *telemetry.Record, _ *telemetry.Work, v float64) { change(&r.Inventory, uint32(v)) }
	}
	rate := func(_ *telemetry.Record, w *telemetry.Work, v float64) { w.Ops = uint64(v * w.Elapsed.Seconds()) }
	cores := inventory(func(i *telemetry.Inventory, v uint32) { i.Cores = v })
	bus := inventory(func(i *telemetry.Inventory, v uint32) { i.BusBits = v })
	most := inventory(func(i *telemetry.Inventory, v uint32) { i.PowerMax = v })
	noClock := func(r *telemetry.Record, w *telemetry.Work, v float64) {
		without(r, telemetry.ClockSMMax, telemetry.ClockMemoryMax)
		rate(r, w, v)
	}
	tuned := func(r *telemetry.Record, w *telemetry.Work, v float64) {
		setAll(r, telemetry.ClockSMMax, 2900)
		rate(r, w, v)
	}
	units := func(r *telemetry.Record, w *telemetry.Work, v float64) {
		setAll(r, telemetry.GPMTensor, 5000)
		rate(r, w, v)
	}
	lowUse := func(r *telemetry.Record, _ *telemetry.Work, v float64) { // of ten
		for i := 1; i <= int(v); i++ {
			r.Snapshots[i].Set(telemetry.UtilGPU, 79)
		}
	}
	lowClock := func(r *telemetry.Record, _ *telemetry.Work, v float64) {
		r.Snapshots[11].Set(telemetry.Throttle, 0) // not during the work: it does not count
		for i := 1; i <= int(v); i++ {
			r.Snapshots[i].Set(telemetry.ClockSM, 1187)
			r.Snapshots[i].Set(telemetry.Throttle, 0)
		}
	}
	for _, tt := range []struct {
		name, code, model string // h100-sxm if empty
		flavour           telemetry.Flavour
		set               set
		in, out           float64
	}{
		{name: "fewest cores", code: "cores", set: cores, in: 14784, out: 14783},
		{name: "most cores", code: "cores", set: cores, in: 19008, out: 19009},
		{name: "narrowest bus", code: "bus-width", set: bus, in: 4480, out: 4479},
		{name: "widest bus", code: "bus-width", set: bus, in: 5760, out: 5761},
		{name: "least limit", code: "power-max", set: most, in: 350_000, out: 349_999},
		{name: "highest limit", code: "power-max", set: most, in: 7_000_000, out: 7_000_001},
		{name: "limit", code: "power-limit", set: all(telemetry.PowerLimit), in: 7_000_000, out: 7_000_001},
		{name: "highest limit, raised", code: "power-raised", set: most, in: 1_400_000, out: 1_400_001},
		{name: "limit, raised", code: "power-raised", set: all(telemetry.PowerLimit), in: 1_400_000, out: 1_400_001},
		{name: "clock", code: "clock-max", set: all(telemetry.ClockSMMax), in: 2970, out: 2971},
		{name: "slow memory", code: "clock-memory", set: all(telemetry.ClockMemoryMax), in: 2094, out: 2093},
		{name: "fast memory", code: "clock-memory", set: all(telemetry.ClockMemoryMax), in: 3402, out: 3403},
		{name: "a large total", code: "memory-total", set: all(telemetry.MemoryTotal), in: 81722 << 20, out: 81723 << 20},
		{name: "a small total", code: "memory-total", set: all(telemetry.MemoryTotal), in: 79521 << 20, out: 79520 << 20},
		{name: "a small total with ECC", code: "memory-total", model: "rtx-4090", set: all(telemetry.MemoryTotal), in: 22454 << 20, out: 22452 << 20},
		{name: "no nominal total, large", code: "memory-above", model: "rtx-3070", set: all(telemetry.MemoryTotal), in: 8208 << 20, out: 8209 << 20},
		{name: "no nominal total, small", code: "memory-total", model: "rtx-3070", set: all(telemetry.MemoryTotal), in: 7209 << 20, out: 7208 << 20},
		{name: "ECC off is no more than the chips have", code: "memory-above", model: "t4", set: all(telemetry.MemoryTotal), in: 16384 << 20, out: 16500 << 20},
		{name: "used", code: "memory-sum", set: all(telemetry.MemoryUsed), in: 81559 << 20, out: 81559<<20 + 1},
		{name: "reserved", code: "memory-sum", set: all(telemetry.MemoryReserved), in: 81559 << 20, out: 81559<<20 + 1},
		{name: "held and total", code: "memory-fits", flavour: telemetry.Reads, in: 81559 << 20, out: 81559<<20 + 1, set: func(_ *telemetry.Record, w *telemetry.Work, v float64) { w.Held = uint64(v) }},
		{name: "held and used", code: "memory-held", flavour: telemetry.Reads, in: 9501 << 20, out: 9499 << 20, set: func(r *telemetry.Record, w *telemetry.Work, v float64) {
			w.Held = 10_000 << 20
			setAll(r, telemetry.MemoryUsed, int64(v))
		}},
		{name: "time", code: "times", in: 32, out: 32.01, set: func(r *telemetry.Record, _ *telemetry.Work, v float64) { r.Snapshots[11].At = time.Duration(v * 1e9) }},
		{name: "int8", code: "ops-ceiling", set: rate, in: 2183e12, out: 2185e12},
		{name: "bf16", code: "ops-ceiling", flavour: telemetry.BF16, set: rate, in: 1091e12, out: 1093e12},
		{name: "fp64", code: "ops-ceiling", flavour: telemetry.FP64, set: rate, in: 34.1e12, out: 34.2e12},
		{name: "int8 without a clock", code: "ops-ceiling", set: noClock, in: 2510e12, out: 2513e12},
		{name: "int8 with any clock", code: "ops-ceiling", set: tuned, in: 2510e12, out: 2513e12},
		{name: "bf16 by digits of int8", code: "ops-ceiling", model: "rtx-4090", flavour: telemetry.BF16, set: rate, in: 269e12, out: 270e12},
		{name: "A10G at its units' rate", code: "ops-ceiling", model: "a10g", set: rate, in: 285e12, out: 286e12},
		{name: "L40 at its units' rate", code: "ops-ceiling", model: "l40", flavour: telemetry.BF16, set: rate, in: 369e12, out: 370e12},
		{name: "high", code: "ops-high", set: rate, in: 2033e12, out: 2035e12},
		{name: "reads", code: "bytes-ceiling", flavour: telemetry.Reads, set: rate, in: 3418e9 / 64, out: 3421e9 / 64},
		{name: "reads without a clock", code: "bytes-ceiling", flavour: telemetry.Reads, set: noClock, in: 4445e9 / 64, out: 4455e9 / 64},
		{name: "many units", code: "gpm", set: units, in: 357e12, out: 356e12},
		{name: "few units", code: "gpm", set: units, in: 1259e12, out: 1260e12},
		{name: "use", code: "utilisation", set: lowUse, in: 5, out: 6},
		{name: "clocks", code: "clock-low", set: lowClock, in: 5, out: 6},
		{name: "energy of little power", code: "energy-power", set: energyOf, in: 0.76, out: 0.74},
		{name: "energy of much power", code: "energy-power", set: energyOf, in: 1.24, out: 1.26},
		{name: "little energy", code: "energy-ops", set: perOp, in: 0.51, out: 0.49},
		{name: "much energy", code: "energy-ops", set: perOp, in: 3.99, out: 4.01},
		{name: "energy", code: "energy-limit", in: 1.149, out: 1.151, set: func(r *telemetry.Record, _ *telemetry.Work, v float64) {
			last := &r.Snapshots[11]
			last.At = 20 * time.Second
			r.Snapshots[0].Set(telemetry.Energy, 0)
			for i := 1; i < 12; i++ {
				r.Snapshots[i].Set(telemetry.Energy, int64(v*700_000*(20-r.Snapshots[0].At.Seconds()+1)))
			}
		}},
		{name: "energy without a limit", code: "energy-limit", in: 1.149, out: 1.151, set: func(r *telemetry.Record, _ *telemetry.Work, v float64) {
			without(r, telemetry.PowerLimit)
			r.Inventory.PowerMax = 0
			r.Snapshots[11].At = 20 * time.Second
			r.Snapshots[0].Set(telemetry.Energy, 0)
			for i := 1; i < 12; i++ {
				r.Snapshots[i].Set(telemetry.Energy, int64(v*1_050_000*(20-r.Snapshots[0].At.Seconds()+1)))
			}
		}},
		{name: "power", code: "power-physical", set: all(telemetry.Power), in: 2_100_000, out: 2_100_001},
		{name: "temperature", code: "temperature", set: all(telemetry.Temperature), in: 125, out: 126},
		{name: "use, which overshoots", code: "range", set: all(telemetry.UtilMemory), in: 110, out: 111},
		{name: "nothing below zero", code: "range", set: all(telemetry.PCIeSent), in: 0, out: -1},
		{name: "state", code: "range", set: all(telemetry.PerformanceState), in: 15, out: 16},
		{name: "lanes", code: "range", set: all(telemetry.PCIeWidthMax), in: 32, out: 33},
		{name: "GPM", code: "range", set: all(telemetry.GPMGraphics), in: 100_000, out: 100_001},
		{name: "a flag", code: "range", set: all(telemetry.RemapPending), in: 1, out: 2},
	} {
		if tt.model == "" {
			tt.model = "h100-sxm"
		}
		for _, v := range []float64{tt.in, tt.out} {
			r, w := honest(lookup(t, tt.model), load{flavour: tt.flavour, seconds: 20})
			tt.set(&r, &w, v)
			j := telemetry.Judge(r, w)
			if !slices.Contains(j.Applied, tt.code) {
				t.Errorf("%s: %s is not applied", tt.name, tt.code)
			}
			if found := strings.Contains(said(j), " "+tt.code+": "); found != (v == tt.out) {
				t.Errorf("%s of %g: found %v: %s", tt.name, v, found, said(j))
			}
		}
	}
}

// energyOf makes the counter rise by a share of power x time.
func energyOf(r *telemetry.Record, _ *telemetry.Work, share float64) {
	sum, before := 0.0, int64(0)
	for i := range r.Snapshots {
		power, _ := r.Snapshots[i].Get(telemetry.Power)
		if i > 0 {
			sum += float64(power+before) / 2 * (r.Snapshots[i].At - r.Snapshots[i-1].At).Seconds() * share
		}
		before = power
		r.Snapshots[i].Set(telemetry.Energy, 1_000_000+int64(sum))
	}
}

// perOp makes the energy of an op a multiple of power / peak of H100.
func perOp(r *telemetry.Record, w *telemetry.Work, times float64) {
	first, _ := r.Snapshots[0].Get(telemetry.Energy)
	last, _ := r.Snapshots[len(r.Snapshots)-1].Get(telemetry.Energy)
	w.Ops = uint64(float64(last-first) / 1000 / (times * 700 / 1979e12))
}

// What a finding says is what was read, in its unit.
func TestWords(t *testing.T) {
	r, w := honest(lookup(t, "h100-sxm"), load{seconds: 20})
	r.Inventory.PCIDevice = 0x233110de
	setAll(&r, telemetry.Power, 2_200_000)
	setAll(&r, telemetry.MemoryTotal, 40960<<20)
	r.Snapshots[3].Set(telemetry.Energy, 5_000_000)
	text := said(telemetry.Judge(r, w))
	for _, want := range []string{
		"pci-model: 2331, which is h100-pcie, expected an id of h100-sxm", "memory-total: 40960 MiB, expected a total of h100-sxm, of 81920 MiB",
		"power-physical: 2200 W, expected a limit of 700 W", " to 5000 J, expected a counter that rises",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in: %s", want, text)
		}
	}
}
