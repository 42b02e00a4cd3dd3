package store

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"slices"

	"github.com/cockroachdb/pebble/v2"

	"github.com/assaynet/assay/challenges"
	"github.com/assaynet/assay/checker/report"
	"github.com/assaynet/assay/store/table"
)

// ReasonAbandoned is the reason in the item of a challenge that was abandoned.
const ReasonAbandoned = table.ReasonAbandoned

// Begin records a challenge before it is sent; it is on the disk when Begin
// returns, so that no crash hides that a provider's time was used. The error is
// [ErrExists] if the id was begun, finished or abandoned before.
func (d *DB) Begin(id challenges.Hash, b report.Begun) error {
	if err := d.enter(); err != nil {
		return err
	}
	defer d.leave()
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.begin(id, b); err != nil {
		return fmt.Errorf("begin %v: %w", id, err)
	}
	return nil
}

func (d *DB) begin(id challenges.Hash, b report.Begun) error {
	value, err := table.Encode(&b)
	if err != nil {
		return err
	}
	for _, t := range []table.Table{table.Begun, table.Ended} {
		if found, err := d.has(t.Key().ID(id)); err != nil || found {
			return cmp.Or(err, ErrExists)
		}
	}
	return d.set(table.Begun.Key().ID(id), value, pebble.Sync)
}

// Finish records a challenge's transcript, its place in the index and its item,
// and forgets that it was begun, in one batch that is on the disk when Finish
// returns; it sets Bytes itself. A probe need not have been begun. A second Finish of a challenge
// changes nothing: it returns nil for the same transcript, and [ErrExists] for
// another one or after Abandon.
func (d *DB) Finish(f report.Finished) error {
	if err := d.enter(); err != nil {
		return err
	}
	defer d.leave()
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.finish(f); err != nil {
		return fmt.Errorf("finish %v: %w", f.Info.Challenge, err)
	}
	return nil
}

func (d *DB) finish(f report.Finished) error {
	info := f.Info
	info.Bytes = uint32(len(f.Transcript))
	// No bytes stand for a transcript that was deleted.
	if n := len(f.Transcript); n == 0 || n > challenges.MaxEnvelope {
		return fmt.Errorf("transcript of %d bytes, want 1 to %d", len(f.Transcript), challenges.MaxEnvelope)
	}
	var item []byte
	if it := f.Item; it != nil {
		if it.Challenge != info.Challenge || it.Transcript != info.Hash {
			return errors.New("the item is of another challenge or transcript")
		}
		var err error
		if item, err = table.Encode(it); err != nil {
			return err
		}
	}
	index, err := table.Encode(&info)
	if err != nil {
		return err
	}

	var ended table.EndedRow
	switch err := d.load(table.Ended.Key().ID(info.Challenge), &ended); {
	case err == nil && ended.Transcript == info.Hash:
		return nil
	case err == nil:
		return ErrExists
	case !errors.Is(err, ErrNotFound):
		return err
	}
	// The same transcript under two challenges would leave two rows in the index.
	if found, err := d.has(table.Transcripts.Key().ID(info.Hash)); err != nil || found {
		return fmt.Errorf("transcript %v: %w", info.Hash, cmp.Or(err, ErrExists))
	}

	w := d.batch()
	w.del(table.Begun.Key().ID(info.Challenge))
	w.put(table.Ended.Key().ID(info.Challenge), table.Raw(challenges.Marshal(&table.EndedRow{Transcript: info.Hash})))
	w.put(table.Transcripts.Key().ID(info.Hash), table.Raw(f.Transcript))
	w.put(table.Index.Key().Time(info.At).ID(info.Hash), index)
	if item != nil {
		w.put(table.Items.Key().Epoch(info.Epoch).ID(info.Provider).ID(info.Challenge), item)
	}
	return w.commit(pebble.Sync)
}

// Abandon records, at a Unix time in ns, that a begun challenge will never be
// judged: it leaves an item with outcome unknown in its epoch, unless it is a
// probe. The error is [ErrNotFound] if it was not begun and [ErrExists] if it
// was finished; abandoning twice changes nothing.
func (d *DB) Abandon(id challenges.Hash, at int64) error {
	if err := d.enter(); err != nil {
		return err
	}
	defer d.leave()
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.abandon(id, at); err != nil {
		return fmt.Errorf("abandon %v: %w", id, err)
	}
	return nil
}

func (d *DB) abandon(id challenges.Hash, at int64) error {
	var ended table.EndedRow
	switch err := d.load(table.Ended.Key().ID(id), &ended); {
	case err == nil && ended.Transcript == challenges.Hash{}:
		return nil
	case err == nil:
		return ErrExists
	case !errors.Is(err, ErrNotFound):
		return err
	}
	var b report.Begun
	if err := d.load(table.Begun.Key().ID(id), &b); err != nil {
		return err
	}
	w := d.batch()
	w.del(table.Begun.Key().ID(id))
	w.put(table.Ended.Key().ID(id), table.Raw(challenges.Marshal(&table.EndedRow{})))
	w.put(table.Abandoned.Key().ID(id), table.Raw(challenges.Marshal(&table.AbandonedRow{At: at, Begun: b})))
	if b.Kind != challenges.Probe {
		w.put(table.Items.Key().Epoch(b.Epoch).ID(b.Provider).ID(id), table.Raw(challenges.Marshal(&report.Item{
			Challenge: id, Kind: b.Kind, Device: b.Device, Profile: b.Profile,
			Outcome: challenges.Unknown, Reason: ReasonAbandoned, Claim: b.Claim,
		})))
	}
	return w.commit(pebble.Sync)
}

// Pending lists the challenges that were begun and neither finished nor
// abandoned, oldest first. After a start, they are what a crash cut short.
func (d *DB) Pending() ([]report.Pending, error) {
	return d.challenges(table.Begun, func(k table.Key, value []byte) (b report.Begun, err error) {
		err = table.Decode(k, value, &b)
		return b, err
	})
}

// Abandoned lists the challenges that were abandoned, those begun first first.
func (d *DB) Abandoned() ([]report.Pending, error) {
	return d.challenges(table.Abandoned, func(k table.Key, value []byte) (report.Begun, error) {
		var r table.AbandonedRow
		err := table.Decode(k, value, &r)
		return r.Begun, err
	})
}

func (d *DB) challenges(t table.Table, read func(table.Key, []byte) (report.Begun, error)) ([]report.Pending, error) {
	if err := d.enter(); err != nil {
		return nil, err
	}
	defer d.leave()
	var out []report.Pending
	err := d.all(t, func(k table.Key, value []byte) error {
		b, err := read(k, value)
		out = append(out, report.Pending{ID: k.IDAt(1), Begun: b})
		return err
	})
	if err != nil {
		return nil, err
	}
	slices.SortFunc(out, func(a, b report.Pending) int {
		return cmp.Or(cmp.Compare(a.At, b.At), bytes.Compare(a.ID[:], b.ID[:]))
	})
	return out, nil
}
