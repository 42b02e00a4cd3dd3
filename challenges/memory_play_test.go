package challenges

import (
	"testing"
	"time"

	"github.com/assaynet/assay/challenges/memory"
)

// memoryItems are the datasets of the rows that are played: the vectors' has 7
// windows, three items that no walk reads and walks of 2 ms, just enough for a
// figure over the test's path.
var memoryItems = map[uint16]uint64{501: 1<<13 + 1, 502: 6149}

// setOf is the dataset of a row's test challenge.
func setOf(profile uint16) (memory.Dataset, bool) {
	row, err := memory.Lookup(profile)
	return memory.Dataset{Profile: row, Items: memoryItems[profile]}, err == nil
}

// rowOf is a row of either table. A memory row stands in as what its rounds
// commit to: walks are entries of 8 bytes.
func rowOf(profile uint16) Profile {
	if set, ok := setOf(profile); ok {
		return rounds(set)
	}
	row, _ := LookupProfile(profile)
	return row
}

func rounds(set memory.Dataset) Profile {
	return Profile{
		Number: set.Number, Name: set.Name, Simulated: set.Simulated, Rounds: set.Rounds, Samples: set.Samples,
		Shape: Shape{FP64, int(set.Walks() / 128), 128, 1},
	}
}

func memoryChallenge(profile uint16, rtt time.Duration) (Envelope, Secret) {
	p := memory.Params{Profile: profile, Items: memoryItems[profile], RTT: rtt}
	secret := Secret{7, 7, 7}
	c := Challenge{
		Network: testNetwork, Epoch: 3, Provider: IDOf(providerKey), Device: "gpu0", Kind: Memory, Seq: 1,
		Commit: secret.Commit(), Deadline: p.Dataset().Deadline(p.RTT), Params: Marshal(&p),
	}
	return Seal(testNetwork, KindChallenge, Marshal(&c), checkerKey), secret
}

// reissued seals the row's test challenge after altering it.
func reissued(t *testing.T, profile uint16, alter func(*Challenge)) (Envelope, Secret) {
	t.Helper()
	e, secret := testChallenge(profile, testClaim(profile))
	var c Challenge
	if err := Unmarshal(e.Payload, &c); err != nil {
		t.Fatal(err)
	}
	alter(&c)
	return Seal(testNetwork, KindChallenge, Marshal(&c), checkerKey), secret
}

// walker is what a player of a proof of memory has besides: its dataset, filled.
type walker struct {
	set     memory.Dataset
	dataset Hash // key
	nonce   Hash
	filled  time.Duration // when it says so
	items   []memory.Item
}

// remember makes the player one of a proof of memory, as fast as its class.
func (p *player) remember(c Challenge) {
	params, _ := c.MemoryParams()
	set := params.Dataset()
	w := &walker{set: set, dataset: DatasetKey(p.id, c.Device), filled: set.FillTime()}
	w.items = make([]memory.Item, set.Items)
	key := [32]byte(w.dataset)
	set.Fill(&key, set.Cache(&key), 0, w.items)
	p.walker, p.row = w, rounds(set)
	p.rounds, p.round = set.Rounds, (set.WalkTime()+time.Duration(set.Rounds)-1)/time.Duration(set.Rounds)
}

// begin takes the nonce.
func (p *player) begin(t *testing.T, frame []byte, at time.Duration) {
	t.Helper()
	var f NonceFrame
	if err := Unmarshal(frame, &f); err != nil {
		t.Fatal(err)
	}
	p.walker.nonce, p.base = f.Nonce, at
}

func (w *walker) key(r int, roots []Hash) Hash {
	var root Hash
	if r > 0 {
		root = roots[r-1]
	}
	return WalkKey(w.dataset, w.nonce, r, root)
}

// walks leads all walks of a round side by side.
func (w *walker) walks(key *Hash, _ Shape) []uint64 { return w.lead(key, w.items) }

func (w *walker) lead(key *Hash, items []memory.Item) []uint64 {
	states := make([]memory.Item, w.set.Walks())
	memory.Start((*[32]byte)(key), 0, states)
	read := make([]memory.Item, len(states))
	for step := range w.set.Steps {
		for i := range states {
			read[i] = items[w.set.Next(uint64(i), step, &states[i])]
		}
		memory.Step(states, read)
	}
	out := make([]uint64, len(states))
	for i := range states {
		out[i] = memory.Output(&states[i])
	}
	return out
}

// light leads all walks from the cache alone, as who has no memory to hold a
// dataset.
func (w *walker) light(key *Hash, _ Shape) []uint64 {
	samples := make([]memory.Sample, w.set.Walks())
	for i := range samples {
		samples[i] = memory.Sample{Key: [32]byte(*key), Walk: uint32(i)}
	}
	out, from := make([]uint64, len(samples)), [32]byte(w.dataset)
	w.set.Light(&from, w.set.Cache(&from), samples, out)
	return out
}

// fill says in a scene that the dataset is filled, and takes the nonce.
func (c *scene) fill() {
	c.Helper()
	c.held = true
	for _, o := range c.control(NewFilled(c.now)) {
		c.step(Event{Stream: o.Stream, Out: true, Frame: o.Frame})
		c.p.begin(c.T, o.Frame, c.now)
	}
}

// begins lets a liar's honest provider fill its dataset and have a nonce; false if
// it gets none.
func (l liar) begins(t *testing.T, p *player, feed func(Event) []Out, receive func(time.Duration, uint8, []byte) []Out) bool {
	t.Helper()
	out := receive(p.walker.filled, StreamControl, p.control.Sign(NewFilled(p.walker.filled)))
	if len(out) == 0 || l.keep < 0 {
		return false
	}
	tell, note := out[0].Frame, out[0].Frame
	if l.nonce != nil {
		tell, note = l.nonce(out[0].Frame)
	}
	at := p.walker.filled + l.keep
	if note != nil {
		feed(Event{At: at, Out: true, Frame: note})
	}
	p.begin(t, tell, at)
	return true
}
