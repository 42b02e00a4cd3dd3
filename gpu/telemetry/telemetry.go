// Package telemetry is what NVIDIA's management library says of a card, as values.
// All of it is a claim of whoever controls the machine: signed with a result it can
// be held against its provider, but it proves nothing by itself.
package telemetry

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// Kind is what a reading is of, and by that its unit.
type Kind uint8

// Kinds of readings. A card, or its driver, that lacks one has no reading of it:
// unknown is never zero.
const (
	Energy                Kind = 1 + iota // mJ since the driver was loaded
	Power                                 // mW; an average over up to a second
	PowerLimit                            // mW, enforced
	ClockSM                               // MHz
	ClockMemory                           // MHz
	ClockSMMax                            // MHz
	ClockMemoryMax                        // MHz
	Throttle                              // bits, see the Throttle constants
	Temperature                           // degrees Celsius, of the die
	PerformanceState                      // 0 is the fastest, 15 the slowest
	MemoryTotal                           // bytes
	MemoryReserved                        // bytes, by the driver
	MemoryUsed                            // bytes
	UtilGPU                               // percent of the time with a kernel, over the driver's last period
	UtilMemory                            // percent of the time with memory traffic
	ECC                                   // 1: on, 0: off
	ECCCorrected                          // errors since the driver was loaded
	ECCUncorrected                        // errors since the driver was loaded
	RemappedCorrectable                   // rows
	RemappedUncorrectable                 // rows
	RemapPending                          // 1: a row waits for a reset of the card
	RemapFailed                           // 1: a row could not be remapped
	RetiredPages                          // of cards before Ampere
	PCIeGeneration                        // now; idle cards go down
	PCIeGenerationMax                     // of card and slot
	PCIeWidth                             // lanes, now
	PCIeWidthMax                          // lanes
	PCIeSent                              // KiB/s
	PCIeReceived                          // KiB/s
	PCIeReplays                           // since the driver was loaded
	MIG                                   // 1: the card is cut into instances
	Processes                             // compute processes on the card
	GPMGraphics                           // percent x 100; GPM is Hopper and later
	GPMSM                                 // percent x 100: multiprocessors with a warp
	GPMOccupancy                          // percent x 100
	GPMInteger                            // percent x 100
	GPMTensor                             // percent x 100, any tensor unit
	GPMTensorDouble                       // percent x 100
	GPMTensorHalf                         // percent x 100
	GPMTensorInteger                      // percent x 100
	GPMMemory                             // percent x 100 of the memory's bandwidth
	GPMFP64                               // percent x 100
	GPMFP32                               // percent x 100
	GPMFP16                               // percent x 100
	kinds                 = iota + 1
)

var names = [kinds]string{
	"", "energy_mj", "power_mw", "power_limit_mw", "clock_sm_mhz", "clock_memory_mhz", "clock_sm_max_mhz", "clock_memory_max_mhz",
	"throttle", "temperature_c", "performance_state", "memory_total_bytes", "memory_reserved_bytes", "memory_used_bytes",
	"util_gpu_percent", "util_memory_percent", "ecc", "ecc_corrected", "ecc_uncorrected", "remapped_correctable",
	"remapped_uncorrectable", "remap_pending", "remap_failed", "retired_pages", "pcie_generation", "pcie_generation_max",
	"pcie_width", "pcie_width_max", "pcie_sent_kib_per_s", "pcie_received_kib_per_s", "pcie_replays", "mig", "processes",
	"gpm_graphics", "gpm_sm", "gpm_occupancy", "gpm_integer", "gpm_tensor", "gpm_tensor_double", "gpm_tensor_half",
	"gpm_tensor_integer", "gpm_memory", "gpm_fp64", "gpm_fp32", "gpm_fp16",
}

func (k Kind) String() string {
	if k.valid() {
		return names[k]
	}
	return fmt.Sprintf("kind(%d)", uint8(k))
}

func (k Kind) valid() bool { return k > 0 && int(k) < kinds }

// Kinds lists all kinds in their order.
func Kinds() []Kind {
	out := make([]Kind, 0, kinds-1)
	for k := Energy; int(k) < kinds; k++ {
		out = append(out, k)
	}
	return out
}

// Reading is one value.
type Reading struct {
	_     struct{} `cbor:",toarray"`
	Kind  Kind
	Value int64
}

// Snapshot is what was read at one time.
type Snapshot struct {
	_        struct{}      `cbor:",toarray"`
	At       time.Duration // provider's monotonic clock since it read the challenge, ns
	Readings []Reading     // by rising kind, each once; none where the card or driver has none
}

// Get is a reading's value; false where there is none.
func (s *Snapshot) Get(k Kind) (int64, bool) {
	if i, ok := s.find(k); ok {
		return s.Readings[i].Value, true
	}
	return 0, false
}

// Set puts a reading in its place.
func (s *Snapshot) Set(k Kind, v int64) {
	i, ok := s.find(k)
	if !ok {
		s.Readings = slices.Insert(s.Readings, i, Reading{Kind: k})
	}
	s.Readings[i].Value = v
}

func (s *Snapshot) find(k Kind) (int, bool) {
	return slices.BinarySearchFunc(s.Readings, k, func(r Reading, k Kind) int { return int(r.Kind) - int(k) })
}

// Check holds that the kinds are known, and rise.
func (s *Snapshot) Check() error {
	last := Kind(0)
	for _, r := range s.Readings {
		if !r.Kind.valid() || r.Kind <= last {
			return fmt.Errorf("telemetry: reading %d after %d", r.Kind, last)
		}
		last = r.Kind
	}
	if s.At < 0 {
		return fmt.Errorf("telemetry: a snapshot at %v", s.At)
	}
	return nil
}

// Inventory is what a card says it is.
type Inventory struct {
	_            struct{} `cbor:",toarray"`
	Name         string   // marketing name
	UUID         string   // GPU- and 32 hex digits in five groups
	Serial       string   // empty on GeForce
	PCI          string   // domain:bus:device.function
	Driver       string   // version
	NVML         string   // version of the library
	CUDA         string   // the newest that the driver knows, such as 12.4
	VBIOS        string
	PCIDevice    uint32 // device id << 16 | vendor id
	PCISubsystem uint32
	Major, Minor uint8  // compute capability
	Cores        uint32 // 0: not given, as every number here
	BusBits      uint32 // width of the memory's bus
	PowerMax     uint32 // mW, the highest limit that can be set
	MIG          bool
	Confidential string // "", "off", "on", "devtools": confidential computing
}

// Process is a compute process on a card.
type Process struct {
	_      struct{} `cbor:",toarray"`
	PID    uint32   // as the driver numbers it: not this namespace's number in a container
	Name   string   // empty where it is not given
	Memory uint64   // bytes on the card; 0: not given
}

// Record is what goes into a result: the card, and snapshots before, during and
// after the work.
type Record struct {
	_         struct{} `cbor:",toarray"`
	Inventory Inventory
	Snapshots []Snapshot // by rising time
}

// MaxSnapshots bounds the snapshots of a record, so that it fits a result.
const MaxSnapshots = 12

// maxText bounds each text of an inventory and a process's name, in bytes.
const maxText = 96

// Check bounds the texts, and holds that they are printable ASCII: they come to
// terminals, logs and pages of others.
func (i *Inventory) Check() error {
	return check(i.Name, i.UUID, i.Serial, i.PCI, i.Driver, i.NVML, i.CUDA, i.VBIOS, i.Confidential)
}

// Check bounds the name, and holds that it is printable ASCII.
func (p *Process) Check() error { return check(p.Name) }

func check(texts ...string) error {
	for _, s := range texts {
		if len(s) > maxText {
			return fmt.Errorf("telemetry: a text of %d bytes, at most %d", len(s), maxText)
		}
		if strings.ContainsFunc(s, func(c rune) bool { return c < ' ' || c > '~' }) {
			return fmt.Errorf("telemetry: %q is not printable ASCII", s)
		}
	}
	return nil
}

// Check holds that inventory and snapshots are in order, and that time does not fall.
func (r *Record) Check() error {
	if err := r.Inventory.Check(); err != nil {
		return err
	}
	if len(r.Snapshots) > MaxSnapshots {
		return fmt.Errorf("telemetry: %d snapshots, at most %d", len(r.Snapshots), MaxSnapshots)
	}
	for n := range r.Snapshots {
		if err := r.Snapshots[n].Check(); err != nil {
			return err
		}
		if n > 0 && r.Snapshots[n].At < r.Snapshots[n-1].At {
			return fmt.Errorf("telemetry: snapshot %d is earlier than the one before it", n)
		}
	}
	return nil
}
