package attest_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/asn1"
	"encoding/pem"
	"math/big"
	"slices"
	"strings"
	"testing"
	"time"

	. "github.com/assaynet/assay/gpu/attest"
	"github.com/assaynet/assay/gpu/attest/synthetic"
)

func encodePEM(c Chain) []byte {
	var out []byte
	for _, cert := range c {
		out = append(out, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert.Raw})...)
	}
	return out
}

func TestParseChain(t *testing.T) {
	c := synthetic.New([32]byte{1}).Card(synthetic.CardConfig{}).Chain()
	text, der := encodePEM(c), c.DER()
	first := encodePEM(c[:1])
	join := func(parts ...[]byte) []byte { return slices.Concat(parts...) }
	tests := []struct {
		name string
		in   []byte
		n    int
		code Code
	}{
		{"PEM", text, 5, ""},
		{"DER", der, 5, ""},
		{"PEM in a buffer", join([]byte("\n"), text, make([]byte, 900)), 5, ""},
		{"DER in a buffer", join(der, make([]byte, 900)), 5, ""},
		{"PEM with Windows' lines", bytes.ReplaceAll(text, []byte("\n"), []byte("\r\n")), 5, ""},
		{"one", first, 1, ""},
		{"nothing", nil, 0, CodeChainMissing},
		{"an empty buffer", make([]byte, 5120), 0, CodeChainMissing},
		{"white space", []byte(" \n"), 0, CodeChainMissing},
		{"six", join(text, first), 0, CodeChainLong},
		{"six in DER", join(der, c[0].Raw), 0, CodeChainLong},
		{"too long", make([]byte, MaxChain+1), 0, CodeChainLong},
		{"text", []byte("certificate"), 0, CodeChainEncoding},
		{"text before", join([]byte("x\n"), text), 0, CodeChainEncoding},
		{"text between", join(first, []byte("x\n"), first), 0, CodeChainEncoding},
		{"text after", join(first, []byte("x\n")), 0, CodeChainEncoding},
		{"PEM after DER", join(der, first), 0, CodeChainLong},
		{"PEM after one DER", join(c[0].Raw, first), 0, CodeChainEncoding},
		{"DER after PEM", join(first, c[1].Raw), 0, CodeChainEncoding},
		{"a broken block before a good one", join(bytes.Replace(first, []byte("MII"), []byte("M!!"), 1), first), 0, CodeChainEncoding},
		{"a key", bytes.ReplaceAll(first, []byte("CERTIFICATE"), []byte("EC PRIVATE KEY")), 0, CodeChainEncoding},
		{"headers", bytes.Replace(first, []byte("-----\n"), []byte("-----\nA: b\n\n"), 1), 0, CodeChainEncoding},
		{"cut PEM", text[:len(text)-40], 0, CodeChainEncoding},
		{"cut DER", der[:len(der)-1], 0, CodeChainEncoding},
		{"DER of another kind", []byte{0x30, 0}, 0, CodeChainEncoding},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := ParseChain(tt.in)
			if tt.code != "" {
				if err == nil {
					t.Fatalf("%d certificates", len(got))
				}
				if f := reason(t, err); f.Code != tt.code {
					t.Errorf("%v, want %s", f, tt.code)
				}
				return
			}
			if err != nil || !bytes.Equal(got.DER(), c[:tt.n].DER()) {
				t.Error(len(got), err)
			}
		})
	}
}

// Chains that are not as NVIDIA's are, each signed throughout by the root that is
// trusted: the signatures alone do not tell.
func TestChainVerify(t *testing.T) {
	hopper := synthetic.CardConfig{Kind: synthetic.Hopper, PDI: PDI{0xAB}}
	edit := func(index int, change func(*x509.Certificate)) func(int, *x509.Certificate) *ecdsa.PrivateKey {
		return func(i int, tmpl *x509.Certificate) *ecdsa.PrivateKey {
			if i == index {
				change(tmpl)
			}
			return nil
		}
	}
	name := func(index int, s string) func(int, *x509.Certificate) *ecdsa.PrivateKey {
		return edit(index, func(c *x509.Certificate) { c.Subject.CommonName = s })
	}
	serial := func(text string, number int64) func(int, *x509.Certificate) *ecdsa.PrivateKey {
		return edit(1, func(c *x509.Certificate) {
			c.Subject.SerialNumber = text
			if number != 0 {
				c.SerialNumber = big.NewInt(number)
			}
		})
	}
	both := func(text string) func(int, *x509.Certificate) *ecdsa.PrivateKey { // the name and the number
		return edit(1, func(c *x509.Certificate) {
			c.Subject.SerialNumber = text
			c.SerialNumber.SetString(text, 16)
		})
	}
	processor := func(s string) func(int, *x509.Certificate) *ecdsa.PrivateKey { // in both names that have it
		return func(i int, tmpl *x509.Certificate) *ecdsa.PrivateKey {
			tmpl.Subject.CommonName = strings.ReplaceAll(strings.ReplaceAll(tmpl.Subject.CommonName, "A01 GSP", s), "A01 FSP", s)
			return nil
		}
	}
	other := func(curve elliptic.Curve) func(int, *x509.Certificate) *ecdsa.PrivateKey {
		return func(i int, _ *x509.Certificate) *ecdsa.PrivateKey {
			if i != 0 {
				return nil
			}
			k, err := ecdsa.GenerateKey(curve, rand.Reader)
			if err != nil {
				panic(err)
			}
			return k
		}
	}
	tests := []struct {
		name string
		card synthetic.CardConfig
		edit func(int, *x509.Certificate) *ecdsa.PrivateKey
		code Code // empty: verifies
	}{
		{"Hopper", hopper, nil, ""},
		{"Blackwell", synthetic.CardConfig{Kind: synthetic.Blackwell}, nil, ""},
		{"FSP", synthetic.CardConfig{Kind: synthetic.FSP}, nil, ""},
		{"switch", synthetic.CardConfig{Kind: synthetic.Switch}, nil, ""},
		{"a chip to come", synthetic.CardConfig{Kind: synthetic.Blackwell, Chip: "GB202"}, nil, ""},
		{"a family's authority", synthetic.CardConfig{Kind: synthetic.Blackwell, Chip: "GR100"}, name(3, "NVIDIA GR1XX Identity"), ""},

		{"another family's authority", hopper, name(3, "NVIDIA GB1XX Identity"), CodeChainName},
		{"a family with a digit after it", synthetic.CardConfig{Kind: synthetic.Blackwell, Chip: "GR100"}, name(3, "NVIDIA GRX00 Identity"), CodeChainName},
		{"a family of everything", hopper, name(3, "NVIDIA XXXXX Identity"), CodeChainName},
		{"a switch with its own authority", synthetic.CardConfig{Kind: synthetic.Switch}, name(3, "NVIDIA LS_10 Identity"), CodeChainName},
		{"an authority without its vendor", hopper, name(3, "GH100 Identity"), CodeChainName},
		{"an authority without its role", hopper, name(3, "NVIDIA GH100"), CodeChainName},
		{"a manifest's authority", hopper, name(3, "NVIDIA Reference Value GH100 CA"), CodeChainName},
		{"a provisioner of another chip", hopper, name(2, "NVIDIA GB100 Provisioner ICA 1"), CodeChainName},
		{"a provisioner without a number", hopper, name(2, "NVIDIA GH100 Provisioner ICA "), CodeChainName},
		{"a provisioner of six digits", hopper, name(2, "NVIDIA GH100 Provisioner ICA 123456"), CodeChainName},
		{"a device of another chip", hopper, name(1, "GB100 A01 GSP BROM"), CodeChainName},
		{"a device of another step", hopper, name(1, "GH100 A02 GSP BROM"), CodeChainName},
		{"a device of another processor", hopper, name(1, "GH100 A01 FSP BROM"), CodeChainName},
		{"a key of another role", hopper, name(0, "GH100 A01 GSP BROM"), CodeChainName},
		{"a key of another processor", hopper, name(0, "GH100 A01 SEC FMC LF"), CodeChainName},
		{"a chip of another form", hopper, name(0, "GH1000 A01 GSP FMC LF"), CodeChainName},
		{"a chip in small letters", hopper, name(0, "gh100 A01 GSP FMC LF"), CodeChainName},
		{"a switch with a GSP", synthetic.CardConfig{Kind: synthetic.Switch}, name(0, "LS_10 A01 GSP FMC LF"), CodeChainName},
		{"a chip of another form throughout", synthetic.CardConfig{Chip: "GH1000"}, nil, CodeChainName},
		{"a switch's chip of another form throughout", synthetic.CardConfig{Kind: synthetic.Switch, Chip: "LS10"}, nil, CodeChainName},
		{"another processor throughout", hopper, processor("A01 SEC"), CodeChainName},
		{"another step throughout", hopper, processor("A1 GSP"), CodeChainName},
		{"a switch with a GSP throughout", synthetic.CardConfig{Kind: synthetic.Switch}, processor("A01 GSP"), CodeChainName},
		{"a key of another layer", hopper, name(0, "GH100 A01 GSP FMC LX"), CodeChainName},
		{"a key of another firmware", hopper, name(0, "GH100 A01 GSP FMX LF"), CodeChainName},
		{"a name that moves the cursor", hopper, name(0, "GH100 \x1b[2J\u202eé A01"), CodeChainName},
		{"a long name", hopper, name(0, strings.Repeat("GH100 ", 100)), CodeChainName},
		{"no serial number", hopper, serial("", 0), CodeChainName},
		{"a short serial number", hopper, serial("41AB", 0x41AB), CodeChainName},
		{"a serial number in small letters", hopper, serial("41ab00000000000000", 0), CodeChainName},
		{"a firmware processor's serial number", hopper, serial("40AB00000000000000", 0), CodeChainName},
		{"a firmware processor's serial number, twice", hopper, both("40AB00000000000000"), CodeChainName},
		{"a short serial number, twice", hopper, both("41AB"), CodeChainName},
		{"a long serial number, twice", hopper, both("41AB0000000000000000"), CodeChainName},
		{"serial numbers that differ", hopper, serial("41AC00000000000000", 0), CodeChainName},

		{"SHA-256", hopper, edit(1, func(c *x509.Certificate) { c.SignatureAlgorithm = x509.ECDSAWithSHA256 }), CodeChainKey},
		{"P-256", hopper, other(elliptic.P256()), CodeChainKey},
		{"P-521", hopper, other(elliptic.P521()), CodeChainKey},
		{"a key that is an authority", hopper, edit(0, func(c *x509.Certificate) {
			c.IsCA, c.BasicConstraintsValid, c.KeyUsage = true, true, c.KeyUsage|x509.KeyUsageCertSign
		}), CodeChainPath},
		{"a key that says it is none", hopper, edit(0, func(c *x509.Certificate) { c.BasicConstraintsValid = true }), ""},
		{"a device that is no authority", hopper, edit(1, func(c *x509.Certificate) { c.IsCA = false }), CodeChainPath},
		{"a device that may not sign", hopper, edit(1, func(c *x509.Certificate) { c.KeyUsage = x509.KeyUsageDigitalSignature }), CodeChainPath},
		{"a shorter path allowed", hopper, edit(3, func(c *x509.Certificate) { c.MaxPathLen = 1 }), CodeChainPath},
		{"an extension that must be understood", hopper, edit(0, func(c *x509.Certificate) {
			c.ExtraExtensions[0].Id, c.ExtraExtensions[0].Critical = asn1.ObjectIdentifier{1, 2, 3}, true
		}), CodeChainPath},
		{"never valid together", hopper, edit(0, func(c *x509.Certificate) { c.NotAfter = time.Date(2022, 1, 1, 0, 0, 0, 0, time.UTC) }), CodeChainPath},
		{"an older key", hopper, edit(0, func(c *x509.Certificate) { c.NotBefore = time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC) }), ""},
	}
	m := synthetic.New([32]byte{1})
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			tt.card.Edit = tt.edit
			c := m.Card(tt.card).Chain()
			err := c.Verify(m.Trust())
			if tt.code == "" {
				if err != nil || c.Chip() == "" {
					t.Error(err)
				}
				return
			}
			if err == nil {
				t.Fatal("verifies")
			}
			if f := reason(t, err); f.Code != tt.code || len(f.Detail) > 400 {
				t.Errorf("%v, want %s", f, tt.code)
			}
		})
	}
}

// Certificates that are each right, put together wrongly.
func TestChainAssembled(t *testing.T) {
	m := synthetic.New([32]byte{1})
	a := m.Card(synthetic.CardConfig{PDI: PDI{1}}).Chain()
	b := m.Card(synthetic.CardConfig{PDI: PDI{2}}).Chain()
	foreign := synthetic.New([32]byte{2}).Card(synthetic.CardConfig{PDI: PDI{1}}).Chain()
	_, rim := m.Roots()
	tests := []struct {
		name  string
		chain Chain
		codes []Code
	}{
		{"empty", nil, []Code{CodeChainLength}},
		{"without the root", a[:4], []Code{CodeChainLength}},
		{"the root alone", a[4:], []Code{CodeChainLength}},
		{"the root twice", append(slices.Clone(a), a[4]), []Code{CodeChainLength}},
		{"another's key", Chain{b[0], a[1], a[2], a[3], a[4]}, []Code{CodeChainPath}},
		{"another's device", Chain{a[0], b[1], a[2], a[3], a[4]}, []Code{CodeChainPath}},
		{"authorities the other way round", Chain{a[0], a[1], a[3], a[2], a[4]}, []Code{CodeChainName}},
		{"root first", Chain{a[4], a[3], a[2], a[1], a[0]}, []Code{CodeChainRoot}},
		{"a stranger's chain", foreign, []Code{CodeChainRoot}},
		{"a stranger's chain with our root", append(slices.Clone(foreign[:4]), a[4]), []Code{CodeChainPath}},
		{"our chain with a stranger's root", append(slices.Clone(a[:4]), foreign[4]), []Code{CodeChainRoot}},
		{"a manifest's root", append(slices.Clone(a[:4]), rim), []Code{CodeChainRoot}},
		{"a device as its own provisioner", Chain{a[0], a[1], a[1], a[3], a[4]}, []Code{CodeChainName}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			err := tt.chain.Verify(m.Trust())
			if err == nil {
				t.Fatal("verifies")
			}
			if f := reason(t, err); !slices.Contains(tt.codes, f.Code) {
				t.Errorf("%v, want %v", f, tt.codes)
			}
		})
	}
	if Chain(nil).DeviceID() != [32]byte{} || Chain(nil).Chip() != "" {
		t.Error("an empty chain has an identity")
	}
	if pdi, ok := a.PDI(); !ok || pdi != (PDI{1}) {
		t.Error(pdi, ok)
	}
	if pdi, ok := a[:4].PDI(); ok || pdi != (PDI{}) {
		t.Error(pdi, ok)
	}
}

// All that is wrong with a chain comes out, not the first alone. Only of a root that is
// not trusted no path is built: what is signed under a stranger's costs little.
func TestChainAllReasons(t *testing.T) {
	m := synthetic.New([32]byte{1})
	card := m.Card(synthetic.CardConfig{Edit: func(i int, tmpl *x509.Certificate) *ecdsa.PrivateKey {
		switch i {
		case 0:
			tmpl.ExtraExtensions = nil
		case 1:
			tmpl.IsCA = false
		case 2:
			tmpl.Subject.CommonName = "NVIDIA Provisioner"
			tmpl.SignatureAlgorithm = x509.ECDSAWithSHA256
		}
		return nil
	}})
	for _, tt := range []struct {
		name  string
		trust Trust
		want  []Code
	}{
		{"trusted", m.Trust(), []Code{CodeChainKey, CodeChainName, CodeChainPath, CodeFWIDExtension}},
		{"not trusted", NVIDIA(), []Code{CodeChainRoot, CodeChainKey, CodeChainName, CodeFWIDExtension}},
	} {
		res := Verify(card.Sign([32]byte{7}), tt.trust, Reference{})
		if got := rejections(t, res); !slices.Equal(got, tt.want) {
			t.Errorf("%s: %v, want %v: %v", tt.name, got, tt.want, res.Reasons)
		}
		if !res.SignatureOK || res.ChainOK || res.Grade != GradeNone {
			t.Errorf("%s: %+v", tt.name, res)
		}
	}
	// Nor is one built over keys of kinds whose cost is not bounded, whatever the root.
	card = m.Card(synthetic.CardConfig{Edit: func(i int, tmpl *x509.Certificate) *ecdsa.PrivateKey {
		if i != 1 {
			return nil
		}
		tmpl.IsCA = false
		k, err := ecdsa.GenerateKey(elliptic.P521(), rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		return k
	}})
	for _, f := range Verify(card.Sign([32]byte{7}), m.Trust(), Reference{}).Reasons {
		if f.Code == CodeChainPath {
			t.Errorf("a chain with a key on P-521: %v", f)
		}
	}
}

// The clock is no part of a chain's verification; a reference's limits the grade.
func TestChainExpired(t *testing.T) {
	m := synthetic.New([32]byte{1})
	end := time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)
	card := m.Card(synthetic.CardConfig{Edit: func(i int, tmpl *x509.Certificate) *ecdsa.PrivateKey {
		if i == 1 {
			tmpl.NotAfter = end
		}
		return nil
	}})
	for at, want := range map[time.Time]bool{{}: false, end: false, end.Add(time.Second): true, time.Unix(0, 0): true} {
		res := Verify(card.Sign([32]byte{7}), m.Trust(), Reference{At: at})
		got := slices.ContainsFunc(res.Reasons, func(f Reason) bool { return f.Code == CodeChainExpired })
		if got != want || !res.Holds() || res.Grade != GradeIdentity {
			t.Errorf("at %s: %+v", at, res)
		}
	}
}
