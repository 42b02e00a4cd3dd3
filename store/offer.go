package store

import (
	"bytes"
	"fmt"

	"github.com/cockroachdb/pebble/v2"

	"github.com/assaynet/assay/challenges"
	"github.com/assaynet/assay/store/table"
)

// PutOffer keeps a provider's offer, an envelope's bytes, in place of the one
// before. It does not wait for the disk: providers send their offers again.
// Which of two offers is newer is the caller's business.
func (d *DB) PutOffer(p challenges.NodeID, offer []byte) error {
	if err := d.enter(); err != nil {
		return err
	}
	defer d.leave()
	if err := d.set(table.Offers.Key().ID(p), table.Raw(offer), pebble.NoSync); err != nil {
		return fmt.Errorf("put offer of %s: %w", p.Short(), err)
	}
	return nil
}

// Offers returns all offers, by provider.
func (d *DB) Offers() (map[challenges.NodeID][]byte, error) {
	if err := d.enter(); err != nil {
		return nil, err
	}
	defer d.leave()
	out := make(map[challenges.NodeID][]byte)
	err := d.all(table.Offers, func(k table.Key, value []byte) error {
		b, err := table.Body(k, value)
		out[k.IDAt(1)] = bytes.Clone(b)
		return err
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}
