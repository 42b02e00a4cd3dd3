package api_test

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/assaynet/assay/checker/api"
)

type check struct {
	Name string `json:"name"`
	OK   bool   `json:"ok"`
}

func TestOps(t *testing.T) {
	reg := prometheus.NewRegistry()
	n := prometheus.NewCounter(prometheus.CounterOpts{Name: "things_total", Help: "Things."})
	reg.MustRegister(n)
	n.Add(3)
	health := func(ok bool) func() (bool, any) {
		return func() (bool, any) { return ok, []check{{"sealing", ok}} }
	}
	w := newWorld(t)
	for _, tt := range []struct {
		name, path string
		gatherer   prometheus.Gatherer
		health     func() (bool, any)
		code       int
		body       string
	}{
		{"alive", "/healthz", nil, nil, 200, `{"ok":true}`},
		{"alive and not ready", "/healthz", reg, health(false), 200, `{"ok":true}`},
		{"ready", "/readyz", nil, health(true), 200, `{"ok":true,"checks":[{"name":"sealing","ok":true}]}`},
		{"not ready", "/readyz", nil, health(false), 503, `{"ok":false,"checks":[{"name":"sealing","ok":false}]}`},
		{"no checks", "/readyz", reg, nil, 404, `{"error":"readiness is not served here"}`},
		{"metrics", "/metrics", reg, nil, 200, "\nthings_total 3"},
		{"no metrics", "/metrics", nil, health(true), 404, `{"error":"metrics are not served here"}`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			full := api.Handler(api.Config{Registry: w.registry, Reports: w, Evidence: w, Gatherer: tt.gatherer, Health: tt.health})
			for name, h := range map[string]http.Handler{"ops": api.Ops(tt.gatherer, tt.health), "api": full} {
				for _, method := range []string{"GET", "HEAD", "POST"} {
					rec := httptest.NewRecorder()
					h.ServeHTTP(rec, httptest.NewRequestWithContext(t.Context(), method, tt.path, nil))
					body, _ := io.ReadAll(rec.Body)
					if method == "POST" {
						if rec.Code != http.StatusMethodNotAllowed {
							t.Errorf("%s: POST: %d", name, rec.Code)
						}
						continue
					}
					if rec.Code != tt.code {
						t.Errorf("%s: %s: %d, want %d", name, method, rec.Code, tt.code)
					}
					if method != "GET" {
						continue
					}
					if !strings.Contains(string(body), tt.body) {
						t.Errorf("%s: %s", name, body)
					}
					if tt.body[0] == '{' && (!json.Valid(body) || rec.Header().Get("Content-Type") != "application/json") {
						t.Errorf("%s: %q of type %q", name, body, rec.Header().Get("Content-Type"))
					}
				}
			}
		})
	}
	rec := httptest.NewRecorder()
	api.Ops(reg, nil).ServeHTTP(rec, httptest.NewRequestWithContext(t.Context(), "GET", "/v1/status", nil))
	if rec.Code != http.StatusNotFound || !json.Valid(rec.Body.Bytes()) {
		t.Errorf("another page: %d %s", rec.Code, rec.Body)
	}
}
