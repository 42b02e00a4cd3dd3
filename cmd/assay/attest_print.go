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
func printAttest(out io.Writer, path string, results []judged, colours bool) error {
	for i := range results {
		head := terminal.Clean(path)
		if i > 0 {
			fmt.Fprintln(out)
		}
		if len(results) > 1 {
			head = fmt.Sprintf("%s, device %d of %d", head, i+1, len(results))
		}
		b := &results[i]
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
func summary(results []judged) string {
	var (
		grades    = map[attest.Grade]int{}
		different = map[[32]byte]bool{}
		holds     int
	)
	for _, r := range results {
		grades[r.Grade]++
		if r.holds {
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

// codeNonceOfList marks evidence of which the nonce compared was its list's own.
const codeNonceOfList attest.Code = "nonce-of-list"

// judged is a result, and what the command knows beside it. Its JSON is the result's.
type judged struct {
	attest.Result

	holds               bool     // steps 1 to 5
	refused             []string // codes of manifests given that count for nothing
	driverRIM, vbiosRIM string   // ids of the manifests that it takes; empty: none
}

// judge verifies a piece of evidence. own: its nonce is that of its list; left are the
// files that do not verify.
func judge(e attest.Evidence, t attest.Trust, ref attest.Reference, own bool, left []attest.Reason) judged {
	j := judged{Result: attest.Verify(e, t, ref)}
	j.holds = j.Holds() // before reasons that are not of its steps
	if r, err := attest.ParseReport(e.Report); err == nil && j.holds {
		j.driverRIM, j.vbiosRIM = r.RIMs(j.Chip)
	}
	if own && j.NonceOK != nil && *j.NonceOK {
		j.Reasons = append(j.Reasons, attest.Reason{Code: codeNonceOfList, Offset: -1, Detail: "nonce: the list's own, chosen by whoever wrote the list; --nonce compares yours"})
	}
	foreign := slices.DeleteFunc(slices.Clone(j.Reasons), func(r attest.Reason) bool { return r.Code != attest.CodeRIMForeign })
	for _, r := range slices.Concat(foreign, left) {
		if code := string(r.Code); !strings.HasPrefix(code, "ocsp-") && !slices.Contains(j.refused, code) {
			j.refused = append(j.refused, code)
		}
	}
	j.Reasons = append(j.Reasons, left...)
	return j
}

// lacking are the ids of manifests that real devices take and that were not given.
func lacking(results []judged) (ids []string) {
	for _, j := range results {
		for id, s := range map[string]attest.RIMStatus{j.driverRIM: j.RIM.Driver, j.vbiosRIM: j.RIM.VBIOS} {
			if id != "" && s == attest.RIMAbsent && !j.Simulated {
				ids = append(ids, terminal.Clean(id))
			}
		}
	}
	slices.Sort(ids)
	return slices.Compact(ids)
}

// device names the device and its kind.
func (b *judged) device() string {
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

func (b *judged) has(code attest.Code) bool {
	return slices.ContainsFunc(b.Reasons, func(r attest.Reason) bool { return r.Code == code })
}

// failed tells whether a step of Verify, by the first word of its codes, has a reason
// that fails it. The report's own have many words: whatever is no other step's.
func (b *judged) failed(step string) bool {
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
func (b *judged) lines() *terminal.Table {
	var t terminal.Table
	row := func(name, text string) {
		c := terminal.Plain
		switch {
		case strings.HasPrefix(text, "FAIL"):
			c = terminal.Red
		case strings.HasPrefix(text, "not "):
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
func (b *judged) five(row func(name, text string)) {
	const needs = "not checked: that takes a report and a chain"
	report, nonce, chain, signature, firmware := "ok", "not checked: the report does not parse", "not checked: the evidence does not parse", needs, needs
	if b.failed("report") {
		report = "FAIL"
	}
	switch {
	case b.NonceOK != nil && *b.NonceOK:
		nonce = "ok"
		if b.has(codeNonceOfList) {
			nonce = "ok: the list's own (--nonce compares yours)"
		}
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
func (b *judged) graded(row func(name, text string)) {
	row("6 OCSP", map[attest.Revocation]string{
		attest.OCSPGood:    "ok: no certificate is revoked",
		attest.OCSPRevoked: "FAIL: a certificate is revoked",
		attest.OCSPHold:    "FAIL: a certificate is on hold",
		attest.OCSPUnknown: "FAIL: the responder does not know a certificate",
		attest.OCSPStale:   "not checked: answers are not of that time (--at)",
		attest.OCSPAbsent:  "not checked: there is no answer (--ocsp) for each certificate",
	}[b.OCSP])
	manifest := func(name, version, id string, s attest.RIMStatus) {
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
		case len(b.refused) > 0:
			text = "not used: the manifest given does not verify (" + strings.Join(b.refused, ", ") + ")"
		}
		row(name, text)
		if s == attest.RIMAbsent && id != "" {
			row("", "its id: "+terminal.Clean(id))
		}
	}
	manifest("7 driver RIM", b.Driver, b.driverRIM, b.RIM.Driver)
	manifest("7 VBIOS RIM", b.VBIOS, b.vbiosRIM, b.RIM.VBIOS)
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
func (b *judged) means() string {
	signed := "A genuine NVIDIA device with this id signed this report for this nonce."
	switch {
	case b.NonceOK == nil:
		signed = "A genuine NVIDIA device with this id signed this report, at some time and for whomever."
	case b.has(codeNonceOfList):
		signed = "A genuine NVIDIA device with this id signed this report for the nonce that its list brings: if you did not choose that one, the report may be an old one, or another's."
	}
	if b.Simulated {
		signed = strings.Replace(signed, "genuine NVIDIA", "simulated", 1) + " It is worth nothing outside of a simulation: its root is one of --root, not NVIDIA's."
	}
	switch {
	case b.Grade == attest.GradeMeasured:
		revoked := "whether a certificate was revoked was not checked."
		if b.OCSP == attest.OCSPGood {
			revoked = "none of its certificates is revoked."
		}
		return signed + " It runs what the reference manifests list; " + revoked
	case b.Grade == attest.GradeIdentity:
		return signed + " That it runs NVIDIA's firmware and driver, unchanged, is not shown."
	case b.holds:
		return "The device's certificates were revoked: what it signs is worth nothing."
	}
	return "Nothing is shown: a step above does not hold."
}
