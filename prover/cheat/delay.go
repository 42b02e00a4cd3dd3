package cheat

import (
	"context"
	"sync"
	"time"

	"github.com/assaynet/assay/challenges"
	"github.com/assaynet/assay/prover"
)

// Delay is a network on which probes and offers are answered late, so that the
// provider looks farther away than it is; challenges are answered at once.
type Delay struct {
	prover.Network
	By   time.Duration
	Near time.Duration // only while a challenge runs, and so long after it; 0: always

	mu      sync.Mutex
	running int       // challenges
	ended   time.Time // the last of them
}

// Handle serves a protocol with late answers.
func (d *Delay) Handle(proto string, handler func(context.Context, challenges.NodeID, challenges.Conn) error) {
	switch proto {
	case challenges.ProtoProbe, challenges.ProtoOffer:
		d.Network.Handle(proto, func(ctx context.Context, peer challenges.NodeID, conn challenges.Conn) error {
			return handler(ctx, peer, delayConn{conn, d})
		})
	case challenges.ProtoControl:
		d.Network.Handle(proto, func(ctx context.Context, peer challenges.NodeID, conn challenges.Conn) error {
			d.count(1)
			defer d.count(-1)
			return handler(ctx, peer, conn)
		})
	default:
		d.Network.Handle(proto, handler)
	}
}

func (d *Delay) count(by int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.running += by
	d.ended = time.Now()
}

// late reports that answers wait now.
func (d *Delay) late() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.Near == 0 || d.running > 0 || time.Since(d.ended) < d.Near
}

type delayConn struct {
	challenges.Conn
	delay *Delay
}

func (c delayConn) Send(ctx context.Context, frame []byte) error {
	if c.delay.late() {
		if err := sleep(ctx, c.delay.By); err != nil {
			return err
		}
	}
	return c.Conn.Send(ctx, frame)
}
