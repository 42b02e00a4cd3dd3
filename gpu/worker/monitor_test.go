package worker

import (
	"context"
	"errors"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/assaynet/assay/gpu"
	"github.com/assaynet/assay/gpu/telemetry"
)

func monitoring(t *testing.T, cfg Config) *Monitor {
	t.Helper()
	m := NewMonitor(cfg)
	runs(t, m.Run)
	return m
}

func watched(t *testing.T, m *Monitor, starts int) {
	t.Helper()
	until(t, m.Changed, func() bool { s := m.Status(); return s.State == StateReady && s.Starts == starts })
}

func TestMonitor(t *testing.T) {
	m := NewMonitor(config(t, ""))
	if _, err := m.Cards(t.Context()); class(err) != gpu.FaultAbsent {
		t.Errorf("before Run: %v", err)
	}
	if _, err := m.Card("GPU-1").Sample(t.Context()); class(err) != gpu.FaultAbsent {
		t.Errorf("before Run: %v", err)
	}
	runs(t, m.Run)
	watched(t, m, 1)
	cards, err := m.Cards(t.Context())
	if err != nil || len(cards) != 2 || cards[1].UUID != "GPU-2" || cards[1].Cores != 2 {
		t.Errorf("cards %+v, %v", cards, err)
	}
	one, two := m.Card("GPU-1"), m.Card("GPU-2")
	if i, err := two.Inventory(t.Context()); err != nil || i.UUID != "GPU-2" || i.Major != 9 {
		t.Errorf("inventory %+v, %v", i, err)
	}
	want := telemetry.Snapshot{Readings: []telemetry.Reading{{Kind: telemetry.Power, Value: 250_000}, {Kind: telemetry.Temperature, Value: -3}}}
	if s, err := one.Sample(t.Context()); err != nil || !reflect.DeepEqual(s, want) {
		t.Errorf("sample %+v, %v", s, err)
	}
	if p, err := one.Processes(t.Context()); err != nil || len(p) != 1 || p[0].PID != 7 || p[0].Name != "tenant" || p[0].Memory != 1<<33 {
		t.Errorf("processes %+v, %v", p, err)
	}
	nonce := [32]byte{3, 4}
	if e, err := two.Attest(t.Context(), nonce); err != nil || string(e.Report) != string(nonce[:]) || string(e.Certificates) != "pem" {
		t.Errorf("evidence %+v, %v", e, err)
	}
	if _, err := one.Attest(t.Context(), nonce); !errors.Is(err, gpu.ErrNoAttestation) {
		t.Errorf("attest: %v", err)
	}
	if x, err := one.Xid(t.Context(), 79*time.Second); err != nil || x != 79 {
		t.Errorf("Xid %d, %v", x, err)
	}
	if _, err := m.Card("nothing").Sample(t.Context()); err == nil || class(err) != "" || !strings.Contains(err.Error(), "no card") {
		t.Errorf("no card: %v", err)
	}
	if _, err := m.Card(strings.Repeat("x", maxText+1)).Sample(t.Context()); err == nil {
		t.Error("a name without end")
	}
}

func TestMonitorFaults(t *testing.T) {
	for _, tt := range []struct {
		fault  string
		class  string
		starts int // children until it is well
	}{
		{"panic", gpu.FaultCrash, 2},
		{"gone", gpu.FaultLost, 1}, // one card of several
	} {
		t.Run(tt.fault, func(t *testing.T) {
			m := monitoring(t, config(t, tt.fault))
			watched(t, m, 1)
			if _, err := m.Card("GPU-1").Sample(t.Context()); class(err) != tt.class {
				t.Errorf("%v", err)
			}
			watched(t, m, tt.starts)
			if _, err := m.Cards(t.Context()); err != nil {
				t.Error(err)
			}
			if s := m.Status(); s.Fault == nil || s.Fault.Class != tt.class {
				t.Errorf("%+v", s)
			}
		})
	}
}

// A call ends with its context at once. A child whose call does not come back after
// that is replaced, one whose call does is not.
func TestMonitorContexts(t *testing.T) {
	for _, tt := range []struct {
		fault  string
		starts int
	}{{"hang", 2}, {"wait", 1}} {
		t.Run(tt.fault, func(t *testing.T) {
			cfg := config(t, tt.fault)
			cfg.grace = 300 * time.Millisecond
			m := monitoring(t, cfg)
			watched(t, m, 1)
			ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
			defer cancel()
			begun := time.Now()
			if _, err := m.Card("GPU-1").Sample(ctx); !errors.Is(err, context.DeadlineExceeded) || class(err) != "" {
				t.Errorf("%v", err)
			}
			if took := time.Since(begun); took > cfg.grace {
				t.Errorf("it took %v", took)
			}
			time.Sleep(2 * cfg.grace)
			watched(t, m, tt.starts)
			if f := m.Status().Fault; (f == nil) != (tt.starts == 1) {
				t.Errorf("%v", f)
			}
		})
	}
}

// What does not fit the parent's bounds is not sent.
func TestMonitorBounds(t *testing.T) {
	m := monitoring(t, config(t, "long"))
	watched(t, m, 1)
	if i, err := m.Card("GPU-1").Inventory(t.Context()); err == nil {
		t.Errorf("%+v", i)
	}
	if s := m.Status(); s.Starts != 1 || s.Fault != nil {
		t.Errorf("%+v", s)
	}
}
