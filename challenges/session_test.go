package challenges

import (
	"slices"
	"testing"
	"time"
)

func TestHonestChallengePasses(t *testing.T) {
	for _, profile := range playRows {
		t.Run(rowName(profile), func(t *testing.T) {
			s, _ := honest(t, profile)
			v := s.Verdict()
			row := rowOf(profile)
			if v.Outcome != Pass || int(v.Samples) != row.Rounds*row.Samples || v.Disputed {
				t.Errorf("%+v", v)
			}
			rate := testClaim(profile)
			if row.Purpose == Pulse {
				rate = 0 // a pulse gives no figure
			}
			if v.OpsLower < rate*95/100 || v.OpsLower > rate || v.OpsBest > rate {
				t.Errorf("bounds %d and %d ops/s of a device of %d", v.OpsLower, v.OpsBest, rate)
			}
			if (v.OpsBest > 0) != (row.Rounds > 1) {
				t.Errorf("best interval of %d rounds: %d ops/s", row.Rounds, v.OpsBest)
			}
			replays(t, s)
		})
	}
}

func TestCheatersAgainstTheSession(t *testing.T) {
	flip := func(round int, c []uint64) {
		if round == 1 {
			c[9] ^= 1
		}
	}
	tests := []struct {
		name   string
		cheat  func(*player)
		want   Outcome
		clause string
	}{
		{"every entry wrong", func(p *player) {
			p.spoil = func(_ int, c []uint64) {
				for i := range c {
					c[i]++
				}
			}
		}, Wrong, ClauseValue},
		{"one entry wrong, not sampled", func(p *player) { p.spoil = flip }, Pass, ""},
		{"silent opening", func(p *player) { p.open = func(int, []byte) any { return nil } }, Withheld, ClauseSilence},
		{"empty opening", func(p *player) { p.open = func(int, []byte) any { return [][]byte{{}} } }, Withheld, ClauseSilence},
		{"short opening", func(p *player) {
			p.open = func(r int, o []byte) any {
				return NewOpening(r, FrameHash(newPositions(r, UnpackPositions(p.packed[r]))), o[:len(o)-32])
			}
		}, Withheld, ClauseShape},
		{"opening of another request", func(p *player) {
			p.open = func(r int, o []byte) any { return NewOpening(r, Hash{1}, o) }
		}, Withheld, ClauseEcho},
		{"flipped bit in an opening", func(p *player) {
			p.open = func(r int, o []byte) any {
				o = slices.Clone(o)
				o[3] ^= 1
				return NewOpening(r, FrameHash(newPositions(r, UnpackPositions(p.packed[r]))), o)
			}
		}, Withheld, ClauseAuthentic},
		{"duplicate opening", func(p *player) {
			p.open = func(r int, o []byte) any {
				b := NewOpening(r, FrameHash(newPositions(r, UnpackPositions(p.packed[r]))), o)
				return append(b, b...)
			}
		}, Withheld, ClauseShape},
		{"first root of another round", func(p *player) {
			p.body = func(b []byte) []byte {
				var f RootFrame
				_ = Unmarshal(b, &f)
				f.Round++
				return Marshal(&f)
			}
		}, Unreachable, ClauseRootOrder},
		{"another key", func(p *player) {
			p.body = func(b []byte) []byte {
				var f RootFrame
				_ = Unmarshal(b, &f)
				if f.Round == 2 {
					f.Key[0] ^= 1
				}
				return Marshal(&f)
			}
		}, Withheld, ClauseKeyChain},
		{"invented root", func(p *player) {
			p.body = func(b []byte) []byte {
				var f RootFrame
				_ = Unmarshal(b, &f)
				f.Root[0] ^= 1
				p.roots[f.Round] = f.Root
				return Marshal(&f)
			}
		}, Withheld, ClauseAuthentic},
	}
	for _, profile := range append(slices.Clone(devnetRows), 501) {
		for _, tt := range tests {
			t.Run(rowName(profile)+", "+tt.name, func(t *testing.T) {
				s, p := pair(t, profile)
				tt.cheat(p)
				v := play(t, s, p).Verdict()
				if p.walker != nil && tt.want == Unreachable {
					tt.want = Withheld // it was filled
				}
				if v.Outcome != tt.want || v.Clause != tt.clause {
					t.Fatalf("got %v %q, want %v %q", v.Outcome, v.Clause, tt.want, tt.clause)
				}
				replays(t, s)
			})
		}
	}
}

func TestSlowRunIsLate(t *testing.T) {
	for _, tt := range []struct {
		name   string
		factor time.Duration
		want   Outcome
	}{{"as claimed", 1, Pass}, {"four times slower", 4, Late}, {"never done", 12, Late}} {
		t.Run(tt.name, func(t *testing.T) {
			e, secret := testChallenge(1, 1e8)
			s, p := newTestSession(t, e, secret), newPlayer(e, providerKey)
			p.round *= tt.factor
			if tt.factor == 12 {
				p.rounds = 8 // in step until the deadline
			}
			v := play(t, s, p).Verdict()
			if v.Outcome != tt.want {
				t.Fatalf("got %+v", v)
			}
			if v.OpsLower == 0 || v.OpsLower > 1e8/uint64(tt.factor) {
				t.Fatalf("bound %d ops/s", v.OpsLower)
			}
			replays(t, s)
		})
	}
}

func TestBrokenSignatureEndsTheSessionThere(t *testing.T) {
	e, secret := testChallenge(1, 1e8)
	s, p := newTestSession(t, e, secret), newPlayer(e, providerKey)
	stranger := newPlayer(e, testKey(9))
	n := 0
	p.body = func(b []byte) []byte {
		if n++; n == 4 {
			p.control = stranger.control // from the fourth root on, somebody else signs
		}
		return b
	}
	v := play(t, s, p).Verdict()
	if v.Outcome != Withheld || v.Clause != ClauseSilence {
		t.Fatalf("got %+v", v)
	}
	replays(t, s)
	if got := len(s.signed[StreamControl]); got != 3 {
		t.Fatalf("transcript keeps %d control frames, want 3", got)
	}
}

func TestLagOfTheCheckerIsNotTheProvidersFault(t *testing.T) {
	e, secret := testChallenge(1, 4e8)
	s, p := newTestSession(t, e, secret), newPlayer(e, providerKey)
	p.round *= 4
	now := time.Duration(0)
	s.Start()
	s.Step(Event{Stream: StreamBulk, Out: true, Frame: NewAttach(e.ID())})
	for r := range p.row.Rounds {
		now = max(now, time.Duration(r+1)*p.round)
		send, _ := s.Step(Event{At: now, Frame: p.control.Sign(p.root(r))})
		now += p.round / 5 // the checker takes a fifth of a round to answer
		s.Step(Event{At: now, Out: true, Frame: send[0].Frame})
		var f PositionsFrame
		_ = Unmarshal(send[0].Frame, &f)
		p.packed = append(p.packed, f.Positions)
		for _, b := range NewOpening(r, FrameHash(send[0].Frame), p.trees[r].Open(UnpackPositions(f.Positions))) {
			s.Step(Event{At: now, Stream: StreamBulk, Frame: p.bulk.Sign(b)})
		}
	}
	s.Step(Event{At: now, Frame: p.control.Sign(NewResult(Core{Challenge: p.id, Device: "gpu0", Roots: p.roots}, nil))})
	if v := s.Verdict(); v.Outcome != Unknown || v.Clause != ClauseLag || v.OpsLower != 0 {
		t.Fatalf("got %+v", v)
	}
	replays(t, s)
}

func TestRefusalAndAbort(t *testing.T) {
	for _, tt := range []struct {
		name string
		body []byte
		want Outcome
	}{
		{"busy", NewRefusal(ReasonBusy, time.Minute), Refused},
		{"collision without the running challenge", NewRefusal(ReasonCollision, 0), Unreachable},
		{"unknown reason", NewRefusal("bored", 0), Unreachable},
		{"the device failed", NewRefusal(ReasonFault, time.Minute), Refused},
		{"overrun of a simulated device", NewAbort(AbortOverrun), Unknown},
		{"tenant, before any root", NewAbort(AbortTenant), Unreachable},
		{"fault, before any root", NewAbort(AbortFault), Unreachable},
		{"garbage", []byte{0x83, 1, 2, 3}, Unreachable},
	} {
		t.Run(tt.name, func(t *testing.T) {
			e, secret := testChallenge(1, 1e8)
			s, p := newTestSession(t, e, secret), newPlayer(e, providerKey)
			_, done := s.Step(Event{At: time.Millisecond, Frame: p.control.Sign(tt.body)})
			if v := s.Verdict(); !done || v.Outcome != tt.want {
				t.Fatalf("got %+v", v)
			}
			replays(t, s)
		})
	}
}

func TestProbe(t *testing.T) {
	secret := Secret{3}
	c := Challenge{
		Network: testNetwork, Provider: IDOf(providerKey), Kind: Probe, Commit: secret.Commit(),
		Deadline: ProbeDeadline, Params: Marshal(&ProbeParams{Pings: 3}),
	}
	e := Seal(testNetwork, KindChallenge, Marshal(&c), checkerKey)
	for _, tt := range []struct {
		name    string
		answers int
		alter   func(*PongFrame)
		want    Outcome
	}{
		{"three pongs", 3, nil, Pass},
		{"one pong, then silence", 1, nil, Pass},
		{"silence", 0, nil, Unreachable},
		{"another nonce", 3, func(f *PongFrame) { f.Nonce[0] ^= 1 }, Unreachable},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := newTestSession(t, e, secret)
			sign := NewFrameSigner(providerKey, testNetwork, e.ID(), StreamControl)
			now, done := time.Duration(0), false
			send := s.Start()
			for i := 0; i < tt.answers && !done; i++ {
				s.Step(Event{At: now, Out: true, Frame: send[0].Frame})
				var ping PingFrame
				if err := Unmarshal(send[0].Frame, &ping); err != nil {
					t.Fatal(err)
				}
				var pong PongFrame
				_ = Unmarshal(NewPong(ping, [16]byte{1}, uint64(i+1), Hash{}, 0), &pong)
				if tt.alter != nil {
					tt.alter(&pong)
				}
				now += 3 * time.Millisecond
				send, done = s.Step(Event{At: now, Frame: sign.Sign(Marshal(&pong))})
			}
			if !done {
				s.Step(Event{At: ProbeDeadline, End: EndTimeout})
			}
			v := s.Verdict()
			if v.Outcome != tt.want || (tt.want == Pass && v.RTT != 3*time.Millisecond) {
				t.Fatalf("got %+v", v)
			}
			replays(t, s)
		})
	}
}

// TestRootsAloneShowNoWork: roots that were never opened are nothing but 32
// bytes, however fast they come and whenever the deadline is.
func TestRootsAloneShowNoWork(t *testing.T) {
	for _, claim := range []uint64{1e8, 2e9, 1e12} {
		e, secret := testChallenge(1, claim)
		s, p := newTestSession(t, e, secret), newPlayer(e, providerKey)
		p.round = 100 * time.Microsecond
		p.rounds = p.row.Rounds - 1
		p.open = func(int, []byte) any { return nil }
		if v := play(t, s, p).Verdict(); v.Outcome != Withheld || v.OpsLower != 0 || v.OpsBest != 0 {
			t.Errorf("claim %d: %+v", claim, v)
		}
		replays(t, s)
	}
}

// TestOnlyOpenedRoundsCount: at the deadline, rounds whose openings are still on
// their way are no part of the bound.
func TestOnlyOpenedRoundsCount(t *testing.T) {
	e, secret := testChallenge(1, 1e8)
	s, p := newTestSession(t, e, secret), newPlayer(e, providerKey)
	p.round = s.Challenge().Deadline / 9 // eight rounds fit
	p.rounds = 8
	p.open = func(r int, o []byte) any {
		if r == 7 {
			return nil // asked for less than OpenWait before the deadline
		}
		return NewOpening(r, FrameHash(newPositions(r, UnpackPositions(p.packed[r]))), o)
	}
	v := play(t, s, p).Verdict()
	want := rate(7*p.row.Shape.Ops(), 7*p.round)
	if v.Outcome != Late || v.OpsLower > want || v.OpsLower < want*99/100 {
		t.Errorf("%+v, want late with about %d ops/s", v, want)
	}
	replays(t, s)
}

// TestEarlyTimeoutIsNoDeadline: a checker that gives up early records a cut, not
// a slow provider.
func TestEarlyTimeoutIsNoDeadline(t *testing.T) {
	e, secret := testChallenge(1, 1e8)
	s, p := newTestSession(t, e, secret), newPlayer(e, providerKey)
	p.rounds = 8
	s.challenge.Deadline = 8*p.round + time.Millisecond // what play waits for
	if v := play(t, s, p).Verdict(); v.Outcome != Withheld || v.Clause != ClauseSilence {
		t.Errorf("%+v", v)
	}
}
