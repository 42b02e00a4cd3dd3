package evidence

import (
	"testing"
	"time"

	"github.com/assaynet/assay/challenges"
	"github.com/assaynet/assay/gpu/telemetry"
)

func TestAcross(t *testing.T) {
	a, b := challenges.NodeID{1}, challenges.NodeID{2}
	n := byte(0)
	told := func(p challenges.NodeID, device string, epoch uint64, edit func(*telemetry.Record)) Telling {
		n++
		var r telemetry.Record
		if err := challenges.Unmarshal(honest(time.Second), &r); err != nil {
			t.Fatal(err)
		}
		for i := range r.Snapshots { // another time: other powers, more energy
			power, _ := r.Snapshots[i].Get(telemetry.Power)
			r.Snapshots[i].Set(telemetry.Power, power+int64(n)*17+int64(i)*int64(n))
			energy, _ := r.Snapshots[i].Get(telemetry.Energy)
			r.Snapshots[i].Set(telemetry.Energy, energy+int64(n)*1e7)
			r.Snapshots[i].Set(telemetry.RemappedCorrectable, 4)
		}
		if edit != nil {
			edit(&r)
		}
		return Telling{p, device, epoch, challenges.Hash{n}, r}
	}
	other := func(r *telemetry.Record) { r.Inventory.UUID = "GPU-00000000-0000-0000-0000-000000000001" }
	fewer := func(r *telemetry.Record) {
		for i := range r.Snapshots {
			r.Snapshots[i].Set(telemetry.RemappedCorrectable, 1)
		}
	}
	for _, tt := range []struct {
		name string
		told []Telling
		code string // of the one finding; empty: none
	}{
		{"nothing", nil, ""},
		{"one", []Telling{told(a, "gpu0", 1, nil)}, ""},
		{"the same card", []Telling{told(a, "gpu0", 1, nil), told(a, "gpu0", 2, nil)}, ""},
		{"another card", []Telling{told(a, "gpu0", 2, other), told(a, "gpu0", 1, nil)}, "device-uuid"},
		{"of another provider", []Telling{told(a, "gpu0", 1, nil), told(b, "gpu0", 2, other)}, ""},
		{"of another device", []Telling{told(a, "gpu0", 1, nil), told(a, "gpu1", 2, other)}, ""},
		{"another card in the same epoch", []Telling{told(a, "gpu0", 1, nil), told(a, "gpu0", 1, other)}, "device-uuid"},
		{"a counter that falls", []Telling{told(a, "gpu0", 2, fewer), told(a, "gpu0", 1, nil)}, "counter-remaps"},
		{"a counter that rises", []Telling{told(a, "gpu0", 1, fewer), told(a, "gpu0", 2, nil)}, ""},
		{"in the same epoch nobody knows", []Telling{told(a, "gpu0", 1, nil), told(a, "gpu0", 1, fewer)}, ""},
	} {
		got := Across(tt.told)
		switch {
		case tt.code == "" && len(got) > 0:
			t.Errorf("%s: %+v", tt.name, got[0].Findings)
		case tt.code != "" && (len(got) != 1 || len(got[0].Findings) != 1 || got[0].Findings[0].Code != tt.code):
			t.Errorf("%s: %+v, want %s", tt.name, got, tt.code)
		}
	}
}
