package attest_test

import (
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	. "github.com/assaynet/assay/gpu/attest"
)

func sampleRIM(t testing.TB, name string) *RIM {
	t.Helper()
	m, err := ParseRIM(sample(t, name), NVIDIA())
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// sampleOCSP are the published answers, and a time at which those of the card's chain
// are fresh; those of the manifests' are of another month.
func sampleOCSP(t testing.TB) (all []*OCSPResponse, at time.Time) {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(samples(t), google, "ocsp/*.dat"))
	if err != nil || len(names) != 7 {
		t.Fatal(names, err)
	}
	for _, name := range names {
		b, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		r, err := ParseOCSP(b)
		if err != nil {
			t.Fatal(err)
		}
		if all = append(all, r); at.IsZero() || r.ThisUpdate.Before(at) {
			at = r.ThisUpdate
		}
	}
	return all, at.Add(time.Hour)
}

// The one complete set there is reaches the highest grade, and what is taken away from
// it lowers the grade by as much as that is worth.
func TestSamplesMeasured(t *testing.T) {
	const driver, vbios = google + "rim/NV_GPU_DRIVER_GH100_550.90.07.xml", google + "rim/NV_GPU_VBIOS_1010_0200_882_96009F0001.xml"
	e := sampleEvidence(t, google+"test_raw_gpu_attestation_report.dat", google+"test_gpu_attestation_certificate_chain.dat")[0]
	r, err := ParseReport(e.Report)
	if err != nil {
		t.Fatal(err)
	}
	e.Nonce = &r.Nonce
	ocsp, at := sampleOCSP(t)
	d, v := sampleRIM(t, driver), sampleRIM(t, vbios)
	another := sampleRIM(t, sdk+"rim/NV_GPU_DRIVER_GH100_550.144.03.xml")
	tests := []struct {
		name  string
		ref   Reference
		grade Grade
		rim   RIMResult
		ocsp  Revocation
		codes []Code
	}{
		{"all", Reference{[]*RIM{d, v}, ocsp, at}, GradeMeasured, RIMResult{RIMMatch, RIMMatch, nil, 33}, OCSPGood, nil},
		{"the other order", Reference{[]*RIM{v, another, d, nil}, ocsp, at}, GradeMeasured, RIMResult{RIMMatch, RIMMatch, nil, 33}, OCSPGood, nil},
		{"no answers", Reference{[]*RIM{d, v}, nil, at}, GradeMeasured, RIMResult{RIMMatch, RIMMatch, nil, 33}, OCSPAbsent, nil},
		{"later", Reference{[]*RIM{d, v}, ocsp, at.AddDate(3, 0, 0)}, GradeMeasured, RIMResult{RIMMatch, RIMMatch, nil, 33}, OCSPStale, []Code{CodeOCSPStale, CodeRIMExpired}},
		{"no driver's", Reference{[]*RIM{v}, ocsp, at}, GradeIdentity, RIMResult{RIMAbsent, RIMMatch, nil, 12}, OCSPGood, []Code{CodeRIMAbsent}},
		{"another driver's", Reference{[]*RIM{v, another}, ocsp, at}, GradeIdentity, RIMResult{RIMAbsent, RIMMatch, nil, 12}, OCSPGood, []Code{CodeRIMAbsent}},
		{"no VBIOS's", Reference{[]*RIM{d}, ocsp, at}, GradeIdentity, RIMResult{RIMMatch, RIMAbsent, nil, 21}, OCSPGood, []Code{CodeRIMAbsent}},
		{"nothing", Reference{}, GradeIdentity, RIMResult{Driver: RIMAbsent, VBIOS: RIMAbsent}, OCSPAbsent, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			res := Verify(e, NVIDIA(), tt.ref)
			got := slices.Compact(codes(res))
			if res.Grade != tt.grade || res.OCSP != tt.ocsp || !slices.Equal(got, tt.codes) || res.Simulated {
				t.Errorf("%s, %s: %v", res.Grade, res.OCSP, res.Reasons)
			}
			if res.RIM.Driver != tt.rim.Driver || res.RIM.VBIOS != tt.rim.VBIOS || res.RIM.Compared != tt.rim.Compared || len(res.RIM.Mismatched) > 0 {
				t.Errorf("%+v, want %+v", res.RIM, tt.rim)
			}
		})
	}
	t.Run("manifests of roots that are not trusted", func(t *testing.T) {
		res := Verify(e, Trust{Devices: NVIDIA().Devices}, Reference{RIMs: []*RIM{d, v}})
		if got := slices.Compact(codes(res)); res.Grade != GradeIdentity || !slices.Equal(got, []Code{CodeRIMForeign, CodeRIMAbsent}) {
			t.Errorf("%s: %v", res.Grade, res.Reasons)
		}
	})
}

// Measurements that differ from the manifest at hand are a grade, not a refusal: the
// vendor issues manifests of one version more than once.
func TestSamplesMismatch(t *testing.T) {
	e := sampleEvidence(t, sdk+"gpu/hopperAttestationReportExpired.txt", sdk+"gpu/hopperCertChainExpired.txt")[0]
	m := sampleRIM(t, "nvidia-nvtrust/samples/1010_0205_862_96005E0004_PROD.swidtag")
	res := Verify(e, NVIDIA(), Reference{RIMs: []*RIM{m}})
	if !res.Holds() || res.Grade != GradeIdentity || res.RIM.VBIOS != RIMMismatch || !slices.Equal(res.RIM.Mismatched, []int{9}) {
		t.Errorf("%s, %+v: %v", res.Grade, res.RIM, res.Reasons)
	}

	sw := sampleEvidence(t, sdk+"switch/switchAttestationReport.txt", sdk+"switch/switchCertChain.txt")[0]
	m = sampleRIM(t, sdk+"rim/switchVBIOSRim_NV_SWITCH_BIOS_5612_0002_890_9610550001.xml")
	res = Verify(sw, NVIDIA(), Reference{RIMs: []*RIM{m}})
	if res.Grade != GradeMeasured || res.RIM.Driver != RIMAbsent || res.RIM.Compared != 31 {
		t.Errorf("%s, %+v: %v", res.Grade, res.RIM, res.Reasons)
	}
}
