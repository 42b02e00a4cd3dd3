package client

import (
	"context"
	"errors"
	"fmt"

	"github.com/assaynet/assay/challenges"
	"github.com/assaynet/assay/checker/evidence"
	"github.com/assaynet/assay/checker/report"
	"github.com/assaynet/assay/checker/reputation"
)

// maxTries is how often a failing fetch holds an epoch up: a checker that serves
// errors must not stop the others' words from counting.
const maxTries = 3

// prove replays what is said to be wrong, or to contradict itself: a proof needs no
// trust, and without its transcript the word of a checker is unknown. A fetch that
// failed says nothing yet: its error leaves the epoch unfolded, to be tried again.
func (c *Collector) prove(ctx context.Context, cl *Client, checker challenges.NodeID, o *report.Observation) error {
	for i := range o.Items {
		it := &o.Items[i]
		wrong, doubted := it.Outcome == challenges.Wrong, it.Card.Contradict != ""
		if !wrong && !doubted {
			continue
		}
		f, err := c.proof(ctx, cl, checker, o, *it)
		if err != nil {
			return err
		}
		if wrong && (f == nil || *f.Outcome != challenges.Wrong) {
			it.Outcome = challenges.Unknown
		}
		if doubted && (f == nil || !f.contradicts) {
			it.Card = report.CardPart{}
		}
	}
	return nil
}

// proof fetches and verifies the transcript of an item: one transcript is one item's,
// of one checker. nil: it proves nothing of this item.
func (c *Collector) proof(ctx context.Context, cl *Client, checker challenges.NodeID, o *report.Observation, it report.Item) (*Finding, error) {
	file, err := cl.Transcript(ctx, it.Transcript)
	switch {
	case ctx.Err() != nil:
		return nil, ctx.Err()
	case errors.Is(err, report.ErrNotFound), errors.Is(err, ErrOther):
		return nil, nil
	case err != nil && c.tries < maxTries:
		c.tries++
		return nil, fmt.Errorf("transcript of %s: %w", o.Provider.Short(), err)
	case err != nil:
		return nil, nil
	}
	f, err := Verify(file, c.registry, c.trust)
	if err != nil || !f.OK {
		return nil, nil
	}
	env, err := challenges.DecodeEnvelope(file)
	if err != nil || env.Signer != checker {
		return nil, nil
	}
	t, ch, err := challenges.OpenTranscript(env)
	if err != nil {
		return nil, nil
	}
	inner, err := challenges.DecodeEnvelope(t.Challenge)
	if err != nil || inner.ID() != it.Challenge || ch.Provider != o.Provider || ch.Epoch != o.Epoch || ch.Kind != it.Kind || ch.Device != it.Device {
		return nil, nil
	}
	return &f, nil
}

// sighting is a card's signature with who has the transcript that shows it.
type sighting struct {
	evidence.Sighting
	checker challenges.NodeID
}

// sight remembers which cards signed in an epoch.
func (c *Collector) sight(epoch uint64, p challenges.NodeID, o reputation.Observer) {
	for _, it := range o.Items {
		if it.Card.Identity != (challenges.Hash{}) {
			c.signed = append(c.signed, sighting{evidence.Sighting{
				Identity: it.Card.Identity, Provider: p, Device: it.Device, Epoch: epoch, Transcript: it.Transcript,
			}, o.Checker})
		}
	}
}

// conflict looks for cards that signed for two devices in the epoch that was folded,
// and has both transcripts shown before it believes it: each is a proof.
func (c *Collector) conflict(ctx context.Context, live []*Client) error {
	signed := c.signed
	c.signed = nil
	var seen []evidence.Sighting
	of := make(map[challenges.Hash]challenges.NodeID)
	for _, s := range signed {
		seen = append(seen, s.Sighting)
		of[s.Transcript] = s.checker
	}
	for _, k := range evidence.Conflicts(seen) {
		shown := true
		for _, s := range []evidence.Sighting{k.A, k.B} {
			shown = shown && c.shows(ctx, live, of[s.Transcript], s)
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if !shown {
			continue
		}
		c.conflicts[k.A.Provider] = keep(c.conflicts[k.A.Provider], k)
		if k.B.Provider != k.A.Provider {
			c.conflicts[k.B.Provider] = keep(c.conflicts[k.B.Provider], k)
		}
	}
	return nil
}

// maxConflicts bounds what is remembered of a provider: the latest.
const maxConflicts = 16

func keep(all []evidence.Conflict, k evidence.Conflict) []evidence.Conflict {
	all = append(all, k)
	return all[max(0, len(all)-maxConflicts):]
}

// shows reports that the checker's transcript shows the sighting.
func (c *Collector) shows(ctx context.Context, live []*Client, checker challenges.NodeID, s evidence.Sighting) bool {
	for _, cl := range live {
		file, err := cl.Transcript(ctx, s.Transcript)
		if err != nil {
			continue
		}
		f, err := Verify(file, c.registry, c.trust)
		env, wrapped := challenges.DecodeEnvelope(file)
		if err == nil && wrapped == nil && f.OK && env.Signer == checker && f.Sighting() == s {
			return true
		}
	}
	return false
}

// conflict adds the cards that signed for two devices. Such a card attests to nothing.
func (p *Provider) conflict(conflicts []evidence.Conflict) {
	if len(conflicts) == 0 {
		return
	}
	p.Flags = append(p.Flags, reputation.FlagIdentityConflict)
	p.Level, p.Attested = min(p.Level, evidence.Attested-1), false
	for _, k := range conflicts {
		mine, other := k.A, k.B
		if mine.Provider != p.ID {
			mine, other = k.B, k.A
		}
		p.Reasons = append(p.Reasons, evidence.Reason{Code: reputation.FlagIdentityConflict, Detail: fmt.Sprintf(
			"in epoch %d one card (%s) signed for %s here and for %s of %s: transcripts %s and %s; one of the two has its questions relayed",
			mine.Epoch, short(mine.Identity), mine.Device, other.Device, other.Provider.Short(), short(mine.Transcript), short(other.Transcript),
		)})
		for i := range p.Cards {
			if p.Cards[i].Device == mine.Device {
				p.Cards[i].Level = min(p.Cards[i].Level, evidence.Attested-1)
			}
		}
	}
}

// short is enough of a hash to find it by.
func short(h challenges.Hash) string { return h.String()[:12] }
