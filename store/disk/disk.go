// Package disk is what stands between a store and its disk: a file system that
// hides a broken log from Pebble, and what there is to know of a full one.
package disk

import (
	"errors"
	"path"
	"strings"
	"sync/atomic"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// New wraps the file system of a database in the folder dir.
//
// It reports what goes wrong with Pebble's log files, and hides it from Pebble,
// which tells only a synced write of an error and dies of one, without saying
// why, when it changes its log. Once a log broke, what Pebble logs goes nowhere,
// and no new log is made: the broken one stays the last, whose torn end Pebble
// forgives when it opens the store again. Whoever gets to know of a broken log
// must acknowledge nothing any more.
//
// The folder is still synced after that, so that no manifest names a table whose
// name a crash may lose. Where syncing the folder is what fails, what Pebble
// writes of its manifest goes nowhere as well: the last one that is whole stays
// true, since nothing is removed any more.
//
// And it makes a new manifest's name durable at once. Pebble syncs the directory
// only with the marker that points to the manifest; on a file system that may
// keep the one name and lose the other, a crash between leaves a marker to
// nothing, and a store that does not open.
func New(fs vfs.FS, dir string, report func(error)) vfs.FS {
	return diskFS{fs, dir, report, &atomic.Bool{}, &atomic.Bool{}}
}

type diskFS struct {
	vfs.FS
	dir    string // the database's: a backup's log files, elsewhere, are not its own
	report func(error)
	broken *atomic.Bool
	lost   *atomic.Bool // the folder could not be synced
}

// Create implements vfs.FS.
func (w diskFS) Create(name string, c vfs.DiskWriteCategory) (vfs.File, error) {
	create := func() (vfs.File, error) { return w.FS.Create(name, c) }
	if w.isLog(name) {
		return w.log(create)
	}
	base := w.PathBase(name)
	manifest := strings.HasPrefix(base, "MANIFEST-")
	if w.PathDir(name) == w.dir && w.lost.Load() && (manifest || strings.HasPrefix(base, "marker.")) {
		return nowhere()
	}
	f, err := create()
	if err != nil || !manifest {
		return f, err
	}
	if err := w.syncDir(w.PathDir(name)); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return manifestFile{f, w}, nil
}

// nowhere is a file that nobody reads.
func nowhere() (vfs.File, error) {
	return vfs.NewMem().Create("nowhere", vfs.WriteCategoryUnspecified)
}

func (w diskFS) syncDir(name string) error {
	dir, err := w.FS.OpenDir(name)
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}

// OpenDir implements vfs.FS. Pebble syncs the folder when it changes its log, and
// dies of an error there as well.
func (w diskFS) OpenDir(name string) (vfs.File, error) {
	f, err := w.FS.OpenDir(name)
	if err != nil || name != w.dir {
		return f, err
	}
	return dirFile{f, w}, nil
}

// Remove implements vfs.FS. Once something is broken nothing is removed: what
// Pebble believes to have replaced it may not be on the disk. Opening the store
// again clears up.
func (w diskFS) Remove(name string) error {
	if w.broken.Load() && w.PathDir(name) == w.dir {
		return nil
	}
	return w.FS.Remove(name)
}

type dirFile struct {
	vfs.File
	fs diskFS
}

// Sync implements vfs.File.
func (f dirFile) Sync() error {
	if f.fs.lost.Load() {
		return nil
	}
	if err := f.File.Sync(); err != nil {
		f.fs.lost.Store(true)
		f.fs.fail(err)
	}
	return nil
}

// manifestFile is written as long as the folder can be synced.
type manifestFile struct {
	vfs.File
	fs diskFS
}

// Write implements vfs.File.
func (f manifestFile) Write(p []byte) (int, error) {
	if f.fs.lost.Load() {
		return len(p), nil
	}
	return f.File.Write(p)
}

// ReuseForWrite implements vfs.FS.
func (w diskFS) ReuseForWrite(from, to string, c vfs.DiskWriteCategory) (vfs.File, error) {
	reuse := func() (vfs.File, error) { return w.FS.ReuseForWrite(from, to, c) }
	if w.isLog(to) {
		return w.log(reuse)
	}
	return reuse()
}

// Unwrap lets Pebble find the real file system.
func (w diskFS) Unwrap() vfs.FS { return w.FS }

func (w diskFS) isLog(name string) bool {
	return path.Ext(name) == ".log" && w.PathDir(name) == w.dir
}

// log opens a log file. Of a broken log there is no next one.
func (w diskFS) log(open func() (vfs.File, error)) (vfs.File, error) {
	if !w.broken.Load() {
		f, err := open()
		if err == nil {
			return walFile{f, w}, nil
		}
		w.fail(err)
	}
	f, err := nowhere()
	return walFile{f, w}, err
}

// fail takes the first error, and all that follow from it.
func (w diskFS) fail(err error) {
	if !w.broken.Swap(true) {
		w.report(err)
	}
}

type walFile struct {
	vfs.File
	fs diskFS
}

// try does what is to be done with an unbroken log.
func (f walFile) try(do func() error) error {
	if f.fs.broken.Load() {
		return nil
	}
	if err := do(); err != nil {
		f.fs.fail(err)
	}
	return nil
}

// Write implements vfs.File.
func (f walFile) Write(p []byte) (int, error) {
	return len(p), f.try(func() error { _, err := f.File.Write(p); return err })
}

// Preallocate implements vfs.File.
func (f walFile) Preallocate(offset, length int64) error {
	return f.try(func() error { return f.File.Preallocate(offset, length) })
}

// Sync implements vfs.File.
func (f walFile) Sync() error { return f.try(f.File.Sync) }

// SyncData implements vfs.File.
func (f walFile) SyncData() error { return f.try(f.File.SyncData) }

// SyncTo implements vfs.File.
func (f walFile) SyncTo(length int64) (full bool, err error) {
	err = f.try(func() error { full, err = f.File.SyncTo(length); return err })
	return full, err
}

// Close implements vfs.File.
func (f walFile) Close() error {
	err := f.File.Close()
	return f.try(func() error { return err })
}
