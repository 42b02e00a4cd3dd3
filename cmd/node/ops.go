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
	"github.com/assaynet/assay/gpu/worker"
	"github.com/assaynet/assay/p2p"
	"github.com/assaynet/assay/prover"
)

// newMetrics is a daemon's own registry, with the process's and Go's figures.
func newMetrics() *prometheus.Registry {
	r := prometheus.NewRegistry()
	r.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return r
}

// watchHost adds a host's counts to a registry.
func watchHost(r *prometheus.Registry, h *p2p.Host) {
	gauge := func(name, help string, of func(p2p.Stats) int) {
		r.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "assay_p2p_" + name, Help: help},
			func() float64 { return float64(of(h.Stats())) }))
	}
	counter := func(name, help string, of func(p2p.Stats) uint64) {
		r.MustRegister(prometheus.NewCounterFunc(prometheus.CounterOpts{Name: "assay_p2p_" + name, Help: help},
			func() float64 { return float64(of(h.Stats())) }))
	}
	gauge("connections", "Connections that are open.", func(s p2p.Stats) int { return s.Conns })
	gauge("stranger_connections", "Connections that strangers opened.", func(s p2p.Stats) int { return s.Strangers })
	gauge("streams", "Streams that are open.", func(s p2p.Stats) int { return s.Streams })
	counter("streams_admitted_total", "Incoming streams that were served.", func(s p2p.Stats) uint64 { return s.Admitted })
	counter("streams_limited_total", "Incoming streams refused for their rate.", func(s p2p.Stats) uint64 { return s.Limited })
	counter("streams_busy_total", "Incoming streams refused for want of room.", func(s p2p.Stats) uint64 { return s.Busy })
	counter("connections_cut_total", "Strangers' connections closed for their share.", func(s p2p.Stats) uint64 { return s.Cut })
}

// watchGate adds whether a provider is drained; nil: it has another admission.
func watchGate(r *prometheus.Registry, g *prover.Gate) {
	if g == nil {
		return
	}
	r.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "assay_provider_draining", Help: "1: challenges are refused as drain.",
	}, func() float64 { return number(g.Draining()) }))
}

// watchFleet adds the state of a provider's devices. Their ids are the owner's: no
// peer makes series.
func watchFleet(r *prometheus.Registry, f *fleet) {
	for _, d := range f.config.Devices {
		label := prometheus.Labels{"device": d.ID}
		r.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "assay_provider_tenant", Help: "1: the device is a tenant's, or is not known to be free.", ConstLabels: label,
		}, func() float64 {
			t := f.tenancy.Status(d.ID)
			return number(t.Present || !t.Known)
		}))
		w := f.workers[d.ID]
		if w == nil {
			continue
		}
		r.MustRegister(prometheus.NewCounterFunc(prometheus.CounterOpts{
			Name: "assay_provider_worker_restarts_total", Help: "Starts of the device's process after its first.", ConstLabels: label,
		}, func() float64 { return float64(max(0, w.Status().Starts-1)) }), prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "assay_provider_worker_ready", Help: "1: the device's process can work.", ConstLabels: label,
		}, func() float64 { return number(w.Status().State == worker.StateReady) }))
	}
}

func number(b bool) float64 {
	if b {
		return 1
	}
	return 0
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
