package ptx

import (
	"slices"
	"strings"

	"github.com/assaynet/assay/gpu/kernels/ptx/scalar"
	"github.com/assaynet/assay/gpu/kernels/ptx/syntax"
)

// convert decodes cvt (PTX ISA, cvt): between integers, between floats, and
// from one to the other. Saturation and flushing are refused.
func (p *parser) convert(mods []string, ops []syntax.Operand) {
	name := "cvt." + strings.Join(mods, ".")
	if slices.Equal(mods, []string{"rn", "bf16x2", "f32"}) || slices.Equal(mods, []string{"rn", "f16x2", "f32"}) {
		p.pack(mods[1] == "bf16x2", ops)
		return
	}
	if slices.Equal(mods, []string{"rn", "bf16", "f32"}) {
		p.need(80, 70)
		p.count(ops, 2)
		a, d := p.src(ops[1], scalar.F32), p.dst(ops[0], scalar.B16)
		p.in.run = alu(scalar.Each(func(a, _, _ uint64) uint64 { return scalar.ToBF16(a) }), d, a, p.zero(), p.zero())
		return
	}
	if len(mods) < 2 || len(mods) > 3 {
		p.fail("%s", name)
	}
	to, ok := scalar.ParseType(mods[len(mods)-2])
	from, ok2 := scalar.ParseType(mods[len(mods)-1])
	if !ok || !ok2 || to.Kind == 'p' || from.Kind == 'p' || to.Kind == 'b' || from.Kind == 'b' {
		p.fail("%s", name)
	}
	round := ""
	if len(mods) == 3 {
		round = mods[0]
	}
	f := scalar.Conversion(round, to, from)
	if f == nil {
		p.fail("%s", name)
	}
	p.count(ops, 2)
	s, d := ops[1], ops[0]
	if s.Kind == syntax.Imm {
		p.fail("cvt of a number")
	}
	if s.Kind != syntax.Reg || !from.FitsWide(s.T) || d.Kind != syntax.Reg || !to.FitsWide(d.T) {
		p.fail("%s from %s to %s", name, s.Text, d.Text)
	}
	a, wide := p.src(s, s.T), d.T
	r := p.dst(d, d.T)
	p.in.run = alu(scalar.Each(func(a, _, _ uint64) uint64 { return wide.Cut(f(from.Extend(a))) }), r, a, p.zero(), p.zero())
}

// pack decodes cvt of two f32: the first source becomes the upper half.
func (p *parser) pack(bfloat bool, ops []syntax.Operand) {
	p.need(80, 70)
	p.count(ops, 3)
	a, b, d := p.src(ops[1], scalar.F32), p.src(ops[2], scalar.F32), p.dst(ops[0], scalar.B32)
	to := func(x uint64) uint64 { return scalar.ToHalf(scalar.Float(scalar.F32, x)) }
	if bfloat {
		to = scalar.ToBF16
	}
	p.in.run = alu(scalar.Each(func(a, b, _ uint64) uint64 { return to(a)<<16 | to(b) }), d, a, b, p.zero())
}
