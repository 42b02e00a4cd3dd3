package gpu

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/assaynet/assay/gpu/models"
	"github.com/assaynet/assay/gpu/telemetry"
)

// SimMonitor shows a simulated card as a driver would show a real one: noisy figures
// that fit each other, the model and the time that passes. Whoever judges telemetry
// finds nothing in it where the card is what it says.
type SimMonitor struct {
	cfg       SimMonitorConfig
	inventory telemetry.Inventory
	total     float64 // bytes
	watts     float64

	mu     sync.Mutex
	noise  *rand.Rand
	at     time.Time // of the last sample; zero: none yet
	power  float64   // W, then
	energy float64   // mJ since the driver was loaded
	heat   float64   // degrees
}

// SimMonitorConfig describes a simulated card. A card whose Name is another model's is
// a cheat: everything else is the model's.
type SimMonitorConfig struct {
	Model  models.Spec // what the card is; a row with SMs
	Name   string      // what the driver says; "": the model's
	UUID   string      // "": one of the seed's
	Seed   uint64      // of the noise
	Busy   func() bool // whether a job runs, now; nil: never. It is called by Sample, at any time
	Attest func(ctx context.Context, nonce [32]byte) (Evidence, error)
}

// What every simulated card says of its driver, and one of Hopper's generation of its
// VBIOS. Whatever it signs must say the same.
const (
	SimDriver = "550.90.07"
	SimVBIOS  = "96.00.9F.00.01"
)

const (
	simIdle  = 0.12             // of the board's power
	simWork  = 0.93             // of the board's power
	simWarms = 15 * time.Second // until the chip is two thirds as warm as it gets
)

// NewSimMonitor makes a monitor of a simulated card.
func NewSimMonitor(cfg SimMonitorConfig) (*SimMonitor, error) {
	s := cfg.Model
	if cfg.Name == "" {
		cfg.Name = s.Names[0]
	}
	if cfg.Name == "" || s.SMs == 0 || s.PCI[0] == 0 {
		return nil, fmt.Errorf("simulated monitor: model %q has no figures of a card", s.Name)
	}
	m := &SimMonitor{cfg: cfg, noise: rand.New(rand.NewPCG(cfg.Seed, 0x51b)), watts: float64(s.Watts), total: float64(s.Memory)}
	if all := telemetry.Totals(s.Name); len(all) > 0 {
		m.total = float64(all[0])
	}
	if m.watts == 0 {
		m.watts = 400
	}
	m.energy, m.heat = 1e9+math.Floor(m.noise.Float64()*1e12), 31
	if cfg.UUID == "" {
		a, b := m.noise.Uint64(), m.noise.Uint64()
		cfg.UUID = fmt.Sprintf("GPU-%08x-%04x-%04x-%04x-%012x", a>>32, a>>16&0xffff, a&0xffff, b>>48, b&0xffffffffffff)
	}
	cores := 128
	if s.Major == 7 || s.Major == 8 && s.Minor == 0 {
		cores = 64
	}
	m.inventory = telemetry.Inventory{
		Name: cfg.Name, UUID: cfg.UUID, PCI: "0000:01:00.0", Driver: SimDriver, NVML: "12." + SimDriver, CUDA: "12.4", VBIOS: simVBIOS(s),
		PCIDevice: uint32(s.PCI[0])<<16 | 0x10de, PCISubsystem: 0x000110de, Major: uint8(s.Major), Minor: uint8(s.Minor),
		Cores: uint32(s.SMs * cores), BusBits: uint32(s.BusBits), PowerMax: uint32(m.watts * 1000),
	}
	if m.serves() {
		m.inventory.Serial, m.inventory.Confidential = fmt.Sprint(1_320_000_000_000+m.noise.Int64N(1e9)), "off"
		if cfg.Attest != nil {
			m.inventory.Confidential = "on"
		}
	}
	return m, nil
}

// serves is whether the card is no GeForce: those have no serial and no ECC.
func (m *SimMonitor) serves() bool { return !strings.Contains(m.cfg.Model.Names[0], "GeForce") }

// simVBIOS is a version of the model's generation.
func simVBIOS(s models.Spec) string {
	first := "98.02" // GB20x
	switch {
	case s.Major == 7:
		first = "90.04"
	case s.Major == 8 && s.Minor == 0:
		first = "92.00"
	case s.Major == 8 && s.Minor == 6:
		first = "94.02"
	case s.Major == 8:
		first = "95.02"
	case s.Major == 9:
		return SimVBIOS
	case s.Major == 10:
		first = "97.00"
	}
	return first + ".5E.00.01"
}

// Inventory is what the card says it is.
func (m *SimMonitor) Inventory(ctx context.Context) (telemetry.Inventory, error) {
	return m.inventory, ctx.Err()
}

// Sample reads the card. Between two samples it took the mean of their powers.
func (m *SimMonitor) Sample(ctx context.Context) (telemetry.Snapshot, error) {
	if err := ctx.Err(); err != nil {
		return telemetry.Snapshot{}, err
	}
	busy := m.cfg.Busy != nil && m.cfg.Busy()
	m.mu.Lock()
	defer m.mu.Unlock()
	around := func(v, part float64) float64 { return v * (1 + part*(2*m.noise.Float64()-1)) }
	share, warm := simIdle, 33.0
	if busy {
		share, warm = simWork, 68
	}
	now, power := time.Now(), around(m.watts*share, 0.03)
	if !m.at.IsZero() {
		passed := now.Sub(m.at)
		m.energy += (power + m.power) / 2 * passed.Seconds() * 1000
		m.heat = warm + (m.heat-warm)*math.Exp(-passed.Seconds()/simWarms.Seconds())
	}
	m.at, m.power = now, power

	s, spec := telemetry.Snapshot{}, &m.cfg.Model
	set := func(k telemetry.Kind, v float64) { s.Set(k, int64(v)) }
	boost := float64(max(spec.ClockHz, spec.TensorHz)) / 1e6
	set(telemetry.Energy, m.energy)
	set(telemetry.Power, power*1000)
	set(telemetry.PowerLimit, m.watts*1000)
	set(telemetry.ClockSMMax, boost)
	set(telemetry.ClockMemoryMax, float64(spec.MemoryHz)/1e6)
	set(telemetry.Temperature, around(m.heat, 0.02))
	set(telemetry.MemoryTotal, m.total)
	set(telemetry.MemoryReserved, m.total/200)
	set(telemetry.PCIeGenerationMax, 4)
	set(telemetry.PCIeWidthMax, 16)
	set(telemetry.PCIeWidth, 16)
	set(telemetry.PCIeReplays, 0)
	set(telemetry.Processes, 1)
	if busy {
		set(telemetry.ClockSM, around(boost*0.93, 0.03))
		set(telemetry.ClockMemory, float64(spec.MemoryHz)/1e6)
		set(telemetry.Throttle, telemetry.ThrottlePowerCap)
		set(telemetry.PerformanceState, 0)
		set(telemetry.MemoryUsed, m.total*0.985)
		set(telemetry.UtilGPU, 98+2*m.noise.Float64())
		set(telemetry.UtilMemory, around(50, 0.2))
		set(telemetry.PCIeGeneration, 4)
	} else {
		set(telemetry.ClockSM, 345)
		set(telemetry.ClockMemory, 405)
		set(telemetry.Throttle, telemetry.ThrottleIdle)
		set(telemetry.PerformanceState, 8)
		set(telemetry.MemoryUsed, m.total/100)
		set(telemetry.UtilGPU, 0)
		set(telemetry.UtilMemory, 0)
		set(telemetry.PCIeGeneration, 1)
	}
	if m.serves() {
		set(telemetry.ECC, 1)
		for _, k := range []telemetry.Kind{
			telemetry.ECCCorrected, telemetry.ECCUncorrected, telemetry.RemappedCorrectable, telemetry.RemappedUncorrectable,
			telemetry.RemapPending, telemetry.RemapFailed, telemetry.MIG,
		} {
			set(k, 0)
		}
	}
	return s, nil
}

// Processes has this program alone.
func (m *SimMonitor) Processes(ctx context.Context) ([]telemetry.Process, error) {
	return []telemetry.Process{{PID: uint32(os.Getpid()), Name: "assay-gpu"}}, ctx.Err()
}

// Attest has the card sign a nonce, where it can.
func (m *SimMonitor) Attest(ctx context.Context, nonce [32]byte) (Evidence, error) {
	if m.cfg.Attest == nil {
		return Evidence{}, fmt.Errorf("simulated card: %w", ErrNoAttestation)
	}
	return m.cfg.Attest(ctx, nonce)
}

// Xid is 0: a simulated card has no errors.
func (m *SimMonitor) Xid(ctx context.Context, _ time.Duration) (uint32, error) { return 0, ctx.Err() }
