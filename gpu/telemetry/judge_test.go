package telemetry_test

import (
	"encoding/binary"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/assaynet/assay/gpu/models"
	"github.com/assaynet/assay/gpu/telemetry"
)

// Each rule has a case that makes it fire, and is applied to an honest card without a
// finding.
func TestRules(t *testing.T) {
	type record = telemetry.Record
	type work = telemetry.Work
	h100 := func(edit func(r *record, w *work)) func(t *testing.T) (record, work) {
		return func(t *testing.T) (record, work) {
			r, w := honest(lookup(t, "h100-sxm"), load{seconds: 20})
			edit(&r, &w)
			return r, w
		}
	}
	reads := func(edit func(r *record, w *work)) func(t *testing.T) (record, work) {
		return func(t *testing.T) (record, work) {
			r, w := honest(lookup(t, "h100-sxm"), load{flavour: telemetry.Reads, seconds: 20})
			edit(&r, &w)
			return r, w
		}
	}
	unknown := func(edit func(r *record)) func(t *testing.T) (record, work) {
		return h100(func(r *record, _ *work) {
			r.Inventory.Name, r.Inventory.PCIDevice = "NVIDIA H1000", 0x23ff10de
			edit(r)
		})
	}
	fire := map[string][]func(t *testing.T) (record, work){
		"name-mock": {
			h100(func(r *record, _ *work) { r.Inventory.Name = "Mock NVIDIA H100" }),
			h100(func(r *record, _ *work) { r.Inventory.Name = "NVIDIA H100 FAKE" }),
		},
		"uuid-form": {
			h100(func(r *record, _ *work) { r.Inventory.UUID = "GPU-1" }),
			h100(func(r *record, _ *work) { r.Inventory.UUID = strings.Replace(r.Inventory.UUID, "GPU", "CPU", 1) }),
			h100(func(r *record, _ *work) { r.Inventory.UUID = strings.Replace(r.Inventory.UUID, "a", "g", 1) }),
			h100(func(r *record, _ *work) { r.Inventory.UUID = "GPU-10f35015ee921-bfab-2eb8-4e9b6664d5f1" }),
			h100(func(r *record, _ *work) { r.Inventory.UUID = "MIG-GPU-10f35015-e921-bfab-2eb8-4e9b6664d5f1" }),
			h100(func(r *record, _ *work) { r.Inventory.UUID = "MIG-GPU-10f35015-e921-bfab-2eb8-4e9b6664d5f1/1" }),
			h100(func(r *record, _ *work) { r.Inventory.UUID = "MIG-GPU-10f35015-e921-bfab-2eb8-4e9b6664d5f1/1/0/0" }),
			h100(func(r *record, _ *work) { r.Inventory.UUID = "MIG-GPU-10f35015-e921-bfab-2eb8-4e9b6664d5f1/x/0" }),
			h100(func(r *record, _ *work) { r.Inventory.UUID = "MIG-GPU-10f35015-e921-bfab-2eb8-4e9b6664d5f1/1/" }),
			h100(func(r *record, _ *work) { r.Inventory.UUID = "GPU-GPU-10f35015-e921-bfab-2eb8-4e9b6664d5f1/1/0" }),
		},
		"driver-form": {
			h100(func(r *record, _ *work) { r.Inventory.Driver = "550" }),
			h100(func(r *record, _ *work) { r.Inventory.Driver = "mock" }),
			h100(func(r *record, _ *work) { r.Inventory.Driver = "390.157" }),
			h100(func(r *record, _ *work) { r.Inventory.Driver = "550.54.15.1" }),
			h100(func(r *record, _ *work) { r.Inventory.Driver = "550..15" }),
			h100(func(r *record, _ *work) { r.Inventory.Driver = "550.5a.15" }),
			h100(func(r *record, _ *work) { r.Inventory.Driver = "5500.54" }),
		},
		"driver-windows": {
			h100(func(r *record, _ *work) { r.Inventory.Driver = "591.86" }),
			h100(func(r *record, _ *work) { r.Inventory.Driver = "520.10" }),
		},
		"nvml-version": {
			h100(func(r *record, _ *work) { r.Inventory.NVML = "12.550.54.15" }),
			h100(func(r *record, _ *work) { r.Inventory.NVML = "1" + r.Inventory.Driver }),
		},
		"confidential-text": {h100(func(r *record, _ *work) { r.Inventory.Confidential = "yes" })},
		"pci-vendor": {
			h100(func(r *record, _ *work) { r.Inventory.PCIDevice = 0x23301002 }),
			h100(func(r *record, _ *work) { r.Inventory.PCIDevice = 0x10de2330 }),
			h100(func(r *record, _ *work) { r.Inventory.PCIDevice = 0x000010de }),
		},
		"pci-model":    {h100(func(r *record, _ *work) { r.Inventory.PCIDevice = 0x233110de })},
		"pci-unlisted": {h100(func(r *record, _ *work) { r.Inventory.PCIDevice = 0x2b0010de })},
		"pci-name":     {unknown(func(r *record) { r.Inventory.PCIDevice = 0x233010de })},
		"pci-family": {
			unknown(func(r *record) { r.Inventory.Name, r.Inventory.PCIDevice = "NVIDIA H100 80GB HBM3e", 0x268410de }),
			unknown(func(r *record) { r.Inventory.Name, r.Inventory.PCIDevice = "RTX4090 24GB", 0x233010de }),
		},
		"compute-capability": {
			h100(func(r *record, _ *work) { r.Inventory.Major = 8 }),
			h100(func(r *record, _ *work) { r.Inventory.Minor = 9 }),
		},
		"cores": {
			h100(func(r *record, _ *work) { r.Inventory.Cores = 6912 }),
			h100(func(r *record, _ *work) { r.Inventory.Cores = 24064 }),
		},
		"cores-exact": {h100(func(r *record, _ *work) { r.Inventory.Cores = 16384 })},
		"bus-width": {
			h100(func(r *record, _ *work) { r.Inventory.BusBits = 384 }),
			h100(func(r *record, _ *work) { r.Inventory.BusBits = 6016 }),
		},
		"bus-exact": {h100(func(r *record, _ *work) { r.Inventory.BusBits = 5248 })},
		"vbios": {
			h100(func(r *record, _ *work) { r.Inventory.VBIOS = "95.02.47.00.01" }),
			unknown(func(r *record) { r.Inventory.VBIOS = "97.00.82.00.15" }),
		},
		"power-max": {
			h100(func(r *record, _ *work) { r.Inventory.PowerMax = 72_000 }),
			h100(func(r *record, _ *work) { r.Inventory.PowerMax = 7_001_000 }),
		},
		"power-limit": {h100(func(r *record, _ *work) { r.Snapshots[3].Set(telemetry.PowerLimit, 7_001_000) })},
		"power-raised": {
			h100(func(r *record, _ *work) { r.Inventory.PowerMax = 1_401_000 }),
			h100(func(r *record, _ *work) { r.Snapshots[3].Set(telemetry.PowerLimit, 1_401_000) }),
		},
		"clock-max":    {h100(func(r *record, _ *work) { r.Snapshots[3].Set(telemetry.ClockSMMax, 3105) })},
		"clock-memory": {h100(func(r *record, _ *work) { setAll(r, telemetry.ClockMemoryMax, 1593) }), h100(func(r *record, _ *work) { setAll(r, telemetry.ClockMemoryMax, 10501) })},
		"memory-total": {
			h100(func(r *record, _ *work) { setAll(r, telemetry.MemoryTotal, 81920<<20) }),
			h100(func(r *record, _ *work) { setAll(r, telemetry.MemoryTotal, 81559*15/16<<20) }), // HBM loses nothing
			h100(func(r *record, _ *work) { r.Snapshots[2].Set(telemetry.MemoryTotal, 24564<<20) }),
			h100(func(r *record, _ *work) {
				setAll(r, telemetry.MemoryTotal, 40960<<20)
				r.Inventory.Confidential = "on"
			}),
		},
		"memory-above": {
			h100(func(r *record, _ *work) { r.Snapshots[2].Set(telemetry.MemoryTotal, 98304<<20) }),
		},
		"memory-sum": {
			h100(func(r *record, _ *work) { r.Snapshots[2].Set(telemetry.MemoryUsed, 81560<<20) }),
			h100(func(r *record, _ *work) { r.Snapshots[2].Set(telemetry.MemoryReserved, 81560<<20) }),
		},
		"memory-fits": {reads(func(_ *record, w *work) { w.Held = 81560 << 20 })},
		"memory-held": {reads(func(r *record, _ *work) { setAll(r, telemetry.MemoryUsed, 60000<<20) })},
		"times":       {h100(func(r *record, _ *work) { r.Snapshots[11].At = 33 * time.Second })},
		"ops-ceiling": {
			h100(func(_ *record, w *work) { w.Ops = 45_000e12 }), // 2250e12 a second
			h100(func(_ *record, w *work) { w.Flavour, w.Ops = telemetry.FP64, 20*40e12 }),
			h100(func(_ *record, w *work) { w.Flavour, w.Ops = telemetry.BF16, 20*1130e12 }),
			h100(func(r *record, _ *work) { setAll(r, telemetry.ClockSMMax, 1000); setAll(r, telemetry.ClockSM, 1000) }),
			h100(func(_ *record, w *work) { w.Ops = math.MaxUint64 }),
			unknown(func(r *record) { r.Inventory.Cores /= 2 }), // half of H100's SMs
		},
		"ops-high":        {h100(func(_ *record, w *work) { w.Ops = 41_500e12 })}, // 2075e12 a second, of 2141e12
		"bytes-ceiling":   {reads(func(_ *record, w *work) { w.Ops = 3450e9 / 64 * 20 }), reads(func(_ *record, w *work) { w.Ops = math.MaxUint64 })},
		"gpm":             {h100(func(r *record, _ *work) { setAll(r, telemetry.GPMTensor, 1000) }), h100(func(_ *record, w *work) { w.Ops /= 4 }), reads(func(r *record, _ *work) { setAll(r, telemetry.GPMMemory, 100) })},
		"utilisation":     {h100(func(r *record, _ *work) { setAll(r, telemetry.UtilGPU, 30) })},
		"clock-low":       {h100(func(r *record, _ *work) { setAll(r, telemetry.ClockSM, 1000); setAll(r, telemetry.Throttle, 0) })},
		"energy-limit":    {h100(func(r *record, _ *work) { raise(r, 1_000_000) }), h100(func(r *record, _ *work) { without(r, telemetry.PowerLimit); raise(r, 1_000_000) })},
		"energy-power":    {h100(func(r *record, _ *work) { raise(r, 300_000) })},
		"energy-ops":      {h100(func(_ *record, w *work) { w.Ops /= 10 }), h100(func(r *record, _ *work) { raise(r, 60_000) })},
		"energy-falls":    {h100(func(r *record, _ *work) { r.Snapshots[5].Set(telemetry.Energy, 5) })},
		"power-physical":  {h100(func(r *record, _ *work) { r.Snapshots[5].Set(telemetry.Power, 2_200_000) })},
		"power-constant":  {h100(func(r *record, _ *work) { setAll(r, telemetry.Power, 650_000) })},
		"energy-constant": {h100(func(r *record, _ *work) { setAll(r, telemetry.Energy, 650_000) })},
		"range": {
			h100(func(r *record, _ *work) { r.Snapshots[5].Set(telemetry.Power, -1) }),
			h100(func(r *record, _ *work) { r.Snapshots[5].Set(telemetry.UtilGPU, 111) }),
			h100(func(r *record, _ *work) { r.Snapshots[5].Set(telemetry.ECC, 2) }),
			h100(func(r *record, _ *work) { r.Snapshots[5].Set(telemetry.PerformanceState, 16) }),
			h100(func(r *record, _ *work) { r.Snapshots[5].Set(telemetry.PCIeWidth, 64) }),
			h100(func(r *record, _ *work) { r.Snapshots[5].Set(telemetry.PCIeGeneration, 16) }),
			h100(func(r *record, _ *work) { r.Snapshots[5].Set(telemetry.GPMFP16, 100_001) }),
		},
		"temperature": {h100(func(r *record, _ *work) { r.Snapshots[5].Set(telemetry.Temperature, 126) })},
		"pcie-link":   {h100(func(r *record, _ *work) { r.Snapshots[5].Set(telemetry.PCIeGeneration, 5) }), h100(func(r *record, _ *work) { r.Snapshots[5].Set(telemetry.PCIeWidth, 32) })},
		telemetry.CodeSlice: {
			h100(func(r *record, _ *work) { r.Inventory.MIG = true }),
			h100(func(r *record, _ *work) { r.Snapshots[5].Set(telemetry.MIG, 1) }),
			h100(func(r *record, _ *work) { r.Inventory.Name = "GRID T4-8C" }),
		},
		"counters": {h100(func(r *record, _ *work) { r.Snapshots[5].Set(telemetry.ECCCorrected, 1) }), h100(func(r *record, _ *work) { r.Snapshots[5].Set(telemetry.PCIeReplays, 1) })},
		"remaps":   {h100(func(r *record, _ *work) { r.Snapshots[5].Set(telemetry.RemappedUncorrectable, 0) }), h100(func(r *record, _ *work) { r.Snapshots[5].Set(telemetry.RetiredPages, 4) })},
	}
	// Where a rule that finds nothing is applied: the same card in order.
	plain := func(code string) (record, work) {
		l := load{seconds: 20}
		if slices.Contains([]string{"bytes-ceiling", "memory-fits", "memory-held"}, code) {
			l.flavour = telemetry.Reads
		}
		r, w := honest(lookup(t, "h100-sxm"), l)
		if code == "pci-name" || code == "pci-family" {
			r.Inventory.Name, r.Inventory.PCIDevice = "NVIDIA H1000", 0x23ff10de
		}
		return r, w
	}
	codes := make(map[string]bool)
	for _, rule := range telemetry.Rules() {
		if codes[rule.Code] || rule.Code == "" || rule.Needs == "" || rule.Threshold == "" || rule.Source == "" {
			t.Errorf("rule %+v: twice, or without a text", rule)
		}
		codes[rule.Code] = true
		r, w := plain(rule.Code)
		if j := telemetry.Judge(r, w); !slices.Contains(j.Applied, rule.Code) || len(j.Findings) > 0 {
			t.Errorf("%s: a card in order: applied %v: %s", rule.Code, j.Applied, said(j))
		}
		if len(fire[rule.Code]) == 0 {
			t.Errorf("%s: nothing makes it fire", rule.Code)
		}
		for n, each := range fire[rule.Code] {
			r, w := each(t)
			if err := r.Check(); err != nil {
				t.Fatal(err)
			}
			j := telemetry.Judge(r, w)
			i := slices.IndexFunc(j.Findings, func(f telemetry.Finding) bool { return f.Code == rule.Code })
			if i < 0 || !slices.Contains(j.Applied, rule.Code) {
				t.Errorf("%s, case %d: does not fire: %s", rule.Code, n, said(j))
				continue
			}
			f := j.Findings[i]
			if f.Hard != rule.Hard || f.Threshold != rule.Threshold || f.Source != rule.Source || f.Seen == "" || f.Expected == "" {
				t.Errorf("%s, case %d: %+v", rule.Code, n, f)
			}
			if rule.Hard && (j.Plausible() || !j.Hard()) {
				t.Errorf("%s, case %d: plausible", rule.Code, n)
			}
		}
	}
	for code := range fire {
		if !codes[code] {
			t.Errorf("%s is no rule", code)
		}
	}
}

// raise makes the energy counter rise by so many watts x 1000.
func raise(r *telemetry.Record, mw float64) {
	for i := range r.Snapshots {
		r.Snapshots[i].Set(telemetry.Energy, 1_000_000_000+int64(mw*r.Snapshots[i].At.Seconds()))
	}
}

// The findings and codes come in the order of the rules.
func TestOrder(t *testing.T) {
	r, w := honest(lookup(t, "h100-sxm"), load{seconds: 20})
	r.Inventory.Name = "NVIDIA GeForce RTX 4090"
	setAll(&r, telemetry.Temperature, 1000)
	j := telemetry.Judge(r, w)
	var order []string
	for _, rule := range telemetry.Rules() {
		order = append(order, rule.Code)
	}
	last := -1
	for _, f := range j.Findings {
		if n := slices.Index(order, f.Code); n <= last {
			t.Errorf("%s is out of order", f.Code)
		} else {
			last = n
		}
	}
	if len(j.Findings) < 4 || j.Model.Name != "rtx-4090" {
		t.Errorf("%s: %s", j.Model.Name, said(j))
	}
}

// What go-nvml v0.13.3-1 has as stand-ins (pkg/nvml/mock/gpus): names, nominal sizes,
// ids, and nothing of power, clocks or temperature.
func TestStandIns(t *testing.T) {
	for _, m := range []struct {
		name         string
		mib          int64
		id           uint32
		major, minor uint8
		driver       string
		hard         string // codes
	}{
		{"NVIDIA H100 80GB HBM3", 81920, 0x233010de, 9, 0, "550.54.15", "memory-total"},
		{"NVIDIA H200 141GB HBM3e", 144384, 0x233310de, 9, 0, "550.54.15", ""}, // no driver's name: no model
		{"NVIDIA H200", 144384, 0x233310de, 9, 0, "550.54.15", "memory-total"},
		{"NVIDIA B200 180GB HBM3e", 184320, 0x2b0010de, 10, 0, "560.28.03", ""},
		{"NVIDIA B200", 184320, 0x2b0010de, 10, 0, "560.28.03", "memory-total"},
		{"NVIDIA A100-SXM4-40GB", 40960, 0x20b010de, 8, 0, "550.54.15", ""}, // real sizes
		{"NVIDIA A100-PCIE-80GB", 81920, 0x20b510de, 8, 0, "550.54.15", ""},
		{"Mock NVIDIA A100-SXM4-40GB", 40960, 0x20b010de, 8, 0, "550.54.15", "name-mock"},
	} {
		r := telemetry.Record{Inventory: telemetry.Inventory{
			Name: m.name, UUID: "GPU-7cbbb8f2-4e1b-4a55-9d2c-51a2b1a0b6f7", PCI: "0000:00:00.0", Driver: m.driver, NVML: "12." + m.driver, CUDA: "12.4",
			PCIDevice: m.id, Major: m.major, Minor: m.minor,
		}}
		for i := range 3 {
			s := telemetry.Snapshot{At: time.Duration(i) * time.Second}
			s.Set(telemetry.MemoryTotal, m.mib<<20)
			s.Set(telemetry.MemoryUsed, 0)
			s.Set(telemetry.MIG, 0)
			r.Snapshots = append(r.Snapshots, s)
		}
		j := telemetry.Judge(r, telemetry.Work{Ops: 1e15, Elapsed: 2 * time.Second})
		var hard []string
		for _, f := range j.Findings {
			if f.Hard {
				hard = append(hard, f.Code)
			}
		}
		if j.Plausible() || strings.Join(hard, ",") != m.hard {
			t.Errorf("%s: plausible %v: %s", m.name, j.Plausible(), said(j))
		}
	}
}

// An honest card never gets a hard finding, whatever it is, does and lacks.
func TestHonestNeverHard(t *testing.T) {
	all := real()
	rapid.Check(t, func(t *rapid.T) {
		s := all[rapid.IntRange(0, len(all)-1).Draw(t, "model")]
		l := load{
			flavour: telemetry.Flavour(rapid.IntRange(0, 3).Draw(t, "flavour")), seconds: rapid.Float64Range(0.05, 300).Draw(t, "seconds"),
			snapshots: rapid.IntRange(1, 12).Draw(t, "snapshots"), limit: rapid.Float64Range(0.3, 1).Draw(t, "limit"),
			tuned: 1, share: rapid.Float64Range(0.2, 1.1).Draw(t, "share"), held: rapid.Float64Range(0.01, 0.95).Draw(t, "held"), seed: rapid.Uint64().Draw(t, "seed"),
		}
		if isGeForce(s) {
			l.tuned = rapid.Float64Range(0.9, 1.15).Draw(t, "tuned")
		}
		r, w := honest(s, l)
		noise := rand.New(rand.NewPCG(l.seed, 2))
		for i := range r.Snapshots {
			r.Snapshots[i].Readings = slices.DeleteFunc(r.Snapshots[i].Readings, func(telemetry.Reading) bool { return noise.IntN(10) == 0 })
		}
		for _, k := range rapid.SliceOfN(rapid.SampledFrom(telemetry.Kinds()), 0, 8).Draw(t, "missing") {
			without(&r, k)
		}
		i := &r.Inventory
		for n, clear := range []func(){
			func() { i.Serial = "" }, func() { i.VBIOS = "" }, func() { i.Cores = 0 }, func() { i.BusBits = 0 }, func() { i.PowerMax = 0 },
			func() { i.NVML = "" }, func() { i.PCIDevice = 0 }, func() { i.Major, i.Minor = 0, 0 }, func() { i.Confidential = "" }, func() { i.MIG = true },
		} {
			if rapid.IntRange(0, 5).Draw(t, fmt.Sprintf("clear %d", n)) == 0 {
				clear()
			}
		}
		if err := r.Check(); err != nil {
			t.Fatal(err)
		}
		if j := telemetry.Judge(r, w); j.Hard() {
			t.Errorf("%s: %s", s.Name, said(j))
		}
	})
}

// A card that says that it is another, with more and more of the other's texts. How
// many of all pairs of the table are found (hard) is in the documentation: a change
// here is a change there.
func TestSpoofedPairs(t *testing.T) {
	var all []models.Spec
	for _, s := range real() {
		if !s.Simulated {
			all = append(all, s)
		}
	}
	steps := []struct {
		name string
		edit func(r, claimed *telemetry.Record)
		miss int // pairs that are not found
	}{
		{"the name", func(r, c *telemetry.Record) { r.Inventory.Name = c.Inventory.Name }, missName},
		{"and PCI id and VBIOS", func(r, c *telemetry.Record) {
			r.Inventory.Name, r.Inventory.PCIDevice, r.Inventory.VBIOS = c.Inventory.Name, c.Inventory.PCIDevice, c.Inventory.VBIOS
		}, missPCI},
		{"the whole inventory", func(r, c *telemetry.Record) { r.Inventory = c.Inventory }, missInventory},
		{"and the total", func(r, c *telemetry.Record) {
			r.Inventory = c.Inventory
			v, _ := c.Snapshots[0].Get(telemetry.MemoryTotal)
			setAll(r, telemetry.MemoryTotal, v)
		}, missTotal},
		{"everything: one NVML answered for another", func(r, c *telemetry.Record) { *r = *c }, missAll},
	}
	type made struct {
		r telemetry.Record
		w telemetry.Work
	}
	cards := make(map[string][]made)
	for _, s := range all {
		for f := telemetry.Int8; f <= telemetry.Reads; f++ {
			r, w := honest(s, load{flavour: f, seconds: 20, snapshots: 6})
			cards[s.Name] = append(cards[s.Name], made{r, w})
		}
	}
	copied := func(r telemetry.Record) telemetry.Record {
		r.Snapshots = slices.Clone(r.Snapshots)
		for i := range r.Snapshots {
			r.Snapshots[i].Readings = slices.Clone(r.Snapshots[i].Readings)
		}
		return r
	}
	for _, step := range steps {
		pairs, missed := 0, []string{}
		for _, is := range all {
			for _, claims := range all {
				if is.Name == claims.Name {
					continue
				}
				pairs++
				// The card does all that it can, in one challenge of each flavour.
				found := false
				for f := telemetry.Int8; f <= telemetry.Reads && !found; f++ {
					r := copied(cards[is.Name][f].r)
					step.edit(&r, &cards[claims.Name][f].r)
					found = telemetry.Judge(r, cards[is.Name][f].w).Hard()
				}
				if !found {
					missed = append(missed, is.Name+" as "+claims.Name)
				}
			}
		}
		if len(missed) != step.miss {
			t.Errorf("%s: %d of %d pairs are not found, want %d", step.name, len(missed), pairs, step.miss)
		}
		t.Logf("%s: %d of %d pairs are found", step.name, pairs-len(missed), pairs)
		if testing.Verbose() && len(missed) < 400 {
			t.Logf("not: %s", strings.Join(missed, ", "))
		}
	}
}

// Pairs of 3,306 that pass: the eight that share a name; then those of one chip and
// bus, of which one has more memory or power (refitted cards do, so that is soft), and at last whatever has less than it claims: telemetry that is another
// card's as a whole is found only by work that is too much for it.
const missName, missPCI, missInventory, missTotal, missAll = 8, 53, 136, 373, 1449

// An H100 that a cheaper card claims to be is found by any of these alone.
func TestSpoofedH100(t *testing.T) {
	for _, name := range []string{"rtx-4090", "l40s", "a100-sxm-80", "a100-pcie-40", "h100-pcie", "l4", "rtx-5090"} {
		r, w := honest(lookup(t, name), load{seconds: 20})
		r.Inventory.Name = "NVIDIA H100 80GB HBM3"
		j := telemetry.Judge(r, w)
		t.Logf("%s: %s", name, said(j))
		if !j.Hard() || j.Model.Name != "h100-sxm" {
			t.Errorf("%s as H100 passes: %s", name, said(j))
		}
	}
}

// Judge takes whatever Check lets through: here an honest card's record, of which the
// edits change readings (ten bytes each: snapshot, kind, value).
func FuzzJudge(f *testing.F) {
	names := []string{"h100-sxm", "rtx-4090", "t4", "rtx-3060-8", "sim-h100", "gb300"}
	for n := range names {
		f.Add(uint8(n), "", "", uint32(0), uint64(1e16), int64(20e9), uint64(0), []byte{3, byte(telemetry.Power), 1, 0, 0, 0, 0, 0, 0, 0})
	}
	extreme := []byte{}
	for n := range 12 {
		for _, k := range telemetry.Kinds() {
			extreme = append(extreme, byte(n), byte(k), 0x7f+byte(n%2), 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff)
		}
	}
	f.Add(uint8(0), "NVIDIA H1000", "590.1", uint32(math.MaxUint32), uint64(math.MaxUint64), int64(math.MinInt64), uint64(math.MaxUint64), extreme)
	f.Add(uint8(8), "-", "...", uint32(0x10de), uint64(math.MaxUint64), int64(math.MaxInt64), uint64(math.MaxUint64), []byte(nil))
	f.Fuzz(func(t *testing.T, model uint8, name, driver string, number uint32, ops uint64, elapsed int64, held uint64, edits []byte) {
		r, w := honest(lookup(t, names[int(model)%len(names)]), load{flavour: telemetry.Flavour(model / 6 % 5), seconds: 20, snapshots: int(model) % 13})
		if name != "" {
			r.Inventory.Name, r.Inventory.VBIOS, r.Inventory.UUID = name, name, name
		}
		if driver != "" {
			r.Inventory.Driver = driver
		}
		if number != 0 {
			r.Inventory.PCIDevice, r.Inventory.Cores, r.Inventory.BusBits, r.Inventory.PowerMax = number, number, number, number
			r.Inventory.Major, r.Inventory.Minor = uint8(number), uint8(number>>8)
		}
		for ; len(edits) >= 10 && len(r.Snapshots) > 0; edits = edits[10:] {
			s := &r.Snapshots[int(edits[0])%len(r.Snapshots)]
			s.Set(1+telemetry.Kind(int(edits[1])%len(telemetry.Kinds())), int64(binary.BigEndian.Uint64(edits[2:])))
		}
		if n := len(r.Snapshots); n > 0 && number != 0 {
			r.Snapshots[n-1].At = time.Duration(max(int64(r.Snapshots[n-1].At), elapsed))
		}
		if r.Check() != nil {
			return
		}
		w.Ops, w.Elapsed, w.Held = ops, time.Duration(elapsed), held
		j := telemetry.Judge(r, w)
		if j.Plausible() && (j.Hard() || len(r.Snapshots) < 2) {
			t.Errorf("plausible: %+v", r)
		}
		for _, x := range j.Findings {
			if text := x.String(); strings.Contains(text, "NaN") || x.Seen == "" || x.Expected == "" || !slices.Contains(j.Applied, x.Code) {
				t.Errorf("%+v", x)
			}
		}
		telemetry.Across(r, r)
	})
}
