package synthetic

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/sha512"
	"encoding/asn1"
	"encoding/base64"
	"fmt"
	"math/big"
	"slices"
	"strings"
	"time"

	"github.com/assaynet/assay/gpu/attest"
)

// Manifest is what a reference manifest says, before it is signed.
type Manifest struct {
	Version      string // of the driver or the VBIOS
	Edition      string // "GPU" or "SWITCH"
	Product      string // "GH100"
	TagID        string // empty: derived from the rest
	Measurements []attest.Golden

	// Validity of the signer's certificate; zero: that of all the maker's certificates,
	// which does not end in practice. NVIDIA's signers live two years.
	NotBefore, NotAfter time.Time
}

// Manifests are what a card's manifests say: the driver's, then the VBIOS's. A switch
// has no driver, and there are none for a firmware processor.
func (c *Card) Manifests() []Manifest {
	manifest := func(version string, mine func(index int) bool) Manifest {
		x := Manifest{Version: version, Edition: "GPU", Product: strings.ReplaceAll(c.Chip, "_", "")}
		if c.Kind == Switch {
			x.Edition = "SWITCH"
		}
		for i := range 64 {
			g := attest.Golden{Index: i, Name: fmt.Sprintf("Measurement_%d", i), Active: c.active(i) && mine(i), Size: 48, Digests: [][]byte{make([]byte, 48)}}
			if g.Active {
				g.Digests[0] = c.measurement(i)
			}
			x.Measurements = append(x.Measurements, g)
		}
		return x
	}
	switch c.Kind {
	case FSP:
		return nil
	case Switch:
		return []Manifest{manifest(c.VBIOS, func(int) bool { return true })}
	}
	return []Manifest{manifest(c.Driver, c.byDriver), manifest(c.VBIOS, func(i int) bool { return !c.byDriver(i) })}
}

// RIMs are a card's manifests, signed.
func (m *Maker) RIMs(c *Card) [][]byte {
	var out [][]byte
	for _, x := range c.Manifests() {
		out = append(out, m.RIM(x))
	}
	return out
}

// signers are the signer of a product's manifests and those above it: four.
func (m *Maker) signers(product string, from, to time.Time) []authority {
	upper := m.child(m.rim, "Assay Simulation Reference Value "+product+" CA", big.NewInt(2))
	lower := m.child(upper, "Assay Simulation Reference Value L3 "+product, big.NewInt(3))
	name := "Assay Simulation RIM L4 Signer " + product
	tmpl := template(name, big.NewInt(4), false)
	if !from.IsZero() {
		tmpl.NotBefore = from
	}
	if !to.IsZero() {
		tmpl.NotAfter = to
	}
	return []authority{m.issue(lower, tmpl, m.key(name)), lower, upper, m.rim}
}

const (
	spaceSWID   = "http://standards.iso.org/iso/19770/-2/2015/schema.xsd"
	spaceTCG    = "https://trustedcomputinggroup.org/resource/tcg-reference-integrity-manifest-rim-information-model/"
	spaceSHA384 = "http://www.w3.org/2001/04/xmlenc#sha384"
	spaceDSig   = "http://www.w3.org/2000/09/xmldsig#"

	// What is in SignedInfo besides the digest.
	signedInfo = `<ds:CanonicalizationMethod Algorithm="http://www.w3.org/2006/12/xml-c14n11"></ds:CanonicalizationMethod>` +
		`<ds:SignatureMethod Algorithm="http://www.w3.org/2001/04/xmldsig-more#ecdsa-sha384"></ds:SignatureMethod>` +
		`<ds:Reference URI=""><ds:Transforms>` +
		`<ds:Transform Algorithm="http://www.w3.org/2000/09/xmldsig#enveloped-signature"></ds:Transform>` +
		`<ds:Transform Algorithm="http://www.w3.org/2006/12/xml-c14n11"></ds:Transform></ds:Transforms>` +
		`<ds:DigestMethod Algorithm="http://www.w3.org/2001/04/xmldsig-more#sha384"></ds:DigestMethod>` +
		`<ds:DigestValue>%s</ds:DigestValue></ds:Reference>`
)

// RIM signs a manifest. It is written in canonical form as it stands, so that the
// signature needs no other.
func (m *Maker) RIM(x Manifest) []byte {
	if x.TagID == "" {
		x.TagID = fmt.Sprintf("%x", m.digest("tag", fmt.Sprint(x)))
	}
	body := x.canonical()
	signers := m.signers(x.Product, x.NotBefore, x.NotAfter)
	digest := sha512.Sum384([]byte(body))
	info := fmt.Sprintf(signedInfo, base64.StdEncoding.EncodeToString(digest[:]))
	// The canonical form of a part names the namespaces of what it is in.
	signed := `<ds:SignedInfo xmlns="` + spaceSWID + `" xmlns:ds="` + spaceDSig + `" xmlns:ns0="` + spaceSWID + `" xmlns:ns2="` + spaceSHA384 + `">` + info + `</ds:SignedInfo>`
	var certs strings.Builder
	for _, a := range signers {
		certs.WriteString("<ds:X509Certificate>")
		for line := range slices.Chunk([]byte(base64.StdEncoding.EncodeToString(a.cert.Raw)), 64) {
			certs.Write(append(line, '\n'))
		}
		certs.WriteString("</ds:X509Certificate>")
	}
	signature := `<ds:Signature xmlns:ds="` + spaceDSig + `"><ds:SignedInfo>` + info + `</ds:SignedInfo><ds:SignatureValue>` +
		base64.StdEncoding.EncodeToString(signRaw(signers[0].key, []byte(signed))) +
		`</ds:SignatureValue><ds:KeyInfo><ds:X509Data>` + certs.String() + `</ds:X509Data></ds:KeyInfo></ds:Signature>`
	end := strings.LastIndex(body, "</")
	return []byte(body[:end] + signature + body[end:] + "\n")
}

// signRaw signs as XML signatures have it: r || s, 48 bytes each.
func signRaw(key *ecdsa.PrivateKey, message []byte) []byte {
	digest := sha512.Sum384(message)
	var sig struct{ R, S *big.Int }
	must(asn1.Unmarshal(must(key.Sign(nil, digest[:], crypto.SHA384)), &sig))
	return append(sig.R.FillBytes(make([]byte, 48)), sig.S.FillBytes(make([]byte, 48))...)
}

// canonical is the manifest as a SWID tag in canonical form: attributes in order, no
// element in short form.
func (x Manifest) canonical() string {
	escape := strings.NewReplacer("&", "&amp;", "<", "&lt;", `"`, "&quot;", "\t", "&#x9;", "\n", "&#xA;", "\r", "&#xD;").Replace
	var b strings.Builder
	fmt.Fprintf(&b, `<SoftwareIdentity xmlns="%s" xmlns:ns0="%[1]s" xmlns:ns2="%s" corpus="false" name="%s" patch="false" supplemental="false" tagId="%s" tagVersion="0" version="1.0">`+"\n",
		spaceSWID, spaceSHA384, escape(x.Product), escape(x.TagID))
	b.WriteString(`    <ns0:Entity name="Assay simulation" role="softwareCreator tagCreator"></ns0:Entity>` + "\n")
	fmt.Fprintf(&b, `    <ns0:Meta xmlns:ns1="%s" PayloadType="direct" colloquialVersion="%s" edition="%s" product="%s" revision="r1" ns1:BindingSpec="RIMIM" ns1:PlatformModel="%[4]s"></ns0:Meta>`+"\n",
		spaceTCG, escape(x.Version), escape(x.Edition), escape(x.Product))
	b.WriteString("    <ns0:Payload>\n")
	for _, g := range x.Measurements {
		active := "False"
		if g.Active {
			active = "True"
		}
		var hashes []string
		for i, d := range g.Digests {
			hashes = append(hashes, fmt.Sprintf(` ns2:Hash%d="%x"`, i, d))
		}
		slices.SortFunc(hashes, func(a, b string) int { return strings.Compare(a[:strings.Index(a, "=")], b[:strings.Index(b, "=")]) })
		fmt.Fprintf(&b, `        <ns0:Resource active="%s" alternatives="%d" index="%d" name="%s" size="%d" type="Measurement"%s></ns0:Resource>`+"\n",
			active, len(g.Digests), g.Index, escape(g.Name), g.Size, strings.Join(hashes, ""))
	}
	b.WriteString("    </ns0:Payload>\n</SoftwareIdentity>")
	return b.String()
}
