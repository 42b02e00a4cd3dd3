package ptx

import (
	"fmt"

	"github.com/assaynet/assay/gpu/kernels/ptx/syntax"
)

// Module is a parsed module.
type Module struct {
	text    *syntax.Module
	kernels map[string]*kernel
}

// kernel is a decoded kernel.
type kernel struct {
	*syntax.Kernel
	code  []inst
	wgmma bool // it needs the registers' history
}

// inst is a decoded instruction. run does its work for the lanes of a mask; what
// all instructions share is done by the warp: the guard, and whether the
// registers it reads are written.
type inst struct {
	line        int
	guard       int // predicate, -1 when there is none
	not         bool
	uses, puses []int
	defs, pdefs []int
	run         func(w *warp, mask uint32)
	ends        bool // nothing follows it
	branch      *int // where it may jump
}

// parser decodes the instructions of a module.
type parser struct {
	m      *Module
	k      *kernel
	in     *inst // being decoded
	values map[uint64]src
}

// failure carries a syntax error up to Parse.
type failure struct{ err error }

func (p *parser) fail(format string, args ...any) {
	panic(failure{syntax.Error(p.in.line, format, args...)})
}

// Parse reads a module. What it does not know is an error.
func Parse(source string) (m *Module, err error) {
	text, err := syntax.Parse(source)
	if err != nil {
		return nil, err
	}
	p := &parser{m: &Module{text: text, kernels: map[string]*kernel{}}, values: map[uint64]src{}}
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
	for _, k := range text.Kernels {
		p.kernel(k)
	}
	return p.m, nil
}

func (p *parser) kernel(text *syntax.Kernel) {
	p.k = &kernel{Kernel: text}
	for _, s := range text.Code {
		p.in = &inst{line: s.Line, guard: s.Guard, not: s.Not}
		p.decode(s.Op, s.Ops)
		if p.in.branch != nil && *p.in.branch >= len(text.Code) {
			p.fail("a jump over the end of kernel %s", text.Name)
		}
		p.k.code = append(p.k.code, *p.in)
	}
	if n := len(p.k.code); n == 0 || !p.k.code[n-1].ends {
		p.in = &inst{line: text.Line}
		p.fail("kernel %s runs over its end", text.Name)
	}
	p.m.kernels[text.Name] = p.k
}

// pack lays the arguments out as ld.param finds them.
func (k *kernel) pack(args []uint64) []byte {
	var out []byte
	for i, p := range k.Params {
		for len(out) < p.Offset {
			out = append(out, 0)
		}
		for b := range p.T.Bytes() {
			out = append(out, byte(args[i]>>(8*b)))
		}
	}
	return out
}

// String names the module, for tests.
func (m *Module) String() string {
	return fmt.Sprintf("%s, PTX %d.%d, %d kernels", m.text.Target, m.text.Version/10, m.text.Version%10, len(m.kernels))
}
