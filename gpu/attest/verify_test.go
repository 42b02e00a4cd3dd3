package attest_test

import (
	"encoding/json"
	"slices"
	"testing"

	. "github.com/assaynet/assay/gpu/attest"
	"github.com/assaynet/assay/gpu/attest/synthetic"
)

func codes(r Result) []Code {
	var out []Code
	for _, f := range r.Reasons {
		out = append(out, f.Code)
	}
	return out
}

// Steps are judged each for itself: what fails does not hide what comes after.
func TestVerifySteps(t *testing.T) {
	m := synthetic.New([32]byte{1})
	whole := m.Card(synthetic.CardConfig{}).Sign([32]byte{7})
	nonce := &[32]byte{8}
	yes, no := true, false
	tests := []struct {
		name           string
		edit           func(*Evidence)
		nonce          *bool
		chain, sig, ok bool
		want           []Code
	}{
		{"whole", func(*Evidence) {}, &yes, true, true, true, []Code{CodeSimulated}},
		{"no nonce given", func(e *Evidence) { e.Nonce = nil }, nil, true, true, true, []Code{CodeNonceMissing, CodeSimulated}},
		{"another nonce", func(e *Evidence) { e.Nonce = nonce }, &no, true, true, false, []Code{CodeNonceMismatch, CodeSimulated}},
		{"no chain", func(e *Evidence) { e.Chain = nil }, &yes, false, false, false, []Code{CodeChainMissing}},
		{"no chain and another nonce", func(e *Evidence) { e.Chain, e.Nonce = nil, nonce }, &no, false, false, false, []Code{CodeNonceMismatch, CodeChainMissing}},
		{"no report", func(e *Evidence) { e.Report = nil }, nil, true, false, false, []Code{CodeReportTruncated, CodeSimulated}},
		{"nothing", func(e *Evidence) { *e = Evidence{} }, nil, false, false, false, []Code{CodeReportTruncated, CodeNonceMissing, CodeChainMissing}},
		{"a chain that does not parse", func(e *Evidence) { e.Chain = []byte("x") }, &yes, false, false, false, []Code{CodeChainEncoding}},
		{"another card's chain", func(e *Evidence) { e.Chain = m.Card(synthetic.CardConfig{PDI: PDI{9}}).Chain().DER() }, &yes, true, false, false, []Code{CodeSimulated, CodeSignature}},
		{"a card of other firmware", func(e *Evidence) { e.Chain = m.Card(synthetic.CardConfig{Driver: "1.0"}).Chain().DER() }, &yes, true, false, false, []Code{CodeSimulated, CodeSignature, CodeFWIDMismatch}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			e := whole
			tt.edit(&e)
			res := Verify(e, m.Trust(), Reference{})
			if got := codes(res); !slices.Equal(got, tt.want) {
				t.Errorf("%v, want %v", got, tt.want)
			}
			if (res.NonceOK == nil) != (tt.nonce == nil) || tt.nonce != nil && *res.NonceOK != *tt.nonce {
				t.Errorf("nonce %v, want %v", res.NonceOK, tt.nonce)
			}
			if res.ChainOK != tt.chain || res.SignatureOK != tt.sig || res.Holds() != tt.ok || (res.Grade == GradeIdentity) != tt.ok {
				t.Errorf("%+v", res)
			}
			if (res.DeviceID != [32]byte{}) != tt.chain || (res.Chip == "GH100") != tt.chain {
				t.Errorf("device %x, chip %q", res.DeviceID, res.Chip)
			}
		})
	}
}

// A result holds by what it says, whoever made it: nothing that is missing counts as good.
func TestHolds(t *testing.T) {
	yes, no := true, false
	good := Result{ChainOK: true, SignatureOK: true, FWID: Matches, NonceOK: &yes, Reasons: []Reason{{Code: CodeSimulated}}}
	for name, edit := range map[string]func(*Result){
		"empty":        func(r *Result) { *r = Result{} },
		"chain":        func(r *Result) { r.ChainOK = false },
		"signature":    func(r *Result) { r.SignatureOK = false },
		"firmware":     func(r *Result) { r.FWID = Mismatches },
		"nonce":        func(r *Result) { r.NonceOK = &no },
		"other reason": func(r *Result) { r.Reasons = []Reason{{Code: CodeOpaqueCount}} },
	} {
		r := good
		if edit(&r); r.Holds() {
			t.Errorf("%s: holds", name)
		}
	}
	good.NonceOK, good.FWID = nil, Absent
	if !good.Holds() {
		t.Error("does not hold")
	}
}

// A chip's processors have identities of their own, and the chip's identifier in common.
// Of a chain that does not verify there is none.
func TestResultPDI(t *testing.T) {
	m := synthetic.New([32]byte{1})
	pdi := PDI{1, 2, 3, 4, 5, 6, 7, 8}
	ids := map[[32]byte]bool{}
	for _, k := range kinds {
		e := m.Card(synthetic.CardConfig{Kind: k, PDI: pdi}).Sign([32]byte{7})
		res := Verify(e, m.Trust(), Reference{})
		if res.PDI != pdi || !res.Holds() {
			t.Errorf("%s: PDI %s %v", k, res.PDI, res.Reasons)
		}
		if ids[res.DeviceID] {
			t.Errorf("%s: the device id of another", k)
		}
		ids[res.DeviceID] = true
		if res := Verify(e, NVIDIA(), Reference{}); res.PDI != (PDI{}) || res.ChainOK {
			t.Errorf("%s, not trusted: PDI %s", k, res.PDI)
		}
		if e.Nonce[0]++; !Verify(e, m.Trust(), Reference{}).ChainOK || Verify(e, m.Trust(), Reference{}).PDI != pdi {
			t.Errorf("%s, another nonce: the chain verifies, and there is no PDI", k)
		}
	}
}

// What is not known to be harmless rejects.
func TestRejects(t *testing.T) {
	for code, want := range map[Code]bool{
		CodeNonceMissing: false, CodeFWIDAbsent: false, CodeSimulated: false, CodeChainExpired: false, CodeRIMExpired: false, CodeRIMForeign: false,
		CodeOCSPStale: false, CodeOCSPRevoked: false, CodeGoldenMismatch: false, CodeNonceMismatch: true, CodePDI: true, CodeInputNonce: true, "": true, "of-tomorrow": true,
	} {
		if code.Rejects() != want {
			t.Errorf("%q rejects: %t", code, !want)
		}
	}
}

func TestResultJSON(t *testing.T) {
	nonce := true
	tests := []struct {
		name string
		res  Result
		want string
	}{
		{
			"of nothing", Verify(Evidence{Report: []byte{0x12}, Chain: []byte("x")}, Trust{}, Reference{}),
			`{"mode":"","chip":"","device_id":"","driver":"","vbios":"","nonce_ok":null,"chain_ok":false,"signature_ok":false,"fwid":"absent",` +
				`"rim":{"driver":"absent","vbios":"absent","mismatched":[]},"ocsp":"absent","evidence":"none","reasons":[` +
				`{"code":"report-version","detail":"request version at byte 0: 0x12, want 0x11"},` +
				`{"code":"nonce-not-given","detail":"nonce: not known what the report was asked to sign"},` +
				`{"code":"chain-encoding","detail":"certificate at byte 0: number 0 is no certificate in the encoding of the first"}]}`,
		},
		{
			"whole",
			Result{
				Mode: ModeCC, Chip: "GH100", DeviceID: [32]byte{0xAB}, PDI: PDI{0xCD}, Driver: "1", VBIOS: "2", NonceOK: &nonce, ChainOK: true, SignatureOK: true,
				FWID: Matches, RIM: RIMResult{Driver: RIMMatch, VBIOS: RIMMismatch, Mismatched: []int{9}}, OCSP: OCSPGood, Grade: GradeIdentity, Simulated: true,
			},
			`{"mode":"cc","chip":"GH100","device_id":"ab00000000000000000000000000000000000000000000000000000000000000","driver":"1","vbios":"2",` +
				`"nonce_ok":true,"chain_ok":true,"signature_ok":true,"fwid":"match","rim":{"driver":"match","vbios":"mismatch","mismatched":[9]},` +
				`"ocsp":"good","evidence":"identity","reasons":[],"simulated":true}`,
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := json.Marshal(tt.res)
			if err != nil || string(got) != tt.want {
				t.Errorf("%s %v, want %s", got, err, tt.want)
			}
		})
	}
}

// A card and its switches name each other.
func TestPeers(t *testing.T) {
	m := synthetic.New([32]byte{1})
	peers := []PDI{{1, 2, 3, 4, 5, 6, 7, 8}, {9}}
	for kind, want := range map[synthetic.Kind]int{synthetic.Hopper: 2, synthetic.Switch: 8, synthetic.FSP: 0} {
		e := m.Card(synthetic.CardConfig{Kind: kind, Peers: peers, NVDEC0: true}).Sign([32]byte{7})
		r, err := ParseReport(e.Report)
		if err != nil {
			t.Fatal(err)
		}
		got := r.Peers()
		if len(got) != want || want > 0 && (got[0] != peers[0] || got[1] != peers[1]) {
			t.Errorf("%s: %v", kind, got)
		}
		enabled, known := r.ProtectedPCIe()
		if on := kind == synthetic.Hopper; enabled != on || known != on {
			t.Errorf("%s: protected PCIe %t, known %t", kind, enabled, known)
		}
		if f, known := r.Feature(); known != (kind == synthetic.Hopper) || known && f != 2 {
			t.Errorf("%s: feature %d, known %t", kind, f, known)
		}
		if enabled, known := r.NVDEC0(); enabled != known || known != (kind == synthetic.Hopper) {
			t.Errorf("%s: decoder %t, known %t", kind, enabled, known)
		}
	}
}

func TestRIMIDs(t *testing.T) {
	m := synthetic.New([32]byte{1})
	tests := []struct {
		name          string
		card          synthetic.CardConfig
		edit          func(*synthetic.Draft)
		chip          string
		driver, vbios string
	}{
		{"Hopper", synthetic.CardConfig{}, nil, "GH100", "NV_GPU_DRIVER_GH100_550.90.07", "NV_GPU_VBIOS_1010_0200_882_96009F0001"},
		{"small letters", synthetic.CardConfig{Project: "g520"}, nil, "GH100", "NV_GPU_DRIVER_GH100_550.90.07", "NV_GPU_VBIOS_G520_0200_882_96009F0001"},
		{"Blackwell", synthetic.CardConfig{Kind: synthetic.Blackwell}, nil, "GB100", "NV_GPU_CC_DRIVER_GB100_575.32", "NV_GPU_VBIOS_G525_0220_886_970088000F"},
		{"the report's chip first", synthetic.CardConfig{Kind: synthetic.Blackwell, Chip: "GB202"}, nil, "GB100", "NV_GPU_CC_DRIVER_GB202_575.32", "NV_GPU_VBIOS_G525_0220_886_970088000F"},
		{"the chain's chip else", synthetic.CardConfig{Kind: synthetic.Blackwell}, func(d *synthetic.Draft) { d.Field(FieldChipInfo).Type = 999 }, "GB203", "NV_GPU_CC_DRIVER_GB203_575.32", "NV_GPU_VBIOS_G525_0220_886_970088000F"},
		{"no project", synthetic.CardConfig{}, func(d *synthetic.Draft) { d.Field(FieldProject).Data = nil }, "GH100", "NV_GPU_DRIVER_GH100_550.90.07", ""},
		{"firmware processor", synthetic.CardConfig{Kind: synthetic.FSP}, nil, "GB100", "", ""},
		{"switch", synthetic.CardConfig{Kind: synthetic.Switch}, nil, "LS10", "", "NV_SWITCH_BIOS_5612_0002_890_9610550001"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var edits []func(*synthetic.Draft)
			if tt.edit != nil {
				edits = append(edits, tt.edit)
			}
			r, err := ParseReport(m.Card(tt.card).Sign([32]byte{7}, edits...).Report)
			if err != nil {
				t.Fatal(err)
			}
			if driver, vbios := r.RIMs(tt.chip); driver != tt.driver || vbios != tt.vbios {
				t.Errorf("%q %q", driver, vbios)
			}
		})
	}
}
