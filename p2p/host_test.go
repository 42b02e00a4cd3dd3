package p2p

import (
	"context"
	"crypto/rand"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/marcopolo/simnet"

	"github.com/assaynet/assay/challenges"
)

func TestPerPeerLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSim(t, 3, testLimits())
		leave := make(chan struct{})
		s.hosts[0].Handle(testProto, func(ctx context.Context, _ challenges.NodeID, conn challenges.Conn) error {
			if err := conn.Send(ctx, []byte("in")); err != nil {
				return err
			}
			<-leave
			return nil
		})
		enter := func(from int) error {
			conn := s.open(t, from, 0)
			_, err := conn.Recv(t.Context())
			return err
		}
		for i, from := range []int{1, 1, 2} {
			if err := enter(from); err != nil {
				t.Fatalf("stream %d: %v", i, err)
			}
		}
		err := enter(1)
		reset, ok := errors.AsType[*network.StreamError](err)
		if !errors.Is(err, challenges.ErrReset) || !ok || reset.ErrorCode != CodeBusy {
			t.Errorf("third stream of one peer: %v", err)
		}
		close(leave)
		synctest.Wait()
		if err := enter(1); err != nil {
			t.Errorf("after the others left: %v", err)
		}
		synctest.Wait()
		if n := len(s.hosts[0].serving); n != 0 {
			t.Errorf("%d slots still counted", n)
		}
		if n := len(s.hosts[0].live); n != 0 {
			t.Errorf("%d streams still tracked", n)
		}
	})
}

func TestHandlerError(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSim(t, 2, testLimits())
		s.hosts[0].Handle(testProto, func(context.Context, challenges.NodeID, challenges.Conn) error {
			return errors.New("no")
		})
		_, err := s.open(t, 1, 0).Recv(t.Context())
		reset, ok := errors.AsType[*network.StreamError](err)
		if !errors.Is(err, challenges.ErrReset) || !ok || reset.ErrorCode != CodeHandler {
			t.Errorf("%v", err)
		}
	})
}

func TestCloseWaitsForHandlers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSim(t, 2, testLimits())
		var ended error
		returned := false
		s.hosts[0].Handle(testProto, func(ctx context.Context, _ challenges.NodeID, conn challenges.Conn) error {
			_ = conn.Send(ctx, []byte("in"))
			// Without ctx: Close must end a handler that only watches its stream.
			_, ended = conn.Recv(context.Background())
			<-ctx.Done()
			time.Sleep(3 * time.Second)
			returned = true
			return nil
		})
		conn := s.open(t, 1, 0)
		if _, err := conn.Recv(t.Context()); err != nil {
			t.Fatal(err)
		}
		start := time.Now()
		if err := s.hosts[0].Close(); err != nil {
			t.Fatal(err)
		}
		if !returned || time.Since(start) != 3*time.Second {
			t.Errorf("closed after %v, handler returned: %v", time.Since(start), returned)
		}
		if !errors.Is(ended, challenges.ErrReset) {
			t.Errorf("handler saw %v", ended)
		}
		if _, err := conn.Recv(t.Context()); !errors.Is(err, challenges.ErrReset) {
			t.Errorf("peer saw %v", err)
		}
		if _, err := s.hosts[0].Open(t.Context(), s.hosts[1].ID(), testProto); !errors.Is(err, challenges.ErrDial) {
			t.Errorf("open on a closed host: %v", err)
		}
		if _, err := s.hosts[1].Open(t.Context(), s.hosts[0].ID(), testProto); !errors.Is(err, challenges.ErrDial) {
			t.Errorf("open to a closed host: %v", err)
		}
		if err := s.hosts[0].Close(); err != nil {
			t.Errorf("second close: %v", err)
		}
	})
}

// Close also ends the streams opened here.
func TestCloseResetsOwnStreams(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSim(t, 2, testLimits())
		out := make(chan result, 1)
		s.hosts[0].Handle(testProto, receive(out))
		conn := s.open(t, 1, 0)
		if err := conn.Send(t.Context(), []byte("x")); err != nil {
			t.Fatal(err)
		}
		time.AfterFunc(time.Second, func() { _ = s.hosts[1].Close() })
		if _, err := conn.Recv(t.Context()); !errors.Is(err, challenges.ErrReset) {
			t.Errorf("recv: %v", err)
		}
		if got := <-out; got.frames != 1 || !errors.Is(got.err, challenges.ErrReset) {
			t.Errorf("peer saw %d frames, then %v", got.frames, got.err)
		}
	})
}

func TestPeerWithoutNodeIDIsReset(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := &simnet.Simnet{LatencyFunc: simnet.StaticLatency(simDelay)}
		good, err := crypto.UnmarshalEd25519PrivateKey(simKey(0))
		if err != nil {
			t.Fatal(err)
		}
		odd, _, err := crypto.GenerateSecp256k1Key(rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		a, b := simHost(t, net, 0, good), simHost(t, net, 1, odd)
		net.Start()
		t.Cleanup(func() { a.Close(); b.Close(); net.Close() })
		h, err := Wrap(a, Config{Limits: testLimits()})
		if err != nil {
			t.Fatal(err)
		}
		h.Handle(testProto, func(context.Context, challenges.NodeID, challenges.Conn) error {
			t.Error("handler ran")
			return nil
		})
		if err := b.Connect(t.Context(), peer.AddrInfo{ID: a.ID(), Addrs: a.Addrs()}); err != nil {
			t.Fatal(err)
		}
		s, err := b.NewStream(t.Context(), a.ID(), testProto)
		if err != nil {
			t.Fatal(err)
		}
		wantCode(t, s, CodeProtocol)
		_ = s.Reset()
		if _, err := Wrap(b, Config{}); err == nil {
			t.Error("host without a node id wrapped")
		}
		if _, err := Wrap(a, Config{Key: simKey(1)}); err == nil {
			t.Error("host wrapped with another's key")
		}
	})
}

// A failed dial must not spoil the next one, once the peer is back, be it with
// the old address or a new one.
func TestOpenAfterFailedDials(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSim(t, 2, testLimits())
		s.hosts[0].Handle(testProto, func(ctx context.Context, _ challenges.NodeID, conn challenges.Conn) error {
			return conn.Send(ctx, []byte("in"))
		})
		a, b := s.hosts[0], s.hosts[1]
		fail := func(limit time.Duration) {
			t.Helper()
			ctx, cancel := context.WithTimeout(t.Context(), limit)
			defer cancel()
			_, err := b.Open(ctx, a.ID(), testProto)
			if !errors.Is(err, challenges.ErrDial) {
				t.Errorf("open: %v", err)
			}
			if ctx.Err() != nil && !errors.Is(err, ctx.Err()) {
				t.Errorf("open: %v, want %v too", err, ctx.Err())
			}
		}
		arrive := func() {
			t.Helper()
			conn := s.open(t, 1, 0)
			if _, err := conn.Recv(t.Context()); err != nil {
				t.Errorf("recv: %v", err)
			}
			if err := s.raw[1].Network().ClosePeer(s.raw[0].ID()); err != nil {
				t.Error(err)
			}
			time.Sleep(time.Second)
		}

		right := a.Addrs()
		if err := b.AddPeer(a.ID(), []string{"/ip4/1.0.0.9/udp/8000/quic-v1"}); err != nil {
			t.Fatal(err)
		}
		for range 5 {
			fail(2 * time.Second)
		}
		if err := b.AddPeer(a.ID(), right); err != nil {
			t.Fatal(err)
		}
		if got := len(s.raw[1].Peerstore().Addrs(s.raw[0].ID())); got != 1 {
			t.Errorf("%d addresses after AddPeer, want the new one", got)
		}
		arrive()

		s.delay.Store(int64(time.Hour))
		for range 5 {
			fail(time.Minute)
		}
		s.delay.Store(int64(simDelay))
		arrive()
	})
}

func TestAddPeer(t *testing.T) {
	h, err := New(Config{Key: simKey(0)})
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	other := challenges.IDOf(simKey(1))
	pid, err := PeerID(other)
	if err != nil {
		t.Fatal(err)
	}
	const addr = "/ip4/127.0.0.1/udp/4001/quic-v1"
	for name, tt := range map[string]struct {
		id    challenges.NodeID
		addrs []string
		ok    bool
	}{
		"plain":        {other, []string{addr}, true},
		"named":        {other, []string{addr + "/p2p/" + pid.String()}, true},
		"none":         {other, nil, true},
		"itself":       {h.ID(), []string{addr}, true},
		"bad key":      {challenges.NodeID{}, []string{addr}, false},
		"named wrong":  {h.ID(), []string{addr + "/p2p/" + pid.String()}, false},
		"name only":    {other, []string{"/p2p/" + pid.String()}, false},
		"no multiaddr": {other, []string{"127.0.0.1:4001"}, false},
		"empty":        {other, []string{""}, false},
		"too many":     {other, make([]string, maxAddrs+1), false},
	} {
		if err := h.AddPeer(tt.id, tt.addrs); (err == nil) != tt.ok {
			t.Errorf("%s: %v", name, err)
		}
	}
}
