package checker_test

import (
	"context"
	"slices"
	"testing"
	"testing/synctest"

	"github.com/assaynet/assay/challenges"
	"github.com/assaynet/assay/checker/committee"
	"github.com/assaynet/assay/checker/evidence"
	"github.com/assaynet/assay/checker/reputation"
	"github.com/assaynet/assay/gpu"
	"github.com/assaynet/assay/gpu/attest"
	"github.com/assaynet/assay/gpu/attest/synthetic"
	"github.com/assaynet/assay/gpu/models"
)

// TestOneCardUnderTwoNames: two providers whose results one card signs are a conflict
// to the checker that has both transcripts, and neither is attested to it.
func TestOneCardUnderTwoNames(t *testing.T) {
	for _, shared := range []bool{true, false} {
		synctest.Test(t, func(t *testing.T) {
			h := newHall(t, func(p *committee.Params) { p.Slots = 0 })
			maker := synthetic.New([32]byte{1})
			h.trust = evidence.Trust{Roots: maker.Trust()}
			model, err := models.Lookup("sim-h100")
			if err != nil {
				t.Fatal(err)
			}
			var ids []challenges.NodeID
			for i := range byte(2) {
				cfg := synthetic.CardConfig{Driver: gpu.SimDriver, VBIOS: gpu.SimVBIOS}
				if !shared {
					cfg.PDI = attest.PDI{7: i}
				}
				card := maker.Card(cfg)
				m, err := gpu.NewSimMonitor(gpu.SimMonitorConfig{
					Model: model, UUID: "GPU-10f35015-e921-bfab-2eb8-4e9b6664d5f" + string('0'+rune(i)), Busy: func() bool { return true },
					Attest: func(_ context.Context, nonce [32]byte) (gpu.Evidence, error) {
						e := card.Sign(nonce)
						return gpu.Evidence{Report: e.Report, Certificates: e.Chain}, nil
					},
				})
				if err != nil {
					t.Fatal(err)
				}
				h.monitors = map[string]gpu.Monitor{"gpu0": m}
				ids = append(ids, h.host(2+i, "o"+string('0'+rune(i)), nil, "sim-h100"))
			}
			h.run(6 * h.registry.Params.Epoch)
			want := evidence.Level(3)
			if shared {
				want = 2
			}
			for _, id := range ids {
				s, err := h.db.Standing(id)
				if err != nil {
					t.Fatal(err)
				}
				p := &h.registry.Params
				if flag := slices.Contains(reputation.Flags(&s, p), reputation.FlagIdentityConflict); flag != shared || reputation.LevelOf(&s, p) != want {
					t.Errorf("shared %v: flags %v, level %v; conflicts %+v", shared, reputation.Flags(&s, p), reputation.LevelOf(&s, p), s.Conflicts)
				}
			}
		})
	}
}
