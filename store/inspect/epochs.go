package inspect

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/cockroachdb/pebble/v2"

	"github.com/assaynet/assay/challenges"
	"github.com/assaynet/assay/checker/report"
	"github.com/assaynet/assay/checker/reputation"
	"github.com/assaynet/assay/store/table"
)

// head reads a table whose keys begin with epoch and provider, a pair at a time.
type head struct {
	it *pebble.Iterator
	t  table.Table
}

// pair is the epoch and provider that the head stands at, nil at its end.
func (h head) pair() []byte {
	for ; h.it.Valid(); h.it.Next() {
		if k := h.it.Key(); len(k) == h.t.Width() {
			return k[1:41]
		}
	}
	return nil
}

// take calls use with the rows of a pair, and goes on to the next one.
func (h head) take(pair []byte, use func(k table.Key, value []byte)) {
	for bytes.Equal(h.pair(), pair) {
		if value, err := h.it.ValueAndErr(); err == nil {
			use(h.it.Key(), value)
		}
		h.it.Next()
	}
}

// epochs walks over slices, items and observations side by side, and compares
// what this node signed with what it recorded.
func (c *inspection) epochs() error {
	var heads [3]head
	for i, t := range []table.Table{table.Slices, table.Items, table.Observations} {
		it, err := c.snap.NewIter(&pebble.IterOptions{LowerBound: t.Key(), UpperBound: t.Key().End()})
		if err != nil {
			return err
		}
		defer func() { _ = it.Close() }()
		it.First()
		heads[i] = head{it, t}
	}
	// Where the records are not whole, they say less than was signed.
	comparable := !c.torn[table.Slices] && !c.torn[table.Items] && !c.torn[table.Sealed]
	for {
		if err := c.ctx.Err(); err != nil {
			return err
		}
		var pair []byte
		for _, h := range heads {
			if p := h.pair(); p != nil && (pair == nil || bytes.Compare(p, pair) < 0) {
				pair = p
			}
		}
		if pair == nil {
			break
		}
		pair = bytes.Clone(pair)
		var r records
		heads[0].take(pair, r.slices)
		heads[1].take(pair, r.items)
		k := append(table.Observations.Key(), pair...)
		var signed bool
		heads[2].take(pair, func(_ table.Key, value []byte) {
			signed = true
			if err := c.observation(k, value, r, comparable); err != nil {
				c.problem(k, "%v", err)
			}
		})
		if epoch := k.EpochAt(1); !signed && epoch < c.r.Sealed && !c.torn[table.Observations] && !c.silences.Passed(epoch) {
			c.problem(k, "the epoch is sealed and has records of this provider, and no observation")
		}
	}
	return nil
}

// records are what a node recorded of a provider in an epoch.
type records struct {
	rows   int
	bad    bool // some do not decode, which is noted already
	probes *report.Slices
	list   []report.Item
}

func (r *records) slices(k table.Key, value []byte) {
	var s report.Slices
	r.bad = table.Decode(k, value, &s) != nil || r.bad
	r.rows, r.probes = r.rows+1, &s
}

func (r *records) items(k table.Key, value []byte) {
	var it report.Item
	r.bad = table.Decode(k, value, &it) != nil || r.bad
	r.rows, r.list = r.rows+1, append(r.list, it)
}

// observation authenticates one, and compares it with the records.
func (c *inspection) observation(k table.Key, value []byte, r records, comparable bool) error {
	var e challenges.Envelope
	if err := table.Decode(k, value, &e); err != nil {
		return err
	}
	o, err := report.OpenObservation(e, c.meta.Network)
	if err != nil {
		return err
	}
	switch {
	case e.Signer != c.meta.Node:
		return fmt.Errorf("signed by %s, not this node", e.Signer.Short())
	case o.Epoch != k.EpochAt(1) || o.Provider != k.IDAt(9):
		return errors.New("of another epoch or provider")
	case !c.torn[table.Sealed] && o.Epoch >= c.r.Sealed:
		return errors.New("the epoch is not sealed")
	case !comparable || r.bad:
		return nil
	case r.rows == 0:
		return errors.New("there are no records of it")
	}
	if r.probes == nil {
		r.probes = &report.Slices{Simulated: o.Simulated}
	}
	switch {
	case !bytes.Equal(o.Slices, r.probes.Slices):
		return errors.New("its slices are not the recorded ones")
	case o.RTT != r.probes.RTT:
		return fmt.Errorf("round-trip time %v, recorded is %v", o.RTT, r.probes.RTT)
	case o.Simulated != r.probes.Simulated:
		return errors.New("the records disagree on whether devices are simulated")
	case !slices.Equal(o.Items, r.list):
		return errors.New("its items are not the recorded ones")
	}
	return nil
}

// standings folds the observations again, for so many providers at a time, in
// the order of their ids.
func (c *inspection) standings() error {
	first := table.Standings.Key()
	for {
		held := make(map[challenges.NodeID]*refold)
		lo := slices.Clone(first[1:])
		var hi []byte // nil: no bound
		err := c.while(table.Standings, first, table.Standings.Key().End(), func(k table.Key, value []byte) bool {
			f := &refold{}
			if err := table.Decode(k, value, &f.stored); err != nil {
				f.bad = true
				c.problem(k, "%v", err)
			} else if f.stored.Provider != k.IDAt(1) {
				c.problem(k, "of another provider")
			}
			held[k.IDAt(1)] = f
			if len(held) < c.o.Hold {
				return true
			}
			hi = append(bytes.Clone(k[1:]), 0)
			return false
		})
		if err != nil {
			return err
		}
		if err := c.refold(held, lo, hi); err != nil {
			return err
		}
		if hi == nil {
			return nil
		}
		first = append(table.Standings.Key(), hi...)
	}
}

// refold is a standing under way.
type refold struct {
	stored, folded reputation.Standing
	bad            bool // a problem already
}

// refold folds the observations of the providers from lo on, below hi, and
// compares with the held standings.
func (c *inspection) refold(held map[challenges.NodeID]*refold, lo, hi []byte) error {
	t := table.Observations
	for epoch := uint64(0); ; epoch++ {
		found := false
		err := c.while(t, t.Key().Epoch(epoch), t.Key().End(), func(k table.Key, _ []byte) bool {
			epoch, found = k.EpochAt(1), true
			return false
		})
		if err != nil {
			return err
		}
		if !found {
			break
		}
		last := t.Key().Epoch(epoch).End()
		if hi != nil {
			last = append(t.Key().Epoch(epoch), hi...)
		}
		err = c.each(t, append(t.Key().Epoch(epoch), lo...), last, func(k table.Key, value []byte) {
			c.fold(k, value, held[k.IDAt(9)])
		})
		if err != nil || epoch+1 == 0 {
			return err
		}
	}
	for _, p := range slices.SortedFunc(maps.Keys(held), challenges.NodeID.Compare) {
		k, f := table.Standings.Key().ID(p), held[p]
		switch {
		case f.bad || c.torn[t]:
		case f.folded.Next == 0:
			c.problem(k, "no observation leads to it")
		case f.folded.Next != f.stored.Next:
			c.problem(k, "it ends before epoch %d, the observations before %d", f.stored.Next, f.folded.Next)
		case c.o.Registry != nil && !bytes.Equal(challenges.Marshal(&f.folded), challenges.Marshal(&f.stored)):
			c.problem(k, "the observations fold to another standing")
		}
	}
	return nil
}

func (c *inspection) fold(k table.Key, value []byte, f *refold) {
	if f == nil {
		if !c.torn[table.Standings] {
			c.problem(k, "its provider has no standing")
		}
		return
	}
	var e challenges.Envelope
	var o report.Observation
	if table.Decode(k, value, &e) != nil || challenges.Unmarshal(e.Payload, &o) != nil || o.Epoch != k.EpochAt(1) {
		f.bad = true // noted already
		return
	}
	if c.o.Registry == nil {
		f.folded.Next = o.Epoch + 1
		return
	}
	a := reputation.Combine(c.o.Registry, o.Epoch, k.IDAt(9), []reputation.Seen{{Checker: c.meta.Node, Observation: o}})
	f.folded, _ = reputation.Fold(f.folded, a, &c.o.Registry.Params)
}
