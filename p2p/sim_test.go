package p2p

import (
	"bytes"
	"crypto/ed25519"
	"fmt"
	"log/slog"
	"sync/atomic"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/host"
	libp2pquic "github.com/libp2p/go-libp2p/p2p/transport/quic"
	"github.com/libp2p/go-libp2p/x/simlibp2p"
	"github.com/marcopolo/simnet"

	"github.com/assaynet/assay/challenges"
)

// simDelay is the one-way delay between two simulated hosts at the start.
const simDelay = 20 * time.Millisecond

// sim is a network of real libp2p hosts over simulated links. It lives inside a
// synctest bubble, where its time is virtual.
type sim struct {
	hosts []*Host
	raw   []host.Host  // the same, for peers that break the rules
	delay atomic.Int64 // one way, in ns; an hour silences the network
}

// newSim starts n hosts with links of 20 Mbit/s that know each other's
// addresses; host i has the key simKey(i). Call it inside synctest.Test; the
// test's cleanup closes everything.
func newSim(t *testing.T, n int, limits map[string]challenges.Limits) *sim {
	t.Helper()
	return newSimOf(t, n, Config{Limits: limits})
}

// newSimOf is newSim with a whole Config, the keys excepted.
func newSimOf(t *testing.T, n int, cfg Config) *sim {
	t.Helper()
	s := &sim{}
	s.delay.Store(int64(simDelay))
	net := &simnet.Simnet{
		LatencyFunc: func(*simnet.Packet) time.Duration { return time.Duration(s.delay.Load()) },
		Logger:      slog.New(slog.DiscardHandler),
	}
	for i := range n {
		key, err := crypto.UnmarshalEd25519PrivateKey(simKey(i))
		if err != nil {
			t.Fatal(err)
		}
		resources, err := newResources(cfg.Trusted)
		if err != nil {
			t.Fatal(err)
		}
		raw := simHost(t, net, i, key, libp2p.ResourceManager(resources))
		cfg.Key = simKey(i)
		h, err := Wrap(raw, cfg)
		if err != nil {
			t.Fatal(err)
		}
		s.raw, s.hosts = append(s.raw, raw), append(s.hosts, h)
	}
	for _, a := range s.hosts {
		for _, b := range s.hosts {
			if err := a.AddPeer(b.ID(), b.Addrs()); err != nil {
				t.Fatal(err)
			}
		}
	}
	net.Start()
	t.Cleanup(func() {
		for i := range s.hosts {
			_ = s.hosts[i].Close()
			_ = s.raw[i].Close()
		}
		net.Close()
	})
	return s
}

// simHost is a libp2p host with the address 1.0.0.i+1 on the simulated network.
func simHost(t *testing.T, net *simnet.Simnet, i int, key crypto.PrivKey, more ...libp2p.Option) host.Host {
	t.Helper()
	link := simnet.LinkSettings{BitsPerSecond: 20 * simlibp2p.OneMbps}
	options := append([]libp2p.Option{
		libp2p.Identity(key),
		libp2p.ListenAddrStrings(fmt.Sprintf("/ip4/1.0.0.%d/udp/8000/quic-v1", i+1)),
		libp2p.Transport(libp2pquic.NewTransport),
		simlibp2p.QUICSimnet(net, simnet.NodeBiDiLinkSettings{Downlink: link, Uplink: link}),
		libp2p.DisableIdentifyAddressDiscovery(), // it stalls a bubble
		libp2p.ForceReachabilityPublic(),
		libp2p.DisableRelay(),
		libp2p.DisableMetrics(),
	}, more...)
	h, err := libp2p.New(options...)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

// simKey is the key of simulated host i, the same in every run.
func simKey(i int) ed25519.PrivateKey {
	return ed25519.NewKeyFromSeed(bytes.Repeat([]byte{byte(i + 1)}, ed25519.SeedSize))
}
