//go:build cgo && linux

package nvml

import (
	"time"

	"github.com/NVIDIA/go-nvml/pkg/nvml"

	"github.com/assaynet/assay/gpu/telemetry"
)

// sample makes all calls for a snapshot, quick ones first: what is measured over a
// time would move the others apart.
func (m *monitor) sample(r *reader, s *telemetry.Snapshot) {
	card := m.card
	put(r, s, telemetry.Energy, "nvmlDeviceGetTotalEnergyConsumption", card.GetTotalEnergyConsumption)
	put(r, s, telemetry.Power, "nvmlDeviceGetPowerUsage", card.GetPowerUsage)
	put(r, s, telemetry.PowerLimit, "nvmlDeviceGetEnforcedPowerLimit", card.GetEnforcedPowerLimit)
	for _, c := range []struct {
		clock    nvml.ClockType
		now, max telemetry.Kind
	}{
		{nvml.CLOCK_SM, telemetry.ClockSM, telemetry.ClockSMMax},
		{nvml.CLOCK_MEM, telemetry.ClockMemory, telemetry.ClockMemoryMax},
	} {
		put(r, s, c.now, "nvmlDeviceGetClockInfo", func() (uint32, nvml.Return) { return card.GetClockInfo(c.clock) })
		put(r, s, c.max, "nvmlDeviceGetMaxClockInfo", func() (uint32, nvml.Return) { return card.GetMaxClockInfo(c.clock) })
	}
	if call := "nvmlDeviceGetCurrentClocksEventReasons"; r.can(call) { // of driver 535
		put(r, s, telemetry.Throttle, call, card.GetCurrentClocksEventReasons)
	} else {
		put(r, s, telemetry.Throttle, "nvmlDeviceGetCurrentClocksThrottleReasons", card.GetCurrentClocksThrottleReasons)
	}
	put(r, s, telemetry.Temperature, "nvmlDeviceGetTemperature", func() (uint32, nvml.Return) {
		return card.GetTemperature(nvml.TEMPERATURE_GPU)
	})
	if v, ok := number(r, "nvmlDeviceGetPerformanceState", card.GetPerformanceState); ok && v < int64(nvml.PSTATE_UNKNOWN) {
		s.Set(telemetry.PerformanceState, v)
	}
	readMemory(r, s, card)
	if call := "nvmlDeviceGetUtilizationRates"; r.can(call) {
		if u, code := card.GetUtilizationRates(); r.ok(call, code) {
			s.Set(telemetry.UtilGPU, int64(u.Gpu))
			s.Set(telemetry.UtilMemory, int64(u.Memory))
		}
	}
	readHealth(r, s, card)
	readLink(r, s, card)
	if on, ok := r.mig(card); ok {
		s.Set(telemetry.MIG, flag(on))
	}
	if running, err := processes(r, card); err == nil {
		s.Set(telemetry.Processes, int64(len(running)))
	}
	m.gpm.read(r, s)
	m.readTraffic(r, s)
}

// readMemory takes the call that counts the driver's own memory apart. With the older
// one, used includes it.
func readMemory(r *reader, s *telemetry.Snapshot, card nvml.Device) {
	if call := "nvmlDeviceGetMemoryInfo_v2"; r.can(call) {
		if v, code := card.GetMemoryInfo_v2(); r.ok(call, code) {
			setBytes(s, telemetry.MemoryTotal, v.Total)
			setBytes(s, telemetry.MemoryReserved, v.Reserved)
			setBytes(s, telemetry.MemoryUsed, v.Used)
			return
		}
	}
	if call := "nvmlDeviceGetMemoryInfo"; r.can(call) {
		if v, code := card.GetMemoryInfo(); r.ok(call, code) {
			setBytes(s, telemetry.MemoryTotal, v.Total)
			setBytes(s, telemetry.MemoryUsed, v.Used)
		}
	}
}

func setBytes(s *telemetry.Snapshot, k telemetry.Kind, v uint64) {
	if int64(v) >= 0 { // all ones stands for unknown
		s.Set(k, int64(v))
	}
}

// readHealth reads what tells of a card that wears out.
func readHealth(r *reader, s *telemetry.Snapshot, card nvml.Device) {
	if call := "nvmlDeviceGetEccMode"; r.can(call) {
		if now, _, code := card.GetEccMode(); r.ok(call, code) {
			s.Set(telemetry.ECC, flag(now == nvml.FEATURE_ENABLED))
		}
	}
	errors := func(k telemetry.Kind, kind nvml.MemoryErrorType) {
		put(r, s, k, "nvmlDeviceGetTotalEccErrors", func() (uint64, nvml.Return) {
			return card.GetTotalEccErrors(kind, nvml.VOLATILE_ECC)
		})
	}
	errors(telemetry.ECCCorrected, nvml.MEMORY_ERROR_TYPE_CORRECTED)
	errors(telemetry.ECCUncorrected, nvml.MEMORY_ERROR_TYPE_UNCORRECTED)
	if call := "nvmlDeviceGetRemappedRows"; r.can(call) {
		if corrected, uncorrected, pending, failed, code := card.GetRemappedRows(); r.ok(call, code) {
			s.Set(telemetry.RemappedCorrectable, int64(corrected))
			s.Set(telemetry.RemappedUncorrectable, int64(uncorrected))
			s.Set(telemetry.RemapPending, flag(pending))
			s.Set(telemetry.RemapFailed, flag(failed))
		}
	}
	pages := func(cause nvml.PageRetirementCause) (int64, bool) {
		return number(r, "nvmlDeviceGetRetiredPages", func() (int, nvml.Return) {
			p, code := card.GetRetiredPages(cause)
			return len(p), code
		})
	}
	single, ok := pages(nvml.PAGE_RETIREMENT_CAUSE_MULTIPLE_SINGLE_BIT_ECC_ERRORS)
	double, both := pages(nvml.PAGE_RETIREMENT_CAUSE_DOUBLE_BIT_ECC_ERROR)
	if ok && both {
		s.Set(telemetry.RetiredPages, single+double)
	}
}

// readLink reads the state of the card's link to the machine.
func readLink(r *reader, s *telemetry.Snapshot, card nvml.Device) {
	put(r, s, telemetry.PCIeGeneration, "nvmlDeviceGetCurrPcieLinkGeneration", card.GetCurrPcieLinkGeneration)
	put(r, s, telemetry.PCIeGenerationMax, "nvmlDeviceGetMaxPcieLinkGeneration", card.GetMaxPcieLinkGeneration)
	put(r, s, telemetry.PCIeWidth, "nvmlDeviceGetCurrPcieLinkWidth", card.GetCurrPcieLinkWidth)
	put(r, s, telemetry.PCIeWidthMax, "nvmlDeviceGetMaxPcieLinkWidth", card.GetMaxPcieLinkWidth)
	put(r, s, telemetry.PCIeReplays, "nvmlDeviceGetPcieReplayCounter", card.GetPcieReplayCounter)
}

// trafficEvery is how often the traffic of the link is measured at most. The driver
// takes 20 ms for each direction and holds the caller for so long: often enough for
// somebody who looks, but no part of quick samples around a piece of work.
const trafficEvery = time.Second

func (m *monitor) readTraffic(r *reader, s *telemetry.Snapshot) {
	m.mu.Lock()
	due := m.pcie.IsZero() || time.Since(m.pcie) >= trafficEvery
	if due {
		m.pcie = time.Now()
	}
	m.mu.Unlock()
	if !due {
		return
	}
	traffic := func(k telemetry.Kind, counter nvml.PcieUtilCounter) {
		put(r, s, k, "nvmlDeviceGetPcieThroughput", func() (uint32, nvml.Return) { return m.card.GetPcieThroughput(counter) })
	}
	traffic(telemetry.PCIeSent, nvml.PCIE_UTIL_TX_BYTES)
	traffic(telemetry.PCIeReceived, nvml.PCIE_UTIL_RX_BYTES)
}
