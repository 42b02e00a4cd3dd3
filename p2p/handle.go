package p2p

import (
	"context"
	"errors"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/protocol"

	"github.com/assaynet/assay/challenges"
)

// Handler serves one stream that a peer opened. The stream ends when it returns:
// closed after nil, reset after an error, which then counts as the peer's fault.
// Its context ends when it returns or the host closes. It is an alias so that
// callers need not import this package to name it.
type Handler = func(ctx context.Context, peer challenges.NodeID, conn challenges.Conn) error

// Handle serves a protocol from now on, in place of an earlier handler. It
// panics on a protocol without limits. A panic in the handler is not caught.
func (h *Host) Handle(proto string, handler Handler) {
	limits, ok := h.limits[proto]
	if !ok {
		panic("p2p: handle " + proto + ": protocol without limits")
	}
	id := protocol.ID(proto)
	h.mu.Lock()
	h.protos = append(h.protos, id)
	h.mu.Unlock()
	// Not under mu: libp2p tells its subscribers from within. A stream that gets
	// through to a closed host is not admitted.
	h.host.SetStreamHandler(id, func(s network.Stream) { h.serve(proto, limits, handler, s) })
}

func (h *Host) serve(proto string, limits challenges.Limits, handler Handler, s network.Stream) {
	log := h.log.With("proto", proto, "peer", s.Conn().RemotePeer().String())
	id, err := NodeIDOf(s.Conn().RemotePeer())
	if err != nil {
		_ = s.ResetWithError(CodeProtocol)
		log.Debug("stream refused", "err", err)
		return
	}
	log = h.log.With("proto", proto, "peer", id.Short())
	key := slot{id, proto, h.isTrusted(s.Conn().RemotePeer())}
	if code, err := h.screen(s, key, limits); err != nil {
		_ = s.ResetWithError(code)
		h.count(code)
		log.Debug("stream refused", "err", err)
		return
	}

	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	c := newConn(s, limits)
	c.cancel = cancel
	c.forget = func() { h.remove(c) }
	if code := h.admit(c, key); code != 0 {
		_ = c.fail(errors.New("not admitted"), code)
		h.count(code)
		log.Debug("stream refused", "code", code)
		return
	}
	defer h.release(key)

	if err := handler(ctx, id, c); err != nil {
		_ = c.fail(err, codeOf(err))
		log.Debug("stream failed", "err", err)
		return
	}
	if err := c.Close(); err != nil {
		log.Debug("stream failed", "err", err)
	}
}

// screen holds a stream against the rates, and counts it and the memory of one
// frame against its peer, our service and the host. The memory of strangers ends
// where libp2p's medium priority does, at six tenths of each scope's.
func (h *Host) screen(s network.Stream, key slot, limits challenges.Limits) (network.StreamErrorCode, error) {
	if !h.rates[key.proto].allow(key.peer, key.trusted, s.Conn().RemoteMultiaddr()) {
		return CodeLimit, errors.New("too many streams in a short time")
	}
	if err := s.Scope().SetService(service); err != nil {
		return CodeBusy, err
	}
	priority := network.ReservationPriorityMedium
	if key.trusted {
		priority = network.ReservationPriorityAlways
	}
	if err := s.Scope().ReserveMemory(limits.MaxFrame, priority); err != nil {
		return CodeBusy, err
	}
	return 0, nil
}

// count notes a refusal.
func (h *Host) count(code network.StreamErrorCode) {
	h.mu.Lock()
	defer h.mu.Unlock()
	switch code {
	case CodeLimit:
		h.stats.Limited++
	case CodeBusy:
		h.stats.Busy++
	}
}

// admit counts a stream in, or returns the code to refuse it with.
func (h *Host) admit(c *conn, key slot) network.StreamErrorCode {
	h.mu.Lock()
	defer h.mu.Unlock()
	switch {
	case h.closed:
		return CodeStopped
	case h.serving[key] >= c.limits.PerPeer:
		return CodeBusy
	case !key.trusted && h.strange[key.proto] >= h.share.Streams:
		return CodeBusy
	}
	h.serving[key]++
	if !key.trusted {
		h.strange[key.proto]++
	}
	h.stats.Admitted++
	h.live[c] = struct{}{}
	h.handlers.Add(1)
	return 0
}

func (h *Host) release(key slot) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.serving[key]--
	if h.serving[key] == 0 {
		delete(h.serving, key)
	}
	if !key.trusted {
		h.strange[key.proto]--
	}
	h.handlers.Done()
}

// codeOf is the code for a stream that its handler gave up. Where the stream
// itself found the fault it is reset already.
func codeOf(err error) network.StreamErrorCode {
	switch {
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return CodeStopped
	default:
		return CodeHandler
	}
}
