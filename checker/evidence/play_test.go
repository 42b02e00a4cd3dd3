package evidence

import (
	"bytes"
	"crypto/ed25519"
	"testing"
	"time"

	"github.com/assaynet/assay/challenges"
	"github.com/assaynet/assay/challenges/commit"
)

var (
	network     = challenges.Hash{0xa5}
	checkerKey  = ed25519.NewKeyFromSeed(bytes.Repeat([]byte{1}, ed25519.SeedSize))
	providerKey = ed25519.NewKeyFromSeed(bytes.Repeat([]byte{2}, ed25519.SeedSize))
	secret      = challenges.Secret{7}
)

const (
	claim  = 1e6    // ops/s: a round of the small profile takes 98 ms
	device = "gpu0" // of the provider
	// The small profiles: four rounds, one sample each.
	small     = 2
	smallBF16 = 5
	smallFP64 = 6
)

func seal(c challenges.Challenge) challenges.Envelope {
	c.Network, c.Epoch, c.Provider, c.Commit = network, 3, challenges.IDOf(providerKey), secret.Commit()
	return challenges.Seal(network, challenges.KindChallenge, challenges.Marshal(&c), checkerKey)
}

func compute(profile uint16, rtt time.Duration) challenges.Envelope {
	p := challenges.ComputeParams{Profile: profile, Window: 1, Claim: claim, RTT: rtt}
	row, _ := challenges.LookupProfile(profile)
	return seal(challenges.Challenge{
		Device: device, Kind: row.Shape.Flavour.Kind(), Params: challenges.Marshal(&p), Deadline: row.Deadline(claim, p.RTT),
	})
}

// player is a provider that the session's driver asks: it has the frames of a
// round ready, and its fields make it misbehave.
type player struct {
	profile uint16 // 0: the small one of int8

	round  time.Duration // from root to root; 0: as claimed
	lag    time.Duration // signed clock less the true time
	stop   int           // rounds that it plays; 0: all
	silent int           // first round without an opening; 0: none
	spoil  uint64        // added to every entry
	refuse string        // reason
	abort  bool
	far    bool             // the run is shorter than the round trips that a figure needs
	end    challenges.Cause // ends the session after the last frame; EndNone: at the deadline

	telemetry func(elapsed time.Duration) []byte                     // nil: none
	attest    func(id challenges.Hash, core *challenges.Core) []byte // nil: nothing signs
}

// play drives a session with the player and returns it done.
func (p player) play(t *testing.T) *challenges.Session {
	t.Helper()
	rtt := time.Millisecond
	if p.far {
		rtt = 50 * time.Millisecond
	}
	if p.profile == 0 {
		p.profile = small
	}
	e := compute(p.profile, rtt)
	s, err := challenges.NewSession(e, secret)
	if err != nil {
		t.Fatal(err)
	}
	row, _ := challenges.LookupProfile(p.profile)
	if p.round == 0 {
		p.round = row.Expected(claim) / time.Duration(row.Rounds)
	}
	control := challenges.NewFrameSigner(providerKey, network, s.ID(), challenges.StreamControl)
	bulk := challenges.NewFrameSigner(providerKey, network, s.ID(), challenges.StreamBulk)
	var now time.Duration
	done := false
	feed := func(e challenges.Event) (send []challenges.Out) {
		e.At = now
		send, done = s.Step(e)
		return send
	}
	for _, o := range s.Start() {
		feed(challenges.Event{Stream: o.Stream, Out: true, Frame: o.Frame})
	}
	if p.refuse != "" {
		now = time.Millisecond
		feed(challenges.Event{Frame: control.Sign(challenges.NewRefusal(p.refuse, 0))})
	}
	core := challenges.Core{Challenge: s.ID(), Device: device}
	var keys []challenges.Hash
	var packed [][]byte
	for r := 0; r < row.Rounds && !done && (p.stop == 0 || r < p.stop); r++ {
		now = time.Duration(r+1) * p.round
		key := challenges.FirstKey(s.ID(), device)
		if r > 0 {
			var old []byte
			if r >= 2 { // the window is one round
				old = packed[r-2]
			}
			key = challenges.NextKey(keys[r-1], core.Roots[r-1], old)
		}
		tree := commit.New(p.matrix(row.Shape, key), row.Shape.Width())
		keys, core.Roots = append(keys, key), append(core.Roots, tree.Root())
		for _, o := range feed(challenges.Event{Frame: control.Sign(challenges.NewRoot(r, tree.Root(), key, now-p.lag))}) {
			feed(challenges.Event{Stream: o.Stream, Out: true, Frame: o.Frame})
			var f challenges.PositionsFrame
			if err := challenges.Unmarshal(o.Frame, &f); err != nil {
				t.Fatal(err)
			}
			packed = append(packed, f.Positions)
			if p.silent > 0 && r >= p.silent {
				continue
			}
			for _, b := range challenges.NewOpening(r, challenges.FrameHash(o.Frame), tree.Open(challenges.UnpackPositions(f.Positions))) {
				feed(challenges.Event{Stream: challenges.StreamBulk, Frame: bulk.Sign(b)})
			}
		}
	}
	switch {
	case done:
	case p.abort:
		feed(challenges.Event{Frame: control.Sign(challenges.NewAbort(challenges.AbortOverrun))})
	case len(core.Roots) == row.Rounds:
		var signed []byte
		if p.telemetry != nil {
			core.Telemetry = p.telemetry(now)
		}
		if p.attest != nil {
			signed = p.attest(s.ID(), &core)
		}
		feed(challenges.Event{Frame: control.Sign(challenges.NewResult(core, signed))})
	}
	if !done {
		if p.end == challenges.EndNone {
			p.end, now = challenges.EndTimeout, max(now, s.Challenge().Deadline)
		}
		feed(challenges.Event{End: p.end})
	}
	if !done {
		t.Fatal("the session is not done")
	}
	return s
}

func (p player) matrix(s challenges.Shape, key challenges.Hash) []byte {
	at, values := make([]uint32, s.Entries()), make([]uint64, s.Entries())
	for i := range at {
		at[i] = uint32(i)
	}
	s.Values(&key, at, values)
	c := make([]byte, s.Bytes())
	for i, v := range values {
		s.PutValue(c[i*s.Width():], v+p.spoil)
	}
	return c
}

// playProbe answers some of two pings and then falls silent.
func playProbe(t *testing.T, pongs int) *challenges.Session {
	t.Helper()
	e := seal(challenges.Challenge{
		Kind: challenges.Probe, Params: challenges.Marshal(&challenges.ProbeParams{Pings: 2}), Deadline: challenges.ProbeDeadline,
	})
	s, err := challenges.NewSession(e, secret)
	if err != nil {
		t.Fatal(err)
	}
	sign := challenges.NewFrameSigner(providerKey, network, s.ID(), challenges.StreamControl)
	out, now := s.Start(), time.Duration(0)
	for i := range pongs {
		s.Step(challenges.Event{At: now, Out: true, Frame: out[0].Frame})
		var ping challenges.PingFrame
		if err := challenges.Unmarshal(out[0].Frame, &ping); err != nil {
			t.Fatal(err)
		}
		now += 2 * time.Millisecond
		out, _ = s.Step(challenges.Event{At: now, Frame: sign.Sign(challenges.NewPong(ping, [16]byte{1}, uint64(i+1), challenges.Hash{}, 0))})
	}
	s.Step(challenges.Event{At: challenges.ProbeDeadline, End: challenges.EndTimeout})
	return s
}
