package challenges

import (
	"encoding/binary"
	"errors"
	"math"
	"math/big"
	"math/bits"
	"slices"
)

// The generator and the arithmetic of every flavour, written a second time from
// docs/PROTOCOL.md (M0): integers are summed in 64 bits, and a fused multiply-add
// is exact, in as many bits as it takes, before it is rounded once. None of it
// calls production code or [math.FMA].

// paperChaCha8 is one generator block.
func paperChaCha8(key Hash, matrix uint32, counter uint64) []byte {
	var in [16]uint32
	for i, c := range []byte("expand 32-byte k") {
		in[i/4] |= uint32(c) << (8 * (i % 4))
	}
	for i := range 8 {
		in[4+i] = binary.LittleEndian.Uint32(key[4*i:])
	}
	in[12], in[13], in[14], in[15] = uint32(counter), uint32(counter>>32), matrix, 0
	x := paperRounds(in, 8)
	var out []byte
	for i := range x {
		out = binary.LittleEndian.AppendUint32(out, x[i]+in[i])
	}
	return out
}

// paperRounds is so many rounds of ChaCha: the state is an array and the rounds
// walk index tables.
func paperRounds(x [16]uint32, rounds int) [16]uint32 {
	columns := [4][4]int{{0, 4, 8, 12}, {1, 5, 9, 13}, {2, 6, 10, 14}, {3, 7, 11, 15}}
	diagonals := [4][4]int{{0, 5, 10, 15}, {1, 6, 11, 12}, {2, 7, 8, 13}, {3, 4, 9, 14}}
	for round := range rounds {
		table := columns
		if round%2 == 1 {
			table = diagonals
		}
		for _, q := range table {
			for step, turn := range []int{16, 12, 8, 7} {
				to, with, mixed := q[0], q[1], q[3]
				if step%2 == 1 {
					to, with, mixed = q[2], q[3], q[1]
				}
				x[to] += x[with]
				x[mixed] = bits.RotateLeft32(x[mixed]^x[to], turn)
			}
		}
	}
	return x
}

// paperBytes are n bytes of a matrix from byte from on.
func paperBytes(key Hash, matrix uint32, from, n int) []byte {
	var out []byte
	for block := from / 64; len(out) < n+from%64; block++ {
		out = append(out, paperChaCha8(key, matrix, uint64(block))...)
	}
	return out[from%64:][:n]
}

// paperLine are the integers of a line of K entries: row or column i of matrix 0
// or 1.
func paperLine(s Shape, key Hash, matrix uint32, i int) []int64 {
	out := make([]int64, s.K)
	if s.Flavour == Int8 {
		for k, b := range paperBytes(key, matrix, i*s.K, s.K) {
			out[k] = int64(b) - 256*int64(b>>7)
		}
		return out
	}
	b := paperBytes(key, matrix, 2*i*s.K, 2*s.K)
	for k := range out {
		out[k] = int64(b[2*k])
		if b[2*k+1]%2 == 1 {
			out[k] = -out[k]
		}
	}
	return out
}

// paperEntry is an entry as the integer of its bytes.
func paperEntry(s Shape, key Hash, e int) uint64 {
	if s.Flavour == FP64 {
		steps := paperLane(s, key, e)
		return steps[len(steps)-1].Next
	}
	var sum int64
	b := paperLine(s, key, 1, e%s.N)
	for k, a := range paperLine(s, key, 0, e/s.N) {
		sum += a * b[k]
	}
	return uint64(sum) % (1 << 32)
}

// paperStart is a lane's start value, as bits, and its constant.
func paperStart(key Hash, e int) (x, constant uint64) {
	b := paperBytes(key, 2, 16*e, 16)
	const low = 1 << 52
	return 1023*low + binary.LittleEndian.Uint64(b)%low, binary.LittleEndian.Uint64(b[8:]) % low
}

// paperCoefficients are the eight of a step.
func paperCoefficients(key Hash, step int) (c [8]float64) {
	block := paperChaCha8(key, 3, uint64(step))
	for i := range c {
		w := binary.LittleEndian.Uint64(block[8*i:])
		c[i] = math.Ldexp(1+float64(w%(1<<52))/(1<<52), int(w>>52%16)-8)
		if w>>63 == 1 {
			c[i] = -c[i]
		}
	}
	return c
}

// laneStep is one step of a lane, all as bits.
type laneStep struct {
	X       uint64
	P       [8]uint64 // after each multiply-add
	Rotated uint64    // the 52 bits of the mantissa, rotated
	Next    uint64
}

// paperLane walks lane e.
func paperLane(s Shape, key Hash, e int) []laneStep {
	x, constant := paperStart(key, e)
	var out []laneStep
	for t := range s.K {
		step := laneStep{X: x}
		p := math.Float64frombits(x)
		for i, c := range paperCoefficients(key, t) {
			p = paperFMA(p, math.Float64frombits(x), c)
			step.P[i] = math.Float64bits(p)
		}
		m := step.P[7] % (1 << 52)
		step.Rotated = m%(1<<35)*(1<<17) + m>>35
		x = 1023<<52 + (step.Rotated ^ constant)
		step.Next = x
		out = append(out, step)
	}
	return out
}

// paperFMA is a x b + c, rounded once to 53 bits, to the even one of two equally
// near. Nothing here leaves the normal range.
func paperFMA(a, b, c float64) float64 {
	exact := new(big.Float).SetPrec(600)
	exact.Mul(big.NewFloat(a), big.NewFloat(b))
	exact.Add(exact, big.NewFloat(c))
	if exact.Acc() != big.Exact {
		panic("600 bits are too few")
	}
	out, acc := new(big.Float).SetPrec(53).SetMode(big.ToNearestEven).Set(exact).Float64()
	if acc != big.Exact {
		panic("out of range")
	}
	return out
}

// paperOpening verifies an opening as package commit's second verifier does: it
// rebuilds the root from the chunks and the siblings in the order of M4.
func paperOpening(root Hash, s Shape, entries []uint32, opening []byte) ([]uint64, error) {
	size := 4
	if s.Flavour == FP64 {
		size = 8
	}
	chunks, held := s.M*s.N*size/1024, map[int][]byte{}
	for c := range chunks {
		if slices.ContainsFunc(entries, func(e uint32) bool { return int(e)*size/1024 == c }) {
			if len(opening) < 1024 {
				return nil, errors.New("short of chunks")
			}
			held[c], opening = opening[:1024], opening[1024:]
		}
	}
	var rebuild func(first, count int) paperNode
	value := func(first, count int) [8]uint32 {
		for c := first; c < first+count; c++ {
			if held[c] != nil {
				return rebuild(first, count).cv()
			}
		}
		if len(opening) < 32 {
			return [8]uint32{}
		}
		cv := paperWords(opening)
		opening = opening[32:]
		return cv
	}
	rebuild = func(first, count int) paperNode {
		if count == 1 {
			return paperLeaf(paperIV, 0, held[first], uint64(first))
		}
		left := 1
		for 2*left < count {
			left *= 2
		}
		l := value(first, left)
		return paperJoin(paperIV, 0, l, value(first+left, count-left))
	}
	if top := rebuild(0, chunks); Hash(top.out(32)) != root || len(opening) > 0 {
		return nil, errors.New("another root")
	}
	var values []uint64
	for _, e := range entries {
		b := append(slices.Clone(held[int(e)*size/1024][int(e)*size%1024:][:size]), 0, 0, 0, 0)
		values = append(values, binary.LittleEndian.Uint64(b))
	}
	return values, nil
}
