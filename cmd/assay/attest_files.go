package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/assaynet/assay/cmd/node/trust"
	"github.com/assaynet/assay/gpu/attest"
)

// maxAttest bounds each file, in bytes: a list of eight cards and four switches has
// 143 kB, a reference manifest 20 kB.
const maxAttest = attest.MaxInput

// readInput reads a file whose absence is wrong usage.
func readInput(path string) ([]byte, error) {
	if path == "-" {
		return nil, hinted{usageError{errors.New("-: only REPORT is read from standard input")}, "write it into a file; one that is called so is ./-"}
	}
	b, err := readFile(path, maxAttest)
	if err != nil {
		return nil, hinted{usageError{err}, "assay attest verify --help says which files it takes"}
	}
	return b, nil
}

// readReport reads the report from a file, or from standard input.
func readReport(stdin io.Reader, path string) ([]byte, error) {
	if path != "-" {
		return readInput(path)
	}
	b, err := io.ReadAll(io.LimitReader(stdin, maxAttest+1))
	if err == nil && len(b) > maxAttest {
		err = fmt.Errorf("over %d bytes", maxAttest)
	}
	if err != nil {
		return nil, hinted{usageError{fmt.Errorf("standard input: %w", err)}, "- reads the report from standard input"}
	}
	return b, nil
}

// readChain reads a chain that looks like one. Whether it parses is for its device's
// result to say.
func readChain(path string) ([]byte, error) {
	b, err := readInput(path)
	if err != nil {
		return nil, err
	}
	const sequence = 0x30 // what DER begins with
	if t := bytes.TrimSpace(b); !bytes.HasPrefix(t, []byte("-----BEGIN ")) && !bytes.HasPrefix(t, []byte{sequence}) {
		return nil, unreadable(path, errors.New("no certificates"), "want the device's certificate chain in PEM, or in DER one after another")
	}
	return b, nil
}

// trust is NVIDIA's roots and those of --root.
func (o *attestOptions) trust() (attest.Trust, error) {
	t := attest.NVIDIA()
	for _, path := range o.roots {
		b, err := readInput(path)
		if err != nil {
			return t, err
		}
		more, err := trust.Roots(b)
		if err != nil {
			return t, unreadable(path, err, "want certificates to trust, in PEM")
		}
		t = t.With(more)
	}
	return t, nil
}

// reference reads the manifests and the OCSP responses. One that does not verify is
// left out, and why is a reason for every device: it never changes the exit code.
func (o *attestOptions) reference(ref *attest.Reference, roots attest.Trust) (left []attest.Reason, err error) {
	ref.RIMs, err = parseEach(o.rims, func(b []byte) (*attest.RIM, error) { return attest.ParseRIM(trust.Manifest(b), roots) }, &left,
		attest.CodeRIMEncoding, "want a manifest: its XML, that in base64, or the JSON of NVIDIA's service")
	if err == nil {
		ref.OCSP, err = parseEach(o.ocsp, attest.ParseOCSP, &left, attest.CodeOCSPEncoding, "want an OCSP response, in DER or base64")
	}
	return left, err
}

// parseEach parses files. Those that do not parse are left, with the reason, but for
// the code of files in no known encoding.
func parseEach[T any](paths []string, parse func([]byte) (T, error), left *[]attest.Reason, unknown attest.Code, hint string) (out []T, err error) {
	for _, path := range paths {
		b, err := readInput(path)
		if err != nil {
			return nil, err
		}
		v, err := parse(b)
		if err == nil {
			out = append(out, v)
			continue
		}
		r := reasonOf(err)
		if r.Code == unknown {
			return nil, unreadable(path, err, hint)
		}
		r.Detail = path + ": " + r.Detail
		*left = append(*left, r)
	}
	return out, nil
}

// reasonOf is an error of the package attest as a line of a result.
func reasonOf(err error) attest.Reason {
	if r, ok := errors.AsType[*attest.Reason](err); ok {
		return *r
	}
	return attest.Reason{Code: attest.CodeInputEncoding, Detail: err.Error(), Offset: -1}
}

// unparsed is the result for a file that does not parse.
func unparsed(err error) attest.Result {
	return attest.Result{
		FWID: attest.Absent, RIM: attest.RIMResult{Driver: attest.RIMAbsent, VBIOS: attest.RIMAbsent}, OCSP: attest.OCSPAbsent,
		Grade: attest.GradeNone, Reasons: []attest.Reason{reasonOf(err)},
	}
}

// instead says what a file is that holds no evidence, and what to do with it.
func instead(b []byte) string {
	var one struct {
		Evidence string `json:"evidence"`
	}
	for _, mark := range []string{"\xef\xbb\xbf", "\xff\xfe", "\xfe\xff"} {
		if bytes.HasPrefix(b, []byte(mark)) {
			return "it begins with a byte order mark: write it again as UTF-8 without one"
		}
	}
	if json.Unmarshal(b, &one) == nil && one.Evidence != "" {
		return "this is one piece of evidence: put it in a list, with [ before it and ] after it"
	}
	if _, err := attest.ParseChain(b); err == nil || bytes.Contains(b, []byte("-----BEGIN CERTIFICATE-----")) {
		return "this is a certificate chain: --chain takes it"
	}
	if bytes.Contains(trust.Manifest(b), []byte("SoftwareIdentity")) {
		return "this is a reference manifest: --rim takes it"
	}
	if _, err := attest.ParseOCSP(b); err == nil {
		return "this is an OCSP answer: --ocsp takes it"
	}
	return "want a report in raw bytes, hex or base64, or a list of evidence in the JSON of NVIDIA's tools"
}
