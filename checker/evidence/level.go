package evidence

import (
	"fmt"
	"slices"

	"github.com/assaynet/assay/challenges"
	"github.com/assaynet/assay/gpu/attest"
	"github.com/assaynet/assay/gpu/telemetry"
)

// Grade is what a claim rests on.
type Grade string

// Grades, from nothing to what needs nobody's word.
const (
	GradeNone    Grade = "none"
	GradeClaimed Grade = "claimed" // the provider's signed word: accountable, no proof
	GradeTimed   Grade = "timed"   // exact work, by one checker's clock
	GradeSigned  Grade = "signed"  // the card's own key
	GradeProof   Grade = "proof"   // anybody's replay
)

// Grades are those of the four claims.
type Grades struct {
	Genuine    Grade `json:"genuine"`
	Throughput Grade `json:"throughput"`
	Memory     Grade `json:"memory"`
	Exclusive  Grade `json:"exclusive"`
}

// Level grades identity evidence, L0 to L5. Of one transcript: L0 a simulated device,
// or no telemetry that could be believed; L1 plausible signed telemetry; L2 beside it
// the work of this challenge proven; L3 the card signed this result; L4 with firmware
// and driver that are the vendor's; L5 with the machine's own quote, which nobody
// gives yet. A device's level takes both compute and memory, see package reputation.
type Level uint8

// Attested is the first level that is called so.
const Attested Level = 3

func (l Level) String() string { return fmt.Sprintf("L%d", uint8(l)) }

// MarshalText writes L0 to L5.
func (l Level) MarshalText() ([]byte, error) { return []byte(l.String()), nil }

// UnmarshalText reads L0 to L5.
func (l *Level) UnmarshalText(text []byte) error {
	if len(text) != 2 || text[0] != 'L' || text[1] < '0' || text[1] > '5' {
		return fmt.Errorf("level %q: want L0 to L5", text)
	}
	*l = Level(text[1] - '0')
	return nil
}

// Level is that of one transcript with this card and verdict, and what would raise it.
func (k *Card) Level(v challenges.Verdict, trust Trust) (Level, []string) {
	// SPEC: A4. A simulated device has a level only where a simulation's roots are
	// trusted, and the level is marked.
	switch {
	case k.Simulated && !trust.Simulated():
		return 0, []string{"a real card; simulated devices have a level only by their network's own roots (assay verify --evidence)"}
	case len(k.Contradict) > 0:
		return 0, []string{"telemetry without contradictions: " + k.Contradict[0].Code}
	case !k.Told:
		return 0, []string{"telemetry in the result (NVML snapshots before, during and after)"}
	case !k.Plausible:
		return 0, []string{"telemetry that says enough of the card, and fits the work by the checker's clock"}
	case v.Outcome != challenges.Pass || v.OpsLower == 0:
		return 1, []string{"a pass with a figure"}
	case k.Identity == (challenges.Hash{}):
		return 2, []string{k.missing()}
	case k.slice():
		return 2, []string{"the whole card: what was rented is a part of one (MIG or vGPU)"}
	case k.Attestation.Mode == attest.ModeFSP:
		return 3, []string{"confidential computing on: outside of it a card signs no driver and no measurements to compare"}
	case !k.Measured:
		return 3, []string{"reference manifests of its driver and VBIOS, and all measurements equal to them"}
	}
	return 4, []string{"a quote of the machine's CPU over the same nonce: no agent gives one yet"}
}

// slice reports that the device is a part of a card.
func (k *Card) slice() bool {
	return slices.ContainsFunc(k.Findings, func(f telemetry.Finding) bool { return f.Code == telemetry.CodeSlice })
}

// missing says why no card's identity holds.
func (k *Card) missing() string {
	if k.Attestation == nil {
		return "a report that the card signs (Hopper and Blackwell with confidential computing on)"
	}
	return "a report that verifies for this result"
}
