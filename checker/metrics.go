package checker

import (
	"fmt"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/assaynet/assay/challenges"
)

// metrics is what one checker counts. It is registered as one collector, so that
// it is registered whole or not at all.
//
// No label names a provider, a device or a challenge: a checker may watch 100,000
// providers, whose number its peers decide, and each value of a label would be a
// series of its own in every scrape, for ever. Who did what stands in the log and
// in the API. Every label here takes its values from a list in the code.
type metrics struct {
	verdicts      *prometheus.CounterVec   // kind, outcome
	elapsed       *prometheus.HistogramVec // kind, outcome
	lag           prometheus.Histogram
	rtt           prometheus.Histogram
	sealed        prometheus.Counter
	lastSealed    prometheus.Gauge
	sealSeconds   prometheus.Histogram
	probesRunning prometheus.Gauge
	storeErrors   *prometheus.CounterVec // op
	skipped       prometheus.Counter
	lost          *prometheus.CounterVec // kind
	all           []prometheus.Collector
}

// newMetrics makes the metrics of c; what is a state of c is read when it is asked
// for.
func newMetrics(c *Checker) *metrics {
	opts := func(name, help string) prometheus.Opts {
		return prometheus.Opts{Namespace: "assay", Subsystem: "checker", Name: name, Help: help}
	}
	histogram := func(name, help string, buckets ...float64) prometheus.HistogramOpts {
		return prometheus.HistogramOpts{Namespace: "assay", Subsystem: "checker", Name: name, Help: help, Buckets: buckets}
	}
	counter := func(name, help string) prometheus.Counter {
		return prometheus.NewCounter(prometheus.CounterOpts(opts(name, help)))
	}
	counters := func(name, help string, labels ...string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts(opts(name, help)), labels)
	}
	gauge := func(name, help string) prometheus.Gauge {
		return prometheus.NewGauge(prometheus.GaugeOpts(opts(name, help)))
	}
	state := func(name, help string, read func() float64) prometheus.Collector {
		return prometheus.NewGaugeFunc(prometheus.GaugeOpts(opts(name, help)), read)
	}
	m := &metrics{
		verdicts: counters("verdicts_total", "Verdicts by kind and outcome.", "kind", "outcome"),
		elapsed: prometheus.NewHistogramVec(histogram("challenge_seconds", "From a challenge out to its last answer in, where the answers were right.",
			.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60), []string{"kind", "outcome"}),
		lag: prometheus.NewHistogram(histogram("lag_seconds", "From a root in to its positions out: the checker's own share of a round.",
			.0001, .00025, .0005, .001, .0025, .005, .01, .025, .05, .1, .25, 1)),
		rtt: prometheus.NewHistogram(histogram("provider_rtt_seconds", "Least round trip of each probe that was answered over a direct path.",
			.001, .0025, .005, .01, .025, .05, .1, .15, .2, .3, .5, 1, 2.5)),
		sealed:     counter("epochs_sealed_total", "Epochs sealed since the start."),
		lastSealed: gauge("last_sealed_epoch", "The newest sealed epoch; 0 before the first."),
		sealSeconds: prometheus.NewHistogram(histogram("seal_seconds", "Time that sealing an epoch took, without the wait for its challenges.",
			.001, .005, .01, .05, .1, .5, 1, 5, 10, 30, 60)),
		probesRunning: gauge("probes_in_flight", "Probes that are under way."),
		storeErrors:   counters("store_errors_total", "Operations of the store that failed, by operation.", "op"),
		skipped:       counter("challenges_skipped_total", "GPU challenges that were not sent: the store could not be written, or too many were in flight."),
		lost:          counters("ends_lost_total", "Ends that found no place in memory while the store could not be written, by kind.", "kind"),
	}
	for _, k := range challenges.Kinds() {
		for _, o := range challenges.Outcomes() {
			m.verdicts.WithLabelValues(string(k), o.String())
		}
		m.lost.WithLabelValues(string(k))
	}
	for _, op := range storeOps {
		m.storeErrors.WithLabelValues(op)
	}
	m.all = []prometheus.Collector{
		m.verdicts, m.elapsed, m.lag, m.rtt, m.sealed, m.lastSealed, m.sealSeconds, m.probesRunning, m.storeErrors, m.skipped, m.lost,
		state("open_challenges", "GPU challenges that are begun and have no end yet.", func() float64 {
			c.mu.Lock()
			defer c.mu.Unlock()
			return float64(len(c.running))
		}),
		state("offers_known", "Providers to check whose offer is known.", func() float64 {
			c.mu.Lock()
			defer c.mu.Unlock()
			n := 0
			for _, p := range c.cfg.Providers {
				if _, ok := c.offers[p]; ok {
					n++
				}
			}
			return float64(n)
		}),
		state("ends_waiting", "Ends of challenges and failed probes that are in memory only.", func() float64 {
			c.mu.Lock()
			defer c.mu.Unlock()
			return float64(len(c.ends.list))
		}),
		state("paused", "1 while GPU challenges pause over a store that cannot be written.", func() float64 {
			if c.paused() {
				return 1
			}
			return 0
		}),
	}
	return m
}

// Describe is part of prometheus.Collector.
func (m *metrics) Describe(out chan<- *prometheus.Desc) {
	for _, c := range m.all {
		c.Describe(out)
	}
}

// Collect is part of prometheus.Collector.
func (m *metrics) Collect(out chan<- prometheus.Metric) {
	for _, c := range m.all {
		c.Collect(out)
	}
}

// register puts them into a registry; nil: a private one, which nobody reads.
func (m *metrics) register(r prometheus.Registerer) error {
	if r == nil {
		return nil
	}
	if err := r.Register(m); err != nil {
		return fmt.Errorf("register metrics: %w", err)
	}
	return nil
}

// verdict counts one verdict.
func (m *metrics) verdict(kind challenges.Kind, v challenges.Verdict) {
	m.verdicts.WithLabelValues(string(kind), v.Outcome.String()).Inc()
	if v.Outcome == challenges.Pass || v.Outcome == challenges.Late {
		m.elapsed.WithLabelValues(string(kind), v.Outcome.String()).Observe(v.Elapsed.Seconds())
	}
}

// lags observes how long each answer of a provider waited for ours. The events
// have their times from drive: when a frame was whole, and when the next left. A
// nonce may be kept back for other devices: that is no lag.
func (m *metrics) lags(events []challenges.Event) {
	var in time.Duration
	waits := false
	for i := range events {
		e := &events[i]
		switch {
		case e.Stream != challenges.StreamControl || e.End != challenges.EndNone:
		case !e.Out:
			in, waits = e.At, true
		case waits:
			if !challenges.StartsWalks(e.Frame) {
				m.lag.Observe((e.At - in).Seconds())
			}
			waits = false
		}
	}
}
