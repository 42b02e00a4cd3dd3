package simd

// flight is how many states look for their lines at the same time: enough to
// hide the way to memory, and few enough to stay in the first cache.
const flight = 64

func roundsPlain(dst, src [][16]uint32) {
	for i := range src {
		doubleRound(&dst[i], &src[i])
	}
}

// mixLinesPlain takes every step with a flight of states, first all the lines
// and then all the arithmetic, so that the lines come at the same time.
func mixLinesPlain(states, cache [][16]uint32, parents int) {
	mask := uint32(len(cache) - 1)
	for len(states) > 0 {
		now := states[:min(len(states), flight)]
		for range parents {
			for i := range now {
				xorState(&now[i], &cache[now[i][0]&mask])
			}
			roundsPlain(now, now)
		}
		states = states[len(now):]
	}
}

func walkPlain(states, items [][16]uint32) {
	for i := range states {
		xorState(&states[i], &items[i])
		doubleRound(&states[i], &states[i])
	}
}

func xorState(s, m *[16]uint32) {
	for i := range s {
		s[i] ^= m[i]
	}
}

// doubleRound is four quarter rounds on the columns of the matrix and four on
// its diagonals. An array literal as the result would be built aside and copied.
func doubleRound(dst, src *[16]uint32) {
	x0, x1, x2, x3 := src[0], src[1], src[2], src[3]
	x4, x5, x6, x7 := src[4], src[5], src[6], src[7]
	x8, x9, x10, x11 := src[8], src[9], src[10], src[11]
	x12, x13, x14, x15 := src[12], src[13], src[14], src[15]
	x0, x4, x8, x12 = quarter(x0, x4, x8, x12)
	x1, x5, x9, x13 = quarter(x1, x5, x9, x13)
	x2, x6, x10, x14 = quarter(x2, x6, x10, x14)
	x3, x7, x11, x15 = quarter(x3, x7, x11, x15)
	x0, x5, x10, x15 = quarter(x0, x5, x10, x15)
	x1, x6, x11, x12 = quarter(x1, x6, x11, x12)
	x2, x7, x8, x13 = quarter(x2, x7, x8, x13)
	x3, x4, x9, x14 = quarter(x3, x4, x9, x14)
	dst[0], dst[1], dst[2], dst[3] = x0, x1, x2, x3
	dst[4], dst[5], dst[6], dst[7] = x4, x5, x6, x7
	dst[8], dst[9], dst[10], dst[11] = x8, x9, x10, x11
	dst[12], dst[13], dst[14], dst[15] = x12, x13, x14, x15
}
