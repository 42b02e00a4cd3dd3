package challenges

import (
	"slices"
	"testing"
	"time"
)

// TestCheatingCheckersOfMemory: a checker that lies to an honest provider, or about
// it, gets no wrong, and what it withholds itself is its own fault.
func TestCheatingCheckersOfMemory(t *testing.T) {
	set := simSet(t)
	other := Marshal(&NonceFrame{Type: typeNonce, Nonce: Hash{1}})
	deadline := set.Deadline(100 * time.Microsecond)
	times := func(n time.Duration) func(time.Duration) time.Duration {
		return func(d time.Duration) time.Duration { return d * n }
	}
	for _, tt := range []struct {
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
		{"false positions, found three rounds later", liar{tell: asks(3), hold: 3}, Withheld, ClauseEcho, false, ""},
		{"tells another nonce than it records", liar{nonce: func(f []byte) (tell, note []byte) { return other, f }}, Withheld, ClauseKeyChain, false, ""},
		{"records another nonce than it tells", liar{nonce: func(f []byte) (tell, note []byte) { return f, other }}, Unknown, ClauseSent, false, ClauseSent},
		{"tells and records another nonce", liar{nonce: func([]byte) (tell, note []byte) { return other, other }}, Unknown, ClauseSent, false, ClauseSent},
		{"does not record the nonce", liar{nonce: func(f []byte) (tell, note []byte) { return f, nil }}, Withheld, ClauseFilled, false, ""},
		{"keeps the nonce for good", liar{keep: -1}, Unknown, ClauseEnd, false, ""},
		{"keeps the nonce until the walks have no time", liar{keep: deadline - set.FillTime() - set.WalkTime()/2}, Unknown, ClauseEnd, false, ""},
		{"keeps the nonce for a while", liar{keep: 100 * ms}, Pass, "", false, ""},
		{"another time in filled", liar{record: alters(StreamControl, 0, 5)}, Unreachable, ClauseSilence, false, ""},
		{"another value in an opening", liar{record: alters(StreamBulk, 2, 60)}, Withheld, ClauseSilence, false, ""},
		{"another sibling in an opening", liar{record: alters(StreamBulk, 2, -70)}, Withheld, ClauseSilence, false, ""},
		{"another root", liar{record: alters(StreamControl, 2, 6)}, Withheld, ClauseSilence, false, ""},
		{"another first root", liar{record: alters(StreamControl, 1, 6)}, Withheld, ClauseSilence, false, ""},
		{"another signature", liar{record: alters(StreamBulk, 2, -1)}, Pass, "", false, ""}, // the next one covers the frame
		{"another last signature", liar{record: alters(StreamBulk, 31, -1)}, Withheld, ClauseSilence, false, ""},
		{"another signature of the result", liar{record: alters(StreamControl, 33, -1)}, Withheld, ClauseSilence, false, ""},
		{"clock ten times too fast", liar{clock: times(10)}, Late, ClauseProven, true, ""},
		{"clock so fast that filled is late", liar{clock: times(13)}, Late, ClauseFilled, false, ""},
		{"clock at half speed", liar{clock: func(d time.Duration) time.Duration { return d / 2 }}, Pass, "", true, ""},
		{"clock that stands", liar{clock: func(time.Duration) time.Duration { return 50 * ms }}, Late, ClauseProven, true, ""},
		{"clock that falls", liar{clock: func(d time.Duration) time.Duration { return time.Minute - d }}, Unknown, ClauseTime, false, ClauseEnd},
		{"stops listening at once", liar{cut: 1}, Unreachable, ClauseSilence, false, ""},
		{"stops listening after filled", liar{cut: 2}, Unknown, ClauseEnd, false, ""},
		{"stops listening after the nonce", liar{cut: 3}, Withheld, ClauseSilence, false, ""},
		{"stops listening before the result", liar{cut: 3 + 3*32}, Withheld, ClauseSilence, false, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := tt.liar.run(t, 501)
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

// TestProofOfMemoryStandsAlone: a proof replays from its bytes, whatever the checker
// cut off behind the opening that is wrong, and no longer without that opening.
func TestProofOfMemoryStandsAlone(t *testing.T) {
	s, p := pair(t, 502)
	p.fill = wrongWalks(p.walker)[0].fill
	tr := play(t, s, p).Transcript()
	if v, err := Replay(tr); err != nil || v.Outcome != Wrong || v != tr.Verdict {
		t.Fatalf("replays as %+v, %v", v, err)
	}
	frames := [streams][]signed{s.signed[0], s.signed[1]}
	wrong := 0
	for i := range tr.Events {
		for cause := EndTimeout; cause <= EndInternal; cause++ {
			var n [streams]int
			for _, e := range tr.Events[:i] {
				if !e.Out {
					n[e.Stream]++
				}
			}
			cut := tr
			cut.Signatures = [][]byte{nil, nil}
			for stream, count := range n {
				if count > 0 {
					cut.Signatures[stream] = frames[stream][count-1].signature[:]
				}
			}
			cut.Events = append(slices.Clone(tr.Events[:i]), Event{At: s.Challenge().Deadline, End: cause})
			v, err := Replay(cut)
			if err != nil || (v.Outcome == Wrong) != (n[StreamBulk] > 0) {
				t.Errorf("cut after %d events, %v, %d openings: %+v, %v", i, cause, n[StreamBulk], v, err)
			}
			if v.Outcome == Wrong {
				if wrong++; v.Samples != tr.Verdict.Samples || v.Elapsed != tr.Verdict.Elapsed {
					t.Errorf("cut after %d events: %+v, whole %+v", i, v, tr.Verdict)
				}
			}
		}
	}
	if wrong == 0 {
		t.Error("no cut proves anything")
	}
	// The checker cannot make it right either.
	for _, e := range []struct {
		name string
		edit func(*Transcript)
	}{
		{"the openings dropped", func(c *Transcript) {
			c.Events = slices.DeleteFunc(c.Events, func(e Event) bool { return e.Stream == StreamBulk && !e.Out })
		}},
		{"signatures dropped", func(c *Transcript) { c.Signatures = [][]byte{{}, {}} }},
		{"another secret", func(c *Transcript) { c.Secret[0] ^= 1 }},
		{"another nonce", func(c *Transcript) {
			for i, e := range c.Events {
				if e.Out && StartsWalks(e.Frame) {
					c.Events[i].Frame = Marshal(&NonceFrame{Type: typeNonce, Nonce: Hash{1}})
				}
			}
		}},
	} {
		c := tr
		c.Events = slices.Clone(tr.Events)
		e.edit(&c)
		if v, err := Replay(c); err == nil {
			t.Errorf("%s: replays as %+v", e.name, v)
		}
	}
}

// TestMemoryOfAnotherChallenge: a dataset, its nonce and its walks belong to one
// challenge: nothing of it serves another.
func TestMemoryOfAnotherChallenge(t *testing.T) {
	e, secret := testChallenge(502, 0)
	second, _ := reissued(t, 502, func(c *Challenge) { c.Seq++ })
	device, _ := reissued(t, 502, func(c *Challenge) { c.Device = "gpu1" })
	keys, nonces := map[Hash]bool{}, map[Hash]bool{}
	for _, x := range []Envelope{e, second, device} {
		c, err := OpenChallenge(x, testNetwork)
		if err != nil {
			t.Fatal(err)
		}
		keys[DatasetKey(x.ID(), c.Device)], nonces[secret.WalkNonce(x.ID())] = true, true
	}
	if len(keys) != 3 || len(nonces) != 3 {
		t.Errorf("%d keys and %d nonces of three challenges", len(keys), len(nonces))
	}
	if DatasetKey(e.ID(), "gpu0") == DatasetKey(e.ID(), "gpu1") {
		t.Error("two devices of one challenge share a dataset")
	}
	if secret.WalkNonce(e.ID()) == (Secret{1}).WalkNonce(e.ID()) {
		t.Error("the nonce does not hang on the secret")
	}
	// What was filled before the challenge came is of no use in it.
	s, p := pair(t, 502)
	old := newPlayer(second, providerKey)
	p.fill = func(key *Hash, shape Shape) []uint64 { return p.walker.lead(key, old.walker.items) }
	if v := play(t, s, p).Verdict(); v.Outcome != Wrong {
		t.Errorf("walks over another challenge's dataset: %+v", v)
	}
}
