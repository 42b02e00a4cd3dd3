package evidence

import (
	"fmt"
	"strings"
	"time"

	"github.com/assaynet/assay/challenges"
	"github.com/assaynet/assay/challenges/identity"
	"github.com/assaynet/assay/gpu/attest"
	"github.com/assaynet/assay/gpu/models"
	"github.com/assaynet/assay/gpu/telemetry"
)

// Codes of what a result shows of its card; those of telemetry's rules and of
// package attest stand beside them.
const (
	CodeTelemetryForm    = "telemetry-form"    // not in the form of a record
	CodeTelemetryLacking = "telemetry-lacking" // too little to judge
	CodeAttestationForm  = "attestation-form"  // not in the form of an attestation
	CodeIdentityChip     = "identity-chip"     // the card that signed is of another kind than telemetry says
	CodeIdentityUnknown  = "identity-unknown"  // the chip that signed is none whose capability is known here
	CodeIdentityMode     = "identity-mode"     // confidential computing is not on by the driver's word
	CodeIdentityDriver   = "identity-driver"   // of another driver version
	CodeIdentityVBIOS    = "identity-vbios"    // of another VBIOS version
	CodeIdentityPCI      = "identity-pci"      // of another PCI device id
	CodeIdentityConflict = "identity-conflict" // one card under two names
)

// Card is what a result says and shows of the card that made it.
type Card struct {
	Name      string              // as its driver gives it: a claim; empty without telemetry
	Model     string              // that name in gpu/models, or its class; empty: none
	UUID      string              // a claim
	Told      bool                // there is telemetry that could be read
	Plausible bool                // there is enough of it, and no hard finding
	Applied   []string            // codes of telemetry's rules that had what they need
	Findings  []telemetry.Finding // of telemetry's rules
	Record    *telemetry.Record   // what was told; nil unless Told

	Attestation *attest.Result  // nil: the result carries none
	Identity    challenges.Hash // of the card that signed; zeros: none did, or it does not hold
	Measured    bool            // its firmware and driver are the vendor's
	Simulated   bool            // the model or the root is a simulation's

	Reasons    []Reason // beside those of findings and attestation
	Contradict []Reason // what cannot be true: the provider's signed words refute each other, or what the card signed refutes them; nothing in it rests on the checker's clock
}

// Look judges what the result in a transcript says of its card. v is the verdict of
// the same transcript, c the challenge in it.
func Look(t challenges.Transcript, c challenges.Challenge, v challenges.Verdict, trust Trust) Card {
	w, simulated := workOf(c, v)
	card := Card{Simulated: simulated}
	f, ok := identity.Result(t)
	if !ok {
		return card
	}
	env, err := challenges.DecodeEnvelope(t.Challenge)
	// SPEC: M8. A result that names another challenge or device is none.
	if err != nil || f.Core.Challenge != env.ID() || f.Core.Device != c.Device {
		return card
	}
	record := card.telemetry(f.Core.Telemetry, w)
	if len(f.Attestation) > 0 {
		card.attestation(&f, env.ID(), c.Provider, trust)
		card.agree(record)
	}
	return card
}

// workOf is what was measured of the work, as telemetry's rules take it, and whether
// the device that did it is a simulated one.
func workOf(c challenges.Challenge, v challenges.Verdict) (w telemetry.Work, simulated bool) {
	measured := v.Outcome == challenges.Pass || v.Outcome == challenges.Late
	if measured && !v.Disputed { // else the provider's signed clock says another time
		w.Elapsed, w.Ops = v.Elapsed, done(v.OpsLower, v.Elapsed)
	}
	if c.Kind == challenges.Memory {
		p, err := c.MemoryParams()
		if err != nil {
			return w, false
		}
		w.Flavour = telemetry.Reads
		if measured {
			w.Held = p.Dataset().Bytes()
		}
		return w, p.Dataset().Simulated
	}
	p, err := c.ComputeParams()
	if err != nil {
		return w, false
	}
	row, err := challenges.LookupProfile(p.Profile)
	if err != nil {
		return w, false
	}
	switch row.Shape.Flavour {
	case challenges.Int8:
		w.Flavour = telemetry.Int8
	case challenges.BF16:
		w.Flavour = telemetry.BF16
	case challenges.FP64:
		w.Flavour = telemetry.FP64
	}
	return w, row.Simulated
}

// done is what a rate makes of a time: at most what was done in it. Rates saturate, and
// what no integer holds would convert to another number on each machine.
func done(rate uint64, elapsed time.Duration) uint64 {
	return uint64(min(float64(rate)*elapsed.Seconds(), 1<<63))
}

// telemetry judges the record; nil where there is none.
func (k *Card) telemetry(said []byte, w telemetry.Work) *telemetry.Record {
	if len(said) == 0 {
		return nil
	}
	var r telemetry.Record
	if err := challenges.Unmarshal(said, &r); err != nil {
		k.Reasons = append(k.Reasons, Reason{CodeTelemetryForm, "the telemetry is no record: " + err.Error()})
		return nil
	}
	j := telemetry.Judge(r, w)
	k.Told, k.Plausible, k.Applied, k.Findings = true, j.Plausible(), j.Applied, j.Findings
	// SPEC: A3. What rests on the checker's clock refutes nobody: one that lies about the
	// time would make any card impossible.
	signed := telemetry.Judge(r, telemetry.Work{Flavour: w.Flavour})
	k.Record = &r
	k.Name, k.Model, k.UUID = r.Inventory.Name, j.Model.Name, r.Inventory.UUID
	// What it calls itself is what it is held against, whatever else it says.
	named, ok := models.Match(k.Name, 0, 0, 0)
	if ok {
		k.Model = named.Name
	}
	k.Simulated = k.Simulated || j.Model.Simulated || named.Simulated
	for _, f := range signed.Findings {
		if f.Hard {
			k.Contradict = append(k.Contradict, reasonOf(f))
		}
	}
	if !j.Hard() && !k.Plausible {
		k.Reasons = append(k.Reasons, Reason{CodeTelemetryLacking, "the telemetry says too little of the card to be judged"})
	}
	return &r
}

// reasonOf is a finding in words.
func reasonOf(f telemetry.Finding) Reason {
	return Reason{f.Code, fmt.Sprintf("seen %s; expected %s", f.Seen, f.Expected)}
}

// attestation verifies what the card signed.
func (k *Card) attestation(f *challenges.ResultFrame, id challenges.Hash, agent challenges.NodeID, trust Trust) {
	var a identity.Attestation
	if err := challenges.Unmarshal(f.Attestation, &a); err != nil {
		k.Reasons = append(k.Reasons, Reason{CodeAttestationForm, "what the result carries is no attestation: " + err.Error()})
		return
	}
	// SPEC: A2. The nonce MUST be that of this challenge, agent and core.
	nonce := identity.Nonce(id, agent, identity.CoreHash(&f.Core))
	r := attest.Verify(attest.Evidence{Report: a.Report, Chain: a.Chain, Nonce: &nonce}, trust.Roots, trust.Reference)
	k.Attestation = &r
	for _, reason := range r.Reasons {
		k.Reasons = append(k.Reasons, Reason{string(reason.Code), reason.Detail})
	}
	// A switch signs too, and is no card.
	if r.Grade == attest.GradeNone || r.Mode == attest.ModeSwitch {
		return
	}
	k.Identity, k.Measured = r.DeviceID, r.Grade == attest.GradeMeasured
	k.Simulated = k.Simulated || r.Simulated
}

// agree holds what the card signed against what its driver says. SPEC: A3.
func (k *Card) agree(r *telemetry.Record) {
	if r == nil || k.Identity == (challenges.Hash{}) {
		return
	}
	a, i := k.Attestation, r.Inventory
	// Devtools mode lets a debugger in; off, there is nothing that a report could be of.
	if a.Mode == attest.ModeCC && i.Confidential != "on" {
		k.Measured = false
		k.Reasons = append(k.Reasons, Reason{CodeIdentityMode, fmt.Sprintf("the report is one of confidential mode, which the driver says is %q; expected \"on\"", i.Confidential)})
	}
	if _, known := capability(a.Chip); !known {
		k.Identity, k.Measured = challenges.Hash{}, false
		k.Reasons = append(k.Reasons, Reason{CodeIdentityUnknown, fmt.Sprintf("chip %s signed, which this program cannot hold against what telemetry says", a.Chip)})
	}
	if major, known := capability(a.Chip); known && i.Major != 0 && int(i.Major) != major {
		k.Contradict = append(k.Contradict, Reason{CodeIdentityChip, fmt.Sprintf(
			"a %s signed, and telemetry says %q of compute capability %d.%d; expected %d.x", a.Chip, i.Name, i.Major, i.Minor, major)})
	}
	k.agreePCI(i.PCIDevice)
	for _, x := range []struct{ code, what, signed, said string }{
		{CodeIdentityDriver, "driver", a.Driver, i.Driver},
		{CodeIdentityVBIOS, "VBIOS", a.VBIOS, i.VBIOS},
	} {
		if x.signed != "" && x.said != "" && !strings.EqualFold(x.signed, x.said) {
			k.Reasons = append(k.Reasons, Reason{x.code, fmt.Sprintf("the card signed %s %s, and telemetry says %s", x.what, x.signed, x.said)})
		}
	}
}

// agreePCI does so with the model that a report outside confidential mode signs. That
// field is documented nowhere, so a difference is remarked and no more.
func (k *Card) agreePCI(said uint32) {
	if m := k.Attestation.Model; m != nil && said != 0 && said>>16 != uint32(m.Device) {
		k.Reasons = append(k.Reasons, Reason{CodeIdentityPCI, fmt.Sprintf("the card signed PCI device %04x, and telemetry says %04x", m.Device, said>>16)})
	}
}

// capability is the major compute capability of a chip.
func capability(chip string) (major int, known bool) {
	switch {
	case strings.HasPrefix(chip, "GH10"):
		return 9, true
	case strings.HasPrefix(chip, "GB10"):
		return 10, true
	case strings.HasPrefix(chip, "GB20"):
		return 12, true
	}
	return 0, false
}
