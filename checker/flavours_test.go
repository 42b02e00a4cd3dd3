package checker_test

import (
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/assaynet/assay/challenges"
	"github.com/assaynet/assay/checker/report"
)

// TestFlavoursTakeTurns: of a device that is offered for all flavours each epoch
// asks for another one, and what is written down of it agrees: before it is sent,
// in the transcript, in the observation and in the standing.
func TestFlavoursTakeTurns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBed(t)
		b.honest()
		w := b.watch(fine)
		if err := w.runTo(30*time.Second, nil); err != nil {
			t.Fatal(err)
		}
		begun := w.store.begun
		if len(begun) != 6 {
			t.Fatalf("%d challenges in 6 epochs", len(begun))
		}
		asked := make(map[challenges.Hash]report.Begun)
		for i, x := range begun {
			e, err := challenges.DecodeEnvelope(x.Challenge)
			if err != nil {
				t.Fatal(err)
			}
			c, err := challenges.OpenChallenge(e, b.registry.Hash())
			if err != nil {
				t.Fatal(err)
			}
			p, err := c.ComputeParams()
			if err != nil {
				t.Fatal(err)
			}
			if x.Profile != p.Profile || x.Claim != p.Claim || x.Kind != c.Kind || x.Device != c.Device || x.Epoch != uint64(i) {
				t.Errorf("written down as %+v, sent as %+v with %+v", x, c, p)
			}
			asked[e.ID()] = x
			if i >= 3 && x.Profile != begun[i-3].Profile {
				t.Errorf("epoch %d: profile %d, want that of three epochs before, %d", i, x.Profile, begun[i-3].Profile)
			}
		}
		first := []uint16{begun[0].Profile, begun[1].Profile, begun[2].Profile}
		slices.Sort(first)
		if !slices.Equal(first, []uint16{1, 3, 4}) {
			t.Errorf("profiles %v of three turns, want one of each flavour", first)
		}
		b.agree(asked)
	})
}

// agree holds items, transcripts and the standing against what was asked for.
func (b *bed) agree(asked map[challenges.Hash]report.Begun) {
	b.t.Helper()
	envelopes, err := b.db.Observations(0, 100)
	if err != nil {
		b.t.Fatal(err)
	}
	items := 0
	for _, e := range envelopes {
		o, err := report.OpenObservation(e, b.registry.Hash())
		if err != nil {
			b.t.Fatal(err)
		}
		for _, it := range o.Items {
			items++
			x := asked[it.Challenge]
			if it.Profile != x.Profile || it.Kind != x.Kind || it.Claim != x.Claim || it.Outcome != challenges.Pass || it.OpsLower == 0 {
				b.t.Errorf("item %+v of %+v", it, x)
			}
		}
	}
	if items != len(asked) {
		b.t.Errorf("%d items of %d challenges", items, len(asked))
	}
	for kind, want := range map[challenges.Kind]int{challenges.Matmul: 4, challenges.FMA: 2} {
		infos, err := b.db.Transcripts(report.Query{Kind: kind, Outcome: challenges.Pass})
		if err != nil || len(infos) != want {
			b.t.Errorf("%d transcripts of kind %s, %v, want %d", len(infos), kind, err, want)
		}
	}
	s, err := b.db.Standing(b.provider)
	if err != nil {
		b.t.Fatal(err)
	}
	for i, f := range challenges.Flavours() {
		claim := map[challenges.Flavour]uint64{challenges.Int8: 95e6, challenges.BF16: 95e6, challenges.FP64: 38e6}[f]
		if len(s.Rates) != 3 || s.Rates[i].Flavour != f || s.Rates[i].Claim != claim || s.Rates[i].Best < claim {
			b.t.Errorf("rates %+v, want the claim of %v, %d, and as much shown", s.Rates, f, claim)
		}
	}
}
