package ptx

import (
	"fmt"
	"math/bits"
)

const full = ^uint32(0)

// warp is 32 threads, with a program counter each: those at the lowest one run
// together until they part or reach others. Registers hold 32 lanes side by side.
type warp struct {
	b           *block
	id          int
	regs        []uint64
	def         []uint32 // of each register the lanes that have written it
	preds, pdef []uint32
	carry       uint32 // the condition code's carry flag

	exist, live, active uint32
	pc                  int // of the active lanes
	merge               int // where they meet others; -1 nowhere
	pcs                 [32]int
	parked              uint32  // lanes that wait for others of the warp at a collective
	stalls              []stall // lanes that wait for an mbarrier
	stalled             uint32
	blocked             string // the barrier the whole warp waits at
	in                  *inst
	again               bool // the instruction waits for lanes and was not executed

	clock, fenced []uint32 // see race.go
	copies        []copied // cp.async not yet performed
	groups        [32]int  // of each lane the groups of cp.async it has committed
	wg            wgmmaState
}

// stall is a wait of lanes for an mbarrier's phase.
type stall struct {
	mask   uint32
	bar    *mbarrier
	parity uint64
	line   int
}

// fault ends the launch. lane is -1 when no single lane is to blame.
func (w *warp) fault(lane int, format string, args ...any) {
	f := &Fault{Kernel: w.b.l.k.Name, Block: w.b.id, Thread: -1, What: fmt.Sprintf(format, args...)}
	if w.in != nil {
		f.Line = w.in.line
	}
	if lane >= 0 {
		f.Thread = w.id*32 + lane
	}
	panic(f)
}

// reg is a register's lanes.
func (w *warp) reg(r int) *[32]uint64 { return (*[32]uint64)(w.regs[r*32:]) }

// val is a source's lanes.
func (w *warp) val(s *src) *[32]uint64 {
	if s.reg < 0 {
		return s.vec
	}
	return (*[32]uint64)(w.regs[s.reg*32:])
}

// blend writes some lanes of a register.
func (w *warp) blend(r int, t *[32]uint64, mask uint32) {
	d := w.reg(r)
	for m := mask; m != 0; m &= m - 1 {
		l := bits.TrailingZeros32(m)
		d[l] = t[l]
	}
}

// predicate is the lanes in which a predicate holds.
func (w *warp) predicate(p psrc) uint32 {
	v := w.preds[p.reg]
	if p.not {
		return ^v
	}
	return v
}

// setPred writes some lanes of a predicate.
func (w *warp) setPred(p int, v, mask uint32) { w.preds[p] = w.preds[p]&^mask | v&mask }

// run executes until the warp waits or ends.
func (w *warp) run() {
	l := w.b.l
	code := l.k.code
	for w.blocked == "" {
		if w.active == 0 || w.pc == w.merge {
			if !w.pick() {
				return
			}
		}
		in := &code[w.pc]
		w.in = in
		w.pc++
		mask := w.active
		if in.guard >= 0 {
			if w.pdef[in.guard]&mask != mask {
				w.undefined("the guard", w.pdef[in.guard], mask)
			}
			g := w.preds[in.guard]
			if in.not {
				g = ^g
			}
			mask &= g
		}
		if l.stats.Steps++; l.stats.Steps > l.cfg.MaxSteps {
			w.fault(-1, "more than %d steps", l.cfg.MaxSteps)
		}
		if mask == 0 {
			continue
		}
		l.stats.Threads += bits.OnesCount32(mask)
		for _, r := range in.uses {
			if w.def[r]&mask != mask {
				if w.wg.busy(r) {
					w.fault(-1, "a register of a wgmma in flight is read before wgmma.wait_group")
				}
				w.undefined("a register", w.def[r], mask)
			}
		}
		for _, r := range in.puses {
			if w.pdef[r]&mask != mask {
				w.undefined("a predicate", w.pdef[r], mask)
			}
		}
		if l.k.wgmma {
			w.wg.access(w, in)
		}
		in.run(w, mask)
		if w.again {
			w.again = false
			continue
		}
		for _, r := range in.defs {
			w.def[r] |= mask
		}
		for _, r := range in.pdefs {
			w.pdef[r] |= mask
		}
	}
}

func (w *warp) undefined(what string, def, mask uint32) {
	w.fault(bits.TrailingZeros32(mask&^def), "%s is read that was never written", what)
}

// pick chooses the lanes to run: those at the lowest program counter. It says
// false when all that live wait for an mbarrier, or none lives.
func (w *warp) pick() bool {
	for m := w.active; m != 0; m &= m - 1 {
		w.pcs[bits.TrailingZeros32(m)] = w.pc
	}
	w.wake()
	w.active, w.merge = 0, -1
	free := w.live &^ w.parked &^ w.stalled
	if free == 0 {
		if w.live != 0 && w.stalled == 0 {
			l := bits.TrailingZeros32(w.parked)
			w.in = &w.b.l.k.code[w.pcs[l]]
			w.fault(l, "divergent collective: lanes %08x wait here, and no lane is left to come", w.parked)
		}
		return false
	}
	low := int(^uint(0) >> 1)
	for m := free; m != 0; m &= m - 1 {
		low = min(low, w.pcs[bits.TrailingZeros32(m)])
	}
	for m := w.live &^ w.stalled; m != 0; m &= m - 1 {
		l := bits.TrailingZeros32(m)
		if at := w.pcs[l]; at == low {
			w.active |= 1 << l
		} else if at > low && (w.merge < 0 || at < w.merge) {
			w.merge = at
		}
	}
	w.parked &^= w.active
	w.pc = low
	return true
}

// wake ends the stalls whose phase is complete.
func (w *warp) wake() {
	left := w.stalls[:0]
	for _, s := range w.stalls {
		if s.bar.complete(s.parity) {
			w.stalled &^= s.mask
		} else {
			left = append(left, s)
		}
	}
	w.stalls = left
}

// ready says whether the warp can go on.
func (w *warp) ready() bool {
	if w.live == 0 || w.blocked != "" {
		return false
	}
	w.wake()
	return w.active != 0 || w.live&^w.parked&^w.stalled != 0
}

// jump sends lanes to another instruction.
func (w *warp) jump(mask uint32, to int) {
	if mask == w.active {
		if w.pc = to; w.live != w.active {
			w.merge = to // chosen anew: others may stand lower
		}
		return
	}
	for m := mask; m != 0; m &= m - 1 {
		w.pcs[bits.TrailingZeros32(m)] = to
	}
	w.active &^= mask
	for m := w.active; m != 0; m &= m - 1 {
		w.pcs[bits.TrailingZeros32(m)] = w.pc
	}
	w.merge = w.pc
}

// exit ends lanes.
func (w *warp) exit(mask uint32) {
	w.live &^= mask
	w.active &^= mask
	if w.live != 0 {
		return
	}
	if len(w.copies) > 0 {
		w.fault(w.copies[0].lane, "the thread ends with a cp.async not waited for")
	}
	w.wg.exit(w)
}

// together says whether all of need execute this instruction now. If not, the
// active lanes wait for the others, and the instruction is executed again when
// they have come; need that cannot come is a fault.
func (w *warp) together(mask, need uint32) bool {
	missing := need &^ mask
	switch {
	case missing == 0:
		return true
	case missing&^w.live != 0:
		w.fault(bits.TrailingZeros32(mask), "divergent collective: lanes %08x have ended", missing&^w.live)
	case mask != w.active:
		w.fault(bits.TrailingZeros32(mask), "divergent collective: executed by lanes %08x, lanes %08x pass it by", mask, missing&w.active)
	}
	for m := mask; m != 0; m &= m - 1 {
		w.pcs[bits.TrailingZeros32(m)] = w.pc - 1
	}
	w.parked |= mask
	w.active = 0
	w.again = true
	return false
}

// aligned is together for an instruction with .aligned: all 32 lanes.
func (w *warp) aligned(mask uint32) bool {
	if w.exist != full {
		w.fault(-1, "a collective of 32 lanes in a warp of %d", bits.OnesCount32(w.exist))
	}
	return w.together(mask, full)
}

// first is the lowest lane of a mask.
func first(mask uint32) int { return bits.TrailingZeros32(mask) }
