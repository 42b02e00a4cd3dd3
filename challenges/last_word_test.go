package challenges

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

// TestAbortsThatCount: neither a tenant nor a fault is a way out, be the device
// simulated or not: neither when the positions are known nor before.
func TestAbortsThatCount(t *testing.T) {
	for _, profile := range smallRows {
		for _, reason := range []string{AbortTenant, AbortFault} {
			for _, simulated := range []bool{true, false} {
				for _, tt := range []struct {
					name string
					play func(*scene)
					want Outcome
				}{
					{"at once", func(*scene) {}, Unreachable},
					{"before any positions were sent", func(c *scene) {
						if c.p.walker != nil {
							c.fill()
						}
						c.control(c.p.root(0))
					}, Withheld},
					{"over an opening", func(c *scene) {
						if c.p.walker != nil {
							c.fill()
						}
						c.root(nil)
					}, Withheld},
					{"after an opening", func(c *scene) { c.rounds(1) }, Withheld},
					{"in place of the result", func(c *scene) { c.rounds(c.p.row.Rounds) }, Withheld},
				} {
					t.Run(fmt.Sprintf("%s, %s, simulated %v, %s", rowName(profile), reason, simulated, tt.name), func(t *testing.T) {
						c := newScene(t, profile)
						c.simulated(simulated)
						tt.play(c)
						c.control(NewAbort(reason))
						if v := c.s.Verdict(); !c.done || v.Outcome != tt.want || v.Clause != ClauseAbort || v.OpsLower != 0 {
							t.Fatalf("done %v, got %+v, want %v", c.done, v, tt.want)
						}
						if simulated { // a replay takes the row's word for it
							replays(t, c.s)
						}
					})
				}
			}
		}
	}
}

// simulated sets whether the device is.
func (c *scene) simulated(yes bool) {
	switch m := c.s.script.(type) {
	case *computeScript:
		m.plan.simulated = yes
	case *memoryScript:
		m.plan.simulated = yes
	}
}

// TestRefusalsOfEveryReason: each is a proof, and none is judged here.
func TestRefusalsOfEveryReason(t *testing.T) {
	for _, profile := range smallRows {
		for _, reason := range reasons {
			c := newScene(t, profile)
			var ids []Hash
			if reason == ReasonCollision {
				ids = []Hash{{1}}
			}
			c.control(NewRefusal(reason, time.Minute, ids...))
			if v := c.s.Verdict(); !c.done || v.Outcome != Refused || v.Clause != ClauseRefusal {
				t.Errorf("%s, %s: %+v", rowName(profile), reason, v)
			}
			if f, ok := c.s.Transcript().Refusal(); !ok || f.Reason != reason {
				t.Errorf("%s, %s: the transcript's refusal is %+v, %v", rowName(profile), reason, f, ok)
			}
			replays(t, c.s)
		}
	}
}

// TestTelemetryIsNotJudged: whatever it and the attestation say, the verdict is the
// same, and they are signed: another word is another transcript that the provider did not sign.
func TestTelemetryIsNotJudged(t *testing.T) {
	for _, profile := range smallRows {
		var first Verdict
		for i, telemetry := range [][]byte{nil, {0}, {0xff, 0xff}, bytes.Repeat([]byte("not CBOR "), 400), make([]byte, 4096)} {
			c := newScene(t, profile)
			c.rounds(c.p.row.Rounds)
			core := c.core()
			core.Telemetry = telemetry
			c.control(NewResult(core, telemetry))
			v := c.s.Verdict()
			if i == 0 {
				first = v
			}
			if v != first || v.Outcome != Pass {
				t.Errorf("%s, %d bytes: %+v, want %+v", rowName(profile), len(telemetry), v, first)
			}
			replays(t, c.s)
			tr := c.s.Transcript()
			at := slices.IndexFunc(tr.Events, func(e Event) bool { return !e.Out && peekType(e.Frame) == typeResult })
			core.Telemetry = append([]byte{7}, telemetry[:len(telemetry)/2]...)
			tr.Events[at].Frame = NewResult(core, nil)
			if v, err := Replay(tr); err == nil || clauseOf(err) != ClauseFrames {
				t.Errorf("%s, other telemetry than was signed: %+v, %v", rowName(profile), v, err)
			}
		}
	}
}

// TestLargestResultFits: with all the roots, all the telemetry and the largest
// attestation beside them that there may be, the result is a frame still.
func TestLargestResultFits(t *testing.T) {
	core := Core{Device: strings.Repeat("d", 64), Roots: make([]Hash, 256), Telemetry: make([]byte, 4096)}
	attestation := make([]byte, maxPart-256*34-4096)
	frame := NewFrameSigner(providerKey, testNetwork, Hash{}, StreamControl).Sign(NewResult(core, attestation))
	var f ResultFrame
	if err := Unmarshal(frame[:len(frame)-signatureBytes], &f); err != nil || len(frame) > MaxFrame {
		t.Errorf("%d bytes, %v", len(frame), err)
	}
}

// TestRootsOfASession: those that it took, of a run that was cut short the first
// ones, and none that nobody signed.
func TestRootsOfASession(t *testing.T) {
	for _, profile := range smallRows {
		for _, tt := range []struct {
			name string
			play func(*scene) int // how many count
		}{
			{"complete", func(c *scene) int { c.rest(); return c.p.row.Rounds }},
			{"none", func(c *scene) int { c.control(NewRefusal(ReasonFault, 0)); return 0 }},
			{"cut short", func(c *scene) int { c.rounds(1); c.root(nil); c.ends(EndReset); return 2 }},
			{"the next one out of order", func(c *scene) int {
				c.rounds(1)
				c.root(func(f *RootFrame) { f.Round = 7 })
				return 1
			}},
			{"the next one signed by somebody else", func(c *scene) int {
				c.rounds(1)
				c.p.control = newPlayer(c.s.envelope, testKey(9)).control
				c.root(nil)
				c.ends(EndReset)
				return 1
			}},
		} {
			c := newScene(t, profile)
			n := tt.play(c)
			if got := c.s.Roots(); !slices.Equal(got, c.p.roots[:n]) {
				t.Errorf("%s, %s: %d roots, want %d", rowName(profile), tt.name, len(got), n)
			}
		}
	}
	secret := Secret{3}
	ch := Challenge{
		Network: testNetwork, Provider: IDOf(providerKey), Kind: Probe, Commit: secret.Commit(),
		Deadline: ProbeDeadline, Params: Marshal(&ProbeParams{Pings: 3}),
	}
	if got := newTestSession(t, Seal(testNetwork, KindChallenge, Marshal(&ch), checkerKey), secret).Roots(); len(got) != 0 {
		t.Errorf("%d roots of a probe", len(got))
	}
}

// TestIsLast: of all frames three are a provider's last word.
func TestIsLast(t *testing.T) {
	for _, m := range messages() {
		want := false
		switch m.(type) {
		case *ProbeParams: // no frame, and as short as one
			continue
		case *ResultFrame, *RefusalFrame, *AbortFrame:
			want = true
		}
		if got := IsLast(Marshal(m)); got != want {
			t.Errorf("%T: %v", m, got)
		}
	}
	if IsLast(nil) || IsLast([]byte{0x82}) || IsLast(bytes.Repeat([]byte{typeResult}, 40)) {
		t.Error("bytes that are no frame")
	}
}
