package ptx

import (
	"github.com/assaynet/assay/gpu/kernels/ptx/scalar"
	"github.com/assaynet/assay/gpu/kernels/ptx/syntax"
)

// src is a decoded source: a register, or a value for all lanes.
type src struct {
	reg int // -1 for a value
	vec *[32]uint64
}

// zero stands for the sources that an instruction does not have.
func (p *parser) zero() src { return p.value(0) }

// value is the one source of a module for a number.
func (p *parser) value(v uint64) src {
	s, ok := p.values[v]
	if !ok {
		s = value(v)
		p.values[v] = s
	}
	return s
}

// value is a source that is a number.
func value(v uint64) src {
	s := src{reg: -1, vec: new([32]uint64)}
	for i := range s.vec {
		s.vec[i] = v
	}
	return s
}

// src decodes a source operand of a type.
func (p *parser) src(o syntax.Operand, t scalar.Type) src {
	switch {
	case o.Second != nil:
	case o.Kind == syntax.Reg && t.Fits(o.T):
		p.in.uses = append(p.in.uses, o.Reg)
		return src{reg: o.Reg}
	case o.Kind == syntax.Reg:
		p.fail("register %s is %v, the operand %v", o.Text, o.T, t)
	case o.Kind == syntax.Imm && o.Float != 0:
		if o.Float == t.Bits && (t.Kind == 'f' || t.Kind == 'b') {
			return p.value(o.Imm)
		}
		p.fail("float literal for an operand %v", t)
	case o.Kind == syntax.Imm && t.Kind != 'f' && t.Kind != 'p':
		if top := int64(o.Imm) >> (t.Bits - 1); t.Bits < 64 && top != 0 && top != 1 && !(top == -1 && o.Neg) {
			p.fail("%d does not fit into %v", int64(o.Imm), t)
		}
		return p.value(t.Cut(o.Imm))
	}
	p.fail("%v where a value %v is expected", o.Kind, t)
	return src{}
}

// dst decodes a destination of a type.
func (p *parser) dst(o syntax.Operand, t scalar.Type) int {
	if o.Kind != syntax.Reg || o.Second != nil || o.Reg < syntax.Specials+len(p.m.text.Variables) {
		p.fail("%v (%s) where a register %v is expected", o.Kind, o.Text, t)
	}
	if !t.Fits(o.T) {
		p.fail("register %s is %v, the destination %v", o.Text, o.T, t)
	}
	p.in.defs = append(p.in.defs, o.Reg)
	return o.Reg
}

// psrc decodes a source predicate, perhaps negated.
func (p *parser) psrc(o syntax.Operand) psrc {
	if o.Kind != syntax.Pred || o.Second != nil {
		p.fail("%v where a predicate is expected", o.Kind)
	}
	p.in.puses = append(p.in.puses, o.Reg)
	return psrc{o.Reg, o.Not}
}

type psrc struct {
	reg int
	not bool
}

// pdst decodes a destination predicate.
func (p *parser) pdst(o syntax.Operand) int {
	if o.Kind != syntax.Pred || o.Not || o.Second != nil {
		p.fail("%v where a predicate is expected", o.Kind)
	}
	p.in.pdefs = append(p.in.pdefs, o.Reg)
	return o.Reg
}

// mem decodes an address of a state space of 64-bit or 32-bit addresses.
func (p *parser) mem(o syntax.Operand) address {
	switch {
	case o.Kind != syntax.Mem || o.Par != nil:
		p.fail("%v (%s) where an address is expected", o.Kind, o.Text)
	case o.Base == nil:
		return address{p.value(0), o.Off}
	case o.Base.Kind == syntax.Imm:
		return address{p.value(o.Base.Imm), o.Off}
	case o.Base.T.Kind == 'f' || o.Base.T.Bits < 32:
		p.fail("register %s is %v, an address has 32 or 64 bits", o.Base.Text, o.Base.T)
	}
	p.in.uses = append(p.in.uses, o.Base.Reg)
	return address{src{reg: o.Base.Reg}, o.Off}
}

// address is a decoded address.
type address struct {
	base src
	off  int64
}

// constant decodes an operand that must be a number within bounds.
func (p *parser) constant(o syntax.Operand, low, high int64) int64 {
	if o.Kind != syntax.Imm || o.Float != 0 || int64(o.Imm) < low || int64(o.Imm) > high {
		p.fail("%s where a number from %d to %d is expected", o.Text, low, high)
	}
	return int64(o.Imm)
}
