package node

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/assaynet/assay/challenges"
	"github.com/assaynet/assay/checker/report"
	"github.com/assaynet/assay/store"
)

// put fills a new node's folder with transcripts that end at the given seconds,
// each second its own challenge, and leaves the store open.
func put(t *testing.T, dir string, seconds ...byte) *store.DB {
	t.Helper()
	check(t, os.MkdirAll(dir, 0o755))
	db, err := store.Create(filepath.Join(dir, "db"), store.Meta{Kind: store.KindChecker}, store.Options{})
	check(t, err)
	t.Cleanup(func() { _ = db.Close() })
	for _, s := range seconds {
		o := challenges.Pass
		if s%2 == 1 {
			o = challenges.Wrong
		}
		check(t, db.Finish(report.Finished{
			Transcript: []byte{s},
			Info: report.TranscriptInfo{
				Hash: challenges.Hash{s}, Challenge: challenges.Hash{s, 1}, Kind: challenges.Matmul, Outcome: o,
				Provider: challenges.NodeID{s}, At: int64(s) * 1e9,
			},
		}))
	}
	return db
}

func open(t *testing.T, dir string) Source {
	t.Helper()
	s, err := OpenFolder(dir)
	check(t, err)
	t.Cleanup(func() { _ = s.Close() })
	return s
}

// listed is the seconds of what a source lists.
func listed(t *testing.T, s Source, q report.Query) (out []byte) {
	t.Helper()
	list, err := s.List(t.Context(), q)
	check(t, err)
	for _, row := range list {
		if row.At.Unix() != int64(row.Hash[0]) || row.Bytes != 1 {
			t.Errorf("row %+v", row)
		}
		out = append(out, row.Hash[0])
	}
	return out
}

func TestOpenFolderOfNode(t *testing.T) {
	dir := t.TempDir()
	check(t, put(t, dir, 2, 3, 1).Close())
	s := open(t, dir)
	if got := listed(t, s, report.Query{}); !slices.Equal(got, []byte{3, 2, 1}) {
		t.Errorf("listed %v", got)
	}
	check(t, s.Close())
	// Reading left it as it was: it opens again.
	check(t, open(t, dir).Close())
}

func TestOpenFolderOfDevnet(t *testing.T) {
	dir := t.TempDir()
	check(t, os.WriteFile(filepath.Join(dir, "devnet.json"), []byte("{}"), 0o644))
	check(t, os.MkdirAll(filepath.Join(dir, "notes"), 0o755))
	check(t, put(t, filepath.Join(dir, "checker-1"), 1, 4, 7, 8).Close())
	check(t, put(t, filepath.Join(dir, "checker-2"), 2, 9, 3).Close())
	check(t, put(t, filepath.Join(dir, "provider-1")).Close())
	s := open(t, dir)
	for _, c := range []struct {
		name string
		q    report.Query
		want []byte
	}{
		{"all", report.Query{}, []byte{9, 8, 7, 4, 3, 2, 1}},
		{"negative limit", report.Query{Limit: -1}, []byte{9, 8, 7, 4, 3, 2, 1}},
		{"limit", report.Query{Limit: 3}, []byte{9, 8, 7}},
		{"limit one", report.Query{Limit: 1}, []byte{9}},
		{"limit over all", report.Query{Limit: 50}, []byte{9, 8, 7, 4, 3, 2, 1}},
		{"outcome", report.Query{Outcome: challenges.Wrong, Limit: 3}, []byte{9, 7, 3}},
		{"provider", report.Query{Provider: challenges.NodeID{4}}, []byte{4}},
		{"none", report.Query{Kind: challenges.Probe}, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := listed(t, s, c.q); !slices.Equal(got, c.want) {
				t.Errorf("listed %v, want %v", got, c.want)
			}
		})
	}
	for _, sec := range []byte{4, 3} { // of either checker
		if b, err := s.Get(t.Context(), challenges.Hash{sec}); err != nil || !slices.Equal(b, []byte{sec}) {
			t.Errorf("transcript %d: %v, %v", sec, b, err)
		}
	}
	missing := challenges.Hash{99}
	if b, err := s.Get(t.Context(), missing); err == nil || b != nil || !strings.Contains(err.Error(), missing.String()) {
		t.Errorf("missing: %v, %v", b, err)
	}
	check(t, s.Close())
	if _, err := s.List(t.Context(), report.Query{}); err == nil {
		t.Error("a closed source lists")
	}
	if _, err := s.Get(t.Context(), challenges.Hash{4}); err == nil {
		t.Error("a closed source reads")
	}
}

func TestOpenFolderRefuses(t *testing.T) {
	empty := t.TempDir()
	broken := t.TempDir()
	check(t, os.MkdirAll(filepath.Join(broken, "db"), 0o755))
	half := t.TempDir() // a devnet with one broken node
	check(t, put(t, filepath.Join(half, "checker-1"), 1).Close())
	check(t, os.MkdirAll(filepath.Join(half, "checker-2", "db"), 0o755))
	for _, c := range []struct{ name, dir, in string }{
		{"empty", empty, "no db in it"},
		{"missing", filepath.Join(empty, "no"), "no db in it"},
		{"no store in db", broken, "not found"},
		{"one node of a devnet is broken", half, "checker-2"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s, err := OpenFolder(c.dir)
			if err == nil || s != nil || !strings.Contains(err.Error(), c.in) || !strings.Contains(err.Error(), c.dir) {
				t.Errorf("source %v, error %v; want %q", s, err, c.in)
			}
		})
	}
	if got := names(t, empty); len(got) > 0 {
		t.Errorf("made %v in an empty folder", got)
	}
	// What had been opened was closed again.
	db, err := store.Open(filepath.Join(half, "checker-1", "db"), store.Options{})
	check(t, err)
	check(t, db.Close())
}

func TestOpenFolderWhileRunning(t *testing.T) {
	dir := t.TempDir()
	check(t, put(t, filepath.Join(dir, "checker-1"), 1).Close())
	db := put(t, filepath.Join(dir, "checker-2"), 2)
	for _, d := range []string{dir, filepath.Join(dir, "checker-2")} {
		if s, err := OpenFolder(d); err == nil || s != nil || !strings.Contains(err.Error(), "is a node running on it?") {
			t.Errorf("%s: source %v, error %v", d, s, err)
		}
	}
	// The node was not disturbed, and its folder can be read when it stops.
	if infos, err := db.Transcripts(report.Query{}); err != nil || len(infos) != 1 {
		t.Errorf("%d transcripts, %v", len(infos), err)
	}
	check(t, db.Close())
	if got := listed(t, open(t, dir), report.Query{}); !slices.Equal(got, []byte{2, 1}) {
		t.Errorf("listed %v", got)
	}
}

func TestOpenAPI(t *testing.T) {
	h := challenges.Hash{5}
	env := challenges.Seal(challenges.Hash{1}, challenges.KindTranscript, []byte{1}, testKey(1))
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/v1/transcripts":
			fmt.Fprintf(w, `{"transcripts":[{"hash":"%v","at":"1970-01-01T00:00:05Z","bytes":1}]}`, h)
		case "/v1/transcripts/" + env.ID().String():
			_, _ = w.Write(challenges.Marshal(&env))
		default:
			w.WriteHeader(http.StatusNotFound)
			fmt.Fprint(w, `{"error":"no such transcript"}`)
		}
	}))
	defer srv.Close()
	s, err := OpenAPI(srv.URL)
	check(t, err)
	if got := listed(t, s, report.Query{}); !slices.Equal(got, []byte{5}) {
		t.Errorf("listed %v", got)
	}
	if b, err := s.Get(t.Context(), env.ID()); err != nil || !slices.Equal(b, challenges.Marshal(&env)) {
		t.Errorf("%d bytes, %v", len(b), err)
	}
	if b, err := s.Get(t.Context(), h); err == nil || b != nil || !strings.Contains(err.Error(), "no such transcript") {
		t.Errorf("missing: %v, %v", b, err)
	}
	check(t, s.Close())
	if s, err := OpenAPI("127.0.0.1:1"); err == nil || s != nil {
		t.Errorf("address without a scheme: %v, %v", s, err)
	}
}
