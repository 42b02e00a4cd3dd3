package store

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"time"

	"github.com/cockroachdb/pebble/v2"

	"github.com/assaynet/assay/challenges"
	"github.com/assaynet/assay/checker/committee"
)

// checkBatch is how many transcripts, or standings, a check holds at once. A
// larger table costs more passes, not more memory.
var checkBatch = 1 << 17

// CheckOptions of a check. The zero value checks all but standings' contents.
type CheckOptions struct {
	Registry *committee.Registry             // nil: standings are not folded again
	Problems int                             // listed at most; 0 or less: 1000
	Progress func(table string, rows uint64) // called for every row; nil: not
}

// CheckReport is what a check found.
type CheckReport struct {
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
func (r *CheckReport) Clean() bool { return len(r.Problems) == 0 && r.Unlisted == 0 }

// Check reads everything in the database, as it is at the call, and compares
// tables with each other. It writes nothing. An error means that the check could
// not be made, not that it failed.
func (d *DB) Check(ctx context.Context, o CheckOptions) (CheckReport, error) {
	if err := d.enter(); err != nil {
		return CheckReport{}, err
	}
	defer d.leave()
	if r := o.Registry; r != nil {
		if got := r.Hash(); got != d.meta.Network {
			return CheckReport{}, fmt.Errorf("check: registry of network %v: %w, %v", got, challenges.ErrNetwork, d.meta.Network)
		}
		if d.meta.Kind == KindChecker && r.Index(d.meta.Node) < 0 {
			return CheckReport{}, fmt.Errorf("check: checker %s is not in the registry", d.meta.Node.Short())
		}
	}
	if o.Problems <= 0 {
		o.Problems = 1000
	}
	c := &inspection{ctx: ctx, o: o, meta: d.meta, snap: d.pebble.NewSnapshot()}
	c.r = CheckReport{Kind: d.meta.Kind, Network: d.meta.Network, Node: d.meta.Node, Skipped: []string{}, Problems: []Problem{}}
	for t := tableMeta; int(t) < len(tables); t++ {
		c.r.Tables = append(c.r.Tables, TableReport{Name: tables[t].name})
	}
	if o.Registry == nil {
		c.r.Skipped = append(c.r.Skipped, "standings were not folded again: no registry given")
	}
	if err := d.pebble.CheckLevels(nil); err != nil {
		c.r.Problems = append(c.r.Problems, Problem{"files", "", err.Error()})
	}
	var err error
	for _, step := range []func() error{c.strangers, c.rows, c.pairs, c.epochs, c.standings} {
		if err == nil {
			err = step()
		}
	}
	if err := errors.Join(err, c.snap.Close()); err != nil {
		return CheckReport{}, fmt.Errorf("check: %w", err)
	}
	return c.r, nil
}

// inspection is a check under way. Only the check's end is an error of its
// methods; what is wrong with the database is noted.
type inspection struct {
	ctx  context.Context
	o    CheckOptions
	meta Meta
	snap *pebble.Snapshot
	r    CheckReport

	torn     [len(tables)]bool // tables that could not be read to their end
	silences restoredRow
}

// problem notes what is wrong with a key.
func (c *inspection) problem(k key, format string, args ...any) {
	if len(c.r.Problems) >= c.o.Problems {
		c.r.Unlisted++
		return
	}
	name := "unknown"
	if len(k) > 0 && k[0] > 0 && int(k[0]) < len(tables) {
		name = tables[k[0]].name
	}
	c.r.Problems = append(c.r.Problems, Problem{name, hex.EncodeToString(k), fmt.Sprintf(format, args...)})
}

// each calls use with every row of a table from first on, below last, whose key
// is as wide as it should be. The value is whole, version byte included.
func (c *inspection) each(t table, first, last key, use func(k key, value []byte)) error {
	return c.while(t, first, last, func(k key, value []byte) bool {
		use(k, value)
		return true
	})
}

// while is each, until use returns false.
func (c *inspection) while(t table, first, last key, use func(k key, value []byte) bool) error {
	it, err := c.snap.NewIter(&pebble.IterOptions{LowerBound: first, UpperBound: last})
	if err != nil {
		return err
	}
	at := first
	for ok := it.First(); ok; ok = it.Next() {
		if err := c.ctx.Err(); err != nil {
			return errors.Join(err, it.Close())
		}
		k := key(it.Key())
		value, err := it.ValueAndErr()
		if err != nil {
			c.problem(k, "cannot be read: %v", err)
			c.torn[t] = true
			continue
		}
		at = append(at[:0:0], k...)
		if c.o.Progress != nil {
			c.o.Progress(tables[t].name, c.r.Tables[t-1].Rows)
		}
		if want := tables[t].width; len(k) != want {
			if t == tableTranscripts { // of the others, strangers has noted it
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

// strangers counts the rows, all but the transcripts, and notes keys that belong
// to no table or are of a wrong width.
func (c *inspection) strangers() error {
	for t := range len(tables) {
		if table(t) == tableTranscripts {
			continue // large: counted when they are read
		}
		if err := c.count(table(t), key{byte(t)}, key{byte(t + 1)}); err != nil {
			return err
		}
	}
	return c.count(0, key{byte(len(tables))}, nil)
}

// count counts a range of keys. Table 0 is none.
func (c *inspection) count(t table, first, last key) error {
	it, err := c.snap.NewIter(&pebble.IterOptions{LowerBound: first, UpperBound: last})
	if err != nil {
		return err
	}
	for ok := it.First(); ok; ok = it.Next() {
		if err := c.ctx.Err(); err != nil {
			return errors.Join(err, it.Close())
		}
		k := key(it.Key())
		if t == 0 {
			c.problem(k, "of no table")
			continue
		}
		if want := tables[t].width; len(k) != want {
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
func (c *inspection) load(k key, v any) known {
	value, closer, err := c.snap.Get(k)
	switch {
	case errors.Is(err, pebble.ErrNotFound) && !c.torn[k[0]]:
		return no
	case err != nil:
		return unknown
	}
	defer closer.Close()
	if v != nil && decode(k, value, v) != nil {
		return unknown // noted where its table is read
	}
	return yes
}
