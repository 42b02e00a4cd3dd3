package store

import (
	"errors"
	"fmt"
	"math"

	"github.com/cockroachdb/pebble/v2"

	"github.com/assaynet/assay/challenges"
	"github.com/assaynet/assay/checker/reputation"
	"github.com/assaynet/assay/store/table"
)

// Seal ends an epoch: its observations, the standings that they lead to and the
// mark that says so are one batch, on the disk when Seal returns. Epochs between
// the last sealed one and this count as sealed too, without observations. The
// error is [ErrExists] if the epoch is sealed already.
func (d *DB) Seal(epoch uint64, s []reputation.Sealed) error {
	if err := d.enter(); err != nil {
		return err
	}
	defer d.leave()
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.seal(epoch, s); err != nil {
		return fmt.Errorf("seal epoch %d: %w", epoch, err)
	}
	return nil
}

func (d *DB) seal(epoch uint64, s []reputation.Sealed) error {
	switch next, err := d.sealed(); {
	case err != nil:
		return err
	case epoch < next:
		return ErrExists
	case epoch == math.MaxUint64:
		return errors.New("no epoch comes after it")
	}
	w := d.batch()
	seen := make(map[challenges.NodeID]bool, len(s))
	for i := range s {
		p := s[i].Provider
		if s[i].Epoch != epoch || s[i].Standing.Provider != p || seen[p] {
			return fmt.Errorf("provider %s: of another epoch, with another's standing, or twice", p.Short())
		}
		seen[p] = true
		observation, err := table.Encode(&s[i].Observation)
		if err != nil {
			return err
		}
		standing, err := table.Encode(&s[i].Standing)
		if err != nil {
			return err
		}
		w.put(table.Observations.Key().Epoch(epoch).ID(p), observation)
		w.put(table.Standings.Key().ID(p), standing)
	}
	w.put(table.Sealed.Key(), table.Raw(challenges.Marshal(&table.SealedRow{Next: epoch + 1})))
	return w.commit(pebble.Sync)
}

// SealedEpoch is the first epoch that is not sealed, 0 in a new store.
func (d *DB) SealedEpoch() (next uint64, err error) {
	if err := d.enter(); err != nil {
		return 0, err
	}
	defer d.leave()
	return d.sealed()
}

func (d *DB) sealed() (uint64, error) {
	var r table.SealedRow
	err := d.load(table.Sealed.Key(), &r)
	if errors.Is(err, ErrNotFound) {
		return 0, nil
	}
	return r.Next, err
}

// Observations lists the own observations of epochs from on, ascending by epoch
// and provider, at most limit of them; of 0 or less, [DefaultLimit]. Their
// signatures are not verified again.
func (d *DB) Observations(from uint64, limit int) ([]challenges.Envelope, error) {
	if err := d.enter(); err != nil {
		return nil, err
	}
	defer d.leave()
	t := table.Observations
	return d.envelopes(t.Key().Epoch(from), t.Key().End(), limitOf(limit))
}

// EpochObservations lists all own observations of one epoch, ascending by
// provider.
func (d *DB) EpochObservations(epoch uint64) ([]challenges.Envelope, error) {
	if err := d.enter(); err != nil {
		return nil, err
	}
	defer d.leave()
	first := table.Observations.Key().Epoch(epoch)
	return d.envelopes(first, first.End(), math.MaxInt)
}

func (d *DB) envelopes(first, last table.Key, limit int) ([]challenges.Envelope, error) {
	var out []challenges.Envelope
	err := d.scan(first, last, false, func(k table.Key, value []byte) error {
		if len(out) == limit {
			return errStop
		}
		var e challenges.Envelope
		err := table.Decode(k, value, &e)
		out = append(out, e)
		return err
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// Standing is what is remembered of a provider. The error is [ErrNotFound] if no
// epoch with it was sealed.
func (d *DB) Standing(p challenges.NodeID) (reputation.Standing, error) {
	if err := d.enter(); err != nil {
		return reputation.Standing{}, err
	}
	defer d.leave()
	var s reputation.Standing
	if err := d.load(table.Standings.Key().ID(p), &s); err != nil {
		return reputation.Standing{}, fmt.Errorf("standing of %s: %w", p.Short(), err)
	}
	return s, nil
}

// Standings lists all standings, ascending by provider.
func (d *DB) Standings() ([]reputation.Standing, error) {
	if err := d.enter(); err != nil {
		return nil, err
	}
	defer d.leave()
	var out []reputation.Standing
	err := d.all(table.Standings, func(k table.Key, value []byte) error {
		var s reputation.Standing
		err := table.Decode(k, value, &s)
		out = append(out, s)
		return err
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}
