package api

import (
	"encoding/json"
	"fmt"
	"net/http"

	"github.com/prometheus/client_golang/prometheus"
)

// Health asks a daemon's checks: whether all of them are well, and the list,
// which is sent as JSON. [Ops] serves it without knowing what a check is, since
// checker and prover have each their own.
type Health = func() (ok bool, checks any)

// readiness is what /readyz answers.
type readiness struct {
	OK     bool `json:"ok"`
	Checks any  `json:"checks"`
}

// Ops serves what an operator's tools ask of any daemon, for a port of its own:
//
//	GET /healthz   200 while the process serves
//	GET /readyz    200, or 503 if a check fails, with the checks
//	GET /metrics   in Prometheus' format
//
// A page whose source is nil is a 404.
func Ops(g prometheus.Gatherer, health func() (ok bool, checks any)) http.Handler {
	mux := http.NewServeMux()
	ops(mux, g, health)
	mux.HandleFunc("GET /", func(w http.ResponseWriter, r *http.Request) {
		problem(w, http.StatusNotFound, fmt.Sprintf("%s: no such page", r.URL.Path), "the pages are /healthz, /readyz and /metrics")
	})
	return mux
}

// ops adds the three pages.
func ops(mux *http.ServeMux, g prometheus.Gatherer, health Health) {
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) {
		// It asks nothing: a daemon that is not ready gets no better by a restart.
		answer(w, http.StatusOK, struct {
			OK bool `json:"ok"`
		}{true})
	})
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) {
		if health == nil {
			problem(w, http.StatusNotFound, "readiness is not served here", "")
			return
		}
		ok, checks := health()
		code := http.StatusOK
		if !ok {
			code = http.StatusServiceUnavailable
		}
		answer(w, code, readiness{ok, checks})
	})
	mux.Handle("GET /metrics", metricsPage(g))
}

func answer(w http.ResponseWriter, code int, doc any) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(code)
	_ = json.NewEncoder(w).Encode(doc) // whoever asked is gone
}
