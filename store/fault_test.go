package store_test

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"

	"github.com/assaynet/assay/checker/report"
	"github.com/assaynet/assay/store"
)

// faults fails one write or sync of Pebble's log, or all from one on.
type faults struct {
	armed atomic.Bool
	count atomic.Int64
	nth   int64
	once  bool
	hits  atomic.Int64
}

func (f *faults) MaybeError(op errorfs.Op) error {
	if !f.armed.Load() || op.Kind.ReadOrWrite() != errorfs.OpIsWrite || !strings.HasSuffix(op.Path, ".log") || op.Kind == errorfs.OpFileClose {
		return nil
	}
	n := f.count.Add(1) - 1
	if n < f.nth || (f.once && n > f.nth) {
		return nil
	}
	f.hits.Add(1)
	return fmt.Errorf("%w: %d", errorfs.ErrInjected, n)
}

func (f *faults) String() string { return "faults" }

// TestWriteErrors fails every write of every synced step in turn.
func TestWriteErrors(t *testing.T) {
	steps, states := life(1000), states(t, 1000)
	total := 0
	for i, s := range steps {
		if !s.synced {
			continue
		}
		for _, once := range []bool{true, false} {
			if once && testing.Short() {
				continue
			}
			for n := int64(0); ; n++ {
				f := &faults{nth: n, once: once}
				if !fault(t, f, steps[:i], s, states[i:i+2]) {
					break
				}
				total++
			}
		}
	}
	if total < 9*2 {
		t.Errorf("only %d faults: 9 steps have at least a write and a sync each", total)
	}
	t.Logf("%d faults", total)
}

// fault lives the life before the step, fails in it, and looks at what is left.
// It reports whether the step had an nth write.
func fault(t *testing.T, f *faults, before []step, s step, states []string) bool {
	t.Helper()
	mem := vfs.NewCrashableMem()
	d := world{errorfs.Wrap(mem, f), "db"}.create(t)
	for _, b := range before {
		check(t, b.do(d))
	}
	_, err := d.NextBoot() // syncs the step before
	check(t, err)
	f.armed.Store(true)
	err = s.do(d)
	hit := f.hits.Load() > 0
	if err == nil && hit && f.once && f.nth == 0 {
		t.Errorf("%s: no error from a failed first write", s.name)
	}
	least := 0
	if err == nil {
		least = 1
	} else {
		if !errors.Is(err, errorfs.ErrInjected) && !strings.Contains(err.Error(), errorfs.ErrInjected.Error()) {
			t.Fatalf("%s: error %v does not name its cause", s.name, err)
		}
		f.armed.Store(false)
		for _, later := range []func() error{
			func() error { return d.Begin(hash(200), begun(200)) },
			func() error { return d.PutOffer(node(9), nil) },
		} {
			if err := later(); err == nil || !strings.Contains(err.Error(), "earlier write failed") {
				t.Fatalf("%s failed, and the next write said %v", s.name, err)
			}
		}
		_ = dump(t, d) // readers live on
	}
	f.armed.Store(false)
	survivors := []*vfs.MemFS{mem.CrashClone(vfs.CrashCloneCfg{})}
	closed := make(chan error, 1)
	go func() { closed <- d.Close() }()
	select {
	case <-closed:
	case <-time.After(20 * time.Second):
		t.Fatalf("%s: Close hangs after a failed write", s.name)
	}
	survivors = append(survivors, mem.CrashClone(vfs.CrashCloneCfg{}))
	for _, fs := range survivors {
		d := world{fs, "db"}.open(t)
		at := slices.Index(states, dump(t, d))
		if at < least {
			t.Fatalf("%s, write %d: error %v, then state %d of:\n%s", s.name, f.nth, err, at, dump(t, d))
		}
		if err := s.do(d); err != nil && (at == 0 || !errors.Is(err, s.again)) {
			t.Fatalf("%s again in state %d: %v", s.name, at, err)
		}
		equal(t, dump(t, d), states[1])
		check(t, d.Close())
	}
	return hit
}

// TestUnsyncedErrors: nobody waits for an unsynced write, but after it failed no
// write is taken.
func TestUnsyncedErrors(t *testing.T) {
	f := &faults{}
	w := world{errorfs.Wrap(vfs.NewMem(), f), "db"}
	d := w.create(t)
	f.armed.Store(true)
	check(t, d.PutSlices(3, slicesOf(1)))
	deadline := time.Now().Add(20 * time.Second)
	for d.PutOffer(node(1), make([]byte, 40<<10)) == nil {
		if time.Now().After(deadline) {
			t.Fatal("no error from a dead disk")
		}
		time.Sleep(time.Millisecond)
	}
	wantErr(t, d.Begin(hash(1), begun(1)), errorfs.ErrInjected)
	if d.Close() == nil {
		t.Error("Close said nothing")
	}
}

// TestLogChange: an error at any write while Pebble changes its log file, which a
// large transcript makes it do, is an error like any other. Pebble itself would
// end the process.
func TestLogChange(t *testing.T) {
	f := finished(1, large)
	few := int64(7)
	if testing.Short() {
		few = 29
	}
	for n := int64(0); ; n += few {
		mem := vfs.NewCrashableMem()
		inject := &faults{nth: n}
		d := world{errorfs.Wrap(mem, inject), "db"}.create(t)
		check(t, d.Begin(hash(1), begun(1)))
		inject.armed.Store(true)
		err := d.Finish(f)
		hit := inject.hits.Load() > 0
		if hit {
			wantErr(t, err, errorfs.ErrInjected)
			wantErr(t, d.Begin(hash(2), begun(2)), errorfs.ErrInjected)
		} else {
			check(t, err)
		}
		crash := mem.CrashClone(vfs.CrashCloneCfg{})
		if cerr := d.Close(); (cerr != nil) != hit {
			t.Errorf("Close: %v", cerr)
		}
		for _, fs := range []vfs.FS{mem, crash} {
			d := world{fs, "db"}.open(t)
			if pending := must[[]report.Pending](t)(d.Pending()); len(pending) == 0 {
				equal(t, must[uint64](t)(d.TranscriptCount()), 1)
			} else if !hit {
				t.Error("a finished challenge is pending")
			}
			check(t, d.Finish(f))
			equal(t, must[uint64](t)(d.TranscriptCount()), 1)
			check(t, d.Close())
		}
		if !hit {
			break
		}
	}
}

// manifests fails what Pebble writes of its manifest.
type manifests struct{ faults }

func (m *manifests) MaybeError(op errorfs.Op) error {
	if !m.armed.Load() || op.Kind.ReadOrWrite() != errorfs.OpIsWrite || !strings.Contains(op.Path, "MANIFEST") {
		return nil
	}
	return errorfs.ErrInjected
}

// TestDeath: an error of the manifest, in Pebble's own goroutine, ends the process,
// but not silently, and the database survives it. The test runs itself to die.
func TestDeath(t *testing.T) {
	const env = "ASSAY_STORE_DIES_IN"
	f := finished(1, large)
	if dir := os.Getenv(env); dir != "" {
		inject := &manifests{}
		d, err := store.Create(dir, meta(), store.Options{
			FS: errorfs.Wrap(vfs.Default, inject), Log: slog.New(slog.NewTextHandler(os.Stderr, nil)),
		})
		check(t, err)
		check(t, d.Begin(hash(1), begun(1)))
		inject.armed.Store(true)
		_ = d.Finish(f)
		time.Sleep(20 * time.Second)
		return
	}
	w := world{nil, t.TempDir() + "/db"}
	cmd := exec.Command(os.Args[0], "-test.run=^TestDeath$")
	cmd.Env = append(os.Environ(), env+"="+w.dir)
	out, err := cmd.CombinedOutput()
	if err == nil || !strings.Contains(string(out), "store: fatal") || !strings.Contains(string(out), errorfs.ErrInjected.Error()) {
		t.Fatalf("died with %v:\n%s", err, out)
	}
	d := w.open(t)
	equal(t, must[uint64](t)(d.TranscriptCount()), 1) // it was in the log
	check(t, d.Finish(f))
	equal(t, must[uint64](t)(d.TranscriptCount()), 1)
	check(t, d.Close())
}
