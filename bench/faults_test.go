package bench

import (
	"errors"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"

	"github.com/assaynet/assay/challenges"
	"github.com/assaynet/assay/checker/client"
	"github.com/assaynet/assay/checker/evidence"
	"github.com/assaynet/assay/checker/report"
	"github.com/assaynet/assay/store"
)

// TestFaultWalk lets one write after another of a checker's life fail, and what
// follows it, then opens what is on the disk with a disk that works. No verdict
// is doubled or contradicted, what has no end is given up, and the network goes
// on.
func TestFaultWalk(t *testing.T) {
	points, last := 0, 0
	step := 1
	if testing.Short() {
		step = 9
	}
	for at := 1; ; at += step {
		writes := faultAt(t, at)
		points, last = points+1, at
		if at > writes {
			break // the whole life went by without reaching the fault
		}
	}
	t.Logf("%d points, up to write %d", points, last)
}

// faultAt runs two epochs in which every write from number at on fails, and then
// two more on a disk that works. It returns how many writes the first two made.
func faultAt(t *testing.T, at int) (writes int) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 1, 1, 5*time.Millisecond)
		w.agent(0, nil, nil)
		s := w.checkers[0]
		if err := s.db.Close(); err != nil {
			t.Fatal(err)
		}
		mem := vfs.NewMem()
		var count atomic.Int64
		var armed atomic.Bool
		faulty := errorfs.Wrap(mem, errorfs.InjectorFunc(func(op errorfs.Op) error {
			if !armed.Load() || op.Kind.ReadOrWrite() != errorfs.OpIsWrite {
				return nil
			}
			if count.Add(1) >= int64(at) {
				return syscall.ENOSPC
			}
			return nil
		}))
		meta := store.Meta{Kind: store.KindChecker, Network: w.registry.Hash(), Node: s.host.ID()}
		var err error
		if s.db, err = store.Create("db", meta, store.Options{FS: faulty}); err != nil {
			t.Fatal(err)
		}
		armed.Store(true)
		if err := w.tryRun(2, nil); err != nil && !errors.Is(err, syscall.ENOSPC) {
			t.Errorf("fault at write %d: %v", at, err)
		}
		writes = int(count.Load())
		armed.Store(false)
		_ = s.db.Close() // says again what failed
		if s.db, err = store.Open("db", store.Options{FS: mem}); err != nil {
			t.Fatalf("fault at write %d: open: %v", at, err)
		}
		w.run(4, nil)
		w.agrees(s.db, at)
	})
	return writes
}

// agrees holds a checker's signed words against its transcripts.
func (w *world) agrees(db *store.DB, at int) {
	w.t.Helper()
	envelopes, err := db.Observations(0, 10_000)
	if err != nil {
		w.t.Fatal(err)
	}
	items := make(map[challenges.Hash]int)
	epochs := make(map[uint64]int)
	passes := 0
	for _, e := range envelopes {
		o, err := report.OpenObservation(e, w.registry.Hash())
		if err != nil {
			w.t.Fatal(err)
		}
		if epochs[o.Epoch]++; epochs[o.Epoch] > 1 {
			w.t.Errorf("fault at write %d: epoch %d was observed twice", at, o.Epoch)
		}
		for _, it := range o.Items {
			if items[it.Challenge]++; items[it.Challenge] > 1 {
				w.t.Errorf("fault at write %d: challenge %v has two verdicts", at, it.Challenge)
			}
			if it.Reason == store.ReasonAbandoned {
				continue
			}
			file, err := db.Transcript(it.Transcript)
			if err != nil {
				w.t.Errorf("fault at write %d: %v without a transcript: %v", at, it.Outcome, err)
				continue
			}
			f, err := client.Verify(file, &w.registry, evidence.NVIDIA())
			if err != nil || !f.OK || *f.Outcome != it.Outcome {
				w.t.Errorf("fault at write %d: transcript of %v: %+v, %v", at, it.Outcome, f, err)
			}
			if it.Outcome == challenges.Pass {
				passes++
			}
		}
	}
	pending, err := db.Pending()
	if err != nil {
		w.t.Fatal(err)
	}
	for _, p := range pending {
		w.t.Errorf("fault at write %d: challenge of epoch %d is still open", at, p.Epoch)
	}
	if passes == 0 {
		w.t.Errorf("fault at write %d: no pass after the disk worked again", at)
	}
	if _, err := db.Standing(w.provider[0].host.ID()); err != nil && !errors.Is(err, store.ErrNotFound) {
		w.t.Error(err)
	}
}
