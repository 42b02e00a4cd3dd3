package store_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"

	"github.com/assaynet/assay/challenges"
	"github.com/assaynet/assay/checker/report"
	"github.com/assaynet/assay/store"
)

func TestBackupAndRestore(t *testing.T) {
	everywhere(t, func(t *testing.T, w world) {
		d := truth(t, w)
		want := dump(t, d)
		b, r := world{w.fs, w.dir + "-backup"}, world{w.fs, w.dir + "-restored/db"}
		check(t, d.Backup(b.dir))
		wantErr(t, d.Backup(b.dir), store.ErrExists)
		wantErr(t, d.Backup(w.dir), store.ErrExists)
		if w.fs == nil {
			info := must[os.FileInfo](t)(os.Stat(b.dir))
			equal(t, info.Mode().Perm(), os.FileMode(0o700))
		}
		// The original goes on, and the backup does not.
		id, row := challenge(challenges.Matmul, 4, providerA, 77)
		check(t, d.Begin(id, row))
		sealEpoch(t, d, 4)

		wantErr(t, store.Restore(w.dir+"-nothing", r.dir, time.Unix(5, 0), w.options()), store.ErrNotFound)
		if err := store.Restore(w.dir, r.dir, time.Unix(5, 0), w.options()); err == nil || !strings.Contains(err.Error(), "is a node running") {
			t.Fatalf("restored from a running node: %v", err)
		}
		check(t, store.Restore(b.dir, r.dir, time.Unix(5, 6), w.options()))
		wantErr(t, store.Restore(b.dir, r.dir, time.Unix(5, 6), w.options()), store.ErrExists)
		for _, w := range []world{b, r} {
			d := w.open(t)
			equal(t, dump(t, d), want)
			rep := inspect(t, d, store.CheckOptions{Registry: registry()})
			equal(t, rep.Problems, []store.Problem{})
			at, ok, err := d.RestoredAt()
			check(t, err)
			equal(t, ok, w == r)
			if ok && (!at.Equal(time.Unix(5, 6)) || !rep.Restored.Equal(at)) {
				t.Errorf("restored at %v, %v", at, rep.Restored)
			}
			check(t, d.Close())
		}
		check(t, d.Close())
	})
}

// TestSilence: the epochs that a restored node passes over have records from
// before, and no observations, and that is right; other epochs are not excused.
func TestSilence(t *testing.T) {
	mem := vfs.NewMem()
	w := world{mem, "db"}
	d := truth(t, w)
	check(t, d.ClearRestored()) // does nothing
	check(t, d.Close())
	for _, n := range []string{"again", "twice"} { // restored from a restored one
		next := world{mem, n}
		check(t, store.Restore(w.dir, next.dir, time.Unix(5, 0), w.options()))
		w = next
	}
	d = w.open(t)
	// Epoch 4 has records in the backup; the node may have sealed it before.
	check(t, d.Seal(6, nil))
	clean := func(want bool) {
		t.Helper()
		if r := inspect(t, d, store.CheckOptions{Registry: registry()}); r.Clean() != want {
			t.Errorf("%+v", r.Problems)
		}
	}
	clean(true)
	check(t, d.ClearRestored())
	_, ok, err := d.RestoredAt()
	check(t, err)
	equal(t, ok, false)
	clean(true)
	check(t, d.PutSlices(7, []report.Slices{{Provider: idOf(providerA)}}))
	clean(true)
	check(t, d.Seal(7, nil))
	clean(false)
	check(t, d.Close())
}

// TestBackupOfARunningStore: every backup made while others write is whole, and
// holds what was acknowledged before it began.
func TestBackupOfARunningStore(t *testing.T) {
	everywhere(t, func(t *testing.T, w world) {
		d := w.create(t)
		var wg sync.WaitGroup
		stop := make(chan struct{})
		acked := make(chan byte, 1000)
		wg.Go(func() {
			for n := byte(1); n < 100; n++ {
				select {
				case <-stop:
					return
				default:
				}
				if err := errors.Join(d.Begin(hash(n), begun(n)), d.Finish(finished(n, 200<<10))); err != nil {
					t.Error(err)
					return
				}
				acked <- n
			}
		})
		for n := range byte(5) {
			last := <-acked
			b := world{w.fs, w.dir + "-" + string('a'+n)}
			check(t, d.Backup(b.dir))
			bd := b.open(t)
			if got := must[uint64](t)(bd.TranscriptCount()); got < uint64(last) {
				t.Errorf("backup of %d transcripts, %d were there before", got, last)
			}
			check(t, bd.Close())
		}
		close(stop)
		wg.Wait()
		check(t, d.Close())
	})
}

// elsewhere fails the nth write outside of the store's own folder.
type elsewhere struct {
	faults
	copying bool // only until the copy is opened: Pebble's own goroutines die of errors
}

func (e *elsewhere) MaybeError(op errorfs.Op) error {
	if !e.armed.Load() || op.Kind.ReadOrWrite() != errorfs.OpIsWrite || !strings.HasPrefix(op.Path, "backup") || op.Kind == errorfs.OpRemoveAll || op.Kind == errorfs.OpFileClose {
		return nil
	}
	if e.copying && strings.HasSuffix(op.Path, "LOCK") {
		e.armed.Store(false)
	}
	if n := e.count.Add(1) - 1; n != e.nth {
		return nil
	}
	e.hits.Add(1)
	return errorfs.ErrInjected
}

// TestBackupFails: whatever write of a backup or a restoring fails, no folder is
// left that passes for one, and the store goes on.
func TestBackupFails(t *testing.T) {
	mem := vfs.NewMem()
	source := world{mem, "source"}
	check(t, truth(t, source).Close())
	for _, c := range []struct {
		name string
		run  func(fs vfs.FS) error
	}{
		{"backup", func(fs vfs.FS) error {
			d := truth(t, world{fs, "db"})
			defer func() { check(t, d.Close()) }()
			err := d.Backup("backup")
			check(t, d.Begin(hash(100), begun(100)))
			return err
		}},
		{"restore", func(fs vfs.FS) error {
			d := truth(t, world{fs, "db"})
			check(t, d.Close())
			return store.Restore("db", "backup/db", time.Unix(1, 0), store.Options{FS: fs})
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			total := 0
			for n := int64(0); ; n++ {
				f := &elsewhere{copying: c.name == "restore"}
				f.nth = n
				f.armed.Store(true)
				mem := vfs.NewMem()
				err := c.run(errorfs.Wrap(mem, f))
				if f.hits.Load() == 0 {
					check(t, err)
					break
				}
				total++
				for _, dir := range []string{"backup", "backup/db"} {
					d, oerr := store.Open(dir, store.Options{FS: mem})
					if err != nil && oerr == nil {
						t.Errorf("write %d: error %v, and a database in %s", n, err, dir)
					}
					if oerr == nil {
						check(t, d.Close())
					}
				}
			}
			if total < 15 {
				t.Errorf("only %d writes", total)
			}
		})
	}
}

// TestHalfACopy: what a crash in the middle of a copy leaves opens as nothing, and
// nobody starts with nothing in it.
func TestHalfACopy(t *testing.T) {
	w := world{vfs.NewMem(), "db"}
	check(t, truth(t, w).Close())
	f := must[vfs.File](t)(w.fs.Create("db/COPYING", "test"))
	check(t, f.Close())
	_, err := store.Open(w.dir, w.options())
	wantErr(t, err, store.ErrNotFound)
	_, cerr := store.Create(w.dir, meta(), w.options())
	wantErr(t, cerr, store.ErrExists)
	rerr := store.Restore(w.dir, "other", time.Unix(1, 0), w.options())
	wantErr(t, rerr, store.ErrNotFound)
	for _, err := range []error{err, cerr, rerr} {
		if !strings.Contains(err.Error(), "did not finish: remove the folder") {
			t.Errorf("error %q gives no advice", err)
		}
	}
	check(t, w.fs.Remove("db/COPYING"))
	check(t, w.open(t).Close())
}

// TestBackupCrash: a crash at any moment of a backup leaves a whole one or none.
func TestBackupCrash(t *testing.T) {
	mem := vfs.NewCrashableMem()
	var clones []*vfs.MemFS
	var mu sync.Mutex
	on := false
	d := truth(t, world{errorfs.Wrap(mem, errorfs.InjectorFunc(func(op errorfs.Op) error {
		mu.Lock()
		defer mu.Unlock()
		if on && op.Kind.ReadOrWrite() == errorfs.OpIsWrite {
			clones = append(clones, mem.CrashClone(vfs.CrashCloneCfg{}))
		}
		return nil
	})), "db"})
	want := dump(t, d)
	mu.Lock()
	on = true
	mu.Unlock()
	check(t, d.Backup("backup"))
	clones = append(clones, mem.CrashClone(vfs.CrashCloneCfg{}))
	check(t, d.Close())
	mu.Lock()
	on = false
	mu.Unlock()
	found := 0
	for _, fs := range clones {
		d, err := store.Open("backup", store.Options{FS: fs})
		if errors.Is(err, store.ErrNotFound) {
			continue
		}
		check(t, err)
		found++
		equal(t, dump(t, d), want)
		check(t, d.Close())
	}
	if len(clones) < 15 || found == 0 {
		t.Errorf("%d crashes, %d backups", len(clones), found)
	}
}

func TestBackupOfAReader(t *testing.T) {
	w := world{nil, filepath.Join(t.TempDir(), "db")}
	check(t, w.create(t).Close())
	d, err := store.OpenReadOnly(w.dir, store.Options{})
	opened(t, d, err)
	if err := d.Backup(w.dir + "2"); err == nil || !strings.Contains(err.Error(), "for reading only") {
		t.Fatal(err)
	}
	check(t, d.Close())
	// Another program's database is not restored.
	dir := filepath.Join(t.TempDir(), "foreign")
	db := must[*pebble.DB](t)(pebble.Open(dir, &pebble.Options{Logger: quiet{}}))
	check(t, db.Close())
	wantErr(t, store.Restore(dir, dir+"2", time.Unix(1, 0), store.Options{}), store.ErrFormat)
	if _, err := os.Stat(dir + "2"); !errors.Is(err, os.ErrNotExist) {
		t.Error("a failed restoring left its folder")
	}
}
