package node

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"path/filepath"
	"sync"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/errgroup"

	"github.com/assaynet/assay/challenges"
	"github.com/assaynet/assay/checker"
	"github.com/assaynet/assay/checker/api"
	"github.com/assaynet/assay/checker/committee"
	"github.com/assaynet/assay/checker/evidence"
	"github.com/assaynet/assay/p2p"
	"github.com/assaynet/assay/store"
	"github.com/assaynet/assay/store/spool"
)

// Peer is a node and where it is reached.
type Peer struct {
	ID    challenges.NodeID
	Addrs []string
}

// CheckerConfig describes a checker on disk and on the network.
type CheckerConfig struct {
	Dir      string // holds db; it must exist
	Name     string
	Key      ed25519.PrivateKey
	Registry *committee.Registry
	Listen   []string                              // multiaddrs
	API      string                                // host:port
	Metrics  string                                // host:port of metrics and health alone; empty: none
	Trust    evidence.Trust                        // what identity evidence is judged by
	Network  func(checker.Network) checker.Network // decorates; nil: as it is
	Log      *slog.Logger
}

// Checker is a checker with its host, store and API.
type Checker struct {
	cfg    CheckerConfig
	host   *p2p.Host
	db     *lasting
	apiURL string
	serve  func() error // waits for the API server
	stop   context.CancelFunc

	metrics *prometheus.Registry

	mu     sync.Mutex
	daemon *checker.Checker           // from Run on
	known  map[challenges.NodeID]bool // the providers that are checked
}

// maxSpool bounds the file that holds the openings of challenges in flight: a
// thousand of the largest profile, 2.8 MiB each.
const maxSpool = 3 << 30

// spools is a spool file as a checker sees it.
type spools struct{ *spool.File }

func (s spools) Spool() checker.Spool { return s.Open() }

// CreateChecker makes the checker's store, starts its host, and serves its API.
func CreateChecker(cfg CheckerConfig) (*Checker, error) {
	meta := store.Meta{Kind: store.KindChecker, Network: cfg.Registry.Hash(), Node: challenges.IDOf(cfg.Key)}
	db, err := store.Create(filepath.Join(cfg.Dir, "db"), meta, store.Options{Log: cfg.Log})
	if err != nil {
		return nil, err
	}
	return newChecker(cfg, newLasting(cfg.Dir, meta, cfg.Log, db))
}

// OpenChecker is CreateChecker over the store that is there; the very first time
// it makes one.
func OpenChecker(cfg CheckerConfig) (*Checker, error) {
	meta := store.Meta{Kind: store.KindChecker, Network: cfg.Registry.Hash(), Node: challenges.IDOf(cfg.Key)}
	db, err := openStore(cfg.Dir, meta, cfg.Log)
	if err != nil {
		return nil, err
	}
	return newChecker(cfg, newLasting(cfg.Dir, meta, cfg.Log, db))
}

// newChecker owns db, on an error too.
func newChecker(cfg CheckerConfig, db *lasting) (_ *Checker, err error) {
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	id := challenges.IDOf(cfg.Key)
	defer func() {
		if err != nil {
			db.Close()
		}
	}()
	c := &Checker{cfg: cfg, db: db, metrics: newMetrics()}
	host, err := p2p.New(p2p.Config{Key: cfg.Key, Listen: cfg.Listen, Limits: challenges.Protocols(), Trusted: c.trusted, Log: cfg.Log})
	if err != nil {
		return nil, err
	}
	l, err := (&net.ListenConfig{}).Listen(context.Background(), "tcp", cfg.API)
	if err != nil {
		host.Close()
		return nil, fmt.Errorf("listen for the API: %w", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	watchHost(c.metrics, host)
	c.host, c.apiURL, c.stop = host, "http://"+l.Addr().String(), cancel
	handler := api.Handler(api.Config{
		Registry: cfg.Registry, ID: id, Name: cfg.Name, Reports: db, Evidence: db, Log: cfg.Log,
		Health: c.ready, Gatherer: c.metrics,
	})
	var g errgroup.Group
	g.Go(func() error { return api.Serve(ctx, l, handler) })
	if cfg.Metrics != "" {
		ops, err := serveOps(ctx, &g, cfg.Metrics, api.Ops(c.metrics, c.ready))
		if err != nil {
			cancel()
			return nil, errors.Join(err, g.Wait(), host.Close())
		}
		cfg.Log.Info("metrics", "addr", ops)
	}
	c.serve = g.Wait
	return c, nil
}

// ID is the checker's id.
func (c *Checker) ID() challenges.NodeID { return c.host.ID() }

// API is the address of its API.
func (c *Checker) API() string { return c.apiURL }

// Run checks the given providers until ctx ends. The API is served until Close.
func (c *Checker) Run(ctx context.Context, providers []Peer) error {
	cfg := checker.Config{
		Key: c.cfg.Key, Registry: c.cfg.Registry, Network: c.host, Challenges: c.db, Epochs: c.db, Reports: c.db, Offers: c.db, Log: c.cfg.Log,
		Metrics: c.metrics, Restored: c.db, Trust: c.cfg.Trust,
	}
	if c.cfg.Network != nil {
		cfg.Network = c.cfg.Network(c.host)
	}
	var err error
	if cfg.Providers, err = c.meet(providers); err != nil {
		return err
	}
	file, err := spool.Create(c.cfg.Dir, maxSpool)
	if err != nil {
		return err
	}
	defer file.Close()
	cfg.Spools = spools{file}
	daemon, err := checker.New(cfg)
	if err != nil {
		return err
	}
	c.mu.Lock()
	c.daemon = daemon
	c.mu.Unlock()
	retaining, stop := context.WithCancel(ctx)
	var keeping errgroup.Group
	keeping.Go(func() error { c.db.retain(retaining); return nil })
	err = daemon.Run(ctx)
	stop()
	return errors.Join(err, keeping.Wait())
}

// SetTrust changes what identity evidence is judged by.
func (c *Checker) SetTrust(t evidence.Trust) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.daemon != nil {
		c.daemon.SetTrust(t)
	}
}

// ready is the daemon's health; before Run there is none.
func (c *Checker) ready() (bool, any) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.daemon == nil {
		return false, nil
	}
	return c.daemon.Ready()
}

// meet tells the host where providers are reached.
func (c *Checker) meet(providers []Peer) ([]challenges.NodeID, error) {
	ids := make([]challenges.NodeID, 0, len(providers))
	for _, p := range providers {
		if err := c.host.AddPeer(p.ID, p.Addrs); err != nil {
			return nil, err
		}
		ids = append(ids, p.ID)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.known = make(map[challenges.NodeID]bool, len(ids))
	for _, id := range ids {
		c.known[id] = true
	}
	return ids, nil
}

// trusted peers keep their share of the host when strangers flood it: the other
// checkers, and the providers that are checked.
func (c *Checker) trusted(id challenges.NodeID) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.known[id] || c.cfg.Registry.Index(id) >= 0
}

// SetProviders replaces whom to check while Run runs.
func (c *Checker) SetProviders(providers []Peer) error {
	ids, err := c.meet(providers)
	if err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.daemon != nil {
		c.daemon.SetProviders(ids)
	}
	return nil
}

// Close ends the API, the host and the store, in that order.
func (c *Checker) Close() error {
	c.stop()
	return errors.Join(c.serve(), c.host.Close(), c.db.Close())
}
