package ptx

import (
	"fmt"
	"slices"
	"strings"

	"github.com/assaynet/assay/gpu/kernels/ptx/scalar"
	"github.com/assaynet/assay/gpu/kernels/ptx/syntax"
)

// mbarrier is an mbarrier object of shared memory (PTX ISA, mbarrier): a phase ends
// when no arrival is pending and no byte is expected.
type mbarrier struct {
	b             *block
	at            int
	agent         int // number of its bulk copies' clock
	count         int // arrivals of a phase
	pending, tx   int
	phase         uint64
	fenced        bool // known to the asynchronous proxy
	by            int  // the warp that initialised it, and when
	when          uint32
	clock, fences []uint32 // of this phase's arrivals
	done, known   []uint32 // of the last complete phase
}

func (m *mbarrier) String() string {
	return fmt.Sprintf("the mbarrier at %#x (phase %d, %d of %d arrivals pending, %d bytes expected)", m.at, m.phase, m.pending, m.count, m.tx)
}

// complete says whether the phase of a parity has ended: the one before the first
// has.
func (m *mbarrier) complete(parity uint64) bool { return m.phase&1 != parity }

// advance ends the phase when all has come.
func (m *mbarrier) advance() {
	if m.pending != 0 || m.tx != 0 {
		return
	}
	m.phase++
	m.pending = m.count
	copy(m.done, m.clock)
	copy(m.known, m.fences)
}

const txLimit = 1<<20 - 1

// bar finds the mbarrier that a lane names.
func (w *warp) bar(lane int, at uint64) *mbarrier {
	m := w.b.bars[w.within(lane, at, 8, 8)]
	if m == nil {
		w.fault(lane, "no mbarrier was initialised at %#x", at)
	}
	if m.when > w.clock[m.by] {
		w.fault(lane, "race: the mbarrier at %#x was initialised by warp %d, and no barrier orders it before this", at, m.by)
	}
	return m
}

func (w *warp) initBar(lane int, at uint64, count uint64) {
	b := w.b
	a := w.within(lane, at, 8, 8)
	if b.bars[a] != nil {
		w.fault(lane, "the mbarrier at %#x is initialised twice", a)
	}
	if count < 1 || count > txLimit {
		w.fault(lane, "an mbarrier of %d arrivals", count)
	}
	if len(b.agents) == maxBars {
		w.fault(lane, "more than %d mbarriers", maxBars)
	}
	w.writes(lane, a, 8)
	b.words[a/4].flags |= isBar
	b.words[a/4+1].flags |= isBar
	n := len(w.clock)
	m := &mbarrier{b: b, at: a, agent: len(b.agents), count: int(count), pending: int(count), by: w.id, when: w.now()}
	m.clock, m.fences, m.done, m.known = make([]uint32, n), make([]uint32, n), make([]uint32, n), make([]uint32, n)
	b.agents = append(b.agents, 0)
	b.bars[a] = m
}

// knownBars makes the mbarriers that the warp initialised known to bulk copies.
func (w *warp) knownBars() {
	for _, m := range w.b.bars {
		m.fenced = m.fenced || m.by == w.id
	}
}

// arriveBar is one arrival of a lane, after it has added to the expected bytes.
func (w *warp) arriveBar(lane int, mask uint32, m *mbarrier, tx, arrivals int) {
	if m.tx += tx; m.tx > txLimit {
		w.fault(lane, "more than %d bytes are expected of %s", txLimit, m)
	}
	if arrivals > m.pending {
		w.fault(lane, "an arrival more than %s waits for", m)
	}
	m.pending -= arrivals
	if arrivals > 0 {
		w.release(m.clock, m.fences, mask)
	}
	m.advance()
}

// mbarrier decodes the instructions of mbarriers. Semantics and scope may be
// written as they are by default.
func (p *parser) mbarrier(op string, ops []syntax.Operand) {
	p.need(80, 70)
	if strings.Contains(op, "shared::cta") {
		p.need(0, 78)
	}
	short := strings.Replace(op, ".shared::cta", ".shared", 1)
	for _, s := range []string{".release.cta", ".acquire.cta", ".relaxed.cta"} {
		if strings.Contains(short, s+".shared") {
			p.need(0, 80)
			short = strings.Replace(short, s+".shared", ".shared", 1)
		}
	}
	last := func(n int) address { p.count(ops, n); return p.mem(ops[0]) }
	switch short {
	case "mbarrier.init.shared.b64":
		at, count := last(2), p.src(ops[1], scalar.U32)
		p.in.run = lanes(func(w *warp, l int, _ uint32) { w.initBar(l, at.of(w, l), w.val(&count)[l]) })
	case "mbarrier.inval.shared.b64":
		at := last(1)
		p.in.run = lanes(func(w *warp, l int, _ uint32) {
			m := w.bar(l, at.of(w, l))
			delete(w.b.bars, m.at)
			clear(w.b.words[m.at/4 : m.at/4+2])
		})
	case "mbarrier.expect_tx.shared.b64":
		p.need(90, 80)
		at, tx := last(2), p.src(ops[1], scalar.U32)
		p.in.run = lanes(func(w *warp, l int, mask uint32) {
			w.arriveBar(l, mask, w.bar(l, at.of(w, l)), int(w.val(&tx)[l]), 0)
		})
	case "mbarrier.arrive.shared.b64", "mbarrier.arrive.expect_tx.shared.b64":
		p.arrival(op, short == "mbarrier.arrive.expect_tx.shared.b64", ops)
	case "mbarrier.try_wait.parity.shared.b64", "mbarrier.test_wait.parity.shared.b64":
		if strings.Contains(op, "try") {
			p.need(90, 78)
		} else {
			p.need(0, 71)
		}
		if len(ops) == 4 && strings.Contains(op, "try") {
			p.src(ops[3], scalar.U32) // how long to wait: no matter
		} else {
			p.count(ops, 3)
		}
		at, parity, d := p.mem(ops[1]), p.src(ops[2], scalar.U32), p.pdst(ops[0])
		p.in.run = func(w *warp, mask uint32) { w.testBar(mask, &at, &parity, d) }
	default:
		p.fail("unknown opcode %s", op)
	}
}

// arrival decodes mbarrier.arrive. The state that it returns is of use for a wait
// that is not decoded here, so only its absence is allowed.
func (p *parser) arrival(op string, expect bool, ops []syntax.Operand) {
	if len(ops) < 2 || len(ops) > 3 || ops[0].Kind != syntax.Sink || expect && len(ops) != 3 {
		p.fail("%s other than _, [address] and a number", op)
	}
	p.need(0, 71)
	at, n := p.mem(ops[1]), p.value(1)
	if expect {
		p.need(90, 80)
	}
	if len(ops) == 3 {
		p.need(90, 78)
		n = p.src(ops[2], scalar.U32)
	}
	p.in.run = lanes(func(w *warp, l int, mask uint32) {
		v, m := int(w.val(&n)[l]), w.bar(l, at.of(w, l))
		switch {
		case expect:
			w.arriveBar(l, mask, m, v, 1)
		case v < 1:
			w.fault(l, "%d arrivals", v)
		default:
			w.arriveBar(l, mask, m, 0, v)
		}
	})
}

// lanes executes something lane by lane.
func lanes(f func(w *warp, l int, mask uint32)) func(w *warp, mask uint32) {
	return func(w *warp, mask uint32) {
		for m := mask; m != 0; m &= m - 1 {
			f(w, first(m), mask)
		}
	}
}

// of is the address in a lane.
func (a *address) of(w *warp, l int) uint64 { return w.val(&a.base)[l] + uint64(a.off) }

// testBar is a wait for phases. Lanes whose phase has not ended read false, and go
// on only when it has: the loop that follows is not a guess of the schedule.
func (w *warp) testBar(mask uint32, at *address, parity *src, d int) {
	var yes uint32
	for m := mask; m != 0; m &= m - 1 {
		l := first(m)
		bar, want := w.bar(l, at.of(w, l)), w.val(parity)[l]
		if want > 1 {
			w.fault(l, "parity %d", want)
		}
		if bar.complete(want) {
			yes |= 1 << l
			join(w.clock, bar.done)
			join(w.fenced, bar.known)
			continue
		}
		i := slices.IndexFunc(w.stalls, func(s stall) bool { return s.bar == bar && s.parity == want && s.line == w.in.line })
		if i < 0 {
			i = len(w.stalls)
			w.stalls = append(w.stalls, stall{bar: bar, parity: want, line: w.in.line})
		}
		w.stalls[i].mask |= 1 << l
		w.stalled |= 1 << l
		w.pcs[l] = w.pc
		w.active &^= 1 << l
	}
	w.setPred(d, yes, mask)
}
