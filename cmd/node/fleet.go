package node

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/assaynet/assay/gpu"
	"github.com/assaynet/assay/gpu/worker"
	"github.com/assaynet/assay/prover"
)

const (
	// startWithin is how long a start waits for the cards. What is not ready then takes
	// no challenge until it is.
	startWithin = 60 * time.Second
	startEvery  = 20 * time.Millisecond
	probeWithin = 20 * time.Second
)

// fleet is a provider's devices with what runs them: for every card a process, one
// process that reads all cards, and what knows of tenants.
type fleet struct {
	log      *slog.Logger
	config   *Config
	path     string                    // of assay-gpu; empty: no cards
	devices  []gpu.Device              // as configured
	workers  map[string]*worker.Device // by device, of cards
	monitor  *worker.Monitor           // nil: no cards
	monitors map[string]gpu.Monitor    // by device, of cards
	tenancy  *prover.Tenancy

	group *errgroup.Group
	ctx   context.Context // ends when a part of it fails
	stop  context.CancelFunc
}

// newFleet makes the devices of a configuration. Nothing runs before start.
func newFleet(c *Config, log *slog.Logger) (*fleet, error) {
	f := &fleet{log: log, config: c, workers: make(map[string]*worker.Device), monitors: make(map[string]gpu.Monitor)}
	if len(c.cards()) > 0 {
		var err error
		if f.path, err = findWorker(c); err != nil {
			return nil, err
		}
		f.monitor = worker.NewMonitor(c.monitorConfig(f.path, log))
	}
	tenancy := prover.TenancyConfig{Ignore: c.Tenancy.Ignore, Log: log}
	for _, d := range c.Devices {
		card := prover.TenancyCard{Device: d.ID, Card: d.Card}
		if d.Card == "" {
			sim, err := d.simulate()
			if err != nil {
				return nil, err
			}
			f.devices = append(f.devices, sim)
		} else {
			monitor := f.monitor.Card(d.Card)
			w := worker.NewDevice(c.workerConfig(d, f.path, monitor, log))
			f.devices, f.workers[d.ID], f.monitors[d.ID] = append(f.devices, w), w, monitor
			card.Holder = w
			card.Own = func() []uint32 {
				if pid := w.Status().PID; pid > 0 {
					return []uint32{uint32(pid)}
				}
				return nil
			}
			if c.Tenancy.ByProcesses() {
				card.Monitor = monitor
			}
		}
		tenancy.Cards = append(tenancy.Cards, card)
	}
	if argv := c.Tenancy.Command; len(argv) > 0 {
		tenancy.Hooks = append(tenancy.Hooks, prover.Command{Argv: argv})
	}
	if c.Tenancy.File != "" {
		tenancy.Hooks = append(tenancy.Hooks, prover.File{Path: c.Tenancy.File})
	}
	var err error
	if f.tenancy, err = prover.NewTenancy(tenancy); err != nil {
		return nil, fmt.Errorf("tenancy: %w", err)
	}
	return f, nil
}

// findWorker finds the program that runs cards.
func findWorker(c *Config) (string, error) {
	if c.Worker != "" {
		path, err := exec.LookPath(c.Worker)
		if err != nil {
			return "", &StartError{"worker", err, hintWorker}
		}
		return filepath.Abs(path)
	}
	self, err := os.Executable()
	if err != nil {
		return "", err
	}
	path, err := worker.Find(self)
	if err != nil {
		return "", &StartError{"device " + c.cards()[0].ID, err, hintWorker}
	}
	return path, nil
}

// workerArgs make assay-gpu a worker.
func workerArgs() []string { return []string{"worker"} }

// setup is what every worker is told.
func (c *Config) setup(role string) worker.Setup {
	return worker.Setup{Role: role, Driver: c.Driver, NVML: c.NVML, CUBLASLt: c.CUBLASLt}
}

// monitorConfig is the process that reads all cards.
func (c *Config) monitorConfig(path string, log *slog.Logger) worker.Config {
	return worker.Config{Path: path, Args: workerArgs(), Setup: c.setup(worker.RoleMonitor), Log: log.With("worker", worker.RoleMonitor)}
}

// workerConfig is the process of a card; the monitor, if there is one, is asked for
// what the card reported when the process is gone.
func (c *Config) workerConfig(d Device, path string, monitor gpu.Monitor, log *slog.Logger) worker.Config {
	s := c.setup(worker.RoleDevice)
	s.ID, s.Model, s.Card, s.Memory = d.ID, d.Model, d.Card, d.memory()
	s.Int8Ops, s.BF16Ops, s.FP64Ops = uint64(d.Int8), uint64(d.BF16), uint64(d.FP64)
	cfg := worker.Config{Path: path, Args: workerArgs(), Setup: s, Log: log.With("worker", d.ID)}
	if monitor != nil {
		cfg.Xid = func(ctx context.Context) uint32 {
			// Without an answer there is no number, and the fault stands without it.
			xid, _ := monitor.Xid(ctx, xidWithin)
			return xid
		}
	}
	return cfg
}

// xidWithin is how long before a worker's end a card may have reported its cause.
const xidWithin = 30 * time.Second

// card is a device's UUID; empty: it is simulated.
func (f *fleet) card(device string) string {
	for _, d := range f.config.Devices {
		if d.ID == device {
			return d.Card
		}
	}
	return ""
}

// start runs it all until close.
func (f *fleet) start() {
	ctx, stop := context.WithCancel(context.Background())
	f.stop = stop
	f.group, f.ctx = errgroup.WithContext(ctx)
	ctx = f.ctx
	if f.monitor != nil {
		f.group.Go(func() error { return f.monitor.Run(ctx) })
	}
	for _, w := range f.workers {
		f.group.Go(func() error { return w.Run(ctx) })
	}
	f.group.Go(func() error { return f.tenancy.Run(ctx) })
}

// close ends every process, and waits for it.
func (f *fleet) close() error {
	f.stop()
	if err := f.group.Wait(); err != nil && !errors.Is(err, context.Canceled) {
		return err
	}
	return nil
}

// ready waits until every card can work or has a tenant. At a start, and only then,
// what is missing is an error: later it may come back.
func (f *fleet) ready(ctx context.Context) error {
	if f.monitor == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, startWithin)
	defer cancel()
	tick := time.NewTicker(startEvery)
	defer tick.Stop()
	for {
		waits, err := f.waits(ctx)
		if waits == "" || err != nil {
			return err
		}
		select {
		case <-tick.C:
			continue
		case <-f.ctx.Done():
			return context.Cause(f.ctx)
		case <-ctx.Done():
		}
		if errors.Is(ctx.Err(), context.DeadlineExceeded) {
			f.log.Warn("starts without all of its cards", "waits", waits, "after", startWithin)
			return nil
		}
		return ctx.Err()
	}
}

// waits says for what a start waits; empty: for nothing any more.
func (f *fleet) waits(ctx context.Context) (string, error) {
	switch s := f.monitor.Status(); {
	case s.State == worker.StateReady:
	case s.Fault == nil:
		return "the process that reads the cards", nil
	case speechless(s.Fault): // it is no worker, or one of another build
		return "", &StartError{"worker", s.Fault, hintWorker}
	case s.Fault.Class == gpu.FaultAbsent && f.config.Tenancy.ByProcesses():
		return "", f.withoutMonitor(ctx, s.Fault)
	}
	for _, d := range f.config.cards() {
		if f.tenancy.Status(d.ID).Present {
			continue
		}
		switch s := f.workers[d.ID].Status(); {
		case s.State == worker.StateReady:
		case s.Fault == nil:
			return f.absent(ctx, d)
		case s.Fault.Class == gpu.FaultAbsent:
			return "", missing("device "+d.ID, s.Fault.Detail, hintSimulated)
		case s.Fault.Class == gpu.FaultWrong:
			return "", &StartError{"device " + d.ID, s.Fault, hintWrong}
		} // after another fault it is tried again
	}
	return "", nil
}

// absent says why a card's worker is not even started.
func (f *fleet) absent(ctx context.Context, d Device) (string, error) {
	_, err := f.monitors[d.ID].Inventory(ctx)
	if fault, ok := errors.AsType[*gpu.Fault](err); ok && fault.Class == gpu.FaultAbsent && f.monitor.Status().State == worker.StateReady {
		return "", &StartError{"device " + d.ID, fault, "assay-gpu cards lists the UUIDs: correct card: in assay.yaml"}
	}
	if why := f.tenancy.Status(d.ID).Error; why != "" {
		return "device " + d.ID + ": " + why, nil
	}
	return "device " + d.ID, nil
}

// StartError is what a provider's start cannot do without, and what to do about it.
type StartError struct {
	What string // of the configuration
	Err  error
	Hint string
}

func (e *StartError) Error() string { return e.What + ": " + e.Err.Error() }

func (e *StartError) Unwrap() error { return e.Err }

const (
	hintSimulated = "set model: sim-100 in assay.yaml: it runs on the CPU engine, in simulated networks"
	hintWorker    = "worker: in assay.yaml names it; or set model: sim-100: it runs on the CPU engine, in simulated networks"
	hintProcesses = "set tenancy.processes: false: then only hooks and assay provider tenant tell of tenants"
	hintWrong     = "do not offer this card: checkers would prove it wrong. assay-gpu check says more"
)

// withoutMonitor says what is wrong where the cards cannot be read: a machine without
// a driver has no NVML either, and the driver is what it lacks.
func (f *fleet) withoutMonitor(ctx context.Context, fault *gpu.Fault) error {
	ctx, cancel := context.WithTimeout(ctx, probeWithin)
	defer cancel()
	args := []string{"cards"}
	if f.config.Driver != "" {
		args = append(args, "--driver", f.config.Driver)
	}
	var stderr head
	cmd := exec.CommandContext(ctx, f.path, args...)
	cmd.Stderr, cmd.WaitDelay = &stderr, time.Second
	if cmd.Run() != nil {
		line, rest, _ := strings.Cut(stderr.String(), "\n")
		if text, ok := strings.CutPrefix(line, "assay-gpu: error: "); ok {
			if own, ok := strings.CutPrefix(strings.TrimSpace(rest), "assay-gpu: hint: "); ok {
				text += hintMark + own
			}
			return missing("device "+f.config.cards()[0].ID, text, hintSimulated)
		}
	}
	return missing("tenancy.processes", fault.Detail, hintProcesses)
}

// head keeps the first of what is written.
type head struct{ strings.Builder }

func (h *head) Write(b []byte) (int, error) {
	const most = 4 << 10
	h.Builder.Write(b[:min(len(b), most-h.Len())])
	return len(b), nil
}

// hintMark is before the hint in a worker's text.
const hintMark = "; hint: "

// missing is a start's error of what a worker says; it may bring a hint of its own.
func missing(what, detail, hint string) error {
	text, own, ok := strings.Cut(detail, hintMark)
	if ok {
		hint = own + " Or " + hint
	}
	return &StartError{what, errors.New(text), hint}
}
