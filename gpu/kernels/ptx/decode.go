package ptx

import (
	"slices"
	"strings"

	"github.com/assaynet/assay/gpu/kernels/ptx/scalar"
	"github.com/assaynet/assay/gpu/kernels/ptx/syntax"
)

// decode makes the instruction of an opcode and its operands. Registers that it
// reads and writes are noted in p.in.
func (p *parser) decode(op string, ops []syntax.Operand) {
	parts := strings.Split(op, ".")
	base, mods := parts[0], parts[1:]
	if slices.Contains(mods, "") {
		p.fail("opcode %q", op)
	}
	if p.control(op, ops) || p.scalar(base, mods, ops) {
		return
	}
	switch base {
	case "ld", "st":
		p.accesses(base, mods, ops)
	case "mov":
		p.move(mods, ops)
	case "cvta":
		p.cvta(mods, ops)
	case "cvt":
		p.convert(mods, ops)
	case "setp":
		p.setp(mods, ops)
	case "selp":
		p.selp(mods, ops)
	case "and", "or", "xor", "not":
		p.predicates(op, ops)
	case "shfl", "vote", "activemask", "elect", "match":
		p.collective(op, ops)
	case "ldmatrix":
		p.ldmatrix(op, ops)
	case "mma":
		p.mma(op, ops)
	case "cp":
		p.copies(op, ops)
	case "mbarrier":
		p.mbarrier(op, ops)
	case "wgmma", "setmaxnreg":
		p.wgmma(op, ops)
	case "membar", "fence":
		p.fences(op, ops)
	default:
		p.fail("unknown opcode %s", op)
	}
}

// need refuses an instruction on older targets and in older versions.
func (p *parser) need(sm, version int) {
	if p.m.text.SM < sm {
		p.fail("instruction of sm_%d in a module for %s", sm, p.m.text.Target)
	}
	if p.m.text.Version < version {
		p.fail("instruction of PTX %d.%d in a module of %d.%d", version/10, version%10, p.m.text.Version/10, p.m.text.Version%10)
	}
}

// count refuses another number of operands.
func (p *parser) count(ops []syntax.Operand, n int) {
	if len(ops) != n {
		p.fail("%d operands where %d are expected", len(ops), n)
	}
}

// control decodes branches, ends, barriers of the block and of the warp.
func (p *parser) control(op string, ops []syntax.Operand) bool {
	switch op {
	case "bra", "bra.uni":
		p.count(ops, 1)
		if ops[0].Kind != syntax.Label {
			p.fail("%s is no label", ops[0].Text)
		}
		to := ops[0].To
		uniform := op == "bra.uni"
		p.in.branch, p.in.ends = to, p.in.guard < 0
		p.in.run = func(w *warp, mask uint32) {
			if uniform && mask != w.active {
				w.fault(first(mask), "bra.uni parts the warp")
			}
			w.jump(mask, *to)
		}
	case "ret", "exit":
		p.count(ops, 0)
		p.in.ends = p.in.guard < 0
		p.in.run = func(w *warp, mask uint32) { w.exit(mask) }
	case "trap":
		p.count(ops, 0)
		p.in.run = func(w *warp, mask uint32) { w.fault(first(mask), "trap") }
	case "bar.sync", "barrier.sync.aligned", "barrier.sync", "bar.arrive", "barrier.arrive.aligned", "barrier.arrive":
		wait := strings.Contains(op, "sync")
		if len(ops) != 2 && (len(ops) != 1 || !wait) {
			p.fail("%s with %d operands", op, len(ops))
		}
		id, threads := int(p.constant(ops[0], 0, 15)), 0
		if len(ops) == 2 {
			if threads = int(p.constant(ops[1], 32, 1024)); threads%32 != 0 {
				p.fail("%d threads, no multiple of 32", threads)
			}
		}
		p.in.run = func(w *warp, mask uint32) {
			if w.together(mask, w.exist) {
				w.arrive(id, threads, wait)
			}
		}
	case "bar.warp.sync":
		p.count(ops, 1)
		members := p.src(ops[0], scalar.B32)
		p.in.run = func(w *warp, mask uint32) {
			if w.members(mask, &members) {
				w.tick()
			}
		}
	case "nanosleep.u32":
		p.count(ops, 1)
		p.src(ops[0], scalar.U32)
		p.in.run = func(*warp, uint32) {}
	default:
		return false
	}
	return true
}

// scalar decodes instructions of registers only, one result of one type.
func (p *parser) scalar(base string, mods []string, ops []syntax.Operand) bool {
	if len(mods) == 0 {
		return false
	}
	t, ok := scalar.ParseType(mods[len(mods)-1])
	if !ok || t == scalar.Pred || t.Bits == 8 {
		return false
	}
	op := strings.Join(append([]string{base}, mods[:len(mods)-1]...), ".")
	types := []scalar.Type{t, t, t, t}
	var f scalar.Vec
	n := 0
	switch {
	case t.Integer():
		f, n = scalar.Integer(op, t)
		if strings.HasSuffix(op, ".wide") {
			types[0] = scalar.Type{Kind: t.Kind, Bits: 2 * t.Bits}
			types[3] = types[0]
			if t.Bits == 64 {
				f = nil
			}
		}
		if f == nil && (op == "add.cc" || op == "addc" || op == "addc.cc" || op == "sub.cc" || op == "subc" || op == "subc.cc") && t.Bits > 16 {
			p.carries(op, t, ops)
			return true
		}
	case t.Kind == 'f' && t.Bits > 16:
		f, n = scalar.Floating(op, t)
	case t.Kind == 'b':
		f, n = scalar.Logic(op, t)
		if op == "popc" || op == "clz" {
			types[0] = scalar.U32
			if t.Bits == 16 {
				f = nil
			}
		}
	}
	switch {
	case f != nil:
	case op == "shl" && t.Kind == 'b' || op == "shr" && t.Kind != 'f':
		f, n, types[2] = scalar.Shift(op, t), 2, scalar.U32
	case strings.HasPrefix(op, "shf.") && t == scalar.B32 && len(mods) == 3 && (mods[0] == "l" || mods[0] == "r") && (mods[1] == "wrap" || mods[1] == "clamp"):
		f, n = scalar.Funnel(mods[0] == "l", mods[1] == "wrap"), 3
	case op == "prmt" && t == scalar.B32:
		f, n = scalar.Each(scalar.Permute), 3
	case op == "lop3" && t == scalar.B32:
		p.count(ops, 5)
		f, n = scalar.Lop3(uint64(p.constant(ops[4], 0, 255))), 3
		ops = ops[:4]
	case op == "bfe" && t.Integer() && t.Bits > 16:
		f, n, types[2], types[3] = scalar.Extract(t), 3, scalar.U32, scalar.U32
	case op == "bfi" && t.Kind == 'b' && t.Bits > 16:
		p.insert(t, ops)
		return true
	default:
		return false
	}
	p.count(ops, n+1)
	s := [3]src{p.zero(), p.zero(), p.zero()}
	for i := range n {
		s[i] = p.src(ops[i+1], types[i+1])
	}
	d := p.dst(ops[0], types[0])
	p.in.run = alu(f, d, s[0], s[1], s[2])
	if op == "div" && t.Integer() || op == "rem" {
		p.in.run = func(w *warp, mask uint32) {
			b := w.val(&s[1])
			for m := mask; m != 0; m &= m - 1 {
				if l := first(m); b[l] == 0 {
					w.fault(l, "division by zero")
				}
			}
			alu(f, d, s[0], s[1], s[2])(w, mask)
		}
	}
	return true
}

// carries decodes additions and subtractions with carry (PTX ISA, Extended-Precision Integer Arithmetic). The
// flag is kept as a carry for both, so a borrow is its absence.
func (p *parser) carries(op string, t scalar.Type, ops []syntax.Operand) {
	p.count(ops, 3)
	a, b, d := p.src(ops[1], t), p.src(ops[2], t), p.dst(ops[0], t)
	sub, in, out := op[:3] == "sub", op[3] == 'c', strings.HasSuffix(op, ".cc")
	p.in.run = func(w *warp, mask uint32) {
		x, y, r := *w.val(&a), *w.val(&b), w.reg(d)
		for m := mask; m != 0; m &= m - 1 {
			l := first(m)
			v, c := y[l], uint64(0)
			if sub {
				v, c = t.Cut(^v), 1
			}
			if in {
				c = uint64(w.carry >> l & 1)
			}
			r[l] = t.Cut(x[l] + v + c)
			if out {
				w.carry &^= 1 << l
				if r[l] < x[l] || r[l] == x[l] && c == 1 {
					w.carry |= 1 << l
				}
			}
		}
	}
}

// insert decodes bfi, the one instruction of four sources.
func (p *parser) insert(t scalar.Type, ops []syntax.Operand) {
	p.count(ops, 5)
	a, b, c, n := p.src(ops[1], t), p.src(ops[2], t), p.src(ops[3], scalar.U32), p.src(ops[4], scalar.U32)
	d := p.dst(ops[0], t)
	p.in.run = func(w *warp, mask uint32) {
		var r [32]uint64
		for l := range r {
			r[l] = scalar.Insert(t, w.val(&a)[l], w.val(&b)[l], w.val(&c)[l], w.val(&n)[l])
		}
		w.blend(d, &r, mask)
	}
}
