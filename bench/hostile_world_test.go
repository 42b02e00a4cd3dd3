package bench

import (
	"context"
	"fmt"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/sec"
	"github.com/libp2p/go-libp2p/p2p/muxer/yamux"
	"github.com/libp2p/go-libp2p/p2p/net/upgrader"
	"github.com/libp2p/go-libp2p/p2p/security/noise"
	libp2pquic "github.com/libp2p/go-libp2p/p2p/transport/quic"
	"github.com/libp2p/go-libp2p/p2p/transport/quicreuse"
	"github.com/multiformats/go-multiaddr"
	manet "github.com/multiformats/go-multiaddr/net"
	"github.com/multiformats/go-multistream"
	"github.com/quic-go/quic-go"
)

// target is a victim as its enemies see it.
type target struct {
	ID   peer.ID
	QUIC string // multiaddrs
	TCP  string // "" = has none
}

// hostile is one enemy. It is no libp2p host: it dials, opens streams and
// breaks whatever rule its kind is for.
type hostile struct {
	key     crypto.PrivKey
	target  target
	socket  func() (net.PacketConn, error) // where its QUIC comes from
	from    net.Addr                       // where its TCP comes from
	pace    time.Duration                  // between two acts of a loop
	flood   time.Duration                  // the same, of a flood
	redial  time.Duration                  // before each dial
	tally   *tally
	useTCP  bool
	proto   string // of a flood
	entropy io.Reader
	manager *quicreuse.ConnManager
}

// tally is what the enemies achieved together.
type tally struct {
	dialled, refused, streams, resets atomic.Int64
	first                             atomic.Pointer[error] // why a dial failed
}

func (t *tally) refuse(err error) {
	t.refused.Add(1)
	t.first.CompareAndSwap(nil, &err)
}

func (t *tally) String() string {
	why := ""
	if err := t.first.Load(); err != nil {
		why = fmt.Sprintf(" (%v)", *err)
	}
	return fmt.Sprintf("%d connections, %d dials failed%s; %d streams opened, %d of them refused or reset",
		t.dialled.Load(), t.refused.Load(), why, t.streams.Load(), t.resets.Load())
}

// link is a connection of an enemy.
type link struct {
	network.MuxedConn
	close func()
}

// dial connects with a key, over QUIC or over TCP, noise and yamux.
func (h *hostile) dial(ctx context.Context, key crypto.PrivKey) (*link, error) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	over := h.dialQUIC
	if h.useTCP {
		over = h.dialTCP
	}
	l, err := over(ctx, key)
	if err != nil {
		h.tally.refuse(err)
		return nil, err
	}
	h.tally.dialled.Add(1)
	return l, nil
}

func (h *hostile) dialQUIC(ctx context.Context, key crypto.PrivKey) (*link, error) {
	if h.manager == nil { // one socket, whatever keys come after one another
		var err error
		h.manager, err = quicreuse.NewConnManager(quic.StatelessResetKey{1}, quic.TokenGeneratorKey{1},
			quicreuse.OverrideSourceIPSelector(func() (quicreuse.SourceIPSelector, error) { return anySource{}, nil }),
			quicreuse.OverrideListenUDP(func(string, *net.UDPAddr) (net.PacketConn, error) { return h.socket() }))
		if err != nil {
			return nil, err
		}
	}
	t, err := libp2pquic.NewTransport(key, h.manager, nil, nil, &network.NullResourceManager{})
	if err != nil {
		return nil, err
	}
	stop := func() { _ = t.(io.Closer).Close() }
	addr, err := multiaddr.NewMultiaddr(h.target.QUIC)
	if err != nil {
		stop()
		return nil, err
	}
	c, err := t.Dial(ctx, addr, h.target.ID)
	if err != nil {
		stop()
		return nil, err
	}
	return &link{c, sync.OnceFunc(func() { _ = c.Close(); stop() })}, nil
}

// anySource leaves the choice of a source address to the socket.
type anySource struct{}

func (anySource) PreferredSourceIPForDestination(*net.UDPAddr) (net.IP, error) {
	return net.IPv4zero, nil
}

func (h *hostile) dialTCP(ctx context.Context, key crypto.PrivKey) (*link, error) {
	raw, err := h.connect(ctx)
	if err != nil {
		return nil, err
	}
	secure, err := noise.New(noise.ID, key, []upgrader.StreamMuxer{{ID: yamux.ID, Muxer: yamux.DefaultTransport}})
	if err != nil {
		return nil, err
	}
	u, err := upgrader.New([]sec.SecureTransport{secure}, []upgrader.StreamMuxer{{ID: yamux.ID, Muxer: yamux.DefaultTransport}},
		nil, &network.NullResourceManager{}, nil)
	if err != nil {
		return nil, err
	}
	c, err := u.Upgrade(ctx, nil, raw, network.DirOutbound, h.target.ID, &network.NullScope{})
	if err != nil {
		_ = raw.Close()
		return nil, err
	}
	return &link{c, sync.OnceFunc(func() { _ = c.Close() })}, nil
}

// connect is TCP without a handshake.
func (h *hostile) connect(ctx context.Context) (manet.Conn, error) {
	addr, err := multiaddr.NewMultiaddr(h.target.TCP)
	if err != nil {
		return nil, err
	}
	to, err := manet.ToNetAddr(addr)
	if err != nil {
		return nil, err
	}
	c, err := (&net.Dialer{LocalAddr: h.from}).DialContext(ctx, "tcp", to.String())
	if err != nil {
		return nil, err
	}
	return manet.WrapNetConn(c)
}

// stream opens a stream and asks for a protocol, without waiting for the answer.
func (h *hostile) stream(ctx context.Context, l *link, proto string) (network.MuxedStream, error) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	s, err := l.OpenStream(ctx)
	if err != nil {
		return nil, err
	}
	h.tally.streams.Add(1)
	_ = s.SetDeadline(time.Now().Add(3 * time.Minute))
	if proto != "" {
		if err := multistream.SelectProtoOrFail(proto, s); err != nil {
			h.tally.resets.Add(1)
			_ = s.Reset()
			return nil, err
		}
	}
	return s, nil
}
