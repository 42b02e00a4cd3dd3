package bench

import (
	"context"
	"crypto/rand"
	"io"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/crypto"

	"github.com/assaynet/assay/challenges"
)

// wait is a pause; false if the attack is over.
func wait(ctx context.Context, d time.Duration) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(d):
		return true
	}
}

// stay runs an act on one connection after the other, for as long as it is let.
// The act ends with the connection; that it was cut does not discourage anybody.
func (h *hostile) stay(ctx context.Context, act func(ctx context.Context, l *link) error) {
	for wait(ctx, h.redial) {
		l, err := h.dial(ctx, h.key)
		if err != nil {
			continue
		}
		stop := context.AfterFunc(ctx, l.close)
		for ctx.Err() == nil {
			_ = act(ctx, l)
			if !wait(ctx, h.pace) {
				break
			}
			if l.IsClosed() {
				break
			}
			// Whatever the act came to, the connection lives.
		}
		stop()
		l.close()
	}
}

var protos = []string{challenges.ProtoControl, challenges.ProtoBulk, challenges.ProtoProbe, challenges.ProtoOffer}

// kinds are the ways to be hostile.
var kinds = []struct {
	name string
	run  func(ctx context.Context, h *hostile)
}{
	{"idle", func(ctx context.Context, h *hostile) {
		h.stay(ctx, func(context.Context, *link) error { return nil })
	}},
	{"dripping", func(ctx context.Context, h *hostile) {
		h.stay(ctx, func(ctx context.Context, l *link) error {
			// A checker serves nothing: there the negotiation drips.
			s, err := h.stream(ctx, l, challenges.ProtoControl)
			if err != nil {
				if s, err = h.stream(ctx, l, ""); err != nil {
					return err
				}
			}
			defer s.Reset()
			for _, b := range append([]byte{0xc8, 1}, make([]byte, 200)...) {
				if _, err := s.Write([]byte{b}); err != nil {
					h.tally.resets.Add(1)
					return err
				}
				if !wait(ctx, time.Second) {
					return ctx.Err()
				}
			}
			return nil
		})
	}},
	{"flooding", func(ctx context.Context, h *hostile) {
		h.pace = h.flood
		h.stay(ctx, func(ctx context.Context, l *link) error {
			s, err := h.stream(ctx, l, "")
			if err != nil {
				return err
			}
			// Negotiated in one write, so that the handler starts, then gone.
			_, err = s.Write(hello(h.proto))
			time.AfterFunc(h.pace, func() { _ = s.Reset() })
			return err
		})
	}},
	{"garbage", func(ctx context.Context, h *hostile) {
		n := 0
		h.stay(ctx, func(ctx context.Context, l *link) error {
			n++
			s, err := h.stream(ctx, l, protos[n%3])
			if err != nil {
				return err
			}
			defer s.Reset()
			body := make([]byte, 100)
			_, _ = h.entropy.Read(body)
			if n%2 == 0 {
				body[0] = 99 // an honest length
			}
			if _, err := s.Write(body); err != nil {
				h.tally.resets.Add(1)
				return err
			}
			if _, err = s.Read(body); err != nil && err != io.EOF {
				h.tally.resets.Add(1)
			}
			return err
		})
	}},
	{"half-open", func(ctx context.Context, h *hostile) {
		if h.useTCP { // a connection without a handshake
			for wait(ctx, h.redial) {
				c, err := h.connect(ctx)
				if err != nil {
					h.tally.refuse(err)
					continue
				}
				stop := context.AfterFunc(ctx, func() { _ = c.Close() })
				_, _ = c.Read(make([]byte, 1000)) // the victim's hello
				_, _ = io.Copy(io.Discard, c)     // until it has had enough
				stop()
				_ = c.Close()
			}
			return
		}
		h.stay(ctx, func(ctx context.Context, l *link) error {
			s, err := h.stream(ctx, l, "")
			if err != nil {
				return err
			}
			_, err = s.Write([]byte{0x13}) // and never anything more, nor a read
			return err
		})
	}},
	{"identity churn", func(ctx context.Context, h *hostile) {
		for wait(ctx, 4*h.pace) {
			key, _, err := crypto.GenerateEd25519Key(rand.Reader)
			if err != nil {
				return
			}
			l, err := h.dial(ctx, key)
			if err != nil {
				continue
			}
			stop := context.AfterFunc(ctx, l.close)
			if s, err := h.stream(ctx, l, challenges.ProtoOffer); err == nil {
				_, _ = s.Read(make([]byte, 1))
				_ = s.Reset()
			}
			stop()
			l.close()
		}
	}},
}

// hello asks for a protocol in one go.
func hello(proto string) []byte {
	var out []byte
	for _, line := range []string{"/multistream/1.0.0", proto} {
		out = append(out, byte(len(line)+1))
		out = append(append(out, line...), '\n')
	}
	return out
}

// attack runs n enemies of all kinds in turn until ctx ends, and waits for them.
func attack(ctx context.Context, n int, recruit func(i int) *hostile) {
	var wg sync.WaitGroup
	for i := range n {
		h := recruit(i)
		h.proto = protos[i/len(kinds)%len(protos)]
		wg.Go(func() {
			kinds[i%len(kinds)].run(ctx, h)
			if h.manager != nil {
				_ = h.manager.Close()
			}
		})
	}
	wg.Wait()
}
