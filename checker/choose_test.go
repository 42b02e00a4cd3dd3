package checker

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/assaynet/assay/challenges"
	"github.com/assaynet/assay/checker/committee"
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

func TestChoose(t *testing.T) {
	const ms = time.Millisecond
	spot, devnet := committee.Standard(), committee.Devnet()
	with := func(p committee.Params, change func(*committee.Params)) committee.Params {
		change(&p)
		return p
	}
	capacity := with(spot, func(p *committee.Params) { p.Purpose = challenges.Capacity })
	short := with(spot, func(p *committee.Params) { p.MinSlot = 5 * time.Second })
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
		{"a real device's claims in a simulated network", true, devnet, realDevice, ms, []uint16{1, 3, 4}},
		{"a simulated device's claims in a real network", false, spot, simDevice, ms, []uint16{0, 0, 0}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := &committee.Registry{Simulated: tt.simulated, Params: tt.params}
			c := &Checker{cfg: Config{Registry: r}, params: &r.Params}
			var got []uint16
			for turn := range tt.want {
				choice, err := c.choose(tt.device, uint64(turn), tt.rtt)
				got = append(got, choice.Profile.Number)
				if err == nil {
					wantFits(t, tt.device, r, tt.rtt, choice)
				}
				if again, _ := c.choose(tt.device, 3*5*7*11+uint64(turn), tt.rtt); len(tt.device.Flavours()) == 3 && again.Profile.Number != choice.Profile.Number {
					t.Errorf("turn %d: profile %d, and %d a whole number of rounds of turns later", turn, choice.Profile.Number, again.Profile.Number)
				}
			}
			if !slices.Equal(got, tt.want) {
				t.Errorf("profiles %v, want %v", got, tt.want)
			}
		})
	}
}

// wantFits holds a choice against what it was made for.
func wantFits(t *testing.T, d challenges.OfferDevice, r *committee.Registry, rtt time.Duration, c committee.Choice) {
	t.Helper()
	row := c.Profile
	switch {
	case c.Params.Profile != row.Number || c.Params.Claim != d.Claim(row.Shape.Flavour) || c.Params.RTT != rtt:
		t.Errorf("profile %d: params %+v", row.Number, c.Params)
	case c.Params.Check() != nil:
		t.Errorf("profile %d: %v", row.Number, c.Params.Check())
	case c.Deadline != row.Deadline(c.Params.Claim, rtt):
		t.Errorf("profile %d: deadline %v", row.Number, c.Deadline)
	case c.Expected > r.Params.MinSlot:
		t.Errorf("profile %d: takes %v of a slot of %v", row.Number, c.Expected, r.Params.MinSlot)
	case row.Simulated != r.Simulated:
		t.Errorf("profile %d: simulated %v", row.Number, row.Simulated)
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
		{"out of reach", realDevice, 9 * time.Second, []string{"no int8 spot", "no bf16 spot", "no fp64fma spot"}},
		{"one flavour, out of reach", onlyFP64, 9 * time.Second, []string{"no fp64fma spot"}},
	} {
		choice, err := c.choose(tt.device, 1, tt.rtt)
		for _, want := range tt.want {
			if !strings.Contains(fmt.Sprint(err), want) {
				t.Errorf("%s: error %v, want %q in it", tt.name, err, want)
			}
		}
		if choice.Profile.Number != 0 {
			t.Errorf("%s: an error and a choice of profile %d", tt.name, choice.Profile.Number)
		}
	}
}
