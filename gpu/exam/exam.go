// Package exam examines a device: it compares what the device computes with the
// CPU engine bit for bit, and plays whole challenges with it.
package exam

import (
	"errors"

	"github.com/assaynet/assay/challenges"
	"github.com/assaynet/assay/challenges/memory"
)

// ErrDiffers says that a device gave another result than the engine.
var ErrDiffers = errors.New("differs from the CPU engine")

// Case is one comparison: rounds of a shape, or a dataset with its walks.
type Case struct {
	Name   string
	Shape  challenges.Shape // unused if Set has items
	Rounds int
	Window int // W
	Set    memory.Dataset
}

// Cases are the shapes at whose edges kernels go wrong: tiles of C and of A that are
// not full, lines that end within a slab, fewer slabs than stages and more, one chunk
// and odd numbers of them, windows and batches that do not divide. They take the
// engine some seconds of one core.
func Cases() []Case {
	compute := func(f challenges.Flavour, m, n, k, rounds, window int) Case {
		s := challenges.Shape{Flavour: f, M: m, N: n, K: k}
		return Case{Name: s.String(), Shape: s, Rounds: rounds, Window: window}
	}
	dataset := func(name string, items uint64, class memory.Profile) Case {
		class.Name = name
		return Case{Name: name, Set: memory.Dataset{Profile: class, Items: items}}
	}
	small := memory.Profile{
		Lines: 1 << 8, Parents: 7, Window: 1 << 11, Batch: 1 << 6, MaxWalks: 1 << 20, Steps: 32, Rounds: 3, Samples: 8,
		ReadRate: 1e6, MakeRate: 1e6, LinkRate: 1e6, Patience: 6,
	}
	large := small
	large.Lines, large.Parents, large.Window, large.Batch = 1<<15, 128, 1<<15, 1<<10
	return []Case{
		compute(challenges.Int8, 1, 256, 64, 3, 1),
		compute(challenges.Int8, 3, 256, 128, 5, 2),
		compute(challenges.Int8, 127, 512, 192, 3, 1),
		compute(challenges.Int8, 128, 256, 512, 3, 1),
		compute(challenges.Int8, 129, 768, 704, 4, 1),
		compute(challenges.Int8, 300, 256, 4096, 3, 1),
		compute(challenges.Int8, 16, 256, 65536, 2, 1),
		compute(challenges.BF16, 1, 256, 64, 3, 1),
		compute(challenges.BF16, 129, 512, 320, 4, 2),
		compute(challenges.BF16, 200, 256, 8192, 2, 1),
		compute(challenges.FP64, 1, 128, 1, 3, 1),
		compute(challenges.FP64, 3, 128, 129, 5, 2),
		compute(challenges.FP64, 65, 256, 100, 3, 1),
		compute(challenges.FP64, 2, 128, 4096, 2, 1),
		dataset("memory of one window", 1<<11, small),
		dataset("memory of windows that do not divide", 9*1000+77, small),
		dataset("memory of a large cache", 150_001, large),
	}
}
