package node

import (
	"encoding/json"
	"errors"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/assaynet/assay/challenges"
	"github.com/assaynet/assay/challenges/receipt"
	"github.com/assaynet/assay/cmd/node/file"
	"github.com/assaynet/assay/prover"
	"github.com/assaynet/assay/prover/control"
)

// copied is a provider's copy of a challenge; the checker said o of it, or 0:
// nothing.
func copied(t *testing.T, network challenges.Hash, n byte, o challenges.Outcome, result, reason string) (challenges.Hash, receipt.Copy) {
	t.Helper()
	secret := challenges.Secret{n}
	p := challenges.ComputeParams{Profile: 2, Window: 1, Claim: 1e6}
	row, err := challenges.LookupProfile(p.Profile)
	check(t, err)
	ch := challenges.Challenge{
		Network: network, Epoch: 3, Provider: challenges.IDOf(providerKey), Device: "gpu0", Kind: challenges.Matmul,
		Commit: secret.Commit(), Deadline: row.Deadline(p.Claim, 0), Params: challenges.Marshal(&p),
	}
	e := challenges.Seal(network, challenges.KindChallenge, challenges.Marshal(&ch), checkerKey)
	c := receipt.Copy{Challenge: challenges.Marshal(&e), At: int64(n) * 1e9, Ended: int64(n)*1e9 + 5e8, Result: result, Reason: reason}
	if o != 0 {
		r := receipt.Seal(receipt.Receipt{Challenge: e.ID(), Outcome: o, Roots: receipt.RootsHash(nil), Secret: secret}, network, checkerKey)
		c.Receipt = challenges.Marshal(&r)
	}
	return e.ID(), c
}

// TestWhy asks a provider that has a past.
func TestWhy(t *testing.T) {
	r := testRegistry()
	cfg := providerConfig(t, t.TempDir(), r)
	cfg.Control = filepath.Join(cfg.Dir, control.SocketName)
	p, err := CreateProvider(cfg)
	check(t, err)
	defer p.Close()
	a, err := DialAgent(t.Context(), cfg.Dir)
	check(t, err)
	var ids []challenges.Hash
	var copies []receipt.Copy
	for n, c := range []struct {
		outcome        challenges.Outcome
		result, reason string
	}{
		{challenges.Pass, "answered", ""},
		{challenges.Refused, "refused_drain", "drain"},
		{0, "left", ""},
		{challenges.Withheld, "failed", "fault"},
	} {
		id, copied := copied(t, r.Hash(), byte(n+1), c.outcome, c.result, c.reason)
		check(t, p.db.PutCopy(id, copied))
		ids, copies = append(ids, id), append(copies, copied)
	}
	asked := func(q AgentWhy) (out []challenges.Hash) {
		t.Helper()
		list, err := a.Why(t.Context(), q)
		check(t, err)
		for _, e := range list {
			if e.Says == "" || e.Remedy == "" || e.Device != "gpu0" {
				t.Errorf("%+v", e)
			}
			out = append(out, e.Challenge)
		}
		return out
	}
	if got := asked(AgentWhy{}); !slices.Equal(got, []challenges.Hash{ids[3], ids[2], ids[1]}) {
		t.Errorf("marks: %v, of %v", got, ids)
	}
	if got := asked(AgentWhy{All: true, Limit: 2}); !slices.Equal(got, []challenges.Hash{ids[3], ids[2]}) {
		t.Errorf("two of all: %v", got)
	}
	if got := asked(AgentWhy{All: true}); len(got) != 4 {
		t.Errorf("all: %v", got)
	}
	if got := asked(AgentWhy{Challenge: ids[0].String()[:16]}); !slices.Equal(got, ids[:1]) {
		t.Errorf("one: %v", got)
	}
	for _, digits := range []string{"ffff0000", strings.Repeat("0", 64)} {
		if _, err := a.Why(t.Context(), AgentWhy{Challenge: digits}); !errors.Is(err, ErrUnknown) {
			t.Errorf("why %s: %v", digits, err)
		}
	}
	b, err := a.Transcript(t.Context(), ids[3])
	check(t, err)
	if string(b) != string(challenges.Marshal(&copies[3])) {
		t.Errorf("a copy of %d bytes", len(b))
	}
	if _, err := a.Transcript(t.Context(), challenges.Hash{}); !errors.Is(err, ErrUnknown) {
		t.Errorf("transcript of nothing: %v", err)
	}

	s, err := a.Status(t.Context())
	check(t, err)
	var ends []string
	for _, m := range s.LastMarks {
		ends = append(ends, m.Result)
	}
	if want := []string{"withheld (fault)", "left", "refused (drain)"}; !slices.Equal(ends, want) || s.LastMarks[0].Challenge != ids[3] || s.LastMarks[0].Device != "gpu0" {
		t.Errorf("last marks %+v, want %v", s.LastMarks, want)
	}
	// This provider was made without a fleet: nobody knows of tenants.
	if _, err := a.Tenant(t.Context(), "gpu0", true, time.Time{}); !errors.Is(err, ErrUnknown) {
		t.Errorf("tenant: %v", err)
	}
}

// TestStatusCounts has every counter of the agent that a status shows.
func TestStatusCounts(t *testing.T) {
	cfg := providerConfig(t, t.TempDir(), testRegistry())
	cfg.Control = filepath.Join(cfg.Dir, control.SocketName)
	p, err := CreateProvider(cfg)
	check(t, err)
	defer p.Close()
	a, err := DialAgent(t.Context(), cfg.Dir)
	check(t, err)
	s, err := a.Status(t.Context())
	check(t, err)
	for _, name := range []string{"answered", "failed", "left", "refused_drain", "refused_tenant", "refused_quota"} {
		if n, ok := s.Challenges[name]; !ok || n != 0 {
			t.Errorf("%s: %d, %v in %v", name, n, ok, s.Challenges)
		}
	}
	b, err := json.Marshal(s)
	check(t, err)
	for _, want := range []string{`"drain_until":null`, `"last_marks":[]`, `"busy_with":null`, `"known":true`, `"freed_ms":null`, `"of_s":null`} {
		if !strings.Contains(string(b), want) {
			t.Errorf("no %s in %s", want, b)
		}
	}
}

// TestAnotherAdmission cannot be drained, and says so.
func TestAnotherAdmission(t *testing.T) {
	cfg := providerConfig(t, t.TempDir(), testRegistry())
	cfg.Control = filepath.Join(cfg.Dir, control.SocketName)
	cfg.Admission = prover.NewGate(prover.GateConfig{PerEpoch: 1})
	p, err := CreateProvider(cfg)
	check(t, err)
	defer p.Close()
	a, err := DialAgent(t.Context(), cfg.Dir)
	check(t, err)
	for name, err := range map[string]error{"drain": a.Drain(t.Context(), time.Time{}), "resume": a.Resume(t.Context())} {
		if err == nil || !strings.Contains(err.Error(), "cannot be drained") {
			t.Errorf("%s: %v", name, err)
		}
	}
	if file.Exists(filepath.Join(cfg.Dir, drainName)) {
		t.Error("a drain that is none was noted")
	}
}

// TestRestartFreesNoBudget has a gate that knows what was used before its start.
func TestRestartFreesNoBudget(t *testing.T) {
	cfg := providerConfig(t, t.TempDir(), testRegistry())
	hour := time.Hour
	cfg.Budget.GPUPerDay = &hour
	p, err := CreateProvider(cfg)
	check(t, err)
	now := time.Now()
	use := func(n byte, ago, took time.Duration) {
		t.Helper()
		at := now.Add(-ago)
		check(t, p.db.Use(challenges.Hash{n}, challenges.Use{Checker: challenges.IDOf(checkerKey), Device: "gpu0", Epoch: 1, At: at.UnixNano()}))
		check(t, p.db.Ended(challenges.Hash{n}, at.Add(took).UnixNano(), "answered"))
	}
	use(1, 50*time.Hour, 50*time.Minute) // long ago
	use(2, 20*time.Hour, 10*time.Minute)
	use(3, 2*time.Hour, 5*time.Minute)
	check(t, p.Close())
	if p, err = OpenProvider(cfg); err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	used, of := p.gate.Budget("gpu0")
	if used.Round(time.Second) != 15*time.Minute || of != time.Hour {
		t.Errorf("used %v of %v", used, of)
	}
}

// TestUsesSince reads as far back as it must, in steps.
func TestUsesSince(t *testing.T) {
	p, err := CreateProvider(providerConfig(t, t.TempDir(), testRegistry()))
	check(t, err)
	defer p.Close()
	start := time.Now()
	const n = 1500
	for i := range n { // one a minute, the newest first
		id := challenges.Hash{byte(i >> 8), byte(i)}
		check(t, p.db.Use(id, challenges.Use{Device: "gpu0", At: start.Add(-time.Duration(i) * time.Minute).UnixNano()}))
	}
	for since, want := range map[time.Duration]int{time.Hour: 1024, 24 * time.Hour: n} {
		list, err := usesSince(p.db, start.Add(-since))
		check(t, err)
		if len(list) != want {
			t.Errorf("since %v: %d uses, want %d", since, len(list), want)
		}
	}
}
