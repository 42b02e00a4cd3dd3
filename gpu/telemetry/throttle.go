package telemetry

import "strings"

// Bits of Throttle, as NVML numbers its clocks event reasons (nvml.h).
const (
	ThrottleIdle          = 0x1   // nothing to do
	ThrottleApplication   = 0x2   // clocks set by the owner
	ThrottlePowerCap      = 0x4   // the enforced power limit
	ThrottleHardware      = 0x8   // thermal, external or power brake: the clocks are halved at least
	ThrottleSync          = 0x10  // in step with other cards
	ThrottleThermal       = 0x20  // temperature, by the driver
	ThrottleHWThermal     = 0x40  // temperature, by the hardware
	ThrottlePowerBrake    = 0x80  // the machine's supply demands it
	ThrottleDisplayClocks = 0x100 // a display
)

var throttles = []struct {
	bit  int64
	word string
}{
	{ThrottleIdle, "idle"},
	{ThrottleApplication, "application clocks"},
	{ThrottlePowerCap, "power cap"},
	{ThrottleHardware, "hardware slowdown"},
	{ThrottleSync, "sync boost"},
	{ThrottleThermal, "thermal slowdown"},
	{ThrottleHWThermal, "hardware thermal slowdown"},
	{ThrottlePowerBrake, "power brake"},
	{ThrottleDisplayClocks, "display clocks"},
}

// ThrottleWords says bits in words; empty for none.
func ThrottleWords(bits int64) string {
	var out []string
	for _, t := range throttles {
		if bits&t.bit != 0 {
			out = append(out, t.word)
		}
	}
	return strings.Join(out, ", ")
}
