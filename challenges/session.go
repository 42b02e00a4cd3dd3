package challenges

import (
	"bytes"
	"crypto/ed25519"
	"errors"
	"fmt"
	"time"

	"github.com/assaynet/assay/challenges/memory"
)

// Cause is why a stream ended before the session was done: the checker's word.
type Cause uint8

// Causes of an end.
const (
	EndNone      Cause = iota
	EndTimeout         // the deadline passed
	EndReset           // the provider reset a stream
	EndClosed          // the provider closed a stream too early
	EndOversize        // a frame over MaxFrame, or a stream over its byte limit
	EndMalformed       // a frame too short to hold a signature
	EndSignature       // a frame whose signature does not verify
	EndDial            // no connection, or the protocol is not spoken
	EndStopped         // the checker was stopped
	EndInternal        // the checker failed
)

var causeNames = [...]string{"none", "timeout", "reset", "closed", "oversize", "malformed", "signature", "dial", "stopped", "internal"}

func (c Cause) String() string {
	if int(c) < len(causeNames) {
		return causeNames[c]
	}
	return fmt.Sprintf("cause(%d)", uint8(c))
}

// ours reports that the end is the checker's fault.
func (c Cause) ours() bool { return c == EndStopped || c == EndInternal }

// Event is one thing that happened during a challenge, as the checker saw it.
type Event struct {
	_      struct{}      `cbor:",toarray"`
	At     time.Duration // checker's clock since the challenge left, ns; never falls
	Stream uint8         // StreamControl or StreamBulk
	Out    bool          // sent by the checker
	End    Cause         // not EndNone: the session ended here, Frame is empty
	Frame  []byte        // the frame; in a transcript without its signature
}

// Out is a frame that the checker must send on a stream.
type Out struct {
	Stream uint8
	Frame  []byte
}

// script is the part of a session that depends on the challenge's kind. It sees
// frame bodies only; their signatures are the session's business.
type script interface {
	start() []Out
	recv(stream uint8, body []byte, at time.Duration) (send []Out, done bool)
	sent(stream uint8, frame []byte, at time.Duration)
	end(cause Cause, at time.Duration)
	verdict() Verdict
}

// signed is a provider frame's place in its stream's running hash.
type signed struct {
	sum       Hash
	signature [64]byte
}

// kept is an event that a session remembers.
type kept struct {
	Event
	spooled int // number of its frame in the spool; -1: Frame holds it
}

// Spool keeps the openings of one session, which are nearly all of its bytes,
// until its transcript is written: a checker with many challenges in flight holds
// them on its disk. A session without one holds them in memory.
type Spool interface {
	// Append keeps a copy of a frame's body. The first is number 0. An error ends
	// the session as the checker's own fault.
	Append(body []byte) error
	// Read returns the body of that number.
	Read(n int) ([]byte, error)
}

// Session judges one challenge. It does no I/O: whoever drives it sends what it
// asks for and tells it what happened. The live checker and [Replay] drive the
// same code. Methods must not be called concurrently.
type Session struct {
	envelope  Envelope
	challenge Challenge
	secret    Secret
	id        Hash
	script    script
	started   bool
	done      bool
	fault     error // the driver or the transcript broke a rule that binds the checker

	spool   Spool
	spooled int // frames in it

	last    time.Duration
	events  []kept
	chains  [streams]chain
	signed  [streams][]signed
	waiting [streams][][]byte // asked of the driver, not yet reported as sent
	settled *Verdict
}

// NewSession starts judging the challenge in e, which must be authentic, within
// the tables, and committed to secret. It remembers openings in memory.
func NewSession(e Envelope, secret Secret) (*Session, error) { return NewSpooled(e, secret, nil) }

// NewSpooled is NewSession with openings remembered in a spool.
func NewSpooled(e Envelope, secret Secret, spool Spool) (*Session, error) {
	c, err := OpenChallenge(e, e.Network)
	if err != nil {
		return nil, err
	}
	// SPEC: C1. The revealed secret MUST match the commitment.
	if secret.Commit() != c.Commit {
		return nil, breach(ClauseSecret, "secret does not match the commitment")
	}
	s := &Session{envelope: e, challenge: c, secret: secret, id: e.ID(), spool: spool}
	for i := range s.chains {
		s.chains[i] = newChain(e.Network, s.id, uint8(i))
	}
	params, err := c.decodeParams()
	if err != nil {
		return nil, err
	}
	switch p := params.(type) {
	case ComputeParams:
		s.script = newComputeScript(s.id, c.Device, p, secret)
	case memory.Params:
		s.script = newMemoryScript(s.id, c.Device, p, secret)
	case ProbeParams:
		s.script = newProbeScript(s.id, p, secret)
	}
	return s, nil
}

// ID is the challenge's id.
func (s *Session) ID() Hash { return s.id }

// Challenge is the challenge that is judged.
func (s *Session) Challenge() Challenge { return s.challenge }

// Control lists what was received on the control stream, for those who time it.
func (s *Session) Control() []Event {
	var out []Event
	for _, e := range s.events {
		if e.Stream == StreamControl && !e.Out {
			out = append(out, e.Event)
		}
	}
	return out
}

// Roots are those that the session took, in round order.
func (s *Session) Roots() []Hash {
	s.Verdict() // drops what nobody signed
	if m, ok := s.script.(interface{ roots() []Hash }); ok {
		return m.roots()
	}
	return nil
}

// Start returns the frames to send right after the challenge.
func (s *Session) Start() []Out {
	if s.started {
		return nil
	}
	s.started = true
	return s.queue(s.script.start())
}

// Step takes one event, with the signature still at the end of a provider's
// frame, and returns the frames to send. After done there is a verdict, and
// further events are ignored.
func (s *Session) Step(e Event) (send []Out, done bool) {
	if e.End != EndNone || e.Out {
		return s.step(e, nil, -1)
	}
	if e.At > s.challenge.Deadline {
		return s.step(Event{At: e.At, Stream: e.Stream, End: EndTimeout}, nil, -1)
	}
	body := len(e.Frame) - signatureBytes
	if body < 1 {
		return s.step(Event{At: e.At, Stream: e.Stream, End: EndMalformed}, nil, -1)
	}
	sig := [64]byte(e.Frame[body:])
	e.Frame = e.Frame[:body:body]
	n := -1
	if s.spool != nil && e.Stream == StreamBulk && !s.done {
		if err := s.spool.Append(e.Frame); err != nil {
			return s.step(Event{At: e.At, Stream: e.Stream, End: EndInternal}, nil, -1)
		}
		n = s.spooled
		s.spooled++
	}
	return s.step(e, &sig, n)
}

// step takes an event whose frame is a body, with its number in the spool. sig is
// nil in a replay, where the last signature of each stream is checked at the end.
func (s *Session) step(e Event, sig *[64]byte, spooled int) (send []Out, done bool) {
	if s.done {
		return nil, true
	}
	// SPEC: S2. Times MUST NOT fall.
	if e.At < s.last || e.Stream >= streams {
		s.blame(breach(ClauseTime, "event at %v on stream %d after one at %v", e.At, e.Stream, s.last))
		return nil, true
	}
	s.last = e.At
	k := kept{e, spooled}
	if spooled >= 0 {
		k.Frame = nil
	}
	s.events = append(s.events, k)
	switch {
	case e.End != EndNone:
		if e.End > EndInternal || len(e.Frame) > 0 || e.Out {
			s.blame(breach(ClauseEnd, "end %v with %d bytes", e.End, len(e.Frame)))
			return nil, true
		}
		s.script.end(e.End, e.At)
		s.done = true
	case e.Out:
		// SPEC: S3. What the checker sends MUST be what the secret dictates.
		q := s.waiting[e.Stream]
		if len(q) == 0 || !bytes.Equal(q[0], e.Frame) {
			s.blame(breach(ClauseSent, "the checker sent a frame that the secret does not dictate"))
			return nil, true
		}
		s.waiting[e.Stream] = q[1:]
		s.script.sent(e.Stream, e.Frame, e.At)
	default:
		// SPEC: C4. What comes after the deadline does not count.
		if e.At > s.challenge.Deadline {
			s.blame(breach(ClauseDeadline, "an answer at %v, the deadline is %v", e.At, s.challenge.Deadline))
			return nil, true
		}
		s.chains[e.Stream].absorb(e.Frame)
		entry := signed{sum: s.chains[e.Stream].sum}
		if sig != nil {
			entry.signature = *sig
		}
		s.signed[e.Stream] = append(s.signed[e.Stream], entry)
		send, s.done = s.script.recv(e.Stream, e.Frame, e.At)
		s.queue(send)
	}
	return send, s.done
}

func (s *Session) queue(out []Out) []Out {
	for _, o := range out {
		s.waiting[o.Stream] = append(s.waiting[o.Stream], o.Frame)
	}
	return out
}

func (s *Session) blame(err error) {
	s.fault = err
	s.done = true
}

// Verdict is the judgement, once the session is done. Frames count only as far
// as their signatures verify: the first that does not ends the session there, as
// if it had never come.
func (s *Session) Verdict() Verdict {
	if s.settled == nil {
		v := s.settle()
		s.settled = &v
	}
	return *s.settled
}

func (s *Session) settle() Verdict {
	switch {
	case s.fault != nil:
		return Verdict{Outcome: Unknown, Clause: clauseOf(s.fault)}
	case !s.done:
		return Verdict{Outcome: Unknown, Clause: ClauseEnd}
	}
	// SPEC: S1. The signature of a stream's last frame covers all of its frames.
	// Only if it fails are the others looked at.
	if s.verifyLast() {
		return s.script.verdict()
	}
	next := [streams]int{}
	for i, e := range s.events {
		if e.Out || e.End != EndNone {
			continue
		}
		f := s.signed[e.Stream][next[e.Stream]]
		if s.verifies(f) {
			next[e.Stream]++
			continue
		}
		s.rewind(i, EndSignature)
		break
	}
	return s.script.verdict()
}

// rewind judges again what stands before event i, as if the session had ended
// there.
func (s *Session) rewind(i int, cause Cause) {
	again, err := NewSpooled(s.envelope, s.secret, s.spool)
	if err != nil { // it was made once
		s.blame(err)
		return
	}
	again.Start()
	seen := [streams]int{}
	for k, e := range s.events[:i] {
		if e.spooled >= 0 {
			if e.Frame, err = s.spool.Read(e.spooled); err != nil {
				i, cause = k, EndInternal
				break
			}
		}
		var sig *[64]byte
		if !e.Out && e.End == EndNone {
			sig = &s.signed[e.Stream][seen[e.Stream]].signature
			seen[e.Stream]++
		}
		again.step(e.Event, sig, e.spooled)
	}
	end := s.events[i]
	again.step(Event{At: end.At, Stream: end.Stream, End: cause}, nil, -1)
	*s = *again
}

func (s *Session) verifyLast() bool {
	for _, frames := range s.signed {
		if n := len(frames); n > 0 && !s.verifies(frames[n-1]) {
			return false
		}
	}
	return true
}

func (s *Session) verifies(f signed) bool {
	p := s.challenge.Provider
	c := chain{s.envelope.Network, f.sum}
	return ed25519.Verify(p[:], c.input(), f.signature[:])
}

func clauseOf(err error) string {
	var c *ClauseError
	if errors.As(err, &c) {
		return c.Clause
	}
	return ClauseEnd
}
