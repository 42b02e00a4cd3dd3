package challenges

import (
	"bytes"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"sync"
	"testing"
	"time"
)

// The central claim: no edit of an honest transcript makes it prove a wrong
// product, and none passes unnoticed but those of the checker's own testimony
// (docs/PROTOCOL.md, "What a transcript proves").

// fate is what became of an edited transcript.
type fate string

const (
	fateEncoding  fate = "refused: encoding"
	fateSignature fate = "refused: envelope"
	fateReplay    fate = "refused: replay"
	fateRecorded  fate = "refused: recorded verdict (T1)"
	fateTestimony fate = "testimony: times or end"
	fateUnnoticed fate = "UNNOTICED"
	fateWrong     fate = "WRONG"
)

// judge takes a sealed transcript as a stranger would, and says what becomes of it.
func judge(sealed []byte, honest *Transcript) (fate, *Transcript, error) {
	e, err := DecodeEnvelope(sealed)
	if err != nil {
		return fateEncoding, nil, err
	}
	tr, _, err := OpenTranscript(e)
	if err != nil {
		if clauseOf(err) == ClauseEncoding {
			return fateEncoding, nil, err
		}
		return fateSignature, nil, err
	}
	v, err := Replay(tr)
	switch {
	case err != nil:
		return fateReplay, &tr, err
	case v.Outcome == Wrong:
		return fateWrong, &tr, nil
	// SPEC: T1. The recorded verdict MUST be the replayed one.
	case v != tr.Verdict:
		return fateRecorded, &tr, nil
	case testimonyOnly(&tr, honest):
		return fateTestimony, &tr, nil
	}
	return fateUnnoticed, &tr, nil
}

// testimonyOnly reports that two transcripts differ in nothing but what is the
// checker's word: an event's time, an end's cause and stream, and the order of
// events of different streams or directions as far as the session allows it.
func testimonyOnly(a, b *Transcript) bool {
	lanes := func(t *Transcript) (out [5][]byte) {
		for _, e := range t.Events {
			lane := 2*int(e.Stream&1) + map[bool]int{true: 1}[e.Out]
			if e.End != EndNone {
				lane, e.Stream, e.End = 4, 0, EndTimeout
			}
			e.At = 0
			out[lane] = append(out[lane], Marshal(&e)...)
		}
		return out
	}
	rest := func(t Transcript) []byte {
		t.Events = nil
		return Marshal(&t)
	}
	return bytes.Equal(rest(*a), rest(*b)) && reflect.DeepEqual(lanes(a), lanes(b))
}

// reseal signs an edited payload as the lying checker would.
func reseal(payload []byte) []byte {
	e := Seal(testNetwork, KindTranscript, payload, checkerKey)
	return Marshal(&e)
}

var flips = []byte{0x01, 0x80, 0xff, 0x10}

// flipAll edits every byte of data, judges, and counts the fates. Inside the long
// frames, the openings, each byte gets one flip and all others four; one, too, in
// the rows that share everything but the arithmetic with the first.
func flipAll(t *testing.T, data []byte, profile uint16, edit func([]byte) []byte, honest *Transcript, allowed ...fate) {
	t.Helper()
	step := 1
	if testing.Short() {
		step = 17
	}
	long := make([]bool, len(data))
	for _, it := range items(data) {
		if it.major == 2 && it.value > 512 && it.value < 2048 {
			for i := it.body + 64; i < it.end; i++ {
				long[i] = true
			}
		}
	}
	var mu sync.Mutex
	var wg sync.WaitGroup
	counts, tried := map[fate]int{}, 0
	for worker := range 2 {
		wg.Go(func() {
			mine := slices.Clone(data)
			for i := worker * step; i < len(data); i += 2 * step {
				masks := flips
				if long[i] || profile != vectorRows[0] {
					masks = flips[i%len(flips):][:1]
				}
				for _, mask := range masks {
					mine[i] ^= mask
					got, _, err := judge(edit(mine), honest)
					mine[i] ^= mask
					mu.Lock()
					tried++
					counts[got]++
					if !slices.Contains(allowed, got) {
						t.Errorf("byte %d of %d ^ %#02x: %s (%v)", i, len(data), mask, got, err)
					}
					mu.Unlock()
				}
			}
		})
	}
	wg.Wait()
	t.Logf("%d edits of %d bytes", tried, len(data))
	for _, k := range slices.Sorted(maps.Keys(counts)) {
		t.Logf("%7d %s", counts[k], k)
	}
}

// cutHonest is an honest run whose checker stops listening: silence, it says.
func cutHonest(t *testing.T, profile uint16) *Session {
	t.Helper()
	e, secret := testChallenge(profile, 1e6) // slow, so that the deadline is long after the silence
	s, p := newTestSession(t, e, secret), newPlayer(e, providerKey)
	p.rounds = 2
	p.open = func(r int, o []byte) any {
		if r == 1 {
			return nil
		}
		return NewOpening(r, FrameHash(newPositions(r, unpacked(p.packed[r]))), o)
	}
	return play(t, s, p)
}

func unpacked(b []byte) []uint32 {
	out := make([]uint32, 0, len(b)/4)
	for ; len(b) >= 4; b = b[4:] {
		out = append(out, uint32(b[0])|uint32(b[1])<<8|uint32(b[2])<<16|uint32(b[3])<<24)
	}
	return out
}

func TestEveryByteOfASealedTranscript(t *testing.T) {
	for _, profile := range smallRows {
		t.Run(rowName(profile), func(t *testing.T) {
			s, _ := honest(t, profile)
			tr := s.Transcript()
			env := SealTranscript(tr, testNetwork, checkerKey)
			flipAll(t, Marshal(&env), profile, func(b []byte) []byte { return b }, &tr, fateEncoding, fateSignature)
		})
	}
}

func TestEveryByteSignedAgainByALyingChecker(t *testing.T) {
	for _, profile := range smallRows {
		t.Run(rowName(profile), func(t *testing.T) { signedAgain(t, profile) })
	}
}

func signedAgain(t *testing.T, profile uint16) {
	pass, _ := honest(t, profile)
	refusing, rp := pair(t, profile)
	refusing.Step(Event{At: time.Millisecond, Frame: rp.control.Sign(NewRefusal(ReasonTenant, time.Hour))})
	for _, tt := range []struct {
		name string
		s    *Session
		want Outcome
	}{{"pass", pass, Pass}, {"withheld", cutHonest(t, profile), Withheld}, {"refused", refusing, Refused}} {
		t.Run(tt.name, func(t *testing.T) {
			if got := tt.s.Verdict().Outcome; got != tt.want {
				t.Fatalf("outcome %v", got)
			}
			tr := tt.s.Transcript()
			flipAll(t, Marshal(&tr), profile, reseal, &tr,
				fateEncoding, fateSignature, fateReplay, fateRecorded, fateTestimony)
		})
	}
}

// TestEveryByteOfAProof flips a true proof: it may break, but it must not come
// to prove something else and keep its recorded verdict.
func TestEveryByteOfAProof(t *testing.T) {
	for _, profile := range smallRows {
		t.Run(rowName(profile), func(t *testing.T) { everyByteOfAProof(t, profile) })
	}
}

func everyByteOfAProof(t *testing.T, profile uint16) {
	s, p := pair(t, profile)
	p.spoil = func(_ int, c []uint64) {
		for i := range c {
			c[i]++
		}
	}
	tr := play(t, s, p).Transcript()
	if tr.Verdict.Outcome != Wrong {
		t.Fatal("not wrong")
	}
	// It stays wrong where only a time changed; its elapsed time is testimony.
	flipAll(t, Marshal(&tr), profile, func(b []byte) []byte {
		out := reseal(b)
		if got, after, _ := judge(out, &tr); got == fateWrong {
			if !testimonyOnly(after, &Transcript{Challenge: tr.Challenge, Secret: tr.Secret, Signatures: tr.Signatures, Events: tr.Events, Verdict: after.Verdict}) {
				t.Errorf("still wrong, with other content: %x", b)
			}
		}
		return out
	}, &tr, fateEncoding, fateSignature, fateReplay, fateRecorded, fateWrong)
}

func TestStructuredEdits(t *testing.T) {
	for _, profile := range smallRows {
		t.Run(rowName(profile), func(t *testing.T) { structuredEdits(t, profile) })
	}
}

func structuredEdits(t *testing.T, profile uint16) {
	s, p := honest(t, profile)
	base := s.Transcript()
	frames := [streams][]signed{s.signed[0], s.signed[1]}
	clone := func() *Transcript {
		var c Transcript
		if err := Unmarshal(Marshal(&base), &c); err != nil {
			t.Fatal(err)
		}
		return &c
	}
	otherChallenge, otherSecret := reissued(t, profile, func(c *Challenge) { c.Seq = 2 })
	type edit struct {
		name    string
		apply   func(*Transcript)
		allowed []fate
	}
	refused := []fate{fateEncoding, fateSignature, fateReplay, fateRecorded}
	word := append(slices.Clone(refused), fateTestimony)
	edits := []edit{
		{"nothing", func(*Transcript) {}, []fate{fateTestimony}},
		{"recorded as wrong", func(c *Transcript) { c.Verdict.Outcome, c.Verdict.Clause = Wrong, ClauseValue }, []fate{fateRecorded}},
		{"recorded as withheld", func(c *Transcript) { c.Verdict.Outcome, c.Verdict.Clause = Withheld, ClauseSilence }, []fate{fateRecorded}},
		{"recorded faster", func(c *Transcript) { c.Verdict.OpsLower *= 2 }, []fate{fateRecorded}},
		{"recorded with more samples", func(c *Transcript) { c.Verdict.Samples++ }, []fate{fateRecorded}},
		{"another secret", func(c *Transcript) { c.Secret[0] ^= 1 }, []fate{fateReplay}},
		{"another challenge", func(c *Transcript) { c.Challenge = Marshal(&otherChallenge) }, []fate{fateReplay}},
		{"another challenge and its secret", func(c *Transcript) { c.Challenge, c.Secret = Marshal(&otherChallenge), otherSecret }, []fate{fateReplay}},
		{"signatures exchanged", func(c *Transcript) { slices.Reverse(c.Signatures) }, []fate{fateReplay}},
		{"control signature gone", func(c *Transcript) { c.Signatures[0] = nil }, []fate{fateReplay}},
		{"all times x12", func(c *Transcript) {
			for i := range c.Events {
				c.Events[i].At *= 12
			}
		}, []fate{fateRecorded}},
		{"times x12, recorded as replayed", func(c *Transcript) {
			for i := range c.Events {
				c.Events[i].At *= 12
			}
			c.Verdict, _ = Replay(*c)
			if c.Verdict.Outcome != Late || !c.Verdict.Disputed {
				t.Errorf("x12: %+v, want late and disputed", c.Verdict)
			}
		}, []fate{fateUnnoticed}}, // the verdict differs; it says itself that it is late, which is testimony
		{"openings of rounds 0 and 1 exchanged", func(c *Transcript) {
			var at []int
			for i, e := range c.Events {
				if !e.Out && e.Stream == StreamBulk {
					at = append(at, i)
				}
			}
			c.Events[at[0]].Frame, c.Events[at[1]].Frame = c.Events[at[1]].Frame, c.Events[at[0]].Frame
		}, refused},
	}
	for i := range base.Events {
		drop := refused
		if i == 0 {
			// Nothing follows from the attach frame: whoever signed openings that
			// echo the requests was attached.
			drop = append(slices.Clone(refused), fateUnnoticed)
		}
		edits = append(edits,
			edit{fmt.Sprintf("event %d dropped", i), func(c *Transcript) { c.Events = slices.Delete(c.Events, i, i+1) }, drop},
			edit{fmt.Sprintf("event %d twice", i), func(c *Transcript) { c.Events = slices.Insert(c.Events, i, c.Events[i]) }, refused},
			edit{fmt.Sprintf("event %d dropped, recorded as replayed", i), func(c *Transcript) {
				c.Events = slices.Delete(c.Events, i, i+1)
				c.Verdict, _ = Replay(*c)
			}, drop},
		)
		if i+1 < len(base.Events) {
			edits = append(edits, edit{fmt.Sprintf("events %d and %d exchanged", i, i+1), func(c *Transcript) {
				a, b := &c.Events[i], &c.Events[i+1]
				a.At, b.At = b.At, a.At
				*a, *b = *b, *a
			}, word})
		}
		// The best cut that a checker can make: it holds every signature.
		for cause := EndTimeout; cause <= EndInternal; cause++ {
			edits = append(edits, edit{fmt.Sprintf("cut after event %d, %v", i, cause), func(c *Transcript) {
				var n [streams]int
				for _, e := range c.Events[:i] {
					if !e.Out {
						n[e.Stream]++
					}
				}
				for stream, count := range n {
					c.Signatures[stream] = nil
					if count > 0 {
						c.Signatures[stream] = frames[stream][count-1].signature[:]
					}
				}
				c.Events = append(slices.Clone(c.Events[:i]), Event{At: s.Challenge().Deadline, End: cause})
				c.Verdict, _ = Replay(*c)
			}, []fate{fateUnnoticed}}) // a verdict of its own; checked below to be testimony
		}
	}
	counts := map[string]int{}
	for _, e := range edits {
		c := clone()
		e.apply(c)
		got, after, err := judge(reseal(Marshal(c)), &base)
		if !slices.Contains(e.allowed, got) {
			t.Errorf("%s: %s (%v)", e.name, got, err)
			continue
		}
		name := string(got)
		if got == fateUnnoticed && after.Verdict != base.Verdict {
			name = "testimony: replays as " + after.Verdict.Outcome.String()
			if v := after.Verdict; v.Outcome == Pass || v.Outcome.Proof() {
				t.Errorf("%s: replays as %v, which is no testimony", e.name, v.Outcome)
			}
		}
		counts[name]++
	}
	t.Logf("%d structured edits of a pass of %d rounds", len(edits), p.rounds)
	for _, k := range slices.Sorted(maps.Keys(counts)) {
		t.Logf("%7d %s", counts[k], k)
	}
	if !reflect.DeepEqual(s.Transcript(), base) {
		t.Error("an edit changed the session")
	}
}
