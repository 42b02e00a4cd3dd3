package cuda

import (
	"encoding/json"
	"errors"
	"math"
	"slices"
	"strings"
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
	r, err := d.Measure(t.Context(), Options{Profiles: []uint16{2, 5, 6}, Rounds: 3, Class: 502, Items: 1 << 11, Warm: 1, Energy: energy}, func(done, of int, what string) {
		if done > of {
			t.Errorf("%d of %d done", done, of)
		}
		said = append(said, what)
	})
	if err != nil {
		t.Fatal(err)
	}
	if want := []string{
		"warm up", "speed of int8", "speed of bf16", "speed of fp64fma", "copy", "vector", "vector-bf16", "vector-fp64fma", "memory", "",
	}; !slices.Equal(said, want) {
		t.Errorf("progress %q, want %q", said, want)
	}
	if _, err := json.Marshal(r); err != nil {
		t.Error(err)
	}
	if len(r.Flavours) != 3 || r.Memory == nil || r.Copy <= 0 {
		t.Fatalf("report %+v", r)
	}
	for _, c := range r.Flavours {
		if c.OpsPerS <= 0 || c.OpsPerSP10 <= 0 || c.RoundS <= 0 || c.ProductS <= 0 || c.GenerateS <= 0 || c.HashS <= 0 || c.Rounds != 3 || len(c.Products) != 1 {
			t.Errorf("%+v", c)
		}
		row := computeJob(t, c.Profile, 1).Profile
		if want := 1e-6 / float64(row.Shape.Ops()); math.Abs(c.JoulesPerOp-want) > want/1e6 {
			t.Errorf("%s: %v J/op, want %v", c.Flavour, c.JoulesPerOp, want)
		}
		fair(t, c.Challenge)
	}
	m := r.Memory
	if m.MadePerS <= 0 || m.MakeS <= 0 || m.FillS <= 0 || m.ReadPerS <= 0 || m.RandomPerS <= 0 || m.Challenge == nil {
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

// A claim far below what even a processor does is kept.
func TestExaminePasses(t *testing.T) {
	d, _ := device(t, "")
	row := computeJob(t, 2, 1).Profile
	x, err := exam.Compute(t.Context(), d, row, row.TotalOps()/30)
	if err != nil {
		t.Fatal(err)
	}
	fair(t, x)
	if x.Outcome != "pass" || x.Clause != "" {
		t.Errorf("challenge %+v", x)
	}
}

// What was measured before an error is not lost.
func TestMeasureKeepsWhatItHas(t *testing.T) {
	d, f := device(t, "memory=20000000")
	r, err := d.Measure(t.Context(), Options{Profiles: []uint16{2}, Rounds: 3, Warm: 1, Class: 502, Items: 1 << 20, Alone: true}, nil)
	if !errors.Is(err, driver.ErrOutOfMemory) || r.Error != err.Error() {
		t.Errorf("error %v, in the report %q", err, r.Error)
	}
	if r.Copy <= 0 || len(r.Flavours) != 1 || r.Flavours[0].RoundS <= 0 || r.Memory == nil || r.Memory.Class == "" {
		t.Errorf("report %+v", r)
	}
	f.Configure("wrong=" + deriveKey) // no matter to the product, but to the challenge
	r, err = d.Measure(t.Context(), Options{Profiles: []uint16{2}, Rounds: 3, Warm: 1}, nil)
	if err != nil || r.Error != "" || r.Flavours[0].Challenge.Clause != challenges.ClauseKeyChain {
		t.Errorf("error %v, report %+v", err, r)
	}
}

// Rows that would take the card minutes are refused before they run.
func TestMeasureRefusesLongRounds(t *testing.T) {
	d, f := device(t, "")
	for _, profiles := range [][]uint16{{2, 1200}, {2210}, {3211}, nil} {
		launches := f.Count("launches")
		r, err := d.Measure(t.Context(), Options{Profiles: profiles, Rounds: 3, Warm: 1}, nil)
		if err == nil || !strings.Contains(err.Error(), "on this card: at most 1s are measured") || len(r.Flavours) > 0 {
			t.Errorf("profiles %v: %v", profiles, err)
		}
		if n := f.Count("launches") - launches; n > 40 {
			t.Errorf("profiles %v: %d launches", profiles, n)
		}
	}
}

func TestWarm(t *testing.T) {
	d, f := device(t, "")
	before := f.Count("launches." + matmulInt8)
	begun := time.Now()
	if err := d.warm(t.Context(), 50*time.Millisecond); err != nil || time.Since(begun) < 50*time.Millisecond {
		t.Errorf("warm after %v: %v", time.Since(begun), err)
	}
	if f.Count("launches."+matmulInt8)-before <= repeats+1 {
		t.Error("no products")
	}
	f.Configure("oom_after=2") // no room for them
	if err := d.warm(t.Context(), time.Second); err != nil {
		t.Error(err)
	}
	f.Configure("oom_after=-1")
}

// Each repetition has the device's patience, not all together.
func TestTimedAwaitsEach(t *testing.T) {
	d, _ := device(t, "")
	x, err := newTrial(t.Context(), d)
	if err != nil {
		t.Fatal(err)
	}
	waits, wait := 0, x.wait
	x.wait = func() error {
		waits++
		return wait()
	}
	calls := 0
	took := x.timed(repeats, func(queue) error {
		calls++
		return nil
	})
	if x.err != nil || took < 0 || calls != repeats+1 || waits != calls {
		t.Errorf("%d calls, %d waits, %v, %v", calls, waits, took, x.err)
	}
	if err := d.release(&x.holds); err != nil {
		t.Error(err)
	}
}

func TestRounds(t *testing.T) {
	for product, want := range map[time.Duration]int{
		0: 10_000, time.Microsecond: 10_000, 40 * time.Millisecond: 250, 80 * time.Millisecond: 125, 9 * time.Second: 24,
	} {
		if got := exam.RoundsOf(product); got != want {
			t.Errorf("a product of %v: %d rounds, want %d", product, got, want)
		}
	}
	var rounds []time.Duration
	for i := range 40 {
		rounds = append(rounds, time.Duration(100-i)) // slower at first
	}
	if got := exam.SlowTenth(rounds); got != 79 { // 61 to 80, of which the two slowest
		t.Errorf("the slowest tenth takes %d", got)
	}
	if got := exam.SlowTenth(rounds[:1]); got != 100 {
		t.Errorf("the only round takes %d", got)
	}
}

func TestSpeed(t *testing.T) {
	broken := errors.New("broken")
	for _, f := range []challenges.Flavour{challenges.Int8, challenges.BF16, challenges.FP64} {
		for _, tt := range []struct {
			name  string
			rate  float64
			most  uint64
			shape int // that counts
			err   error
		}{
			{"slow", 1e9, 1 << 40, 256, nil},
			{"fast", 1e18, 1 << 40, 8192, nil},
			{"little memory", 1e18, 5 << 20, 1024, nil},
			{"no memory", 1e18, 0, 0, driver.ErrOutOfMemory},
			{"broken", 0, 1 << 40, 0, broken},
		} {
			t.Run(f.String()+"/"+tt.name, func(t *testing.T) {
				most := tt.most
				if f == challenges.FP64 {
					most /= 4 // fewer entries, of twice the size
				}
				of, rate, err := speed(f, func(s challenges.Shape) (time.Duration, error) {
					if err := s.Check(); err != nil {
						t.Error(err)
					}
					switch {
					case uint64(s.Bytes()) > most:
						return 0, driver.ErrOutOfMemory
					case tt.rate == 0:
						return 0, broken
					}
					return time.Duration(float64(s.Ops()) / tt.rate * 1e9), nil
				})
				if !errors.Is(err, tt.err) || err == nil && (math.Abs(rate/tt.rate-1) > 0.01 && tt.rate < 1e15 || of != sized(f, tt.shape)) {
					t.Errorf("%g ops/s, error %v, of %v", rate, err, of)
				}
			})
		}
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
