package store

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/assaynet/assay/store/disk"
)

// Backup copies the database, as it is at some instant of the call, into the
// folder dir, which must not exist: the error is [ErrExists] then. The database
// may go on writing. Unchanging files are linked where the file system allows it
// and share their blocks with the original's, so a backup guards against a lost
// disk only once it was copied to another. It is a database like any other, and
// opens as one; to run a node on it, see [Restore].
func (d *DB) Backup(dir string) error {
	if err := d.enter(); err != nil {
		return err
	}
	defer d.leave()
	if err := d.backup(dir); err != nil {
		return fmt.Errorf("back up store to %s: %w", dir, disk.Full(dir, err))
	}
	return nil
}

func (d *DB) backup(dir string) (err error) {
	if d.readOnly {
		return errors.New("the store is open for reading only")
	}
	to := place{d.at.fs, dir}
	if to.fs == vfs.Default {
		if to.dir, err = filepath.Abs(dir); err != nil {
			return err
		}
	}
	if err := to.fresh(); err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, to.fs.RemoveAll(to.dir))
		}
	}()
	// An empty record, synced: what was written without waiting is in the log then.
	b := d.pebble.NewBatch()
	if err := b.LogData(nil, nil); err != nil {
		return err
	}
	if err := d.apply(b, pebble.Sync); err != nil {
		return err
	}
	// Pebble makes its folder itself, for everybody, and it passes for a whole one
	// before the log is in it: hence a folder within ours.
	inner := to.fs.PathJoin(to.dir, "checkpoint")
	if err := d.checkpoint(inner); err != nil {
		return err
	}
	names, err := to.fs.List(inner)
	if err != nil {
		return err
	}
	for _, n := range names {
		if err := to.fs.Rename(to.fs.PathJoin(inner, n), to.fs.PathJoin(to.dir, n)); err != nil {
			return err
		}
	}
	if err := errors.Join(to.fs.RemoveAll(inner), to.sync(to.dir)); err != nil {
		return err
	}
	if err := to.verify(d.meta); err != nil {
		return fmt.Errorf("verify: %w", err)
	}
	return to.unmark(copying)
}

// checkpoint makes Pebble's, which panics where it cannot sync the folder. It has
// let go of its locks then, and the store itself is sound.
func (d *DB) checkpoint(dir string) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = cause(p)
		}
	}()
	return d.pebble.Checkpoint(dir)
}

// fresh makes a folder that must not exist, with the file copying in it.
func (p place) fresh() error {
	switch _, err := p.fs.Stat(p.dir); {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		return err
	default:
		return fmt.Errorf("%s: %w", p.dir, ErrExists)
	}
	err := p.mkdir()
	if err == nil {
		err = p.mark(copying)
	}
	if err != nil {
		return errors.Join(err, p.fs.RemoveAll(p.dir))
	}
	return nil
}

// verify opens what was copied, and looks whose it is.
func (p place) verify(want Meta) error {
	d, err := p.claim(pebble.Options{ReadOnly: true})
	if err != nil {
		return err
	}
	meta, err := d.readMeta()
	if err == nil && meta != want {
		err = errors.New("it is another node's")
	}
	return errors.Join(err, d.Close())
}

// claim opens Pebble, though the file copying is there.
func (p place) claim(o pebble.Options) (*DB, error) {
	lock, err := p.lock()
	if err != nil {
		return nil, err
	}
	o.ErrorIfNotExists = true
	return p.open(lock, Options{}.logger(), o)
}

// Restore copies a backup, or any stopped node's database, into the folder dir,
// which must not exist: the error is [ErrExists] then. The copy remembers that it
// was restored at this time: see [DB.RestoredAt].
func Restore(backup, dir string, at time.Time, o Options) error {
	if err := restore(o.place(backup), o.place(dir), at); err != nil {
		return fmt.Errorf("restore store %s to %s: %w", backup, dir, disk.Full(dir, err))
	}
	return nil
}

func restore(from, to place, at time.Time) (err error) {
	switch found, err := from.look(); {
	case err != nil:
		return err
	case found == half:
		return fmt.Errorf("%w: %w", ErrNotFound, errHalf)
	case found != complete:
		return ErrNotFound
	}
	lock, err := from.lock()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, lock.Close()) }()
	if err := to.fresh(); err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, to.fs.RemoveAll(to.dir))
		}
	}()
	names, err := from.fs.List(from.dir)
	if err != nil {
		return err
	}
	for _, n := range names {
		if !ofPebble(n) {
			continue
		}
		if err := vfs.Copy(to.fs, from.fs.PathJoin(from.dir, n), to.fs.PathJoin(to.dir, n)); err != nil {
			return err
		}
	}
	if err := to.sync(to.dir); err != nil {
		return err
	}
	d, err := to.claim(pebble.Options{})
	if err != nil {
		return err
	}
	_, err = d.readMeta()
	if err == nil {
		err = d.restored(at)
	}
	if err := errors.Join(err, d.Close()); err != nil {
		return err
	}
	return to.unmark(copying)
}
