package attest

import (
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"strings"
)

// Codes of opaque data that do not parse, or contradict the report.
const (
	CodeOpaqueTruncated Code = "opaque-truncated" // ends within an entry
	CodeOpaqueDuplicate Code = "opaque-duplicate" // two entries of one type
	CodeOpaqueVersion   Code = "opaque-version"   // a format of a later version
	CodeOpaqueLength    Code = "opaque-length"    // a field of a known type and of another size
	CodeOpaqueText      Code = "opaque-text"      // a text that is no short ASCII
	CodeOpaqueValue     Code = "opaque-value"     // a field of a known type whose value is none
	CodeOpaqueCount     Code = "opaque-count"     // extend counts that contradict the measurements
)

// Types of opaque fields that this package reads. A card and a switch give some types
// other meanings.
const (
	FieldDriver        = 3
	FieldGPUInfo       = 4
	FieldVBIOS         = 6
	FieldNVDEC0        = 11
	FieldCounts        = 12
	FieldBoard         = 14
	FieldChipSKU       = 15
	FieldChipSKUMod    = 16
	FieldProject       = 17
	FieldProjectSKU    = 18
	FieldProjectSKUMod = 19
	FieldFWID          = 20
	FieldProtectedPCIe = 21
	FieldSwitchPDI     = 22
	FieldGPUPDIs       = 26
	FieldChipInfo      = 35
	FieldFeature       = 36
)

// Formats of opaque data.
const (
	FormatTLV    = "tlv"    // drivers before R620
	FormatNVDAOD = "nvdaod" // R620 and later; named by its first six bytes
)

const (
	on, off = 0xAA, 0x55 // of a status byte

	maxText        = 32 // bytes of a text
	nvdaodHeader   = 12
	nvdaodMaxMajor = 2
)

// Opaque is the vendor's part of a report: typed fields, signed with the rest.
type Opaque struct {
	Format              string  // empty: the report has none
	Major, Minor, Patch uint8   // of NVDAOD
	Fields              []Field // no type twice; unknown types are kept
}

// Field is an opaque field.
type Field struct {
	Type      uint16
	ValueType uint16 // of NVDAOD; 0 in the older format
	Data      []byte
	Offset    int // of Data in the report
}

// Get is a field's bytes.
func (o Opaque) Get(typ uint16) ([]byte, bool) {
	for _, f := range o.Fields {
		if f.Type == typ {
			return f.Data, true
		}
	}
	return nil, false
}

// parseOpaque parses the opaque data that start at an offset of the report.
func parseOpaque(b []byte, start int) (Opaque, *Reason) {
	if len(b) == 0 {
		return Opaque{}, nil
	}
	o, pos, head := Opaque{Format: FormatTLV}, 0, 4
	if strings.HasPrefix(string(b), "NVDAOD") {
		if len(b) < nvdaodHeader {
			return o, at(CodeOpaqueTruncated, "opaque header", start, "%d bytes, want %d", len(b), nvdaodHeader)
		}
		o = Opaque{Format: FormatNVDAOD, Major: b[8], Minor: b[9], Patch: b[10]}
		profile := binary.LittleEndian.Uint16(b[6:])
		if profile != 0 || o.Major > nvdaodMaxMajor || b[11] != 0 {
			return o, at(CodeOpaqueVersion, "opaque header", start+6, "profile %d, version %d.%d.%d, padding %#02x; profile 0 to version %d is known",
				profile, o.Major, o.Minor, o.Patch, b[11], nvdaodMaxMajor)
		}
		pos, head = nvdaodHeader, 6
	}
	seen := map[uint16]bool{}
	for pos < len(b) {
		if len(b)-pos < head {
			return o, at(CodeOpaqueTruncated, "opaque entry", start+pos, "%d bytes, its header has %d", len(b)-pos, head)
		}
		f := Field{Type: binary.LittleEndian.Uint16(b[pos:]), Offset: start + pos + head}
		if head == 6 {
			f.ValueType = binary.LittleEndian.Uint16(b[pos+2:])
		}
		size := int(binary.LittleEndian.Uint16(b[pos+head-2:]))
		if left := len(b) - pos - head; left < size {
			return o, at(CodeOpaqueTruncated, "opaque entry", start+pos, "type %d of %d bytes, %d are left", f.Type, size, left)
		}
		if seen[f.Type] {
			return o, at(CodeOpaqueDuplicate, "opaque entry", start+pos, "type %d twice", f.Type)
		}
		seen[f.Type] = true
		pos += head
		f.Data = b[pos : pos+size : pos+size]
		pos += size
		if fault := checkField(f); fault != nil {
			return o, fault
		}
		o.Fields = append(o.Fields, f)
	}
	return o, nil
}

// checkField checks the form of the fields that this package reads, so that reading
// them later cannot fail.
func checkField(f Field) *Reason {
	n := len(f.Data)
	size := func(ok bool, want string) *Reason {
		if ok {
			return nil
		}
		return at(CodeOpaqueLength, "opaque field", f.Offset, "type %d has %d bytes, want %s", f.Type, n, want)
	}
	switch f.Type {
	case FieldDriver, FieldChipSKU, FieldChipSKUMod, FieldProject, FieldProjectSKU, FieldProjectSKUMod, FieldChipInfo:
		if _, ok := text(f.Data); !ok {
			return at(CodeOpaqueText, "opaque field", f.Offset, "type %d is %+q, want at most %d letters, digits, dots, dashes", f.Type, f.Data[:min(n, maxText)], maxText)
		}
	case FieldVBIOS:
		if _, ok := vbios(f.Data); !ok {
			return at(CodeOpaqueText, "opaque field", f.Offset, "type %d is %+q, want 5 bytes and 3 zeros, or five hex pairs with dots between", f.Type, f.Data[:min(n, maxText)])
		}
	case FieldNVDEC0, FieldProtectedPCIe:
		if n == 1 && f.Data[0] != on && f.Data[0] != off {
			return at(CodeOpaqueValue, "opaque field", f.Offset, "type %d is %#02x, want %#02x or %#02x", f.Type, f.Data[0], on, off)
		}
		return size(n == 1, "1")
	case FieldCounts:
		return size(n%4 == 0 && n <= 4*255, "4 for each of at most 255 measurements")
	case FieldBoard:
		return size(n == 4, "4")
	case FieldFWID:
		return size(n == 48, "48")
	case FieldSwitchPDI:
		return size(n%8 == 0 && n > 0, "a multiple of 8")
	case FieldGPUPDIs:
		return size(n == 128, "128")
	case FieldFeature:
		return size(n == 2, "2")
	}
	return nil
}

// text is a field's text up to its first NUL, after which nothing else may follow.
// What it accepts can stand in a terminal, a file's name and a URL.
func text(b []byte) (string, bool) {
	const letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789.-_"
	s := strings.TrimRight(string(b), "\x00")
	return s, len(s) <= maxText && strings.Trim(s, letters) == ""
}

// vbios is a field's VBIOS version. Cards give five bytes and three zeros: 005e0096
// 01000000 is 96.00.5E.00.01. Switches give the text.
func vbios(b []byte) (string, bool) {
	v, s := b, ""
	if len(b) != 8 {
		s, _ = text(b) // what is no text does not come out alike below
		v, _ = hex.DecodeString(strings.ReplaceAll(s, ".", ""))
		if s = strings.ToUpper(s); len(v) != 5 {
			return "", false
		}
		v = []byte{v[3], v[2], v[1], v[0], v[4], 0, 0, 0}
	}
	// What else stands in the eight has no place in the text: it would be a version that
	// cannot be told.
	out := fmt.Sprintf("%02X.%02X.%02X.%02X.%02X", v[3], v[2], v[1], v[0], v[4])
	return out, v[5]|v[6]|v[7] == 0 && (s == "" || s == out)
}
