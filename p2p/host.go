package p2p

import (
	"container/list"
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync"

	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/peerstore"
	"github.com/libp2p/go-libp2p/core/protocol"
	"github.com/libp2p/go-libp2p/p2p/net/swarm"
	"github.com/multiformats/go-multiaddr"

	"github.com/assaynet/assay/challenges"
)

// maxAddrs bounds the addresses of one peer: every one of them is dialled, so a
// long list would turn our dials on strangers.
const maxAddrs = 16

// Config is what a host needs.
type Config struct {
	Key    ed25519.PrivateKey           // the node's identity
	Listen []string                     // multiaddrs, such as /ip4/127.1.0.1/udp/0/quic-v1; empty = dial only
	Limits map[string]challenges.Limits // by protocol; one without a row can be neither handled nor opened
	Log    *slog.Logger                 // nil = discard

	Rates map[string]Rate // of incoming streams, by protocol; DefaultRate for those left out
	// Trusted reports the peers that strangers must not crowd out, such as the
	// members of the registry. It is asked anew for each connection and each stream,
	// from many goroutines. nil = nobody.
	Trusted   func(challenges.NodeID) bool
	Strangers Share // what everybody else may have together
}

// Host is a node on the network. Its methods may be called from any goroutine.
type Host struct {
	host   host.Host
	owned  bool // Close closes host too
	id     challenges.NodeID
	limits map[string]challenges.Limits
	log    *slog.Logger

	rates    map[string]*rates // by protocol, one for each of limits
	trusted  func(challenges.NodeID) bool
	share    Share
	notifiee network.Notifiee

	handlers sync.WaitGroup // running handlers; Add only under mu, while not closed

	mu      sync.Mutex
	closed  bool
	protos  []protocol.ID // with a handler
	live    map[*conn]struct{}
	serving map[slot]int
	strange map[string]int // streams of strangers being handled, by protocol
	watch   watch
	stats   Stats
}

// slot is what the PerPeer limit counts by.
type slot struct {
	peer    challenges.NodeID
	proto   string
	trusted bool // when the stream came
}

// New starts a host over QUIC and TCP (noise, yamux) that listens on all of
// cfg.Listen. It neither relays nor maps ports nor looks for peers.
func New(cfg Config) (*Host, error) {
	h, err := newLibp2p(cfg)
	if err != nil {
		return nil, fmt.Errorf("new host: %w", err)
	}
	wrapped, err := Wrap(h, cfg)
	if err != nil {
		_ = h.Close()
		return nil, err
	}
	wrapped.owned = true
	return wrapped, nil
}

// Wrap is New over a libp2p host that exists, for simulated networks. Whoever
// made that host closes it, after the Close of what Wrap returns. cfg.Listen
// says nothing here; cfg.Key, if there, must be that host's.
func Wrap(h host.Host, cfg Config) (*Host, error) {
	id, err := NodeIDOf(h.ID())
	if err != nil {
		return nil, fmt.Errorf("wrap host: %w", err)
	}
	if cfg.Key != nil && (len(cfg.Key) != ed25519.PrivateKeySize || challenges.IDOf(cfg.Key) != id) {
		return nil, errors.New("wrap host: key of another node")
	}
	for proto, l := range cfg.Limits {
		if l.MaxFrame <= 0 || l.MaxFrame > maxLength || l.MaxBytes <= 0 || l.Idle <= 0 || l.Total <= 0 || l.PerPeer <= 0 {
			return nil, fmt.Errorf("wrap host: %s: no limits: %+v", proto, l)
		}
	}
	buckets := make(map[string]*rates)
	for proto := range cfg.Limits {
		r, ok := cfg.Rates[proto]
		if !ok {
			r = DefaultRate()
		}
		if r.PerPeer <= 0 || r.PerAddr <= 0 || r.Burst <= 0 {
			return nil, fmt.Errorf("wrap host: %s: no rates: %+v", proto, r)
		}
		buckets[proto] = newRates(r)
	}
	log := cfg.Log
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	wrapped := &Host{
		host:    h,
		id:      id,
		limits:  maps.Clone(cfg.Limits),
		log:     log,
		rates:   buckets,
		trusted: cfg.Trusted,
		share:   cfg.Strangers.orDefault(),
		live:    make(map[*conn]struct{}),
		serving: make(map[slot]int),
		strange: make(map[string]int),
		watch:   watch{conns: make(map[network.Conn]*list.Element)},
	}
	wrapped.notifiee = &network.NotifyBundle{ConnectedF: wrapped.connected, DisconnectedF: wrapped.disconnected}
	h.Network().Notify(wrapped.notifiee)
	return wrapped, nil
}

// ID is the node's own identity.
func (h *Host) ID() challenges.NodeID { return h.id }

// Addrs lists the addresses the host listens on, without a /p2p part and with an
// unspecified IP replaced by those of the machine.
func (h *Host) Addrs() []string {
	// Not host.Addrs, which learns of a listener only some time later.
	listening, err := h.host.Network().InterfaceListenAddresses()
	if err != nil {
		h.log.Error("list addresses", "err", err)
	}
	var addrs []string
	for _, a := range listening {
		addrs = append(addrs, a.String())
	}
	return addrs
}

// AddPeer sets where a peer is dialled; addresses it had before are forgotten.
// At most 16 are taken. A /p2p part must name the peer.
func (h *Host) AddPeer(id challenges.NodeID, addrs []string) error {
	pid, err := PeerID(id)
	if err != nil {
		return fmt.Errorf("add peer: %w", err)
	}
	if len(addrs) > maxAddrs {
		return fmt.Errorf("add peer %s: %d addresses, at most %d", id.Short(), len(addrs), maxAddrs)
	}
	var next []multiaddr.Multiaddr
	for _, text := range addrs {
		addr, err := multiaddr.NewMultiaddr(text)
		if err != nil {
			return fmt.Errorf("add peer %s: %w", id.Short(), err)
		}
		bare, named := peer.SplitAddr(addr)
		if len(bare) == 0 || named != "" && named != pid {
			return fmt.Errorf("add peer %s: no address of that peer: %s", id.Short(), text)
		}
		next = append(next, bare)
	}
	if id == h.id {
		return nil // our own addresses are the listeners'
	}
	// New before old, so that a dial under way never finds none at all.
	book := h.host.Peerstore()
	book.AddAddrs(pid, next, peerstore.PermanentAddrTTL)
	stale := slices.DeleteFunc(book.Addrs(pid), func(old multiaddr.Multiaddr) bool {
		return slices.ContainsFunc(next, old.Equal)
	})
	book.SetAddrs(pid, stale, 0)
	return nil
}

// Open dials the peer unless it is connected and opens a stream. ctx bounds
// this call, ten seconds if it has no deadline, and not the stream's life.
// Whatever keeps the stream from opening wraps ErrDial, and the context's error
// if that was it; our own resource limits do not, for they say nothing of the
// peer. The caller closes the stream.
func (h *Host) Open(ctx context.Context, to challenges.NodeID, proto string) (challenges.Conn, error) {
	limits, ok := h.limits[proto]
	if !ok {
		return nil, fmt.Errorf("open %s: protocol without limits", proto)
	}
	pid, err := PeerID(to)
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", proto, err)
	}
	if s, ok := h.host.Network().(interface{ Backoff() *swarm.DialBackoff }); ok {
		// A dial skipped for our own backoff would count as the peer's absence.
		s.Backoff().Clear(pid)
	}
	s, err := h.host.NewStream(network.WithAllowLimitedConn(ctx, "assay"), pid, protocol.ID(proto))
	if err == nil {
		if err = s.Scope().SetService(service); err != nil {
			_ = s.Reset()
		}
	}
	if errors.Is(err, network.ErrResourceLimitExceeded) {
		return nil, fmt.Errorf("open %s to %s: %w", proto, to.Short(), err)
	}
	if err != nil {
		err = fmt.Errorf("open %s to %s: %w: %w", proto, to.Short(), challenges.ErrDial, err)
		if ctx.Err() != nil && !errors.Is(err, ctx.Err()) {
			err = fmt.Errorf("%w: %w", err, ctx.Err())
		}
		return nil, err
	}
	c := newConn(s, limits)
	tag := s.ID() // unique on this host
	h.host.ConnManager().Protect(pid, tag)
	c.forget = func() {
		h.remove(c)
		h.host.ConnManager().Unprotect(pid, tag)
	}
	if !h.add(c) {
		err := c.fail(fmt.Errorf("%w: host closed", challenges.ErrDial), CodeStopped)
		return nil, fmt.Errorf("open %s to %s: %w", proto, to.Short(), err)
	}
	return c, nil
}

// Close resets every live stream, ends the handlers' contexts and waits for the
// handlers to return, so none of them may call it.
func (h *Host) Close() error {
	h.mu.Lock()
	first := !h.closed
	h.closed = true
	live := slices.Collect(maps.Keys(h.live))
	protos := h.protos
	h.mu.Unlock()

	for _, proto := range protos {
		h.host.RemoveStreamHandler(proto)
	}
	for _, c := range live {
		c.cancel()
		_ = c.fail(fmt.Errorf("%w: host closed", challenges.ErrReset), CodeStopped)
	}
	h.handlers.Wait()
	h.host.Network().StopNotify(h.notifiee)
	if h.owned && first {
		if err := h.host.Close(); err != nil {
			return fmt.Errorf("close host: %w", err)
		}
	}
	return nil
}

// add takes a stream into Close's care, unless that has begun.
func (h *Host) add(c *conn) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed {
		return false
	}
	h.live[c] = struct{}{}
	return true
}

func (h *Host) remove(c *conn) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.live, c)
}
