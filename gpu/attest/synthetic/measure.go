package synthetic

import (
	"fmt"
	"slices"

	"github.com/assaynet/assay/gpu/attest"
)

// measured is how many measurements of a kind in confidential mode, or of a switch, a
// report has.
func (c *Card) measured() int {
	if c.Kind == Switch {
		return 31
	}
	return 64
}

// byDriver tells whether a measurement is of the driver's firmware, and not of the
// VBIOS's. Indices count from 0, as in manifests; the split is that of Hopper's.
func (c *Card) byDriver(index int) bool {
	return c.Kind != Switch && (index == 7 || 21 <= index && index <= 40)
}

// active tells whether a manifest expects anything of a measurement.
func (c *Card) active(index int) bool {
	return c.byDriver(index) || index <= 12 && index != 7 || c.Kind == Switch && index < c.measured()
}

// zero tells whether nothing is extended into a measurement.
func (c *Card) zero(index int) bool {
	if c.Kind == Switch {
		return slices.Contains([]int{7, 9, 12, 13, 15, 16, 17, 27, 28, 29, 30}, index)
	}
	return index > 40 || slices.Contains([]int{0, 8, 10, 12, 13, 14, 15, 16, 17, 18, 19, 20, 23, 24, 28}, index)
}

// measurement is a card's measurement in confidential mode, or a switch's, and so what
// the manifests of its versions expect. It depends on the version and the board alone:
// all cards that run the same measure the same.
func (c *Card) measurement(index int) []byte {
	if c.zero(index) {
		return make([]byte, 48)
	}
	what := "VBIOS " + c.VBIOS + " " + c.Project + " " + c.ProjectSKU + " " + c.ChipSKU
	if c.byDriver(index) {
		what = "driver " + c.Driver
	}
	d := c.maker.digest("measurement", c.Chip, what, fmt.Sprint(index))
	return d[:]
}

func (c *Card) blocks() []Block {
	if c.Kind == FSP {
		return c.fspBlocks()
	}
	var out []Block
	for i := range c.measured() {
		out = append(out, Block{Index: uint8(i + 1), Spec: 1, Type: 1, Value: c.measurement(i)})
	}
	return out
}

// fspBlocks have the types and the sizes of a GB200's.
func (c *Card) fspBlocks() []Block {
	var out []Block
	add := func(typ uint8, values ...[]byte) {
		for _, v := range values {
			out = append(out, Block{Index: uint8(len(out) + 1), Spec: 1, Type: typ, Value: slices.Clone(v)})
		}
	}
	digests := func(typ uint8, zero bool, n int) {
		for range n {
			d := c.maker.digest("fsp", c.Chip, fmt.Sprint(len(out)))
			if zero {
				d = [48]byte{}
			}
			add(typ, d[:])
		}
	}
	unset := func(typ uint8, n int) {
		for range n {
			add(typ, []byte{0xFF})
		}
	}
	add(0x83, make([]byte, 4))
	unset(0x82, 1)
	digests(0x02, false, 1)
	digests(0x01, false, 3)
	digests(0x03, false, 1)
	digests(0x01, false, 1)
	digests(0x01, true, 2)
	digests(0x03, false, 2)
	digests(0x02, false, 1)
	digests(0x02, true, 4)
	add(0x82, []byte{0})
	unset(0x82, 7)
	add(0x82, c.PDI[:])
	digests(0x01, true, 8)
	unset(0x83, 9)
	add(0x83, make([]byte, 16))
	unset(0x81, 2)
	digests(0x03, true, 3)
	board := make([]byte, 108)
	copy(board[23:], c.PDI[:])
	add(0x83, board)
	add(0x81, []byte{0}, c.descriptors())
	return out
}

// descriptors are what the firmware update's measurement says of the board.
func (c *Card) descriptors() []byte {
	b := make([]byte, 14)
	entry := func(typ uint16, v ...byte) {
		b = le16(b, typ)
		b = append(le16(b, uint16(len(v))), v...)
	}
	id := c.maker.digest("board", c.Chip)
	entry(0x0002, id[:16]...)
	entry(0xFFFF, 1, 5, 'A', 'P', 'S', 'K', 'U', 0x5C, 6, 0, 0)
	for i, v := range []uint16{c.Model.Vendor, c.Model.Device, c.Model.SubVendor, c.Model.Subsystem} {
		entry([]uint16{0x0000, 0x0100, 0x0101, 0x0102}[i], le16(nil, v)...)
	}
	return b
}

func le16(b []byte, v uint16) []byte { return append(b, byte(v), byte(v>>8)) }

func le32(b []byte, v uint32) []byte { return le16(le16(b, uint16(v)), uint16(v>>16)) }

// opaque is the vendor's part of the report.
func (c *Card) opaque() []attest.Field {
	var out []attest.Field
	add := func(typ, valueType uint16, data []byte) {
		out = append(out, attest.Field{Type: typ, ValueType: valueType, Data: slices.Clone(data)})
	}
	text := func(s string) []byte { return append([]byte(s), 0) }
	var counts []byte
	for i := range c.measured() {
		n := uint32(1)
		if c.zero(i) {
			n = 0
		}
		counts = le32(counts, n)
	}
	if c.Kind == Switch {
		peers := slices.Repeat([]byte{0xFF}, 128)
		for i, p := range c.Peers[:min(len(c.Peers), 8)] {
			copy(peers[8*i:], p[:])
		}
		add(attest.FieldVBIOS, 0, []byte(c.VBIOS))
		add(attest.FieldSwitchPDI, 0, c.PDI[:])
		add(attest.FieldCounts, 0, counts[:4*27])
		add(attest.FieldGPUPDIs, 0, peers)
		add(23, 0, []byte{0xEC, 0})
		add(24, 0, []byte{0, 0})
		add(25, 0, []byte{1, 0})
		return out
	}
	decoder, chipID := byte(0x55), byte(0x80)
	if c.NVDEC0 {
		decoder = 0xAA
	}
	if c.Kind == Blackwell {
		chipID = 0xA0
	}
	add(attest.FieldVBIOS, 0x86, vbiosBytes(c.VBIOS))
	add(attest.FieldBoard, 0x82, []byte{0xB1, 3, 0, 0})
	add(attest.FieldChipSKU, 0x82, append(text(c.ChipSKU), make([]byte, 5)...))
	add(attest.FieldChipSKUMod, 0x82, []byte{'0', 0, 0, 0, 0})
	add(attest.FieldProject, 0x82, text(c.Project))
	add(attest.FieldProjectSKU, 0x82, text(c.ProjectSKU))
	add(attest.FieldProjectSKUMod, 0x82, []byte{0, 0})
	add(attest.FieldDriver, 0x86, text(c.Driver))
	add(attest.FieldGPUInfo, 0x82, []byte{chipID, 1, 0, 0, 0, 0, 0, 0})
	add(attest.FieldCounts, 0x84, counts)
	add(13, 0x83, []byte{0, 0xC0, 1, 0})
	add(attest.FieldNVDEC0, 0x82, []byte{decoder})
	add(attest.FieldFWID, 0x01, c.fwid[:])
	if c.Kind == Blackwell {
		add(33, 0x82, []byte{7, 7})
		add(attest.FieldChipInfo, 0x86, text(c.Chip))
	}
	pcie, feature := byte(0x55), byte(0)
	if len(c.Peers) > 0 {
		pcie, feature = 0xAA, 2
		var peers []byte
		for _, p := range c.Peers {
			slices.Reverse(p[:])
			peers = append(peers, p[:]...)
		}
		add(attest.FieldSwitchPDI, 0x82, peers)
	}
	add(attest.FieldProtectedPCIe, 0x85, []byte{pcie})
	add(attest.FieldFeature, 0x85, []byte{feature, 0})
	return out
}

// vbiosBytes is a card's form of a version: "96.00.9F.00.01" is 00 9F 00 96 01 00 00
// 00. What is no version goes in as it is.
func vbiosBytes(s string) []byte {
	var v [5]byte
	if n, err := fmt.Sscanf(s, "%02X.%02X.%02X.%02X.%02X", &v[0], &v[1], &v[2], &v[3], &v[4]); n != 5 || err != nil {
		return []byte(s)
	}
	return []byte{v[3], v[2], v[1], v[0], v[4], 0, 0, 0}
}
