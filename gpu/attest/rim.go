package attest

import (
	"crypto/x509"
	"encoding/hex"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/assaynet/assay/gpu/attest/xmldsig"
)

// Codes of reference manifests whose content is not as it must be.
const (
	CodeRIMLong             Code = "rim-long"              // more than MaxRIM bytes
	CodeRIMRoot             Code = "rim-root"              // not a SWID tag
	CodeRIMStructure        Code = "rim-structure"         // an element or text in a place where none may be
	CodeRIMTag              Code = "rim-tag"               // no name or no tagId
	CodeRIMMeta             Code = "rim-meta"              // no Meta, several, or one without edition or product
	CodeRIMColloquial       Code = "rim-colloquial"        // no colloquialVersion
	CodeRIMPayload          Code = "rim-payload"           // no Payload, or several
	CodeRIMPayloadEmpty     Code = "rim-payload-empty"     // no measurement in it
	CodeRIMMeasurements     Code = "rim-measurements"      // too many
	CodeRIMType             Code = "rim-type"              // a resource that is no measurement
	CodeRIMIndex            Code = "rim-index"             // none, or no number in range
	CodeRIMIndexDuplicate   Code = "rim-index-duplicate"   // two measurements of one index
	CodeRIMActive           Code = "rim-active"            // neither True nor False
	CodeRIMAlternatives     Code = "rim-alternatives"      // none, no number in range, or not as many as there are digests
	CodeRIMSize             Code = "rim-size"              // none, or no number in range
	CodeRIMHash             Code = "rim-hash"              // one of those announced is missing, or not as long as its size says
	CodeRIMHashNamespace    Code = "rim-hash-namespace"    // of no or another algorithm than SHA-384
	CodeRIMHashAlternatives Code = "rim-hash-alternatives" // more than were announced
)

// Limits of a manifest. The known ones have 26 KB, 64 measurements and 4 alternatives.
const (
	MaxRIM          = 256 << 10 // bytes
	maxMeasurements = 256
	maxAlternatives = 16
	maxRIMIndex     = 254 // SPDM's index is one byte, and one more
	maxDigest       = 64  // bytes
	maxRIMText      = 256 // bytes of a name or a version
)

const (
	spaceSWID   = "http://standards.iso.org/iso/19770/-2/2015/schema.xsd"
	spaceSHA384 = "http://www.w3.org/2001/04/xmlenc#sha384"
)

// RIM is a reference integrity manifest whose signature has been checked: what a
// firmware or a driver measures to, as its maker says in a SWID tag.
type RIM struct {
	Name         string   // of the tag: the chip
	Version      string   // of what is measured: of the driver, "550.90.07", or the VBIOS, "96.00.9F.00.01"
	TagID        string   // of this edition of the manifest
	Edition      string   // "GPU" or "SWITCH"
	Product      string   // the chip, "GH100"
	Measurements []Golden // in the order of the manifest; no index twice
	Chain        Chain    // of the signer
	Simulated    bool     // the chain ends in the root of a simulation

	// Expires is when the first certificate of Chain does. A signer lives two years, and
	// what it signed stays true: whether that matters is for the caller to say.
	Expires time.Time
}

// Golden is one measurement that a manifest gives.
type Golden struct {
	Index   int    // from 0: SPDM's index is one more
	Name    string // empty where the manifest gives none
	Active  bool   // it is to be compared
	Size    int    // bytes of each digest
	Digests [][]byte
}

// ParseRIM reads a manifest and checks its signature up to a root of t.RIMs. The
// answer does not depend on the time: see [RIM.Expires]. Errors are a *[Reason].
//
// What the RIM says is taken from the canonical bytes whose digest was signed, never
// from the document as it came.
func ParseRIM(b []byte, t Trust) (*RIM, error) {
	if len(b) > MaxRIM {
		return nil, of(CodeRIMLong, "", "%d bytes, limit %d", len(b), MaxRIM)
	}
	doc, err := xmldsig.Parse(b)
	if err != nil {
		return nil, rimReason(err)
	}
	if !doc.Is(spaceSWID, "SoftwareIdentity") {
		return nil, of(CodeRIMRoot, "", "the root is %.64q of %.96q", doc.Local, doc.Space)
	}
	signed, err := xmldsig.Open(doc)
	if err != nil {
		return nil, rimReason(err)
	}
	chain := Chain(signed.Certificates)
	root, err := verifySigner(chain, t.RIMs)
	if err != nil {
		return nil, err
	}
	r, err := readRIM(signed.Root)
	if err != nil {
		return nil, err
	}
	first := slices.MinFunc(chain, func(a, b *x509.Certificate) int { return a.NotAfter.Compare(b.NotAfter) })
	r.Chain, r.Simulated, r.Expires = chain, root.Simulated, first.NotAfter
	return r, nil
}

// readRIM reads a manifest without its signature.
func readRIM(root *xmldsig.Element) (*RIM, error) {
	children, ok := root.Children()
	if !ok {
		return nil, at(CodeRIMStructure, root.Local, root.Offset, "text beside elements")
	}
	var meta, payload *xmldsig.Element
	for _, c := range children {
		var place **xmldsig.Element
		code := CodeRIMStructure
		switch {
		case c.Is(spaceSWID, "Meta"):
			place, code = &meta, CodeRIMMeta
		case c.Is(spaceSWID, "Payload"):
			place, code = &payload, CodeRIMPayload
		case c.Is(spaceSWID, "Entity"), c.Is(spaceSWID, "Link"):
			continue
		}
		if place == nil || *place != nil {
			return nil, at(code, c.Local, c.Offset, "unknown here, or a second one")
		}
		*place = c
	}
	r := &RIM{}
	if err := r.readMeta(root, meta); err != nil {
		return nil, err
	}
	var err error
	r.Measurements, err = readPayload(payload)
	return r, err
}

func (r *RIM) readMeta(root, meta *xmldsig.Element) error {
	if meta == nil {
		return of(CodeRIMMeta, "Meta", "none")
	}
	for _, a := range []struct {
		code Code
		of   *xmldsig.Element
		name string
		to   *string
	}{
		{CodeRIMColloquial, meta, "colloquialVersion", &r.Version},
		{CodeRIMMeta, meta, "edition", &r.Edition},
		{CodeRIMMeta, meta, "product", &r.Product},
		{CodeRIMTag, root, "name", &r.Name},
		{CodeRIMTag, root, "tagId", &r.TagID},
	} {
		v, _ := a.of.Attr("", a.name)
		if v == "" || len(v) > maxRIMText {
			return at(a.code, a.name, a.of.Offset, "%d bytes, want 1 to %d", len(v), maxRIMText)
		}
		*a.to = v
	}
	return nil
}

// readPayload reads the measurements: the indices of all first, so that what stands
// twice is told as that.
func readPayload(payload *xmldsig.Element) ([]Golden, error) {
	if payload == nil {
		return nil, of(CodeRIMPayload, "Payload", "none")
	}
	resources, ok := payload.Children()
	if !ok {
		return nil, at(CodeRIMStructure, payload.Local, payload.Offset, "text beside elements")
	}
	if n := len(resources); n == 0 || n > maxMeasurements {
		code := CodeRIMMeasurements
		if n == 0 {
			code = CodeRIMPayloadEmpty
		}
		return nil, at(code, "Payload", payload.Offset, "%d measurements, want 1 to %d", n, maxMeasurements)
	}
	goldens := make([]Golden, len(resources))
	var seen [maxRIMIndex + 1]bool
	for i, e := range resources {
		if !e.Is(spaceSWID, "Resource") {
			return nil, at(CodeRIMStructure, e.Local, e.Offset, "no Resource")
		}
		if v, _ := e.Attr("", "type"); v != "Measurement" {
			return nil, at(CodeRIMType, "type", e.Offset, "%.32q", v)
		}
		index, err := number(e, "index", CodeRIMIndex, 0, maxRIMIndex)
		if err != nil {
			return nil, err
		}
		if seen[index] {
			return nil, at(CodeRIMIndexDuplicate, "index", e.Offset, "%d for the second time", index)
		}
		seen[index], goldens[i].Index = true, index
	}
	for i, e := range resources {
		if err := goldens[i].read(e); err != nil {
			return nil, err
		}
	}
	return goldens, nil
}

// read reads what a measurement says besides its index.
func (g *Golden) read(e *xmldsig.Element) error {
	if len(e.Nodes) > 0 {
		return at(CodeRIMStructure, e.Local, e.Offset, "measurement %d is not empty", g.Index)
	}
	g.Name, _ = e.Attr("", "name")
	switch v, _ := e.Attr("", "active"); v {
	case "True":
		g.Active = true
	case "False":
	default:
		return at(CodeRIMActive, "active", e.Offset, "%.32q of measurement %d", v, g.Index)
	}
	n, err := number(e, "alternatives", CodeRIMAlternatives, 1, maxAlternatives)
	if err != nil {
		return err
	}
	if g.Size, err = number(e, "size", CodeRIMSize, 1, maxDigest); err != nil {
		return err
	}
	hashes := 0
	for _, a := range e.Attrs {
		if strings.HasPrefix(a.Local, "Hash") {
			if a.Space != spaceSHA384 {
				return at(CodeRIMHashNamespace, a.Local, e.Offset, "of %.96q, want %q", a.Space, spaceSHA384)
			}
			hashes++
		}
	}
	for i := range n {
		name := "Hash" + strconv.Itoa(i)
		v, ok := e.Attr(spaceSHA384, name)
		digest, err := hex.DecodeString(v)
		if !ok || err != nil || len(digest) != g.Size {
			return at(CodeRIMHash, name, e.Offset, "%.136q of measurement %d, want the hex of %d bytes", v, g.Index, g.Size)
		}
		g.Digests = append(g.Digests, digest)
	}
	if hashes != n {
		return at(CodeRIMHashAlternatives, "alternatives", e.Offset, "%d digests in measurement %d, which announces %d", hashes, g.Index, n)
	}
	return nil
}

// number is an attribute that is a decimal number, written in the one plain way.
func number(e *xmldsig.Element, name string, code Code, low, high int) (int, error) {
	v, ok := e.Attr("", name)
	n, err := strconv.Atoi(v)
	if !ok || err != nil || strconv.Itoa(n) != v || n < low || n > high {
		return 0, at(code, name, e.Offset, "%.32q, want a number from %d to %d", v, low, high)
	}
	return n, nil
}
