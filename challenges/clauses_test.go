package challenges

import (
	"testing"
	"time"
)

// scene drives a session step by step, for answers that a player does not give.
type scene struct {
	*testing.T
	s    *Session
	p    *player
	now  time.Duration
	done bool
	sent map[int][]byte // positions frames by round
	held bool           // the nonce of a proof of memory was asked for
}

func newScene(t *testing.T, profile uint16) *scene {
	s, p := pair(t, profile)
	c := &scene{T: t, s: s, p: p, sent: map[int][]byte{}}
	for _, o := range c.s.Start() {
		c.step(Event{Stream: o.Stream, Out: true, Frame: o.Frame})
	}
	return c
}

func (c *scene) step(e Event) (send []Out) {
	c.now += 100 * time.Microsecond
	e.At = c.now
	send, c.done = c.s.Step(e)
	return send
}

func (c *scene) control(body []byte) []Out {
	return c.step(Event{Frame: c.p.control.Sign(body)})
}

func (c *scene) bulk(bodies ...[]byte) {
	for _, b := range bodies {
		c.step(Event{Stream: StreamBulk, Frame: c.p.bulk.Sign(b)})
	}
}

// root sends the next root, honestly but for alter, and the request for it.
func (c *scene) root(alter func(*RootFrame)) {
	c.Helper()
	r := len(c.p.roots)
	var f RootFrame
	if err := Unmarshal(c.p.root(r), &f); err != nil {
		c.Fatal(err)
	}
	if alter != nil {
		alter(&f)
	}
	for _, o := range c.control(Marshal(&f)) {
		c.sent[r] = o.Frame
		c.step(Event{Stream: o.Stream, Out: true, Frame: o.Frame})
		var ask PositionsFrame
		if err := Unmarshal(o.Frame, &ask); err != nil {
			c.Fatal(err)
		}
		c.p.packed = append(c.p.packed, ask.Positions)
	}
}

func (c *scene) opening(r int) []byte {
	return NewOpening(r, FrameHash(c.sent[r]), c.p.trees[r].Open(unpacked(c.p.packed[r])))[0]
}

// rounds plays so many rounds honestly, of a proof of memory after filling.
func (c *scene) rounds(n int) {
	if c.p.walker != nil && !c.held {
		c.fill()
	}
	for range n {
		c.root(nil)
		c.bulk(c.opening(len(c.p.roots) - 1))
	}
}

func (c *scene) core() Core {
	return Core{Challenge: c.p.id, Device: "gpu0", Roots: c.p.roots}
}

func TestClausesOfCompute(t *testing.T) {
	part := func(b []byte, alter func(*OpeningFrame)) []byte {
		var f OpeningFrame
		if err := Unmarshal(b, &f); err != nil {
			t.Fatal(err)
		}
		alter(&f)
		return Marshal(&f)
	}
	result := func(alter func(*Core)) func(*scene) {
		return func(c *scene) {
			c.rounds(4)
			core := c.core()
			alter(&core)
			c.control(NewResult(core, nil))
		}
	}
	tests := []struct {
		name   string
		play   func(*scene)
		want   Outcome
		clause string
	}{
		{"complete", result(func(*Core) {}), Pass, ""},
		{"result before the last opening", func(c *scene) {
			c.rounds(3)
			c.root(nil)
			c.control(NewResult(c.core(), nil))
			c.bulk(c.opening(3))
		}, Pass, ""},
		{"two roots before their openings", func(c *scene) {
			c.root(nil)
			c.root(nil)
			c.bulk(c.opening(0), c.opening(1))
			c.rounds(2)
			c.control(NewResult(c.core(), nil))
		}, Pass, ""},

		{"openings of two rounds exchanged", func(c *scene) {
			c.root(nil)
			c.root(nil)
			c.bulk(c.opening(1), c.opening(0))
		}, Withheld, ClauseShape},
		{"opening that starts at part 1", func(c *scene) {
			c.root(nil)
			c.bulk(part(c.opening(0), func(f *OpeningFrame) { f.Part = 1 }))
		}, Withheld, ClauseShape},
		{"opening in parts that are not full", func(c *scene) {
			c.root(nil)
			whole := c.opening(0)
			c.bulk(part(whole, func(f *OpeningFrame) { f.Data = f.Data[:100] }),
				part(whole, func(f *OpeningFrame) { f.Data, f.Part = f.Data[100:], 1 }))
		}, Withheld, ClauseShape},
		{"opening before any root", func(c *scene) {
			c.bulk(NewOpening(0, Hash{}, make([]byte, 1088))...)
		}, Unreachable, ClauseShape},
		{"root on the bulk stream", func(c *scene) {
			c.bulk(c.p.root(0))
		}, Unreachable, ClauseSequence},
		{"second root of a round", func(c *scene) {
			c.root(nil)
			c.control(NewRoot(0, Hash{1}, FirstKey(c.p.id, "gpu0"), 0))
		}, Withheld, ClauseRootOrder},
		{"fifth root of four rounds", func(c *scene) {
			c.rounds(4)
			c.control(NewRoot(4, Hash{1}, Hash{}, time.Second))
		}, Withheld, ClauseRootOrder},
		{"clock of the provider falls", func(c *scene) {
			c.rounds(2)
			c.root(func(f *RootFrame) { f.Mono = 0 })
		}, Withheld, ClauseSequence},
		{"clock of the provider before the challenge", func(c *scene) {
			c.root(func(f *RootFrame) { f.Mono = -1 })
		}, Unreachable, ClauseSequence},
		{"refusal after a root", func(c *scene) {
			c.rounds(1)
			c.control(NewRefusal(ReasonTenant, 0))
		}, Withheld, ClauseRefusal},
		{"attach from the provider", func(c *scene) {
			c.rounds(1)
			c.control(NewAttach(c.p.id))
		}, Withheld, ClauseSequence},

		{"result before the last root", func(c *scene) {
			c.rounds(3)
			c.control(NewResult(c.core(), nil))
		}, Withheld, ClauseResult},
		{"result twice", func(c *scene) {
			c.rounds(3)
			c.root(nil)
			c.control(NewResult(c.core(), nil))
			c.control(NewResult(c.core(), nil))
		}, Withheld, ClauseResult},
		{"result of another challenge", result(func(r *Core) { r.Challenge[0] ^= 1 }), Withheld, ClauseResult},
		{"result of another device", result(func(r *Core) { r.Device = "gpu1" }), Withheld, ClauseResult},
		{"result without a root", result(func(r *Core) { r.Roots = r.Roots[:3] }), Withheld, ClauseResult},
		{"result with another root", result(func(r *Core) { r.Roots = append(r.Roots[:3:3], Hash{1}) }), Withheld, ClauseResult},
		{"result with a byte of telemetry", result(func(r *Core) { r.Telemetry = []byte{1} }), Pass, ""},
		{"result with all the telemetry there may be", result(func(r *Core) { r.Telemetry = make([]byte, 4096) }), Pass, ""},
		{"result with too much telemetry", result(func(r *Core) { r.Telemetry = make([]byte, 4097) }), Withheld, ClauseResult},
		{"result with telemetry of another device", result(func(r *Core) { r.Device, r.Telemetry = "gpu1", []byte{1} }), Withheld, ClauseResult},

		{"abort of a simulated device", func(c *scene) {
			c.rounds(1)
			c.control(NewAbort(AbortOverrun))
		}, Unknown, ClauseAbort},
		{"abort of a device that is not simulated", func(c *scene) {
			c.s.script.(*computeScript).plan.simulated = false // a round of a real row takes long
			c.rounds(1)
			c.control(NewAbort(AbortOverrun))
		}, Withheld, ClauseAbort},
		{"abort after a refusal", func(c *scene) {
			c.control(NewRefusal(ReasonFault, 0))
			c.control(NewAbort(AbortFault))
		}, Refused, ClauseRefusal},
		{"abort for no reason", func(c *scene) { c.control(NewAbort("")) }, Unreachable, ClauseAbort},
		{"abort for no known reason after a root", func(c *scene) { c.rounds(1); c.control(NewAbort("tired")) }, Withheld, ClauseAbort},
		{"refusal for an abort's reason", func(c *scene) { c.control(NewRefusal(AbortOverrun, 0)) }, Unreachable, ClauseRefusal},
		{"frame too short to be signed", func(c *scene) {
			c.rounds(1)
			c.step(Event{Frame: make([]byte, signatureBytes)})
		}, Withheld, ClauseSilence},
		{"checker stopped", func(c *scene) {
			c.rounds(1)
			c.step(Event{End: EndStopped})
		}, Unknown, ClauseEnd},
		{"stream reset", func(c *scene) {
			c.rounds(1)
			c.step(Event{End: EndReset})
		}, Withheld, ClauseSilence},
		{"not reached", func(c *scene) { c.step(Event{End: EndDial}) }, Unreachable, ClauseSilence},
		{"an end with a frame", func(c *scene) {
			c.step(Event{End: EndReset, Frame: []byte{1}})
		}, Unknown, ClauseEnd},
		{"an end of no known cause", func(c *scene) { c.step(Event{End: EndInternal + 1}) }, Unknown, ClauseEnd},
		{"an event on a third stream", func(c *scene) { c.step(Event{Stream: 2, End: EndReset}) }, Unknown, ClauseTime},
	}
	for _, profile := range vectorRows {
		for _, tt := range tests {
			t.Run(rowName(profile)+", "+tt.name, func(t *testing.T) {
				c := newScene(t, profile)
				tt.play(c)
				if v := c.s.Verdict(); !c.done || v.Outcome != tt.want || v.Clause != tt.clause {
					t.Fatalf("done %v, got %v %q, want %v %q", c.done, v.Outcome, v.Clause, tt.want, tt.clause)
				}
				if c.s.fault == nil && c.s.script.(*computeScript).plan.simulated {
					replays(t, c.s)
				}
				if send, done := c.s.Step(Event{At: time.Hour, End: EndTimeout}); len(send) > 0 || !done {
					t.Error("the session goes on after its end")
				}
			})
		}
	}
}

// TestRealRowsKnowNoOverrun: the same abort is neutral where the device is
// simulated, and nowhere else.
func TestRealRowsKnowNoOverrun(t *testing.T) {
	for _, row := range Profiles() {
		e, secret := testChallenge(row.Number, row.TotalOps()) // a second
		s, p := newTestSession(t, e, secret), newPlayer(e, providerKey)
		s.Step(Event{At: time.Millisecond, Frame: p.control.Sign(NewAbort(AbortOverrun))})
		want := Unreachable
		if row.Simulated {
			want = Unknown
		}
		if v := s.Verdict(); v.Outcome != want || v.Clause != ClauseAbort {
			t.Errorf("%s: %v %s, want %v", row.Name, v.Outcome, v.Clause, want)
		}
		replays(t, s)
	}
}

func TestNoVerdictBeforeTheEnd(t *testing.T) {
	c := newScene(t, 2)
	c.rounds(2)
	if v := c.s.Verdict(); v.Outcome != Unknown || v.Clause != ClauseEnd {
		t.Errorf("got %+v", v)
	}
}

func TestSignatureWithoutFrames(t *testing.T) {
	c := newScene(t, 2)
	c.step(Event{End: EndDial})
	tr := c.s.Transcript()
	tr.Signatures = [][]byte{{}, make([]byte, signatureBytes)}
	if v, err := Replay(tr); err == nil || clauseOf(err) != ClauseFrames {
		t.Errorf("replays as %+v, %v", v, err)
	}
}

// TestClausesOfTheClock plays a run of 16 rounds, each so many permille of the
// claimed time, over a path of that round-trip time.
func TestClausesOfTheClock(t *testing.T) {
	for _, tt := range []struct {
		name     string
		permille time.Duration
		rtt      time.Duration
		want     Outcome
		figure   bool
	}{
		{"as claimed", 1000, time.Millisecond, Pass, true},
		{"within the slack", 1170, 0, Pass, true},
		{"beyond the slack", 1180, 0, Late, true},
		{"beyond the slack, within the benefit of the doubt", 1180, 20 * time.Millisecond, Pass, true},
		{"beyond both", 1250, 20 * time.Millisecond, Late, true},
		{"the doubt is 3 % at most", 1220, 41 * time.Millisecond, Late, true},
		{"to be shorter than 20 round trips: no figure, and not late", 1500, 50 * time.Millisecond, Pass, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			e, secret := sealed(t, 1, func(_ *Challenge, p *ComputeParams) { p.RTT = tt.rtt }, true)
			s, p := newTestSession(t, e, secret), newPlayer(e, providerKey)
			p.round = p.round * tt.permille / 1000
			v := play(t, s, p).Verdict()
			if v.Outcome != tt.want || (v.OpsLower > 0) != tt.figure || (v.OpsBest > 0) != tt.figure {
				t.Errorf("got %+v", v)
			}
			honest := 1e8 * 1000 / uint64(tt.permille)
			if v.OpsLower > honest || v.OpsBest > honest {
				t.Errorf("bounds %d and %d over the true rate %d", v.OpsLower, v.OpsBest, honest)
			}
			replays(t, s)
		})
	}
}

func TestClausesOfProbe(t *testing.T) {
	secret := Secret{3}
	ch := Challenge{
		Network: testNetwork, Provider: IDOf(providerKey), Kind: Probe, Commit: secret.Commit(),
		Deadline: ProbeDeadline, Params: Marshal(&ProbeParams{Pings: 3}),
	}
	e := Seal(testNetwork, KindChallenge, Marshal(&ch), checkerKey)
	pong := func(alter func(i int, f *PongFrame)) func(int, PingFrame) []byte {
		return func(i int, ping PingFrame) []byte {
			f := PongFrame{Type: typePong, Seq: ping.Seq, Nonce: ping.Nonce, Boot: [16]byte{1}, Counter: uint64(i + 5)}
			alter(i, &f)
			return Marshal(&f)
		}
	}
	tests := []struct {
		name    string
		stream  uint8
		answer  func(int, PingFrame) []byte
		want    Outcome
		clause  string
		samples uint32
	}{
		{"three pongs", 0, pong(func(int, *PongFrame) {}), Pass, "", 3},
		{"counter stands", 0, pong(func(_ int, f *PongFrame) { f.Counter = 5 }), Pass, ClauseProbeCount, 1},
		{"another boot", 0, pong(func(i int, f *PongFrame) { f.Boot[0] = byte(i) }), Pass, ClauseProbeCount, 1},
		{"another number", 0, pong(func(_ int, f *PongFrame) { f.Seq++ }), Unreachable, ClauseProbeNonce, 0},
		{"nonce of the ping before", 0, pong(func(i int, f *PongFrame) { f.Nonce = secret.Nonce(e.ID(), 0) }), Pass, ClauseProbeNonce, 1},
		{"on another stream", 1, pong(func(int, *PongFrame) {}), Unreachable, ClauseSequence, 0},
		{"no pong at all", 0, func(int, PingFrame) []byte { return NewAbort(AbortOverrun) }, Unreachable, ClauseSequence, 0},
		{"refusal", 0, func(int, PingFrame) []byte { return NewRefusal(ReasonDrain, 0) }, Refused, ClauseRefusal, 0},
		{"unknown refusal", 0, func(int, PingFrame) []byte { return NewRefusal("no", 0) }, Unreachable, ClauseRefusal, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := newTestSession(t, e, secret)
			sign := NewFrameSigner(providerKey, testNetwork, e.ID(), tt.stream)
			send, done := s.Start(), false
			for i := 0; !done; i++ {
				at := time.Duration(i) * time.Millisecond
				s.Step(Event{At: at, Out: true, Frame: send[0].Frame})
				var ping PingFrame
				if err := Unmarshal(send[0].Frame, &ping); err != nil {
					t.Fatal(err)
				}
				send, done = s.Step(Event{At: at, Stream: tt.stream, Frame: sign.Sign(tt.answer(i, ping))})
			}
			if v := s.Verdict(); v.Outcome != tt.want || v.Clause != tt.clause || v.Samples != tt.samples {
				t.Fatalf("got %+v", v)
			}
			replays(t, s)
		})
	}
}
