package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"

	"github.com/assaynet/assay/gpu/attest"
)

// maxAttest bounds each file, in bytes: a list of eight cards and four switches has
// 143 kB, a reference manifest 20 kB.
const maxAttest = attest.MaxInput

// readInput reads a file whose absence is wrong usage.
func readInput(path string) ([]byte, error) {
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
		certs, err := attest.ParseChain(b)
		if err != nil {
			return t, unreadable(path, err, "want certificates to trust, in PEM")
		}
		var more []attest.Root
		for _, c := range certs {
			more = append(more, attest.Root{Name: c.Subject.CommonName, Fingerprint: attest.FingerprintOf(c), Simulated: true})
		}
		t = t.With(attest.Trust{Devices: more, RIMs: more})
	}
	return t, nil
}

// reference reads the manifests and the OCSP responses. One that does not verify is
// left out, and why is a reason for every device: it never changes the exit code.
func (o *attestOptions) reference(ref *attest.Reference, trust attest.Trust) (left []attest.Reason, err error) {
	ref.RIMs, err = parseEach(o.rims, func(b []byte) (*attest.RIM, error) { return attest.ParseRIM(b, trust) }, &left,
		attest.CodeRIMEncoding, "want a manifest in XML; of the JSON of NVIDIA's service it is the member rim, in base64")
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
