package attest

import (
	"bytes"
	"cmp"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/sha512"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/base64"
	"errors"
	"fmt"
	"math/big"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/assaynet/assay/gpu/attest/xmldsig"
)

// fakeKey is the same for the same name.
func fakeKey(t testing.TB, name string) *ecdsa.PrivateKey {
	t.Helper()
	sum := sha512.Sum384([]byte(name))
	sum[0] &= 0x7F // below the order
	key, err := ecdsa.ParseRawPrivateKey(elliptic.P384(), sum[:])
	if err != nil {
		t.Fatal(err)
	}
	return key
}

var fakeStart = time.Date(2024, 1, 1, 0, 0, 0, 0, time.UTC)

// fakeCert makes a certificate for name, signed by the key of issuer: one of its own
// where that is nil.
func fakeCert(t testing.TB, name string, issuer *x509.Certificate, edit func(*x509.Certificate)) *x509.Certificate {
	t.Helper()
	c := &x509.Certificate{
		SerialNumber: new(big.Int).SetBytes([]byte(name)), Subject: pkix.Name{CommonName: name},
		NotBefore: fakeStart, NotAfter: fakeStart.AddDate(20, 0, 0),
		BasicConstraintsValid: true, IsCA: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
	}
	if edit != nil {
		edit(c)
	}
	parent, by := c, name
	if issuer != nil {
		parent, by = issuer, issuer.Subject.CommonName
	}
	der, err := x509.CreateCertificate(nil, c, parent, fakeKey(t, name).Public(), fakeKey(t, by))
	if err != nil {
		t.Fatal(err)
	}
	got, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return got
}

func signerCert(c *x509.Certificate) {
	c.IsCA, c.KeyUsage = false, x509.KeyUsageDigitalSignature
	c.NotBefore, c.NotAfter = fakeStart.AddDate(1, 0, 0), fakeStart.AddDate(3, 0, 0)
}

// fakeChain is a signer of manifests, its two authorities and their root.
func fakeChain(t testing.TB) Chain {
	t.Helper()
	root := fakeCert(t, "rim root", nil, nil)
	upper := fakeCert(t, "rim upper", root, nil)
	lower := fakeCert(t, "rim lower", upper, nil)
	return Chain{fakeCert(t, "rim signer", lower, signerCert), lower, upper, root}
}

func fakeTrust(c Chain) Trust {
	return Trust{RIMs: []Root{{Name: "fake", Fingerprint: FingerprintOf(c[len(c)-1]), Simulated: true}}}
}

// signing says how a document is signed: by default as NVIDIA does.
type signing struct {
	chain   Chain
	key     *ecdsa.PrivateKey
	digest  func(canonical string) []byte
	info    string // what is in SignedInfo; DIGEST is replaced
	value   func([]byte) []byte
	keyInfo func(string) string
}

const fakeInfo = `<ds:CanonicalizationMethod Algorithm="http://www.w3.org/2006/12/xml-c14n11"></ds:CanonicalizationMethod>` +
	`<ds:SignatureMethod Algorithm="http://www.w3.org/2001/04/xmldsig-more#ecdsa-sha384"></ds:SignatureMethod>` +
	`<ds:Reference URI=""><ds:Transforms><ds:Transform Algorithm="http://www.w3.org/2000/09/xmldsig#enveloped-signature"></ds:Transform>` +
	`<ds:Transform Algorithm="http://www.w3.org/2006/12/xml-c14n11"></ds:Transform></ds:Transforms>` +
	`<ds:DigestMethod Algorithm="http://www.w3.org/2001/04/xmldsig-more#sha384"></ds:DigestMethod><ds:DigestValue>DIGEST</ds:DigestValue></ds:Reference>`

// sign signs a document in canonical form whose root declares what fakeRIM's does.
// Canonical forms are written out here, not computed by the code under test.
func (s signing) sign(t testing.TB, canonical string) string {
	t.Helper()
	if s.chain == nil {
		s.chain = fakeChain(t)
	}
	if s.key == nil {
		s.key = fakeKey(t, s.chain[0].Subject.CommonName)
	}
	sum := sha512.Sum384([]byte(canonical))
	digest := sum[:]
	if s.digest != nil {
		digest = s.digest(canonical)
	}
	if s.info == "" {
		s.info = fakeInfo
	}
	info := strings.ReplaceAll(s.info, "DIGEST", base64.StdEncoding.EncodeToString(digest))
	sum = sha512.Sum384([]byte(`<ds:SignedInfo xmlns="` + spaceSWID + `" xmlns:ds="` + spaceDSig + `" xmlns:ns0="` + spaceSWID + `" xmlns:ns2="` + spaceSHA384 + `">` + info + `</ds:SignedInfo>`))
	value := fakeSign(t, s.key, sum[:])
	if s.value != nil {
		value = s.value(value)
	}
	var certs strings.Builder
	for _, c := range s.chain {
		fmt.Fprintf(&certs, "<ds:X509Certificate>%s\n</ds:X509Certificate>", base64.StdEncoding.EncodeToString(c.Raw))
	}
	keyInfo := "<ds:X509Data>" + certs.String() + "</ds:X509Data>"
	if s.keyInfo != nil {
		keyInfo = s.keyInfo(keyInfo)
	}
	return strings.Replace(canonical, "</SoftwareIdentity>", `<ds:Signature xmlns:ds="`+spaceDSig+`"><ds:SignedInfo>`+info+`</ds:SignedInfo><ds:SignatureValue>`+
		base64.StdEncoding.EncodeToString(value)+`</ds:SignatureValue><ds:KeyInfo>`+keyInfo+"</ds:KeyInfo></ds:Signature></SoftwareIdentity>", 1)
}

// fakeSign signs a digest, as r || s.
func fakeSign(t testing.TB, key *ecdsa.PrivateKey, digest []byte) []byte {
	t.Helper()
	der, err := key.Sign(nil, digest, crypto.SHA384)
	if err != nil {
		t.Fatal(err)
	}
	var sig struct{ R, S *big.Int }
	if _, err := asn1.Unmarshal(der, &sig); err != nil {
		t.Fatal(err)
	}
	return append(sig.R.FillBytes(make([]byte, 48)), sig.S.FillBytes(make([]byte, 48))...)
}

const (
	fakeRoot = `<SoftwareIdentity xmlns="` + spaceSWID + `" xmlns:ns0="` + spaceSWID + `" xmlns:ns2="` + spaceSHA384 + `" name="GH100" tagId="0001">`
	fakeMeta = `<ns0:Meta colloquialVersion="550.90.07" edition="GPU" product="GH100"></ns0:Meta>`
	fakeTail = "\n</SoftwareIdentity>"
)

// fakeResource is a measurement of the digests d, repeated to 48 bytes, in canonical form.
func fakeResource(index int, active bool, d ...byte) string {
	var hashes []string
	for i, b := range d {
		hashes = append(hashes, fmt.Sprintf(` ns2:Hash%d="%x"`, i, bytes.Repeat([]byte{b}, 48)))
	}
	slices.SortFunc(hashes, func(a, b string) int { // by name: 1, 10, 2
		return cmp.Compare(a[:strings.Index(a, "=")], b[:strings.Index(b, "=")])
	})
	flag := "False"
	if active {
		flag = "True"
	}
	return fmt.Sprintf(`<ns0:Resource active="%s" alternatives="%d" index="%d" name="Measurement_%d" size="48" type="Measurement"%s></ns0:Resource>`,
		flag, len(d), index, index, strings.Join(hashes, ""))
}

// fakeRIM is a manifest's canonical form, without its signature.
func fakeRIM(meta string, resources ...string) string {
	return fakeRoot + "\n " + meta + `<ns0:Payload xmlns:SHA384="` + spaceSHA384 + `">` + strings.Join(resources, "\n ") + "</ns0:Payload>" + fakeTail
}

func plainRIM() string {
	return fakeRIM(fakeMeta, fakeResource(7, true, 0xA7), fakeResource(9, false, 0), fakeResource(21, true, 0x21, 0x22))
}

const spaceDSig = "http://www.w3.org/2000/09/xmldsig#"

// Codes of xmldsig that have no name here.
const (
	codeForm      = inRIM + Code(xmldsig.CodeSignatureForm)
	codeAlgorithm = inRIM + Code(xmldsig.CodeAlgorithm)
	codeReference = inRIM + Code(xmldsig.CodeReference)
	codeTransform = inRIM + Code(xmldsig.CodeTransform)
)

// wantCode holds that err is a *Reason of a code.
func wantCode(t testing.TB, err error, want Code) {
	t.Helper()
	got, ok := errors.AsType[*Reason](err)
	if !ok || got.Code != want {
		t.Errorf("error %v, want %s", err, want)
	}
}

// rimSamples is the folder of published evidence; the test is skipped where there is none.
func rimSamples(t *testing.T) string {
	t.Helper()
	dir := os.Getenv("ASSAY_ATTEST_SAMPLES")
	if dir == "" {
		t.Skip("ASSAY_ATTEST_SAMPLES is not set")
	}
	return dir
}

// active is the indices that a manifest expects something of.
func (m *RIM) active() (out []int) {
	for _, g := range m.Measurements {
		if g.Active {
			out = append(out, g.Index)
		}
	}
	return out
}
