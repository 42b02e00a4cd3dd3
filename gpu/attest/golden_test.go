package attest

import (
	"bytes"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

// fakeReport is a parsed report of driver 550.90.07 and VBIOS 96.00.9F.00.01 whose
// measurement with the manifest's index i is the byte i, 48 times, for 0 to 40.
func fakeReport(nvdec ...byte) *Report {
	r := &Report{Opaque: Opaque{Format: FormatTLV, Fields: []Field{
		{Type: FieldDriver, Data: []byte("550.90.07\x00")},
		{Type: FieldVBIOS, Data: []byte{0x00, 0x9F, 0x00, 0x96, 0x01, 0, 0, 0}},
	}}}
	if len(nvdec) > 0 {
		r.Opaque.Fields = append(r.Opaque.Fields, Field{Type: FieldNVDEC0, Data: nvdec})
	}
	for i := range byte(41) {
		r.Blocks = append(r.Blocks, Block{Index: i + 1, Type: 1, Value: bytes.Repeat([]byte{i}, 48)})
	}
	return r
}

// fakeGolden expects a measurement to be one of the bytes d, 48 times.
func fakeGolden(index int, d ...byte) Golden {
	g := Golden{Index: index, Active: true, Size: 48}
	for _, b := range d {
		g.Digests = append(g.Digests, bytes.Repeat([]byte{b}, 48))
	}
	return g
}

func driverRIM(g ...Golden) *RIM {
	return &RIM{Version: "550.90.07", Edition: "GPU", Product: "GH100", Measurements: g}
}

func vbiosRIM(g ...Golden) *RIM {
	return &RIM{Version: "96.00.9f.00.01", Edition: "GPU", Product: "GH100", Measurements: g}
}

func TestCompare(t *testing.T) {
	idle := func(g Golden) Golden { g.Active = false; return g }
	sized := func(g Golden, n int) Golden { g.Size, g.Digests = n, [][]byte{g.Digests[0][:n]}; return g }
	d, v := driverRIM(fakeGolden(7, 7)), vbiosRIM(fakeGolden(2, 2))
	other := func(m *RIM, version string) *RIM { c := *m; c.Version = version; return &c }
	tests := []struct {
		name          string
		report        *Report
		driver, vbios *RIM
		mismatched    []int
		compared      int
		codes         []Code
		ds, vs        RIMStatus
	}{
		{"both", fakeReport(), d, v, nil, 2, nil, RIMMatch, RIMMatch},
		{"none", fakeReport(), nil, nil, nil, 0, nil, RIMAbsent, RIMAbsent},
		{"the driver's alone", fakeReport(), d, nil, nil, 1, nil, RIMMatch, RIMAbsent},
		{"the VBIOS's alone", fakeReport(), nil, v, nil, 1, nil, RIMAbsent, RIMMatch},
		{"a driver's difference", fakeReport(), driverRIM(fakeGolden(7, 8), fakeGolden(9, 9)), v, []int{7}, 3, []Code{CodeGoldenMismatch}, RIMMismatch, RIMMatch},
		{"a VBIOS's difference", fakeReport(), d, vbiosRIM(fakeGolden(2, 3)), []int{2}, 2, []Code{CodeGoldenMismatch}, RIMMatch, RIMMismatch},
		{"differences rise", fakeReport(), driverRIM(fakeGolden(30, 0), fakeGolden(7, 0)), vbiosRIM(fakeGolden(9, 0)), []int{7, 9, 30}, 3, []Code{CodeGoldenMismatch, CodeGoldenMismatch, CodeGoldenMismatch}, RIMMismatch, RIMMismatch},
		{"what is not active does not count", fakeReport(), driverRIM(fakeGolden(7, 7), idle(fakeGolden(8, 9))), v, nil, 2, nil, RIMMatch, RIMMatch},
		{"the last alternative", fakeReport(), driverRIM(fakeGolden(7, 1, 2, 7)), v, nil, 2, nil, RIMMatch, RIMMatch},
		{"no alternative", fakeReport(), driverRIM(fakeGolden(7, 1, 2, 3)), v, []int{7}, 2, []Code{CodeGoldenMismatch}, RIMMismatch, RIMMatch},
		{"the beginning of it", fakeReport(), driverRIM(sized(fakeGolden(7, 7), 32)), v, []int{7}, 2, []Code{CodeGoldenMismatch}, RIMMismatch, RIMMatch},
		{"not in the report", fakeReport(), driverRIM(fakeGolden(7, 7), fakeGolden(50, 50)), v, []int{50}, 3, []Code{CodeGoldenMissing}, RIMMismatch, RIMMatch},
		{"one index in both", fakeReport(), driverRIM(fakeGolden(7, 7), fakeGolden(9, 9)), vbiosRIM(fakeGolden(2, 2), fakeGolden(9, 9)), []int{9}, 4, []Code{CodeGoldenCollision, CodeGoldenCollision}, RIMMismatch, RIMMismatch},
		{"one index in both, active in one", fakeReport(), driverRIM(fakeGolden(7, 7)), vbiosRIM(fakeGolden(2, 2), idle(fakeGolden(7, 0))), nil, 2, nil, RIMMatch, RIMMatch},
		{"nothing expected", fakeReport(), driverRIM(idle(fakeGolden(7, 7))), v, nil, 1, []Code{CodeGoldenNone}, RIMMismatch, RIMMatch},
		{"a driver's other version", fakeReport(), other(d, "550.90.08"), v, nil, 1, []Code{CodeRIMVersion}, RIMMismatch, RIMMatch},
		{"a VBIOS's other version", fakeReport(), d, other(v, "96.00.9F.00.02"), nil, 1, []Code{CodeRIMVersion}, RIMMatch, RIMMismatch},
		{"the one for the other", fakeReport(), v, d, nil, 0, []Code{CodeRIMVersion, CodeRIMVersion}, RIMMismatch, RIMMismatch},
		{"a collision with another version's", fakeReport(), d, other(vbiosRIM(fakeGolden(7, 7)), "1"), []int{7}, 1, []Code{CodeGoldenCollision, CodeRIMVersion}, RIMMismatch, RIMMismatch},
		{"no version in the report", &Report{}, d, v, nil, 0, []Code{CodeRIMVersion, CodeRIMVersion}, RIMMismatch, RIMMismatch},
		{"decoder disabled", fakeReport(0x55), driverRIM(fakeGolden(7, 7), fakeGolden(35, 0)), v, nil, 2, nil, RIMMatch, RIMMatch},
		{"decoder disabled, and as expected", fakeReport(0x55), driverRIM(fakeGolden(7, 7), fakeGolden(35, 35)), v, nil, 3, nil, RIMMatch, RIMMatch},
		{"decoder enabled", fakeReport(0xAA), driverRIM(fakeGolden(7, 7), fakeGolden(35, 0)), v, []int{35}, 3, []Code{CodeGoldenMismatch}, RIMMismatch, RIMMatch},
		{"decoder not said", fakeReport(), driverRIM(fakeGolden(7, 7), fakeGolden(35, 0)), v, []int{35}, 3, []Code{CodeGoldenMismatch}, RIMMismatch, RIMMatch},
		{"decoder disabled, the next measurement", fakeReport(0x55), driverRIM(fakeGolden(34, 0), fakeGolden(36, 0)), v, []int{34, 36}, 3, []Code{CodeGoldenMismatch, CodeGoldenMismatch}, RIMMismatch, RIMMatch},
		{"decoder disabled, nothing else", fakeReport(0x55), driverRIM(fakeGolden(35, 0)), v, nil, 1, []Code{CodeGoldenNone}, RIMMismatch, RIMMatch},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			mismatched, compared, reasons := Compare(tt.report, tt.driver, tt.vbios)
			var codes []Code
			for _, r := range reasons {
				codes = append(codes, r.Code)
			}
			if !slices.Equal(mismatched, tt.mismatched) || compared != tt.compared || !slices.Equal(codes, tt.codes) {
				t.Errorf("mismatched %v of %d, %v", mismatched, compared, reasons)
			}
			res, again := judgeRIMs(tt.report, tt.driver, tt.vbios)
			if res.Driver != tt.ds || res.VBIOS != tt.vs || !slices.Equal(res.Mismatched, tt.mismatched) || res.Compared != tt.compared || !slices.Equal(again, reasons) {
				t.Errorf("judged %+v, %v", res, again)
			}
		})
	}
}

func TestSelectRIMs(t *testing.T) {
	made := func(m *RIM, years int, tag string) *RIM {
		m.TagID, m.Chain = tag, Chain{{NotBefore: fakeStart.AddDate(years, 0, 0)}}
		return m
	}
	of := func(m *RIM, edition, product string) *RIM { m.Edition, m.Product = edition, product; return m }
	driver, vbios := made(driverRIM(fakeGolden(7, 7)), 0, "a"), made(vbiosRIM(fakeGolden(2, 2)), 0, "a")
	older := made(driverRIM(fakeGolden(7, 7)), -1, "b")
	twin := made(driverRIM(fakeGolden(7, 7)), 0, "0")
	newerWrong := made(vbiosRIM(fakeGolden(2, 9)), 1, "c")
	noise := []*RIM{
		nil, of(driverRIM(fakeGolden(7, 7)), "GPU", "GB100"), of(vbiosRIM(fakeGolden(2, 2)), "SWITCH", "GH100"),
		{Version: "550.90.08", Edition: "GPU", Product: "GH100"},
		{Edition: "GPU", Product: "GH100"},
	}
	tests := []struct {
		name          string
		chip          string
		rims          []*RIM
		driver, vbios *RIM
	}{
		{"none", "GH100", noise, nil, nil},
		{"both", "GH100", append(noise, driver, vbios), driver, vbios},
		{"another chip", "GB100", []*RIM{driver, vbios}, nil, nil},
		{"no chip", "", []*RIM{driver, vbios}, nil, nil},
		{"the driver's alone", "gh100", []*RIM{driver}, driver, nil},
		{"two signings", "GH100", []*RIM{older, driver, vbios}, driver, vbios},
		{"two of one time", "GH100", []*RIM{twin, driver, vbios}, driver, vbios},
		{"two boards of one VBIOS version", "GH100", []*RIM{driver, newerWrong, vbios}, driver, vbios},
		{"the wrong board alone", "GH100", []*RIM{driver, newerWrong}, driver, newerWrong},
	}
	rng := rand.New(rand.NewPCG(3, 4))
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			for range 20 {
				rng.Shuffle(len(tt.rims), func(i, j int) { tt.rims[i], tt.rims[j] = tt.rims[j], tt.rims[i] })
				if d, v := selectRIMs(fakeReport(), tt.chip, tt.rims); d != tt.driver || v != tt.vbios {
					t.Fatalf("got %+v, %+v", d, v)
				}
			}
		})
	}

	// A switch takes the manifest of its edition, and has no driver.
	sw := &Report{Opaque: Opaque{Format: FormatTLV, Fields: []Field{
		{Type: FieldVBIOS, Data: []byte{0x00, 0x55, 0x10, 0x96, 0x01, 0, 0, 0}}, {Type: FieldSwitchPDI, Data: make([]byte, 8)},
	}}}
	gpu := &RIM{Version: "96.10.55.00.01", Edition: "GPU", Product: "LS10"}
	bios := &RIM{Version: "96.10.55.00.01", Edition: "SWITCH", Product: "LS10"}
	if d, v := selectRIMs(sw, "LS10", []*RIM{gpu, driver, vbios, bios}); d != nil || v != bios {
		t.Errorf("switch: %+v, %+v", d, v)
	}
}

// A reason about digests stays short enough to read.
func TestReasonSize(t *testing.T) {
	g := fakeGolden(7, bytes.Repeat([]byte{0xFF}, maxAlternatives)...)
	_, _, reasons := Compare(fakeReport(), driverRIM(g), nil)
	if len(reasons) != 1 || len(reasons[0].Detail) > 600 || !strings.Contains(reasons[0].Detail, "measurement 7 is 070707") {
		t.Errorf("%v", reasons)
	}
}
