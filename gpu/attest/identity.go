package attest

import (
	"cmp"
	"encoding/binary"
	"encoding/hex"
	"slices"
	"strings"
)

// Codes of reports whose parts contradict each other, or the chain that signs them.
const (
	CodeReportMode Code = "report-mode" // no kind of report that this package knows
	CodeChainMode  Code = "chain-mode"  // the chain is of another kind of device
	CodePDIMissing Code = "pdi-missing" // a report whose kind carries the device's PDI, without it
	CodePDI        Code = "pdi-differs" // the report's PDI is not the certificate's
)

// Mode is what a report is of. It is empty where that cannot be told.
type Mode string

// Modes.
const (
	ModeCC     Mode = "cc"     // a GPU in confidential-computing mode: driver, VBIOS and 64 measurements
	ModeFSP    Mode = "fsp"    // a GPU's firmware processor, outside that mode: which chip and board, no driver
	ModeSwitch Mode = "switch" // an NVSwitch
)

// Mode tells what the report is of, by the opaque fields that only one kind has.
func (r *Report) Mode() Mode {
	_, driver := r.Opaque.Get(FieldDriver)
	_, bios := r.Opaque.Get(FieldVBIOS)
	pdi, _ := r.Opaque.Get(FieldSwitchPDI)
	switch {
	case r.Opaque.Format == "" && len(r.Blocks) > 0:
		return ModeFSP
	case driver && bios:
		return ModeCC
	case !driver && bios && len(pdi) == len(PDI{}):
		return ModeSwitch
	}
	return ""
}

func (r *Report) text(typ uint16) string {
	b, _ := r.Opaque.Get(typ)
	s, _ := text(b)
	return s
}

// Driver is the driver's version, like "550.90.07". Only cards in confidential mode
// have one.
func (r *Report) Driver() string { return r.text(FieldDriver) }

// VBIOS is the version of the VBIOS, or a switch's BIOS, like "96.00.5E.00.01".
func (r *Report) VBIOS() string {
	b, _ := r.Opaque.Get(FieldVBIOS)
	s, _ := vbios(b)
	return s
}

// Project is the board's project, like "G520".
func (r *Report) Project() string { return r.text(FieldProject) }

// ProjectSKU is the variant of the project, like "0200".
func (r *Report) ProjectSKU() string { return r.text(FieldProjectSKU) }

// ChipSKU is the variant of the chip, like "885".
func (r *Report) ChipSKU() string { return r.text(FieldChipSKU) }

// ChipInfo is the chip's name as newer drivers say it, like "GB100".
func (r *Report) ChipInfo() string { return r.text(FieldChipInfo) }

// NVDEC0 tells whether the first video decoder is enabled. Where it is not, what was
// measured of it does not count.
func (r *Report) NVDEC0() (enabled, known bool) { return r.status(FieldNVDEC0) }

// ProtectedPCIe tells whether the card is in the protected-PCIe mode, in which several
// cards and switches work together.
func (r *Report) ProtectedPCIe() (enabled, known bool) { return r.status(FieldProtectedPCIe) }

func (r *Report) status(typ uint16) (enabled, known bool) {
	b, ok := r.Opaque.Get(typ)
	return ok && b[0] == on, ok
}

// Feature is how cards are passed to a guest, as newer drivers say it: 0 one by one,
// 1 several, 2 with protected PCIe. Other values may come.
func (r *Report) Feature() (uint16, bool) {
	b, ok := r.Opaque.Get(FieldFeature)
	if !ok {
		return 0, false
	}
	return binary.LittleEndian.Uint16(b), true
}

// FWID is the digest of the firmware that holds the signing key, 48 bytes; nil in
// reports of drivers that did not say it yet.
func (r *Report) FWID() []byte {
	b, _ := r.Opaque.Get(FieldFWID)
	return b
}

// Counts tells how often each measurement was extended, from SPDM index 1 on; nil
// where the report does not say.
func (r *Report) Counts() []uint32 {
	b, _ := r.Opaque.Get(FieldCounts)
	var out []uint32
	for ; len(b) >= 4; b = b[4:] {
		out = append(out, binary.LittleEndian.Uint32(b))
	}
	return out
}

// PDI is the per-device identifier that is fused into a chip, as its certificate
// writes it: most significant byte first.
type PDI [8]byte

func (p PDI) String() string { return strings.ToUpper(hex.EncodeToString(p[:])) }

// PDI is the device's own identifier. Reports of cards in confidential mode have none:
// there the chain alone says it.
func (r *Report) PDI() (p PDI, ok bool) {
	switch r.Mode() {
	case ModeSwitch:
		b, _ := r.Opaque.Get(FieldSwitchPDI)
		ok = copy(p[:], b) == len(p)
	case ModeFSP:
		b, found := r.Block(blockPDI)
		ok = found && len(b.Value) == len(p)
		copy(p[:], b.Value)
	}
	return p, ok
}

// Peers are the devices at the other ends of a device's links, as the driver says it
// where protected PCIe is on: a card's switches, one for each link and so several
// times each, or a switch's cards. Whether they form the set that was attested is the
// caller's to compare.
func (r *Report) Peers() []PDI {
	var (
		b    []byte
		flip bool
		out  []PDI
	)
	switch r.Mode() {
	case ModeCC:
		b, _ = r.Opaque.Get(FieldSwitchPDI)
		flip = true // cards print their switches' identifiers the other way round
	case ModeSwitch:
		b, _ = r.Opaque.Get(FieldGPUPDIs)
		b = b[:min(len(b), 64)] // the rest says which port leads to which
	}
	for ; len(b) >= 8; b = b[8:] {
		p := PDI(b)
		if flip {
			slices.Reverse(p[:])
		}
		out = append(out, p)
	}
	return out
}

// RIMs are the ids of the reference manifests that NVIDIA publishes for what the report
// says runs on the chip. An id is empty where there is none: switches have no driver,
// and reports of firmware processors have neither.
func (r *Report) RIMs(chip string) (driver, vbios string) {
	bios := strings.ReplaceAll(r.VBIOS(), ".", "")
	switch r.Mode() {
	case ModeSwitch:
		// The board is the same in every switch of this chip that is known.
		vbios = "NV_SWITCH_BIOS_5612_0002_890_" + bios
	case ModeCC:
		if chip == "GH100" {
			driver = "NV_GPU_DRIVER_GH100_" + r.Driver()
		} else {
			driver = "NV_GPU_CC_DRIVER_" + cmp.Or(r.ChipInfo(), chip) + "_" + r.Driver()
		}
		if r.Project() != "" && r.ProjectSKU() != "" && r.ChipSKU() != "" {
			vbios = strings.ToUpper("NV_GPU_VBIOS_" + r.Project() + "_" + r.ProjectSKU() + "_" + r.ChipSKU() + "_" + bios)
		}
	}
	return driver, vbios
}

// contradictions compares the report's parts with each other, and with the chain that
// is to sign it; the chain may be nil.
func (r *Report) contradictions(c Chain) []Reason {
	var out []Reason
	add := func(f *Reason) { out = append(out, *f) }
	for i, n := range r.Counts() {
		// Extending a measurement makes it other than zero. So it is in every report seen;
		// switches give fewer counts than measurements, and nothing gives more.
		switch b, ok := r.Block(i + 1); {
		case !ok:
			add(of(CodeOpaqueCount, "opaque field", "type %d says that measurement %d was extended %d times, the report lacks it", FieldCounts, i+1, n))
		case ok && b.Zero() != (n == 0):
			add(of(CodeOpaqueCount, "opaque field", "type %d says that measurement %d was extended %d times, its value is zero: %t", FieldCounts, i+1, n, b.Zero()))
		}
	}
	mode := r.Mode()
	if mode == "" {
		add(of(CodeReportMode, "opaque data", "neither a driver and a VBIOS, nor a switch's BIOS and PDI, nor empty"))
		return out
	}
	names, known := c.names()
	if !known {
		return out
	}
	if names.mode() != mode {
		add(of(CodeChainMode, "certificate 0", "%s signs reports of mode %s, this one is of mode %s", names.unit(), names.mode(), mode))
	}
	if mode == ModeCC {
		return out
	}
	switch pdi, ok := r.PDI(); {
	case !ok:
		add(of(CodePDIMissing, "report", "mode %s and no PDI of the device", mode))
	case pdi != names.pdi:
		add(of(CodePDI, "report", "PDI %s, certificate 1 is of %s", pdi, names.pdi))
	}
	return out
}
