package p2p

import (
	"context"
	"encoding/binary"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/multiformats/go-multiaddr"
	"golang.org/x/time/rate"

	"github.com/assaynet/assay/challenges"
)

func TestPrefixOf(t *testing.T) {
	for _, tt := range []struct{ addr, want string }{
		{"/ip4/1.2.3.4/udp/1/quic-v1", "1.2.3.4/32"},
		{"/ip6/2001:db8:1:2ff::1/tcp/1", "2001:db8:1:200::/56"},
		{"/ip6/2001:db8:1:200:ffff::2/tcp/9", "2001:db8:1:200::/56"},
		{"/ip6/2001:db8:1:300::1/tcp/1", "2001:db8:1:300::/56"},
		{"/ip6/::ffff:1.2.3.4/tcp/1", "1.2.3.4/32"},
		{"/ip6/::1/tcp/1", "::1/128"},
		{"/dns4/example.org/tcp/1", "invalid Prefix"},
	} {
		if got := prefixOf(multiaddr.StringCast(tt.addr)).String(); got != tt.want {
			t.Errorf("%s: %s, want %s", tt.addr, got, tt.want)
		}
	}
}

func TestRates(t *testing.T) {
	node := func(i int) (id challenges.NodeID) {
		binary.BigEndian.PutUint32(id[:], uint32(i+1))
		return id
	}
	same := func(int) challenges.NodeID { return node(0) }
	one := func(int) string { return "1.2.3.4" }
	each := func(i int) string { return fmt.Sprintf("1.2.%d.%d", i/250, i%250) }
	for _, tt := range []struct {
		name    string
		peer    func(int) challenges.NodeID
		addr    func(int) string
		trusted bool
		tries   int
		want    int
	}{
		{"one peer", same, each, false, 100, 8},
		{"one trusted peer", same, one, true, 100, 8},
		{"new keys at one address", node, one, false, 5000, 8},
		{"new keys at one address, trusted", node, one, true, 100, 100},
		{"new keys at many addresses", node, each, false, 5000, 5000},
		{"new keys on loopback", node, func(int) string { return "127.0.0.1" }, false, 100, 100},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRates(Rate{PerPeer: 2, PerAddr: 2, Burst: 8})
				try := func(n int) (passed int) {
					for i := range n {
						a := multiaddr.StringCast("/ip4/" + tt.addr(i) + "/tcp/1")
						if r.allow(tt.peer(i), tt.trusted, a) {
							passed++
						}
					}
					return passed
				}
				if got := try(tt.tries); got != tt.want {
					t.Errorf("%d of %d passed, want %d", got, tt.tries, tt.want)
				}
				if p, a := len(r.peers.byKey), len(r.addrs.byKey); p > min(maxBuckets, tt.want) || a > maxBuckets {
					t.Errorf("%d peers and %d addresses remembered", p, a)
				}
				if tt.want == 8 {
					time.Sleep(time.Second)
					if got := try(tt.tries); got != 2 {
						t.Errorf("%d passed a second later, want 2", got)
					}
				}
				time.Sleep(time.Minute)
				try(1)
				if p, a := len(r.peers.byKey), len(r.addrs.byKey); p > 1 || a > 1 {
					t.Errorf("%d peers and %d addresses remembered of those that are long full", p, a)
				}
			})
		})
	}
}

func TestBucketsGiveWay(t *testing.T) {
	b := newBuckets[int](1, 1, 3)
	now := time.Unix(0, 0)
	for _, step := range []struct {
		key  int
		want bool
	}{{1, true}, {2, true}, {3, true}, {1, false}, {4, true}, {1, false}, {2, true}, {3, true}} {
		// 4 takes the place of 2, and 2 that of 3: the one used longest ago.
		if got := b.allow(step.key, now); got != step.want {
			t.Errorf("key %d: %v", step.key, got)
		}
		if len(b.byKey) != b.order.Len() || len(b.byKey) > 3 {
			t.Fatalf("%d keys, %d in order", len(b.byKey), b.order.Len())
		}
	}
	free := newBuckets[int](rate.Inf, 1, 3)
	for range 3 {
		if !free.allow(1, now) || len(free.byKey) != 0 {
			t.Error("rate.Inf limits or remembers")
		}
	}
}

// A flooding peer meets its rate, whatever its streams do; another does not.
func TestRateOfStreams(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSimOf(t, 3, Config{Limits: testLimits(), Rates: map[string]Rate{testProto: {PerPeer: 1, PerAddr: 1, Burst: 4}}})
		s.hosts[0].Handle(testProto, func(ctx context.Context, _ challenges.NodeID, conn challenges.Conn) error {
			return conn.Send(ctx, []byte("in"))
		})
		enter := func(from int) error {
			conn := s.open(t, from, 0)
			defer conn.Close()
			_, err := conn.Recv(t.Context())
			return err
		}
		for i := range 4 {
			if err := enter(1); err != nil {
				t.Fatalf("stream %d: %v", i, err)
			}
		}
		wantCode(t, s.rawStream(t, 1, 0), CodeLimit)
		if err := enter(2); err != nil {
			t.Errorf("another peer: %v", err)
		}
		time.Sleep(5 * time.Second)
		if err := enter(1); err != nil {
			t.Errorf("later: %v", err)
		}
		if got := s.hosts[0].Stats(); got.Admitted != 6 || got.Limited != 1 || got.Busy != 0 {
			t.Errorf("stats %+v", got)
		}
		if _, err := Wrap(s.raw[0], Config{Limits: testLimits(), Rates: map[string]Rate{testProto: {}}}); err == nil {
			t.Error("a rate of nothing accepted")
		}
	})
}
