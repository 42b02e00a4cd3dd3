package prover

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/assaynet/assay/challenges"
	"github.com/assaynet/assay/challenges/identity"
	"github.com/assaynet/assay/challenges/receipt"
	"github.com/assaynet/assay/gpu"
	"github.com/assaynet/assay/gpu/attest"
	"github.com/assaynet/assay/gpu/attest/synthetic"
	"github.com/assaynet/assay/gpu/telemetry"
)

// fakeCopies keeps copies in memory.
type fakeCopies struct {
	mu    sync.Mutex
	kept  map[challenges.Hash]receipt.Copy
	fault error
}

func newCopies() *fakeCopies { return &fakeCopies{kept: make(map[challenges.Hash]receipt.Copy)} }

func (f *fakeCopies) PutCopy(id challenges.Hash, c receipt.Copy) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.fault != nil {
		return f.fault
	}
	if old, ok := f.kept[id]; !ok || old.At == c.At || !strings.HasPrefix(c.Result, "refused_") {
		f.kept[id] = c // as the store does
	}
	return nil
}

// only is the one copy there is.
func (f *fakeCopies) only(t *testing.T) (challenges.Hash, receipt.Copy) {
	t.Helper()
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.kept) != 1 {
		t.Fatalf("%d copies", len(f.kept))
	}
	id := slices.Collect(maps.Keys(f.kept))[0]
	return id, f.kept[id]
}

// failing computes so many rounds.
type failing struct {
	gpu.Exact
	rounds int
	err    error
}

func (f *failing) Compute(ctx context.Context, key challenges.Hash, s challenges.Shape, c []byte) error {
	if f.rounds--; f.rounds < 0 {
		return f.err
	}
	return f.Exact.Compute(ctx, key, s, c)
}

// wrongly computes with every value off.
type wrongly struct{ gpu.Exact }

func (w wrongly) Compute(ctx context.Context, key challenges.Hash, s challenges.Shape, c []byte) error {
	err := w.Exact.Compute(ctx, key, s, c)
	for i := 0; i < len(c); i += s.Width() {
		c[i] ^= 1
	}
	return err
}

func TestCopies(t *testing.T) {
	sim := func(p gpu.Product) func(*testing.T, *Config) {
		return func(t *testing.T, c *Config) { c.Devices = []gpu.Device{simDevice(t, p)} }
	}
	for _, c := range []struct {
		name           string
		change         func(*testing.T, *Config)
		ask            func(*ask)
		silent         bool // the checker gives no receipt
		result, reason string
		outcome        challenges.Outcome
		fault          string
		frames         bool
		finding        receipt.Finding
	}{
		{"pass", nil, nil, false, resultAnswered, "", challenges.Pass, "", false, 0},
		{"wrong: the receipt comes in place of positions", sim(wrongly{}), of(1), false, resultLeft, "", challenges.Wrong, "", true, receipt.Agrees},
		{"a fault in the middle", sim(&failing{rounds: 2, err: &gpu.Fault{Class: gpu.FaultHang, Detail: "silent"}}), nil, false, resultFailed, challenges.AbortFault, challenges.Withheld, gpu.FaultHang, true, receipt.Agrees},
		{"refused", func(_ *testing.T, c *Config) { c.Ledger.(*fakeLedger).fault = errors.New("disk") }, nil, false, "refused_busy", "busy", challenges.Refused, "", true, receipt.Agrees},
		{"no receipt", nil, nil, true, resultAnswered, "", 0, "", false, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				kept := newCopies()
				w := newWorld(t, func(cfg *Config) {
					cfg.Copies = kept
					if c.change != nil {
						c.change(t, cfg)
					}
				})
				w.receipts = !c.silent
				_, _ = w.judge(w.ask(c.ask))
				synctest.Wait()
				id, got := kept.only(t)
				if got.Result != c.result || got.Reason != c.reason || got.Fault != c.fault || (len(got.Events) > 0) != c.frames || got.Check() != nil {
					t.Errorf("result %q, reason %q, fault %q, %d events, %v", got.Result, got.Reason, got.Fault, len(got.Events), got.Check())
				}
				f, err := got.Open(w.registry.Hash())
				if err != nil || f.ID != id || (f.Receipt == nil) != (c.outcome == 0) || f.Receipt != nil && f.Receipt.Outcome != c.outcome {
					t.Fatalf("%+v, %v", f, err)
				}
				j, err := got.Judge(w.registry.Hash())
				if c.frames && c.outcome != 0 && (err != nil || j.Finding != c.finding || j.Verdict.Outcome != c.outcome) {
					t.Errorf("%+v, %v", j, err)
				}
				if e := Explain(id, got, w.registry.Hash()); e.Outcome != c.outcome || e.Contradicts || e.Remedy == "" {
					t.Errorf("%+v", e)
				}
			})
		})
	}
}

// TestCopiesOfNobody: strangers and replays leave none, and a store that fails
// costs no challenge.
func TestCopiesOfNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		kept := newCopies()
		w := newWorld(t, func(c *Config) { c.Copies = kept })
		w.receipts = true
		w.refused(w.ask(func(a *ask) { a.key = strangerKey }))
		if len(kept.kept) != 0 {
			t.Error("a stranger's challenge was kept")
		}
		first := w.ask(nil)
		if _, err := w.judge(first); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		w.gate = NewGate(GateConfig{PerEpoch: 9})
		w.agent.cfg.Admission = w.gate
		if f := w.refused(first); f.Reason != challenges.ReasonReplay {
			t.Fatal(f.Reason)
		}
		if _, c := kept.only(t); c.Result != resultAnswered {
			t.Errorf("a replay's copy took its place: %s", c.Result)
		}
		kept.fault = errors.New("disk")
		if s, err := w.judge(w.ask(func(a *ask) { a.Seq = 2 })); err != nil || s.Verdict().Outcome != challenges.Pass {
			t.Error(err)
		}
		time.Sleep(time.Second)
	})
}

// What a card signs is in the result that it signs.
func TestAttestationInTheResult(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		maker := synthetic.New([32]byte{3})
		card := maker.Card(synthetic.CardConfig{})
		m := &signer{gauge: gauge{inventory: h100}, sign: func(nonce [32]byte) (gpu.Evidence, error) {
			e := card.Sign(nonce)
			return gpu.Evidence{Report: e.Report, Certificates: e.Chain}, nil
		}}
		w := newWorld(t, func(c *Config) { c.Monitors = map[string]gpu.Monitor{"gpu0": m} })
		s, err := w.judge(w.ask(of(1)))
		if err != nil || s.Verdict().Outcome != challenges.Pass {
			t.Fatalf("%+v, %v", s.Verdict(), err)
		}
		f, ok := identity.Result(s.Transcript())
		if !ok {
			t.Fatal("no result")
		}
		var a identity.Attestation
		if err := challenges.Unmarshal(f.Attestation, &a); err != nil {
			t.Fatal(err)
		}
		nonce := identity.Nonce(s.ID(), s.Challenge().Provider, identity.CoreHash(&f.Core))
		if r := attest.Verify(attest.Evidence{Report: a.Report, Chain: a.Chain, Nonce: &nonce}, maker.Trust(), attest.Reference{}); !r.Holds() {
			t.Error(r.Reasons)
		}
	})
}

// What the card said while it worked is in the signed result, and in the copy.
func TestTelemetryInTheResult(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		kept := newCopies()
		w := newWorld(t, func(c *Config) {
			c.Copies, c.Monitors = kept, map[string]gpu.Monitor{"gpu0": &gauge{inventory: h100}}
		})
		w.receipts = true
		s, err := w.judge(w.ask(of(1)))
		if err != nil || s.Verdict().Outcome != challenges.Pass {
			t.Fatalf("%+v, %v", s.Verdict(), err)
		}
		synctest.Wait()
		_, c := kept.only(t)
		var record telemetry.Record
		if err := challenges.Unmarshal(c.Telemetry, &record); err != nil || record.Inventory.Name != h100.Name || len(record.Snapshots) < 3 {
			t.Errorf("record %+v, %v", record, err)
		}
		var signed []byte
		for _, e := range s.Transcript().Events {
			var f challenges.ResultFrame
			if !e.Out && challenges.Unmarshal(e.Frame, &f) == nil {
				signed = f.Core.Telemetry
			}
		}
		if !slices.Equal(signed, c.Telemetry) {
			t.Errorf("%d bytes are signed, %d kept", len(signed), len(c.Telemetry))
		}
	})
}
