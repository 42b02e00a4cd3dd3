package attest_test

import (
	"encoding/binary"
	"slices"
	"testing"

	. "github.com/assaynet/assay/gpu/attest"
	"github.com/assaynet/assay/gpu/attest/synthetic"
)

// What a device itself signs can still be wrong: a table of every field that is parsed,
// changed before it is signed. Each change is refused with its code, or shows in the
// result as what the device said.
func TestSignedAnew(t *testing.T) {
	type draft = synthetic.Draft
	set := func(typ uint16, data ...byte) func(*draft) {
		return func(d *draft) { d.Field(typ).Data = data }
	}
	text := func(typ uint16, s string) func(*draft) { return set(typ, []byte(s)...) }
	raw := func(at int, v ...byte) func(*draft) {
		return func(d *draft) { d.Raw = func(b []byte) []byte { copy(b[at:], v); return b } }
	}
	drop := func(typ uint16) func(*draft) {
		return func(d *draft) {
			d.Fields = slices.DeleteFunc(d.Fields, func(f Field) bool { return f.Type == typ })
		}
	}
	rest := func(n int) func(*draft) { // of an entry, at the end of a card's opaque data
		return func(d *draft) {
			d.Raw = func(b []byte) []byte {
				const at = 45 + 3520 + 32
				binary.LittleEndian.PutUint16(b[at:], binary.LittleEndian.Uint16(b[at:])+uint16(n))
				return append(b, make([]byte, n)...)
			}
		}
	}
	header := func(v ...byte) func(*draft) { return func(d *draft) { copy(d.Header[6:], v) } }
	var (
		hopper = synthetic.CardConfig{Kind: synthetic.Hopper}
		nvdaod = synthetic.CardConfig{Kind: synthetic.Hopper, Format: FormatNVDAOD}
		fsp    = synthetic.CardConfig{Kind: synthetic.FSP, PDI: PDI{1, 2}}
		sw     = synthetic.CardConfig{Kind: synthetic.Switch, PDI: PDI{1, 2}}
		none   []Code
	)
	tests := []struct {
		name string
		card synthetic.CardConfig
		edit func(*draft)
		want []Code            // that reject; none: it holds
		see  func(Result) bool // what the result must say then; nil: nothing
	}{
		{"nothing", hopper, func(*draft) {}, none, nil},

		{"request version", hopper, func(d *draft) { d.Request[0] = 0x12 }, []Code{CodeReportVersion}, nil},
		{"request code", hopper, func(d *draft) { d.Request[1] = 0xE1 }, []Code{CodeReportMessage}, nil},
		{"request param1", hopper, func(d *draft) { d.Request[2] = 0x03 }, []Code{CodeReportUnsigned}, nil},
		{"request param2", hopper, func(d *draft) { d.Request[3] = 0xFE }, []Code{CodeReportOperation}, nil},
		{"nonce", hopper, func(d *draft) { d.Nonce[31] ^= 1 }, []Code{CodeNonceMismatch}, nil},
		{"slot in range", hopper, func(d *draft) { d.Slot = 7 }, none, nil},
		{"slot out of range", hopper, func(d *draft) { d.Slot = 8 }, []Code{CodeReportSlot}, nil},
		{"response version", hopper, func(d *draft) { d.Response[0] = 0x12 }, []Code{CodeReportVersion}, nil},
		{"response code", hopper, func(d *draft) { d.Response[1] = 0x61 }, []Code{CodeReportMessage}, nil},
		{"response param1", hopper, func(d *draft) { d.Response[2] = 1 }, []Code{CodeReportParam}, nil},
		{"response param2", hopper, func(d *draft) { d.Response[3] = 1 }, []Code{CodeReportParam}, nil},
		{"number of blocks", hopper, raw(41, 63), []Code{CodeReportLength}, nil},
		{"record length", hopper, raw(42, 0xBF), []Code{CodeReportLength}, nil},
		{"block index", hopper, func(d *draft) { d.Blocks[3].Index = 3 }, []Code{CodeReportIndexDuplicate}, nil},
		{"block order", hopper, func(d *draft) { d.Blocks[3].Index = 2 }, []Code{CodeReportIndexOrder}, nil},
		{"block specification", hopper, func(d *draft) { d.Blocks[3].Spec = 0 }, []Code{CodeReportSpec}, nil},
		{"block type", hopper, func(d *draft) { d.Blocks[3].Type = 0x81 }, none, nil},
		{"block sizes", hopper, raw(45+2, 50), []Code{CodeReportBlockSize}, nil},
		{"a block less", hopper, func(d *draft) { d.Blocks = d.Blocks[:41] }, []Code{CodeOpaqueCount}, nil},
		{"no blocks", hopper, func(d *draft) { d.Blocks = nil }, []Code{CodeOpaqueCount}, nil},
		{"a measurement", hopper, func(d *draft) { d.Blocks[1].Value[0] ^= 1 }, none, nil},
		{"a measurement gone", hopper, func(d *draft) { clear(d.Blocks[1].Value) }, []Code{CodeOpaqueCount}, nil},
		{"a measurement of nothing", hopper, func(d *draft) { d.Blocks[0].Value[0] = 1 }, []Code{CodeOpaqueCount}, nil},
		{"responder nonce", hopper, func(d *draft) { d.Responder[0] ^= 1 }, none, nil},
		{"signature of another", hopper, func(d *draft) { d.Sig = func(b []byte) []byte { return make([]byte, 96) } }, []Code{CodeSignature}, nil},
		{"signature too large", hopper, func(d *draft) { d.Sig = func(b []byte) []byte { b[0] = 0xFF; b[1] = 0xFF; return b } }, []Code{CodeSignature}, nil},
		{"a byte after it", hopper, func(d *draft) { d.Trailing = []byte{1} }, []Code{CodeReportTrailing}, nil},

		{"opaque length", hopper, func(d *draft) { d.Raw = func(b []byte) []byte { b[45+3520+32]--; return b } }, []Code{CodeOpaqueTruncated}, nil},
		{"opaque entry's header cut", hopper, rest(3), []Code{CodeOpaqueTruncated}, nil},
		{"opaque type twice", hopper, func(d *draft) { d.Fields = append(d.Fields, d.Fields[0]) }, []Code{CodeOpaqueDuplicate}, nil},
		{"unknown type twice", hopper, func(d *draft) { d.Fields = append(d.Fields, Field{Type: 900}, Field{Type: 900}) }, []Code{CodeOpaqueDuplicate}, nil},
		{"unknown type", hopper, func(d *draft) { d.Fields = append(d.Fields, Field{Type: 900, Data: []byte{1}}) }, none, nil},
		{"no opaque data", hopper, func(d *draft) { d.Fields = nil }, []Code{CodeChainMode, CodePDIMissing}, nil},
		{"driver", hopper, text(FieldDriver, "1.2\x00"), none, func(r Result) bool { return r.Driver == "1.2" }},
		{"driver with an escape", hopper, text(FieldDriver, "5\x1b[2J"), []Code{CodeOpaqueText}, nil},
		{"driver with more after its end", hopper, text(FieldDriver, "5\x006\x00"), []Code{CodeOpaqueText}, nil},
		{"driver with a slash", hopper, text(FieldDriver, "../5"), []Code{CodeOpaqueText}, nil},
		{"driver not ASCII", hopper, text(FieldDriver, "5é\u202e"), []Code{CodeOpaqueText}, nil},
		{"driver of 33 characters", hopper, text(FieldDriver, "123456789012345678901234567890123"), []Code{CodeOpaqueText}, nil},
		{"no driver", hopper, drop(FieldDriver), []Code{CodeReportMode}, nil},
		{"VBIOS", hopper, set(FieldVBIOS, 0x00, 0x74, 0x00, 0x96, 0x20, 0, 0, 0), none, func(r Result) bool { return r.VBIOS == "96.00.74.00.20" }},
		{"VBIOS as text", hopper, text(FieldVBIOS, "96.00.74.00.1a"), none, func(r Result) bool { return r.VBIOS == "96.00.74.00.1A" }},
		{"VBIOS with more than it tells", hopper, set(FieldVBIOS, 0x00, 0x74, 0x00, 0x96, 0x20, 1, 0, 0), []Code{CodeOpaqueText}, nil},
		{"VBIOS that is none", hopper, text(FieldVBIOS, "96.00.74.00.1G"), []Code{CodeOpaqueText}, nil},
		{"VBIOS without dots", hopper, text(FieldVBIOS, "96000740001A00"), []Code{CodeOpaqueText}, nil},
		{"VBIOS with dots elsewhere", hopper, text(FieldVBIOS, "96.0074.00.1A"), []Code{CodeOpaqueText}, nil},
		{"no VBIOS", hopper, drop(FieldVBIOS), []Code{CodeReportMode}, nil},
		{"project", hopper, text(FieldProject, "G5\n"), []Code{CodeOpaqueText}, nil},
		{"project SKU", hopper, text(FieldProjectSKU, "02 0"), []Code{CodeOpaqueText}, nil},
		{"project SKU mod", hopper, text(FieldProjectSKUMod, "/"), []Code{CodeOpaqueText}, nil},
		{"chip SKU", hopper, text(FieldChipSKU, "\x80"), []Code{CodeOpaqueText}, nil},
		{"chip SKU mod", hopper, text(FieldChipSKUMod, "?"), []Code{CodeOpaqueText}, nil},
		{"chip info", synthetic.CardConfig{Kind: synthetic.Blackwell}, text(FieldChipInfo, "GB 100"), []Code{CodeOpaqueText}, nil},
		{"decoder neither on nor off", hopper, set(FieldNVDEC0, 0), []Code{CodeOpaqueValue}, nil},
		{"decoder of two bytes", hopper, set(FieldNVDEC0, 0xAA, 0xAA), []Code{CodeOpaqueLength}, nil},
		{"protected PCIe neither on nor off", hopper, set(FieldProtectedPCIe, 1), []Code{CodeOpaqueValue}, nil},
		{"protected PCIe of no bytes", hopper, set(FieldProtectedPCIe), []Code{CodeOpaqueLength}, nil},
		{"feature to come", hopper, set(FieldFeature, 9, 0), none, nil},
		{"feature of one byte", hopper, set(FieldFeature, 1), []Code{CodeOpaqueLength}, nil},
		{"board id of three bytes", hopper, set(FieldBoard, 1, 2, 3), []Code{CodeOpaqueLength}, nil},
		{"peers of half an id", hopper, func(d *draft) { d.Fields = append(d.Fields, Field{Type: FieldSwitchPDI, Data: make([]byte, 12)}) }, []Code{CodeOpaqueLength}, nil},
		{"peers of none", hopper, func(d *draft) { d.Fields = append(d.Fields, Field{Type: FieldSwitchPDI}) }, []Code{CodeOpaqueLength}, nil},
		{"firmware digest", hopper, func(d *draft) { d.Field(FieldFWID).Data[0] ^= 1 }, []Code{CodeFWIDMismatch}, func(r Result) bool { return r.FWID == Mismatches }},
		{"firmware digest of 47 bytes", hopper, func(d *draft) { f := d.Field(FieldFWID); f.Data = f.Data[:47] }, []Code{CodeOpaqueLength}, nil},
		{"no firmware digest", hopper, drop(FieldFWID), none, func(r Result) bool { return r.FWID == Absent }},
		{"counts of half a number", hopper, func(d *draft) { f := d.Field(FieldCounts); f.Data = f.Data[:254] }, []Code{CodeOpaqueLength}, nil},
		{"counts of too many", hopper, set(FieldCounts, make([]byte, 4*256)...), []Code{CodeOpaqueLength}, nil},
		{"a count of nothing", hopper, func(d *draft) { d.Field(FieldCounts).Data[0] = 1 }, []Code{CodeOpaqueCount}, nil},
		{"a count gone", hopper, func(d *draft) { d.Field(FieldCounts).Data[4] = 0 }, []Code{CodeOpaqueCount}, nil},
		{"a count more than measurements", hopper, func(d *draft) { f := d.Field(FieldCounts); f.Data = append(f.Data, 1, 0, 0, 0) }, []Code{CodeOpaqueCount}, nil},
		{"a zero count more", hopper, func(d *draft) { f := d.Field(FieldCounts); f.Data = append(f.Data, 0, 0, 0, 0) }, []Code{CodeOpaqueCount}, nil},
		{"no counts", hopper, drop(FieldCounts), none, nil},

		{"newer format", nvdaod, func(*draft) {}, none, nil},
		{"newer format, profile", nvdaod, header(1), []Code{CodeOpaqueVersion}, nil},
		{"newer format, major version", nvdaod, header(0, 0, 3), []Code{CodeOpaqueVersion}, nil},
		{"newer format, minor version", nvdaod, header(0, 0, 2, 9), none, nil},
		{"newer format, padding", nvdaod, header(0, 0, 2, 0, 0, 1), []Code{CodeOpaqueVersion}, nil},
		{"newer format, cut header", nvdaod, func(d *draft) { d.Header, d.Fields = d.Header[:11], nil }, []Code{CodeOpaqueTruncated}, nil},
		{"newer format, an entry's header cut", nvdaod, rest(5), []Code{CodeOpaqueTruncated}, nil},
		{"newer format, value type", nvdaod, func(d *draft) { d.Fields[0].ValueType = 0x99 }, none, nil},
		{"newer format, type twice", nvdaod, func(d *draft) { d.Fields = append(d.Fields, d.Fields[3]) }, []Code{CodeOpaqueDuplicate}, nil},
		{"newer format, header alone", nvdaod, func(d *draft) { d.Fields = nil }, []Code{CodeReportMode}, nil},

		{"switch, PDI", sw, set(FieldSwitchPDI, 9, 9, 9, 9, 9, 9, 9, 9), []Code{CodePDI}, nil},
		{"switch, no PDI", sw, drop(FieldSwitchPDI), []Code{CodeReportMode}, nil},
		{"switch, two PDIs", sw, set(FieldSwitchPDI, make([]byte, 16)...), []Code{CodeReportMode}, nil},
		{"switch, a driver", sw, func(d *draft) { d.Fields = append(d.Fields, Field{Type: FieldDriver, Data: []byte("1")}) }, []Code{CodeChainMode}, nil},
		{"switch, peers", sw, set(FieldGPUPDIs, make([]byte, 120)...), []Code{CodeOpaqueLength}, nil},

		{"firmware processor, PDI", fsp, func(d *draft) { d.Blocks[25].Value = make([]byte, 8) }, []Code{CodePDI}, nil},
		{"firmware processor, PDI of 7 bytes", fsp, func(d *draft) { d.Blocks[25].Value = make([]byte, 7) }, []Code{CodePDIMissing}, nil},
		{"firmware processor, no PDI", fsp, func(d *draft) { d.Blocks = slices.Delete(d.Blocks, 25, 26) }, []Code{CodePDIMissing}, nil},
		{"firmware processor, no blocks", fsp, func(d *draft) { d.Blocks = nil }, []Code{CodeReportMode}, nil},
		{"firmware processor, model", fsp, func(d *draft) {
			v := d.Blocks[51].Value
			binary.LittleEndian.PutUint16(v[len(v)-2:], 0x1234)
		}, none, func(r Result) bool { return r.Model != nil && r.Model.Subsystem == 0x1234 }},
		{"firmware processor, no model", fsp, func(d *draft) { d.Blocks = d.Blocks[:51] }, none, func(r Result) bool { return r.Model == nil }},
		{"firmware processor, opaque data of a card", fsp, func(d *draft) {
			d.Fields = []Field{{Type: FieldDriver, Data: []byte("1")}, {Type: FieldVBIOS, Data: make([]byte, 8)}}
		}, []Code{CodeChainMode}, nil},
	}
	m := synthetic.New([32]byte{1})
	cards := map[synthetic.Kind]map[string]*synthetic.Card{}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if cards[tt.card.Kind] == nil {
				cards[tt.card.Kind] = map[string]*synthetic.Card{}
			}
			card := cards[tt.card.Kind][tt.card.Format]
			if card == nil {
				card = m.Card(tt.card)
				cards[tt.card.Kind][tt.card.Format] = card
			}
			res := Verify(card.Sign([32]byte{7}, tt.edit), m.Trust(), Reference{})
			if got := rejections(t, res); !slices.Equal(got, tt.want) {
				t.Errorf("%v, want %v: %v", got, tt.want, res.Reasons)
			}
			if holds := len(tt.want) == 0; res.Holds() != holds || holds != (res.Grade == GradeIdentity) {
				t.Errorf("holds %t, %s", res.Holds(), res.Grade)
			}
			if tt.see != nil && !tt.see(res) {
				t.Errorf("%+v", res)
			}
		})
	}
}
