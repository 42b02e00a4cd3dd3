package checker

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/assaynet/assay/challenges"
	"github.com/assaynet/assay/challenges/receipt"
	"github.com/assaynet/assay/checker/committee"
	"github.com/assaynet/assay/checker/report"
)

// issue runs one challenge of one device, from its plan to the store.
func (c *Checker) issue(ctx context.Context, a committee.Assignment) error {
	i, err := c.prepare(ctx, a, want{purpose: c.params.Purpose})
	if i == nil || err != nil {
		return err
	}
	defer i.close()
	if c.begin(ctx, i) {
		c.drive(ctx, i, pace{})
		c.finish(ctx, i, report.FleetPart{})
	}
	return nil
}

// want is what a challenge is to measure.
type want struct {
	purpose challenges.Purpose
	memory  bool   // and nothing else
	compute bool   // and nothing else
	slot    uint64 // the global slot that it runs in, from 1 on; 0: none
}

// issued is a challenge on its way.
type issued struct {
	challenges.Challenge
	chosen
	slot    uint64
	secret  challenges.Secret
	session *challenges.Session
	wire    []byte
	spool   Spool         // nil: none
	line    *line         // its control stream, when it was driven; nil: none
	land    func()        // gives its place back; nil: the caller does
	ended   func()        // counts it as open no longer; nil before it is
	left    time.Duration // after the instant of a run of several
}

func (i *issued) close() {
	i.line.drop()
	if i.land != nil {
		i.land()
	}
	if i.spool != nil {
		i.spool.Close()
	}
	if i.ended != nil {
		i.ended()
	}
}

// prepare draws a challenge; nil if the offer allows none.
func (c *Checker) prepare(ctx context.Context, a committee.Assignment, w want) (*issued, error) {
	c.mu.Lock()
	offer := c.offers[a.Provider]
	rtt := c.rtts[a.Provider]
	c.mu.Unlock()
	device, ok := offer.Device(a.Device)
	if !ok {
		return nil, nil // a newer offer dropped it
	}
	choice, err := c.choose(device, a.Turn, rtt, w)
	if err != nil {
		c.log.DebugContext(ctx, "offer cannot be challenged", "peer", a.Provider, "device", a.Device, "err", peerError{err})
		return nil, nil
	}
	i := &issued{chosen: choice, slot: w.slot}
	if c.cfg.Spools != nil {
		i.spool = c.cfg.Spools.Spool()
	}
	ch := challenges.Challenge{
		Epoch: a.Epoch, Provider: a.Provider, Device: a.Device, Kind: choice.kind, Seq: a.Seq,
		Deadline: choice.deadline, Params: choice.params,
	}
	var spool challenges.Spool
	if i.spool != nil {
		spool = i.spool
	}
	var env challenges.Envelope
	if env, i.secret, i.session, err = c.draw(ch, spool); err != nil {
		i.close()
		return nil, err
	}
	i.Challenge, i.wire = i.session.Challenge(), challenges.Marshal(&env)
	return i, nil
}

// begin writes a challenge down before it is sent: a crash from here on leaves a
// challenge that says of itself that it was abandoned.
func (c *Checker) begin(ctx context.Context, i *issued) bool {
	id := i.session.ID()
	err := c.cfg.Challenges.Begin(id, report.Begun{
		Epoch: i.Epoch, Kind: i.Kind, Provider: i.Provider, Device: i.Device, At: time.Now().UnixNano(),
		Profile: i.profile, Claim: i.claim, Challenge: i.wire, Secret: i.secret,
	})
	c.wrote(ctx, opBegin, err, "peer", i.Provider, "challenge", id, "kind", i.Kind)
	if err != nil {
		return false // not sent; if it was written all the same, the next start gives it up
	}
	i.ended = c.begun(id, i.Deadline)
	return true
}

// drive runs a challenge.
func (c *Checker) drive(ctx context.Context, i *issued, p pace) way {
	w := drive(ctx, c.cfg.Network, i.session, i.wire, p, challenges.ProtoControl, challenges.ProtoBulk)
	i.line = w.line
	return w
}

// finish writes down how a challenge ended, and tells its provider.
func (c *Checker) finish(ctx context.Context, i *issued, fleet report.FleetPart) {
	// A whole transcript is in memory only while it is written, and so is what checks
	// the walks of a proof of memory: a few at a time.
	c.sealing <- struct{}{}
	defer func() { <-c.sealing }()
	f, t := c.finished(i.session)
	v := c.judged(ctx, i.session)
	c.metrics.lags(t.Events)
	f.Item = &report.Item{
		Challenge: i.session.ID(), Kind: i.Kind, Device: i.Device, Profile: i.profile, Outcome: v.Outcome,
		OpsLower: v.OpsLower, Claim: i.claim, Slot: i.slot, Fleet: fleet, Card: c.card(ctx, t, i.Challenge), Transcript: f.Info.Hash,
	}
	if r, ok := t.Refusal(); ok {
		f.Item.Reason = r.Reason
	}
	err := c.cfg.Challenges.Finish(f)
	c.wrote(ctx, opFinish, err, "peer", i.Provider, "challenge", i.session.ID(), "kind", i.Kind)
	// The epoch is not sealed before it is written.
	if err != nil && !c.keep(ctx, f) {
		return
	}
	// SPEC: R1. The receipt leaves when the end is written down, and then the stream is
	// closed.
	c.hand(ctx, i.line, receipt.Seal(receipt.Of(i.session, t, f.Info.Hash), c.network, c.cfg.Key))
	i.line = nil
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
