package challenges

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/assaynet/assay/challenges/simd"
)

// One file for each flavour, from a run of its vector row: a second implementation
// finds everything in it that it needs to be written without this one.

type computeVector struct {
	Profile   uint16            `json:"profile"`
	Shape     string            `json:"shape"`     // flavour MxNxK
	Challenge hexBytes          `json:"challenge"` // the envelope
	ID        Hash              `json:"id"`
	Secret    Hash              `json:"secret"`
	Key       Hash              `json:"key"` // of round 0: the generator's, below
	Blocks    []generatorVector `json:"blocks"`

	Lines        []lineVector `json:"lines,omitempty"`
	Coefficients []string     `json:"coefficients,omitempty"` // of steps 0 and 1: bits, then the value
	Lanes        []laneVector `json:"lanes,omitempty"`

	Entries []entryVector    `json:"entries"` // of round 0
	Rounds  []roundVector    `json:"rounds"`
	Answers []answerVector   `json:"answers"` // to round 0
	Files   []transcriptFile `json:"transcripts"`
}

type lineVector struct {
	Line  string   `json:"line"` // a row of A or a column of B
	Bytes hexBytes `json:"bytes"`
	Ints  string   `json:"integers"`
}

type laneVector struct {
	Lane     int          `json:"lane"`
	Bytes    hexBytes     `json:"bytes"`
	Start    string       `json:"start"`    // bits
	Constant string       `json:"constant"` // 52 bits
	Steps    []stepVector `json:"steps"`    // the first two; then only the last value counts
	Last     string       `json:"last"`
}

type stepVector struct {
	P       []string `json:"p"` // after each multiply-add
	Rotated string   `json:"rotated"`
	Next    string   `json:"next"`
}

type entryVector struct {
	Index uint32   `json:"index"`
	Bytes hexBytes `json:"bytes"` // as committed
	Value string   `json:"value"`
}

type roundVector struct {
	Round     int      `json:"round"`
	Key       Hash     `json:"key"`
	Root      Hash     `json:"root"`
	Positions []uint32 `json:"positions"`
	Opening   hexBytes `json:"opening"`
}

// answerVector is a root of round 0 and the opening of the position that it draws.
type answerVector struct {
	Why     string   `json:"why"`
	Root    Hash     `json:"root"`
	Index   uint32   `json:"index"`
	Value   hexBytes `json:"value"` // as opened
	Want    hexBytes `json:"want"`
	Opening hexBytes `json:"opening"`
	Outcome Outcome  `json:"outcome"`
	Clause  string   `json:"clause"`
}

type transcriptFile struct {
	File    string   `json:"file"`
	ID      Hash     `json:"id"`
	Events  int      `json:"events"`
	Verdict []string `json:"verdict"`
}

func bits64(v uint64) string { return fmt.Sprintf("%016x", v) }

func valueText(s Shape, v uint64) string {
	if s.Flavour == FP64 {
		return fmt.Sprintf("%x", math.Float64frombits(v))
	}
	return fmt.Sprint(int32(v))
}

func valueBytes(s Shape, v uint64) []byte {
	b := make([]byte, s.Width())
	s.PutValue(b, v)
	return b
}

func TestVectorsCompute(t *testing.T) {
	for _, profile := range vectorRows {
		row, _ := LookupProfile(profile)
		name := row.Shape.Flavour.String()
		t.Run(name, func(t *testing.T) {
			made := makeComputeVector(t, row)
			checkComputeVector(t, row, vector(t, name+".json", made))
		})
	}
}

func makeComputeVector(t *testing.T, row Profile) computeVector {
	t.Helper()
	s := row.Shape
	e, secret := testChallenge(row.Number, testClaim(row.Number))
	session, p := honest(t, row.Number)
	key := p.keys[0]
	v := computeVector{
		Profile: row.Number, Shape: s.String(), Challenge: Marshal(&e), ID: e.ID(), Secret: Hash(secret), Key: key,
	}
	for _, m := range map[bool][]uint32{false: {matrixA, matrixB}, true: {2, 3}}[s.Flavour == FP64] {
		for counter := range uint64(2) {
			out := make([]byte, blockBytes)
			simd.ChaCha8(out, (*[32]byte)(&key), m, counter)
			v.Blocks = append(v.Blocks, generatorVector{key, m, counter, out})
		}
	}
	if s.Flavour == FP64 {
		v.addLanes(s)
	} else {
		v.addLines(s)
	}
	for _, i := range []uint32{0, 1, uint32(s.N), uint32(s.Entries() - 1)} {
		value := make([]uint64, 1)
		s.Values(&key, []uint32{i}, value)
		v.Entries = append(v.Entries, entryVector{i, valueBytes(s, value[0]), valueText(s, value[0])})
	}
	for r := range p.rounds {
		pos := unpacked(p.packed[r])
		v.Rounds = append(v.Rounds, roundVector{r, p.keys[r], p.roots[r], pos, p.trees[r].Open(pos)})
	}
	v.Answers = append(v.Answers, answerTo(t, row, "right", matrix))
	sessions := map[string]*Session{"honest": session}
	for i, w := range wrongWays(s.Flavour) {
		v.Answers = append(v.Answers, answerTo(t, row, w.why, w.fill))
		if i == 0 {
			bad, cheat := pair(t, row.Number)
			cheat.fill = w.fill
			sessions["wrong"] = play(t, bad, cheat)
		}
	}
	for _, kind := range []string{"honest", "wrong"} {
		file := kind + "-" + s.Flavour.String() + ".transcript"
		if s.Flavour == Int8 {
			file = kind + ".transcript" // published before there were flavours
		}
		tr := sessions[kind].Transcript()
		env := SealTranscript(tr, testNetwork, checkerKey)
		golden(t, file, Marshal(&env))
		v.Files = append(v.Files, transcriptFile{file, env.ID(), len(tr.Events), fieldsOf(tr.Verdict)})
	}
	return v
}

func (v *computeVector) addLines(s Shape) {
	for _, l := range []struct {
		name   string
		matrix uint32
		index  int
	}{{"A row 0", 0, 0}, {"A row 2", 0, 2}, {"B column 0", 1, 0}, {"B column 255", 1, 255}} {
		line := make([]byte, s.Line())
		s.line(&v.Key, l.matrix, l.index, 0, line)
		ints := strings.Trim(fmt.Sprint(paperLine(s, v.Key, l.matrix, l.index)), "[]")
		v.Lines = append(v.Lines, lineVector{l.name, line, ints})
	}
}

func (v *computeVector) addLanes(s Shape) {
	for step := range 2 {
		for _, c := range paperCoefficients(v.Key, step) {
			v.Coefficients = append(v.Coefficients, bits64(math.Float64bits(c))+fmt.Sprintf(" %x", c))
		}
	}
	for _, e := range []int{0, 1, 383} {
		x, constant := paperStart(v.Key, e)
		steps := paperLane(s, v.Key, e)
		lane := laneVector{
			Lane: e, Bytes: paperBytes(v.Key, 2, 16*e, 16), Start: bits64(x), Constant: bits64(constant)[3:],
			Last: bits64(steps[len(steps)-1].Next),
		}
		for _, step := range steps[:2] {
			sv := stepVector{Rotated: bits64(step.Rotated)[3:], Next: bits64(step.Next)}
			for _, p := range step.P {
				sv.P = append(sv.P, bits64(p))
			}
			lane.Steps = append(lane.Steps, sv)
		}
		v.Lanes = append(v.Lanes, lane)
	}
}

// answerTo is how the session takes a round 0 that was filled in some way.
func answerTo(t *testing.T, row Profile, why string, fill func(*Hash, Shape) []uint64) answerVector {
	t.Helper()
	c := newScene(t, row.Number)
	c.p.fill = fill
	c.root(nil)
	pos := unpacked(c.p.packed[0])
	a := answerVector{Why: why, Root: c.p.roots[0], Index: pos[0], Opening: c.p.trees[0].Open(pos)}
	c.bulk(c.opening(0))
	c.p.fill = matrix
	if !c.done { // the round was right; so are the others
		c.rounds(row.Rounds - 1)
		c.control(NewResult(c.core(), nil))
	}
	v := c.s.Verdict()
	a.Outcome, a.Clause = v.Outcome, v.Clause
	want := make([]uint64, 1)
	given, err := row.Shape.Layout().Verify(a.Root, pos, a.Opening)
	if err != nil {
		t.Fatal(err)
	}
	row.Shape.Values(&c.p.keys[0], pos, want)
	a.Value, a.Want = valueBytes(row.Shape, given[0]), valueBytes(row.Shape, want[0])
	return a
}

// checkComputeVector holds what was read against the second implementation.
func checkComputeVector(t *testing.T, row Profile, v computeVector) {
	t.Helper()
	s := row.Shape
	e, err := DecodeEnvelope(v.Challenge)
	if err != nil || e.ID() != v.ID || paperDerive("assay/matmul/key0/v1", framed(v.ID[:], []byte("gpu0"))) != v.Key {
		t.Errorf("challenge: %v, id %v", err, e.ID())
	}
	for _, b := range v.Blocks {
		if !bytes.Equal(b.Out, paperChaCha8(b.Key, b.Matrix, b.Counter)) {
			t.Errorf("matrix %d, block %d differs", b.Matrix, b.Counter)
		}
	}
	for _, l := range v.Lines {
		var letter byte
		var index int
		if _, err := fmt.Sscanf(strings.NewReplacer("row ", "", "column ", "").Replace(l.Line), "%c %d", &letter, &index); err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(l.Bytes, paperBytes(v.Key, uint32(letter-'A'), index*s.Line(), s.Line())) {
			t.Errorf("%s: other bytes", l.Line)
		}
	}
	want := func(index uint32) []byte {
		return binary.LittleEndian.AppendUint64(nil, paperEntry(s, v.Key, int(index)))[:s.Width()]
	}
	for _, e := range v.Entries {
		if !bytes.Equal(e.Bytes, want(e.Index)) {
			t.Errorf("entry %d: %x, second implementation %x", e.Index, e.Bytes, want(e.Index))
		}
	}
	for _, l := range v.Lanes {
		if b := binary.LittleEndian.AppendUint64(nil, mustBits(t, l.Last)); !bytes.Equal(b, want(uint32(l.Lane))) {
			t.Errorf("lane %d ends in %s", l.Lane, l.Last)
		}
	}
	checkRounds(t, s, v)
	right := 0
	for _, a := range v.Answers {
		values, err := paperOpening(a.Root, s, []uint32{a.Index}, a.Opening)
		pos := paperPositions(Secret(v.Secret), v.ID, 0, a.Root, s.Entries(), 1)
		if err != nil || !bytes.Equal(valueBytes(s, values[0]), a.Value) || pos[0] != a.Index || !bytes.Equal(a.Want, want(a.Index)) {
			t.Errorf("%s: position %d, opens to %v, %v", a.Why, pos, values, err)
		}
		if ok := bytes.Equal(a.Value, a.Want); ok != (a.Outcome == Pass) || !ok && (a.Outcome != Wrong || a.Clause != ClauseValue) {
			t.Errorf("%s: %x, want %x: %v %s", a.Why, a.Value, a.Want, a.Outcome, a.Clause)
		} else if ok {
			right++
		}
	}
	if right != 1 || len(v.Answers) < 4 {
		t.Errorf("%d right answers of %d", right, len(v.Answers))
	}
	for _, f := range v.Files {
		checkTranscriptFile(t, f)
	}
}

// checkRounds follows the key chain, the positions and the openings.
func checkRounds(t *testing.T, s Shape, v computeVector) {
	t.Helper()
	key := v.Key
	for i, r := range v.Rounds {
		pos := paperPositions(Secret(v.Secret), v.ID, uint64(r.Round), r.Root, s.Entries(), len(r.Positions))
		values, err := paperOpening(r.Root, s, r.Positions, r.Opening)
		if r.Key != key || !slices.Equal(pos, r.Positions) || err != nil {
			t.Fatalf("round %d: key %v, positions %v, %v", r.Round, key, pos, err)
		}
		for k, e := range r.Positions {
			if values[k] != paperEntry(s, key, int(e)) {
				t.Errorf("round %d, entry %d: opened %x", r.Round, e, values[k])
			}
		}
		var packed []byte
		if i >= 1 { // W is 1
			for _, p := range v.Rounds[i-1].Positions {
				packed = binary.LittleEndian.AppendUint32(packed, p)
			}
		}
		key = paperDerive("assay/matmul/key/v1", framed(r.Key[:], r.Root[:], packed))
	}
}

func checkTranscriptFile(t *testing.T, f transcriptFile) {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("testdata", "vectors", f.File))
	if err != nil {
		t.Fatal(err)
	}
	env, err := DecodeEnvelope(b)
	if err != nil {
		t.Fatal(err)
	}
	tr, _, err := OpenTranscript(env)
	if err != nil || env.ID() != f.ID || len(tr.Events) != f.Events {
		t.Fatalf("%s: %v, id %v", f.File, err, env.ID())
	}
	got, err := Replay(tr)
	if err != nil || got != tr.Verdict || !slices.Equal(fieldsOf(got), f.Verdict) {
		t.Errorf("%s: replays as %+v, %v", f.File, got, err)
	}
	if strings.HasPrefix(f.File, "wrong") != (got.Outcome == Wrong) {
		t.Errorf("%s: outcome %v", f.File, got.Outcome)
	}
}

func mustBits(t *testing.T, text string) uint64 {
	t.Helper()
	b, err := hex.DecodeString(text)
	if err != nil || len(b) != 8 {
		t.Fatalf("%q: %v", text, err)
	}
	return binary.BigEndian.Uint64(b)
}
