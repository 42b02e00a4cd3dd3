package store

import (
	"encoding/hex"
	"errors"
	"fmt"
	"strings"

	"github.com/cockroachdb/pebble/v2"

	"github.com/assaynet/assay/challenges"
	"github.com/assaynet/assay/challenges/receipt"
	"github.com/assaynet/assay/store/table"
)

// CopyQuery says which copies to list.
type CopyQuery = receipt.Query

// CopyInfo is a copy in short.
type CopyInfo = receipt.Info

// ErrAmbiguous says that an id's first digits are those of several.
var ErrAmbiguous = errors.New("several begin so")

// minDigits is how many digits of an id select a copy.
const minDigits = 4

// PutCopy keeps a provider's copy of a challenge, in place of one that was kept of
// it before: the receipt may come late. It does not wait for the disk. A copy that
// does not authenticate, or is of another provider's challenge, is not kept.
func (d *DB) PutCopy(id challenges.Hash, c receipt.Copy) error {
	if err := d.enter(); err != nil {
		return err
	}
	defer d.leave()
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.putCopy(id, &c); err != nil {
		return fmt.Errorf("put copy of %v: %w", id, err)
	}
	return nil
}

func (d *DB) putCopy(id challenges.Hash, c *receipt.Copy) error {
	value, err := table.Encode(c)
	if err != nil {
		return err
	}
	f, err := c.Open(d.meta.Network)
	if err != nil {
		return err
	}
	if f.ID != id || f.Challenge.Provider != d.meta.Node {
		return fmt.Errorf("it is of challenge %v for %s", f.ID, f.Challenge.Provider.Short())
	}
	info := c.Info(f)
	index, err := table.Encode(&info)
	if err != nil {
		return err
	}
	w := d.batch()
	var old receipt.Copy
	switch err := d.load(table.Copies.Key().ID(id), &old); {
	case err == nil && old.At != c.At && strings.HasPrefix(c.Result, "refused_"):
		// A checker sent the challenge once more, and was refused before anybody looked
		// whether its id was used: the first copy is the evidence.
		return nil
	case err == nil:
		w.del(table.CopiesIndex.Key().Time(old.At).ID(id))
	case !errors.Is(err, ErrNotFound):
		return err
	}
	w.put(table.Copies.Key().ID(id), value)
	w.put(table.CopiesIndex.Key().Time(c.At).ID(id), index)
	return w.commit(pebble.NoSync)
}

// Copies lists the copies that q selects by when their challenges came, newest
// first; those of the same instant descend by id. Of a limit of 0 or less it is
// [DefaultLimit].
func (d *DB) Copies(q CopyQuery) ([]CopyInfo, error) {
	if err := d.enter(); err != nil {
		return nil, err
	}
	defer d.leave()
	limit := limitOf(q.Limit)
	var out []CopyInfo
	t := table.CopiesIndex
	err := d.scan(t.Key(), t.Key().End(), true, func(k table.Key, value []byte) error {
		if len(out) == limit {
			return errStop
		}
		var info CopyInfo
		if err := table.Decode(k, value, &info); err != nil {
			return err
		}
		if !q.Marks || info.Marked() {
			out = append(out, info)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// Copy is the copy of the challenge whose id, in hex, is id or begins so, with at
// least four digits. The error is [ErrNotFound] if there is none, or none any more,
// and [ErrAmbiguous] if there are several.
func (d *DB) Copy(id string) (challenges.Hash, receipt.Copy, error) {
	if err := d.enter(); err != nil {
		return challenges.Hash{}, receipt.Copy{}, err
	}
	defer d.leave()
	h, c, err := d.copy(strings.ToLower(id))
	if err != nil {
		return challenges.Hash{}, receipt.Copy{}, fmt.Errorf("copy of challenge %.64q: %w", id, err)
	}
	return h, c, nil
}

func (d *DB) copy(id string) (h challenges.Hash, c receipt.Copy, err error) {
	prefix, err := hex.DecodeString(id + "0"[:len(id)%2])
	if err != nil || len(id) < minDigits || len(id) > 2*len(h) {
		return h, c, fmt.Errorf("want %d to %d hex digits", minDigits, 2*len(h))
	}
	found := 0
	first := append(table.Copies.Key(), prefix[:len(id)/2]...) // an odd last digit selects below
	err = d.scan(first, first.End(), false, func(k table.Key, value []byte) error {
		if at := challenges.Hash(k.IDAt(1)); strings.HasPrefix(at.String(), id) {
			if found++; found > 1 {
				return ErrAmbiguous
			}
			h = at
			return table.Decode(k, value, &c)
		}
		return nil
	})
	if err == nil && found == 0 {
		err = ErrNotFound
	}
	return h, c, err
}
