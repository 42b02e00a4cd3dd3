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
	Admission prover.Admission                    // nil: the default
	Network   func(prover.Network) prover.Network // decorates; nil: as it is
	Operator  string
	Region    string
	Metrics   string // host:port of metrics and health; empty: none
	Log       *slog.Logger
}

// Provider is an agent with its host and store.
type Provider struct {
	host *p2p.Host
	db   *lasting
	gate *prover.Gate // nil with another admission
	stop func()       // ends the metrics' server
	ops  errgroup.Group
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
	metrics := newMetrics()
	watchHost(metrics, host)
	if cfg.Admission == nil {
		p.gate = prover.NewGate(cfg.Registry.Params.PerEpoch)
		cfg.Admission = p.gate
	}
	var network prover.Network = host
	if cfg.Network != nil {
		network = cfg.Network(network)
	}
	agent, err := prover.New(prover.Config{
		Key: cfg.Key, Registry: cfg.Registry, Devices: cfg.Devices, Network: network, Ledger: db,
		Admission: cfg.Admission, Operator: cfg.Operator, Region: cfg.Region, Version: Version, Addrs: host.Addrs(),
		Boot: bootID(id, boots), Log: cfg.Log, Metrics: metrics,
	})
	if err == nil && cfg.Metrics != "" {
		_, err = serveOps(ctx, &p.ops, cfg.Metrics, api.Ops(metrics, agent.Ready))
	}
	if err != nil {
		return nil, errors.Join(err, p.Close())
	}
	return p, nil
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
	p.gate.Drain()
	for end := time.Now().Add(most); p.gate.Busy() && time.Now().Before(end); {
		time.Sleep(20 * time.Millisecond)
	}
}

// Close ends the host, with every stream on it, and the store.
func (p *Provider) Close() error {
	p.stop()
	return errors.Join(p.ops.Wait(), p.host.Close(), p.db.Close())
}
