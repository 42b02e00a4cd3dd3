package node

import (
	"context"
	"crypto/ed25519"
	"encoding/binary"
	"errors"
	"log/slog"
	"path/filepath"
	"time"

	"golang.org/x/sync/errgroup"
	"lukechampine.com/blake3"

	"github.com/assaynet/assay/challenges"
	"github.com/assaynet/assay/checker/api"
	"github.com/assaynet/assay/checker/committee"
	"github.com/assaynet/assay/gpu"
	"github.com/assaynet/assay/p2p"
	"github.com/assaynet/assay/prover"
	"github.com/assaynet/assay/prover/control"
	"github.com/assaynet/assay/store"
)

// Version is what offers name as the agent.
const Version = "assay/0.1"

// ProviderConfig describes a provider on disk and on the network.
type ProviderConfig struct {
	Dir       string // holds db; it must exist
	Key       ed25519.PrivateKey
	Registry  *committee.Registry
	Listen    []string // multiaddrs
	Devices   []gpu.Device
	Monitors  map[string]gpu.Monitor              // of simulated devices, by device; those of cards are the fleet's
	Admission prover.Admission                    // nil: the default
	Network   func(prover.Network) prover.Network // decorates; nil: as it is
	Operator  string
	Region    string
	Metrics   string // host:port of metrics and health; empty: none
	Budget    Budget // of the default admission; the network's defaults where it has none
	Control   string // path of the control socket; empty: none
	Log       *slog.Logger

	fleet *fleet // runs Devices and knows their tenants; nil: nothing does
}

// Provider is an agent with its host and store.
type Provider struct {
	host  *p2p.Host
	db    *lasting
	gate  *prover.Gate // nil with another admission
	stop  func()       // ends the metrics' server and the control socket
	ops   *errgroup.Group
	ended context.Context // when one of them fails, or Close is called
}

// CreateProvider makes the provider's store and starts its host and agent.
func CreateProvider(cfg ProviderConfig) (*Provider, error) {
	meta := store.Meta{Kind: store.KindProvider, Network: cfg.Registry.Hash(), Node: challenges.IDOf(cfg.Key)}
	db, err := store.Create(filepath.Join(cfg.Dir, "db"), meta, store.Options{Log: cfg.Log})
	if err != nil {
		return nil, err
	}
	return newProvider(cfg, newLasting(cfg.Dir, meta, cfg.Log, db))
}

// OpenProvider is CreateProvider over the store that is there; the very first
// time it makes one.
func OpenProvider(cfg ProviderConfig) (*Provider, error) {
	meta := store.Meta{Kind: store.KindProvider, Network: cfg.Registry.Hash(), Node: challenges.IDOf(cfg.Key)}
	db, err := openStore(cfg.Dir, meta, cfg.Log)
	if err != nil {
		return nil, err
	}
	return newProvider(cfg, newLasting(cfg.Dir, meta, cfg.Log, db))
}

// newProvider owns db, on an error too.
func newProvider(cfg ProviderConfig, db *lasting) (*Provider, error) {
	id := challenges.IDOf(cfg.Key)
	boots, err := read(db, (*store.DB).NextBoot)
	if err != nil {
		db.Close()
		return nil, err
	}
	// Checkers keep their share of the host when strangers flood it.
	trusted := func(id challenges.NodeID) bool { return cfg.Registry.Index(id) >= 0 }
	host, err := p2p.New(p2p.Config{Key: cfg.Key, Listen: cfg.Listen, Limits: challenges.Protocols(), Trusted: trusted, Log: cfg.Log})
	if err != nil {
		db.Close()
		return nil, err
	}
	ctx, cancel := context.WithCancel(context.Background())
	p := &Provider{host: host, db: db, stop: cancel}
	p.ops, p.ended = errgroup.WithContext(ctx)
	p.ops.Go(func() error { db.retain(p.ended); return nil })
	if err := p.start(cfg, bootID(id, boots)); err != nil {
		return nil, errors.Join(err, p.Close())
	}
	return p, nil
}

// start makes the agent and serves what belongs to it.
func (p *Provider) start(cfg ProviderConfig, boot [16]byte) error {
	metrics := newMetrics()
	watchHost(metrics, p.host)
	if cfg.Admission == nil {
		var err error
		if p.gate, err = newGate(cfg, p.db, time.Now()); err != nil {
			return err
		}
		cfg.Admission = p.gate
	}
	var network prover.Network = p.host
	if cfg.Network != nil {
		network = cfg.Network(network)
	}
	c := prover.Config{
		Key: cfg.Key, Registry: cfg.Registry, Devices: cfg.Devices, Network: network, Ledger: p.db, Copies: p.db,
		Admission: cfg.Admission, Operator: cfg.Operator, Region: cfg.Region, Version: Version, Addrs: p.host.Addrs(),
		Boot: boot, Log: cfg.Log, Metrics: metrics, Monitors: cfg.Monitors,
	}
	if f := cfg.fleet; f != nil {
		c.Tenants, c.Monitors = f.tenancy, f.monitors
		watchFleet(metrics, f)
	}
	watchGate(metrics, p.gate)
	agent, err := prover.New(c)
	if err != nil {
		return err
	}
	if cfg.Metrics != "" {
		if _, err := serveOps(p.ended, p.ops, cfg.Metrics, api.Ops(metrics, agent.Ready)); err != nil {
			return err
		}
	}
	if cfg.Control == "" {
		return nil
	}
	l, err := control.Listen(cfg.Control)
	if err != nil {
		return err
	}
	o := &owner{
		id: agent.ID(), dir: cfg.Dir, network: cfg.Registry.Hash(), since: time.Now(), devices: cfg.Devices, fleet: cfg.fleet,
		gate: p.gate, db: p.db, agent: agent, metrics: metrics, log: logOf(cfg.Log),
	}
	server := control.New(control.Config{Agent: o, Records: o, Log: cfg.Log})
	p.ops.Go(func() error { return server.Serve(p.ended, l) })
	return nil
}

// newGate makes the default admission. A restart frees no budget and ends no drain.
func newGate(cfg ProviderConfig, db *lasting, now time.Time) (*prover.Gate, error) {
	c := prover.GateConfig{PerEpoch: cfg.Registry.Params.PerEpoch}
	c.GPUPerDay, c.CheckerPerDay = cfg.Budget.limits(cfg.Registry.Simulated)
	var err error
	if c.Uses, err = usesSince(db, now.Add(-prover.Day)); err != nil {
		return nil, err
	}
	gate := prover.NewGate(c)
	until, drained, err := readDrain(cfg.Dir, now)
	if err != nil {
		return nil, err
	}
	if drained {
		gate.Drain(until)
		logOf(cfg.Log).Info("starts drained", "until", until)
	}
	return gate, nil
}

// usesSince lists what was used since a time, and perhaps more.
func usesSince(db *lasting, since time.Time) ([]prover.Used, error) {
	for limit := 1 << 10; ; limit *= 4 {
		rows, err := read(db, func(db *store.DB) ([]store.UseRecord, error) { return db.Uses(limit) })
		if err != nil {
			return nil, err
		}
		// They are ordered by their start: one that began before may have ended since.
		if n := len(rows); n < limit || rows[n-1].At < since.Add(-time.Hour).UnixNano() {
			out := make([]prover.Used, n)
			for i, u := range rows {
				out[i] = prover.Used{ID: u.ID, Checker: u.Checker, Device: u.Device, Epoch: u.Epoch, At: u.At, Ended: u.Ended}
			}
			return out, nil
		}
	}
}

func logOf(log *slog.Logger) *slog.Logger {
	if log == nil {
		return slog.New(slog.DiscardHandler)
	}
	return log
}

// bootID is unique to each start of a provider.
func bootID(id challenges.NodeID, boots uint64) [16]byte {
	var out [16]byte
	material := binary.BigEndian.AppendUint64(id[:], boots)
	blake3.DeriveKey(out[:], "assay/boot/v1", material)
	return out
}

// Peer is the provider and where it is reached.
func (p *Provider) Peer() Peer { return Peer{p.host.ID(), p.host.Addrs()} }

// Drain refuses new jobs, and waits at most so long for those that run.
func (p *Provider) Drain(most time.Duration) {
	if p.gate == nil {
		return
	}
	p.gate.Drain(time.Time{})
	for end := time.Now().Add(most); p.gate.Busy() && time.Now().Before(end); {
		time.Sleep(20 * time.Millisecond)
	}
}

// Close ends the host, with every stream on it, and the store.
func (p *Provider) Close() error {
	p.stop()
	return errors.Join(p.ops.Wait(), p.host.Close(), p.db.Close())
}
