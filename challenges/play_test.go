package challenges

import (
	"bytes"
	"crypto/ed25519"
	"slices"
	"testing"
	"time"

	"github.com/assaynet/assay/challenges/commit"
)

// The keys of every test in this package: fixed, so that vectors are.
func testKey(seed byte) ed25519.PrivateKey {
	return ed25519.NewKeyFromSeed(bytes.Repeat([]byte{seed}, 32))
}

var (
	testNetwork = Hash{0xa5, 0x5a, 1}
	checkerKey  = testKey(1)
	providerKey = testKey(2)
)

// The rows whose challenges are played here: one of each flavour that is as small
// as can be, one of each for a devnet, those of the other purposes, and those of
// proofs of memory.
var (
	vectorRows = []uint16{2, 5, 6}
	devnetRows = []uint16{1, 3, 4}
	timedRows  = []uint16{7, 8, 9, 10}
	memoryRows = []uint16{502, 501}

	smallRows = slices.Concat(vectorRows, memoryRows[:1])
	playRows  = slices.Concat(vectorRows, devnetRows, timedRows, memoryRows)
)

// rowName names a subtest.
func rowName(profile uint16) string { return rowOf(profile).Name }

// testClaim is a rate at which a run of the row is long enough for a figure.
func testClaim(profile uint16) uint64 {
	if set, ok := setOf(profile); ok {
		return set.ReadRate
	}
	if profile == 6 {
		return 2e7
	}
	return 1e8
}

func testChallenge(profile uint16, claim uint64) (Envelope, Secret) {
	if _, ok := setOf(profile); ok {
		return memoryChallenge(profile, 100*time.Microsecond)
	}
	secret := Secret{7, 7, 7}
	p := ComputeParams{Profile: profile, Window: 1, Claim: claim, RTT: 100 * time.Microsecond}
	row, _ := LookupProfile(profile)
	c := Challenge{
		Network: testNetwork, Epoch: 3, Provider: IDOf(providerKey), Device: "gpu0", Kind: row.Shape.Flavour.Kind(), Seq: 1,
		Commit: secret.Commit(), Deadline: row.Deadline(claim, p.RTT), Params: Marshal(&p),
	}
	return Seal(testNetwork, KindChallenge, Marshal(&c), checkerKey), secret
}

// player is a provider in one goroutine: it answers what the session sends, at
// modelled times, and may be told to misbehave by its hooks.
type player struct {
	id      Hash
	row     Profile
	window  int
	rounds  int           // rounds that it plays
	round   time.Duration // modelled time of one round
	base    time.Duration // when the rounds began
	walker  *walker       // of a proof of memory
	control *FrameSigner
	bulk    *FrameSigner

	keys   []Hash
	roots  []Hash
	packed [][]byte
	trees  []*commit.Tree

	feeds func(round, window int) int          // nil: the row's; whose positions enter a key
	fill  func(key *Hash, s Shape) []uint64    // nil: matrix; computes a round
	spoil func(round int, c []uint64)          // alters a round's entries before they are committed to
	open  func(round int, opening []byte) any  // nil: silent; [][]byte: bodies
	forge func(round int, frame []byte) []byte // alters an opening's frame after it is signed
	body  func(body []byte) []byte             // alters a control body before it is signed
}

func newPlayer(e Envelope, key ed25519.PrivateKey) *player {
	c, err := OpenChallenge(e, testNetwork)
	if err != nil {
		panic(err)
	}
	made := &player{
		id:      e.ID(),
		control: NewFrameSigner(key, testNetwork, e.ID(), StreamControl),
		bulk:    NewFrameSigner(key, testNetwork, e.ID(), StreamBulk),
	}
	if c.Kind == Memory {
		made.remember(c)
		return made
	}
	p, _ := c.ComputeParams()
	row, _ := LookupProfile(p.Profile)
	made.row, made.rounds, made.window = row, row.Rounds, int(p.Window)
	made.round = row.Expected(p.Claim) / time.Duration(row.Rounds)
	return made
}

// key is that of the next round.
func (p *player) key(r int) Hash {
	if p.walker != nil {
		return p.walker.key(r, p.roots)
	}
	if r == 0 {
		return FirstKey(p.id, "gpu0")
	}
	var packed []byte
	feeds := p.feeds
	if feeds == nil {
		feeds = p.row.Feeds
	}
	if old := feeds(r, p.window); old >= 0 {
		packed = p.packed[old]
	}
	return NextKey(p.keys[r-1], p.roots[r-1], packed)
}

func (p *player) root(r int) []byte {
	key, fill := p.key(r), p.fill
	switch {
	case fill != nil:
	case p.walker != nil:
		fill = p.walker.walks
	default:
		fill = matrix
	}
	c := fill(&key, p.row.Shape)
	if p.spoil != nil {
		p.spoil(r, c)
	}
	t := tree(p.row.Shape, c)
	p.keys, p.roots, p.trees = append(p.keys, key), append(p.roots, t.Root()), append(p.trees, t)
	return NewRoot(r, t.Root(), key, p.base+time.Duration(r+1)*p.round)
}

// tree commits to entries.
func tree(s Shape, c []uint64) *commit.Tree {
	data := make([]byte, s.Bytes())
	for i, v := range c {
		s.PutValue(data[i*s.Width():], v)
	}
	return commit.New(data, s.Width())
}

// matrix is a whole round, each entry as the integer of its bytes: every row of A
// with every column of B, or every lane.
func matrix(key *Hash, s Shape) []uint64 {
	c := make([]uint64, s.Entries())
	if s.Flavour == FP64 {
		at := make([]uint32, len(c))
		for i := range at {
			at[i] = uint32(i)
		}
		s.Values(key, at, c)
		return c
	}
	line := s.Line()
	cols, row := make([]byte, s.N*line), make([]byte, line)
	for j := range s.N {
		s.ColB(key, j, cols[j*line:])
	}
	for i := range s.M {
		s.RowA(key, i, row)
		for j := range s.N {
			c[i*s.N+j] = uint64(uint32(s.Dot(row, cols[j*line:][:line])))
		}
	}
	return c
}

// play runs a whole challenge against the session and returns it. The answer to
// positions comes 50 us after them; root r comes at (r+1) rounds, after a warm-up
// so much later as its last positions came after the root. A dataset is filled
// first; its rounds begin with the nonce, 10 us later.
func play(t *testing.T, s *Session, p *player) *Session {
	t.Helper()
	now, waited := time.Duration(0), time.Duration(0)
	done := false
	feed := func(e Event) []Out {
		var send []Out
		send, done = s.Step(e)
		return send
	}
	for _, o := range s.Start() {
		feed(Event{At: now, Stream: o.Stream, Out: true, Frame: o.Frame})
	}
	if p.walker != nil {
		now = p.walker.filled
		for _, o := range feed(Event{At: now, Frame: p.control.Sign(NewFilled(now))}) {
			now += 10 * time.Microsecond
			feed(Event{At: now, Stream: o.Stream, Out: true, Frame: o.Frame})
			p.begin(t, o.Frame, now)
		}
	}
	for r := 0; r < p.rounds && !done; r++ {
		now = max(now, p.base+time.Duration(r+1)*p.round+waited)
		body := p.root(r)
		if p.body != nil {
			body = p.body(body)
		}
		for _, o := range feed(Event{At: now, Frame: p.control.Sign(body)}) {
			feed(Event{At: now + 10*time.Microsecond, Stream: o.Stream, Out: true, Frame: o.Frame})
			if r == p.row.Warm-1 {
				waited = 10 * time.Microsecond
			}
			var f PositionsFrame
			if err := Unmarshal(o.Frame, &f); err != nil {
				t.Fatal(err)
			}
			p.packed = append(p.packed, f.Positions)
			opening := p.trees[r].Open(UnpackPositions(f.Positions))
			bodies := NewOpening(r, FrameHash(o.Frame), opening)
			if p.open != nil {
				got := p.open(r, opening)
				if got == nil {
					continue
				}
				bodies = got.([][]byte)
			}
			for _, b := range bodies {
				if done {
					break
				}
				now += 50 * time.Microsecond
				frame := p.bulk.Sign(b)
				if p.forge != nil {
					frame = p.forge(r, frame)
				}
				feed(Event{At: now, Stream: StreamBulk, Frame: frame})
			}
		}
	}
	if !done && len(p.roots) == p.row.Rounds {
		now += 10 * time.Microsecond
		feed(Event{At: now, Frame: p.control.Sign(NewResult(Core{Challenge: p.id, Device: "gpu0", Roots: p.roots}, nil))})
	}
	if !done {
		feed(Event{At: max(now, s.Challenge().Deadline), End: EndTimeout})
	}
	if !done {
		t.Fatal("session is not done after its deadline")
	}
	return s
}

func newTestSession(t *testing.T, e Envelope, secret Secret) *Session {
	t.Helper()
	s, err := NewSession(e, secret)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// honest plays one honest challenge.
func honest(t *testing.T, profile uint16) (*Session, *player) {
	t.Helper()
	s, p := pair(t, profile)
	return play(t, s, p), p
}

// pair is a session of the row's test challenge and an honest player for it.
func pair(t *testing.T, profile uint16) (*Session, *player) {
	t.Helper()
	e, secret := testChallenge(profile, testClaim(profile))
	return newTestSession(t, e, secret), newPlayer(e, providerKey)
}

func replays(t *testing.T, s *Session) {
	t.Helper()
	tr := s.Transcript()
	env := SealTranscript(tr, testNetwork, checkerKey)
	read, err := DecodeEnvelope(Marshal(&env))
	if err != nil {
		t.Fatal(err)
	}
	again, _, err := OpenTranscript(read)
	if err != nil {
		t.Fatal(err)
	}
	v, err := Replay(again)
	if err != nil {
		t.Fatalf("replay: %v", err)
	}
	if v != s.Verdict() {
		t.Fatalf("replays as %+v, was %+v", v, s.Verdict())
	}
}
