package challenges

import (
	"bytes"
	"runtime"
	"testing"
	"time"

	"github.com/assaynet/assay/challenges/memory"
)

// sealedMemory seals the test challenge after altering it. With refit the deadline
// is set anew from the parameters.
func sealedMemory(t *testing.T, alter func(*Challenge, *memory.Params), refit bool) (Envelope, Secret) {
	t.Helper()
	_, secret := testChallenge(501, 0)
	e, _ := reissued(t, 501, func(c *Challenge) {
		var p memory.Params
		if err := Unmarshal(c.Params, &p); err != nil {
			t.Fatal(err)
		}
		alter(c, &p)
		if c.Kind != Memory || len(c.Params) == 0 {
			return
		}
		c.Params = Marshal(&p)
		if _, err := memory.Lookup(p.Profile); err == nil && refit {
			c.Deadline = p.Dataset().Deadline(p.RTT)
		}
	})
	return e, secret
}

func TestMemoryParametersOutsideTheTable(t *testing.T) {
	type params = memory.Params
	compute := Marshal(&ComputeParams{Profile: 1, Window: 1, Claim: 1e8})
	for _, tt := range []struct {
		name   string
		alter  func(*Challenge, *params)
		refit  bool
		clause string // empty: accepted
	}{
		{"as it is", func(*Challenge, *params) {}, false, ""},
		{"another row, size and path", func(_ *Challenge, p *params) { *p = params{Profile: 5005, Items: memory.Items(80e9), RTT: time.Second} }, true, ""},
		{"as few items as can be", func(_ *Challenge, p *params) { p.Items = 1 << 11 }, true, ""},

		{"no row", func(_ *Challenge, p *params) { p.Profile = 0 }, true, ClauseProfile},
		{"a row of compute", func(_ *Challenge, p *params) { p.Profile = 1 }, true, ClauseProfile},
		{"too few items", func(_ *Challenge, p *params) { p.Items = 1<<11 - 1 }, true, ClauseProfile},
		{"too many items", func(_ *Challenge, p *params) { p.Profile, p.Items = 5009, 1<<36+1 }, true, ClauseProfile},
		{"too many items for the class", func(_ *Challenge, p *params) { p.Profile, p.Items = 5000, 1<<30 }, true, ClauseProfile},
		{"negative RTT", func(_ *Challenge, p *params) { p.RTT = -1 }, true, ClauseProfile},
		{"RTT over 10 s", func(_ *Challenge, p *params) { p.RTT = 10*time.Second + 1 }, true, ClauseProfile},
		{"no device", func(c *Challenge, _ *params) { c.Device = "" }, true, ClauseProfile},
		{"no parameters", func(c *Challenge, _ *params) { c.Params = nil }, true, ClauseProfile},
		{"parameters of memory in a matmul", func(c *Challenge, _ *params) { c.Kind = Matmul }, true, ClauseProfile},
		{"parameters of memory in a probe", func(c *Challenge, _ *params) { c.Kind, c.Device = Probe, "" }, true, ClauseProfile},
		{"unknown kind", func(c *Challenge, _ *params) { c.Kind = "vram" }, true, ClauseProfile},

		{"deadline a nanosecond short", func(c *Challenge, _ *params) { c.Deadline-- }, false, ClauseDeadline},
		{"deadline a nanosecond long", func(c *Challenge, _ *params) { c.Deadline++ }, false, ClauseDeadline},
		{"deadline of fewer items", func(_ *Challenge, p *params) { p.Items *= 2 }, false, ClauseDeadline},
		{"deadline of another path", func(_ *Challenge, p *params) { p.RTT++ }, false, ClauseDeadline},
		{"commitment to another secret", func(c *Challenge, _ *params) { c.Commit[0] ^= 1 }, true, ClauseSecret},
	} {
		t.Run(tt.name, func(t *testing.T) {
			e, secret := sealedMemory(t, tt.alter, tt.refit)
			_, err := NewSession(e, secret)
			if tt.clause == "" {
				if err != nil {
					t.Fatal(err)
				}
				return
			}
			if err == nil || clauseOf(err) != tt.clause {
				t.Fatalf("got %v, want clause %s", err, tt.clause)
			}
			tr := Transcript{
				Challenge: Marshal(&e), Secret: secret, Signatures: make([][]byte, streams),
				Events: []Event{{At: time.Second, End: EndTimeout}}, Verdict: Verdict{Outcome: Unreachable, Clause: ClauseSilence},
			}
			if v, err := Replay(tr); err == nil || clauseOf(err) != tt.clause {
				t.Errorf("replays as %v, %v; want clause %s", v, err, tt.clause)
			}
		})
	}
	e, _ := reissued(t, 501, func(c *Challenge) { c.Params = compute })
	if _, err := OpenChallenge(e, testNetwork); err == nil || clauseOf(err) != ClauseProfile {
		t.Errorf("parameters of compute: %v", err)
	}
}

// TestParamsOfTheirKind: each accessor gives the parameters of its own kind alone.
func TestParamsOfTheirKind(t *testing.T) {
	for _, profile := range []uint16{2, 6, 502} {
		e, _ := testChallenge(profile, testClaim(profile))
		c, err := OpenChallenge(e, testNetwork)
		if err != nil {
			t.Fatal(err)
		}
		_, compute := c.ComputeParams()
		m, walks := c.MemoryParams()
		_, probe := c.ProbeParams()
		if (compute == nil) != (c.Kind != Memory) || (walks == nil) != (c.Kind == Memory) || probe == nil {
			t.Errorf("kind %s: %v, %v, %v", c.Kind, compute, walks, probe)
		}
		if walks == nil && (m.Profile != 502 || m.Items != 6149) {
			t.Errorf("parameters %+v", m)
		}
	}
}

// realSets are datasets of the real rows: of a card and as many items as may be.
func realSets() (out []memory.Dataset) {
	for _, row := range memory.Profiles() {
		for _, items := range []uint64{1 << 11, 1<<24 + 5, memory.Items(80e9), 1 << 36} {
			if (&memory.Params{Profile: row.Number, Items: items}).Check() == nil {
				out = append(out, memory.Dataset{Profile: row, Items: items})
			}
		}
	}
	return out
}

// TestLargestTranscriptOfMemoryFits: as for the rows of compute.
func TestLargestTranscriptOfMemoryFits(t *testing.T) {
	worst := 0
	filled := NewFilled(1 << 62)
	nonce := Marshal(&NonceFrame{Type: typeNonce})
	for _, set := range realSets() {
		worst = max(worst, largest(t, rounds(set), filled, nonce))
	}
	t.Logf("largest transcript of a proof of memory: %d bytes", worst)
}

// TestNoCacheBeforeTheVerdict: a challenge in flight holds none of the memory that
// checks its walks.
func TestNoCacheBeforeTheVerdict(t *testing.T) {
	e, secret := sealedMemory(t, func(_ *Challenge, p *memory.Params) { p.Profile, p.Items = 5005, memory.Items(80e9) }, true)
	var before, after runtime.MemStats
	const sessions = 20
	held := make([]*Session, sessions)
	runtime.GC()
	runtime.ReadMemStats(&before)
	for i := range held {
		s, err := NewSession(e, secret)
		if err != nil {
			t.Fatal(err)
		}
		p := NewFrameSigner(providerKey, testNetwork, e.ID(), StreamControl)
		s.Start()
		send, _ := s.Step(Event{At: time.Second, Frame: p.Sign(NewFilled(time.Second))})
		s.Step(Event{At: time.Second, Out: true, Frame: send[0].Frame})
		s.Step(Event{At: 2 * time.Second, Frame: p.Sign(NewRoot(0, Hash{1}, WalkKey(DatasetKey(e.ID(), "gpu0"), secret.WalkNonce(e.ID()), 0, Hash{}), 2*time.Second))})
		held[i] = s
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	if each := int(after.HeapAlloc-before.HeapAlloc) / sessions; each > 16<<10 {
		t.Errorf("%d bytes a session", each)
	}
	// Nor does a run without an opening need it at the end.
	if n := testing.AllocsPerRun(5, func() {
		held[0].script.(*memoryScript).judged = false
		held[0].script.verdict()
	}); n > 0 {
		t.Errorf("%v allocations to judge no walk", n)
	}
	runtime.KeepAlive(held)
}

// TestRealClassesKnowNoOverrun: as for the rows of compute.
func TestRealClassesKnowNoOverrun(t *testing.T) {
	for _, row := range memory.Profiles() {
		e, secret := sealedMemory(t, func(_ *Challenge, p *memory.Params) { p.Profile, p.Items = row.Number, 1<<11 }, true)
		for _, filled := range []bool{false, true} {
			s := newTestSession(t, e, secret)
			p := NewFrameSigner(providerKey, testNetwork, e.ID(), StreamControl)
			s.Start()
			want := Unreachable
			if filled {
				s.Step(Event{At: time.Millisecond, Frame: p.Sign(NewFilled(0))})
				want = Withheld
			}
			if row.Simulated {
				want = Unknown
			}
			s.Step(Event{At: time.Millisecond, Frame: p.Sign(NewAbort(AbortOverrun))})
			if v := s.Verdict(); v.Outcome != want || v.Clause != ClauseAbort {
				t.Errorf("%s, filled %v: %v %s, want %v", row.Name, filled, v.Outcome, v.Clause, want)
			}
			replays(t, s)
		}
	}
}

// TestStartsWalks: of all frames the nonce alone starts the clock.
func TestStartsWalks(t *testing.T) {
	for _, m := range messages() {
		_, want := m.(*NonceFrame)
		if got := StartsWalks(Marshal(m)); got != want {
			t.Errorf("%T: %v", m, got)
		}
	}
	if StartsWalks(nil) || StartsWalks([]byte{0x82}) || StartsWalks(bytes.Repeat([]byte{typeNonce}, 40)) {
		t.Error("bytes that are no frame")
	}
}
