package cheat

import (
	"context"
	"errors"
	"math/rand/v2"
	"time"

	"github.com/assaynet/assay/challenges"
	"github.com/assaynet/assay/prover"
)

// errDown is why a flaky network resets a stream.
var errDown = errors.New("flaky: down")

// Flaky is a network that is down a third of the time, for every peer alike: of
// every three windows one, drawn from the seed. Streams are reset at once in a
// window, and those that run into one are reset when it starts.
type Flaky struct {
	prover.Network
	Seed    uint64
	Genesis time.Time     // windows count from here
	Window  time.Duration // length of a window
}

// Handle serves a protocol while the network is up.
func (f Flaky) Handle(proto string, handler func(context.Context, challenges.NodeID, challenges.Conn) error) {
	f.Network.Handle(proto, func(ctx context.Context, peer challenges.NodeID, conn challenges.Conn) error {
		up := f.upFor(time.Now())
		if up <= 0 {
			return errDown
		}
		ctx, cancel := context.WithTimeoutCause(ctx, up, errDown)
		defer cancel()
		return handler(ctx, peer, conn)
	})
}

// Down reports whether the network is down at t.
func (f Flaky) Down(t time.Time) bool { return f.down(f.window(t)) }

// window is the number of the window that t falls in, negative before genesis.
func (f Flaky) window(t time.Time) int64 { return floor(int64(t.Sub(f.Genesis)), int64(f.Window)) }

func floor(a, b int64) int64 {
	q := a / b
	if a%b < 0 {
		q--
	}
	return q
}

// upFor is how long the network stays up from t on; 0 while it is down.
func (f Flaky) upFor(t time.Time) time.Duration {
	w := f.window(t)
	if f.down(w) {
		return 0
	}
	for !f.down(w + 1) {
		w++
	}
	return f.Genesis.Add(time.Duration(w+1) * f.Window).Sub(t)
}

func (f Flaky) down(window int64) bool {
	block := floor(window, 3)
	r := rand.New(rand.NewPCG(f.Seed, uint64(block)))
	return r.Int64N(3) == window-3*block
}
