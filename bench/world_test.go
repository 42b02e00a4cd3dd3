package bench

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	libp2pquic "github.com/libp2p/go-libp2p/p2p/transport/quic"
	"github.com/libp2p/go-libp2p/x/simlibp2p"
	"github.com/marcopolo/simnet"

	"github.com/assaynet/assay/challenges"
	"github.com/assaynet/assay/checker"
	"github.com/assaynet/assay/checker/client"
	"github.com/assaynet/assay/checker/committee"
	"github.com/assaynet/assay/checker/evidence"
	"github.com/assaynet/assay/checker/report"
	"github.com/assaynet/assay/gpu"
	"github.com/assaynet/assay/gpu/models"
	"github.com/assaynet/assay/p2p"
	"github.com/assaynet/assay/prover"
	"github.com/assaynet/assay/store"
)

// world is a whole network in a synctest bubble: real libp2p hosts over
// simulated links, real checkers and agents, Pebble in memory, virtual time.
type world struct {
	t        *testing.T
	registry committee.Registry
	delay    time.Duration // one way, between any two hosts
	random   io.Reader     // of the checkers; nil: the system's
	checkers []*seat
	provider []*seat
}

// seat is one node's host and store.
type seat struct {
	key  ed25519.PrivateKey
	raw  host.Host
	host *p2p.Host
	db   *store.DB
}

// newWorld starts the hosts and stores. Call it inside synctest.Test.
func newWorld(t *testing.T, checkers, providers int, delay time.Duration) *world {
	t.Helper()
	return newWorldOf(t, single(committee.Devnet()), checkers, providers, delay)
}

// single is parameters of a network that asks one device at a time.
func single(p committee.Params) committee.Params {
	p.Slots, p.FleetEvery = 0, 60_000
	return p
}

// newWorldOf is newWorld with other parameters.
func newWorldOf(t *testing.T, params committee.Params, checkers, providers int, delay time.Duration) *world {
	t.Helper()
	w := &world{t: t, delay: delay}
	w.registry = committee.Registry{
		Name: "sim", Genesis: uint64(time.Now().Add(2 * time.Second).UnixNano()), Simulated: true, Params: params,
	}
	for i := range checkers {
		w.registry.Checkers = append(w.registry.Checkers, committee.Member{ID: challenges.IDOf(simKey(i)), Name: fmt.Sprint(i), Operator: fmt.Sprint(i)})
	}
	slices.SortFunc(w.registry.Checkers, func(a, b committee.Member) int { return a.ID.Compare(b.ID) })
	net := &simnet.Simnet{
		LatencyFunc: func(*simnet.Packet) time.Duration { return w.delay },
		Logger:      slog.New(slog.DiscardHandler),
	}
	var seats []*seat
	t.Cleanup(func() {
		for _, s := range seats {
			_ = s.host.Close()
			_ = s.raw.Close()
			_ = s.db.Close()
		}
		net.Close()
	})
	for i := range checkers + providers {
		kind := store.KindChecker
		if i >= checkers {
			kind = store.KindProvider
		}
		s := &seat{key: simKey(i), raw: simHost(t, net, i)}
		var err error
		if s.host, err = p2p.Wrap(s.raw, p2p.Config{Key: s.key, Limits: challenges.Protocols()}); err != nil {
			t.Fatal(err)
		}
		s.db, err = store.Create("db", store.Meta{Kind: kind, Network: w.registry.Hash(), Node: s.host.ID()}, store.Options{FS: vfs.NewMem()})
		if err != nil {
			t.Fatal(err)
		}
		seats = append(seats, s)
	}
	for _, a := range seats {
		for _, b := range seats {
			if err := a.host.AddPeer(b.host.ID(), b.host.Addrs()); err != nil {
				t.Fatal(err)
			}
		}
	}
	w.checkers, w.provider = seats[:checkers], seats[checkers:]
	net.Start()
	return w
}

func simKey(i int) ed25519.PrivateKey {
	return ed25519.NewKeyFromSeed(bytes.Repeat([]byte{byte(i + 1)}, ed25519.SeedSize))
}

func simHost(t *testing.T, net *simnet.Simnet, i int) host.Host {
	t.Helper()
	key, err := crypto.UnmarshalEd25519PrivateKey(simKey(i))
	if err != nil {
		t.Fatal(err)
	}
	link := simnet.LinkSettings{BitsPerSecond: 20 * simlibp2p.OneMbps}
	h, err := libp2p.New(
		libp2p.Identity(key),
		libp2p.ListenAddrStrings(fmt.Sprintf("/ip4/1.0.0.%d/udp/8000/quic-v1", i+1)),
		libp2p.Transport(libp2pquic.NewTransport),
		simlibp2p.QUICSimnet(net, simnet.NodeBiDiLinkSettings{Downlink: link, Uplink: link}),
		libp2p.ResourceManager(&network.NullResourceManager{}),
		libp2p.DisableIdentifyAddressDiscovery(), // it stalls a bubble
		libp2p.ForceReachabilityPublic(),
		libp2p.DisableRelay(),
		libp2p.DisableMetrics(),
	)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

// simDevice is an honest simulated device, or one whose product is given.
func simDevice(t *testing.T, claims, runs string, p gpu.Product) gpu.Device {
	t.Helper()
	c, err := models.Lookup(claims)
	if err != nil {
		t.Fatal(err)
	}
	r, err := models.Lookup(runs)
	if err != nil {
		t.Fatal(err)
	}
	c.Memory, r.Memory = 0, 0 // its turns are of compute
	d, err := gpu.NewSim(gpu.SimConfig{ID: "gpu0", Product: p, Claims: c, Runs: r})
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// agent starts a provider's agent with decorated parts; nil parts are honest.
func (w *world) agent(i int, device gpu.Device, decorate func(prover.Network) prover.Network) *prover.Agent {
	w.t.Helper()
	if device == nil {
		device = simDevice(w.t, "sim-100", "sim-100", nil)
	}
	return w.agentOf(i, decorate, device)
}

// agentOf is agent with any number of devices.
func (w *world) agentOf(i int, decorate func(prover.Network) prover.Network, devices ...gpu.Device) *prover.Agent {
	w.t.Helper()
	s := w.provider[i]
	var net prover.Network = s.host
	if decorate != nil {
		net = decorate(net)
	}
	a, err := prover.New(prover.Config{
		Key: s.key, Registry: &w.registry, Devices: devices, Network: net, Ledger: s.db,
	})
	if err != nil {
		w.t.Fatal(err)
	}
	return a
}

// run lets every checker check all providers for whole epochs, then ends them.
func (w *world) run(epochs int, decorate func(checker.Network) checker.Network) {
	w.t.Helper()
	if err := w.tryRun(epochs, decorate); err != nil {
		w.t.Error(err)
	}
}

// tryRun is run where a checker may fail.
func (w *world) tryRun(epochs int, decorate func(checker.Network) checker.Network) error {
	w.t.Helper()
	ctx, cancel := context.WithDeadline(w.t.Context(), w.registry.Clock().Start(uint64(epochs)).Add(-time.Millisecond))
	defer cancel()
	done := make(chan error, len(w.checkers))
	for _, s := range w.checkers {
		cfg := checker.Config{Key: s.key, Registry: &w.registry, Network: s.host, Challenges: s.db, Epochs: s.db, Reports: s.db, Offers: s.db, Random: w.random}
		if decorate != nil {
			cfg.Network = decorate(s.host)
		}
		for _, p := range w.provider {
			cfg.Providers = append(cfg.Providers, p.host.ID())
		}
		c, err := checker.New(cfg)
		if err != nil {
			w.t.Fatal(err)
		}
		go func() { done <- c.Run(ctx) }()
	}
	var errs []error
	for range w.checkers {
		errs = append(errs, <-done)
	}
	return errors.Join(errs...)
}

// matmuls are the stored matmul transcripts of all checkers, oldest first; each
// is verified against the registry on the way.
func (w *world) matmuls() []client.Finding { return w.findings(challenges.Matmul) }

// computes are the proofs of compute of all kinds.
func (w *world) computes() []client.Finding {
	return append(w.findings(challenges.Matmul), w.findings(challenges.FMA)...)
}

func (w *world) findings(kind challenges.Kind) []client.Finding {
	w.t.Helper()
	var out []client.Finding
	for _, s := range w.checkers {
		infos, err := s.db.Transcripts(report.Query{Kind: kind, Limit: 1000})
		if err != nil {
			w.t.Fatal(err)
		}
		slices.Reverse(infos)
		for _, i := range infos {
			b, err := s.db.Transcript(i.Hash)
			if err != nil {
				w.t.Fatal(err)
			}
			f, err := client.Verify(b, &w.registry, evidence.NVIDIA())
			if err != nil {
				w.t.Fatal(err)
			}
			out = append(out, f)
		}
	}
	return out
}
