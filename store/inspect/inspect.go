// Package inspect checks a node's database against itself: every row by itself, and
// tables with each other.
package inspect

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"time"

	"github.com/cockroachdb/pebble/v2"

	"github.com/assaynet/assay/challenges"
	"github.com/assaynet/assay/checker/committee"
	"github.com/assaynet/assay/store/table"
)

// hold is how many transcripts, or standings, are held at once. A larger table costs
// more passes, not more memory.
const hold = 1 << 17

// Options of a check. The zero value checks all but standings' contents.
type Options struct {
	Registry *committee.Registry             // nil: standings are not folded again
	Problems int                             // listed at most; 0 or less: 1000
	Hold     int                             // transcripts, or standings, that are held at once; 0 or less: 2^17
	Progress func(table string, rows uint64) // called for every row; nil: not
}

// Report is what a check found.
type Report struct {
	Kind     string            `json:"kind"`
	Network  challenges.Hash   `json:"network"`
	Node     challenges.NodeID `json:"node"`
	Tables   []TableReport     `json:"tables"`
	Sealed   uint64            `json:"sealed"`             // first epoch that is not
	Pending  uint64            `json:"pending"`            // begun: abandoned at the node's next start
	Expired  uint64            `json:"expired"`            // transcripts whose bodies Retain deleted
	Restored *time.Time        `json:"restored,omitempty"` // of a node that is to stay silent
	Skipped  []string          `json:"skipped"`            // checks that were not made, and why
	Problems []Problem         `json:"problems"`
	Unlisted uint64            `json:"unlisted"` // problems beyond the listed ones
}

// TableReport counts a table.
type TableReport struct {
	Name  string `json:"name"`
	Rows  uint64 `json:"rows"`
	Bytes uint64 `json:"bytes"` // of keys and values, uncompressed
}

// Problem is something that no run of a node leaves behind.
type Problem struct {
	Table string `json:"table"` // "files": Pebble's own
	Key   string `json:"key"`   // hex, with the table byte
	What  string `json:"what"`
}

// Clean says that no problem was found.
func (r *Report) Clean() bool { return len(r.Problems) == 0 && r.Unlisted == 0 }

// Database reads everything in a database of a node, as it is at the call. It writes
// nothing. An error means that the check could not be made, not that it failed.
func Database(ctx context.Context, db *pebble.DB, meta table.MetaRow, o Options) (Report, error) {
	if r := o.Registry; r != nil {
		if got := r.Hash(); got != meta.Network {
			return Report{}, fmt.Errorf("check: registry of network %v: %w, %v", got, challenges.ErrNetwork, meta.Network)
		}
		if meta.Kind == table.KindChecker && r.Index(meta.Node) < 0 {
			return Report{}, fmt.Errorf("check: checker %s is not in the registry", meta.Node.Short())
		}
	}
	if o.Problems <= 0 {
		o.Problems = 1000
	}
	if o.Hold <= 0 {
		o.Hold = hold
	}
	c := &inspection{ctx: ctx, o: o, meta: meta, snap: db.NewSnapshot()}
	c.r = Report{Kind: meta.Kind, Network: meta.Network, Node: meta.Node, Skipped: []string{}, Problems: []Problem{}}
	for t := table.Meta; t.Known(); t++ {
		c.r.Tables = append(c.r.Tables, TableReport{Name: t.Name()})
	}
	if o.Registry == nil {
		c.r.Skipped = append(c.r.Skipped, "standings were not folded again: no registry given")
	}
	if err := db.CheckLevels(nil); err != nil {
		c.r.Problems = append(c.r.Problems, Problem{"files", "", err.Error()})
	}
	var err error
	for _, step := range []func() error{c.strangers, c.rows, c.pairs, c.epochs, c.standings} {
		if err == nil {
			err = step()
		}
	}
	if err := errors.Join(err, c.snap.Close()); err != nil {
		return Report{}, fmt.Errorf("check: %w", err)
	}
	return c.r, nil
}

// inspection is a check under way. Only the check's end is an error of its
// methods; what is wrong with the database is noted.
type inspection struct {
	ctx  context.Context
	o    Options
	meta table.MetaRow
	snap *pebble.Snapshot
	r    Report

	torn     [table.Count]bool // tables that could not be read to their end
	silences table.RestoredRow
}

// problem notes what is wrong with a key.
func (c *inspection) problem(k table.Key, format string, args ...any) {
	if len(c.r.Problems) >= c.o.Problems {
		c.r.Unlisted++
		return
	}
	c.r.Problems = append(c.r.Problems, Problem{k.Table().Name(), hex.EncodeToString(k), fmt.Sprintf(format, args...)})
}

// each calls use with every row of a table from first on, below last, whose key
// is as wide as it should be. The value is whole, version byte included.
func (c *inspection) each(t table.Table, first, last table.Key, use func(k table.Key, value []byte)) error {
	return c.while(t, first, last, func(k table.Key, value []byte) bool {
		use(k, value)
		return true
	})
}

// while is each, until use returns false.
func (c *inspection) while(t table.Table, first, last table.Key, use func(k table.Key, value []byte) bool) error {
	it, err := c.snap.NewIter(&pebble.IterOptions{LowerBound: first, UpperBound: last})
	if err != nil {
		return err
	}
	at := first
	for ok := it.First(); ok; ok = it.Next() {
		if err := c.ctx.Err(); err != nil {
			return errors.Join(err, it.Close())
		}
		k := table.Key(it.Key())
		value, err := it.ValueAndErr()
		if err != nil {
			c.problem(k, "cannot be read: %v", err)
			c.torn[t] = true
			continue
		}
		at = append(at[:0:0], k...)
		if c.o.Progress != nil {
			c.o.Progress(t.Name(), c.r.Tables[t-1].Rows)
		}
		if want := t.Width(); len(k) != want {
			if t.Large() { // of the others, strangers has noted it
				c.problem(k, "key of %d bytes, want %d", len(k), want)
			}
		} else if !use(k, value) {
			break
		}
	}
	if err := errors.Join(it.Error(), it.Close()); err != nil {
		if !c.torn[t] {
			c.problem(at, "cannot be read after this key: %v", err)
		}
		c.torn[t] = true
	}
	return nil
}

// strangers counts the rows, all but those of large tables, and notes keys that
// belong to no table or are of a wrong width.
func (c *inspection) strangers() error {
	for t := range table.Table(table.Count) {
		if t.Large() {
			continue // counted when it is read
		}
		if err := c.count(t, table.Key{byte(t)}, table.Key{byte(t + 1)}); err != nil {
			return err
		}
	}
	return c.count(0, table.Key{table.Count}, nil)
}

// count counts a range of keys. Table 0 is none.
func (c *inspection) count(t table.Table, first, last table.Key) error {
	it, err := c.snap.NewIter(&pebble.IterOptions{LowerBound: first, UpperBound: last})
	if err != nil {
		return err
	}
	for ok := it.First(); ok; ok = it.Next() {
		if err := c.ctx.Err(); err != nil {
			return errors.Join(err, it.Close())
		}
		k := table.Key(it.Key())
		if t == 0 {
			c.problem(k, "of no table")
			continue
		}
		if want := t.Width(); len(k) != want {
			c.problem(k, "key of %d bytes, want %d", len(k), want)
		}
		row := &c.r.Tables[t-1]
		row.Rows++
		value := it.LazyValue()
		row.Bytes += uint64(len(k) + value.Len())
	}
	_ = it.Error() // each meets it again, and says so
	return it.Close()
}

// known is what a look for a row found. Where a table is damaged, nobody knows.
type known int

const (
	no known = iota
	yes
	unknown
)

// load reads the row at k into v; without v, it only looks.
func (c *inspection) load(k table.Key, v any) known {
	value, closer, err := c.snap.Get(k)
	switch {
	case errors.Is(err, pebble.ErrNotFound) && !c.torn[k.Table()]:
		return no
	case err != nil:
		return unknown
	}
	defer closer.Close()
	if v != nil && table.Decode(k, value, v) != nil {
		return unknown // noted where its table is read
	}
	return yes
}
