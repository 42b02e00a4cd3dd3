package challenges

import (
	"fmt"
	"time"
)

// Outcome is how a challenge ended. The zero value is no outcome.
type Outcome uint8

// Outcomes. Wrong and Refused, and the arithmetic of Pass, are proofs; the
// others are a checker's testimony.
const (
	Pass        Outcome = 1 + iota // right, complete, in time
	Wrong                          // signed root, authenticating opening, value differs: a proof
	Late                           // right, but below the claim
	Withheld                       // silence or a bad answer after a signed root
	Refused                        // signed refusal
	Unreachable                    // nothing usable before any root
	Unknown                        // the checker's own fault, or not attributable; never counts
)

// Outcomes lists all outcomes in their order.
func Outcomes() []Outcome {
	return []Outcome{Pass, Wrong, Late, Withheld, Refused, Unreachable, Unknown}
}

var outcomeNames = [...]string{"", "pass", "wrong", "late", "withheld", "refused", "unreachable", "unknown"}

func (o Outcome) String() string {
	if int(o) < len(outcomeNames) && o > 0 {
		return outcomeNames[o]
	}
	return fmt.Sprintf("outcome(%d)", uint8(o))
}

// ParseOutcome reads an outcome's name.
func ParseOutcome(s string) (Outcome, error) {
	for _, o := range Outcomes() {
		if o.String() == s {
			return o, nil
		}
	}
	return 0, fmt.Errorf("outcome %q: want one of pass, wrong, late, withheld, refused, unreachable, unknown", s)
}

// MarshalText writes the name.
func (o Outcome) MarshalText() ([]byte, error) { return []byte(o.String()), nil }

// UnmarshalText reads the name.
func (o *Outcome) UnmarshalText(text []byte) (err error) {
	*o, err = ParseOutcome(string(text))
	return err
}

// Valid reports that o is one of the outcomes.
func (o Outcome) Valid() bool { return o >= Pass && o <= Unknown }

// Proof reports that one transcript with this outcome convinces anybody: it
// follows from signatures, not from the checker's word.
func (o Outcome) Proof() bool { return o == Wrong || o == Refused }

// Clauses of docs/PROTOCOL.md that a verdict or an error can name.
const (
	ClauseEncoding    = "E1"
	ClauseSignature   = "E2"
	ClauseKey         = "E3"
	ClauseNetwork     = "E4"
	ClauseSize        = "E5"
	ClauseSecret      = "C1"
	ClauseProfile     = "C2"
	ClauseParties     = "C3"
	ClauseDeadline    = "C4"
	ClauseFrames      = "S1"
	ClauseTime        = "S2"
	ClauseSent        = "S3"
	ClauseEnd         = "S4"
	ClauseSequence    = "S5"
	ClauseRefusal     = "S6"
	ClauseAbort       = "S7"
	ClauseRootOrder   = "M1"
	ClauseKeyChain    = "M2"
	ClauseEcho        = "M3"
	ClauseShape       = "M4"
	ClauseAuthentic   = "M5"
	ClauseValue       = "M6"
	ClauseSilence     = "M7"
	ClauseResult      = "M8"
	ClauseLate        = "M9"
	ClauseLag         = "M10"
	ClauseDisputed    = "M11"
	ClauseFilled      = "D4"
	ClauseProven      = "D5"
	ClauseProbeNonce  = "P1"
	ClauseProbeCount  = "P2"
	ClauseProbeSilent = "P3"
	ClauseRecorded    = "T1"
)

// Verdict is a session's judgement. It is a pure function of the transcript.
type Verdict struct {
	_        struct{} `cbor:",toarray"`
	Outcome  Outcome
	Clause   string        // the clause of docs/PROTOCOL.md that decided it; empty for a plain pass
	OpsLower uint64        // lower bound, ops/s (memory: items read a second), over the timed rounds; 0: no figure
	OpsBest  uint64        // lower bound, ops/s, over the best interval of at least half of them; 0: no figure
	Elapsed  time.Duration // checker's clock, challenge out to the last answer that counts; testimony
	RTT      time.Duration // probes: least round-trip time; testimony
	Samples  uint32        // values that were recomputed and compared
	Disputed bool          // the provider's signed clock contradicts the checker's
}

// Check bounds the fields.
func (v *Verdict) Check() error {
	if !v.Outcome.Valid() {
		return fmt.Errorf("outcome %d", v.Outcome)
	}
	if v.Elapsed < 0 || v.RTT < 0 {
		return fmt.Errorf("negative duration")
	}
	return Text("clause", v.Clause, 8)
}

// ClauseError is a violation of one clause of docs/PROTOCOL.md.
type ClauseError struct {
	Clause string
	Err    error
}

func (e *ClauseError) Error() string { return e.Clause + ": " + e.Err.Error() }

// Unwrap returns the cause.
func (e *ClauseError) Unwrap() error { return e.Err }

func breach(clause, format string, args ...any) error {
	return &ClauseError{clause, fmt.Errorf(format, args...)}
}
