//go:build cgo && linux

package nvml

import (
	"fmt"
	"math"

	"github.com/NVIDIA/go-nvml/pkg/nvml"

	"github.com/assaynet/assay/gpu/telemetry"
)

// inventory reads what a card says it is. What the card, its driver or this user
// lacks stays empty; a card or driver that has failed is a *gpu.Fault.
func (l *Library) inventory(card nvml.Device) (telemetry.Inventory, error) {
	r := &reader{symbols: l.symbols}
	i := telemetry.Inventory{
		Name:   r.text("nvmlDeviceGetName", card.GetName),
		UUID:   r.text("nvmlDeviceGetUUID", card.GetUUID),
		Serial: r.text("nvmlDeviceGetSerial", card.GetSerial),
		Driver: r.text("nvmlSystemGetDriverVersion", l.api.SystemGetDriverVersion),
		NVML:   r.text("nvmlSystemGetNVMLVersion", l.api.SystemGetNVMLVersion),
		VBIOS:  r.text("nvmlDeviceGetVbiosVersion", card.GetVbiosVersion),
	}
	if v, ok := number(r, "nvmlSystemGetCudaDriverVersion_v2", l.api.SystemGetCudaDriverVersion_v2); ok {
		i.CUDA = fmt.Sprintf("%d.%d", v/1000, v%1000/10)
	}
	if v, ok := number(r, "nvmlDeviceGetNumGpuCores", card.GetNumGpuCores); ok && v <= math.MaxUint32 {
		i.Cores = uint32(v)
	}
	if v, ok := number(r, "nvmlDeviceGetMemoryBusWidth", card.GetMemoryBusWidth); ok {
		i.BusBits = uint32(v)
	}
	if call := "nvmlDeviceGetPciInfo"; r.can(call+"_v3", call+"_v2", call) {
		if pci, code := card.GetPciInfo(); r.ok(call, code) {
			i.PCI = pciName(&pci)
			i.PCIDevice, i.PCISubsystem = pci.PciDeviceId, pci.PciSubSystemId
		}
	}
	if call := "nvmlDeviceGetCudaComputeCapability"; r.can(call) {
		major, minor, code := card.GetCudaComputeCapability()
		if r.ok(call, code) && min(major, minor) >= 0 && max(major, minor) <= math.MaxUint8 {
			i.Major, i.Minor = uint8(major), uint8(minor)
		}
	}
	if call := "nvmlDeviceGetPowerManagementLimitConstraints"; r.can(call) {
		if _, highest, code := card.GetPowerManagementLimitConstraints(); r.ok(call, code) {
			i.PowerMax = highest
		}
	}
	if on, ok := r.mig(card); ok {
		i.MIG = on
	}
	i.Confidential = l.confidential(r)
	if r.fault != nil {
		return telemetry.Inventory{}, r.fault
	}
	return i, nil
}

// pciName writes an address as CUDA does: the library's own text has more digits.
func pciName(pci *nvml.PciInfo) string {
	function := byte('0') // of a virtual card it can be another
	for n, c := range pci.BusId[1:] {
		if last := byte(c); pci.BusId[n] == '.' && last >= '0' && last <= '7' {
			function = last
		}
	}
	return fmt.Sprintf("%04x:%02x:%02x.%c", pci.Domain, pci.Bus, pci.Device, function)
}

// mig says whether a card is cut into instances.
func (r *reader) mig(card nvml.Device) (on, known bool) {
	const call = "nvmlDeviceGetMigMode"
	if !r.can(call) {
		return false, false
	}
	now, _, code := card.GetMigMode()
	return now == nvml.DEVICE_MIG_ENABLE, r.ok(call, code)
}

// confidential is the state of confidential computing, which is the machine's.
func (l *Library) confidential(r *reader) string {
	const call = "nvmlSystemGetConfComputeState"
	if !r.can(call) {
		return ""
	}
	state, code := l.api.SystemGetConfComputeState()
	switch {
	case !r.ok(call, code):
		return ""
	case state.CcFeature != nvml.CC_SYSTEM_FEATURE_ENABLED:
		return "off"
	case state.DevToolsMode == nvml.CC_SYSTEM_DEVTOOLS_MODE_ON:
		return "devtools"
	}
	return "on"
}
