// Package why says of one challenge, to the machine's owner, how it ended, why, and
// what to do about it, from the agent's own copy alone.
package why

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/assaynet/assay/challenges"
	"github.com/assaynet/assay/challenges/receipt"
	"github.com/assaynet/assay/gpu/telemetry"
)

// Explanation is how a challenge ended, and why.
type Explanation struct {
	Challenge   challenges.Hash    `json:"challenge"`
	Checker     challenges.NodeID  `json:"checker"`
	Device      string             `json:"device"`
	Kind        challenges.Kind    `json:"kind"`
	At          time.Time          `json:"at"`     // when it came
	Took        float64            `json:"took_s"` // until it was over, by the agent's clock
	Result      string             `json:"result"` // the agent's word
	Reason      string             `json:"reason"` // of its refusal or abort; empty: neither
	Outcome     challenges.Outcome `json:"outcome,omitzero"`
	Clause      string             `json:"clause"`              // of docs/PROTOCOL.md; empty: none
	Transcript  challenges.Hash    `json:"transcript,omitzero"` // the checker's, by which it can be asked for
	Proof       bool               `json:"proof"`               // the outcome convinces anybody; else it is the checker's word
	Own         string             `json:"own"`                 // what the copy says by itself
	Agrees      bool               `json:"agrees"`              // with the checker
	Contradicts bool               `json:"contradicts"`         // what the checker says; neither: the copy cannot tell
	Fault       string             `json:"fault"`               // class of the device's fault; empty: none
	Xid         uint32             `json:"xid"`                 // NVIDIA's number of the card's error; 0: none
	Detail      string             `json:"detail"`              // what the driver or the worker said
	Throttle    string             `json:"throttle"`            // what held the clocks down while it ran, in words
	Mark        string             `json:"mark"`                // one of the marks
	Says        string             `json:"says"`                // what happened
	Remedy      string             `json:"remedy"`              // what to do
}

// Marks: what a challenge does to the provider's standing.
const (
	MarkNone      = "none"      // a pass
	MarkProof     = "proof"     // wrong work, for anybody to see
	MarkFailure   = "failure"   // late, or withheld
	MarkRefusal   = "refusal"   // counts as a failure beyond an allowance
	MarkReach     = "reach"     // the checker could not reach the provider
	MarkNeutral   = "neutral"   // does no harm
	MarkNotKnown  = "not known" // no receipt came
	MarkUncounted = "uncounted" // the checker does not count it
)

// clocks are the bits of telemetry that say that something holds the clocks down.
const clocks = ^int64(telemetry.ThrottleIdle)

// Explain explains a copy of a challenge. It does not ask anybody, and it does not
// blame the checker where the copy is no evidence of it.
func Explain(id challenges.Hash, c receipt.Copy, network challenges.Hash) Explanation {
	e := Explanation{
		Challenge: id, At: time.Unix(0, c.At).UTC(), Took: time.Duration(c.Ended - c.At).Seconds(), Result: c.Result, Reason: c.Reason,
		Fault: c.Fault, Xid: c.Xid, Detail: c.Detail, Mark: MarkNotKnown,
	}
	f, err := c.Open(network)
	if err != nil {
		e.Says = fmt.Sprintf("The copy cannot be read: %v.", err)
		e.Remedy = "The database may be damaged: stop the agent and run assay store check."
		return e
	}
	e.Challenge, e.Checker, e.Device, e.Kind = f.ID, f.Checker, f.Challenge.Device, f.Challenge.Kind
	bits := throttle(c.Telemetry)
	e.Throttle = telemetry.ThrottleWords(bits)
	if r := f.Receipt; r != nil {
		e.Outcome, e.Clause, e.Transcript, e.Proof = r.Outcome, r.Clause, r.Transcript, r.Outcome.Proof()
	}
	e.Mark = mark(e.Outcome, e.Reason)
	e.own(&c, network)
	e.Says = e.sentence()
	e.Remedy = e.remedy(bits)
	return e
}

// throttle collects what held the clocks down in a record of telemetry.
func throttle(record []byte) (bits int64) {
	var r telemetry.Record
	if len(record) == 0 || challenges.Unmarshal(record, &r) != nil {
		return 0
	}
	for i := range r.Snapshots {
		if v, ok := r.Snapshots[i].Get(telemetry.Throttle); ok {
			bits |= v
		}
	}
	return bits & clocks
}

// neutral lists the reasons of refusals that do no harm.
var neutral = []string{challenges.ReasonCollision, challenges.ReasonTenant, challenges.ReasonDrain}

func mark(o challenges.Outcome, reason string) string {
	switch o {
	case challenges.Pass:
		return MarkNone
	case challenges.Wrong:
		return MarkProof
	case challenges.Late, challenges.Withheld:
		return MarkFailure
	case challenges.Refused:
		if slices.Contains(neutral, reason) {
			return MarkNeutral
		}
		return MarkRefusal
	case challenges.Unreachable:
		return MarkReach
	case challenges.Unknown:
		return MarkUncounted
	}
	return MarkNotKnown
}

// own says what the copy says by itself.
func (e *Explanation) own(c *receipt.Copy, network challenges.Hash) {
	j, err := c.Judge(network)
	switch {
	case errors.Is(err, receipt.ErrNotKept) && e.Outcome == challenges.Pass:
		e.Own, e.Agrees = "the agent answered, and the checker says pass; of passes no frames are kept", true
	case err != nil:
		e.Own = err.Error()
	default:
		e.Own, e.Agrees, e.Contradicts = j.Says, j.Finding == receipt.Agrees, j.Finding == receipt.Contradicts
	}
}

// sentence says what happened.
func (e *Explanation) sentence() string {
	var s strings.Builder
	switch e.Outcome {
	case challenges.Pass:
		s.WriteString("Every value that was looked at is right, and in time")
	case challenges.Wrong:
		s.WriteString("The checker says that a value is wrong which this provider signed")
	case challenges.Late:
		s.WriteString("Right, but too slow by the checker's clock")
		switch e.Clause {
		case challenges.ClauseFilled:
			s.WriteString(": the memory was filled too late")
		case challenges.ClauseProven:
			s.WriteString(": the reads were so slow that less than half of the memory is shown")
		default:
			s.WriteString(": below the claim, less what is allowed")
		}
	case challenges.Withheld:
		s.WriteString("After the work had begun the checker got no usable answer")
		s.WriteString(e.stopped())
	case challenges.Refused:
		fmt.Fprintf(&s, "The agent refused (%s)", orNone(e.Reason))
	case challenges.Unreachable:
		s.WriteString("The checker got no usable answer before the first result")
		s.WriteString(e.stopped())
	case challenges.Unknown:
		s.WriteString("The checker could not judge it, and does not count it")
	default:
		fmt.Fprintf(&s, "The checker's word was not received; the agent says: %s", e.Result)
	}
	if e.Fault != "" {
		fmt.Fprintf(&s, "; the device had a fault (%s)", e.Fault)
	}
	if e.Contradicts {
		fmt.Fprintf(&s, ". The agent's own copy says otherwise: %s", e.Own)
	}
	s.WriteString(".")
	return s.String()
}

// stopped says what the agent knows of an end before the time.
func (e *Explanation) stopped() string {
	switch {
	case e.Reason == challenges.AbortTenant:
		return ": a tenant came, and the device was given to him"
	case e.Reason == challenges.AbortOverrun:
		return ": the machine was too slow for the simulated device"
	case e.Reason == challenges.AbortFault:
		return ": the agent gave the run up"
	case e.Clause == challenges.ClauseSilence || e.Clause == "":
		return ""
	}
	return fmt.Sprintf(": an answer broke rule %s", e.Clause)
}

func orNone(s string) string {
	if s == "" {
		return "no reason is known"
	}
	return s
}
