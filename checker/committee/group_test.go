package committee

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/assaynet/assay/challenges"
)

func TestNetwork(t *testing.T) {
	for _, tt := range []struct{ addr, want string }{
		{"/ip4/10.1.2.3/udp/4001/quic-v1", "10.1.2.0/24"},
		{"/ip4/127.0.0.1/tcp/1", "127.0.0.0/24"},
		{"/ip4/255.255.255.255", "255.255.255.0/24"},
		{"/ip4/10.1.2.3/udp/1/quic-v1/p2p/x/p2p-circuit", ""}, // the relay's
		{"/ip4/0.0.0.0/tcp/1", ""},
		{"/ip4/10.1.2/tcp/1", ""},
		{"/ip4/10.1.2.3.4/tcp/1", ""},
		{"/ip4/10.1.2.256/tcp/1", ""},
		{"/ip4/10.1.2.03/tcp/1", ""},
		{"/ip4/10.1.2.+3/tcp/1", ""},
		{"/ip4/ 10.1.2.3/tcp/1", ""},
		{"ip4/10.1.2.3/tcp/1", ""},
		{"/dns4/10.1.2.3/tcp/1", ""},
		{"/ip6/2001:db8:7:8::1/tcp/1", "2001:db8:7::/48"},
		{"/ip6/2001:db8::/tcp/1", "2001:db8::/48"},
		{"/ip6/2001:DB8:0007:0:0:0:0:1/tcp/1", "2001:db8:7::/48"},
		{"/ip6/1:2:3:4:5:6:7::", "1:2:3::/48"},
		{"/ip6/::2:3:4:5:6:7:8", "0:2:3::/48"},
		{"/ip6/1:2:3:4:5:6:1.2.3.4", "1:2:3::/48"},
		{"/ip6/64:ff9b::1.2.3.4", "64:ff9b::/48"},
		{"/ip6/::1/tcp/1", "::/48"},
		{"/ip6/::ffff:10.1.2.3/tcp/1", "10.1.2.0/24"}, // the same host as by IPv4
		{"/ip6/::ffff:a01:203/tcp/1", "10.1.2.0/24"},
		{"/ip6/::ffff:0.0.0.0/tcp/1", ""},
		{"/ip6/::/tcp/1", ""},
		{"/ip6//tcp/1", ""},
		{"/ip6/1:2:3:4:5:6:7/tcp/1", ""},
		{"/ip6/1:2:3:4:5:6:7:8:9/tcp/1", ""},
		{"/ip6/1:2:3:4::5:6:7:8/tcp/1", ""}, // :: for nothing
		{"/ip6/1::2::3/tcp/1", ""},
		{"/ip6/:1:2:3:4:5:6:7/tcp/1", ""},
		{"/ip6/1:::2/tcp/1", ""},
		{"/ip6/12345::/tcp/1", ""},
		{"/ip6/0x1::/tcp/1", ""},
		{"/ip6/1.2.3.4::/tcp/1", ""},
		{"/ip6/1.2.3.4:1::/tcp/1", ""},
		{"/ip6/1:2:3:4:5:6:7:1.2.3.4/tcp/1", ""},
		{"/ip6/fe80::1%eth0/tcp/1", ""},
		{"/ip6zone/eth0/ip6/fe80::1", ""},
		{"/ip4", ""},
		{"", ""},
	} {
		got, ok := network(tt.addr)
		if got != tt.want || ok != (tt.want != "") {
			t.Errorf("%q: %q %v, want %q", tt.addr, got, ok, tt.want)
		}
	}
}

// Labels say what a group is of; the same devices have one label, the narrowest.
func TestGroupLabels(t *testing.T) {
	a, b, c := challenges.NodeID{1}, challenges.NodeID{2}, challenges.NodeID{3}
	groups := Groups(map[challenges.NodeID]challenges.Offer{
		a: offerOf("acme", 2, "/ip4/10.0.0.1/tcp/1", "/ip4/10.0.0.2/tcp/1", "/ip4/10.0.9.1/tcp/1"),
		b: offerOf("acme", 1, "/ip4/10.0.1.1/tcp/1"),
		c: offerOf("other", 2, "/ip4/10.0.1.2/tcp/1", "/ip4/10.0.2.2/tcp/1"),
	})
	var got []string
	for _, g := range groups {
		var who []string
		for _, d := range g.Targets {
			who = append(who, fmt.Sprintf("%d/%s", d.Provider[0], d.Device))
		}
		got = append(got, g.Label+": "+strings.Join(who, " "))
	}
	want := []string{
		"provider " + a.String() + ": 1/gpu0 1/gpu1",
		"provider " + c.String() + ": 3/gpu0 3/gpu1",
		"operator acme: 1/gpu0 1/gpu1 2/gpu0",
		"net 10.0.1.0/24: 2/gpu0 3/gpu0 3/gpu1",
	}
	if !slices.Equal(got, want) {
		t.Errorf("groups\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// overlapping is a host, its operator and two networks, each in the next one's way.
func overlapping() []Group {
	offers := map[challenges.NodeID]challenges.Offer{
		{1}: offerOf("acme", 2, "/ip4/10.0.0.1/tcp/1"),
		{2}: offerOf("acme", 1, "/ip4/10.0.1.1/tcp/1"),
	}
	for i := range byte(20) {
		offers[challenges.NodeID{10 + i}] = offerOf(fmt.Sprint("operator", i), 1, "/ip4/10.0.1.2/tcp/1", "/ip4/10.0.2.2/tcp/1")
	}
	return Groups(offers)
}

// Whatever is larger and shares a device, each group has its turn, of both kinds,
// in times that nobody stretches without end.
func TestFleetsReachEveryGroup(t *testing.T) {
	groups := overlapping()
	if len(groups) != 4 {
		t.Fatalf("%d groups", len(groups))
	}
	for _, every := range []uint16{1, 2, 36} {
		r := testRegistry(5, Standard())
		r.Params.FleetEvery = every
		type kind struct {
			label  string
			memory bool
		}
		runs := make(map[kind]int)
		rounds := 200
		for epoch := range uint64(rounds) * uint64(every) {
			// The members' parts are all of it, each once.
			var all []Fleet
			for _, m := range r.Checkers {
				all = append(all, Fleets(r, challenges.Hash{7}, m.ID, epoch, groups)...)
			}
			in := make(map[Target]bool)
			for _, f := range all {
				runs[kind{f.Group.Label, f.Memory}]++
				if f.Epoch != epoch {
					t.Fatalf("epoch %d in epoch %d", f.Epoch, epoch)
				}
				for _, d := range f.Group.Targets {
					if in[d] {
						t.Fatalf("epoch %d: %v twice", epoch, d)
					}
					in[d] = true
				}
			}
			if !maps.Equal(in, InFleet(r, epoch, groups)) {
				t.Fatalf("epoch %d: in fleets %v, says %v", epoch, in, InFleet(r, epoch, groups))
			}
		}
		for _, g := range groups {
			for _, memory := range []bool{false, true} {
				if n := runs[kind{g.Label, memory}]; n < rounds/40 || n > rounds/2 {
					t.Errorf("every %d: %s, memory %v: %d times in %d rounds", every, g.Label, memory, n, rounds)
				}
			}
		}
	}
}

// A group alone is run by one checker in each round, not always by the same, and
// in another order of groups and offers by the same.
func TestFleetsArePure(t *testing.T) {
	r := testRegistry(5, Standard())
	alone := overlapping()[:1]
	by := make(map[challenges.NodeID]int)
	last, memory := uint64(0), false
	for epoch := range uint64(100 * 36) {
		for _, m := range r.Checkers {
			for _, f := range Fleets(r, challenges.Hash{7}, m.ID, epoch, alone) {
				if last > 0 && (epoch-last != 36 || f.Memory == memory) {
					t.Fatalf("runs in epochs %d and %d, memory %v and %v", last, epoch, memory, f.Memory)
				}
				last, memory = epoch, f.Memory
				by[m.ID]++
			}
		}
	}
	for _, m := range r.Checkers {
		if by[m.ID] < 5 {
			t.Errorf("checker %s ran %d of 100", m.Name, by[m.ID])
		}
	}
	if got := Fleets(r, challenges.Hash{7}, testID(9), last, alone); got != nil {
		t.Errorf("a stranger's: %v", got)
	}
	groups := overlapping()
	random := rand.New(rand.NewPCG(1, 1))
	for epoch := range uint64(200) {
		mixed := slices.Clone(groups)
		random.Shuffle(len(mixed), func(i, j int) { mixed[i], mixed[j] = mixed[j], mixed[i] })
		for _, m := range r.Checkers {
			a, b := Fleets(r, challenges.Hash{7}, m.ID, epoch, groups), Fleets(r, challenges.Hash{7}, m.ID, epoch, mixed)
			if !reflect.DeepEqual(a, b) {
				t.Fatalf("epoch %d: %v, in another order %v", epoch, a, b)
			}
		}
	}
	if !reflect.DeepEqual(overlapping(), groups) {
		t.Error("the same offers gave other groups")
	}
}
