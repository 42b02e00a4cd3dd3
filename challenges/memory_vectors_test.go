package challenges

import (
	"bytes"
	"encoding/binary"
	"slices"
	"testing"

	"github.com/assaynet/assay/challenges/memory"
)

// memoryVector is a run of the vectors' row, with all that a second implementation
// needs to be written without this one.
type memoryVector struct {
	Profile   uint16     `json:"profile"`
	Dataset   uint64     `json:"items"`
	Walks     uint64     `json:"walks"`
	Challenge hexBytes   `json:"challenge"` // the envelope
	ID        Hash       `json:"id"`
	Secret    Hash       `json:"secret"`
	Key       Hash       `json:"key"`   // of the dataset
	Cache     []hexBytes `json:"cache"` // all lines

	Items []itemVector  `json:"some_items"`
	Nonce Hash          `json:"nonce"`
	Walk  walkVector    `json:"walk"`
	Round []memoryRound `json:"rounds"`

	Answers []memoryAnswer   `json:"answers"` // to round 0
	Files   []transcriptFile `json:"transcripts"`
}

type itemVector struct {
	Item  uint64   `json:"item"`
	Bytes hexBytes `json:"bytes"`
}

type walkVector struct {
	Round   int      `json:"round"`
	Key     Hash     `json:"key"` // of the round
	Walk    uint64   `json:"walk"`
	Start   hexBytes `json:"start"`   // the first state
	Windows []uint64 `json:"windows"` // of each step
	Items   []uint64 `json:"items"`   // that each step reads
	Last    hexBytes `json:"last"`    // the last state
	Output  hexBytes `json:"output"`
}

type memoryRound struct {
	Round     int        `json:"round"`
	Key       Hash       `json:"key"`
	Root      Hash       `json:"root"`
	Positions []uint32   `json:"positions"` // walks
	Packed    hexBytes   `json:"packed"`
	Outputs   []hexBytes `json:"outputs"`
	Opening   hexBytes   `json:"opening"`
}

// memoryAnswer is a root of round 0 and the opening of the walks that it draws.
type memoryAnswer struct {
	Why       string     `json:"why"`
	Root      Hash       `json:"root"`
	Positions []uint32   `json:"positions"`
	Outputs   []hexBytes `json:"outputs"` // as opened
	Want      []hexBytes `json:"want"`
	Opening   hexBytes   `json:"opening"`
	Outcome   Outcome    `json:"outcome"`
	Clause    string     `json:"clause"`
}

func output(v uint64) hexBytes { return binary.LittleEndian.AppendUint64(nil, v) }

func itemBytes(item memory.Item) (out hexBytes) {
	for _, w := range item {
		out = binary.LittleEndian.AppendUint32(out, w)
	}
	return out
}

// wrongWalks are ways to lead a round that are nearly right.
func wrongWalks(w *walker) []wrongWay {
	lead := func(alter func(items []memory.Item)) func(*Hash, Shape) []uint64 {
		return func(key *Hash, _ Shape) []uint64 {
			items := slices.Clone(w.items)
			alter(items)
			return w.lead(key, items)
		}
	}
	as := func(alter func(*walker)) func(*Hash, Shape) []uint64 {
		return func(key *Hash, s Shape) []uint64 {
			other := *w
			alter(&other)
			return other.walks(key, s)
		}
	}
	return []wrongWay{
		{"the second half of the items is not there", lead(func(items []memory.Item) { clear(items[len(items)/2:]) })},
		{"a word of each item is not stored", lead(func(items []memory.Item) {
			for i := range items {
				items[i][15] = 0
			}
		})},
		{"items made with one parent less", lead(func(items []memory.Item) {
			set, key := w.set, [32]byte(w.dataset)
			set.Parents--
			set.Fill(&key, set.Cache(&key), 0, items)
		})},
		{"items of another dataset", lead(func(items []memory.Item) {
			key := [32]byte{1}
			w.set.Fill(&key, w.set.Cache(&key), 0, items)
		})},
		{"walks of one step less", as(func(w *walker) { w.set.Steps-- })},
		{"all walks in one batch", as(func(w *walker) { w.set.Batch = 1 << 40 })},
		{"every output one more", func(key *Hash, s Shape) []uint64 {
			out := w.walks(key, s)
			for i := range out {
				out[i]++
			}
			return out
		}},
	}
}

func TestVectorsMemory(t *testing.T) {
	checkMemoryVector(t, vector(t, "memory.json", makeMemoryVector(t)))
}

func makeMemoryVector(t *testing.T) memoryVector {
	t.Helper()
	const profile = 502
	e, secret := testChallenge(profile, 0)
	session, p := honest(t, profile)
	w := p.walker
	v := memoryVector{
		Profile: profile, Dataset: w.set.Items, Walks: w.set.Walks(), Challenge: Marshal(&e), ID: e.ID(), Secret: Hash(secret),
		Key: w.dataset, Nonce: w.nonce,
	}
	key := [32]byte(w.dataset)
	for _, line := range w.set.Cache(&key) {
		v.Cache = append(v.Cache, itemBytes(line))
	}
	for _, i := range []uint64{0, 1, 877, 878, 6145, 6148} { // the ends of windows, the last that is read, the last
		v.Items = append(v.Items, itemVector{i, itemBytes(w.items[i])})
	}
	const walk = 300 // of batch 4
	states := make([]memory.Item, 1)
	memory.Start((*[32]byte)(&p.keys[1]), walk, states)
	v.Walk = walkVector{Round: 1, Key: p.keys[1], Walk: walk, Start: itemBytes(states[0])}
	size := w.set.Items / w.set.Windows()
	for step := range w.set.Steps {
		at := w.set.Next(walk, step, &states[0])
		v.Walk.Windows, v.Walk.Items = append(v.Walk.Windows, at/size), append(v.Walk.Items, at)
		memory.Step(states, w.items[at:at+1])
	}
	v.Walk.Last, v.Walk.Output = itemBytes(states[0]), output(memory.Output(&states[0]))
	for r := range p.rounds {
		pos := unpacked(p.packed[r])
		round := memoryRound{r, p.keys[r], p.roots[r], pos, p.packed[r], nil, p.trees[r].Open(pos)}
		all := w.walks(&p.keys[r], p.row.Shape)
		for _, at := range pos {
			round.Outputs = append(round.Outputs, output(all[at]))
		}
		v.Round = append(v.Round, round)
	}
	sessions := map[string]*Session{"honest": session}
	v.Answers = append(v.Answers, memoryAnswerTo(t, "right", w.walks))
	for i, wrong := range wrongWalks(w) {
		v.Answers = append(v.Answers, memoryAnswerTo(t, wrong.why, wrong.fill))
		if i == 0 {
			bad, cheat := pair(t, profile)
			cheat.fill = wrong.fill
			sessions["wrong"] = play(t, bad, cheat)
		}
	}
	for _, kind := range []string{"honest", "wrong"} {
		tr := sessions[kind].Transcript()
		env := SealTranscript(tr, testNetwork, checkerKey)
		golden(t, kind+"-memory.transcript", Marshal(&env))
		v.Files = append(v.Files, transcriptFile{kind + "-memory.transcript", env.ID(), len(tr.Events), fieldsOf(tr.Verdict)})
	}
	return v
}

// memoryAnswerTo is how the session takes a round 0 that was led in some way.
func memoryAnswerTo(t *testing.T, why string, fill func(*Hash, Shape) []uint64) memoryAnswer {
	t.Helper()
	c := newScene(t, 502)
	c.p.fill = fill
	c.rounds(1)
	pos := unpacked(c.p.packed[0])
	a := memoryAnswer{Why: why, Root: c.p.roots[0], Positions: pos, Opening: c.p.trees[0].Open(pos)}
	c.p.fill = nil
	c.rounds(1)
	c.control(NewResult(c.core(), nil))
	v := c.s.Verdict()
	a.Outcome, a.Clause = v.Outcome, v.Clause
	given, err := c.p.row.Shape.Layout().Verify(a.Root, pos, a.Opening)
	if err != nil {
		t.Fatal(err)
	}
	right := c.p.walker.walks(&c.p.keys[0], c.p.row.Shape)
	for i, at := range pos {
		a.Outputs, a.Want = append(a.Outputs, output(given[i])), append(a.Want, output(right[at]))
	}
	return a
}

// checkMemoryVector holds what was read against the second implementation.
func checkMemoryVector(t *testing.T, v memoryVector) {
	t.Helper()
	e, err := DecodeEnvelope(v.Challenge)
	if err != nil || e.ID() != v.ID {
		t.Fatalf("challenge: %v, id %v", err, e.ID())
	}
	d := newPaperDataset(v.ID, "gpu0", v.Dataset)
	nonce := paperWalkNonce(Secret(v.Secret), v.ID)
	if d.key != v.Key || nonce != v.Nonce || d.walks() != v.Walks || v.Profile != 502 {
		t.Errorf("key %v, nonce %v, %d walks", d.key, nonce, d.walks())
	}
	if !slices.EqualFunc(d.cache, v.Cache, func(a []byte, b hexBytes) bool { return bytes.Equal(a, b) }) {
		t.Error("other lines of the cache")
	}
	for _, it := range v.Items {
		if !bytes.Equal(it.Bytes, d.item(it.Item)) {
			t.Errorf("item %d: second implementation %x", it.Item, d.item(it.Item))
		}
	}
	w := d.walk(v.Walk.Key, v.Walk.Walk)
	if !bytes.Equal(w.start, v.Walk.Start) || !bytes.Equal(w.last, v.Walk.Last) || !bytes.Equal(w.output(), v.Walk.Output) ||
		!slices.Equal(w.windows, v.Walk.Windows) || !slices.Equal(w.items, v.Walk.Items) || v.Walk.Key != v.Round[v.Walk.Round].Key {
		t.Errorf("walk %d: second implementation reads %v and ends in %x", v.Walk.Walk, w.items, w.last)
	}
	s := Shape{FP64, int(v.Walks / 128), 128, 1} // walks are opened as entries of 8 bytes are
	var root Hash
	for i, r := range v.Round {
		key := paperWalkKey(d.key, nonce, i, root)
		if root = d.root(key); r.Round != i || r.Key != key || r.Root != root {
			t.Fatalf("round %d: second implementation has key %v and root %v", i, key, root)
		}
		checkWalks(t, d, s, v, r.Root, r.Positions, r.Opening, key, r.Outputs, r.Outputs, i)
		if !bytes.Equal(r.Packed, paperPacked(r.Positions)) {
			t.Errorf("round %d: packed %x", i, r.Packed)
		}
	}
	right := 0
	for _, a := range v.Answers {
		checkWalks(t, d, s, v, a.Root, a.Positions, a.Opening, v.Round[0].Key, a.Outputs, a.Want, 0)
		same := slices.EqualFunc(a.Outputs, a.Want, func(a, b hexBytes) bool { return bytes.Equal(a, b) })
		if same != (a.Outcome == Pass) || !same && (a.Outcome != Wrong || a.Clause != ClauseValue) {
			t.Errorf("%s: %v %s", a.Why, a.Outcome, a.Clause)
		} else if same {
			right++
		}
	}
	if right != 1 || len(v.Answers) != 8 {
		t.Errorf("%d right answers of %d", right, len(v.Answers))
	}
	for _, f := range v.Files {
		checkTranscriptFile(t, f)
	}
}

// checkWalks compares the positions that a root draws, what its opening holds there,
// and what the walks end in.
func checkWalks(t *testing.T, d paperDataset, s Shape, v memoryVector, root Hash, at []uint32, opening []byte, key Hash, given, want []hexBytes, round int) {
	t.Helper()
	values, err := paperOpening(root, s, at, opening)
	if err != nil || !slices.Equal(at, paperPositions(Secret(v.Secret), v.ID, uint64(round), root, v.Walks, 3)) {
		t.Fatalf("positions %v: %v", at, err)
	}
	for i, w := range at {
		if end := d.walk(key, uint64(w)).output(); !bytes.Equal(output(values[i]), given[i]) || !bytes.Equal(end, want[i]) {
			t.Errorf("walk %d: opened %x, ends in %x", w, values[i], end)
		}
	}
}

func paperPacked(at []uint32) (out []byte) {
	for _, p := range at {
		out = binary.LittleEndian.AppendUint32(out, p)
	}
	return out
}
