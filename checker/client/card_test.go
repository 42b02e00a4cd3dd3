package client

import (
	"crypto/ed25519"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/assaynet/assay/challenges"
	"github.com/assaynet/assay/challenges/identity"
	"github.com/assaynet/assay/challenges/memory"
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
				it.Card = report.CardPart{Identity: found.Sighting().Identity}
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
					if !strings.Contains(text, h.String()[:12]) {
						t.Errorf("%q does not name transcript %v", text, h)
					}
				}
			}
		})
	}
}

// TestCollectorConflictStays: no lie of another checker about the same cards hides a
// conflict that two transcripts show.
func TestCollectorConflictStays(t *testing.T) {
	r := network()
	for _, tt := range []struct {
		name string
		lie  func(mine report.Item) challenges.Hash // transcript that the liar names
	}{
		{"a transcript that sorts first", func(report.Item) challenges.Hash { return challenges.Hash{31: 1} }},
		{"the other's transcript", func(mine report.Item) challenges.Hash { return mine.Transcript }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			a, liar := newFakeChecker(t, keyB), newFakeChecker(t, keyA)
			show := func(provider ed25519.PrivateKey) report.Item {
				file := game{checker: keyB, provider: provider, attest: signs(1, provider)}.file(t)
				f, err := Verify(file, r, simulation())
				if err != nil || !f.OK {
					t.Fatalf("%+v, %v", f, err)
				}
				it := item(0, challenges.Pass)
				it.Challenge, it.Transcript, it.Card.Identity = challengeOf(t, file), a.keep(t, file), f.Sighting().Identity
				return it
			}
			mine, theirs := show(providerKey), show(otherKey)
			lie := item(0x33, challenges.Pass)
			lie.Transcript, lie.Card.Identity = tt.lie(mine), mine.Card.Identity
			a.seal(r, 0, saw(providerKey, "u", mine), saw(otherKey, "u", theirs))
			liar.seal(r, 0, saw(providerKey, "u", lie))
			for _, order := range [][]*fakeChecker{{a, liar}, {liar, a}} {
				col := NewCollector(r, clientsOf(order...), simulation())
				update(t, col)
				for _, p := range col.Providers() {
					if !slices.Contains(p.Flags, reputation.FlagIdentityConflict) {
						t.Errorf("%v: flags %v", p.ID.Short(), p.Flags)
					}
				}
			}
		})
	}
}

// TestCollectorAttested: a level from L3 on counts with a transcript that shows it, once
// for each checker and card; the word alone is L2 at most.
func TestCollectorAttested(t *testing.T) {
	r := network()
	a := newFakeChecker(t, keyA)
	said := item(1, challenges.Pass)
	said.Card = report.CardPart{Level: 4, Identity: challenges.Hash{1}}
	a.seal(r, 0, saw(providerKey, "u", said))
	col := NewCollector(r, clientsOf(a), simulation())
	update(t, col)
	s := col.standings[challenges.IDOf(providerKey)]
	if got := s.Cards[0].Words[0].Compute; got.Level != evidence.Attested-1 || got.Identity != (challenges.Hash{}) {
		t.Errorf("by its word: %+v", got)
	}
	if len(col.believed) > 0 {
		t.Errorf("believed: %v", col.believed)
	}
}

// TestCollectorShown: what a reader believes is what the transcript shows by its own
// trust, and it is asked for once for each claim.
func TestCollectorShown(t *testing.T) {
	r := network()
	a := newFakeChecker(t, keyA)
	for epoch := range uint64(3) {
		g := game{secret: byte(epoch), attest: signs(1, providerKey)}
		file := g.file(t)
		f, err := Verify(file, r, simulation())
		if err != nil || !f.OK {
			t.Fatalf("%+v, %v", f, err)
		}
		it := item(0, challenges.Pass)
		it.Challenge, it.Transcript = challengeOf(t, file), a.keep(t, file)
		it.Card = report.CardPart{Level: 4, Identity: f.Sighting().Identity} // it shows L0: no telemetry
		if epoch > 0 {
			it.Transcript = challenges.Hash{byte(epoch)} // not to be had
		}
		a.seal(r, epoch, saw(providerKey, "u", it))
	}
	col := NewCollector(r, clientsOf(a), simulation())
	update(t, col)
	got := col.standings[challenges.IDOf(providerKey)].Cards[0].Words[0].Compute
	if got.Level != 0 || got.Identity == (challenges.Hash{}) || got.At != 3 || len(col.believed) != 1 {
		t.Errorf("%+v, believed %v", got, col.believed)
	}
}

// TestCollectorBudget: a checker that claims without end is looked at for so long.
func TestCollectorBudget(t *testing.T) {
	r := network()
	a := newFakeChecker(t, keyA)
	var items []report.Item
	for i := range 2 * maxProofs {
		it := item(0, challenges.Pass)
		it.Challenge = challenges.Hash{byte(i >> 8), byte(i)}
		it.Transcript, it.Card.Contradict = challenges.Hash{byte(i >> 8), byte(i), 1}, "made-up"
		items = append(items, it)
	}
	wrong := item(0xff, challenges.Wrong)
	file := game{spoil: 1}.file(t)
	wrong.Challenge, wrong.Transcript = challengeOf(t, file), a.keep(t, file)
	items = append(items, wrong)
	slices.SortFunc(items, func(x, y report.Item) int { return x.Challenge.Compare(y.Challenge) })
	a.seal(r, 0, saw(providerKey, "u", items...))
	col := NewCollector(r, clientsOf(a), evidence.NVIDIA())
	update(t, col)
	if n := col.spent[challenges.IDOf(keyA)]; n != maxProofs {
		t.Errorf("%d transcripts asked for, want %d", n, maxProofs)
	}
	if p := only(t, col); p.Outcomes.Wrong != 1 || slices.Contains(p.Flags, reputation.FlagCardContradicted) {
		t.Errorf("outcomes %+v, flags %v", p.Outcomes, p.Flags)
	}
}

// TestBelongsByKind: rows of simulations are refused in a real network, of whatever
// kind, and rows of real cards are not.
func TestBelongsByKind(t *testing.T) {
	r := network()
	r.Simulated = false
	env := challenges.Seal(r.Hash(), challenges.KindTranscript, nil, keyA)
	deadline := func(profile uint16) time.Duration {
		row, err := challenges.LookupProfile(profile)
		if err != nil {
			t.Fatal(err)
		}
		return row.Deadline(1e15, time.Millisecond)
	}
	compute := func(profile uint16) challenges.Challenge {
		return challenges.Challenge{
			Kind: challenges.Matmul, Device: "gpu0", Deadline: deadline(profile),
			Params: challenges.Marshal(&challenges.ComputeParams{Profile: profile, Window: 1, Claim: 1e15, RTT: time.Millisecond}),
		}
	}
	walks := func(profile uint16, bytes uint64) challenges.Challenge {
		p := memory.Params{Profile: profile, Items: memory.Items(bytes)}
		return challenges.Challenge{Kind: challenges.Memory, Device: "gpu0", Deadline: p.Dataset().Deadline(p.RTT), Params: challenges.Marshal(&p)}
	}
	for _, tt := range []struct {
		name string
		c    challenges.Challenge
		ok   bool
	}{
		{"compute of a card", compute(1206), true},
		{"simulated compute", compute(8), false},
		{"memory of a card", walks(5006, 70<<30), true},
		{"simulated memory", walks(501, 2<<20), false},
		{"a probe", challenges.Challenge{Kind: challenges.Probe}, true},
	} {
		if err := belongs(env, tt.c, r); (err == nil) != tt.ok {
			t.Errorf("%s: %v", tt.name, err)
		}
	}
}
