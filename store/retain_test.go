package store_test

import (
	"io/fs"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/assaynet/assay/challenges"
	"github.com/assaynet/assay/challenges/receipt"
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

// TestRetainCopies: passes go after the one time, whatever else after the other,
// with their places in the index.
func TestRetainCopies(t *testing.T) {
	everywhere(t, func(t *testing.T, w world) {
		d := w.create(t)
		policy := store.RetainPolicy{Passes: time.Hour, Others: 3 * time.Hour}
		at := func(h float64) time.Time { return time.Unix(0, int64(h*float64(time.Hour))) }
		for n := range 8 { // a pass and another each hour; an answer without a receipt is evidence too
			o := challenges.Pass
			if n%2 == 1 {
				o = []challenges.Outcome{challenges.Wrong, 0}[n/2%2]
			}
			id, c := copiedAs(meta(), challenges.Secret{byte(n)}, at(float64(n/2)).UnixNano()+int64(n%2), o, 1)
			c.Result = receipt.Answered
			check(t, d.PutCopy(id, c))
		}
		left := func() string {
			out := ""
			for _, i := range must[[]store.CopyInfo](t)(d.Copies(store.CopyQuery{})) {
				_, _, err := d.Copy(i.Challenge.String())
				check(t, err)
				if i.Pass() {
					out = "p" + out
				} else {
					out = "o" + out
				}
			}
			return out
		}
		for _, c := range []struct {
			name   string
			now    float64
			policy store.RetainPolicy
			copies uint64
			left   string
		}{
			{"for ever", 1e5, store.RetainPolicy{}, 0, "popopopo"},
			{"exactly as old is kept", 1, policy, 0, "popopopo"},
			{"one pass", 1.1, policy, 1, "opopopo"},
			{"again", 1.1, policy, 0, "opopopo"},
			{"passes and one other", 3.5, policy, 3, "oopo"},
			{"others only", 6, store.RetainPolicy{Others: 3.5 * 3600e9}, 2, "po"},
			{"all", 100, policy, 2, ""},
		} {
			r := must[store.RetainReport](t)(d.Retain(at(c.now), c.policy))
			if got := left(); got != c.left || r.Copies != c.copies || (r.Bytes == 0) != (c.copies == 0) || r.Passes+r.Others > 0 {
				t.Fatalf("%s: left %s, %+v; want %s, %d", c.name, got, r, c.left, c.copies)
			}
		}
		r := inspect(t, d, store.CheckOptions{})
		equal(t, r.Problems, []store.Problem{})
		equal(t, []uint64{r.Tables[17].Rows, r.Tables[18].Rows, r.Tables[19].Rows}, []uint64{0, 0, 1})
		_, _, err := d.Copy("abcd")
		wantErr(t, err, store.ErrNotFound)
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
