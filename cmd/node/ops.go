package node

import (
	"context"
	"fmt"
	"net"
	"net/http"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"golang.org/x/sync/errgroup"

	"github.com/assaynet/assay/checker/api"
)

// newMetrics is a daemon's own registry, with the process's and Go's figures.
func newMetrics() *prometheus.Registry {
	r := prometheus.NewRegistry()
	r.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return r
}

// serveOps serves metrics and health on an address of their own, until ctx ends.
func serveOps(ctx context.Context, g *errgroup.Group, addr string, h http.Handler) (string, error) {
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", addr)
	if err != nil {
		return "", fmt.Errorf("listen for metrics: %w", err)
	}
	g.Go(func() error { return api.Serve(ctx, l, h) })
	return l.Addr().String(), nil
}
