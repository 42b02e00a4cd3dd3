package attest

import (
	"encoding/hex"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/assaynet/assay/gpu/attest/xmldsig"
)

func readSample(t *testing.T, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(rimSamples(t), name))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestSampleRIMs(t *testing.T) {
	old, err := filepath.Glob(filepath.Join(rimSamples(t), "nvidia-nvtrust/samples/*.swidtag"))
	if err != nil || len(old) != 26 {
		t.Fatalf("%d manifests of nvtrust, %v", len(old), err)
	}
	names := []string{
		"google-go-nvattest-tools/rim/NV_GPU_DRIVER_GH100_550.90.07.xml", "google-go-nvattest-tools/rim/NV_GPU_VBIOS_1010_0200_882_96009F0001.xml",
		"google-go-nvattest-tools/rim/success_valid_rim.xml", "nvidia-attestation-sdk/rim/NV_GPU_DRIVER_GH100_550.144.03.xml",
		"nvidia-attestation-sdk/rim/switchVBIOSRim_NV_SWITCH_BIOS_5612_0002_890_9610550001.xml",
		"nvidia-attestation-sdk/rim/NV_GPU_VBIOS_1010_0200_882_96005E0001_measurement_mismatch.xml", // authentic: a later one of its version
	}
	for _, f := range old {
		names = append(names, "nvidia-nvtrust/samples/"+filepath.Base(f))
	}
	for _, name := range names {
		t.Run(name, func(t *testing.T) {
			b := readSample(t, name)
			r, err := ParseRIM(b, NVIDIA())
			if err != nil {
				t.Fatal(err)
			}
			edition, product, active := "GPU", "GH100", 12
			switch {
			case strings.Contains(name, "SWITCH"):
				edition, product, active = "SWITCH", "LS10", 31
			case strings.Contains(strings.ToUpper(name), "DRIVER"):
				active = 21
			}
			if r.Edition != edition || r.Product != product || r.Name != product || len(r.active()) != active || len(r.Measurements) != 64 || r.Simulated {
				t.Errorf("%s %s %s %s, %d active of %d", r.Edition, r.Product, r.Name, r.Version, len(r.active()), len(r.Measurements))
			}
			if plain := strings.ReplaceAll(r.Version, ".", ""); !strings.Contains(strings.ReplaceAll(name, ".", ""), plain) && !strings.Contains(name, "test_no_gpu") && !strings.Contains(name, "success") {
				t.Errorf("version %s", r.Version)
			}
			if r.Expires.Before(r.Chain[0].NotBefore.AddDate(1, 0, 0)) || r.Expires.After(r.Chain[0].NotAfter) {
				t.Errorf("expires %v, signer until %v", r.Expires, r.Chain[0].NotAfter)
			}
			// A value changed anywhere is seen.
			if _, err := ParseRIM([]byte(strings.Replace(string(b), `Hash0="0`, `Hash0="1`, 1)), NVIDIA()); err == nil {
				t.Error("a changed value is taken")
			}
		})
	}
}

func TestSampleRIMsRefused(t *testing.T) {
	const sdk, google = "nvidia-attestation-sdk/rim/", "google-go-nvattest-tools/rim/"
	for name, want := range map[string]Code{
		sdk + "NV_GPU_DRIVER_GH100_535.86.09_measurement_mismatch.xml":           CodeRIMDigest, // a value edited
		sdk + "NV_GPU_DRIVER_GH100_570.124.03_expired.xml":                       CodeRIMDigest, // another's certificates and signature
		sdk + "NV_SWITCH_BIOS_5612_0002_890_9610550001_measurement_mismatch.xml": CodeRIMDigest,
		sdk + "NV_SWITCH_BIOS_5612_0002_890_9610550001_invalid_signature.xml":    CodeRIMDigest,
		sdk + "incorrect_signature_driver_rim.xml":                               CodeRIMSignature,
		sdk + "incorrect_cert_chain_driver_rim.xml":                              CodeRIMChain, // ends in "… Debug Only"
		google + "valid_signed_xml.xml":                                          inRIM + Code(xmldsig.CodeNamespace),
		google + "failure_missing_meta.xml":                                      CodeRIMRoot,
		google + "failure_duplicate_index.xml":                                   CodeRIMUnsigned,
	} {
		_, err := ParseRIM(readSample(t, name), NVIDIA())
		if wantCode(t, err, want); t.Failed() {
			t.Fatal(name)
		}
	}
}

// Google's malformed manifests are unsigned pieces, of no common root: of each the
// step that is to refuse it is tried.
func TestSampleRIMPieces(t *testing.T) {
	payload := func(doc *xmldsig.Element) error {
		var p *xmldsig.Element
		for _, n := range doc.Nodes {
			if n.Element != nil && n.Element.Local == "Payload" {
				p = n.Element
			}
		}
		_, err := readPayload(p)
		return err
	}
	// With the namespaces that they leave out.
	swid := func(doc string) string {
		i := strings.Index(doc, ">")
		return `<SoftwareIdentity xmlns="` + spaceSWID + `" name="a" tagId="b">` + doc[i+1:strings.LastIndex(doc, "</")] + `</SoftwareIdentity>`
	}
	meta := func(doc string) error {
		e, err := xmldsig.Parse([]byte(swid(doc)))
		if err != nil {
			return err
		}
		var m *xmldsig.Element
		for _, n := range e.Nodes {
			if n.Element != nil && n.Element.Local == "Meta" {
				m = n.Element
			}
		}
		return new(RIM).readMeta(e, m)
	}
	trust := fakeTrust(fakeChain(t))
	keys := func(doc string) error { // as the keys of a document that is signed
		_, info, _ := strings.Cut(doc, "<KeyInfo>")
		info, _, _ = strings.Cut(info, "</KeyInfo>")
		info = strings.NewReplacer("<X509", "<ds:X509", "</X509", "</ds:X509").Replace(info)
		_, err := ParseRIM([]byte(signing{keyInfo: func(string) string { return info }}.sign(t, plainRIM())), trust)
		return err
	}
	for name, want := range map[string]Code{
		"failure_duplicate_index":               CodeRIMIndexDuplicate,
		"failure_empty_payload":                 CodeRIMPayloadEmpty,
		"failure_hash_empty_namespace":          CodeRIMHashNamespace,
		"failure_invalid_alternatives":          CodeRIMAlternatives,
		"failure_invalid_index":                 CodeRIMIndex,
		"failure_invalid_size":                  CodeRIMSize,
		"failure_missing_alternatives":          CodeRIMAlternatives,
		"failure_missing_hash":                  CodeRIMHash,
		"failure_missing_index":                 CodeRIMIndex,
		"failure_missing_size":                  CodeRIMSize,
		"failure_no_payload":                    CodeRIMPayload,
		"success_payload_multiple_alternatives": "",
		"success_payload_single_measurement":    "",
		"success_payload_multiple_measurements": CodeRIMHash, // "hash0" is no digest of 10 bytes, whatever upstream takes
		"failure_missing_meta":                  CodeRIMMeta,
		"failure_missing_colloquial_version":    CodeRIMColloquial,
		"failure_missing_x509_data":             codeForm,
		"failure_missing_x509_certificate":      codeForm,
		"failure_invalid_base64_cert":           CodeRIMCertificates,
		"failure_invalid_cert_bytes":            CodeRIMCertificates,
		"failure_invalid_pem_data":              CodeRIMCertificates,
	} {
		t.Run(name, func(t *testing.T) {
			b := readSample(t, "google-go-nvattest-tools/rim/"+name+".xml")
			doc, err := xmldsig.Parse(b)
			if err != nil {
				t.Fatal(err)
			}
			switch {
			case strings.Contains(name, "meta") || strings.Contains(name, "colloquial"):
				err = meta(string(b))
			case strings.Contains(name, "x509") || strings.Contains(name, "cert") || strings.Contains(name, "pem"):
				err = keys(string(b))
			default:
				err = payload(doc)
			}
			if want == "" && err != nil {
				t.Fatal(err)
			}
			if want != "" {
				wantCode(t, err, want)
			}
		})
	}
}

func sampleReport(t *testing.T, name string) *Report {
	t.Helper()
	b := readSample(t, name)
	if strings.HasSuffix(name, ".txt") {
		text := strings.NewReplacer(`\x`, "", "0x", "", " ", "", "\n", "", "\r", "", "\t", "").Replace(string(b))
		var err error
		if b, err = hex.DecodeString(text); err != nil {
			t.Fatal(err)
		}
	}
	r, err := ParseReport(b)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// Reports against all authentic manifests: the right ones are found, and match or not
// as they are known to.
func TestSampleGoldens(t *testing.T) {
	var rims []*RIM
	for _, glob := range []string{"*/rim/*.xml", "*/samples/*.swidtag"} {
		files, err := filepath.Glob(filepath.Join(rimSamples(t), glob))
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range files {
			b, err := os.ReadFile(f)
			if err != nil {
				t.Fatal(err)
			}
			if r, err := ParseRIM(b, NVIDIA()); err == nil {
				rims = append(rims, r)
			}
		}
	}
	if len(rims) != 32 {
		t.Fatalf("%d authentic manifests, want 32", len(rims))
	}
	for _, tt := range []struct {
		name, chip    string
		driver, vbios RIMStatus
		compared      int
		mismatched    []int
	}{
		{"google-go-nvattest-tools/test_raw_gpu_attestation_report.dat", "GH100", RIMMatch, RIMMatch, 33, nil},
		{"nvidia-nvtrust/samples/hopperAttestationReport.txt", "GH100", RIMMatch, RIMMatch, 33, nil},
		{"nvidia-attestation-sdk/gpu/hopperAttestationReport.txt", "GH100", RIMAbsent, RIMMatch, 12, nil},                // 535.86.09
		{"nvidia-attestation-sdk/gpu/hopperAttestationReportExpired.txt", "GH100", RIMAbsent, RIMMismatch, 12, []int{9}}, // a manifest of before
		{"nvidia-attestation-sdk/switch/switchAttestationReport.txt", "LS10", RIMAbsent, RIMMatch, 31, nil},
		{"nvidia-attestation-sdk/gpu/blackwellAttestationReport.txt", "GB100", RIMAbsent, RIMAbsent, 0, nil},
		{"google-go-nvattest-tools/test_raw_switch_attestation_report.dat", "LS10", RIMAbsent, RIMAbsent, 0, nil}, // of a BIOS without a manifest here
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := sampleReport(t, tt.name)
			for range 2 {
				slices.Reverse(rims)
				driver, vbios := selectRIMs(r, tt.chip, rims)
				res, reasons := judgeRIMs(r, driver, vbios)
				if res.Driver != tt.driver || res.VBIOS != tt.vbios || res.Compared != tt.compared || !slices.Equal(res.Mismatched, tt.mismatched) {
					t.Errorf("%+v %v", res, reasons)
				}
			}
		})
	}
	// One measurement changed is one mismatch, of whichever manifest it is.
	r := sampleReport(t, "google-go-nvattest-tools/test_raw_gpu_attestation_report.dat")
	driver, vbios := selectRIMs(r, "GH100", rims)
	for i, b := range r.Blocks {
		b.Value[0] ^= 1
		got, _, _ := Compare(r, driver, vbios)
		b.Value[0] ^= 1
		active := slices.Contains(driver.active(), i) || slices.Contains(vbios.active(), i)
		if (active && i != nvdecIndex) != slices.Equal(got, []int{i}) { // this card's decoder is disabled
			t.Errorf("measurement %d changed: %v", i, got)
		}
	}
}

func TestSampleOCSP(t *testing.T) {
	const google = "google-go-nvattest-tools/"
	var all []*OCSPResponse
	files, err := filepath.Glob(filepath.Join(rimSamples(t), google+"ocsp/*.dat"))
	if err != nil || len(files) != 7 {
		t.Fatalf("%d answers, %v", len(files), err)
	}
	for _, f := range files {
		b, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		r, err := ParseOCSP(b)
		if err != nil {
			t.Fatalf("%s: %v", f, err)
		}
		if r.Status != OCSPGood || r.NextUpdate.Sub(r.ThisUpdate) != 24*time.Hour {
			t.Errorf("%s: %s from %v to %v", f, r.Status, r.ThisUpdate, r.NextUpdate)
		}
		all = append(all, r)
	}
	device, err := ParseChain(readSample(t, google+"test_gpu_attestation_certificate_chain.dat"))
	if err != nil {
		t.Fatal(err)
	}
	other, err := ParseChain(readSample(t, "nvidia-attestation-sdk/gpu/hopperCertChain.txt"))
	if err != nil {
		t.Fatal(err)
	}
	rim := func(name string) Chain {
		r, err := ParseRIM(readSample(t, google+"rim/"+name), NVIDIA())
		if err != nil {
			t.Fatal(err)
		}
		return r.Chain
	}
	driver, vbios := rim("NV_GPU_DRIVER_GH100_550.90.07.xml"), rim("NV_GPU_VBIOS_1010_0200_882_96009F0001.xml")
	august, october := time.Date(2025, 8, 21, 12, 0, 0, 0, time.UTC), time.Date(2025, 10, 24, 12, 0, 0, 0, time.UTC)
	for _, tt := range []struct {
		name  string
		chain Chain
		from  int
		at    time.Time
		want  Revocation
	}{
		{"device", device, 1, august, OCSPGood},
		{"device, the day after", device, 1, august.AddDate(0, 0, 1), OCSPStale},
		{"device, the day before", device, 1, august.AddDate(0, 0, -1), OCSPStale},
		{"device with its first certificate", device, 0, august, OCSPAbsent},
		{"driver", driver, 0, october, OCSPGood},
		{"VBIOS", vbios, 0, october, OCSPGood},
		{"driver, a year on", driver, 0, october.AddDate(1, 0, 0), OCSPStale},
		{"another device", other, 1, august, OCSPAbsent},
	} {
		got, reasons := CheckOCSP(tt.chain, tt.from, all, tt.at)
		if got != tt.want || (len(reasons) == 0) != (got == OCSPGood) {
			t.Errorf("%s: %s %v", tt.name, got, reasons)
		}
	}
	// Of another issuer, whatever the serial number: the device's own certificate under
	// each other certificate.
	for i, issuer := range slices.Concat(device, driver) {
		if i == 2 {
			continue
		}
		if got, _ := CheckOCSP(Chain{device[1], issuer}, 0, all, august); got != OCSPAbsent {
			t.Errorf("issuer %d %q: %s", i, issuer.Subject.CommonName, got)
		}
	}
}
