package client

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/assaynet/assay/challenges"
	"github.com/assaynet/assay/checker/committee"
	"github.com/assaynet/assay/checker/report"
)

func TestNew(t *testing.T) {
	for _, c := range []struct {
		name, api string
		base      string // empty: an error
	}{
		{"address", "http://127.0.0.1:8420", "http://127.0.0.1:8420"},
		{"slash at the end", "http://127.0.0.1:8420/", "http://127.0.0.1:8420"},
		{"under a path", "https://example.org/assay/", "https://example.org/assay"},
		{"empty", "", ""},
		{"no scheme", "127.0.0.1:8420", ""},
		{"host alone", "localhost", ""},
		{"another scheme", "ftp://127.0.0.1", ""},
		{"no host", "http://", ""},
		{"control character", "http://a\x7f", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			cl, err := New(c.api)
			switch {
			case c.base == "" && err == nil:
				t.Errorf("no error for %q", c.api)
			case c.base == "" && !strings.Contains(err.Error(), "http://HOST:PORT"):
				t.Errorf("error %v does not say what is wanted", err)
			case c.base != "" && (err != nil || cl.base != c.base):
				t.Errorf("%+v, %v; want %s", cl, err, c.base)
			}
		})
	}
}

// answering is a client of a server that answers everything so.
func answering(t *testing.T, code int, body string) *Client {
	t.Helper()
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(code)
		_, _ = io.WriteString(w, body)
	}))
	t.Cleanup(srv.Close)
	c, err := New(srv.URL)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestClientErrors(t *testing.T) {
	for _, c := range []struct {
		name string
		code int
		body string
		want string // in the error
	}{
		{"problem", http.StatusNotFound, `{"error":"epoch 9: not sealed yet","hint":"wait"}`, "GET /v1/status: epoch 9: not sealed yet"},
		{"problem without words", http.StatusNotFound, `{"error":""}`, "404 Not Found"},
		{"plain text", http.StatusInternalServerError, "boom", "GET /v1/status: 500 Internal Server Error"},
		{"empty", http.StatusBadGateway, "", "502 Bad Gateway"},
		{"success that is not 200", http.StatusAccepted, `{}`, "202 Accepted"},
		{"no JSON", http.StatusOK, "boom", "GET /v1/status: invalid character"},
		{"cut off", http.StatusOK, `{"network":"te`, "GET /v1/status: unexpected end"},
		{"bad id", http.StatusOK, `{"id":"zz"}`, "2 hex digits, want 64"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := answering(t, c.code, c.body).Status(t.Context())
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error %v, want %q", err, c.want)
			}
		})
	}
}

// endless is a body that does not end; read counts what was taken of it.
type endless struct{ read int }

func (e *endless) Read(p []byte) (int, error) {
	e.read += len(p)
	return len(p), nil
}

func (e *endless) Close() error { return nil }

type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// TestClientBounds feeds the client without a socket in between: 64 MiB are soon
// read.
func TestClientBounds(t *testing.T) {
	if testing.Short() {
		t.Skip("takes seconds under the race detector")
	}
	body := &endless{}
	c := &Client{"http://test", &http.Client{Transport: roundTrip(func(*http.Request) (*http.Response, error) {
		return &http.Response{StatusCode: http.StatusOK, Body: body}, nil
	})}}
	_, err := c.Transcripts(t.Context(), report.Query{})
	if err == nil || !strings.Contains(err.Error(), "answer over 67108864 bytes") {
		t.Errorf("error %v", err)
	}
	if body.read > maxBody+1 {
		t.Errorf("read %d bytes of an endless body", body.read)
	}
}

func TestClientTranscript(t *testing.T) {
	file := game{}.file(t)
	e, err := challenges.DecodeEnvelope(file)
	if err != nil {
		t.Fatal(err)
	}
	c := answering(t, http.StatusOK, string(file))
	if got, err := c.Transcript(t.Context(), e.ID()); err != nil || string(got) != string(file) {
		t.Errorf("%d bytes, %v; want %d", len(got), err, len(file))
	}
	other := challenges.Hash{1}
	if got, err := c.Transcript(t.Context(), other); err == nil || got != nil || !strings.Contains(err.Error(), e.ID().String()) {
		t.Errorf("asked for %v, got %d bytes, %v", other, len(got), err)
	}
	if _, err := answering(t, http.StatusOK, "garbage").Transcript(t.Context(), e.ID()); !errors.Is(err, challenges.ErrEncoding) {
		t.Errorf("garbage: error %v", err)
	}
	if _, err := answering(t, http.StatusNotFound, `{"error":"no such transcript"}`).Transcript(t.Context(), e.ID()); err == nil {
		t.Error("not found: no error")
	}
}

func TestClientRegistry(t *testing.T) {
	want := network()
	got, err := answering(t, http.StatusOK, string(challenges.Marshal(want))).Registry(t.Context())
	if err != nil || got.Hash() != want.Hash() {
		t.Errorf("%v, %v; want %v", got.Hash(), err, want.Hash())
	}
	bad := network()
	bad.Checkers = nil
	for name, body := range map[string]string{"garbage": "x", "out of bounds": string(challenges.Marshal(bad))} {
		if got, err := answering(t, http.StatusOK, body).Registry(t.Context()); err == nil || got.Name != (committee.Registry{}).Name {
			t.Errorf("%s: %q, %v", name, got.Name, err)
		}
	}
}

// TestClientQuery checks what goes over the wire: zero fields are left out.
func TestClientQuery(t *testing.T) {
	id := challenges.IDOf(providerKey)
	for _, c := range []struct {
		name string
		q    report.Query
		want url.Values
	}{
		{"zero", report.Query{}, url.Values{}},
		{"negative limit", report.Query{Limit: -1}, url.Values{}},
		{
			"all",
			report.Query{Kind: challenges.Matmul, Outcome: challenges.Wrong, Provider: id, Limit: 7},
			url.Values{"kind": {"matmul"}, "outcome": {"wrong"}, "provider": {id.String()}, "limit": {"7"}},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			var got *url.URL
			cl := &Client{"http://test", &http.Client{Transport: roundTrip(func(r *http.Request) (*http.Response, error) {
				got = r.URL
				return &http.Response{StatusCode: http.StatusOK, Body: io.NopCloser(strings.NewReader(`{"transcripts":[]}`))}, nil
			})}}
			if _, err := cl.Transcripts(t.Context(), c.q); err != nil {
				t.Fatal(err)
			}
			if got.Path != "/v1/transcripts" || got.Query().Encode() != c.want.Encode() {
				t.Errorf("%v, want %v", got, c.want)
			}
		})
	}
}
