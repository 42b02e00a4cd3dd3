package attest_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"slices"
	"testing"

	. "github.com/assaynet/assay/gpu/attest"
	"github.com/assaynet/assay/gpu/attest/synthetic"
)

func TestFWID(t *testing.T) {
	type exts = []pkix.Extension
	value := func(change func([]byte) []byte) func(exts) exts {
		return func(e exts) exts { e[0].Value = change(bytes.Clone(e[0].Value)); return e }
	}
	replace := func(old, new string) func(exts) exts {
		return value(func(b []byte) []byte {
			if !bytes.Contains(b, []byte(old)) {
				panic(old)
			}
			return bytes.Replace(b, []byte(old), []byte(new), 1)
		})
	}
	m := synthetic.New([32]byte{1})
	var later pkix.Extension
	for _, e := range m.Card(synthetic.CardConfig{Kind: synthetic.Blackwell}).Chain()[0].Extensions {
		if e.Id.Equal(asn1.ObjectIdentifier{2, 23, 133, 5, 4, 1, 1}) {
			later = e
		}
	}
	const sha384, sha256 = "\x60\x86\x48\x01\x65\x03\x04\x02\x02", "\x60\x86\x48\x01\x65\x03\x04\x02\x01"
	tests := []struct {
		name string
		kind synthetic.Kind
		edit func(exts) exts
		fwid Match
		want []Code
	}{
		{"Hopper", synthetic.Hopper, nil, Matches, nil},
		{"Blackwell", synthetic.Blackwell, nil, Matches, nil},
		{"firmware processor", synthetic.FSP, nil, Absent, nil},
		{"switch", synthetic.Switch, nil, Absent, nil},
		{"no extension", synthetic.Hopper, func(exts) exts { return nil }, Mismatches, []Code{CodeFWIDExtension}},
		{"no extension, nothing to compare", synthetic.Switch, func(exts) exts { return nil }, Absent, []Code{CodeFWIDExtension}},
		{"both forms", synthetic.Hopper, func(e exts) exts {
			return append(e, later)
		}, Mismatches, []Code{CodeFWIDExtension}},
		{"empty", synthetic.Hopper, value(func([]byte) []byte { return nil }), Mismatches, []Code{CodeFWIDExtension}},
		{"cut", synthetic.Hopper, value(func(b []byte) []byte { return b[:len(b)-1] }), Mismatches, []Code{CodeFWIDExtension}},
		{"a byte after it", synthetic.Hopper, value(func(b []byte) []byte { return append(b, 0) }), Mismatches, []Code{CodeFWIDExtension}},
		{"an element after it", synthetic.Hopper, value(func(b []byte) []byte { b[2] += 2; return append(b, 5, 0) }), Mismatches, []Code{CodeFWIDExtension}},
		{"another version", synthetic.Hopper, value(func(b []byte) []byte { b[5] = 2; return b }), Mismatches, []Code{CodeFWIDExtension}},
		{"another hash", synthetic.Hopper, value(func(b []byte) []byte {
			i := bytes.LastIndex(b, []byte(sha384))
			copy(b[i:], sha256)
			return b
		}), Mismatches, []Code{CodeFWIDExtension}},
		{"another digest", synthetic.Hopper, value(func(b []byte) []byte { b[len(b)-1] ^= 1; return b }), Mismatches, []Code{CodeFWIDMismatch}},
		{"another key", synthetic.Hopper, value(func(b []byte) []byte { b[60] ^= 1; return b }), Matches, []Code{CodeFWIDKey}},
		{"another digest, later form", synthetic.Blackwell, value(func(b []byte) []byte {
			i := bytes.Index(b, []byte(sha384)) + len(sha384) + 2
			b[i] ^= 1
			return b
		}), Mismatches, []Code{CodeFWIDMismatch}},
		{"another hash, later form", synthetic.Blackwell, replace(sha384, sha256), Mismatches, []Code{CodeFWIDExtension}},
		{"another vendor", synthetic.Blackwell, replace("NVIDIA", "AIDIVN"), Mismatches, []Code{CodeFWIDExtension}},
		{"another processor", synthetic.FSP, replace("GB100 A01 FSP", "GB100 A01 GSP"), Absent, []Code{CodeFWIDKey}},
		{"a byte after it, later form", synthetic.Blackwell, value(func(b []byte) []byte { return append(b, 0) }), Mismatches, []Code{CodeFWIDExtension}},
		{"an element after it, later form", synthetic.Blackwell, value(func(b []byte) []byte { b[2] += 2; return append(b, 5, 0) }), Mismatches, []Code{CodeFWIDExtension}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			cfg := synthetic.CardConfig{Kind: tt.kind}
			if tt.edit != nil {
				cfg.Edit = func(i int, tmpl *x509.Certificate) *ecdsa.PrivateKey {
					if i == 0 {
						tmpl.ExtraExtensions = tt.edit(tmpl.ExtraExtensions)
					}
					return nil
				}
			}
			res := Verify(m.Card(cfg).Sign([32]byte{7}), m.Trust(), Reference{})
			if got := rejections(t, res); !slices.Equal(got, tt.want) || res.FWID != tt.fwid || res.Holds() != (tt.want == nil) {
				t.Errorf("%v, want %v; %s, want %s: %v", got, tt.want, res.FWID, tt.fwid, res.Reasons)
			}
		})
	}
}
