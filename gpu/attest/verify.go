package attest

import (
	"crypto/ecdsa"
	"crypto/sha512"
	"crypto/subtle"
	"errors"
	"math/big"
	"strings"
)

// Codes of verification beyond parsing.
const (
	CodeNonceMissing  Code = "nonce-not-given" // the caller knows of no nonce to compare
	CodeNonceMismatch Code = "nonce-mismatch"
	CodeSignature     Code = "signature-invalid" // not made by the chain's first key
)

// Verify verifies evidence, and grades it:
//
//  1. the report parses, and its parts do not contradict each other;
//  2. it signs the nonce, where one is given;
//  3. the chain ends in a trusted device root (see [Chain.Verify]), and is of the kind
//     of device that the report is of;
//  4. the chain's first key signed the report;
//  5. the firmware that the report names is the one that key was derived for;
//  6. no certificate has expired, was revoked, is on hold or is not known to its
//     responder, as far as there are answers;
//  7. there is a verified reference manifest for the driver and the VBIOS reported;
//  8. every measurement they list is equal.
//
// A step that fails does not hide later ones that can still be judged: the result has
// the reasons of all. Only where the root is not trusted no path to it is built: evidence
// under a stranger's root costs no more than one verification of a signature. Steps 1 to 5
// depend on nothing but the evidence and the trust, not even the time, and so come out
// alike wherever they are repeated.
func Verify(e Evidence, t Trust, ref Reference) Result {
	res := Result{FWID: Absent, Grade: GradeNone, OCSP: OCSPAbsent, RIM: RIMResult{Driver: RIMAbsent, VBIOS: RIMAbsent}}
	res.Reasons = append(res.Reasons, e.faults...)
	r, err := ParseReport(e.Report)
	res.fail(err)
	if err == nil {
		res.Mode, res.Driver, res.VBIOS = r.Mode(), r.Driver(), r.VBIOS()
		if m, ok := r.Model(); ok {
			res.Model = &m
		}
	}
	switch {
	case e.Nonce == nil:
		res.add(of(CodeNonceMissing, "nonce", "not known what the report was asked to sign"))
	case err == nil:
		same := subtle.ConstantTimeCompare(r.Nonce[:], e.Nonce[:]) == 1
		if res.NonceOK = &same; !same {
			res.add(at(CodeNonceMismatch, "nonce", 4, "%x, want %x", r.Nonce, *e.Nonce))
		}
	}

	c, chainErr := ParseChain(e.Chain)
	res.fail(chainErr)
	if chainErr == nil {
		faults := c.faults(t)
		res.Reasons = append(res.Reasons, faults...)
		if res.ChainOK = len(faults) == 0; res.ChainOK {
			root, _ := find(t.Devices, c[len(c)-1])
			res.Chip, res.DeviceID, res.Simulated = c.Chip(), c.DeviceID(), root.Simulated
			res.PDI, _ = c.PDI()
			if res.Simulated {
				res.add(of(CodeSimulated, certificate(len(c)-1), "%s is a simulation's root: no hardware is behind this", root.Name))
			}
		}
	}
	if err == nil && chainErr == nil {
		if res.SignatureOK = r.signedBy(c); !res.SignatureOK {
			res.add(at(CodeSignature, "signature", len(r.Signed), "the report was not signed by certificate 0's key"))
		}
	}
	if chainErr == nil {
		var faults []Reason
		res.FWID, faults = checkFWID(r, c)
		res.Reasons = append(res.Reasons, faults...)
	}
	if err == nil {
		res.Reasons = append(res.Reasons, r.contradictions(c)...)
	}
	if !res.Holds() {
		return res
	}
	res.Grade = GradeIdentity
	res.measure(r, c, t, ref)
	return res
}

// signedBy verifies the signature: ECDSA over P-384 and SHA-384, by the chain's first
// key, over all of the request and the response before it.
func (r *Report) signedBy(c Chain) bool {
	key := p384(c[0])
	if key == nil {
		return false
	}
	digest := sha512.Sum384(r.Signed)
	half := len(r.Signature) / 2
	return ecdsa.Verify(key, digest[:], new(big.Int).SetBytes(r.Signature[:half]), new(big.Int).SetBytes(r.Signature[half:]))
}

func (r *Result) add(f *Reason) { r.Reasons = append(r.Reasons, *f) }

// fail adds an error of this package, if there is one.
func (r *Result) fail(err error) {
	if f, ok := errors.AsType[*Reason](err); ok {
		r.add(f)
	}
}

// Holds tells whether steps 1 to 5 do: a device with this identity signed this report.
// Where no nonce was given it may have done so at any time, for anyone.
func (r Result) Holds() bool {
	if !r.ChainOK || !r.SignatureOK || r.FWID == Mismatches || r.NonceOK != nil && !*r.NonceOK {
		return false
	}
	for _, f := range r.Reasons {
		if f.Code.Rejects() {
			return false
		}
	}
	return true
}

// Rejects tells whether a finding with this code fails steps 1 to 5 of [Verify], so that
// [Result.Holds] is false: such a one decides, and comes before all others where only one
// is shown. A remark does not: that no nonce or no firmware digest was there to compare,
// that the root is a simulation's, that a certificate has expired, and whatever is of
// answers, manifests and measurements ("ocsp-…", "rim-…", "golden-…"). Those limit the
// grade at most, "ocsp-revoked" to none. A code that this package does not know rejects.
func (c Code) Rejects() bool {
	switch c {
	case CodeNonceMissing, CodeFWIDAbsent, CodeChainExpired, CodeSimulated:
		return false
	}
	step, _, _ := strings.Cut(string(c), "-")
	return step != "ocsp" && step != "rim" && step != "golden"
}
