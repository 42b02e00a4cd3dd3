package selftest

import (
	"context"
	"io"
	"sync/atomic"
	"testing"
	"time"

	"github.com/assaynet/assay/challenges"
	"github.com/assaynet/assay/challenges/memory"
	"github.com/assaynet/assay/gpu"
	"github.com/assaynet/assay/gpu/attest/synthetic"
	"github.com/assaynet/assay/gpu/exam"
	"github.com/assaynet/assay/gpu/models"
	"github.com/assaynet/assay/gpu/telemetry"
)

const testUUID = "GPU-00000000-1111-2222-3333-444444444444"

// fakeCard computes small jobs as the processor does and sleeps through large ones:
// in a bubble they take no time. Its hooks make it fail; each is called before what
// it is named after.
type fakeCard struct {
	*gpu.CPU
	info     gpu.Info
	rates    map[challenges.Flavour]float64 // ops/s
	makes    float64                        // items/s
	walks    float64
	start    func(job gpu.Job) error
	next     func(job gpu.Job, round int) error
	fill     func(set memory.Dataset) error
	memories int
}

func (c *fakeCard) Info() gpu.Info { return c.info }

func (c *fakeCard) Start(ctx context.Context, job gpu.Job) (gpu.Run, error) {
	if c.start != nil {
		if err := c.start(job); err != nil {
			return nil, err
		}
	}
	if job.Profile.Number == 0 { // of a comparison
		return c.CPU.Start(ctx, job)
	}
	return &fakeRun{card: c, job: job, rounds: job.Profile.Rounds, took: sleepOf(float64(job.Profile.Shape.Ops()), c.rates[job.Profile.Shape.Flavour])}, nil
}

func (c *fakeCard) Fill(ctx context.Context, job gpu.MemoryJob) (gpu.Memory, error) {
	if c.fill != nil {
		if err := c.fill(job.Set); err != nil {
			return nil, err
		}
	}
	if job.Set.Number == 0 {
		return c.CPU.Fill(ctx, job)
	}
	time.Sleep(sleepOf(float64(job.Set.Items), c.makes))
	c.memories++
	return &fakeMemory{card: c, set: job.Set}, nil
}

func sleepOf(n, rate float64) time.Duration { return time.Duration(n / rate * 1e9) }

type fakeMemory struct {
	card *fakeCard
	set  memory.Dataset
}

func (m *fakeMemory) Walk(context.Context, challenges.Hash) (gpu.Run, error) {
	each := float64(m.set.Reads()) / float64(m.set.Rounds)
	return &fakeRun{card: m.card, rounds: m.set.Rounds, took: sleepOf(each, m.card.walks)}, nil
}

func (m *fakeMemory) Close() error { m.card.memories--; return nil }

type fakeRun struct {
	card   *fakeCard
	job    gpu.Job
	rounds int
	round  int
	took   time.Duration
}

func (r *fakeRun) Next(ctx context.Context) (gpu.Root, error) {
	if r.round == r.rounds {
		return gpu.Root{}, io.EOF
	}
	if r.card.next != nil {
		if err := r.card.next(r.job, r.round); err != nil {
			return gpu.Root{}, err
		}
	}
	select {
	case <-ctx.Done():
		return gpu.Root{}, context.Cause(ctx)
	case <-time.After(r.took):
	}
	r.round++
	return gpu.Root{Round: r.round - 1}, nil
}

func (r *fakeRun) Open(context.Context, int, []uint32) ([]byte, error) { return nil, nil }
func (r *fakeRun) Close() error                                        { return nil }

// fakeMonitor shows a card.
type fakeMonitor struct {
	inventory telemetry.Inventory
	readings  map[telemetry.Kind]int64
	processes []telemetry.Process
	samples   atomic.Int32
	xid       uint32

	inventoryErr, sampleErr, processesErr, attestErr error
	forgets, forged                                  bool // signs another nonce; another report than the one it gives
}

func (m *fakeMonitor) Inventory(context.Context) (telemetry.Inventory, error) {
	return m.inventory, m.inventoryErr
}

func (m *fakeMonitor) Sample(context.Context) (telemetry.Snapshot, error) {
	m.samples.Add(1)
	var s telemetry.Snapshot
	for k, v := range m.readings {
		s.Set(k, v)
	}
	return s, m.sampleErr
}

func (m *fakeMonitor) Processes(context.Context) ([]telemetry.Process, error) {
	return m.processes, m.processesErr
}

// vendor made the fake's card.
var vendor = synthetic.New([32]byte{1})

func (m *fakeMonitor) Attest(_ context.Context, nonce [32]byte) (gpu.Evidence, error) {
	if m.attestErr != nil {
		return gpu.Evidence{}, m.attestErr
	}
	if m.forgets {
		nonce[0]++
	}
	e := vendor.Card(synthetic.CardConfig{}).Sign(nonce)
	if m.forged {
		e.Report[110] ^= 1
	}
	return gpu.Evidence{Report: e.Report, Certificates: e.Chain}, nil
}

func (m *fakeMonitor) Xid(context.Context, time.Duration) (uint32, error) { return m.xid, nil }

// world is a machine with one good H100.
type world struct {
	card    *fakeCard
	monitor *fakeMonitor
	cfg     Config
}

func newWorld(t *testing.T) *world {
	t.Helper()
	spec, err := models.Lookup("h100-sxm")
	if err != nil {
		t.Fatal(err)
	}
	class, err := memory.Lookup(spec.Memories)
	if err != nil {
		t.Fatal(err)
	}
	w := &world{
		card: &fakeCard{
			CPU: gpu.NewCPU(gpu.CPUConfig{}),
			info: gpu.Info{
				ID: "gpu0", Model: spec.Name, Memory: spec.Memory, Int8Ops: spec.Int8Ops / 10 * 8,
				BF16Ops: spec.BF16Ops / 10 * 8, FP64Ops: spec.FP64Ops / 10 * 8,
			},
			rates: map[challenges.Flavour]float64{
				challenges.Int8: 0.9 * float64(spec.Int8Ops), challenges.BF16: 0.9 * float64(spec.BF16Ops), challenges.FP64: 0.9 * float64(spec.FP64Ops),
			},
			makes: 0.9 * float64(class.MakeRate), walks: 0.9 * float64(class.ReadRate),
		},
		monitor: &fakeMonitor{
			inventory: telemetry.Inventory{
				Name: "NVIDIA H100 80GB HBM3", UUID: testUUID, Driver: "550.90.07", PCIDevice: 0x233010de, Major: 9, BusBits: 5120,
			},
			readings: map[telemetry.Kind]int64{
				telemetry.MemoryTotal: 85_520_809_984, telemetry.MemoryUsed: 1 << 29, telemetry.ClockSM: 1700, telemetry.ClockSMMax: 1980,
				telemetry.ClockMemoryMax: 2619, telemetry.Power: 650_000, telemetry.PowerLimit: 700_000, telemetry.Temperature: 61,
				telemetry.Throttle: telemetry.ThrottlePowerCap, telemetry.ECCUncorrected: 0, telemetry.ECCCorrected: 3,
				telemetry.RemapPending: 0, telemetry.RemapFailed: 0, telemetry.PCIeGeneration: 5, telemetry.PCIeGenerationMax: 5,
				telemetry.PCIeWidth: 16, telemetry.PCIeWidthMax: 16,
			},
			processes: []telemetry.Process{{PID: 77, Name: "/usr/bin/assay-gpu"}},
		},
	}
	w.cfg = Config{
		Roots: vendor.Trust(),
		Devices: []Device{{
			Device: w.card, Model: spec, Card: testUUID, Monitor: w.monitor,
			Open: func(context.Context) (string, error) { return "kernels sm_90a, driver for CUDA 12.4", nil },
			Own:  func() []uint32 { return []uint32{77} },
		}},
		Worker: func(context.Context) (string, error) { return "/usr/bin/assay-gpu, version 1", nil },
		Hooks:  []Hook{{Name: "file /run/tenant", Ask: func(context.Context) (string, error) { return "free", nil }}},
		Key: func() Key {
			return Key{Path: "p/key", Mode: 0o600, Owner: 1000, User: 1000, ID: challenges.NodeID{0xab}}
		},
		Clock:   func() (Clock, error) { return Clock{Synchronised: true, Most: 12 * time.Millisecond}, nil },
		Checker: func(context.Context) (time.Duration, error) { return 300 * time.Millisecond, nil },
		Cases:   smallCases(),
	}
	return w
}

// smallCases are one of each kind.
func smallCases() []exam.Case {
	var out []exam.Case
	seen := map[challenges.Flavour]bool{}
	for _, c := range exam.Cases() {
		if c.Set.Items == 0 && !seen[c.Shape.Flavour] {
			seen[c.Shape.Flavour] = true
			out = append(out, c)
		}
	}
	for _, c := range exam.Cases() {
		if c.Set.Items > 0 {
			return append(out, c)
		}
	}
	return out
}
