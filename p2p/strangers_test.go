package p2p

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/assaynet/assay/challenges"
)

// only trusts the simulated hosts given.
func only(hosts ...int) func(challenges.NodeID) bool {
	return func(id challenges.NodeID) bool {
		for _, i := range hosts {
			if id == challenges.IDOf(simKey(i)) {
				return true
			}
		}
		return false
	}
}

// stay is a handler that holds its slot until the peer leaves.
func stay(ctx context.Context, _ challenges.NodeID, conn challenges.Conn) error {
	_ = conn.Send(ctx, []byte("in"))
	_, err := conn.Recv(ctx)
	return err
}

// All strangers together fill their slots and no more: a member gets in.
func TestStrangersShareOfStreams(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSimOf(t, 5, Config{Limits: testLimits(), Trusted: only(4), Strangers: Share{Streams: 3}})
		s.hosts[0].Handle(testProto, stay)
		enter := func(from int) error {
			_, err := s.open(t, from, 0).Recv(t.Context())
			return err
		}
		for i, from := range []int{1, 1, 2} {
			if err := enter(from); err != nil {
				t.Fatalf("stranger's stream %d: %v", i, err)
			}
		}
		wantCode(t, s.rawStream(t, 3, 0), CodeBusy)
		if err := enter(4); err != nil {
			t.Errorf("member: %v", err)
		}
		time.Sleep(11 * time.Second) // the silent ones are gone
		if err := enter(3); err != nil {
			t.Errorf("stranger with room again: %v", err)
		}
		if got := s.hosts[0].Stats(); got.Busy != 1 || got.Admitted != 5 {
			t.Errorf("stats %+v", got)
		}
	})
}

// The place of a stranger goes to a newcomer after its time, never that of a
// member or of one that we talk to.
func TestStrangersShareOfConnections(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSimOf(t, 7, Config{Limits: testLimits(), Trusted: only(1), Strangers: Share{Conns: 2}})
		connected := func(want ...int) {
			t.Helper()
			time.Sleep(time.Second)
			var got []int
			for i := 1; i < len(s.raw); i++ {
				if s.raw[0].Network().Connectedness(s.raw[i].ID()) == network.Connected {
					got = append(got, i)
				}
			}
			if len(got) != len(want) {
				t.Fatalf("connected to %v, want %v", got, want)
			}
			for i := range got {
				if got[i] != want[i] {
					t.Fatalf("connected to %v, want %v", got, want)
				}
			}
		}
		dial := func(from int) {
			t.Helper()
			info := peer.AddrInfo{ID: s.raw[0].ID(), Addrs: s.raw[0].Addrs()}
			_ = s.raw[from].Connect(t.Context(), info)
		}
		for from := 1; from <= 3; from++ {
			dial(from)
		}
		connected(1, 2, 3)
		dial(4)
		connected(1, 2, 3) // the strangers have only just come
		s.hosts[2].Handle(testProto, stay)
		conn := s.open(t, 0, 2)
		time.Sleep(strangerGrace)
		dial(5)
		connected(1, 2, 5) // we talk to 2, so 3 had to go
		if got := s.hosts[0].Stats(); got.Strangers != 2 || got.Conns != 3 || got.Cut != 2 {
			t.Errorf("stats %+v", got)
		}
		_ = conn.Close()
		time.Sleep(strangerGrace)
		dial(6)
		connected(1, 5, 6)
		cm := s.raw[0].ConnManager()
		if !cm.IsProtected(s.raw[1].ID(), trustedTag) || cm.IsProtected(s.raw[5].ID(), "") {
			t.Error("not the member is protected from the connection manager, or a stranger is")
		}
		_ = s.raw[1].Network().ClosePeer(s.raw[0].ID())
		time.Sleep(time.Second)
		if cm.IsProtected(s.raw[1].ID(), "") {
			t.Error("a member that left is still protected")
		}
	})
}
