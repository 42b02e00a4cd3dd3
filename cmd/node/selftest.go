package node

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/assaynet/assay/challenges"
	"github.com/assaynet/assay/cmd/node/file"
	"github.com/assaynet/assay/gpu"
	"github.com/assaynet/assay/gpu/models"
	"github.com/assaynet/assay/gpu/worker"
	"github.com/assaynet/assay/prover"
	"github.com/assaynet/assay/prover/control"
	"github.com/assaynet/assay/prover/selftest"
)

// SelftestReport is what a self-test found.
type SelftestReport = selftest.Report

// SelftestLine is one check of it.
type SelftestLine = selftest.Line

// Verdicts of a self-test and its lines.
const (
	SelftestOK         = selftest.OK
	SelftestWarn       = selftest.Warn
	SelftestSkip       = selftest.Skip
	SelftestFail       = selftest.Fail
	SelftestIncomplete = selftest.Incomplete
)

// SelftestYAML is the part of assay.yaml that offers what a self-test has measured.
func SelftestYAML(r SelftestReport) string { return selftest.YAML(r.Claims) }

// SelftestConfig says what is examined of a provider's folder.
type SelftestConfig struct {
	Dir      string
	Getenv   func(string) string
	Devices  []string                        // ids; empty: all
	For      time.Duration                   // 0: quick
	Bundle   string                          // path of a zip to write; empty: none
	Checker  string                          // URL of a checker's API, whose clock is compared; empty: none is
	Progress func(done, of int, what string) // may be nil
	tune     func(*selftest.Config)          // of tests; may be nil
}

// ErrInput marks what is wrong with the folder or the arguments, before anything is
// examined.
var ErrInput = errors.New("self-test")

// Selftest examines the machine of a provider's folder, while no agent runs its cards.
// It does not open the store. A report that comes with an error is whole, but its
// bundle could not be written.
func Selftest(ctx context.Context, c SelftestConfig) (SelftestReport, error) {
	t, err := newSelftest(c)
	if err != nil {
		return SelftestReport{}, fmt.Errorf("%w: %w", ErrInput, err)
	}
	if len(t.config.cards()) > 0 {
		// To an agent our own worker would be a tenant, for whom it gives its run up.
		if _, err := control.Dial(ctx, c.Dir); err == nil {
			return SelftestReport{}, fmt.Errorf("%w: %s: %w: stop it first", ErrInput, c.Dir, control.ErrRuns)
		}
	}
	end := t.start(ctx)
	r, err := selftest.Run(ctx, t.test)
	if err = errors.Join(err, end()); err != nil || c.Bundle == "" {
		return r, err
	}
	return r, selftest.WriteBundleFile(c.Bundle, t.bundle(r))
}

// selftester is a self-test with the processes that run its cards.
type selftester struct {
	cfg     SelftestConfig
	config  Config
	test    selftest.Config
	monitor *worker.Monitor // nil: no cards, or nothing to run them
	workers []*worker.Device
}

func newSelftest(c SelftestConfig) (*selftester, error) {
	t := &selftester{cfg: c}
	var err error
	if t.config, err = ReadConfig(c.Dir, c.Getenv); err != nil {
		return nil, err
	}
	if t.config.Kind != KindProvider {
		return nil, fmt.Errorf("%s is a %s's folder, not a provider's", c.Dir, t.config.Kind)
	}
	if c.Bundle != "" {
		if err := selftest.CheckBundle(c.Bundle); err != nil {
			return nil, err
		}
	}
	t.test = selftest.Config{
		Key: t.key, Clock: selftest.KernelClock, For: c.For, Progress: c.Progress, Versions: selftest.VersionsHere(Version),
	}
	if c.Checker != "" {
		if t.test.Checker, err = selftest.CheckerClock(c.Checker); err != nil {
			return nil, err
		}
	}
	if err := t.choose(); err != nil {
		return nil, err
	}
	if c.tune != nil {
		c.tune(&t.test)
	}
	return t, nil
}

// choose makes the devices that are asked for.
func (t *selftester) choose() error {
	chosen := t.config.Devices
	if ids := t.cfg.Devices; len(ids) > 0 {
		chosen = nil
		for _, id := range ids {
			i := slices.IndexFunc(t.config.Devices, func(d Device) bool { return d.ID == id })
			if i < 0 {
				return fmt.Errorf("device %q: not in %s", id, filepath.Join(t.cfg.Dir, ConfigName))
			}
			chosen = append(chosen, t.config.Devices[i])
		}
	}
	t.config.Devices = chosen
	path, missing := "", error(nil)
	if len(t.config.cards()) > 0 {
		if path, missing = findWorker(&t.config); missing == nil {
			t.monitor = worker.NewMonitor(t.config.monitorConfig(path, slog.New(slog.DiscardHandler)))
		}
		t.test.Worker = func(ctx context.Context) (string, error) {
			if missing != nil {
				return "", missing
			}
			return t.speaks(ctx, path)
		}
	}
	for _, d := range chosen {
		spec, err := models.Lookup(d.Model)
		if err != nil {
			return err
		}
		one := selftest.Device{Model: spec, Card: d.Card}
		if d.Card == "" {
			one.Device, err = d.simulate()
		} else {
			t.card(d, path, &one)
		}
		if err != nil {
			return err
		}
		t.test.Devices = append(t.test.Devices, one)
		t.test.Hooks = append(t.test.Hooks, t.hooks(d)...)
	}
	return nil
}

// card puts a process behind a device.
func (t *selftester) card(d Device, path string, one *selftest.Device) {
	if t.monitor != nil {
		one.Monitor = t.monitor.Card(d.Card)
	}
	w := worker.NewDevice(t.config.workerConfig(d, path, one.Monitor, slog.New(slog.DiscardHandler)))
	one.Device = w
	one.Open = func(ctx context.Context) (string, error) { return opened(ctx, w) }
	one.Own = func() []uint32 {
		if pid := w.Status().PID; pid > 0 {
			return []uint32{uint32(pid)}
		}
		return nil
	}
	t.workers = append(t.workers, w)
}

// start runs the processes, until the function that it returns has ended them.
func (t *selftester) start(ctx context.Context) (end func() error) {
	if t.monitor == nil {
		return func() error { return nil }
	}
	// After Ctrl-C a report still asks how they are: they end with the function alone.
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return t.monitor.Run(ctx) })
	for _, w := range t.workers {
		g.Go(func() error { return w.Run(ctx) })
	}
	return func() error {
		cancel()
		return g.Wait()
	}
}

// openWithin is how long a worker may take to open its card and to check its
// kernels, with another try.
const openWithin = 5 * time.Minute

// opened waits until a card can work. What does not come by itself is an error at
// once, other faults after a second start.
func opened(ctx context.Context, w *worker.Device) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, openWithin)
	defer cancel()
	before := w.Status().Starts
	for {
		changed := w.Changed()
		s := w.Status()
		if ok, _ := w.Ready(); ok {
			return s.About, nil
		}
		if f := s.Fault; f != nil && s.State == worker.StateWaiting {
			if f.Class == gpu.FaultAbsent || f.Class == gpu.FaultWrong || s.Starts > max(before, 1) {
				return "", f
			}
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return "", fmt.Errorf("open the card: %w", context.Cause(ctx))
		}
	}
}

// speaks waits until the monitor's process is ready, or says why it is not. That a
// library is missing is no fault of the program: the line of the card says it.
func (t *selftester) speaks(ctx context.Context, path string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, openWithin)
	defer cancel()
	about := fmt.Sprintf("%s, version %d of the protocol", path, worker.Version)
	for {
		changed := t.monitor.Changed()
		s := t.monitor.Status()
		switch {
		case s.State == worker.StateReady:
			return about, nil
		case s.Fault != nil && speechless(s.Fault):
			return "", s.Fault
		case s.Fault != nil:
			return about, nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return "", fmt.Errorf("start %s: %w", path, context.Cause(ctx))
		}
	}
}

// speechless is whether a fault came before a worker had anything to say of a card.
func speechless(f *gpu.Fault) bool {
	switch f.Class {
	case gpu.FaultCrash, gpu.FaultHang:
		return true
	}
	return strings.HasPrefix(f.Detail, "worker ") || strings.Contains(f.Detail, "of the worker's protocol")
}

// hooks are those of a device.
func (t *selftester) hooks(d Device) []selftest.Hook {
	ask := func(h prover.Hook) func(ctx context.Context) (string, error) {
		return func(ctx context.Context) (string, error) {
			tenant, there, err := h.Tenant(ctx, prover.Card{Device: d.ID, UUID: d.Card})
			switch {
			case err != nil:
				return "", err
			case !there:
				return d.ID + " is free", nil
			case tenant.Until.IsZero():
				return d.ID + " has a tenant: " + tenant.By, nil
			}
			return fmt.Sprintf("%s has a tenant until %s: %s", d.ID, tenant.Until.Format(time.RFC3339), tenant.By), nil
		}
	}
	var out []selftest.Hook
	if argv := t.config.Tenancy.Command; len(argv) > 0 {
		out = append(out, selftest.Hook{Name: "command " + filepath.Base(argv[0]), Ask: ask(prover.Command{Argv: argv})})
	}
	if path := t.config.Tenancy.File; path != "" {
		out = append(out, selftest.Hook{Name: "file " + filepath.Base(path), Ask: ask(prover.File{Path: path})})
	}
	return out
}

// key looks at the key's file.
func (t *selftester) key() selftest.Key {
	k := selftest.StatKey(filepath.Join(t.cfg.Dir, "key"))
	key, err := file.ReadKey(k.Path)
	if k.Err = err; err == nil {
		k.ID = challenges.IDOf(key)
	}
	return k
}

// bundle is what goes with a report. A file that is not there is empty.
func (t *selftester) bundle(r selftest.Report) selftest.Bundle {
	config, _ := readConfig(filepath.Join(t.cfg.Dir, ConfigName))
	network, _ := readConfig(t.config.Network)
	return selftest.Bundle{Report: r, Config: config, Network: network, Never: selftest.Secret(filepath.Join(t.cfg.Dir, "key"))}
}
