package cuda

import (
	"encoding/binary"

	"lukechampine.com/blake3/guts"

	"github.com/assaynet/assay/challenges"
	"github.com/assaynet/assay/challenges/commit"
	"github.com/assaynet/assay/gpu"
	"github.com/assaynet/assay/gpu/cuda/driver"
	"github.com/assaynet/assay/gpu/kernels"
)

// The contexts of the keys that are derived on the card; see package challenges.
const (
	contextKey  = "assay/matmul/key/v1"
	contextWalk = "assay/memory/walk/v1"
)

// Matrices A and B.
const (
	matrixA = 0
	matrixB = 1
)

// A message is what a key is derived from, in the frame of challenges.NextKey:
// each field behind its length in 8 bytes. A round's root is written where it
// stands in the message; its key is copied there, since kernels read and write
// hashes at multiples of 16 bytes only.
const (
	messageBytes = kernels.DeriveBytes // a message's place
	keyAt        = 8
	rootAt       = 48
	positionsAt  = 88
	maxPositions = (messageBytes - positionsAt) / 4
)

// contextWords is BLAKE3's key of a context for deriving keys: the hash of the
// context's name, one block or less.
func contextWords(context string) [32]byte {
	n := guts.CompressChunk([]byte(context), &guts.IV, 0, guts.FlagDeriveKeyContext)
	n.Flags |= guts.FlagRoot
	var out [32]byte
	for i, w := range guts.ChainingValue(n) {
		binary.LittleEndian.PutUint32(out[4*i:], w)
	}
	return out
}

// compute is a proof of compute.
type compute struct {
	job     gpu.Job
	shape   challenges.Shape
	maker   maker            // nil: lanes
	streams [2]driver.Stream // of products
	step    int              // rows of a strip

	messages driver.Devptr
	keys     driver.Devptr
	context  driver.Devptr
	host     *driver.Pinned   // the messages, the first key and the context, as the host fills them
	a, b     driver.Devptr    // lines; a: the lanes' coefficients
	scratch  [2]driver.Devptr // a stream's each
	made     driver.Event     // a strip of A
	done     [2]driver.Event  // a strip of C
}

// strips is how many pieces a round is made in at most: the first is made, and
// the last hashed, while the card's products wait.
const strips = 16

// fills is how many times the blocks of a strip fill the card at least. Two strips
// are multiplied at a time, so that one's last blocks and the other's first
// together fill it.
const fills = 2

// stripRows is how many rows of C are made at a time: whole tiles.
func (d *Device) stripRows(s challenges.Shape, m maker) int {
	g := d.program.Products[s.Flavour]
	tile := m.rows()
	blocks := uint64(g.Blocks(tile, s.N))
	least := ceil(fills*uint64(max(1, d.card.SMs)), blocks)
	return int(max(least, ceil(ceil(uint64(s.M), strips), uint64(tile)))) * tile
}

// take takes what the job needs beside the run's own.
func (w *compute) take(c *driver.Calls, h *driver.Holds) (err error) {
	rounds := w.job.Profile.Rounds
	if w.messages, err = h.Alloc(c, "messages", uint64(rounds*messageBytes)); err != nil {
		return err
	}
	if w.keys, err = h.Alloc(c, "messages", uint64((rounds+1)*32)); err != nil {
		return err
	}
	w.context = w.keys + driver.Devptr(rounds*32)
	if w.host, err = h.Host(c, "messages", rounds*messageBytes+64); err != nil {
		return err
	}
	if w.shape.Flavour == challenges.FP64 {
		w.a, err = h.Alloc(c, "coefficients", uint64(8*8*w.shape.K))
		return err
	}
	if err = h.StreamsFor(c, false, &w.streams[0], &w.streams[1]); err != nil {
		return err
	}
	if err = h.EventsFor(c, &w.made, &w.done[0], &w.done[1]); err != nil {
		return err
	}
	l := w.lines()
	if w.a, err = h.Alloc(c, "matrix A", l.size(w.shape.M)); err != nil {
		return err
	}
	if w.b, err = h.Alloc(c, "matrix B", l.size(w.shape.N)); err != nil {
		return err
	}
	for i := range w.scratch {
		if n := w.maker.scratch(); n > 0 && err == nil {
			w.scratch[i], err = h.Alloc(c, "scratch of "+w.maker.name(), n)
		}
	}
	return err
}

// lines is how A and B stand.
func (w *compute) lines() lines {
	return lines{w.shape.Flavour, w.shape.Line(), w.maker.tiled()}
}

// frame puts the frames of all messages on the card, and the first key.
func (w *compute) frame(q queue) error {
	rounds := w.job.Profile.Rounds
	for r := range rounds {
		m := w.host.B[r*messageBytes:][:messageBytes]
		clear(m)
		binary.LittleEndian.PutUint64(m, 32)
		binary.LittleEndian.PutUint64(m[rootAt-8:], 32)
	}
	first := challenges.FirstKey(w.job.ID, w.job.Device)
	words, end := contextWords(contextKey), rounds*messageBytes
	copy(w.host.B[keyAt:], first[:])
	copy(w.host.B[end:], first[:])
	copy(w.host.B[end+32:], words[:])
	if err := q.ToDevice(w.messages, w.host, 0, end, q.s); err != nil {
		return err
	}
	if err := q.ToDevice(w.keys, w.host, end, 32, q.s); err != nil {
		return err
	}
	return q.ToDevice(w.context, w.host, end+32, 32, q.s)
}

func (w *compute) beside() bool { return w.maker != nil }

func (w *compute) feeds(n int) int { return w.job.Profile.Feeds(n, w.job.Window) }

func (w *compute) message(n int) driver.Devptr { return w.messages + driver.Devptr(n)*messageBytes }

func (w *compute) key(n int) driver.Devptr { return w.keys + driver.Devptr(n)*32 }

func (w *compute) root(n int) driver.Devptr { return w.message(n) + rootAt }

// derive makes a key from the message of the round before it.
func (w *compute) derive(q queue, n, old int, packed []byte) error {
	if n == 0 {
		return nil // FirstKey
	}
	if old >= 0 {
		at := (n-1)*messageBytes + positionsAt - 8
		binary.LittleEndian.PutUint64(w.host.B[at:], uint64(len(packed)))
		copy(w.host.B[at+8:], packed)
		if err := q.ToDevice(w.messages+driver.Devptr(at), w.host, at, 8+len(packed), q.s); err != nil {
			return err
		}
	}
	if err := q.derive(w.context, w.message(n-1), positionsAt+len(packed), w.key(n)); err != nil {
		return err
	}
	return q.CopyDevice(w.message(n)+keyAt, w.key(n), 32, q.s)
}

// compute makes a round.
func (w *compute) compute(q queue, n int, s *slot) error {
	if w.shape.Flavour == challenges.FP64 {
		return w.lanes(q, n, s)
	}
	l, shape := w.lines(), w.shape
	if err := q.generate(w.key(n), w.b, l, matrixB, 0, shape.N); err != nil {
		return err
	}
	// While strips are multiplied the next one is made, and the one before is hashed.
	for i, first := 0, 0; first < shape.M; i, first = i+1, first+w.step {
		rows := min(w.step, shape.M-first)
		if err := q.generate(w.key(n), w.a, l, matrixA, first, rows); err != nil {
			return err
		}
		if err := q.Record(w.made, q.s); err != nil {
			return err
		}
		on := w.streams[i%2]
		if err := q.Wait(on, w.made); err != nil {
			return err
		}
		if err := w.maker.multiply(q.on(on), product{
			flavour: shape.Flavour, a: w.a + driver.Devptr(l.at(first)), b: w.b, scratch: w.scratch[i%2],
			c: s.data + driver.Devptr(first*shape.N*shape.Width()), m: rows, n: shape.N, lines: l,
		}); err != nil {
			return err
		}
		if err := q.Record(w.done[i%2], on); err != nil {
			return err
		}
		if i > 0 {
			if err := w.hash(q, s, i-1); err != nil {
				return err
			}
		}
	}
	return w.hash(q, s, (shape.M-1)/w.step)
}

// hash hashes a strip's chunks.
func (w *compute) hash(q queue, s *slot, strip int) error {
	if err := q.Wait(q.s, w.done[strip%2]); err != nil {
		return err
	}
	first := strip * w.step
	each := uint64(w.shape.N * w.shape.Width() / commit.ChunkBytes) // of a row
	return q.chunks(s.data, s.tree, uint64(first)*each, uint64(min(w.step, w.shape.M-first))*each)
}

// lanes makes a round of flavour fp64fma. There is little to hash: 8 bytes of
// thousands of steps.
func (w *compute) lanes(q queue, n int, s *slot) error {
	if err := q.coefficients(w.key(n), w.a, w.shape.K); err != nil {
		return err
	}
	if err := q.lanes(w.key(n), w.a, s.data, w.shape.Entries(), w.shape.K); err != nil {
		return err
	}
	return q.chunks(s.data, s.tree, 0, uint64(w.shape.Bytes()/commit.ChunkBytes))
}
