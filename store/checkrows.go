package store

import (
	"errors"
	"fmt"
	"time"

	"github.com/assaynet/assay/challenges"
	"github.com/assaynet/assay/checker/report"
)

// rows checks every row of every table by itself and with the few rows that it
// names, but for transcripts and observations.
func (c *inspection) rows() error {
	for _, row := range []struct {
		t     table
		check func(k key, value []byte) error
	}{
		{tableMeta, func(k key, value []byte) error { return decode(k, value, new(metaRow)) }},
		{tableBegun, c.begunRow},
		{tableEnded, c.endedRow},
		{tableAbandoned, c.abandonedRow},
		{tableIndex, c.indexRow},
		{tableSlices, c.slicesRow},
		{tableItems, c.itemRow},
		{tableObservations, func(key, []byte) error { return nil }}, // epochs reads them, if all can be read
		{tableSealed, c.sealedRow},
		{tableOffers, c.offerRow},
		{tableUses, c.useRow},
		{tableUsesIndex, c.usesIndexRow},
		{tableBoot, func(k key, value []byte) error { return decode(k, value, new(bootRow)) }},
		{tableRestored, c.restoredRow},
		{tableRetained, func(k key, value []byte) error { return decode(k, value, new(retainedRow)) }},
	} {
		err := c.each(row.t, row.t.key(), row.t.key().end(), func(k key, value []byte) {
			if err := row.check(k, value); err != nil {
				c.problem(k, "%v", err)
			}
		})
		if err != nil {
			return err
		}
	}
	return nil
}

func (c *inspection) begunRow(k key, value []byte) error {
	var b report.Begun
	if err := decode(k, value, &b); err != nil {
		return err
	}
	c.r.Pending++
	if c.load(tableEnded.key().id(k.idAt(1)), nil) == yes {
		return errors.New("begun, and ended too")
	}
	return c.challenge(k.idAt(1), &b)
}

// challenge compares what was written down of a challenge with its envelope.
func (c *inspection) challenge(id challenges.Hash, b *report.Begun) error {
	e, err := challenges.DecodeEnvelope(b.Challenge)
	if err != nil {
		return err
	}
	payload, err := e.Open(c.meta.Network, challenges.KindChallenge)
	if err != nil {
		return err
	}
	var ch challenges.Challenge
	if err := challenges.Unmarshal(payload, &ch); err != nil {
		return err
	}
	switch {
	case e.ID() != id:
		return fmt.Errorf("holds challenge %v", e.ID())
	case e.Signer != c.meta.Node:
		return fmt.Errorf("challenge by %s, not this node", e.Signer.Short())
	case ch.Epoch != b.Epoch, ch.Provider != b.Provider, ch.Kind != b.Kind, ch.Device != b.Device:
		return errors.New("the challenge says something else of itself")
	case ch.Commit != b.Secret.Commit():
		return errors.New("the secret is another challenge's")
	}
	return nil
}

func (c *inspection) endedRow(k key, value []byte) error {
	var r endedRow
	if err := decode(k, value, &r); err != nil {
		return err
	}
	if r.Transcript == (challenges.Hash{}) {
		if c.load(tableAbandoned.key().id(k.idAt(1)), nil) == no {
			return errors.New("abandoned, but there is no such row")
		}
		return nil
	}
	if c.load(tableTranscripts.key().id(r.Transcript), nil) == no {
		return fmt.Errorf("there is no transcript %v", r.Transcript)
	}
	return nil
}

func (c *inspection) abandonedRow(k key, value []byte) error {
	var r abandonedRow
	if err := decode(k, value, &r); err != nil {
		return err
	}
	id := challenges.Hash(k.idAt(1))
	if !c.ended(id, challenges.Hash{}) {
		return errors.New("abandoned, but not ended so")
	}
	if r.Begun.Kind != challenges.Probe {
		var it report.Item
		switch c.load(tableItems.key().epoch(r.Begun.Epoch).id(r.Begun.Provider).id(id), &it) {
		case no:
			return errors.New("there is no item of it")
		case yes:
			if it.Reason != ReasonAbandoned {
				return fmt.Errorf("its item says %v", it.Outcome)
			}
		}
	}
	return c.challenge(id, &r.Begun)
}

// ended says whether a challenge ended with a transcript; true if that cannot be
// known.
func (c *inspection) ended(id, transcript challenges.Hash) bool {
	var r endedRow
	switch c.load(tableEnded.key().id(id), &r) {
	case no:
		return false
	case yes:
		return r.Transcript == transcript
	}
	return true
}

func (c *inspection) indexRow(k key, value []byte) error {
	var info report.TranscriptInfo
	if err := decode(k, value, &info); err != nil {
		return err
	}
	switch {
	case info.At != k.timeAt(1) || info.Hash != k.idAt(9):
		return errors.New("of another time or transcript than its key")
	case !info.Outcome.Valid():
		return fmt.Errorf("outcome %d", info.Outcome)
	case !c.ended(info.Challenge, info.Hash):
		return fmt.Errorf("challenge %v did not end with it", info.Challenge)
	}
	return nil
}

func (c *inspection) slicesRow(k key, value []byte) error {
	var s report.Slices
	if err := decode(k, value, &s); err != nil {
		return err
	}
	if s.Provider != k.idAt(9) {
		return errors.New("of another provider")
	}
	o := report.Observation{Provider: s.Provider, Slices: s.Slices, RTT: s.RTT}
	return o.Check()
}

func (c *inspection) itemRow(k key, value []byte) error {
	var it report.Item
	if err := decode(k, value, &it); err != nil {
		return err
	}
	if it.Challenge != k.idAt(41) {
		return errors.New("of another challenge than its key")
	}
	if (it.Reason == ReasonAbandoned) != (it.Transcript == challenges.Hash{}) {
		return errors.New("an abandoned challenge with a transcript, or another without")
	}
	if !c.ended(it.Challenge, it.Transcript) {
		return errors.New("its challenge ended otherwise")
	}
	o := report.Observation{Provider: k.idAt(9), Items: []report.Item{it}}
	return o.Check()
}

func (c *inspection) sealedRow(k key, value []byte) error {
	var r sealedRow
	err := decode(k, value, &r)
	c.r.Sealed = r.Next
	return err
}

func (c *inspection) offerRow(k key, value []byte) error {
	b, err := body(k, value)
	if err != nil {
		return err
	}
	e, err := challenges.DecodeEnvelope(b)
	if err != nil {
		return err
	}
	if e.Signer != k.idAt(1) {
		return fmt.Errorf("signed by %s", e.Signer.Short())
	}
	_, err = challenges.OpenOffer(e, c.meta.Network)
	return err
}

func (c *inspection) useRow(k key, value []byte) error {
	var u challenges.Use
	if err := decode(k, value, &u); err != nil {
		return err
	}
	if c.load(tableUsesIndex.key().time(u.At).id(k.idAt(1)), nil) == no {
		return errors.New("not in uses-index")
	}
	return nil
}

func (c *inspection) usesIndexRow(k key, value []byte) error {
	b, err := body(k, value)
	if err != nil {
		return err
	}
	if len(b) > 0 {
		return fmt.Errorf("%d bytes, want none", len(b))
	}
	var u challenges.Use
	switch c.load(tableUses.key().id(k.idAt(9)), &u) {
	case no:
		return errors.New("no such use")
	case yes:
		if u.At != k.timeAt(1) {
			return errors.New("the use began at another time")
		}
	}
	return nil
}

func (c *inspection) restoredRow(k key, value []byte) error {
	if err := decode(k, value, &c.silences); err != nil {
		return err
	}
	if s := c.silences.now(); s != nil {
		at := time.Unix(0, s.At).UTC()
		c.r.Restored = &at
	}
	return nil
}
