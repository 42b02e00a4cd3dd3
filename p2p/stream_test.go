package p2p

import (
	"bytes"
	"context"
	"errors"
	"io"
	"testing"
	"testing/synctest"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/protocol"
	"github.com/multiformats/go-multiaddr"

	"github.com/assaynet/assay/challenges"
)

const (
	testProto  = "/assay/test/1"
	hastyProto = "/assay/hasty/1" // for tests in real time
)

func testLimits() map[string]challenges.Limits {
	return map[string]challenges.Limits{
		testProto:  {MaxFrame: 1000, MaxBytes: 5000, Idle: 10 * time.Second, Total: time.Minute, PerPeer: 2},
		hastyProto: {MaxFrame: 1 << 20, MaxBytes: 1 << 20, Idle: 200 * time.Millisecond, Total: time.Minute, PerPeer: 2},
	}
}

func TestRoundTrip(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSim(t, 2, testLimits())
		s.hosts[0].Handle(testProto, func(ctx context.Context, peer challenges.NodeID, conn challenges.Conn) error {
			if peer != s.hosts[1].ID() {
				t.Errorf("peer %v, want %v", peer, s.hosts[1].ID())
			}
			for {
				frame, err := conn.Recv(ctx)
				if err == io.EOF {
					return nil
				}
				if err != nil {
					return err
				}
				if err := conn.Send(ctx, frame); err != nil {
					return err
				}
			}
		})
		// The context ends right after Open, which must not touch the stream.
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		conn, err := s.hosts[1].Open(ctx, s.hosts[0].ID(), testProto)
		if err != nil {
			t.Fatal(err)
		}
		cancel()
		if conn.Relayed() {
			t.Error("direct stream says that it is relayed")
		}
		for _, n := range []int{1, 127, 128, 1000} {
			start := time.Now()
			want := bytes.Repeat([]byte{byte(n)}, n)
			if err := conn.Send(t.Context(), want); err != nil {
				t.Fatal(err)
			}
			got, err := conn.Recv(t.Context())
			if err != nil || !bytes.Equal(got, want) {
				t.Fatalf("%d bytes, %v; want %d", len(got), err, n)
			}
			if rtt := time.Since(start); rtt < 2*simDelay || rtt > 3*simDelay {
				t.Errorf("round trip of %v over links of %v", rtt, simDelay)
			}
		}
		// A frame refused here leaves the stream as it was.
		if err := conn.Send(t.Context(), make([]byte, 1001)); !errors.Is(err, challenges.ErrTooLarge) {
			t.Errorf("oversized frame: %v", err)
		}
		if err := conn.Send(t.Context(), nil); err == nil {
			t.Error("empty frame sent")
		}
		if err := conn.Send(t.Context(), []byte("x")); err != nil {
			t.Error(err)
		}
		for range 2 {
			if err := conn.Close(); err != nil {
				t.Errorf("close: %v", err)
			}
		}
		if _, err := conn.Recv(t.Context()); !errors.Is(err, challenges.ErrReset) {
			t.Errorf("recv after close: %v", err)
		}
	})
}

// A peer that answers and hangs up must be heard even by one that was still
// sending to it.
func TestLastFrameSurvivesFailedSend(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSim(t, 2, testLimits())
		s.hosts[0].Handle(testProto, func(ctx context.Context, _ challenges.NodeID, conn challenges.Conn) error {
			return conn.Send(ctx, []byte("refused"))
		})
		conn := s.open(t, 1, 0)
		var err error
		for err == nil {
			err = conn.Send(t.Context(), []byte("more"))
			time.Sleep(100 * time.Millisecond)
		}
		if !errors.Is(err, challenges.ErrReset) {
			t.Errorf("send: %v", err)
		}
		frame, err := conn.Recv(t.Context())
		if err != nil || string(frame) != "refused" {
			t.Errorf("%q, %v", frame, err)
		}
		if _, err := conn.Recv(t.Context()); err != io.EOF {
			t.Errorf("at the end: %v", err)
		}
	})
}

func (s *sim) open(t *testing.T, from, to int) challenges.Conn {
	t.Helper()
	conn, err := s.hosts[from].Open(t.Context(), s.hosts[to].ID(), testProto)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}

func TestSendToDeafPeer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		limits := map[string]challenges.Limits{testProto: {
			MaxFrame: 1 << 20, MaxBytes: 1 << 20, Idle: 10 * time.Second, Total: time.Hour, PerPeer: 1,
		}}
		s := newSim(t, 2, limits)
		s.raw[0].SetStreamHandler(testProto, func(network.Stream) {})
		conn := s.open(t, 1, 0)
		frame := make([]byte, 1<<20)
		var err error
		var start time.Time
		for err == nil {
			start = time.Now()
			err = conn.Send(t.Context(), frame)
		}
		if !errors.Is(err, challenges.ErrIdle) || time.Since(start) != 10*time.Second {
			t.Errorf("%v after %v", err, time.Since(start))
		}
		if again := conn.Send(t.Context(), frame); !errors.Is(again, challenges.ErrIdle) {
			t.Errorf("then %v", again)
		}
	})
}

func TestContextEndsStream(t *testing.T) {
	cause := errors.New("had enough")
	tests := []struct {
		name string
		ctx  func(context.Context) (context.Context, func())
		want []error
	}{
		{"cancel", func(ctx context.Context) (context.Context, func()) {
			ctx, cancel := context.WithCancel(ctx)
			time.AfterFunc(time.Second, cancel)
			return ctx, cancel
		}, []error{context.Canceled}},
		{"cause", func(ctx context.Context) (context.Context, func()) {
			ctx, cancel := context.WithCancelCause(ctx)
			time.AfterFunc(time.Second, func() { cancel(cause) })
			return ctx, func() { cancel(nil) }
		}, []error{context.Canceled, cause}},
		{"deadline", func(ctx context.Context) (context.Context, func()) {
			ctx, cancel := context.WithTimeout(ctx, time.Second)
			return ctx, cancel
		}, []error{context.DeadlineExceeded}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newSim(t, 2, testLimits())
				out := make(chan result, 1)
				s.hosts[0].Handle(testProto, receive(out))
				conn := s.open(t, 1, 0)
				if err := conn.Send(t.Context(), []byte("x")); err != nil {
					t.Fatal(err)
				}
				start := time.Now()
				ctx, cancel := tt.ctx(t.Context())
				defer cancel()
				_, recv := conn.Recv(ctx)
				if time.Since(start) != time.Second {
					t.Errorf("recv took %v", time.Since(start))
				}
				send := conn.Send(ctx, []byte("x"))
				for _, want := range tt.want {
					if !errors.Is(recv, want) || !errors.Is(send, want) {
						t.Errorf("recv %v, send %v, want %v", recv, send, want)
					}
				}
				if got := <-out; got.frames != 1 || !errors.Is(got.err, challenges.ErrReset) {
					t.Errorf("peer saw %d frames, then %v", got.frames, got.err)
				}
			})
		})
	}
}

// A peer believed to speak the protocol is sent to at once; that it does not
// shows later.
func TestProtocolNotSpoken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSim(t, 2, testLimits())
		if _, err := s.hosts[1].Open(t.Context(), s.hosts[0].ID(), testProto); !errors.Is(err, challenges.ErrDial) {
			t.Errorf("open: %v", err)
		}
		believe := func() {
			if err := s.raw[1].Peerstore().AddProtocols(s.raw[0].ID(), protocol.ID(testProto)); err != nil {
				t.Fatal(err)
			}
		}
		believe()
		conn := s.open(t, 1, 0)
		if _, err := conn.Recv(t.Context()); !errors.Is(err, challenges.ErrDial) {
			t.Errorf("recv: %v", err)
		}
		conn = s.open(t, 1, 0)
		var err error
		for range 20 {
			if err = conn.Send(t.Context(), []byte("x")); err != nil {
				break
			}
			time.Sleep(100 * time.Millisecond)
		}
		if !errors.Is(err, challenges.ErrDial) {
			t.Errorf("send: %v", err)
		}
	})
}

// Close waits for a negotiation that nobody answers, but not for long.
func TestCloseIsShort(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSim(t, 2, testLimits())
		s.hosts[0].Handle(testProto, receive(make(chan result, 10)))
		if err := s.open(t, 1, 0).Close(); err != nil { // both know each other now
			t.Error(err)
		}
		time.Sleep(time.Second)
		s.delay.Store(int64(time.Hour))
		conn := s.open(t, 1, 0)
		if err := conn.Send(t.Context(), []byte("x")); err != nil {
			t.Error(err)
		}
		start := time.Now()
		_ = conn.Close()
		if took := time.Since(start); took != closeWait {
			t.Errorf("close took %v, want %v", took, closeWait)
		}
	})
}

// A connection that dies of its own is a reset, though its error calls itself a
// timeout, and comes before the idle limit.
func TestDeadConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		limits := testLimits()
		limits[testProto] = challenges.Limits{MaxFrame: 10, MaxBytes: 10, Idle: 5 * time.Minute, Total: time.Hour, PerPeer: 1}
		s := newSim(t, 2, limits)
		s.hosts[0].Handle(testProto, receive(make(chan result, 1)))
		conn := s.open(t, 1, 0)
		if err := conn.Send(t.Context(), []byte("x")); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second)
		s.delay.Store(int64(time.Hour))
		start := time.Now()
		if _, err := conn.Recv(t.Context()); !errors.Is(err, challenges.ErrReset) || errors.Is(err, challenges.ErrIdle) {
			t.Errorf("recv: %v", err)
		}
		t.Logf("noticed after %v", time.Since(start))
	})
}

// path is a connection of which only the path is known.
type path struct {
	network.Conn
	addr    string
	limited bool
}

func (p path) Stat() network.ConnStats {
	return network.ConnStats{Stats: network.Stats{Limited: p.limited}}
}

func (p path) RemoteMultiaddr() multiaddr.Multiaddr { return multiaddr.StringCast(p.addr) }

func TestRelayed(t *testing.T) {
	relay, err := PeerID(challenges.IDOf(simKey(0)))
	if err != nil {
		t.Fatal(err)
	}
	const direct = "/ip4/1.0.0.1/udp/8000/quic-v1"
	for _, tt := range []struct {
		path path
		want bool
	}{
		{path{addr: direct}, false},
		{path{addr: direct, limited: true}, true},
		{path{addr: direct + "/p2p/" + relay.String() + "/p2p-circuit"}, true},
	} {
		if got := relayed(tt.path); got != tt.want {
			t.Errorf("%+v: %v", tt.path, got)
		}
	}
}
