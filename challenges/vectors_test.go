package challenges

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/assaynet/assay/challenges/memory"
	"github.com/assaynet/assay/challenges/simd"
)

var update = flag.Bool("update", false, "write the vectors in testdata/vectors anew")

// hexBytes is hex in JSON.
type hexBytes []byte

func (h hexBytes) MarshalText() ([]byte, error) { return hex.AppendEncode(nil, h), nil }

func (h *hexBytes) UnmarshalText(b []byte) (err error) {
	*h, err = hex.AppendDecode(nil, b)
	return err
}

type generatorVector struct {
	Key     Hash     `json:"key"`
	Matrix  uint32   `json:"matrix"`
	Counter uint64   `json:"counter"`
	Out     hexBytes `json:"out"`
}

type keysVector struct {
	Challenge Hash      `json:"challenge"`
	Device    string    `json:"device"`
	Window    int       `json:"window"`
	Steps     []keyStep `json:"steps"`
}

type keyStep struct {
	Round     int      `json:"round"`
	Key       Hash     `json:"key"`
	Root      Hash     `json:"root"`
	Positions hexBytes `json:"positions"` // that go into the next key; empty while round < window
}

type positionsVector struct {
	Secret    Hash       `json:"secret"`
	Commit    Hash       `json:"commit"`
	Challenge Hash       `json:"challenge"`
	Round     int        `json:"round"`
	Root      Hash       `json:"root"`
	Entries   uint64     `json:"entries"`
	Positions []uint32   `json:"positions"`
	Packed    hexBytes   `json:"packed"`
	Nonces    []hexBytes `json:"nonces"` // of pings 0 and 1 under the same secret and challenge
}

type messageVector struct {
	Name   string   `json:"name"`
	Fields []string `json:"fields"`
	Bytes  hexBytes `json:"bytes"`
}

type transcriptVector struct {
	File     string   `json:"file"`
	ID       Hash     `json:"id"` // object id of the transcript
	Events   int      `json:"events"`
	Checker  NodeID   `json:"checker"`
	Provider NodeID   `json:"provider"`
	Verdict  []string `json:"verdict"`
}

// vector compares made with the file of that name, or writes it with -update.
func vector[T any](t *testing.T, name string, made T) T {
	t.Helper()
	path := filepath.Join("testdata", "vectors", name)
	b, err := json.MarshalIndent(made, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	golden(t, name, append(b, '\n'))
	var read T
	stored, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(stored, &read); err != nil {
		t.Fatalf("%s: %v", path, err)
	}
	return read
}

func golden(t *testing.T, name string, made []byte) {
	t.Helper()
	path := filepath.Join("testdata", "vectors", name)
	if *update {
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, made, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	stored, err := os.ReadFile(path)
	if err != nil {
		t.Fatalf("%v (go test -update writes it)", err)
	}
	if !bytes.Equal(stored, made) {
		t.Errorf("%s: the code makes other bytes than the vector; a published vector never changes", path)
	}
}

// fieldsOf lists a message's fields, byte strings in hex, inner ones by a path.
func fieldsOf(m any) (out []string) {
	var walk func(name string, v reflect.Value)
	walk = func(name string, v reflect.Value) {
		switch x := v.Interface().(type) {
		case []byte:
			out = append(out, fmt.Sprintf("%s %x", name, x))
			return
		case time.Duration:
			out = append(out, fmt.Sprintf("%s %d ns", name, int64(x)))
			return
		case fmt.Stringer:
			out = append(out, fmt.Sprintf("%s %v", name, x))
			return
		}
		switch v.Kind() {
		case reflect.Struct:
			for i := range v.NumField() {
				if f := v.Type().Field(i).Name; f != "_" {
					walk(strings.TrimPrefix(name+"."+f, "."), v.Field(i))
				}
			}
		case reflect.Slice:
			for i := range v.Len() {
				walk(fmt.Sprintf("%s[%d]", name, i), v.Index(i))
			}
		case reflect.Array:
			out = append(out, fmt.Sprintf("%s %x", name, v.Interface()))
		default:
			out = append(out, fmt.Sprintf("%s %v", name, v.Interface()))
		}
	}
	walk("", reflect.Indirect(reflect.ValueOf(m)))
	return out
}

func TestVectorsGenerator(t *testing.T) {
	var made []generatorVector
	for _, v := range []generatorVector{
		{},
		{Counter: 1},
		{Matrix: matrixB},
		{Key: Hash{1}},
		{Key: Hash{1, 2, 3}, Matrix: matrixB, Counter: 1<<32 - 1},
		{Key: Hash{0xff}, Counter: 1 << 32},
	} {
		v.Out = make([]byte, 2*blockBytes)
		simd.ChaCha8(v.Out, (*[32]byte)(&v.Key), v.Matrix, v.Counter)
		made = append(made, v)
	}
	for _, v := range vector(t, "generator.json", made) {
		second := append(paperChaCha8(v.Key, v.Matrix, v.Counter), paperChaCha8(v.Key, v.Matrix, v.Counter+1)...)
		if !bytes.Equal(second, v.Out) {
			t.Errorf("block %d: second implementation differs", v.Counter)
		}
	}
}

func TestVectorsKeys(t *testing.T) {
	_, p := honest(t, 2)
	made := keysVector{Challenge: p.id, Device: "gpu0", Window: p.window}
	for r := range p.rounds {
		step := keyStep{Round: r, Key: p.keys[r], Root: p.roots[r]}
		if r >= p.window {
			step.Positions = p.packed[r-p.window]
		}
		made.Steps = append(made.Steps, step)
	}
	v := vector(t, "keys.json", made)
	key := paperDerive("assay/matmul/key0/v1", framed(v.Challenge[:], []byte(v.Device)))
	for _, s := range v.Steps {
		if key != s.Key {
			t.Errorf("round %d: second derivation gives %v", s.Round, key)
		}
		key = paperDerive("assay/matmul/key/v1", framed(s.Key[:], s.Root[:], s.Positions))
	}
}

func TestVectorsPositions(t *testing.T) {
	var made []positionsVector
	for i, n := range []uint64{768, 8192, 1000003, 1 << 32} {
		s, id, root := Secret{7, 7, 7}, Hash{1, byte(i)}, Hash{2, byte(i)}
		v := positionsVector{Secret: Hash(s), Commit: s.Commit(), Challenge: id, Round: i, Root: root, Entries: n}
		v.Positions = s.Positions(id, i, root, n, 8)
		for _, p := range v.Positions {
			v.Packed = binary.LittleEndian.AppendUint32(v.Packed, p)
		}
		for seq := range 2 {
			nonce := s.Nonce(id, seq)
			v.Nonces = append(v.Nonces, nonce[:])
		}
		made = append(made, v)
	}
	for _, v := range vector(t, "positions.json", made) {
		s := Secret(v.Secret)
		if got := paperPositions(s, v.Challenge, uint64(v.Round), v.Root, v.Entries, len(v.Positions)); !slices.Equal(got, v.Positions) {
			t.Errorf("entries %d: second derivation gives %v", v.Entries, got)
		}
		if paperDerive("assay/secret-commit/v1", framed(s[:])) != v.Commit {
			t.Error("second derivation gives another commitment")
		}
	}
}

func TestVectorsMessages(t *testing.T) {
	var made []messageVector
	var types []reflect.Type
	for _, m := range messages() {
		name := reflect.TypeOf(m).Elem().Name()
		switch f := m.(type) {
		case *Transcript:
			continue // whole ones stand in their own files
		case *OpeningFrame:
			f.Data = []byte("any bytes of chunks and siblings")
		case *memory.Params:
			name = "MemoryParams"
			// The one before it is package notice's, whose test makes it again.
			made, types = append(made, publishedMessage(t, "Notice")), append(types, nil)
		}
		made, types = append(made, messageVector{name, fieldsOf(m), Marshal(m)}), append(types, reflect.TypeOf(m).Elem())
	}
	decodes(t, types, vector(t, "messages.json", made))
}

// TestVectorsEndings: the messages of those who give up, and of those who say what
// their device was doing.
func TestVectorsEndings(t *testing.T) {
	core := Core{Challenge: Hash{1}, Device: "gpu0", Roots: []Hash{{2}}, Boot: [16]byte{3}, Telemetry: []byte("as the device says")}
	var made []messageVector
	var types []reflect.Type
	for _, m := range []any{
		&ResultFrame{Type: typeResult, Core: core},
		&RefusalFrame{Type: typeRefusal, Reason: ReasonFault, Until: 30 * time.Second},
		&AbortFrame{Type: typeAbort, Reason: AbortTenant},
		&AbortFrame{Type: typeAbort, Reason: AbortFault},
	} {
		made, types = append(made, messageVector{reflect.TypeOf(m).Elem().Name(), fieldsOf(m), Marshal(m)}), append(types, reflect.TypeOf(m).Elem())
	}
	decodes(t, types, vector(t, "endings.json", made))
}

// decodes decodes messages of those types; nil: not one of this package's.
func decodes(t *testing.T, types []reflect.Type, vectors []messageVector) {
	t.Helper()
	for i, v := range vectors {
		if types[i] == nil {
			continue
		}
		again := reflect.New(types[i]).Interface()
		if err := Unmarshal(v.Bytes, again); err != nil || !slices.Equal(fieldsOf(again), v.Fields) {
			t.Errorf("%s: decodes to %v, %v", v.Name, fieldsOf(again), err)
		}
	}
}

// publishedMessage is a message as its vector has it.
func publishedMessage(t *testing.T, name string) messageVector {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("testdata", "vectors", "messages.json"))
	if err != nil {
		t.Fatal(err)
	}
	var all []messageVector
	if err := json.Unmarshal(b, &all); err != nil {
		t.Fatal(err)
	}
	i := slices.IndexFunc(all, func(m messageVector) bool { return m.Name == name })
	if i < 0 {
		t.Fatalf("no message %s", name)
	}
	return all[i]
}

func TestVectorsTranscripts(t *testing.T) {
	good, _ := honest(t, 2)
	e, secret := testChallenge(2, 1e8)
	cheat := newPlayer(e, providerKey)
	cheat.spoil = func(_ int, c []uint64) {
		for i := range c {
			c[i]++
		}
	}
	bad := play(t, newTestSession(t, e, secret), cheat)
	var made []transcriptVector
	for _, tt := range []struct {
		file string
		s    *Session
	}{{"honest.transcript", good}, {"wrong.transcript", bad}} {
		tr := tt.s.Transcript()
		env := SealTranscript(tr, testNetwork, checkerKey)
		golden(t, tt.file, Marshal(&env))
		made = append(made, transcriptVector{
			tt.file, env.ID(), len(tr.Events), IDOf(checkerKey), tt.s.Challenge().Provider, fieldsOf(tr.Verdict),
		})
	}
	for _, v := range vector(t, "transcripts.json", made) {
		b, err := os.ReadFile(filepath.Join("testdata", "vectors", v.File))
		if err != nil {
			t.Fatal(err)
		}
		env, err := DecodeEnvelope(b)
		if err != nil {
			t.Fatal(err)
		}
		tr, _, err := OpenTranscript(env)
		if err != nil || env.ID() != v.ID {
			t.Fatalf("%s: %v, id %v", v.File, err, env.ID())
		}
		got, err := Replay(tr)
		if err != nil || !slices.Equal(fieldsOf(got), v.Verdict) || got != tr.Verdict {
			t.Errorf("%s: replays as %+v, %v", v.File, got, err)
		}
		if name, _, _ := strings.Cut(v.File, "."); (name == "wrong") != (got.Outcome == Wrong) {
			t.Errorf("%s: outcome %v", v.File, got.Outcome)
		}
	}
}
