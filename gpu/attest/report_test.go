package attest_test

import (
	"bytes"
	"errors"
	"slices"
	"strings"
	"testing"

	. "github.com/assaynet/assay/gpu/attest"
	"github.com/assaynet/assay/gpu/attest/synthetic"
)

var kinds = []synthetic.Kind{synthetic.Hopper, synthetic.Blackwell, synthetic.FSP, synthetic.Switch}

const printable = " !\"#$%&'()*+,-./0123456789:;<=>?@ABCDEFGHIJKLMNOPQRSTUVWXYZ[\\]^_`abcdefghijklmnopqrstuvwxyz{|}~"

// reason is the finding of an error; it must be one.
func reason(t *testing.T, err error) *Reason {
	t.Helper()
	f, ok := errors.AsType[*Reason](err)
	if !ok {
		t.Fatalf("%v is no reason", err)
	}
	plain(t, *f)
	return f
}

// plain checks that a finding can come to a terminal.
func plain(t *testing.T, f Reason) {
	t.Helper()
	if f.Code == "" || f.Detail == "" || len(f.Detail) > 600 || strings.Trim(f.Detail, printable) != "" {
		t.Errorf("%q: no words for a terminal", f.Detail)
	}
}

// rejections are the codes of a result's reasons that reject, each once.
func rejections(t *testing.T, r Result) []Code {
	t.Helper()
	var out []Code
	for _, f := range r.Reasons {
		plain(t, f)
		if f.Code.Rejects() && !slices.Contains(out, f.Code) {
			out = append(out, f.Code)
		}
	}
	return out
}

func TestParseReport(t *testing.T) {
	whole := synthetic.New([32]byte{1}).Card(synthetic.CardConfig{Kind: synthetic.Switch}).Sign([32]byte{7}).Report
	const record = 45
	put := func(at int, v ...byte) func([]byte) []byte {
		return func(b []byte) []byte { copy(b[at:], v); return b }
	}
	tests := []struct {
		name   string
		edit   func([]byte) []byte
		code   Code // empty: parses
		field  string
		offset int
	}{
		{"whole", put(0), "", "", 0},
		{"16 zeros after it", func(b []byte) []byte { return append(b, make([]byte, 16)...) }, "", "", 0},
		{"17 zeros after it", func(b []byte) []byte { return append(b, make([]byte, 17)...) }, CodeReportTrailing, "end", len(whole)},
		{"a byte after it", func(b []byte) []byte { return append(b, 0, 1) }, CodeReportTrailing, "end", len(whole)},
		{"nothing", func(b []byte) []byte { return nil }, CodeReportTruncated, "request version", 0},
		{"too long", func(b []byte) []byte { return append(b, make([]byte, MaxReport)...) }, CodeReportLong, "report", -1},
		{"SPDM 1.2 request", put(0, 0x12), CodeReportVersion, "request version", 0},
		{"another request", put(1, 0xE1), CodeReportMessage, "request code", 1},
		{"no signature asked for", put(2, 0), CodeReportUnsigned, "request param1", 2},
		{"one measurement asked for", put(3, 1), CodeReportOperation, "request param2", 3},
		{"slot 8", put(36, 8), CodeReportSlot, "slot", 36},
		{"SPDM 1.0 response", put(37, 0x10), CodeReportVersion, "response version", 37},
		{"an error response", put(38, 0x7F), CodeReportMessage, "response code", 38},
		{"response param1", put(39, 1), CodeReportParam, "response param1", 39},
		{"response param2", put(40, 1), CodeReportParam, "response param2", 40},
		{"fewer blocks said", put(41, 30), CodeReportLength, "number of blocks", 41},
		{"more blocks said", put(41, 32), CodeReportLength, "number of blocks", 41},
		{"far more blocks said", put(41, 255), CodeReportLength, "record length", 42},
		{"record a byte short", put(42, 1704&0xFF, 1704>>8), CodeReportLength, "block size", record + 30*55 + 2},
		{"record cut in a header", put(42, (1705-50)&0xFF, (1705-50)>>8), CodeReportLength, "record length", 42},
		{"record longer than the report", put(44, 1), CodeReportTruncated, "record", record},
		{"index twice", put(record+55, 1), CodeReportIndexDuplicate, "block index", record + 55},
		{"index 0", put(record, 0), CodeReportIndexOrder, "block index", record},
		{"indices not rising", put(record, 9), CodeReportIndexOrder, "block index", record + 55},
		{"specification", put(record+1, 2), CodeReportSpec, "block specification", record + 1},
		{"block size", put(record+2, 52), CodeReportBlockSize, "block size", record + 2},
		{"value size", put(record+5, 47), CodeReportBlockSize, "block size", record + 2},
		{"both sizes, past the record", put(record+30*55+2, 52, 0, 1, 49), CodeReportLength, "block size", record + 30*55 + 2},
		{"opaque data a byte shorter", put(record+1705+32, 291&0xFF, 291>>8), CodeOpaqueTruncated, "opaque entry", record + 1705 + 34 + 292 - 6},
		{"opaque data longer than the report", put(record+1705+33, 0xFF), CodeReportTruncated, "opaque data", record + 1705 + 34},
		{"signature cut", func(b []byte) []byte { return b[:len(b)-1] }, CodeReportTruncated, "signature", len(whole) - 96},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r, err := ParseReport(tt.edit(bytes.Clone(whole)))
			if tt.code == "" {
				if err != nil || len(r.Blocks) != 31 || len(r.Signed) != len(whole)-96 {
					t.Fatal(err)
				}
				return
			}
			if r != nil || err == nil {
				t.Fatal("parses")
			}
			if f := reason(t, err); f.Code != tt.code || f.Field != tt.field || f.Offset != tt.offset {
				t.Errorf("%v in %q at %d, want %s in %q at %d", f, f.Field, f.Offset, tt.code, tt.field, tt.offset)
			}
		})
	}
}

// Cut anywhere, no report parses, and the reason says where it ends.
func TestParseReportCut(t *testing.T) {
	m := synthetic.New([32]byte{1})
	for _, k := range kinds {
		whole := m.Card(synthetic.CardConfig{Kind: k}).Sign([32]byte{7}).Report
		for n := range whole {
			_, err := ParseReport(whole[:n])
			if err == nil {
				t.Fatalf("%s: %d of %d bytes parse", k, n, len(whole))
			}
			if f := reason(t, err); f.Code != CodeReportTruncated || f.Offset > n {
				t.Fatalf("%s cut at %d: %v at %d", k, n, f, f.Offset)
			}
		}
	}
}

// A report holds on to nothing of the bytes it was parsed from, and offsets are where
// they say.
func TestParseReportCopies(t *testing.T) {
	b := synthetic.New([32]byte{1}).Card(synthetic.CardConfig{}).Sign([32]byte{7}).Report
	orig := bytes.Clone(b)
	r, err := ParseReport(b)
	if err != nil {
		t.Fatal(err)
	}
	clear(b)
	if !bytes.Equal(r.Signed, orig[:len(orig)-96]) || !bytes.Equal(r.Signature[:], orig[len(orig)-96:]) {
		t.Error("the report changed with the bytes it was parsed from")
	}
	for _, v := range r.Blocks {
		if !bytes.Equal(orig[v.Offset:v.Offset+len(v.Value)], v.Value) {
			t.Errorf("block %d is not at %d", v.Index, v.Offset)
		}
	}
	for _, f := range r.Opaque.Fields {
		if !bytes.Equal(orig[f.Offset:f.Offset+len(f.Data)], f.Data) {
			t.Errorf("field %d is not at %d", f.Type, f.Offset)
		}
	}
}

func TestValueTypes(t *testing.T) {
	m := synthetic.New([32]byte{1})
	for format, want := range map[string]uint16{FormatTLV: 0, FormatNVDAOD: 0x86} {
		r, err := ParseReport(m.Card(synthetic.CardConfig{Format: format}).Sign([32]byte{7}).Report)
		if err != nil {
			t.Fatal(err)
		}
		if f := r.Opaque.Fields[0]; r.Opaque.Format != format || f.Type != FieldVBIOS || f.ValueType != want {
			t.Errorf("%s: %s, %+v", format, r.Opaque.Format, f)
		}
	}
}

// Whatever the size and the type of its blocks, a report parses: those of firmware
// processors are mixed.
func TestParseReportMixedBlocks(t *testing.T) {
	r, err := ParseReport(synthetic.New([32]byte{1}).Card(synthetic.CardConfig{Kind: synthetic.FSP}).Sign([32]byte{7}).Report)
	if err != nil {
		t.Fatal(err)
	}
	sizes, types := map[int]int{}, map[uint8]int{}
	for _, b := range r.Blocks {
		sizes[len(b.Value)]++
		types[b.Type]++
	}
	if len(r.Blocks) != 52 || len(sizes) != 7 || len(types) != 6 {
		t.Errorf("%d blocks of sizes %v, types %v", len(r.Blocks), sizes, types)
	}
	if m, ok := r.Model(); !ok || m != (Model{Vendor: 0x10DE, Device: 0x2941, SubVendor: 0x10DE, Subsystem: 0x2046}) {
		t.Errorf("%x %t", m, ok)
	}
}

// Another kind of device that measures the same bytes there says nothing of a model.
func TestModelOfCard(t *testing.T) {
	m := synthetic.New([32]byte{1})
	var descriptors []byte
	m.Card(synthetic.CardConfig{Kind: synthetic.FSP}).Sign([32]byte{7}, func(d *synthetic.Draft) { descriptors = d.Blocks[51].Value })
	e := m.Card(synthetic.CardConfig{}).Sign([32]byte{7}, func(d *synthetic.Draft) {
		d.Blocks[51].Value = descriptors
		d.Field(FieldCounts).Data[4*51] = 1
	})
	r, err := ParseReport(e.Report)
	if err != nil {
		t.Fatal(err)
	}
	if model, ok := r.Model(); ok {
		t.Errorf("%+v", model)
	}
	if res := Verify(e, m.Trust(), Reference{}); !res.Holds() || res.Model != nil {
		t.Errorf("%+v", res)
	}
}

// What cannot be read of the model is no model, and never more than that.
func TestModel(t *testing.T) {
	card := synthetic.New([32]byte{1}).Card(synthetic.CardConfig{Kind: synthetic.FSP})
	tests := []struct {
		name string
		edit func([]byte) []byte
		ok   bool
	}{
		{"whole", func(b []byte) []byte { return b }, true},
		{"one more descriptor", func(b []byte) []byte { return append(b, 9, 9, 0, 0) }, true},
		{"empty", func([]byte) []byte { return nil }, false},
		{"header alone", func(b []byte) []byte { return b[:14] }, false},
		{"cut in a descriptor", func(b []byte) []byte { return b[:len(b)-1] }, false},
		{"cut in a header", func(b []byte) []byte { return b[:len(b)-3] }, false},
		{"without the last", func(b []byte) []byte { return b[:len(b)-6] }, false},
		{"one twice", func(b []byte) []byte { return append(b, b[len(b)-6:]...) }, false},
		{"of another size", func(b []byte) []byte { b[len(b)-4] = 1; return b[:len(b)-1] }, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			e := card.Sign([32]byte{7}, func(d *synthetic.Draft) {
				b := &d.Blocks[51]
				b.Value = tt.edit(slices.Clone(b.Value))
			})
			r, err := ParseReport(e.Report)
			if err != nil {
				t.Fatal(err)
			}
			if m, ok := r.Model(); ok != tt.ok || !ok && m != (Model{}) {
				t.Errorf("%+v %t", m, ok)
			}
		})
	}
}
