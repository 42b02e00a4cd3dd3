package checker_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/assaynet/assay/challenges"
	"github.com/assaynet/assay/checker/committee"
	"github.com/assaynet/assay/checker/evidence"
	"github.com/assaynet/assay/gpu"
	"github.com/assaynet/assay/gpu/attest"
	"github.com/assaynet/assay/gpu/attest/synthetic"
	"github.com/assaynet/assay/gpu/models"
)

// TestItemsHaveTheirCard: what a result says and shows of its card is in the item, as
// far as the checker's trust goes at that time.
func TestItemsHaveTheirCard(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHall(t, func(p *committee.Params) { p.Slots = 0 })
		maker := synthetic.New([32]byte{1})
		card := maker.Card(synthetic.CardConfig{Driver: gpu.SimDriver, VBIOS: gpu.SimVBIOS})
		model, err := models.Lookup("sim-h100")
		if err != nil {
			t.Fatal(err)
		}
		m, err := gpu.NewSimMonitor(gpu.SimMonitorConfig{
			Model: model, UUID: "GPU-10f35015-e921-bfab-2eb8-4e9b6664d5f1", Busy: func() bool { return true },
			Attest: func(_ context.Context, nonce [32]byte) (gpu.Evidence, error) {
				e := card.Sign(nonce)
				return gpu.Evidence{Report: e.Report, Certificates: e.Chain}, nil
			},
		})
		if err != nil {
			t.Fatal(err)
		}
		h.monitors = map[string]gpu.Monitor{"gpu0": m}
		p := h.host(2, "o", nil, "sim-h100")
		h.make()
		time.AfterFunc(h.registry.Params.Epoch-time.Second, func() { h.checker.SetTrust(evidence.Trust{Roots: maker.Trust()}) })
		h.run(3 * h.registry.Params.Epoch)
		chain, err := attest.ParseChain(card.Sign([32]byte{}).Chain)
		if err != nil {
			t.Fatal(err)
		}
		for epoch, want := range []evidence.Level{0, 3, 3} {
			items := h.of(p, uint64(epoch))
			if len(items) == 0 {
				t.Errorf("epoch %d: no item", epoch)
			}
			for _, it := range items {
				identity := challenges.Hash{}
				if want > 0 {
					identity = chain.DeviceID()
				}
				if it.Outcome != challenges.Pass || it.Card.Level != want || it.Card.Model != "sim-h100" || it.Card.Identity != identity || it.Card.Contradict != "" {
					t.Errorf("epoch %d: %v, card %+v", epoch, it.Outcome, it.Card)
				}
			}
		}
	})
}
