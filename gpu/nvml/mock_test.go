//go:build cgo && linux

package nvml

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/NVIDIA/go-nvml/pkg/nvml"
	"github.com/NVIDIA/go-nvml/pkg/nvml/mock"

	"github.com/assaynet/assay/gpu"
)

const testUUID = "GPU-00000000-1111-2222-3333-444444444444"

// machine is a library with one card, which a test changes before it opens it.
type machine struct {
	api   *mock.Interface
	card  *mock.Device
	lacks []string // symbols
	only  []string // symbols that it has, if any are named

	asked  []string // symbols that were looked up
	freed  int      // GPM samples
	events chan nvml.EventData
	sets   int // event sets that are not freed
}

// always makes a function of the library that gives one value.
func always[T any](v T) func() (T, nvml.Return) {
	return func() (T, nvml.Return) { return v, nvml.SUCCESS }
}

func never[T any](code nvml.Return) func() (T, nvml.Return) {
	return func() (T, nvml.Return) { return *new(T), code }
}

// newMachine has everything, and each reading is another number.
func newMachine() *machine {
	m := &machine{events: make(chan nvml.EventData, 8)}
	card := &mock.Device{
		GetNameFunc: always("NVIDIA H100 80GB HBM3"), GetUUIDFunc: always(testUUID), GetSerialFunc: always("165"), GetVbiosVersionFunc: always("96.00"),
		GetPciInfoFunc:               always(nvml.PciInfo{Domain: 1, Bus: 0x1b, Device: 2, PciDeviceId: 0x233010de, PciSubSystemId: 0x16c110de, BusId: busID("00000001:1B:02.3")}),
		GetCudaComputeCapabilityFunc: func() (int, int, nvml.Return) { return 9, 0, nvml.SUCCESS },
		GetNumGpuCoresFunc:           always(16896), GetMemoryBusWidthFunc: always(uint32(5120)),
		GetPowerManagementLimitConstraintsFunc: func() (uint32, uint32, nvml.Return) { return 200000, 700001, nvml.SUCCESS },

		GetTotalEnergyConsumptionFunc: always(uint64(1 << 40)), GetPowerUsageFunc: always(uint32(600001)), GetEnforcedPowerLimitFunc: always(uint32(700000)),
		GetClockInfoFunc:                 func(c nvml.ClockType) (uint32, nvml.Return) { return 1000 + uint32(c), nvml.SUCCESS },
		GetMaxClockInfoFunc:              func(c nvml.ClockType) (uint32, nvml.Return) { return 2000 + uint32(c), nvml.SUCCESS },
		GetCurrentClocksEventReasonsFunc: always(uint64(0x44)), GetCurrentClocksThrottleReasonsFunc: always(uint64(0x88)),
		GetTemperatureFunc:      func(s nvml.TemperatureSensors) (uint32, nvml.Return) { return 71 + uint32(s), nvml.SUCCESS },
		GetPerformanceStateFunc: always(nvml.PSTATE_2),
		GetMemoryInfo_v2Func:    always(nvml.Memory_v2{Total: 80 << 30, Reserved: 1 << 29, Used: 7 << 30}),
		GetMemoryInfoFunc:       always(nvml.Memory{Total: 81 << 30, Used: 8 << 30}),
		GetUtilizationRatesFunc: always(nvml.Utilization{Gpu: 98, Memory: 43}),
		GetEccModeFunc: func() (nvml.EnableState, nvml.EnableState, nvml.Return) {
			return nvml.FEATURE_ENABLED, nvml.FEATURE_DISABLED, nvml.SUCCESS
		},
		GetTotalEccErrorsFunc: func(k nvml.MemoryErrorType, c nvml.EccCounterType) (uint64, nvml.Return) {
			return uint64(10 + k + 100*nvml.MemoryErrorType(c)), nvml.SUCCESS
		},
		GetRemappedRowsFunc: func() (int, int, bool, bool, nvml.Return) { return 5, 6, true, false, nvml.SUCCESS },
		GetRetiredPagesFunc: func(c nvml.PageRetirementCause) ([]uint64, nvml.Return) {
			return make([]uint64, 2+c), nvml.SUCCESS
		},
		GetCurrPcieLinkGenerationFunc: always(3), GetMaxPcieLinkGenerationFunc: always(5), GetCurrPcieLinkWidthFunc: always(8), GetMaxPcieLinkWidthFunc: always(16),
		GetPcieReplayCounterFunc: always(77),
		GetPcieThroughputFunc: func(c nvml.PcieUtilCounter) (uint32, nvml.Return) {
			time.Sleep(20 * time.Millisecond)
			return 500 + uint32(c), nvml.SUCCESS
		},
		GetMigModeFunc: func() (int, int, nvml.Return) { return nvml.DEVICE_MIG_DISABLE, nvml.DEVICE_MIG_ENABLE, nvml.SUCCESS },
		GetComputeRunningProcessesFunc: always([]nvml.ProcessInfo{
			{Pid: 12, UsedGpuMemory: 1 << 30},
			{Pid: 7, UsedGpuMemory: ^uint64(0)},
		}),
		GetMPSComputeRunningProcessesFunc: always([]nvml.ProcessInfo{{Pid: 99, UsedGpuMemory: 5}, {Pid: 12, UsedGpuMemory: 1 << 30}}),

		GpmQueryDeviceSupportFunc: always(nvml.GpmSupport{IsSupportedDevice: 1}),
		GpmSampleGetFunc: func(s nvml.GpmSample) nvml.Return {
			s.(*sample).at = time.Now()
			return nvml.SUCCESS
		},
		GetSupportedEventTypesFunc: always(uint64(nvml.EventTypeXidCriticalError | 1)),
		RegisterEventsFunc:         func(uint64, nvml.EventSet) nvml.Return { return nvml.SUCCESS },

		GetConfComputeGpuAttestationReportFunc: func(r *nvml.ConfComputeGpuAttestationReport) nvml.Return {
			copy(r.AttestationReport[4:], r.Nonce[:])
			r.AttestationReportSize = 40
			return nvml.SUCCESS
		},
		GetConfComputeGpuCertificateFunc: always(nvml.ConfComputeGpuCertificate{AttestationCertChainSize: 3, AttestationCertChain: [5120]uint8{'P', 'E', 'M', 'x'}}),
	}
	m.card = card
	m.api = &mock.Interface{
		InitFunc:     func() nvml.Return { return nvml.SUCCESS },
		ShutdownFunc: func() nvml.Return { return nvml.SUCCESS },
		ExtensionsFunc: func() nvml.ExtendedInterface {
			return &mock.ExtendedInterface{LookupSymbolFunc: func(name string) error {
				m.asked = append(m.asked, name)
				if slices.Contains(m.lacks, name) || slices.Contains(m.lacks, "all") || m.only != nil && !slices.Contains(m.only, name) {
					return fmt.Errorf("undefined symbol: %s", name)
				}
				return nil
			}}
		},
		DeviceGetCountFunc:         always(1),
		DeviceGetHandleByIndexFunc: func(int) (nvml.Device, nvml.Return) { return m.card, nvml.SUCCESS },
		DeviceGetHandleByUUIDFunc: func(uuid string) (nvml.Device, nvml.Return) {
			if uuid != testUUID {
				return nil, nvml.ERROR_NOT_FOUND
			}
			return m.card, nvml.SUCCESS
		},
		DeviceGetHandleByPciBusIdFunc: func(string) (nvml.Device, nvml.Return) { return m.card, nvml.SUCCESS },
		SystemGetDriverVersionFunc:    always("550.54.15"), SystemGetNVMLVersionFunc: always("12.550"), SystemGetCudaDriverVersion_v2Func: always(12040),
		SystemGetConfComputeStateFunc: always(nvml.ConfComputeSystemState{CcFeature: 1}),
		SystemGetProcessNameFunc: func(pid int) (string, nvml.Return) {
			if pid == 7 {
				return "", nvml.ERROR_NO_PERMISSION
			}
			return fmt.Sprintf("/bin/p%d\x1b", pid), nvml.SUCCESS
		},
		EventSetCreateFunc: func() (nvml.EventSet, nvml.Return) {
			m.sets++
			return &mock.EventSet{
				WaitFunc: func(ms uint32) (nvml.EventData, nvml.Return) {
					select {
					case e := <-m.events:
						return e, nvml.SUCCESS
					case <-time.After(time.Duration(ms) * time.Millisecond):
						return nvml.EventData{}, nvml.ERROR_TIMEOUT
					}
				},
				FreeFunc: func() nvml.Return { m.sets--; return nvml.SUCCESS },
			}, nvml.SUCCESS
		},
		GpmSampleAllocFunc: func() (nvml.GpmSample, nvml.Return) {
			s := &sample{}
			s.FreeFunc = func() nvml.Return { m.freed++; return nvml.SUCCESS }
			return s, nvml.SUCCESS
		},
		GpmMetricsGetFunc: func(get *nvml.GpmMetricsGetType) nvml.Return {
			if get.Sample2.(*sample).at.Sub(get.Sample1.(*sample).at) < 100*time.Millisecond {
				return nvml.ERROR_UNKNOWN
			}
			for i := range get.NumMetrics {
				get.Metrics[i].Value = float64(get.Metrics[i].MetricId) + 0.126
			}
			return nvml.SUCCESS
		},
	}
	return m
}

// sample is one of the performance counters.
type sample struct {
	mock.GpmSample
	at time.Time
}

func busID(s string) (b [32]int8) {
	for i, c := range []byte(s) {
		b[i] = int8(c)
	}
	return b
}

// open gives the card's monitor; the test closes the library, inside its bubble.
func (m *machine) open(t *testing.T) (*Library, gpu.Monitor) {
	t.Helper()
	l, err := open(m.api)
	if err != nil {
		t.Fatal(err)
	}
	monitor, err := l.Monitor(testUUID)
	if err != nil {
		l.Close()
		t.Fatal(err)
	}
	return l, monitor
}
