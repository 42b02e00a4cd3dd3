package memory

import (
	"encoding/binary"
	"math/big"
	"math/bits"
)

// The dataset and its walks, written a second time from docs/PROTOCOL.md (M0, D1,
// D2) and slow on purpose. None of it calls production code.

type paperWords = [16]uint32

// paperRounds is so many rounds of ChaCha, a column round first.
func paperRounds(x paperWords, rounds int) paperWords {
	for round := range rounds {
		for lane := range 4 {
			at := [4]int{lane, lane + 4, lane + 8, lane + 12}
			if round%2 == 1 {
				at = [4]int{lane, 4 + (lane+1)%4, 8 + (lane+2)%4, 12 + (lane+3)%4}
			}
			a, b, c, d := x[at[0]], x[at[1]], x[at[2]], x[at[3]]
			for _, turns := range [2][2]int{{16, 12}, {8, 7}} {
				a += b
				d = bits.RotateLeft32(d^a, turns[0])
				c += d
				b = bits.RotateLeft32(b^c, turns[1])
			}
			x[at[0]], x[at[1]], x[at[2]], x[at[3]] = a, b, c, d
		}
	}
	return x
}

// paperBlock is a block of the generator, as words.
func paperBlock(key [32]byte, matrix uint32, index uint64) paperWords {
	in := paperWords{0x61707865, 0x3320646e, 0x79622d32, 0x6b206574} // "expand 32-byte k"
	for i := range 8 {
		in[4+i] = binary.LittleEndian.Uint32(key[4*i:])
	}
	in[12], in[13], in[14] = uint32(index%(1<<32)), uint32(index/(1<<32)), matrix
	out := paperRounds(in, 8)
	for i := range out {
		out[i] += in[i]
	}
	return out
}

func paperXOR(a, b paperWords) paperWords {
	for i := range a {
		a[i] ^= b[i]
	}
	return a
}

// paperCache makes all lines, each from the one that it follows.
func paperCache(key [32]byte, lines int) []paperWords {
	chains := lines / 256
	if chains == 0 {
		chains = 1
	}
	var out []paperWords
	for i := range lines {
		if i < chains {
			out = append(out, paperBlock(key, 4, uint64(i)))
		} else {
			out = append(out, paperRounds(out[i-chains], 2))
		}
	}
	return out
}

func paperItem(key [32]byte, cache []paperWords, parents int, i uint64) paperWords {
	s := paperBlock(key, 5, i)
	for range parents {
		s = paperRounds(paperXOR(s, cache[int(s[0])%len(cache)]), 2)
	}
	return s
}

// paperTurn is one step of a walk: the item that it reads.
type paperTurn struct {
	window, item uint64
}

// paperWalk leads one walk; its turns and its output.
func paperWalk(d Dataset, key [32]byte, cache []paperWords, round [32]byte, w uint64) (turns []paperTurn, output uint64) {
	windows := d.Items / d.Window
	if d.Items%d.Window > 0 {
		windows++
	}
	size := d.Items / windows
	s := paperBlock(round, 6, w)
	for t := range uint64(d.Steps) {
		window := (w/d.Batch + t/8) % windows
		x := new(big.Int).SetUint64(uint64(s[0]) + uint64(s[1])<<32)
		x.Mul(x, new(big.Int).SetUint64(size)).Rsh(x, 64)
		item := window*size + x.Uint64()
		turns = append(turns, paperTurn{window, item})
		s = paperRounds(paperXOR(s, paperItem(key, cache, d.Parents, item)), 2)
	}
	return turns, uint64(s[2]) + uint64(s[3])<<32
}
