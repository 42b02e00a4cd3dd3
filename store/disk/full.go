package disk

import (
	"errors"
	"fmt"
	"path"
	"syscall"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// IsFull says whether an error is that of a disk or a quota that is used up.
func IsFull(err error) bool {
	return errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT)
}

// Full says of such an error plainly what it is, and where; others it returns.
func Full(dir string, err error) error {
	if IsFull(err) {
		return fmt.Errorf("disk full: %s: %w", dir, err)
	}
	return err
}

// slack is what opening writes besides the log's contents, with much to spare.
const slack = 256 << 10

// Room fails on a disk that is too full for opening a database. Opening writes what
// the log holds into tables, and Pebble would wait for that until there is room. So
// as much is written before, and removed again.
func Room(fs vfs.FS, dir string) error {
	names, err := fs.List(dir)
	if err != nil {
		return err
	}
	need := int64(slack)
	for _, n := range names {
		if path.Ext(n) == ".log" {
			info, err := fs.Stat(fs.PathJoin(dir, n))
			if err != nil {
				return err
			}
			need += info.Size()
		}
	}
	if need == slack {
		return nil
	}
	name := fs.PathJoin(dir, "room.dbtmp")
	f, err := fs.Create(name, vfs.WriteCategoryUnspecified)
	if err != nil {
		return err
	}
	chunk := make([]byte, 64<<10)
	for ; need > 0 && err == nil; need -= int64(len(chunk)) {
		_, err = f.Write(chunk)
	}
	if err == nil {
		err = f.Sync() // some file systems find out late
	}
	return errors.Join(err, f.Close(), fs.Remove(name))
}
