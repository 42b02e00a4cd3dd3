package ptx

import (
	"math/bits"
	"strings"

	"github.com/assaynet/assay/gpu/kernels/ptx/scalar"
	"github.com/assaynet/assay/gpu/kernels/ptx/syntax"
)

// members gathers the lanes that an operand names, the same in all of them, for a
// collective that is not .aligned.
func (w *warp) members(mask uint32, s *src) bool {
	v := w.val(s)
	need := uint32(v[first(mask)])
	for m := mask; m != 0; m &= m - 1 {
		if l := first(m); uint32(v[l]) != need {
			w.fault(l, "divergent collective: lanes name different members, %08x and %08x", need, uint32(v[l]))
		}
	}
	if s.reg < 0 && need == full {
		need = w.exist
	}
	if out := mask &^ need; out != 0 {
		w.fault(first(out), "divergent collective: a lane that is not of its members %08x", need)
	}
	return w.together(mask, need)
}

// collective decodes shfl.sync, vote.sync, match.any.sync, activemask and elect.sync
// (PTX ISA, sections of these names).
func (p *parser) collective(op string, ops []syntax.Operand) {
	switch op {
	case "shfl.sync.idx.b32", "shfl.sync.up.b32", "shfl.sync.down.b32", "shfl.sync.bfly.b32":
		p.shuffle(strings.Split(op, ".")[2], ops)
	case "vote.sync.any.pred", "vote.sync.all.pred", "vote.sync.uni.pred", "vote.sync.ballot.b32":
		p.vote(strings.Split(op, ".")[2], ops)
	case "activemask.b32":
		p.count(ops, 1)
		d := p.dst(ops[0], scalar.B32)
		p.in.run = func(w *warp, mask uint32) {
			v := value(uint64(mask))
			w.blend(d, v.vec, mask)
		}
	case "elect.sync":
		p.need(90, 80)
		p.count(ops, 2)
		if ops[0].Second == nil {
			p.fail("elect.sync gives a lane and a predicate")
		}
		q := p.pdst(*ops[0].Second)
		d := -1
		if first := ops[0]; first.Kind != syntax.Sink {
			first.Second = nil
			d = p.dst(first, scalar.B32)
		}
		members := p.src(ops[1], scalar.B32)
		p.in.run = func(w *warp, mask uint32) {
			if !w.members(mask, &members) {
				return
			}
			// Which lane is not specified: the last, as nobody expects.
			leader := 31 - bits.LeadingZeros32(mask)
			w.setPred(q, 1<<leader, mask)
			if d >= 0 {
				v := value(uint64(leader))
				w.blend(d, v.vec, mask)
			}
		}
	default:
		p.fail("unknown opcode %s", op)
	}
}

// shuffle decodes shfl.sync; c has the lowest or highest lane in bits 0 to 4 and
// the segment's mask in bits 8 to 12.
func (p *parser) shuffle(mode string, ops []syntax.Operand) {
	p.count(ops, 5)
	a, b, c, members := p.src(ops[1], scalar.B32), p.src(ops[2], scalar.U32), p.src(ops[3], scalar.U32), p.src(ops[4], scalar.B32)
	to := ops[0]
	q := -1
	if to.Second != nil {
		q = p.pdst(*to.Second)
		to.Second = nil
	}
	d := p.dst(to, scalar.B32)
	p.in.run = func(w *warp, mask uint32) {
		if !w.members(mask, &members) {
			return
		}
		x, y, z := *w.val(&a), *w.val(&b), *w.val(&c)
		var ok uint32
		for m := mask; m != 0; m &= m - 1 {
			l := first(m)
			seg, clamp, by := int(z[l]>>8&31), int(z[l]&31), int(y[l]&31)
			low, high := l&seg, l&seg|clamp&^seg
			var j int
			var in bool
			switch mode {
			case "up":
				j = l - by
				in = j >= high
			case "down":
				j = l + by
				in = j <= high
			case "bfly":
				j = l ^ by
				in = j <= high
			default:
				j = low | by&^seg
				in = j <= high
			}
			if in {
				ok |= 1 << l
			} else {
				j = l
			}
			if mask>>j&1 == 0 {
				w.fault(l, "shfl.sync reads lane %d, which is not of the members %08x", j, mask)
			}
			w.reg(d)[l] = x[j]
		}
		if q >= 0 {
			w.setPred(q, ok, mask)
		}
	}
}

// vote decodes vote.sync.
func (p *parser) vote(mode string, ops []syntax.Operand) {
	p.count(ops, 3)
	a, members := p.psrc(ops[1]), p.src(ops[2], scalar.B32)
	if mode == "ballot" {
		d := p.dst(ops[0], scalar.B32)
		p.in.run = func(w *warp, mask uint32) {
			if w.members(mask, &members) {
				v := value(uint64(w.predicate(a) & mask))
				w.blend(d, v.vec, mask)
			}
		}
		return
	}
	d := p.pdst(ops[0])
	p.in.run = func(w *warp, mask uint32) {
		if !w.members(mask, &members) {
			return
		}
		on := w.predicate(a) & mask
		r := on == mask // all
		switch mode {
		case "any":
			r = on != 0
		case "uni":
			r = on == mask || on == 0
		}
		if v := uint32(0); r {
			w.setPred(d, ^v, mask)
		} else {
			w.setPred(d, v, mask)
		}
	}
}
