package challenges

import "testing"

// TestWrongHoweverItEnds: from the moment that an opening holds another output,
// nothing that the provider does or that happens to it makes the run anything else.
func TestWrongHoweverItEnds(t *testing.T) {
	ends := []struct {
		name string
		end  func(*scene)
	}{
		{"complete", func(c *scene) { c.rest() }},
		{"silent", func(c *scene) { c.ends(EndTimeout) }},
		{"silent over the next opening", func(c *scene) { c.root(nil); c.ends(EndTimeout) }},
		{"reset", func(c *scene) { c.ends(EndReset) }},
		{"closed", func(c *scene) { c.ends(EndClosed) }},
		{"a frame too long", func(c *scene) { c.ends(EndOversize) }},
		{"a frame that is none", func(c *scene) { c.step(Event{Frame: make([]byte, 10)}) }},
		{"a frame that somebody else signed", func(c *scene) {
			c.step(Event{Frame: newPlayer(c.s.envelope, testKey(9)).control.Sign(NewFilled(0))})
		}},
		{"overrun", func(c *scene) { c.control(NewAbort(AbortOverrun)) }},
		{"a tenant came", func(c *scene) { c.control(NewAbort(AbortTenant)) }},
		{"the device failed", func(c *scene) { c.control(NewAbort(AbortFault)) }},
		{"refusal", func(c *scene) { c.control(NewRefusal(ReasonTenant, 0)) }},
		{"filled again", func(c *scene) { c.control(NewFilled(c.now)) }},
		{"the root again", func(c *scene) { c.root(func(f *RootFrame) { f.Round = 0 }) }},
		{"another key", func(c *scene) { c.root(func(f *RootFrame) { f.Key[0] ^= 1 }) }},
		{"an opening that does not authenticate", func(c *scene) {
			c.root(nil)
			c.bulk(reopened(c, 1, func(f *OpeningFrame) { f.Data[0] ^= 1 }))
		}},
		{"result too early", func(c *scene) { c.control(NewResult(c.core(), nil)) }},
		{"checker stopped", func(c *scene) { c.ends(EndStopped) }},
		{"checker failed", func(c *scene) { c.ends(EndInternal) }},
	}
	for _, profile := range memoryRows {
		for _, w := range wrongWalks(newPlayer(first(testChallenge(profile, 0)), providerKey).walker) {
			for _, tt := range ends {
				t.Run(rowName(profile)+", "+w.why+", "+tt.name, func(t *testing.T) {
					c := newScene(t, profile)
					c.p.fill = w.fill
					c.rounds(1)
					opened := c.now
					c.p.fill = nil
					tt.end(c)
					v := c.s.Verdict()
					if !c.done || v.Outcome != Wrong || v.Clause != ClauseValue || !v.Outcome.Proof() {
						t.Fatalf("done %v, got %+v", c.done, v)
					}
					if v.Samples < 1 || int(v.Samples) > c.p.row.Samples || v.Elapsed != opened || v.OpsLower != 0 || v.OpsBest != 0 || v.Disputed {
						t.Errorf("got %+v, the opening came at %v", v, opened)
					}
					replays(t, c.s)
				})
			}
		}
	}
}

func first[A, B any](a A, _ B) A { return a }

// TestWrongOnlyByAnOpening: what was never opened, or does not authenticate, or is
// not covered by a signature, is no proof.
func TestWrongOnlyByAnOpening(t *testing.T) {
	for _, tt := range []struct {
		name   string
		play   func(*scene)
		want   Outcome
		clause string
	}{
		{"opening withheld", func(c *scene) { c.root(nil); c.ends(EndTimeout) }, Withheld, ClauseSilence},
		{"opening altered after it was asked for", func(c *scene) {
			c.root(nil)
			c.bulk(reopened(c, 0, func(f *OpeningFrame) { f.Data[0] ^= 1 }))
		}, Withheld, ClauseAuthentic},
		{"opening signed by somebody else", func(c *scene) {
			c.root(nil)
			c.p.bulk = newPlayer(c.s.envelope, testKey(9)).bulk
			c.bulk(c.opening(0))
			c.ends(EndTimeout)
		}, Withheld, ClauseSilence},
		{"root signed by somebody else", func(c *scene) {
			c.p.control = newPlayer(c.s.envelope, testKey(9)).control
			c.root(nil)
			c.bulk(c.opening(0))
			c.ends(EndTimeout)
		}, Withheld, ClauseSilence},
		{"opened, to compare", func(c *scene) { c.root(nil); c.bulk(c.opening(0)); c.ends(EndTimeout) }, Wrong, ClauseValue},
	} {
		for _, profile := range memoryRows {
			t.Run(rowName(profile)+", "+tt.name, func(t *testing.T) {
				c := newScene(t, profile)
				c.p.fill = wrongWalks(c.p.walker)[6].fill // every output
				c.fill()
				tt.play(c)
				if v := c.s.Verdict(); !c.done || v.Outcome != tt.want || v.Clause != tt.clause {
					t.Fatalf("done %v, got %+v", c.done, v)
				}
				replays(t, c.s)
			})
		}
	}
}

// TestWrongInALaterRound: the first sample that differs is named by its number, and
// those before it were right.
func TestWrongInALaterRound(t *testing.T) {
	for _, round := range []int{0, 1, 7, 31} {
		s, p := pair(t, 501)
		p.spoil = func(r int, c []uint64) {
			if r >= round {
				for i := range c {
					c[i] ^= 1 << 63
				}
			}
		}
		if v := play(t, s, p).Verdict(); v.Outcome != Wrong || int(v.Samples) != round*p.row.Samples+1 {
			t.Errorf("round %d: %+v", round, v)
		}
		replays(t, s)
	}
}
