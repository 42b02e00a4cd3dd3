package committee

import (
	"math/big"
	"reflect"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/assaynet/assay/challenges"
)

const ms = time.Millisecond

func TestChoose(t *testing.T) {
	const (
		t4, a100, h100, b200 = 130e12, 624e12, 1979e12, 4500e12 // int8
		a100Lanes, h100Lanes = 9.7e12, 34e12
	)
	tests := []struct {
		name    string
		want    Want
		profile uint16
		window  uint8
		why     string // part of the error; empty: chosen
	}{
		{"T4 nearby", Want{challenges.Int8, challenges.Spot, false, t4, ms, 0}, 1105, 4, ""},
		{"A100 nearby", Want{challenges.Int8, challenges.Spot, false, a100, ms, 0}, 1107, 4, ""},
		{"H100 nearby", Want{challenges.Int8, challenges.Spot, false, h100, ms, 0}, 1109, 4, ""},
		{"B200 nearby", Want{challenges.Int8, challenges.Spot, false, b200, ms, 0}, 1110, 4, ""},
		{"H100 at 30 ms", Want{challenges.Int8, challenges.Spot, false, h100, 30 * ms, 0}, 1109, 5, ""},
		{"H100 at 100 ms: longer rounds", Want{challenges.Int8, challenges.Spot, false, h100, 100 * ms, 0}, 1110, 5, ""},
		{"H100 at 150 ms: too far for a spot", Want{challenges.Int8, challenges.Spot, false, h100, 150 * ms, 0}, 0, 0, "would wait for positions: window 5, want 8"},
		{"T4 capacity", Want{challenges.Int8, challenges.Capacity, false, t4, ms, 0}, 1205, 4, ""},
		{"H100 capacity", Want{challenges.Int8, challenges.Capacity, false, h100, ms, 0}, 1209, 4, ""},
		{"H100 capacity at 150 ms", Want{challenges.Int8, challenges.Capacity, false, h100, 150 * ms, 0}, 1209, 8, ""},
		{"H100 capacity at 250 ms: 20 round trips of measured time", Want{challenges.Int8, challenges.Capacity, false, h100, 250 * ms, 0}, 1210, 7, ""},
		{"H100 capacity at 300 ms: 20 round trips", Want{challenges.Int8, challenges.Capacity, false, h100, 300 * ms, 0}, 1210, 7, ""},
		{"B200 capacity at 300 ms", Want{challenges.Int8, challenges.Capacity, false, b200, 300 * ms, 0}, 1211, 8, ""},
		{"T4 pulse", Want{challenges.Int8, challenges.Pulse, false, t4, 300 * ms, 0}, 1303, 1, ""},
		{"H100 pulse: the largest that is short", Want{challenges.Int8, challenges.Pulse, false, h100, ms, 0}, 1307, 1, ""},
		{"B200 pulse", Want{challenges.Int8, challenges.Pulse, false, b200, ms, 0}, 1308, 1, ""},
		{"A100 bf16", Want{challenges.BF16, challenges.Spot, false, 312e12, ms, 0}, 2108, 4, ""},
		{"H100 bf16 capacity", Want{challenges.BF16, challenges.Capacity, false, 989e12, ms, 0}, 2209, 5, ""},
		{"H100 bf16 capacity far", Want{challenges.BF16, challenges.Capacity, false, 989e12, 300 * ms, 0}, 0, 0, "would wait for positions: window 20, want 22"},
		{"B200 bf16 capacity", Want{challenges.BF16, challenges.Capacity, false, 2250e12, ms, 0}, 2210, 6, ""},
		{"bf16 over the largest row", Want{challenges.BF16, challenges.Capacity, false, 2500e12, ms, 0}, 0, 0, "has rounds of 28.147497ms"},
		{"A100 fp64fma", Want{challenges.FP64, challenges.Spot, false, a100Lanes, ms, 0}, 3108, 4, ""},
		{"H100 fp64fma capacity", Want{challenges.FP64, challenges.Capacity, false, h100Lanes, 100 * ms, 0}, 3210, 7, ""},

		{"budget of a second", Want{challenges.Int8, challenges.Spot, false, h100, ms, time.Second}, 0, 0, "spot-int8-9 takes 1.422309129s, the budget is 1s"},
		{"budget of two seconds", Want{challenges.Int8, challenges.Spot, false, h100, ms, 2 * time.Second}, 1109, 4, ""},
		{"budget under a longer row", Want{challenges.Int8, challenges.Spot, false, h100, 100 * ms, 2 * time.Second}, 0, 0, "would wait for positions"},
		{"nothing claimed", Want{challenges.Int8, challenges.Spot, false, 0, ms, 0}, 0, 0, "claims nothing"},
		{"next to nothing claimed", Want{challenges.Int8, challenges.Spot, false, 10, ms, 0}, 0, 0, "out of range"},
		{"over any device", Want{challenges.Int8, challenges.Capacity, false, 1e18, ms, 0}, 0, 0, "has rounds of 562.949µs, want 40ms"},
		{"a processor", Want{challenges.Int8, challenges.Spot, false, 2e11, ms, 0}, 0, 0, "spot-int8-0 takes 27.487790694s"},
		{"a pulse of a processor", Want{challenges.Int8, challenges.Pulse, false, 2e11, ms, 0}, 0, 0, "a pulse may take 20ms"},
		{"a pulse of bf16", Want{challenges.BF16, challenges.Pulse, false, 989e12, ms, 0}, 0, 0, "the table has none"},
		{"a negative RTT", Want{challenges.Int8, challenges.Spot, false, h100, -1, 0}, 0, 0, "rtt -1ns: out of range"},

		{"simulated spot", Want{challenges.Int8, challenges.Spot, true, 1e8, ms, 0}, 7, 4, ""},
		{"simulated capacity", Want{challenges.Int8, challenges.Capacity, true, 1e8, ms, 0}, 8, 4, ""},
		{"simulated pulse", Want{challenges.Int8, challenges.Pulse, true, 1e8, ms, 0}, 9, 1, ""},
		{"devnet", Want{challenges.Int8, challenges.Devnet, true, 1e8, ms, 0}, 1, 4, ""},
		{"devnet bf16", Want{challenges.BF16, challenges.Devnet, true, 1e8, ms, 0}, 3, 4, ""},
		{"devnet fp64fma", Want{challenges.FP64, challenges.Devnet, true, 1e8, ms, 0}, 4, 4, ""},
		{"a global slot", Want{challenges.Int8, challenges.Slot, true, 1e8, ms, 0}, 10, 1, ""},
		{"a global slot of bf16", Want{challenges.BF16, challenges.Slot, true, 1e8, ms, 0}, 0, 0, "the table has none"},
		{"a global slot of a real device", Want{challenges.Int8, challenges.Slot, false, h100, ms, 0}, 0, 0, "the table has none"},
		{"a device too slow for a global slot", Want{challenges.Int8, challenges.Slot, true, 1e7, ms, 1200 * ms}, 0, 0, "devnet-slot takes 2.097152s, the budget is 1.2s"},
		{"a devnet's row for a real device", Want{challenges.Int8, challenges.Devnet, false, 1e8, ms, 0}, 0, 0, "the table has none"},
		{"a real row for a simulated device", Want{challenges.BF16, challenges.Capacity, true, 989e12, ms, 0}, 0, 0, "the table has none"},
		{"simulated device faster than its rows", Want{challenges.Int8, challenges.Spot, true, 1e12, ms, 0}, 0, 0, "want 40ms"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := Choose(tt.want)
			if tt.why != "" {
				if err == nil || !strings.Contains(err.Error(), tt.why) {
					t.Errorf("got %s, %v; want an error with %q", got.Profile.Name, err, tt.why)
				}
				return
			}
			if err != nil || got.Profile.Number != tt.profile || got.Params.Window != tt.window {
				t.Errorf("got %s, window %d, %v", got.Profile.Name, got.Params.Window, err)
			}
		})
	}
}

// wantedWindow is C2's formula, in big integers.
func wantedWindow(p challenges.Profile, claim uint64, rtt time.Duration) int64 {
	round := new(big.Int).Mul(new(big.Int).SetUint64(p.TotalOps()), big.NewInt(1e9))
	round.Quo(round, new(big.Int).SetUint64(claim)).Quo(round, big.NewInt(int64(p.Rounds)))
	if least := big.NewInt(int64(ms)); round.Cmp(least) < 0 {
		round = least
	}
	wait := big.NewInt(int64(2*rtt + 100*ms))
	wait.Add(wait, round).Sub(wait, big.NewInt(1)).Quo(wait, round)
	return 2 + wait.Int64()
}

func TestChooseProperties(t *testing.T) {
	chosen, refused := 0, 0
	rapid.Check(t, func(t *rapid.T) {
		magnitude := rapid.IntRange(2, 18).Draw(t, "magnitude")
		row := rapid.SampledFrom(challenges.Profiles()).Draw(t, "row") // whose rounds may fit the claim
		w := Want{
			Flavour:   rapid.SampledFrom(challenges.Flavours()).Draw(t, "flavour"),
			Purpose:   rapid.SampledFrom([]challenges.Purpose{challenges.Devnet, challenges.Vector, challenges.Spot, challenges.Spot, challenges.Capacity, challenges.Capacity, challenges.Slot, challenges.Pulse}).Draw(t, "purpose"),
			Simulated: rapid.IntRange(0, 3).Draw(t, "simulated") == 0,
			Claim:     uint64(rapid.Float64Range(1, 10).Draw(t, "claim") * float64(new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(magnitude)), nil).Uint64())),
			RTT:       time.Duration(rapid.Int64Range(0, int64(400*ms)).Draw(t, "rtt")),
			Budget:    time.Duration(max(0, rapid.Int64Range(-int64(10*time.Second), int64(10*time.Second)).Draw(t, "budget"))),
		}
		if rapid.Bool().Draw(t, "near") {
			w.Flavour, w.Purpose, w.Simulated = row.Shape.Flavour, row.Purpose, row.Simulated
			w.Claim = row.Shape.Ops() * 1000 / uint64(rapid.IntRange(5, 300).Draw(t, "round"))
		}
		got, err := Choose(w)
		again, err2 := Choose(w)
		if !reflect.DeepEqual(got, again) || (err == nil) != (err2 == nil) || err != nil && err.Error() != err2.Error() {
			t.Fatalf("%+v and %v, then %+v and %v", got, err, again, err2)
		}
		var fits []challenges.Profile
		for _, p := range challenges.Profiles() {
			if fitting(w, p) {
				fits = append(fits, p)
			}
		}
		if err != nil {
			refused++
			if len(fits) > 0 || !strings.Contains(err.Error(), string(w.Purpose)) {
				t.Fatalf("%v, but %s fits", err, fits[0].Name)
			}
			return
		}
		chosen++
		p := got.Profile
		if err := got.Params.Check(); err != nil || got.Params.Profile != p.Number || got.Params.Claim != w.Claim || got.Params.RTT != w.RTT {
			t.Fatalf("parameters %+v: %v", got.Params, err)
		}
		if !fitting(w, p) || got.Expected != p.Expected(w.Claim) || got.Deadline != p.Deadline(w.Claim, w.RTT) {
			t.Fatalf("%s, expected %v, deadline %v", p.Name, got.Expected, got.Deadline)
		}
		if want := min(wantedWindow(p, w.Claim, w.RTT), int64(p.MaxWindow())); int64(got.Params.Window) != want {
			t.Fatalf("window %d, want %d", got.Params.Window, want)
		}
		for _, other := range fits {
			if d := other.Expected(w.Claim) - got.Expected; (w.Purpose == challenges.Pulse && d > 0) || (w.Purpose != challenges.Pulse && d < 0) {
				t.Fatalf("chose %s of %v, not %s of %v", p.Name, got.Expected, other.Name, other.Expected(w.Claim))
			}
		}
	})
	if chosen == 0 || refused == 0 {
		t.Errorf("%d chosen, %d refused: the draws say little", chosen, refused)
	}
}

// fitting is what the specification says of a row that a checker may choose.
func fitting(w Want, p challenges.Profile) bool {
	expected := p.Expected(w.Claim)
	switch {
	case p.Shape.Flavour != w.Flavour || p.Purpose != w.Purpose || p.Simulated != w.Simulated:
		return false
	case w.Claim < 1e3 || w.Claim > 1e18 || p.Deadline(w.Claim, w.RTT) > 4*time.Minute:
		return false
	case w.Budget > 0 && expected > w.Budget:
		return false
	}
	least := 40 * ms
	if w.Flavour == challenges.BF16 {
		least = 30 * ms
	}
	near := expected/time.Duration(p.Rounds) >= least && p.Measured(w.Claim) >= 20*w.RTT &&
		wantedWindow(p, w.Claim, w.RTT) <= int64(p.MaxWindow())
	switch p.Purpose {
	case challenges.Pulse:
		return expected <= 20*ms
	case challenges.Spot:
		return near && expected <= 4*time.Second
	case challenges.Capacity:
		return near && expected <= 15*time.Second
	}
	return true
}
