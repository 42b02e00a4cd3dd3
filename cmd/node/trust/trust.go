// Package trust reads from a folder what identity evidence is judged by: reference
// manifests, revocation answers, and the roots of simulations.
package trust

import (
	"bytes"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/assaynet/assay/checker/evidence"
	"github.com/assaynet/assay/gpu/attest"
)

// Bounds of a folder.
const (
	maxFile  = 1 << 20
	maxFiles = 4096
)

// Load trusts NVIDIA's roots, and takes what the folder has besides; "" has nothing.
// A file is a PEM certificate (the root of a simulation: whatever ends in it is marked
// so), a reference manifest in a form of [Manifest], or an OCSP response (DER or base64). Names do not matter; files that begin with a dot are left out. The
// order of what was read is that of the names, so that the same folder judges alike.
//
// Roots are read first: a manifest may end in one of them.
func Load(dir string) (evidence.Trust, error) {
	trust := evidence.NVIDIA()
	if dir == "" {
		return trust, nil
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return trust, fmt.Errorf("evidence: %w", err)
	}
	if len(entries) > maxFiles {
		return trust, fmt.Errorf("evidence: %s: %d files, at most %d", dir, len(entries), maxFiles)
	}
	type named struct {
		path string
		data []byte
	}
	var rest []named
	for _, e := range entries {
		if e.IsDir() || e.Name()[0] == '.' {
			continue
		}
		path := filepath.Join(dir, e.Name())
		data, err := read(path)
		if err != nil {
			return trust, fmt.Errorf("evidence: %w", err)
		}
		if !bytes.HasPrefix(bytes.TrimSpace(data), []byte("-----BEGIN")) {
			rest = append(rest, named{path, data})
			continue
		}
		roots, err := Roots(data)
		if err != nil {
			return trust, fmt.Errorf("evidence: %s: %w", path, err)
		}
		trust.Roots = trust.Roots.With(roots)
	}
	for _, f := range rest {
		if m := Manifest(f.data); isXML(m) {
			rim, err := attest.ParseRIM(m, trust.Roots)
			if err != nil {
				return trust, fmt.Errorf("evidence: %s: %w", f.path, err)
			}
			trust.Reference.RIMs = append(trust.Reference.RIMs, rim)
			continue
		}
		response, err := attest.ParseOCSP(f.data)
		if r, ok := errors.AsType[*attest.Reason](err); ok && r.Code == attest.CodeOCSPEncoding {
			return trust, fmt.Errorf("evidence: %s: neither a manifest, an OCSP answer nor a root: move it away", f.path)
		}
		if err != nil {
			return trust, fmt.Errorf("evidence: %s: %w", f.path, err)
		}
		trust.Reference.OCSP = append(trust.Reference.OCSP, response)
	}
	return trust, nil
}

// Manifest is the XML of a reference manifest, in any form of NVIDIA's service: the XML,
// its base64, or the service's JSON, in whose member rim that is. Bytes in another form,
// or beyond what a manifest has, are handed back as they are: [attest.ParseRIM] says
// what is wrong with them.
func Manifest(b []byte) []byte {
	const most = 2 * attest.MaxRIM // base64 and a little JSON
	var service struct {
		RIM string `json:"rim"`
	}
	text := bytes.TrimSpace(b)
	if len(text) > most || isXML(text) {
		return b
	}
	if bytes.HasPrefix(text, []byte("{")) {
		if json.Unmarshal(text, &service) != nil {
			return b
		}
		text = []byte(service.RIM)
	}
	xml, err := base64.StdEncoding.DecodeString(string(text)) // line breaks are left out
	if err != nil || !isXML(xml) {
		return b
	}
	return xml
}

// isXML tells whether bytes begin as XML does, after a byte order mark if there is one.
func isXML(b []byte) bool {
	return bytes.HasPrefix(bytes.TrimSpace(bytes.TrimPrefix(b, []byte("\xef\xbb\xbf"))), []byte("<"))
}

// Roots reads PEM certificates as the roots of a simulation, trusted for cards and for
// manifests alike.
func Roots(data []byte) (attest.Trust, error) {
	var t attest.Trust
	for data = bytes.TrimSpace(data); len(data) > 0; data = bytes.TrimSpace(data) {
		block, rest := pem.Decode(data)
		if block == nil || block.Type != "CERTIFICATE" {
			return t, fmt.Errorf("no PEM certificate: %.20q", data)
		}
		c, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return t, err
		}
		root := attest.Root{Name: c.Subject.CommonName, Fingerprint: attest.FingerprintOf(c), Simulated: true}
		t.Devices, t.RIMs = append(t.Devices, root), append(t.RIMs, root)
		data = rest
	}
	if len(t.Devices) == 0 {
		return t, errors.New("no PEM certificate: the file is empty")
	}
	return t, nil
}

// read reads a file of at most maxFile bytes.
func read(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err == nil && len(b) > maxFile {
		err = fmt.Errorf("%s: over %d bytes", path, maxFile)
	}
	return b, err
}
