package cuda

import (
	"encoding/json"
	"errors"
	"math"
	"slices"
	"testing"
	"time"

	"github.com/assaynet/assay/challenges"
	"github.com/assaynet/assay/gpu/cuda/driver"
	"github.com/assaynet/assay/gpu/exam"
)

func TestMeasure(t *testing.T) {
	d, _ := device(t, "memory=67108864")
	var said []string
	joules := 0.0
	energy := func() (float64, error) {
		joules += 3e-6
		return joules, nil
	}
	r, err := d.Measure(t.Context(), Options{Profiles: []uint16{2, 5, 6}, Rounds: 3, Class: 502, Items: 1 << 11, Energy: energy}, func(done, of int, what string) {
		if done > of {
			t.Errorf("%d of %d done", done, of)
		}
		said = append(said, what)
	})
	if err != nil {
		t.Fatal(err)
	}
	if want := []string{"copy", "vector", "vector-bf16", "vector-fp64fma", "memory", ""}; !slices.Equal(said, want) {
		t.Errorf("progress %q, want %q", said, want)
	}
	if _, err := json.Marshal(r); err != nil {
		t.Error(err)
	}
	if len(r.Flavours) != 3 || r.Memory == nil || r.Copy <= 0 {
		t.Fatalf("report %+v", r)
	}
	for _, c := range r.Flavours {
		if c.OpsPerS <= 0 || c.OpsPerSP10 <= 0 || c.RoundS <= 0 || c.ProductS <= 0 || c.GenerateS <= 0 || c.HashS <= 0 || len(c.Products) != 1 {
			t.Errorf("%+v", c)
		}
		row := computeJob(t, c.Profile, 1).Profile
		if want := 1e-6 / float64(row.Shape.Ops()); math.Abs(c.JoulesPerOp-want) > want/1e6 {
			t.Errorf("%s: %v J/op, want %v", c.Flavour, c.JoulesPerOp, want)
		}
		fair(t, c.Challenge)
	}
	m := r.Memory
	if m.MadePerS <= 0 || m.ReadPerS <= 0 || m.RandomPerS <= 0 || m.Challenge == nil {
		t.Fatalf("%+v", m)
	}
	fair(t, m.Challenge)
	if m.Challenge.FillS <= 0 {
		t.Errorf("%+v", m.Challenge)
	}
}

// fair fails the test unless a challenge went well but for its time: a busy
// machine under a fake card may be late.
func fair(t *testing.T, x *exam.Result) {
	t.Helper()
	clauses := []string{
		"", challenges.ClauseLate, challenges.ClauseLag, challenges.ClauseSilence, challenges.ClauseEnd,
		challenges.ClauseProven, challenges.ClauseFilled,
	}
	if x == nil || x.Outcome == "wrong" || !slices.Contains(clauses, x.Clause) || x.CheckerS <= 0 {
		t.Errorf("challenge %+v", x)
	}
}

// A card that begins to miscompute is found out as it would be by a checker.
func TestExamineFindsAMiscomputingCard(t *testing.T) {
	for kernel, clause := range map[string]string{b3Top: challenges.ClauseAuthentic, deriveKey: challenges.ClauseKeyChain} {
		t.Run(kernel, func(t *testing.T) {
			d, f := device(t, "")
			row := computeJob(t, 2, 1).Profile
			f.Configure("wrong=" + kernel)
			x, err := exam.Compute(t.Context(), d, row, 1e5)
			if err != nil {
				t.Fatal(err)
			}
			if x.Clause != clause || x.Outcome == "pass" {
				t.Errorf("challenge %+v, want clause %s", x, clause)
			}
		})
	}
}

func TestFit(t *testing.T) {
	broken := errors.New("broken")
	for _, tt := range []struct {
		name    string
		flavour challenges.Flavour
		rate    float64 // ops/s
		most    uint64  // bytes of entries that the card has room for
		number  uint16
		err     error
	}{
		{"slow", challenges.Int8, 1e12, 1 << 40, 1200, nil},
		{"int8 of 6e14", challenges.Int8, 6e14, 1 << 40, 1207, nil},
		{"bf16 of 6e14", challenges.BF16, 6e14, 1 << 40, 2209, nil},
		{"fp64fma of 3e13", challenges.FP64, 3e13, 1 << 40, 3210, nil},
		{"faster than all", challenges.Int8, 1e18, 1 << 40, 1211, nil},
		{"little memory", challenges.Int8, 1e18, 100 << 20, 1202, nil},
		{"no memory", challenges.Int8, 1e18, 0, 0, driver.ErrOutOfMemory},
		{"broken", challenges.Int8, 0, 1 << 40, 0, broken},
	} {
		t.Run(tt.name, func(t *testing.T) {
			row, err := fit(tt.flavour, func(s challenges.Shape) (time.Duration, error) {
				switch {
				case uint64(s.Bytes()) > tt.most:
					return 0, driver.ErrOutOfMemory
				case tt.rate == 0:
					return 0, broken
				}
				return time.Duration(float64(s.Ops()) / tt.rate * 1e9), nil
			})
			if row.Number != tt.number || !errors.Is(err, tt.err) {
				t.Errorf("row %d, error %v; want %d, %v", row.Number, err, tt.number, tt.err)
			}
			if took := float64(row.Shape.Ops()) / tt.rate; tt.number%100 > 0 && tt.number%100 < 11 && tt.most > 1<<30 && (took < 0.04 || took >= 0.08) {
				t.Errorf("a round of %v s", took)
			}
		})
	}
}
