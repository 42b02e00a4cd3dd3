package store

import (
	"errors"
	"fmt"

	"github.com/cockroachdb/pebble/v2"

	"github.com/assaynet/assay/challenges"
	"github.com/assaynet/assay/store/table"
)

// UseRecord is a use and the challenge's id.
type UseRecord struct {
	ID challenges.Hash
	challenges.Use
}

// Use records that a provider starts on a challenge; it is on the disk when Use
// returns, so that no crash lets a checker have the same work twice. The error
// is [ErrUsed] if the id was used before, for ever.
func (d *DB) Use(id challenges.Hash, u challenges.Use) error {
	if err := d.enter(); err != nil {
		return err
	}
	defer d.leave()
	d.mu.Lock()
	defer d.mu.Unlock()
	value, err := table.Encode(&u)
	if err != nil {
		return fmt.Errorf("use %v: %w", id, err)
	}
	switch found, err := d.has(table.Uses.Key().ID(id)); {
	case err != nil:
		return fmt.Errorf("use %v: %w", id, err)
	case found:
		return fmt.Errorf("use %v: %w", id, ErrUsed)
	}
	w := d.batch()
	w.put(table.Uses.Key().ID(id), value)
	w.put(table.UsesIndex.Key().Time(u.At).ID(id), table.Raw(nil))
	if err := w.commit(pebble.Sync); err != nil {
		return fmt.Errorf("use %v: %w", id, err)
	}
	return nil
}

// Ended records when, in Unix ns, and how a use ended; the last word counts. It
// does not wait for the disk. The error is [ErrNotFound] if the id was not used.
func (d *DB) Ended(id challenges.Hash, at int64, how string) error {
	if err := d.enter(); err != nil {
		return err
	}
	defer d.leave()
	d.mu.Lock()
	defer d.mu.Unlock()
	k := table.Uses.Key().ID(id)
	var u challenges.Use
	err := d.load(k, &u)
	if err == nil {
		u.Ended, u.Outcome = at, how
		var value []byte
		if value, err = table.Encode(&u); err == nil {
			err = d.set(k, value, pebble.NoSync)
		}
	}
	if err != nil {
		return fmt.Errorf("end use %v: %w", id, err)
	}
	return nil
}

// Uses lists the latest uses by their start, newest first, at most limit of
// them; of 0 or less, [DefaultLimit]. Those of the same instant descend by id.
func (d *DB) Uses(limit int) ([]UseRecord, error) {
	if err := d.enter(); err != nil {
		return nil, err
	}
	defer d.leave()
	limit = limitOf(limit)
	var out []UseRecord
	t := table.UsesIndex
	err := d.scan(t.Key(), t.Key().End(), true, func(k table.Key, value []byte) error {
		if len(out) == limit {
			return errStop
		}
		if _, err := table.Body(k, value); err != nil {
			return err
		}
		id := k.IDAt(9)
		var u challenges.Use
		err := d.load(table.Uses.Key().ID(id), &u)
		if errors.Is(err, ErrNotFound) {
			// Both rows were one batch, and the scan began after it.
			return table.Corrupt(k, errors.New("no such use"))
		}
		out = append(out, UseRecord{id, u})
		return err
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// NextBoot counts the starts of a node: 1 at the first call, and one more at
// each. The number is on the disk before it is returned, so none comes twice.
func (d *DB) NextBoot() (uint64, error) {
	if err := d.enter(); err != nil {
		return 0, err
	}
	defer d.leave()
	d.mu.Lock()
	defer d.mu.Unlock()
	var r table.BootRow
	if err := d.load(table.Boot.Key(), &r); err != nil && !errors.Is(err, ErrNotFound) {
		return 0, err
	}
	r.Last++
	if err := d.set(table.Boot.Key(), table.Raw(challenges.Marshal(&r)), pebble.Sync); err != nil {
		return 0, fmt.Errorf("next boot: %w", err)
	}
	return r.Last, nil
}
