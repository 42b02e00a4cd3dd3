package prover

import (
	"bytes"
	"cmp"
	"context"
	"encoding/pem"
	"errors"
	"log/slog"
	"maps"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/assaynet/assay/challenges"
	"github.com/assaynet/assay/challenges/identity"
	"github.com/assaynet/assay/gpu"
	"github.com/assaynet/assay/gpu/attest"
	"github.com/assaynet/assay/gpu/attest/synthetic"
)

// signer is a card that signs what it is asked.
type signer struct {
	gauge

	sign  func(nonce [32]byte) (gpu.Evidence, error)
	hangs time.Duration // whatever the context says
	asked [][32]byte
}

func (s *signer) Attest(_ context.Context, nonce [32]byte) (gpu.Evidence, error) {
	s.asked = append(s.asked, nonce)
	time.Sleep(s.hangs)
	return s.sign(nonce)
}

// TestAttest: the card signs the nonce of exactly this result, and whatever goes wrong
// with that costs the result nothing but the attestation.
func TestAttest(t *testing.T) {
	maker := synthetic.New([32]byte{3})
	card := maker.Card(synthetic.CardConfig{})
	good := func(nonce [32]byte) (gpu.Evidence, error) {
		e := card.Sign(nonce)
		return gpu.Evidence{Report: e.Report, Certificates: pemOf(t, e.Chain)}, nil
	}
	for _, tt := range []struct {
		name  string
		sign  func([32]byte) (gpu.Evidence, error)
		hangs time.Duration
		left  time.Duration // until the challenge's deadline; 0: a minute
		core  func(*challenges.Core)
		took  time.Duration // at most
		signs bool
		how   string // in the metric; empty: failed
	}{
		{name: "signs", sign: good, signs: true, how: "attached"},
		{name: "cannot", sign: func([32]byte) (gpu.Evidence, error) { return gpu.Evidence{}, gpu.ErrNoAttestation }, how: "none"},
		{name: "fails", sign: func([32]byte) (gpu.Evidence, error) { return gpu.Evidence{}, errors.New("Unknown Error") }},
		{name: "slow", sign: good, hangs: 2 * time.Second, took: 2 * time.Second, signs: true, how: "attached"},
		{name: "hangs", sign: good, hangs: time.Hour, took: 3 * time.Second},
		{name: "would miss the deadline", sign: good, hangs: 2 * time.Second, left: 2 * time.Second, took: time.Second},
		{name: "after the deadline", sign: good, hangs: time.Second, left: -time.Second},
		{name: "no certificates", sign: func(n [32]byte) (gpu.Evidence, error) {
			e, _ := good(n)
			return gpu.Evidence{Report: e.Report}, nil
		}},
		{name: "certificates that are none", sign: func(n [32]byte) (gpu.Evidence, error) {
			e, _ := good(n)
			return gpu.Evidence{Report: e.Report, Certificates: []byte("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")}, nil
		}},
		{name: "a report beyond bounds", sign: func(n [32]byte) (gpu.Evidence, error) {
			e, _ := good(n)
			return gpu.Evidence{Report: make([]byte, identity.MaxReport+1), Certificates: e.Certificates}, nil
		}},
		{name: "no room beside the roots", sign: good, core: func(c *challenges.Core) {
			c.Roots, c.Telemetry = make([]challenges.Hash, 256), make([]byte, 4096)
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				if tt.left == 0 {
					tt.left = time.Minute
				}
				s := &signer{sign: tt.sign, hangs: tt.hangs}
				core := challenges.Core{Challenge: challenges.Hash{4}, Device: "gpu0", Roots: []challenges.Hash{{1}, {2}}}
				if tt.core != nil {
					tt.core(&core)
				}
				a := &Agent{id: challenges.NodeID{5}, log: slog.New(slog.DiscardHandler), metrics: newMetrics()}
				a.cfg.Monitors = map[string]gpu.Monitor{"gpu0": s}
				w := &work{agent: a, start: time.Now(), request: Request{ID: core.Challenge, Challenge: challenges.Challenge{Device: "gpu0", Deadline: tt.left}}}
				start := time.Now()
				got := w.attest(t.Context(), &core)
				counted(t, a, cmp.Or(tt.how, "failed"))
				if took := time.Since(start); took > tt.took {
					t.Errorf("took %v, want at most %v", took, tt.took)
				}
				if (got != nil) != tt.signs {
					t.Fatalf("%d bytes, want some: %v", len(got), tt.signs)
				}
				time.Sleep(2 * time.Hour) // let what hangs end
				synctest.Wait()
				if !tt.signs {
					return
				}
				want := identity.Nonce(core.Challenge, a.id, identity.CoreHash(&core))
				var carried identity.Attestation
				if err := challenges.Unmarshal(got, &carried); err != nil {
					t.Fatal(err)
				}
				r := attest.Verify(attest.Evidence{Report: carried.Report, Chain: carried.Chain, Nonce: &want}, maker.Trust(), attest.Reference{})
				if !r.Holds() || len(s.asked) != 1 || s.asked[0] != want {
					t.Errorf("asked for %x, want %x; %v", s.asked, want, r.Reasons)
				}
			})
		})
	}
}

// TestAttestUnread: a device that nothing reads is not asked.
func TestAttestUnread(t *testing.T) {
	a := &Agent{log: slog.New(slog.DiscardHandler), metrics: newMetrics()}
	w := &work{agent: a}
	if got := w.attest(t.Context(), &challenges.Core{Device: "gpu0"}); got != nil {
		t.Errorf("%d bytes", len(got))
	}
	counted(t, a, "")
}

// counted holds that the metric has one attestation, with this label; empty: none.
func counted(t *testing.T, a *Agent, how string) {
	t.Helper()
	r := prometheus.NewRegistry()
	r.MustRegister(a.metrics)
	families, err := r.Gather()
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]float64{}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			if f.GetName() == "assay_provider_attestations_total" {
				got[m.GetLabel()[0].GetValue()] = m.GetCounter().GetValue()
			}
		}
	}
	want := map[string]float64{"attached": 0, "none": 0, "failed": 0}
	if how != "" {
		want[how] = 1
	}
	if !maps.Equal(got, want) {
		t.Errorf("counted %v, want %v", got, want)
	}
}

// pemOf is a chain as drivers give it.
func pemOf(t *testing.T, chain []byte) []byte {
	t.Helper()
	certs, err := attest.ParseChain(chain)
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	for _, c := range certs {
		if err := pem.Encode(&out, &pem.Block{Type: "CERTIFICATE", Bytes: c.Raw}); err != nil {
			t.Fatal(err)
		}
	}
	return out.Bytes()
}
