package api_test

import (
	"context"
	"errors"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/assaynet/assay/challenges"
	"github.com/assaynet/assay/checker/api"
	"github.com/assaynet/assay/checker/client"
	"github.com/assaynet/assay/checker/report"
)

func TestOtherMethodsAndPaths(t *testing.T) {
	w := newWorld(t)
	for _, path := range []string{
		"/", "/v1/status", "/v1/registry", "/v1/providers", "/v1/providers/ffff", "/v1/epochs/1/observations",
		"/v1/transcripts", "/v1/transcripts/" + hashA.String(),
	} {
		for _, method := range []string{http.MethodPost, http.MethodPut, http.MethodDelete} {
			if resp, _ := w.do(t, method, path); resp.StatusCode != http.StatusMethodNotAllowed || resp.Header.Get("Allow") == "" {
				t.Errorf("%s %s: status %d, allow %q", method, path, resp.StatusCode, resp.Header.Get("Allow"))
			}
		}
		if resp, body := w.do(t, http.MethodHead, path); resp.StatusCode != http.StatusOK || len(body) > 0 {
			t.Errorf("HEAD %s: status %d, %d bytes", path, resp.StatusCode, len(body))
		}
	}
	for _, path := range []string{"/v1", "/v2/status", "/v1/status/", "/index.html", "/v1/epochs/1"} {
		if resp, _ := w.get(t, path); resp.StatusCode != http.StatusNotFound {
			t.Errorf("GET %s: status %d", path, resp.StatusCode)
		}
	}
}

// TestInternalError lets each of the store's methods fail: a stranger learns
// nothing of why, the operator does.
func TestInternalError(t *testing.T) {
	for _, c := range []struct{ method, path string }{
		{"SealedEpoch", "/v1/status"},
		{"Standings", "/v1/status"},
		{"Standings", "/v1/providers"},
		{"Standings", "/v1/providers/ffff"},
		{"SealedEpoch", "/v1/epochs/1/observations"},
		{"EpochObservations", "/v1/epochs/1/observations"},
		{"Transcripts", "/v1/transcripts"},
		{"Transcript", "/v1/transcripts/" + hashA.String()},
	} {
		t.Run(c.method+" of "+c.path[:8], func(t *testing.T) {
			w := newWorld(t)
			w.fail = func(method string) error {
				if method == c.method {
					return errors.New("secret path /var/db")
				}
				return nil
			}
			resp, body := w.get(t, c.path)
			if p := wantJSON[client.Problem](t, resp, body, http.StatusInternalServerError); p != (client.Problem{Error: "internal error"}) {
				t.Errorf("problem %+v", p)
			}
			if log := w.log.String(); !strings.Contains(log, "level=ERROR") || !strings.Contains(log, "secret path /var/db") {
				t.Errorf("log %q", log)
			}
		})
	}
}

// TestClientReads holds the API against the client that is made for it.
func TestClientReads(t *testing.T) {
	w := newWorld(t)
	c, err := client.New(w.url)
	if err != nil {
		t.Fatal(err)
	}
	ctx := t.Context()
	s, err := c.Status(ctx)
	if err != nil || s.Sealed != 2 {
		t.Errorf("status %+v, %v", s, err)
	}
	if r, err := c.Registry(ctx); err != nil || r.Hash() != s.NetworkID {
		t.Errorf("registry %v, %v", r.Hash(), err)
	}
	if p, err := c.Providers(ctx); err != nil || len(p) != 3 {
		t.Errorf("%d providers, %v", len(p), err)
	}
	o, err := c.Observations(ctx, 1)
	if err != nil || len(o) != 1 {
		t.Fatalf("%d observations, %v", len(o), err)
	}
	if _, err := report.OpenObservation(o[0], s.NetworkID); err != nil {
		t.Error(err)
	}
	if _, err := c.Observations(ctx, 2); err == nil || !strings.Contains(err.Error(), "not sealed yet") {
		t.Errorf("epoch 2: error %v", err)
	}
	q := report.Query{Kind: challenges.Matmul, Outcome: challenges.Wrong, Provider: provider("ffff"), Limit: 3}
	if list, err := c.Transcripts(ctx, q); err != nil || len(list) != 1 || list[0] != client.DescribeTranscript(w.infos[0]) || w.query != q {
		t.Errorf("%+v, %v, asked for %+v", list, err, w.query)
	}
}

func TestServe(t *testing.T) {
	w := newWorld(t)
	h := api.Handler(api.Config{Registry: w.registry, Reports: w, Evidence: w}) // no log
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	served := make(chan error, 1)
	go func() { served <- api.Serve(ctx, l, h) }()
	w.url = "http://" + l.Addr().String()
	if resp, _ := w.get(t, "/v1/status"); resp.StatusCode != http.StatusOK {
		t.Errorf("status %d", resp.StatusCode)
	}
	w.fail = func(string) error { return errors.New("x") }
	w.wantProblem(t, "/v1/status", http.StatusInternalServerError)
	cancel()
	select {
	case err := <-served:
		if err != nil {
			t.Errorf("served: %v", err)
		}
	case <-time.After(10 * time.Second):
		t.Fatal("still serving 10 s after its context ended")
	}
	if err := api.Serve(t.Context(), l, h); err == nil {
		t.Error("no error on a closed listener")
	}
}
