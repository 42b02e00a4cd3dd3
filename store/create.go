package store

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"path"
	"slices"
	"strings"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/assaynet/assay/store/disk"
	"github.com/assaynet/assay/store/table"
)

// creating is a file that lies in a folder from before Pebble's first file in it
// until Create is done. A crash in between can leave a database that Pebble
// itself can no longer open; with this file there, nothing in it is of worth.
const creating = "CREATING"

// copying is the same of a backup, or a restored database, that is not whole. Create
// does not start over there: whoever restores does not want to start with nothing.
const copying = "COPYING"

// Create makes a database for a node in the folder dir, which may exist. The
// error is [ErrExists] if a database is there already, whoever's. What a crash in
// Create left behind counts as none: the next Create starts over.
func Create(dir string, meta Meta, o Options) (*DB, error) {
	err := meta.check()
	var d *DB
	if err == nil {
		d, err = o.place(dir).create(meta, o.logger())
	}
	if err != nil {
		return nil, fmt.Errorf("create store %s: %w", dir, disk.Full(dir, err))
	}
	return d, nil
}

func (p place) create(meta Meta, log *slog.Logger) (*DB, error) {
	value, err := table.Encode(&table.MetaRow{Kind: meta.Kind, Network: meta.Network, Node: meta.Node})
	if err != nil {
		return nil, err
	}
	// Look first, so that a running node's folder is ErrExists too; and look again
	// with the lock, for another Create may have won.
	switch found, err := p.look(); {
	case err != nil:
		return nil, err
	case found == half:
		return nil, fmt.Errorf("%w, in part: %w", ErrExists, errHalf)
	case found == complete:
		return nil, ErrExists
	}
	if err := p.mkdir(); err != nil {
		return nil, err
	}
	lock, err := p.lock()
	if err != nil {
		return nil, err
	}
	if err := p.prepare(); err != nil {
		return nil, errors.Join(err, lock.Close())
	}
	d, err := p.open(lock, log, pebble.Options{ErrorIfExists: true})
	if err != nil {
		return nil, err
	}
	if err := errors.Join(d.set(table.Meta.Key(), value, pebble.Sync), p.sync(p.dir)); err != nil {
		return nil, errors.Join(err, d.Close())
	}
	if err := p.unmark(creating); err != nil {
		return nil, errors.Join(err, d.Close())
	}
	d.meta = meta
	return d, nil
}

// prepare puts the file creating down, and removes what lay beside an older one.
func (p place) prepare() error {
	found, err := p.look()
	switch {
	case err != nil:
		return err
	case found == complete, found == half:
		return ErrExists
	case found == unfinished:
		return p.wipe()
	}
	return p.mark(creating)
}

// mark puts the file creating, or copying, down.
func (p place) mark(name string) error {
	f, err := p.fs.Create(p.fs.PathJoin(p.dir, name), vfs.WriteCategoryUnspecified)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close(), p.sync(p.dir))
}

// unmark removes it: from here on there is a database.
func (p place) unmark(name string) error {
	return errors.Join(p.fs.Remove(p.fs.PathJoin(p.dir, name)), p.sync(p.dir))
}

// wipe removes Pebble's files, and no others.
func (p place) wipe() error {
	names, err := p.fs.List(p.dir)
	if err != nil {
		return err
	}
	for _, n := range names {
		if ofPebble(n) {
			if err := p.fs.Remove(p.fs.PathJoin(p.dir, n)); err != nil {
				return err
			}
		}
	}
	return p.sync(p.dir)
}

// ofPebble says by its name whether a file is Pebble's, its lock aside.
func ofPebble(name string) bool {
	for _, p := range []string{"MANIFEST-", "OPTIONS-", "marker."} {
		if strings.HasPrefix(name, p) {
			return true
		}
	}
	return slices.Contains([]string{".log", ".sst", ".blob", ".dbtmp"}, path.Ext(name))
}

var errHalf = errors.New("a copy that did not finish: remove the folder, and copy again")

// place is a folder of a file system.
type place struct {
	fs  vfs.FS
	dir string
}

// found is what lies in a folder.
type found int

const (
	absent found = iota
	unfinished
	half // a copy
	complete
)

func (p place) look() (found, error) {
	names, err := p.fs.List(p.dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return absent, nil
	case err != nil:
		return 0, err
	}
	if slices.Contains(names, creating) {
		return unfinished, nil
	}
	if slices.Contains(names, copying) {
		return half, nil
	}
	desc, err := pebble.Peek(p.dir, p.fs)
	if err != nil || !desc.Exists {
		return absent, err
	}
	return complete, nil
}

// lock keeps other processes, and other databases of this one, out.
func (p place) lock() (*pebble.Lock, error) {
	lock, err := pebble.LockDirectory(p.dir, p.fs)
	if err != nil {
		return nil, fmt.Errorf("lock (is a node running on it?): %w", err)
	}
	return lock, nil
}

func (p place) sync(dir string) error {
	f, err := p.fs.OpenDir(dir)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

// mkdir creates the folder, for its owner only, since secrets of running
// challenges lie in it, and syncs every folder that got a new entry.
func (p place) mkdir() error {
	var parents []string
	for d := p.dir; ; d = p.fs.PathDir(d) {
		if _, err := p.fs.Stat(d); err == nil {
			break
		} else if !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		if p.fs.PathDir(d) == d {
			break
		}
		parents = append(parents, p.fs.PathDir(d))
	}
	if err := p.fs.MkdirAll(p.dir, 0o700); err != nil {
		return err
	}
	for _, d := range parents {
		if err := p.sync(d); err != nil {
			return err
		}
	}
	return nil
}
