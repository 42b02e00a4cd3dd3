package challenges

import (
	"crypto/ed25519"
	"fmt"
)

// MaxEvents bounds a transcript: the largest profile's roots, positions, parts.
const MaxEvents = 4096

// Transcript is everything that was said in one challenge, and the secret that
// explains it. Sealed by the checker as kind "transcript", it is evidence.
type Transcript struct {
	_          struct{} `cbor:",toarray"`
	Challenge  []byte   // the challenge's envelope, as sent
	Secret     Secret
	Signatures [][]byte // per stream: the signature of the provider's last frame, empty without frames
	Events     []Event
	Verdict    Verdict // what the checker concluded
}

// Check bounds the fields.
func (t *Transcript) Check() error {
	if len(t.Challenge) > MaxFrame {
		return fmt.Errorf("challenge of %d bytes", len(t.Challenge))
	}
	if len(t.Events) > MaxEvents {
		return fmt.Errorf("%d events, limit %d", len(t.Events), MaxEvents)
	}
	for i, e := range t.Events {
		if len(e.Frame) > MaxFrame {
			return fmt.Errorf("event %d: frame of %d bytes", i, len(e.Frame))
		}
	}
	if len(t.Signatures) != streams {
		return fmt.Errorf("signatures of %d streams, want %d", len(t.Signatures), streams)
	}
	for i, s := range t.Signatures {
		if len(s) != 0 && len(s) != signatureBytes {
			return fmt.Errorf("signature %d of %d bytes", i, len(s))
		}
	}
	return t.Verdict.Check()
}

// Transcript writes the session down, with its verdict. Where the spool cannot
// give an opening back, the transcript ends before it, with the checker's fault
// as its cause.
func (s *Session) Transcript() Transcript {
	s.Verdict() // may drop events after a broken signature
	events := make([]Event, 0, len(s.events))
	for i := 0; i < len(s.events); i++ {
		e := s.events[i]
		if e.spooled >= 0 {
			frame, err := s.spool.Read(e.spooled)
			if err != nil {
				s.rewind(i, EndInternal)
				for !s.verifyLast() {
					// What is last now was covered by a later signature only.
					s.rewind(len(s.events)-2, EndInternal)
				}
				v := s.script.verdict()
				s.settled = &v
				last := len(s.events) - 1 // an earlier one may be gone as well
				events = append(events[:last], s.events[last].Event)
				break
			}
			e.Frame = frame
		}
		events = append(events, e.Event)
	}
	t := Transcript{
		Challenge: Marshal(&s.envelope), Secret: s.secret, Events: events, Verdict: s.Verdict(),
		Signatures: make([][]byte, streams),
	}
	for i, frames := range s.signed {
		if n := len(frames); n > 0 {
			t.Signatures[i] = frames[n-1].signature[:]
		}
	}
	return t
}

// SealTranscript signs a transcript as the checker's word.
func SealTranscript(t Transcript, network Hash, key ed25519.PrivateKey) Envelope {
	return Seal(network, KindTranscript, Marshal(&t), key)
}

// Replay judges a transcript again, from its bytes alone. An error is a
// [ClauseError]: the transcript breaks a rule that binds the checker, and proves
// nothing. Without an error the verdict is the protocol's; whether it is also
// the one that the checker recorded is for the caller to compare.
func Replay(t Transcript) (Verdict, error) {
	e, err := DecodeEnvelope(t.Challenge)
	if err != nil {
		return Verdict{}, &ClauseError{ClauseEncoding, fmt.Errorf("challenge: %w", err)}
	}
	s, err := NewSession(e, t.Secret)
	if err != nil {
		return Verdict{}, fmt.Errorf("challenge: %w", err)
	}
	s.Start()
	for i, ev := range t.Events {
		if s.done {
			return Verdict{}, breach(ClauseEnd, "event %d comes after the end", i)
		}
		s.step(ev, nil, -1)
		if s.fault != nil {
			return Verdict{}, fmt.Errorf("event %d: %w", i, s.fault)
		}
	}
	// SPEC: S4. A transcript ends where its session does.
	if !s.done {
		return Verdict{}, breach(ClauseEnd, "no end after %d events", len(t.Events))
	}
	// SPEC: S1. Every frame of the provider MUST be covered by a signature.
	for i := range s.signed {
		n := len(s.signed[i])
		if n == 0 && len(t.Signatures[i]) > 0 {
			return Verdict{}, breach(ClauseFrames, "stream %d: a signature without frames", i)
		}
		if n == 0 {
			continue
		}
		if len(t.Signatures[i]) != signatureBytes {
			return Verdict{}, breach(ClauseFrames, "stream %d: %d frames without a signature", i, n)
		}
		last := &s.signed[i][n-1]
		last.signature = [64]byte(t.Signatures[i])
		if !s.verifies(*last) {
			return Verdict{}, breach(ClauseFrames, "stream %d: the provider did not sign these frames", i)
		}
	}
	return s.script.verdict(), nil
}

// OpenTranscript authenticates a sealed transcript: its checker signed both it
// and the challenge in it. It does not judge; see [Replay].
func OpenTranscript(e Envelope) (Transcript, Challenge, error) {
	payload, err := e.Open(e.Network, KindTranscript)
	if err != nil {
		return Transcript{}, Challenge{}, &ClauseError{clauseOfOpen(err), err}
	}
	var t Transcript
	if err := Unmarshal(payload, &t); err != nil {
		return Transcript{}, Challenge{}, &ClauseError{ClauseEncoding, err}
	}
	ce, err := DecodeEnvelope(t.Challenge)
	if err != nil {
		return Transcript{}, Challenge{}, &ClauseError{ClauseEncoding, fmt.Errorf("challenge: %w", err)}
	}
	// SPEC: C3. The transcript's signer is the challenge's signer.
	if ce.Signer != e.Signer {
		return Transcript{}, Challenge{}, breach(ClauseParties, "transcript by %s of a challenge by %s", e.Signer.Short(), ce.Signer.Short())
	}
	c, err := OpenChallenge(ce, e.Network)
	if err != nil {
		return Transcript{}, Challenge{}, fmt.Errorf("challenge: %w", err)
	}
	return t, c, nil
}

// Refusal is the refusal that the transcript ends in, if it does.
func (t Transcript) Refusal() (RefusalFrame, bool) {
	if t.Verdict.Outcome != Refused || len(t.Events) == 0 {
		return RefusalFrame{}, false
	}
	var f RefusalFrame
	err := Unmarshal(t.Events[len(t.Events)-1].Frame, &f)
	return f, err == nil
}
