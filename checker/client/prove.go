package client

import (
	"context"
	"errors"
	"fmt"

	"github.com/assaynet/assay/challenges"
	"github.com/assaynet/assay/checker/evidence"
	"github.com/assaynet/assay/checker/report"
)

// maxTries is how often a failing fetch holds an epoch up: a checker that serves
// errors must not stop the others' words from counting.
const maxTries = 3

// maxProofs is how many transcripts of one checker are verified for one epoch: one that
// claims more than that proves no more, and takes nobody else's time.
const maxProofs = 256

// belief is a level that a checker has claimed of a card. What its transcript shows of
// it, by this reader's trust, is looked at once: afterwards the checker's word that it
// is so again counts as its other words do.
type belief struct {
	checker, provider challenges.NodeID
	device            string
	identity          challenges.Hash
	claimed           evidence.Level
}

// prove replays what is said to be wrong, or to contradict itself, and what is said to
// attest for the first time: a proof needs no trust, and without its transcript the
// word of a checker is unknown. A fetch that failed says nothing yet: its error leaves
// the epoch unfolded, to be tried again.
func (c *Collector) prove(ctx context.Context, cl *Client, checker challenges.NodeID, o *report.Observation) error {
	for i := range o.Items {
		it := &o.Items[i]
		wrong, doubted := it.Outcome == challenges.Wrong, it.Card.Contradict != ""
		b := belief{checker, o.Provider, it.Device, it.Card.Identity, it.Card.Level}
		known, before := c.believed[b]
		if before {
			it.Card.Level = known
		}
		attested := it.Card.Level >= evidence.Attested && !before
		if !wrong && !doubted && !attested {
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
		if attested {
			if f != nil && f.Sighting().Identity == it.Card.Identity {
				// A reader without the checker's manifests sees less than it does.
				it.Card.Level = min(it.Card.Level, *f.Level)
				c.believed[b] = it.Card.Level
				continue
			}
			it.Card.Level, it.Card.Identity = min(it.Card.Level, evidence.Attested-1), challenges.Hash{}
		}
	}
	return nil
}

// proof fetches and verifies the transcript of an item: one transcript is one item's,
// of one checker. nil: it proves nothing of this item.
func (c *Collector) proof(ctx context.Context, cl *Client, checker challenges.NodeID, o *report.Observation, it report.Item) (*Finding, error) {
	// Wrong work is never too much to look at, but for a checker that does not answer.
	if spent := c.spent[checker]; spent > maxProofs || spent == maxProofs && it.Outcome != challenges.Wrong {
		return nil, nil
	}
	if it.Outcome != challenges.Wrong {
		c.spent[checker]++
	}
	file, err := cl.Transcript(ctx, it.Transcript)
	switch {
	case ctx.Err() != nil:
		return nil, ctx.Err()
	case errors.Is(err, report.ErrNotFound), errors.Is(err, ErrOther):
		return nil, nil
	case err != nil && c.tries[checker] < maxTries:
		c.tries[checker]++
		return nil, fmt.Errorf("transcript of %s: %w", o.Provider.Short(), err)
	case err != nil:
		c.spent[checker] = maxProofs + 1 // it had its chances, and each more costs a time-out
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

// sighting is an item that says which card signed, and who says it.
type sighting struct {
	client  *Client
	checker challenges.NodeID
	at      report.Observation // without its items
	item    report.Item
}

// sight lists the cards that are said to have signed in an epoch.
func sight(cl *Client, checker challenges.NodeID, o *report.Observation) []sighting {
	var out []sighting
	for _, it := range o.Items {
		if it.Card.Identity != (challenges.Hash{}) {
			out = append(out, sighting{cl, checker, report.Observation{Epoch: o.Epoch, Provider: o.Provider}, it})
		}
	}
	return out
}

// place is a device of a provider.
type place struct {
	provider challenges.NodeID
	device   string
}

// conflicts finds cards that signed for two devices in an epoch. Only what a transcript
// shows counts: an invented sighting makes no conflict, and hides none.
func (c *Collector) conflicts(ctx context.Context, signed []sighting) ([]evidence.Conflict, error) {
	places := make(map[challenges.Hash]map[place]bool)
	for _, s := range signed {
		id := s.item.Card.Identity
		if places[id] == nil {
			places[id] = make(map[place]bool)
		}
		places[id][place{s.at.Provider, s.item.Device}] = true
	}
	var seen []evidence.Sighting
	shown := make(map[challenges.Hash]map[place]bool)
	for _, s := range signed {
		id, at := s.item.Card.Identity, place{s.at.Provider, s.item.Device}
		if len(places[id]) < 2 || shown[id][at] {
			continue
		}
		f, err := c.proof(ctx, s.client, s.checker, &s.at, s.item)
		if err != nil {
			return nil, err
		}
		if f == nil || f.Sighting().Identity != id {
			continue
		}
		if shown[id] == nil {
			shown[id] = make(map[place]bool)
		}
		shown[id][at] = true
		seen = append(seen, f.Sighting())
	}
	return evidence.Conflicts(seen), nil
}
