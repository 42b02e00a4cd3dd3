package store

import (
	"errors"
	"fmt"
	"time"

	"github.com/cockroachdb/pebble/v2"

	"github.com/assaynet/assay/challenges"
)

// restoredRow remembers every restoring of the database, the latest last.
type restoredRow struct {
	_        struct{} `cbor:",toarray"`
	Silences []silence
}

// silence is a time in which a restored node signs nothing: it cannot know what
// it signed between its backup and its loss.
type silence struct {
	_     struct{} `cbor:",toarray"`
	At    int64    // of the restoring, Unix time, ns
	From  uint64   // first epoch that was not sealed in the backup
	Until uint64   // first epoch that is sealed again, once Over
	Over  bool
}

// Check bounds the fields.
func (r *restoredRow) Check() error {
	for i, s := range r.Silences {
		if (s.Over && s.Until < s.From) || (!s.Over && i != len(r.Silences)-1) {
			return fmt.Errorf("silence %d: from epoch %d, until %d, over: %v", i, s.From, s.Until, s.Over)
		}
	}
	return nil
}

// now is the silence that is not over, nil if there is none.
func (r *restoredRow) now() *silence {
	if n := len(r.Silences); n > 0 && !r.Silences[n-1].Over {
		return &r.Silences[n-1]
	}
	return nil
}

// passed says whether an epoch fell into a silence.
func (r *restoredRow) passed(epoch uint64) bool {
	for _, s := range r.Silences {
		if epoch >= s.From && (!s.Over || epoch < s.Until) {
			return true
		}
	}
	return false
}

// restored begins a silence.
func (d *DB) restored(at time.Time) error {
	r, err := d.loadRestored()
	if err != nil {
		return err
	}
	if s := r.now(); s != nil {
		s.At = at.UnixNano() // restored again, in the middle of the silence
	} else {
		next, err := d.sealed()
		if err != nil {
			return err
		}
		r.Silences = append(r.Silences, silence{At: at.UnixNano(), From: next})
	}
	return d.set(tableRestored.key(), raw(challenges.Marshal(&r)), pebble.Sync)
}

func (d *DB) loadRestored() (restoredRow, error) {
	var r restoredRow
	err := d.load(tableRestored.key(), &r)
	if errors.Is(err, ErrNotFound) {
		err = nil
	}
	return r, err
}

// RestoredAt says whether the database was restored from a backup since
// [DB.ClearRestored], and when. Its checker stays silent for one full epoch: it
// may have signed what the backup does not know of.
func (d *DB) RestoredAt() (at time.Time, restored bool, err error) {
	if err := d.enter(); err != nil {
		return time.Time{}, false, err
	}
	defer d.leave()
	r, err := d.loadRestored()
	if err != nil {
		return time.Time{}, false, err
	}
	if s := r.now(); s != nil {
		return time.Unix(0, s.At), true, nil
	}
	return time.Time{}, false, nil
}

// ClearRestored ends the silence, on the disk when it returns. Call it after
// sealing the silent epochs without observations: that the epochs from the
// backup's on up to the first unsealed one have none is remembered as right.
func (d *DB) ClearRestored() error {
	if err := d.enter(); err != nil {
		return err
	}
	defer d.leave()
	d.mu.Lock()
	defer d.mu.Unlock()
	r, err := d.loadRestored()
	if err != nil {
		return err
	}
	s := r.now()
	if s == nil {
		return nil
	}
	if s.Until, err = d.sealed(); err != nil {
		return err
	}
	s.Over = true
	if err := d.set(tableRestored.key(), raw(challenges.Marshal(&r)), pebble.Sync); err != nil {
		return fmt.Errorf("clear restored: %w", err)
	}
	return nil
}
