package ptx

import (
	"github.com/assaynet/assay/gpu/kernels/ptx/scalar"
)

// alu is the work of an instruction of registers only.
func alu(f scalar.Vec, d int, a, b, c src) func(w *warp, mask uint32) {
	return func(w *warp, mask uint32) {
		if mask == full {
			f(w.reg(d), w.val(&a), w.val(&b), w.val(&c))
			return
		}
		var t [32]uint64
		f(&t, w.val(&a), w.val(&b), w.val(&c))
		w.blend(d, &t, mask)
	}
}
