package checker

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/assaynet/assay/challenges"
	"github.com/assaynet/assay/checker/committee"
	"github.com/assaynet/assay/checker/report"
)

// issue runs one matmul challenge from its plan to the store.
func (c *Checker) issue(ctx context.Context, a committee.Assignment) error {
	c.mu.Lock()
	offer := c.offers[a.Provider]
	rtt := c.rtts[a.Provider]
	c.mu.Unlock()
	device, ok := offer.Device(a.Device)
	if !ok {
		return nil // a newer offer dropped it
	}
	row, err := challenges.LookupMatmul(c.params.Profile)
	if err != nil {
		return err
	}
	params := challenges.MatmulParams{
		Profile: row.Number, Claim: device.Int8Ops, RTT: min(rtt, 10*time.Second), Window: row.Window(device.Int8Ops, rtt),
	}
	if err := params.Check(); err != nil {
		c.log.DebugContext(ctx, "offer cannot be challenged", "peer", a.Provider, "kind", a.Kind, "err", peerError{err})
		return nil
	}
	ch := challenges.Challenge{
		Epoch: a.Epoch, Provider: a.Provider, Device: a.Device, Kind: challenges.Matmul, Seq: a.Seq,
		Deadline: row.Deadline(params.Claim, params.RTT), Params: challenges.Marshal(&params),
	}
	env, secret, s, err := c.draw(ch)
	if err != nil {
		return err
	}
	wire := challenges.Marshal(&env)
	begun := report.Begun{
		Epoch: a.Epoch, Kind: ch.Kind, Provider: a.Provider, Device: a.Device, At: time.Now().UnixNano(),
		Claim: params.Claim, Challenge: wire, Secret: secret,
	}
	// Written down before it is sent: a crash from here on leaves a challenge that
	// says of itself that it was abandoned.
	err = c.cfg.Challenges.Begin(s.ID(), begun)
	c.wrote(ctx, opBegin, err, "peer", a.Provider, "challenge", s.ID(), "kind", ch.Kind)
	if err != nil {
		return nil // not sent; if it was written all the same, the next start gives it up
	}
	defer c.begun(s.ID(), ch.Deadline)()
	drive(ctx, c.cfg.Network, s, wire, challenges.ProtoControl, challenges.ProtoBulk)
	f := c.finished(s)
	v := c.judged(ctx, s)
	c.metrics.lags(s.Transcript().Events)
	f.Item = &report.Item{
		Challenge: s.ID(), Kind: ch.Kind, Device: a.Device, Outcome: v.Outcome, OpsLower: v.OpsLower,
		Claim: params.Claim, Transcript: f.Info.Hash,
	}
	if r, ok := s.Transcript().Refusal(); ok {
		f.Item.Reason = r.Reason
	}
	err = c.cfg.Challenges.Finish(f)
	c.wrote(ctx, opFinish, err, "peer", a.Provider, "challenge", s.ID(), "kind", ch.Kind)
	if err != nil {
		c.keep(ctx, f) // the epoch is not sealed before it is written
	}
	return nil
}

// begun counts a challenge as open until done is called. Its dial and its answers
// have a deadline each.
func (c *Checker) begun(id challenges.Hash, deadline time.Duration) (done func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.running[id] = time.Now().Add(2*deadline + endWithin)
	return func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		delete(c.running, id)
	}
}

// judged counts a verdict and writes its one line.
func (c *Checker) judged(ctx context.Context, s *challenges.Session) challenges.Verdict {
	v, ch := s.Verdict(), s.Challenge()
	c.metrics.verdict(ch.Kind, v)
	c.log.DebugContext(ctx, "verdict", "peer", ch.Provider, "challenge", s.ID(), "kind", ch.Kind,
		"epoch", ch.Epoch, "outcome", v.Outcome, "clause", v.Clause, "ops", v.OpsLower)
	return v
}

// draw gives a challenge its network, secret and envelope, and a session.
func (c *Checker) draw(ch challenges.Challenge) (challenges.Envelope, challenges.Secret, *challenges.Session, error) {
	var secret challenges.Secret
	if _, err := io.ReadFull(c.cfg.Random, secret[:]); err != nil {
		return challenges.Envelope{}, secret, nil, fmt.Errorf("draw secret: %w", err)
	}
	ch.Network, ch.Commit = c.network, secret.Commit()
	env := challenges.Seal(c.network, challenges.KindChallenge, challenges.Marshal(&ch), c.cfg.Key)
	s, err := challenges.NewSession(env, secret)
	return env, secret, s, err
}

// finished seals a session's transcript.
func (c *Checker) finished(s *challenges.Session) report.Finished {
	t := s.Transcript()
	env := challenges.SealTranscript(t, c.network, c.cfg.Key)
	wire := challenges.Marshal(&env)
	ch := s.Challenge()
	return report.Finished{
		Transcript: wire,
		Info: report.TranscriptInfo{
			Hash: env.ID(), Challenge: s.ID(), Kind: ch.Kind, Outcome: t.Verdict.Outcome, Provider: ch.Provider,
			Device: ch.Device, Epoch: ch.Epoch, At: time.Now().UnixNano(), Bytes: uint32(len(wire)),
		},
	}
}
