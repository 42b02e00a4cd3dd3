package attest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha512"
	"crypto/x509"
	"encoding/asn1"
	"encoding/base64"
	"math/big"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/assaynet/assay/gpu/attest/xmldsig"
)

func TestParseRIM(t *testing.T) {
	if CodeRIMDigest != "rim-digest" || inRIM+Code(xmldsig.CodeComment) != "rim-xml-comment" {
		t.Errorf("codes %s, %s", CodeRIMDigest, inRIM+Code(xmldsig.CodeComment))
	}
	chain := fakeChain(t)
	r, err := ParseRIM([]byte(signing{}.sign(t, plainRIM())), fakeTrust(chain))
	if err != nil {
		t.Fatal(err)
	}
	if r.Version != "550.90.07" || r.Product != "GH100" || r.Edition != "GPU" || r.Name != "GH100" || r.TagID != "0001" || !r.Simulated {
		t.Errorf("got %+v", r)
	}
	if !slices.EqualFunc(r.Chain, chain, (*x509.Certificate).Equal) || !r.Expires.Equal(chain[0].NotAfter) {
		t.Errorf("chain of %d, expires %v, want %v", len(r.Chain), r.Expires, chain[0].NotAfter)
	}
	if len(r.Measurements) != 3 || !slices.Equal(r.active(), []int{7, 21}) || len(r.Measurements[2].Digests) != 2 || r.Measurements[2].Digests[1][47] != 0x22 {
		t.Errorf("measurements %+v", r.Measurements)
	}
}

// An authority that ends before its signer ends what both signed.
func TestExpires(t *testing.T) {
	c := fakeChain(t)
	end := fakeStart.AddDate(1, 6, 0)
	lower := fakeCert(t, "rim lower", c[2], func(c *x509.Certificate) { c.NotAfter = end })
	c = Chain{fakeCert(t, "rim signer", lower, signerCert), lower, c[2], c[3]}
	r, err := ParseRIM([]byte(signing{chain: c}.sign(t, plainRIM())), fakeTrust(c))
	if err != nil || !r.Expires.Equal(end) {
		t.Errorf("got %v, %v, want %v", r, err, end)
	}
}

// What a hand that has no key can do with a signed document.
func TestWrapping(t *testing.T) {
	trust := fakeTrust(fakeChain(t))
	doc := signing{}.sign(t, plainRIM())
	from, to := strings.Index(doc, "<ds:Signature "), strings.Index(doc, fakeTail[1:])
	sig, body := doc[from:to], doc[:from]+doc[to:]
	evil := strings.Replace(body, strings.Repeat("a7", 48), strings.Repeat("66", 48), 1)
	into := func(s, before, what string) string { return strings.Replace(s, before, what+before, 1) }
	tests := []struct {
		name, in string
		want     Code
	}{
		{"value changed", into(evil, fakeTail[1:], sig), CodeRIMDigest},
		{"unsigned", body, CodeRIMUnsigned},
		{"signature of no namespace", strings.NewReplacer("<ds:", "<", "</ds:", "</").Replace(doc), CodeRIMUnsigned},
		{"signature of another namespace", strings.Replace(doc, spaceDSig+`">`, `http://www.w3.org/2000/09/xmldsig">`, 1), CodeRIMUnsigned},
		{"signed document within the signature", into(evil, fakeTail[1:], into(sig, "</ds:Signature>", "<ds:Object>"+body+"</ds:Object>")), codeForm},
		{"signed document within KeyInfo", into(evil, fakeTail[1:], into(sig, "</ds:KeyInfo>", body)), CodeRIMDigest},
		{"another document within KeyInfo", into(doc, "</ds:KeyInfo>", evil), codeForm},
		{"signed document within an entity", into(evil, fakeTail[1:], "<ns0:Entity>"+body+"</ns0:Entity>"+sig), CodeRIMDigest},
		{"signed document whole within another", into(evil, fakeTail[1:], "<ns0:Entity>"+doc+"</ns0:Entity>"), codeForm},
		{"signed document whole, and its signature again", into(evil, fakeTail[1:], "<ns0:Entity>"+doc+"</ns0:Entity>"+sig), codeForm},
		{"signature in the payload", into(body, "</ns0:Payload>", sig), codeForm},
		{"signature as the root", sig, CodeRIMRoot},
		{"two signatures", into(doc, fakeTail[1:], sig), codeForm},
		{"signature within the signature", into(doc, "</ds:Signature>", sig), codeForm},
		{"a second payload", into(doc, "<ds:Signature ", `<ns0:Payload>`+fakeResource(1, true, 1)+`</ns0:Payload>`), CodeRIMDigest},
		{"a payload in the signature", into(doc, "</ds:Signature>", `<ns0:Payload>`+fakeResource(1, true, 1)+`</ns0:Payload>`), codeForm},
		{"a second reference", into(doc, "</ds:SignedInfo>", doc[strings.Index(doc, "<ds:Reference"):strings.Index(doc, "</ds:SignedInfo>")]), codeForm},
		{"a second SignedInfo", into(doc, "<ds:SignatureValue>", doc[strings.Index(doc, "<ds:SignedInfo"):strings.Index(doc, "<ds:SignatureValue>")]), codeForm},
		{"comment in the digest", into(doc, "</ds:DigestValue>", "<!---->"), inRIM + Code(xmldsig.CodeComment)},
		{"element in the digest", into(doc, "</ds:DigestValue>", "<ds:x/>"), codeForm},
		{"comment in the payload", into(doc, "</ns0:Payload>", "<!---->"), inRIM + Code(xmldsig.CodeComment)},
		{"instruction in the payload", into(doc, "</ns0:Payload>", "<?x?>"), inRIM + Code(xmldsig.CodeInstruction)},
		{"comment before the root", "<!---->" + doc, inRIM + Code(xmldsig.CodeComment)},
		{"a digest by entity", "<!DOCTYPE s [<!ENTITY d '" + strings.Repeat("66", 48) + "'>]>" + doc, inRIM + Code(xmldsig.CodeDoctype)},
		{"attribute of an unread namespace", into(doc, ` alternatives="1"`, ` ns0:active="False"`), CodeRIMDigest},
		{"digest twice by two prefixes", into(doc, ` ns2:Hash0`, ` SHA384:Hash0="66"`), inRIM + Code(xmldsig.CodeAttribute)},
		{"prefix of digests declared anew", into(doc, ` active="True"`, ` xmlns:ns2="http://x"`), inRIM + Code(xmldsig.CodeNamespace)},
		{"namespace more", into(doc, ` active="True"`, ` xmlns:x="http://x"`), CodeRIMDigest},
		{"text more", into(doc, "</ns0:Payload>", "x"), CodeRIMDigest},
		{"space more", into(doc, "</ns0:Payload>", " "), CodeRIMDigest},
		{"line ends of another system", strings.ReplaceAll(doc, "\n", "\r\n"), inRIM + Code(xmldsig.CodeLineEnding)},
		{"an element's place", strings.Replace(doc, fakeMeta, "", 1), CodeRIMDigest},
		{"id of the signature", into(doc, ` xmlns:ds=`, ` Id="x"`), codeForm},
		{"two attributes of the signature", into(doc, ` xmlns:ds=`, ` Id="x" Type="x"`), codeForm},
		{"id of the value", strings.Replace(doc, "<ds:SignatureValue>", `<ds:SignatureValue Id="x">`, 1), codeForm},
		{"another root", strings.NewReplacer("<SoftwareIdentity", "<Other", "</SoftwareIdentity", "</Other").Replace(doc), CodeRIMRoot},
		{"root of another namespace", strings.ReplaceAll(doc, spaceSWID, "http://other"), CodeRIMRoot},
		{"too long", doc + strings.Repeat("\n", MaxRIM), CodeRIMLong},
		{"text between the signature's parts", into(doc, "<ds:SignatureValue>", "x"), codeForm},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if tt.in == doc {
				t.Fatal("the document is unchanged")
			}
			r, err := ParseRIM([]byte(tt.in), trust)
			if wantCode(t, err, tt.want); r != nil {
				t.Error("there is a manifest as well")
			}
		})
	}
	// What the canonical form does not keep apart is the same document.
	for _, same := range []string{
		doc + "\n", "\n" + doc, `<?xml version="1.0" encoding="UTF-8"?>` + "\n" + doc, doc + strings.Repeat(" ", MaxRIM-len(doc)),
		strings.ReplaceAll(doc, "></ns0:Resource>", "/>"), strings.ReplaceAll(doc, ` active="True"`, "\n\tactive = 'True'"),
		strings.ReplaceAll(doc, "<ns0:Payload ", `<ns0:Payload xmlns="`+spaceSWID+`" `),
		strings.ReplaceAll(doc, "</ds:SignatureValue>", "\n</ds:SignatureValue>"),
		strings.ReplaceAll(doc, "<ds:SignatureValue>", "<ds:SignatureValue >"),
		into(doc, "<ds:KeyInfo>", "\n"),
	} {
		if _, err := ParseRIM([]byte(same), trust); err != nil || same == doc {
			t.Errorf("%v of %.90q", err, same)
		}
	}
}

// What is signed, but not in the one known way. The signatures hold.
func TestSignatureForm(t *testing.T) {
	chain := fakeChain(t)
	swap := func(old, new string) string {
		if !strings.Contains(fakeInfo, old) {
			t.Fatalf("no %q", old)
		}
		return strings.Replace(fakeInfo, old, new, 1)
	}
	const (
		algEnveloped, algC14N = "http://www.w3.org/2000/09/xmldsig#enveloped-signature", "http://www.w3.org/2006/12/xml-c14n11"

		enveloped = `<ds:Transform Algorithm="` + algEnveloped + `"></ds:Transform>`
		c14n      = `<ds:Transform Algorithm="` + algC14N + `"></ds:Transform>`
		xpath     = `<ds:Transform Algorithm="http://www.w3.org/TR/1999/REC-xpath-19991116"></ds:Transform>`
		method    = `<ds:CanonicalizationMethod Algorithm="` + algC14N + `">`
	)
	tests := []struct {
		name string
		s    signing
		want Code
	}{
		{"reference to a part", signing{info: swap(`URI=""`, `URI="#x"`)}, codeReference},
		{"reference to the root", signing{info: swap(`URI=""`, `URI="#xpointer(/)"`)}, codeReference},
		{"reference to elsewhere", signing{info: swap(`URI=""`, `URI="http://x"`)}, codeReference},
		{"reference to nothing said", signing{info: swap(` URI=""`, ``)}, codeForm},
		{"reference with a type", signing{info: swap(` URI=""`, ` Type="http://x" URI=""`)}, codeForm},
		{"two references", signing{info: fakeInfo + fakeInfo[strings.Index(fakeInfo, "<ds:Reference"):]}, codeForm},
		{"no reference", signing{info: fakeInfo[:strings.Index(fakeInfo, "<ds:Reference")]}, codeForm},
		{"no transforms", signing{info: swap("<ds:Transforms>"+enveloped+c14n+"</ds:Transforms>", "")}, codeForm},
		{"no transform", signing{info: swap(enveloped+c14n, "")}, codeTransform},
		{"one transform", signing{info: swap(c14n, "")}, codeTransform},
		{"transforms reversed", signing{info: swap(enveloped+c14n, c14n+enveloped)}, codeTransform},
		{"three transforms", signing{info: swap(c14n, c14n+c14n)}, codeTransform},
		{"a filter", signing{info: swap(c14n, xpath)}, codeTransform},
		{"a filter more", signing{info: swap(c14n, xpath+c14n)}, codeTransform},
		{"transform with a parameter", signing{info: swap(c14n, strings.Replace(c14n, "></", "><ds:XPath>x</ds:XPath></", 1))}, codeForm},
		{"canonical form with comments", signing{info: swap(c14n, strings.Replace(c14n, "c14n11", "c14n11#WithComments", 1))}, codeTransform},
		{"exclusive canonical form", signing{info: swap(c14n, strings.Replace(c14n, algC14N, "http://www.w3.org/2001/10/xml-exc-c14n#", 1))}, codeTransform},
		{"signature in canonical form 1.0", signing{info: swap(method, strings.Replace(method, algC14N, "http://www.w3.org/TR/2001/REC-xml-c14n-20010315", 1))}, codeAlgorithm},
		{"canonical form with a parameter", signing{info: swap(method, method+"<ds:x></ds:x>")}, codeForm},
		{"algorithm with an attribute more", signing{info: swap(`<ds:SignatureMethod `, `<ds:SignatureMethod A="1" `)}, codeForm},
		{"signature with SHA-256", signing{info: swap("ecdsa-sha384", "ecdsa-sha256")}, codeAlgorithm},
		{"signature with a shared secret", signing{info: swap("xmldsig-more#ecdsa-sha384", "xmldsig-more#hmac-sha384")}, codeAlgorithm},
		{"digest by SHA-256", signing{info: swap("2001/04/xmldsig-more#sha384", "2001/04/xmlenc#sha256")}, codeAlgorithm},
		{"order of the parts", signing{info: fakeInfo[strings.Index(fakeInfo, "<ds:Reference"):] + fakeInfo[:strings.Index(fakeInfo, "<ds:Reference")]}, codeForm},
		{"text in SignedInfo", signing{info: "x" + fakeInfo}, codeForm},
		{"digest of something else", signing{digest: func(s string) []byte { d := sha512.Sum384([]byte(s + " ")); return d[:] }}, CodeRIMDigest},
		{"digest cut short", signing{digest: func(s string) []byte { d := sha512.Sum384([]byte(s)); return d[:32] }}, CodeRIMDigest},
		{"no digest", signing{digest: func(string) []byte { return nil }}, codeForm},
		{"digest in loose base64", signing{info: swap("DIGEST", "DIGEST=")}, codeForm},
		{"by another key", signing{key: fakeKey(t, "thief")}, CodeRIMSignature},
		{"by an authority", signing{key: fakeKey(t, "rim lower")}, CodeRIMSignature},
		{"changed", signing{value: func(b []byte) []byte { b[95] ^= 1; return b }}, CodeRIMSignature},
		{"cut short", signing{value: func(b []byte) []byte { return b[:95] }}, CodeRIMSignature},
		{"with a byte more", signing{value: func(b []byte) []byte { return append(b, 0) }}, CodeRIMSignature},
		{"with a zero between", signing{value: func(b []byte) []byte { return slices.Concat(b[:48], []byte{0}, b[48:]) }}, CodeRIMSignature},
		{"halves longer by a zero", signing{value: func(b []byte) []byte { return slices.Concat([]byte{0}, b[:48], []byte{0}, b[48:]) }}, CodeRIMSignature},
		{"of zeros", signing{value: func(b []byte) []byte { return make([]byte, 96) }}, CodeRIMSignature},
		{"none", signing{value: func(b []byte) []byte { return nil }}, codeForm},
		{"in DER", signing{value: func(b []byte) []byte {
			der, _ := asn1.Marshal(struct{ R, S *big.Int }{new(big.Int).SetBytes(b[:48]), new(big.Int).SetBytes(b[48:])})
			return der
		}}, CodeRIMSignature},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := ParseRIM([]byte(tt.s.sign(t, plainRIM())), fakeTrust(chain))
			wantCode(t, err, tt.want)
		})
	}
}

func TestSigner(t *testing.T) {
	c := fakeChain(t)
	root := c[3]
	with := func(edit func(*x509.Certificate)) Chain {
		return Chain{fakeCert(t, "rim signer", c[1], func(c *x509.Certificate) { signerCert(c); edit(c) }), c[1], c[2], root}
	}
	below := func(name string, edit func(*x509.Certificate)) Chain { // another authority above the signer
		a := fakeCert(t, name, c[2], edit)
		return Chain{fakeCert(t, "rim signer", a, signerCert), a, c[2], root}
	}
	foreign := fakeCert(t, "other root", nil, nil)
	impostor := fakeCert(t, "rim root", nil, func(c *x509.Certificate) { c.NotAfter = c.NotAfter.AddDate(1, 0, 0) })
	p256, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	issue := func(tmpl, parent *x509.Certificate, pub, key any) *x509.Certificate {
		der, err := x509.CreateCertificate(rand.Reader, tmpl, parent, pub, key)
		if err != nil {
			t.Fatal(err)
		}
		got, err := x509.ParseCertificate(der)
		if err != nil {
			t.Fatal(err)
		}
		return got
	}
	short := issue(&x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: root.NotAfter}, c[1], p256.Public(), fakeKey(t, "rim lower"))
	shortAuthority := issue(c[1], c[2], p256.Public(), fakeKey(t, "rim upper"))
	belowShort := issue(c[0], shortAuthority, fakeKey(t, "rim signer").Public(), p256)
	x509Data := func(s string) func(string) string {
		return func(string) string { return "<ds:X509Data>" + s + "</ds:X509Data>" }
	}
	one := func(b []byte) string {
		return "<ds:X509Certificate>" + base64.StdEncoding.EncodeToString(b) + "</ds:X509Certificate>"
	}
	// The last letter of base64 that ends in = has bits that say nothing.
	loose := base64.StdEncoding.EncodeToString(c[0].Raw)
	for i := 1; !strings.HasSuffix(loose, "="); i++ {
		signer := fakeCert(t, "rim signer", c[1], func(c *x509.Certificate) { signerCert(c); c.Subject.Organization = []string{strings.Repeat("o", i)} })
		loose = base64.StdEncoding.EncodeToString(signer.Raw)
	}
	end := strings.IndexByte(loose, '=')
	loose = loose[:end-1] + string(loose[end-1]+1) + loose[end:]
	trust := fakeTrust(c)
	tests := []struct {
		name  string
		s     signing
		trust Trust
		want  Code // empty: none
	}{
		{"as it should be", signing{}, trust, ""},
		{"trusted among others", signing{}, NVIDIA().With(trust), ""},
		{"of another product's root", signing{}, NVIDIA(), CodeRIMChain},
		{"nothing trusted", signing{}, Trust{}, CodeRIMChain},
		{"trusted for devices alone", signing{}, Trust{Devices: trust.RIMs}, CodeRIMChain},
		{"root of the same name and key", signing{chain: Chain{c[0], c[1], c[2], impostor}}, trust, CodeRIMChain},
		{"another's chain, the trusted root at its end", signing{chain: Chain{fakeCert(t, "rim signer", foreign, signerCert), foreign, foreign, root}}, trust, CodeRIMChain},
		{"another's chain, the trusted root within", signing{chain: Chain{c[0], c[1], root, foreign}}, trust, CodeRIMChain},
		{"order of the authorities", signing{chain: Chain{c[0], c[2], c[1], root}}, trust, CodeRIMChain},
		{"one authority twice", signing{chain: Chain{c[0], c[1], c[1], root}}, trust, CodeRIMChain},
		{"one authority less", signing{chain: Chain{c[0], c[1], root}}, trust, CodeRIMChain},
		{"a chain of three that holds", signing{chain: Chain{fakeCert(t, "rim signer", c[2], signerCert), c[2], root}}, trust, CodeRIMChain},
		{"signer below the upper authority", signing{chain: Chain{fakeCert(t, "rim signer", c[2], signerCert), c[1], c[2], root}}, trust, CodeRIMChain},
		{"five certificates", signing{chain: Chain{c[0], c[1], c[2], root, root}}, trust, CodeRIMChain},
		{"nine certificates", signing{chain: append(slices.Repeat(c, 2), root)}, trust, codeForm},
		{"the root alone", signing{chain: Chain{root}, key: fakeKey(t, "rim root")}, trust, CodeRIMChain},
		{"no certificate", signing{keyInfo: x509Data("")}, trust, codeForm},
		{"no X509Data", signing{keyInfo: func(string) string { return "" }}, trust, codeForm},
		{"two X509Data", signing{keyInfo: func(s string) string { return s + s }}, trust, codeForm},
		{"a key by its name", signing{keyInfo: func(s string) string { return "<ds:KeyName>x</ds:KeyName>" + s }}, trust, codeForm},
		{"a revocation list beside", signing{keyInfo: func(s string) string {
			return strings.Replace(s, "<ds:X509D", "<ds:X509CRL>x</ds:X509CRL><ds:X509D", 1)
		}}, trust, codeForm},
		{"not base64", signing{keyInfo: x509Data(one(c[0].Raw) + "<ds:X509Certificate>--</ds:X509Certificate>")}, trust, CodeRIMCertificates},
		{"loose base64", signing{keyInfo: x509Data("<ds:X509Certificate>" + loose + "</ds:X509Certificate>")}, trust, CodeRIMCertificates},
		{"not a certificate", signing{keyInfo: x509Data(one([]byte("certificate")))}, trust, CodeRIMCertificates},
		{"bytes after a certificate", signing{keyInfo: x509Data(one(append(slices.Clone(c[0].Raw), 0)))}, trust, CodeRIMCertificates},
		{"two certificates in one", signing{keyInfo: x509Data(one(slices.Concat(c[0].Raw, c[1].Raw)))}, trust, CodeRIMCertificates},
		{"a shorter key", signing{chain: Chain{short, c[1], c[2], root}, key: fakeKey(t, "rim signer")}, trust, CodeRIMSignature},
		{"a shorter key of an authority", signing{chain: Chain{belowShort, shortAuthority, c[2], root}}, trust, CodeRIMChain},
		{"signer that is an authority", signing{chain: with(func(c *x509.Certificate) { c.IsCA, c.KeyUsage = true, c.KeyUsage|x509.KeyUsageCertSign })}, trust, CodeRIMChain},
		{"signer not for signatures", signing{chain: with(func(c *x509.Certificate) { c.KeyUsage = x509.KeyUsageKeyAgreement })}, trust, CodeRIMChain},
		{"signer of answers about revocation", signing{chain: with(func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageOCSPSigning} })}, trust, CodeRIMChain},
		{"signer of code", signing{chain: with(func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageCodeSigning} })}, trust, ""},
		{"signer long expired", signing{chain: with(func(c *x509.Certificate) { c.NotAfter = c.NotBefore.Add(time.Hour) })}, trust, ""},
		{"signer of the far future", signing{chain: with(func(c *x509.Certificate) { c.NotBefore = fakeStart.AddDate(19, 0, 0); c.NotAfter = root.NotAfter })}, trust, ""},
		{"signer before its authorities", signing{chain: with(func(c *x509.Certificate) { c.NotBefore = fakeStart.Add(-time.Minute) })}, trust, CodeRIMChain},
		{"signer after its authorities", signing{chain: with(func(c *x509.Certificate) {
			c.NotBefore, c.NotAfter = fakeStart.AddDate(30, 0, 0), fakeStart.AddDate(31, 0, 0)
		})}, trust, CodeRIMChain},
		{"authority that is none", signing{chain: below("rim lower", func(c *x509.Certificate) { c.IsCA = false })}, trust, CodeRIMChain},
		{"authority that may not sign", signing{chain: below("rim lower", func(c *x509.Certificate) { c.KeyUsage = x509.KeyUsageCRLSign })}, trust, CodeRIMChain},
		{"authority of another key", signing{chain: below("other lower", nil)}, trust, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r, err := ParseRIM([]byte(tt.s.sign(t, plainRIM())), tt.trust)
			if tt.want == "" {
				if err != nil || len(r.Chain) != rimChain {
					t.Fatal(err)
				}
				return
			}
			wantCode(t, err, tt.want)
		})
	}
}
