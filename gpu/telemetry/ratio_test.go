package telemetry_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/assaynet/assay/gpu/models"
	"github.com/assaynet/assay/gpu/telemetry"
)

// reference are the rates that a model's figures promise.
func reference(s models.Spec) telemetry.Rates {
	return telemetry.Rates{Int8: float64(s.Int8Ops), BF16: float64(s.BF16Ops), FP64: float64(s.FP64Ops), Reads: 0.6 * float64(s.Bandwidth) / telemetry.ReadBytes}
}

// No card of the table is accused, with any of its rates anywhere between half of its
// reference and its peak.
func TestRatiosHonest(t *testing.T) {
	for _, s := range models.Table() {
		ref, exact := reference(s), s.Peak.Exact()
		for n := range 81 {
			pick := func(digit int, low, mid, high float64) float64 {
				return []float64{low / 2, mid, max(high, mid)}[digit%3]
			}
			r := telemetry.Rates{
				Int8: pick(n, ref.Int8, ref.Int8, float64(exact.Int8)), BF16: pick(n/3, ref.BF16, ref.BF16, float64(exact.BF16)),
				FP64: pick(n/9, ref.FP64, ref.FP64, float64(exact.FP64)), Reads: pick(n/27, ref.Reads, ref.Reads, float64(s.Bandwidth)/telemetry.ReadBytes),
			}
			for none := range 5 { // and one not measured
				x := r
				switch none {
				case 1:
					x.Int8 = 0
				case 2:
					x.BF16 = 0
				case 3:
					x.FP64 = 0
				case 4:
					x.Reads = 0
				}
				if found := telemetry.Ratios(s.Name, x); len(found) > 0 {
					t.Errorf("%s: %+v: %v", s.Name, x, found)
				}
			}
		}
	}
}

// Which models are told apart by the ratios of what each does at its best. The figures
// are in the documentation of Ratios.
func TestRatioMatrix(t *testing.T) {
	var all []models.Spec
	for _, s := range real() {
		if !s.Simulated {
			all = append(all, s)
		}
	}
	verdict := make(map[string]string) // "is as claims"
	count := make(map[string]int)
	for _, is := range all {
		for _, claims := range all {
			if is.Name == claims.Name {
				continue
			}
			v := "passes"
			for _, f := range telemetry.Ratios(claims.Name, reference(is)) {
				if f.Hard {
					v = "hard"
				} else if v == "passes" {
					v = "soft"
				}
				if f.Seen == "" || f.Expected == "" || !strings.HasPrefix(f.Code, "ratio-") {
					t.Errorf("%+v", f)
				}
			}
			verdict[is.Name+" as "+claims.Name] = v
			count[v]++
		}
	}
	for pair, want := range map[string]string{
		"rtx-4090 as h100-sxm":    "hard",
		"l40s as h100-sxm":        "hard",
		"rtx-5090 as h100-sxm":    "hard",
		"l4 as h100-pcie":         "hard",
		"t4 as a100-sxm-40":       "hard",
		"rtx-4090 as a100-sxm-80": "hard",
		"h100-sxm as rtx-4090":    "hard",
		"h20 as h100-sxm":         "hard",
		"b300 as b200":            "hard",
		"a100-sxm-80 as h100-sxm": "passes", // the same ratios: told by the rates alone
		"h100-sxm as a100-sxm-80": "passes",
		"h100-pcie as h100-sxm":   "passes",
		"rtx-3090 as rtx-4090":    "passes",
		"rtx-4090 as l40s":        "passes",
		"rtx-4090 as rtx-5090":    "passes",
		"h200-sxm as h100-sxm":    "passes",
	} {
		if verdict[pair] != want {
			t.Errorf("%s: %s, want %s", pair, verdict[pair], want)
		}
	}
	if got, want := fmt.Sprint(count), ratioCounts; got != want {
		t.Errorf("pairs: %s, want %s", got, want)
	}
	// All that pass as H100, and all that an H100 passes as.
	for _, claims := range []string{"h100-sxm", "a100-sxm-80", "b200", "rtx-4090"} {
		var pass []string
		for _, is := range all {
			if verdict[is.Name+" as "+claims] == "passes" {
				pass = append(pass, is.Name)
			}
		}
		slices.Sort(pass)
		t.Logf("pass as %s: %s", claims, strings.Join(pass, " "))
	}
}

const ratioCounts = "map[hard:1314 passes:1663 soft:329]"

func TestRatiosOfNothing(t *testing.T) {
	odd := telemetry.Rates{Int8: 1, BF16: 1e15, FP64: 1e15, Reads: 1}
	for _, name := range []string{"", "no-model", "other", "other-h100"} {
		if found := telemetry.Ratios(name, odd); len(found) > 0 {
			t.Errorf("%q: %v", name, found)
		}
	}
	if found := telemetry.Ratios("h100-sxm", telemetry.Rates{Int8: 1e15}); len(found) > 0 {
		t.Errorf("one rate: %v", found)
	}
	// A simulated one without a bandwidth is held to its ops alone.
	if found := telemetry.Ratios("sim-100", odd); len(found) > 0 {
		t.Errorf("sim-100 has no peaks: %v", found)
	}
	// The devnet's cheat is hard even where the fp64 rate was measured at 115 %.
	r := reference(lookup(t, "sim-4090"))
	r.FP64 *= 1.15
	found := telemetry.Ratios("sim-h100", r)
	if len(found) == 0 || found[0].Code != "ratio-int8-fp64" || !found[0].Hard || telemetry.Ratios("sim-4090", r) != nil {
		t.Errorf("sim-4090 as sim-h100: %v", found)
	}
}

// The limits themselves: half is allowed, less is soft, less than a quarter is hard.
func TestRatioLimits(t *testing.T) {
	s := lookup(t, "h100-sxm")
	const up = 1.15 * 1.02
	for _, tt := range []struct {
		name  string
		rates telemetry.Rates
		found int
		hard  bool
	}{
		{"half, and the peak", telemetry.Rates{Int8: float64(s.Int8Ops) / 2 * 1.001, FP64: float64(s.Peak.FP64) * up}, 0, false},
		{"under half", telemetry.Rates{Int8: float64(s.Int8Ops) / 2 * 0.99, FP64: float64(s.Peak.FP64) * up}, 1, false},
		{"a quarter", telemetry.Rates{Int8: float64(s.Int8Ops) / 4 * 1.001, FP64: float64(s.Peak.FP64) * up}, 1, false},
		{"under a quarter", telemetry.Rates{Int8: float64(s.Int8Ops) / 4 * 0.99, FP64: float64(s.Peak.FP64) * up}, 1, true},
		{"the other, half", telemetry.Rates{Int8: float64(s.Peak.Int8) * up, FP64: float64(s.FP64Ops) / 2 * 1.001}, 0, false},
		{"the other, under half", telemetry.Rates{Int8: float64(s.Peak.Int8) * up, FP64: float64(s.FP64Ops) / 2 * 0.99}, 1, false},
		{"the other, under a quarter", telemetry.Rates{Int8: float64(s.Peak.Int8) * up, FP64: float64(s.FP64Ops) / 4 * 0.99}, 1, true},
		{"reads too few", telemetry.Rates{Int8: float64(s.Peak.Int8), Reads: float64(s.Bandwidth) / 64 / 20}, 1, true},
		{"sums too few", telemetry.Rates{Int8: float64(s.Peak.Int8), BF16: float64(s.BF16Ops) / 6}, 1, true},
	} {
		found := telemetry.Ratios(s.Name, tt.rates)
		if len(found) != tt.found || len(found) > 0 && found[0].Hard != tt.hard {
			t.Errorf("%s: %v", tt.name, found)
		}
	}
}
