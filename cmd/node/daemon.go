package node

import (
	"cmp"
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/assaynet/assay/challenges"
	"github.com/assaynet/assay/checker/evidence"
	"github.com/assaynet/assay/cmd/node/file"
	"github.com/assaynet/assay/cmd/node/trust"
	"github.com/assaynet/assay/prover/control"
)

// DaemonConfig is what a daemon is started with.
type DaemonConfig struct {
	Dir     string              // key, assay.yaml, db
	Network string              // network.yaml; empty: the one that assay.yaml names
	Getenv  func(string) string // overrides
	Stderr  io.Writer           // the log
	Reload  <-chan struct{}     // read the files again
	Ready   func(line string)   // told once that it runs, with where it is reached
}

// drainTime is how long a provider that is stopped lets its jobs end.
const drainTime = 3 * time.Second

// files is everything that a daemon reads.
type files struct {
	config  Config
	network Network
	key     ed25519.PrivateKey
	trust   evidence.Trust // of a checker
}

func (d DaemonConfig) read() (files, error) {
	var f files
	var err error
	if f.config, err = ReadConfig(d.Dir, d.Getenv); err != nil {
		return f, err
	}
	path := f.config.Network
	if d.Network != "" {
		path = d.Network
	}
	if f.network, err = ReadNetwork(path); err != nil {
		return f, err
	}
	if f.trust, err = trust.Load(f.config.Evidence); err != nil {
		return f, err
	}
	// A simulation's root would give cards that are none a level.
	if f.trust.Simulated() && !f.network.Registry.Simulated {
		return f, fmt.Errorf("evidence: %s has roots besides NVIDIA's, and network %q is not simulated", f.config.Evidence, f.network.Registry.Name)
	}
	f.key, err = file.ReadKey(filepath.Join(d.Dir, "key"))
	return f, err
}

// Check reads a node's files as its daemon would, and prints what is in force.
func Check(d DaemonConfig, w io.Writer) error {
	f, err := d.read()
	if err != nil {
		return err
	}
	id := challenges.IDOf(f.key)
	r := &f.network.Registry
	fmt.Fprintf(w, "%s %q  %v\nnetwork   %q  %v\n", f.config.Kind, f.config.Name, id, r.Name, r.Hash())
	fmt.Fprintf(w, "rules     epochs of %v, %d checkers, simulated %v, genesis %s\n", r.Params.Epoch, len(r.Checkers), r.Simulated,
		r.Clock().Genesis.UTC().Format(time.RFC3339))
	for _, a := range f.config.Listen {
		fmt.Fprintf(w, "listen    %s\n", a)
	}
	if f.config.API != "" {
		fmt.Fprintf(w, "api       http://%s\n", f.config.API)
	}
	if f.config.Metrics != "" {
		fmt.Fprintf(w, "metrics   http://%s\n", f.config.Metrics)
	}
	if f.config.Evidence != "" {
		fmt.Fprintf(w, "evidence  %s: %d manifests, %d OCSP responses, %d roots of a simulation\n",
			f.config.Evidence, len(f.trust.Reference.RIMs), len(f.trust.Reference.OCSP), len(f.trust.Roots.Devices)-len(evidence.NVIDIA().Roots.Devices))
	}
	if f.config.Kind == KindProvider {
		f.printProvider(w, d.Dir)
	}
	fmt.Fprintf(w, "log       %s, %s\n", f.config.Log, f.config.LogFormat)
	if err := f.belongs(); err != nil || len(f.config.cards()) == 0 {
		return err
	}
	_, err = findWorker(&f.config)
	return err
}

// printProvider prints what only a provider has.
func (f files) printProvider(w io.Writer, dir string) {
	c := &f.config
	fmt.Fprintf(w, "control   %s\n", filepath.Join(dir, control.SocketName))
	for _, v := range c.Devices {
		fmt.Fprintf(w, "device    %s  %s", v.ID, v.Model)
		if v.Card != "" {
			fmt.Fprintf(w, "  %s, %d bytes, int8 %v op/s, bf16 %v op/s, fp64 %v op/s", v.Card, v.memory(), v.Int8, v.BF16, v.FP64)
		}
		fmt.Fprintln(w)
	}
	if len(c.cards()) > 0 {
		path, err := findWorker(c)
		if err != nil {
			path = "none"
		}
		fmt.Fprintf(w, "worker    %s\ndriver    %s\nnvml      %s\ncublaslt  %s\n", path, cmp.Or(c.Driver, systems), cmp.Or(c.NVML, systems),
			cmp.Or(c.CUBLASLt, systems))
	}
	var by []string
	if c.Tenancy.ByProcesses() && len(c.cards()) > 0 {
		text := "processes"
		if len(c.Tenancy.Ignore) > 0 {
			text += fmt.Sprintf(" but %q", c.Tenancy.Ignore)
		}
		by = append(by, text)
	}
	if len(c.Tenancy.Command) > 0 {
		by = append(by, fmt.Sprintf("command %q", c.Tenancy.Command))
	}
	if c.Tenancy.File != "" {
		by = append(by, "file "+c.Tenancy.File)
	}
	fmt.Fprintf(w, "tenancy   %s\n", strings.Join(append(by, "assay provider tenant"), ", "))
	ofAll, ofOne := c.Budget.limits(f.network.Registry.Simulated)
	fmt.Fprintf(w, "budget    a device and day: %s, of one checker %s\n", bounded(ofAll), bounded(ofOne))
}

// systems is where a library is looked for that is not named.
const systems = "the system's"

func bounded(d time.Duration) string {
	if d == 0 {
		return "no bound"
	}
	return d.String()
}

// belongs holds a node against the network that it is started in.
func (f files) belongs() error {
	id := challenges.IDOf(f.key)
	r := &f.network.Registry
	switch f.config.Kind {
	case KindChecker:
		if r.Index(id) < 0 {
			return fmt.Errorf("checker %v is not in network %q: add it to the file's checkers", id, r.Name)
		}
	case KindProvider:
		for i, d := range f.config.Devices {
			if d.Card == "" && !r.Simulated {
				return fmt.Errorf("devices[%d]: %s is simulated, and network %q is not simulated: it takes real cards only; assay-gpu cards lists them",
					i, d.Model, r.Name)
			}
		}
		return f.config.claims()
	}
	return nil
}

// logger makes the daemon's log; its level can be changed while it runs.
func (d DaemonConfig) logger(c Config) (*slog.Logger, *slog.LevelVar) {
	level := new(slog.LevelVar)
	if l, err := c.level(); err == nil {
		level.Set(l)
	}
	o := &slog.HandlerOptions{Level: level}
	if c.LogFormat == "json" {
		return slog.New(slog.NewJSONHandler(d.Stderr, o)), level
	}
	return slog.New(slog.NewTextHandler(d.Stderr, o)), level
}

// RunChecker runs a checker's daemon until ctx ends.
func RunChecker(ctx context.Context, d DaemonConfig) (err error) {
	f, err := d.start(KindChecker)
	if err != nil {
		return err
	}
	log, level := d.logger(f.config)
	c, err := OpenChecker(CheckerConfig{
		Dir: d.Dir, Name: f.config.Name, Key: f.key, Registry: &f.network.Registry, Listen: f.config.Listen, API: f.config.API,
		Metrics: f.config.Metrics, Trust: f.trust, Log: log,
	})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, c.Close()) }()
	log.Info("checker runs", "id", c.ID(), "network", f.network.Registry.Hash(), "api", c.API(), "providers", len(f.network.Providers))
	d.ready(fmt.Sprintf("checker %v of network %q serves %s", c.ID(), f.network.Registry.Name, c.API()))
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return c.Run(ctx, f.network.Providers) })
	g.Go(func() error {
		d.reload(ctx, f, log, level, func(n files) error {
			c.SetTrust(n.trust)
			return c.SetProviders(n.network.Providers)
		})
		return nil
	})
	err = g.Wait()
	log.Info("shutting down", "err", err)
	return err
}

// RunProvider runs a provider's daemon until ctx ends, then lets its jobs end.
func RunProvider(ctx context.Context, d DaemonConfig) (err error) {
	f, err := d.start(KindProvider)
	if err != nil {
		return err
	}
	log, level := d.logger(f.config)
	// Before anything touches a card: to the agent that runs it would be a tenant.
	if _, err := control.Dial(ctx, d.Dir); err == nil {
		return fmt.Errorf("%s: %w", d.Dir, control.ErrRuns)
	}
	fleet, err := newFleet(&f.config, log)
	if err != nil {
		return err
	}
	fleet.start()
	defer func() { err = errors.Join(err, fleet.close()) }()
	if err := fleet.ready(ctx); ctx.Err() != nil {
		return nil
	} else if err != nil {
		return err
	}
	p, err := OpenProvider(ProviderConfig{
		Dir: d.Dir, Key: f.key, Registry: &f.network.Registry, Listen: f.config.Listen, Devices: fleet.devices,
		Operator: f.config.Operator, Region: f.config.Region, Metrics: f.config.Metrics, Budget: f.config.Budget,
		Control: filepath.Join(d.Dir, control.SocketName), Log: log, fleet: fleet,
	})
	if err != nil {
		return err
	}
	// Whatever of it fails ends the rest.
	ctx, end := context.WithCancel(ctx)
	defer end()
	defer context.AfterFunc(p.ended, end)()
	defer context.AfterFunc(fleet.ctx, end)()
	defer func() { err = errors.Join(err, p.Close()) }()
	peer := p.Peer()
	log.Info("provider runs", "id", peer.ID, "network", f.network.Registry.Hash(), "addrs", peer.Addrs)
	d.ready(fmt.Sprintf("provider %v of network %q listens on %v", peer.ID, f.network.Registry.Name, peer.Addrs))
	d.reload(ctx, f, log, level, func(files) error { return nil })
	log.Info("draining")
	p.Drain(drainTime)
	log.Info("shutting down")
	return nil
}

func (d DaemonConfig) start(kind string) (files, error) {
	f, err := d.read()
	if err != nil {
		return f, err
	}
	if f.config.Kind != kind {
		return f, fmt.Errorf("%s is a %s's folder, not a %s's", d.Dir, f.config.Kind, kind)
	}
	return f, f.belongs()
}

// reloadable reports that nothing has changed but what a running daemon can take
// over.
func reloadable(old, n files) bool {
	n.config.Log = old.config.Log
	return reflect.DeepEqual(n.config, old.config) && old.key.Equal(n.key)
}

func (d DaemonConfig) ready(line string) {
	if d.Ready != nil {
		d.Ready(line)
	}
}

// reload takes over what can change while a daemon runs: the log's level and
// whom to check. Files that do not hold are refused whole; the daemon goes on
// with what it has. It returns when ctx ends.
func (d DaemonConfig) reload(ctx context.Context, f files, log *slog.Logger, level *slog.LevelVar, apply func(files) error) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-d.Reload:
		}
		n, err := d.read()
		switch {
		case err != nil:
		case n.network.Registry.Hash() != f.network.Registry.Hash():
			err = errors.New("the file describes another network: that needs a restart with another folder")
		case !slices.Equal(n.config.Listen, f.config.Listen) || n.config.API != f.config.API || n.config.Metrics != f.config.Metrics:
			err = errors.New("addresses have changed: that needs a restart")
		case !slices.Equal(n.config.Devices, f.config.Devices):
			err = errors.New("devices have changed: that needs a restart")
		case !reloadable(f, n):
			err = errors.New("more than the log's level and the providers has changed: that needs a restart")
		default:
			err = apply(n)
		}
		if err != nil {
			log.Error("reload refused", "err", err)
			continue
		}
		if l, err := n.config.level(); err == nil {
			level.Set(l)
		}
		log.Info("reloaded", "providers", len(n.network.Providers), "log", n.config.Log)
	}
}
