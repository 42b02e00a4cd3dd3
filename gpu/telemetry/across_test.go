package telemetry_test

import (
	"strings"
	"testing"

	"github.com/assaynet/assay/gpu/models"
	"github.com/assaynet/assay/gpu/telemetry"
)

// later is the same card some time after: what counts has risen.
func later(s models.Spec, seed uint64) telemetry.Record {
	r, _ := honest(s, load{seconds: 20, seed: seed})
	for i := range r.Snapshots {
		for k, more := range map[telemetry.Kind]int64{telemetry.Energy: 1e9, telemetry.ECCCorrected: 1, telemetry.PCIeReplays: 1} {
			if v, ok := r.Snapshots[i].Get(k); ok {
				r.Snapshots[i].Set(k, v+more)
			}
		}
	}
	return r
}

func TestAcross(t *testing.T) {
	restart := func(r *telemetry.Record, kinds ...telemetry.Kind) {
		for i := range r.Snapshots {
			for _, k := range kinds {
				r.Snapshots[i].Set(k, int64(i))
			}
		}
	}
	for _, tt := range []struct {
		name string
		edit func(a, b *telemetry.Record)
		hard string // codes
		soft string
	}{
		{name: "the same card", edit: func(_, _ *telemetry.Record) {}},
		{name: "another UUID", edit: func(_, b *telemetry.Record) { b.Inventory.UUID = "GPU-20f35015-e921-bfab-2eb8-4e9b6664d5f1" }, hard: "device-uuid"},
		{name: "another serial", edit: func(_, b *telemetry.Record) { b.Inventory.Serial = "7" }, hard: "device-serial"},
		{name: "another name", edit: func(_, b *telemetry.Record) { b.Inventory.Name = "NVIDIA H200" }, hard: "device-name"},
		{name: "another name by another driver", edit: func(a, b *telemetry.Record) { a.Inventory.Driver, b.Inventory.Name = "460.32.03", "NVIDIA H100 NVL" }, soft: "device-name"},
		{name: "another name, whose driver is not said", edit: func(a, b *telemetry.Record) {
			a.Inventory.Driver, b.Inventory.Driver, b.Inventory.Name = "", "", "NVIDIA H100 NVL"
		}, soft: "device-name"},
		{name: "a name before R470 and after", edit: func(a, _ *telemetry.Record) { a.Inventory.Driver, a.Inventory.Name = "460.32.03", "H100-80GB-HBM3" }},
		{name: "words that do not count", edit: func(a, _ *telemetry.Record) { a.Inventory.Name = "Tesla H100 80GB HBM3" }},
		{name: "another id", edit: func(_, b *telemetry.Record) { b.Inventory.PCIDevice = 0x233510de }, hard: "device-pci-id"},
		{name: "another capability", edit: func(_, b *telemetry.Record) { b.Inventory.Major = 8 }, hard: "device-capability"},
		{name: "other cores", edit: func(_, b *telemetry.Record) { b.Inventory.Cores-- }, hard: "device-cores"},
		{name: "another bus", edit: func(_, b *telemetry.Record) { b.Inventory.BusBits-- }, hard: "device-bus"},
		{name: "another slot, driver and VBIOS", edit: func(_, b *telemetry.Record) {
			b.Inventory.PCI, b.Inventory.Driver, b.Inventory.VBIOS = "0000:41:00.0", "580.65.06", "96.00.D0.00.02"
		}, soft: "device-address"},
		{name: "texts that are missing", edit: func(a, b *telemetry.Record) { a.Inventory.Serial, b.Inventory.UUID, b.Inventory.Cores = "", "", 0 }},
		{name: "ECC was switched", edit: func(_, b *telemetry.Record) { setAll(b, telemetry.MemoryTotal, 81559*15/16<<20) }},
		{name: "half of the memory is gone", edit: func(_, b *telemetry.Record) { setAll(b, telemetry.MemoryTotal, 40960<<20) }, soft: "device-memory"},
		{name: "rows are whole again", edit: func(_, b *telemetry.Record) { setAll(b, telemetry.RemappedUncorrectable, 0) }, hard: "counter-remaps"},
		{name: "pages too", edit: func(a, _ *telemetry.Record) { setAll(a, telemetry.RetiredPages, 3) }, hard: "counter-remaps"},
		{name: "a reload", edit: func(_, b *telemetry.Record) {
			restart(b, telemetry.Energy, telemetry.ECCCorrected, telemetry.PCIeReplays)
		}},
		{name: "a reload without errors before", edit: func(a, b *telemetry.Record) {
			setAll(a, telemetry.ECCCorrected, 0)
			setAll(a, telemetry.PCIeReplays, 0)
			restart(b, telemetry.Energy)
			setAll(b, telemetry.ECCCorrected, 0)
			setAll(b, telemetry.PCIeReplays, 0)
		}},
		{name: "only the energy restarts", edit: func(_, b *telemetry.Record) {
			restart(b, telemetry.Energy)
			setAll(b, telemetry.ECCCorrected, 3)
			setAll(b, telemetry.PCIeReplays, 2)
		}, soft: "counter-stayed,counter-stayed"},
		{name: "errors restart alone", edit: func(_, b *telemetry.Record) { restart(b, telemetry.ECCCorrected) }, soft: "counter-fell"},
		{name: "replays restart alone, energy not read", edit: func(a, b *telemetry.Record) {
			restart(b, telemetry.PCIeReplays)
			without(a, telemetry.Energy)
		}},
		{name: "energy stands", edit: func(a, b *telemetry.Record) {
			setAll(a, telemetry.Energy, 5)
			setAll(b, telemetry.Energy, 5)
		}, soft: "energy-stands"},
		{name: "a recording", edit: func(a, b *telemetry.Record) {
			for i := range a.Snapshots {
				v, _ := a.Snapshots[i].Get(telemetry.Power)
				b.Snapshots[i].Set(telemetry.Power, v)
			}
		}, hard: "replay"},
		{name: "short and alike", edit: func(a, b *telemetry.Record) {
			a.Snapshots, b.Snapshots = a.Snapshots[:5], b.Snapshots[:5]
			for i := range a.Snapshots {
				v, _ := a.Snapshots[i].Get(telemetry.Power)
				b.Snapshots[i].Set(telemetry.Power, v)
			}
		}},
		{name: "a coarse sensor", edit: func(a, b *telemetry.Record) {
			for _, r := range []*telemetry.Record{a, b} {
				setAll(r, telemetry.Power, 70_000)
				r.Snapshots[0].Set(telemetry.Power, 9_000)
			}
		}},
		{name: "nothing at all", edit: func(a, b *telemetry.Record) { *a, *b = telemetry.Record{}, telemetry.Record{} }},
	} {
		a, _ := honest(lookup(t, "h100-sxm"), load{seconds: 20, seed: 1})
		b := later(lookup(t, "h100-sxm"), 2)
		tt.edit(&a, &b)
		var hard, soft []string
		for _, f := range telemetry.Across(a, b) {
			if f.Seen == "" || f.Expected == "" || f.Threshold == "" || f.Source == "" {
				t.Errorf("%s: %+v", tt.name, f)
			}
			if f.Hard {
				hard = append(hard, f.Code)
			} else {
				soft = append(soft, f.Code)
			}
		}
		if strings.Join(hard, ",") != tt.hard || strings.Join(soft, ",") != tt.soft {
			t.Errorf("%s: hard %v, soft %v", tt.name, hard, soft)
		}
	}
}

func TestAcrossModels(t *testing.T) {
	for _, s := range real() {
		a, _ := honest(s, load{seconds: 20, seed: 1})
		if found := telemetry.Across(a, later(s, 2)); len(found) > 0 {
			t.Errorf("%s: %v", s.Name, found)
		}
	}
}
