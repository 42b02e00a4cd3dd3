package prover

import (
	"slices"
	"testing"
	"time"

	"github.com/assaynet/assay/gpu/telemetry"
)

// TestOwnership reads a card's list again and again while our process comes and
// goes: who is found to be somebody else.
func TestOwnership(t *testing.T) {
	proc := func(pid uint32, name string) telemetry.Process { return telemetry.Process{PID: pid, Name: name} }
	type list []telemetry.Process
	type step struct {
		after  time.Duration
		own    []uint32
		list   list
		others []uint32
	}
	own := func(pids ...uint32) []uint32 { return pids }
	ms := time.Millisecond
	const ours = "/opt/assay/bin/assay-gpu"
	tests := []struct {
		name  string
		steps []step
	}{
		{"nobody", []step{{0, nil, nil, nil}, {250 * ms, own(40), nil, nil}}},
		{"a tenant", []step{{0, nil, list{proc(7, "python3")}, own(7)}}},
		{"a tenant without a name", []step{{0, nil, list{proc(7, "")}, own(7)}}},
		{"a tenant named like ours", []step{{0, nil, list{proc(7, ours)}, own(7)}}},
		{"ours by its number", []step{{0, nil, nil, nil}, {0, own(40), list{proc(40, "python3")}, nil}, {time.Hour, own(40), list{proc(40, "python3")}, nil}}},
		{"ours from the start", []step{{0, own(40), list{proc(40, ours)}, nil}}},
		{"ours, late, by its number", []step{{0, nil, nil, nil}, {0, own(40), nil, nil}, {time.Hour, own(40), list{proc(40, ours)}, nil}}},
		{"ours and a tenant", []step{{0, nil, nil, nil}, {0, own(40), list{proc(40, ours)}, nil}, {0, own(40), list{proc(40, ours), proc(7, "a")}, own(7)}}},
		{"ours and a tenant at once", []step{{0, nil, nil, nil}, {0, own(40), list{proc(7, ""), proc(40, ours)}, own(7)}}},
		{"our number was there before us", []step{{0, nil, list{proc(40, "")}, own(40)}, {0, own(40), list{proc(40, "")}, own(40)}, {0, nil, list{proc(40, "")}, own(40)}}},
		{"two of ours", []step{{0, nil, nil, nil}, {0, own(40, 41), list{proc(41, ours), proc(40, ours)}, nil}, {0, own(41, 40), list{proc(41, ours), proc(40, ours)}, nil}}},
		{"ours grows, and shrinks", []step{
			{0, nil, nil, nil},
			{0, own(40), list{proc(40, ours)}, nil},
			{0, own(40, 41), list{proc(40, ours), proc(41, "")}, nil},
			{0, own(41), list{proc(40, ours), proc(41, "")}, nil},
			{3 * time.Second, own(41), list{proc(41, "")}, nil},
		}},
		{"in two lines", []step{{0, nil, nil, nil}, {0, own(4), list{proc(900, ""), proc(900, "")}, nil}}},

		{"container", []step{{0, nil, nil, nil}, {0, own(4), nil, nil}, {250 * ms, own(4), list{proc(900, "")}, nil}, {time.Hour, own(4), list{proc(900, "")}, nil}}},
		{"container, by name", []step{{0, nil, nil, nil}, {0, own(4), list{proc(900, ours)}, nil}}},
		{"container, another's name", []step{{0, nil, nil, nil}, {0, own(4), list{proc(900, "python3")}, own(900)}}},
		{"container, beside one that was there", []step{{0, nil, list{proc(7, "")}, own(7)}, {0, own(4), list{proc(7, ""), proc(900, "")}, own(7)}, {0, own(4), list{proc(900, "")}, nil}}},
		{"container, then a tenant", []step{{0, nil, nil, nil}, {0, own(4), list{proc(900, "")}, nil}, {time.Second, own(4), list{proc(900, ""), proc(901, "")}, own(901)}}},
		{"container, ambiguous", []step{
			{0, nil, nil, nil},
			{0, own(4), list{proc(900, ""), proc(901, "")}, own(900, 901)},
			// Ours is ended for it: what stays is the tenant.
			{250 * ms, nil, list{proc(901, "")}, own(901)},
			{time.Second, nil, nil, nil},
			{0, own(5), list{proc(902, "")}, nil},
		}},
		{"container, ambiguous with names", []step{{0, nil, nil, nil}, {0, own(4), list{proc(900, ours), proc(901, "python3")}, own(901)}}},
		{"container, adopted the tenant", []step{
			// He came in the moment in which ours started, without a name, and first.
			{0, nil, nil, nil},
			{0, own(4), list{proc(901, "")}, nil},
			{250 * ms, own(4), list{proc(901, ""), proc(900, "")}, own(900)},
			{250 * ms, nil, list{proc(901, "")}, own(901)}, // whoever was doubtful is not waited for
		}},
		{"container, no list before", []step{{0, own(4), list{proc(900, "")}, own(900)}}},
		{"container, too late", []step{{0, nil, nil, nil}, {0, own(4), nil, nil}, {listStart + 1, own(4), list{proc(900, "")}, own(900)}}},
		{"container, the tenant has our number", []step{
			{0, nil, nil, nil}, {0, own(4), list{proc(900, "")}, nil}, {0, own(4), list{proc(900, ""), proc(4, "")}, own(4)},
		}},
		{"container, the tenant has our number, at once", []step{{0, nil, nil, nil}, {0, own(4), list{proc(900, ""), proc(4, "")}, own(900)}}},

		{"released, and lingers", []step{
			{0, nil, nil, nil},
			{0, own(40), list{proc(40, ours)}, nil},
			{250 * ms, nil, list{proc(40, ours)}, nil},
			{listGrace - 1, nil, list{proc(40, ours)}, nil},
			{1, nil, list{proc(40, ours)}, own(40)},
		}},
		{"released, and lingers, in a container", []step{
			{0, nil, nil, nil},
			{0, own(4), list{proc(900, "")}, nil},
			{250 * ms, nil, list{proc(900, "")}, nil},
			{listGrace, nil, list{proc(900, "")}, own(900)},
		}},
		{"released before the list had it", []step{
			{0, nil, nil, nil}, {0, own(40), nil, nil}, {250 * ms, nil, list{proc(40, ours)}, nil}, {listGrace, nil, list{proc(40, ours)}, own(40)},
		}},
		{"started again while the old one lingers", []step{
			{0, nil, nil, nil},
			{0, own(4), list{proc(900, "")}, nil},
			{0, nil, list{proc(900, "")}, nil},
			{time.Second, own(5), list{proc(900, ""), proc(901, "")}, nil},
			{time.Second, own(5), list{proc(900, ""), proc(901, "")}, own(900)},
		}},
		{"crashed and started again between two lists", []step{
			{0, nil, nil, nil},
			{0, own(40), list{proc(40, ours)}, nil},
			{250 * ms, own(50), list{proc(40, ours)}, nil},
			{250 * ms, own(50), list{proc(50, ours)}, nil},
			{time.Hour, own(50), list{proc(50, ours), proc(40, "")}, own(40)},
		}},
		{"the number of ours is a tenant's later", []step{
			{0, nil, nil, nil}, {0, own(40), list{proc(40, ours)}, nil}, {0, nil, nil, nil}, {time.Minute, nil, list{proc(40, "python3")}, own(40)},
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var o ownership
			now := time.Unix(1e9, 0)
			for i, s := range tt.steps {
				now = now.Add(s.after)
				before := o
				o = o.runs(s.own, now)
				var others []telemetry.Process
				o, others = o.sort(s.list, now)
				var got []uint32
				for _, p := range others {
					got = append(got, p.PID)
				}
				if !slices.Equal(slices.Sorted(slices.Values(got)), s.others) {
					t.Fatalf("step %d: others %v, want %v (%+v, before %+v)", i, got, s.others, o, before)
				}
			}
		})
	}
}

func TestIgnored(t *testing.T) {
	patterns := []string{"Xorg", "gnome-*", "nv?"}
	for name, want := range map[string]bool{
		"Xorg": true, "/usr/lib/xorg/Xorg": true, "/usr/lib/xorg/Xorg -core :0": true, " gnome-shell": true, "nvx": true,
		"": false, "xorg": false, "python3": false, "/Xorg/python3": false, "python3 Xorg": false, "python3 /usr/Xorg": false, "nv/x": false,
	} {
		if got := ignored(patterns, name); got != want {
			t.Errorf("%q: %v", name, got)
		}
	}
}
