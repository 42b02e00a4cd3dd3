package p2p

import (
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/assaynet/assay/challenges"
)

// loopback starts a host on 127.0.0.1 under the key simKey(i).
func loopback(t *testing.T, i int, listen ...string) *Host {
	t.Helper()
	h, err := New(Config{Key: simKey(i), Listen: listen, Limits: testLimits()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := h.Close(); err != nil {
			t.Error(err)
		}
	})
	return h
}

// TestLoopback runs both transports over real sockets, to a peer that only
// dials, with the ends that differ between their multiplexers.
func TestLoopback(t *testing.T) {
	for name, listen := range map[string]string{
		"quic": "/ip4/127.0.0.1/udp/0/quic-v1",
		"tcp":  "/ip4/127.0.0.1/tcp/0",
	} {
		t.Run(name, func(t *testing.T) {
			a, b := loopback(t, 0, listen), loopback(t, 1)
			if a.ID() != challenges.IDOf(simKey(0)) {
				t.Errorf("id %v", a.ID())
			}
			if addrs := a.Addrs(); len(addrs) != 1 || strings.Contains(addrs[0], "p2p") || strings.Contains(addrs[0]+"/", "/0/") {
				t.Fatalf("listens on %v", addrs)
			}
			if addrs := b.Addrs(); len(addrs) != 0 {
				t.Fatalf("dial-only host listens on %v", addrs)
			}
			if err := b.AddPeer(a.ID(), a.Addrs()); err != nil {
				t.Fatal(err)
			}
			out := make(chan result, 1)
			a.Handle(testProto, receive(out))
			ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
			defer cancel()
			open := func() challenges.Conn {
				t.Helper()
				conn, err := b.Open(ctx, a.ID(), testProto)
				if err != nil {
					t.Fatal(err)
				}
				if err := conn.Send(ctx, make([]byte, 1000)); err != nil {
					t.Fatal(err)
				}
				return conn
			}
			want := func(what string, frames int, err error) {
				t.Helper()
				if got := <-out; got.frames != frames || !errors.Is(got.err, err) {
					t.Errorf("%s: %d frames, then %v; want %d, then %v", what, got.frames, got.err, frames, err)
				}
			}

			conn := open()
			if err := conn.Close(); err != nil {
				t.Error(err)
			}
			want("close", 1, io.EOF)

			conn = open()
			stop, cancelRecv := context.WithCancel(ctx)
			time.AfterFunc(10*time.Millisecond, cancelRecv)
			if _, err := conn.Recv(stop); !errors.Is(err, context.Canceled) {
				t.Errorf("cancelled recv: %v", err)
			}
			want("cancel", 1, challenges.ErrReset)

			conn = open()
			for range 5 {
				_ = conn.Send(ctx, make([]byte, 1000))
			}
			want("bytes", 4, challenges.ErrLimit)
			if _, err := conn.Recv(ctx); !errors.Is(err, challenges.ErrReset) {
				t.Errorf("recv over the limit: %v", err)
			}
			_ = conn.Close()

			// The idle limit, met by a silent peer and by one that does not read.
			a.Handle(hastyProto, receive(out))
			silent, err := b.Open(ctx, a.ID(), hastyProto)
			if err == nil {
				err = silent.Send(ctx, []byte("x"))
			}
			if err != nil {
				t.Fatal(err)
			}
			want("silence", 1, challenges.ErrIdle)
			if _, err := silent.Recv(ctx); !errors.Is(err, challenges.ErrReset) {
				t.Errorf("silent peer saw %v", err)
			}
			a.Handle(hastyProto, func(ctx context.Context, _ challenges.NodeID, _ challenges.Conn) error {
				<-ctx.Done()
				return nil
			})
			deaf, err := b.Open(ctx, a.ID(), hastyProto)
			for err == nil {
				err = deaf.Send(ctx, make([]byte, 1<<20))
			}
			if !errors.Is(err, challenges.ErrIdle) {
				t.Errorf("deaf peer: %v", err)
			}

			conn = open()
			time.AfterFunc(10*time.Millisecond, func() { _ = b.Close() })
			want("host closed", 1, challenges.ErrReset)
			_ = conn.Close()
		})
	}
}

func TestNewRefuses(t *testing.T) {
	limits := func(change func(*challenges.Limits)) map[string]challenges.Limits {
		l := testLimits()[testProto]
		change(&l)
		return map[string]challenges.Limits{testProto: l}
	}
	for name, cfg := range map[string]Config{
		"no key":       {},
		"short key":    {Key: simKey(0)[:32]},
		"bad address":  {Key: simKey(0), Listen: []string{"127.0.0.1:0"}},
		"no transport": {Key: simKey(0), Listen: []string{"/ip4/127.0.0.1/tcp/0/ws"}},
		"second fails": {Key: simKey(0), Listen: []string{"/ip4/127.0.0.1/tcp/0", "/ip4/192.0.2.1/tcp/0"}},
		"no idle":      {Key: simKey(0), Limits: limits(func(l *challenges.Limits) { l.Idle = 0 })},
		"huge frames":  {Key: simKey(0), Limits: limits(func(l *challenges.Limits) { l.MaxFrame = 1 << 21 })},
	} {
		t.Run(name, func(t *testing.T) {
			h, err := New(cfg)
			if err == nil {
				_ = h.Close()
				t.Error("no error")
			}
		})
	}
}

func TestUnknownProtocol(t *testing.T) {
	h := loopback(t, 0)
	if _, err := h.Open(t.Context(), challenges.IDOf(simKey(1)), "/other"); err == nil || errors.Is(err, challenges.ErrDial) {
		t.Errorf("open: %v", err)
	}
	if _, err := h.Open(t.Context(), h.ID(), testProto); !errors.Is(err, challenges.ErrDial) {
		t.Errorf("open to itself: %v", err)
	}
	if _, err := h.Open(t.Context(), challenges.IDOf(simKey(1)), testProto); !errors.Is(err, challenges.ErrDial) {
		t.Errorf("open to a stranger: %v", err)
	}
	defer func() {
		if recover() == nil {
			t.Error("no panic")
		}
	}()
	h.Handle("/other", nil)
}

// A panic in a handler takes the process down, which takes a process to test.
func TestHandlerPanicCrashes(t *testing.T) {
	const env = "ASSAY_P2P_PANIC"
	if os.Getenv(env) != "" {
		a, b := loopback(t, 0, "/ip4/127.0.0.1/udp/0/quic-v1"), loopback(t, 1)
		a.Handle(testProto, func(context.Context, challenges.NodeID, challenges.Conn) error { panic("boom") })
		if err := b.AddPeer(a.ID(), a.Addrs()); err != nil {
			t.Fatal(err)
		}
		if conn, err := b.Open(t.Context(), a.ID(), testProto); err == nil {
			_, _ = conn.Recv(t.Context())
		}
		return
	}
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^"+t.Name()+"$")
	cmd.Env = append(os.Environ(), env+"=1")
	out, err := cmd.CombinedOutput()
	if err == nil || !strings.Contains(string(out), "panic: boom") {
		t.Errorf("%v: %s", err, out)
	}
}
