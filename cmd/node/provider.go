package node

import (
	"crypto/ed25519"
	"encoding/binary"
	"log/slog"
	"path/filepath"

	"lukechampine.com/blake3"

	"github.com/assaynet/assay/challenges"
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
	Log       *slog.Logger
}

// Provider is an agent with its host and store.
type Provider struct {
	host *p2p.Host
	db   *store.DB
}

// CreateProvider makes the provider's store and starts its host and agent.
func CreateProvider(cfg ProviderConfig) (_ *Provider, err error) {
	id := challenges.IDOf(cfg.Key)
	db, err := store.Create(filepath.Join(cfg.Dir, "db"), store.Meta{Kind: "provider", Network: cfg.Registry.Hash(), Node: id}, store.Options{Log: cfg.Log})
	if err != nil {
		return nil, err
	}
	boots, err := db.NextBoot()
	if err != nil {
		db.Close()
		return nil, err
	}
	host, err := p2p.New(p2p.Config{Key: cfg.Key, Listen: cfg.Listen, Limits: challenges.Protocols(), Log: cfg.Log})
	if err != nil {
		db.Close()
		return nil, err
	}
	p := &Provider{host, db}
	var network prover.Network = host
	if cfg.Network != nil {
		network = cfg.Network(network)
	}
	_, err = prover.New(prover.Config{
		Key: cfg.Key, Registry: cfg.Registry, Devices: cfg.Devices, Network: network, Ledger: db,
		Admission: cfg.Admission, Operator: cfg.Operator, Version: Version, Addrs: host.Addrs(),
		Boot: bootID(id, boots), Log: cfg.Log,
	})
	if err != nil {
		p.Close()
		return nil, err
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

// Close ends the host, with every stream on it, and the store.
func (p *Provider) Close() error {
	err := p.host.Close()
	if cerr := p.db.Close(); err == nil {
		err = cerr
	}
	return err
}
