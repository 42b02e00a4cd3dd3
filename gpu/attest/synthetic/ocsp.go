package synthetic

import (
	"crypto"
	"crypto/sha512"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"math/big"
	"time"

	"github.com/assaynet/assay/gpu/attest"
)

// OCSP answers about the revocation of a card's certificates and of those behind its
// manifests, all of a time and for a day, by responders that the issuers charged with
// it. The card's own certificate, number 1 of its chain, has the status: stale is an
// answer of two days before, absent is none. All others are good.
func (m *Maker) OCSP(c *Card, at time.Time, status attest.Revocation) [][]byte {
	var out [][]byte
	ask := func(chain []authority, from int, first attest.Revocation) {
		for i := from; i < len(chain)-1; i++ {
			s := attest.OCSPGood
			if i == from {
				s = first
			}
			if s != attest.OCSPAbsent {
				out = append(out, m.answer(chain[i].cert, chain[i+1], at, s))
			}
		}
	}
	ask(c.chain, 1, status)
	for i, x := range c.Manifests() {
		if i == 0 { // the driver's and the VBIOS's have the same signer
			ask(m.signers(x.Product, x.NotBefore, x.NotAfter), 0, attest.OCSPGood)
		}
	}
	return out
}

// The parts of an answer (RFC 6960, section 4.2.1). x/crypto/ocsp makes answers too, but
// puts the clock's time into them and random numbers into their signatures.
type (
	ocspID struct {
		Hash      pkix.AlgorithmIdentifier
		Name, Key []byte
		Serial    *big.Int
	}
	ocspSingle struct {
		ID         ocspID
		Status     asn1.RawValue
		ThisUpdate time.Time `asn1:"generalized"`
		NextUpdate time.Time `asn1:"generalized,explicit,tag:0"`
	}
	ocspData struct {
		Responder  []byte    `asn1:"explicit,tag:2"` // the SHA-1 of its key
		ProducedAt time.Time `asn1:"generalized"`
		Answers    []ocspSingle
	}
	ocspBasic struct {
		Data      asn1.RawValue
		Algorithm pkix.AlgorithmIdentifier
		Signature asn1.BitString
		Certs     []asn1.RawValue `asn1:"explicit,tag:0"`
	}
	ocspBytes struct {
		Type  asn1.ObjectIdentifier
		Basic []byte
	}
	ocspResponse struct {
		Status asn1.Enumerated
		Bytes  ocspBytes `asn1:"explicit,tag:0"`
	}
)

// answer is about one certificate of an issuer.
func (m *Maker) answer(cert *x509.Certificate, issuer authority, at time.Time, status attest.Revocation) []byte {
	name := issuer.cert.Subject.CommonName + " OCSP Responder"
	tmpl := template(name, big.NewInt(5), false)
	tmpl.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageOCSPSigning}
	responder := m.issue(issuer, tmpl, m.key(name, issuer.cert.SerialNumber.String()))

	at = at.UTC().Truncate(time.Second)
	if status == attest.OCSPStale {
		at = at.AddDate(0, 0, -2)
	}
	sum := func(b []byte) []byte { s := sha512.Sum384(b); return s[:] }
	data := must(asn1.Marshal(ocspData{
		Responder: responder.cert.SubjectKeyId, ProducedAt: at,
		Answers: []ocspSingle{{
			ID: ocspID{
				Hash: pkix.AlgorithmIdentifier{Algorithm: asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 2, 2}}, // SHA-384
				Name: sum(issuer.cert.RawSubject), Key: sum(must(issuer.key.PublicKey.Bytes())), Serial: cert.SerialNumber,
			},
			Status: certStatus(status, at), ThisUpdate: at, NextUpdate: at.AddDate(0, 0, 1),
		}},
	}))
	signature := must(responder.key.Sign(nil, sum(data), crypto.SHA384))
	basic := must(asn1.Marshal(ocspBasic{
		Data:      asn1.RawValue{FullBytes: data},
		Algorithm: pkix.AlgorithmIdentifier{Algorithm: asn1.ObjectIdentifier{1, 2, 840, 10045, 4, 3, 3}}, // ECDSA with SHA-384
		Signature: asn1.BitString{Bytes: signature, BitLength: 8 * len(signature)},
		Certs:     []asn1.RawValue{{FullBytes: responder.cert.Raw}},
	}))
	return must(asn1.Marshal(ocspResponse{Bytes: ocspBytes{asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 48, 1, 1}, basic}}))
}

// certStatus is one of RFC 6960's three; revocations are of an hour before.
func certStatus(status attest.Revocation, at time.Time) asn1.RawValue {
	reason := asn1.Enumerated(1) // the key was compromised
	switch status {
	case attest.OCSPUnknown:
		return asn1.RawValue{Class: asn1.ClassContextSpecific, Tag: 2}
	case attest.OCSPHold:
		reason = 6
	case attest.OCSPRevoked:
	default:
		return asn1.RawValue{Class: asn1.ClassContextSpecific, Tag: 0}
	}
	since := must(asn1.MarshalWithParams(at.Add(-time.Hour), "generalized"))
	why := must(asn1.MarshalWithParams(reason, "explicit,tag:0"))
	return asn1.RawValue{Class: asn1.ClassContextSpecific, Tag: 1, IsCompound: true, Bytes: append(since, why...)}
}
