package attest_test

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	. "github.com/assaynet/assay/gpu/attest"
)

// samples is the folder of published evidence; without it, the tests that need it are
// skipped.
func samples(t testing.TB) string {
	t.Helper()
	dir := os.Getenv("ASSAY_ATTEST_SAMPLES")
	if dir == "" {
		t.Skip("ASSAY_ATTEST_SAMPLES names no folder with published evidence")
	}
	return dir
}

func sample(t testing.TB, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(samples(t), name))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// sampleEvidence reads a sample's evidence; a chain of its own file is added.
func sampleEvidence(t testing.TB, name, chain string) []Evidence {
	t.Helper()
	all, err := ParseInput(sample(t, name))
	if err != nil {
		t.Fatal(err)
	}
	if chain != "" {
		all[0].Chain = sample(t, chain)
	}
	return all
}

const (
	sdk    = "nvidia-attestation-sdk/"
	google = "google-go-nvattest-tools/"
)

// authentic is every sample whose signature can be checked, with what it says.
var authentic = []struct {
	name, chain  string
	count        int
	mode         Mode
	chip, driver string
	vbios        string
	fwid         Match
}{
	{sdk + "gpu/hopperAttestationReport.txt", sdk + "gpu/hopperCertChain.txt", 1, ModeCC, "GH100", "535.86.09", "96.00.5E.00.01", Absent},
	{sdk + "gpu/blackwellAttestationReport.txt", sdk + "gpu/blackwellCertChain.txt", 1, ModeCC, "GB100", "575.32", "97.00.88.00.0F", Matches},
	{sdk + "gpu/hopperAttestationReportExpired.txt", sdk + "gpu/hopperCertChainExpired.txt", 1, ModeCC, "GH100", "570.124.03", "96.00.5E.00.04", Matches},
	{sdk + "json/hopper_evidence.json", "", 1, ModeCC, "GH100", "590.12", "96.00.A5.00.01", Matches},
	{sdk + "json/hopper_evidence_cert_hold.json", "", 1, ModeCC, "GH100", "570.86.10", "96.00.AF.00.01", Matches},
	{sdk + "json/switch_evidence_ls10.json", "", 1, ModeSwitch, "LS10", "", "96.10.55.00.01", Absent},
	{sdk + "switch/switchAttestationReport.txt", sdk + "switch/switchCertChain.txt", 1, ModeSwitch, "LS10", "", "96.10.55.00.01", Absent},
	{"nvidia-nvtrust/samples/hopperAttestationReport.txt", "nvidia-nvtrust/samples/hopperCertChain.txt", 1, ModeCC, "GH100", "550.90.07", "96.00.9F.00.01", Matches},
	{google + "test_raw_gpu_attestation_report.dat", google + "test_gpu_attestation_certificate_chain.dat", 1, ModeCC, "GH100", "550.90.07", "96.00.9F.00.01", Matches},
	{google + "test_mpt_data.json", "", 8, ModeCC, "GB100", "590.48.01", "97.00.D9.00.35", Matches},
}

func TestSamplesVerify(t *testing.T) {
	for _, tt := range authentic {
		t.Run(tt.name, func(t *testing.T) {
			all := sampleEvidence(t, tt.name, tt.chain)
			if len(all) != tt.count {
				t.Fatalf("%d pieces of evidence, want %d", len(all), tt.count)
			}
			for i, e := range all {
				res := Verify(e, NVIDIA(), Reference{})
				if !res.Holds() || res.Grade != GradeIdentity {
					t.Errorf("%d: %s %v", i, res.Grade, res.Reasons)
				}
				if res.Mode != tt.mode || res.Chip != tt.chip || res.Driver != tt.driver || res.VBIOS != tt.vbios || res.FWID != tt.fwid {
					t.Errorf("%d: %s %s driver %q VBIOS %q FWID %s", i, res.Mode, res.Chip, res.Driver, res.VBIOS, res.FWID)
				}
			}
		})
	}
}

// The published sets of eight cards and four switches fit each other: each card names
// all switches, and each switch all cards.
func TestSamplesProtectedPCIe(t *testing.T) {
	cards, switches := map[PDI]bool{}, map[PDI]bool{}
	var all []*Report
	for i, e := range sampleEvidence(t, google+"test_ppcie_data.json", "") {
		res := Verify(e, NVIDIA(), Reference{})
		if !res.Holds() {
			t.Errorf("%d: %v", i, res.Reasons)
		}
		c, _ := ParseChain(e.Chain)
		pdi, ok := c.PDI()
		if !ok {
			t.Fatal(i, "no PDI")
		}
		if res.Mode == ModeSwitch {
			switches[pdi] = true
		} else {
			cards[pdi] = true
		}
		r, _ := ParseReport(e.Report)
		all = append(all, r)
	}
	if len(cards) != 8 || len(switches) != 4 {
		t.Fatalf("%d cards and %d switches", len(cards), len(switches))
	}
	for i, r := range all {
		want, got := switches, map[PDI]bool{}
		if r.Mode() == ModeSwitch {
			want = cards
		} else if enabled, known := r.ProtectedPCIe(); !enabled || !known {
			t.Errorf("%d: protected PCIe %t, known %t", i, enabled, known)
		}
		for _, p := range r.Peers() {
			got[p] = true
		}
		if !maps.Equal(got, want) {
			t.Errorf("%d: names %v, the set has %v", i, got, want)
		}
	}

	// The raw switch report is the second switch's. The chain beside it, which is the
	// first's, does not sign it.
	raw := Evidence{Report: sample(t, google+"test_raw_switch_attestation_report.dat")}
	raw.Chain = sampleEvidence(t, google+"test_ppcie_data.json", "")[9].Chain
	if res := Verify(raw, NVIDIA(), Reference{}); !res.Holds() {
		t.Error(res.Reasons)
	}
	raw.Chain = sample(t, google+"test_switch_attestation_certificate_chain.dat")
	if got := rejections(t, Verify(raw, NVIDIA(), Reference{})); !slices.Equal(got, []Code{CodeSignature, CodePDI}) {
		t.Error(got)
	}
}

func TestSamplesRefused(t *testing.T) {
	tests := []struct {
		name, report, chain string
		want                []Code
	}{
		{"false signature", sdk + "gpu/hopperAttestationReportInvalidSignature.txt", sdk + "gpu/hopperCertChain.txt", []Code{CodeSignature, CodeFWIDMismatch}},
		{"false signature of a switch", sdk + "switch/switchAttestationReportInvalidSignature.txt", sdk + "switch/switchCertChain.txt", []Code{CodeSignature, CodePDI}},
		{"another card's chain", sdk + "gpu/hopperAttestationReportExpired.txt", sdk + "gpu/hopperCertChain.txt", []Code{CodeSignature, CodeFWIDMismatch}},
		{"a switch's chain", sdk + "gpu/hopperAttestationReport.txt", sdk + "switch/switchCertChain.txt", []Code{CodeSignature, CodeChainMode}},
		{"a manifest's chain", sdk + "gpu/hopperAttestationReport.txt", google + "rim_root.pem", []Code{CodeChainLength, CodeSignature, CodeFWIDExtension}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			res := Verify(sampleEvidence(t, tt.report, tt.chain)[0], NVIDIA(), Reference{})
			if got := rejections(t, res); res.Holds() || res.Grade != GradeNone || !slices.Equal(got, tt.want) {
				t.Errorf("%v, want %v", res.Reasons, tt.want)
			}
		})
	}
}

// The report of a GB200's firmware processor and the chain of a Rubin card, of the
// SDK's release 2026.10.02, where the folder has them.
func TestSamplesFSP(t *testing.T) {
	const report, chain, rubin = sdk + "gpu/blackwellFspAttestationReport.txt", sdk + "gpu/blackwellFspCertChain.txt", sdk + "gpu/rubinCertChain.txt"
	if _, err := os.Stat(filepath.Join(samples(t), report)); err != nil {
		t.Skip(err)
	}
	res := Verify(sampleEvidence(t, report, chain)[0], NVIDIA(), Reference{})
	if !res.Holds() || res.Grade != GradeIdentity || res.Mode != ModeFSP || res.Chip != "GB100" || res.FWID != Absent {
		t.Errorf("%+v", res)
	}
	if res.Model == nil || *res.Model != (Model{Vendor: 0x10DE, Device: 0x2941, SubVendor: 0x10DE, Subsystem: 0x2046}) {
		t.Errorf("%+v", res.Model)
	}
	c, err := ParseChain(sample(t, rubin))
	if err == nil {
		err = c.Verify(NVIDIA())
	}
	if err != nil || c.Chip() != "GR100" {
		t.Error(c.Chip(), err)
	}
}

// Without the vendor's roots nothing holds, and what the chain says is not repeated.
func TestSamplesUntrusted(t *testing.T) {
	e := sampleEvidence(t, sdk+"json/hopper_evidence.json", "")[0]
	res := Verify(e, Trust{}, Reference{})
	if got := rejections(t, res); res.Holds() || res.ChainOK || !slices.Equal(got, []Code{CodeChainRoot}) || res.Chip != "" || res.DeviceID != [32]byte{} {
		t.Errorf("%+v", res)
	}
}

// The transcript of the newer opaque format is re-typed: it parses, and no more.
func TestSamplesNVDAOD(t *testing.T) {
	e := sampleEvidence(t, "nvidia-attestation-sdk-2026.10/sample_nvdaod_transcript.txt", "")[0]
	r, err := ParseReport(e.Report)
	if err != nil {
		t.Fatal(err)
	}
	if o := r.Opaque; o.Format != FormatNVDAOD || o.Major != 2 || len(o.Fields) != 17 {
		t.Errorf("%s %d.%d.%d with %d fields", o.Format, o.Major, o.Minor, o.Patch, len(o.Fields))
	}
	if r.Mode() != ModeCC || r.Driver() != "620.12" || r.VBIOS() != "96.00.D9.00.0F" || r.Project() != "G520" || len(r.FWID()) != 48 {
		t.Errorf("%s %s %s %s", r.Mode(), r.Driver(), r.VBIOS(), r.Project())
	}
	if f, ok := r.Feature(); f != 0 || !ok {
		t.Error(f, ok)
	}
	if enabled, known := r.NVDEC0(); !enabled || !known {
		t.Error(enabled, known)
	}
	driver, vbios := r.RIMs("GH100")
	if driver != "NV_GPU_DRIVER_GH100_620.12" || vbios != "NV_GPU_VBIOS_G520_0201_884_9600D9000F" {
		t.Error(driver, vbios)
	}
	res := Verify(e, NVIDIA(), Reference{})
	if got := rejections(t, res); !slices.Equal(got, []Code{CodeChainMissing}) || res.Grade != GradeNone {
		t.Error(got)
	}
}

func TestSamplesRIMIDs(t *testing.T) {
	for _, tt := range []struct{ name, chip, driver, vbios string }{
		{google + "test_raw_gpu_attestation_report.dat", "GH100", "NV_GPU_DRIVER_GH100_550.90.07", "NV_GPU_VBIOS_1010_0200_882_96009F0001"},
		{sdk + "gpu/blackwellAttestationReport.txt", "GB100", "NV_GPU_CC_DRIVER_GB100_575.32", "NV_GPU_VBIOS_G525_0220_886_970088000F"},
		{sdk + "switch/switchAttestationReport.txt", "LS10", "", "NV_SWITCH_BIOS_5612_0002_890_9610550001"},
	} {
		r, err := ParseReport(sampleEvidence(t, tt.name, "")[0].Report)
		if err != nil {
			t.Fatal(err)
		}
		if driver, vbios := r.RIMs(tt.chip); driver != tt.driver || vbios != tt.vbios {
			t.Errorf("%s: %q, %q", tt.name, driver, vbios)
		}
	}
}

// NVIDIA's own parser is the oracle: what it prints of two of the reports is what ours
// reads, line by line.
func TestSamplesOracle(t *testing.T) {
	fields := map[string]uint16{
		"BOARD_ID": FieldBoard, "CHIP_SKU": FieldChipSKU, "CHIP_SKU_MOD": FieldChipSKUMod, "CPRINFO": 13, "DRIVER_VERSION": FieldDriver,
		"FWID": FieldFWID, "GPU_INFO": FieldGPUInfo, "NVDEC0_STATUS": FieldNVDEC0, "PROJECT": FieldProject, "PROJECT_SKU": FieldProjectSKU,
		"PROJECT_SKU_MOD": FieldProjectSKUMod, "PROTECTED_PCIE_STATUS": FieldProtectedPCIe, "VBIOS_VERSION": FieldVBIOS,
		"DEVICE_PDI": FieldSwitchPDI, "SWITCH_LOCK_STATUS": 25, "SWITCH_POSITION_ID": 24,
	}
	for report, lines := range map[string]string{
		"nvidia-nvtrust/samples/hopperAttestationReport.txt": "spdm_parsed_output.txt",
		sdk + "switch/switchAttestationReport.txt":           "switch_spdm_parsed_output.txt",
	} {
		r, err := ParseReport(sampleEvidence(t, report, "")[0].Report)
		if err != nil {
			t.Fatal(err)
		}
		got := map[string]string{"NumberOfBlocks": strconv.Itoa(len(r.Blocks)), "Nonce": fmt.Sprintf("0x%x", r.Responder), "Signature": fmt.Sprintf("0x%x", r.Signature)}
		for _, b := range r.Blocks {
			key := fmt.Sprintf("MeasurementRecord.MeasurementBlocks[%d].DMTFSpecMeasurementValue", b.Index)
			got[key] = fmt.Sprintf("0x%x", b.Value)
			got[key+"Type"], got[key+"Size"] = strconv.Itoa(int(b.Type)), strconv.Itoa(len(b.Value))
		}
		name := func(s string) string { return "OpaqueData.OpaqueDataField['OPAQUE_FIELD_ID_" + s + "']" }
		for s, typ := range fields {
			if b, ok := r.Opaque.Get(typ); ok {
				got[name(s)] = fmt.Sprintf("0x%x", b)
			}
		}
		for i, n := range r.Counts() {
			got[fmt.Sprintf("%s[%d]", name("MSRSCNT"), i)] = strconv.Itoa(int(n))
		}
		for i, p := range r.Peers() {
			if r.Mode() == ModeSwitch {
				got[fmt.Sprintf("%s[%d]", name("SWITCH_GPU_PDIS"), i)] = "0x" + strings.ToLower(p.String())
			}
		}
		compared := 0
		for line := range strings.Lines(string(sample(t, sdk+"claims/"+lines))) {
			key, want, _ := strings.Cut(strings.TrimPrefix(strings.TrimSpace(line), "SpdmMeasurementResponseMessage."), " = ")
			if v, ok := got[key]; ok {
				if delete(got, key); v != want {
					t.Errorf("%s: %s is %s, the oracle says %s", report, key, v, want)
				}
				compared++
			}
		}
		if len(got) > 0 {
			t.Errorf("%s: the oracle lacks %v", report, slices.Sorted(maps.Keys(got)))
		}
		t.Logf("%s: %d lines equal", report, compared)
	}
}
