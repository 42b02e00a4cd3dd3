package store

import (
	"errors"
	"fmt"

	"github.com/cockroachdb/pebble/v2"

	"github.com/assaynet/assay/challenges"
)

// UseRecord is a use and the challenge's id.
type UseRecord struct {
	ID challenges.Hash
	challenges.Use
}

type bootRow struct {
	_    struct{} `cbor:",toarray"`
	Last uint64
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
	value, err := encode(&u)
	if err != nil {
		return fmt.Errorf("use %v: %w", id, err)
	}
	switch found, err := d.has(tableUses.key().id(id)); {
	case err != nil:
		return fmt.Errorf("use %v: %w", id, err)
	case found:
		return fmt.Errorf("use %v: %w", id, ErrUsed)
	}
	w := d.batch()
	w.put(tableUses.key().id(id), value)
	w.put(tableUsesIndex.key().time(u.At).id(id), raw(nil))
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
	k := tableUses.key().id(id)
	var u challenges.Use
	err := d.load(k, &u)
	if err == nil {
		u.Ended, u.Outcome = at, how
		var value []byte
		if value, err = encode(&u); err == nil {
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
	t := tableUsesIndex
	err := d.scan(t.key(), t.key().end(), true, func(k key, value []byte) error {
		if len(out) == limit {
			return errStop
		}
		if _, err := body(k, value); err != nil {
			return err
		}
		id := k.idAt(9)
		var u challenges.Use
		err := d.load(tableUses.key().id(id), &u)
		if errors.Is(err, ErrNotFound) {
			// Both rows were one batch, and the scan began after it.
			return corrupt(k, errors.New("no such use"))
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
	var r bootRow
	if err := d.load(tableBoot.key(), &r); err != nil && !errors.Is(err, ErrNotFound) {
		return 0, err
	}
	r.Last++
	if err := d.set(tableBoot.key(), raw(challenges.Marshal(&r)), pebble.Sync); err != nil {
		return 0, fmt.Errorf("next boot: %w", err)
	}
	return r.Last, nil
}
