package checker

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/assaynet/assay/challenges"
	"github.com/assaynet/assay/challenges/memory"
	"github.com/assaynet/assay/checker/committee"
	"github.com/assaynet/assay/gpu/models"
)

// Offers of a simulated and of a real device, and of those that leave flavours out.
var (
	simDevice  = challenges.OfferDevice{ID: "gpu0", Int8Ops: 95e6, BF16Ops: 95e6, FP64Ops: 38e6}
	realDevice = challenges.OfferDevice{ID: "gpu0", Int8Ops: 1e15, BF16Ops: 5e14, FP64Ops: 2e13}
	noBF16     = challenges.OfferDevice{ID: "gpu0", Int8Ops: 1e15, FP64Ops: 2e13}
	onlyFP64   = challenges.OfferDevice{ID: "gpu0", FP64Ops: 2e13}
	lopsided   = challenges.OfferDevice{ID: "gpu0", Int8Ops: 1e15, FP64Ops: 14e12}
	slowBF16   = challenges.OfferDevice{ID: "gpu0", Int8Ops: 1e15, BF16Ops: 1e9, FP64Ops: 2e13}
)

// with is a device that is offered with memory, as one of a model.
func with(d challenges.OfferDevice, model string, bytes uint64) challenges.OfferDevice {
	d.Model, d.Memory = model, bytes
	return d
}

func TestChoose(t *testing.T) {
	const ms = time.Millisecond
	spot, devnet := committee.Standard(), committee.Devnet()
	other := func(p committee.Params, change func(*committee.Params)) committee.Params {
		change(&p)
		return p
	}
	capacity := other(spot, func(p *committee.Params) { p.Purpose = challenges.Capacity })
	short := other(spot, func(p *committee.Params) { p.MinSlot = 5 * time.Second })
	tests := []struct {
		name      string
		simulated bool
		params    committee.Params
		device    challenges.OfferDevice
		rtt       time.Duration
		want      []uint16 // profiles of the turns from 0 on; 0: an error
	}{
		{"simulated", true, devnet, simDevice, ms, []uint16{1, 3, 4, 1, 3, 4}},
		{"simulated, far", true, devnet, simDevice, time.Second, []uint16{1, 3, 4, 1}},
		// Rounds of 70 ms; the row's name ends in the size.
		{"real", false, spot, realDevice, 10 * ms, []uint16{1108, 2109, 3109, 1108, 2109, 3109}},
		{"without bf16", false, spot, noBF16, 10 * ms, []uint16{1108, 3109, 1108, 3109}},
		{"fp64fma alone", false, spot, onlyFP64, 10 * ms, []uint16{3109, 3109, 3109}},
		// Positions come later, and 20 round trips are 2 s: larger rounds, not more.
		{"100 ms away", false, spot, realDevice, 100 * ms, []uint16{1109, 2110, 3110}},
		{"100 ms away, a short slot", false, short, realDevice, 100 * ms, []uint16{1109, 2110, 3110}},
		// A capacity run of the flavour whose turn it is goes before a spot of the next.
		{"150 ms away, near enough in one flavour", false, spot, lopsided, 150 * ms, []uint16{1208, 3110, 1208, 3110}},
		// 20 round trips are 4 s: no spot may take so long, and a capacity run does.
		{"200 ms away", false, spot, realDevice, 200 * ms, []uint16{1208, 2209, 3210, 1208}},
		{"200 ms away, a slot too short", false, short, realDevice, 200 * ms, []uint16{0, 0, 0}},
		// 8 s: no capacity run of fp64fma fits any more, so its turn is the next one's.
		{"400 ms away", false, spot, realDevice, 400 * ms, []uint16{1209, 2210, 1209, 1209}},
		{"out of reach", false, spot, realDevice, 600 * ms, []uint16{0, 0, 0}},
		{"capacity", false, capacity, realDevice, 10 * ms, []uint16{1208, 2208, 3209}},
		{"too slow in one flavour", false, spot, slowBF16, 10 * ms, []uint16{1108, 3109, 3109, 1108}},
		// Simulated rows of these purposes are of int8 alone.
		{"simulated spot", true, spot, simDevice, 10 * ms, []uint16{7, 7, 7}},
		{"simulated spot, far", true, spot, simDevice, 60 * ms, []uint16{8, 8, 8}},
		{"simulated spot, out of reach", true, spot, simDevice, time.Second, []uint16{0, 0, 0}},
		{"no claims", false, spot, challenges.OfferDevice{ID: "gpu0"}, 10 * ms, []uint16{0, 0}},
		// Memory is one thing more that has its turn, after the flavours.
		{"with memory", true, devnet, with(simDevice, "sim-100", 2<<20), ms, []uint16{1, 3, 4, 501, 1, 3, 4, 501}},
		{"with memory, far", true, devnet, with(simDevice, "sim-100", 2<<20), time.Second, []uint16{1, 3, 4, 501}},
		{"memory alone", true, devnet, with(challenges.OfferDevice{ID: "gpu0"}, "sim-100", 2<<20), ms, []uint16{501, 501}},
		{"memory of an unknown model", true, devnet, with(simDevice, "RTX 9090", 2<<20), ms, []uint16{1, 3, 4, 1, 1, 3}},
		{"memory alone, of an unknown model", true, devnet, with(challenges.OfferDevice{ID: "gpu0"}, "RTX 9090", 2<<20), ms, []uint16{0}},
		{"less memory than a dataset has", true, devnet, with(simDevice, "sim-100", 1<<17), ms, []uint16{1, 3, 4, 1}},
		// 12 MiB take 1.2 s to fill and 1.8 s to walk, the slot is 1.2 s.
		{"memory too large for the slot", true, devnet, with(simDevice, "sim-100", 12<<20), ms, []uint16{1, 3, 4, 1}},
		{"more memory than a proof takes", true, devnet, with(simDevice, "sim-100", 1<<60), ms, []uint16{1, 3, 4, 1}},
		{"simulated memory in a real network", false, spot, with(realDevice, "sim-100", 2<<20), 10 * ms, []uint16{1108, 2109, 3109, 1108}},
		{"a real device's claims in a simulated network", true, devnet, realDevice, ms, []uint16{1, 3, 4}},
		{"a simulated device's claims in a real network", false, spot, simDevice, ms, []uint16{0, 0, 0}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := &committee.Registry{Simulated: tt.simulated, Params: tt.params}
			c := &Checker{cfg: Config{Registry: r}, params: &r.Params}
			var got []uint16
			for turn := range tt.want {
				w := want{purpose: tt.params.Purpose}
				choice, err := c.choose(tt.device, uint64(turn), tt.rtt, w)
				got = append(got, choice.profile)
				if err == nil {
					wantFits(t, tt.device, r, tt.rtt, choice)
				}
				if again, _ := c.choose(tt.device, 2*2*3*5*7*11+uint64(turn), tt.rtt, w); again.profile != choice.profile {
					t.Errorf("turn %d: profile %d, and %d a whole number of rounds of turns later", turn, choice.profile, again.profile)
				}
			}
			if !slices.Equal(got, tt.want) {
				t.Errorf("profiles %v, want %v", got, tt.want)
			}
		})
	}
}

// wantFits holds a choice against what it was made for.
func wantFits(t *testing.T, d challenges.OfferDevice, r *committee.Registry, rtt time.Duration, c chosen) {
	t.Helper()
	if c.kind == challenges.Memory {
		wantHolds(t, d, r, rtt, c)
		return
	}
	row, err := challenges.LookupProfile(c.profile)
	if err != nil {
		t.Fatal(err)
	}
	var params challenges.ComputeParams
	if err := challenges.Unmarshal(c.params, &params); err != nil {
		t.Fatalf("profile %d: %v", row.Number, err)
	}
	switch {
	case c.kind != row.Shape.Flavour.Kind() || c.ops != row.Shape.Ops() || c.set.Items != 0 || c.filledBy != 0:
		t.Errorf("profile %d: %+v", row.Number, c)
	case params.Profile != row.Number || params.Claim != d.Claim(row.Shape.Flavour) || params.Claim != c.claim || params.RTT != rtt:
		t.Errorf("profile %d: params %+v", row.Number, params)
	case params.Check() != nil:
		t.Errorf("profile %d: %v", row.Number, params.Check())
	case c.deadline != row.Deadline(params.Claim, rtt):
		t.Errorf("profile %d: deadline %v", row.Number, c.deadline)
	case row.Expected(c.claim) > r.Params.MinSlot:
		t.Errorf("profile %d: takes %v of a slot of %v", row.Number, row.Expected(c.claim), r.Params.MinSlot)
	case row.Simulated != r.Simulated:
		t.Errorf("profile %d: simulated %v", row.Number, row.Simulated)
	}
}

// wantHolds is wantFits of a proof of memory: of all that the offer names, by the
// row of the model's class.
func wantHolds(t *testing.T, d challenges.OfferDevice, r *committee.Registry, rtt time.Duration, c chosen) {
	t.Helper()
	model, err := models.Lookup(d.Model)
	if err != nil {
		t.Fatalf("chosen for a model of no class: %v", err)
	}
	var params memory.Params
	if err := challenges.Unmarshal(c.params, &params); err != nil {
		t.Fatal(err)
	}
	set := params.Dataset()
	switch {
	case c.profile != model.Memories || params.Profile != model.Memories || params.RTT != rtt || params.Items != memory.Items(d.Memory):
		t.Errorf("memory profile %d: params %+v of %d bytes", c.profile, params, d.Memory)
	case c.claim != d.Memory || c.set != set || c.ops != 0:
		t.Errorf("memory of %d bytes: claim %d, dataset %+v", d.Memory, c.claim, c.set)
	case c.deadline != set.Deadline(rtt) || c.filledBy != set.FillBy(rtt):
		t.Errorf("memory of %d bytes: filled by %v, deadline %v", d.Memory, c.filledBy, c.deadline)
	case set.Expected() > r.Params.MinSlot || set.Simulated != r.Simulated:
		t.Errorf("memory of %d bytes: takes %v of %v, simulated %v", d.Memory, set.Expected(), r.Params.MinSlot, set.Simulated)
	}
}

// A run of several devices asks all of them for one thing.
func TestChooseOneThing(t *testing.T) {
	r := &committee.Registry{Simulated: true, Params: committee.Devnet()}
	c := &Checker{cfg: Config{Registry: r}, params: &r.Params}
	both, compute := with(simDevice, "sim-100", 2<<20), simDevice
	for _, tt := range []struct {
		name   string
		device challenges.OfferDevice
		want   want
		rows   []uint16 // of the turns; 0: an error
	}{
		{"memory alone", both, want{purpose: challenges.Devnet, memory: true}, []uint16{501, 501, 501, 501}},
		{"memory alone, where there is none", compute, want{purpose: challenges.Devnet, memory: true}, []uint16{0, 0}},
		{"compute alone", both, want{purpose: challenges.Devnet, compute: true}, []uint16{1, 3, 4, 1}},
		{"compute alone, where there is none", with(challenges.OfferDevice{ID: "gpu0"}, "sim-100", 2<<20), want{purpose: challenges.Devnet, compute: true}, []uint16{0, 0}},
		// One flavour has a row for global slots.
		{"a global slot", both, want{purpose: challenges.Slot, compute: true, slot: 1}, []uint16{10, 10, 10, 10}},
		{"a purpose of its own, and memory in its turn", both, want{purpose: challenges.Slot}, []uint16{10, 501, 501, 501, 10}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var got []uint16
			for turn := range tt.rows {
				choice, err := c.choose(tt.device, uint64(turn), time.Millisecond, tt.want)
				got = append(got, choice.profile)
				if err == nil {
					wantFits(t, tt.device, r, time.Millisecond, choice)
				}
			}
			if !slices.Equal(got, tt.rows) {
				t.Errorf("profiles %v, want %v", got, tt.rows)
			}
		})
	}
}

// A path may be longer than a proof's parameters can say.
func TestChooseMemoryFarAway(t *testing.T) {
	r := &committee.Registry{Simulated: true, Params: committee.Devnet()}
	c := &Checker{cfg: Config{Registry: r}, params: &r.Params}
	choice, err := c.choose(with(simDevice, "sim-100", 2<<20), 0, time.Minute, want{memory: true})
	var params memory.Params
	if err == nil {
		err = challenges.Unmarshal(choice.params, &params)
	}
	if err != nil || params.RTT != 10*time.Second || choice.deadline != choice.set.Deadline(params.RTT) {
		t.Errorf("%+v, deadline %v: %v", params, choice.deadline, err)
	}
}

// What cannot be challenged says why, of every flavour.
func TestChooseSaysWhy(t *testing.T) {
	r := &committee.Registry{Params: committee.Standard()}
	c := &Checker{cfg: Config{Registry: r}, params: &r.Params}
	for _, tt := range []struct {
		name   string
		device challenges.OfferDevice
		rtt    time.Duration
		want   []string
	}{
		{"no claims", challenges.OfferDevice{ID: "gpu0"}, 0, []string{"claims no rate"}},
		{"nothing fits, nor memory", with(realDevice, "RTX 9090", 1<<30), 9 * time.Second, []string{"no int8 spot", "no fp64fma spot", "RTX 9090"}},
		{"memory of a simulated model", with(challenges.OfferDevice{ID: "gpu0"}, "sim-100", 2<<20), 0, []string{"memory of sim-100"}},
		{"out of reach", realDevice, 9 * time.Second, []string{"no int8 spot", "no bf16 spot", "no fp64fma spot"}},
		{"one flavour, out of reach", onlyFP64, 9 * time.Second, []string{"no fp64fma spot"}},
	} {
		choice, err := c.choose(tt.device, 1, tt.rtt, want{purpose: challenges.Spot})
		for _, want := range tt.want {
			if !strings.Contains(fmt.Sprint(err), want) {
				t.Errorf("%s: error %v, want %q in it", tt.name, err, want)
			}
		}
		if choice.profile != 0 {
			t.Errorf("%s: an error and a choice of profile %d", tt.name, choice.profile)
		}
	}
}
