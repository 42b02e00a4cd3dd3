package ptx

import (
	"math/bits"

	"github.com/assaynet/assay/gpu/kernels/ptx/scalar"
	"github.com/assaynet/assay/gpu/kernels/ptx/syntax"
)

// copied is a cp.async of one lane that is not yet performed.
type copied struct {
	lane, dst, n, zeros int
	from                *region
	off                 int
	group               int // -1 before it is committed
	in                  *inst
}

// copies decodes cp.async (PTX ISA, cp.async) and cp.async.bulk.
func (p *parser) copies(op string, ops []syntax.Operand) {
	switch op {
	case "cp.async.cg.shared.global", "cp.async.ca.shared.global", "cp.async.cg.shared::cta.global", "cp.async.ca.shared::cta.global":
		p.need(80, 70)
		if len(op) > len("cp.async.cg.shared.global") {
			p.need(0, 78)
		}
		if len(ops) != 3 && len(ops) != 4 {
			p.fail("%s with %d operands", op, len(ops))
		}
		n := int(p.constant(ops[2], 4, 16))
		if bits.OnesCount(uint(n)) != 1 || n != 16 && op[9:11] == "cg" {
			p.fail("%s of %d bytes", op, n)
		}
		dst, from := p.mem(ops[0]), p.mem(ops[1])
		size := p.value(uint64(n))
		if len(ops) == 4 {
			size = p.src(ops[3], scalar.U32)
		}
		p.in.run = func(w *warp, mask uint32) { w.copy(mask, &dst, &from, &size, n) }
	case "cp.async.commit_group":
		p.need(80, 70)
		p.count(ops, 0)
		p.in.run = func(w *warp, mask uint32) { w.commit(mask) }
	case "cp.async.wait_group":
		p.need(80, 70)
		p.count(ops, 1)
		n := int(p.constant(ops[0], 0, 1<<20))
		p.in.run = func(w *warp, mask uint32) { w.await(mask, n) }
	case "cp.async.wait_all":
		p.need(80, 70)
		p.count(ops, 0)
		p.in.run = func(w *warp, mask uint32) { w.commit(mask); w.await(mask, 0) }
	case "cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes":
		p.bulk(ops)
	default:
		p.fail("unknown opcode %s", op)
	}
}

// copy starts a cp.async. Until it is waited for its destination is in flight, and
// whoever touches it is at fault, in both modes.
func (w *warp) copy(mask uint32, dst, from *address, size *src, n int) {
	to, at, sizes := *w.val(&dst.base), *w.val(&from.base), *w.val(size)
	for m := mask; m != 0; m &= m - 1 {
		l := first(m)
		c := copied{lane: l, n: int(sizes[l]), group: -1, in: w.in}
		if c.n > n {
			w.fault(l, "cp.async of %d bytes reads %d", n, c.n)
		}
		c.zeros = n - c.n
		c.dst = w.within(l, to[l]+uint64(dst.off), n, n)
		if c.n > 0 {
			c.from, c.off = w.global(l, at[l]+uint64(from.off), c.n, n)
		}
		w.mayWrite(l, c.dst, n, false)
		w.b.fly(c.dst, n, true)
		if w.b.l.cfg.Early {
			w.perform(&c)
		}
		w.copies = append(w.copies, c)
	}
}

// perform moves the bytes.
func (w *warp) perform(c *copied) {
	if c.n > 0 {
		copy(w.b.mem[c.dst:], c.from.data[c.off:c.off+c.n])
	}
	clear(w.b.mem[c.dst+c.n : c.dst+c.n+c.zeros])
}

func (w *warp) commit(mask uint32) {
	for i := range w.copies {
		if c := &w.copies[i]; c.group < 0 && mask>>c.lane&1 != 0 {
			c.group = w.groups[c.lane]
		}
	}
	for m := mask; m != 0; m &= m - 1 {
		w.groups[first(m)]++
	}
}

// await completes all but the n latest groups of the lanes.
func (w *warp) await(mask uint32, n int) {
	left := w.copies[:0]
	for _, c := range w.copies {
		if mask>>c.lane&1 == 0 || c.group < 0 || c.group >= w.groups[c.lane]-n {
			left = append(left, c)
			continue
		}
		if !w.b.l.cfg.Early {
			w.perform(&c)
		}
		w.b.fly(c.dst, c.n+c.zeros, false)
		w.writes(c.lane, c.dst, c.n+c.zeros)
	}
	w.copies = left
}

// bulk is a cp.async.bulk that is not yet performed.
type bulk struct {
	w            *warp
	in           *inst
	lane, dst, n int
	from         *region
	off          int
	bar          *mbarrier
}

// bulk decodes the copy of many bytes whose end an mbarrier learns (PTX ISA,
// cp.async.bulk).
func (p *parser) bulk(ops []syntax.Operand) {
	p.need(90, 80)
	p.count(ops, 4)
	dst, from, size, at := p.mem(ops[0]), p.mem(ops[1]), p.src(ops[2], scalar.U32), p.mem(ops[3])
	p.in.run = func(w *warp, mask uint32) {
		for m := mask; m != 0; m &= m - 1 {
			l := first(m)
			n := int(w.val(&size)[l])
			if n%16 != 0 || n == 0 {
				w.fault(l, "bulk copy of %d bytes, no multiple of 16", n)
			}
			u := bulk{w: w, in: w.in, lane: l, n: n}
			u.dst = w.within(l, w.val(&dst.base)[l]+uint64(dst.off), n, 16)
			u.from, u.off = w.global(l, w.val(&from.base)[l]+uint64(from.off), n, 16)
			u.bar = w.bar(l, w.val(&at.base)[l]+uint64(at.off))
			if !u.bar.fenced {
				w.fault(l, "the mbarrier at %#x was initialised and neither fence.mbarrier_init nor fence.proxy.async makes it known to bulk copies", u.bar.at)
			}
			w.mayWrite(l, u.dst, n, true)
			w.b.fly(u.dst, n, true)
			w.b.bulks = append(w.b.bulks, u)
			if w.b.l.cfg.Early {
				w.b.land(len(w.b.bulks) - 1)
			}
		}
	}
}

// land performs a bulk copy and tells its mbarrier.
func (b *block) land(i int) {
	u := b.bulks[i]
	b.bulks = append(b.bulks[:i:i], b.bulks[i+1:]...)
	copy(b.mem[u.dst:], u.from.data[u.off:u.off+u.n])
	b.fly(u.dst, u.n, false)
	agent := len(b.warps) + u.bar.agent
	b.agents[u.bar.agent]++
	b.wrote(agent, -1, b.agents[u.bar.agent], u.dst, u.n, byAsync)
	u.bar.clock[agent] = b.agents[u.bar.agent]
	u.bar.tx -= u.n
	u.bar.advance()
}

// late performs the oldest bulk copy that a lane waits for. It says false when
// there is none.
func (b *block) late() bool {
	for i, u := range b.bulks {
		for _, w := range b.warps {
			for _, s := range w.stalls {
				if s.bar == u.bar {
					b.land(i)
					return true
				}
			}
		}
	}
	return false
}

// fences decodes memory fences. Between threads they do nothing here, where memory
// has one order; between proxies they are what the race detector looks for.
func (p *parser) fences(op string, ops []syntax.Operand) {
	p.count(ops, 0)
	switch op {
	case "membar.cta", "membar.gl", "membar.sys", "fence.sc.cta", "fence.acq_rel.cta", "fence.sc.gpu", "fence.acq_rel.gpu", "fence.sc.sys", "fence.acq_rel.sys":
		p.in.run = func(*warp, uint32) {}
	case "fence.mbarrier_init.release.cluster":
		p.need(90, 80)
		p.in.run = func(w *warp, mask uint32) { w.knownBars() }
	case "fence.proxy.async", "fence.proxy.async.shared::cta":
		p.need(90, 80)
		p.in.run = func(w *warp, mask uint32) {
			w.fence(mask)
			w.knownBars()
		}
	default:
		p.fail("unknown opcode %s", op)
	}
}
