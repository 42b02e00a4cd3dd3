package ptx

import (
	"encoding/binary"
	"math/bits"
	"slices"
	"strings"

	"github.com/assaynet/assay/gpu/kernels/ptx/scalar"
	"github.com/assaynet/assay/gpu/kernels/ptx/syntax"
)

// hints are modifiers of ld and st that change no value (PTX ISA, Cache Operators).
func hint(m string) bool {
	switch m {
	case "ca", "cg", "cs", "lu", "cv", "wb", "wt", "volatile", "weak", "L1::no_allocate", "L1::evict_first", "L1::evict_last":
		return true
	}
	return false
}

// access is a decoded ld or st.
type access struct {
	space string
	nc    bool
	t     scalar.Type
	n     int // elements of a vector, 1 for a scalar
	at    address
	regs  []int         // destinations
	wide  []scalar.Type // their registers' types
	srcs  []src
}

// accesses decodes ld and st.
func (p *parser) accesses(op string, mods []string, ops []syntax.Operand) {
	if len(mods) == 0 || len(ops) != 2 {
		p.fail("%s with %d operands", op, len(ops))
	}
	a := &access{n: 1}
	t, ok := scalar.ParseType(mods[len(mods)-1])
	if !ok || t == scalar.Pred {
		p.fail("%s of type %s", op, mods[len(mods)-1])
	}
	a.t = t
	var hints []string
	for _, m := range mods[:len(mods)-1] {
		switch {
		case (m == "global" || m == "shared" || m == "param" || m == "const" || m == "shared::cta") && a.space == "":
			a.space = strings.TrimSuffix(m, "::cta")
			if m != a.space {
				p.need(0, 78)
			}
		case m == "nc" && op == "ld" && a.space == "global" && !a.nc:
			a.nc = true
		case (m == "v2" || m == "v4") && a.n == 1 && a.space != "param":
			a.n = int(m[1] - '0')
		case hint(m) && a.space != "param" && !slices.Contains(hints, m):
			hints = append(hints, m)
		default:
			p.fail("%s with .%s", op, m)
		}
	}
	mem, data := ops[1], ops[0]
	if op == "st" {
		mem, data = ops[0], ops[1]
	}
	list := []syntax.Operand{data}
	if a.n > 1 {
		if data.Kind != syntax.Vec || len(data.List) != a.n || a.n*t.Bytes() > 16 {
			p.fail("a vector of %d %v where there is %s", a.n, t, data.Text)
		}
		list = data.List
	}
	for _, o := range list {
		if op == "ld" {
			if o.Kind != syntax.Reg || o.Second != nil || !t.FitsWide(o.T) || o.Reg < syntax.Specials+len(p.m.text.Variables) {
				p.fail("%s is no register for %v", o.Text, t)
			}
			p.in.defs = append(p.in.defs, o.Reg)
			a.regs = append(a.regs, o.Reg)
			a.wide = append(a.wide, o.T)
		} else {
			want := t
			if o.Kind == syntax.Reg && t.FitsWide(o.T) {
				want = o.T
			}
			a.srcs = append(a.srcs, p.src(o, want))
		}
	}
	if op == "ld" {
		sorted := slices.Sorted(slices.Values(a.regs))
		if len(slices.Compact(sorted)) != len(a.regs) {
			p.fail("a register twice in a vector")
		}
	}
	switch {
	case a.space == "param" && op == "ld":
		p.loadParam(a, mem)
		return
	case a.space == "global" || a.space == "shared" || a.space == "const" && op == "ld":
		a.at = p.mem(mem)
	default:
		p.fail("%s in state space %q", op, a.space)
	}
	load := op == "ld"
	if a.space == "shared" {
		p.in.run = func(w *warp, mask uint32) { w.accessShared(a, mask, load) }
	} else {
		p.in.run = func(w *warp, mask uint32) { w.accessGlobal(a, mask, load) }
	}
}

func (p *parser) loadParam(a *access, mem syntax.Operand) {
	if mem.Kind != syntax.Mem || mem.Par == nil {
		p.fail("%s is no parameter", mem.Text)
	}
	if mem.Off < 0 || mem.Off%int64(a.t.Bytes()) != 0 || int(mem.Off)+a.t.Bytes() > mem.Par.T.Bytes() {
		p.fail("%v at offset %d of a parameter %v", a.t, mem.Off, mem.Par.T)
	}
	at := mem.Par.Offset + int(mem.Off)
	p.in.run = func(w *warp, mask uint32) { w.put(a, 0, mask, w.b.l.params[at:]) }
}

// put stores one element for lanes of a register, extended to its width.
func (w *warp) put(a *access, i int, mask uint32, from []byte) {
	v := a.wide[i].Cut(a.t.Extend(load(from, a.t.Bytes())))
	d := w.reg(a.regs[i])
	for m := mask; m != 0; m &= m - 1 {
		d[bits.TrailingZeros32(m)] = v
	}
}

func load(b []byte, n int) uint64 {
	switch n {
	case 4:
		return uint64(binary.LittleEndian.Uint32(b))
	case 8:
		return binary.LittleEndian.Uint64(b)
	case 2:
		return uint64(binary.LittleEndian.Uint16(b))
	}
	return uint64(b[0])
}

func store(b []byte, v uint64, n int) {
	switch n {
	case 4:
		binary.LittleEndian.PutUint32(b, uint32(v))
	case 8:
		binary.LittleEndian.PutUint64(b, v)
	case 2:
		binary.LittleEndian.PutUint16(b, uint16(v))
	default:
		b[0] = byte(v)
	}
}

// move moves the elements of one lane between its registers and memory.
func (w *warp) move(a *access, lane int, b []byte, in bool) {
	size := a.t.Bytes()
	if in {
		for i, r := range a.regs {
			w.regs[r*32+lane] = a.wide[i].Cut(a.t.Extend(load(b[i*size:], size)))
		}
		return
	}
	for i := range a.srcs {
		store(b[i*size:], w.val(&a.srcs[i])[lane], size)
	}
}

func (w *warp) accessShared(a *access, mask uint32, in bool) {
	n := a.n * a.t.Bytes()
	base := w.val(&a.at.base)
	for m := mask; m != 0; m &= m - 1 {
		lane := bits.TrailingZeros32(m)
		at := w.within(lane, base[lane]+uint64(a.at.off), n, n)
		if in {
			w.reads(lane, at, n, false)
		} else {
			w.writes(lane, at, n)
		}
		w.move(a, lane, w.b.mem[at:], in)
	}
}

func (w *warp) accessGlobal(a *access, mask uint32, in bool) {
	n := a.n * a.t.Bytes()
	mem := w.b.l.mem
	base := w.val(&a.at.base)
	for m := mask; m != 0; m &= m - 1 {
		lane := bits.TrailingZeros32(m)
		r, off := w.global(lane, base[lane]+uint64(a.at.off), n, n)
		switch {
		case r.constant != (a.space == "const"):
			w.fault(lane, "an access in state space .%s to a variable of another", a.space)
		case a.nc && mem.fresh(r, off, n):
			w.fault(lane, "ld.global.nc of memory that this launch writes")
		case !in:
			mem.stored(r, off, n)
		}
		w.move(a, lane, r.data[off:], in)
	}
}

// global finds global memory and checks bounds and alignment.
func (w *warp) global(lane int, at uint64, n, align int) (*region, int) {
	if at&uint64(align-1) != 0 {
		w.fault(lane, "misaligned: global memory at %#x, to be aligned to %d", at, align)
	}
	r, off, err := w.b.l.mem.find(at, n)
	if err != nil {
		w.fault(lane, "%v", err)
	}
	return r, off
}
