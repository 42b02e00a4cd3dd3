package receipt_test

import (
	"bytes"
	"crypto/ed25519"
	"encoding/hex"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"lukechampine.com/blake3"

	"github.com/assaynet/assay/challenges"
	"github.com/assaynet/assay/challenges/receipt"
)

var update = flag.Bool("update", false, "write the vectors anew")

// The keys and the network of the published transcripts.
var (
	vectorNetwork  = challenges.Hash{0xa5, 0x5a, 1}
	vectorChecker  = seedKey(1)
	vectorProvider = seedKey(2)
)

func seedKey(seed byte) ed25519.PrivateKey {
	return ed25519.NewKeyFromSeed(bytes.Repeat([]byte{seed}, ed25519.SeedSize))
}

const vectors = "../testdata/vectors"

// published is a transcript among the vectors, and its object id.
func published(t testing.TB, name string) (challenges.Transcript, challenges.Challenge, challenges.Hash) {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(vectors, name))
	if err != nil {
		t.Fatal(err)
	}
	env, err := challenges.DecodeEnvelope(b)
	if err != nil {
		t.Fatal(err)
	}
	tr, c, err := challenges.OpenTranscript(env)
	if err != nil {
		t.Fatal(err)
	}
	return tr, c, env.ID()
}

// play plays the events of a transcript, every frame signed, as a checker sees them.
func play(t testing.TB, tr challenges.Transcript) *challenges.Session {
	t.Helper()
	env, err := challenges.DecodeEnvelope(tr.Challenge)
	if err != nil {
		t.Fatal(err)
	}
	s, err := challenges.NewSession(env, tr.Secret)
	if err != nil {
		t.Fatal(err)
	}
	var sign [2]*challenges.FrameSigner
	for i := range sign {
		sign[i] = challenges.NewFrameSigner(vectorProvider, env.Network, s.ID(), uint8(i))
	}
	s.Start()
	done := false
	for _, e := range tr.Events {
		if !e.Out && e.End == challenges.EndNone {
			e.Frame = sign[e.Stream].Sign(e.Frame)
		}
		_, done = s.Step(e)
	}
	if !done {
		t.Fatal("the session is not over")
	}
	return s
}

func honest(t testing.TB) (receipt.Receipt, challenges.Challenge) {
	t.Helper()
	tr, c, id := published(t, "honest.transcript")
	return receipt.Of(play(t, tr), tr, id), c
}

// roots are the hashes of a transcript's root frames, one after the other.
func roots(t testing.TB, tr challenges.Transcript) (chain []byte, n int) {
	t.Helper()
	for _, e := range tr.Events {
		var f challenges.RootFrame
		if !e.Out && e.Stream == challenges.StreamControl && e.End == challenges.EndNone && challenges.Unmarshal(e.Frame, &f) == nil {
			chain = append(chain, f.Root[:]...)
			n++
		}
	}
	return chain, n
}

type receiptVector struct {
	File     string          `json:"file"` // of the transcript
	Checker  string          `json:"checker"`
	Roots    int             `json:"roots"`
	Payload  string          `json:"payload"`
	Envelope string          `json:"envelope"`
	ID       challenges.Hash `json:"id"` // object id of the receipt
}

// TestVectors: the receipts of the published transcripts, each made again from its
// transcript.
func TestVectors(t *testing.T) {
	var made []receiptVector
	for _, file := range []string{"honest.transcript", "wrong.transcript", "honest-memory.transcript", "wrong-memory.transcript"} {
		tr, c, id := published(t, file)
		r := receipt.Of(play(t, tr), tr, id)
		env := receipt.Seal(r, c.Network, vectorChecker)
		_, n := roots(t, tr)
		made = append(made, receiptVector{
			file, env.Signer.String(), n, hex.EncodeToString(env.Payload), hex.EncodeToString(challenges.Marshal(&env)), env.ID(),
		})
	}
	b, err := json.MarshalIndent(made, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(vectors, "receipt.json")
	if *update {
		if err := os.WriteFile(path, append(b, '\n'), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	stored, err := os.ReadFile(path)
	if err != nil || !bytes.Equal(stored, append(b, '\n')) {
		t.Fatalf("%s: the code makes other bytes than the vector, %v; a published vector never changes", path, err)
	}
	spec, err := os.ReadFile("../../docs/PROTOCOL.md")
	if err != nil {
		t.Fatal(err)
	}
	text := strings.Join(strings.Fields(string(spec)), "")
	for i, v := range made {
		tr, c, id := published(t, v.File)
		wire, err := hex.DecodeString(v.Envelope)
		if err != nil {
			t.Fatal(err)
		}
		env, err := challenges.DecodeEnvelope(wire)
		if err != nil {
			t.Fatal(err)
		}
		challenge, err := challenges.DecodeEnvelope(tr.Challenge)
		if err != nil {
			t.Fatal(err)
		}
		r, err := receipt.Open(env, c.Network, challenge.Signer, challenge.ID())
		if err != nil {
			t.Fatalf("%s: %v", v.File, err)
		}
		// Once more, by hand.
		chain, _ := roots(t, tr)
		want := receipt.Receipt{
			Challenge: challenge.ID(), Outcome: tr.Verdict.Outcome, Clause: tr.Verdict.Clause, Elapsed: tr.Verdict.Elapsed,
			Lower: tr.Verdict.OpsLower, Roots: blake3.Sum256(chain), Transcript: id, Secret: tr.Secret,
		}
		if r != want || r.Secret.Commit() != c.Commit {
			t.Errorf("%s: got %+v, want %+v", v.File, r, want)
		}
		if i > 0 {
			continue
		}
		for _, has := range []string{v.Payload, v.Envelope, v.ID.String()} {
			if !strings.Contains(text, has) {
				t.Errorf("the specification shows other bytes than %s", has)
			}
		}
	}
}

// TestOfSessionsThatEndEarly: a receipt counts the roots that the session took, and
// says what its transcript does.
func TestOfSessionsThatEndEarly(t *testing.T) {
	whole, _, _ := published(t, "honest.transcript")
	for _, tt := range []struct {
		name    string
		events  int // of the honest run, and then an end
		end     challenges.Cause
		outcome challenges.Outcome
		roots   int
	}{
		{"never reached", 0, challenges.EndDial, challenges.Unreachable, 0},
		{"left after two roots", 6, challenges.EndReset, challenges.Withheld, 2},
		{"stopped by the checker", 6, challenges.EndStopped, challenges.Unknown, 2},
	} {
		t.Run(tt.name, func(t *testing.T) {
			cut := whole
			at := time.Duration(0)
			if cut.Events = slices.Clone(whole.Events[:tt.events]); tt.events > 0 {
				at = cut.Events[tt.events-1].At
			}
			cut.Events = append(cut.Events, challenges.Event{At: at, End: tt.end})
			s := play(t, cut)
			tr := s.Transcript()
			sealed := challenges.SealTranscript(tr, vectorNetwork, vectorChecker)
			r := receipt.Of(s, tr, sealed.ID())
			chain, n := roots(t, cut)
			if n != tt.roots || r.Outcome != tt.outcome || r.Clause != tr.Verdict.Clause || r.Clause == "" || r.Lower != 0 ||
				r.Roots != blake3.Sum256(chain) || r.Transcript != sealed.ID() || r.Challenge != s.ID() || r.Elapsed != at {
				t.Errorf("%d roots, got %+v", n, r)
			}
		})
	}
}
