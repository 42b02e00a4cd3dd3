package inspect

import (
	"bytes"
	"fmt"
	"maps"
	"slices"

	"lukechampine.com/blake3"

	"github.com/assaynet/assay/challenges"
	"github.com/assaynet/assay/checker/report"
	"github.com/assaynet/assay/store/table"
)

// evidence is what a check remembers of a transcript until it has seen the index
// and the items.
type evidence struct {
	digest  [16]byte // of what the transcript and its index row both say
	ops     uint64
	bytes   uint32
	state   uint8
	probe   bool
	indexed bool
	item    bool
}

const (
	whole   = iota
	deleted // by Retain: only the index knows what it said
	broken  // a problem already
)

// digest stands for what a transcript and its index row say alike.
func digest(i report.TranscriptInfo) [16]byte {
	i.At, i.Bytes = 0, 0
	sum := blake3.Sum256(challenges.Marshal(&i))
	return [16]byte(sum[:16])
}

// pairs compares transcripts, index and items, so many transcripts at a time, in
// the order of their hashes.
func (c *inspection) pairs() error {
	from := table.Transcripts.Key()
	var retained table.RetainedRow
	c.load(table.Retained.Key(), &retained)
	for {
		held := make(map[challenges.Hash]*evidence)
		lo, hi, err := c.transcripts(from, held)
		if err != nil {
			return err
		}
		within := func(h challenges.Hash) bool {
			return (lo == nil || bytes.Compare(h[:], lo) > 0) && (hi == nil || bytes.Compare(h[:], hi) <= 0)
		}
		if err := c.index(held, within, &retained); err != nil {
			return err
		}
		if err := c.items(held, within); err != nil {
			return err
		}
		for _, h := range slices.SortedFunc(maps.Keys(held), challenges.Hash.Compare) {
			k, e := table.Transcripts.Key().ID(h), held[h]
			switch {
			case e.state == broken:
			case !e.indexed && !c.torn[table.Index]:
				c.problem(k, "not in the index")
			case e.indexed && !e.probe && !e.item && !c.torn[table.Items]:
				c.problem(k, "no item of it")
			}
		}
		if hi == nil {
			return nil
		}
		from = append(table.Transcripts.Key().ID(challenges.Hash(hi)), 0)
	}
}

// transcripts reads the next transcripts. They are those with hashes above lo,
// up to hi; nil is no bound.
func (c *inspection) transcripts(from table.Key, held map[challenges.Hash]*evidence) (lo, hi []byte, err error) {
	if len(from) > 1 {
		lo = from[1:33]
	}
	row := &c.r.Tables[table.Transcripts-1]
	last := table.Transcripts.Key().End()
	err = c.while(table.Transcripts, from, last, func(k table.Key, value []byte) bool {
		row.Rows++
		row.Bytes += uint64(len(k) + len(value))
		h := challenges.Hash(k.IDAt(1))
		e, err := c.transcript(h, k, value)
		if err != nil {
			c.problem(k, "%v", err)
			e.state = broken
		}
		if e.state == deleted {
			c.r.Expired++
		}
		held[h] = &e
		if len(held) < c.o.Hold {
			return true
		}
		hi = bytes.Clone(k[1:])
		return false
	})
	return lo, hi, err
}

// transcript authenticates one, and says what it says.
func (c *inspection) transcript(h challenges.Hash, k table.Key, value []byte) (e evidence, err error) {
	b, err := table.Body(k, value)
	switch {
	case err != nil:
		return e, err
	case len(b) == 0:
		e.state = deleted
		return e, nil
	}
	env, err := challenges.DecodeEnvelope(b)
	if err != nil {
		return e, err
	}
	if id := env.ID(); id != h {
		return e, fmt.Errorf("holds transcript %v", id)
	}
	if env.Signer != c.meta.Node || env.Network != c.meta.Network {
		return e, fmt.Errorf("by %s for network %v, not this node and network", env.Signer.Short(), env.Network)
	}
	payload, err := env.Open(c.meta.Network, challenges.KindTranscript)
	if err != nil {
		return e, err
	}
	var t challenges.Transcript
	if err := challenges.Unmarshal(payload, &t); err != nil {
		return e, err
	}
	inner, err := challenges.DecodeEnvelope(t.Challenge)
	if err != nil {
		return e, fmt.Errorf("challenge: %w", err)
	}
	var ch challenges.Challenge
	if err := challenges.Unmarshal(inner.Payload, &ch); err != nil {
		return e, fmt.Errorf("challenge: %w", err)
	}
	e.probe = ch.Kind == challenges.Probe
	e.ops, e.bytes = t.Verdict.OpsLower, uint32(len(b))
	e.digest = digest(report.TranscriptInfo{
		Hash: h, Challenge: inner.ID(), Kind: ch.Kind, Outcome: t.Verdict.Outcome,
		Provider: ch.Provider, Device: ch.Device, Epoch: ch.Epoch,
	})
	return e, nil
}

// index compares the index with the held transcripts.
func (c *inspection) index(held map[challenges.Hash]*evidence, within func(challenges.Hash) bool, r *table.RetainedRow) error {
	return c.each(table.Index, table.Index.Key(), table.Index.Key().End(), func(k table.Key, value []byte) {
		if h := challenges.Hash(k.IDAt(9)); within(h) {
			var info report.TranscriptInfo
			e := held[h]
			switch {
			case e == nil && c.torn[table.Transcripts]:
			case e == nil:
				c.problem(k, "no such transcript")
			case e.indexed:
				c.problem(k, "the transcript is in the index twice")
			case table.Decode(k, value, &info) != nil:
				e.state = broken // noted already
			case e.state == whole && (e.digest != digest(info) || e.bytes != info.Bytes):
				c.problem(k, "the transcript says something else")
			case e.state == deleted:
				e.digest, e.probe = digest(info), info.Kind == challenges.Probe
				place := r.Others.Key(table.Index)
				if info.Outcome == challenges.Pass {
					place = r.Passes.Key(table.Index)
				}
				if bytes.Compare(k, place) >= 0 {
					c.problem(k, "the transcript was deleted before its time")
				}
			}
			if e != nil {
				e.indexed = true
			}
		}
	})
}

// items compares the items with the held transcripts.
func (c *inspection) items(held map[challenges.Hash]*evidence, within func(challenges.Hash) bool) error {
	return c.each(table.Items, table.Items.Key(), table.Items.Key().End(), func(k table.Key, value []byte) {
		var it report.Item
		if table.Decode(k, value, &it) != nil {
			return
		}
		h := it.Transcript
		if h == (challenges.Hash{}) || !within(h) {
			return
		}
		e := held[h]
		switch {
		case e == nil && c.torn[table.Transcripts], e != nil && e.state == broken, e != nil && !e.indexed:
		case e == nil:
			c.problem(k, "there is no transcript %v", h)
		case e.digest != digest(report.TranscriptInfo{
			Hash: h, Challenge: it.Challenge, Kind: it.Kind, Outcome: it.Outcome,
			Provider: k.IDAt(9), Device: it.Device, Epoch: k.EpochAt(1),
		}):
			c.problem(k, "transcript %v is of another outcome, provider, epoch, device or challenge", h)
		case e.state == whole && e.ops != it.OpsLower:
			c.problem(k, "%d ops/s, its transcript says %d", it.OpsLower, e.ops)
		}
		if e != nil {
			e.item = true
		}
	})
}
