package attest

import (
	"bytes"
	"cmp"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
)

// Codes of files that hold no evidence.
const (
	CodeInputLong        Code = "input-long"        // more than MaxInput bytes
	CodeInputEncoding    Code = "input-encoding"    // in no known encoding
	CodeInputHex         Code = "input-hex"         // hex digits that are no whole bytes
	CodeInputJSON        Code = "input-json"        // JSON that is cut or broken, or no evidence list
	CodeInputCount       Code = "input-count"       // an evidence list of too much
	CodeInputEvidence    Code = "input-evidence"    // an entry without a report
	CodeInputCertificate Code = "input-certificate" // an entry whose certificates are not encoded as such lists do
	CodeInputNonce       Code = "input-nonce"       // an entry whose nonce is not 32 bytes in hex
)

// Evidence is what a device, or whoever speaks for it, hands over.
type Evidence struct {
	Report []byte    // see ParseReport
	Chain  []byte    // see ParseChain
	Nonce  *[32]byte // what the report was asked to sign; nil: not known, and not compared

	faults []Reason // of an entry of a list that is not encoded as such lists are
}

// ErrEncoding matches (errors.Is) an error of ParseInput that says the file is in no
// encoding that it knows. Every other error is of a file in a known encoding that does
// not parse.
var ErrEncoding = errors.New("no known encoding of evidence")

const (
	MaxInput   = 4 << 20 // bytes of a file
	maxEntries = 256     // pieces of evidence in a list
)

// ParseInput reads a file with evidence. How it is encoded is told by how it begins:
//
//   - bytes: an SPDM version of 1.x and the code of GET_MEASUREMENTS, however it goes on;
//   - hex digits, with white space, 0x or \x anywhere between bytes, and nothing else;
//   - base64, and nothing else, of bytes that begin as above;
//   - JSON: { or [. NVIDIA's lists of {"evidence", "certificate", "nonce"}, alone or as
//     "evidence_list"; or the dumps of its older Python tools, with "gpus" and
//     "nvswitches".
//
// Reports and chains are handed on as they are: [Verify] parses them. Evidence of a
// list brings its chain and, where the list has one, the nonce. An entry that is not
// encoded as it should be does not hide the others: Verify rejects it, with the reason.
//
// An error is, or wraps, a *[Reason]. One that matches [ErrEncoding] is of a file in
// none of these encodings: other bytes, other text, JSON of another shape.
func ParseInput(b []byte) ([]Evidence, error) {
	if len(b) > MaxInput {
		return nil, unknown(of(CodeInputLong, "file", "%d bytes, at most %d are read", len(b), MaxInput))
	}
	if isReport(b) {
		return []Evidence{{Report: bytes.Clone(b)}}, nil
	}
	trimmed := bytes.TrimSpace(b)
	switch {
	case len(trimmed) == 0:
		return nil, unknown(of(CodeInputEncoding, "file", "empty"))
	case trimmed[0] == '{' || trimmed[0] == '[':
		return parseJSON(trimmed)
	}
	if digits, ok := hexDigits(trimmed); ok {
		report, err := hex.DecodeString(digits)
		if err != nil {
			return nil, of(CodeInputHex, "file", "%d hex digits, want an even number", len(digits))
		}
		return []Evidence{{Report: report}}, nil
	}
	if report, ok := decode64(string(trimmed)); ok && isReport(report) {
		return []Evidence{{Report: report}}, nil
	}
	return nil, unknown(of(CodeInputEncoding, "file", "neither a report's bytes, hex digits, base64 of a report, nor JSON"))
}

func unknown(f *Reason) error { return fmt.Errorf("%w: %w", ErrEncoding, f) }

// isReport tells whether bytes begin as a report does, of any version of SPDM 1.
func isReport(b []byte) bool {
	return len(b) >= 2 && b[0]>>4 == spdmVersion>>4 && b[1] == getMeasurements
}

// hexDigits strips a text of what stands between hex bytes; false if anything else is
// in it, or nothing is left.
func hexDigits(b []byte) (string, bool) {
	out := make([]byte, 0, len(b))
	for i := 0; i < len(b); i++ {
		switch c := b[i]; {
		case c == ' ' || c == '\t' || c == '\r' || c == '\n':
		case len(out)%2 == 0 && i+1 < len(b) && (c == '0' || c == '\\') && (b[i+1] == 'x' || b[i+1] == 'X'):
			i++
		case c >= '0' && c <= '9', c >= 'a' && c <= 'f', c >= 'A' && c <= 'F':
			out = append(out, c)
		default:
			return "", false
		}
	}
	return string(out), len(out) > 0
}

// decode64 decodes standard base64; line breaks are allowed.
func decode64(s string) ([]byte, bool) {
	b, err := base64.StdEncoding.DecodeString(s)
	return b, err == nil
}

// The vendors' forms. Numbers and names that they also have are not read: all that
// counts is signed in the report.
type (
	base64Text struct {
		Data string `json:"py/b64"`
	}
	pemText struct {
		PEM string `json:"pem"`
	}
	listEntry struct {
		Evidence    string `json:"evidence"`
		Certificate string `json:"certificate"`
		Nonce       string `json:"nonce"`
	}
	list struct {
		EvidenceList []listEntry `json:"evidence_list"`
		Nonce        string      `json:"nonce"`
		GPUs         []struct {
			Report base64Text `json:"AttestationReport"`
			Chains struct {
				Chain []pemText `json:"GpuAttestationCertificateChain"`
			} `json:"CertificateChains"`
		} `json:"gpus"`
		Switches []struct {
			Report base64Text `json:"attestation_report"`
			Chain  []pemText  `json:"attestation_cert_chain"`
		} `json:"nvswitches"`
	}
)

func parseJSON(b []byte) ([]Evidence, error) {
	var (
		l   list
		err error
	)
	if b[0] == '[' {
		err = json.Unmarshal(b, &l.EvidenceList)
	} else {
		err = json.Unmarshal(b, &l)
	}
	if _, shape := errors.AsType[*json.UnmarshalTypeError](err); err != nil && !shape {
		return nil, of(CodeInputJSON, "file", "%s", clip(err.Error()))
	}
	n := len(l.EvidenceList) + len(l.GPUs) + len(l.Switches)
	switch {
	case err != nil || n == 0:
		return nil, unknown(of(CodeInputJSON, "file", "JSON that is no list of evidence"))
	case n > maxEntries:
		return nil, of(CodeInputCount, "file", "%d pieces of evidence, at most %d are read", n, maxEntries)
	}
	out := make([]Evidence, 0, n)
	for i, v := range l.EvidenceList {
		// A request for all of a list has one nonce.
		out = append(out, decodeEntry(fmt.Sprintf("evidence %d", i), v.Evidence, []pemText{{v.Certificate}}, cmp.Or(v.Nonce, l.Nonce)))
	}
	for i, v := range l.GPUs {
		out = append(out, decodeEntry(fmt.Sprintf("gpu %d", i), v.Report.Data, v.Chains.Chain, l.Nonce))
	}
	for i, v := range l.Switches {
		out = append(out, decodeEntry(fmt.Sprintf("switch %d", i), v.Report.Data, v.Chain, l.Nonce))
	}
	return out, nil
}

// decodeEntry decodes the texts of a list's entry.
func decodeEntry(where, report string, chain []pemText, nonce string) (e Evidence) {
	bad := func(code Code, format string, args ...any) {
		e.faults = append(e.faults, *of(code, where, format, args...))
	}
	var ok bool
	if e.Report, ok = decode64(report); !ok || report == "" {
		bad(CodeInputEvidence, "no report in base64")
	}
	for i, c := range chain {
		der, ok := decode64(c.PEM)
		if !ok {
			bad(CodeInputCertificate, "text %d of its certificates is not in base64", i)
		}
		if e.Chain = append(e.Chain, der...); bytes.HasSuffix(der, []byte("-")) {
			e.Chain = append(e.Chain, '\n') // PEM needs lines of its own
		}
	}
	if nonce != "" {
		n, err := hex.DecodeString(nonce)
		if err != nil || len(n) != 32 {
			bad(CodeInputNonce, "a nonce of %d characters, want 64 hex digits", len(nonce))
			return e
		}
		e.Nonce = (*[32]byte)(n)
	}
	return e
}
