package challenges

import (
	"testing"
	"time"

	"github.com/assaynet/assay/challenges/memory"
)

// rest plays what is left of an honest run.
func (c *scene) rest() {
	c.rounds(c.p.row.Rounds - len(c.p.roots))
	c.control(NewResult(c.core(), nil))
}

// until lets time pass up to an instant, at which the next step is.
func (c *scene) until(at time.Duration) { c.now = at - 100*time.Microsecond }

func (c *scene) set() memory.Dataset { return c.p.walker.set }

// fillBy is the latest time of filled.
func (c *scene) fillBy() time.Duration { return c.set().FillBy(100 * time.Microsecond) }

// asksNonce says filled and leaves the nonce with the checker.
func (c *scene) asksNonce() []Out {
	c.held = true
	return c.control(NewFilled(c.now))
}

// gives records that a frame of the checker's left.
func (c *scene) gives(o Out) {
	c.step(Event{Stream: o.Stream, Out: true, Frame: o.Frame})
	c.p.begin(c.T, o.Frame, c.now)
}

// ends lets the stream end for a cause, a timeout at the deadline.
func (c *scene) ends(cause Cause) {
	if cause == EndTimeout {
		c.until(c.s.Challenge().Deadline)
	}
	c.step(Event{End: cause})
}

func reopened(c *scene, r int, alter func(*OpeningFrame)) []byte {
	var f OpeningFrame
	if err := Unmarshal(c.opening(r), &f); err != nil {
		c.Fatal(err)
	}
	alter(&f)
	return Marshal(&f)
}

// memoryClauses are runs that keep or break one clause.
var memoryClauses = []struct {
	name   string
	play   func(*scene)
	want   Outcome
	clause string
}{
	{"complete", func(c *scene) { c.rest() }, Pass, ""},
	{"filled at the last moment", func(c *scene) { c.until(c.fillBy()); c.rest() }, Pass, ""},
	{"filled at once, by a clock that starts there", func(c *scene) {
		c.held = true
		c.gives(c.control(NewFilled(0))[0])
		c.rest()
	}, Pass, ""},
	{"all roots before their openings: nothing waits for positions", func(c *scene) {
		c.fill()
		for range c.p.row.Rounds {
			c.root(nil)
		}
		for r := range c.p.row.Rounds {
			c.bulk(c.opening(r))
		}
		c.control(NewResult(c.core(), nil))
	}, Pass, ""},
	{"result before the last opening", func(c *scene) {
		c.rounds(c.p.row.Rounds - 1)
		c.root(nil)
		c.control(NewResult(c.core(), nil))
		c.bulk(c.opening(c.p.row.Rounds - 1))
	}, Pass, ""},
	{"nonce kept back until all are filled", func(c *scene) {
		o := c.asksNonce()
		c.until(c.fillBy() + c.set().Grace)
		c.gives(o[0])
		c.rest()
	}, Pass, ""},

	{"root before filled", func(c *scene) { c.root(nil) }, Unreachable, ClauseFilled},
	{"root after filled, before the nonce", func(c *scene) {
		var f NonceFrame
		_ = Unmarshal(c.asksNonce()[0].Frame, &f)
		c.p.walker.nonce = f.Nonce // by clairvoyance
		c.root(nil)
	}, Withheld, ClauseFilled},
	{"filled twice", func(c *scene) { c.asksNonce(); c.control(NewFilled(c.now)) }, Withheld, ClauseFilled},
	{"filled twice, the second time after the nonce", func(c *scene) { c.fill(); c.control(NewFilled(c.now)) }, Withheld, ClauseFilled},
	{"filled again after a root", func(c *scene) { c.rounds(1); c.control(NewFilled(c.now)) }, Withheld, ClauseFilled},
	{"filled before the challenge, by its clock", func(c *scene) { c.control(NewFilled(-1)) }, Unreachable, ClauseFilled},
	{"filled that does not decode", func(c *scene) { c.control([]byte{0x82, typeFilled, 0x40}) }, Unreachable, ClauseFilled},
	{"filled on the bulk stream", func(c *scene) { c.bulk(NewFilled(0)) }, Unreachable, ClauseSequence},
	{"filled too late", func(c *scene) { c.until(c.fillBy() + 1); c.asksNonce() }, Late, ClauseFilled},
	{"nonce from the provider", func(c *scene) { c.control(Marshal(&NonceFrame{Type: typeNonce})) }, Unreachable, ClauseSequence},

	{"refused at once", func(c *scene) { c.control(NewRefusal(ReasonTenant, 0)) }, Refused, ClauseRefusal},
	{"refused after filled", func(c *scene) { c.asksNonce(); c.control(NewRefusal(ReasonBusy, 0)) }, Withheld, ClauseRefusal},
	{"refused after the nonce", func(c *scene) { c.fill(); c.control(NewRefusal(ReasonBusy, 0)) }, Withheld, ClauseRefusal},
	{"overrun while it fills", func(c *scene) { c.control(NewAbort(AbortOverrun)) }, Unknown, ClauseAbort},
	{"overrun after the nonce", func(c *scene) { c.fill(); c.control(NewAbort(AbortOverrun)) }, Unknown, ClauseAbort},
	{"overrun after a root", func(c *scene) { c.rounds(1); c.control(NewAbort(AbortOverrun)) }, Unknown, ClauseAbort},
	{"overrun of a device that is not simulated", func(c *scene) {
		c.s.script.(*memoryScript).plan.simulated = false
		c.control(NewAbort(AbortOverrun))
	}, Unreachable, ClauseAbort},
	{"overrun of such a device after filled", func(c *scene) {
		c.s.script.(*memoryScript).plan.simulated = false
		c.asksNonce()
		c.control(NewAbort(AbortOverrun))
	}, Withheld, ClauseAbort},

	{"tenant while it fills", func(c *scene) { c.control(NewAbort(AbortTenant)) }, Unreachable, ClauseAbort},
	{"tenant after filled", func(c *scene) { c.asksNonce(); c.control(NewAbort(AbortTenant)) }, Withheld, ClauseAbort},
	{"tenant after the nonce", func(c *scene) { c.fill(); c.control(NewAbort(AbortTenant)) }, Withheld, ClauseAbort},
	{"tenant after a root", func(c *scene) { c.rounds(1); c.control(NewAbort(AbortTenant)) }, Withheld, ClauseAbort},
	{"fault while it fills", func(c *scene) { c.control(NewAbort(AbortFault)) }, Unreachable, ClauseAbort},
	{"fault after filled", func(c *scene) { c.asksNonce(); c.control(NewAbort(AbortFault)) }, Withheld, ClauseAbort},
	{"fault after the nonce", func(c *scene) { c.fill(); c.control(NewAbort(AbortFault)) }, Withheld, ClauseAbort},
	{"fault after a root", func(c *scene) { c.rounds(1); c.control(NewAbort(AbortFault)) }, Withheld, ClauseAbort},
	{"refused over a fault", func(c *scene) { c.control(NewRefusal(ReasonFault, 0)) }, Refused, ClauseRefusal},
	{"refused over a fault after filled", func(c *scene) { c.asksNonce(); c.control(NewRefusal(ReasonFault, 0)) }, Withheld, ClauseRefusal},

	{"key of another nonce", func(c *scene) { c.fill(); c.p.walker.nonce[0] ^= 1; c.root(nil) }, Withheld, ClauseKeyChain},
	{"key without the nonce", func(c *scene) { c.fill(); c.p.walker.nonce = Hash{}; c.root(nil) }, Withheld, ClauseKeyChain},
	{"key of another dataset", func(c *scene) { c.fill(); c.p.walker.dataset[0] ^= 1; c.root(nil) }, Withheld, ClauseKeyChain},
	{"key of the round before", func(c *scene) {
		c.rounds(1)
		c.root(func(f *RootFrame) { f.Key = c.p.keys[0] })
	}, Withheld, ClauseKeyChain},
	{"key without the root before", func(c *scene) {
		c.rounds(1)
		c.root(func(f *RootFrame) { f.Key = WalkKey(c.p.walker.dataset, c.p.walker.nonce, 1, Hash{}) })
	}, Withheld, ClauseKeyChain},
	{"key of a proof of compute", func(c *scene) {
		c.fill()
		c.root(func(f *RootFrame) { f.Key = FirstKey(c.p.id, "gpu0") })
	}, Withheld, ClauseKeyChain},
	{"second root of a round", func(c *scene) { c.rounds(1); c.root(func(f *RootFrame) { f.Round = 0 }) }, Withheld, ClauseRootOrder},
	{"a round left out", func(c *scene) { c.fill(); c.root(func(f *RootFrame) { f.Round = 1 }) }, Withheld, ClauseRootOrder},
	{"a root too many", func(c *scene) { c.rounds(c.p.row.Rounds); c.root(nil) }, Withheld, ClauseRootOrder},
	{"clock of a root before that of filled", func(c *scene) {
		c.fill()
		c.root(func(f *RootFrame) { f.Mono = 0 })
	}, Withheld, ClauseSequence},
	{"clock of a root before that of the one before", func(c *scene) {
		c.rounds(1)
		c.root(func(f *RootFrame) { f.Mono -= c.p.round + 1 })
	}, Withheld, ClauseSequence},

	{"opening before any root", func(c *scene) { c.fill(); c.bulk(NewOpening(0, Hash{}, make([]byte, 1088))...) }, Withheld, ClauseShape},
	{"opening before filled", func(c *scene) { c.bulk(NewOpening(0, Hash{}, make([]byte, 1088))...) }, Unreachable, ClauseShape},
	{"opening of another request", func(c *scene) {
		c.fill()
		c.root(nil)
		c.bulk(reopened(c, 0, func(f *OpeningFrame) { f.Request[0] ^= 1 }))
	}, Withheld, ClauseEcho},
	{"opening a byte short", func(c *scene) {
		c.fill()
		c.root(nil)
		c.bulk(reopened(c, 0, func(f *OpeningFrame) { f.Data = f.Data[1:] }))
	}, Withheld, ClauseShape},
	{"opening with one bit flipped", func(c *scene) {
		c.fill()
		c.root(nil)
		c.bulk(reopened(c, 0, func(f *OpeningFrame) { f.Data[100] ^= 1 }))
	}, Withheld, ClauseAuthentic},
	{"invented root", func(c *scene) {
		c.fill()
		c.root(func(f *RootFrame) { f.Root[0] ^= 1; c.p.roots[0] = f.Root })
		c.bulk(c.opening(0))
	}, Withheld, ClauseAuthentic},
	{"result before the last root", func(c *scene) { c.rounds(c.p.row.Rounds - 1); c.control(NewResult(c.core(), nil)) }, Withheld, ClauseResult},
	{"result in place of filled", func(c *scene) { c.control(NewResult(c.core(), nil)) }, Unreachable, ClauseResult},
	{"result of another device", func(c *scene) {
		c.rounds(c.p.row.Rounds)
		core := c.core()
		core.Device = "gpu1"
		c.control(NewResult(core, nil))
	}, Withheld, ClauseResult},

	{"not reached", func(c *scene) { c.ends(EndDial) }, Unreachable, ClauseSilence},
	{"never filled", func(c *scene) { c.ends(EndTimeout) }, Unreachable, ClauseSilence},
	{"left while it fills", func(c *scene) { c.ends(EndReset) }, Unreachable, ClauseSilence},
	{"left after filled, before the nonce", func(c *scene) { c.asksNonce(); c.ends(EndClosed) }, Withheld, ClauseSilence},
	{"silent after the nonce", func(c *scene) { c.fill(); c.ends(EndTimeout) }, Withheld, ClauseSilence},
	{"left after the nonce", func(c *scene) { c.fill(); c.ends(EndReset) }, Withheld, ClauseSilence},
	{"silent after a root", func(c *scene) { c.fill(); c.root(nil); c.ends(EndTimeout) }, Withheld, ClauseSilence},
	{"silent after an opening", func(c *scene) { c.rounds(1); c.ends(EndTimeout) }, Withheld, ClauseSilence},
	{"no result", func(c *scene) { c.rounds(c.p.row.Rounds); c.ends(EndTimeout) }, Withheld, ClauseSilence},
	{"checker stopped while it fills", func(c *scene) { c.ends(EndStopped) }, Unknown, ClauseEnd},
	{"checker stopped after a root", func(c *scene) { c.rounds(1); c.ends(EndInternal) }, Unknown, ClauseEnd},

	{"the nonce was never sent", func(c *scene) { c.asksNonce(); c.ends(EndTimeout) }, Unknown, ClauseEnd},
	{"the nonce left too late for the walks", func(c *scene) {
		o := c.asksNonce()
		c.until(c.fillBy() + c.set().Grace + 1)
		c.gives(o[0])
		c.rounds(1)
		c.ends(EndTimeout)
	}, Unknown, ClauseEnd},
	{"the nonce left as late as it may, then silence", func(c *scene) {
		o := c.asksNonce()
		c.until(c.fillBy() + c.set().Grace)
		c.gives(o[0])
		c.ends(EndTimeout)
	}, Withheld, ClauseSilence},
	{"the nonce left too late, and the provider left", func(c *scene) {
		o := c.asksNonce()
		c.until(c.fillBy() + c.set().Grace + 1)
		c.gives(o[0])
		c.ends(EndReset)
	}, Withheld, ClauseSilence},
	{"the nonce left too late, and the walks were in time", func(c *scene) {
		o := c.asksNonce()
		c.until(c.fillBy() + c.set().Grace + 1)
		c.gives(o[0])
		c.rest()
	}, Pass, ""},

	{"checker records another nonce", func(c *scene) {
		o := c.asksNonce()[0]
		o.Frame = Marshal(&NonceFrame{Type: typeNonce, Nonce: Hash{1}})
		c.gives(o)
	}, Unknown, ClauseSent},
	{"checker records the nonce before filled", func(c *scene) {
		c.gives(Out{StreamControl, Marshal(&NonceFrame{Type: typeNonce, Nonce: c.s.secret.WalkNonce(c.p.id)})})
	}, Unknown, ClauseSent},
	{"checker records the nonce twice", func(c *scene) {
		o := c.asksNonce()[0]
		c.gives(o)
		c.gives(o)
	}, Unknown, ClauseSent},
	{"checker records the nonce on the bulk stream", func(c *scene) {
		o := c.asksNonce()[0]
		o.Stream = StreamBulk
		c.gives(o)
	}, Unknown, ClauseSent},
	{"checker records a time before", func(c *scene) {
		c.fill()
		c.now -= time.Second
		c.root(nil)
	}, Unknown, ClauseTime},
}

func TestClausesOfMemory(t *testing.T) {
	for _, profile := range memoryRows {
		for _, tt := range memoryClauses {
			t.Run(rowName(profile)+", "+tt.name, func(t *testing.T) {
				c := newScene(t, profile)
				tt.play(c)
				if v := c.s.Verdict(); !c.done || v.Outcome != tt.want || v.Clause != tt.clause {
					t.Fatalf("done %v, got %v %q, want %v %q", c.done, v.Outcome, v.Clause, tt.want, tt.clause)
				}
				if opened := c.s.script.(*memoryScript).opened; c.s.fault == nil && int(c.s.Verdict().Samples) != opened*c.p.row.Samples {
					t.Errorf("%d samples in %d rounds", c.s.Verdict().Samples, opened)
				}
				if c.s.fault == nil && c.s.script.(*memoryScript).plan.simulated {
					replays(t, c.s)
				}
				if send, done := c.s.Step(Event{At: time.Hour, End: EndTimeout}); len(send) > 0 || !done {
					t.Error("the session goes on after its end")
				}
			})
		}
	}
}

// TestFilledIsOfMemoryAlone: in a proof of compute its frames are out of place.
func TestFilledIsOfMemoryAlone(t *testing.T) {
	for _, tt := range []struct {
		name string
		play func(*scene)
		want Outcome
	}{
		{"filled", func(c *scene) { c.control(NewFilled(0)) }, Unreachable},
		{"filled after a root", func(c *scene) { c.rounds(1); c.control(NewFilled(0)) }, Withheld},
	} {
		c := newScene(t, 2)
		tt.play(c)
		if v := c.s.Verdict(); v.Outcome != tt.want || v.Clause != ClauseSequence {
			t.Errorf("%s: %+v", tt.name, v)
		}
		replays(t, c.s)
	}
}
