package ptx

import (
	"strings"

	"github.com/assaynet/assay/gpu/kernels/ptx/scalar"
	"github.com/assaynet/assay/gpu/kernels/ptx/syntax"
	"github.com/assaynet/assay/gpu/kernels/ptx/tile"
)

// ldmatrix decodes ldmatrix.sync.aligned.m8n8 of b16 (PTX ISA, ldmatrix): lane
// 8 i + r has the address of row r of matrix i, eight elements of 16 bits; lane l
// receives of each matrix the elements 2 (l % 4) and + 1 of row l / 4, or with
// .trans rows 2 (l % 4) and + 1 of column l / 4.
func (p *parser) ldmatrix(op string, ops []syntax.Operand) {
	p.need(75, 65)
	rest, ok := strings.CutPrefix(op, "ldmatrix.sync.aligned.m8n8.x")
	n := 0
	if ok && len(rest) > 1 {
		n = map[byte]int{'1': 1, '2': 2, '4': 4}[rest[0]]
		rest = rest[1:]
	}
	rest, trans := strings.CutPrefix(rest, ".trans")
	if rest == ".shared::cta.b16" {
		p.need(0, 78)
	} else if rest != ".shared.b16" {
		n = 0
	}
	if n == 0 {
		p.fail("unknown opcode %s", op)
	}
	p.count(ops, 2)
	regs := p.fragment(ops[0], n, scalar.B32, true)
	at := p.mem(ops[1])
	p.in.run = func(w *warp, mask uint32) {
		if !w.aligned(mask) {
			return
		}
		var rows [32]int
		base := *w.val(&at.base)
		for l := range rows {
			// Lanes whose address is not used must have a valid one on sm_75.
			if l < 8*n || w.b.l.mod.text.SM < 80 {
				rows[l] = w.within(l, base[l]+uint64(at.off), 16, 16)
			}
			if l < 8*n {
				w.reads(-1, rows[l], 16, false)
			}
		}
		for i, r := range regs {
			d := w.reg(r)
			for l := range d {
				if trans {
					j := l / 4 * 2
					low := load(w.b.mem[rows[8*i+l%4*2]+j:], 2)
					d[l] = low | load(w.b.mem[rows[8*i+l%4*2+1]+j:], 2)<<16
				} else {
					d[l] = load(w.b.mem[rows[8*i+l/4]+l%4*4:], 4)
				}
			}
		}
	}
}

// fragment decodes a vector of registers of one operand of a matrix instruction; a
// single register may stand without braces.
func (p *parser) fragment(o syntax.Operand, n int, t scalar.Type, write bool) []int {
	list := []syntax.Operand{o}
	if o.Kind == syntax.Vec {
		list = o.List
	} else if n > 1 {
		p.fail("%s where a vector of %d is expected", o.Text, n)
	}
	if len(list) != n {
		p.fail("a vector of %d where one of %d is expected", len(list), n)
	}
	var out []int
	seen := map[int]bool{}
	for _, o := range list {
		var r int
		if write {
			if r = p.dst(o, t); seen[r] {
				p.fail("a register twice in a vector")
			}
			seen[r] = true
		} else if s := p.src(o, t); s.reg < 0 {
			p.fail("a number in a matrix")
		} else {
			r = s.reg
		}
		out = append(out, r)
	}
	return out
}

// mma decodes mma.sync (PTX ISA, mma).
func (p *parser) mma(op string, ops []syntax.Operand) {
	s := tile.ByOpcode(op)
	if s == nil {
		p.fail("unknown opcode %s", op)
	}
	p.need(s.SM, s.Version)
	p.count(ops, 4)
	t := scalar.Type{Kind: 's', Bits: 32}
	if s.Float {
		t = scalar.F32
	}
	ra, rb := p.fragment(ops[1], s.RegsA, scalar.B32, false), p.fragment(ops[2], s.RegsB, scalar.B32, false)
	rc, rd := p.fragment(ops[3], s.Sum, t, false), p.fragment(ops[0], s.Sum, t, true)
	var atA, atB []int // where the elements of a register's 32 lanes go
	for j := range max(s.RegsA, s.RegsB) {
		for i := range 32 * s.Per {
			row, col := s.A(i/s.Per, j*s.Per+i%s.Per)
			atA = append(atA, row*s.K+col)
			row, col = s.B(i/s.Per, j*s.Per+i%s.Per)
			atB = append(atB, col*s.K+row)
		}
	}
	p.in.run = func(w *warp, mask uint32) {
		if !w.aligned(mask) {
			return
		}
		var a, b [16 * 32]int32 // a by rows, b by columns
		w.spread(s, ra, atA, a[:])
		w.spread(s, rb, atB, b[:])
		for l := range 32 {
			var sums [4]uint64
			for i, r := range rc {
				row, col := tile.Sum(l, i)
				sums[i] = w.dot(l, a[row*s.K:(row+1)*s.K], b[col*s.K:(col+1)*s.K], w.reg(r)[l], s.Float)
			}
			for i, r := range rd {
				w.reg(r)[l] = sums[i]
			}
		}
	}
}

// spread reads the elements of an operand out of the lanes' registers.
func (w *warp) spread(s *tile.Shape, regs, at []int, to []int32) {
	size := 32 / s.Per
	for j, r := range regs {
		for l, x := range w.reg(r) {
			for e := range s.Per {
				v, ok := s.Value(x >> (e * size))
				if !ok {
					w.fault(l, "an operand that is no whole number: its product depends on the card")
				}
				to[at[(j*32+l)*s.Per+e]] = v
			}
		}
	}
}

// dot adds a product of lines to a sum, see tile.Dot.
func (w *warp) dot(lane int, a, b []int32, sum uint64, float bool) uint64 {
	s, ok := tile.Dot(a, b, sum, float)
	if !ok {
		w.fault(lane, "a sum of floats that is no whole number below 2^24: it depends on the card")
	}
	return s
}
