//go:build cgo && linux

package nvml

import (
	"math"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/NVIDIA/go-nvml/pkg/nvml"
)

func TestXid(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMachine()
		l, monitor := m.open(t)
		defer l.Close()
		report := func(kind, number uint64) {
			m.events <- nvml.EventData{EventType: kind, EventData: number}
			synctest.Wait()
		}
		want := func(within time.Duration, number uint32) {
			t.Helper()
			if got, err := monitor.Xid(t.Context(), within); err != nil || got != number {
				t.Errorf("within %v: %d, %v, want %d", within, got, err, number)
			}
		}
		want(time.Hour, 0)
		report(nvml.EventTypeXidCriticalError, 31)
		want(0, 31)
		time.Sleep(time.Minute)
		want(time.Minute, 31)
		want(59*time.Second, 0)
		report(nvml.EventTypeXidCriticalError, 79)
		want(time.Second, 79)
		want(time.Hour, 79)
		report(1, 48) // of another kind
		report(nvml.EventTypeXidCriticalError, 0)
		want(time.Hour, 79)
		report(nvml.EventTypeXidCriticalError, math.MaxUint64)
		want(time.Hour, math.MaxUint32)
		if calls := m.card.RegisterEventsCalls(); len(calls) != 1 || calls[0].V != nvml.EventTypeXidCriticalError {
			t.Errorf("registered for %v", calls)
		}
	})
}

func TestNoXids(t *testing.T) {
	for _, tt := range []struct {
		name   string
		change func(*machine)
		sets   int // that are asked for
	}{
		{"a library without", func(m *machine) { m.lacks = []string{"nvmlEventSetWait_v2", "nvmlEventSetWait"} }, 0},
		{"a library that cannot free", func(m *machine) { m.lacks = []string{"nvmlEventSetFree"} }, 0},
		{"a card without", func(m *machine) { m.card.GetSupportedEventTypesFunc = always(uint64(7)) }, 0},
		{"a card that cannot tell", func(m *machine) { m.card.GetSupportedEventTypesFunc = never[uint64](nvml.ERROR_NOT_SUPPORTED) }, 0},
		{"no set", func(m *machine) { m.api.EventSetCreateFunc = never[nvml.EventSet](nvml.ERROR_UNKNOWN) }, 1},
		{"refused", func(m *machine) {
			m.card.RegisterEventsFunc = func(uint64, nvml.EventSet) nvml.Return { return nvml.ERROR_NOT_SUPPORTED }
		}, 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				m := newMachine()
				tt.change(m)
				l, monitor := m.open(t)
				if x, err := monitor.Xid(t.Context(), time.Hour); x != 0 || err != nil {
					t.Errorf("%d, %v", x, err)
				}
				if n := len(m.api.EventSetCreateCalls()); n != tt.sets {
					t.Errorf("%d sets were asked for, want %d", n, tt.sets)
				}
				if err := l.Close(); err != nil || m.sets != 0 {
					t.Errorf("%v, %d sets are left", err, m.sets)
				}
			})
		})
	}
}

// A wait that fails at once, as of a lost card, does not keep a processor busy, and
// what comes later is still noted.
func TestXidAfterFailures(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMachine()
		var calls atomic.Int32
		create := m.api.EventSetCreateFunc
		m.api.EventSetCreateFunc = func() (nvml.EventSet, nvml.Return) {
			set, code := create()
			return failing{set, &calls}, code
		}
		l, monitor := m.open(t)
		time.Sleep(time.Minute)
		synctest.Wait()
		if n := calls.Load(); n > 62 {
			t.Errorf("asked %d times in a minute", n)
		}
		calls.Store(-1000)
		m.events <- nvml.EventData{EventType: nvml.EventTypeXidCriticalError, EventData: 94}
		time.Sleep(2 * time.Second)
		if x, err := monitor.Xid(t.Context(), time.Minute); x != 94 || err != nil {
			t.Errorf("%d, %v", x, err)
		}
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	})
}

// failing is a set that fails as long as its count is not below zero.
type failing struct {
	nvml.EventSet
	calls *atomic.Int32
}

func (f failing) Wait(ms uint32) (nvml.EventData, nvml.Return) {
	if f.calls.Add(1) > 0 {
		return nvml.EventData{}, nvml.ERROR_GPU_IS_LOST
	}
	return f.EventSet.Wait(ms)
}
