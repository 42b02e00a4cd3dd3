package attest

import (
	"crypto/x509"
	"errors"
	"slices"
	"time"

	"github.com/assaynet/assay/gpu/attest/xmldsig"
)

// Codes of reference manifests that are no signed documents, or not signed by whom they
// must be. Those of [xmldsig] are taken over, each with "rim-" before it: "rim-digest".
const (
	CodeRIMEncoding     = inRIM + Code(xmldsig.CodeEncoding)     // not XML at all
	CodeRIMUnsigned     = inRIM + Code(xmldsig.CodeUnsigned)     // no signature among the root's children
	CodeRIMDigest       = inRIM + Code(xmldsig.CodeDigest)       // the document is another than the signed one
	CodeRIMSignature    = inRIM + Code(xmldsig.CodeSignature)    // the signature does not hold
	CodeRIMCertificates = inRIM + Code(xmldsig.CodeCertificates) // what signed it are no certificates
	CodeRIMChain        = inRIM + Code("chain")                  // they do not lead to a trusted root

	inRIM Code = "rim-"
)

const rimChain = 4 // certificates: signer, two authorities, root

// rimReason is an error of xmldsig as one of this package's.
func rimReason(err error) error {
	if e, ok := errors.AsType[*xmldsig.Error](err); ok {
		return &Reason{Code: inRIM + Code(e.Code), Detail: e.Detail, Field: e.Field, Offset: e.Offset}
	}
	return err
}

// verifySigner holds that a chain, as it lies, leads to a trusted root: at the time
// at which its leaf came to be, so that the answer is the same for ever. Whether the
// leaf has since expired is for the caller to weigh.
func verifySigner(chain Chain, roots []Root) (Root, error) {
	last := chain[len(chain)-1]
	root, ok := find(roots, last)
	if !ok {
		return Root{}, of(CodeRIMChain, "", "the root %.64q, %v, is not trusted", last.Subject.CommonName, FingerprintOf(last))
	}
	if len(chain) != rimChain || slices.ContainsFunc(chain, func(c *x509.Certificate) bool { return p384(c) == nil }) {
		return Root{}, of(CodeRIMChain, "", "%d certificates, want %d of keys on P-384", len(chain), rimChain)
	}
	leaf := chain[0]
	if leaf.IsCA || leaf.KeyUsage != 0 && leaf.KeyUsage&x509.KeyUsageDigitalSignature == 0 || slices.Contains(leaf.ExtKeyUsage, x509.ExtKeyUsageOCSPSigning) {
		return Root{}, of(CodeRIMChain, "", "%.64q is not one that signs documents", leaf.Subject.CommonName)
	}
	o := x509.VerifyOptions{
		Roots: x509.NewCertPool(), Intermediates: x509.NewCertPool(),
		CurrentTime: leaf.NotBefore.Add(time.Second), KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny},
	}
	o.Roots.AddCert(last)
	for _, c := range chain[1 : len(chain)-1] {
		o.Intermediates.AddCert(c)
	}
	paths, err := leaf.Verify(o)
	if err != nil {
		return Root{}, of(CodeRIMChain, "", "%v", err)
	}
	for _, p := range paths {
		if slices.EqualFunc(p, chain, (*x509.Certificate).Equal) {
			return root, nil
		}
	}
	return Root{}, of(CodeRIMChain, "", "its certificates are not in the order of their signatures")
}
