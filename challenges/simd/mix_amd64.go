package simd

// mixAVX512 takes groups > 0 times sixteen states through parents > 0 steps,
// with lines as the cache and mask one less than its length.
//
//go:noescape
func mixAVX512(states *[16]uint32, groups int, lines *[16]uint32, mask uint32, parents int)

// mixAVX2 is the same with groups of eight states.
//
//go:noescape
func mixAVX2(states *[16]uint32, groups int, lines *[16]uint32, mask uint32, parents int)

// roundsAVX512 writes the double rounds of groups > 0 times four states.
//
//go:noescape
func roundsAVX512(dst, src *[16]uint32, groups int)

//go:noescape
func roundsAVX2(dst, src *[16]uint32, groups int)

// walkAVX512 is a step of groups > 0 times four states.
//
//go:noescape
func walkAVX512(states, items *[16]uint32, groups int)

//go:noescape
func walkAVX2(states, items *[16]uint32, groups int)

func mixLines(l level, states, cache [][16]uint32, parents int) {
	if l == plain {
		mixLinesPlain(states, cache, parents)
		return
	}
	group := 8
	if l >= avx512 {
		group = 16
	}
	for len(states) > 0 {
		n := min(len(states), flight)
		switch {
		case n == 1:
			mixLinesPlain(states, cache, parents) // less than the time of a group
		case n%group == 0:
			mixGroups(l, states[:n], cache, parents)
		default:
			// States of zero fill the last group.
			var full [flight][16]uint32
			copy(full[:], states[:n])
			mixGroups(l, full[:(n+group-1)/group*group], cache, parents)
			copy(states, full[:n])
		}
		states = states[n:]
	}
}

func mixGroups(l level, states, cache [][16]uint32, parents int) {
	// This many steps of a flight are about 0.1 ms without preemption.
	const piece = 512
	mask := uint32(len(cache) - 1)
	for parents > 0 {
		n := min(parents, piece)
		if l >= avx512 {
			mixAVX512(&states[0], len(states)/16, &cache[0], mask, n)
		} else {
			mixAVX2(&states[0], len(states)/8, &cache[0], mask, n)
		}
		parents -= n
	}
}

// The other two take states four at a time, and so many in a piece that it is
// about 0.1 ms without preemption.
const four, piece = 4, 32 << 10

func rounds(l level, dst, src [][16]uint32) {
	if l == plain {
		roundsPlain(dst, src)
		return
	}
	for len(src) >= four {
		n := min(len(src), piece) / four
		roundsGroups(l, &dst[0], &src[0], n)
		dst, src = dst[n*four:], src[n*four:]
	}
	if len(src) > 0 {
		var s [four][16]uint32
		copy(s[:], src)
		roundsGroups(l, &s[0], &s[0], 1)
		copy(dst, s[:])
	}
}

func roundsGroups(l level, dst, src *[16]uint32, groups int) {
	if l >= avx512 {
		roundsAVX512(dst, src, groups)
	} else {
		roundsAVX2(dst, src, groups)
	}
}

func walk(l level, states, items [][16]uint32) {
	if l == plain {
		walkPlain(states, items)
		return
	}
	for len(items) >= four {
		n := min(len(items), piece) / four
		walkGroups(l, &states[0], &items[0], n)
		states, items = states[n*four:], items[n*four:]
	}
	if len(items) > 0 {
		var s, m [four][16]uint32
		copy(s[:], states)
		copy(m[:], items)
		walkGroups(l, &s[0], &m[0], 1)
		copy(states, s[:])
	}
}

func walkGroups(l level, states, items *[16]uint32, groups int) {
	if l >= avx512 {
		walkAVX512(states, items, groups)
	} else {
		walkAVX2(states, items, groups)
	}
}
