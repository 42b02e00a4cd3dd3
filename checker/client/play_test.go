package client

import (
	"bytes"
	"crypto/ed25519"
	"slices"
	"testing"
	"time"

	"github.com/assaynet/assay/challenges"
	"github.com/assaynet/assay/challenges/commit"
	"github.com/assaynet/assay/checker/committee"
)

func testKey(seed byte) ed25519.PrivateKey {
	return ed25519.NewKeyFromSeed(bytes.Repeat([]byte{seed}, ed25519.SeedSize))
}

// The members of the test network, a stranger to it, and two providers.
var (
	keyA, keyB  = testKey(1), testKey(2)
	strangerKey = testKey(3)
	providerKey = testKey(8)
	otherKey    = testKey(9)
)

// network is a registry of these checkers; of A and B for none.
func network(checkers ...ed25519.PrivateKey) *committee.Registry {
	if len(checkers) == 0 {
		checkers = []ed25519.PrivateKey{keyA, keyB}
	}
	r := &committee.Registry{Name: "test", Genesis: 1, Simulated: true, Params: committee.Devnet()}
	for _, k := range checkers {
		r.Checkers = append(r.Checkers, committee.Member{ID: challenges.IDOf(k), Name: "checker"})
	}
	slices.SortFunc(r.Checkers, func(a, b committee.Member) int { return a.ID.Compare(b.ID) })
	return r
}

const (
	claim  = 1e6    // ops/s: a round of the small profiles takes 98 ms, of fp64fma's 49 ms
	device = "gpu0" // of the provider
	// The small profiles: four rounds, one sample each.
	small     = 2
	smallBF16 = 5
	smallFP64 = 6
)

// game is one challenge and how its provider plays it, at modelled times. The
// zero value is checker A's, of an honest provider.
type game struct {
	registry *committee.Registry // nil: network()
	checker  ed25519.PrivateKey
	provider ed25519.PrivateKey
	secret   byte // tells games apart

	profile      uint16        // 0: the small one of int8
	claim        uint64        // 0: claim
	pings, pongs int           // not 0: a probe of so many, so many of them answered
	round        time.Duration // from root to root; 0: as claimed
	silent       bool          // no opening comes
	absent       bool          // nothing comes
	spoil        uint64        // added to every entry
	refuse       string        // reason
	abort        bool          // after the first round

	telemetry []byte                                                 // nil: none
	attest    func(id challenges.Hash, core *challenges.Core) []byte // nil: nothing signs
}

func (g game) defaults() game {
	if g.registry == nil {
		g.registry = network()
	}
	if g.checker == nil {
		g.checker = keyA
	}
	if g.provider == nil {
		g.provider = providerKey
	}
	if g.profile == 0 {
		g.profile = small
	}
	if g.claim == 0 {
		g.claim = claim
	}
	return g
}

func (g game) kind() challenges.Kind {
	if g.pings > 0 {
		return challenges.Probe
	}
	row, _ := challenges.LookupProfile(g.defaults().profile)
	return row.Shape.Flavour.Kind()
}

func (g game) challenge() (challenges.Envelope, challenges.Secret) {
	secret := challenges.Secret{7, g.secret}
	c := challenges.Challenge{
		Network: g.registry.Hash(), Epoch: 0, Provider: challenges.IDOf(g.provider), Commit: secret.Commit(),
		Kind: challenges.Probe, Deadline: challenges.ProbeDeadline, Params: challenges.Marshal(&challenges.ProbeParams{Pings: uint8(g.pings)}),
	}
	if g.pings == 0 {
		row, _ := challenges.LookupProfile(g.profile)
		p := challenges.ComputeParams{Profile: g.profile, Window: 1, Claim: g.claim, RTT: time.Millisecond}
		c.Kind, c.Device, c.Deadline, c.Params = g.kind(), device, row.Deadline(g.claim, p.RTT), challenges.Marshal(&p)
	}
	return challenges.Seal(c.Network, challenges.KindChallenge, challenges.Marshal(&c), g.checker), secret
}

// play drives a session to its end and returns its transcript.
func (g game) play(t testing.TB) challenges.Transcript {
	t.Helper()
	g = g.defaults()
	e, secret := g.challenge()
	s, err := challenges.NewSession(e, secret)
	if err != nil {
		t.Fatal(err)
	}
	d := &drive{game: g, t: t, s: s}
	if d.feed(s.Start()); g.pings > 0 {
		d.probe()
	} else {
		d.compute()
	}
	if !d.done {
		d.now = max(d.now, s.Challenge().Deadline)
		d.step(challenges.Event{End: challenges.EndTimeout})
	}
	if !d.done {
		t.Fatal("the session is not done")
	}
	return s.Transcript()
}

// seal is the file that a checker keeps of a transcript.
func (g game) seal(tr challenges.Transcript) []byte {
	g = g.defaults()
	e := challenges.SealTranscript(tr, g.registry.Hash(), g.checker)
	return challenges.Marshal(&e)
}

func (g game) file(t testing.TB) []byte { return g.seal(g.play(t)) }

// drive is a game in progress.
type drive struct {
	game
	t    testing.TB
	s    *challenges.Session
	now  time.Duration
	done bool
	out  [][]byte // what the checker sent on the control stream
}

func (d *drive) step(e challenges.Event) {
	if d.done {
		return
	}
	e.At = d.now
	var send []challenges.Out
	send, d.done = d.s.Step(e)
	d.feed(send)
}

// feed reports what the session asks for as sent.
func (d *drive) feed(send []challenges.Out) {
	for _, o := range send {
		if o.Stream == challenges.StreamControl {
			d.out = append(d.out, o.Frame)
		}
		d.step(challenges.Event{Stream: o.Stream, Out: true, Frame: o.Frame})
	}
}

func (d *drive) signer(stream uint8) *challenges.FrameSigner {
	return challenges.NewFrameSigner(d.provider, d.registry.Hash(), d.s.ID(), stream)
}

func (d *drive) decode(frame []byte, v any) {
	d.t.Helper()
	if err := challenges.Unmarshal(frame, v); err != nil {
		d.t.Fatal(err)
	}
}

func (d *drive) probe() {
	control := d.signer(challenges.StreamControl)
	for i := range d.pongs {
		var ping challenges.PingFrame
		d.decode(d.out[i], &ping)
		d.now += 2 * time.Millisecond
		d.step(challenges.Event{Frame: control.Sign(challenges.NewPong(ping, [16]byte{1}, uint64(i+1), challenges.Hash{}, 0))})
	}
}

func (d *drive) compute() {
	control, bulk := d.signer(challenges.StreamControl), d.signer(challenges.StreamBulk)
	row, _ := challenges.LookupProfile(d.profile)
	if d.round == 0 {
		d.round = row.Expected(d.claim) / time.Duration(row.Rounds)
	}
	switch {
	case d.absent:
		return
	case d.refuse != "":
		d.now = time.Millisecond
		d.step(challenges.Event{Frame: control.Sign(challenges.NewRefusal(d.refuse, 0))})
		return
	}
	core := challenges.Core{Challenge: d.s.ID(), Device: device}
	var key challenges.Hash
	var packed [][]byte
	for r := 0; r < row.Rounds && !d.done; r++ {
		d.now = time.Duration(r+1) * d.round
		if r == 0 {
			key = challenges.FirstKey(d.s.ID(), device)
		} else {
			var old []byte
			if r >= 2 { // the window is one round
				old = packed[r-2]
			}
			key = challenges.NextKey(key, core.Roots[r-1], old)
		}
		tree := commit.New(d.matrix(row.Shape, key), row.Shape.Width())
		core.Roots = append(core.Roots, tree.Root())
		d.step(challenges.Event{Frame: control.Sign(challenges.NewRoot(r, tree.Root(), key, d.now))})
		request := d.out[len(d.out)-1]
		var f challenges.PositionsFrame
		d.decode(request, &f)
		packed = append(packed, f.Positions)
		if d.silent {
			return
		}
		for _, b := range challenges.NewOpening(r, challenges.FrameHash(request), tree.Open(challenges.UnpackPositions(f.Positions))) {
			d.step(challenges.Event{Stream: challenges.StreamBulk, Frame: bulk.Sign(b)})
		}
		if d.abort {
			d.step(challenges.Event{Frame: control.Sign(challenges.NewAbort(challenges.AbortOverrun))})
		}
	}
	var signed []byte
	if core.Telemetry = d.telemetry; d.attest != nil {
		signed = d.attest(d.s.ID(), &core)
	}
	d.step(challenges.Event{Frame: control.Sign(challenges.NewResult(core, signed))})
}

func (d *drive) matrix(s challenges.Shape, key challenges.Hash) []byte {
	at, values := make([]uint32, s.Entries()), make([]uint64, s.Entries())
	for i := range at {
		at[i] = uint32(i)
	}
	s.Values(&key, at, values)
	c := make([]byte, s.Bytes())
	for i, v := range values {
		s.PutValue(c[i*s.Width():], v+d.spoil)
	}
	return c
}
