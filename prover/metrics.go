package prover

import (
	"fmt"
	"slices"
	"strings"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/assaynet/assay/challenges"
)

// Results of a challenge that came in, as metrics and logs name them; a refusal
// is refused_ and its reason.
const (
	resultAnswered = "answered"
	resultAborted  = "aborted" // the machine under a simulated device was too slow
	resultLeft     = "left"    // the checker left, said nothing, or broke the protocol
	resultYielded  = "yielded" // a tenant came
	resultFailed   = "failed"  // our own fault
)

var reasons = []string{
	challenges.ReasonBusy, challenges.ReasonCollision, challenges.ReasonQuota, challenges.ReasonTenant, challenges.ReasonDrain,
	challenges.ReasonUnsupported, challenges.ReasonNotMember, challenges.ReasonReplay, challenges.ReasonFault,
}

// refused is the result of a refusal. An admission of somebody else's may have
// reasons of its own.
func refused(reason string) string {
	if slices.Contains(reasons, reason) {
		return "refused_" + strings.ReplaceAll(reason, "-", "_")
	}
	return "refused_other"
}

// Operations of the ledger.
const (
	opUse   = "use"
	opEnded = "ended"
	opCopy  = "copy"
)

// metrics is what one agent counts, registered as one collector. No label names a
// checker or a challenge: each label takes its values from a list in the code, so
// that no peer can make series.
type metrics struct {
	challenges   *prometheus.CounterVec // result
	running      prometheus.Gauge
	round        prometheus.Histogram
	openings     prometheus.Counter
	attestations *prometheus.CounterVec // result
	probes       prometheus.Counter
	strangers    prometheus.Counter
	offers       prometheus.Counter
	ledger       *prometheus.CounterVec // op
}

func newMetrics() *metrics {
	opts := func(name, help string) prometheus.Opts {
		return prometheus.Opts{Namespace: "assay", Subsystem: "provider", Name: name, Help: help}
	}
	counter := func(name, help string) prometheus.Counter {
		return prometheus.NewCounter(prometheus.CounterOpts(opts(name, help)))
	}
	counters := func(name, help string, labels ...string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts(opts(name, help)), labels)
	}
	m := &metrics{
		challenges: counters("challenges_total", "Authentic challenges that came in, by how they ended.", "result"),
		running:    prometheus.NewGauge(prometheus.GaugeOpts(opts("running_challenges", "Challenges that hold a device."))),
		round: prometheus.NewHistogram(prometheus.HistogramOpts{
			Namespace: "assay", Subsystem: "provider", Name: "round_seconds",
			Help:    "From asking the device for a round's product to its root, with the wait for the positions that its key needs.",
			Buckets: []float64{.001, .0025, .005, .01, .025, .05, .075, .1, .15, .25, .5, 1, 2.5, 10},
		}),
		openings:     counter("opening_bytes_total", "Bytes of openings sent."),
		attestations: counters("attestations_total", "Results of cards that can be read, by whether the card signed them.", "result"),
		probes:       counter("probes_total", "Probes that were answered to the end."),
		strangers:    counter("strangers_limited_total", "Probes of strangers beyond their allowance."),
		offers:       counter("offers_served_total", "Offers sent."),
		ledger:       counters("ledger_errors_total", "Operations of the ledger that failed, by operation.", "op"),
	}
	for _, r := range []string{resultAnswered, resultAborted, resultLeft, resultYielded, resultFailed} {
		m.challenges.WithLabelValues(r)
	}
	for _, r := range reasons {
		m.challenges.WithLabelValues(refused(r))
	}
	for _, how := range []string{attestAttached, attestNone, attestFailed} {
		m.attestations.WithLabelValues(how)
	}
	m.ledger.WithLabelValues(opUse)
	m.ledger.WithLabelValues(opEnded)
	m.ledger.WithLabelValues(opCopy)
	return m
}

func (m *metrics) all() []prometheus.Collector {
	return []prometheus.Collector{m.challenges, m.running, m.round, m.openings, m.attestations, m.probes, m.strangers, m.offers, m.ledger}
}

// Describe is part of prometheus.Collector.
func (m *metrics) Describe(out chan<- *prometheus.Desc) {
	for _, c := range m.all() {
		c.Describe(out)
	}
}

// Collect is part of prometheus.Collector.
func (m *metrics) Collect(out chan<- prometheus.Metric) {
	for _, c := range m.all() {
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
