package xmldsig

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha512"
	"crypto/x509"
	"encoding/asn1"
	"encoding/base64"
	"math/big"
	"strings"
	"testing"
	"time"
)

const docSpace = "http://d"

// signer signs documents whose root is <d xmlns="http://d"> in canonical form. What is
// signed is written out here, not made by the code under test.
type signer struct {
	key  *ecdsa.PrivateKey
	cert *x509.Certificate
}

func newSigner(t *testing.T, curve elliptic.Curve) signer {
	t.Helper()
	key, err := ecdsa.GenerateKey(curve, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Date(2050, 1, 1, 0, 0, 0, 0, time.UTC)}
	der, err := x509.CreateCertificate(rand.Reader, c, c, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	if c, err = x509.ParseCertificate(der); err != nil {
		t.Fatal(err)
	}
	return signer{key, c}
}

func (s signer) sign(t *testing.T, canonical string) string {
	t.Helper()
	sum := sha512.Sum384([]byte(canonical))
	info := `<s:CanonicalizationMethod Algorithm="` + algC14N + `"></s:CanonicalizationMethod><s:SignatureMethod Algorithm="` + algSignature + `"></s:SignatureMethod>` +
		`<s:Reference URI=""><s:Transforms><s:Transform Algorithm="` + algEnveloped + `"></s:Transform><s:Transform Algorithm="` + algC14N + `"></s:Transform></s:Transforms>` +
		`<s:DigestMethod Algorithm="` + algDigest + `"></s:DigestMethod><s:DigestValue>` + base64.StdEncoding.EncodeToString(sum[:]) + `</s:DigestValue></s:Reference>`
	sum = sha512.Sum384([]byte(`<s:SignedInfo xmlns="` + docSpace + `" xmlns:s="` + spaceDSig + `">` + info + `</s:SignedInfo>`))
	der, err := s.key.Sign(rand.Reader, sum[:], crypto.SHA384)
	if err != nil {
		t.Fatal(err)
	}
	var sig struct{ R, S *big.Int }
	if _, err := asn1.Unmarshal(der, &sig); err != nil {
		t.Fatal(err)
	}
	value := append(sig.R.FillBytes(make([]byte, 48)), sig.S.FillBytes(make([]byte, 48))...)
	return strings.Replace(canonical, "</d>", `<s:Signature xmlns:s="`+spaceDSig+`"><s:SignedInfo>`+info+`</s:SignedInfo><s:SignatureValue>`+base64.StdEncoding.EncodeToString(value)+
		`</s:SignatureValue><s:KeyInfo><s:X509Data><s:X509Certificate>`+base64.StdEncoding.EncodeToString(s.cert.Raw)+`</s:X509Certificate></s:X509Data></s:KeyInfo></s:Signature></d>`, 1)
}

// The whole of what a signature may not be is tried by package attest, on manifests.
func TestOpen(t *testing.T) {
	s, other := newSigner(t, elliptic.P384()), newSigner(t, elliptic.P384())
	const canonical = `<d xmlns="` + docSpace + `"> <e a="1" b="2"></e>text</d>`
	doc := s.sign(t, canonical)
	cert := base64.StdEncoding.EncodeToString(s.cert.Raw)
	for _, tt := range []struct {
		name, in string
		want     Code // empty: none
	}{
		{"as signed", doc, ""},
		{"in another form of the same", strings.Replace(doc, `<e a="1" b="2"></e>`, `<e b = '2' a = '1'/>`, 1), ""},
		{"changed", strings.Replace(doc, `a="1"`, `a="2"`, 1), CodeDigest},
		{"another's certificate", strings.Replace(doc, cert, base64.StdEncoding.EncodeToString(other.cert.Raw), 1), CodeSignature},
		{"a key on another curve", newSigner(t, elliptic.P256()).sign(t, canonical), CodeSignature},
		{"more certificates", strings.Replace(doc, "</s:X509Data>", strings.Repeat("<s:X509Certificate>"+cert+"</s:X509Certificate>", maxCertificates-1)+"</s:X509Data>", 1), ""},
		{"too many certificates", strings.Replace(doc, "</s:X509Data>", strings.Repeat("<s:X509Certificate>"+cert+"</s:X509Certificate>", maxCertificates)+"</s:X509Data>", 1), CodeSignatureForm},
		{"unsigned", canonical, CodeUnsigned},
		{"signed within", `<d xmlns="` + docSpace + `">` + doc + `</d>`, CodeSignatureForm},
	} {
		t.Run(tt.name, func(t *testing.T) {
			root, err := Parse([]byte(tt.in))
			if err != nil {
				t.Fatal(err)
			}
			got, err := Open(root)
			if tt.want != "" {
				if wantCode(t, err, tt.want); got != nil {
					t.Error("there is a document as well")
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if string(got.Canonical) != canonical || !got.Certificates[0].Equal(s.cert) {
				t.Errorf("%s by %v", got.Canonical, got.Certificates[0].Subject)
			}
			if all, ok := got.Root.Children(); ok || all != nil {
				t.Errorf("children beside text: %v", all)
			}
			if e := got.Root.Nodes[1].Element; got.Root == root || !e.Is(docSpace, "e") || len(got.Root.Nodes) != 3 {
				t.Errorf("read %+v", got.Root)
			} else if v, ok := e.Attr("", "b"); !ok || v != "2" {
				t.Errorf("b is %q, %t", v, ok)
			} else if v, ok := e.Attr(docSpace, "b"); ok {
				t.Errorf("b of the namespace is %q", v)
			}
		})
	}
}
