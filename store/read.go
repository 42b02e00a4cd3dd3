package store

import (
	"errors"
	"fmt"

	"github.com/cockroachdb/pebble/v2"

	"github.com/assaynet/assay/store/table"
)

// get calls use with the value at k, which is valid only within the call. The
// error is [ErrNotFound] if there is none.
func (d *DB) get(k table.Key, use func(value []byte) error) error {
	value, closer, err := d.pebble.Get(k)
	switch {
	case errors.Is(err, pebble.ErrNotFound):
		return ErrNotFound
	case err != nil:
		return fmt.Errorf("read table %s, key %x: %w", k.Table().Name(), []byte(k), err)
	}
	return errors.Join(use(value), closer.Close())
}

// load reads the value at k into v.
func (d *DB) load(k table.Key, v any) error {
	return d.get(k, func(value []byte) error { return table.Decode(k, value, v) })
}

// has reports whether there is a value at k.
func (d *DB) has(k table.Key) (bool, error) {
	err := d.get(k, func([]byte) error { return nil })
	if errors.Is(err, ErrNotFound) {
		return false, nil
	}
	return err == nil, err
}

// errStop ends a scan early, without an error.
var errStop = errors.New("stop")

// scan calls use with all keys from first on, below last, ascending or, if
// reverse, descending. Keys and values are valid only within the call.
func (d *DB) scan(first, last table.Key, reverse bool, use func(k table.Key, value []byte) error) error {
	it, err := d.pebble.NewIter(&pebble.IterOptions{LowerBound: first, UpperBound: last})
	if err != nil {
		return fmt.Errorf("scan table %s: %w", first.Table().Name(), err)
	}
	start, step := it.First, it.Next
	if reverse {
		start, step = it.Last, it.Prev
	}
	for ok := start(); ok && err == nil; ok = step() {
		k := table.Key(it.Key())
		if want := first.Table().Width(); len(k) != want {
			err = table.Corrupt(k, fmt.Errorf("key of %d bytes, want %d", len(k), want))
			break
		}
		var value []byte
		if value, err = it.ValueAndErr(); err == nil {
			err = use(k, value)
		}
	}
	if errors.Is(err, errStop) {
		err = nil
	}
	return errors.Join(err, it.Error(), it.Close())
}

// all scans a whole table, ascending.
func (d *DB) all(t table.Table, use func(k table.Key, value []byte) error) error {
	return d.scan(t.Key(), t.Key().End(), false, use)
}
