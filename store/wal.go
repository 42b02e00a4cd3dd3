package store

import (
	"strings"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// walFS reports what goes wrong with Pebble's log files. Pebble writes them in
// the background, and tells only a synced write of an error. Without a report,
// unsynced writes would go on into the void until Pebble changes its log, finds
// the old one broken, and dies of it without saying why.
type walFS struct {
	vfs.FS
	report func(error)
}

// Create implements vfs.FS.
func (w walFS) Create(name string, c vfs.DiskWriteCategory) (vfs.File, error) {
	f, err := w.FS.Create(name, c)
	return w.watch(name, f, err)
}

// ReuseForWrite implements vfs.FS.
func (w walFS) ReuseForWrite(from, to string, c vfs.DiskWriteCategory) (vfs.File, error) {
	f, err := w.FS.ReuseForWrite(from, to, c)
	return w.watch(to, f, err)
}

// Unwrap lets Pebble find the real file system.
func (w walFS) Unwrap() vfs.FS { return w.FS }

func (w walFS) watch(name string, f vfs.File, err error) (vfs.File, error) {
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
