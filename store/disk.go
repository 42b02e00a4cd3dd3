package store

import (
	"errors"
	"strings"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// diskFS stands between Pebble and the disk for two reasons.
//
// It reports what goes wrong with Pebble's log files. Pebble writes them in the
// background, and tells only a synced write of an error. Without a report,
// unsynced writes would go on into the void until Pebble changes its log, finds
// the old one broken, and dies of it without saying why.
//
// And it makes a new manifest's name durable at once. Pebble syncs the directory
// only with the marker that points to the manifest; on a file system that may
// keep the one name and lose the other, a crash between leaves a marker to
// nothing, and a store that does not open.
type diskFS struct {
	vfs.FS
	report func(error)
}

// Create implements vfs.FS.
func (w diskFS) Create(name string, c vfs.DiskWriteCategory) (vfs.File, error) {
	f, err := w.FS.Create(name, c)
	if err == nil && strings.HasPrefix(w.PathBase(name), "MANIFEST-") {
		if err := w.syncDir(w.PathDir(name)); err != nil {
			return nil, errors.Join(err, f.Close())
		}
	}
	return w.watch(name, f, err)
}

func (w diskFS) syncDir(name string) error {
	dir, err := w.OpenDir(name)
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}

// ReuseForWrite implements vfs.FS.
func (w diskFS) ReuseForWrite(from, to string, c vfs.DiskWriteCategory) (vfs.File, error) {
	f, err := w.FS.ReuseForWrite(from, to, c)
	return w.watch(to, f, err)
}

// Unwrap lets Pebble find the real file system.
func (w diskFS) Unwrap() vfs.FS { return w.FS }

func (w diskFS) watch(name string, f vfs.File, err error) (vfs.File, error) {
	if !strings.HasSuffix(name, ".log") {
		return f, err
	}
	if err != nil {
		w.report(err)
		return f, err
	}
	return walFile{f, w.report}, nil
}

type walFile struct {
	vfs.File
	report func(error)
}

func (f walFile) watch(err error) error {
	if err != nil {
		f.report(err)
	}
	return err
}

// Write implements vfs.File.
func (f walFile) Write(p []byte) (int, error) {
	n, err := f.File.Write(p)
	return n, f.watch(err)
}

// Sync implements vfs.File.
func (f walFile) Sync() error { return f.watch(f.File.Sync()) }

// SyncData implements vfs.File.
func (f walFile) SyncData() error { return f.watch(f.File.SyncData()) }

// SyncTo implements vfs.File.
func (f walFile) SyncTo(length int64) (bool, error) {
	full, err := f.File.SyncTo(length)
	return full, f.watch(err)
}
