package p2p

import (
	"container/list"
	"net/netip"
	"sync"
	"time"

	"github.com/multiformats/go-multiaddr"
	manet "github.com/multiformats/go-multiaddr/net"
	"golang.org/x/time/rate"

	"github.com/assaynet/assay/challenges"
)

// Rate bounds how often streams of one protocol may be opened to this host. A
// stream over it is reset with CodeLimit. rate.Inf is no limit.
type Rate struct {
	PerPeer rate.Limit // by one key
	PerAddr rate.Limit // by one IPv4 address or one IPv6 /56; neither Trusted peers nor loopback
	Burst   int        // at once, of either
}

// DefaultRate holds for a protocol that Config.Rates leaves out. A checker in
// an epoch of seconds opens about one stream a second to a provider.
func DefaultRate() Rate { return Rate{PerPeer: 10, PerAddr: 20, Burst: 64} }

// maxBuckets bounds the peers and the addresses remembered of one protocol, so
// that new keys, which cost nothing, cost us no memory either.
const maxBuckets = 2048

// rates are the buckets of one protocol.
type rates struct {
	peers *buckets[challenges.NodeID]
	addrs *buckets[netip.Prefix]
}

func newRates(r Rate) *rates {
	return &rates{
		peers: newBuckets[challenges.NodeID](r.PerPeer, r.Burst, maxBuckets),
		addrs: newBuckets[netip.Prefix](r.PerAddr, r.Burst, maxBuckets),
	}
}

// allow takes a token for a stream. A Trusted peer does not answer for those it
// shares an address with. The address comes first: what it refuses makes no
// entry for its key.
func (r *rates) allow(id challenges.NodeID, trusted bool, from multiaddr.Multiaddr) bool {
	now := time.Now()
	if !trusted {
		if p := prefixOf(from); !p.Addr().IsLoopback() && !r.addrs.allow(p, now) {
			return false
		}
	}
	return r.peers.allow(id, now)
}

// prefixOf is what one subscriber of the network has to itself. Paths without an
// IP share the zero prefix.
func prefixOf(a multiaddr.Multiaddr) netip.Prefix {
	ip, err := manet.ToIP(a)
	if err != nil {
		return netip.Prefix{}
	}
	addr, _ := netip.AddrFromSlice(ip)
	addr = addr.Unmap()
	bits := 32
	if addr.Is6() && !addr.IsLoopback() {
		bits = 56
	}
	if addr.Is6() && addr.IsLoopback() {
		bits = 128
	}
	p, _ := addr.Prefix(bits)
	return p
}

// buckets is a bounded table of token buckets. One that is full again is
// forgotten, for a new one is no different; beyond that the one used longest ago
// gives way.
type buckets[K comparable] struct {
	limit rate.Limit
	burst int
	max   int
	full  time.Duration // from empty to full

	mu    sync.Mutex
	byKey map[K]*list.Element
	order list.List // of *bucket[K], the one used longest ago in front
}

type bucket[K comparable] struct {
	key    K
	used   time.Time
	tokens *rate.Limiter
}

func newBuckets[K comparable](limit rate.Limit, burst, size int) *buckets[K] {
	b := &buckets[K]{limit: limit, burst: burst, max: size, byKey: make(map[K]*list.Element)}
	if limit > 0 {
		b.full = time.Duration(float64(burst) / float64(limit) * float64(time.Second))
	}
	return b
}

func (b *buckets[K]) allow(key K, now time.Time) bool {
	if b.limit == rate.Inf {
		return true
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.forget(now)
	e := b.byKey[key]
	if e == nil {
		if len(b.byKey) >= b.max {
			b.drop(b.order.Front())
		}
		e = b.order.PushBack(&bucket[K]{key: key, tokens: rate.NewLimiter(b.limit, b.burst)})
		b.byKey[key] = e
	}
	b.order.MoveToBack(e)
	one := e.Value.(*bucket[K])
	one.used = now
	return one.tokens.AllowN(now, 1)
}

// forget drops the buckets that have filled up.
func (b *buckets[K]) forget(now time.Time) {
	for e := b.order.Front(); e != nil && now.Sub(e.Value.(*bucket[K]).used) >= b.full; e = b.order.Front() {
		b.drop(e)
	}
}

func (b *buckets[K]) drop(e *list.Element) {
	delete(b.byKey, b.order.Remove(e).(*bucket[K]).key)
}
