package challenges

import (
	"slices"
	"testing"
	"time"
)

// sealed seals testChallenge's challenge after altering it. With refit the
// deadline is set anew from the parameters, so that only they can be refused.
func sealed(t *testing.T, profile uint16, alter func(*Challenge, *MatmulParams), refit bool) (Envelope, Secret) {
	t.Helper()
	e, secret := testChallenge(profile, 1e8)
	var c Challenge
	var p MatmulParams
	if err := Unmarshal(e.Payload, &c); err != nil {
		t.Fatal(err)
	}
	if err := Unmarshal(c.Params, &p); err != nil {
		t.Fatal(err)
	}
	alter(&c, &p)
	if c.Kind == Matmul {
		c.Params = Marshal(&p)
		if row, err := LookupMatmul(p.Profile); err == nil && refit {
			c.Deadline = row.Deadline(p.Claim, p.RTT)
		}
	}
	return Seal(testNetwork, KindChallenge, Marshal(&c), checkerKey), secret
}

func TestParametersOutsideTheTable(t *testing.T) {
	probe := func(c *Challenge, pings uint8) {
		c.Kind, c.Device, c.Deadline, c.Params = Probe, "", ProbeDeadline, Marshal(&ProbeParams{Pings: pings})
	}
	tests := []struct {
		name   string
		alter  func(*Challenge, *MatmulParams)
		refit  bool
		clause string // empty: accepted
	}{
		{"as it is", func(*Challenge, *MatmulParams) {}, true, ""},
		{"largest window", func(_ *Challenge, p *MatmulParams) { p.Window = 4 }, true, ""},
		{"another claim and RTT", func(_ *Challenge, p *MatmulParams) { p.Claim, p.RTT = 3e6, 0 }, true, ""},
		{"a probe", func(c *Challenge, _ *MatmulParams) { probe(c, 8) }, false, ""},

		{"profile 0", func(_ *Challenge, p *MatmulParams) { p.Profile = 0 }, true, ClauseProfile},
		{"unknown profile", func(_ *Challenge, p *MatmulParams) { p.Profile = 999 }, true, ClauseProfile},
		{"window 0", func(_ *Challenge, p *MatmulParams) { p.Window = 0 }, true, ClauseProfile},
		{"window over R/4", func(_ *Challenge, p *MatmulParams) { p.Window = 5 }, true, ClauseProfile},
		{"no claim", func(_ *Challenge, p *MatmulParams) { p.Claim = 0 }, true, ClauseProfile},
		{"claim below 1,000", func(_ *Challenge, p *MatmulParams) { p.Claim = 999 }, true, ClauseProfile},
		{"claim over 10^18", func(_ *Challenge, p *MatmulParams) { p.Claim = 1e18 + 1 }, true, ClauseProfile},
		{"claim too slow for the row", func(_ *Challenge, p *MatmulParams) { p.Claim = 1e3 }, true, ClauseProfile},
		{"negative RTT", func(_ *Challenge, p *MatmulParams) { p.RTT = -1 }, true, ClauseProfile},
		{"RTT over 10 s", func(_ *Challenge, p *MatmulParams) { p.RTT = 10*time.Second + 1 }, true, ClauseProfile},
		{"matmul without a device", func(c *Challenge, _ *MatmulParams) { c.Device = "" }, true, ClauseProfile},
		{"unknown kind", func(c *Challenge, _ *MatmulParams) { c.Kind = "lottery" }, false, ClauseProfile},
		{"matmul with a probe's parameters", func(c *Challenge, _ *MatmulParams) { probe(c, 3); c.Kind = "matmul " }, false, ClauseProfile},
		{"probe of a device", func(c *Challenge, _ *MatmulParams) { probe(c, 3); c.Device = "gpu0" }, false, ClauseProfile},
		{"probe without pings", func(c *Challenge, _ *MatmulParams) { probe(c, 0) }, false, ClauseProfile},
		{"probe of nine pings", func(c *Challenge, _ *MatmulParams) { probe(c, 9) }, false, ClauseProfile},

		{"deadline a nanosecond short", func(c *Challenge, _ *MatmulParams) { c.Deadline-- }, false, ClauseDeadline},
		{"deadline of another claim", func(_ *Challenge, p *MatmulParams) { p.Claim = 2e8 }, false, ClauseDeadline},
		{"no deadline", func(c *Challenge, _ *MatmulParams) { c.Deadline = 0 }, false, ClauseDeadline},
		{"probe with another deadline", func(c *Challenge, _ *MatmulParams) { probe(c, 3); c.Deadline++ }, false, ClauseDeadline},

		{"commitment to another secret", func(c *Challenge, _ *MatmulParams) { c.Commit[0] ^= 1 }, true, ClauseSecret},
		{"another network inside", func(c *Challenge, _ *MatmulParams) { c.Network[0] ^= 1 }, true, ClauseNetwork},
		{"no provider", func(c *Challenge, _ *MatmulParams) { c.Provider = NodeID{} }, true, ClauseEncoding},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			e, secret := sealed(t, 1, tt.alter, tt.refit)
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
			// A transcript of such a challenge proves nothing either.
			tr := Transcript{
				Challenge: Marshal(&e), Secret: secret, Signatures: make([][]byte, streams),
				Events: []Event{{At: time.Second, End: EndTimeout}}, Verdict: Verdict{Outcome: Unreachable, Clause: ClauseSilence},
			}
			if v, err := Replay(tr); err == nil || clauseOf(err) != tt.clause {
				t.Errorf("replays as %v, %v; want clause %s", v, err, tt.clause)
			}
		})
	}
}

func TestChallengeSignature(t *testing.T) {
	e, secret := testChallenge(1, 1e8)
	e.Signature[0] ^= 1
	if _, err := NewSession(e, secret); err == nil || clauseOf(err) != ClauseSignature {
		t.Errorf("broken signature: %v", err)
	}
	e, _ = testChallenge(1, 1e8)
	if _, err := NewSession(e, Secret{}); err == nil || clauseOf(err) != ClauseSecret {
		t.Errorf("wrong secret: %v", err)
	}
	if _, err := OpenChallenge(e, Hash{}); err == nil {
		t.Error("challenge of another network: accepted")
	}
}

func TestProfileTable(t *testing.T) {
	rows := MatmulProfiles()
	if !slices.IsSortedFunc(rows, func(a, b MatmulProfile) int { return int(a.Number) - int(b.Number) }) {
		t.Error("rows out of order")
	}
	for _, p := range rows {
		t.Run(p.Name, func(t *testing.T) {
			for _, claim := range []uint64{1e6, 1e9, 1e18} {
				for _, rtt := range []time.Duration{0, time.Millisecond, time.Second} {
					w := p.Window(claim, rtt)
					if w < 1 || int(w) > p.Rounds/4 {
						t.Errorf("claim %d, rtt %v: window %d of %d rounds", claim, rtt, w, p.Rounds)
					}
				}
			}
			if p.Deadline(1e9, 0) < p.Expected(1e9) {
				t.Error("deadline before the expected end")
			}
			// A transcript of the row fits its limits.
			events := p.Rounds*(2+p.Samples) + 2
			if events > MaxEvents || p.Rounds > 256 {
				t.Errorf("%d rounds, about %d events", p.Rounds, events)
			}
		})
	}
	if _, err := LookupMatmul(0); err == nil {
		t.Error("profile 0 found")
	}
}

func TestRate(t *testing.T) {
	tests := []struct {
		name    string
		ops     uint64
		elapsed time.Duration
		want    uint64
	}{
		{"one a second", 1, time.Second, 1},
		{"rounds down", 2, 3 * time.Second, 0},
		{"128 bits inside", 1e18, time.Second, 1e18},
		{"no time", 5, 0, 0},
		{"negative time", 5, -1, 0},
		{"saturates", 1 << 62, 1, 1<<64 - 1},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := rate(tt.ops, tt.elapsed); got != tt.want {
				t.Errorf("got %d, want %d", got, tt.want)
			}
		})
	}
}
