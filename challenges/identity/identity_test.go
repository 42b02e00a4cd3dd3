package identity

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"flag"
	"os"
	"reflect"
	"strings"
	"testing"

	"github.com/assaynet/assay/challenges"
)

var update = flag.Bool("update", false, "write the vectors anew")

const vectors = "../testdata/vectors/identity.json"

// example is a result of two rounds that a card signed.
func example() (challenges.Hash, challenges.NodeID, challenges.Core, Attestation) {
	id, agent := challenges.Hash{}, challenges.NodeID{}
	for i := range 32 {
		id[i], agent[i] = byte(i), byte(0x40+i)
	}
	core := challenges.Core{
		Challenge: id, Device: "gpu0", Roots: []challenges.Hash{{1}, {2}}, Boot: [16]byte{3}, Telemetry: []byte("as the device says"),
	}
	return id, agent, core, Attestation{Report: []byte("report"), Chain: []byte("chain")}
}

type vector struct {
	Challenge   string `json:"challenge"`
	Agent       string `json:"agent"`
	Core        string `json:"core"`
	CoreHash    string `json:"core_hash"`
	Nonce       string `json:"nonce"`
	Attestation string `json:"attestation"`
	Result      string `json:"result"`
}

func TestVector(t *testing.T) {
	id, agent, core, a := example()
	hash := CoreHash(&core)
	nonce := Nonce(id, agent, hash)
	sealed := challenges.Marshal(&a)
	made := vector{
		hex.EncodeToString(id[:]), hex.EncodeToString(agent[:]), hex.EncodeToString(challenges.Marshal(&core)), hex.EncodeToString(hash[:]),
		hex.EncodeToString(nonce[:]), hex.EncodeToString(sealed), hex.EncodeToString(challenges.NewResult(core, sealed)),
	}
	b, err := json.MarshalIndent(made, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	b = append(b, '\n')
	if *update {
		if err := os.WriteFile(vectors, b, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	published, err := os.ReadFile(vectors)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(b, published) {
		t.Errorf("made\n%s\npublished\n%s\na published vector never changes", b, published)
	}
	spec, err := os.ReadFile("../../docs/PROTOCOL.md")
	if err != nil {
		t.Fatal(err)
	}
	flat := strings.Join(strings.Fields(string(spec)), "")
	for name, bytes := range map[string]string{"core hash": made.CoreHash, "nonce": made.Nonce, "attestation": made.Attestation, "result": made.Result} {
		if !strings.Contains(flat, bytes) {
			t.Errorf("docs/PROTOCOL.md has not the %s %s", name, bytes)
		}
	}
}

// TestNonceBindsAll: whatever changes, another nonce is asked for.
func TestNonceBindsAll(t *testing.T) {
	id, agent, core, _ := example()
	seen := map[[32]byte]string{}
	add := func(name string, id challenges.Hash, agent challenges.NodeID, core challenges.Core) {
		n := Nonce(id, agent, CoreHash(&core))
		if other, ok := seen[n]; ok {
			t.Errorf("%s has the nonce of %s", name, other)
		}
		seen[n] = name
	}
	add("the example", id, agent, core)
	otherID, otherAgent := id, agent
	otherID[31] ^= 1
	otherAgent[0] ^= 1
	add("another challenge", otherID, agent, core)
	add("another agent", id, otherAgent, core)
	// Every field of the core.
	fields := reflect.TypeFor[challenges.Core]()
	for field := range fields.Fields() {
		c := core
		switch field.Name {
		case "_":
			continue
		case "Challenge":
			c.Challenge[5] ^= 1
		case "Device":
			c.Device = "gpu1"
		case "Roots":
			c.Roots = []challenges.Hash{{1}, {3}}
		case "Boot":
			c.Boot[15] ^= 1
		case "Telemetry":
			c.Telemetry = []byte("as the device sayt")
		default:
			t.Errorf("field %s of the core is not tried", field.Name)
		}
		add(field.Name, id, agent, c)
	}
}

func TestAttestationCheck(t *testing.T) {
	for _, tt := range []struct {
		name          string
		report, chain int
		good          bool
	}{
		{"usual", 4300, 3500, true},
		{"largest", MaxReport, MaxChain, true},
		{"no report", 0, 1, false},
		{"no chain", 1, 0, false},
		{"report too long", MaxReport + 1, 1, false},
		{"chain too long", 1, MaxChain + 1, false},
	} {
		a := Attestation{Report: make([]byte, tt.report), Chain: make([]byte, tt.chain)}
		if err := challenges.Unmarshal(challenges.Marshal(&a), new(Attestation)); (err == nil) != tt.good {
			t.Errorf("%s: %v", tt.name, err)
		}
	}
}

// TestLargestFits: a result of the most rounds in the tables, with full telemetry and
// a usual attestation, is a frame.
func TestLargestFits(t *testing.T) {
	rounds := 0
	for _, p := range challenges.Profiles() {
		rounds = max(rounds, p.Rounds)
	}
	_, _, core, a := example()
	core.Roots, core.Telemetry = make([]challenges.Hash, rounds), make([]byte, 4096)
	core.Device = strings.Repeat("d", 64)
	a.Report, a.Chain = make([]byte, 4400), make([]byte, 3600)
	frame := challenges.NewResult(core, challenges.Marshal(&a))
	var f challenges.ResultFrame
	if err := challenges.Unmarshal(frame, &f); err != nil || len(frame)+64 > challenges.MaxFrame {
		t.Errorf("%d rounds: %d bytes, %v", rounds, len(frame), err)
	}
}

func TestResult(t *testing.T) {
	_, _, core, _ := example()
	result := challenges.NewResult(core, nil)
	event := func(out bool, stream uint8, frame []byte) challenges.Event {
		return challenges.Event{Out: out, Stream: stream, Frame: frame}
	}
	for _, tt := range []struct {
		name   string
		events []challenges.Event
		found  bool
	}{
		{"none", nil, false},
		{"last", []challenges.Event{event(false, 0, challenges.NewRoot(0, challenges.Hash{}, challenges.Hash{}, 0)), event(false, 0, result)}, true},
		{"before openings", []challenges.Event{event(false, 0, result), event(false, 1, []byte{0x80, 0})}, true},
		{"refused", []challenges.Event{event(false, 0, challenges.NewRefusal(challenges.ReasonFault, 0))}, false},
		{"the checker's own", []challenges.Event{event(true, 0, result)}, false},
		{"on the other stream", []challenges.Event{event(false, 1, result)}, false},
	} {
		f, ok := Result(challenges.Transcript{Events: tt.events})
		if ok != tt.found || ok && f.Core.Device != "gpu0" {
			t.Errorf("%s: %v, %+v", tt.name, ok, f)
		}
	}
}
