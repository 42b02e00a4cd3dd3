package ptx

import (
	"fmt"
	"strings"

	"github.com/assaynet/assay/gpu/kernels/ptx/syntax"
)

// block is a block of threads that runs.
type block struct {
	l         *launch
	id        int
	warps     []*warp
	mem       []byte // shared memory by address
	low, high int
	words     []word
	seen      []uint32 // of each word, of each warp: the moment of its last read
	barriers  [16]barrier
	bars      map[int]*mbarrier
	agents    []uint32 // clocks of the mbarriers' agents
	bulks     []bulk   // not yet performed, oldest first
	groups    []*wgGroup
}

// barrier is one of the sixteen of bar.sync.
type barrier struct {
	expected, arrived int // threads
	clock, fenced     []uint32
	waiting           []*warp
}

// newBlock makes a block, of the last one's memory when there was one.
func newBlock(l *launch, id int) *block {
	n := (l.threads + 31) / 32
	b := l.spare
	if b == nil {
		b = &block{l: l, low: l.mod.text.Lowest, high: l.mod.text.Shared + l.shared}
		b.mem = make([]byte, b.high+16)
		b.words = make([]word, b.high/4+4)
		b.seen = make([]uint32, len(b.words)*n)
		for i := range n {
			b.warps = append(b.warps, &warp{
				b: b, id: i, regs: make([]uint64, l.k.Regs*32), def: make([]uint32, l.k.Regs),
				preds: make([]uint32, l.k.Preds), pdef: make([]uint32, l.k.Preds),
				clock: make([]uint32, n+maxBars), fenced: make([]uint32, n+maxBars),
			})
		}
		l.spare = b
	}
	b.id, b.bars, b.agents, b.groups = id, map[int]*mbarrier{}, nil, nil
	clear(b.words)
	clear(b.seen)
	for range (n + 3) / 4 {
		b.groups = append(b.groups, &wgGroup{})
	}
	for i := range b.barriers {
		b.barriers[i] = barrier{clock: make([]uint32, n+maxBars), fenced: make([]uint32, n+maxBars)}
	}
	for _, w := range b.warps {
		w.start()
	}
	return b
}

// start puts a warp at the kernel's begin.
func (w *warp) start() {
	l := w.b.l
	clear(w.def)
	clear(w.pdef)
	clear(w.clock)
	clear(w.fenced)
	w.clock[w.id] = 1
	w.exist = full
	if left := l.threads - w.id*32; left < 32 {
		w.exist = 1<<left - 1
	}
	w.live, w.active, w.parked, w.stalled = w.exist, w.exist, 0, 0
	w.pc, w.merge, w.blocked, w.in, w.stalls, w.copies = 0, -1, "", nil, nil, nil
	w.groups = [32]int{}
	w.wg.start(l.k)
	for i := range 32 {
		w.reg(syntax.Tid)[i] = uint64(w.id*32 + i)
		w.reg(syntax.Ntid)[i] = uint64(l.threads)
		w.reg(syntax.Ctaid)[i] = uint64(w.b.id)
		w.reg(syntax.Nctaid)[i] = uint64(l.grid)
		w.reg(syntax.Laneid)[i] = uint64(i)
		for v, at := range l.symbols {
			w.reg(syntax.Specials + v)[i] = at
		}
	}
	for r := range syntax.Specials + len(l.symbols) {
		w.def[r] = full
	}
}

// run executes the block: each warp as far as it can, upwards in even blocks and
// downwards in odd ones, so that what no barrier orders happens in both orders.
func (b *block) run() {
	for {
		alive, moved := false, false
		for i := range b.warps {
			w := b.warps[i]
			if b.id%2 == 1 {
				w = b.warps[len(b.warps)-1-i]
			}
			if w.ready() {
				w.run()
				moved = true
			}
			alive = alive || w.live != 0
		}
		if !alive {
			break
		}
		if !moved && !b.late() {
			b.deadlock()
		}
	}
	if len(b.bulks) > 0 {
		u := b.bulks[0]
		u.w.in = u.in
		u.w.fault(u.lane, "the block ends with this bulk copy not waited for")
	}
	for i, g := range b.groups {
		g.end(b, i)
	}
}

// deadlock ends a launch in which no warp can go on.
func (b *block) deadlock() {
	var what []string
	for _, w := range b.warps {
		switch {
		case w.live == 0:
			what = append(what, fmt.Sprintf("warp %d has ended", w.id))
		case w.blocked != "":
			what = append(what, fmt.Sprintf("warp %d waits at %s", w.id, w.blocked))
		default:
			for _, s := range w.stalls {
				what = append(what, fmt.Sprintf("lanes %08x of warp %d wait at line %d for parity %d of %s", s.mask, w.id, s.line, s.parity, s.bar))
			}
		}
	}
	panic(&Fault{Kernel: b.l.k.Name, Block: b.id, Thread: -1, What: "deadlock: " + strings.Join(what, "; ")})
}

// agent names a word's last writer.
func (b *block) agent(d *word) string {
	switch {
	case int(d.who) >= len(b.warps):
		return "a bulk copy"
	case d.lane == 255:
		return fmt.Sprintf("warp %d", d.who)
	}
	return fmt.Sprintf("thread %d", int(d.who)*32+int(d.lane))
}

// arrive is bar.sync and bar.arrive by a whole warp (PTX ISA, bar). threads
// is how many the barrier waits for, 0 for all of the block.
func (w *warp) arrive(id, threads int, wait bool) {
	b := w.b
	if threads == 0 {
		threads = len(b.warps) * 32
	}
	bar := &b.barriers[id]
	if bar.arrived > 0 && bar.expected != threads {
		w.fault(-1, "barrier %d waits for %d threads and is reached with %d", id, bar.expected, threads)
	}
	bar.expected = threads
	if bar.arrived += 32; bar.arrived > threads {
		w.fault(-1, "barrier %d waits for %d threads and %d reach it", id, threads, bar.arrived)
	}
	w.release(bar.clock, bar.fenced, w.live)
	if wait {
		w.blocked = fmt.Sprintf("line %d at barrier %d, reached by %d of %d threads", w.in.line, id, bar.arrived, threads)
		bar.waiting = append(bar.waiting, w)
	}
	if bar.arrived < threads {
		return
	}
	for _, v := range bar.waiting {
		v.blocked = ""
		join(v.clock, bar.clock)
		join(v.fenced, bar.fenced)
	}
	bar.arrived, bar.waiting = 0, nil
	clear(bar.clock)
	clear(bar.fenced)
}
