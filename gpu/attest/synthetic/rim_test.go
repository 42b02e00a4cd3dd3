package synthetic_test

import (
	"bytes"
	"slices"
	"testing"
	"time"

	"github.com/assaynet/assay/gpu/attest"
	. "github.com/assaynet/assay/gpu/attest/synthetic"
)

var now = time.Date(2026, 3, 4, 5, 6, 7, 890, time.UTC)

func parseRIMs(t *testing.T, m *Maker, docs ...[]byte) []*attest.RIM {
	t.Helper()
	var out []*attest.RIM
	for _, b := range docs {
		r, err := attest.ParseRIM(b, m.Trust())
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, r)
	}
	return out
}

func parseOCSP(t *testing.T, docs [][]byte) []*attest.OCSPResponse {
	t.Helper()
	var out []*attest.OCSPResponse
	for _, b := range docs {
		r, err := attest.ParseOCSP(b)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, r)
	}
	return out
}

// Cards measure what their manifests expect, with nothing more to be said.
func TestMeasured(t *testing.T) {
	m := New([32]byte{1})
	for _, tt := range []struct {
		kind          Kind
		driver, vbios attest.RIMStatus
		compared      int
		grade         attest.Grade
	}{
		{Hopper, attest.RIMMatch, attest.RIMMatch, 33, attest.GradeMeasured},
		{Blackwell, attest.RIMMatch, attest.RIMMatch, 33, attest.GradeMeasured},
		{Switch, attest.RIMAbsent, attest.RIMMatch, 31, attest.GradeMeasured},
		{FSP, attest.RIMAbsent, attest.RIMAbsent, 0, attest.GradeIdentity},
	} {
		t.Run(tt.kind.String(), func(t *testing.T) {
			card := m.Card(CardConfig{Kind: tt.kind, NVDEC0: true})
			ref := attest.Reference{RIMs: parseRIMs(t, m, m.RIMs(card)...), OCSP: parseOCSP(t, m.OCSP(card, now, attest.OCSPGood)), At: now}
			res := attest.Verify(card.Sign([32]byte{7}), m.Trust(), ref)
			if res.RIM.Driver != tt.driver || res.RIM.VBIOS != tt.vbios || res.RIM.Compared != tt.compared || res.Grade != tt.grade || res.OCSP != attest.OCSPGood {
				t.Errorf("%+v", res)
			}
		})
	}
}

// Every measurement that a manifest expects is looked at.
func TestMismatch(t *testing.T) {
	m := New([32]byte{1})
	card := m.Card(CardConfig{NVDEC0: true})
	report := card.Sign([32]byte{7})
	for which, x := range card.Manifests() {
		other := card.Manifests()[1-which]
		for i, g := range x.Measurements {
			if !g.Active {
				continue
			}
			x.Measurements[i].Digests = [][]byte{bytes.Repeat([]byte{9}, 48), bytes.Repeat([]byte{8}, 48)}
			ref := attest.Reference{RIMs: parseRIMs(t, m, m.RIM(other), m.RIM(x)), At: now}
			x.Measurements[i] = g
			res := attest.Verify(report, m.Trust(), ref)
			if !slices.Equal(res.RIM.Mismatched, []int{g.Index}) || res.Grade != attest.GradeIdentity || (res.RIM.Driver == attest.RIMMismatch) != (which == 0) {
				t.Errorf("measurement %d of manifest %d: %+v", g.Index, which, res.RIM)
			}
		}
	}
}

func TestManifest(t *testing.T) {
	m := New([32]byte{1})
	x := Manifest{
		Version: "a&b<\"c\">\t", Edition: "GPU", Product: "GH100", TagID: "x", NotBefore: now, NotAfter: now.AddDate(2, 0, 0),
		Measurements: []attest.Golden{{Index: 254, Name: "é", Active: true, Size: 2}},
	}
	for i := range byte(16) {
		x.Measurements[0].Digests = append(x.Measurements[0].Digests, []byte{i, i})
	}
	r := parseRIMs(t, m, m.RIM(x))[0]
	if r.Version != x.Version || r.TagID != "x" || !r.Simulated || !r.Expires.Equal(x.NotAfter.Truncate(time.Second)) {
		t.Errorf("%+v", r)
	}
	if g := r.Measurements[0]; g.Name != "é" || !slices.EqualFunc(g.Digests, x.Measurements[0].Digests, bytes.Equal) {
		t.Errorf("%+v", g)
	}
	if x.TagID = ""; parseRIMs(t, m, m.RIM(x))[0].TagID == "" {
		t.Error("no tag id")
	}
	if _, err := attest.ParseRIM(m.RIM(x), New([32]byte{2}).Trust()); err == nil {
		t.Error("taken by another maker's trust")
	}
}

func TestOCSP(t *testing.T) {
	m := New([32]byte{1})
	card := m.Card(CardConfig{})
	signer := parseRIMs(t, m, m.RIMs(card)...)[1].Chain
	for _, want := range []attest.Revocation{attest.OCSPGood, attest.OCSPRevoked, attest.OCSPHold, attest.OCSPUnknown, attest.OCSPStale, attest.OCSPAbsent} {
		answers := parseOCSP(t, m.OCSP(card, now, want))
		got, reasons := attest.CheckOCSP(card.Chain(), 1, answers, now)
		if bad := min(1, len(reasons)); got != want || bad == 0 != (want == attest.OCSPGood) || len(reasons) > 1 {
			t.Errorf("%s: %s %v", want, got, reasons)
		}
		if got, reasons := attest.CheckOCSP(signer, 0, answers, now); got != attest.OCSPGood {
			t.Errorf("signers: %s %v", got, reasons)
		}
		if got, _ := attest.CheckOCSP(card.Chain(), 2, answers, now.AddDate(0, 0, 2)); got != attest.OCSPStale {
			t.Errorf("two days on: %s", got)
		}
	}
	if got, _ := attest.CheckOCSP(m.Card(CardConfig{PDI: attest.PDI{9}}).Chain(), 1, parseOCSP(t, m.OCSP(card, now, attest.OCSPGood)), now); got != attest.OCSPAbsent {
		t.Errorf("of another card: %s", got)
	}
}

func TestReferencesDeterministic(t *testing.T) {
	all := func(seed byte) (out [][]byte) {
		m := New([32]byte{seed})
		card := m.Card(CardConfig{})
		return append(m.RIMs(card), m.OCSP(card, now, attest.OCSPHold)...)
	}
	a, b, other := all(1), all(1), all(2)
	for i := range a {
		if !bytes.Equal(a[i], b[i]) || bytes.Equal(a[i], other[i]) {
			t.Errorf("document %d", i)
		}
	}
}
