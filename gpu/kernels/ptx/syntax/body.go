package syntax

import (
	"strings"

	"github.com/assaynet/assay/gpu/kernels/ptx/scalar"
)

// Kernel is a kernel's text.
type Kernel struct {
	Line       int
	Name       string
	Params     []Param
	Code       []Statement
	Regs       int // registers, the specials and the addresses of variables first
	Preds      int
	MaxThreads int // .maxntid; 0 when there is none
}

// Param is a parameter and where it stands among them.
type Param struct {
	Name   string
	T      scalar.Type
	Offset int
}

// Statement is an instruction as it is written.
type Statement struct {
	Line  int
	Guard int // predicate, -1 when there is none
	Not   bool
	Op    string
	Ops   []Operand
}

// scope is a block in braces: names of registers and labels.
type scope struct {
	up     *scope
	regs   map[string]register
	labels map[string]int
	jumps  []jump
}

type register struct {
	t     scalar.Type
	index int
	count int // of a family %r<count>; 0 for a single one
}

type jump struct {
	label string
	line  int
	to    *int
}

// Bounds of what a text may ask for, so that no text exhausts the tests' memory.
const (
	maxRegisters = 1 << 14
	maxCode      = 1 << 17
	maxDepth     = 64
)

// body reads a kernel's instructions.
func (p *parser) body() {
	p.expect("{")
	depth := 1
	p.push()
	for depth > 0 {
		switch s := p.peek(); {
		case s == "{":
			p.pos++
			if depth++; depth > maxDepth {
				p.fail("scopes within scopes")
			}
			p.push()
		case s == "}":
			p.pos++
			depth--
			p.pop()
		case s == ".reg":
			p.pos++
			p.registers()
		case s == ".pragma":
			p.pos++
			if v := p.next(); v != `"nounroll"` {
				p.fail("pragma %s", v)
			}
			p.expect(";")
		case s == ".shared":
			p.pos++
			p.variable(s, false)
		case s == ".local":
			p.fail("local memory: a kernel indexes registers with what is not known when it is compiled")
		case s != "" && p.toks[p.pos+1].text == ":":
			name := p.name()
			p.pos++
			if _, twice := p.scope.labels[name]; twice {
				p.fail("label %s is set twice", name)
			}
			p.scope.labels[name] = len(p.k.Code)
		default:
			p.statement()
		}
	}
}

func (p *parser) push() {
	p.scope = &scope{up: p.scope, regs: map[string]register{}, labels: map[string]int{}}
}

// pop leaves a scope; jumps to labels it does not know are its outer scope's.
func (p *parser) pop() {
	s := p.scope
	p.scope = s.up
	for _, j := range s.jumps {
		if at, ok := s.labels[j.label]; ok {
			*j.to = at
		} else if s.up != nil {
			s.up.jumps = append(s.up.jumps, j)
		} else {
			panic(failure{Error(j.line, "no label %s", j.label)})
		}
	}
}

// registers reads a declaration after .reg.
func (p *parser) registers() {
	t, ok := scalar.ParseType(strings.TrimPrefix(p.next(), "."))
	if !ok || t.Bits == 8 {
		p.pos--
		p.fail("type %q of a register", p.peek())
	}
	for {
		name := p.name()
		if _, twice := p.scope.regs[name]; twice {
			p.fail("register %s is declared twice", name)
		}
		r := register{t: t, index: p.k.Regs}
		n := 1
		if p.accept("<") {
			n = p.size(maxRegisters)
			r.count = n
			p.expect(">")
		}
		if t == scalar.Pred {
			r.index = p.k.Preds
			p.k.Preds += n
		} else {
			p.k.Regs += n
		}
		if p.k.Regs+p.k.Preds > maxRegisters {
			p.fail("more than %d registers", maxRegisters)
		}
		p.scope.regs[name] = r
		if p.accept(";") {
			return
		}
		p.expect(",")
	}
}

// lookup finds a register by its name.
func (p *parser) lookup(name string) (register, bool) {
	base := strings.TrimRight(name, "0123456789")
	digits := name[len(base):]
	n := -1
	if digits != "" && len(digits) < 6 && (digits == "0" || digits[0] != '0') {
		if v, err := parseInt(digits); err == nil {
			n = int(v)
		}
	}
	for s := p.scope; s != nil; s = s.up {
		if r, ok := s.regs[name]; ok && r.count == 0 {
			return r, true
		}
		if r, ok := s.regs[base]; ok && n >= 0 && n < r.count {
			r.index += n
			return r, true
		}
	}
	return register{}, false
}

// statement reads one instruction.
func (p *parser) statement() {
	if len(p.k.Code) >= maxCode {
		p.fail("more than %d instructions", maxCode)
	}
	p.in = &Statement{Line: p.toks[p.pos].line, Guard: -1}
	if p.accept("@") {
		p.in.Not = p.accept("!")
		r, ok := p.lookup(p.name())
		if !ok || r.t != scalar.Pred {
			p.fail("no predicate %q", p.toks[p.pos-1].text)
		}
		p.in.Guard = r.index
	}
	op := p.next()
	if !wordByte(op[0]) || op[0] == '.' || op[0] == '%' {
		p.pos--
		p.fail("%q where an instruction is expected", op)
	}
	p.in.Op = op
	for p.peek() != ";" {
		if len(p.in.Ops) > 0 {
			p.expect(",")
		}
		p.in.Ops = append(p.in.Ops, p.operand(0))
	}
	p.expect(";")
	p.k.Code = append(p.k.Code, *p.in)
}
