//go:build cgo && linux

package nvml

import (
	"context"
	"errors"
	"maps"
	"math"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/NVIDIA/go-nvml/pkg/nvml"

	"github.com/assaynet/assay/gpu"
	"github.com/assaynet/assay/gpu/telemetry"
)

// everything is what newMachine reads, without what is measured over a time.
func everything() map[telemetry.Kind]int64 {
	return map[telemetry.Kind]int64{
		telemetry.Energy: 1 << 40, telemetry.Power: 600001, telemetry.PowerLimit: 700000, telemetry.ClockSM: 1001, telemetry.ClockMemory: 1002,
		telemetry.ClockSMMax: 2001, telemetry.ClockMemoryMax: 2002, telemetry.Throttle: 0x44, telemetry.Temperature: 71, telemetry.PerformanceState: 2,
		telemetry.MemoryTotal: 80 << 30, telemetry.MemoryReserved: 1 << 29, telemetry.MemoryUsed: 7 << 30, telemetry.UtilGPU: 98, telemetry.UtilMemory: 43,
		telemetry.ECC: 1, telemetry.ECCCorrected: 10, telemetry.ECCUncorrected: 11, telemetry.RemappedCorrectable: 5, telemetry.RemappedUncorrectable: 6,
		telemetry.RemapPending: 1, telemetry.RemapFailed: 0, telemetry.RetiredPages: 5, telemetry.PCIeGeneration: 3, telemetry.PCIeGenerationMax: 5,
		telemetry.PCIeWidth: 8, telemetry.PCIeWidthMax: 16, telemetry.PCIeReplays: 77, telemetry.PCIeSent: 500, telemetry.PCIeReceived: 501,
		telemetry.MIG: 0, telemetry.Processes: 3,
	}
}

func readings(s telemetry.Snapshot) map[telemetry.Kind]int64 {
	out := map[telemetry.Kind]int64{}
	for _, r := range s.Readings {
		out[r.Kind] = r.Value
	}
	return out
}

func differ(t *testing.T, got telemetry.Snapshot, want map[telemetry.Kind]int64) {
	t.Helper()
	if err := got.Check(); err != nil {
		t.Error(err)
	}
	has := readings(got)
	for _, k := range telemetry.Kinds() {
		g, there := has[k]
		w, wanted := want[k]
		if there != wanted || g != w {
			t.Errorf("%v: %d (%v), want %d (%v)", k, g, there, w, wanted)
		}
	}
}

func TestSample(t *testing.T) {
	without := func(kinds ...telemetry.Kind) map[telemetry.Kind]int64 {
		all := everything()
		for _, k := range kinds {
			delete(all, k)
		}
		return all
	}
	with := func(all map[telemetry.Kind]int64, k telemetry.Kind, v int64) map[telemetry.Kind]int64 {
		all[k] = v
		return all
	}
	none, denied := never[uint32](nvml.ERROR_NOT_SUPPORTED), never[uint32](nvml.ERROR_NO_PERMISSION)
	for _, tt := range []struct {
		name   string
		change func(*machine)
		want   map[telemetry.Kind]int64
	}{
		{"a card that has everything", func(*machine) {}, everything()},
		{"no power reading", func(m *machine) { m.card.GetPowerUsageFunc = none }, without(telemetry.Power)},
		{"not allowed", func(m *machine) { m.card.GetPowerUsageFunc = denied }, without(telemetry.Power)},
		{"one odd answer", func(m *machine) { m.card.GetPowerUsageFunc = never[uint32](nvml.ERROR_UNKNOWN) }, without(telemetry.Power)},
		{"a code of the future", func(m *machine) { m.card.GetPowerUsageFunc = never[uint32](777) }, without(telemetry.Power)},
		{"a number that is unknown", func(m *machine) { m.card.GetTotalEnergyConsumptionFunc = always(uint64(math.MaxUint64)) }, without(telemetry.Energy)},
		{"a negative number", func(m *machine) { m.card.GetPcieReplayCounterFunc = always(-1) }, without(telemetry.PCIeReplays)},
		{"an unknown performance state", func(m *machine) { m.card.GetPerformanceStateFunc = always(nvml.PSTATE_UNKNOWN) }, without(telemetry.PerformanceState)},
		{"reasons by their old name", func(m *machine) { m.lacks = []string{"nvmlDeviceGetCurrentClocksEventReasons"} }, with(everything(), telemetry.Throttle, 0x88)},
		{"the old memory call", func(m *machine) { m.lacks = []string{"nvmlDeviceGetMemoryInfo_v2"} }, with(with(without(telemetry.MemoryReserved), telemetry.MemoryTotal, 81<<30), telemetry.MemoryUsed, 8<<30)},
		{"the new memory call is refused", func(m *machine) {
			m.card.GetMemoryInfo_v2Func = never[nvml.Memory_v2](nvml.ERROR_ARGUMENT_VERSION_MISMATCH)
		}, with(with(without(telemetry.MemoryReserved), telemetry.MemoryTotal, 81<<30), telemetry.MemoryUsed, 8<<30)},
		{"retired pages of one cause", func(m *machine) {
			m.card.GetRetiredPagesFunc = func(c nvml.PageRetirementCause) ([]uint64, nvml.Return) {
				if c == nvml.PAGE_RETIREMENT_CAUSE_DOUBLE_BIT_ECC_ERROR {
					return nil, nvml.ERROR_NOT_SUPPORTED
				}
				return nil, nvml.SUCCESS
			}
		}, without(telemetry.RetiredPages)},
		{"no list of processes", func(m *machine) {
			m.card.GetComputeRunningProcessesFunc = never[[]nvml.ProcessInfo](nvml.ERROR_NOT_SUPPORTED)
		}, without(telemetry.Processes)},
		{"no MPS", func(m *machine) {
			m.card.GetMPSComputeRunningProcessesFunc = never[[]nvml.ProcessInfo](nvml.ERROR_NOT_SUPPORTED)
		}, with(everything(), telemetry.Processes, 2)},
		{"the oldest names of versioned calls", func(m *machine) {
			m.lacks = []string{"nvmlDeviceGetComputeRunningProcesses_v3", "nvmlDeviceGetComputeRunningProcesses_v2", "nvmlDeviceGetMPSComputeRunningProcesses_v3", "nvmlDeviceGetMPSComputeRunningProcesses_v2"}
		}, everything()},
		{"cut into instances", func(m *machine) {
			m.card.GetMigModeFunc = func() (int, int, nvml.Return) { return nvml.DEVICE_MIG_ENABLE, 1, nvml.SUCCESS }
		}, with(everything(), telemetry.MIG, 1)},
		{"a GeForce", func(m *machine) {
			m.card.GetEccModeFunc = func() (nvml.EnableState, nvml.EnableState, nvml.Return) { return 0, 0, nvml.ERROR_NOT_SUPPORTED }
			m.card.GetTotalEccErrorsFunc = func(nvml.MemoryErrorType, nvml.EccCounterType) (uint64, nvml.Return) {
				return 0, nvml.ERROR_NOT_SUPPORTED
			}
			m.card.GetRemappedRowsFunc = func() (int, int, bool, bool, nvml.Return) { return 0, 0, false, false, nvml.ERROR_NOT_SUPPORTED }
			m.card.GetRetiredPagesFunc = func(nvml.PageRetirementCause) ([]uint64, nvml.Return) { return nil, nvml.ERROR_NOT_SUPPORTED }
			m.card.GetMigModeFunc = func() (int, int, nvml.Return) { return 0, 0, nvml.ERROR_NOT_SUPPORTED }
		}, without(telemetry.ECC, telemetry.ECCCorrected, telemetry.ECCUncorrected, telemetry.RemappedCorrectable, telemetry.RemappedUncorrectable,
			telemetry.RemapPending, telemetry.RemapFailed, telemetry.RetiredPages, telemetry.MIG)},
		{"a library that lacks all", func(m *machine) { m.lacks = []string{"all"} }, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				m := newMachine()
				l, monitor := m.open(t) // finds the card by a call that the last one lacks
				defer l.Close()
				tt.change(m)
				clear(l.symbols.known)
				s, err := monitor.Sample(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				if s.At != 0 {
					t.Errorf("at %v", s.At)
				}
				differ(t, s, tt.want)
			})
		})
	}
}

func TestSampleOverTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMachine()
		l, monitor := m.open(t)
		defer l.Close()
		take := func(later time.Duration) map[telemetry.Kind]int64 {
			time.Sleep(later)
			s, err := monitor.Sample(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			return readings(s)
		}
		has := func(r map[telemetry.Kind]int64, k telemetry.Kind) bool { _, ok := r[k]; return ok }
		if first := take(0); has(first, telemetry.GPMTensor) || !has(first, telemetry.PCIeSent) {
			t.Errorf("first: %v", first)
		}
		// The traffic took 40 ms, after the counters: they are read at 0, 80 and 120 ms.
		if soon := take(40 * time.Millisecond); has(soon, telemetry.GPMTensor) || has(soon, telemetry.PCIeSent) {
			t.Errorf("soon: %v", soon)
		}
		then := take(40 * time.Millisecond)
		for k, want := range map[telemetry.Kind]int64{
			telemetry.GPMGraphics: 113, telemetry.GPMSM: 213, telemetry.GPMOccupancy: 313, telemetry.GPMInteger: 413, telemetry.GPMTensor: 513,
			telemetry.GPMTensorDouble: 613, telemetry.GPMTensorHalf: 713, telemetry.GPMTensorInteger: 913, telemetry.GPMMemory: 1013,
			telemetry.GPMFP64: 1113, telemetry.GPMFP32: 1213, telemetry.GPMFP16: 1313,
		} {
			if got, ok := then[k]; !ok || got != want {
				t.Errorf("%v: %d, %v, want %d", k, got, ok, want)
			}
		}
		if has(then, telemetry.PCIeSent) {
			t.Error("traffic was measured twice in a second")
		}
		if later := take(2 * time.Minute); has(later, telemetry.GPMTensor) || !has(later, telemetry.PCIeSent) {
			t.Errorf("two minutes later: %v", later)
		}
		if after := take(time.Second); !has(after, telemetry.GPMTensor) {
			t.Errorf("then: %v", after)
		}
		if n := len(m.api.GpmSampleAllocCalls()); n != 2 {
			t.Errorf("%d samples were allocated", n)
		}
		if err := l.Close(); err != nil || m.freed != 2 {
			t.Errorf("%d samples were freed, %v", m.freed, err)
		}
	})
}

func TestNoCounters(t *testing.T) {
	for _, tt := range []struct {
		name    string
		change  func(*machine)
		queries int
	}{
		{"a card without", func(m *machine) { m.card.GpmQueryDeviceSupportFunc = always(nvml.GpmSupport{}) }, 1},
		{"a driver without", func(m *machine) {
			m.card.GpmQueryDeviceSupportFunc = never[nvml.GpmSupport](nvml.ERROR_NOT_SUPPORTED)
		}, 1},
		{"a query that fails", func(m *machine) { m.card.GpmQueryDeviceSupportFunc = never[nvml.GpmSupport](nvml.ERROR_UNKNOWN) }, 2},
		{"a missing symbol", func(m *machine) { m.lacks = []string{"nvmlGpmSampleFree"} }, 0},
		{"no sample", func(m *machine) {
			m.card.GpmSampleGetFunc = func(nvml.GpmSample) nvml.Return { return nvml.ERROR_NOT_SUPPORTED }
		}, 1},
		{"no memory", func(m *machine) {
			m.api.GpmSampleAllocFunc = func() (nvml.GpmSample, nvml.Return) { return nil, nvml.ERROR_MEMORY }
		}, 1},
		{"no metrics", func(m *machine) {
			m.api.GpmMetricsGetFunc = func(*nvml.GpmMetricsGetType) nvml.Return { return nvml.ERROR_UNKNOWN }
		}, 1},
		{"metrics that are none", func(m *machine) {
			m.api.GpmMetricsGetFunc = func(get *nvml.GpmMetricsGetType) nvml.Return {
				for i := range get.NumMetrics {
					get.Metrics[i].Value = []float64{math.NaN(), math.Inf(1), -1, 1e300}[i%4]
				}
				return nvml.SUCCESS
			}
		}, 1},
		{"metrics that fail one by one", func(m *machine) {
			m.api.GpmMetricsGetFunc = func(get *nvml.GpmMetricsGetType) nvml.Return {
				for i := range get.NumMetrics {
					get.Metrics[i].NvmlReturn = uint32(nvml.ERROR_NOT_SUPPORTED)
				}
				return nvml.SUCCESS
			}
		}, 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				m := newMachine()
				tt.change(m)
				l, monitor := m.open(t)
				defer l.Close()
				for range 2 {
					s, err := monitor.Sample(t.Context())
					if err != nil {
						t.Fatal(err)
					}
					want := everything()
					if _, ok := s.Get(telemetry.PCIeSent); !ok {
						delete(want, telemetry.PCIeSent)
						delete(want, telemetry.PCIeReceived)
					}
					differ(t, s, want)
					time.Sleep(500 * time.Millisecond)
				}
				if n := len(m.card.GpmQueryDeviceSupportCalls()); n != tt.queries {
					t.Errorf("the card was asked %d times, want %d", n, tt.queries)
				}
			})
		})
	}
}

func TestSampleFails(t *testing.T) {
	all := func(code nvml.Return) func(*machine) {
		return func(m *machine) {
			for _, call := range []*func() (uint32, nvml.Return){&m.card.GetPowerUsageFunc, &m.card.GetEnforcedPowerLimitFunc} {
				*call = never[uint32](code)
			}
			m.card.GetTotalEnergyConsumptionFunc = never[uint64](code)
			m.only = []string{"nvmlDeviceGetPowerUsage", "nvmlDeviceGetEnforcedPowerLimit", "nvmlDeviceGetTotalEnergyConsumption"}
			m.card.GpmSampleGetFunc = func(nvml.GpmSample) nvml.Return { return code } // was found before
		}
	}
	power := func(code nvml.Return) func(*machine) {
		return func(m *machine) { m.card.GetPowerUsageFunc = never[uint32](code) }
	}
	for _, tt := range []struct {
		name   string
		change func(*machine)
		class  string
	}{
		{"lost", power(nvml.ERROR_GPU_IS_LOST), gpu.FaultLost},
		{"must be reset", power(nvml.ERROR_RESET_REQUIRED), gpu.FaultLost},
		{"timeout", power(nvml.ERROR_TIMEOUT), gpu.FaultDriver},
		{"not loaded any more", power(nvml.ERROR_DRIVER_NOT_LOADED), gpu.FaultDriver},
		{"another version", power(nvml.ERROR_LIB_RM_VERSION_MISMATCH), gpu.FaultDriver},
		{"nothing but odd answers", all(nvml.ERROR_UNKNOWN), gpu.FaultDriver},
		{"lost in the list of processes", func(m *machine) {
			m.card.GetComputeRunningProcessesFunc = never[[]nvml.ProcessInfo](nvml.ERROR_GPU_IS_LOST)
		}, gpu.FaultLost},
		{"lost in the counters", func(m *machine) {
			m.card.GpmSampleGetFunc = func(nvml.GpmSample) nvml.Return { return nvml.ERROR_GPU_IS_LOST }
		}, gpu.FaultLost},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				m := newMachine()
				l, monitor := m.open(t)
				defer l.Close()
				if _, err := monitor.Sample(t.Context()); err != nil {
					t.Fatal(err)
				}
				time.Sleep(time.Second)
				tt.change(m)
				clear(l.symbols.known)
				s, err := monitor.Sample(t.Context())
				f, ok := errors.AsType[*gpu.Fault](err)
				if !ok || f.Class != tt.class || len(s.Readings) != 0 || f.Xid != 0 {
					t.Fatalf("%v, %v", s, err)
				}
				if Fault(err) != f {
					t.Errorf("as a fault: %v", Fault(err))
				}
				m.events <- nvml.EventData{EventType: nvml.EventTypeXidCriticalError, EventData: 79}
				synctest.Wait()
				_, err = monitor.Sample(t.Context())
				if f, ok := errors.AsType[*gpu.Fault](err); !ok || f.Xid != 79 {
					t.Errorf("with an Xid: %v", err)
				}
			})
		})
	}
}

// A card that is lost is not asked again and again: each call may take long.
func TestLostEndsReading(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMachine()
		m.card.GetTotalEnergyConsumptionFunc = never[uint64](nvml.ERROR_GPU_IS_LOST)
		l, monitor := m.open(t)
		defer l.Close()
		if _, err := monitor.Sample(t.Context()); err == nil {
			t.Error("sampled")
		}
		if n := len(m.card.GetPowerUsageCalls()) + len(m.card.GetComputeRunningProcessesCalls()) + len(m.card.GetPcieThroughputCalls()); n != 0 {
			t.Errorf("%d calls after it", n)
		}
	})
}

func TestContextEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMachine()
		l, monitor := m.open(t)
		defer l.Close()
		over, cancel := context.WithCancel(t.Context())
		cancel()
		for name, err := range map[string]error{
			"inventory": second(monitor.Inventory(over)), "sample": second(monitor.Sample(over)), "processes": second(monitor.Processes(over)),
			"attest": second(monitor.Attest(over, [32]byte{})), "xid": second(monitor.Xid(over, time.Hour)),
		} {
			if !errors.Is(err, context.Canceled) {
				t.Errorf("%s: %v", name, err)
			}
		}
		if n := len(m.card.GetPowerUsageCalls()); n != 0 {
			t.Errorf("%d calls", n)
		}
	})
}

func second[T any](_ T, err error) error { return err }

// Each symbol is looked up once, whatever is asked how often.
func TestSymbolsAreRemembered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMachine()
		l, monitor := m.open(t)
		defer l.Close()
		for range 3 {
			_, err := monitor.Sample(t.Context())
			_, also := monitor.Processes(t.Context())
			if err := errors.Join(err, also); err != nil {
				t.Fatal(err)
			}
		}
		count := map[string]int{}
		for _, name := range m.asked {
			count[name]++
		}
		if most := slices.Max(slices.Collect(maps.Values(count))); most != 1 {
			t.Errorf("up to %d times: %v", most, count)
		}
	})
}
