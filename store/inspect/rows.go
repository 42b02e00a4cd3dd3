package inspect

import (
	"errors"
	"fmt"
	"time"

	"github.com/assaynet/assay/challenges"
	"github.com/assaynet/assay/challenges/receipt"
	"github.com/assaynet/assay/checker/report"
	"github.com/assaynet/assay/store/table"
)

// rows checks every row of every table by itself and with the few rows that it
// names, but for transcripts and observations.
func (c *inspection) rows() error {
	for _, row := range []struct {
		t     table.Table
		check func(k table.Key, value []byte) error
	}{
		{table.Meta, func(k table.Key, value []byte) error { return table.Decode(k, value, new(table.MetaRow)) }},
		{table.Begun, c.begunRow},
		{table.Ended, c.endedRow},
		{table.Abandoned, c.abandonedRow},
		{table.Index, c.indexRow},
		{table.Slices, c.slicesRow},
		{table.Items, c.itemRow},
		{table.Observations, func(table.Key, []byte) error { return nil }}, // epochs reads them, if all can be read
		{table.Sealed, c.sealedRow},
		{table.Offers, c.offerRow},
		{table.Uses, c.useRow},
		{table.UsesIndex, c.usesIndexRow},
		{table.Boot, func(k table.Key, value []byte) error { return table.Decode(k, value, new(table.BootRow)) }},
		{table.Restored, c.restoredRow},
		{table.Retained, retainedRow},
		{table.Copies, c.copyRow},
		{table.CopiesIndex, c.copiesIndexRow},
		{table.CopiesRetained, retainedRow},
	} {
		err := c.each(row.t, row.t.Key(), row.t.Key().End(), func(k table.Key, value []byte) {
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

func (c *inspection) begunRow(k table.Key, value []byte) error {
	var b report.Begun
	if err := table.Decode(k, value, &b); err != nil {
		return err
	}
	c.r.Pending++
	if c.load(table.Ended.Key().ID(k.IDAt(1)), nil) == yes {
		return errors.New("begun, and ended too")
	}
	return c.challenge(k.IDAt(1), &b)
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

func (c *inspection) endedRow(k table.Key, value []byte) error {
	var r table.EndedRow
	if err := table.Decode(k, value, &r); err != nil {
		return err
	}
	if r.Transcript == (challenges.Hash{}) {
		if c.load(table.Abandoned.Key().ID(k.IDAt(1)), nil) == no {
			return errors.New("abandoned, but there is no such row")
		}
		return nil
	}
	if c.load(table.Transcripts.Key().ID(r.Transcript), nil) == no {
		return fmt.Errorf("there is no transcript %v", r.Transcript)
	}
	return nil
}

func (c *inspection) abandonedRow(k table.Key, value []byte) error {
	var r table.AbandonedRow
	if err := table.Decode(k, value, &r); err != nil {
		return err
	}
	id := challenges.Hash(k.IDAt(1))
	if !c.ended(id, challenges.Hash{}) {
		return errors.New("abandoned, but not ended so")
	}
	if r.Begun.Kind != challenges.Probe {
		var it report.Item
		switch c.load(table.Items.Key().Epoch(r.Begun.Epoch).ID(r.Begun.Provider).ID(id), &it) {
		case no:
			return errors.New("there is no item of it")
		case yes:
			if it.Reason != table.ReasonAbandoned {
				return fmt.Errorf("its item says %v", it.Outcome)
			}
		}
	}
	return c.challenge(id, &r.Begun)
}

// ended says whether a challenge ended with a transcript; true if that cannot be
// known.
func (c *inspection) ended(id, transcript challenges.Hash) bool {
	var r table.EndedRow
	switch c.load(table.Ended.Key().ID(id), &r) {
	case no:
		return false
	case yes:
		return r.Transcript == transcript
	}
	return true
}

func (c *inspection) indexRow(k table.Key, value []byte) error {
	var info report.TranscriptInfo
	if err := table.Decode(k, value, &info); err != nil {
		return err
	}
	switch {
	case info.At != k.TimeAt(1) || info.Hash != k.IDAt(9):
		return errors.New("of another time or transcript than its key")
	case !info.Outcome.Valid():
		return fmt.Errorf("outcome %d", info.Outcome)
	case !c.ended(info.Challenge, info.Hash):
		return fmt.Errorf("challenge %v did not end with it", info.Challenge)
	}
	return nil
}

func (c *inspection) slicesRow(k table.Key, value []byte) error {
	var s report.Slices
	if err := table.Decode(k, value, &s); err != nil {
		return err
	}
	if s.Provider != k.IDAt(9) {
		return errors.New("of another provider")
	}
	o := report.Observation{Provider: s.Provider, Slices: s.Slices, RTT: s.RTT}
	return o.Check()
}

func (c *inspection) itemRow(k table.Key, value []byte) error {
	var it report.Item
	if err := table.Decode(k, value, &it); err != nil {
		return err
	}
	if it.Challenge != k.IDAt(41) {
		return errors.New("of another challenge than its key")
	}
	if (it.Reason == table.ReasonAbandoned) != (it.Transcript == challenges.Hash{}) {
		return errors.New("an abandoned challenge with a transcript, or another without")
	}
	if !c.ended(it.Challenge, it.Transcript) {
		return errors.New("its challenge ended otherwise")
	}
	o := report.Observation{Provider: k.IDAt(9), Items: []report.Item{it}}
	return o.Check()
}

func (c *inspection) sealedRow(k table.Key, value []byte) error {
	var r table.SealedRow
	err := table.Decode(k, value, &r)
	c.r.Sealed = r.Next
	return err
}

func (c *inspection) offerRow(k table.Key, value []byte) error {
	b, err := table.Body(k, value)
	if err != nil {
		return err
	}
	e, err := challenges.DecodeEnvelope(b)
	if err != nil {
		return err
	}
	if e.Signer != k.IDAt(1) {
		return fmt.Errorf("signed by %s", e.Signer.Short())
	}
	_, err = challenges.OpenOffer(e, c.meta.Network)
	return err
}

func (c *inspection) useRow(k table.Key, value []byte) error {
	var u challenges.Use
	if err := table.Decode(k, value, &u); err != nil {
		return err
	}
	if c.load(table.UsesIndex.Key().Time(u.At).ID(k.IDAt(1)), nil) == no {
		return errors.New("not in uses-index")
	}
	return nil
}

func (c *inspection) usesIndexRow(k table.Key, value []byte) error {
	b, err := table.Body(k, value)
	if err != nil {
		return err
	}
	if len(b) > 0 {
		return fmt.Errorf("%d bytes, want none", len(b))
	}
	var u challenges.Use
	switch c.load(table.Uses.Key().ID(k.IDAt(9)), &u) {
	case no:
		return errors.New("no such use")
	case yes:
		if u.At != k.TimeAt(1) {
			return errors.New("the use began at another time")
		}
	}
	return nil
}

func (c *inspection) restoredRow(k table.Key, value []byte) error {
	if err := table.Decode(k, value, &c.silences); err != nil {
		return err
	}
	if s := c.silences.Now(); s != nil {
		at := time.Unix(0, s.At).UTC()
		c.r.Restored = &at
	}
	return nil
}

func retainedRow(k table.Key, value []byte) error {
	return table.Decode(k, value, new(table.RetainedRow))
}

// copyRow authenticates a provider's copy, and compares it with its place in the
// index.
func (c *inspection) copyRow(k table.Key, value []byte) error {
	row := &c.r.Tables[table.Copies-1]
	row.Rows++
	row.Bytes += uint64(len(k) + len(value))
	var held receipt.Copy
	if err := table.Decode(k, value, &held); err != nil {
		return err
	}
	f, err := held.Open(c.meta.Network)
	if err != nil {
		return err
	}
	if id := challenges.Hash(k.IDAt(1)); f.ID != id {
		return fmt.Errorf("holds a copy of challenge %v", f.ID)
	}
	if f.Challenge.Provider != c.meta.Node {
		return fmt.Errorf("challenge for %s, not this node", f.Challenge.Provider.Short())
	}
	info := held.Info(f)
	var listed receipt.Info
	switch c.load(table.CopiesIndex.Key().Time(held.At).ID(f.ID), &listed) {
	case no:
		return errors.New("not in copies-index")
	case yes:
		if listed != info {
			return errors.New("copies-index says something else of it")
		}
	}
	return nil
}

func (c *inspection) copiesIndexRow(k table.Key, value []byte) error {
	var info receipt.Info
	if err := table.Decode(k, value, &info); err != nil {
		return err
	}
	if info.At != k.TimeAt(1) || info.Challenge != k.IDAt(9) {
		return errors.New("of another time or challenge than its key")
	}
	if c.load(table.Copies.Key().ID(info.Challenge), nil) == no {
		return errors.New("no such copy")
	}
	return nil
}
