package store

import (
	"errors"
	"fmt"
	"time"

	"github.com/cockroachdb/pebble/v2"

	"github.com/assaynet/assay/challenges"
	"github.com/assaynet/assay/challenges/receipt"
	"github.com/assaynet/assay/checker/report"
	"github.com/assaynet/assay/store/table"
)

// RetainPolicy says how long the bodies of transcripts, and a provider's copies, are
// kept; of 0 or less, for ever.
type RetainPolicy struct {
	Passes time.Duration
	Others time.Duration // whatever is not a pass is evidence
}

// DefaultRetain is the network's rule.
var DefaultRetain = RetainPolicy{Passes: 24 * time.Hour, Others: 90 * 24 * time.Hour}

// RetainReport is what one Retain deleted.
type RetainReport struct {
	Passes, Others uint64 // transcripts
	Copies         uint64 // of a provider, passes and others
	Bytes          uint64 // of bodies and copies; Pebble frees the disk later
}

// Most rows that one batch of Retain looks at, and deletes.
const (
	retainLook   = 4096
	retainDelete = 256
)

// retainedIndex is an index whose rows Retain goes through.
type retainedIndex struct {
	index, done table.Table // done: where its places are kept
	// old looks at a row and, if it is of those that are deleted, deletes what
	// belongs to it and says of how many bytes; found: it was.
	old func(w batch, k table.Key, value []byte, passes bool) (bytes uint64, found bool, err error)
}

// retainedIndexes are that of transcripts and that of copies.
var retainedIndexes = [...]retainedIndex{
	{table.Index, table.Retained, func(w batch, k table.Key, value []byte, passes bool) (uint64, bool, error) {
		var info report.TranscriptInfo
		err := table.Decode(k, value, &info)
		if err != nil || (info.Outcome == challenges.Pass) != passes {
			return 0, false, err
		}
		w.put(table.Transcripts.Key().ID(info.Hash), table.Raw(nil))
		return uint64(info.Bytes), true, nil
	}},
	{table.CopiesIndex, table.CopiesRetained, func(w batch, k table.Key, value []byte, passes bool) (uint64, bool, error) {
		var info receipt.Info
		err := table.Decode(k, value, &info)
		if err != nil || info.Pass() != passes {
			return 0, false, err
		}
		w.del(table.Copies.Key().ID(info.Challenge))
		w.del(k)
		return uint64(info.Bytes), true, nil
	}},
}

// Retain deletes the bodies of transcripts that ended before now less what the
// policy says, and a provider's copies that began before. What the index says of
// transcripts, their hash and their item stay; nothing stays of copies.
// It works in small batches, each whole or not at all, and other calls run in
// between; a crash may undo the latest. A transcript or a copy that is dated before
// what an earlier Retain deleted, since the clock went back, is kept.
func (d *DB) Retain(now time.Time, p RetainPolicy) (RetainReport, error) {
	var r RetainReport
	for i := range retainedIndexes {
		for _, passes := range []bool{true, false} {
			keep := p.Others
			if passes {
				keep = p.Passes
			}
			if keep <= 0 {
				continue
			}
			for more := true; more; {
				var err error
				if more, err = d.retain(&retainedIndexes[i], now.Add(-keep), passes, &r); err != nil {
					return r, fmt.Errorf("retain: %w", err)
				}
			}
		}
	}
	return r, nil
}

// retain does one batch of passes, or of the others, and says whether more are left.
func (d *DB) retain(t *retainedIndex, before time.Time, passes bool, r *RetainReport) (more bool, err error) {
	if err := d.enter(); err != nil {
		return false, err
	}
	defer d.leave()
	d.mu.Lock()
	defer d.mu.Unlock()
	var row table.RetainedRow
	if err := d.load(t.done.Key(), &row); err != nil && !errors.Is(err, ErrNotFound) {
		return false, err
	}
	place, count := &row.Others, &r.Others
	if passes {
		place, count = &row.Passes, &r.Passes
	}
	if t.index == table.CopiesIndex {
		count = &r.Copies
	}
	first, last := place.Key(t.index), t.index.Key().Time(before.UnixNano())
	if string(first) >= string(last) {
		return false, nil
	}
	w := d.batch()
	var looked, deleted, bytes uint64
	err = d.scan(first, last, false, func(k table.Key, value []byte) error {
		*place = table.Place{Set: true, At: k.TimeAt(1), Hash: k.IDAt(9)}
		if looked == retainLook || deleted == retainDelete {
			more = true
			return errStop
		}
		looked++
		n, found, err := t.old(w, k, value, passes)
		if found {
			deleted++
			bytes += n
		}
		return err
	})
	if err != nil || looked == 0 {
		return false, err
	}
	if !more {
		*place = table.Place{Set: true, At: before.UnixNano()}
	}
	w.put(t.done.Key(), table.Raw(challenges.Marshal(&row)))
	if err := w.commit(pebble.NoSync); err != nil {
		return false, err
	}
	*count += deleted
	r.Bytes += bytes
	return more, nil
}
