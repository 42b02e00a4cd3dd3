// Package models is the table of GPU models that claims are held against.
//
// It holds the simulated models so far; real ones come with the kernels that
// reach their rates.
package models

import "fmt"

// Spec is one model. A simulated model stands for no hardware: its rate is the
// modelled clock's.
type Spec struct {
	Name      string
	Simulated bool
	Memory    uint64 // bytes
	Int8Ops   uint64 // ops/s of each flavour of challenges.Flavour by the best known exact method
	BF16Ops   uint64
	FP64Ops   uint64
	Memories  uint16 // row of the table in challenges/memory: its class; 0: none yet
	Source    string // where the figures come from
}

// Table lists the models in their order.
func Table() []Spec {
	const made = "made up for simulated networks"
	return []Spec{
		{Name: "sim-100", Simulated: true, Memory: 2 << 20, Int8Ops: 100e6, BF16Ops: 100e6, FP64Ops: 40e6, Memories: 501, Source: made},
		{Name: "sim-200", Simulated: true, Memory: 3 << 20, Int8Ops: 200e6, BF16Ops: 200e6, FP64Ops: 80e6, Memories: 501, Source: made},
		{Name: "sim-400", Simulated: true, Memory: 4 << 20, Int8Ops: 400e6, BF16Ops: 400e6, FP64Ops: 160e6, Memories: 501, Source: made},
	}
}

// Lookup finds a model by name.
func Lookup(name string) (Spec, error) {
	for _, s := range Table() {
		if s.Name == name {
			return s, nil
		}
	}
	return Spec{}, fmt.Errorf("GPU model %q: not in the table", name)
}
