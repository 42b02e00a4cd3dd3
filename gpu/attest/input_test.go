package attest_test

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	. "github.com/assaynet/assay/gpu/attest"
	"github.com/assaynet/assay/gpu/attest/synthetic"
)

func TestParseInput(t *testing.T) {
	m := synthetic.New([32]byte{1})
	e := m.Card(synthetic.CardConfig{}).Sign([32]byte{7})
	sw := m.Card(synthetic.CardConfig{Kind: synthetic.Switch}).Sign([32]byte{7})
	c, _ := ParseChain(e.Chain)
	b64 := base64.StdEncoding.EncodeToString
	digits, chain, nonce := hex.EncodeToString(e.Report), b64(encodePEM(c)), hex.EncodeToString(e.Nonce[:])
	entry := fmt.Sprintf(`{"arch":"HOPPER","evidence":%q,"certificate":%q,"nonce":%q}`, b64(e.Report), chain, nonce)
	split := func(report string, ends string) string {
		var pems []string
		for _, cert := range c {
			pems = append(pems, fmt.Sprintf(`{"py/object":"X509","pem":%q}`, b64([]byte(strings.TrimRight(string(encodePEM(Chain{cert})), "\n")+ends))))
		}
		return fmt.Sprintf(`{"Index":0,"AttestationReport":{"py/b64":%q},"CertificateChains":{"GpuAttestationCertificateChain":[%s]}}`, report, strings.Join(pems, ","))
	}
	switchEntry := fmt.Sprintf(`{"uuid":"SWX","attestation_report":{"py/b64":%q},"attestation_cert_chain":[{"pem":%q}]}`, b64(sw.Report), b64(sw.Chain))

	good := []struct {
		name        string
		in          string
		n           int
		chain, nonc bool
	}{
		{"bytes", string(e.Report), 1, false, false},
		{"hex", digits, 1, false, false},
		{"hex in capitals", strings.ToUpper(digits), 1, false, false},
		{"hex in lines", digits[:64] + "\r\n" + digits[64:] + "\n", 1, false, false},
		{"hex with 0x", "0x" + digits, 1, false, false},
		{"hex with 0x for each byte", "0x" + strings.Join(pairs(digits), " 0x"), 1, false, false},
		{`hex with \x for each byte`, `\x` + strings.Join(pairs(digits), `\x`), 1, false, false},
		{"base64", b64(e.Report) + "\n", 1, false, false},
		{"list", "\n[" + entry + "," + entry + "]", 2, true, true},
		{"request", `{"arch":"HOPPER","nonce":"` + nonce + `","evidence_list":[` + strings.Replace(entry, `"nonce"`, `"other"`, 1) + `]}`, 1, true, true},
		{"tool's dump", `{"gpus":[` + split(b64(e.Report), "\n") + `]}`, 1, true, false},
		{"tool's dump without line ends", `{"gpus":[` + split(b64(e.Report), "") + `]}`, 1, true, false},
	}
	for _, tt := range good {
		t.Run(tt.name, func(t *testing.T) {
			all, err := ParseInput([]byte(tt.in))
			if err != nil || len(all) != tt.n {
				t.Fatal(len(all), err)
			}
			for _, got := range all {
				if !bytes.Equal(got.Report, e.Report) || (got.Chain != nil) != tt.chain || (got.Nonce != nil) != tt.nonc {
					t.Fatalf("%d bytes of report, %d of chain, nonce %v", len(got.Report), len(got.Chain), got.Nonce)
				}
				if res := Verify(got, m.Trust(), Reference{}); res.Holds() != tt.chain {
					t.Error(res.Reasons)
				}
			}
		})
	}
	t.Run("cards and switches", func(t *testing.T) {
		all, err := ParseInput([]byte(`{"gpus":[` + split(b64(e.Report), "\n") + `],"nvswitches":[` + switchEntry + `]}`))
		if err != nil || len(all) != 2 {
			t.Fatal(len(all), err)
		}
		for i, mode := range []Mode{ModeCC, ModeSwitch} {
			if res := Verify(all[i], m.Trust(), Reference{}); !res.Holds() || res.Mode != mode {
				t.Error(i, res.Reasons)
			}
		}
	})

	bad := []struct {
		name    string
		in      string
		code    Code
		unknown bool // in no known encoding
	}{
		{"empty", "", CodeInputEncoding, true},
		{"white space", " \n", CodeInputEncoding, true},
		{"text", "evidence", CodeInputEncoding, true},
		{"other bytes", "\x7fELF\x02\x01\x01", CodeInputEncoding, true},
		{"other bytes with a report's second", "\x7f\xe0\x01\xff", CodeInputEncoding, true},
		{"PEM", string(encodePEM(c)), CodeInputEncoding, true},
		{"base64 of something else", b64([]byte("something else")), CodeInputEncoding, true},
		{"hex and more", digits + "!", CodeInputEncoding, true},
		{"0x alone", "0x", CodeInputEncoding, true},
		{"0x within a byte", "10x1e0", CodeInputEncoding, true},
		{"too long", strings.Repeat(" ", MaxInput) + "[]", CodeInputLong, true},
		{"JSON of another shape", `{"a":1}`, CodeInputJSON, true},
		{"a list of something else", `[1,2]`, CodeInputJSON, true},
		{"a list of nothing", `[]`, CodeInputJSON, true},
		{"a list of another type", `{"gpus":{}}`, CodeInputJSON, true},
		{"odd hex", digits[1:], CodeInputHex, false},
		{"cut JSON", "[" + entry[:40], CodeInputJSON, false},
		{"JSON with an escape", "[é\x1b[2J", CodeInputJSON, false},
		{"two lists", "[" + entry + "][]", CodeInputJSON, false},
		{"a long list", "[" + strings.Repeat("{},", 256) + "{}]", CodeInputCount, false},
	}
	for _, tt := range bad {
		t.Run(tt.name, func(t *testing.T) {
			all, err := ParseInput([]byte(tt.in))
			if err == nil {
				t.Fatalf("%d pieces of evidence", len(all))
			}
			if f := reason(t, err); f.Code != tt.code || errors.Is(err, ErrEncoding) != tt.unknown {
				t.Errorf("%v, want %s, in no known encoding: %t", err, tt.code, tt.unknown)
			}
		})
	}
}

func pairs(s string) []string {
	var out []string
	for ; len(s) >= 2; s = s[2:] {
		out = append(out, s[:2])
	}
	return out
}

// A report in a known encoding that does not parse is Verify's to refuse: the file is
// not at fault.
func TestParseInputCutReports(t *testing.T) {
	report := synthetic.New([32]byte{1}).Card(synthetic.CardConfig{}).Sign([32]byte{7}).Report
	later := append([]byte{0x12}, report[1:]...)
	for in, want := range map[string]Code{
		"\x11\xe0":                               CodeReportTruncated,
		string(report[:2000]):                    CodeReportTruncated,
		"11e0":                                   CodeReportTruncated,
		"deadbeef":                               CodeReportVersion,
		"12E001FF":                               CodeReportVersion,
		string(later):                            CodeReportVersion,
		base64.StdEncoding.EncodeToString(later): CodeReportVersion,
	} {
		all, err := ParseInput([]byte(in))
		if err != nil || len(all) != 1 {
			t.Fatal(err)
		}
		if got := rejections(t, Verify(all[0], Trust{}, Reference{})); !slices.Equal(got, []Code{want, CodeChainMissing}) {
			t.Errorf("%.20q: %v, want %s", in, got, want)
		}
	}
}

// An entry that cannot be decoded is refused for that, whatever the rest of it is, and
// the others stand.
func TestParseInputEntries(t *testing.T) {
	m := synthetic.New([32]byte{1})
	e := m.Card(synthetic.CardConfig{}).Sign([32]byte{7})
	b64 := base64.StdEncoding.EncodeToString
	report, chain, nonce := b64(e.Report), b64(e.Chain), hex.EncodeToString(e.Nonce[:])
	entry := func(report, chain, nonce string) string {
		return fmt.Sprintf(`{"evidence":%q,"certificate":%q,"nonce":%q}`, report, chain, nonce)
	}
	tests := []struct {
		name, entry string
		want        []Code
	}{
		{"no report", entry("", chain, nonce), []Code{CodeInputEvidence, CodeReportTruncated}},
		{"no base64", entry("!"+report, chain, nonce), []Code{CodeInputEvidence, CodeReportTruncated}},
		{"no chain", entry(report, "", nonce), []Code{CodeChainMissing}},
		{"a chain not in base64", entry(report, "!"+chain, nonce), []Code{CodeInputCertificate, CodeChainMissing}},
		{"a short nonce", entry(report, chain, nonce[2:]), []Code{CodeInputNonce}},
		{"a nonce not in hex", entry(report, chain, nonce[2:]+"xx"), []Code{CodeInputNonce}},
		{"another nonce", entry(report, chain, strings.Repeat("08", 32)), []Code{CodeNonceMismatch}},
		{"an empty entry", `{}`, []Code{CodeInputEvidence, CodeReportTruncated, CodeChainMissing}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			all, err := ParseInput([]byte("[" + tt.entry + "," + entry(report, chain, nonce) + "]"))
			if err != nil || len(all) != 2 {
				t.Fatal(len(all), err)
			}
			if got := rejections(t, Verify(all[0], m.Trust(), Reference{})); !slices.Equal(got, tt.want) {
				t.Errorf("%v, want %v", got, tt.want)
			}
			if res := Verify(all[1], m.Trust(), Reference{}); !res.Holds() {
				t.Errorf("its neighbour: %v", res.Reasons)
			}
		})
	}
}
