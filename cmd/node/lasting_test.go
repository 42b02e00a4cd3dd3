package node

import (
	"errors"
	"log/slog"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"

	"github.com/assaynet/assay/challenges"
	"github.com/assaynet/assay/checker/report"
	"github.com/assaynet/assay/store"
)

// TestLastingSurvivesAFullDisk: writes fail while the disk is full, reads of what
// was written before go on as soon as the store opens, and writes go on by
// themselves once there is space.
func TestLastingSurvivesAFullDisk(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var fullDisk atomic.Bool
		fs := errorfs.Wrap(vfs.NewMem(), errorfs.InjectorFunc(func(op errorfs.Op) error {
			if fullDisk.Load() && op.Kind.ReadOrWrite() == errorfs.OpIsWrite {
				return syscall.ENOSPC
			}
			return nil
		}))
		meta := store.Meta{Kind: store.KindChecker, Network: challenges.Hash{1}, Node: challenges.IDOf(testKey(1))}
		db, err := store.Create("db", meta, store.Options{FS: fs})
		if err != nil {
			t.Fatal(err)
		}
		opened := 0
		l := &lasting{db: db, log: slog.New(slog.DiscardHandler), open: func() (*store.DB, error) {
			opened++
			return store.Open("db", store.Options{FS: fs})
		}}
		begin := func(n byte) error {
			return l.Begin(challenges.Hash{n}, report.Begun{Kind: challenges.Matmul, Provider: challenges.IDOf(testKey(2)), At: int64(n)})
		}
		if err := begin(1); err != nil {
			t.Fatal(err)
		}
		fullDisk.Store(true)
		if err := begin(2); !errors.Is(err, syscall.ENOSPC) {
			t.Errorf("error %v, want that the disk is full", err)
		}
		for range 20 {
			time.Sleep(time.Second)
			if err := begin(3); err == nil {
				t.Fatal("a full disk took a write")
			}
		}
		if opened > 12 {
			t.Errorf("tried to open %d times in 20 s", opened)
		}
		fullDisk.Store(false)
		time.Sleep(reopenEvery)
		if err := begin(4); err != nil {
			t.Errorf("with space again: %v", err)
		}
		pending, err := l.Pending()
		if err != nil {
			t.Fatal(err)
		}
		got := make(map[byte]bool)
		for _, p := range pending {
			got[p.ID[0]] = true
		}
		if !got[1] || !got[4] {
			t.Errorf("pending %v, want 1 and 4 in it", got)
		}
		if err := l.Close(); err != nil {
			t.Error(err)
		}
		if err := begin(5); !errors.Is(err, errAway) {
			t.Errorf("after Close: %v", err)
		}
	})
}
