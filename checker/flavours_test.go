package checker_test

import (
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/assaynet/assay/challenges"
	"github.com/assaynet/assay/challenges/memory"
	"github.com/assaynet/assay/checker/report"
	"github.com/assaynet/assay/checker/reputation"
)

// TestFlavoursTakeTurns: of a device that is offered for all flavours, and with
// memory, each epoch asks for another one, and what is written down of it agrees: before it is sent,
// in the transcript, in the observation and in the standing.
func TestFlavoursTakeTurns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBed(t)
		b.honest()
		w := b.watch(fine)
		if err := w.runTo(40*time.Second, nil); err != nil {
			t.Fatal(err)
		}
		begun := w.store.begun
		if len(begun) != 8 {
			t.Fatalf("%d challenges in 8 epochs", len(begun))
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
			profile, claim := params(t, c)
			if x.Profile != profile || x.Claim != claim || x.Kind != c.Kind || x.Device != c.Device || x.Epoch != uint64(i) {
				t.Errorf("written down as %+v, sent as %+v of profile %d and claim %d", x, c, profile, claim)
			}
			asked[e.ID()] = x
			if i >= 4 && x.Profile != begun[i-4].Profile {
				t.Errorf("epoch %d: profile %d, want that of four epochs before, %d", i, x.Profile, begun[i-4].Profile)
			}
		}
		first := []uint16{begun[0].Profile, begun[1].Profile, begun[2].Profile, begun[3].Profile}
		slices.Sort(first)
		if !slices.Equal(first, []uint16{1, 3, 4, 501}) {
			t.Errorf("profiles %v of four turns, want one of each flavour and memory", first)
		}
		b.agree(asked)
	})
}

// params are the profile and the claim of a challenge of a device.
func params(t *testing.T, c challenges.Challenge) (profile uint16, claim uint64) {
	t.Helper()
	if c.Kind == challenges.Memory {
		p, err := c.MemoryParams()
		if err != nil {
			t.Fatal(err)
		}
		if p.Items != memory.Items(2<<20) {
			t.Errorf("a dataset of %d items, want that of all the memory of a sim-100", p.Items)
		}
		return p.Profile, 2 << 20
	}
	p, err := c.ComputeParams()
	if err != nil {
		t.Fatal(err)
	}
	return p.Profile, p.Claim
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
	for kind, want := range map[challenges.Kind]int{challenges.Matmul: 4, challenges.FMA: 2, challenges.Memory: 2} {
		infos, err := b.db.Transcripts(report.Query{Kind: kind, Outcome: challenges.Pass})
		if err != nil || len(infos) != want {
			b.t.Errorf("%d transcripts of kind %s, %v, want %d", len(infos), kind, err, want)
		}
	}
	s, err := b.db.Standing(b.provider)
	if err != nil {
		b.t.Fatal(err)
	}
	if bytes, claim := reputation.Proven(&s); bytes == nil || *bytes < claim*8/10 || claim != 2<<20 || len(s.Memory) != 2 {
		b.t.Errorf("figures of memory %+v, want two of nearly all of it", s.Memory)
	}
	for i, f := range challenges.Flavours() {
		claim := map[challenges.Flavour]uint64{challenges.Int8: 95e6, challenges.BF16: 95e6, challenges.FP64: 38e6}[f]
		if len(s.Rates) != 3 || s.Rates[i].Flavour != f || s.Rates[i].Claim != claim || s.Rates[i].Best < claim {
			b.t.Errorf("rates %+v, want the claim of %v, %d, and as much shown", s.Rates, f, claim)
		}
	}
}
