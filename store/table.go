package store

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/cockroachdb/pebble/v2"

	"github.com/assaynet/assay/challenges"
)

// version is the first byte of every value.
const version = 1

// table is the first byte of every key.
type table byte

const (
	tableMeta table = 1 + iota
	tableBegun
	tableEnded
	tableAbandoned
	tableTranscripts
	tableIndex
	tableSlices
	tableItems
	tableObservations
	tableStandings
	tableSealed
	tableOffers
	tableUses
	tableUsesIndex
	tableBoot
	tableRestored
	tableRetained
)

// tables holds each table's name and the width of its keys, table byte included.
var tables = [...]struct {
	name  string
	width int
}{
	tableMeta:         {"meta", 1},
	tableBegun:        {"begun", 1 + 32},
	tableEnded:        {"ended", 1 + 32},
	tableAbandoned:    {"abandoned", 1 + 32},
	tableTranscripts:  {"transcripts", 1 + 32},
	tableIndex:        {"index", 1 + 8 + 32},
	tableSlices:       {"slices", 1 + 8 + 32},
	tableItems:        {"items", 1 + 8 + 32 + 32},
	tableObservations: {"observations", 1 + 8 + 32},
	tableStandings:    {"standings", 1 + 32},
	tableSealed:       {"sealed", 1},
	tableOffers:       {"offers", 1 + 32},
	tableUses:         {"uses", 1 + 32},
	tableUsesIndex:    {"uses-index", 1 + 8 + 32},
	tableBoot:         {"boot", 1},
	tableRestored:     {"restored", 1},
	tableRetained:     {"retained", 1},
}

// key is a key under construction, or a prefix of keys.
type key []byte

func (t table) key() key {
	return append(make(key, 0, tables[t].width), byte(t))
}

func (k key) epoch(e uint64) key   { return binary.BigEndian.AppendUint64(k, e) }
func (k key) time(at int64) key    { return binary.BigEndian.AppendUint64(k, uint64(at)^1<<63) }
func (k key) id(id [32]byte) key   { return append(k, id[:]...) }
func (k key) epochAt(i int) uint64 { return binary.BigEndian.Uint64(k[i:]) }
func (k key) timeAt(i int) int64   { return int64(k.epochAt(i) ^ 1<<63) }
func (k key) idAt(i int) [32]byte  { return [32]byte(k[i:]) }

// end is the first key after all keys with prefix k: no table byte is ff, so
// there is one.
func (k key) end() key {
	e := append(key(nil), k...)
	for i := len(e) - 1; i >= 0; i-- {
		if e[i]++; e[i] != 0 {
			break
		}
	}
	return e
}

// corrupt says where a value or key is not as it was written.
func corrupt(k key, err error) error {
	name := "unknown"
	if int(k[0]) < len(tables) && k[0] > 0 {
		name = tables[k[0]].name
	}
	return fmt.Errorf("corrupt value in table %s, key %x: %w", name, []byte(k), err)
}

// raw is the value that holds bytes which are encoded already.
func raw(data []byte) []byte {
	return append(append(make([]byte, 0, 1+len(data)), version), data...)
}

// body is a value without its version byte. It shares memory with the value.
func body(k key, value []byte) ([]byte, error) {
	switch {
	case len(value) == 0:
		return nil, corrupt(k, errors.New("empty"))
	case value[0] != version:
		return nil, corrupt(k, fmt.Errorf("version %d, want %d", value[0], version))
	}
	return value[1:], nil
}

// decode reads a value into v, a pointer to an array struct.
func decode(k key, value []byte, v any) error {
	b, err := body(k, value)
	if err != nil {
		return err
	}
	if err := challenges.Unmarshal(b, v); err != nil {
		return corrupt(k, err)
	}
	return nil
}

// encode is the value that holds v. What could not be read back is not written:
// a string that is not UTF-8 would lie there as a corrupt value for ever.
func encode[T any](v *T) ([]byte, error) {
	b := challenges.Marshal(v)
	if err := challenges.Unmarshal(b, new(T)); err != nil {
		return nil, fmt.Errorf("encode %T: %w", *v, err)
	}
	return raw(b), nil
}

// get calls use with the value at k, which is valid only within the call. The
// error is [ErrNotFound] if there is none.
func (d *DB) get(k key, use func(value []byte) error) error {
	value, closer, err := d.pebble.Get(k)
	switch {
	case errors.Is(err, pebble.ErrNotFound):
		return ErrNotFound
	case err != nil:
		return fmt.Errorf("read table %s, key %x: %w", tables[k[0]].name, []byte(k), err)
	}
	return errors.Join(use(value), closer.Close())
}

// load reads the value at k into v.
func (d *DB) load(k key, v any) error {
	return d.get(k, func(value []byte) error { return decode(k, value, v) })
}

// has reports whether there is a value at k.
func (d *DB) has(k key) (bool, error) {
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
func (d *DB) scan(first, last key, reverse bool, use func(k key, value []byte) error) error {
	it, err := d.pebble.NewIter(&pebble.IterOptions{LowerBound: first, UpperBound: last})
	if err != nil {
		return fmt.Errorf("scan table %s: %w", tables[first[0]].name, err)
	}
	start, step := it.First, it.Next
	if reverse {
		start, step = it.Last, it.Prev
	}
	for ok := start(); ok && err == nil; ok = step() {
		k := key(it.Key())
		if want := tables[first[0]].width; len(k) != want {
			err = corrupt(k, fmt.Errorf("key of %d bytes, want %d", len(k), want))
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
func (d *DB) all(t table, use func(k key, value []byte) error) error {
	return d.scan(t.key(), t.key().end(), false, use)
}
