package store_test

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"math/rand/v2"
	"os"
	"strings"
	"sync"
	"testing"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
	"lukechampine.com/blake3"

	"github.com/assaynet/assay/challenges"
	"github.com/assaynet/assay/checker/report"
	"github.com/assaynet/assay/store"
	"github.com/assaynet/assay/store/table"
)

// format is what each value begins with.
const format = table.Version

func blake(b []byte) [32]byte { return blake3.Sum256(b) }

func TestOpening(t *testing.T) {
	everywhere(t, func(t *testing.T, w world) {
		_, err := store.Open(w.dir, w.options())
		wantErr(t, err, store.ErrNotFound)
		_, err = store.OpenReadOnly(w.dir, w.options())
		wantErr(t, err, store.ErrNotFound)
		if w.fs == nil {
			if _, err := os.Stat(w.dir); !errors.Is(err, fs.ErrNotExist) {
				t.Fatalf("Open made the folder: %v", err)
			}
		}
		_, err = store.Create(w.dir, store.Meta{Kind: "prover"}, w.options())
		wantErr(t, err, store.ErrFormat)

		d := w.create(t)
		equal(t, d.Meta(), meta())
		check(t, d.Begin(hash(1), begun(1)))
		_, err = store.Create(w.dir, meta(), w.options())
		wantErr(t, err, store.ErrExists)
		for name, open := range map[string]func(string, store.Options) (*store.DB, error){
			"Open": store.Open, "OpenReadOnly": store.OpenReadOnly,
		} {
			if _, err := open(w.dir, w.options()); err == nil || !strings.Contains(err.Error(), "is a node running") {
				t.Fatalf("%s next to a running node: %v", name, err)
			}
		}
		want := dump(t, d)
		check(t, d.Close())
		check(t, d.Close())
		wantErr(t, d.Begin(hash(2), begun(2)), fs.ErrClosed)
		_, err = d.Pending()
		wantErr(t, err, fs.ErrClosed)
		_, err = store.Create(w.dir, meta(), w.options())
		wantErr(t, err, store.ErrExists)

		d, err = store.OpenReadOnly(w.dir, w.options())
		opened(t, d, err)
		equal(t, dump(t, d), want)
		if err := d.Begin(hash(2), begun(2)); err == nil {
			t.Fatal("a read-only store was written to")
		}
		check(t, d.Close())

		d = w.open(t)
		equal(t, d.Meta(), meta())
		equal(t, dump(t, d), want)
		check(t, d.Close())
		if w.fs == nil {
			info, err := os.Stat(w.dir)
			check(t, err)
			if info.Mode().Perm() != 0o700 {
				t.Errorf("folder has mode %v: secrets lie in it", info.Mode())
			}
		}
	})
}

// TestUnfinished: what a crash in Create leaves is no database, and makes room
// for one, but the user's files stay.
func TestUnfinished(t *testing.T) {
	everywhere(t, func(t *testing.T, w world) {
		d := w.create(t)
		check(t, d.Begin(hash(1), begun(1)))
		check(t, d.Close())
		fs := w.fs
		if fs == nil {
			fs = vfs.Default
		}
		for _, name := range []string{"CREATING", "key"} {
			f := must[vfs.File](t)(fs.Create(fs.PathJoin(w.dir, name), "test"))
			check(t, f.Close())
		}
		for _, open := range []func(string, store.Options) (*store.DB, error){store.Open, store.OpenReadOnly} {
			_, err := open(w.dir, w.options())
			wantErr(t, err, store.ErrNotFound)
		}
		d = w.create(t)
		equal(t, len(must[[]report.Pending](t)(d.Pending())), 0)
		check(t, d.Close())
		check(t, w.open(t).Close())
		_, err := fs.Stat(fs.PathJoin(w.dir, "key"))
		check(t, err)
	})
}

// tamper changes rows behind the store's back.
func tamper(t *testing.T, fs vfs.FS, change func(db *pebble.DB) error) {
	t.Helper()
	db, err := pebble.Open("db", &pebble.Options{FS: fs, FormatMajorVersion: pebble.FormatTableFormatV6, Logger: quiet{}})
	check(t, err)
	check(t, change(db))
	check(t, db.Close())
}

type quiet struct{}

func (quiet) Infof(string, ...any)  {}
func (quiet) Errorf(string, ...any) {}
func (quiet) Fatalf(f string, a ...any) {
	panic(fmt.Sprintf(f, a...))
}

func TestFormat(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(db *pebble.DB) error
	}{
		{"version", func(db *pebble.DB) error { return db.Set([]byte{1}, []byte{format - 1, 0x80}, nil) }},
		{"kind", func(db *pebble.DB) error {
			v := append([]byte{format, 0x83, 0x61, 'x', 0x58, 32}, make([]byte, 32)...)
			return db.Set([]byte{1}, append(append(v, 0x58, 32), make([]byte, 32)...), nil)
		}},
		{"foreign", func(db *pebble.DB) error {
			return errors.Join(db.Delete([]byte{1}, nil), db.Set([]byte("users/1"), nil, nil))
		}},
		{"empty", func(db *pebble.DB) error { return db.Delete([]byte{1}, nil) }},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := world{vfs.NewMem(), "db"}
			check(t, w.create(t).Close())
			tamper(t, w.fs, c.change)
			_, err := store.Open(w.dir, w.options())
			wantErr(t, err, store.ErrFormat)
			_, err = store.OpenReadOnly(w.dir, w.options())
			wantErr(t, err, store.ErrFormat)
			_, err = store.Create(w.dir, meta(), w.options())
			wantErr(t, err, store.ErrExists)
		})
	}
}

func TestCorrupt(t *testing.T) {
	id := hash(1)
	h := finished(2, 10).Info.Hash
	for _, c := range []struct {
		table string
		key   string // hex, a prefix of the row's
		read  func(d *store.DB) error
	}{
		{"begun", "02" + id.String(), func(d *store.DB) error { _, err := d.Pending(); return err }},
		{"ended", "03", func(d *store.DB) error { return d.Finish(finished(2, 10)) }},
		{"abandoned", "04", func(d *store.DB) error { _, err := d.Abandoned(); return err }},
		{"transcripts", "05", func(d *store.DB) error { _, err := d.Transcript(h); return err }},
		{"index", "06", func(d *store.DB) error { _, err := d.Transcripts(report.Query{}); return err }},
		{"slices", "07", func(d *store.DB) error { _, err := d.EpochRecords(3); return err }},
		{"items", "08", func(d *store.DB) error { _, err := d.EpochRecords(3); return err }},
		{"observations", "09", func(d *store.DB) error { _, err := d.Observations(0, 0); return err }},
		{"standings", "0a", func(d *store.DB) error { _, err := d.Standings(); return err }},
		{"sealed", "0b", func(d *store.DB) error { _, err := d.Unsealed(); return err }},
		{"offers", "0c", func(d *store.DB) error { _, err := d.Offers(); return err }},
		{"uses", "0d", func(d *store.DB) error { _, err := d.Uses(0); return err }},
		{"uses-index", "0e", func(d *store.DB) error { _, err := d.Uses(0); return err }},
		{"boot", "0f", func(d *store.DB) error { _, err := d.NextBoot(); return err }},
	} {
		for _, bad := range []struct {
			name  string
			value []byte
		}{
			{"empty", nil}, {"other version", []byte{9, 0x80}}, {"not CBOR", []byte{format, 0xff}},
		} {
			if bad.name == "not CBOR" && strings.Contains("transcripts offers uses-index", c.table) {
				continue // envelopes are opened by their reader
			}
			t.Run(c.table+"/"+bad.name, func(t *testing.T) {
				w := world{vfs.NewMem(), "db"}
				d := w.create(t)
				live(t, d)
				check(t, d.Close())
				var hit string
				tamper(t, w.fs, func(db *pebble.DB) error {
					prefix, err := hex.DecodeString(c.key)
					check(t, err)
					it, err := db.NewIter(&pebble.IterOptions{LowerBound: prefix})
					check(t, err)
					it.First()
					hit = hex.EncodeToString(it.Key())
					return errors.Join(db.Set(it.Key(), bad.value, nil), it.Close())
				})
				if !strings.HasPrefix(hit, c.key) {
					t.Fatalf("no row under %s", c.key)
				}
				err := c.read(w.open(t))
				if err == nil || !strings.Contains(err.Error(), "table "+c.table+", key "+hit) {
					t.Fatalf("error %v, want one that names table %s and key %s", err, c.table, hit)
				}
			})
		}
	}
}

// live puts a row into every table.
func live(t *testing.T, d *store.DB) {
	for _, s := range life(1000) {
		check(t, s.do(d))
	}
	_, err := d.NextBoot()
	check(t, err)
}

// TestDamagedFile: a damaged file is an error to the reader and an error in the
// log, and not the end of the process.
func TestDamagedFile(t *testing.T) {
	w := world{vfs.NewMem(), "db"}
	d := w.create(t)
	var f report.Finished // the last: the first shares a block with everything else
	for n := range byte(3) {
		f = finished(n, 0)
		f.Transcript = make([]byte, 8<<10)
		_, _ = rand.NewChaCha8([32]byte{n}).Read(f.Transcript)
		check(t, d.Finish(f))
	}
	check(t, d.Close())
	d = w.open(t) // replays its log into a table
	check(t, d.Close())
	names := must[[]string](t)(w.fs.List(w.dir))
	for _, n := range names {
		if strings.HasSuffix(n, ".sst") {
			f := must[vfs.File](t)(w.fs.OpenReadWrite(w.fs.PathJoin(w.dir, n), "test"))
			_, err := f.WriteAt([]byte("damaged"), 20<<10)
			check(t, errors.Join(err, f.Close()))
		}
	}
	var log record
	d, err := store.Open(w.dir, store.Options{FS: w.fs, Log: slog.New(&log)})
	opened(t, d, err)
	if _, err := d.Transcript(f.Info.Hash); err == nil || errors.Is(err, store.ErrNotFound) {
		t.Fatalf("a damaged table read as: %v", err)
	}
	if !log.has(slog.LevelError, "data corruption") {
		t.Error("nothing in the log")
	}
}

// record is a log that remembers.
type record struct {
	mu   sync.Mutex
	rows []slog.Record
}

func (r *record) Enabled(context.Context, slog.Level) bool { return true }
func (r *record) WithAttrs([]slog.Attr) slog.Handler       { return r }
func (r *record) WithGroup(string) slog.Handler            { return r }

func (r *record) Handle(_ context.Context, row slog.Record) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.rows = append(r.rows, row)
	return nil
}

func (r *record) has(level slog.Level, text string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, row := range r.rows {
		if row.Level == level && strings.Contains(row.Message, text) {
			return true
		}
	}
	return false
}

func TestUnreadableIsRefused(t *testing.T) {
	d := world{vfs.NewMem(), "db"}.create(t)
	before := dump(t, d)
	b := begun(1)
	b.Device = "\xff"
	wantErr(t, d.Begin(hash(1), b), challenges.ErrEncoding)
	f := finished(1, 10)
	f.Item.Reason = "\xff"
	wantErr(t, d.Finish(f), challenges.ErrEncoding)
	f = finished(1, 10)
	f.Item.Transcript = hash(9)
	if d.Finish(f) == nil {
		t.Fatal("an item of another transcript was taken")
	}
	f = finished(1, challenges.MaxEnvelope+1)
	if d.Finish(f) == nil {
		t.Fatal("a transcript over the limit was taken")
	}
	wantErr(t, d.Use(hash(1), challenges.Use{Device: "\xff"}), challenges.ErrEncoding)
	equal(t, dump(t, d), before)
}
