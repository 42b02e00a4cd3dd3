package store

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"path/filepath"
	"sync"
	"sync/atomic"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/assaynet/assay/challenges"
	"github.com/assaynet/assay/checker/report"
	"github.com/assaynet/assay/store/disk"
	"github.com/assaynet/assay/store/table"
)

var (
	// ErrNotFound says that there is no such database, or no such row. It is
	// [report.ErrNotFound].
	ErrNotFound = report.ErrNotFound
	// ErrExists says that a database or a row is there already.
	ErrExists = errors.New("exists already")
	// ErrFormat says that a folder holds a database of another format version, of an
	// unknown kind, or not of this program.
	ErrFormat = errors.New("another format")
	// ErrUsed says that a challenge id was used before. It is [challenges.ErrUsed].
	ErrUsed = challenges.ErrUsed
)

// Kinds of databases.
const (
	KindChecker  = table.KindChecker
	KindProvider = table.KindProvider
)

// Meta says whose database it is. It is written once, by [Create].
type Meta struct {
	Kind    string // KindChecker or KindProvider
	Network challenges.Hash
	Node    challenges.NodeID
}

// Options of a database. The zero value is one on disk that logs nothing.
type Options struct {
	FS  vfs.FS // nil: the disk
	Log *slog.Logger
}

// DB is a node's database. Its methods may be called concurrently. After Close
// they return an error that wraps [fs.ErrClosed].
type DB struct {
	pebble *pebble.DB
	lock   *pebble.Lock
	log    *slog.Logger
	meta   Meta
	at     place // where it lies

	readOnly bool

	// mu is held over every read that decides a write, and that write.
	mu sync.Mutex

	failed atomic.Pointer[failure] // the first write that failed, if one did
	stuck  atomic.Bool             // Pebble panicked with its locks held

	life   sync.RWMutex // read-held by every method, so that Close waits for them
	closed bool         // guarded by life
}

// Open opens a database that Create made. The error is [ErrNotFound] if there is
// none, and [ErrFormat] if it is of another format version; nothing is created.
// A second Open of the same folder fails, in this process or another.
func Open(dir string, o Options) (*DB, error) { return reopen(dir, o, pebble.Options{}) }

// OpenReadOnly opens a stopped node's database and changes nothing in it but the
// lock file: every method that writes fails. While a node runs on the folder it
// fails.
func OpenReadOnly(dir string, o Options) (*DB, error) {
	return reopen(dir, o, pebble.Options{ReadOnly: true})
}

func reopen(dir string, o Options, po pebble.Options) (_ *DB, err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("open store %s: %w", dir, disk.Full(dir, err))
		}
	}()
	at := o.place(dir)
	switch found, err := at.look(); {
	case err != nil:
		return nil, err
	case found == absent:
		return nil, ErrNotFound
	case found == unfinished:
		return nil, fmt.Errorf("%w: its creation did not finish", ErrNotFound)
	case found == half:
		return nil, fmt.Errorf("%w: %w", ErrNotFound, errHalf)
	}
	lock, err := at.lock()
	if err != nil {
		return nil, err
	}
	po.ErrorIfNotExists = true
	d, err := at.open(lock, o.logger(), po)
	if err != nil {
		return nil, err
	}
	if d.meta, err = d.readMeta(); err != nil {
		return nil, errors.Join(err, d.Close())
	}
	return d, nil
}

func (m Meta) check() error {
	if m.Kind != KindChecker && m.Kind != KindProvider {
		return fmt.Errorf("kind %q: want %q or %q: %w", m.Kind, KindChecker, KindProvider, ErrFormat)
	}
	return nil
}

func (d *DB) readMeta() (Meta, error) {
	var r table.MetaRow
	err := d.get(table.Meta.Key(), func(value []byte) error {
		// Another format may have another Meta: judge the version before decoding.
		if len(value) > 0 && value[0] != table.Version {
			return fmt.Errorf("%w: version %d, want %d", ErrFormat, value[0], table.Version)
		}
		return table.Decode(table.Meta.Key(), value, &r)
	})
	switch {
	case errors.Is(err, ErrNotFound):
		return Meta{}, fmt.Errorf("%w: a database of another program", ErrFormat)
	case err != nil:
		return Meta{}, err
	}
	m := Meta{Kind: r.Kind, Network: r.Network, Node: r.Node}
	return m, m.check()
}

// Meta says whose database it is.
func (d *DB) Meta() Meta { return d.meta }

// Failed is why no write is taken any more, nil while writes are. It may be called
// after Close.
func (d *DB) Failed() error {
	if f := d.failed.Load(); f != nil {
		return disk.Full(d.at.dir, f.err)
	}
	return nil
}

// Close waits for running calls and closes the database. A second Close does
// nothing.
func (d *DB) Close() error {
	d.life.Lock()
	defer d.life.Unlock()
	if d.closed {
		return nil
	}
	d.closed = true
	if d.stuck.Load() {
		// Pebble's Close would wait for ever. The files stay open, and locked, until
		// the process ends.
		return fmt.Errorf("close store: %w", d.failed.Load().err)
	}
	err := errors.Join(d.pebble.Close(), d.lock.Close())
	if failed := d.Failed(); failed != nil {
		err = errors.Join(fmt.Errorf("a write failed: %w", failed), err)
	}
	if err != nil {
		return fmt.Errorf("close store: %w", err)
	}
	return nil
}

// enter begins a method, leave ends it.
func (d *DB) enter() error {
	d.life.RLock()
	if d.closed {
		d.life.RUnlock()
		return fmt.Errorf("store: %w", fs.ErrClosed)
	}
	return nil
}

func (d *DB) leave() { d.life.RUnlock() }

func (o Options) logger() *slog.Logger {
	if o.Log == nil {
		return slog.New(slog.DiscardHandler)
	}
	return o.Log
}

func (o Options) place(dir string) place {
	if o.FS != nil {
		return place{o.FS, dir}
	}
	// Pebble knows its own locks by the folder's name: one folder, one name.
	if abs, err := filepath.Abs(dir); err == nil {
		dir = abs
	}
	return place{vfs.Default, dir}
}
