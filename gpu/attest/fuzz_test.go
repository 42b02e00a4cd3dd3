package attest_test

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"testing"

	. "github.com/assaynet/assay/gpu/attest"
	"github.com/assaynet/assay/gpu/attest/synthetic"
)

// FuzzReport: no bytes make the parser, or what reads its result, panic; what parses is
// covered by its signature to the last byte before it, and nothing but what the card
// signed holds.
func FuzzReport(f *testing.F) {
	m := synthetic.New([32]byte{1})
	honest := map[string]bool{}
	var chains [][]byte
	for _, k := range kinds {
		for _, format := range []string{FormatTLV, FormatNVDAOD} {
			e := m.Card(synthetic.CardConfig{Kind: k, Format: format}).Sign([32]byte{7})
			f.Add(e.Report)
			honest[string(e.Report)] = true
			chains = append(chains, e.Chain)
		}
	}
	trust := m.Trust()
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := ParseReport(b)
		if err != nil {
			if reason(t, err); r != nil {
				t.Fatal("a report and an error")
			}
			return
		}
		rest := b[len(r.Signed)+len(r.Signature):]
		if !bytes.HasPrefix(b, r.Signed) || len(bytes.Trim(rest, "\x00")) > 0 {
			t.Fatalf("%d bytes are signed of %d", len(r.Signed), len(b))
		}
		r.Model()
		r.Peers()
		r.RIMs("GH100")
		Contradictions(r, nil)
		if honest[string(b[:len(b)-len(rest)])] {
			return
		}
		for _, c := range chains {
			if res := Verify(Evidence{Report: b, Chain: c}, trust, Reference{}); res.Holds() || res.Grade != GradeNone {
				t.Fatalf("holds: %+v", res)
			}
		}
	})
}

// FuzzChain: no bytes make the parser or the verification panic, and nothing but the
// maker's own certificates verifies.
func FuzzChain(f *testing.F) {
	m := synthetic.New([32]byte{1})
	honest := map[string]bool{}
	for _, k := range kinds {
		c := m.Card(synthetic.CardConfig{Kind: k}).Chain()
		f.Add(c.DER())
		f.Add(encodePEM(c))
		honest[string(c.DER())] = true
	}
	trust := m.Trust()
	f.Fuzz(func(t *testing.T, b []byte) {
		c, err := ParseChain(b)
		if err != nil {
			reason(t, err)
			return
		}
		c.Chip()
		c.PDI()
		c.DeviceID()
		if again, err := ParseChain(c.DER()); err != nil || !bytes.Equal(again.DER(), c.DER()) {
			t.Fatalf("a chain that does not parse again: %v", err)
		}
		Verify(Evidence{Chain: b}, trust, Reference{})
		if err := c.Verify(trust); (err == nil) != honest[string(c.DER())] {
			t.Fatalf("verifies: %v", err)
		}
	})
}

// FuzzInput: no file makes the reader panic, and what it gives can be verified.
func FuzzInput(f *testing.F) {
	m := synthetic.New([32]byte{1})
	e := m.Card(synthetic.CardConfig{Kind: synthetic.Switch}).Sign([32]byte{7})
	b64 := base64.StdEncoding.EncodeToString
	f.Add(e.Report)
	f.Add([]byte(hex.EncodeToString(e.Report)))
	f.Add([]byte(b64(e.Report)))
	f.Add(fmt.Appendf(nil, `[{"evidence":%q,"certificate":%q,"nonce":"%x"}]`, b64(e.Report), b64(e.Chain), *e.Nonce))
	f.Add(fmt.Appendf(nil, `{"nvswitches":[{"attestation_report":{"py/b64":%q},"attestation_cert_chain":[{"pem":%q}]}]}`, b64(e.Report), b64(e.Chain)))
	f.Add([]byte(`{"gpus":[{"AttestationReport":{"py/b64":"EeA="},"CertificateChains":{"GpuAttestationCertificateChain":[{"pem":""}]}}]}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		all, err := ParseInput(b)
		if err != nil {
			if reason(t, err); len(all) > 0 {
				t.Fatal("evidence and an error")
			}
			return
		}
		if len(all) == 0 || len(all) > 256 {
			t.Fatalf("%d pieces of evidence", len(all))
		}
		for _, e := range all {
			res := Verify(e, NVIDIA(), Reference{})
			if res.Holds() || len(res.Reasons) == 0 {
				t.Fatalf("%+v", res)
			}
		}
	})
}
