package store

import (
	"errors"
	"fmt"
	"time"

	"github.com/cockroachdb/pebble/v2"

	"github.com/assaynet/assay/challenges"
	"github.com/assaynet/assay/checker/report"
)

// RetainPolicy says how long the bodies of transcripts are kept; of 0 or less,
// for ever.
type RetainPolicy struct {
	Passes time.Duration
	Others time.Duration // whatever is not a pass is evidence
}

// DefaultRetain is the network's rule.
var DefaultRetain = RetainPolicy{Passes: 24 * time.Hour, Others: 90 * 24 * time.Hour}

// RetainReport is what one Retain deleted.
type RetainReport struct {
	Passes, Others uint64 // transcripts
	Bytes          uint64 // of their bodies; Pebble frees the disk later
}

// Most rows that one batch of Retain looks at, and deletes.
const (
	retainLook   = 4096
	retainDelete = 256
)

// retainedRow says how far Retain has come: everything in the index before a
// place is deleted, so that no row is looked at every time.
type retainedRow struct {
	_      struct{} `cbor:",toarray"`
	Passes indexPlace
	Others indexPlace
}

// indexPlace is a place in the index: the rows before it are done.
type indexPlace struct {
	_    struct{} `cbor:",toarray"`
	Set  bool     // false: none is
	At   int64
	Hash challenges.Hash
}

func (p indexPlace) key() key {
	if !p.Set {
		return tableIndex.key()
	}
	return tableIndex.key().time(p.At).id(p.Hash)
}

// Retain deletes the bodies of transcripts that ended before now less what the
// policy says. What the index says of them, their hash and their item stay.
// It works in small batches, each whole or not at all, and other calls run in
// between; a crash may undo the latest. A transcript that Finish dates before
// what an earlier Retain deleted, since the clock went back, is kept.
func (d *DB) Retain(now time.Time, p RetainPolicy) (RetainReport, error) {
	var r RetainReport
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
			if more, err = d.retain(now.Add(-keep), passes, &r); err != nil {
				return r, fmt.Errorf("retain: %w", err)
			}
		}
	}
	return r, nil
}

// retain does one batch of passes, or of the others, and says whether more are left.
func (d *DB) retain(before time.Time, passes bool, r *RetainReport) (more bool, err error) {
	if err := d.enter(); err != nil {
		return false, err
	}
	defer d.leave()
	d.mu.Lock()
	defer d.mu.Unlock()
	var row retainedRow
	if err := d.load(tableRetained.key(), &row); err != nil && !errors.Is(err, ErrNotFound) {
		return false, err
	}
	place, count := &row.Others, &r.Others
	if passes {
		place, count = &row.Passes, &r.Passes
	}
	first, last := place.key(), tableIndex.key().time(before.UnixNano())
	if string(first) >= string(last) {
		return false, nil
	}
	w := d.batch()
	var looked, deleted, bytes uint64
	err = d.scan(first, last, false, func(k key, value []byte) error {
		*place = indexPlace{Set: true, At: k.timeAt(1), Hash: k.idAt(9)}
		if looked == retainLook || deleted == retainDelete {
			more = true
			return errStop
		}
		looked++
		var info report.TranscriptInfo
		if err := decode(k, value, &info); err != nil {
			return err
		}
		if (info.Outcome == challenges.Pass) == passes {
			w.put(tableTranscripts.key().id(info.Hash), raw(nil))
			deleted++
			bytes += uint64(info.Bytes)
		}
		return nil
	})
	if err != nil || looked == 0 {
		return false, err
	}
	if !more {
		*place = indexPlace{Set: true, At: before.UnixNano()}
	}
	w.put(tableRetained.key(), raw(challenges.Marshal(&row)))
	if err := w.commit(pebble.NoSync); err != nil {
		return false, err
	}
	*count += deleted
	r.Bytes += bytes
	return more, nil
}
