package bench

import (
	"context"
	"errors"
	"io"
	"testing"
	"testing/synctest"
	"time"

	"github.com/assaynet/assay/challenges"
)

// ask runs one challenge of a given window, which no checker would choose, over the
// real network against the real agent. Its driver is the checker's in short.
func (n *honestNet) ask(purpose challenges.Purpose, window int, rtt time.Duration) honestRun {
	n.t.Helper()
	c, p := n.checkers[0], n.provider[0]
	claim := p.device.Info().Int8Ops
	row := nearRow(n.t, purpose, p.device)
	epoch := n.registry.Clock().Epoch(time.Now()) + 1 // a provider takes one a checker and epoch
	time.Sleep(time.Until(n.registry.Clock().Start(epoch)))
	params := challenges.ComputeParams{Profile: row.Number, Window: uint8(window), Claim: claim, RTT: rtt}
	secret := challenges.Secret{byte(window)}
	ch := challenges.Challenge{
		Network: n.registry.Hash(), Epoch: epoch, Provider: p.host.ID(), Device: "gpu0", Kind: challenges.Matmul,
		Commit: secret.Commit(), Deadline: row.Deadline(claim, rtt), Params: challenges.Marshal(&params),
	}
	env := challenges.Seal(ch.Network, challenges.KindChallenge, challenges.Marshal(&ch), c.key)
	s, err := challenges.NewSession(env, secret)
	if err != nil {
		n.t.Fatal(err)
	}
	if err := n.drive(c, s, challenges.Marshal(&env)); err != nil {
		n.t.Fatal(err)
	}
	r := honestRun{profile: row, params: params, verdict: s.Verdict(), truth: p.device.rate(s.ID())}
	r.time(s.Transcript().Events)
	return r
}

func (n *honestNet) drive(c *honestSeat, s *challenges.Session, wire []byte) error {
	ctx, cancel := context.WithTimeout(n.t.Context(), time.Minute)
	var conns []challenges.Conn
	for _, proto := range []string{challenges.ProtoControl, challenges.ProtoBulk} {
		conn, err := c.host.Open(ctx, s.Challenge().Provider, proto)
		if err != nil {
			cancel()
			return err
		}
		conns = append(conns, conn)
	}
	events, ended := make(chan challenges.Event), make(chan struct{}, len(conns))
	defer func() {
		cancel()
		for _, conn := range conns {
			_ = conn.Close()
			<-ended
		}
	}()
	start := time.Now()
	for i, conn := range conns {
		go func() {
			defer func() { ended <- struct{}{} }()
			for {
				frame, err := conn.Recv(ctx)
				if err != nil {
					return
				}
				select {
				case events <- challenges.Event{At: time.Since(start), Stream: uint8(i), Frame: frame}:
				case <-ctx.Done():
					return
				}
			}
		}()
	}
	if err := conns[0].Send(ctx, wire); err != nil {
		return err
	}
	send, done := s.Start(), false
	for {
		for _, o := range send {
			s.Step(challenges.Event{At: time.Since(start), Stream: o.Stream, Out: true, Frame: o.Frame})
			if err := conns[o.Stream].Send(ctx, o.Frame); err != nil {
				return err
			}
		}
		select {
		case e := <-events:
			e.At = time.Since(start)
			if send, done = s.Step(e); done {
				return nil
			}
		case <-ctx.Done():
			return errors.Join(io.ErrUnexpectedEOF, ctx.Err())
		}
	}
}

// honestWindow is a row of the effect of W: the share of its true rate that a device
// is shown to have, over the timed rounds and over the best interval.
type honestWindow struct {
	purpose     challenges.Purpose
	rtt         time.Duration
	window      int
	wanted      int // by C2, before it is cut to what the row allows
	whole, best float64
}

// honestWindows measures windows up to what each row allows.
func honestWindows(t *testing.T, purposes []challenges.Purpose, rtts []time.Duration, windows []int) []honestWindow {
	t.Helper()
	var out []honestWindow
	for _, purpose := range purposes {
		for _, rtt := range rtts {
			synctest.Test(t, func(t *testing.T) {
				n := newHonestNet(t, honestPath{name: "window", oneWay: rtt / 2}, purpose, 1, 1, 1)
				row := nearRow(t, purpose, n.provider[0].device)
				for _, w := range windows {
					if w > row.MaxWindow() {
						continue
					}
					// A window's own rule needs the figure that 20 round trips withhold: an RTT
					// of zero in the parameters gives it.
					r := n.ask(purpose, w, 0)
					round := row.Expected(r.params.Claim) / time.Duration(row.Rounds)
					out = append(out, honestWindow{
						purpose: purpose, rtt: rtt, window: w, wanted: int(2 + (2*rtt+100*time.Millisecond+round-1)/round),
						whole: float64(r.verdict.OpsLower) / float64(r.truth), best: float64(r.verdict.OpsBest) / float64(r.truth),
					})
				}
			})
		}
	}
	return out
}
