package ptx

import (
	"slices"
	"strings"

	"github.com/assaynet/assay/gpu/kernels/ptx/scalar"
	"github.com/assaynet/assay/gpu/kernels/ptx/syntax"
)

// move decodes mov: of a value, of an address, and between a register and the
// parts of a vector (PTX ISA, mov).
func (p *parser) move(mods []string, ops []syntax.Operand) {
	if len(mods) != 1 {
		p.fail("mov.%s", strings.Join(mods, "."))
	}
	t, ok := scalar.ParseType(mods[0])
	if !ok || t.Bits == 8 {
		p.fail("mov.%s", mods[0])
	}
	p.count(ops, 2)
	d, s := ops[0], ops[1]
	switch {
	case t == scalar.Pred && s.Kind == syntax.Imm:
		v := -uint32(p.constant(s, -1, 1) & 1)
		to := p.pdst(d)
		p.in.run = func(w *warp, mask uint32) { w.setPred(to, v, mask) }
	case t == scalar.Pred:
		from, to := p.psrc(s), p.pdst(d)
		if from.not {
			p.fail("mov of a negated predicate")
		}
		p.in.run = func(w *warp, mask uint32) { w.setPred(to, w.preds[from.reg], mask) }
	case d.Kind == syntax.Vec:
		part := p.part(t, d)
		from := p.src(s, t)
		var to []int
		for _, o := range d.List {
			to = append(to, p.dst(o, part))
		}
		if to[0] == to[1] {
			p.fail("a register twice in a vector")
		}
		p.in.run = func(w *warp, mask uint32) {
			v := *w.val(&from)
			for i, r := range to {
				var x [32]uint64
				for l := range x {
					x[l] = part.Cut(v[l] >> (i * part.Bits))
				}
				w.blend(r, &x, mask)
			}
		}
	case s.Kind == syntax.Vec:
		part := p.part(t, s)
		var from []src
		for _, o := range s.List {
			from = append(from, p.src(o, part))
		}
		to := p.dst(d, t)
		p.in.run = func(w *warp, mask uint32) {
			var x [32]uint64
			for i := range from {
				for l, v := range w.val(&from[i]) {
					x[l] |= v << (i * part.Bits)
				}
			}
			w.blend(to, &x, mask)
		}
	default:
		from := p.src(s, t)
		to := p.dst(d, t)
		p.in.run = func(w *warp, mask uint32) { w.blend(to, w.val(&from), mask) }
	}
}

// part is the type of a vector's elements, which together are of type t.
func (p *parser) part(t scalar.Type, o syntax.Operand) scalar.Type {
	n := len(o.List)
	if t.Kind != 'b' || n != 2 && n != 4 || t.Bits/n < 16 {
		p.fail("%d parts of %v", n, t)
	}
	return scalar.Type{Kind: 'b', Bits: t.Bits / n}
}

// cvta decodes address conversions (PTX ISA, cvta). A generic address of global
// memory is the address itself; of shared memory none is known here.
func (p *parser) cvta(mods []string, ops []syntax.Operand) {
	if !slices.Equal(mods, []string{"to", "global", "u64"}) && !slices.Equal(mods, []string{"global", "u64"}) {
		p.fail("cvta.%s", strings.Join(mods, "."))
	}
	p.move([]string{"u64"}, ops)
}

// setp decodes comparisons, combined with a predicate or not (PTX ISA, setp).
func (p *parser) setp(mods []string, ops []syntax.Operand) {
	if len(mods) < 2 || len(mods) > 3 || len(ops) < 3 {
		p.fail("setp.%s with %d operands", strings.Join(mods, "."), len(ops))
	}
	t, ok := scalar.ParseType(mods[len(mods)-1])
	if !ok || t.Bits == 8 || t == scalar.Pred || t.Kind == 'f' && t.Bits == 16 {
		p.fail("setp of type %s", mods[len(mods)-1])
	}
	f := scalar.Compare(mods[0], t)
	if f == nil {
		p.fail("setp.%s of %v", mods[0], t)
	}
	a, b := p.src(ops[1], t), p.src(ops[2], t)
	with := psrc{reg: -1}
	combine := func(x, _ uint32) uint32 { return x }
	if len(mods) == 3 {
		p.count(ops, 4)
		with = p.psrc(ops[3])
		if combine = boolean(mods[1]); combine == nil {
			p.fail("setp with .%s", mods[1])
		}
	} else {
		p.count(ops, 3)
	}
	second := -1
	d := ops[0]
	if d.Second != nil {
		second = p.pdst(*d.Second)
		d.Second = nil
	}
	to := p.pdst(d)
	if to == second {
		p.fail("a predicate twice")
	}
	p.in.run = func(w *warp, mask uint32) {
		x, y := w.val(&a), w.val(&b)
		var r, q uint32
		for l := range x {
			if f(x[l], y[l]) {
				r |= 1 << l
			}
		}
		if with.reg >= 0 {
			q = w.predicate(with)
		}
		w.setPred(to, combine(r, q), mask)
		if second >= 0 {
			w.setPred(second, combine(^r, q), mask)
		}
	}
}

// boolean is and, or, xor of lanes; nil for anything else.
func boolean(op string) func(a, b uint32) uint32 {
	switch op {
	case "and":
		return func(a, b uint32) uint32 { return a & b }
	case "or":
		return func(a, b uint32) uint32 { return a | b }
	case "xor":
		return func(a, b uint32) uint32 { return a ^ b }
	}
	return nil
}

// predicates decodes and, or, xor and not of predicates.
func (p *parser) predicates(op string, ops []syntax.Operand) {
	name, t, _ := strings.Cut(op, ".")
	if t != "pred" {
		p.fail("unknown opcode %s", op)
	}
	if name == "not" {
		p.count(ops, 2)
		a, d := p.psrc(ops[1]), p.pdst(ops[0])
		p.in.run = func(w *warp, mask uint32) { w.setPred(d, ^w.predicate(a), mask) }
		return
	}
	p.count(ops, 3)
	a, b, d := p.psrc(ops[1]), p.psrc(ops[2]), p.pdst(ops[0])
	if a.not || b.not {
		p.fail("%s of a negated predicate", op)
	}
	f := boolean(name)
	p.in.run = func(w *warp, mask uint32) { w.setPred(d, f(w.predicate(a), w.predicate(b)), mask) }
}

// selp decodes the choice by a predicate.
func (p *parser) selp(mods []string, ops []syntax.Operand) {
	if len(mods) != 1 {
		p.fail("selp.%s", strings.Join(mods, "."))
	}
	t, ok := scalar.ParseType(mods[0])
	if !ok || t == scalar.Pred || t.Bits == 8 {
		p.fail("selp.%s", mods[0])
	}
	p.count(ops, 4)
	a, b, c, d := p.src(ops[1], t), p.src(ops[2], t), p.psrc(ops[3]), p.dst(ops[0], t)
	if c.not {
		p.fail("selp by a negated predicate")
	}
	p.in.run = func(w *warp, mask uint32) {
		x, y, v := w.val(&a), w.val(&b), w.preds[c.reg]
		var r [32]uint64
		for l := range r {
			if r[l] = y[l]; v>>l&1 != 0 {
				r[l] = x[l]
			}
		}
		w.blend(d, &r, mask)
	}
}
