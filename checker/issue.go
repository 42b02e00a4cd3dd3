package checker

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/assaynet/assay/challenges"
	"github.com/assaynet/assay/checker/committee"
	"github.com/assaynet/assay/checker/report"
)

// issue runs one proof of compute from its plan to the store.
func (c *Checker) issue(ctx context.Context, a committee.Assignment) error {
	c.mu.Lock()
	offer := c.offers[a.Provider]
	rtt := c.rtts[a.Provider]
	c.mu.Unlock()
	device, ok := offer.Device(a.Device)
	if !ok {
		return nil // a newer offer dropped it
	}
	choice, err := c.choose(device, a.Turn, rtt)
	if err != nil {
		c.log.DebugContext(ctx, "offer cannot be challenged", "peer", a.Provider, "device", a.Device, "err", peerError{err})
		return nil
	}
	params, flavour := choice.Params, choice.Profile.Shape.Flavour
	ch := challenges.Challenge{
		Epoch: a.Epoch, Provider: a.Provider, Device: a.Device, Kind: flavour.Kind(), Seq: a.Seq,
		Deadline: choice.Deadline, Params: challenges.Marshal(&params),
	}
	var spool challenges.Spool
	if c.cfg.Spools != nil {
		sp := c.cfg.Spools.Spool()
		defer sp.Close()
		spool = sp
	}
	env, secret, s, err := c.draw(ch, spool)
	if err != nil {
		return err
	}
	wire := challenges.Marshal(&env)
	begun := report.Begun{
		Epoch: a.Epoch, Kind: ch.Kind, Provider: a.Provider, Device: a.Device, At: time.Now().UnixNano(),
		Profile: params.Profile, Claim: params.Claim, Challenge: wire, Secret: secret,
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
	// A whole transcript is in memory only while it is written: a few at a time.
	c.sealing <- struct{}{}
	defer func() { <-c.sealing }()
	f, t := c.finished(s)
	v := c.judged(ctx, s)
	c.metrics.lags(t.Events)
	f.Item = &report.Item{
		Challenge: s.ID(), Kind: ch.Kind, Device: a.Device, Profile: params.Profile, Outcome: v.Outcome,
		OpsLower: v.OpsLower, Claim: params.Claim, Transcript: f.Info.Hash,
	}
	if r, ok := t.Refusal(); ok {
		f.Item.Reason = r.Reason
	}
	err = c.cfg.Challenges.Finish(f)
	c.wrote(ctx, opFinish, err, "peer", a.Provider, "challenge", s.ID(), "kind", ch.Kind)
	if err != nil {
		c.keep(ctx, f) // the epoch is not sealed before it is written
	}
	return nil
}

// choose picks the flavour whose turn it is and a profile for it; the next ones
// where the device does not offer it or no profile fits. A capacity profile
// stands in where a shorter one would say nothing, as on a long path.
func (c *Checker) choose(d challenges.OfferDevice, turn uint64, rtt time.Duration) (challenges.Choice, error) {
	flavours := d.Flavours()
	var errs []error
	for i := range flavours {
		want := challenges.Want{
			Flavour: flavours[(turn+uint64(i))%uint64(len(flavours))], Purpose: c.params.Purpose,
			Simulated: c.cfg.Registry.Simulated, RTT: rtt, Budget: c.params.MinSlot,
		}
		want.Claim = d.Claim(want.Flavour)
		choice, err := challenges.Choose(want)
		if err == nil {
			return choice, nil
		}
		errs = append(errs, err)
		if want.Purpose == challenges.Spot {
			want.Purpose = challenges.Capacity
			if choice, err := challenges.Choose(want); err == nil {
				return choice, nil
			}
		}
	}
	if len(errs) == 0 {
		return challenges.Choice{}, errors.New("the device claims no rate")
	}
	return challenges.Choice{}, errors.Join(errs...)
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
func (c *Checker) draw(ch challenges.Challenge, spool challenges.Spool) (challenges.Envelope, challenges.Secret, *challenges.Session, error) {
	var secret challenges.Secret
	if _, err := io.ReadFull(c.cfg.Random, secret[:]); err != nil {
		return challenges.Envelope{}, secret, nil, fmt.Errorf("draw secret: %w", err)
	}
	ch.Network, ch.Commit = c.network, secret.Commit()
	env := challenges.Seal(c.network, challenges.KindChallenge, challenges.Marshal(&ch), c.cfg.Key)
	s, err := challenges.NewSpooled(env, secret, spool)
	return env, secret, s, err
}

// finished seals a session's transcript.
func (c *Checker) finished(s *challenges.Session) (report.Finished, challenges.Transcript) {
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
	}, t
}
