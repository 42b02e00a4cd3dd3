package receipt_test

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/assaynet/assay/challenges"
	"github.com/assaynet/assay/challenges/receipt"
)

func TestRoundTrip(t *testing.T) {
	checker := challenges.IDOf(vectorChecker)
	rapid.Check(t, func(t *rapid.T) {
		hash := func(name string) challenges.Hash {
			return challenges.Hash(rapid.SliceOfN(rapid.Byte(), 32, 32).Draw(t, name))
		}
		r := receipt.Receipt{
			Challenge: hash("challenge"), Outcome: rapid.SampledFrom(challenges.Outcomes()).Draw(t, "outcome"),
			Clause:  rapid.StringMatching(`[ -~]{0,8}`).Draw(t, "clause"),
			Elapsed: time.Duration(rapid.Int64Range(0, 1<<62).Draw(t, "elapsed")), Lower: rapid.Uint64().Draw(t, "lower"),
			Roots: hash("roots"), Transcript: hash("transcript"), Secret: challenges.Secret(hash("secret")),
		}
		env := receipt.Seal(r, vectorNetwork, vectorChecker)
		wire := challenges.Marshal(&env)
		if len(wire) > challenges.MaxFrame {
			t.Fatalf("%d bytes are no frame", len(wire))
		}
		read, err := challenges.DecodeEnvelope(wire)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := receipt.Open(read, vectorNetwork, checker, r.Challenge); err != nil || got != r {
			t.Fatalf("got %+v, %v, want %+v", got, err, r)
		}
	})
}

func TestOpenRefuses(t *testing.T) {
	r, c := honest(t)
	seal := func(alter func(*receipt.Receipt)) challenges.Envelope {
		other := r
		alter(&other)
		return receipt.Seal(other, c.Network, vectorChecker)
	}
	good := seal(func(*receipt.Receipt) {})
	for _, tt := range []struct {
		name string
		e    challenges.Envelope
		want error // nil: any
	}{
		{"signed by the provider", receipt.Seal(r, c.Network, vectorProvider), nil},
		{"signed by another checker", receipt.Seal(r, c.Network, seedKey(9)), nil},
		{"of another checker, with this one's name", renamed(receipt.Seal(r, c.Network, seedKey(9))), challenges.ErrSignature},
		{"of another network", receipt.Seal(r, challenges.Hash{1}, vectorChecker), challenges.ErrNetwork},
		{"moved to this network", moved(receipt.Seal(r, challenges.Hash{1}, vectorChecker), c.Network), challenges.ErrSignature},
		{"of another challenge", seal(func(r *receipt.Receipt) { r.Challenge[31] ^= 1 }), nil},
		{"signed as a transcript", challenges.Seal(c.Network, challenges.KindTranscript, good.Payload, vectorChecker), challenges.ErrKind},
		{"a challenge signed as a receipt", challenges.Seal(c.Network, receipt.Kind, challenges.Marshal(&c), vectorChecker), challenges.ErrEncoding},
		{"without a payload", challenges.Seal(c.Network, receipt.Kind, nil, vectorChecker), challenges.ErrEncoding},
		{"of no outcome", seal(func(r *receipt.Receipt) { r.Outcome = 0 }), nil},
		{"of an outcome that is none", seal(func(r *receipt.Receipt) { r.Outcome = challenges.Unknown + 1 }), nil},
		{"that took less than nothing", seal(func(r *receipt.Receipt) { r.Elapsed = -1 }), nil},
		{"with a long clause", seal(func(r *receipt.Receipt) { r.Clause = "M12345678" }), nil},
		{"with a newline in the clause", seal(func(r *receipt.Receipt) { r.Clause = "M\n1" }), nil},
		{"with a clause that is no UTF-8", seal(func(r *receipt.Receipt) { r.Clause = "M\xff" }), challenges.ErrEncoding},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := receipt.Open(tt.e, c.Network, good.Signer, r.Challenge)
			if err == nil || tt.want != nil && !errors.Is(err, tt.want) {
				t.Errorf("got %+v, %v", got, err)
			}
			if got != (receipt.Receipt{}) {
				t.Errorf("with an error %v there is a receipt", err)
			}
		})
	}
	if got, err := receipt.Open(good, c.Network, good.Signer, r.Challenge); err != nil || got != r {
		t.Errorf("as it should be: got %+v, %v", got, err)
	}
}

func renamed(e challenges.Envelope) challenges.Envelope {
	e.Signer = challenges.IDOf(vectorChecker)
	return e
}

func moved(e challenges.Envelope, network challenges.Hash) challenges.Envelope {
	e.Network = network
	return e
}

// TestEveryFlippedBit: no bit of a sealed receipt can change.
func TestEveryFlippedBit(t *testing.T) {
	r, c := honest(t)
	env := receipt.Seal(r, c.Network, vectorChecker)
	wire := challenges.Marshal(&env)
	for i := range 8 * len(wire) {
		bad := slices.Clone(wire)
		bad[i/8] ^= 1 << (i % 8)
		e, err := challenges.DecodeEnvelope(bad)
		if err != nil {
			continue
		}
		if got, err := receipt.Open(e, c.Network, env.Signer, r.Challenge); err == nil {
			t.Fatalf("bit %d of byte %d: opens as %+v", i%8, i/8, got)
		}
	}
	for n := range wire {
		if _, err := challenges.DecodeEnvelope(wire[:n]); err == nil {
			t.Errorf("cut to %d bytes: accepted", n)
		}
	}
}

// TestNotCanonical: a receipt has one encoding, even for who signs another.
func TestNotCanonical(t *testing.T) {
	r, c := honest(t)
	r.Clause = "M9"
	good := challenges.Marshal(&r)
	id := func(b []byte) []byte { return b }
	clause := bytes.Index(good, []byte("\x62M9"))
	outcome := clause - 1
	splice := func(at, n int, with ...byte) []byte { return slices.Concat(good[:at], with, good[at+n:]) }
	for _, tt := range []struct {
		name string
		b    []byte
		ok   bool
	}{
		{"as it should be", id(good), true},
		{"a field more", append(splice(0, 1, 0x89), 0), false},
		{"a field less", splice(0, 1, 0x87)[:len(good)-34], false},
		{"indefinite array", append(splice(0, 1, 0x9f), 0xff), false},
		{"outcome in two bytes", splice(outcome, 1, 0x18, 1), false},
		{"outcome null", splice(outcome, 1, 0xf6), false},
		{"clause null", splice(clause, 3, 0xf6), false},
		{"clause as bytes", splice(clause, 1, 0x42), false},
		{"clause with a tag", splice(clause, 0, 0xc1), false},
		{"a hash one byte short", splice(1, 3, 0x58, 31), false},
		{"a byte after it", append(id(slices.Clone(good)), 0), false},
		{"twice", slices.Concat(good, good), false},
		{"a map", splice(0, 1, 0xa4), false},
		{"nothing", nil, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			e := challenges.Seal(c.Network, receipt.Kind, tt.b, vectorChecker)
			if got, err := receipt.Open(e, c.Network, e.Signer, r.Challenge); (err == nil) != tt.ok {
				t.Errorf("got %+v, %v", got, err)
			}
		})
	}
}

func TestRootsHash(t *testing.T) {
	a, b := challenges.Hash{1}, challenges.Hash{2}
	chains := [][]challenges.Hash{nil, {a}, {b}, {a, b}, {b, a}, {a, a}, {a, b, a}}
	seen := make(map[challenges.Hash]int)
	for i, c := range chains {
		h := receipt.RootsHash(c)
		if k, ok := seen[h]; ok {
			t.Errorf("chains %d and %d have one hash", k, i)
		}
		seen[h] = i
	}
	// BLAKE3 of nothing.
	if got := receipt.RootsHash(nil).String(); !strings.HasPrefix(got, "af1349b9f5f9a1a6") {
		t.Errorf("no roots: %s", got)
	}
}

func FuzzReceipt(f *testing.F) {
	b, err := os.ReadFile(filepath.Join(vectors, "receipt.json"))
	if err != nil {
		f.Fatal(err)
	}
	var seeds []receiptVector
	if err := json.Unmarshal(b, &seeds); err != nil {
		f.Fatal(err)
	}
	for _, s := range seeds {
		for _, text := range []string{s.Payload, s.Envelope} {
			b, err := hex.DecodeString(text)
			if err != nil {
				f.Fatal(err)
			}
			f.Add(b)
		}
	}
	checker := challenges.IDOf(vectorChecker)
	f.Fuzz(func(t *testing.T, data []byte) {
		if e, err := challenges.DecodeEnvelope(data); err == nil {
			_, _ = receipt.Open(e, vectorNetwork, checker, challenges.Hash{})
			data = e.Payload // as if the checker had signed it
		}
		e := challenges.Seal(vectorNetwork, receipt.Kind, data, vectorChecker)
		var r receipt.Receipt
		if challenges.Unmarshal(data, &r) != nil {
			if got, err := receipt.Open(e, vectorNetwork, checker, r.Challenge); err == nil {
				t.Fatalf("%x opens as %+v", data, got)
			}
			return
		}
		got, err := receipt.Open(e, vectorNetwork, checker, r.Challenge)
		if err != nil || got != r || !bytes.Equal(challenges.Marshal(&got), data) {
			t.Fatalf("%x: got %+v, %v", data, got, err)
		}
	})
}
