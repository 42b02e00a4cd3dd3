package receipt

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/assaynet/assay/challenges"
)

var (
	// ErrNoReceipt says that a copy has no receipt: without the secret in it nobody
	// can judge the copy.
	ErrNoReceipt = errors.New("no receipt came")
	// ErrNotKept says that a copy has no frames, as that of a pass.
	ErrNotKept = errors.New("the frames were not kept")
)

// Transcript is the provider's own transcript of the challenge, for
// [challenges.Replay]: its events as far as a checker would have judged them, with
// the secret from the receipt. Its times are the provider's, so what its verdict
// says of time is no evidence. The provider signs what it likes, so to others the
// whole of it is none.
func (c *Copy) Transcript(network challenges.Hash) (challenges.Transcript, error) {
	f, err := c.Open(network)
	if err != nil {
		return challenges.Transcript{}, err
	}
	return c.transcript(f)
}

func (c *Copy) transcript(f Facts) (challenges.Transcript, error) {
	switch {
	case f.Receipt == nil:
		return challenges.Transcript{}, ErrNoReceipt
	case len(c.Events) == 0:
		return challenges.Transcript{}, ErrNotKept
	}
	if err := c.Check(); err != nil {
		return challenges.Transcript{}, err
	}
	env, err := challenges.DecodeEnvelope(c.Challenge)
	if err != nil {
		return challenges.Transcript{}, err
	}
	s, err := challenges.NewSession(env, f.Receipt.Secret)
	if err != nil {
		return challenges.Transcript{}, err
	}
	s.Start()
	done, frames := false, 0
	var last time.Duration
	for _, e := range c.Events {
		if !e.Out && e.End == challenges.EndNone {
			e.Frame = slices.Concat(e.Frame, c.Signatures[frames])
			frames++
		}
		// What came after the end was on its way, and nobody judges it.
		if _, done = s.Step(e); done {
			break
		}
		last = e.At
	}
	if !done {
		s.Step(c.end(f, last))
	}
	return s.Transcript(), nil
}

// end is how a session ended whose last event was at last. A checker that says late
// saw the time run out; else it is the stream that ended.
func (c *Copy) end(f Facts, last time.Duration) challenges.Event {
	deadline, took := f.Challenge.Deadline, time.Duration(c.Ended-c.At)
	if took >= deadline || f.Receipt.Outcome == challenges.Late {
		return challenges.Event{At: max(deadline, last), End: challenges.EndTimeout}
	}
	return challenges.Event{At: max(took, last), End: challenges.EndClosed}
}

// Finding is how a copy's own verdict stands to the receipt's.
type Finding uint8

// Findings.
const (
	Untold      Finding = iota // the copy cannot say: time, and whether a frame came, are the checker's word
	Agrees                     // both say the same
	Contradicts                // both cannot be right
)

func (f Finding) String() string {
	switch f {
	case Agrees:
		return "agrees"
	case Contradicts:
		return "contradicts"
	}
	return "cannot tell"
}

// Judgement is what a copy says by itself.
type Judgement struct {
	Verdict challenges.Verdict // of the copy; unknown where the checker broke a rule
	Finding Finding
	Says    string // why, in a sentence
}

// Judge replays the copy and holds it against the receipt. Only what follows from
// frames and secret can contradict: late is the checker's clock, and withheld or
// unreachable for silence its word that nothing came. The error is [ErrNoReceipt]
// or [ErrNotKept] where there is nothing to judge.
func (c *Copy) Judge(network challenges.Hash) (Judgement, error) {
	f, err := c.Open(network)
	if err != nil {
		return Judgement{}, err
	}
	if r := f.Receipt; r != nil && r.Secret.Commit() != f.Challenge.Commit {
		// SPEC: C1. The revealed secret MUST match the commitment. Here the same key signed
		// both.
		return Judgement{
			challenges.Verdict{Outcome: challenges.Unknown, Clause: challenges.ClauseSecret},
			Contradicts,
			"the secret in the receipt is not the one that the challenge committed to; the checker signed both",
		}, nil
	}
	t, err := c.transcript(f)
	if err != nil {
		return Judgement{}, err
	}
	j := Judgement{Verdict: t.Verdict}
	j.Finding, j.Says = c.compare(f.Receipt, t.Verdict)
	return j, nil
}

// signedClauses decide over what stands in frames that the provider signed: a
// checker that names one can show the frame.
var signedClauses = []string{
	challenges.ClauseRootOrder, challenges.ClauseKeyChain, challenges.ClauseEcho, challenges.ClauseShape, challenges.ClauseAuthentic,
	challenges.ClauseResult, challenges.ClauseSequence, challenges.ClauseRefusal, challenges.ClauseAbort, challenges.ClauseFilled,
}

func (c *Copy) compare(r *Receipt, own challenges.Verdict) (Finding, string) {
	same := own.Outcome == r.Outcome && own.Clause == r.Clause
	switch {
	case own.Outcome == challenges.Unknown && own.Clause == challenges.ClauseSent:
		return Contradicts, "the checker sent a frame that its own secret does not dictate (S3)"
	case c.Cut():
		return Untold, "the copy is not whole: it reached its limit"
	case !c.committed(r.Roots):
		return Contradicts, "the receipt is about other roots than this provider sent"
	case same:
		return Agrees, fmt.Sprintf("the copy says %s as well", said(own))
	case r.Outcome == challenges.Wrong:
		return Contradicts, fmt.Sprintf("in the copy all %d values that were opened are right, and the checker says that one is wrong; the checker's transcript must show which", own.Samples)
	case own.Outcome == challenges.Wrong && r.Outcome == challenges.Pass:
		return Contradicts, "in the copy a value is wrong, and the checker says pass"
	case own.Outcome == challenges.Wrong:
		return Untold, "in the copy a value is wrong; the checker did not judge it"
	case r.Outcome == challenges.Refused:
		return Contradicts, "the copy holds no refusal; the checker's transcript must show the signed one"
	case r.Outcome == challenges.Unknown:
		return Untold, "the checker does not count it"
	case r.Outcome == challenges.Late:
		return Untold, fmt.Sprintf("the copy says %s by the provider's clock, and only the checker's clock counts", said(own))
	case slices.Contains(signedClauses, r.Clause) && right(own):
		return Contradicts, fmt.Sprintf("in the copy every frame is in order, and the checker says that one breaks %s; the checker's transcript must show the signed frame", r.Clause)
	case right(own):
		return Untold, "the copy has every answer; whether they came, and when, is the checker's word"
	}
	return Untold, fmt.Sprintf("the copy says %s", said(own))
}

// right reports that everything that was asked for was sent and is right.
func right(v challenges.Verdict) bool {
	return v.Outcome == challenges.Pass || v.Outcome == challenges.Late && v.Clause != challenges.ClauseFilled ||
		v.Outcome == challenges.Unknown && v.Clause == challenges.ClauseLag
}

func said(v challenges.Verdict) string {
	if v.Clause == "" {
		return v.Outcome.String()
	}
	return fmt.Sprintf("%v (%s)", v.Outcome, v.Clause)
}

// committed reports that some of the roots that were sent, from the first on, are
// those that a receipt stands for. A checker has not seen what came after its end.
func (c *Copy) committed(roots challenges.Hash) bool {
	if roots == (challenges.Hash{}) || roots == RootsHash(nil) {
		return true
	}
	var sent []challenges.Hash
	for _, e := range c.Events {
		var f challenges.RootFrame
		if e.Out || e.Stream != challenges.StreamControl || challenges.Unmarshal(e.Frame, &f) != nil {
			continue
		}
		if sent = append(sent, f.Root); RootsHash(sent) == roots {
			return true
		}
	}
	return false
}
