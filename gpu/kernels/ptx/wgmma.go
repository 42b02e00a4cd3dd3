package ptx

import (
	"strconv"
	"strings"

	"github.com/assaynet/assay/gpu/kernels/ptx/scalar"
	"github.com/assaynet/assay/gpu/kernels/ptx/syntax"
)

// wgmma is a decoded wgmma.mma_async.
type wgmma struct {
	n     int  // columns
	float bool // bf16 operands and f32 sums
	regs  []int
	a, b  src
	scale psrc
	in    *inst
}

// issued is a wgmma of one warp, not yet performed.
type issued struct {
	g     *wgmma
	a, b  uint64
	scale bool
	group int // -1 before it is committed
}

// wgmmaState is what a warp knows of its wgmmas.
type wgmmaState struct {
	flying  []uint16 // of each register: wgmmas in flight that write it
	touched []uint32 // the fence count when another instruction last had it
	fences  uint32
	queue   []issued
	groups  int
	done    int // wgmmas issued in all
}

// wgGroup is a warpgroup: its four warps must execute the same wgmmas.
type wgGroup struct{ log []issued }

func (s *wgmmaState) start(k *kernel) {
	if !k.wgmma {
		return
	}
	if s.flying == nil {
		s.flying, s.touched = make([]uint16, k.Regs), make([]uint32, k.Regs)
	}
	clear(s.flying)
	clear(s.touched)
	s.fences, s.queue, s.groups, s.done = 1, nil, 0, 0
}

func (s *wgmmaState) busy(r int) bool { return s.flying != nil && s.flying[r] > 0 }

// access notes that an ordinary instruction reads and writes registers; reads of
// those in flight are refused with the other reads that have no value.
func (s *wgmmaState) access(w *warp, in *inst) {
	for _, r := range in.defs {
		if s.flying[r] > 0 {
			w.fault(-1, "a register of a wgmma in flight is written before wgmma.wait_group")
		}
		s.touched[r] = s.fences
	}
	for _, r := range in.uses {
		s.touched[r] = s.fences
	}
}

func (s *wgmmaState) exit(w *warp) {
	if len(s.queue) > 0 {
		w.in = s.queue[0].g.in
		w.fault(-1, "the warp ends with this wgmma not waited for")
	}
}

// end checks that the warps of a group issued equally many.
func (g *wgGroup) end(b *block, i int) {
	for _, w := range b.warps[i*4 : min(i*4+4, len(b.warps))] {
		if w.wg.done != len(g.log) {
			w.fault(-1, "warp %d issued %d wgmmas, another of its warpgroup %d", w.id, w.wg.done, len(g.log))
		}
	}
}

// wgmma decodes the warpgroup's instructions (PTX ISA, Asynchronous Warpgroup Level
// Matrix Multiply-Accumulate Instructions).
func (p *parser) wgmma(op string, ops []syntax.Operand) {
	p.need(90, 80)
	if !p.m.text.Arch {
		p.fail("%s in a module for %s, not sm_90a", op, p.m.text.Target)
	}
	p.k.wgmma = true
	switch op {
	case "wgmma.fence.sync.aligned":
		p.count(ops, 0)
		p.in.run = func(w *warp, mask uint32) {
			if w.aligned(mask) {
				w.wg.fences++
			}
		}
	case "wgmma.commit_group.sync.aligned":
		p.count(ops, 0)
		p.in.run = func(w *warp, mask uint32) {
			if !w.aligned(mask) {
				return
			}
			for i := range w.wg.queue {
				if q := &w.wg.queue[i]; q.group < 0 {
					q.group = w.wg.groups
				}
			}
			w.wg.groups++
		}
	case "wgmma.wait_group.sync.aligned":
		p.count(ops, 1)
		n := int(p.constant(ops[0], 0, 7))
		p.in.run = func(w *warp, mask uint32) {
			if w.aligned(mask) {
				w.awaitWgmma(n)
			}
		}
	case "setmaxnreg.inc.sync.aligned.u32", "setmaxnreg.dec.sync.aligned.u32":
		p.count(ops, 1)
		if n := p.constant(ops[0], 24, 256); n%8 != 0 {
			p.fail("%d registers, no multiple of 8", n)
		}
		p.in.run = func(w *warp, mask uint32) { w.aligned(mask) }
	default:
		p.product(op, ops)
	}
}

// product decodes wgmma.mma_async with both matrices in shared memory.
func (p *parser) product(op string, ops []syntax.Operand) {
	g := &wgmma{}
	rest, ok := strings.CutPrefix(op, "wgmma.mma_async.sync.aligned.m64n")
	size, kinds, _ := strings.Cut(rest, "k")
	v, err := strconv.Atoi(size)
	if !ok || err != nil {
		p.fail("unknown opcode %s", op)
	}
	g.n = v
	t := scalar.Type{Kind: 's', Bits: 32}
	switch kinds {
	case "32.s32.s8.s8":
		p.count(ops, 4)
		ok = g.n == 8 || g.n == 24 || g.n%16 == 0
	case "16.f32.bf16.bf16":
		p.count(ops, 8)
		for i, o := range ops[4:] { // scales of 1, both K-major
			if p.constant(o, -1, 1) != int64(1-i/2) {
				p.fail("%s with a scale or a transposition", op)
			}
		}
		t, g.float = scalar.F32, true
	default:
		ok = false
	}
	if !ok || g.n < 8 || g.n > 256 || g.n%8 != 0 {
		p.fail("unknown opcode %s", op)
	}
	g.a, g.b, g.scale = p.src(ops[1], scalar.B64), p.src(ops[2], scalar.B64), p.psrc(ops[3])
	if g.scale.not {
		p.fail("a negated scale-d")
	}
	uses := len(p.in.uses)
	g.regs = p.fragment(ops[0], g.n/2, t, true)
	// The sums are neither read nor written now: the state says what they are.
	p.in.defs, p.in.uses = nil, p.in.uses[:uses]
	g.in = p.in
	p.in.run = func(w *warp, mask uint32) {
		if w.aligned(mask) {
			w.issue(g)
		}
	}
}
