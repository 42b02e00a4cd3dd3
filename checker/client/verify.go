package client

import (
	"errors"
	"fmt"
	"math"

	"github.com/assaynet/assay/challenges"
	"github.com/assaynet/assay/checker/committee"
	"github.com/assaynet/assay/checker/evidence"
	"github.com/assaynet/assay/gpu/attest"
)

// ErrUnreadable says that a file is no sealed transcript at all.
var ErrUnreadable = errors.New("unreadable")

// Finding is what a file proves. The same file, registry and trust give the same
// finding everywhere and always.
type Finding struct {
	Kind      *challenges.Kind     `json:"kind"`     // null if it cannot be made out
	OK        bool                 `json:"ok"`       // the file proves what it states
	Recorded  *challenges.Outcome  `json:"recorded"` // what it states; null if it cannot be made out
	Outcome   *challenges.Outcome  `json:"outcome"`  // what it replays as; null if it breaks a clause
	Clause    *string              `json:"clause"`   // the clause of docs/PROTOCOL.md that it breaks; null if ok
	Claims    *evidence.Claims     `json:"claims"`
	OpsLower  *uint64              `json:"ops_lower"` // ops/s; null without a figure
	Miss      *float64             `json:"miss"`      // null without a pass
	Testimony []evidence.Testimony `json:"testimony"`
	Reasons   []evidence.Reason    `json:"reasons"`
	Grades    *evidence.Grades     `json:"grades"`    // what the claims rest on
	Level     *evidence.Level      `json:"level"`     // of this transcript; null if not ok
	Attested  bool                 `json:"attested"`  // level L3 or more: the card signed
	Simulated bool                 `json:"simulated"` // the device is, or the root is a simulation's
	Raise     []string             `json:"raise"`     // what would raise the level
	Card      *CardFinding         `json:"card"`      // null where the result says nothing of its card

	seen        evidence.Sighting
	told        *evidence.Telling
	contradicts bool // what it says of its card cannot be true
}

// CardFinding is what a result says and shows of the card that made it.
type CardFinding struct {
	Name        string             `json:"name"`  // as its driver gives it: a claim
	Model       string             `json:"model"` // in gpu/models, by telemetry; empty: none
	UUID        string             `json:"uuid"`  // a claim
	Plausible   bool               `json:"plausible"`
	Applied     []string           `json:"applied"` // codes of telemetry's rules that had what they need
	Findings    []TelemetryFinding `json:"findings"`
	Attestation *attest.Result     `json:"attestation"` // null where the result carries none
}

// TelemetryFinding is what a rule of telemetry found.
type TelemetryFinding struct {
	Code      string `json:"code"`
	Hard      bool   `json:"hard"` // no card in order says this
	Seen      string `json:"seen"`
	Expected  string `json:"expected"`
	Threshold string `json:"threshold"`
	Source    string `json:"source"` // of the threshold
}

// Verify judges a file offline: it authenticates the transcript in it, replays
// it, and compares with what the checker recorded. Without a registry the
// network and the checker's place in it are not checked, and the finding says
// so. trust is what identity evidence is judged by: the same file, registry and trust
// give the same finding. The error wraps [ErrUnreadable].
func Verify(file []byte, r *committee.Registry, trust evidence.Trust) (Finding, error) {
	env, err := challenges.DecodeEnvelope(file)
	if err != nil {
		return Finding{}, fmt.Errorf("%w: %w", ErrUnreadable, err)
	}
	if env.Kind != challenges.KindTranscript {
		return Finding{}, fmt.Errorf("%w: an envelope of kind %q, want transcript", ErrUnreadable, env.Kind)
	}
	f := Finding{Testimony: []evidence.Testimony{}, Reasons: []evidence.Reason{}, Raise: []string{}}
	f.state(env)
	t, c, err := challenges.OpenTranscript(env)
	if err != nil {
		return f.broken(err), nil
	}
	if err := belongs(env, c, r); err != nil {
		return f.broken(err), nil
	}
	a, err := evidence.Assess(t, c, trust)
	if err != nil {
		return f.broken(err), nil
	}
	f.Outcome, f.Claims = &a.Verdict.Outcome, &a.Claims
	f.Grades, f.Level, f.Attested, f.Simulated = &a.Grades, &a.Level, a.Level >= evidence.Attested, a.Card.Simulated
	f.Raise, f.Card = append(f.Raise, a.Raise...), describeFinding(&a.Card)
	f.contradicts = len(a.Card.Contradict) > 0
	f.seen = evidence.Sighting{Identity: a.Card.Identity, Provider: c.Provider, Device: c.Device, Epoch: c.Epoch, Transcript: env.ID()}
	if k := a.Card; k.Told {
		f.told = &evidence.Telling{Provider: c.Provider, Device: c.Device, Epoch: c.Epoch, Transcript: env.ID(), Record: *k.Record}
	}
	f.Testimony = append(f.Testimony, a.Testimony...)
	f.Reasons = append(f.Reasons, a.Reasons...)
	if a.Verdict.OpsLower > 0 {
		f.OpsLower = &a.Verdict.OpsLower
	}
	if !math.IsNaN(a.Miss) {
		f.Miss = &a.Miss
	}
	// SPEC: T1. The recorded verdict MUST be the replayed one.
	if a.Verdict != t.Verdict {
		return f.broken(&challenges.ClauseError{Clause: challenges.ClauseRecorded, Err: fmt.Errorf(
			"recorded %s, replays as %s", describe(t.Verdict), describe(a.Verdict))}), nil
	}
	if r == nil {
		f.Reasons = append(f.Reasons, evidence.Reason{Code: "network", Detail: "network not checked: no registry was given"})
	}
	f.OK = true
	return f, nil
}

// Sighting is where a card's identity was seen; its Identity is zero where no card
// signed.
func (f *Finding) Sighting() evidence.Sighting { return f.seen }

// Telling is what the result tells of its device; false where it tells nothing.
func (f *Finding) Telling() (evidence.Telling, bool) {
	if f.told == nil {
		return evidence.Telling{}, false
	}
	return *f.told, true
}

// describeFinding is nil where a result says nothing of its card.
func describeFinding(k *evidence.Card) *CardFinding {
	if !k.Told && k.Attestation == nil {
		return nil
	}
	d := &CardFinding{
		Name: k.Name, Model: k.Model, UUID: k.UUID, Plausible: k.Plausible,
		Applied: append([]string{}, k.Applied...), Findings: []TelemetryFinding{}, Attestation: k.Attestation,
	}
	for _, f := range k.Findings {
		d.Findings = append(d.Findings, TelemetryFinding(f))
	}
	return d
}

// state fills in what the file says of itself, as far as it decodes, whether or
// not anybody signed it.
func (f *Finding) state(env challenges.Envelope) {
	var t challenges.Transcript
	if challenges.Unmarshal(env.Payload, &t) != nil {
		return
	}
	f.Recorded = &t.Verdict.Outcome
	var c challenges.Challenge
	inner, err := challenges.DecodeEnvelope(t.Challenge)
	if err == nil && challenges.Unmarshal(inner.Payload, &c) == nil {
		f.Kind = &c.Kind
	}
}

func describe(v challenges.Verdict) string {
	return fmt.Sprintf("%v (clause %q, %d ops/s, %d samples, %v)", v.Outcome, v.Clause, v.OpsLower, v.Samples, v.Elapsed)
}

// belongs holds a transcript against the registry, if there is one.
func belongs(env challenges.Envelope, c challenges.Challenge, r *committee.Registry) error {
	if r == nil {
		return nil
	}
	breach := func(clause, format string, args ...any) error {
		return &challenges.ClauseError{Clause: clause, Err: fmt.Errorf(format, args...)}
	}
	if env.Network != r.Hash() {
		return breach(challenges.ClauseNetwork, "signed for network %v, the registry is %v", env.Network, r.Hash())
	}
	if r.Index(env.Signer) < 0 {
		return breach(challenges.ClauseParties, "signer %v is no checker of network %q", env.Signer, r.Name)
	}
	if simulated, err := simulatedRow(c); err != nil {
		return err
	} else if simulated && !r.Simulated {
		return breach(challenges.ClauseProfile, "a profile that is for simulated networks only")
	}
	return nil
}

// simulatedRow reports that a challenge's row is one of a simulation's.
func simulatedRow(c challenges.Challenge) (bool, error) {
	switch c.Kind {
	case challenges.Probe:
		return false, nil
	case challenges.Memory:
		p, err := c.MemoryParams()
		if err != nil {
			return false, err
		}
		return p.Dataset().Simulated, nil
	}
	p, err := c.ComputeParams()
	if err != nil {
		return false, err
	}
	row, err := challenges.LookupProfile(p.Profile)
	return row.Simulated, err
}

func (f Finding) broken(err error) Finding {
	var c *challenges.ClauseError
	clause := challenges.ClauseEncoding
	if errors.As(err, &c) {
		clause = c.Clause
	}
	f.OK, f.Clause = false, &clause
	f.Reasons = append(f.Reasons, evidence.Reason{Code: clause, Detail: err.Error()})
	return f
}
