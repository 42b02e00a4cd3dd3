package attest

import (
	"bytes"
	"encoding/binary"
)

// Codes of reports that do not parse.
const (
	CodeReportLong           Code = "report-long"            // more than MaxReport bytes
	CodeReportTruncated      Code = "report-truncated"       // ends within a field
	CodeReportTrailing       Code = "report-trailing"        // more after the signature than zeros of a buffer
	CodeReportVersion        Code = "report-version"         // not SPDM 1.1
	CodeReportMessage        Code = "report-message"         // not the two messages expected
	CodeReportUnsigned       Code = "report-unsigned"        // the request asked for no signature
	CodeReportOperation      Code = "report-operation"       // the request asked for less than all measurements
	CodeReportSlot           Code = "report-slot"            // no certificate slot, of 0 to 7
	CodeReportParam          Code = "report-param"           // a parameter of the response that is not 0
	CodeReportLength         Code = "report-length"          // blocks do not fill the record that holds them
	CodeReportIndexDuplicate Code = "report-index-duplicate" // two blocks of one index
	CodeReportIndexOrder     Code = "report-index-order"     // indices that do not rise, or 0
	CodeReportSpec           Code = "report-spec"            // a block not of the DMTF's format
	CodeReportBlockSize      Code = "report-block-size"      // a block whose two sizes contradict each other
)

const (
	MaxReport   = 64 << 10 // bytes of a report; drivers give at most 8192
	maxTrailing = 16       // zeros after the signature: rests of a buffer

	spdmVersion     = 0x11
	getMeasurements = 0xE0
	measurements    = 0x60
	dmtf            = 1
	signatureSize   = 96
)

// Report is an SPDM 1.1 GET_MEASUREMENTS request and the MEASUREMENTS response to it,
// as a card's driver hands them out. Parsing judges no signature: [Verify] does.
type Report struct {
	Nonce     [32]byte // of the request: what the caller asked the card to sign
	Slot      uint8    // of the certificate chain, 0 to 7
	Blocks    []Block  // indices rise
	Responder [32]byte // the card's own nonce
	Opaque    Opaque
	Signed    []byte   // what the signature covers: all of the report before it
	Signature [96]byte // r and s, big-endian, 48 bytes each
}

// Block is a measurement. Reference manifests count from 0: their index is one less.
type Block struct {
	Index  uint8 // of SPDM, from 1
	Type   uint8 // of the DMTF: bit 7 is set for raw bytes, clear for a digest
	Value  []byte
	Offset int // of Value in the report
}

// Zero tells whether nothing but zeros was measured.
func (b Block) Zero() bool { return len(bytes.Trim(b.Value, "\x00")) == 0 }

// Block finds a measurement by its SPDM index, which counts from 1.
func (r *Report) Block(index int) (Block, bool) {
	for _, b := range r.Blocks {
		if int(b.Index) == index {
			return b, true
		}
	}
	return Block{}, false
}

// cursor takes fields off a report and remembers the first that was not whole.
type cursor struct {
	b     []byte
	at    int
	fault *Reason
}

func (c *cursor) take(field string, n int) []byte {
	if c.fault != nil {
		return nil
	}
	if left := len(c.b) - c.at; left < n {
		c.fault = at(CodeReportTruncated, field, c.at, "%d bytes, want %d", left, n)
		return nil
	}
	c.at += n
	return c.b[c.at-n : c.at : c.at]
}

// number takes a little-endian number of n bytes, at most 4.
func (c *cursor) number(field string, n int) int {
	var v [4]byte
	copy(v[:], c.take(field, n))
	return int(binary.LittleEndian.Uint32(v[:]))
}

// expect takes a byte that has one right value.
func (c *cursor) expect(code Code, field string, want int) {
	if got := c.number(field, 1); c.fault == nil && got != want {
		c.fault = at(code, field, c.at-1, "%#02x, want %#02x", got, want)
	}
}

// ParseReport parses a report by its length fields alone. The report is a copy: it
// holds on to nothing of b. An error is a *[Reason] with its field, and the offset of
// that field in b.
//
// Up to 16 zeros after the signature are a buffer's and ignored. The only version
// accepted is SPDM 1.1: later ones sign another transcript.
func ParseReport(b []byte) (*Report, error) {
	if len(b) > MaxReport {
		return nil, of(CodeReportLong, "report", "%d bytes, at most %d are read", len(b), MaxReport)
	}
	var (
		r Report
		c = cursor{b: bytes.Clone(b)}
	)
	c.expect(CodeReportVersion, "request version", spdmVersion)
	c.expect(CodeReportMessage, "request code", getMeasurements)
	// Bit 0 asks for a signature, the other bits are reserved.
	c.expect(CodeReportUnsigned, "request param1", 0x01)
	c.expect(CodeReportOperation, "request param2", 0xFF)
	copy(r.Nonce[:], c.take("nonce", 32))
	r.Slot = uint8(c.number("slot", 1))
	if c.fault == nil && r.Slot > 7 {
		c.fault = at(CodeReportSlot, "slot", c.at-1, "%#02x, want 0 to 7", r.Slot)
	}
	c.expect(CodeReportVersion, "response version", spdmVersion)
	c.expect(CodeReportMessage, "response code", measurements)
	c.expect(CodeReportParam, "response param1", 0)
	c.expect(CodeReportParam, "response param2", 0)

	count := c.number("number of blocks", 1)
	size := c.number("record length", 3)
	start := c.at
	record := c.take("record", size)
	if c.fault == nil {
		r.Blocks, c.fault = parseBlocks(record, count, start)
	}
	copy(r.Responder[:], c.take("responder nonce", 32))
	opaque := c.number("opaque length", 2)
	start = c.at
	data := c.take("opaque data", opaque)
	if c.fault == nil {
		r.Opaque, c.fault = parseOpaque(data, start)
	}
	r.Signed = c.b[:c.at:c.at]
	copy(r.Signature[:], c.take("signature", signatureSize))
	if c.fault != nil {
		return nil, c.fault
	}
	if rest := c.b[c.at:]; len(rest) > maxTrailing || !(Block{Value: rest}).Zero() {
		return nil, at(CodeReportTrailing, "end", c.at, "%d bytes after the signature, want at most %d zeros", len(rest), maxTrailing)
	}
	return &r, nil
}

// parseBlocks parses the record of count measurements that starts at an offset of the
// report.
func parseBlocks(record []byte, count, start int) ([]Block, *Reason) {
	// A block is 7 bytes at least, which bounds what is allocated by what there is.
	if len(record) < 7*count {
		return nil, at(CodeReportLength, "record length", start-3, "%d bytes, too few for %d blocks", len(record), count)
	}
	blocks := make([]Block, 0, count)
	last := 0
	for off := 0; off < len(record); {
		pos := start + off
		if len(record)-off < 7 {
			return nil, at(CodeReportLength, "record length", start-3, "%d bytes, block %d is cut at byte %d", len(record), len(blocks)+1, pos)
		}
		h := record[off : off+7]
		index, size, value := int(h[0]), int(binary.LittleEndian.Uint16(h[2:])), int(binary.LittleEndian.Uint16(h[5:]))
		switch {
		case index == last && index != 0:
			return nil, at(CodeReportIndexDuplicate, "block index", pos, "%d twice", index)
		case index <= last:
			return nil, at(CodeReportIndexOrder, "block index", pos, "%d after %d, want rising ones from 1", index, last)
		case h[1] != dmtf:
			return nil, at(CodeReportSpec, "block specification", pos+1, "%#02x, want %#02x", h[1], dmtf)
		case size != value+3:
			return nil, at(CodeReportBlockSize, "block size", pos+2, "%d, but its value has %d bytes and 3 of header", size, value)
		case len(record)-off < 4+size:
			return nil, at(CodeReportLength, "block size", pos+2, "%d, but the record has %d bytes left", size, len(record)-off-4)
		}
		end := off + 4 + size
		blocks = append(blocks, Block{Index: h[0], Type: h[4], Value: record[off+7 : end : end], Offset: pos + 7})
		last, off = index, end
	}
	if len(blocks) != count {
		return nil, at(CodeReportLength, "number of blocks", start-4, "%d, but the record holds %d", count, len(blocks))
	}
	return blocks, nil
}
