package p2p

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/protocol"
	"github.com/multiformats/go-multiaddr"
	"github.com/multiformats/go-multistream"

	"github.com/assaynet/assay/challenges"
)

// Codes that a reset carries to the peer. libp2p's own start at 0x1000.
const (
	CodeProtocol network.StreamErrorCode = 1 // not frames, or not an acceptable key
	CodeLimit    network.StreamErrorCode = 2 // over the limits or the rates of the protocol
	CodeBusy     network.StreamErrorCode = 3 // one stream more than a peer, or all strangers, may have open
	CodeStopped  network.StreamErrorCode = 4 // this side's context ended or its host closed
	CodeHandler  network.StreamErrorCode = 5 // the handler gave up; frames before it may say why
)

// closeWait bounds a Close whose peer has not yet answered the negotiation.
const closeWait = 2 * time.Second

// errClosed is what a stream answers after its Close.
var errClosed = fmt.Errorf("%w: closed on this side", challenges.ErrReset)

// conn is a stream of frames; it is the [challenges.Conn] of this package.
type conn struct {
	stream  network.Stream
	limits  challenges.Limits
	end     time.Time   // when the stream's life is over
	relayed bool        // the connection goes through a relay
	heard   atomic.Bool // a frame has arrived, so the peer speaks the protocol

	cancel context.CancelFunc // ends the handler's context; no-op on our own streams
	forget func()             // told once, when this side ends the stream

	frames frameReader // owned by Recv
	out    []byte      // owned by Send

	mu    sync.Mutex
	ended error // why this side ended the stream, nil while it has not
}

func newConn(s network.Stream, limits challenges.Limits) *conn {
	c := &conn{
		stream:  s,
		limits:  limits,
		end:     time.Now().Add(limits.Total),
		relayed: relayed(s.Conn()),
		cancel:  func() {},
		forget:  func() {},
		frames:  frameReader{r: s, maxFrame: limits.MaxFrame, left: limits.MaxBytes},
	}
	_ = s.SetDeadline(c.end) // a stream too dead for a deadline fails its first read
	return c
}

func relayed(c network.Conn) bool {
	if c.Stat().Limited {
		return true
	}
	_, err := c.RemoteMultiaddr().ValueForProtocol(multiaddr.P_CIRCUIT)
	return err == nil
}

// Relayed reports that the connection goes through a libp2p circuit.
func (c *conn) Relayed() bool { return c.relayed }

// Send writes one frame in one write; an oversized frame is refused and leaves
// the stream as it was. A peer that does not read ends the stream with ErrIdle
// after Limits.Idle. That Send returns does not mean that the frame has arrived.
func (c *conn) Send(ctx context.Context, frame []byte) error {
	switch {
	case len(frame) == 0:
		return errors.New("send: a frame has at least one byte")
	case len(frame) > c.limits.MaxFrame:
		return fmt.Errorf("send: %w: %d bytes, at most %d", challenges.ErrTooLarge, len(frame), c.limits.MaxFrame)
	}
	c.out = appendFrame(c.out[:0], frame)
	err := c.within(ctx, c.stream.SetWriteDeadline, func() error {
		_, err := c.stream.Write(c.out)
		return err
	})
	if err != nil {
		return fmt.Errorf("send: %w", err)
	}
	return nil
}

// Recv reads the next frame, which the caller may keep.
func (c *conn) Recv(ctx context.Context) ([]byte, error) {
	var frame []byte
	err := c.within(ctx, c.stream.SetReadDeadline, func() (err error) {
		frame, err = c.frames.next()
		return err
	})
	if errors.Is(err, io.EOF) {
		return nil, io.EOF
	}
	if err != nil {
		return nil, fmt.Errorf("recv: %w", err)
	}
	c.heard.Store(true)
	return frame, nil
}

// within runs one read or write under the idle limit, the stream's life and the
// context.
func (c *conn) within(ctx context.Context, setDeadline func(time.Time) error, do func() error) error {
	if ctx.Err() != nil {
		return c.stop(ctx)
	}
	deadline := time.Now().Add(c.limits.Idle)
	if c.end.Before(deadline) {
		deadline = c.end
	}
	if err := c.arm(setDeadline, deadline); err != nil {
		return err
	}
	unwatch := context.AfterFunc(ctx, func() { _ = c.stop(ctx) })
	err := do()
	if !unwatch() {
		return c.stop(ctx)
	}
	if err != nil {
		return c.explain(err, deadline)
	}
	return nil
}

// arm sets a deadline unless the stream has ended here: Close waits under a
// deadline of its own, which a Recv must not move.
func (c *conn) arm(set func(time.Time) error, deadline time.Time) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ended != nil {
		return c.ended
	}
	_ = set(deadline) // fails on dead streams only, and then the read or write does too
	return nil
}

// stop ends the stream because ctx has ended, and returns an error that is both
// ctx.Err() and the context's cause.
func (c *conn) stop(ctx context.Context) error {
	err := ctx.Err()
	if cause := context.Cause(ctx); !errors.Is(err, cause) {
		err = fmt.Errorf("%w: %w", err, cause)
	}
	_ = c.fail(err, CodeStopped)
	return err
}

// explain names what went wrong in a read or write that ran until deadline, and
// ends the stream where the peer broke its rules.
func (c *conn) explain(err error, deadline time.Time) error {
	c.mu.Lock()
	ended := c.ended
	c.mu.Unlock()
	switch {
	case ended != nil:
		return ended // the transport only knows that it was reset
	case errors.Is(err, io.EOF):
		return err
	case errors.Is(err, io.ErrUnexpectedEOF):
		return c.fail(fmt.Errorf("%w: closed inside a frame: %w", challenges.ErrReset, err), CodeProtocol)
	case errors.Is(err, errMalformed):
		return c.fail(err, CodeProtocol)
	case errors.Is(err, challenges.ErrTooLarge), errors.Is(err, challenges.ErrLimit):
		return c.fail(err, CodeLimit)
	case timedOut(err, deadline) && deadline.Equal(c.end):
		return c.fail(fmt.Errorf("%w: the stream's life of %v is over", challenges.ErrIdle, c.limits.Total), CodeLimit)
	case timedOut(err, deadline):
		return c.fail(fmt.Errorf("%w of %v", challenges.ErrIdle, c.limits.Idle), CodeLimit)
	case !c.heard.Load() && notSpoken(err):
		return c.fail(fmt.Errorf("%w: %w", challenges.ErrDial, err), CodeProtocol)
	default:
		// The stream stays: the peer's last frames may still wait to be read.
		return fmt.Errorf("%w: %w", challenges.ErrReset, err)
	}
}

// timedOut tells our deadline from a connection that died of its own timeouts,
// which call themselves timeouts too.
func timedOut(err error, deadline time.Time) bool {
	timeout, ok := errors.AsType[net.Error](err)
	return ok && timeout.Timeout() && !time.Now().Before(deadline)
}

// notSpoken reports that the peer refused the protocol in a negotiation that
// Open did not wait for.
func notSpoken(err error) bool {
	if _, ok := errors.AsType[multistream.ErrNotSupported[protocol.ID]](err); ok {
		return true
	}
	reset, ok := errors.AsType[*network.StreamError](err)
	return ok && reset.Remote && reset.ErrorCode == network.StreamProtocolNegotiationFailed
}

// fail resets the stream for err unless this side has ended it before, and
// returns why it has ended.
func (c *conn) fail(err error, code network.StreamErrorCode) error {
	if earlier := c.finish(err); earlier != nil {
		return earlier
	}
	_ = c.stream.ResetWithError(code)
	c.forget()
	return err
}

// Close ends the stream in both directions. What was sent before still arrives
// if the connection lives; what the peer sends from now on is dropped. It waits
// for nothing but a negotiation that Open left open, and for that two seconds
// at most. Later calls do nothing.
func (c *conn) Close() error {
	if earlier := c.finish(errClosed); earlier != nil {
		return nil
	}
	timer := time.AfterFunc(closeWait, func() { _ = c.stream.ResetWithError(CodeStopped) })
	err := c.stream.Close()
	timer.Stop()
	c.forget()
	if err != nil {
		return fmt.Errorf("close: %w: %w", challenges.ErrReset, err)
	}
	return nil
}

// finish notes why this side ends the stream, or returns why it already has.
func (c *conn) finish(err error) (earlier error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ended != nil {
		return c.ended
	}
	c.ended = err
	return nil
}
