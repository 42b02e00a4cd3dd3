package challenges

import (
	"slices"
	"testing"
	"time"
)

// liar is a checker that lies to an honest provider or about it. Its session
// sees only what it records.
type liar struct {
	tell   func(round int, frame []byte) []byte           // what the provider is sent in place of the positions
	note   func(round int, frame []byte) []byte           // what is recorded as sent
	record func(stream uint8, n int, frame []byte) []byte // what is recorded of the provider's n-th frame
	clock  func(time.Duration) time.Duration              // what the checker says the time was
	hold   int                                            // openings are recorded so many rounds late
	nonce  func(frame []byte) (tell, note []byte)         // what the provider is sent in place of the nonce, and what is recorded
	keep   time.Duration                                  // the nonce is kept back so long; below zero for good
	cut    int                                            // events after which the checker stops recording
}

// run lets the liar challenge an honest provider.
func (l liar) run(t *testing.T, profile uint16) *Session {
	t.Helper()
	s, p := pair(t, profile)
	events, done := 0, false
	feed := func(ev Event) (send []Out) {
		if l.clock != nil {
			ev.At = l.clock(ev.At)
		}
		if events++; l.cut > 0 && events > l.cut || done {
			return nil
		}
		send, done = s.Step(ev)
		return send
	}
	seen := [streams]int{}
	receive := func(at time.Duration, stream uint8, frame []byte) []Out {
		n := seen[stream]
		seen[stream]++
		if l.record != nil {
			frame = l.record(stream, n, slices.Clone(frame))
		}
		return feed(Event{At: at, Stream: stream, Frame: frame})
	}
	for _, o := range s.Start() {
		feed(Event{Stream: o.Stream, Out: true, Frame: o.Frame})
	}
	now := time.Duration(0)
	if p.walker != nil && !l.begins(t, p, feed, receive) {
		p.rounds = 0
	}
	var held [][]byte
	for r := range p.rounds {
		now = p.base + time.Duration(r+1)*p.round
		out := receive(now, StreamControl, p.control.Sign(p.root(r)))
		if len(out) == 0 { // the liar's session is over; the provider goes on to no avail
			break
		}
		told := out[0].Frame
		if l.tell != nil {
			told = l.tell(r, slices.Clone(told))
		}
		noted := out[0].Frame
		if l.note != nil {
			noted = l.note(r, slices.Clone(noted))
		}
		feed(Event{At: now, Out: true, Frame: noted})
		var f PositionsFrame
		if err := Unmarshal(told, &f); err != nil {
			t.Fatal(err)
		}
		p.packed = append(p.packed, f.Positions)
		for _, b := range NewOpening(r, FrameHash(told), p.trees[r].Open(unpacked(f.Positions))) {
			held = append(held, p.bulk.Sign(b))
		}
		for ; len(held) > l.hold; held = held[1:] {
			receive(now, StreamBulk, held[0])
		}
	}
	if !done && l.cut == 0 && l.hold == 0 && len(p.roots) == p.row.Rounds {
		receive(now, StreamControl, p.control.Sign(NewResult(Core{Challenge: p.id, Device: "gpu0", Roots: p.roots}, nil)))
	}
	if !done {
		l.cut = 0
		feed(Event{At: s.Challenge().Deadline, End: EndTimeout})
	}
	return s
}

// asks replaces the positions of one round's request.
func asks(round int) func(int, []byte) []byte {
	return func(r int, frame []byte) []byte {
		if r == round {
			frame[len(frame)-4] ^= 1
		}
		return frame
	}
}

// alters changes one byte of the body of a stream's n-th frame.
func alters(stream uint8, n, at int) func(uint8, int, []byte) []byte {
	return func(s uint8, i int, frame []byte) []byte {
		if s == stream && i == n {
			frame[(at+len(frame))%len(frame)] ^= 1
		}
		return frame
	}
}

func TestCheatingCheckersProveNothing(t *testing.T) {
	tests := []struct {
		name     string
		liar     liar
		want     Outcome
		clause   string
		disputed bool
		replays  string // the clause by which Replay refuses the record; empty: it replays
	}{
		{"honest", liar{}, Pass, "", false, ""},
		{"asks other positions than it records", liar{tell: asks(3)}, Withheld, ClauseEcho, false, ""},
		{"records other positions than it asks", liar{note: asks(3)}, Unknown, ClauseSent, false, ClauseSent},
		{"asks and records other positions", liar{tell: asks(3), note: asks(3)}, Unknown, ClauseSent, false, ClauseSent},
		{"false positions reach the key chain first", liar{tell: asks(3), hold: 3}, Withheld, ClauseKeyChain, false, ""},
		{"another value in an opening", liar{record: alters(StreamBulk, 2, 60)}, Withheld, ClauseSilence, false, ""},
		{"another sibling in an opening", liar{record: alters(StreamBulk, 2, -70)}, Withheld, ClauseSilence, false, ""},
		{"another root", liar{record: alters(StreamControl, 2, 6)}, Withheld, ClauseSilence, false, ""},
		{"another first root", liar{record: alters(StreamControl, 0, 6)}, Unreachable, ClauseSilence, false, ""},
		{"another key in a root frame", liar{record: alters(StreamControl, 2, 45)}, Withheld, ClauseSilence, false, ""},
		{"another signature", liar{record: alters(StreamBulk, 2, -1)}, Pass, "", false, ""}, // the next one covers the frame
		{"another last signature", liar{record: alters(StreamBulk, 15, -1)}, Withheld, ClauseSilence, false, ""},
		{"clock ten times too fast", liar{clock: func(d time.Duration) time.Duration { return d * 10 }}, Late, ClauseLate, true, ""},
		{"clock a third too fast", liar{clock: func(d time.Duration) time.Duration { return d * 4 / 3 }}, Late, ClauseLate, true, ""},
		{"clock at half speed", liar{clock: func(d time.Duration) time.Duration { return d / 2 }}, Pass, "", true, ""},
		{"clock that stands", liar{clock: func(time.Duration) time.Duration { return time.Second / 4 }}, Pass, "", true, ""},
		{"clock that falls", liar{clock: func(d time.Duration) time.Duration { return time.Minute - d }}, Unknown, ClauseTime, false, ClauseEnd},
		{"stops listening at once", liar{cut: 1}, Unreachable, ClauseSilence, false, ""},
		{"stops listening after a root", liar{cut: 3}, Withheld, ClauseSilence, false, ""},
		{"stops listening before the result", liar{cut: 1 + 3*16}, Withheld, ClauseSilence, false, ""},
	}
	for _, profile := range devnetRows {
		for _, tt := range tests {
			t.Run(rowName(profile)+", "+tt.name, func(t *testing.T) {
				s := tt.liar.run(t, profile)
				v := s.Verdict()
				if v.Outcome != tt.want || v.Clause != tt.clause || v.Disputed != tt.disputed {
					t.Errorf("got %+v, want %v %q", v, tt.want, tt.clause)
				}
				if tt.replays == "" {
					replays(t, s)
					return
				}
				if again, err := Replay(s.Transcript()); err == nil || clauseOf(err) != tt.replays {
					t.Errorf("replays as %+v, %v; want clause %s", again, err, tt.replays)
				}
			})
		}
	}
}

// TestFabricatedProofs puts together transcripts that would prove a wrong
// product if the provider's signatures did not count.
func TestFabricatedProofs(t *testing.T) {
	for _, profile := range smallRows {
		t.Run(rowName(profile), func(t *testing.T) { fabricatedProofs(t, profile) })
	}
}

func fabricatedProofs(t *testing.T, profile uint16) {
	e, secret := testChallenge(profile, testClaim(profile))
	spoil := func(_ int, c []uint64) {
		for i := range c {
			c[i]++
		}
	}
	forger := newPlayer(e, checkerKey) // it has no key but its own
	forger.spoil = spoil
	s := newTestSession(t, e, secret)
	live := play(t, s, forger).Verdict()
	if live.Outcome != Unreachable {
		t.Errorf("frames signed by the checker: %+v", live)
	}

	// What the provider would have signed had it been wrong.
	cheat := newPlayer(e, providerKey)
	cheat.spoil = spoil
	proof := play(t, newTestSession(t, e, secret), cheat).Transcript()
	if v, err := Replay(proof); err != nil || v.Outcome != Wrong {
		t.Fatalf("true proof: %+v, %v", v, err)
	}
	good, _ := honest(t, profile)
	right := good.Transcript()
	resign := func(stream uint8) []byte {
		signer := NewFrameSigner(checkerKey, testNetwork, e.ID(), stream)
		var last []byte
		for _, ev := range proof.Events {
			if !ev.Out && ev.Stream == stream {
				last = signer.Sign(ev.Frame)
			}
		}
		return last[len(last)-signatureBytes:]
	}
	for _, tt := range []struct {
		name       string
		signatures [][]byte
	}{
		{"no signatures", [][]byte{{}, {}}},
		{"signatures of the honest run", right.Signatures},
		{"the checker's signatures", [][]byte{resign(0), resign(1)}},
		{"the roots' true signature, the opening's forged", [][]byte{proof.Signatures[0], resign(1)}},
		{"the opening's true signature, the roots' forged", [][]byte{resign(0), proof.Signatures[1]}},
		{"exchanged", [][]byte{proof.Signatures[1], proof.Signatures[0]}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			forged := proof
			forged.Signatures = tt.signatures
			if v, err := Replay(forged); err == nil || clauseOf(err) != ClauseFrames {
				t.Errorf("replays as %+v, %v", v, err)
			}
		})
	}
	t.Run("signed by somebody else than the challenge", func(t *testing.T) {
		if _, _, err := OpenTranscript(SealTranscript(proof, testNetwork, testKey(9))); err == nil || clauseOf(err) != ClauseParties {
			t.Errorf("got %v", err)
		}
	})
	t.Run("events after the end", func(t *testing.T) {
		longer := proof
		longer.Events = append(slices.Clone(proof.Events), Event{At: time.Hour, End: EndTimeout})
		if v, err := Replay(longer); err == nil || clauseOf(err) != ClauseEnd {
			t.Errorf("replays as %+v, %v", v, err)
		}
	})
	t.Run("no end", func(t *testing.T) {
		shorter := proof
		shorter.Events = proof.Events[:len(proof.Events)-1]
		if v, err := Replay(shorter); err == nil || clauseOf(err) != ClauseEnd {
			t.Errorf("replays as %+v, %v", v, err)
		}
	})
}
