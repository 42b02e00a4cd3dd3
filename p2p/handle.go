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
	_ = s.Scope().SetService(service) // accounting only
	// The memory of one frame, counted against the peer and the host.
	if err := s.Scope().ReserveMemory(limits.MaxFrame, network.ReservationPriorityAlways); err != nil {
		_ = s.ResetWithError(CodeBusy)
		log.Debug("stream refused", "err", err)
		return
	}

	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	c := newConn(s, limits)
	c.cancel = cancel
	c.forget = func() { h.remove(c) }
	key := slot{id, proto}
	if code := h.admit(c, key); code != 0 {
		_ = c.fail(errors.New("not admitted"), code)
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

// admit counts a stream in, or returns the code to refuse it with.
func (h *Host) admit(c *conn, key slot) network.StreamErrorCode {
	h.mu.Lock()
	defer h.mu.Unlock()
	switch {
	case h.closed:
		return CodeStopped
	case h.serving[key] >= c.limits.PerPeer:
		return CodeBusy
	}
	h.serving[key]++
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
