package challenges

import (
	"testing"
	"time"
)

// sealed seals testChallenge's challenge after altering it. With refit the
// deadline is set anew from the parameters, so that only they can be refused.
func sealed(t *testing.T, profile uint16, alter func(*Challenge, *ComputeParams), refit bool) (Envelope, Secret) {
	t.Helper()
	e, secret := testChallenge(profile, 1e8)
	var c Challenge
	var p ComputeParams
	if err := Unmarshal(e.Payload, &c); err != nil {
		t.Fatal(err)
	}
	if err := Unmarshal(c.Params, &p); err != nil {
		t.Fatal(err)
	}
	alter(&c, &p)
	if c.Kind == Matmul || c.Kind == FMA {
		c.Params = Marshal(&p)
		if row, err := LookupProfile(p.Profile); err == nil && refit {
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
		alter  func(*Challenge, *ComputeParams)
		refit  bool
		clause string // empty: accepted
	}{
		{"as it is", func(*Challenge, *ComputeParams) {}, true, ""},
		{"largest window", func(_ *Challenge, p *ComputeParams) { p.Window = 4 }, true, ""},
		{"another claim and RTT", func(_ *Challenge, p *ComputeParams) { p.Claim, p.RTT = 3e6, 0 }, true, ""},
		{"a probe", func(c *Challenge, _ *ComputeParams) { probe(c, 8) }, false, ""},

		{"profile 0", func(_ *Challenge, p *ComputeParams) { p.Profile = 0 }, true, ClauseProfile},
		{"unknown profile", func(_ *Challenge, p *ComputeParams) { p.Profile = 999 }, true, ClauseProfile},
		{"window 0", func(_ *Challenge, p *ComputeParams) { p.Window = 0 }, true, ClauseProfile},
		{"window over R/4", func(_ *Challenge, p *ComputeParams) { p.Window = 5 }, true, ClauseProfile},
		{"no claim", func(_ *Challenge, p *ComputeParams) { p.Claim = 0 }, true, ClauseProfile},
		{"claim below 1,000", func(_ *Challenge, p *ComputeParams) { p.Claim = 999 }, true, ClauseProfile},
		{"claim over 10^18", func(_ *Challenge, p *ComputeParams) { p.Claim = 1e18 + 1 }, true, ClauseProfile},
		{"claim too slow for the row", func(_ *Challenge, p *ComputeParams) { p.Claim = 1e3 }, true, ClauseProfile},
		{"negative RTT", func(_ *Challenge, p *ComputeParams) { p.RTT = -1 }, true, ClauseProfile},
		{"RTT over 10 s", func(_ *Challenge, p *ComputeParams) { p.RTT = 10*time.Second + 1 }, true, ClauseProfile},
		{"matmul without a device", func(c *Challenge, _ *ComputeParams) { c.Device = "" }, true, ClauseProfile},
		{"a row of lanes as a matmul", func(_ *Challenge, p *ComputeParams) { p.Profile = 4 }, true, ClauseProfile},
		{"a row of matrices as an fma", func(c *Challenge, _ *ComputeParams) { c.Kind = FMA }, true, ClauseProfile},
		{"a row of lanes as an fma", func(c *Challenge, p *ComputeParams) { c.Kind, p.Profile = FMA, 4 }, true, ""},
		{"another flavour of the same kind", func(_ *Challenge, p *ComputeParams) { p.Profile = 3 }, true, ""},
		{"window 1 of one round", func(_ *Challenge, p *ComputeParams) { p.Profile = 9 }, true, ""},
		{"window 2 of one round", func(_ *Challenge, p *ComputeParams) { p.Profile, p.Window = 9, 2 }, true, ClauseProfile},
		{"window 20 of 80 rounds", func(_ *Challenge, p *ComputeParams) { p.Profile, p.Window = 8, 20 }, true, ""},
		{"window 21 of 80 rounds", func(_ *Challenge, p *ComputeParams) { p.Profile, p.Window = 8, 21 }, true, ClauseProfile},
		{"unknown kind", func(c *Challenge, _ *ComputeParams) { c.Kind = "lottery" }, false, ClauseProfile},
		{"matmul with a probe's parameters", func(c *Challenge, _ *ComputeParams) { probe(c, 3); c.Kind = "matmul " }, false, ClauseProfile},
		{"probe of a device", func(c *Challenge, _ *ComputeParams) { probe(c, 3); c.Device = "gpu0" }, false, ClauseProfile},
		{"probe without pings", func(c *Challenge, _ *ComputeParams) { probe(c, 0) }, false, ClauseProfile},
		{"probe of nine pings", func(c *Challenge, _ *ComputeParams) { probe(c, 9) }, false, ClauseProfile},

		{"deadline a nanosecond short", func(c *Challenge, _ *ComputeParams) { c.Deadline-- }, false, ClauseDeadline},
		{"deadline of another claim", func(_ *Challenge, p *ComputeParams) { p.Claim = 2e8 }, false, ClauseDeadline},
		{"no deadline", func(c *Challenge, _ *ComputeParams) { c.Deadline = 0 }, false, ClauseDeadline},
		{"probe with another deadline", func(c *Challenge, _ *ComputeParams) { probe(c, 3); c.Deadline++ }, false, ClauseDeadline},

		{"commitment to another secret", func(c *Challenge, _ *ComputeParams) { c.Commit[0] ^= 1 }, true, ClauseSecret},
		{"another network inside", func(c *Challenge, _ *ComputeParams) { c.Network[0] ^= 1 }, true, ClauseNetwork},
		{"no provider", func(c *Challenge, _ *ComputeParams) { c.Provider = NodeID{} }, true, ClauseEncoding},
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
