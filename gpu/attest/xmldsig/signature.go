package xmldsig

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/sha512"
	"crypto/x509"
	"encoding/base64"
	"math/big"
	"slices"
	"strings"
)

// Codes of documents that Open refuses.
const (
	CodeUnsigned      Code = "unsigned"       // no signature among the root's children
	CodeSignatureForm Code = "signature-form" // several, in another place, or of another form
	CodeAlgorithm     Code = "algorithm"      // of the signature, the digest or the canonical form
	CodeReference     Code = "reference"      // it signs another thing than this whole document
	CodeTransform     Code = "transform"      // the document is changed in another way before it is signed
	CodeDigest        Code = "digest"         // the document is another than the signed one
	CodeSignature     Code = "signature"      // the signature does not hold
	CodeCertificates  Code = "certificates"   // not certificates
)

const (
	spaceDSig    = "http://www.w3.org/2000/09/xmldsig#"
	algC14N      = "http://www.w3.org/2006/12/xml-c14n11"
	algEnveloped = "http://www.w3.org/2000/09/xmldsig#enveloped-signature"
	algDigest    = "http://www.w3.org/2001/04/xmldsig-more#sha384"
	algSignature = "http://www.w3.org/2001/04/xmldsig-more#ecdsa-sha384"

	maxCertificates = 8
)

// Signed is what the signer of a document signed.
type Signed struct {
	Canonical    []byte              // the document's canonical form, without the signature
	Root         *Element            // read from it alone
	Certificates []*x509.Certificate // the signer's first: not verified
}

// Open checks the signature of a document: its form, the digest, and that the first of
// the certificates in it signed. What the document says must be taken from the result,
// as the signature's own words are here: they are read from the bytes that the key
// signed. Errors are an *[Error].
func Open(doc *Element) (*Signed, error) {
	sig, err := findSignature(doc)
	if err != nil {
		return nil, err
	}
	parts, err := sig.only("", "SignedInfo", "SignatureValue", "KeyInfo")
	if err != nil {
		return nil, err
	}
	info := Canonical(parts[0], nil)
	digest, err := readSignedInfo(info)
	if err != nil {
		return nil, err
	}
	s := &Signed{Canonical: Canonical(doc, sig)}
	if sum := sha512.Sum384(s.Canonical); !bytes.Equal(sum[:], digest) {
		return nil, say(CodeDigest, "", "the document's is %x, the signed one %x", sum, digest)
	}
	value, err := parts[1].base64(CodeSignatureForm)
	if err != nil {
		return nil, err
	}
	if s.Certificates, err = readKeyInfo(parts[2]); err != nil {
		return nil, err
	}
	if !verify(s.Certificates[0], info, value) {
		return nil, say(CodeSignature, "", "not by the key of %.64q", s.Certificates[0].Subject.CommonName)
	}
	if s.Root, err = Parse(s.Canonical); err != nil { // it cannot be: Parse reads what Canonical writes
		return nil, err
	}
	return s, nil
}

// findSignature finds the one Signature, a child of the root. That nothing of its
// namespace is elsewhere leaves no second one to take for it.
func findSignature(doc *Element) (*Element, error) {
	var sig, stray *Element
	var walk func(e *Element, depth int)
	walk = func(e *Element, depth int) {
		for _, n := range e.Nodes {
			c := n.Element
			switch {
			case c == nil:
			case depth == 0 && sig == nil && c.Is(spaceDSig, "Signature"):
				sig = c
			case c.Space == spaceDSig:
				stray = c
			default:
				walk(c, depth+1)
			}
		}
	}
	if walk(doc, 0); stray != nil {
		return nil, fail(CodeSignatureForm, stray.Local, stray.Offset, "outside of the one Signature below the root")
	}
	if sig == nil {
		return nil, say(CodeUnsigned, "", "no Signature below %s", doc.Local)
	}
	return sig, nil
}

// only holds that an element has this attribute alone ("": none) and these children of
// xmldsig, in this order, and no text; it returns the children.
func (e *Element) only(attr string, children ...string) ([]*Element, error) {
	if _, ok := e.Attr("", attr); len(e.Attrs) > 1 || ok != (len(e.Attrs) == 1) || !ok && attr != "" {
		return nil, fail(CodeSignatureForm, e.Local, e.Offset, "%d attributes, want %q alone", len(e.Attrs), attr)
	}
	found, ok := e.Children()
	if !ok || !slices.EqualFunc(found, children, func(c *Element, want string) bool { return c.Is(spaceDSig, want) }) {
		return nil, fail(CodeSignatureForm, e.Local, e.Offset, "it has not just the children %q", children)
	}
	return found, nil
}

// algorithm holds that an element names an algorithm, and has nothing that would
// change it.
func (e *Element) algorithm(code Code, want string) error {
	if got, _ := e.Attr("", "Algorithm"); got != want {
		return say(code, e.Local, "%.96q, want %q", got, want)
	}
	_, err := e.only("Algorithm")
	return err
}

// base64 decodes an element's text.
func (e *Element) base64(code Code) ([]byte, error) {
	if len(e.Attrs) > 0 || len(e.Nodes) != 1 || e.Nodes[0].Element != nil {
		return nil, fail(CodeSignatureForm, e.Local, e.Offset, "not text alone")
	}
	text := strings.Map(func(c rune) rune {
		if strings.ContainsRune(" \t\n\r", c) {
			return -1
		}
		return c
	}, e.Nodes[0].Text)
	b, err := base64.StdEncoding.Strict().DecodeString(text)
	if err != nil {
		return nil, fail(code, e.Local, e.Offset, "%v", err)
	}
	return b, nil
}

// readSignedInfo reads what a key has signed, holds that it is the one known way to
// sign the whole document, and returns the document's digest.
func readSignedInfo(canonical []byte) ([]byte, error) {
	info, err := Parse(canonical)
	if err != nil {
		return nil, err
	}
	parts, err := info.only("", "CanonicalizationMethod", "SignatureMethod", "Reference")
	if err != nil {
		return nil, err
	}
	if err := parts[0].algorithm(CodeAlgorithm, algC14N); err != nil {
		return nil, err
	}
	if err := parts[1].algorithm(CodeAlgorithm, algSignature); err != nil {
		return nil, err
	}
	ref, err := parts[2].only("URI", "Transforms", "DigestMethod", "DigestValue")
	if err != nil {
		return nil, err
	}
	if uri, _ := parts[2].Attr("", "URI"); uri != "" {
		return nil, say(CodeReference, "URI", "%.96q, want none: the whole document", uri)
	}
	transforms, err := ref[0].only("", "Transform", "Transform")
	if err != nil {
		return nil, say(CodeTransform, "Transforms", "%v", err)
	}
	for i, want := range []string{algEnveloped, algC14N} {
		if err := transforms[i].algorithm(CodeTransform, want); err != nil {
			return nil, err
		}
	}
	if err := ref[1].algorithm(CodeAlgorithm, algDigest); err != nil {
		return nil, err
	}
	return ref[2].base64(CodeSignatureForm)
}

// readKeyInfo reads certificates, the signer's first.
func readKeyInfo(info *Element) ([]*x509.Certificate, error) {
	data, err := info.only("", "X509Data")
	if err != nil {
		return nil, err
	}
	found, _ := data[0].Children()
	elements, err := data[0].only("", slices.Repeat([]string{"X509Certificate"}, min(max(len(found), 1), maxCertificates))...)
	if err != nil {
		return nil, err
	}
	var certs []*x509.Certificate
	for i, e := range elements {
		der, err := e.base64(CodeCertificates)
		if err != nil {
			return nil, err
		}
		c, err := x509.ParseCertificate(der)
		if err != nil {
			return nil, fail(CodeCertificates, e.Local, e.Offset, "number %d: %v", i, err)
		}
		certs = append(certs, c)
	}
	return certs, nil
}

// verify checks a signature r || s, 48 bytes each, of SHA-384.
func verify(by *x509.Certificate, message, signature []byte) bool {
	key, ok := by.PublicKey.(*ecdsa.PublicKey)
	if !ok || key.Curve != elliptic.P384() || len(signature) != 96 {
		return false
	}
	sum := sha512.Sum384(message)
	return ecdsa.Verify(key, sum[:], new(big.Int).SetBytes(signature[:48]), new(big.Int).SetBytes(signature[48:]))
}
