// Package table is the layout of a node's database: its tables, the keys and
// values in them, and the rows that only the store itself has.
package table

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/assaynet/assay/challenges"
)

// Version is the first byte of every value.
const Version = 2

// Table is the first byte of every key.
type Table byte

// Tables; package store says what is in them.
const (
	Meta Table = 1 + iota
	Begun
	Ended
	Abandoned
	Transcripts
	Index
	Slices
	Items
	Observations
	Standings
	Sealed
	Offers
	Uses
	UsesIndex
	Boot
	Restored
	Retained
	Copies
	CopiesIndex
	CopiesRetained
	Count = iota + 1 // the first byte that is no table's
)

// tables holds each table's name and the width of its keys, table byte included.
var tables = [Count]struct {
	name  string
	width int
}{
	Meta:           {"meta", 1},
	Begun:          {"begun", 1 + 32},
	Ended:          {"ended", 1 + 32},
	Abandoned:      {"abandoned", 1 + 32},
	Transcripts:    {"transcripts", 1 + 32},
	Index:          {"index", 1 + 8 + 32},
	Slices:         {"slices", 1 + 8 + 32},
	Items:          {"items", 1 + 8 + 32 + 32},
	Observations:   {"observations", 1 + 8 + 32},
	Standings:      {"standings", 1 + 32},
	Sealed:         {"sealed", 1},
	Offers:         {"offers", 1 + 32},
	Uses:           {"uses", 1 + 32},
	UsesIndex:      {"uses-index", 1 + 8 + 32},
	Boot:           {"boot", 1},
	Restored:       {"restored", 1},
	Retained:       {"retained", 1},
	Copies:         {"copies", 1 + 32},
	CopiesIndex:    {"copies-index", 1 + 8 + 32},
	CopiesRetained: {"copies-retained", 1},
}

// Known reports that t is one of the tables.
func (t Table) Known() bool { return t >= Meta && t < Count }

// Name is the table's name; "unknown" if there is no such table.
func (t Table) Name() string {
	if !t.Known() {
		return "unknown"
	}
	return tables[t].name
}

// Width is how many bytes each key has, the table byte included; 0 if there is no
// such table.
func (t Table) Width() int {
	if !t.Known() {
		return 0
	}
	return tables[t].width
}

// Large reports that the table's values are so large that it is read only once.
func (t Table) Large() bool { return t == Transcripts || t == Copies }

// Key is a key under construction, or a prefix of keys.
type Key []byte

// Key begins a key of the table.
func (t Table) Key() Key {
	return append(make(Key, 0, t.Width()), byte(t))
}

// Epoch appends an epoch.
func (k Key) Epoch(e uint64) Key { return binary.BigEndian.AppendUint64(k, e) }

// Time appends a time, Unix ns, such that keys sort by it.
func (k Key) Time(at int64) Key { return binary.BigEndian.AppendUint64(k, uint64(at)^1<<63) }

// ID appends a hash or a node's id.
func (k Key) ID(id [32]byte) Key { return append(k, id[:]...) }

// EpochAt reads the epoch at byte i.
func (k Key) EpochAt(i int) uint64 { return binary.BigEndian.Uint64(k[i:]) }

// TimeAt reads the time at byte i.
func (k Key) TimeAt(i int) int64 { return int64(k.EpochAt(i) ^ 1<<63) }

// IDAt reads the hash or id at byte i.
func (k Key) IDAt(i int) [32]byte { return [32]byte(k[i:]) }

// Table is the table that the key is in.
func (k Key) Table() Table {
	if len(k) == 0 {
		return 0
	}
	return Table(k[0])
}

// End is the first key after all keys with prefix k: no table byte is ff, so
// there is one.
func (k Key) End() Key {
	e := append(Key(nil), k...)
	for i := len(e) - 1; i >= 0; i-- {
		if e[i]++; e[i] != 0 {
			break
		}
	}
	return e
}

// Corrupt says where a value or key is not as it was written.
func Corrupt(k Key, err error) error {
	return fmt.Errorf("corrupt value in table %s, key %x: %w", k.Table().Name(), []byte(k), err)
}

// Raw is the value that holds bytes which are encoded already.
func Raw(data []byte) []byte {
	return append(append(make([]byte, 0, 1+len(data)), Version), data...)
}

// Body is a value without its version byte. It shares memory with the value.
func Body(k Key, value []byte) ([]byte, error) {
	switch {
	case len(value) == 0:
		return nil, Corrupt(k, errors.New("empty"))
	case value[0] != Version:
		return nil, Corrupt(k, fmt.Errorf("version %d, want %d", value[0], Version))
	}
	return value[1:], nil
}

// Decode reads a value into v, a pointer to an array struct.
func Decode(k Key, value []byte, v any) error {
	b, err := Body(k, value)
	if err != nil {
		return err
	}
	if err := challenges.Unmarshal(b, v); err != nil {
		return Corrupt(k, err)
	}
	return nil
}

// Encode is the value that holds v. What could not be read back is not written:
// a string that is not UTF-8 would lie there as a corrupt value for ever.
func Encode[T any](v *T) ([]byte, error) {
	b := challenges.Marshal(v)
	if err := challenges.Unmarshal(b, new(T)); err != nil {
		return nil, fmt.Errorf("encode %T: %w", *v, err)
	}
	return Raw(b), nil
}
