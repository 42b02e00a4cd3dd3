package ptx

import "github.com/assaynet/assay/gpu/kernels/ptx/tile"

// uniform is a source that must be the same in all lanes.
func (w *warp) uniform(s *src, what string) uint64 {
	v := w.val(s)
	for l, x := range v {
		if x != v[0] {
			w.fault(l, "%s is not the same in all lanes", what)
		}
	}
	return v[0]
}

// issue starts a wgmma: from now until it is waited for, its sums belong to it.
func (w *warp) issue(g *wgmma) {
	s := &w.wg
	if s.fences == 1 {
		w.fault(-1, "no wgmma.fence before the first wgmma")
	}
	q := issued{g: g, a: w.uniform(&g.a, "a descriptor"), b: w.uniform(&g.b, "a descriptor"), group: -1}
	scale := w.predicate(g.scale)
	if scale != 0 && scale != full {
		w.fault(-1, "scale-d is not the same in all lanes")
	}
	q.scale = scale == full
	for _, r := range g.regs {
		switch {
		case s.touched[r] == s.fences:
			w.fault(-1, "a register of this wgmma was read or written after the last wgmma.fence")
		case q.scale && s.flying[r] == 0 && w.def[r] != full:
			w.undefined("a sum of this wgmma", w.def[r], full)
		}
	}
	log := &w.b.groups[w.id/4].log
	if s.done == len(*log) {
		*log = append(*log, q)
	} else if o := (*log)[s.done]; o.g != g || o.a != q.a || o.b != q.b || o.scale != q.scale {
		w.fault(-1, "the warps of a warpgroup execute different wgmmas, or with different descriptors")
	}
	s.done++
	if len(w.b.warps) < w.id/4*4+4 {
		w.fault(-1, "wgmma in a warpgroup of less than four warps")
	}
	w.hold(&q, 1)
	if w.b.l.cfg.Early {
		w.multiply(&q)
	}
	for _, r := range g.regs {
		s.flying[r]++
		w.def[r] = 0
	}
	s.queue = append(s.queue, q)
}

// awaitWgmma completes all but the n latest groups.
func (w *warp) awaitWgmma(n int) {
	s := &w.wg
	i := 0
	for ; i < len(s.queue) && s.queue[i].group >= 0 && s.queue[i].group < s.groups-n; i++ {
		q := &s.queue[i]
		if !w.b.l.cfg.Early {
			w.multiply(q)
		}
		w.hold(q, ^uint16(0))
		for _, r := range q.g.regs {
			if s.flying[r]--; s.flying[r] == 0 {
				w.def[r] = full
			}
		}
	}
	s.queue = s.queue[i:]
	w.tick()
}

func (w *warp) describe(d uint64) tile.Matrix {
	m, err := tile.Describe(d)
	if err != nil {
		w.fault(-1, "%v", err)
	}
	return m
}

// hold marks what a wgmma reads as being read, or no more.
func (w *warp) hold(q *issued, by uint16) {
	a, b := w.describe(q.a), w.describe(q.b)
	line := func(m tile.Matrix, r int) {
		for piece := range 2 {
			at := w.within(-1, uint64(m.At(r, piece)), 16, 16)
			for i := at / 4; i < at/4+4; i++ {
				w.b.words[i].reader += by
			}
		}
	}
	for r := range 16 {
		line(a, w.id%4*16+r)
	}
	for r := range q.g.n {
		line(b, r)
	}
}

// readLine reads the 32 bytes of a row of A or of a column of B.
func (w *warp) readLine(m tile.Matrix, r int, to []int32, float bool) {
	for piece := range 2 {
		at := w.within(-1, uint64(m.At(r, piece)), 16, 16)
		w.reads(-1, at, 16, true)
		if to == nil {
			continue
		}
		bytes := w.b.mem[at : at+16]
		if !float {
			for i, x := range bytes {
				to[piece*16+i] = int32(int8(x))
			}
			continue
		}
		for i := range 8 {
			v, ok := tile.BFloat(load(bytes[2*i:], 2))
			if !ok {
				w.fault(-1, "shared memory at %#x holds an operand that is no whole number", at+2*i)
			}
			to[piece*8+i] = v
		}
	}
}

// multiply performs this warp's 16 rows of a wgmma: warp i of the group has rows
// 16 i on, and the sums stand as those of mma (PTX ISA, wgmma, Register
// Fragments).
func (w *warp) multiply(q *issued) {
	k := 32
	if q.g.float {
		k = 16
	}
	var a [16 * 32]int32
	lines := make([]int32, q.g.n*k)
	ma, mb := w.describe(q.a), w.describe(q.b)
	for r := range 16 {
		w.readLine(ma, w.id%4*16+r, a[r*k:(r+1)*k], q.g.float)
	}
	for c := range q.g.n {
		w.readLine(mb, c, lines[c*k:(c+1)*k], q.g.float)
	}
	for i, reg := range q.g.regs {
		d := w.reg(reg)
		for l := range d {
			if !q.scale {
				d[l] = 0
			}
			row, col := tile.Sum(l, i)
			d[l] = w.dot(l, a[row*k:(row+1)*k], lines[col*k:(col+1)*k], d[l], q.g.float)
		}
	}
}
