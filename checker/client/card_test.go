package client

import (
	"crypto/ed25519"
	"slices"
	"strings"
	"testing"

	"github.com/assaynet/assay/challenges"
	"github.com/assaynet/assay/challenges/identity"
	"github.com/assaynet/assay/checker/evidence"
	"github.com/assaynet/assay/checker/report"
	"github.com/assaynet/assay/checker/reputation"
	"github.com/assaynet/assay/gpu/attest"
	"github.com/assaynet/assay/gpu/attest/synthetic"
	"github.com/assaynet/assay/gpu/telemetry"
)

var vendor = synthetic.New([32]byte{4})

// signs has card number n sign the results of a provider.
func signs(n byte, provider ed25519.PrivateKey) func(challenges.Hash, *challenges.Core) []byte {
	card := vendor.Card(synthetic.CardConfig{PDI: attest.PDI{7: n}})
	return func(id challenges.Hash, core *challenges.Core) []byte {
		e := card.Sign(identity.Nonce(id, challenges.IDOf(provider), identity.CoreHash(core)))
		chain, err := attest.ParseChain(e.Chain)
		if err != nil {
			panic(err)
		}
		return challenges.Marshal(&identity.Attestation{Report: e.Report, Chain: chain.DER()})
	}
}

// fake says of a card what none says: it is a model's, with another's compute capability.
func fake() []byte {
	return challenges.Marshal(&telemetry.Record{Inventory: telemetry.Inventory{
		Name: "NVIDIA H100 80GB HBM3", UUID: "GPU-10f35015-e921-bfab-2eb8-4e9b6664d5f1", Driver: "550.90.07", Major: 8, Minor: 9, Cores: 16384, BusBits: 384,
		PCIDevice: 0x268410de,
	}})
}

func simulation() evidence.Trust { return evidence.Trust{Roots: vendor.Trust()} }

// TestVerifyCard: what a result shows of its card is in the document, the same every
// time, and for whoever trusts the vendor only.
func TestVerifyCard(t *testing.T) {
	file := game{attest: signs(1, providerKey)}.file(t)
	f, err := Verify(file, network(), simulation())
	if err != nil || !f.OK {
		t.Fatalf("%+v, %v", f, err)
	}
	a := f.Card.Attestation
	if a == nil || a.Grade != attest.GradeIdentity || !f.Simulated || f.Attested || *f.Level != 0 || f.Card.Plausible {
		t.Errorf("%+v, card %+v", f, f.Card)
	}
	if s := f.Sighting(); s.Identity == (challenges.Hash{}) || s.Provider != challenges.IDOf(providerKey) || s.Device != device {
		t.Errorf("sighting %+v", s)
	}
	f, err = Verify(file, network(), evidence.NVIDIA())
	if err != nil || !f.OK || f.Card.Attestation.Grade != attest.GradeNone || f.Sighting().Identity != (challenges.Hash{}) {
		t.Errorf("with NVIDIA's roots: %+v, %v", f, err)
	}
	f, err = Verify(game{telemetry: fake()}.file(t), network(), evidence.NVIDIA())
	if err != nil || !f.OK || f.Claims.Genuine != evidence.IsRefuted || len(f.Card.Findings) == 0 || !f.Card.Findings[0].Hard || f.Card.Findings[0].Source == "" {
		t.Errorf("of a card that none is: %+v, %+v, %v", f, f.Card, err)
	}
}

// TestCollectorContradiction: what a checker says of a card counts with the transcript
// that shows it, and not by itself: else one could call any provider's card a fake.
func TestCollectorContradiction(t *testing.T) {
	r := network()
	for _, tt := range []struct {
		name  string
		games []game // one an item; nil telemetry: the checker makes it up
		want  bool
	}{
		{"shown", []game{{telemetry: fake()}, {telemetry: fake(), secret: 1}, {telemetry: fake(), secret: 2}}, true},
		{"made up", []game{{}, {secret: 1}, {secret: 2}}, false},
		{"two shown, one made up", []game{{telemetry: fake()}, {telemetry: fake(), secret: 1}, {secret: 2}}, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			a := newFakeChecker(t, keyA)
			var items []report.Item
			for _, g := range tt.games {
				file := g.file(t)
				it := item(0, challenges.Pass)
				it.Challenge, it.Transcript = challengeOf(t, file), a.keep(t, file)
				it.Card = report.CardPart{Model: "h100-sxm", Contradict: "capability"}
				items = append(items, it)
			}
			slices.SortFunc(items, func(a, b report.Item) int { return a.Challenge.Compare(b.Challenge) })
			a.seal(r, 0, saw(providerKey, "u", items...))
			col := NewCollector(r, clientsOf(a), evidence.NVIDIA())
			update(t, col)
			if p := only(t, col); slices.Contains(p.Flags, reputation.FlagCardContradicted) != tt.want || p.ByKind["matmul"].Pass != 3 {
				t.Errorf("flags %v, cards %+v, %+v", p.Flags, p.Cards, p.ByKind["matmul"])
			}
		})
	}
}

// TestCollectorConflict: one card under two agents. Both are marked, neither counts as
// attested, and the transcripts that show it are named. A checker's word alone marks
// nobody.
func TestCollectorConflict(t *testing.T) {
	r := network()
	for _, tt := range []struct {
		name         string
		mine, theirs byte // cards
		invented     bool // the second item's identity is the checker's invention
		want         bool
	}{
		{"two cards", 1, 2, false, false},
		{"one card", 1, 1, false, true},
		{"an invented one", 1, 2, true, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			a, b := newFakeChecker(t, keyA), newFakeChecker(t, keyB)
			var identities []challenges.Hash
			show := func(f *fakeChecker, n byte, checker, provider ed25519.PrivateKey) report.Item {
				file := game{checker: checker, provider: provider, attest: signs(n, provider)}.file(t)
				found, err := Verify(file, r, simulation())
				if err != nil || !found.OK {
					t.Fatalf("%+v, %v", found, err)
				}
				it := item(0, challenges.Pass)
				it.Challenge, it.Transcript = challengeOf(t, file), f.keep(t, file)
				it.Card = report.CardPart{Level: 3, Identity: found.Sighting().Identity}
				identities = append(identities, it.Card.Identity)
				return it
			}
			mine, theirs := show(a, tt.mine, keyA, providerKey), show(b, tt.theirs, keyB, otherKey)
			if tt.invented {
				theirs.Card.Identity = identities[0]
			}
			a.seal(r, 0, saw(providerKey, "u", mine))
			b.seal(r, 0, saw(otherKey, "u", theirs))
			col := NewCollector(r, clientsOf(a, b), simulation())
			update(t, col)
			all := col.Providers()
			if len(all) != 2 {
				t.Fatalf("%d providers", len(all))
			}
			for _, p := range all {
				if got := slices.Contains(p.Flags, reputation.FlagIdentityConflict); got != tt.want || p.Attested {
					t.Errorf("%v: flags %v, attested %v, want the flag: %v", p.ID, p.Flags, p.Attested, tt.want)
				}
				if !tt.want {
					continue
				}
				text := p.Reasons[len(p.Reasons)-1].Detail
				for _, h := range []challenges.Hash{mine.Transcript, theirs.Transcript} {
					if !strings.Contains(text, short(h)) {
						t.Errorf("%q does not name transcript %v", text, h)
					}
				}
			}
		})
	}
}

// TestConflictTakesTheLevel from the device and from its provider.
func TestConflictTakesTheLevel(t *testing.T) {
	mine := evidence.Sighting{Provider: challenges.NodeID{1}, Device: "gpu1"}
	p := Provider{ID: mine.Provider, Level: 4, Attested: true, Cards: []Card{{Device: "gpu0", Level: 4}, {Device: "gpu1", Level: 4}}}
	p.conflict([]evidence.Conflict{{A: evidence.Sighting{Provider: challenges.NodeID{0}, Device: "x"}, B: mine}})
	if p.Level != 2 || p.Attested || p.Cards[0].Level != 4 || p.Cards[1].Level != 2 || len(p.Flags) != 1 || len(p.Reasons) != 1 {
		t.Errorf("%+v", p)
	}
	if p.conflict(nil); len(p.Flags) != 1 {
		t.Errorf("flags %v", p.Flags)
	}
}
