// Package models is the table of GPU models that claims are held against.
//
// It is data: what NVIDIA and others publish of each model, with a source a row,
// and what a card's best exact method is known or guessed to reach. Nothing here
// was measured by this project. Simulated models stand first; they stand for no
// hardware.
//
// # Columns
//
// All peaks are dense, for products without structured sparsity. A datasheet that
// prints the sparse figure is halved. The peak of fp64 is that of the vector units:
// the fma flavour cannot use tensor cores.
//
// Clocks and widths are as a driver reports them: MemoryHz is half the data rate of
// a pin, so that Bandwidth is 2 x MemoryHz x BusBits / 8. Memory is what the board
// carries; drivers report 0.5 % to 9 % less (error correction, reserved pages).
//
// # Sources of all rows
//
// PCI device ids: pci.ids at c1c1254 and the list of supported devices in
// NVIDIA/open-gpu-kernel-modules 595.45.04, which also has the names that drivers
// report. SMs, clocks, widths, L2 and power, unless the row says otherwise: the
// TechPowerUp table in reox007/RightNow-GPU-Database at 77fae38, read; figures of
// it that contradict the peaks were replaced, and the row says so. A row's Source
// says where its peaks come from, and "recalled" which columns of a published
// document were not read again when the row was written.
//
// # Not in the table
//
// V100 and older: compute capability 7.0 has no int8 tensor cores and the kernels
// start at 7.5 (see Supported). Laptop parts, slices of a card (MIG, vGPU) and
// models for which no figures were found: they have a class instead (see Class).
package models

import "fmt"

// Spec is one model. A simulated model's rate is the modelled clock's. Two values
// can be compared.
type Spec struct {
	Name      string // short form, in offers and configurations
	Title     string // marketing name; empty for simulated ones
	Simulated bool

	Memory  uint64 // bytes, as sold
	Int8Ops uint64 // ops/s of each flavour of challenges.Flavour by the best known exact method; 0: not known
	BF16Ops uint64
	FP64Ops uint64

	Memories uint16 // row of the table in challenges/memory: its class; 0: none yet
	Source   string // where the figures come from

	Reference Reference // where Int8Ops, BF16Ops and FP64Ops come from; empty for simulated ones

	Names        [2]string // as drivers report it; empty ones are unused
	PCI          [6]uint16 // device ids of vendor 10de; zeros are unused
	Major, Minor int       // compute capability
	SMs          int
	ClockHz      uint64 // boost; 0: not known
	TensorHz     uint64 // clock at which the published tensor peaks hold; 0: ClockHz
	MemoryHz     uint64 // half the data rate of a pin
	BusBits      int
	Bandwidth    uint64 // of the memory, bytes/s
	L2           uint64 // bytes; 0: not known
	Watts        int    // of the board, or of its share of the board; 0: not known
	Peak         Rates
}

// Rates are ops/s; a multiplication with its addition is two.
type Rates struct {
	Int8 uint64 // tensor cores, int32 sums
	BF16 uint64 // tensor cores, fp32 sums; 0: no such unit
	FP16 uint64 // tensor cores, fp32 sums
	FP64 uint64 // vector units
}

// Exact are the rates of the exact products by the best known method, of which r
// are the units' rates.
//
// Products of 8-bit entries may go through 16-bit floating point, which holds them
// and whose sums are exact: cards with few int8 units (B300) do so. Products of
// 9-bit entries may go through three of int8 (Karatsuba's digits), which is faster
// where fp32 sums have half the rate (GeForce).
func (r Rates) Exact() Rates {
	half := max(r.BF16, r.FP16)
	return Rates{Int8: max(r.Int8, half), BF16: max(half, r.Int8/digits), FP16: max(half, r.Int8/digits), FP64: r.FP64}
}

// digits is how many int8 products make a product of 9-bit entries. With the
// smallest on int4 units, where there are any, it would be 2.5; nobody has shown
// that yet.
const digits = 3

// Basis is where a reference figure comes from.
type Basis struct {
	Measured bool   // somebody measured it and published it; else it is estimated
	From     string // who, or of what; empty: there is no figure
}

// Reference is where a model's figures come from, by flavour.
type Reference struct{ Int8, BF16, FP64 Basis }

// Table lists the models in their order: simulated ones, then by generation, and in
// it data-centre cards, workstation cards, GeForce.
func Table() []Spec {
	rows := simulated()
	for _, generation := range [][]Spec{turing(), ampere(), geforce30(), ada(), geforce40(), hopper(), blackwell(), geforce50()} {
		for _, s := range generation {
			rows = append(rows, complete(s))
		}
	}
	return rows
}

func simulated() []Spec {
	const made = "made up for simulated networks"
	return []Spec{
		{Name: "sim-100", Simulated: true, Memory: 2 << 20, Int8Ops: 100e6, BF16Ops: 100e6, FP64Ops: 40e6, Memories: 501, Source: made},
		{Name: "sim-200", Simulated: true, Memory: 3 << 20, Int8Ops: 200e6, BF16Ops: 200e6, FP64Ops: 80e6, Memories: 501, Source: made},
		{Name: "sim-400", Simulated: true, Memory: 4 << 20, Int8Ops: 400e6, BF16Ops: 400e6, FP64Ops: 160e6, Memories: 501, Source: made},
		// Two that say what they are, as a driver would, so that claims can be held against
		// them: real clocks, widths and power; rates that a devnet's rounds fit, and whose
		// ratio of int8 to fp64 tells one from the other. A reference is ten elevenths of the
		// peak.
		{
			Name: "sim-h100", Simulated: true, Memory: 4 << 20, Int8Ops: 90e6, BF16Ops: 80e6, FP64Ops: 100e6, Memories: 501, Source: made,
			Names: [2]string{"NVIDIA H100 80GB HBM3 (simulated)"}, PCI: [6]uint16{0xff10},
			Major: 9, SMs: 132, ClockHz: 1980 * mhz, MemoryHz: 2619 * mhz, BusBits: 5120, Bandwidth: 670e6, Watts: 700,
			Peak: Rates{Int8: 99e6, BF16: 88e6, FP16: 88e6, FP64: 110e6},
		},
		{
			Name: "sim-4090", Simulated: true, Memory: 3 << 20, Int8Ops: 200e6, BF16Ops: 80e6, FP64Ops: 31e6, Memories: 501, Source: made,
			Names: [2]string{"NVIDIA GeForce RTX 4090 (simulated)"}, PCI: [6]uint16{0xff40},
			Major: 8, Minor: 9, SMs: 128, ClockHz: 2520 * mhz, MemoryHz: 10501 * mhz, BusBits: 384, Bandwidth: 600e6, Watts: 450,
			Peak: Rates{Int8: 220e6, BF16: 88e6, FP16: 88e6, FP64: 34.1e6},
		},
	}
}

// Lookup finds a model, or a class of models, by name.
func Lookup(name string) (Spec, error) {
	for _, list := range []func() []Spec{simulated, Table, Classes} {
		for _, s := range list() {
			if s.Name == name {
				return s, nil
			}
		}
	}
	return Spec{}, fmt.Errorf("GPU model %q: not in the table", name)
}

// Supported is whether the kernels run on a compute capability: 7.5 is the least.
// V100 (7.0) is refused: its tensor cores have no int8.
func Supported(major, minor int) bool { return major > 7 || major == 7 && minor >= 5 }

// Units of the table's literals.
const (
	mhz  = 1e6
	mib  = 1 << 20
	gib  = 1 << 30
	gb   = 1e9
	tera = 1e12
)
