package main

import (
	"cmp"
	"encoding/hex"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/assaynet/assay/cmd/assay/terminal"
	"github.com/assaynet/assay/gpu/attest"
)

// attestWidth is where sentences are broken: they fit a narrow terminal.
const attestWidth = 78

// printAttest prints results for people, a block for each device.
func printAttest(out io.Writer, path string, results []attest.Result, colours bool) error {
	for i := range results {
		head := terminal.Clean(path)
		if i > 0 {
			fmt.Fprintln(out)
		}
		if len(results) > 1 {
			head = fmt.Sprintf("%s, device %d of %d", head, i+1, len(results))
		}
		b := attestBlock{Result: &results[i], holds: results[i].Holds()}
		fmt.Fprintln(out, head)
		if err := b.lines().Print(out, colours); err != nil {
			return err
		}
		fmt.Fprint(out, terminal.Indented(b.means(), attestWidth))
		for _, r := range b.Reasons {
			text := terminal.Indented(terminal.Clean(fmt.Sprintf("- %s: %s", r.Code, r.Detail)), attestWidth-2)
			fmt.Fprint(out, strings.ReplaceAll(text, "\n  ", "\n    "))
		}
	}
	if len(results) > 1 {
		fmt.Fprintf(out, "\n%s", summary(results))
	}
	return nil
}

// summary closes a list of several devices.
func summary(results []attest.Result) string {
	var (
		grades    = map[attest.Grade]int{}
		different = map[[32]byte]bool{}
		holds     int
	)
	for _, r := range results {
		grades[r.Grade]++
		if r.Holds() {
			holds++
			different[r.DeviceID] = true
		}
	}
	s := fmt.Sprintf("%d devices: steps 1 to 5 hold for %d; evidence: %d measured, %d identity, %d none\n", len(results), holds,
		grades[attest.GradeMeasured], grades[attest.GradeIdentity], grades[attest.GradeNone])
	if n := len(different); n < holds {
		s += fmt.Sprintf("The same device is in it more than once: there are %d different device ids.\n", n)
	}
	return s
}

// attestBlock is a result in words.
type attestBlock struct {
	*attest.Result
	holds bool
}

// device names the device and its kind.
func (b *attestBlock) device() string {
	chip := cmp.Or(terminal.Clean(b.Chip), "unknown chip")
	switch b.Mode {
	case attest.ModeCC:
		return chip + ", a GPU in confidential-computing mode (cc)"
	case attest.ModeFSP:
		return chip + ", a GPU outside confidential-computing mode (fsp)"
	case attest.ModeSwitch:
		return chip + ", an NVSwitch (switch)"
	}
	return "not known"
}

func (b *attestBlock) has(code attest.Code) bool {
	return slices.ContainsFunc(b.Reasons, func(r attest.Reason) bool { return r.Code == code })
}

// failed tells whether a step of Verify, by the first word of its codes, has a reason
// that fails it. The report's own have many words: whatever is no other step's.
func (b *attestBlock) failed(step string) bool {
	notes := []attest.Code{attest.CodeNonceMissing, attest.CodeChainExpired, attest.CodeSimulated, attest.CodeFWIDAbsent}
	others := []string{"nonce", "chain", "signature", "fwid", "ocsp", "rim", "golden"}
	return slices.ContainsFunc(b.Reasons, func(r attest.Reason) bool {
		word, _, _ := strings.Cut(string(r.Code), "-")
		if !slices.Contains(others, word) {
			word = "report"
		}
		return word == step && !slices.Contains(notes, r.Code)
	})
}

// lines are what the report says, and how each step went.
func (b *attestBlock) lines() *terminal.Table {
	var t terminal.Table
	row := func(name, text string) {
		c := terminal.Plain
		switch {
		case strings.HasPrefix(text, "FAIL"):
			c = terminal.Red
		case strings.HasPrefix(text, "not checked"):
			c = terminal.Yellow
		}
		t.Row(c, "  "+name, "%s", text)
	}
	row("device", b.device())
	id := "-"
	if b.DeviceID != [32]byte{} {
		id = hex.EncodeToString(b.DeviceID[:])
	}
	row("device id", id)
	if m := b.Model; m != nil {
		row("PCI id", fmt.Sprintf("%04x:%04x, subsystem %04x:%04x", m.Vendor, m.Device, m.SubVendor, m.Subsystem))
	}
	row("driver", cmp.Or(terminal.Clean(b.Driver), "-"))
	row("VBIOS", cmp.Or(terminal.Clean(b.VBIOS), "-"))
	b.five(row)
	if b.holds {
		b.graded(row)
	} else {
		row("6-8", "not checked: a step above does not hold")
	}
	grade := map[attest.Grade]terminal.Colour{attest.GradeMeasured: terminal.Green, attest.GradeIdentity: terminal.Yellow}[b.Grade]
	t.Row(cmp.Or(grade, terminal.Red), "  evidence", "%s", b.Grade)
	return &t
}

// five are the steps that decide.
func (b *attestBlock) five(row func(name, text string)) {
	const needs = "not checked: that takes a report and a chain"
	report, nonce, chain, signature, firmware := "ok", "not checked: the report does not parse", "not checked: the evidence does not parse", needs, needs
	if b.failed("report") {
		report = "FAIL"
	}
	switch {
	case b.NonceOK != nil && *b.NonceOK:
		nonce = "ok"
	case b.NonceOK != nil:
		nonce = "FAIL: it signs another one, an older report or another's"
	case b.has(attest.CodeNonceMissing):
		nonce = "not checked: none was given, so the report may be an old one"
	}
	switch {
	case b.has(attest.CodeChainMissing):
		chain = "FAIL: there is none"
	case b.failed("chain"):
		chain = "FAIL"
	case b.ChainOK:
		chain = "ok"
	}
	switch {
	case b.SignatureOK:
		signature = "ok"
	case b.failed("signature"):
		signature = "FAIL"
	}
	switch {
	case b.failed("fwid"):
		firmware = "FAIL"
	case b.FWID == attest.Matches:
		firmware = "ok: the key is that of the firmware reported"
	case b.has(attest.CodeFWIDAbsent):
		firmware = "not checked: the report does not name it"
	}
	row("1 report", report)
	row("2 nonce", nonce)
	row("3 chain", chain)
	row("4 signature", signature)
	row("5 firmware", firmware)
}

// graded are the steps that only grade.
func (b *attestBlock) graded(row func(name, text string)) {
	row("6 OCSP", map[attest.Revocation]string{
		attest.OCSPGood:    "ok: no certificate is revoked",
		attest.OCSPRevoked: "FAIL: a certificate is revoked",
		attest.OCSPHold:    "FAIL: a certificate is on hold",
		attest.OCSPUnknown: "FAIL: the responder does not know a certificate",
		attest.OCSPStale:   "not checked: answers are not of that time (--at)",
		attest.OCSPAbsent:  "not checked: there is no answer (--ocsp) for each certificate",
	}[b.OCSP])
	manifest := func(name, version string, s attest.RIMStatus) {
		text := "not checked: there is no manifest (--rim) of this version"
		switch {
		case s == attest.RIMMatch:
			text = "ok: verified, of this version, its measurements are equal"
		case s == attest.RIMMismatch:
			text = "FAIL"
		case version == "" && b.Mode == attest.ModeSwitch:
			text = "not checked: switches have no driver"
		case version == "":
			text = "not checked: the report names no version"
		}
		row(name, text)
	}
	manifest("7 driver RIM", b.Driver, b.RIM.Driver)
	manifest("7 VBIOS RIM", b.VBIOS, b.RIM.VBIOS)
	switch n := len(b.RIM.Mismatched); {
	case n > 0:
		row("8 measured", fmt.Sprintf("FAIL: %d of %d differ: %s", n, b.RIM.Compared, strings.Trim(fmt.Sprint(b.RIM.Mismatched), "[]")))
	case b.RIM.Compared > 0:
		row("8 measured", fmt.Sprintf("ok: %d of %[1]d are equal", b.RIM.Compared))
	default:
		row("8 measured", "not checked: there is nothing to compare with")
	}
}

// means says what the grade is worth.
func (b *attestBlock) means() string {
	signed := "A genuine NVIDIA device with this id signed this report for this nonce."
	if b.NonceOK == nil {
		signed = "A genuine NVIDIA device with this id signed this report, at some time and for whomever."
	}
	if b.Simulated {
		signed = strings.Replace(signed, "genuine NVIDIA", "simulated", 1) + " It is worth nothing outside of a simulation: its root is one of --root, not NVIDIA's."
	}
	switch {
	case b.Grade == attest.GradeMeasured:
		return signed + " It runs what the reference manifests list, and no certificate is known to be revoked."
	case b.Grade == attest.GradeIdentity:
		return signed + " That it runs NVIDIA's firmware and driver, unchanged, is not shown."
	case b.holds:
		return "The device's certificates were revoked: what it signs is worth nothing."
	}
	return "Nothing is shown: a step above does not hold."
}
