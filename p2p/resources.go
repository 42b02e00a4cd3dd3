package p2p

import (
	"fmt"
	"net/netip"
	"time"

	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	rcmgr "github.com/libp2p/go-libp2p/p2p/host/resource-manager"
	"github.com/libp2p/go-libp2p/x/rate"

	"github.com/assaynet/assay/challenges"
)

// What one stranger may have, streams that still negotiate included. Times the
// 256 connections of all strangers it is 4096 incoming streams and 1 GiB: half
// of what newResources gives the whole host, in any scope that they share.
const (
	strangerPeerConns   = 4
	strangerPeerStreams = 16
	strangerPeerMemory  = 4 << 20
)

// newResources bounds connections, streams and memory by fixed numbers, not by
// the machine's size, so that a limit met in a test is the one met in the field.
func newResources(trusted func(challenges.NodeID) bool) (network.ResourceManager, error) {
	base := rcmgr.DefaultLimits
	libp2p.SetDefaultServiceLimits(&base)
	limits := rcmgr.PartialLimitConfig{
		System: rcmgr.ResourceLimits{
			Conns: 3072, ConnsInbound: 2048, ConnsOutbound: 1024,
			Streams: 16384, StreamsInbound: 8192, StreamsOutbound: 8192,
			Memory: 2 << 30,
		},
		// Handshakes and negotiations under way. Strangers can have 4096 streams here;
		// connections are nobody's before their handshake, but no /24 fills the room.
		Transient: rcmgr.ResourceLimits{
			Conns: 1536, ConnsInbound: 1024, ConnsOutbound: 512,
			Streams: 8192, StreamsInbound: 6144, StreamsOutbound: 2048,
		},
		ServiceDefault:  rcmgr.ResourceLimits{Streams: 12288, StreamsInbound: 6144, StreamsOutbound: 6144},
		ProtocolDefault: rcmgr.ResourceLimits{Streams: 8192, StreamsInbound: 6144, StreamsOutbound: 2048},
	}.Build(base.Scale(1<<30, 4096))

	// libp2p allows 8 connections and one new one in 5 s to or from an address:
	// too few for a rack of providers behind one. Loopback has no such limits, here
	// and in libp2p's defaults: a whole network runs on one machine in tests.
	manager, err := rcmgr.NewResourceManager(limiter{rcmgr.NewFixedLimiter(limits), trusted},
		rcmgr.WithMetricsDisabled(),
		rcmgr.WithLimitPerSubnet(
			[]rcmgr.ConnLimitPerSubnet{{PrefixLength: 32, ConnCount: 256}, {PrefixLength: 24, ConnCount: 512}},
			[]rcmgr.ConnLimitPerSubnet{{PrefixLength: 56, ConnCount: 256}, {PrefixLength: 48, ConnCount: 512}},
		),
		rcmgr.WithConnRateLimiters(&rate.Limiter{
			NetworkPrefixLimits: []rate.PrefixLimit{
				{Prefix: netip.MustParsePrefix("127.0.0.0/8")},
				{Prefix: netip.MustParsePrefix("::1/128")},
			},
			SubnetRateLimiter: rate.SubnetLimiter{
				IPv4SubnetLimits: []rate.SubnetLimit{{PrefixLength: 32, Limit: rate.Limit{RPS: 8, Burst: 256}}},
				IPv6SubnetLimits: []rate.SubnetLimit{{PrefixLength: 56, Limit: rate.Limit{RPS: 8, Burst: 256}}},
				GracePeriod:      time.Minute,
			},
		}),
	)
	if err != nil {
		return nil, fmt.Errorf("resource manager: %w", err)
	}
	return manager, nil
}

// limiter gives strangers less than Trusted peers. What we open to them is not
// reduced. libp2p asks once while a peer is connected.
type limiter struct {
	rcmgr.Limiter
	trusted func(challenges.NodeID) bool
}

func (l limiter) GetPeerLimits(p peer.ID) rcmgr.Limit {
	if trusts(l.trusted, p) {
		return l.Limiter.GetPeerLimits(p)
	}
	all := l.Limiter.GetPeerLimits(p)
	return &rcmgr.BaseLimit{
		Conns: all.GetConnTotalLimit(), ConnsInbound: strangerPeerConns, ConnsOutbound: all.GetConnLimit(network.DirOutbound),
		Streams: all.GetStreamTotalLimit(), StreamsInbound: strangerPeerStreams, StreamsOutbound: all.GetStreamLimit(network.DirOutbound),
		FD: all.GetFDLimit(), Memory: strangerPeerMemory,
	}
}

// trusts asks a Trusted hook about a libp2p name.
func trusts(hook func(challenges.NodeID) bool, p peer.ID) bool {
	if hook == nil {
		return false
	}
	id, err := NodeIDOf(p)
	return err == nil && hook(id)
}
