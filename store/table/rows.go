package table

import (
	"fmt"

	"github.com/assaynet/assay/challenges"
	"github.com/assaynet/assay/checker/report"
)

// Kinds of databases.
const (
	KindChecker  = "checker"
	KindProvider = "provider"
)

// ReasonAbandoned is the reason in the item of a challenge that was abandoned.
const ReasonAbandoned = "abandoned"

// MetaRow says whose database it is.
type MetaRow struct {
	_       struct{} `cbor:",toarray"`
	Kind    string
	Network challenges.Hash
	Node    challenges.NodeID
}

// EndedRow says how a challenge ended.
type EndedRow struct {
	_          struct{}        `cbor:",toarray"`
	Transcript challenges.Hash // zero: abandoned
}

// AbandonedRow is a challenge that will never be judged.
type AbandonedRow struct {
	_     struct{} `cbor:",toarray"`
	At    int64    // of Abandon, Unix time, ns
	Begun report.Begun
}

// SealedRow says how far epochs are sealed.
type SealedRow struct {
	_    struct{} `cbor:",toarray"`
	Next uint64   // first epoch that is not sealed
}

// BootRow counts a node's starts.
type BootRow struct {
	_    struct{} `cbor:",toarray"`
	Last uint64
}

// RestoredRow remembers every restoring of the database, the latest last.
type RestoredRow struct {
	_        struct{} `cbor:",toarray"`
	Silences []Silence
}

// Silence is a time in which a restored node signs nothing: it cannot know what
// it signed between its backup and its loss.
type Silence struct {
	_     struct{} `cbor:",toarray"`
	At    int64    // of the restoring, Unix time, ns
	From  uint64   // first epoch that was not sealed in the backup
	Until uint64   // first epoch that is sealed again, once Over
	Over  bool
}

// Check bounds the fields.
func (r *RestoredRow) Check() error {
	for i, s := range r.Silences {
		if (s.Over && s.Until < s.From) || (!s.Over && i != len(r.Silences)-1) {
			return fmt.Errorf("silence %d: from epoch %d, until %d, over: %v", i, s.From, s.Until, s.Over)
		}
	}
	return nil
}

// Now is the silence that is not over, nil if there is none.
func (r *RestoredRow) Now() *Silence {
	if n := len(r.Silences); n > 0 && !r.Silences[n-1].Over {
		return &r.Silences[n-1]
	}
	return nil
}

// Passed says whether an epoch fell into a silence.
func (r *RestoredRow) Passed(epoch uint64) bool {
	for _, s := range r.Silences {
		if epoch >= s.From && (!s.Over || epoch < s.Until) {
			return true
		}
	}
	return false
}

// RetainedRow says how far deleting has come in an index: everything before a
// place is deleted, so that no row is looked at every time.
type RetainedRow struct {
	_      struct{} `cbor:",toarray"`
	Passes Place
	Others Place
}

// Place is a place in an index: the rows before it are done.
type Place struct {
	_    struct{} `cbor:",toarray"`
	Set  bool     // false: none is
	At   int64
	Hash challenges.Hash
}

// Key is the place as a key of an index, its beginning where none is set.
func (p Place) Key(index Table) Key {
	if !p.Set {
		return index.Key()
	}
	return index.Key().Time(p.At).ID(p.Hash)
}
