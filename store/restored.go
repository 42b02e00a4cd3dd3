package store

import (
	"errors"
	"fmt"
	"time"

	"github.com/cockroachdb/pebble/v2"

	"github.com/assaynet/assay/challenges"
	"github.com/assaynet/assay/store/table"
)

// restored begins a silence.
func (d *DB) restored(at time.Time) error {
	r, err := d.loadRestored()
	if err != nil {
		return err
	}
	if s := r.Now(); s != nil {
		s.At = at.UnixNano() // restored again, in the middle of the silence
	} else {
		next, err := d.sealed()
		if err != nil {
			return err
		}
		r.Silences = append(r.Silences, table.Silence{At: at.UnixNano(), From: next})
	}
	return d.set(table.Restored.Key(), table.Raw(challenges.Marshal(&r)), pebble.Sync)
}

func (d *DB) loadRestored() (table.RestoredRow, error) {
	var r table.RestoredRow
	err := d.load(table.Restored.Key(), &r)
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
	if s := r.Now(); s != nil {
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
	s := r.Now()
	if s == nil {
		return nil
	}
	if s.Until, err = d.sealed(); err != nil {
		return err
	}
	s.Over = true
	if err := d.set(table.Restored.Key(), table.Raw(challenges.Marshal(&r)), pebble.Sync); err != nil {
		return fmt.Errorf("clear restored: %w", err)
	}
	return nil
}
