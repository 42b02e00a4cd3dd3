package store_test

import (
	"io/fs"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/assaynet/assay/challenges"
	"github.com/assaynet/assay/checker/report"
	"github.com/assaynet/assay/store"
)

// kept lists the challenges whose transcripts still have bodies.
func kept(t *testing.T, d *store.DB) string {
	t.Helper()
	var out []byte
	for n := range byte(26) {
		_, err := d.Transcript(hash(n + 100))
		if err == nil {
			out = append(out, 'a'+n)
		} else {
			wantErr(t, err, store.ErrNotFound)
		}
	}
	return string(out)
}

func TestRetain(t *testing.T) {
	everywhere(t, func(t *testing.T, w world) {
		d := w.create(t)
		for n := range byte(10) { // a pass and a failure each hour, at the same instant
			f := finished(n, 100)
			f.Info.At = int64(time.Duration(n/2) * time.Hour)
			if n%2 == 1 {
				f.Info.Outcome, f.Item.Outcome = challenges.Wrong, challenges.Wrong
			}
			check(t, d.Finish(f))
		}
		at := func(h float64) time.Time { return time.Unix(0, int64(h*float64(time.Hour))) }
		policy := store.RetainPolicy{Passes: time.Hour, Others: 3 * time.Hour}
		infos := must[[]report.TranscriptInfo](t)(d.Transcripts(report.Query{}))
		records := must[[]report.ProviderEpoch](t)(d.EpochRecords(3))
		for _, c := range []struct {
			name   string
			now    time.Time
			policy store.RetainPolicy
			report store.RetainReport
			kept   string
		}{
			{"for ever", at(1e5), store.RetainPolicy{}, store.RetainReport{}, "abcdefghij"},
			{"before the first", at(-1), policy, store.RetainReport{}, "abcdefghij"},
			{"exactly as old is kept", at(1), policy, store.RetainReport{}, "abcdefghij"},
			{"one pass", at(1.1), policy, store.RetainReport{Passes: 1, Bytes: 100}, "bcdefghij"},
			{"again", at(1.1), policy, store.RetainReport{}, "bcdefghij"},
			{"the clock went back", at(0), policy, store.RetainReport{}, "bcdefghij"},
			{"passes and one failure", at(3.5), policy, store.RetainReport{Passes: 2, Others: 1, Bytes: 300}, "dfghij"},
			{"failures only", at(9), store.RetainPolicy{Others: 6 * time.Hour}, store.RetainReport{Others: 2, Bytes: 200}, "ghij"},
			{"all", at(100), policy, store.RetainReport{Passes: 2, Others: 2, Bytes: 400}, ""},
		} {
			equal(t, must[store.RetainReport](t)(d.Retain(c.now, c.policy)), c.report)
			if got := kept(t, d); got != c.kept {
				t.Fatalf("%s: kept %s, want %s", c.name, got, c.kept)
			}
		}
		equal(t, must[[]report.TranscriptInfo](t)(d.Transcripts(report.Query{})), infos)
		equal(t, must[[]report.ProviderEpoch](t)(d.EpochRecords(3)), records)
		if _, err := d.Transcript(hash(100)); !strings.Contains(err.Error(), "deleted") {
			t.Errorf("error %v does not tell a deleted transcript from one that never was", err)
		}
		// What was deleted does not come back, nor under another challenge.
		check(t, d.Finish(finished(0, 100)))
		other := finished(11, 100)
		other.Info.Hash, other.Item.Transcript = hash(100), hash(100)
		wantErr(t, d.Finish(other), store.ErrExists)
		equal(t, kept(t, d), "")
		check(t, d.Close())
		_, err := d.Retain(at(200), policy)
		wantErr(t, err, fs.ErrClosed)
	})
}

// TestRetainInBatches has more than one batch, and writers in between.
func TestRetainInBatches(t *testing.T) {
	w := world{vfs.NewMem(), "db"}
	d := w.create(t)
	const n = 1000
	for i := range n {
		f := finished(0, 10)
		f.Info.Challenge, f.Info.Hash = challenges.Hash{byte(i), byte(i >> 8), 1}, challenges.Hash{byte(i), byte(i >> 8), 2}
		f.Info.At, f.Item = int64(i/7), nil
		check(t, d.Finish(f))
	}
	done := make(chan error)
	go func() { done <- d.Begin(hash(77), begun(77)) }()
	r := must[store.RetainReport](t)(d.Retain(time.Unix(1, 0), store.RetainPolicy{Passes: 1, Others: 1}))
	check(t, <-done)
	equal(t, r, store.RetainReport{Passes: n, Bytes: 10 * n})
	rep := inspect(t, d, store.CheckOptions{})
	equal(t, rep.Expired, n)
	check(t, d.Close())
	d = w.open(t)
	equal(t, must[store.RetainReport](t)(d.Retain(time.Unix(1, 0), store.DefaultRetain)), store.RetainReport{})
	check(t, d.Close())
}
