package p2p

import (
	"container/list"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
)

// Share is what all peers that are not Trusted may have of a host together. The
// rest of its room is for Trusted peers, however many strangers come.
type Share struct {
	Conns   int // connections that they opened; 0 = 256
	Streams int // streams of one protocol that are being handled; 0 = 64
}

const (
	strangerConns   = 256
	strangerStreams = 64
	// strangerGrace is how long a stranger's connection is left alone when others
	// want its place: time for a probe or an offer.
	strangerGrace = 10 * time.Second
	// trustedTag protects Trusted peers from the connection manager.
	trustedTag = "assay-trusted"
)

func (s Share) orDefault() Share {
	if s.Conns == 0 {
		s.Conns = strangerConns
	}
	if s.Streams == 0 {
		s.Streams = strangerStreams
	}
	return s
}

// watch counts the connections of strangers, oldest first.
type watch struct {
	order list.List // of network.Conn; guarded by Host.mu, like conns
	conns map[network.Conn]*list.Element
}

// isTrusted asks the Config of now: a registry changes under a running host.
func (h *Host) isTrusted(pid peer.ID) bool { return trusts(h.trusted, pid) }

// connected runs before a stream of the connection is accepted.
func (h *Host) connected(_ network.Network, c network.Conn) {
	if h.isTrusted(c.RemotePeer()) {
		h.host.ConnManager().Protect(c.RemotePeer(), trustedTag)
		return
	}
	if c.Stat().Direction != network.DirInbound {
		return // ours to bound
	}
	if cut := h.seat(c); cut != nil {
		h.log.Debug("stranger's connection cut", "peer", cut.RemotePeer().String(), "newcomer", cut == c)
		_ = cut.CloseWithError(network.ConnResourceLimitExceeded)
	}
}

// seat finds a place for a stranger's connection, and says which connection has
// to go for it, if one has: the oldest that has had its time and carries no
// stream of ours, or else the newcomer itself.
func (h *Host) seat(c network.Conn) (cut network.Conn) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.watch.order.Len() >= h.share.Conns {
		h.stats.Cut++
		old := h.oldest()
		if old == nil {
			return c
		}
		cut = h.watch.order.Remove(old).(network.Conn)
		delete(h.watch.conns, cut)
	}
	h.watch.conns[c] = h.watch.order.PushBack(c)
	return cut
}

func (h *Host) oldest() *list.Element {
	for e := h.watch.order.Front(); e != nil; e = e.Next() {
		c := e.Value.(network.Conn)
		if time.Since(c.Stat().Opened) < strangerGrace {
			return nil
		}
		if !h.host.ConnManager().IsProtected(c.RemotePeer(), "") {
			return e
		}
	}
	return nil
}

func (h *Host) disconnected(n network.Network, c network.Conn) {
	h.mu.Lock()
	if e := h.watch.conns[c]; e != nil {
		h.watch.order.Remove(e)
		delete(h.watch.conns, c)
	}
	h.mu.Unlock()
	if n.Connectedness(c.RemotePeer()) != network.Connected {
		h.host.ConnManager().Unprotect(c.RemotePeer(), trustedTag)
	}
}

// Stats are counts of a host, for metrics.
type Stats struct {
	Conns     int    // open now
	Strangers int    // of them, opened by peers that are not Trusted
	Streams   int    // open now, either side's
	Admitted  uint64 // incoming streams that reached their handler
	Limited   uint64 // incoming streams refused for their rate
	Busy      uint64 // incoming streams refused for PerPeer, the strangers' share or memory
	Cut       uint64 // strangers' connections closed for their share
}

// Stats reads the counts.
func (h *Host) Stats() Stats {
	conns := len(h.host.Network().Conns())
	h.mu.Lock()
	defer h.mu.Unlock()
	s := h.stats
	s.Conns, s.Strangers, s.Streams = conns, h.watch.order.Len(), len(h.live)
	return s
}
