package attest

import "encoding/binary"

// SPDM indices of a firmware processor's measurements that this package reads. None is
// documented: they were found in a report of a GB200.
const (
	blockPDI   = 26
	blockModel = 52

	modelHeader = 14 // bytes of blockModel before its descriptors
)

// Model is which product a card says it is, as PCI writes it: the numbers of its
// configuration space.
type Model struct {
	Vendor, Device       uint16 // 0x10DE is NVIDIA
	SubVendor, Subsystem uint16
}

// Model is the product that a GPU's firmware processor signs. It reads the descriptors
// of the DMTF's firmware update (DSP0267) in measurement 52. NVIDIA documents neither
// the measurement nor that it stays: take what it says as evidence, and its absence as
// nothing.
func (r *Report) Model() (m Model, ok bool) {
	b, found := r.Block(blockModel)
	if r.Mode() != ModeFSP || !found || len(b.Value) < modelHeader {
		return Model{}, false
	}
	into := map[uint16]*uint16{0x0000: &m.Vendor, 0x0100: &m.Device, 0x0101: &m.SubVendor, 0x0102: &m.Subsystem}
	for d := b.Value[modelHeader:]; len(d) > 0; {
		if len(d) < 4 {
			return Model{}, false
		}
		typ, size := binary.LittleEndian.Uint16(d), int(binary.LittleEndian.Uint16(d[2:]))
		if len(d)-4 < size {
			return Model{}, false
		}
		if field, known := into[typ]; known {
			if field == nil || size != 2 { // twice, or of another form
				return Model{}, false
			}
			*field, into[typ] = binary.LittleEndian.Uint16(d[4:]), nil
		}
		d = d[4+size:]
	}
	for _, field := range into {
		if field != nil {
			return Model{}, false
		}
	}
	return m, true
}
