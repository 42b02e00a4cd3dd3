package evidence

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/assaynet/assay/challenges"
	"github.com/assaynet/assay/challenges/identity"
	"github.com/assaynet/assay/gpu/attest"
	"github.com/assaynet/assay/gpu/attest/synthetic"
	"github.com/assaynet/assay/gpu/models"
	"github.com/assaynet/assay/gpu/telemetry"
)

const (
	driver = "550.90.07"
	vbios  = "96.00.9F.00.01"
)

var maker = synthetic.New([32]byte{9})

// simulation trusts the maker's roots, and has the manifests of its cards.
func simulation(t testing.TB) Trust {
	t.Helper()
	trust := Trust{Roots: maker.Trust()}
	for _, b := range maker.RIMs(card()) {
		rim, err := attest.ParseRIM(b, trust.Roots)
		if err != nil {
			t.Fatal(err)
		}
		trust.Reference.RIMs = append(trust.Reference.RIMs, rim)
	}
	return trust
}

func card(edits ...func(*synthetic.CardConfig)) *synthetic.Card {
	cfg := synthetic.CardConfig{Kind: synthetic.Hopper, Driver: driver, VBIOS: vbios, PDI: attest.PDI{7: 1}}
	for _, e := range edits {
		e(&cfg)
	}
	return maker.Card(cfg)
}

// honest is what the driver of a simulated H100 says during a challenge.
func honest(elapsed time.Duration, edits ...func(*telemetry.Record)) []byte {
	s, err := models.Lookup("sim-h100")
	if err != nil {
		panic(err)
	}
	r := telemetry.Record{Inventory: telemetry.Inventory{
		Name: s.Names[0], UUID: "GPU-10f35015-e921-bfab-2eb8-4e9b6664d5f1", Serial: "1654123038646", PCI: "0000:19:00.0",
		Driver: driver, NVML: "12." + driver, CUDA: "12.4", VBIOS: vbios, PCIDevice: uint32(s.PCI[0])<<16 | 0x10de, PCISubsystem: 0x16c110de,
		Major: 9, Cores: uint32(s.SMs * 128), BusBits: uint32(s.BusBits), PowerMax: uint32(s.Watts * 1000), Confidential: "on",
	}}
	energy := int64(1e9)
	for i := range int64(5) {
		snapshot := telemetry.Snapshot{At: elapsed * time.Duration(i) / 4}
		power := 400_000 + 1000*i*i
		for k, v := range map[telemetry.Kind]int64{
			telemetry.Energy: energy, telemetry.Power: power, telemetry.PowerLimit: 700_000, telemetry.ClockSM: 1900 + 5*i, telemetry.ClockSMMax: 1980,
			telemetry.ClockMemory: 2619, telemetry.ClockMemoryMax: 2619, telemetry.Temperature: 50 + i, telemetry.MemoryTotal: int64(s.Memory) / 1000 * 985,
			telemetry.MemoryUsed: int64(s.Memory) / 2, telemetry.UtilGPU: 100, telemetry.ECC: 1,
		} {
			snapshot.Set(k, v)
		}
		energy += int64(float64(power) * elapsed.Seconds() / 4)
		r.Snapshots = append(r.Snapshots, snapshot)
	}
	for _, e := range edits {
		e(&r)
	}
	return challenges.Marshal(&r)
}

// plain is honest as a player takes it.
func plain(elapsed time.Duration) []byte { return honest(elapsed) }

func with(edit func(*telemetry.Record)) func(time.Duration) []byte {
	return func(elapsed time.Duration) []byte { return honest(elapsed, edit) }
}

// carry puts what a card signed into the form of a result.
func carry(e attest.Evidence) []byte {
	chain, err := attest.ParseChain(e.Chain)
	if err != nil {
		panic(err)
	}
	return challenges.Marshal(&identity.Attestation{Report: e.Report, Chain: chain.DER()})
}

// signs has a card sign as an agent should.
func signs(c *synthetic.Card) func(challenges.Hash, *challenges.Core) []byte {
	return func(id challenges.Hash, core *challenges.Core) []byte {
		return carry(c.Sign(identity.Nonce(id, challenges.IDOf(providerKey), identity.CoreHash(core))))
	}
}

// TestCard: what telemetry and attestation make of the level, the claim and its grade,
// and which reason is given. The verdict is a pass whatever they say.
func TestCard(t *testing.T) {
	var other challenges.Hash
	agent := challenges.IDOf(checkerKey)
	for _, tt := range []struct {
		name    string
		player  player
		level   Level
		genuine Shown
		grade   Grade
		signed  bool   // the card's identity holds
		reason  string // one of the reasons' codes; empty: none is asked for
	}{
		{"nothing", player{}, 0, IsUnknown, GradeNone, false, ""},
		{"telemetry", player{telemetry: plain}, 2, IsUnknown, GradeClaimed, false, ""},
		{"signed by the card", player{telemetry: plain, attest: signs(card())}, 4, IsShown, GradeSigned, true, string(attest.CodeSimulated)},
		{"signed in the new format", player{telemetry: plain, attest: signs(card(func(c *synthetic.CardConfig) { c.Format = attest.FormatNVDAOD }))}, 4, IsShown, GradeSigned, true, ""},
		{"signed, and nothing told", player{attest: signs(card())}, 0, IsUnknown, GradeNone, true, ""},
		{
			"another driver than there is a manifest of",
			player{telemetry: plain, attest: signs(card(func(c *synthetic.CardConfig) { c.Driver = "570.1" }))},
			3, IsShown, GradeSigned, true, CodeIdentityDriver,
		},
		{
			"another VBIOS",
			player{telemetry: plain, attest: signs(card(func(c *synthetic.CardConfig) { c.VBIOS = "96.00.9F.00.02" }))},
			3, IsShown, GradeSigned, true, CodeIdentityVBIOS,
		},
		{
			"a card of another chip",
			player{telemetry: plain, attest: signs(card(func(c *synthetic.CardConfig) { *c = synthetic.CardConfig{Kind: synthetic.Blackwell} }))},
			0, IsRefuted, GradeClaimed, true, CodeIdentityChip,
		},
		{
			"outside confidential mode",
			player{
				telemetry: with(func(r *telemetry.Record) { r.Inventory.Major, r.Inventory.VBIOS = 0, "" }),
				attest:    signs(card(func(c *synthetic.CardConfig) { *c = synthetic.CardConfig{Kind: synthetic.FSP} })),
			},
			0, IsUnknown, GradeNone, true, CodeIdentityPCI,
		},
		{
			"a switch",
			player{telemetry: plain, attest: signs(card(func(c *synthetic.CardConfig) { *c = synthetic.CardConfig{Kind: synthetic.Switch} }))},
			2, IsUnknown, GradeClaimed, false, "",
		},

		// The nonce binds the report to this result, and to no other.
		{"a report for another challenge", player{telemetry: plain, attest: func(_ challenges.Hash, core *challenges.Core) []byte {
			return carry(card().Sign(identity.Nonce(other, challenges.IDOf(providerKey), identity.CoreHash(core))))
		}}, 2, IsUnknown, GradeClaimed, false, string(attest.CodeNonceMismatch)},
		{"a report for another agent", player{telemetry: plain, attest: func(id challenges.Hash, core *challenges.Core) []byte {
			return carry(card().Sign(identity.Nonce(id, agent, identity.CoreHash(core))))
		}}, 2, IsUnknown, GradeClaimed, false, string(attest.CodeNonceMismatch)},
		{"a report for another core", player{telemetry: plain, attest: func(id challenges.Hash, core *challenges.Core) []byte {
			said := *core
			said.Telemetry = nil // signed before the telemetry was put in
			return carry(card().Sign(identity.Nonce(id, challenges.IDOf(providerKey), identity.CoreHash(&said))))
		}}, 2, IsUnknown, GradeClaimed, false, string(attest.CodeNonceMismatch)},
		{
			"another maker's card",
			player{telemetry: plain, attest: signs(synthetic.New([32]byte{8}).Card(synthetic.CardConfig{}))},
			2, IsUnknown, GradeClaimed, false, "",
		},
		{"one bit of the report", player{telemetry: plain, attest: func(id challenges.Hash, core *challenges.Core) []byte {
			e := card().Sign(identity.Nonce(id, challenges.IDOf(providerKey), identity.CoreHash(core)))
			e.Report[200] ^= 1
			return carry(e)
		}}, 2, IsUnknown, GradeClaimed, false, string(attest.CodeSignature)},
		{
			"no attestation at all",
			player{telemetry: plain, attest: func(challenges.Hash, *challenges.Core) []byte { return []byte("signed, honestly") }},
			2, IsUnknown, GradeClaimed, false, CodeAttestationForm,
		},

		// Telemetry.
		{"no record", player{telemetry: func(time.Duration) []byte { return []byte("all is well") }}, 0, IsUnknown, GradeNone, false, CodeTelemetryForm},
		{
			"an empty record",
			player{telemetry: func(time.Duration) []byte { return challenges.Marshal(&telemetry.Record{}) }},
			0, IsUnknown, GradeNone, false, CodeTelemetryLacking,
		},
		{"one name, another card", player{telemetry: with(func(r *telemetry.Record) {
			r.Inventory.Major, r.Inventory.Minor, r.Inventory.Cores, r.Inventory.BusBits = 8, 9, 16384, 384
		})}, 0, IsRefuted, GradeClaimed, false, ""},
		{"a signature does not make up for a contradiction", player{telemetry: with(func(r *telemetry.Record) {
			r.Inventory.Major, r.Inventory.Minor, r.Inventory.Cores, r.Inventory.BusBits = 8, 9, 16384, 384
		}), attest: signs(card())}, 0, IsRefuted, GradeClaimed, true, ""},
		{
			"a part of a card",
			player{telemetry: with(func(r *telemetry.Record) { r.Inventory.MIG = true }), attest: signs(card())},
			2, IsUnknown, GradeClaimed, true, telemetry.CodeSlice,
		},

		// Without a pass with a figure the level ends at telemetry.
		{"late", player{telemetry: plain, attest: signs(card()), round: 200 * time.Millisecond}, 1, IsUnknown, GradeClaimed, true, ""},
		{"no figure", player{telemetry: plain, attest: signs(card()), far: true}, 1, IsUnknown, GradeClaimed, true, ""},
		{"withheld", player{telemetry: plain, stop: 2}, 0, IsUnknown, GradeNone, false, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := tt.player.play(t)
			a, err := Assess(s.Transcript(), s.Challenge(), simulation(t))
			if err != nil {
				t.Fatal(err)
			}
			if a.Level != tt.level || a.Claims.Genuine != tt.genuine || a.Grades.Genuine != tt.grade {
				t.Errorf("%v, genuine %v, grade %v; want %v, %v, %v; reasons %v, findings %v", a.Level, a.Claims.Genuine, a.Grades.Genuine, tt.level, tt.genuine, tt.grade, a.Reasons, a.Card.Findings)
			}
			if signed := a.Card.Identity != (challenges.Hash{}); signed != tt.signed {
				t.Errorf("identity %v, want one: %v", a.Card.Identity, tt.signed)
			}
			if tt.reason != "" && !slices.ContainsFunc(a.Reasons, func(r Reason) bool { return r.Code == tt.reason }) {
				t.Errorf("reasons %v, want %s among them", a.Reasons, tt.reason)
			}
			if len(a.Raise) != 1 || a.Raise[0] == "" {
				t.Errorf("raise %q", a.Raise)
			}
			if !a.Card.Simulated {
				t.Error("a simulated device without the mark")
			}
			for _, r := range a.Reasons {
				if r.Code == "" || r.Detail == "" || strings.ContainsFunc(r.Detail, func(c rune) bool { return c < ' ' }) {
					t.Errorf("reason %+v", r)
				}
			}
			// Whoever does not trust the simulation's roots has it at L0, and the verdict is
			// the same.
			b, err := Assess(s.Transcript(), s.Challenge(), NVIDIA())
			if err != nil || b.Verdict != a.Verdict || b.Level != 0 || b.Claims.Genuine == IsShown {
				t.Errorf("with NVIDIA's roots: %+v, %v", b, err)
			}
		})
	}
}

// TestLook: a result that is not of this challenge, or not of its device, says nothing.
// The session does not take one; whoever looks at a transcript by itself must not either.
func TestLook(t *testing.T) {
	s := player{telemetry: plain, attest: signs(card())}.play(t)
	tr := s.Transcript()
	if k := Look(tr, s.Challenge(), tr.Verdict, simulation(t)); !k.Told || k.Identity == (challenges.Hash{}) || !k.Measured {
		t.Fatalf("the honest one: %+v", k)
	}
	c := s.Challenge()
	c.Device = "gpu1"
	if k := Look(tr, c, tr.Verdict, simulation(t)); k.Told || k.Attestation != nil {
		t.Errorf("of another device: %+v", k)
	}
	other := player{profile: smallBF16}.play(t).Transcript()
	mixed := tr
	mixed.Challenge = other.Challenge
	if k := Look(mixed, s.Challenge(), tr.Verdict, simulation(t)); k.Told || k.Attestation != nil {
		t.Errorf("of another challenge: %+v", k)
	}
}

// TestEveryBitOfAnAttestation: a result whose attestation was changed by anybody but
// the card never reaches the level that it had.
func TestEveryBitOfAnAttestation(t *testing.T) {
	trust := simulation(t)
	step := 11 // package attest flips every one
	if testing.Short() {
		step = 97
	}
	s := player{telemetry: plain, attest: signs(card())}.play(t)
	tr := s.Transcript()
	f, ok := identity.Result(tr)
	if !ok {
		t.Fatal("no result")
	}
	for i := 0; i < len(f.Attestation); i += step {
		edited := f
		edited.Attestation = slices.Clone(f.Attestation)
		edited.Attestation[i] ^= 1 << (i % 8)
		changed := tr
		changed.Events = slices.Clone(tr.Events)
		for n, e := range changed.Events {
			if !e.Out && challenges.IsLast(e.Frame) {
				changed.Events[n].Frame = challenges.NewResult(edited.Core, edited.Attestation)
			}
		}
		k := Look(changed, s.Challenge(), tr.Verdict, trust)
		if level, _ := k.Level(tr.Verdict, trust); level >= Attested || k.Identity != (challenges.Hash{}) || len(k.Reasons) == 0 {
			t.Fatalf("byte %d of %d changed: %v, identity %v, reasons %v", i, len(f.Attestation), level, k.Identity, k.Reasons)
		}
	}
}

// TestClockRefutesNobody: a checker that lies about the time makes a card do more than
// its model can. That is its word: the level is withheld and nothing is refuted, and
// where the provider's signed clock says otherwise, not even that.
func TestClockRefutesNobody(t *testing.T) {
	trust := simulation(t)
	s := player{telemetry: plain, attest: signs(card())}.play(t)
	tr, c := s.Transcript(), s.Challenge()
	v := tr.Verdict
	v.OpsLower = 1 << 40 // as if it had taken no time
	k := Look(tr, c, v, trust)
	level, _ := k.Level(v, trust)
	if level != 0 || k.Plausible || len(k.Contradict) > 0 {
		t.Errorf("%v, plausible %v, contradictions %v", level, k.Plausible, k.Contradict)
	}
	a := Assessment{Card: k, Level: level, Claims: unknown}
	if a.genuine(); a.Claims.Genuine != IsUnknown {
		t.Errorf("genuine is %v by a checker's clock", a.Claims.Genuine)
	}
	if !slices.ContainsFunc(a.Reasons, func(r Reason) bool { return r.Code == "ops-ceiling" }) {
		t.Errorf("reasons %v", a.Reasons)
	}
	v.Disputed = true
	k = Look(tr, c, v, trust)
	if level, _ := k.Level(v, trust); level != 4 {
		t.Errorf("disputed: %v, %v", level, k.Findings)
	}
}

// TestLevel goes through the levels one by one, and what each lacks to the next.
func TestLevel(t *testing.T) {
	pass := challenges.Verdict{Outcome: challenges.Pass, OpsLower: 1}
	id := challenges.Hash{1}
	cc, fsp := &attest.Result{Mode: attest.ModeCC}, &attest.Result{Mode: attest.ModeFSP}
	part := []telemetry.Finding{{Code: telemetry.CodeSlice}}
	for _, tt := range []struct {
		name    string
		card    Card
		verdict challenges.Verdict
		want    Level
		raise   string
	}{
		{"nothing told", Card{}, pass, 0, "telemetry in the result"},
		{"too little told", Card{Told: true}, pass, 0, "says enough"},
		{"contradicted", Card{Told: true, Plausible: true, Contradict: []Reason{{"x", ""}}, Attestation: cc, Identity: id, Measured: true}, pass, 0, "x"},
		{"simulated", Card{Told: true, Plausible: true, Simulated: true, Attestation: cc, Identity: id, Measured: true}, pass, 0, "a real card"},
		{"told", Card{Told: true, Plausible: true}, challenges.Verdict{Outcome: challenges.Late, OpsLower: 1}, 1, "a pass"},
		{"no figure", Card{Told: true, Plausible: true}, challenges.Verdict{Outcome: challenges.Pass}, 1, "a pass"},
		{"nothing signed", Card{Told: true, Plausible: true}, pass, 2, "a report that the card signs"},
		{"signed, and it does not hold", Card{Told: true, Plausible: true, Attestation: cc}, pass, 2, "a report that verifies"},
		{"a part", Card{Told: true, Plausible: true, Attestation: cc, Identity: id, Measured: true, Findings: part}, pass, 2, "the whole card"},
		{"signed", Card{Told: true, Plausible: true, Attestation: cc, Identity: id}, pass, 3, "reference manifests"},
		{"signed outside confidential mode", Card{Told: true, Plausible: true, Attestation: fsp, Identity: id, Measured: true}, pass, 3, "confidential computing on"},
		{"measured", Card{Told: true, Plausible: true, Attestation: cc, Identity: id, Measured: true}, pass, 4, "CPU"},
	} {
		got, raise := tt.card.Level(tt.verdict, NVIDIA())
		if got != tt.want || len(raise) != 1 || !strings.Contains(raise[0], tt.raise) {
			t.Errorf("%s: %v, %q; want %v, %q", tt.name, got, raise, tt.want, tt.raise)
		}
	}
}
