package node

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/assaynet/assay/challenges"
	"github.com/assaynet/assay/challenges/receipt"
	"github.com/assaynet/assay/checker/report"
	"github.com/assaynet/assay/checker/reputation"
	"github.com/assaynet/assay/store"
)

// reopenEvery is how often a store that failed is tried again.
const reopenEvery = 2 * time.Second

// errAway says that the store failed and could not be opened again yet.
var errAway = errors.New("store is away")

// lasting is a store that outlives a disk that was full. Pebble takes no write
// after one of its log has failed, so the store is closed and opened again, from
// what is on the disk; whoever wrote must write again.
type lasting struct {
	open func() (*store.DB, error)
	log  *slog.Logger

	mu    sync.RWMutex // held for writing only to exchange db
	db    *store.DB    // nil while it is away
	tried time.Time
	why   error // of being away
	ended bool
}

// newLasting keeps the store of a folder going.
func newLasting(dir string, meta store.Meta, log *slog.Logger, db *store.DB) *lasting {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	return &lasting{db: db, log: log, open: func() (*store.DB, error) { return openStore(dir, meta, log) }}
}

// with runs f on the store, and exchanges a store that it finds broken.
func (l *lasting) with(f func(*store.DB) error) error {
	l.mu.RLock()
	db := l.db
	var err error
	if db != nil {
		err = f(db)
	}
	l.mu.RUnlock()
	switch {
	case db == nil:
		if db = l.reopen(nil); db == nil {
			return errors.Join(errAway, l.away())
		}
		return l.with(f)
	case err != nil && db.Failed() != nil:
		l.reopen(db)
	}
	return err
}

func (l *lasting) away() error {
	l.mu.RLock()
	defer l.mu.RUnlock()
	return l.why
}

// reopen exchanges the broken store, once, however many found it so.
func (l *lasting) reopen(broken *store.DB) *store.DB {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.ended || l.db != broken || time.Since(l.tried) < reopenEvery {
		return l.db
	}
	l.tried = time.Now()
	if broken != nil {
		l.log.Error("store failed, opening it again", "err", broken.Failed())
		_ = broken.Close() // it says again what failed
		l.db = nil
	}
	db, err := l.open()
	if err != nil {
		l.why = err
		l.log.Error("store cannot be opened yet", "err", err)
		return nil
	}
	l.db, l.why = db, nil
	l.log.Info("store is open again")
	return db
}

// retain deletes what need not be kept, at the start and every hour, until ctx ends.
func (l *lasting) retain(ctx context.Context) {
	tick := time.NewTicker(time.Hour)
	defer tick.Stop()
	for {
		r, err := read(l, func(db *store.DB) (store.RetainReport, error) { return db.Retain(time.Now(), store.DefaultRetain) })
		if err != nil {
			l.log.Error("retention", "err", err)
		} else {
			l.log.Debug("retention", "deleted", r)
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// Close closes the store.
func (l *lasting) Close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.ended = true
	if l.db == nil {
		return nil
	}
	db := l.db
	l.db = nil
	return db.Close()
}

// read is with for a result.
func read[T any](l *lasting, f func(*store.DB) (T, error)) (T, error) {
	var out T
	err := l.with(func(db *store.DB) (err error) {
		out, err = f(db)
		return err
	})
	return out, err
}

func (l *lasting) Begin(id challenges.Hash, b report.Begun) error {
	return l.with(func(db *store.DB) error { return db.Begin(id, b) })
}

func (l *lasting) Finish(f report.Finished) error {
	return l.with(func(db *store.DB) error { return db.Finish(f) })
}

func (l *lasting) Pending() ([]report.Pending, error) { return read(l, (*store.DB).Pending) }

func (l *lasting) Abandon(id challenges.Hash, at int64) error {
	return l.with(func(db *store.DB) error { return db.Abandon(id, at) })
}

func (l *lasting) PutSlices(epoch uint64, s []report.Slices) error {
	return l.with(func(db *store.DB) error { return db.PutSlices(epoch, s) })
}

func (l *lasting) EpochRecords(epoch uint64) ([]report.ProviderEpoch, error) {
	return read(l, func(db *store.DB) ([]report.ProviderEpoch, error) { return db.EpochRecords(epoch) })
}

func (l *lasting) Unsealed() ([]uint64, error) { return read(l, (*store.DB).Unsealed) }

func (l *lasting) Seal(epoch uint64, s []reputation.Sealed) error {
	return l.with(func(db *store.DB) error { return db.Seal(epoch, s) })
}

func (l *lasting) SealedEpoch() (uint64, error) { return read(l, (*store.DB).SealedEpoch) }

func (l *lasting) Standing(p challenges.NodeID) (reputation.Standing, error) {
	return read(l, func(db *store.DB) (reputation.Standing, error) { return db.Standing(p) })
}

func (l *lasting) Standings() ([]reputation.Standing, error) { return read(l, (*store.DB).Standings) }

func (l *lasting) EpochObservations(epoch uint64) ([]challenges.Envelope, error) {
	return read(l, func(db *store.DB) ([]challenges.Envelope, error) { return db.EpochObservations(epoch) })
}

func (l *lasting) Transcripts(q report.Query) ([]report.TranscriptInfo, error) {
	return read(l, func(db *store.DB) ([]report.TranscriptInfo, error) { return db.Transcripts(q) })
}

func (l *lasting) Transcript(h challenges.Hash) ([]byte, error) {
	return read(l, func(db *store.DB) ([]byte, error) { return db.Transcript(h) })
}

func (l *lasting) PutOffer(p challenges.NodeID, offer []byte) error {
	return l.with(func(db *store.DB) error { return db.PutOffer(p, offer) })
}

func (l *lasting) Use(id challenges.Hash, u challenges.Use) error {
	return l.with(func(db *store.DB) error { return db.Use(id, u) })
}

func (l *lasting) Ended(id challenges.Hash, at int64, how string) error {
	return l.with(func(db *store.DB) error { return db.Ended(id, at, how) })
}

func (l *lasting) PutCopy(id challenges.Hash, c receipt.Copy) error {
	return l.with(func(db *store.DB) error { return db.PutCopy(id, c) })
}

func (l *lasting) Copies(q receipt.Query) ([]receipt.Info, error) {
	return read(l, func(db *store.DB) ([]receipt.Info, error) { return db.Copies(q) })
}

// Copy is the copy of the challenge whose id begins so.
func (l *lasting) Copy(id string) (h challenges.Hash, c receipt.Copy, err error) {
	err = l.with(func(db *store.DB) (err error) {
		h, c, err = db.Copy(id)
		return err
	})
	return h, c, err
}

func (l *lasting) Offers() (map[challenges.NodeID][]byte, error) { return read(l, (*store.DB).Offers) }

func (l *lasting) RestoredAt() (at time.Time, restored bool, err error) {
	err = l.with(func(db *store.DB) (err error) {
		at, restored, err = db.RestoredAt()
		return err
	})
	return at, restored, err
}

func (l *lasting) ClearRestored() error { return l.with((*store.DB).ClearRestored) }
