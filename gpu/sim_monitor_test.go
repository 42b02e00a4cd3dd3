package gpu

import (
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/assaynet/assay/gpu/models"
	"github.com/assaynet/assay/gpu/telemetry"
)

var _ Monitor = (*SimMonitor)(nil)

// watched is the record of a card that is idle, works, and is idle again.
func watched(t *testing.T, cfg SimMonitorConfig, works, every time.Duration) telemetry.Record {
	t.Helper()
	var busy atomic.Bool
	cfg.Busy = busy.Load
	m, err := NewSimMonitor(cfg)
	if err != nil {
		t.Fatal(err)
	}
	i, err := m.Inventory(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	r := telemetry.Record{Inventory: i}
	start := time.Now()
	take := func() {
		s, err := m.Sample(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		s.At = time.Since(start)
		r.Snapshots = append(r.Snapshots, s)
	}
	take()
	busy.Store(true)
	for time.Since(start) < works {
		time.Sleep(every)
		take()
	}
	busy.Store(false)
	time.Sleep(time.Millisecond)
	take()
	r.Snapshots = telemetry.Trim(r.Snapshots, telemetry.MaxSnapshots)
	if err := r.Check(); err != nil {
		t.Fatal(err)
	}
	return r
}

// workOf is what the model does in so long, as a checker counts it.
func workOf(s models.Spec, f telemetry.Flavour, took time.Duration) telemetry.Work {
	rate := map[telemetry.Flavour]uint64{telemetry.Int8: s.Int8Ops, telemetry.BF16: s.BF16Ops, telemetry.FP64: s.FP64Ops, telemetry.Reads: s.Bandwidth / 64 / 100 * 60}[f]
	w := telemetry.Work{Flavour: f, Ops: uint64(float64(rate) * took.Seconds()), Elapsed: took}
	if f == telemetry.Reads {
		w.Held = s.Memory / 100 * 85
	}
	return w
}

// An honest card is plausible, and nothing about it is odd: of each model that has
// figures, in short and in long work, watched often and rarely.
func TestSimMonitorHonest(t *testing.T) {
	cards := 0
	for n, s := range models.Table() {
		if s.Names[0] == "" {
			continue
		}
		cards++
		for _, took := range []time.Duration{300 * time.Millisecond, 1200 * time.Millisecond, 20 * time.Second} {
			for f := telemetry.Int8; f <= telemetry.Reads; f++ {
				synctest.Test(t, func(t *testing.T) {
					r := watched(t, SimMonitorConfig{Model: s, Seed: uint64(n)}, took, max(50*time.Millisecond, took/15))
					j := telemetry.Judge(r, workOf(s, f, took))
					if !j.Plausible() || !j.Known || j.Model.Name != s.Name || len(j.Findings) > 0 {
						t.Errorf("%s, %v of %v: %s, plausible %v: %v", s.Name, took, f, j.Model.Name, j.Plausible(), j.Findings)
					}
				})
			}
		}
	}
	if cards < 50 {
		t.Errorf("%d cards", cards)
	}
}

// Two records of one card fit each other; those of two cards do not.
func TestSimMonitorAcross(t *testing.T) {
	h100 := spec(t, "sim-h100")
	synctest.Test(t, func(t *testing.T) {
		m, err := NewSimMonitor(SimMonitorConfig{Model: h100, Seed: 1, Busy: func() bool { return true }})
		if err != nil {
			t.Fatal(err)
		}
		take := func(m *SimMonitor) (r telemetry.Record) {
			r.Inventory, _ = m.Inventory(t.Context())
			for range 8 {
				s, err := m.Sample(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				r.Snapshots = append(r.Snapshots, s)
				time.Sleep(100 * time.Millisecond)
			}
			return r
		}
		before := take(m)
		time.Sleep(time.Hour)
		if found := telemetry.Across(before, take(m)); len(found) > 0 {
			t.Errorf("one card: %v", found)
		}
		other, err := NewSimMonitor(SimMonitorConfig{Model: h100, Seed: 2})
		if err != nil {
			t.Fatal(err)
		}
		var codes strings.Builder
		for _, f := range telemetry.Across(before, take(other)) {
			codes.WriteString(f.Code + " ")
		}
		if !strings.Contains(codes.String(), "device-uuid") || !strings.Contains(codes.String(), "device-serial") {
			t.Errorf("another card: %s", codes.String())
		}
	})
}

// A cheaper card under the dearer one's name is found, whatever the work.
func TestSimMonitorSpoofed(t *testing.T) {
	for _, tt := range []struct{ is, says string }{{"sim-4090", "sim-h100"}, {"sim-h100", "sim-4090"}, {"rtx-4090", "h100-sxm"}, {"a100-sxm-80", "h100-sxm"}, {"l40s", "h200-sxm"}} {
		is, says := spec(t, tt.is), spec(t, tt.says)
		for f := telemetry.Int8; f <= telemetry.Reads; f++ {
			synctest.Test(t, func(t *testing.T) {
				r := watched(t, SimMonitorConfig{Model: is, Name: says.Names[0]}, time.Second, 100*time.Millisecond)
				j := telemetry.Judge(r, workOf(is, f, time.Second))
				if !j.Hard() || j.Plausible() || j.Model.Name != says.Name {
					t.Errorf("%s as %s, %v: %s: %v", tt.is, tt.says, f, j.Model.Name, j.Findings)
				}
			})
		}
	}
}

// The energy is the power over the time that passed, and the rest follows the work.
func TestSimMonitorPhysics(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := watched(t, SimMonitorConfig{Model: spec(t, "sim-h100"), Seed: 9}, 10*time.Second, time.Second)
		first, last := &r.Snapshots[0], &r.Snapshots[len(r.Snapshots)-1]
		get := func(s *telemetry.Snapshot, k telemetry.Kind) float64 {
			v, ok := s.Get(k)
			if !ok {
				t.Errorf("no %v", k)
			}
			return float64(v)
		}
		sum := 0.0
		for n := 1; n < len(r.Snapshots); n++ {
			a, b := &r.Snapshots[n-1], &r.Snapshots[n]
			sum += (get(a, telemetry.Power) + get(b, telemetry.Power)) / 2 * (b.At - a.At).Seconds()
		}
		if rose := get(last, telemetry.Energy) - get(first, telemetry.Energy); math.Abs(rose/sum-1) > 0.01 || rose < 5e6 || rose > 7e6 {
			t.Errorf("the energy rose by %.0f mJ, power makes %.0f", rose, sum)
		}
		mid := &r.Snapshots[len(r.Snapshots)/2]
		for k, rises := range map[telemetry.Kind]bool{
			telemetry.Power: true, telemetry.ClockSM: true, telemetry.UtilGPU: true, telemetry.Temperature: true, telemetry.MemoryUsed: true, telemetry.PCIeGeneration: true,
		} {
			if (get(mid, k) > get(first, k)) != rises {
				t.Errorf("%v is %v idle, %v busy", k, get(first, k), get(mid, k))
			}
		}
		for n := 2; n < len(r.Snapshots)-1; n++ { // all busy
			if a, b := get(&r.Snapshots[n-1], telemetry.Power), get(&r.Snapshots[n], telemetry.Power); a == b {
				t.Errorf("%v mW twice: no noise", a)
			}
		}
		if get(last, telemetry.UtilGPU) != 0 || get(last, telemetry.Power) > 0.2*get(last, telemetry.PowerLimit) {
			t.Errorf("busy after its work: %v", last)
		}
	})
}

func TestSimMonitorTexts(t *testing.T) {
	h100 := spec(t, "sim-h100")
	sign := func(_ context.Context, nonce [32]byte) (Evidence, error) { return Evidence{Report: nonce[:]}, nil }
	inventory := func(cfg SimMonitorConfig) telemetry.Inventory {
		m, err := NewSimMonitor(cfg)
		if err != nil {
			t.Fatal(err)
		}
		i, err := m.Inventory(t.Context())
		if err != nil || i.Check() != nil {
			t.Errorf("%+v: %v", i, err)
		}
		return i
	}
	i := inventory(SimMonitorConfig{Model: h100, UUID: "GPU-00000000-0000-0000-0000-000000000001", Attest: sign})
	if i.Name != "NVIDIA H100 80GB HBM3 (simulated)" || i.UUID != "GPU-00000000-0000-0000-0000-000000000001" || i.Driver != SimDriver || i.VBIOS != SimVBIOS || i.Confidential != "on" || i.Serial == "" {
		t.Errorf("%+v", i)
	}
	if i := inventory(SimMonitorConfig{Model: h100}); i.Confidential != "off" {
		t.Errorf("%+v", i)
	}
	if i := inventory(SimMonitorConfig{Model: spec(t, "sim-4090")}); i.Confidential != "" || i.Serial != "" {
		t.Errorf("a GeForce has %+v", i)
	}
	if a, b, c := inventory(SimMonitorConfig{Model: h100, Seed: 1}), inventory(SimMonitorConfig{Model: h100, Seed: 1}), inventory(SimMonitorConfig{Model: h100, Seed: 2}); a != b || a.UUID == c.UUID {
		t.Errorf("seeds: %s, %s, %s", a.UUID, b.UUID, c.UUID)
	}
	for _, name := range []string{"sim-100", "other-h100"} {
		for _, says := range []string{"", h100.Names[0]} {
			if m, err := NewSimMonitor(SimMonitorConfig{Model: spec(t, name), Name: says}); err == nil {
				t.Errorf("%s: %+v", name, m.inventory)
			}
		}
	}
}

// GeForce cards lack what the others have.
func TestSimMonitorLacks(t *testing.T) {
	for name, has := range map[string]bool{"sim-h100": true, "sim-4090": false} {
		m, err := NewSimMonitor(SimMonitorConfig{Model: spec(t, name)})
		if err != nil {
			t.Fatal(err)
		}
		s, err := m.Sample(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, k := range []telemetry.Kind{telemetry.ECC, telemetry.ECCCorrected, telemetry.RemappedCorrectable, telemetry.MIG} {
			if _, ok := s.Get(k); ok != has {
				t.Errorf("%s: %v is there: %v", name, k, ok)
			}
		}
	}
}

func TestSimMonitorCalls(t *testing.T) {
	h100 := spec(t, "sim-h100")
	m, err := NewSimMonitor(SimMonitorConfig{Model: h100})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := m.Attest(t.Context(), [32]byte{1}); !errors.Is(err, ErrNoAttestation) {
		t.Errorf("it signs: %v", err)
	}
	if list, err := m.Processes(t.Context()); err != nil || len(list) != 1 || int(list[0].PID) != os.Getpid() {
		t.Errorf("processes %v, %v", list, err)
	}
	if xid, err := m.Xid(t.Context(), time.Hour); xid != 0 || err != nil {
		t.Errorf("Xid %d, %v", xid, err)
	}
	m.cfg.Attest = func(_ context.Context, nonce [32]byte) (Evidence, error) { return Evidence{Report: nonce[:]}, nil }
	if e, err := m.Attest(t.Context(), [32]byte{1}); err != nil || !slices.Equal(e.Report[:2], []byte{1, 0}) {
		t.Errorf("%v, %v", e, err)
	}
	over, cancel := context.WithCancel(t.Context())
	cancel()
	_, inventory := m.Inventory(over)
	_, sample := m.Sample(over)
	_, processes := m.Processes(over)
	_, xid := m.Xid(over, time.Hour)
	for n, err := range []error{inventory, sample, processes, xid} {
		if !errors.Is(err, context.Canceled) {
			t.Errorf("call %d after the end: %v", n, err)
		}
	}
}

// Each call may be made by several goroutines; the energy never falls.
func TestSimMonitorConcurrent(t *testing.T) {
	var calls atomic.Int32
	m, err := NewSimMonitor(SimMonitorConfig{Model: spec(t, "sim-4090"), Busy: func() bool { return calls.Add(1)%2 == 0 }})
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	errs := make(chan error, 8)
	for range 8 {
		wg.Go(func() {
			last := int64(0)
			for range 200 {
				s, err := m.Sample(t.Context())
				e, ok := s.Get(telemetry.Energy)
				if err != nil || !ok || e < last || s.Check() != nil {
					errs <- fmt.Errorf("%v, energy %d after %d", err, e, last)
					return
				}
				last = e
			}
		})
	}
	wg.Wait()
	close(errs)
	for err := range errs {
		t.Error(err)
	}
}
