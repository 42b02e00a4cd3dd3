package store_test

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/assaynet/assay/challenges"
	"github.com/assaynet/assay/challenges/receipt"
	"github.com/assaynet/assay/checker/report"
	"github.com/assaynet/assay/checker/reputation"
	"github.com/assaynet/assay/store"
)

func inspect(t testing.TB, d *store.DB, o store.CheckOptions) store.CheckReport {
	t.Helper()
	return must[store.CheckReport](t)(d.Check(t.Context(), o))
}

func TestCheckOfATruth(t *testing.T) {
	everywhere(t, func(t *testing.T, w world) {
		d := truth(t, w)
		before := dump(t, d)
		look := func(hold int) {
			t.Helper()
			r := inspect(t, d, store.CheckOptions{Registry: registry(), Hold: hold})
			equal(t, r.Problems, []store.Problem{})
			var counts []string
			for _, row := range r.Tables {
				counts = append(counts, fmt.Sprint(row.Name, row.Rows))
				if row.Rows > 0 && row.Bytes == 0 {
					t.Errorf("%s: no bytes", row.Name)
				}
			}
			equal(t, strings.Join(counts, " "), "meta1 begun1 ended13 abandoned2 transcripts11 index11 slices5 items7 "+
				"observations6 standings2 sealed1 offers1 uses1 uses-index1 boot1 restored0 retained1 copies2 copies-index2 copies-retained1")
			equal(t, []uint64{r.Sealed, r.Pending, r.Expired, r.Unlisted}, []uint64{4, 1, 3, 0})
			equal(t, dump(t, d), before)
		}
		look(0)
		check(t, d.Close())
		d = must[*store.DB](t)(store.OpenReadOnly(w.dir, w.options()))
		look(2)
		check(t, d.Close())
	})
}

// rowsUnder lists a table's keys and values.
func rowsUnder(t testing.TB, db *pebble.DB, prefix []byte) (keys, values [][]byte) {
	t.Helper()
	it := must[*pebble.Iterator](t)(db.NewIter(&pebble.IterOptions{LowerBound: prefix, UpperBound: append(prefix[:len(prefix)-1:len(prefix)-1], prefix[len(prefix)-1]+1)}))
	for ok := it.First(); ok; ok = it.Next() {
		keys = append(keys, append([]byte(nil), it.Key()...))
		values = append(values, append([]byte(nil), it.Value()...))
	}
	check(t, it.Close())
	return keys, values
}

// decoded reads a row's value, changes it and writes it back.
func decoded[T any](table byte, at int, change func(v *T)) func(t testing.TB, db *pebble.DB) {
	return func(t testing.TB, db *pebble.DB) {
		keys, values := rowsUnder(t, db, []byte{table})
		var v T
		check(t, challenges.Unmarshal(values[at][1:], &v))
		change(&v)
		check(t, db.Set(keys[at], append([]byte{format}, challenges.Marshal(&v)...), nil))
	}
}

func deleted(table byte, at int) func(t testing.TB, db *pebble.DB) {
	return func(t testing.TB, db *pebble.DB) {
		keys, _ := rowsUnder(t, db, []byte{table})
		check(t, db.Delete(keys[at], nil))
	}
}

// flipped changes one byte of a value, counted from its end.
func flipped(table byte, at, back int) func(t testing.TB, db *pebble.DB) {
	return func(t testing.TB, db *pebble.DB) {
		keys, values := rowsUnder(t, db, []byte{table})
		values[at][len(values[at])-back] ^= 1
		check(t, db.Set(keys[at], values[at], nil))
	}
}

func set(key, value []byte) func(t testing.TB, db *pebble.DB) {
	return func(t testing.TB, db *pebble.DB) { check(t, db.Set(key, value, nil)) }
}

// moved writes a row under another key, changed at one byte of the key.
func moved(table byte, at, index int, keep bool) func(t testing.TB, db *pebble.DB) {
	return func(t testing.TB, db *pebble.DB) {
		keys, values := rowsUnder(t, db, []byte{table})
		if !keep {
			check(t, db.Delete(keys[at], nil))
		}
		keys[at][index] ^= 1
		check(t, db.Set(keys[at], values[at], nil))
	}
}

// resigned changes an observation and signs it again.
func resigned(by byte, change func(o *report.Observation)) func(t testing.TB, db *pebble.DB) {
	return decoded(9, 0, func(e *challenges.Envelope) {
		o, err := report.OpenObservation(*e, network())
		if err != nil {
			panic(err)
		}
		change(&o)
		*e = o.Seal(network(), testKey(by))
	})
}

// whole finds a transcript whose body is there.
func whole(t testing.TB, db *pebble.DB) (key, value []byte) {
	keys, values := rowsUnder(t, db, []byte{5})
	for i, v := range values {
		if len(v) > 1 {
			return keys[i], v
		}
	}
	t.Fatal("no whole transcript")
	return nil, nil
}

func TestCheckFinds(t *testing.T) {
	none := func(*report.Observation) {}
	for _, c := range []struct {
		name    string
		corrupt func(t testing.TB, db *pebble.DB)
		want    []string // each: table, and part of what is said
	}{
		{"begun: other secret", decoded(2, 0, func(b *report.Begun) { b.Secret[0]++ }), []string{"begun another challenge's"}},
		{"begun: other epoch", decoded(2, 0, func(b *report.Begun) { b.Epoch++ }), []string{"begun something else of itself"}},
		{"begun: other key", moved(2, 0, 5, false), []string{"begun holds challenge"}},
		{"begun: ended too", func(t testing.TB, db *pebble.DB) {
			keys, _ := rowsUnder(t, db, []byte{2})
			keys[0][0] = 3
			check(t, db.Set(keys[0], append([]byte{format, 0x81, 0x58, 32}, make([]byte, 32)...), nil))
		}, []string{"begun ended too", "ended no such row"}},
		{"ended: gone", deleted(3, 0), []string{" did not end with it|ended otherwise|not ended so"}},
		{"ended: other transcript", flipped(3, 0, 1), []string{"ended no transcript|no such row"}},
		{"abandoned: gone", deleted(4, 0), []string{"ended no such row"}},
		{"abandoned: not ended so", moved(4, 0, 9, true), []string{"abandoned not ended so"}},
		{"transcripts: signature", func(t testing.TB, db *pebble.DB) {
			k, v := whole(t, db)
			v[len(v)-1] ^= 1
			check(t, db.Set(k, v, nil))
		}, []string{"transcripts does not verify"}},
		{"transcripts: payload", func(t testing.TB, db *pebble.DB) {
			k, v := whole(t, db)
			v[len(v)/2] ^= 1
			check(t, db.Set(k, v, nil))
		}, []string{"transcripts holds transcript"}},
		{"transcripts: not CBOR", func(t testing.TB, db *pebble.DB) {
			k, _ := whole(t, db)
			check(t, db.Set(k, []byte{format, 0xff}, nil))
		}, []string{"transcripts canonical"}},
		{"transcripts: gone", deleted(5, 0), []string{"ended no transcript", "index no such transcript"}},
		{"transcripts: emptied", func(t testing.TB, db *pebble.DB) {
			k, _ := whole(t, db)
			check(t, db.Set(k, []byte{format}, nil))
		}, []string{"index deleted before its time"}},
		{"transcripts: wide key", set(append([]byte{5}, make([]byte, 40)...), []byte{format}), []string{"transcripts key of 41 bytes"}},
		{"index: gone", deleted(6, 10), []string{"transcripts not in the index"}},
		{"index: twice", moved(6, 10, 4, true), []string{"index another time", "index in the index twice"}},
		{"index: outcome", decoded(6, 10, func(i *report.TranscriptInfo) { i.Outcome = challenges.Late }), []string{"index says something else"}},
		{"index: bytes", decoded(6, 10, func(i *report.TranscriptInfo) { i.Bytes++ }), []string{"index says something else"}},
		{"index: expired, outcome", decoded(6, 0, func(i *report.TranscriptInfo) { i.Provider[0]++ }), []string{"items of another outcome"}},
		{"slices: gone", deleted(7, 0), []string{"observations slices are not the recorded"}},
		{"slices: one more", decoded(7, 0, func(s *report.Slices) { s.Slices = append(s.Slices, 1) }), []string{"observations slices are not the recorded"}},
		{"slices: rtt", decoded(7, 0, func(s *report.Slices) { s.RTT++ }), []string{"observations round-trip"}},
		{"slices: no outcome", decoded(7, 0, func(s *report.Slices) { s.Slices[0] = 99 }), []string{"slices outcome 99", "observations slices are not"}},
		{"slices: other provider", moved(7, 4, 20, false), []string{"slices of another provider"}},
		{"items: gone", deleted(8, 0), []string{"transcripts no item of it", "observations items are not"}},
		{"items: outcome", decoded(8, 0, func(i *report.Item) { i.Outcome = challenges.Late }), []string{"items of another outcome", "observations items are not"}},
		{"items: other provider", moved(8, 6, 20, false), []string{"items of another outcome"}},
		{"items: ops", decoded(8, 6, func(i *report.Item) { i.OpsLower++ }), []string{"items ops/s, its transcript says"}},
		{"items: profile", decoded(8, 0, func(i *report.Item) { i.Profile = 1 }), []string{"observations items are not"}},
		{"observations: profile of another kind", resigned(checkerKey, func(o *report.Observation) { o.Items[0].Profile = 6 }), []string{"observations item 0: profile 6"}},
		{"items: abandoned no more", func(t testing.TB, db *pebble.DB) {
			_, values := rowsUnder(t, db, []byte{8})
			for at, v := range values {
				if bytes.Contains(v, []byte("abandoned")) {
					decoded(8, at, func(i *report.Item) { i.Reason = "" })(t, db)
				}
			}
		}, []string{"items another without|abandoned its item says"}},
		{"observations: gone", deleted(9, 0), []string{"observations no observation", "standings another standing"}},
		{"observations: signature", flipped(9, 0, 1), []string{"observations does not verify"}},
		{"observations: other signer", resigned(providerB, none), []string{"observations not this node"}},
		{"observations: other slices", resigned(checkerKey, func(o *report.Observation) { o.Slices[1] = 1 }), []string{"observations slices are not the recorded", "standings another standing"}},
		{"observations: other epoch", resigned(checkerKey, func(o *report.Observation) { o.Epoch = 7 }), []string{"observations another epoch"}},
		{"observations: of nothing", moved(9, 5, 30, true), []string{"observations another epoch or provider"}},
		{"standings: gone", deleted(10, 0), []string{"observations provider has no standing"}},
		{"standings: counts", decoded(10, 0, func(s *reputation.Standing) { s.Rates[0].Best++ }), []string{"standings another standing"}},
		{"standings: claim", decoded(10, 0, func(s *reputation.Standing) { s.Rates[0].Claim++ }), []string{"standings another standing"}},
		{"standings: flavour", decoded(10, 0, func(s *reputation.Standing) { s.Rates[0].Flavour = challenges.BF16 }), []string{"standings another standing"}},
		{"standings: epoch", decoded(10, 0, func(s *reputation.Standing) { s.Next++ }), []string{"standings it ends before epoch"}},
		{"standings: other key", moved(10, 0, 3, false), []string{"standings of another provider", "standings no observation leads"}},
		{"sealed: lower", set([]byte{11}, []byte{format, 0x81, 3}), []string{"observations the epoch is not sealed"}},
		{"sealed: higher", set([]byte{11}, []byte{format, 0x81, 5}), []string{"observations no observation"}},
		{"offers: signature", flipped(12, 0, 1), []string{"offers does not verify"}},
		{"offers: other key", moved(12, 0, 3, false), []string{"offers signed by"}},
		{"uses: gone", deleted(13, 0), []string{"uses-index no such use"}},
		{"uses: other time", decoded(13, 0, func(u *challenges.Use) { u.At++ }), []string{"uses not in uses-index", "uses-index another time"}},
		{"uses-index: gone", deleted(14, 0), []string{"uses not in uses-index"}},
		{"uses-index: a value", set(append([]byte{14, 0x80, 0, 0, 0, 0, 0, 0, 4}, h9()...), []byte{format, 7}), []string{"uses-index want none"}},
		{"restored", set([]byte{16}, []byte{format, 0x80}), []string{"restored canonical|not"}},
		{"retained", set([]byte{17}, []byte{format, 0x80}), []string{"retained not"}},
		{"copies: gone", deleted(18, 0), []string{"copies-index no such copy"}},
		{"copies: other key", moved(18, 0, 3, false), []string{"copies holds a copy of challenge", "copies-index no such copy"}},
		{"copies: result", decoded(18, 0, func(c *receipt.Copy) { c.Result = "other" }), []string{"copies copies-index says something else"}},
		{"copies: signature", decoded(18, 0, func(c *receipt.Copy) { c.Challenge[len(c.Challenge)-1] ^= 1 }), []string{"copies does not verify"}},
		{"copies: limits", decoded(18, 0, func(c *receipt.Copy) { c.Signatures = nil }), []string{"copies 0 signatures"}},
		{"copies: another provider's", func(t testing.TB, db *pebble.DB) {
			id, c := copied(store.Meta{Network: network(), Node: idOf(9)}, 1, 0, 0)
			set(append([]byte{18}, id[:]...), append([]byte{format}, challenges.Marshal(&c)...))(t, db)
		}, []string{"copies not this node"}},
		{"copies: wide key", set(append([]byte{18}, make([]byte, 40)...), []byte{format}), []string{"copies key of 41 bytes"}},
		{"copies-index: gone", deleted(19, 0), []string{"copies not in copies-index"}},
		{"copies-index: twice", moved(19, 0, 4, true), []string{"copies-index another time"}},
		{"copies-index: outcome", decoded(19, 0, func(i *receipt.Info) { i.Outcome = challenges.Wrong }), []string{"copies copies-index says something else"}},
		{"copies-index: no outcome", decoded(19, 0, func(i *receipt.Info) { i.Outcome = 99 }), []string{"copies-index outcome 99"}},
		{"copies-retained", set([]byte{20}, []byte{format, 0x80}), []string{"copies-retained not"}},
		{"a table of nobody", set([]byte{0x77, 1}, nil), []string{"unknown of no table"}},
		{"a table before the first", set([]byte{0, 1}, nil), []string{"unknown of no table"}},
		{"a short key", set([]byte{10, 1}, []byte{format}), []string{"standings key of 2 bytes"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := world{vfs.NewMem(), "db"}
			check(t, truth(t, w).Close())
			tamper(t, w.fs, func(db *pebble.DB) error { c.corrupt(t, db); return nil })
			found(t, w, c.want)
		})
	}
	for _, table := range []byte{2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 15, 16, 17, 18, 19, 20} {
		t.Run(fmt.Sprintf("garbage in %d", table), func(t *testing.T) {
			w := world{vfs.NewMem(), "db"}
			d := truth(t, w)
			check(t, d.Close())
			var name string
			for i, row := range inspect(t, w.open(t), store.CheckOptions{}).Tables {
				if i+1 == int(table) {
					name = row.Name
				}
			}
			check(t, d.Close())
			w = world{vfs.NewMem(), "db"}
			check(t, truth(t, w).Close())
			for _, bad := range [][]byte{{}, {9, 0x80}, {1, 0xff}} {
				tamper(t, w.fs, func(db *pebble.DB) error {
					keys, _ := rowsUnder(t, db, []byte{table})
					if keys == nil {
						keys = [][]byte{{table}}
					}
					return db.Set(keys[len(keys)-1], bad, nil)
				})
				found(t, w, []string{name + " corrupt value in table|canonical"})
			}
		})
	}
}

func h9() []byte { h := hash(9); return h[:] }

// found checks a store and looks for problems; with few rows in memory it finds
// the same.
func found(t *testing.T, w world, want []string) {
	t.Helper()
	d, err := store.OpenReadOnly(w.dir, w.options())
	opened(t, d, err)
	defer d.Close()
	r := inspect(t, d, store.CheckOptions{Registry: registry()})
	for _, want := range want {
		table, what, _ := strings.Cut(want, " ")
		ok := false
		for _, p := range r.Problems {
			for w := range strings.SplitSeq(what, "|") {
				ok = ok || (table == "" || p.Table == table || strings.Contains(what, "|")) && strings.Contains(p.What, w)
			}
			if _, err := hex.DecodeString(p.Key); err != nil || p.Key == "" {
				t.Errorf("key %q", p.Key)
			}
		}
		if !ok {
			t.Errorf("no %q in %+v", want, r.Problems)
		}
	}
	if len(r.Problems) > 8 {
		t.Errorf("%d problems from one: %+v", len(r.Problems), r.Problems)
	}
	t.Run("few", func(t *testing.T) {
		again := inspect(t, d, store.CheckOptions{Registry: registry(), Hold: 2})
		equal(t, len(again.Problems), len(r.Problems))
	})
	one := inspect(t, d, store.CheckOptions{Registry: registry(), Problems: 1})
	equal(t, []uint64{uint64(len(one.Problems)), one.Unlisted}, []uint64{1, uint64(len(r.Problems)) - 1})
}

// TestCheckOfADamagedFile flips bytes in a table file, all over it.
func TestCheckOfADamagedFile(t *testing.T) {
	everywhere(t, func(t *testing.T, w world) {
		d := truth(t, w)
		check(t, d.Close())
		check(t, w.open(t).Close()) // replays its log into a table
		fs := w.fs
		if fs == nil {
			fs = vfs.Default
		}
		hits := 0
		for _, n := range must[[]string](t)(fs.List(w.dir)) {
			if !strings.HasSuffix(n, ".sst") {
				continue
			}
			path := fs.PathJoin(w.dir, n)
			size := must[vfs.FileInfo](t)(fs.Stat(path)).Size()
			for at := int64(10); at < size; at += size / 20 {
				flip(t, fs, path, at)
				d, err := store.OpenReadOnly(w.dir, w.options())
				if err != nil {
					hits++ // unreadable: the command exits with 2
				} else {
					r, err := d.Check(t.Context(), store.CheckOptions{Registry: registry()})
					if err != nil || !r.Clean() {
						hits++
					} else {
						t.Logf("%s, byte %d of %d: nothing noticed", n, at, size)
					}
					if err == nil && len(r.Problems) > 40 {
						t.Errorf("%d problems", len(r.Problems))
					}
					check(t, d.Close())
				}
				flip(t, fs, path, at)
			}
		}
		if hits < 18 {
			t.Errorf("%d damages noticed of 20", hits)
		}
	})
}

func flip(t *testing.T, fs vfs.FS, path string, at int64) {
	t.Helper()
	f := must[vfs.File](t)(fs.OpenReadWrite(path, "test"))
	b := make([]byte, 1)
	_, err := f.ReadAt(b, at)
	check(t, err)
	b[0] ^= 0x40
	_, err = f.WriteAt(b, at)
	check(t, errors.Join(err, f.Close()))
}

func TestCheckCannotBeMade(t *testing.T) {
	d := truth(t, world{vfs.NewMem(), "db"})
	other := registry()
	other.Name = "other"
	_, err := d.Check(t.Context(), store.CheckOptions{Registry: other})
	wantErr(t, err, challenges.ErrNetwork)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = d.Check(ctx, store.CheckOptions{})
	wantErr(t, err, context.Canceled)
	r := inspect(t, d, store.CheckOptions{Progress: func(string, uint64) {}})
	if !r.Clean() || len(r.Skipped) != 1 {
		t.Errorf("without a registry: %+v", r)
	}
}
