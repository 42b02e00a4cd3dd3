package store

import (
	"errors"
	"fmt"
	"math"
	"slices"

	"github.com/cockroachdb/pebble/v2"

	"github.com/assaynet/assay/challenges"
	"github.com/assaynet/assay/checker/report"
	"github.com/assaynet/assay/store/table"
)

// PutSlices writes the probe slices of some providers in an epoch, each in place
// of what was there of it before; other providers keep theirs. It does not wait
// for the disk: a crash, of the process too, may lose the latest calls, each
// of them whole. The next synced write of any method saves them.
func (d *DB) PutSlices(epoch uint64, s []report.Slices) error {
	if err := d.enter(); err != nil {
		return err
	}
	defer d.leave()
	w := d.batch()
	for i := range s {
		w.put(table.Slices.Key().Epoch(epoch).ID(s[i].Provider), table.Raw(challenges.Marshal(&s[i])))
	}
	if err := w.commit(pebble.NoSync); err != nil {
		return fmt.Errorf("put slices of epoch %d: %w", epoch, err)
	}
	return nil
}

// EpochRecords is everything that was seen in an epoch, ascending by provider,
// whether the epoch is sealed or not.
func (d *DB) EpochRecords(epoch uint64) ([]report.ProviderEpoch, error) {
	if err := d.enter(); err != nil {
		return nil, err
	}
	defer d.leave()
	found := make(map[challenges.NodeID]*report.ProviderEpoch)
	of := func(p challenges.NodeID) *report.ProviderEpoch {
		r := found[p]
		if r == nil {
			r = &report.ProviderEpoch{Slices: report.Slices{Provider: p}}
			found[p] = r
		}
		return r
	}
	err := d.epochRows(table.Slices, epoch, func(k table.Key, value []byte) error {
		var s report.Slices
		err := table.Decode(k, value, &s)
		if err == nil && s.Provider != k.IDAt(9) {
			err = table.Corrupt(k, errors.New("of another provider"))
		}
		of(k.IDAt(9)).Slices = s
		return err
	})
	if err != nil {
		return nil, err
	}
	err = d.epochRows(table.Items, epoch, func(k table.Key, value []byte) error {
		var it report.Item
		err := table.Decode(k, value, &it)
		r := of(k.IDAt(9))
		r.Items = append(r.Items, it)
		return err
	})
	if err != nil {
		return nil, err
	}
	out := make([]report.ProviderEpoch, 0, len(found))
	for _, r := range found {
		out = append(out, *r)
	}
	slices.SortFunc(out, func(a, b report.ProviderEpoch) int { return a.Provider.Compare(b.Provider) })
	return out, nil
}

// epochRows scans one epoch of a table whose keys begin with it.
func (d *DB) epochRows(t table.Table, epoch uint64, use func(k table.Key, value []byte) error) error {
	first := t.Key().Epoch(epoch)
	return d.scan(first, first.End(), false, use)
}

// Unsealed lists the epochs from the first unsealed one on that have slices or
// items, ascending.
func (d *DB) Unsealed() ([]uint64, error) {
	if err := d.enter(); err != nil {
		return nil, err
	}
	defer d.leave()
	next, err := d.sealed()
	if err != nil {
		return nil, err
	}
	var out []uint64
	for _, t := range []table.Table{table.Slices, table.Items} {
		// One seek an epoch, however many rows it has.
		for from := next; ; {
			e, found, err := d.epochFrom(t, from)
			if err != nil {
				return nil, err
			}
			if !found {
				break
			}
			out = append(out, e)
			if e == math.MaxUint64 {
				break
			}
			from = e + 1
		}
	}
	slices.Sort(out)
	return slices.Compact(out), nil
}

// epochFrom is the first epoch of a table at or after from.
func (d *DB) epochFrom(t table.Table, from uint64) (epoch uint64, found bool, err error) {
	err = d.scan(t.Key().Epoch(from), t.Key().End(), false, func(k table.Key, _ []byte) error {
		epoch, found = k.EpochAt(1), true
		return errStop
	})
	return epoch, found, err
}
