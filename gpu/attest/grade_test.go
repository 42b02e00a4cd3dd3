package attest_test

import (
	"crypto/ecdsa"
	"crypto/x509"
	"slices"
	"testing"
	"time"

	. "github.com/assaynet/assay/gpu/attest"
	"github.com/assaynet/assay/gpu/attest/synthetic"
)

// reference is what a maker publishes of a card, parsed.
func reference(t testing.TB, m *synthetic.Maker, card *synthetic.Card, at time.Time, status Revocation) Reference {
	t.Helper()
	ref := Reference{At: at}
	for _, b := range m.RIMs(card) {
		r, err := ParseRIM(b, m.Trust())
		if err != nil {
			t.Fatal(err)
		}
		ref.RIMs = append(ref.RIMs, r)
	}
	for _, b := range m.OCSP(card, at, status) {
		r, err := ParseOCSP(b)
		if err != nil {
			t.Fatal(err)
		}
		ref.OCSP = append(ref.OCSP, r)
	}
	return ref
}

// The grade is no more than each step allows, and no evidence that fails steps 1 to 5
// is graded by what comes after.
func TestGrade(t *testing.T) {
	m := synthetic.New([32]byte{1})
	now := time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC)
	card := m.Card(synthetic.CardConfig{NVDEC0: true})
	manifests := card.Manifests()
	sign := func(x synthetic.Manifest) *RIM {
		r, err := ParseRIM(m.RIM(x), m.Trust())
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	old := manifests[0]
	old.NotBefore, old.NotAfter = now.AddDate(-2, 0, 0), now.AddDate(0, 0, -1)
	type draft = synthetic.Draft
	tests := []struct {
		name   string
		status Revocation // of the card's certificate 1
		ref    func(*Reference)
		trust  func(*Trust)
		edit   func(*draft)
		grade  Grade
		codes  []Code // beside that of a simulation
	}{
		{"all", OCSPGood, nil, nil, nil, GradeMeasured, nil},
		{"on hold", OCSPHold, nil, nil, nil, GradeIdentity, []Code{CodeOCSPHold}},
		{"revoked", OCSPRevoked, nil, nil, nil, GradeNone, []Code{CodeOCSPRevoked}},
		{"not known to the responder", OCSPUnknown, nil, nil, nil, GradeIdentity, []Code{CodeOCSPUnknown}},
		{"stale answers", OCSPStale, nil, nil, nil, GradeMeasured, []Code{CodeOCSPStale}},
		{"no answer about the card", OCSPAbsent, nil, nil, nil, GradeMeasured, []Code{CodeOCSPAbsent}},
		{"no answers", OCSPGood, func(r *Reference) { r.OCSP = nil }, nil, nil, GradeMeasured, nil},
		{"answers, no manifests", OCSPGood, func(r *Reference) { r.RIMs = nil }, nil, nil, GradeIdentity, nil},
		{"nothing at all", OCSPGood, func(r *Reference) { *r = Reference{} }, nil, nil, GradeIdentity, nil},
		{"one manifest", OCSPGood, func(r *Reference) { r.RIMs = r.RIMs[:1] }, nil, nil, GradeIdentity, []Code{CodeRIMAbsent}},
		{"the other manifest", OCSPGood, func(r *Reference) { r.RIMs = r.RIMs[1:] }, nil, nil, GradeIdentity, []Code{CodeRIMAbsent}},
		{"a manifest without a chain", OCSPGood, func(r *Reference) { r.RIMs[0] = &RIM{Version: "550.90.07", Edition: "GPU", Product: "GH100"} }, nil, nil, GradeIdentity, []Code{CodeRIMAbsent}},
		{"an expired signer", OCSPGood, func(r *Reference) { r.RIMs[0] = sign(old) }, nil, nil, GradeMeasured, []Code{CodeRIMExpired}},
		{"an expired signer, no time", OCSPGood, func(r *Reference) { r.RIMs[0], r.OCSP, r.At = sign(old), nil, time.Time{} }, nil, nil, GradeMeasured, nil},
		{"manifests of other roots", OCSPGood, nil, func(t *Trust) { t.RIMs = nil }, nil, GradeIdentity, []Code{CodeRIMForeign, CodeRIMForeign, CodeRIMAbsent, CodeRIMAbsent}},
		{"a measurement", OCSPGood, nil, nil, func(d *draft) { d.Blocks[1].Value[0] ^= 1 }, GradeIdentity, []Code{CodeGoldenMismatch}},
		{"a measurement that no manifest expects", OCSPGood, nil, nil, func(d *draft) {
			d.Blocks[60].Value[0] = 1
			d.Field(FieldCounts).Data[4*60] = 1
		}, GradeMeasured, nil},
		{"a driver that there is no manifest of", OCSPGood, nil, nil, func(d *draft) { d.Field(FieldDriver).Data = []byte("1.0") }, GradeIdentity, []Code{CodeRIMAbsent}},
		{"no project", OCSPGood, nil, nil, func(d *draft) { d.Field(FieldProject).Data = nil }, GradeIdentity, nil},
		{"another nonce", OCSPGood, nil, nil, func(d *draft) { d.Nonce[0] ^= 1 }, GradeNone, []Code{CodeNonceMismatch}},
		{"a false signature", OCSPGood, nil, nil, func(d *draft) { d.Sig = func([]byte) []byte { return make([]byte, 96) } }, GradeNone, []Code{CodeSignature}},
		{"an untrusted root", OCSPGood, nil, func(t *Trust) { t.Devices = nil }, nil, GradeNone, []Code{CodeChainRoot}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			ref, trust := reference(t, m, card, now, tt.status), m.Trust()
			if tt.ref != nil {
				tt.ref(&ref)
			}
			if tt.trust != nil {
				tt.trust(&trust)
			}
			var edits []func(*draft)
			if tt.edit != nil {
				edits = append(edits, tt.edit)
			}
			res := Verify(card.Sign([32]byte{7}, edits...), trust, ref)
			got := slices.DeleteFunc(codes(res), func(c Code) bool { return c == CodeSimulated })
			if res.Grade != tt.grade || !slices.Equal(got, tt.codes) {
				t.Errorf("%s, want %s: %v", res.Grade, tt.grade, res.Reasons)
			}
			if res.Grade == GradeNone && !res.Holds() && (res.OCSP != OCSPAbsent || res.RIM.Driver != RIMAbsent || res.RIM.VBIOS != RIMAbsent) {
				t.Errorf("steps 6 to 8 of evidence that does not hold: %+v", res)
			}
			if (tt.name == "revoked") != (res.Holds() && res.Grade == GradeNone) {
				t.Errorf("holds %t, %s", res.Holds(), res.Grade)
			}
		})
	}
}

// What was revoked stays so, and what is on hold until a newer answer says otherwise: a
// day later, and whatever is said of the rest of the chain, or good of it since.
func TestGradeLater(t *testing.T) {
	m := synthetic.New([32]byte{1})
	now := time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC)
	card := m.Card(synthetic.CardConfig{})
	for _, tt := range []struct {
		name     string
		statuses []Revocation // one each 30 hours
		ocsp     Revocation
		grade    Grade
	}{
		{"revoked", []Revocation{OCSPRevoked}, OCSPRevoked, GradeNone},
		{"revoked, then nothing of the card", []Revocation{OCSPRevoked, OCSPAbsent}, OCSPRevoked, GradeNone},
		{"revoked, then good", []Revocation{OCSPRevoked, OCSPGood}, OCSPRevoked, GradeNone},
		{"on hold", []Revocation{OCSPHold}, OCSPHold, GradeIdentity},
		{"on hold, then nothing of the card", []Revocation{OCSPHold, OCSPAbsent}, OCSPHold, GradeIdentity},
		{"on hold, then unknown", []Revocation{OCSPHold, OCSPUnknown}, OCSPHold, GradeIdentity},
		{"on hold, then good", []Revocation{OCSPHold, OCSPGood}, OCSPGood, GradeMeasured},
		{"good, long ago", []Revocation{OCSPGood}, OCSPStale, GradeMeasured},
	} {
		const step = 30 * time.Hour
		ref := reference(t, m, card, now, tt.statuses[0])
		for i, s := range tt.statuses[1:] {
			ref.OCSP = append(ref.OCSP, reference(t, m, card, now.Add(time.Duration(i+1)*step), s).OCSP...)
		}
		ref.At = now.Add(step + time.Hour)
		if res := Verify(card.Sign([32]byte{7}), m.Trust(), ref); res.OCSP != tt.ocsp || res.Grade != tt.grade || !res.Holds() {
			t.Errorf("%s: %s, %s %v", tt.name, res.OCSP, res.Grade, res.Reasons)
		}
	}
}

// A manifest whose signer was revoked, is on hold or is not known, counts for nothing;
// of an answer of two days before that is still true of the first two.
func TestGradeSigner(t *testing.T) {
	m := synthetic.New([32]byte{1})
	now := time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC)
	card := m.Card(synthetic.CardConfig{})
	const good, bad = RIMMatch, RIMMismatch
	for _, tt := range []struct {
		status          Revocation
		now, old, alone RIMStatus // of now; of two days before; and with no newer answer
	}{
		{OCSPGood, good, good, good},
		{OCSPUnknown, bad, good, good},
		{OCSPHold, bad, good, bad},
		{OCSPRevoked, bad, bad, bad},
	} {
		for i, want := range []RIMStatus{tt.now, tt.old, tt.alone} {
			at := now
			if i > 0 {
				at = now.AddDate(0, 0, -2)
			}
			r, err := ParseOCSP(m.SignerOCSP(card, at, tt.status))
			if err != nil {
				t.Fatal(err)
			}
			ref := reference(t, m, card, now, OCSPGood)
			if i == 2 {
				ref.OCSP = ref.OCSP[:3] // the card's
			}
			ref.OCSP = append(ref.OCSP, r)
			res := Verify(card.Sign([32]byte{7}), m.Trust(), ref)
			if res.RIM.Driver != want || res.RIM.VBIOS != want || (res.Grade == GradeMeasured) != (want == good) || res.OCSP != OCSPGood || !res.Holds() {
				t.Errorf("%s, %d: %s %+v %v", tt.status, i, res.Grade, res.RIM, res.Reasons)
			}
		}
	}
}

// A device's certificate that has expired allows no more than the identity.
func TestGradeExpired(t *testing.T) {
	m := synthetic.New([32]byte{1})
	now := time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC)
	card := m.Card(synthetic.CardConfig{Edit: func(i int, tmpl *x509.Certificate) *ecdsa.PrivateKey {
		if i == 1 {
			tmpl.NotAfter = now
		}
		return nil
	}})
	for at, want := range map[time.Time]Grade{now: GradeMeasured, now.Add(time.Second): GradeIdentity} {
		if res := Verify(card.Sign([32]byte{7}), m.Trust(), reference(t, m, card, at, OCSPGood)); res.Grade != want {
			t.Errorf("at %s: %s %v", at, res.Grade, res.Reasons)
		}
	}
}

// A simulation's manifests say nothing of devices that are not of one: those who know
// its seed can write them.
func TestGradeSimulatedManifest(t *testing.T) {
	m := synthetic.New([32]byte{1})
	card := m.Card(synthetic.CardConfig{})
	trust := m.Trust()
	trust.Devices[0].Simulated = false
	res := Verify(card.Sign([32]byte{7}), trust, reference(t, m, card, time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC), OCSPGood))
	if res.Grade != GradeIdentity || res.Simulated || !slices.Contains(codes(res), CodeRIMForeign) || res.RIM.Driver != RIMAbsent {
		t.Errorf("%+v", res)
	}
}
