package ptx

// Races in shared memory are found by happens-before: every warp has a clock of
// all warps, and of the mbarriers, whose entry is the latest moment of theirs
// that it has synchronised with. Barriers and mbarriers join clocks. A second
// clock, fenced, holds what fence.proxy.async has ordered before the
// asynchronous proxy (PTX ISA, Memory Consistency Model, Proxies and Causality order).

// mbarriers of a block; each is an agent that writes for bulk copies.
const maxBars = 32

// word is what is known of four bytes of shared memory.
type word struct {
	clock  uint32 // moment of the last write
	who    uint8  // its agent: a warp, or warps + an mbarrier
	lane   uint8  // its lane; 255 for no single one
	init   uint8  // bytes written
	flags  uint8
	flight uint16 // asynchronous copies on their way here
	reader uint16 // wgmmas in flight that read here
}

const (
	byAsync  = 1 << iota // the last write was the asynchronous proxy's
	isBar                // an mbarrier object
	isFenced             // its lane alone has fenced it for the asynchronous proxy
)

func (w *warp) now() uint32 { return w.clock[w.id] }

// tick starts a new moment of the warp: what it did is before what it will do.
func (w *warp) tick() { w.clock[w.id]++ }

func join(a, b []uint32) {
	for i, v := range b {
		a[i] = max(a[i], v)
	}
}

// bytes is the bytes of word i that an access touches, as bits.
func touched(i, at, n int) uint8 {
	m := uint8(15)
	if i*4 < at {
		m &= 15 << (at - i*4)
	}
	if end := at + n; end < i*4+4 {
		m &= 15 >> (i*4 + 4 - end)
	}
	return m
}

// within checks bounds and alignment of an access to shared memory and returns
// its address.
func (w *warp) within(lane int, at uint64, n, align int) int {
	b := w.b
	if at < uint64(b.low) || at > uint64(b.high) || uint64(n) > uint64(b.high)-at {
		w.fault(lane, "out of bounds: %d bytes of shared memory at %#x, which is %#x to %#x", n, at, b.low, b.high)
	}
	if at&uint64(align-1) != 0 {
		w.fault(lane, "misaligned: shared memory at %#x, to be aligned to %d", at, align)
	}
	return int(at)
}

// reads checks a read of shared memory and notes it. async: by wgmma.
func (w *warp) reads(lane, at, n int, async bool) {
	b := w.b
	for i := at / 4; i <= (at+n-1)/4; i++ {
		d := &b.words[i]
		switch need := touched(i, at, n); {
		case d.flight != 0:
			w.fault(lane, "shared memory at %#x is read while an asynchronous copy to it is in flight", i*4)
		case d.flags&isBar != 0:
			w.fault(lane, "shared memory at %#x is an mbarrier", i*4)
		case d.init&need != need:
			w.fault(lane, "shared memory at %#x is read that was never written", i*4)
		case d.clock > w.clock[d.who]:
			w.fault(lane, "race: shared memory at %#x was written by %s, and no barrier orders it before this read", i*4, b.agent(d))
		case int(d.who) == w.id && int(d.lane) != lane && d.clock == w.now() && n >= 4:
			w.fault(lane, "race: shared memory at %#x was written by lane %d of this warp, and no barrier orders it before this read", i*4, int8(d.lane))
		case async && d.flags&byAsync == 0 && !w.ordered(d):
			w.fault(lane, "shared memory at %#x was written by ordinary stores and no fence.proxy.async orders them before this asynchronous read", i*4)
		}
		b.seen[i*len(b.warps)+w.id] = w.now()
	}
}

// ordered says whether a fence has ordered an ordinary write before the warp's
// asynchronous accesses.
func (w *warp) ordered(d *word) bool {
	return d.flags&isFenced != 0 || d.clock <= w.fenced[d.who]
}

// mayWrite checks a write to shared memory by a lane. async: by a bulk copy that
// the lane issues.
func (w *warp) mayWrite(lane, at, n int, async bool) {
	b := w.b
	for i := at / 4; i <= (at+n-1)/4; i++ {
		d := &b.words[i]
		switch {
		case d.flight != 0:
			w.fault(lane, "shared memory at %#x is written while an asynchronous copy to it is in flight", i*4)
		case d.reader != 0:
			w.fault(lane, "shared memory at %#x is written while a wgmma in flight reads it", i*4)
		case d.flags&isBar != 0:
			w.fault(lane, "shared memory at %#x is an mbarrier", i*4)
		case d.clock > w.clock[d.who]:
			w.fault(lane, "race: shared memory at %#x was written by %s, and no barrier orders it before this write", i*4, b.agent(d))
		case int(d.who) == w.id && int(d.lane) != lane && d.clock == w.now() && n >= 4:
			w.fault(lane, "race: shared memory at %#x was written by lane %d of this warp, and no barrier orders it before this write", i*4, int8(d.lane))
		case async && d.init != 0 && d.flags&byAsync == 0 && !w.ordered(d):
			w.fault(lane, "shared memory at %#x was written by ordinary stores and no fence.proxy.async orders them before this bulk copy", i*4)
		}
		for v, at := range b.seen[i*len(b.warps) : (i+1)*len(b.warps)] {
			if at > w.clock[v] && (v != w.id || async) {
				w.fault(lane, "race: shared memory at %#x was read by warp %d, and no barrier orders it before this write", i*4, v)
			}
		}
	}
}

// wrote notes a write.
func (b *block) wrote(who, lane int, clock uint32, at, n int, flags uint8) {
	for i := at / 4; i <= (at+n-1)/4; i++ {
		d := &b.words[i]
		d.who, d.lane, d.clock, d.flags = uint8(who), uint8(lane), clock, flags
		d.init |= touched(i, at, n)
	}
}

// writes is an ordinary write of a lane: checked and noted.
func (w *warp) writes(lane, at, n int) {
	w.mayWrite(lane, at, n, false)
	w.b.wrote(w.id, lane, w.now(), at, n, 0)
}

// fly marks the destination of an asynchronous copy as in flight, or as landed.
func (b *block) fly(at, n int, start bool) {
	for i := at / 4; i <= (at+n-1)/4; i++ {
		if start {
			b.words[i].flight++
		} else {
			b.words[i].flight--
		}
	}
}

// fence is fence.proxy.async by some lanes. What other warps have published is
// ordered by one lane's fence; what a lane wrote since its warp was last
// synchronised only by its own.
func (w *warp) fence(mask uint32) {
	own := w.fenced[w.id]
	join(w.fenced, w.clock)
	if mask == w.live {
		w.tick()
		return
	}
	w.fenced[w.id] = max(own, w.now()-1)
	for i := range w.b.words {
		if d := &w.b.words[i]; int(d.who) == w.id && d.clock == w.now() && d.lane < 32 && mask>>d.lane&1 != 0 {
			d.flags |= isFenced
		}
	}
}

// release is the clock that lanes of a mask publish: all that the warp did, or,
// when not all of its lanes take part, what it did before they last synchronised.
func (w *warp) release(into, fenced []uint32, mask uint32) {
	own := w.now()
	if mask != w.live {
		own--
	}
	keep := into[w.id]
	join(into, w.clock)
	into[w.id] = max(keep, own)
	join(fenced, w.fenced)
	if mask == w.live {
		w.tick()
	}
}
