package api_test

import (
	"bytes"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/assaynet/assay/challenges"
	"github.com/assaynet/assay/checker/client"
	"github.com/assaynet/assay/checker/report"
)

func TestTranscripts(t *testing.T) {
	id := provider("ffff")
	for _, c := range []struct {
		name, query string
		want        report.Query // zero: a bad request
	}{
		{"none", "", report.Query{Limit: 100}},
		{"empty values", "?kind=&outcome=&provider=&limit=", report.Query{Limit: 100}},
		{
			"all", "?kind=probe&outcome=unreachable&limit=7&provider=" + id.String(),
			report.Query{Kind: challenges.Probe, Outcome: challenges.Unreachable, Provider: id, Limit: 7},
		},
		{"limit at the cap", "?limit=1000", report.Query{Limit: 1000}},
		{"limit over the cap", "?limit=1001", report.Query{Limit: 1000}},
		{"limit far over the cap", "?limit=1000000000", report.Query{Limit: 1000}},
		{"limit zero", "?limit=0", report.Query{}},
		{"limit negative", "?limit=-1", report.Query{}},
		{"limit a word", "?limit=all", report.Query{}},
		{"limit over 64 bits", "?limit=18446744073709551616", report.Query{}},
		{"outcome unknown to us", "?outcome=good", report.Query{}},
		{"outcome in capitals", "?outcome=PASS", report.Query{}},
		{"provider short", "?provider=ffff", report.Query{}},
		{"provider in capitals", "?provider=" + strings.ToUpper(id.String()), report.Query{}},
		{"provider no hex", "?provider=" + strings.Repeat("z", 64), report.Query{}},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t)
			if c.want == (report.Query{}) {
				w.wantProblem(t, "/v1/transcripts"+c.query, http.StatusBadRequest)
				return
			}
			resp, body := w.get(t, "/v1/transcripts"+c.query)
			wantJSON[client.Transcripts](t, resp, body, http.StatusOK)
			if w.query != c.want {
				t.Errorf("asked the store for %+v, want %+v", w.query, c.want)
			}
		})
	}
	w := newWorld(t)
	_, body := w.get(t, "/v1/transcripts")
	want := fmt.Sprintf(`{"transcripts":[{"hash":"%v","challenge":"%v","kind":"matmul","outcome":"wrong","provider":"%v",`+
		`"device":"gpu0","epoch":1,"at":"2023-11-14T22:13:20.123456789Z","bytes":3}]}`, hashA, hashB, id)
	if got := strings.TrimSpace(string(body)); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	w.infos = nil
	if _, body := w.get(t, "/v1/transcripts"); strings.TrimSpace(string(body)) != `{"transcripts":[]}` {
		t.Errorf("without transcripts: %s", body)
	}
}

func TestTranscript(t *testing.T) {
	w := newWorld(t)
	resp, body := w.get(t, "/v1/transcripts/"+hashA.String())
	if resp.StatusCode != http.StatusOK || resp.Header.Get("Content-Type") != "application/cbor" || !bytes.Equal(body, []byte{1, 2, 3}) {
		t.Errorf("status %d, type %q, %v", resp.StatusCode, resp.Header.Get("Content-Type"), body)
	}
	w.wantProblem(t, "/v1/transcripts/"+hashB.String(), http.StatusNotFound)
	for name, h := range map[string]string{
		"short": "a1", "long": hashA.String() + "00", "capitals": strings.ToUpper(hashA.String()), "no hex": strings.Repeat("z", 64),
	} {
		if p := w.wantProblem(t, "/v1/transcripts/"+h, http.StatusBadRequest); !strings.Contains(p.Error, "transcript hash") {
			t.Errorf("%s: %+v", name, p)
		}
	}
}
