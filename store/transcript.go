package store

import (
	"bytes"
	"fmt"

	"github.com/assaynet/assay/challenges"
	"github.com/assaynet/assay/checker/report"
	"github.com/assaynet/assay/store/table"
)

// DefaultLimit is how many rows a query with a limit of 0 or less returns.
const DefaultLimit = 100

func matches(q *report.Query, i *report.TranscriptInfo) bool {
	return (q.Kind == "" || q.Kind == i.Kind) &&
		(q.Outcome == 0 || q.Outcome == i.Outcome) &&
		(q.Provider == challenges.NodeID{} || q.Provider == i.Provider)
}

// Transcripts lists the transcripts that q selects, newest first; those of the
// same instant descend by hash. It reads the index from the newest on until it
// has enough.
func (d *DB) Transcripts(q report.Query) ([]report.TranscriptInfo, error) {
	if err := d.enter(); err != nil {
		return nil, err
	}
	defer d.leave()
	limit := limitOf(q.Limit)
	var out []report.TranscriptInfo
	err := d.scan(table.Index.Key(), table.Index.Key().End(), true, func(k table.Key, value []byte) error {
		if len(out) == limit {
			return errStop
		}
		var info report.TranscriptInfo
		if err := table.Decode(k, value, &info); err != nil {
			return err
		}
		if matches(&q, &info) {
			out = append(out, info)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// Transcript is a sealed transcript, an envelope's bytes. The error is
// [ErrNotFound] if there is none, or none any more: see [DB.Retain].
func (d *DB) Transcript(h challenges.Hash) ([]byte, error) {
	if err := d.enter(); err != nil {
		return nil, err
	}
	defer d.leave()
	var out []byte
	k := table.Transcripts.Key().ID(h)
	err := d.get(k, func(value []byte) error {
		b, err := table.Body(k, value)
		out = bytes.Clone(b)
		if err == nil && len(b) == 0 {
			return fmt.Errorf("its time is over, it was deleted: %w", ErrNotFound)
		}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("transcript %v: %w", h, err)
	}
	return out, nil
}

// TranscriptCount is the number of transcripts. It scans the index.
func (d *DB) TranscriptCount() (uint64, error) {
	if err := d.enter(); err != nil {
		return 0, err
	}
	defer d.leave()
	var n uint64
	err := d.all(table.Index, func(table.Key, []byte) error {
		n++
		return nil
	})
	return n, err
}

func limitOf(n int) int {
	if n <= 0 {
		return DefaultLimit
	}
	return n
}
