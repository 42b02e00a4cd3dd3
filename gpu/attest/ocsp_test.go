package attest

import (
	"bytes"
	"crypto"
	"crypto/sha512"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/base64"
	"math/big"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ocsp"
)

// fakeAnswer is an answer about a certificate, made by hand: x/crypto/ocsp makes none
// that are wrong. The zero value is good, of fakeNow, for a day, by the issuer's key.
type fakeAnswer struct {
	status Revocation
	reason int
	since  time.Duration       // this update, after fakeNow
	valid  time.Duration       // from then; 0: a day; negative: not said
	by     *x509.Certificate   // who answers; nil: the issuer
	embed  []*x509.Certificate // nil: by, where there is one
	key    string              // whose key signs; empty: of who answers
	edit   func(*ocspData)
	oid    asn1.ObjectIdentifier // of the signature; nil: ECDSA with SHA-384
}

var (
	fakeNow = time.Date(2026, 2, 3, 4, 5, 0, 0, time.UTC)

	oidSHA384     = asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 2, 2}
	oidSignSHA384 = asn1.ObjectIdentifier{1, 2, 840, 10045, 4, 3, 3}
	oidBasic      = asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 48, 1, 1}
	oidNonce      = asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 48, 1, 2}
)

func marshal(t testing.TB, v any, params string) []byte {
	t.Helper()
	b, err := asn1.MarshalWithParams(v, params)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func sum384(b []byte) []byte { s := sha512.Sum384(b); return s[:] }

// der makes the answer.
func (a fakeAnswer) der(t testing.TB, cert, issuer *x509.Certificate) []byte {
	t.Helper()
	var spki struct {
		Algorithm pkix.AlgorithmIdentifier
		Bits      asn1.BitString
	}
	if _, err := asn1.Unmarshal(issuer.RawSubjectPublicKeyInfo, &spki); err != nil {
		t.Fatal(err)
	}
	one := ocspAnswer{
		ID:         ocspID{pkix.AlgorithmIdentifier{Algorithm: oidSHA384}, sum384(issuer.RawSubject), sum384(spki.Bits.Bytes), cert.SerialNumber},
		ThisUpdate: fakeNow.Add(a.since),
	}
	if a.valid == 0 {
		a.valid = 24 * time.Hour
	}
	if a.valid > 0 {
		one.NextUpdate = one.ThisUpdate.Add(a.valid)
	}
	switch a.status {
	case "", OCSPGood:
		one.Status = asn1.RawValue{Class: 2, Tag: 0}
	case OCSPUnknown:
		one.Status = asn1.RawValue{Class: 2, Tag: 2}
	default:
		if a.status == OCSPHold {
			a.reason = ocsp.CertificateHold
		}
		since := append(marshal(t, fakeNow.AddDate(0, -1, 0), "generalized"), marshal(t, asn1.Enumerated(a.reason), "explicit,tag:0")...)
		one.Status = asn1.RawValue{Class: 2, Tag: 1, IsCompound: true, Bytes: since}
	}
	signer := issuer
	if a.by != nil {
		signer = a.by
		if a.embed == nil {
			a.embed = []*x509.Certificate{a.by}
		}
	}
	d := ocspData{
		Responder: asn1.RawValue{Class: 2, Tag: 1, IsCompound: true, Bytes: signer.RawSubject}, ProducedAt: fakeNow, Answers: []ocspAnswer{one},
	}
	if a.edit != nil {
		a.edit(&d)
	}
	if a.key == "" {
		a.key = signer.Subject.CommonName
	}
	if a.oid == nil {
		a.oid = oidSignSHA384
	}
	tbs := marshal(t, d, "")
	sig, err := fakeKey(t, a.key).Sign(nil, sum384(tbs), crypto.SHA384)
	if err != nil {
		t.Fatal(err)
	}
	var certs []asn1.RawValue
	for _, c := range a.embed {
		certs = append(certs, asn1.RawValue{FullBytes: c.Raw})
	}
	return wrapAnswer(t, oidBasic, marshal(t, struct {
		TBS       asn1.RawValue
		Algorithm pkix.AlgorithmIdentifier
		Signature asn1.BitString
		Certs     []asn1.RawValue `asn1:"explicit,tag:0,optional"`
	}{asn1.RawValue{FullBytes: tbs}, pkix.AlgorithmIdentifier{Algorithm: a.oid}, asn1.BitString{Bytes: sig, BitLength: 8 * len(sig)}, certs}, ""))
}

func wrapAnswer(t testing.TB, kind asn1.ObjectIdentifier, basic []byte) []byte {
	type body struct {
		Type  asn1.ObjectIdentifier
		Bytes []byte
	}
	return marshal(t, struct {
		Status asn1.Enumerated
		Body   body `asn1:"explicit,tag:0"`
	}{0, body{kind, basic}}, "")
}

func (a fakeAnswer) parsed(t testing.TB, cert, issuer *x509.Certificate) *OCSPResponse {
	t.Helper()
	r, err := ParseOCSP(a.der(t, cert, issuer))
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func responder(c *x509.Certificate) {
	c.IsCA, c.KeyUsage, c.ExtKeyUsage = false, x509.KeyUsageDigitalSignature, []x509.ExtKeyUsage{x509.ExtKeyUsageOCSPSigning}
}

func TestParseOCSP(t *testing.T) {
	c := fakeChain(t)
	extended := func(critical bool, id asn1.ObjectIdentifier) []pkix.Extension {
		return []pkix.Extension{{Id: id, Critical: critical, Value: []byte{4, 1, 0}}}
	}
	of := func(edit func(*ocspData)) []byte { return fakeAnswer{edit: edit}.der(t, c[1], c[2]) }
	plain := fakeAnswer{}.der(t, c[1], c[2])
	text := base64.StdEncoding.EncodeToString(plain)
	made, err := ocsp.CreateResponse(c[2], c[2], ocsp.Response{
		Status: ocsp.Revoked, RevocationReason: ocsp.KeyCompromise, RevokedAt: fakeNow, SerialNumber: c[1].SerialNumber, ThisUpdate: fakeNow, NextUpdate: fakeNow.Add(time.Hour),
	}, fakeKey(t, "rim upper"))
	if err != nil {
		t.Fatal(err)
	}
	other := asn1.ObjectIdentifier{1, 2, 3}
	tests := []struct {
		name string
		in   []byte
		want Code // empty: none
		says Revocation
	}{
		{"good", plain, "", OCSPGood},
		{"of x/crypto, hashed by SHA-1", made, "", OCSPRevoked},
		{"unknown", fakeAnswer{status: OCSPUnknown}.der(t, c[1], c[2]), "", OCSPUnknown},
		{"hold", fakeAnswer{status: OCSPHold}.der(t, c[1], c[2]), "", OCSPHold},
		{"revoked", fakeAnswer{status: OCSPRevoked, reason: ocsp.KeyCompromise}.der(t, c[1], c[2]), "", OCSPRevoked},
		{"off a list that changes", fakeAnswer{status: OCSPRevoked, reason: ocsp.RemoveFromCRL}.der(t, c[1], c[2]), "", OCSPRevoked},
		{"base64", []byte(text), "", OCSPGood},
		{"base64 in lines", []byte(" " + text[:64] + "\r\n" + text[64:] + "\n"), "", OCSPGood},
		{"base64 cut", []byte(text[:len(text)-5]), CodeOCSPEncoding, ""},
		{"base64 of nothing", []byte("  "), CodeOCSPEncoding, ""},
		{"nothing", nil, CodeOCSPEncoding, ""},
		{"text", []byte("an answer"), CodeOCSPEncoding, ""},
		{"text that is base64 too", []byte("no answer"), CodeOCSPEncoding, ""},
		{"too long", make([]byte, 1<<20), CodeOCSPLong, ""},
		{"too long in DER", append([]byte{0x30}, make([]byte, MaxOCSP)...), CodeOCSPLong, ""},
		{"cut", plain[:len(plain)-1], CodeOCSPForm, ""},
		{"a byte more", append(slices.Clone(plain), 0), CodeOCSPForm, ""},
		{"try later", ocsp.TryLaterErrorResponse, CodeOCSPRefused, ""},
		{"unauthorised", ocsp.UnauthorizedErrorResponse, CodeOCSPRefused, ""},
		{"another kind", wrapAnswer(t, other, []byte{0x30, 0}), CodeOCSPForm, ""},
		{"about none", of(func(d *ocspData) { d.Answers = nil }), CodeOCSPForm, ""},
		{"about two", of(func(d *ocspData) { d.Answers = append(d.Answers, d.Answers[0]) }), CodeOCSPForm, ""},
		{"a critical extension of the answer", of(func(d *ocspData) { d.Answers[0].Extensions = extended(true, other) }), CodeOCSPForm, ""}, // by x/crypto
		{"another extension of the answer", of(func(d *ocspData) { d.Answers[0].Extensions = extended(false, other) }), "", OCSPGood},
		{"a critical extension of the whole", of(func(d *ocspData) { d.Extensions = extended(true, other) }), CodeOCSPCritical, ""}, // unseen by x/crypto
		{"another extension of the whole", of(func(d *ocspData) { d.Extensions = extended(false, other) }), "", OCSPGood},
		{"a critical nonce", of(func(d *ocspData) { d.Extensions = extended(true, oidNonce) }), "", OCSPGood},
		{"no status", of(func(d *ocspData) { d.Answers[0].Status = asn1.RawValue{FullBytes: marshal(t, fakeNow, "generalized")} }), CodeOCSPForm, ""}, // revoked, to x/crypto
		{"two statuses", of(func(d *ocspData) { // good, to x/crypto
			d.Answers[0].Status = asn1.RawValue{FullBytes: append([]byte{0x80, 0}, fakeAnswer{status: OCSPRevoked}.revoked(t)...)}
		}), CodeOCSPForm, ""},
		{"a status of another tag", of(func(d *ocspData) { d.Answers[0].Status = asn1.RawValue{Class: 2, Tag: 5} }), CodeOCSPForm, ""},
		{"another hash", of(func(d *ocspData) { d.Answers[0].ID.Hash.Algorithm = other }), CodeOCSPForm, ""},
		{"signed by another than the certificate in it", fakeAnswer{embed: []*x509.Certificate{c[1]}}.der(t, c[1], c[2]), CodeOCSPForm, ""},
		{"an unknown signature algorithm", fakeAnswer{by: c[2], oid: other}.der(t, c[1], c[2]), CodeOCSPForm, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r, err := ParseOCSP(tt.in)
			if tt.want != "" {
				if wantCode(t, err, tt.want); r != nil {
					t.Error("there is an answer as well")
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if r.Status != tt.says || r.Serial.Cmp(c[1].SerialNumber) != 0 || !r.ThisUpdate.Equal(fakeNow) {
				t.Errorf("%+v", r)
			}
		})
	}
}

// revoked is a status alone.
func (a fakeAnswer) revoked(t testing.TB) []byte {
	return marshal(t, asn1.RawValue{Class: 2, Tag: 1, IsCompound: true, Bytes: marshal(t, fakeNow, "generalized")}, "")
}

// Who may answer. The question is about certificate 1, whose issuer is certificate 2.
func TestOCSPSigner(t *testing.T) {
	c := fakeChain(t)
	issuer := c[2]
	named := fakeCert(t, "ocsp", issuer, responder)
	with := func(edit func(*x509.Certificate)) *x509.Certificate {
		return fakeCert(t, "ocsp", issuer, func(c *x509.Certificate) { responder(c); edit(c) })
	}
	// Of the issuer's name, and another key.
	impostor := fakeCert(t, "rim upper", nil, func(c *x509.Certificate) { c.NotAfter = c.NotAfter.AddDate(1, 0, 0) })
	renamed := *issuer
	renamed.RawSubject = c[3].RawSubject
	tests := []struct {
		name   string
		answer fakeAnswer
		want   Revocation
		codes  []Code
	}{
		{"the issuer", fakeAnswer{}, OCSPGood, nil},
		{"the issuer, with its certificate", fakeAnswer{by: issuer}, OCSPGood, nil},
		{"one charged with it", fakeAnswer{by: named}, OCSPGood, nil},
		{"one charged with it, and the issuer's certificate", fakeAnswer{by: named, embed: []*x509.Certificate{named, issuer}}, OCSPGood, nil},
		{"another key of no certificate", fakeAnswer{key: "thief"}, OCSPAbsent, []Code{CodeOCSPSignature, CodeOCSPAbsent}},
		{"the root", fakeAnswer{key: "rim root"}, OCSPAbsent, []Code{CodeOCSPSignature, CodeOCSPAbsent}},
		{"the root, with its certificate", fakeAnswer{by: c[3]}, OCSPAbsent, []Code{CodeOCSPSigner, CodeOCSPAbsent}},
		{"the certificate itself", fakeAnswer{by: c[1]}, OCSPAbsent, []Code{CodeOCSPSigner, CodeOCSPAbsent}},
		{"one charged with other things", fakeAnswer{by: with(func(c *x509.Certificate) {
			c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageAny, x509.ExtKeyUsageServerAuth}
		})}, OCSPAbsent, []Code{CodeOCSPSigner, CodeOCSPAbsent}},
		{"one charged by another", fakeAnswer{by: fakeCert(t, "ocsp", c[3], responder)}, OCSPAbsent, []Code{CodeOCSPSigner, CodeOCSPAbsent}},
		{"one charged by the issuer's key under another name", fakeAnswer{by: fakeCert(t, "ocsp", &renamed, responder)}, OCSPAbsent, []Code{CodeOCSPSigner, CodeOCSPAbsent}},
		{"one charged by itself", fakeAnswer{by: fakeCert(t, "ocsp", nil, responder)}, OCSPAbsent, []Code{CodeOCSPSigner, CodeOCSPAbsent}},
		{"one who claims the issuer's name", fakeAnswer{by: impostor, key: "rim upper"}, OCSPAbsent, []Code{CodeOCSPSigner, CodeOCSPAbsent}},
		{"one with a rule that is not understood", fakeAnswer{by: with(func(c *x509.Certificate) {
			c.ExtraExtensions = []pkix.Extension{{Id: asn1.ObjectIdentifier{1, 2, 3}, Critical: true, Value: []byte{5, 0}}}
		})}, OCSPAbsent, []Code{CodeOCSPSigner, CodeOCSPAbsent}},
		{"one expired", fakeAnswer{by: with(func(c *x509.Certificate) { c.NotAfter = fakeNow.Add(-time.Hour) })}, OCSPStale, []Code{CodeOCSPStale}},
		{"one of the future", fakeAnswer{by: with(func(c *x509.Certificate) { c.NotBefore = fakeNow.Add(time.Hour) })}, OCSPStale, []Code{CodeOCSPStale}},
		{"another serial number", fakeAnswer{edit: func(d *ocspData) { d.Answers[0].ID.Serial = big.NewInt(1) }}, OCSPAbsent, []Code{CodeOCSPAbsent}},
		{"another issuer's name", fakeAnswer{edit: func(d *ocspData) { d.Answers[0].ID.Name[0] ^= 1 }}, OCSPAbsent, []Code{CodeOCSPAbsent}},
		{"another issuer's key", fakeAnswer{edit: func(d *ocspData) { d.Answers[0].ID.Key[0] ^= 1 }}, OCSPAbsent, []Code{CodeOCSPAbsent}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, reasons := CheckOCSP(Chain{c[1], issuer}, 0, []*OCSPResponse{tt.answer.parsed(t, c[1], issuer)}, fakeNow)
			var codes []Code
			for _, r := range reasons {
				codes = append(codes, r.Code)
			}
			if got != tt.want || !slices.Equal(codes, tt.codes) {
				t.Errorf("%s %v", got, reasons)
			}
		})
	}
	// A weak signature that does hold.
	sha1, err := ocsp.CreateResponse(issuer, issuer, ocsp.Response{SerialNumber: c[1].SerialNumber, ThisUpdate: fakeNow, SignatureAlgorithm: x509.ECDSAWithSHA1}, fakeKey(t, "rim upper"))
	if err != nil {
		t.Fatal(err)
	}
	r, err := ParseOCSP(sha1)
	if err != nil {
		t.Fatal(err)
	}
	if got, reasons := CheckOCSP(Chain{c[1], issuer}, 0, []*OCSPResponse{r}, fakeNow); got != OCSPAbsent || reasons[0].Code != CodeOCSPSignature {
		t.Errorf("SHA-1: %s %v", got, reasons)
	}
}

func TestOCSPFreshness(t *testing.T) {
	c := fakeChain(t)
	const day = 24 * time.Hour
	until := func(end time.Time) *x509.Certificate {
		return fakeCert(t, "ocsp", c[2], func(c *x509.Certificate) { responder(c); c.NotAfter = end })
	}
	from := func(start time.Time) *x509.Certificate {
		return fakeCert(t, "ocsp", c[2], func(c *x509.Certificate) { responder(c); c.NotBefore = start })
	}
	for _, tt := range []struct {
		name   string
		answer fakeAnswer
		at     time.Duration // after fakeNow
		want   Revocation
	}{
		{"at its time", fakeAnswer{}, 0, OCSPGood},
		{"until the next", fakeAnswer{}, day, OCSPGood},
		{"after the next", fakeAnswer{}, day + time.Second, OCSPStale},
		{"a clock behind", fakeAnswer{}, -ocspSkew, OCSPGood},
		{"a clock too far behind", fakeAnswer{}, -ocspSkew - time.Second, OCSPStale},
		{"a long one", fakeAnswer{valid: 7 * day}, 6 * day, OCSPGood},
		{"no next, a day", fakeAnswer{valid: -1}, day, OCSPGood},
		{"no next, more than a day", fakeAnswer{valid: -1}, day + time.Second, OCSPStale},
		{"the next before this", fakeAnswer{edit: func(d *ocspData) { d.Answers[0].NextUpdate = fakeNow.Add(-time.Hour) }}, 0, OCSPStale},
		{"unknown, stale", fakeAnswer{status: OCSPUnknown}, 2 * day, OCSPStale},
		{"hold, stale", fakeAnswer{status: OCSPHold}, 2 * day, OCSPHold},
		{"hold, not yet", fakeAnswer{status: OCSPHold}, -ocspSkew - time.Second, OCSPStale},
		{"hold, a clock behind", fakeAnswer{status: OCSPHold}, -ocspSkew, OCSPHold},
		{"revoked, stale", fakeAnswer{status: OCSPRevoked}, 2 * day, OCSPRevoked},
		{"revoked, years ago", fakeAnswer{status: OCSPRevoked, valid: -1}, 3650 * day, OCSPRevoked},
		{"revoked, the next before this", fakeAnswer{status: OCSPRevoked, edit: func(d *ocspData) { d.Answers[0].NextUpdate = fakeNow.Add(-time.Hour) }}, 0, OCSPRevoked},
		{"revoked, not yet", fakeAnswer{status: OCSPRevoked}, -ocspSkew - time.Second, OCSPStale},
		{"revoked, a clock behind", fakeAnswer{status: OCSPRevoked}, -ocspSkew, OCSPRevoked},
		{"revoked, by one who has expired since", fakeAnswer{status: OCSPRevoked, by: until(fakeNow)}, 2 * day, OCSPRevoked},
		{"on hold, by one who has expired since", fakeAnswer{status: OCSPHold, by: until(fakeNow)}, 2 * day, OCSPHold},
		{"revoked, by one who had expired", fakeAnswer{status: OCSPRevoked, by: until(fakeNow.Add(-ocspSkew - time.Second))}, 0, OCSPStale},
		{"revoked, by one who expires at once, a clock behind", fakeAnswer{status: OCSPRevoked, by: until(fakeNow.Add(-ocspSkew))}, 2 * day, OCSPRevoked},
		{"revoked, by one of the future", fakeAnswer{status: OCSPRevoked, by: from(fakeNow.Add(day))}, day - ocspSkew - time.Second, OCSPStale},
		{"revoked, by one of the future, a clock behind", fakeAnswer{status: OCSPRevoked, by: from(fakeNow.Add(2 * day))}, 2*day - ocspSkew, OCSPRevoked},
		{"revoked, by one of the future, later", fakeAnswer{status: OCSPRevoked, by: from(fakeNow.Add(day))}, day - ocspSkew, OCSPRevoked},
	} {
		got, reasons := CheckOCSP(Chain{c[1], c[2]}, 0, []*OCSPResponse{tt.answer.parsed(t, c[1], c[2])}, fakeNow.Add(tt.at))
		if got != tt.want || (len(reasons) > 0) != (got != OCSPGood) {
			t.Errorf("%s: %s %v", tt.name, got, reasons)
		}
	}
	for _, s := range []Revocation{OCSPGood, OCSPRevoked} {
		if got, _ := CheckOCSP(Chain{c[1], c[2]}, 0, []*OCSPResponse{fakeAnswer{status: s}.parsed(t, c[1], c[2])}, time.Time{}); got != OCSPStale {
			t.Errorf("%s, at no time: %s", s, got)
		}
	}
}

// Several answers about one certificate, in any order.
func TestOCSPSeveral(t *testing.T) {
	c := fakeChain(t)
	const hour = time.Hour
	old := func(s Revocation) fakeAnswer { return fakeAnswer{status: s, since: -6 * hour} }
	young := func(s Revocation) fakeAnswer { return fakeAnswer{status: s, since: -hour} }
	stale := func(s Revocation) fakeAnswer { return fakeAnswer{status: s, since: -48 * hour} }
	tests := []struct {
		name    string
		answers []fakeAnswer
		want    Revocation
	}{
		{"good, then revoked", []fakeAnswer{old(OCSPGood), young(OCSPRevoked)}, OCSPRevoked},
		{"revoked, then good: a revocation is for good", []fakeAnswer{old(OCSPRevoked), young(OCSPGood)}, OCSPRevoked},
		{"revoked, then on hold", []fakeAnswer{old(OCSPRevoked), young(OCSPHold)}, OCSPRevoked},
		{"on hold, then good: the hold has ended", []fakeAnswer{old(OCSPHold), young(OCSPGood)}, OCSPGood},
		{"good, then on hold", []fakeAnswer{old(OCSPGood), young(OCSPHold)}, OCSPHold},
		{"unknown, then good", []fakeAnswer{old(OCSPUnknown), young(OCSPGood)}, OCSPGood},
		{"good, then unknown", []fakeAnswer{old(OCSPGood), young(OCSPUnknown)}, OCSPUnknown},
		{"good and on hold at once", []fakeAnswer{young(OCSPGood), young(OCSPHold)}, OCSPHold},
		{"good and revoked at once", []fakeAnswer{young(OCSPGood), young(OCSPRevoked)}, OCSPRevoked},
		{"good, and stale ones", []fakeAnswer{old(OCSPGood), stale(OCSPHold), stale(OCSPUnknown)}, OCSPGood},
		{"stale ones alone", []fakeAnswer{stale(OCSPGood), stale(OCSPUnknown), {since: -72 * hour}}, OCSPStale},
		{"revoked long ago, then good", []fakeAnswer{stale(OCSPRevoked), old(OCSPGood), young(OCSPGood)}, OCSPRevoked},
		{"revoked long ago, then on hold", []fakeAnswer{stale(OCSPRevoked), young(OCSPHold)}, OCSPRevoked},
		{"revoked long ago, then unknown", []fakeAnswer{stale(OCSPRevoked), young(OCSPUnknown)}, OCSPRevoked},
		{"revoked, then stale good ones", []fakeAnswer{{status: OCSPRevoked, since: -72 * hour}, stale(OCSPGood)}, OCSPRevoked},
		{"good, and a revocation to come", []fakeAnswer{old(OCSPGood), {status: OCSPRevoked, since: hour}}, OCSPGood},
		{"good, and an old forged revocation", []fakeAnswer{old(OCSPGood), {status: OCSPRevoked, since: -48 * hour, key: "thief"}}, OCSPGood},
		{"on hold long ago", []fakeAnswer{stale(OCSPHold)}, OCSPHold},
		{"on hold long ago, then unknown: none said good", []fakeAnswer{stale(OCSPHold), young(OCSPUnknown)}, OCSPHold},
		{"on hold, then unknown", []fakeAnswer{old(OCSPHold), young(OCSPUnknown)}, OCSPHold},
		{"on hold, then good, then unknown", []fakeAnswer{stale(OCSPHold), old(OCSPGood), young(OCSPUnknown)}, OCSPUnknown},
		{"on hold, then good, both long ago", []fakeAnswer{{status: OCSPHold, since: -72 * hour}, stale(OCSPGood)}, OCSPHold},
		{"on hold long ago, and good before", []fakeAnswer{{status: OCSPHold, since: -6 * hour, valid: hour}, {since: -7 * hour}}, OCSPHold},
		{"on hold long ago, and good at once", []fakeAnswer{{status: OCSPHold, since: -6 * hour, valid: hour}, old(OCSPGood)}, OCSPHold},
		{"good, then on hold, then good", []fakeAnswer{old(OCSPGood), {status: OCSPHold, since: -3 * hour}, young(OCSPGood)}, OCSPGood},
		{"on hold twice, good between", []fakeAnswer{stale(OCSPHold), old(OCSPGood), young(OCSPHold)}, OCSPHold},
		{"good, and a hold to come", []fakeAnswer{old(OCSPGood), {status: OCSPHold, since: hour}}, OCSPGood},
		{"on hold, and a good one to come", []fakeAnswer{old(OCSPHold), {since: hour}}, OCSPHold},
		{"good, and one of the future", []fakeAnswer{old(OCSPGood), {status: OCSPUnknown, since: hour}}, OCSPGood},
		{"good, and a forged revocation", []fakeAnswer{old(OCSPGood), {status: OCSPRevoked, key: "thief"}}, OCSPGood},
		{"stale, and a forged good one", []fakeAnswer{stale(OCSPGood), {key: "thief"}}, OCSPStale},
	}
	rng := rand.New(rand.NewPCG(5, 6))
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			all := []*OCSPResponse{nil, {}, fakeAnswer{status: OCSPRevoked}.parsed(t, c[2], c[3])} // about another
			for _, a := range tt.answers {
				all = append(all, a.parsed(t, c[1], c[2]))
			}
			_, want := CheckOCSP(Chain{c[1], c[2]}, 0, all, fakeNow)
			for range 10 {
				rng.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
				if got, reasons := CheckOCSP(Chain{c[1], c[2]}, 0, all, fakeNow); got != tt.want || !slices.Equal(reasons, want) {
					t.Fatalf("%s %v, before %v", got, reasons, want)
				}
			}
		})
	}
}

// What a chain is worth is what its worst certificate is.
func TestCheckOCSP(t *testing.T) {
	c := fakeChain(t)
	answer := func(i int, s Revocation) *OCSPResponse {
		a := fakeAnswer{status: s}
		if s == OCSPStale {
			a = fakeAnswer{since: -48 * time.Hour}
		}
		return a.parsed(t, c[i], c[i+1])
	}
	order := []Revocation{OCSPRevoked, OCSPHold, OCSPUnknown, OCSPStale, OCSPAbsent, OCSPGood}
	for i, a := range order {
		for j, b := range order {
			all := []*OCSPResponse{answer(2, OCSPGood)}
			for n, s := range []Revocation{a, b} {
				if s != OCSPAbsent {
					all = append(all, answer(n, s))
				}
			}
			got, reasons := CheckOCSP(c, 0, all, fakeNow)
			if want := order[min(i, j)]; got != want {
				t.Errorf("%s and %s: %s", a, b, got)
			}
			bad := 0
			for _, s := range []Revocation{a, b} {
				if s != OCSPGood {
					bad++
				}
			}
			if len(reasons) != bad {
				t.Errorf("%s and %s: %v", a, b, reasons)
			}
			// The first certificate is not asked about.
			if got, _ := CheckOCSP(c, 1, all, fakeNow); got != b {
				t.Errorf("from 1, %s and %s: %s", a, b, got)
			}
		}
	}
	_, reasons := CheckOCSP(c, 0, []*OCSPResponse{answer(1, OCSPRevoked)}, fakeNow)
	if len(reasons) != 3 || !strings.HasPrefix(reasons[1].Detail, `certificate 1, "rim lower": at 2026-01-03T04:05:00Z`) {
		t.Errorf("%v", reasons)
	}
	for _, tt := range []struct {
		chain Chain
		from  int
	}{{nil, 0}, {c[:1], 0}, {c, 3}, {c, 99}, {nil, -5}} {
		if got, reasons := CheckOCSP(tt.chain, tt.from, nil, fakeNow); got != OCSPAbsent || len(reasons) != 1 {
			t.Errorf("%d certificates from %d: %s %v", len(tt.chain), tt.from, got, reasons)
		}
	}
	if got, reasons := CheckOCSP(c, -1, nil, fakeNow); got != OCSPAbsent || len(reasons) != 3 {
		t.Errorf("from -1: %s %v", got, reasons)
	}
}

// No byte of an answer can be changed to another answer.
func TestOCSPFlips(t *testing.T) {
	c := fakeChain(t)
	named := fakeCert(t, "ocsp", c[2], responder)
	in := fakeAnswer{by: named, status: OCSPUnknown}.der(t, c[1], c[2])
	taken := 0
	for i := range in {
		b := bytes.Clone(in)
		b[i] ^= 1 << (i % 8)
		r, err := ParseOCSP(b)
		if err != nil {
			continue
		}
		switch got, _ := CheckOCSP(Chain{c[1], c[2]}, 0, []*OCSPResponse{r}, fakeNow); got {
		case OCSPUnknown:
			if taken++; r.Status != OCSPUnknown || !r.ThisUpdate.Equal(fakeNow) {
				t.Errorf("byte %d: %+v", i, r)
			}
		case OCSPAbsent:
		default:
			t.Errorf("byte %d: %s", i, got)
		}
	}
	if t.Logf("%d bytes, %d changes taken", len(in), taken); taken > 40 { // what is not signed: the outer parameters
		t.Errorf("%d changes taken", taken)
	}
}

func FuzzOCSP(f *testing.F) {
	c := fakeChain(f)
	named := fakeCert(f, "ocsp", c[2], responder)
	for _, a := range []fakeAnswer{{}, {by: named}, {status: OCSPRevoked, by: named}, {status: OCSPHold, valid: -1}, {status: OCSPUnknown}} {
		der := a.der(f, c[1], c[2])
		f.Add(der)
		f.Add([]byte(base64.StdEncoding.EncodeToString(der)))
	}
	f.Add(ocsp.TryLaterErrorResponse)
	f.Fuzz(func(t *testing.T, in []byte) {
		r, err := ParseOCSP(in)
		if err != nil {
			if why, ok := err.(*Reason); !ok || why.Code == "" {
				t.Errorf("%T %v", err, err)
			}
			return
		}
		// The seeds speak of certificate 1 alone, and no other is ever answered for.
		for i := range 3 {
			got, _ := CheckOCSP(c[i:], 0, []*OCSPResponse{r}, fakeNow)
			if i != 1 && got == OCSPGood {
				t.Errorf("from %d: %s", i, got)
			}
		}
	})
}
