package p2p

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/protocol"

	"github.com/assaynet/assay/challenges"
)

// scopes reads what the resource manager of host 0 counts of one peer.
func (s *sim) scopes(t *testing.T, of int) (peer, proto, service network.ScopeStat) {
	t.Helper()
	m := s.raw[0].Network().ResourceManager()
	view := func(err error) {
		if err != nil {
			t.Fatal(err)
		}
	}
	view(m.ViewPeer(s.raw[of].ID(), func(p network.PeerScope) error { peer = p.Stat(); return nil }))
	view(m.ViewProtocol(protocol.ID(testProto), func(p network.ProtocolScope) error { proto = p.Stat(); return nil }))
	view(m.ViewService("assay", func(p network.ServiceScope) error { service = p.Stat(); return nil }))
	return peer, proto, service
}

// An admitted stream counts one frame in every scope, until it ends.
func TestScopes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSimOf(t, 2, Config{Limits: testLimits()})
		s.hosts[0].Handle(testProto, stay)
		before, _, _ := s.scopes(t, 1)
		conn := s.open(t, 1, 0)
		if _, err := conn.Recv(t.Context()); err != nil {
			t.Fatal(err)
		}
		peer, proto, service := s.scopes(t, 1)
		frame := int64(testLimits()[testProto].MaxFrame)
		if got := peer.Memory - before.Memory; got < frame {
			t.Errorf("peer's memory grew by %d, want %d", got, frame)
		}
		if proto.Memory != frame || proto.NumStreamsInbound != 1 {
			t.Errorf("protocol scope %+v", proto)
		}
		if service.Memory != frame || service.NumStreamsInbound != 1 {
			t.Errorf("service scope %+v", service)
		}
		_ = conn.Close()
		time.Sleep(time.Second)
		if _, proto, service = s.scopes(t, 1); proto != (network.ScopeStat{}) || service != (network.ScopeStat{}) {
			t.Errorf("left behind: protocol %+v, service %+v", proto, service)
		}
	})
}

// Streams that never say which protocol they want reach no handler. A stranger
// may have 16 of them, a member many more.
func TestStreamsOfOnePeer(t *testing.T) {
	for _, tt := range []struct {
		name    string
		trusted func(challenges.NodeID) bool
		want    int
	}{
		{"stranger", nil, strangerPeerStreams},
		{"member", only(1), 40},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newSimOf(t, 2, Config{Limits: testLimits(), Trusted: tt.trusted})
				s.hosts[0].Handle(testProto, stay)
				s.rawStream(t, 1, 0).Reset()
				time.Sleep(time.Second)
				for range 40 {
					stream, err := s.raw[1].Network().NewStream(t.Context(), s.raw[0].ID())
					if err != nil {
						t.Fatal(err)
					}
					_, _ = stream.Write([]byte{0x13}) // the first byte of a negotiation
				}
				time.Sleep(time.Second)
				if peer, _, _ := s.scopes(t, 1); peer.NumStreamsInbound != tt.want {
					t.Errorf("%d streams inbound, want %d", peer.NumStreamsInbound, tt.want)
				}
				time.Sleep(time.Minute)
				if peer, _, _ := s.scopes(t, 1); peer.NumStreamsInbound != 0 {
					t.Errorf("%d streams negotiate for ever", peer.NumStreamsInbound)
				}
			})
		})
	}
}

// A stream that our own limits forbid is not the peer's absence.
func TestOpenOverOwnLimits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSimOf(t, 2, Config{Limits: testLimits()})
		s.hosts[0].Handle(testProto, stay)
		var err error
		n := 0
		for ; err == nil && n < 2000; n++ {
			var conn challenges.Conn
			if conn, err = s.hosts[1].Open(t.Context(), s.hosts[0].ID(), testProto); err == nil {
				t.Cleanup(func() { _ = conn.Close() })
			}
		}
		if !errors.Is(err, network.ErrResourceLimitExceeded) || errors.Is(err, challenges.ErrDial) {
			t.Errorf("after %d streams: %v", n, err)
		}
	})
}
