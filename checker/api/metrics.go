package api

import (
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// A scrape is cheap, but whoever reaches the port may ask for it.
const (
	maxScrapes  = 4 // at once
	scrapeLimit = 10 * time.Second
)

// metricsPage serves a registry in Prometheus' text format.
func metricsPage(g prometheus.Gatherer) http.Handler {
	if g == nil {
		return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			problem(w, http.StatusNotFound, "metrics are not served here", "")
		})
	}
	// What can be gathered is sent: one broken collector must not blind the rest.
	return promhttp.HandlerFor(g, promhttp.HandlerOpts{
		ErrorHandling: promhttp.ContinueOnError, MaxRequestsInFlight: maxScrapes, Timeout: scrapeLimit,
	})
}
