package telemetry_test

import (
	"slices"
	"testing"
	"time"

	"github.com/assaynet/assay/gpu/telemetry"
)

// A rule that lacks something is not applied: of each, every need alone.
func TestNeeds(t *testing.T) {
	type edit = func(r *telemetry.Record, w *telemetry.Work)
	lacks := func(kinds ...telemetry.Kind) edit {
		return func(r *telemetry.Record, _ *telemetry.Work) { without(r, kinds...) }
	}
	inventory := func(change func(i *telemetry.Inventory)) edit {
		return func(r *telemetry.Record, _ *telemetry.Work) { change(&r.Inventory) }
	}
	first := func(n int) edit {
		return func(r *telemetry.Record, _ *telemetry.Work) { r.Snapshots = r.Snapshots[:n] }
	}
	var (
		unknown   = inventory(func(i *telemetry.Inventory) { i.Name, i.PCIDevice = "NVIDIA H1000", 0x23ff10de })
		noID      = inventory(func(i *telemetry.Inventory) { i.PCIDevice = 0 })
		sliced    = inventory(func(i *telemetry.Inventory) { i.MIG = true })
		noOps     = func(_ *telemetry.Record, w *telemetry.Work) { w.Ops = 0 }
		noTime    = func(_ *telemetry.Record, w *telemetry.Work) { w.Elapsed = 0 }
		backwards = func(_ *telemetry.Record, w *telemetry.Work) { w.Elapsed = -time.Second }
		noHeld    = func(_ *telemetry.Record, w *telemetry.Work) { w.Held = 0 }
		asReads   = func(_ *telemetry.Record, w *telemetry.Work) { w.Flavour = telemetry.Reads }
		asFP64    = func(_ *telemetry.Record, w *telemetry.Work) { w.Flavour = telemetry.FP64 }
		strange   = func(_ *telemetry.Record, w *telemetry.Work) { w.Flavour = 77 }
		short     = func(r *telemetry.Record, _ *telemetry.Work) { // 4 s in all
			for i := range r.Snapshots {
				r.Snapshots[i].At /= 5
			}
		}
		instant = func(r *telemetry.Record, _ *telemetry.Work) {
			for i := range r.Snapshots {
				r.Snapshots[i].At /= 25
			}
		}
		noName = inventory(func(i *telemetry.Inventory) { i.Name = "" })
	)
	onlyOne := func(k telemetry.Kind) edit {
		return func(r *telemetry.Record, _ *telemetry.Work) {
			s := r.Snapshots[0].Readings
			without(r, k)
			r.Snapshots[0].Readings = s
		}
	}
	for code, edits := range map[string][]edit{
		"name-mock":          {noName},
		"uuid-form":          {inventory(func(i *telemetry.Inventory) { i.UUID = "" })},
		"driver-form":        {inventory(func(i *telemetry.Inventory) { i.Driver = "" })},
		"driver-windows":     {inventory(func(i *telemetry.Inventory) { i.Driver = "" }), inventory(func(i *telemetry.Inventory) { i.Driver = "mock" }), inventory(func(i *telemetry.Inventory) { i.NVML = "" })},
		"nvml-version":       {inventory(func(i *telemetry.Inventory) { i.Driver = "" }), inventory(func(i *telemetry.Inventory) { i.NVML = "" })},
		"confidential-text":  {inventory(func(i *telemetry.Inventory) { i.Confidential = "" })},
		"pci-vendor":         {noID},
		"pci-model":          {unknown, noID},
		"pci-unlisted":       {unknown, noID},
		"pci-name":           {func(*telemetry.Record, *telemetry.Work) {}, noName},
		"pci-family":         {func(*telemetry.Record, *telemetry.Work) {}, noName, noID},
		"compute-capability": {unknown, inventory(func(i *telemetry.Inventory) { i.Major = 0 })},
		"cores":              {unknown, inventory(func(i *telemetry.Inventory) { i.Cores = 0 })},
		"cores-exact":        {unknown, inventory(func(i *telemetry.Inventory) { i.Cores = 0 })},
		"bus-width":          {unknown, inventory(func(i *telemetry.Inventory) { i.BusBits = 0 })},
		"bus-exact":          {unknown, inventory(func(i *telemetry.Inventory) { i.BusBits = 0 })},
		"vbios": {
			inventory(func(i *telemetry.Inventory) { i.VBIOS = "" }), inventory(func(i *telemetry.Inventory) { i.VBIOS = "96" }),
			inventory(func(i *telemetry.Inventory) { i.VBIOS = "9A.00.01" }), inventory(func(i *telemetry.Inventory) { i.Name, i.Major = "NVIDIA H1000", 0 }),
		},
		"power-max":   {unknown, inventory(func(i *telemetry.Inventory) { i.PowerMax = 0 }), inventory(func(i *telemetry.Inventory) { i.Name = "NVIDIA H20" })},
		"power-limit": {unknown, lacks(telemetry.PowerLimit), inventory(func(i *telemetry.Inventory) { i.Name = "NVIDIA H20" })},
		"power-raised": {unknown, inventory(func(i *telemetry.Inventory) { i.Name = "NVIDIA H20" }), func(r *telemetry.Record, _ *telemetry.Work) {
			r.Inventory.PowerMax = 0
			without(r, telemetry.PowerLimit)
		}},
		"clock-max":     {unknown, lacks(telemetry.ClockSMMax)},
		"clock-memory":  {unknown, lacks(telemetry.ClockMemoryMax)},
		"memory-total":  {unknown, lacks(telemetry.MemoryTotal)},
		"memory-above":  {unknown, lacks(telemetry.MemoryTotal)},
		"memory-sum":    {lacks(telemetry.MemoryTotal), lacks(telemetry.MemoryUsed, telemetry.MemoryReserved)},
		"memory-fits":   {noHeld, sliced, lacks(telemetry.MemoryTotal)},
		"memory-held":   {noHeld, noTime, backwards, sliced, lacks(telemetry.MemoryUsed), first(3), instant, first(5)},
		"times":         {noTime, backwards, first(0)},
		"ops-ceiling":   {noOps, noTime, backwards, sliced, asReads, strange, inventory(func(i *telemetry.Inventory) { i.Name, i.Cores = "NVIDIA H1000", 0 })},
		"ops-high":      {noOps, noTime, backwards, sliced, asReads, strange},
		"bytes-ceiling": {noOps, noTime, backwards, sliced, unknown, asFP64, func(_ *telemetry.Record, w *telemetry.Work) { w.Held = 399 << 20 }},
		"gpm":           {noOps, noTime, backwards, sliced, unknown, lacks(telemetry.GPMTensor), first(4), strange},
		"utilisation":   {noOps, sliced, lacks(telemetry.UtilGPU), first(4)},
		"clock-low":     {noOps, lacks(telemetry.ClockSM), lacks(telemetry.ClockSMMax), lacks(telemetry.Throttle), first(4), first(2)},
		"energy-limit": {lacks(telemetry.Energy), onlyOne(telemetry.Energy), func(r *telemetry.Record, _ *telemetry.Work) {
			setAll(r, telemetry.PowerLimit, 0)
		}},
		"energy-power": {lacks(telemetry.Energy), lacks(telemetry.Power), first(7), short, onlyOne(telemetry.Energy)},
		"energy-ops":   {lacks(telemetry.Energy), unknown, sliced, noOps, short, first(9), asFP64, asReads, inventory(func(i *telemetry.Inventory) { i.Name = "NVIDIA H20" })},
		"energy-falls": {lacks(telemetry.Energy), first(1)},
		"power-physical": {lacks(telemetry.Power), func(r *telemetry.Record, w *telemetry.Work) {
			unknown(r, w)
			without(r, telemetry.PowerLimit)
			r.Inventory.PowerMax = 0
		}},
		"power-constant":  {lacks(telemetry.Power), first(5), instant},
		"energy-constant": {lacks(telemetry.Energy), first(2), instant},
		"range":           {first(0)},
		"temperature":     {lacks(telemetry.Temperature)},
		"pcie-link":       {lacks(telemetry.PCIeGeneration, telemetry.PCIeWidth), lacks(telemetry.PCIeGenerationMax, telemetry.PCIeWidthMax)},
		telemetry.CodeSlice: {func(r *telemetry.Record, _ *telemetry.Work) {
			r.Inventory.Name = ""
			without(r, telemetry.MIG)
		}},
		"counters": {lacks(telemetry.ECCCorrected, telemetry.ECCUncorrected, telemetry.PCIeReplays), first(1)},
		"remaps":   {lacks(telemetry.RemappedCorrectable, telemetry.RemappedUncorrectable, telemetry.RetiredPages), first(1)},
	} {
		for n, change := range edits {
			l := load{seconds: 20}
			if slices.Contains([]string{"bytes-ceiling", "memory-fits", "memory-held"}, code) {
				l.flavour = telemetry.Reads
			}
			r, w := honest(lookup(t, "h100-sxm"), l)
			change(&r, &w)
			if j := telemetry.Judge(r, w); slices.Contains(j.Applied, code) {
				t.Errorf("%s, case %d: applied without what it needs", code, n)
			}
		}
	}
	// What is there suffices: the slice's state, or a name.
	for _, change := range []edit{noName, lacks(telemetry.MIG)} {
		r, w := honest(lookup(t, "h100-sxm"), load{seconds: 20})
		change(&r, &w)
		if j := telemetry.Judge(r, w); !slices.Contains(j.Applied, telemetry.CodeSlice) {
			t.Error("slice is not applied")
		}
	}
}

// A card of no model is judged by its class, which its driver's figures tell.
func TestClass(t *testing.T) {
	for _, tt := range []struct{ is, class string }{{"h100-sxm", "other-h100"}, {"h200-sxm", "other-h200"}, {"rtx-4090", "other-ada"}, {"l4", "other-l4"}, {"rtx-5090", "other-gddr7-512"}} {
		r, w := honest(lookup(t, tt.is), load{seconds: 20})
		r.Inventory.Name, r.Inventory.PCIDevice = "NVIDIA Anything", 0x3fff10de
		if j := telemetry.Judge(r, w); j.Model.Name != tt.class || j.Known || !j.Plausible() {
			t.Errorf("%s: %s, known %v: %s", tt.is, j.Model.Name, j.Known, said(j))
		}
	}
	r, w := honest(lookup(t, "t4"), load{seconds: 20})
	r.Inventory.Name, r.Inventory.Major, r.Inventory.Minor, r.Inventory.VBIOS = "Tesla V100-SXM2-16GB", 7, 0, "88.00.43.00.03"
	r.Inventory.PCIDevice = 0x1db110de
	if j := telemetry.Judge(r, w); j.Model.Name != "" || j.Known || j.Hard() {
		t.Errorf("V100: %s: %s", j.Model.Name, said(j))
	}
}

// Models that share a name are told apart by any one of the figures in which they differ.
func TestNamesakes(t *testing.T) {
	all := real()
	pairs := 0
	for _, s := range all {
		for _, other := range all {
			if s.Name == other.Name || s.Names != other.Names {
				continue
			}
			pairs++
			for what, differs := range map[string]bool{
				"total": s.Memory != other.Memory, "id": true, "bus": s.BusBits != other.BusBits,
				"clock": max(s.MemoryHz, other.MemoryHz) > 11*min(s.MemoryHz, other.MemoryHz)/10, "cores": s.SMs != other.SMs,
			} {
				r, w := honest(s, load{seconds: 20})
				if what != "total" {
					without(&r, telemetry.MemoryTotal)
				}
				if what != "id" {
					r.Inventory.PCIDevice = 0
				}
				if what != "bus" {
					r.Inventory.BusBits = 0
				}
				if what != "clock" {
					without(&r, telemetry.ClockMemoryMax)
				}
				if what != "cores" {
					r.Inventory.Cores = 0
				}
				if j := telemetry.Judge(r, w); !j.Known || differs && j.Model.Name != s.Name || j.Hard() {
					t.Errorf("%s by its %s: %s: %s", s.Name, what, j.Model.Name, said(j))
				}
			}
		}
	}
	if pairs != 8 {
		t.Errorf("%d pairs of a name", pairs)
	}
}
