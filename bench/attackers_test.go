package bench

import (
	"context"
	"encoding/binary"
	"io"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/protocol"

	"github.com/assaynet/assay/challenges"
	"github.com/assaynet/assay/checker"
	"github.com/assaynet/assay/prover"
)

// raw is a provider that speaks libp2p but not our protocol: what it does on the
// control stream is up to the test. Its offer is honest, so that it is challenged.
func (w *world) raw(i int, control func(s network.Stream)) {
	w.t.Helper()
	w.agent(i, nil, func(n prover.Network) prover.Network { return onlyOffers{n} })
	host := w.provider[i].raw
	host.SetStreamHandler(protocol.ID(challenges.ProtoControl), control)
	host.SetStreamHandler(protocol.ID(challenges.ProtoBulk), func(s network.Stream) { _, _ = io.Copy(io.Discard, s) })
}

// onlyOffers registers nothing but the offer.
type onlyOffers struct{ prover.Network }

func (o onlyOffers) Handle(proto string, h func(context.Context, challenges.NodeID, challenges.Conn) error) {
	if proto == challenges.ProtoOffer || proto == challenges.ProtoProbe {
		o.Network.Handle(proto, h)
	}
}

func TestRawProviders(t *testing.T) {
	tests := []struct {
		name    string
		control func(s network.Stream)
		want    challenges.Outcome
	}{
		{"a frame of 1 MiB", func(s network.Stream) {
			_, _ = s.Write(binary.AppendUvarint(nil, 1<<20))
			for range 1 << 10 {
				if _, err := s.Write(make([]byte, 1<<10)); err != nil {
					return
				}
			}
		}, challenges.Unreachable},
		{"one byte a second", func(s network.Stream) {
			_, _ = s.Write(binary.AppendUvarint(nil, 200))
			for range 200 {
				time.Sleep(time.Second)
				if _, err := s.Write([]byte{0}); err != nil {
					return
				}
			}
		}, challenges.Unreachable},
		{"garbage", func(s network.Stream) {
			body := make([]byte, 300)
			_, _ = s.Write(append(binary.AppendUvarint(nil, uint64(len(body))), body...))
			_, _ = io.Copy(io.Discard, s)
		}, challenges.Unreachable},
		{"a frame too short for a signature", func(s network.Stream) {
			_, _ = s.Write([]byte{3, 1, 2, 3})
			_, _ = io.Copy(io.Discard, s)
		}, challenges.Unreachable},
		{"closed at once", func(s network.Stream) { _ = s.Close() }, challenges.Unreachable},
		{"reset at once", func(s network.Stream) { _ = s.Reset() }, challenges.Unreachable},
		{"never read", func(network.Stream) {}, challenges.Unreachable},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, 1, 1, 5*time.Millisecond)
				var handlers sync.WaitGroup
				w.raw(0, func(s network.Stream) {
					handlers.Add(1)
					defer handlers.Done()
					defer s.Reset()
					tt.control(s)
				})
				w.run(2, nil)
				handlers.Wait()
				requireAll(t, w.matmuls(), tt.want, false, "")
			})
		})
	}
}

// tamper is a cheating checker: a network on which its frames to the provider,
// or the provider's frames to it, are altered. Its sessions believe them.
type tamper struct {
	checker.Network
	out func(proto string, n int, frame []byte) []byte
	in  func(proto string, n int, frame []byte) []byte
}

func (n tamper) Open(ctx context.Context, to challenges.NodeID, proto string) (challenges.Conn, error) {
	conn, err := n.Network.Open(ctx, to, proto)
	if err != nil {
		return nil, err
	}
	return &tamperConn{Conn: conn, net: n, proto: proto}, nil
}

type tamperConn struct {
	challenges.Conn
	net       tamper
	proto     string
	sent, got atomic.Int32
}

func (c *tamperConn) Send(ctx context.Context, frame []byte) error {
	n := int(c.sent.Add(1)) - 1
	if c.net.out != nil {
		frame = c.net.out(c.proto, n, frame)
	}
	return c.Conn.Send(ctx, frame)
}

func (c *tamperConn) Recv(ctx context.Context) ([]byte, error) {
	frame, err := c.Conn.Recv(ctx)
	n := int(c.got.Add(1)) - 1
	if err == nil && c.net.in != nil {
		frame = c.net.in(c.proto, n, frame)
	}
	if frame == nil && err == nil {
		return nil, challenges.ErrReset
	}
	return frame, err
}

// otherPositions moves every position of the n-th request by one.
func otherPositions(frame []byte) []byte {
	var f challenges.PositionsFrame
	if challenges.Unmarshal(frame, &f) != nil {
		return frame
	}
	f.Positions[0] ^= 1
	return challenges.Marshal(&f)
}

// TestCheatingCheckers: whatever a checker does to the frames on its own wire,
// an honest provider is not shown wrong by any transcript that replays.
func TestCheatingCheckers(t *testing.T) {
	control := func(proto string) bool { return proto == challenges.ProtoControl }
	tests := []struct {
		name string
		net  tamper
	}{
		{"asks for other positions than it records", tamper{out: func(proto string, n int, f []byte) []byte {
			if control(proto) && n > 0 {
				return otherPositions(f)
			}
			return f
		}}},
		{"feeds false positions into the key chain once", tamper{out: func(proto string, n int, f []byte) []byte {
			if control(proto) && n == 3 {
				return otherPositions(f)
			}
			return f
		}}},
		{"alters an opening's data", tamper{in: func(proto string, n int, f []byte) []byte {
			if proto == challenges.ProtoBulk && n == 2 {
				f[200] ^= 1
			}
			return f
		}}},
		{"alters a root", tamper{in: func(proto string, n int, f []byte) []byte {
			if control(proto) && n == 2 {
				f[10] ^= 1
			}
			return f
		}}},
		{"alters a signature", tamper{in: func(proto string, n int, f []byte) []byte {
			if control(proto) && n == 2 {
				f[len(f)-1] ^= 1
			}
			return f
		}}},
		{"cuts the control stream", tamper{in: func(proto string, n int, f []byte) []byte {
			if control(proto) && n == 5 {
				return nil
			}
			return f
		}}},
		{"cuts the bulk stream", tamper{in: func(proto string, n int, f []byte) []byte {
			if proto == challenges.ProtoBulk && n == 5 {
				return nil
			}
			return f
		}}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, 1, 1, 5*time.Millisecond)
				w.agent(0, nil, nil)
				w.run(2, func(n checker.Network) checker.Network {
					tt.net.Network = n
					return tt.net
				})
				found := w.matmuls()
				if len(found) == 0 {
					t.Fatal("no challenge")
				}
				for _, f := range found {
					if (f.Recorded != nil && *f.Recorded == challenges.Wrong) || (f.Outcome != nil && *f.Outcome == challenges.Wrong) {
						t.Errorf("an honest provider is wrong: %+v", f)
					}
				}
			})
		})
	}
}

// TestProviderRefusesForeignParameters: a checker that asks for work outside the
// tables, or judges by another claim, gets no root.
func TestProviderRefusesForeignParameters(t *testing.T) {
	secret := challenges.Secret{1}
	good := func(w *world) (challenges.Challenge, challenges.ComputeParams) {
		row, _ := challenges.LookupProfile(1)
		p := challenges.ComputeParams{Profile: 1, Window: 4, Claim: 95e6}
		return challenges.Challenge{
			Network: w.registry.Hash(), Provider: w.provider[0].host.ID(), Device: "gpu0", Kind: challenges.Matmul,
			Commit: secret.Commit(), Deadline: row.Deadline(p.Claim, 0),
		}, p
	}
	tests := []struct {
		name   string
		change func(c *challenges.Challenge, p *challenges.ComputeParams)
		root   bool
	}{
		{"as offered", func(*challenges.Challenge, *challenges.ComputeParams) {}, true},
		{"unknown profile", func(_ *challenges.Challenge, p *challenges.ComputeParams) { p.Profile = 99 }, false},
		{"window over R/4", func(_ *challenges.Challenge, p *challenges.ComputeParams) { p.Window = 9 }, false},
		{"another claim", func(c *challenges.Challenge, p *challenges.ComputeParams) {
			p.Claim = 2e8
			row, _ := challenges.LookupProfile(1)
			c.Deadline = row.Deadline(p.Claim, 0)
		}, false},
		{"another deadline", func(c *challenges.Challenge, _ *challenges.ComputeParams) { c.Deadline++ }, false},
		{"another device", func(c *challenges.Challenge, _ *challenges.ComputeParams) { c.Device = "gpu9" }, false},
		{"another provider", func(c *challenges.Challenge, _ *challenges.ComputeParams) { c.Provider = challenges.IDOf(simKey(40)) }, false},
		{"another epoch", func(c *challenges.Challenge, _ *challenges.ComputeParams) { c.Epoch = 1000 }, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, 1, 1, 5*time.Millisecond)
				w.agent(0, nil, nil)
				time.Sleep(time.Until(w.registry.Clock().Genesis))
				c, p := good(w)
				tt.change(&c, &p)
				c.Params = challenges.Marshal(&p)
				key := w.checkers[0].key
				env := challenges.Seal(w.registry.Hash(), challenges.KindChallenge, challenges.Marshal(&c), key)
				conn, err := w.checkers[0].host.Open(t.Context(), w.provider[0].host.ID(), challenges.ProtoControl)
				if err != nil {
					t.Fatal(err)
				}
				defer conn.Close()
				if err := conn.Send(t.Context(), challenges.Marshal(&env)); err != nil {
					t.Fatal(err)
				}
				frame, err := conn.Recv(t.Context())
				var root challenges.RootFrame
				got := err == nil && challenges.Unmarshal(frame[:len(frame)-64], &root) == nil
				if got != tt.root {
					t.Errorf("root %v, want %v (%v)", got, tt.root, err)
				}
			})
		})
	}
}

// TestHonestProvidersUnderBadNetworks: delays and jitter make nobody wrong.
func TestHonestProvidersUnderBadNetworks(t *testing.T) {
	for _, delay := range []time.Duration{time.Millisecond, 20 * time.Millisecond, 150 * time.Millisecond} {
		t.Run(delay.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, 3, 2, delay)
				w.agent(0, nil, nil)
				w.agent(1, nil, nil)
				w.run(3, nil)
				counts := make(map[challenges.Outcome]int)
				for _, f := range w.matmuls() {
					counts[*f.Outcome]++
					if !f.OK || *f.Outcome == challenges.Wrong || *f.Outcome == challenges.Withheld {
						t.Errorf("an honest provider: %v %v", *f.Outcome, f.Reasons)
					}
				}
				if counts[challenges.Pass] == 0 {
					t.Errorf("no pass: %v", counts)
				}
				t.Logf("one-way delay %v: %v", delay, counts)
			})
		})
	}
}
