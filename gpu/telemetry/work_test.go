package telemetry_test

import (
	"math"
	"slices"
	"testing"
	"time"

	"github.com/assaynet/assay/gpu/telemetry"
)

// Without what a checker measured, no hard finding rests on it: of the hard rules, these
// are not applied then, and no other changes its mind.
func TestNoWork(t *testing.T) {
	hard := make(map[string]bool)
	for _, rule := range telemetry.Rules() {
		hard[rule.Code] = rule.Hard
	}
	rest := []string{"memory-fits", "memory-held", "times", "ops-ceiling", "bytes-ceiling"}
	for f := telemetry.Int8; f <= telemetry.Reads; f++ {
		r, w := honest(lookup(t, "h100-sxm"), load{flavour: f, seconds: 20})
		w.Held = 80_000 << 20
		full := telemetry.Judge(r, w).Applied
		for _, tt := range []struct {
			name string
			work telemetry.Work
			left []string
		}{
			{"nothing", telemetry.Work{}, nil},
			{"the flavour", telemetry.Work{Flavour: f}, nil},
			{"no clock", telemetry.Work{Flavour: f, Held: w.Held, Ops: w.Ops}, []string{"memory-fits"}}, // as signed: a dataset's size is the task's
		} {
			j := telemetry.Judge(r, tt.work)
			for _, code := range full {
				if want := !slices.Contains(rest, code) || slices.Contains(tt.left, code); hard[code] && slices.Contains(j.Applied, code) != want {
					t.Errorf("%v, %s: %s is applied: %v", f, tt.name, code, !want)
				}
			}
		}
	}
}

// The last moment is told to the nanosecond, whatever a machine makes of floating point.
func TestTimesExact(t *testing.T) {
	late := func(elapsed, last time.Duration) bool {
		r, w := honest(lookup(t, "h100-sxm"), load{seconds: 2, snapshots: 2})
		w.Elapsed, r.Snapshots[1].At = elapsed, last
		return slices.ContainsFunc(telemetry.Judge(r, w).Findings, func(f telemetry.Finding) bool { return f.Code == "times" })
	}
	// Floating point has the first four wrong, and the rest where it fuses the product with
	// the sum, as Go does on arm64.
	for _, ms := range []time.Duration{1109, 1170, 1188, 1267, 414, 590, 1118, 2659, 4419, 100, 20_000, 600_000} {
		elapsed := ms * time.Millisecond
		most := elapsed/10*11 + 10*time.Second
		if late(elapsed, most) || !late(elapsed, most+1) {
			t.Errorf("%v: %v is late: %v, and a nanosecond more: %v", elapsed, most, late(elapsed, most), late(elapsed, most+1))
		}
	}
	if most := time.Duration(math.MaxInt64); late(most, most) || !late(1, most) || late(most, 0) || late(time.Second, math.MinInt64) {
		t.Error("the longest time")
	}
	// 7 ns are 7.7: the eighth is late.
	if late(7, 10*time.Second+7) || !late(7, 10*time.Second+8) {
		t.Error("parts of a nanosecond")
	}
}
