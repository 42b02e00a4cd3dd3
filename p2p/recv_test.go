package p2p

import (
	"bytes"
	"context"
	"errors"
	"io"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/libp2p/go-libp2p/core/network"

	"github.com/assaynet/assay/challenges"
)

// result is what a handler under test found.
type result struct {
	frames int
	err    error
	after  time.Duration // from the handler's start to the error
}

// receive is a handler that reads until an error and reports it.
func receive(out chan<- result) Handler {
	return func(ctx context.Context, _ challenges.NodeID, conn challenges.Conn) error {
		start, r := time.Now(), result{}
		for r.err == nil {
			if _, r.err = conn.Recv(ctx); r.err == nil {
				r.frames++
			}
		}
		r.after = time.Since(start)
		out <- r
		return r.err
	}
}

// TestRecvFromPeer runs peers that are no Host, so that they can send anything.
func TestRecvFromPeer(t *testing.T) {
	frame := appendFrame(nil, []byte("hello"))
	tests := []struct {
		name   string
		peer   func(s network.Stream)
		frames int
		err    error
		text   string        // within the error's text
		after  time.Duration // at least; and less than a second more
		code   network.StreamErrorCode
	}{
		{
			name:   "close between frames",
			peer:   func(s network.Stream) { write(s, frame, frame); s.CloseWrite() },
			frames: 2, err: io.EOF, code: CodeHandler,
		},
		{
			name:   "close inside a frame",
			peer:   func(s network.Stream) { write(s, frame, frame[:3]); s.CloseWrite() },
			frames: 1, err: io.ErrUnexpectedEOF, text: "stream reset", code: CodeProtocol,
		},
		{
			name:   "reset",
			peer:   func(s network.Stream) { write(s, frame); time.Sleep(time.Second); s.Reset() },
			frames: 1, err: challenges.ErrReset, after: time.Second,
		},
		{
			name:   "connection closed",
			peer:   func(s network.Stream) { write(s, frame); time.Sleep(time.Second); s.Conn().Close() },
			frames: 1, err: challenges.ErrReset, after: time.Second,
		},
		{
			name:   "late no such protocol",
			peer:   func(s network.Stream) { write(s, frame); time.Sleep(time.Second); s.ResetWithError(0x1001) },
			frames: 1, err: challenges.ErrReset, after: time.Second,
		},
		{
			name: "oversized frame",
			peer: func(s network.Stream) { write(s, appendFrame(nil, make([]byte, 1001))) },
			err:  challenges.ErrTooLarge, code: CodeLimit,
		},
		{
			name: "empty frame",
			peer: func(s network.Stream) { write(s, []byte{0}) },
			err:  challenges.ErrReset, text: "malformed", code: CodeProtocol,
		},
		{
			name:   "byte limit",
			peer:   func(s network.Stream) { write(s, bytes.Repeat(appendFrame(nil, make([]byte, 998)), 6)) },
			frames: 5, err: challenges.ErrLimit, code: CodeLimit,
		},
		{
			name: "silence",
			peer: func(s network.Stream) { write(s, nil) },
			err:  challenges.ErrIdle, text: "idle limit of 10s", after: 10 * time.Second, code: CodeLimit,
		},
		{
			name: "drip",
			peer: func(s network.Stream) {
				for _, b := range appendFrame(nil, make([]byte, 900)) {
					if _, err := s.Write([]byte{b}); err != nil {
						return
					}
					time.Sleep(time.Second)
				}
			},
			err: challenges.ErrIdle, text: "idle limit of 10s", after: 10 * time.Second, code: CodeLimit,
		},
		{
			name: "whole frames for ever",
			peer: func(s network.Stream) {
				for {
					if _, err := s.Write(frame); err != nil {
						return
					}
					time.Sleep(9 * time.Second)
				}
			},
			frames: 7, err: challenges.ErrIdle, text: "life of 1m0s", after: time.Minute, code: CodeLimit,
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newSim(t, 2, testLimits())
				out := make(chan result, 1)
				s.hosts[0].Handle(testProto, receive(out))
				stream := s.rawStream(t, 1, 0)
				var sender sync.WaitGroup
				sender.Go(func() { tt.peer(stream) })
				got := <-out
				if got.frames != tt.frames || !errors.Is(got.err, tt.err) || !bytes.Contains([]byte(got.err.Error()), []byte(tt.text)) {
					t.Errorf("%d frames, then %v; want %d, then %v (%q)", got.frames, got.err, tt.frames, tt.err, tt.text)
				}
				if tt.err != io.EOF && errors.Is(got.err, io.EOF) {
					t.Errorf("%v is io.EOF", got.err)
				}
				if got.after < tt.after || got.after > tt.after+time.Second {
					t.Errorf("after %v, want %v", got.after, tt.after)
				}
				if tt.code != 0 {
					wantCode(t, stream, tt.code)
				}
				_ = stream.Reset()
				sender.Wait()
				synctest.Wait()
				if n := len(s.hosts[0].live); n != 0 {
					t.Errorf("%d streams still tracked", n)
				}
			})
		})
	}
}

// rawStream opens a stream that is no conn, negotiated and all.
func (s *sim) rawStream(t *testing.T, from, to int) network.Stream {
	t.Helper()
	stream, err := s.raw[from].NewStream(t.Context(), s.raw[to].ID(), testProto)
	if err != nil {
		t.Fatal(err)
	}
	return stream
}

// write sends blocks; the first Write, even of nothing, also starts the
// negotiation.
func write(s network.Stream, blocks ...[]byte) {
	for _, b := range blocks {
		_, _ = s.Write(b)
	}
}

// wantCode reads until the peer's reset and checks its code.
func wantCode(t *testing.T, s network.Stream, want network.StreamErrorCode) {
	t.Helper()
	_, err := io.ReadAll(s)
	reset, ok := errors.AsType[*network.StreamError](err)
	if !ok || !reset.Remote || reset.ErrorCode != want {
		t.Errorf("peer saw %v, want code %d", err, want)
	}
}
