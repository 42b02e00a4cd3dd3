package store

import (
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"strings"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/bloom"

	"github.com/assaynet/assay/store/disk"
	"github.com/assaynet/assay/store/table"
)

// open opens Pebble with what extra says. It takes the lock over.
func (p place) open(lock *pebble.Lock, log *slog.Logger, extra pebble.Options) (*DB, error) {
	d := &DB{lock: lock, log: log, at: p, readOnly: extra.ReadOnly}
	o := extra
	o.FS, o.Lock = disk.New(p.fs, p.dir, d.broken), lock
	// Several nodes share a process in the devnet: keep each small.
	o.CacheSize = 8 << 20
	o.MemTableSize = 4 << 20
	o.MaxOpenFiles = 256
	// On a full disk nothing is flushed, and a writer that waits for a flush waits
	// for ever. Let writes queue for longer than it takes to notice: see background.
	o.MemTableStopWritesThreshold = 16
	o.L0StopWritesThreshold = 64
	o.Experimental.FileCacheShards = 1
	o.FormatMajorVersion = pebble.FormatTableFormatV6
	// Begin and Use look for ids that are almost never there.
	for i := range o.Levels {
		o.Levels[i].FilterPolicy = bloom.FilterPolicy(10)
	}
	o.Logger = pebbleLog{log}
	o.EventListener = &pebble.EventListener{
		// Pebble's default ends the process, even where the reader gets an error.
		BackgroundError: d.background,
		DataCorruption: func(i pebble.DataCorruptionInfo) {
			log.Error("store: data corruption", "path", i.Path, "err", i.Details)
		},
	}
	var err error
	if !d.readOnly {
		err = disk.Room(p.fs, p.dir)
	}
	if err != nil {
		return nil, errors.Join(err, lock.Close())
	}
	if d.pebble, err = pebble.Open(p.dir, &o); err != nil {
		return nil, errors.Join(err, lock.Close())
	}
	return d, nil
}

// broken notes that a log file is.
func (d *DB) broken(err error) {
	d.log.Error("store: write of the log failed", "err", disk.Full(d.at.dir, err))
	d.failed.CompareAndSwap(nil, &failure{err: err})
}

// background takes the error of a flush or a compaction, which Pebble repeats
// until it succeeds. Nothing is lost while it does not: the log has it. But on a
// full disk no write is taken any more, so that memory does not fill as well.
func (d *DB) background(err error) {
	if !disk.IsFull(err) || d.failed.CompareAndSwap(nil, &failure{err: err}) {
		d.log.Error("store: flush or compaction failed", "err", disk.Full(d.at.dir, err))
	}
	if disk.IsFull(err) {
		time.Sleep(20 * time.Millisecond) // Pebble repeats it at once
	}
}

// pebbleLog sends Pebble's log to ours.
type pebbleLog struct{ log *slog.Logger }

func (l pebbleLog) Infof(format string, args ...any) {
	l.log.Debug("store: " + fmt.Sprintf(format, args...))
}

func (l pebbleLog) Errorf(format string, args ...any) {
	l.log.Error("store: " + fmt.Sprintf(format, args...))
}

// Fatalf must not return. In a commit the panic becomes that commit's error; in
// Pebble's own goroutines it ends the process, with the reason in sight.
func (l pebbleLog) Fatalf(format string, args ...any) {
	msg := fatal(fmt.Sprintf(format, args...))
	l.log.Error("store: fatal: " + string(msg))
	panic(msg)
}

type fatal string

func (f fatal) Error() string { return string(f) }

// failure is why no write can succeed any more.
type failure struct{ err error }

// apply commits a batch. Once one fails in Pebble, all fail: see the package's
// doc.
func (d *DB) apply(b *pebble.Batch, o *pebble.WriteOptions) (err error) {
	defer func() { err = disk.Full(d.at.dir, err) }()
	if f := d.failed.Load(); f != nil {
		return fmt.Errorf("an earlier write failed: %w", f.err)
	}
	defer func() {
		p := recover()
		if p == nil {
			return
		}
		cause := cause(p)
		err = fmt.Errorf("write: %w", cause)
		if f := d.failed.Load(); f != nil {
			err = fmt.Errorf("%w: %w", err, f.err) // the cause is only text
		}
		d.failed.CompareAndSwap(nil, &failure{err: err})
		// This Fatalf comes when Pebble has let go of its locks; its other panics, such
		// as that of a log that broke a moment ago, come before.
		if !strings.HasPrefix(cause.Error(), "pebble: fatal commit error") {
			d.stuck.Store(true)
		}
	}()
	if err := d.pebble.Apply(b, o); err != nil {
		return fmt.Errorf("write: %w", err)
	}
	// Pebble does not know of a broken log.
	if f := d.failed.Load(); f != nil {
		return fmt.Errorf("write: %w", f.err)
	}
	return b.Close()
}

// cause is what Pebble panicked for. A bug, here or there, panics on.
func cause(p any) error {
	err, ok := p.(error)
	if _, bug := p.(runtime.Error); bug || !ok {
		panic(p)
	}
	return err
}

// batch collects rows that are written together or not at all.
type batch struct {
	d *DB
	b *pebble.Batch
}

func (d *DB) batch() batch { return batch{d, d.pebble.NewBatch()} }

// Set and Delete of a batch never fail: they only append to it.
func (w batch) put(k table.Key, value []byte) { _ = w.b.Set(k, value, nil) }
func (w batch) del(k table.Key)               { _ = w.b.Delete(k, nil) }

func (w batch) commit(o *pebble.WriteOptions) error { return w.d.apply(w.b, o) }

// set commits one row.
func (d *DB) set(k table.Key, value []byte, o *pebble.WriteOptions) error {
	w := d.batch()
	w.put(k, value)
	return w.commit(o)
}
