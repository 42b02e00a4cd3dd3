package syntax

import (
	"strconv"

	"github.com/assaynet/assay/gpu/kernels/ptx/scalar"
)

// Registers that every kernel has, before its own.
const (
	Tid = iota
	Ntid
	Ctaid
	Nctaid
	Laneid
	Specials
)

// Operand is an operand as it is written.
type Operand struct {
	Kind   Kind
	Text   string
	Reg    int
	T      scalar.Type
	Not    bool // !p
	Imm    uint64
	Neg    bool // the literal had a minus
	Float  int  // bits of a 0f or 0d literal
	List   []Operand
	Base   *Operand // of an address; nil when it is a number alone
	Off    int64
	Par    *Param
	Second *Operand // a|b
	To     *int     // of a label: the statement it stands before
}

// Kind is a form of operand.
type Kind int

const (
	Reg Kind = iota
	Pred
	Imm
	Vec
	Mem
	Sink
	Label
)

func (k Kind) String() string {
	return [...]string{"a register", "a predicate", "a number", "a vector", "an address", "_", "a label"}[k]
}

// operand reads one operand.
func (p *parser) operand(depth int) Operand {
	switch s := p.peek(); {
	case s == "{" && depth == 0:
		p.pos++
		o := Operand{Kind: Vec, Text: "{...}"}
		for {
			o.List = append(o.List, p.operand(1))
			if p.accept("}") {
				return o
			}
			p.expect(",")
		}
	case s == "[" && depth == 0:
		p.pos++
		return p.address()
	case s == "!":
		p.pos++
		o := p.operand(1)
		if o.Kind != Pred || o.Not {
			p.fail("! before %s", o.Text)
		}
		o.Not = true
		return o
	case s == "-" || s != "" && s[0] >= '0' && s[0] <= '9':
		return p.literal()
	}
	o := Operand{Kind: Sink, Text: "_"}
	if !p.accept("_") {
		o = p.named(p.name())
	}
	if o.Kind == Imm && p.accept("+") {
		o.Imm += uint64(p.number())
	}
	if depth == 0 && p.accept("|") {
		second := p.operand(1)
		o.Second = &second
	}
	return o
}

// named resolves a name: a register, a special register, a variable's address or
// a label.
func (p *parser) named(name string) Operand {
	if r, ok := p.lookup(name); ok {
		if r.t == scalar.Pred {
			return Operand{Kind: Pred, Text: name, Reg: r.index, T: scalar.Pred}
		}
		return Operand{Kind: Reg, Text: name, Reg: r.index, T: r.t}
	}
	special := map[string]int{"%tid.x": Tid, "%ntid.x": Ntid, "%ctaid.x": Ctaid, "%nctaid.x": Nctaid, "%laneid": Laneid}
	if i, ok := special[name]; ok {
		return Operand{Kind: Reg, Text: name, Reg: i, T: scalar.U32}
	}
	if s, ok := p.m.symbols[name]; ok {
		if s.shared {
			return Operand{Kind: Imm, Text: name, Imm: uint64(s.address)}
		}
		return Operand{Kind: Reg, Text: name, Reg: Specials + s.index, T: scalar.B64}
	}
	if name[0] == '%' {
		p.fail("no register %s", name)
	}
	to := new(int)
	p.scope.jumps = append(p.scope.jumps, jump{name, p.in.Line, to})
	return Operand{Kind: Label, Text: name, To: to}
}

// literal reads a number.
func (p *parser) literal() Operand {
	o := Operand{Kind: Imm, Text: p.peek()}
	o.Neg = p.accept("-")
	s := p.next()
	if len(s) > 2 && s[0] == '0' && (s[1] == 'f' || s[1] == 'd') && !o.Neg {
		bits := map[byte]int{'f': 32, 'd': 64}[s[1]]
		v, err := strconv.ParseUint(s[2:], 16, bits)
		if err != nil || len(s) != 2+bits/4 {
			p.fail("literal %s", s)
		}
		o.Imm, o.Float = v, bits
		return o
	}
	v, err := parseInt(s)
	if err != nil {
		p.fail("literal %s", s)
	}
	if o.Imm = v; o.Neg {
		if v > 1<<63 {
			p.fail("literal -%s", s)
		}
		o.Imm = -v
	}
	return o
}

// address reads an address after its bracket: a register, a variable, a parameter
// or a number, and what is added.
func (p *parser) address() Operand {
	o := Operand{Kind: Mem, Text: "[" + p.peek() + "]"}
	if s := p.peek(); s == "-" || s != "" && s[0] >= '0' && s[0] <= '9' {
		o.Off = p.number()
	} else {
		name := p.name()
		for i := range p.k.Params {
			if p.k.Params[i].Name == name {
				o.Par = &p.k.Params[i]
			}
		}
		if o.Par == nil {
			b := p.named(name)
			if b.Kind != Reg && b.Kind != Imm {
				p.fail("address %s", name)
			}
			o.Base = &b
		}
		if p.accept("+") {
			o.Off = p.number()
		}
	}
	if o.Off < -1<<31 || o.Off >= 1<<31 {
		p.fail("offset %d of an address", o.Off)
	}
	p.expect("]")
	return o
}
