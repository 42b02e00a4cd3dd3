package p2p

import (
	"bytes"
	"crypto/ed25519"
	"errors"
	"fmt"
	"time"

	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/p2p/muxer/yamux"
	"github.com/libp2p/go-libp2p/p2p/net/connmgr"
	"github.com/libp2p/go-libp2p/p2p/security/noise"
	"github.com/libp2p/go-libp2p/p2p/transport/quic"
	"github.com/libp2p/go-libp2p/p2p/transport/tcp"
	"github.com/multiformats/go-multiaddr"

	"github.com/assaynet/assay/challenges"
)

// service names our streams in the resource manager.
const service = "assay"

// Connections are cut from highConns down to lowConns, those of connGrace or
// younger, those of Trusted peers and those with a stream that we opened
// excepted.
const (
	lowConns  = 512
	highConns = 768
	connGrace = time.Minute
)

func newLibp2p(cfg Config) (host.Host, error) {
	if len(cfg.Key) != ed25519.PrivateKeySize {
		return nil, errors.New("no Ed25519 key")
	}
	if _, err := PeerID(challenges.IDOf(cfg.Key)); err != nil {
		return nil, err
	}
	key, err := crypto.UnmarshalEd25519PrivateKey(bytes.Clone(cfg.Key))
	if err != nil {
		return nil, err
	}
	resources, err := newResources(cfg.Trusted)
	if err != nil {
		return nil, err
	}
	conns, err := connmgr.NewConnManager(lowConns, highConns, connmgr.WithGracePeriod(connGrace))
	if err != nil {
		return nil, errors.Join(err, resources.Close())
	}
	h, err := libp2p.New(
		libp2p.Identity(key),
		libp2p.NoListenAddrs,
		libp2p.Transport(libp2pquic.NewTransport),
		libp2p.Transport(tcp.NewTCPTransport),
		libp2p.Security(noise.ID, noise.New),
		libp2p.Muxer(yamux.ID, yamux.DefaultTransport),
		libp2p.ResourceManager(resources),
		libp2p.ConnectionManager(conns),
		libp2p.UserAgent("assay"),
		libp2p.Ping(false),
		libp2p.DisableRelay(),
		libp2p.DisableMetrics(),
		libp2p.DisableIdentifyAddressDiscovery(),
		// A fixed answer to "am I reachable?" keeps the AutoNAT client from asking.
		libp2p.ForceReachabilityPublic(),
		// These stop dialling after a run of failures, which among providers
		// that are down is no sign of a broken network here.
		libp2p.UDPBlackHoleSuccessCounter(nil),
		libp2p.IPv6BlackHoleSuccessCounter(nil),
	)
	if err != nil {
		return nil, errors.Join(err, conns.Close(), resources.Close())
	}
	if err := listen(h, cfg.Listen); err != nil {
		return nil, errors.Join(err, h.Close())
	}
	return h, nil
}

// listen opens every address or fails. As an option of libp2p.New one address
// would do, and a failure would leave goroutines behind.
func listen(h host.Host, addrs []string) error {
	for _, text := range addrs {
		addr, err := multiaddr.NewMultiaddr(text)
		if err != nil {
			return fmt.Errorf("listen on %q: %w", text, err)
		}
		if err := h.Network().Listen(addr); err != nil {
			return fmt.Errorf("listen on %s: %w", text, err)
		}
	}
	return nil
}
