package attest

import (
	"bytes"
	"cmp"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/base64"
	"errors"
	"fmt"
	"math/big"
	"slices"
	"strings"
	"time"

	"golang.org/x/crypto/ocsp"
)

// Codes of answers about revocation. None of them is an error of the evidence: they
// say how much is known.
const (
	CodeOCSPLong      Code = "ocsp-long"      // more than MaxOCSP bytes
	CodeOCSPEncoding  Code = "ocsp-encoding"  // neither DER nor base64
	CodeOCSPForm      Code = "ocsp-form"      // no answer that this package reads: see ParseOCSP
	CodeOCSPRefused   Code = "ocsp-refused"   // the responder gave no answer, and says why
	CodeOCSPCritical  Code = "ocsp-critical"  // an extension that must be understood, and is not
	CodeOCSPSigner    Code = "ocsp-signer"    // not of the certificate's issuer, nor of whom it charged with that
	CodeOCSPSignature Code = "ocsp-signature" // the signature does not hold
	CodeOCSPStale     Code = "ocsp-stale"     // not of the time asked about
	CodeOCSPAbsent    Code = "ocsp-absent"    // none about this certificate
	CodeOCSPUnknown   Code = "ocsp-unknown"   // the responder does not know the certificate
	CodeOCSPHold      Code = "ocsp-hold"      // revoked for the time being, by the newest that is known
	CodeOCSPRevoked   Code = "ocsp-revoked"   // for good
)

// Limits of answers about revocation.
const (
	MaxOCSP    = 64 << 10        // bytes of DER
	ocspSkew   = 5 * time.Minute // that a responder's clock may run ahead of the caller's
	ocspMaxAge = 24 * time.Hour  // of an answer that does not say when the next one is due
)

// Revocation is what is known of the revocation of a chain's certificates: the worst
// of what is known of each.
type Revocation string

// Revocations, the worst first.
const (
	OCSPRevoked Revocation = "revoked" // an answer says that a certificate was, however old it is
	OCSPHold    Revocation = "hold"    // that it is for the time being, and no newer and fresh one that it is good
	OCSPUnknown Revocation = "unknown" // a fresh answer says that the responder does not know it
	OCSPStale   Revocation = "stale"   // all answers about it are of another time, and none of the above
	OCSPAbsent  Revocation = "absent"  // there is none
	OCSPGood    Revocation = "good"    // each has a fresh answer that it is not revoked
)

// bad is how bad a revocation is, among others.
func (r Revocation) bad() int {
	return -slices.Index([]Revocation{OCSPRevoked, OCSPHold, OCSPUnknown, OCSPStale, OCSPAbsent, OCSPGood}, r)
}

// OCSPResponse is a responder's answer about one certificate. It has been read, not
// believed: [CheckOCSP] does that, since only there the issuer is known.
type OCSPResponse struct {
	Status     Revocation // good, revoked, hold or unknown
	Serial     *big.Int   // of the certificate
	ThisUpdate time.Time  // when the status was known to be right
	NextUpdate time.Time  // when newer is to be had; zero: not said

	id     ocspID
	answer *ocsp.Response
}

// ocspID says which certificate an answer is about: its issuer's name and key, hashed,
// and its serial number.
type ocspID struct {
	Hash      pkix.AlgorithmIdentifier
	Name, Key []byte
	Serial    *big.Int
}

// ocspData is what a responder signs, for what x/crypto/ocsp does not give: the
// issuer's hashes, and the extensions of the whole. That package also takes a status
// left out for a revocation, and two for the better one; here there is exactly one.
type ocspData struct {
	Version    int `asn1:"optional,default:0,explicit,tag:0"`
	Responder  asn1.RawValue
	ProducedAt time.Time `asn1:"generalized"`
	Answers    []ocspAnswer
	Extensions []pkix.Extension `asn1:"explicit,tag:1,optional"`
}

type ocspAnswer struct {
	ID         ocspID
	Status     asn1.RawValue
	ThisUpdate time.Time        `asn1:"generalized"`
	NextUpdate time.Time        `asn1:"generalized,explicit,tag:0,optional"`
	Extensions []pkix.Extension `asn1:"explicit,tag:1,optional"`
}

// ParseOCSP reads an answer of RFC 6960, in DER or in base64. It must be about one
// certificate. A critical nonce is taken, and no other critical extension: answers
// are judged by their time, whoever asked for them. Errors are a *[Reason].
func ParseOCSP(b []byte) (*OCSPResponse, error) {
	if limit := base64.StdEncoding.EncodedLen(MaxOCSP) * 66 / 64; len(b) > limit { // one line break in 64
		return nil, of(CodeOCSPLong, "", "%d bytes, limit %d", len(b), limit)
	}
	sequence := func(b []byte) bool { return len(b) > 0 && b[0] == 0x30 } // its base64 begins with M
	if !sequence(b) {
		text := slices.DeleteFunc(slices.Clone(b), func(c byte) bool { return strings.IndexByte(" \t\r\n", c) >= 0 })
		der, err := base64.StdEncoding.Strict().AppendDecode(nil, text)
		if err != nil || !sequence(der) {
			return nil, of(CodeOCSPEncoding, "", "neither DER nor base64 of it")
		}
		b = der
	}
	if len(b) > MaxOCSP {
		return nil, of(CodeOCSPLong, "", "%d bytes, limit %d", len(b), MaxOCSP)
	}
	answer, err := ocsp.ParseResponse(b, nil)
	if refusal, ok := errors.AsType[ocsp.ResponseError](err); ok {
		return nil, of(CodeOCSPRefused, "", "%v", refusal.Status)
	}
	if err != nil {
		return nil, of(CodeOCSPForm, "", "%v", err)
	}
	var d ocspData
	if _, err := asn1.Unmarshal(answer.TBSResponseData, &d); err != nil {
		return nil, of(CodeOCSPForm, "", "%v", err)
	}
	one := d.Answers[0] // ParseResponse has held that it is one
	for _, e := range append(d.Extensions, one.Extensions...) {
		if e.Critical && !e.Id.Equal(asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 48, 1, 2}) { // the nonce
			return nil, of(CodeOCSPCritical, "", "%v", e.Id)
		}
	}
	r := &OCSPResponse{Serial: answer.SerialNumber, ThisUpdate: one.ThisUpdate, NextUpdate: one.NextUpdate, id: one.ID, answer: answer}
	switch {
	case one.Status.Class != asn1.ClassContextSpecific || one.Status.Tag != answer.Status:
		return nil, of(CodeOCSPForm, "", "no status")
	case answer.Status == ocsp.Good:
		r.Status = OCSPGood
	case answer.Status == ocsp.Unknown:
		r.Status = OCSPUnknown
	case answer.RevocationReason == ocsp.CertificateHold:
		r.Status = OCSPHold
	default:
		r.Status = OCSPRevoked
	}
	return r, nil
}

// CheckOCSP says what answers tell, at a time, of the certificates from the given
// index of a chain to the one below its root: devices' from 1, since certificate 0
// comes and goes with the firmware, and manifests' signers from 0. The chain must have
// been verified. The answers may be of many chains, in any order; those about other
// certificates are passed over. Every reason is about one certificate that is not
// known to be good, or about an answer that could not be used.
//
// An answer is fresh from ThisUpdate, less 5 minutes for clocks that differ, to
// NextUpdate, or for 24 hours where it names none, and while the certificate of the
// responder is valid. Of several fresh ones about a certificate the newest counts.
//
// What an answer has revoked it has for good (RFC 6960, section 2.2): from ThisUpdate
// on, with the same 5 minutes, it counts for ever, whatever its NextUpdate and whatever
// newer answers say. A hold counts for as long, until an answer that is newer and fresh
// says good: that it is unknown lifts none, nor does a good answer that is stale itself.
// The responder's certificate may have expired since, not before it answered.
func CheckOCSP(c Chain, from int, responses []*OCSPResponse, at time.Time) (Revocation, []Reason) {
	if from = max(from, 0); from > len(c)-2 {
		return OCSPAbsent, []Reason{*of(CodeOCSPAbsent, "chain", "of %d certificates, none from %d on has an issuer", len(c), from)}
	}
	worst := OCSPGood
	var reasons []Reason
	for i := from; i < len(c)-1; i++ {
		got, why := revocation(c[i], c[i+1], responses, at)
		for _, r := range why {
			r.Detail = fmt.Sprintf("certificate %d, %.64q: ", i, c[i].Subject.CommonName) + r.Detail
			reasons = append(reasons, *r)
		}
		if got.bad() > worst.bad() {
			worst = got
		}
	}
	return worst, reasons
}

// revocation is what is known of one certificate.
func revocation(cert, issuer *x509.Certificate, responses []*OCSPResponse, at time.Time) (Revocation, []*Reason) {
	var known, stale []*OCSPResponse
	var lifted time.Time // what was on hold before that
	var reasons []*Reason
	for _, r := range responses {
		if r == nil || r.answer == nil || !r.about(cert, issuer) {
			continue
		}
		if why := r.signedFor(issuer); why != nil {
			reasons = append(reasons, why)
		} else if r.fresh(at) || r.lasts(at) {
			known = append(known, r)
			if r.Status == OCSPGood && r.ThisUpdate.After(lifted) {
				lifted = r.ThisUpdate
			}
		} else {
			stale = append(stale, r)
		}
	}
	known = slices.DeleteFunc(known, func(r *OCSPResponse) bool { return r.Status == OCSPHold && r.ThisUpdate.Before(lifted) })
	clock := func(t time.Time) string { return t.UTC().Format(time.RFC3339) }
	say := func(code Code, format string, args ...any) []*Reason {
		return append(reasons, of(code, "", format, args...))
	}
	// A revocation comes before all, then a hold that was not lifted; then the later
	// counts, and of two of one time the worse, whichever comes first.
	lasting := func(r *OCSPResponse) int { return max(r.Status.bad(), OCSPUnknown.bad()) }
	counts := func(a, b *OCSPResponse) int {
		return cmp.Or(cmp.Compare(lasting(a), lasting(b)), a.ThisUpdate.Compare(b.ThisUpdate), cmp.Compare(a.Status.bad(), b.Status.bad()))
	}
	switch {
	case len(known) == 0 && len(stale) == 0:
		return OCSPAbsent, say(CodeOCSPAbsent, "no answer")
	case len(known) == 0:
		r := slices.MaxFunc(stale, counts)
		return OCSPStale, say(CodeOCSPStale, "what there is (%s) is of %s to %s, not of %s", r.Status, clock(r.ThisUpdate), clock(r.until()), clock(at))
	}
	r := slices.MaxFunc(known, counts)
	switch a := r.answer; r.Status {
	case OCSPRevoked:
		return r.Status, say(CodeOCSPRevoked, "at %s, for reason %d of RFC 5280: an answer of %s", clock(a.RevokedAt), a.RevocationReason, clock(r.ThisUpdate))
	case OCSPHold:
		return r.Status, say(CodeOCSPHold, "on hold since %s: an answer of %s", clock(a.RevokedAt), clock(r.ThisUpdate))
	case OCSPUnknown:
		return r.Status, say(CodeOCSPUnknown, "the responder does not know it")
	}
	return r.Status, reasons
}

// about tells whether an answer is about a certificate of an issuer.
func (r *OCSPResponse) about(cert, issuer *x509.Certificate) bool {
	var key struct {
		Algorithm pkix.AlgorithmIdentifier
		Bits      asn1.BitString
	}
	if _, err := asn1.Unmarshal(issuer.RawSubjectPublicKeyInfo, &key); err != nil {
		return false
	}
	sum := func(b []byte) []byte {
		h := r.answer.IssuerHash.New()
		h.Write(b)
		return h.Sum(nil)
	}
	return r.Serial.Cmp(cert.SerialNumber) == 0 && bytes.Equal(r.id.Name, sum(issuer.RawSubject)) && bytes.Equal(r.id.Key, sum(key.Bits.RightAlign()))
}

// signedFor holds that an answer is signed by the certificate's issuer, or by one whom
// the issuer has charged with it; nil: it is. Whether that one's certificate was
// revoked nobody is asked (RFC 6960, section 4.2.2.2.1): such certificates are short-lived.
func (r *OCSPResponse) signedFor(issuer *x509.Certificate) *Reason {
	a := r.answer
	if !slices.Contains([]x509.SignatureAlgorithm{x509.ECDSAWithSHA256, x509.ECDSAWithSHA384, x509.ECDSAWithSHA512}, a.SignatureAlgorithm) {
		return of(CodeOCSPSignature, "", "an answer signed by %v", a.SignatureAlgorithm)
	}
	d := a.Certificate
	if d == nil || d.Equal(issuer) {
		if err := a.CheckSignatureFrom(issuer); err != nil {
			return of(CodeOCSPSignature, "", "an answer not signed by the issuer: %v", err)
		}
		return nil
	}
	// ParseResponse has checked that this certificate's key signed the answer, and
	// nothing else about it.
	if err := d.CheckSignatureFrom(issuer); err != nil || !bytes.Equal(d.RawIssuer, issuer.RawSubject) {
		return of(CodeOCSPSigner, "", "an answer by %.64q, not of the issuer: %v", d.Subject.CommonName, err)
	}
	if !slices.Contains(d.ExtKeyUsage, x509.ExtKeyUsageOCSPSigning) || len(d.UnhandledCriticalExtensions) > 0 {
		return of(CodeOCSPSigner, "", "an answer by %.64q, which may not give one", d.Subject.CommonName)
	}
	return nil
}

// until is when an answer is no longer fresh.
func (r *OCSPResponse) until() time.Time {
	if r.NextUpdate.IsZero() {
		return r.ThisUpdate.Add(ocspMaxAge)
	}
	return r.NextUpdate
}

// lasts tells whether an answer that a certificate was revoked, or is on hold, had been
// given by a time, by one who might: it then counts longer than it is fresh.
func (r *OCSPResponse) lasts(at time.Time) bool {
	if r.Status != OCSPRevoked && r.Status != OCSPHold {
		return false
	}
	begun := func(from time.Time) bool { return !at.Before(from.Add(-ocspSkew)) }
	d := r.answer.Certificate
	return begun(r.ThisUpdate) && (d == nil || begun(d.NotBefore) && !r.ThisUpdate.Add(-ocspSkew).After(d.NotAfter))
}

// fresh tells whether an answer is of a time.
func (r *OCSPResponse) fresh(at time.Time) bool {
	in := func(from, to time.Time) bool { return !at.Before(from.Add(-ocspSkew)) && !at.After(to) }
	d := r.answer.Certificate
	return in(r.ThisUpdate, r.until()) && (d == nil || in(d.NotBefore, d.NotAfter))
}
