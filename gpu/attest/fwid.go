package attest

import (
	"bytes"
	"crypto/x509"
	"encoding/asn1"
)

// Codes of firmware digests. Match absent is no finding that rejects: drivers before
// R550 did not report one, and firmware processors do not.
const (
	CodeFWIDAbsent    Code = "fwid-absent"    // the report has none to compare
	CodeFWIDMismatch  Code = "fwid-mismatch"  // the report's is not the certificate's
	CodeFWIDExtension Code = "fwid-extension" // the certificate's cannot be read
	CodeFWIDKey       Code = "fwid-key"       // the certificate names another device's key
)

// Match is how a report's firmware digest compares with that in the certificate of the
// key that signed it.
type Match string

// Matches.
const (
	Matches    Match = "match"
	Absent     Match = "absent" // the report has none
	Mismatches Match = "mismatch"
)

// firmwareID is what the first certificate says of the firmware that its key was
// derived for.
type firmwareID struct {
	digest []byte // SHA-384
	key    []byte // SubjectPublicKeyInfo of certificate 1; nil where the form has none
	model  string // the processor's name; empty where the form has none
}

// fwid is the TCG's FWID structure.
type fwid struct {
	Algorithm asn1.ObjectIdentifier
	Digest    []byte
}

// parseFirmwareID reads the TCG's DICE extension of a certificate. There are two forms:
// Hopper and its switch have a CompositeDeviceID (2.23.133.5.4.1), later chips a TcbInfo
// (2.23.133.5.4.1.1).
func parseFirmwareID(c *x509.Certificate) (firmwareID, *Reason) {
	var (
		id    firmwareID
		found int
		ok    bool
	)
	for _, ext := range c.Extensions {
		switch {
		case ext.Id.Equal(asn1.ObjectIdentifier{2, 23, 133, 5, 4, 1}):
			found++
			id, ok = parseComposite(ext.Value)
		case ext.Id.Equal(asn1.ObjectIdentifier{2, 23, 133, 5, 4, 1, 1}):
			found++
			id, ok = parseTcbInfo(ext.Value)
		}
	}
	switch {
	case found != 1:
		return firmwareID{}, of(CodeFWIDExtension, certificate(0), "%d extensions with a firmware digest, want 1", found)
	case !ok:
		return firmwareID{}, of(CodeFWIDExtension, certificate(0), "its extension with a firmware digest does not parse")
	}
	return id, nil
}

func (f fwid) ok() bool {
	return f.Algorithm.Equal(asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 2, 2}) && len(f.Digest) == 48
}

// composite is the TCG's CompositeDeviceID.
type composite struct {
	Version int
	Key     asn1.RawValue
	FWID    fwid
}

// tcbInfo is the TCG's DiceTcbInfo, with the members that NVIDIA's have.
type tcbInfo struct {
	Vendor     string         `asn1:"tag:0,utf8"`
	Model      string         `asn1:"tag:1,utf8"`
	Version    string         `asn1:"tag:2,utf8"`
	SVN        int            `asn1:"tag:3"`
	Layer      int            `asn1:"tag:4"`
	Index      int            `asn1:"tag:5"`
	FWIDs      []fwid         `asn1:"tag:6"`
	Flags      asn1.BitString `asn1:"tag:7"`
	VendorInfo []byte         `asn1:"tag:8"`
	Type       []byte         `asn1:"tag:9"`
}

func parseComposite(der []byte) (firmwareID, bool) {
	v, ok := decode[composite](der)
	return firmwareID{digest: v.FWID.Digest, key: v.Key.FullBytes}, ok && v.Version == 1 && v.FWID.ok()
}

// parseTcbInfo takes the first of the firmware's digests: the second is zero in every
// certificate seen.
func parseTcbInfo(der []byte) (firmwareID, bool) {
	v, ok := decode[tcbInfo](der)
	if !ok || v.Vendor != "NVIDIA" || len(v.FWIDs) == 0 || !v.FWIDs[0].ok() {
		return firmwareID{}, false
	}
	return firmwareID{digest: v.FWIDs[0].Digest, model: v.Model}, true
}

// decode decodes a structure that is all of its encoding: the decoder alone skips
// elements after those it was asked for.
func decode[T any](der []byte) (v T, ok bool) {
	if _, err := asn1.Unmarshal(der, &v); err != nil {
		return v, false
	}
	again, err := asn1.Marshal(v)
	return v, err == nil && bytes.Equal(again, der)
}

// checkFWID compares the report's firmware digest with its chain's, and what else the
// certificate says there with the chain's other names. The report may be nil.
func checkFWID(r *Report, c Chain) (Match, []Reason) {
	id, fault := parseFirmwareID(c[0])
	var (
		out    []Reason
		report []byte
	)
	if fault != nil {
		out = append(out, *fault)
	}
	if len(c) > 1 && id.key != nil && !bytes.Equal(id.key, c[1].RawSubjectPublicKeyInfo) {
		out = append(out, *of(CodeFWIDKey, certificate(0), "its extension names another key than certificate 1's"))
	}
	if want := id.model + " FMC LF"; id.model != "" && c[0].Subject.CommonName != want {
		out = append(out, *of(CodeFWIDKey, certificate(0), "its extension is of %q, its name %q", clip(id.model), clip(c[0].Subject.CommonName)))
	}
	if r != nil {
		report = r.FWID()
	}
	switch {
	case r == nil:
		return Absent, out
	case report == nil:
		return Absent, append(out, *of(CodeFWIDAbsent, "opaque field", "the report has no type %d", FieldFWID))
	case fault != nil:
		return Mismatches, out
	case !bytes.Equal(report, id.digest):
		return Mismatches, append(out, *of(CodeFWIDMismatch, "opaque field", "type %d is %x, certificate 0 says %x", FieldFWID, report, id.digest))
	}
	return Matches, out
}
