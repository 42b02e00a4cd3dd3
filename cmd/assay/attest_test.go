package main

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/assaynet/assay/gpu/attest"
	"github.com/assaynet/assay/gpu/attest/synthetic"
)

func TestAttestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:           "testdata/script",
		Setup:         func(env *testscript.Env) error { return writeEvidence(env, t) },
		UpdateScripts: os.Getenv("UPDATE_SCRIPTS") != "",
	})
}

// listEntry is an entry of NVIDIA's list of evidence.
type listEntry struct {
	Evidence    []byte `json:"evidence"`
	Certificate []byte `json:"certificate,omitempty"`
	Nonce       string `json:"nonce,omitempty"`
}

func entry(e attest.Evidence) listEntry {
	return listEntry{e.Report, pemOf(e.Chain), hex.EncodeToString(e.Nonce[:])}
}

// pemOf writes certificates, given one after another, in PEM.
func pemOf(der []byte) []byte {
	chain, err := attest.ParseChain(der)
	if err != nil {
		panic(err)
	}
	var b bytes.Buffer
	for _, c := range chain {
		_ = pem.Encode(&b, &pem.Block{Type: "CERTIFICATE", Bytes: c.Raw})
	}
	return b.Bytes()
}

// writeEvidence makes the evidence of a script.
func writeEvidence(env *testscript.Env, t *testing.T) error {
	write := func(name string, b []byte) {
		if err := os.WriteFile(filepath.Join(env.WorkDir, name), b, 0o644); err != nil {
			t.Error(err)
		}
	}
	list := func(name string, entries ...listEntry) {
		b, err := json.Marshal(entries)
		if err != nil {
			t.Error(err)
		}
		write(name, b)
	}
	maker := synthetic.New([32]byte{1})
	device, rim := maker.Roots()
	write("root.pem", pemOf(append(bytes.Clone(device.Raw), rim.Raw...)))

	nonce, other := [32]byte{0xA5}, [32]byte{0x5A}
	env.Setenv("NONCE", hex.EncodeToString(nonce[:]))
	env.Setenv("OTHER", hex.EncodeToString(other[:]))
	card := maker.Card(synthetic.CardConfig{Kind: synthetic.Hopper, PDI: attest.PDI{1}})
	blackwell := maker.Card(synthetic.CardConfig{Kind: synthetic.Blackwell, PDI: attest.PDI{2}})
	fsp := maker.Card(synthetic.CardConfig{Kind: synthetic.FSP, PDI: attest.PDI{3}})
	nvswitch := maker.Card(synthetic.CardConfig{Kind: synthetic.Switch, PDI: attest.PDI{4}})

	e := card.Sign(nonce)
	write("hopper.bin", e.Report)
	write("hopper.hex", []byte("0x"+hex.EncodeToString(e.Report)+"\n"))
	write("hopper.b64", []byte(base64.StdEncoding.EncodeToString(e.Report)))
	write("hopper.pem", pemOf(e.Chain))
	write("hopper.der", e.Chain)
	write("cut.pem", pemOf(e.Chain)[:1000])
	write("blackwell.pem", pemOf(blackwell.Sign(nonce).Chain))
	list("hopper.json", entry(e))
	one, err := json.Marshal(entry(e))
	if err != nil {
		return err
	}
	write("one.json", one)
	write("bom.json", slices.Concat([]byte("\xef\xbb\xbf["), one, []byte("]")))
	list("switch.json", entry(nvswitch.Sign(nonce)))
	list("list.json", entry(e), entry(blackwell.Sign(nonce)), entry(fsp.Sign(nonce)), entry(nvswitch.Sign(nonce)))

	bad := entry(e)
	bad.Nonce = env.Getenv("OTHER")
	list("othernonce.json", bad)
	bad.Nonce = "12"
	list("badentry.json", entry(e), bad)
	list("nochain.json", listEntry{Evidence: e.Report, Nonce: env.Getenv("NONCE")})

	edited := func(name string, edit func(*synthetic.Draft)) attest.Evidence {
		e := card.Sign(nonce, edit)
		write(name, e.Report)
		return e
	}
	forged := edited("forged.bin", func(d *synthetic.Draft) {
		d.Sig = func(sig []byte) []byte { sig[95] ^= 1; return sig }
	})
	list("mixed.json", entry(e), entry(forged), entry(e))
	write("cut.bin", e.Report[:2000])
	edited("version.bin", func(d *synthetic.Draft) { d.Request[0] = 0x12 })
	edited("contradicts.bin", func(d *synthetic.Draft) { clear(d.Blocks[1].Value) })
	edited("firmware.bin", func(d *synthetic.Draft) { d.Field(attest.FieldFWID).Data = make([]byte, 48) })
	list("modified.json", entry(card.Sign(nonce, func(d *synthetic.Draft) { d.Blocks[9].Value[0] ^= 1 })))

	rims := maker.RIMs(card)
	write("driver.xml", rims[0])
	write("vbios.xml", rims[1])
	for i, name := range []string{"driver.rim", "vbios.rim"} { // as NVIDIA's service gives them
		text := base64.StdEncoding.EncodeToString(rims[i])
		write(name+".b64", []byte(text+"\n"))
		write(name+".json", []byte(`{"id": "x", "rim": "`+text+`"}`))
	}
	write("edited.xml", bytes.Replace(rims[1], []byte("Measurement_9"), []byte("Measurement_8"), 1))
	write("switch.xml", maker.RIMs(nvswitch)[0])
	old := card.Manifests()[1]
	old.NotBefore, old.NotAfter = time.Date(2024, 1, 1, 0, 0, 0, 0, time.UTC), time.Date(2026, 1, 2, 0, 0, 0, 0, time.UTC)
	write("old.xml", maker.RIM(old))

	at := time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)
	env.Setenv("AT", at.Add(time.Hour).Format(time.RFC3339))
	env.Setenv("LATER", at.AddDate(0, 0, 2).Format(time.RFC3339))
	for i, b := range maker.OCSP(card, at, attest.OCSPGood) { // the card's three first
		write(fmt.Sprintf("good%d.der", i+1), b)
		write(fmt.Sprintf("good%d.b64", i+1), []byte(base64.StdEncoding.EncodeToString(b)+"\n"))
		write("broken.der", b[:len(b)-9])
	}
	for _, status := range []attest.Revocation{attest.OCSPHold, attest.OCSPRevoked, attest.OCSPUnknown} {
		write(string(status)+"1.der", maker.OCSP(card, at, status)[0])
	}
	return nil
}

// TestAttestSamples runs the command over NVIDIA's and Google's published evidence.
func TestAttestSamples(t *testing.T) {
	dir := os.Getenv("ASSAY_ATTEST_SAMPLES")
	if dir == "" {
		t.Skip("ASSAY_ATTEST_SAMPLES names no folder with published evidence")
	}
	const (
		google = "google-go-nvattest-tools/"
		sdk    = "nvidia-attestation-sdk/"
		nvt    = "nvidia-nvtrust/"
		nonce  = "931d8dd0add203ac3d8b4fbde75e115278eefcdceac5b87671a748f32364dfcb"
	)
	chain := func(path string) []string { return []string{"--chain", path} }
	flags := func(flag, pattern string) (out []string) {
		files, err := filepath.Glob(filepath.Join(dir, pattern))
		if err != nil || len(files) == 0 {
			t.Fatalf("%s: no such files: %v", pattern, err)
		}
		for _, f := range files {
			out = append(out, flag, strings.TrimPrefix(f, dir+"/"))
		}
		return out
	}
	h100 := slices.Concat(chain(google+"test_gpu_attestation_certificate_chain.dat"), flags("--rim", google+"rim/NV_*.xml"))
	answers := flags("--ocsp", google+"ocsp/*.dat")
	type want struct {
		code     int
		devices  int
		evidence attest.Grade // of every device
		reasons  string       // codes of the first device that must be there
		text     string       // in the text form
	}
	// The hint is there where manifests were given, and one is missing.
	hinted := func(args []string, text string) bool {
		return slices.Contains(args, "--rim") && strings.Contains(text, " its id: ")
	}
	for _, tt := range []struct {
		name string
		args []string
		want want
	}{
		{
			"H100, matching set", slices.Concat(h100, answers, []string{"--at", "2025-08-21T12:00:00Z", google + "test_raw_gpu_attestation_report.dat"}),
			want{0, 1, attest.GradeMeasured, "nonce-not-given", "8 measured    ok: 33 of 33 are equal\n"},
		},
		{
			"H100, answers too old", slices.Concat(h100, answers, []string{"--at", "2026-08-21T12:00:00Z", google + "test_raw_gpu_attestation_report.dat"}),
			want{0, 1, attest.GradeMeasured, "ocsp-stale rim-expired", "6 OCSP        not checked: answers are not of that time"},
		},
		{
			"H100 with another's nonce", slices.Concat(h100, []string{"--nonce", nonce[2:] + "00", google + "test_raw_gpu_attestation_report.dat"}),
			want{1, 1, attest.GradeNone, "nonce-mismatch", "2 nonce      FAIL"},
		},
		{
			"nvtrust's H100, all manifests", slices.Concat(chain(nvt+"samples/hopperCertChain.txt"), flags("--rim", nvt+"samples/*.swidtag"),
				flags("--rim", google+"rim/NV_*.xml"), []string{nvt + "samples/hopperAttestationReport.txt"}),
			want{0, 1, attest.GradeMeasured, "rim-expired", "ok: 33 of 33 are equal"},
		},
		{
			"Hopper, no firmware id", slices.Concat(chain(sdk+"gpu/hopperCertChain.txt"), flags("--rim", nvt+"samples/1010_0200_882_96005E0001_PROD.swidtag"),
				[]string{sdk + "gpu/hopperAttestationReport.txt"}),
			want{0, 1, attest.GradeIdentity, "fwid-absent rim-absent", "7 VBIOS RIM   ok: "},
		},
		{
			"Hopper, edited manifests", slices.Concat(chain(sdk+"gpu/hopperCertChain.txt"), flags("--rim", sdk+"rim/*535.86.09_measurement_mismatch.xml"),
				flags("--rim", sdk+"rim/incorrect_*.xml"), []string{sdk + "gpu/hopperAttestationReport.txt"}),
			want{0, 1, attest.GradeIdentity, "rim-digest rim-chain rim-signature", "7 driver RIM  not used: the manifest given does not verify (rim-"},
		},
		{
			"Hopper whose VBIOS differs", slices.Concat(chain(sdk+"gpu/hopperCertChainExpired.txt"), flags("--rim", nvt+"samples/1010_0200_882_96005E0003_PROD.swidtag"),
				[]string{sdk + "gpu/hopperAttestationReportExpired.txt"}),
			want{0, 1, attest.GradeIdentity, "rim-absent", "evidence      identity"},
		},
		{
			"Blackwell", append(chain(sdk+"gpu/blackwellCertChain.txt"), "--nonce", nonce, sdk+"gpu/blackwellAttestationReport.txt"),
			want{0, 1, attest.GradeIdentity, "", "GB100, a GPU in"},
		},
		{
			"Hopper, false signature", append(chain(sdk+"gpu/hopperCertChain.txt"), sdk+"gpu/hopperAttestationReportInvalidSignature.txt"),
			want{1, 1, attest.GradeNone, "signature-invalid", "4 signature  FAIL"},
		},
		{"list of a Hopper", []string{sdk + "json/hopper_evidence.json"}, want{0, 1, attest.GradeIdentity, "nonce-of-list", "2 nonce       ok: the list's own"}},
		{"list of a Hopper on hold", []string{sdk + "json/hopper_evidence_cert_hold.json"}, want{0, 1, attest.GradeIdentity, "", "6 OCSP        not checked"}},
		{"list of a switch", []string{sdk + "json/switch_evidence_ls10.json"}, want{0, 1, attest.GradeIdentity, "fwid-absent", "LS10, an NVSwitch (switch)"}},
		{
			"switch with its manifest", slices.Concat(chain(sdk+"switch/switchCertChain.txt"), flags("--rim", sdk+"rim/switchVBIOSRim*.xml"),
				[]string{"--nonce", nonce, sdk + "switch/switchAttestationReport.txt"}),
			want{0, 1, attest.GradeMeasured, "fwid-absent", "ok: 31 of 31 are equal"},
		},
		{
			"switch with an edited manifest", slices.Concat(chain(sdk+"switch/switchCertChain.txt"), flags("--rim", sdk+"rim/NV_SWITCH*.xml"),
				[]string{sdk + "switch/switchAttestationReport.txt"}),
			want{0, 1, attest.GradeIdentity, "rim-digest", "7 VBIOS RIM   not used: the manifest given does not verify (rim-digest)\n"},
		},
		{
			"switch, false signature", append(chain(sdk+"switch/switchCertChain.txt"), sdk+"switch/switchAttestationReportInvalidSignature.txt"),
			want{1, 1, attest.GradeNone, "signature-invalid pdi-differs", "1 report     FAIL"},
		},
		{
			"a switch's report, another's chain", append(chain(google+"test_switch_attestation_certificate_chain.dat"), google+"test_raw_switch_attestation_report.dat"),
			want{1, 1, attest.GradeNone, "signature-invalid pdi-differs", "4 signature  FAIL"},
		},
		{"8 Blackwells", []string{google + "test_mpt_data.json"}, want{0, 8, attest.GradeIdentity, "nonce-not-given", "8 devices: steps 1 to 5 hold for 8;"}},
		{"8 Hoppers and 4 switches", []string{google + "test_ppcie_data.json"}, want{0, 12, attest.GradeIdentity, "", "12 devices: steps 1 to 5 hold for 12;"}},
		{
			"NVDAOD, re-typed", append(chain(sdk+"gpu/hopperCertChain.txt"), "nvidia-attestation-sdk-2026.10/sample_nvdaod_transcript.txt"),
			want{1, 1, attest.GradeNone, "signature-invalid", "driver       620.12"},
		},
		{
			"malformed manifests", slices.Concat(flags("--rim", google+"rim/failure_*.xml"), []string{sdk + "json/switch_evidence_ls10.json"}),
			want{0, 1, attest.GradeIdentity, "rim-unsigned rim-root", "7 VBIOS RIM   not used"},
		},
		{"no evidence", []string{sdk + "claims/spdm_parsed_output.json"}, want{code: 2}},
		{"text", []string{"SOURCES.md"}, want{code: 2}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Chdir(dir)
			args := append([]string{"attest", "verify"}, tt.args...)
			var text, doc, errs bytes.Buffer
			if code := run(args, &text, &errs); code != tt.want.code {
				t.Fatalf("exit code %d, want %d: %s%s", code, tt.want.code, &text, &errs)
			}
			if code := run(append(args, "--json"), &doc, &errs); code != tt.want.code {
				t.Errorf("exit code %d with --json, want %d: %s", code, tt.want.code, &errs)
			}
			if tt.want.code == 2 {
				if doc.Len() > 0 || text.Len() > 0 || !strings.Contains(errs.String(), "assay: hint: ") {
					t.Errorf("%s%s%s", &text, &doc, &errs)
				}
				return
			}
			if said := errs.String(); !strings.Contains(text.String(), tt.want.text) || (said != "") != strings.Contains(said, "assay: hint: https://rim.") || (said != "") != hinted(tt.args, text.String()) {
				t.Errorf("no %q in %s%s", tt.want.text, &text, &errs)
			}
			devices := parseDevices(t, doc.Bytes())
			if len(devices) != tt.want.devices {
				t.Fatalf("%d devices, want %d", len(devices), tt.want.devices)
			}
			ids := map[string]bool{}
			for i, d := range devices {
				if ids[d.DeviceID] = true; d.Evidence != tt.want.evidence {
					t.Errorf("device %d: evidence %s, want %s: %+v", i, d.Evidence, tt.want.evidence, d)
				}
			}
			if len(ids) != len(devices) {
				t.Errorf("%d device ids of %d devices", len(ids), len(devices))
			}
			for code := range strings.FieldsSeq(tt.want.reasons) {
				if !slices.ContainsFunc(devices[0].Reasons, func(r attest.Reason) bool { return string(r.Code) == code }) {
					t.Errorf("no reason %s: %+v", code, devices[0].Reasons)
				}
			}
		})
	}
}

// device is the documented JSON of one, all members of it.
type device struct {
	Mode        attest.Mode  `json:"mode"`
	Chip        string       `json:"chip"`
	DeviceID    string       `json:"device_id"`
	Driver      string       `json:"driver"`
	VBIOS       string       `json:"vbios"`
	NonceOK     *bool        `json:"nonce_ok"`
	ChainOK     *bool        `json:"chain_ok"`
	SignatureOK *bool        `json:"signature_ok"`
	FWID        attest.Match `json:"fwid"`
	RIM         struct {
		Driver     attest.RIMStatus `json:"driver"`
		VBIOS      attest.RIMStatus `json:"vbios"`
		Mismatched []int            `json:"mismatched"`
	} `json:"rim"`
	OCSP     attest.Revocation `json:"ocsp"`
	Evidence attest.Grade      `json:"evidence"`
	Reasons  []attest.Reason   `json:"reasons"`
}

// parseDevices reads the document of the command, and holds it to be what is
// documented: no member more or less, arrays and words where they belong.
func parseDevices(t *testing.T, b []byte) []device {
	t.Helper()
	var doc struct {
		Devices []device `json:"devices"`
	}
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	if err := d.Decode(&doc); err != nil || d.More() {
		t.Fatalf("%v: %s", err, b)
	}
	var loose struct{ Devices []map[string]any }
	if err := json.Unmarshal(b, &loose); err != nil {
		t.Fatal(err)
	}
	for i, dev := range doc.Devices {
		if n := len(loose.Devices[i]); n != 13 {
			t.Errorf("device %d: %d members, want 13: %s", i, n, b)
		}
		statuses := []attest.RIMStatus{attest.RIMMatch, attest.RIMMismatch, attest.RIMAbsent}
		if dev.ChainOK == nil || dev.SignatureOK == nil || dev.RIM.Mismatched == nil || dev.Reasons == nil ||
			!slices.Contains([]attest.Match{"match", "absent", "mismatch"}, dev.FWID) ||
			!slices.Contains([]attest.Grade{"none", "identity", "measured"}, dev.Evidence) ||
			!slices.Contains(statuses, dev.RIM.Driver) || !slices.Contains(statuses, dev.RIM.VBIOS) || dev.OCSP == "" {
			t.Errorf("device %d: %s", i, b)
		}
	}
	return doc.Devices
}

// The text says FAIL exactly where the exit code is 1, whatever is wrong.
func TestAttestFailSays(t *testing.T) {
	maker := synthetic.New([32]byte{1})
	for _, kind := range []synthetic.Kind{synthetic.Hopper, synthetic.Blackwell, synthetic.FSP, synthetic.Switch} {
		good := maker.Card(synthetic.CardConfig{Kind: kind, PDI: attest.PDI{1}}).Sign([32]byte{7})
		try := func(what string, e attest.Evidence) {
			r := judge(e, maker.Trust(), attest.Reference{}, true, nil)
			var b bytes.Buffer
			if err := printAttest(&b, "FILE", []judged{r}, false); err != nil {
				t.Fatal(err)
			}
			if strings.Contains(b.String(), "FAIL") == r.holds {
				t.Errorf("%v, %s: holds: %t, says\n%s", kind, what, r.holds, &b)
			}
			for line := range strings.Lines(b.String()) {
				if len(line) > 80+1 && strings.Contains(strings.TrimSpace(line), " ") {
					t.Errorf("%v, %s: over 80 columns: %s", kind, what, line)
				}
			}
		}
		try("nothing", good)
		for i := 0; i < len(good.Report); i += 1 + i/20 {
			e := good
			e.Report = bytes.Clone(good.Report)
			e.Report[i] ^= 0x10
			try(fmt.Sprintf("report byte %d", i), e)
		}
		for i := 0; i < len(good.Chain); i += 397 {
			e := good
			e.Chain = bytes.Clone(good.Chain)
			e.Chain[i] ^= 0x10
			try(fmt.Sprintf("chain byte %d", i), e)
		}
		for _, n := range []int{0, 1, 40, 100, len(good.Report) - 1} {
			e := good
			e.Report = good.Report[:n]
			try(fmt.Sprintf("report of %d bytes", n), e)
		}
	}
}

func TestPrintAttest(t *testing.T) {
	yes := true
	verified := []attest.Result{
		{
			Mode: attest.ModeCC, Chip: "GH100", DeviceID: [32]byte{1}, Driver: "550.90.07", VBIOS: "96.00.9F.00.01", NonceOK: &yes,
			ChainOK: true, SignatureOK: true, FWID: attest.Matches, OCSP: attest.OCSPGood, Grade: attest.GradeMeasured,
			RIM: attest.RIMResult{Driver: attest.RIMMatch, VBIOS: attest.RIMMatch, Compared: 33},
		},
		{
			Mode: attest.ModeSwitch, Chip: "LS10", DeviceID: [32]byte{2}, VBIOS: "96.10.55.00.01", ChainOK: true, SignatureOK: true,
			FWID: attest.Absent, OCSP: attest.OCSPUnknown, Grade: attest.GradeIdentity,
			RIM: attest.RIMResult{Driver: attest.RIMAbsent, VBIOS: attest.RIMMismatch, Compared: 31, Mismatched: []int{3, 9}},
			Reasons: []attest.Reason{
				{Code: attest.CodeNonceMissing, Detail: "nonce: not known"},
				{Code: attest.CodeFWIDAbsent, Detail: "opaque field"},
				{Code: attest.CodeGoldenMismatch, Detail: "measurement 3: a sentence that is long enough to be broken, with \x1b[31mcolours of its own"},
			},
		},
		{
			Mode: attest.ModeFSP, Chip: "GB100", DeviceID: [32]byte{1}, Model: &attest.Model{Vendor: 0x10DE, Device: 0x2941}, NonceOK: &yes, ChainOK: true, SignatureOK: true, Simulated: true,
			FWID: attest.Absent, OCSP: attest.OCSPRevoked, Grade: attest.GradeNone, RIM: attest.RIMResult{Driver: attest.RIMAbsent, VBIOS: attest.RIMAbsent},
		},
		{
			FWID: attest.Absent, OCSP: attest.OCSPAbsent, Grade: attest.GradeNone, RIM: attest.RIMResult{Driver: attest.RIMAbsent, VBIOS: attest.RIMAbsent},
			Reasons: []attest.Reason{{Code: attest.CodeInputJSON, Detail: "file: cut"}},
		},
	}
	var results []judged
	for _, r := range verified {
		results = append(results, judged{Result: r, holds: r.Holds()})
	}
	const want = `list.json, device 1 of 4
  device        GH100, a GPU in confidential-computing mode (cc)
  device id     0100000000000000000000000000000000000000000000000000000000000000
  driver        550.90.07
  VBIOS         96.00.9F.00.01
  1 report      ok
  2 nonce       ok
  3 chain       ok
  4 signature   ok
  5 firmware    ok: the key is that of the firmware reported
  6 OCSP        ok: no certificate is revoked
  7 driver RIM  ok: verified, of this version, its measurements are equal
  7 VBIOS RIM   ok: verified, of this version, its measurements are equal
  8 measured    ok: 33 of 33 are equal
  evidence      measured
  A genuine NVIDIA device with this id signed this report for this nonce. It
  runs what the reference manifests list; none of its certificates is revoked.

list.json, device 2 of 4
  device        LS10, an NVSwitch (switch)
  device id     0200000000000000000000000000000000000000000000000000000000000000
  driver        -
  VBIOS         96.10.55.00.01
  1 report      ok
  2 nonce       not checked: none was given, so the report may be an old one
  3 chain       ok
  4 signature   ok
  5 firmware    not checked: the report does not name it
  6 OCSP        FAIL: the responder does not know a certificate
  7 driver RIM  not checked: switches have no driver
  7 VBIOS RIM   FAIL
  8 measured    FAIL: 2 of 31 differ: 3 9
  evidence      identity
  A genuine NVIDIA device with this id signed this report, at some time and
  for whomever. That it runs NVIDIA's firmware and driver, unchanged, is not
  shown.
  - nonce-not-given: nonce: not known
  - fwid-absent: opaque field
  - golden-mismatch: measurement 3: a sentence that is long enough to be
    broken, with ?[31mcolours of its own

list.json, device 3 of 4
  device        GB100, a GPU outside confidential-computing mode (fsp)
  device id     0100000000000000000000000000000000000000000000000000000000000000
  PCI id        10de:2941, subsystem 0000:0000
  driver        -
  VBIOS         -
  1 report      ok
  2 nonce       ok
  3 chain       ok
  4 signature   ok
  5 firmware    not checked: that takes a report and a chain
  6 OCSP        FAIL: a certificate is revoked
  7 driver RIM  not checked: the report names no version
  7 VBIOS RIM   not checked: the report names no version
  8 measured    not checked: there is nothing to compare with
  evidence      none
  The device's certificates were revoked: what it signs is worth nothing.

list.json, device 4 of 4
  device       not known
  device id    -
  driver       -
  VBIOS        -
  1 report     FAIL
  2 nonce      not checked: the report does not parse
  3 chain      not checked: the evidence does not parse
  4 signature  not checked: that takes a report and a chain
  5 firmware   not checked: that takes a report and a chain
  6-8          not checked: a step above does not hold
  evidence     none
  Nothing is shown: a step above does not hold.
  - input-json: file: cut

4 devices: steps 1 to 5 hold for 3; evidence: 1 measured, 1 identity, 2 none
The same device is in it more than once: there are 2 different device ids.
`
	var b, colours bytes.Buffer
	if err := printAttest(&b, "list.json", results, false); err != nil {
		t.Fatal(err)
	}
	if b.String() != want {
		t.Errorf("got\n%swant\n%s", &b, want)
	}
	if err := printAttest(&colours, "list.json", results, true); err != nil {
		t.Fatal(err)
	}
	without := strings.NewReplacer("\x1b[31m", "", "\x1b[32m", "", "\x1b[33m", "", "\x1b[m", "").Replace(colours.String())
	if without != b.String() || strings.Count(colours.String(), "\x1b[31m") != 7 || strings.Count(colours.String(), "\x1b[32m") != 1 {
		t.Errorf("coloured %q", colours.String())
	}
}

// TestAttestLacking: the hint names each manifest that a real device lacks, once.
func TestAttestLacking(t *testing.T) {
	none := attest.RIMResult{Driver: attest.RIMAbsent, VBIOS: attest.RIMAbsent}
	half := attest.RIMResult{Driver: attest.RIMMatch, VBIOS: attest.RIMAbsent}
	bad := attest.RIMResult{Driver: attest.RIMMismatch, VBIOS: attest.RIMAbsent}
	got := lacking([]judged{
		{Result: attest.Result{RIM: none}, driverRIM: "D1", vbiosRIM: "V1"},
		{Result: attest.Result{RIM: half}, driverRIM: "D2", vbiosRIM: "V1"},
		{Result: attest.Result{RIM: bad}, driverRIM: "D3", vbiosRIM: "V\x1b3"},
		{Result: attest.Result{RIM: none, Simulated: true}, driverRIM: "D4", vbiosRIM: "V4"},
		{Result: attest.Result{RIM: none}, vbiosRIM: "SWITCH"},
		{Result: attest.Result{RIM: none}}, // outside of confidential mode
	})
	if want := []string{"D1", "SWITCH", "V1", "V?3"}; !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
}
