package syntax

import (
	"errors"
	"slices"
	"strconv"
	"strings"

	"github.com/assaynet/assay/gpu/kernels/ptx/scalar"
)

// Module is the text of a module, read.
type Module struct {
	Version   int // 65 is PTX ISA 6.5
	Target    string
	SM        int
	Arch      bool // sm_90a, not sm_90
	Kernels   []*Kernel
	Variables []Variable
	symbols   map[string]symbol
	Static    int // bytes of declared shared memory
	Shared    int // where the next shared variable may start
	Dynamic   int // address of the dynamic shared memory, -1 when none is declared
	Lowest    int // lowest shared address
}

// variable is a .global or .const variable with its content.
type Variable struct {
	Align    int
	Data     []byte
	Constant bool
}

// symbol is what a name of the module's scope stands for.
type symbol struct {
	shared  bool
	address int // shared
	index   int // in variables
}

// parser reads one module; decoders of instructions are methods of it too.
type parser struct {
	toks  []token
	pos   int
	m     *Module
	k     *Kernel
	scope *scope
	in    *Statement // being read
}

// failure carries a syntax error up to Parse.
type failure struct{ err error }

// Parse reads a module. What it does not know is an error.
func Parse(src string) (m *Module, err error) {
	toks, err := lex(src)
	if err != nil {
		return nil, err
	}
	p := &parser{toks: toks, m: &Module{symbols: map[string]symbol{}, Dynamic: -1, Lowest: 1 << 30}}
	defer func() {
		r := recover()
		if r == nil {
			return
		}
		f, ok := r.(failure)
		if !ok {
			panic(r)
		}
		m, err = nil, f.err
	}()
	p.module()
	return p.m, nil
}

func (p *parser) fail(format string, args ...any) {
	panic(failure{Error(p.toks[p.pos].line, format, args...)})
}

func (p *parser) peek() string { return p.toks[p.pos].text }

func (p *parser) next() string {
	t := p.toks[p.pos].text
	if t == "" {
		p.fail("unexpected end")
	}
	p.pos++
	return t
}

func (p *parser) accept(text string) bool {
	if p.peek() == text {
		p.pos++
		return true
	}
	return false
}

func (p *parser) expect(text string) {
	if !p.accept(text) {
		p.fail("%q where %q is expected", p.peek(), text)
	}
}

// name reads an identifier.
func (p *parser) name() string {
	s := p.peek()
	if s == "" || !wordByte(s[0]) || s[0] == '.' || s[0] >= '0' && s[0] <= '9' || strings.Contains(s, "::") {
		p.fail("%q where a name is expected", s)
	}
	return p.next()
}

// number reads a whole number, with its sign.
func (p *parser) number() int64 {
	neg := p.accept("-")
	v, err := parseInt(p.peek())
	if err != nil {
		p.fail("%q where a whole number is expected", p.peek())
	}
	p.pos++
	if neg {
		return -int64(v)
	}
	return int64(v)
}

// size reads a number between 1 and limit.
func (p *parser) size(limit int64) int {
	n := p.number()
	if n < 1 || n > limit {
		p.pos--
		p.fail("%d, not between 1 and %d", n, limit)
	}
	return int(n)
}

// parseInt reads decimal and hexadecimal digits; octal ones are refused.
func parseInt(s string) (uint64, error) {
	if h, ok := strings.CutPrefix(s, "0x"); ok {
		return strconv.ParseUint(strings.TrimSuffix(h, "U"), 16, 64)
	}
	if len(s) > 1 && s[0] == '0' {
		return 0, errors.New("octal")
	}
	return strconv.ParseUint(s, 10, 64)
}

func (p *parser) module() {
	p.expect(".version")
	switch v := p.next(); {
	case len(v) == 3 && v[1] == '.' && v[0] >= '6' && v[0] <= '8' && v[2] >= '0' && v[2] <= '9':
		p.m.Version = int(v[0]-'0')*10 + int(v[2]-'0')
	default:
		p.pos--
		p.fail("version %s", v)
	}
	p.expect(".target")
	p.m.Target = p.next()
	switch sm, ok := strings.CutPrefix(p.m.Target, "sm_"); {
	case ok && (sm == "75" || sm == "80" || sm == "90"):
		p.m.SM, _ = strconv.Atoi(sm)
	case sm == "90a":
		p.m.SM, p.m.Arch = 90, true
	default:
		p.pos--
		p.fail("target %s", p.m.Target)
	}
	p.expect(".address_size")
	p.expect("64")
	for p.peek() != "" {
		switch d := p.next(); d {
		case ".visible", ".weak":
			if p.peek() != ".entry" && p.peek() != ".global" && p.peek() != ".const" {
				p.fail("%s %s", d, p.peek())
			}
		case ".extern":
			p.expect(".shared")
			p.variable(".shared", true)
		case ".shared", ".global", ".const":
			p.variable(d, false)
		case ".entry":
			p.entry()
		default:
			p.pos--
			p.fail("directive %q", d)
		}
	}
}

// variable reads a declaration after its state space.
func (p *parser) variable(space string, extern bool) {
	align := 0
	if p.accept(".align") {
		align = p.size(1 << 16)
		if align&(align-1) != 0 {
			p.fail("alignment %d", align)
		}
	}
	t, ok := scalar.ParseType(strings.TrimPrefix(p.next(), "."))
	if !ok || t == scalar.Pred {
		p.pos--
		p.fail("type %q of a variable", p.peek())
	}
	align = max(align, t.Bytes())
	name := p.name()
	if _, twice := p.m.symbols[name]; twice {
		p.fail("%s is declared twice", name)
	}
	n := 1
	if p.accept("[") {
		if extern {
			n = 0
		} else {
			n = p.size(1 << 20)
		}
		p.expect("]")
	} else if extern {
		p.fail("dynamic shared memory that is no array")
	}
	data := make([]byte, n*t.Bytes())
	if space != ".shared" && p.accept("=") {
		p.initial(data, t)
	}
	p.expect(";")
	if space != ".shared" {
		p.m.symbols[name] = symbol{index: len(p.m.Variables)}
		p.m.Variables = append(p.m.Variables, Variable{align, data, space == ".const"})
		return
	}
	if p.m.Dynamic >= 0 {
		p.fail("shared variable %s after the dynamic shared memory", name)
	}
	// The worst address that the alignment allows: an odd multiple of it.
	at := (p.m.Shared/align+1)*align | align
	p.m.symbols[name] = symbol{shared: true, address: at}
	p.m.Static += len(data)
	p.m.Shared = at + len(data)
	p.m.Lowest = min(p.m.Lowest, at)
	if extern {
		p.m.Dynamic = at
	}
}

// initial reads a variable's content: a number, or a list of them in braces.
func (p *parser) initial(data []byte, t scalar.Type) {
	put := func(i int) {
		if (i+1)*t.Bytes() > len(data) {
			p.fail("more values than the variable holds")
		}
		v := uint64(p.number())
		for b := range t.Bytes() {
			data[i*t.Bytes()+b] = byte(v >> (8 * b))
		}
	}
	if !p.accept("{") {
		put(0)
		return
	}
	for i := 0; ; i++ {
		put(i)
		if p.accept("}") {
			return
		}
		p.expect(",")
	}
}

// entry reads a kernel after .entry.
func (p *parser) entry() {
	k := &Kernel{Line: p.toks[p.pos].line, Name: p.name()}
	if slices.ContainsFunc(p.m.Kernels, func(o *Kernel) bool { return o.Name == k.Name }) {
		p.fail("kernel %s is declared twice", k.Name)
	}
	k.Regs = Specials + len(p.m.Variables)
	p.k = k
	p.expect("(")
	size := 0
	for !p.accept(")") {
		if len(k.Params) > 0 {
			p.expect(",")
		}
		p.expect(".param")
		t, ok := scalar.ParseType(strings.TrimPrefix(p.next(), "."))
		if !ok || t == scalar.Pred || t.Bits < 8 {
			p.fail("type of a parameter")
		}
		size = (size + t.Bytes() - 1) / t.Bytes() * t.Bytes()
		k.Params = append(k.Params, Param{p.name(), t, size})
		size += t.Bytes()
	}
	for p.peek() != "{" {
		switch d := p.next(); d {
		case ".maxntid", ".reqntid":
			k.MaxThreads = p.size(1024)
			for p.accept(",") {
				if p.size(1024) != 1 {
					p.fail("%s of more than one dimension", d)
				}
			}
		case ".minnctapersm", ".maxnreg":
			p.size(1024)
		default:
			p.pos--
			p.fail("directive %q", d)
		}
	}
	p.body()
	p.m.Kernels = append(p.m.Kernels, k)
}
