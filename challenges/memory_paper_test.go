package challenges

import (
	"encoding/binary"
	"math/big"

	"lukechampine.com/blake3"
)

// A proof of memory, written a second time from docs/PROTOCOL.md (D1, D2): the
// dataset in bytes, keys by the second BLAKE3, roots by an ordinary one. None of it
// calls package memory.

// paperDataset is a dataset of the vectors' row.
type paperDataset struct {
	key   Hash
	cache [][]byte
	items uint64
}

// The vectors' row, as the table in D3 has it.
const (
	paperLines   = 16
	paperParents = 3
	paperWindow  = 1 << 10
	paperBatch   = 64
	paperSteps   = 16
)

func newPaperDataset(id Hash, device string, items uint64) paperDataset {
	d := paperDataset{key: paperDerive("assay/memory/dataset/v1", framed(id[:], []byte(device))), items: items}
	d.cache = append(d.cache, paperChaCha8(d.key, 4, 0)) // L/256 is less than one
	for len(d.cache) < paperLines {
		d.cache = append(d.cache, paperMix(d.cache[len(d.cache)-1], make([]byte, 64)))
	}
	return d
}

// paperMix is a double round of what two states of 64 bytes XOR to.
func paperMix(a, b []byte) []byte {
	var x [16]uint32
	for i := range x {
		x[i] = binary.LittleEndian.Uint32(a[4*i:]) ^ binary.LittleEndian.Uint32(b[4*i:])
	}
	var out []byte
	for _, w := range paperRounds(x, 2) {
		out = binary.LittleEndian.AppendUint32(out, w)
	}
	return out
}

func (d paperDataset) item(i uint64) []byte {
	s := paperChaCha8(d.key, 5, i)
	for range paperParents {
		s = paperMix(s, d.cache[binary.LittleEndian.Uint32(s)%paperLines])
	}
	return s
}

// walks is how many there are in a round.
func (d paperDataset) walks() uint64 { return d.items / 16 / 128 * 128 }

// paperWalk is one walk: where it began, what it read, where it ended.
type paperWalk struct {
	start, last []byte
	windows     []uint64
	items       []uint64
}

func (d paperDataset) walk(round Hash, w uint64) (out paperWalk) {
	windows := (d.items + paperWindow - 1) / paperWindow
	size := d.items / windows
	s := paperChaCha8(round, 6, w)
	out.start = s
	for t := range uint64(paperSteps) {
		window := (w/paperBatch + t/8) % windows
		x := new(big.Int).SetUint64(binary.LittleEndian.Uint64(s))
		at := x.Rsh(x.Mul(x, new(big.Int).SetUint64(size)), 64).Uint64()
		out.windows, out.items = append(out.windows, window), append(out.items, window*size+at)
		s = paperMix(s, d.item(window*size+at))
	}
	out.last = s
	return out
}

// output is what a walk commits to.
func (w paperWalk) output() []byte { return w.last[8:16] }

// root commits to all walks of a round.
func (d paperDataset) root(round Hash) Hash {
	var outputs []byte
	for w := range d.walks() {
		outputs = append(outputs, d.walk(round, w).output()...)
	}
	return blake3.Sum256(outputs)
}

// paperWalkKey is the key of round r; root is zeros in round 0.
func paperWalkKey(dataset, nonce Hash, r int, root Hash) Hash {
	return paperDerive("assay/memory/walk/v1", framed(dataset[:], nonce[:], binary.LittleEndian.AppendUint64(nil, uint64(r)), root[:]))
}

func paperWalkNonce(secret Secret, id Hash) Hash {
	return Hash(paperKeyed(secret[:], framed([]byte("walk"), id[:]), 32))
}
