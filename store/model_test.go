package store_test

import (
	"bytes"
	"errors"
	"maps"
	"slices"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"pgregory.net/rapid"

	"github.com/assaynet/assay/challenges"
	"github.com/assaynet/assay/checker/report"
	"github.com/assaynet/assay/store"
)

// fate is what the model knows of a challenge; the zero value, nothing.
type fate struct {
	begun, abandoned bool
	transcript       challenges.Hash
}

// TestModel compares random lives of a few challenges, with crashes, to a map.
func TestModel(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		mem := vfs.NewCrashableMem()
		d, err := store.Create("db", meta(), store.Options{FS: mem})
		if err != nil {
			rt.Fatal(err)
		}
		defer func() { _ = d.Close() }()
		model := make(map[byte]fate)
		var kept, synced map[byte]challenges.Outcome // copies; synced: those that a crash leaves at least
		kept = make(map[byte]challenges.Outcome)
		ids := rapid.ByteRange(0, 4)
		want := func(rt *rapid.T, err, want error) {
			if !errors.Is(err, want) {
				rt.Fatalf("error %v, want %v", err, want)
			}
		}
		rt.Repeat(map[string]func(*rapid.T){
			"begin": func(rt *rapid.T) {
				n := ids.Draw(rt, "id")
				err := d.Begin(hash(n), begun(n))
				if model[n] != (fate{}) {
					want(rt, err, store.ErrExists)
					return
				}
				want(rt, err, nil)
				model[n] = fate{begun: true}
				synced = maps.Clone(kept)
			},
			"copy": func(rt *rapid.T) {
				n, o := ids.Draw(rt, "id"), rapid.SampledFrom([]challenges.Outcome{0, challenges.Pass, challenges.Late}).Draw(rt, "outcome")
				id, c := copied(meta(), n, o, 0)
				c.At += rapid.Int64Range(0, 3).Draw(rt, "at")
				want(rt, d.PutCopy(id, c), nil)
				kept[n] = o
			},
			"finish": func(rt *rapid.T) {
				n := ids.Draw(rt, "id")
				f := finished(n, 10)
				f.Info.Hash = hash(n + 10*rapid.ByteRange(1, 2).Draw(rt, "transcript"))
				f.Item.Transcript = f.Info.Hash
				err := d.Finish(f)
				m := model[n]
				switch {
				case m.transcript == f.Info.Hash:
					want(rt, err, nil)
				case m.abandoned, m.transcript != challenges.Hash{}:
					want(rt, err, store.ErrExists)
				default:
					want(rt, err, nil)
					model[n] = fate{transcript: f.Info.Hash}
				}
			},
			"abandon": func(rt *rapid.T) {
				n := ids.Draw(rt, "id")
				err := d.Abandon(hash(n), 1)
				switch m := model[n]; {
				case m.abandoned:
					want(rt, err, nil)
				case m.begun:
					want(rt, err, nil)
					model[n] = fate{abandoned: true}
				case m.transcript != challenges.Hash{}:
					want(rt, err, store.ErrExists)
				default:
					want(rt, err, store.ErrNotFound)
				}
			},
			"crash": func(rt *rapid.T) {
				next := mem.CrashClone(vfs.CrashCloneCfg{})
				_ = d.Close()
				mem = next
				if d, err = store.Open("db", store.Options{FS: mem}); err != nil {
					rt.Fatal(err)
				}
				// A copy waits for no disk; what a synced write came after is there.
				found := copiesOf(rt, d)
				for n := range synced {
					if _, ok := found[n]; !ok {
						rt.Fatalf("copy %d is gone", n)
					}
				}
				for n := range found {
					if _, ok := kept[n]; !ok {
						rt.Fatalf("copy %d was never there", n)
					}
				}
				kept, synced = found, maps.Clone(found)
			},
			"": func(rt *rapid.T) {
				compare(rt, d, model)
				if got := copiesOf(rt, d); !maps.Equal(got, kept) {
					rt.Fatalf("copies %v, want %v", got, kept)
				}
			},
		})
	})
}

// copiesOf lists the copies by number, and fails unless each is in the index once.
func copiesOf(rt *rapid.T, d *store.DB) map[byte]challenges.Outcome {
	infos, err := d.Copies(store.CopyQuery{})
	if err != nil {
		rt.Fatal(err)
	}
	out := make(map[byte]challenges.Outcome)
	for _, i := range infos {
		id, c, err := d.Copy(i.Challenge.String())
		if err != nil || c.At != i.At {
			rt.Fatalf("copy %v at %d: listed at %d, error %v", id, c.At, i.At, err)
		}
		for n := range byte(5) {
			if want, _ := copied(meta(), n, 0, 0); want == id {
				if _, twice := out[n]; twice {
					rt.Fatalf("copy %d is listed twice", n)
				}
				out[n] = i.Outcome
			}
		}
	}
	if len(out) != len(infos) {
		rt.Fatalf("%d copies of %d challenges", len(infos), len(out))
	}
	return out
}

func compare(rt *rapid.T, d *store.DB, model map[byte]fate) {
	var pending, abandoned, transcripts, items []byte
	collect := func(list *[]byte, ids []report.Pending, err error) {
		if err != nil {
			rt.Fatal(err)
		}
		for _, p := range ids {
			*list = append(*list, p.ID[0])
		}
	}
	all, err := d.Pending()
	collect(&pending, all, err)
	all, err = d.Abandoned()
	collect(&abandoned, all, err)
	infos, err := d.Transcripts(report.Query{})
	if err != nil {
		rt.Fatal(err)
	}
	for _, i := range infos {
		transcripts = append(transcripts, i.Challenge[0])
		if model[i.Challenge[0]].transcript != i.Hash {
			rt.Fatalf("challenge %d: transcript %v", i.Challenge[0], i.Hash)
		}
		if _, err := d.Transcript(i.Hash); err != nil {
			rt.Fatal(err)
		}
	}
	records, err := d.EpochRecords(3)
	if err != nil {
		rt.Fatal(err)
	}
	for _, r := range records {
		for _, it := range r.Items {
			items = append(items, it.Challenge[0])
		}
	}
	var wantPending, wantAbandoned, wantTranscripts []byte
	for n := range byte(5) {
		switch m := model[n]; {
		case m.begun:
			wantPending = append(wantPending, n)
		case m.abandoned:
			wantAbandoned = append(wantAbandoned, n)
		case m.transcript != challenges.Hash{}:
			wantTranscripts = append(wantTranscripts, n)
		}
	}
	slices.Sort(transcripts)
	slices.Sort(items)
	wantItems := slices.Concat(wantAbandoned, wantTranscripts)
	slices.Sort(wantItems)
	if !bytes.Equal(pending, wantPending) || !bytes.Equal(abandoned, wantAbandoned) ||
		!bytes.Equal(transcripts, wantTranscripts) || !bytes.Equal(items, wantItems) {
		rt.Fatalf("pending %v, abandoned %v, transcripts %v, items %v; model %+v", pending, abandoned, transcripts, items, model)
	}
}
