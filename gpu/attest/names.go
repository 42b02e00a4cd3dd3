package attest

import (
	"encoding/hex"
	"fmt"
	"strings"
)

// names is what the subjects of a chain say.
type names struct {
	token     string // the chip, as the names write it: GH100, GB100, GR100, LS_10
	step      string // of the chip: A01
	processor string // that measures and signs: GSP or FSP
	pdi       PDI    // of certificate 1's serial number
}

func certificate(i int) string { return fmt.Sprintf("certificate %d", i) }

// clip makes a stranger's text one for a message, which comes to terminals: at most 160
// printable characters of ASCII.
func clip(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' {
			return '?'
		}
		return r
	}, s[:min(len(s), 160)])
}

// names are what the chain's subjects say; false if they are not NVIDIA's.
func (c Chain) names() (names, bool) {
	if len(c) != chainLength {
		return names{}, false
	}
	n, fault := c.parseNames()
	if fault != nil {
		return names{}, false
	}
	return n, true
}

// parseNames reads the subjects of a chain of five. The chains at hand are of GH100,
// GB100 and GR100 (with GSP or FSP) and of the switch LS_10 (with FSP). Other chips of
// names of the same form are accepted, any other form is refused.
func (c Chain) parseNames() (names, *Reason) {
	bad := func(i int, want string) (names, *Reason) {
		return names{}, of(CodeChainName, certificate(i), "%q, want %s", clip(c[i].Subject.CommonName), want)
	}
	f := strings.Split(c[0].Subject.CommonName, " ")
	if len(f) != 5 || !isToken(f[0]) || !like(f[1], "A00") || f[2] != "GSP" && f[2] != "FSP" || f[3] != "FMC" || f[4] != "LF" {
		return bad(0, `a chip, its step, GSP or FSP, and "FMC LF"`)
	}
	n := names{token: f[0], step: f[1], processor: f[2]}
	if n.isSwitch() && n.processor != "FSP" {
		return bad(0, "FSP for a switch")
	}
	if want := n.unit() + " BROM"; c[1].Subject.CommonName != want {
		return bad(1, fmt.Sprintf("%q", want))
	}
	number, ok := strings.CutPrefix(c[2].Subject.CommonName, "NVIDIA "+n.token+" Provisioner ICA ")
	if !ok || len(number) > 5 || !like(number, "00000"[:len(number)]) || number == "" {
		return bad(2, fmt.Sprintf(`"NVIDIA %s Provisioner ICA" and a number`, n.token))
	}
	family, ok := strings.CutPrefix(c[3].Subject.CommonName, "NVIDIA ")
	family, ok2 := strings.CutSuffix(family, " Identity")
	if !ok || !ok2 || !n.of(family) {
		return bad(3, fmt.Sprintf(`"NVIDIA %s Identity", or its family's`, n.token))
	}
	return n, n.serial(c)
}

// serial reads the identifier in certificate 1's serial number: a byte for the kind of
// processor, then the chip's PDI. The certificate says it twice.
func (n *names) serial(c Chain) *Reason {
	text := c[1].Subject.SerialNumber
	b, err := hex.DecodeString(text)
	if err != nil || len(b) != 9 || b[0] != n.prefix() {
		return of(CodeChainName, certificate(1), "serial number %q in its name, want %02X and 16 more hex digits", clip(text), n.prefix())
	}
	if got := fmt.Sprintf("%018X", c[1].SerialNumber); got != text {
		return of(CodeChainName, certificate(1), "serial number %s, its name says %s", clip(got), text)
	}
	n.pdi = PDI(b[1:])
	return nil
}

// isToken tells whether a name is a chip's: a GPU's is two letters and three digits, a
// switch's two letters, an underscore and two digits.
func isToken(s string) bool { return like(s, "AA000") || like(s, "AA_00") }

// like compares a text with a pattern of capital letters (A), digits (0) and others.
func like(s, pattern string) bool {
	if len(s) != len(pattern) {
		return false
	}
	for i := range len(s) {
		c := s[i]
		switch p := pattern[i]; {
		case p == 'A' && (c < 'A' || c > 'Z'), p == '0' && (c < '0' || c > '9'), p != 'A' && p != '0' && c != p:
			return false
		}
	}
	return true
}

func (n names) isSwitch() bool { return strings.Contains(n.token, "_") }

// unit is the processor's name, without its role.
func (n names) unit() string { return n.token + " " + n.step + " " + n.processor }

// product is the chip's name in reference manifests.
func (n names) product() string { return strings.ReplaceAll(n.token, "_", "") }

func (n names) prefix() byte {
	switch {
	case n.isSwitch():
		return 0x50
	case n.processor == "FSP":
		return 0x40
	}
	return 0x41
}

func (n names) mode() Mode {
	switch {
	case n.isSwitch():
		return ModeSwitch
	case n.processor == "FSP":
		return ModeFSP
	}
	return ModeCC
}

// of tells whether an identity authority is the chip's: its own, its family's (GR1XX
// for GR100), or for the switch LS_10 that of the GPU it came with.
func (n names) of(authority string) bool {
	if n.token == "LS_10" {
		return authority == "GH100"
	}
	if len(authority) != len(n.token) {
		return false
	}
	family := false // no digit after an X
	for i := range len(authority) {
		switch a := authority[i]; {
		case a == 'X' && i >= 2:
			family = true
		case family || a != n.token[i]:
			return false
		}
	}
	return true
}

// PDI is the per-device identifier in the serial number of certificate 1; false for a
// chain whose names are not NVIDIA's. It is the chip's, whichever of its processors the
// chain is of; no published pair of reports of one chip shows that. Only after Verify
// does it say anything.
func (c Chain) PDI() (PDI, bool) {
	n, ok := c.names()
	return n.pdi, ok
}
