package notice

import (
	"bytes"
	"crypto/ed25519"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/assaynet/assay/challenges"
)

var (
	network = challenges.Hash{1}
	key     = ed25519.NewKeyFromSeed(bytes.Repeat([]byte{2}, ed25519.SeedSize))
	moving  = Notice{Seq: 3, Issued: 1.7e9, Kind: Drain, From: 1.7e9, Until: 1.8e9, Text: "moving"}
)

func seal(n Notice) challenges.Envelope {
	return challenges.Seal(network, Kind, challenges.Marshal(&n), key)
}

// published is the notice among the vectors.
func published(t testing.TB) (fields []string, b []byte) {
	t.Helper()
	file, err := os.ReadFile("../testdata/vectors/messages.json")
	if err != nil {
		t.Fatal(err)
	}
	var all []struct {
		Name   string
		Fields []string
		Bytes  string
	}
	if err := json.Unmarshal(file, &all); err != nil {
		t.Fatal(err)
	}
	for _, m := range all {
		if m.Name != "Notice" {
			continue
		}
		if b, err = hex.DecodeString(m.Bytes); err != nil {
			t.Fatal(err)
		}
		return m.Fields, b
	}
	t.Fatal("no notice among the vectors")
	return nil, nil
}

func TestVector(t *testing.T) {
	fields, b := published(t)
	if !bytes.Equal(challenges.Marshal(&moving), b) {
		t.Errorf("made %x, published %x; a published vector never changes", challenges.Marshal(&moving), b)
	}
	var n Notice
	if err := challenges.Unmarshal(b, &n); err != nil || n != moving {
		t.Fatalf("got %+v, %v", n, err)
	}
	want := []string{
		fmt.Sprint("Seq ", n.Seq), fmt.Sprint("Issued ", n.Issued), "Kind " + n.Kind, fmt.Sprint("From ", n.From),
		fmt.Sprint("Until ", n.Until), "Text " + n.Text,
	}
	if !slices.Equal(fields, want) {
		t.Errorf("fields %v, want %v", fields, want)
	}
}

func TestOpen(t *testing.T) {
	for _, n := range []Notice{moving, {Seq: 5, Kind: Drain, Text: "bye"}, {Kind: Maintenance, From: 1, Until: 2}} {
		if got, err := Open(seal(n), network); err != nil || got != n {
			t.Errorf("got %+v, %v", got, err)
		}
	}
	if _, err := Open(seal(moving), challenges.Hash{}); !errors.Is(err, challenges.ErrNetwork) {
		t.Errorf("of another network: %v", err)
	}
	if _, err := Open(challenges.Seal(network, challenges.KindOffer, challenges.Marshal(&moving), key), network); !errors.Is(err, challenges.ErrKind) {
		t.Errorf("signed as an offer: %v", err)
	}
	if _, err := challenges.OpenOffer(challenges.Seal(network, challenges.KindOffer, challenges.Marshal(&moving), key), network); err == nil {
		t.Error("a notice signed as an offer: accepted")
	}
}

func TestBounds(t *testing.T) {
	for _, tt := range []struct {
		name string
		n    Notice
	}{
		{"of another kind", Notice{Kind: "party"}},
		{"of no kind", Notice{}},
		{"until when it starts", Notice{Kind: Drain, From: 5, Until: 5}},
		{"until before it starts", Notice{Kind: Drain, From: 5, Until: 4}},
		{"of a long text", Notice{Kind: Drain, Text: strings.Repeat("x", 1025)}},
		{"of two lines", Notice{Kind: Drain, Text: "a\nb"}},
	} {
		if _, err := Open(seal(tt.n), network); err == nil {
			t.Errorf("%s: accepted", tt.name)
		}
	}
	if _, err := Open(seal(Notice{Kind: Drain, Text: strings.Repeat("x", 1024)}), network); err != nil {
		t.Errorf("of the longest text: %v", err)
	}
}

// TestStrictness: every other encoding is refused. How a message is decoded is the
// codec's, whose own tests go further.
func TestStrictness(t *testing.T) {
	good := challenges.Marshal(&moving)
	for n := range good {
		if challenges.Unmarshal(good[:n], &Notice{}) == nil {
			t.Errorf("cut to %d bytes: accepted", n)
		}
	}
	for name, bad := range map[string][]byte{
		"a field more":      append(slices.Concat([]byte{0x87}, good[1:]), 0),
		"a field less":      slices.Concat([]byte{0x85}, good[1:len(good)-7]),
		"indefinite":        append(slices.Concat([]byte{0x9f}, good[1:]), 0xff),
		"a longer integer":  slices.Concat(good[:1], []byte{0x18, 3}, good[2:]),
		"null for a number": slices.Concat(good[:1], []byte{0xf6}, good[2:]),
		"a byte after it":   append(slices.Clone(good), 0),
	} {
		if challenges.Unmarshal(bad, &Notice{}) == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

func TestRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := Notice{
			Seq: rapid.Uint64().Draw(t, "seq"), Issued: rapid.Uint64().Draw(t, "issued"),
			Kind: rapid.SampledFrom([]string{Maintenance, Drain}).Draw(t, "kind"),
			From: rapid.Uint64().Draw(t, "from"), Text: rapid.StringMatching(`[ -~æøå]{0,20}`).Draw(t, "text"),
		}
		if until := rapid.Uint64().Draw(t, "until"); until > n.From {
			n.Until = until
		}
		if got, err := Open(seal(n), network); err != nil || got != n {
			t.Fatalf("got %+v, %v, want %+v", got, err, n)
		}
	})
}

func FuzzNotice(f *testing.F) {
	_, b := published(f)
	f.Add(b)
	f.Fuzz(func(t *testing.T, data []byte) {
		var n Notice
		if challenges.Unmarshal(data, &n) == nil && !bytes.Equal(challenges.Marshal(&n), data) {
			t.Fatalf("accepted %x, encodes to %x", data, challenges.Marshal(&n))
		}
	})
}
