package cuda

import (
	"encoding/binary"

	"github.com/assaynet/assay/challenges"
	"github.com/assaynet/assay/gpu/cuda/driver"
)

// A walk's message, in the frame of challenges.WalkKey: the dataset's key, the
// nonce, the round, the root of the round before.
const (
	walkMessage = 256 // a message's place
	walkBase    = 8   // before the first message: its root is then at a multiple of 16
	walkNonceAt = 48
	walkRoundAt = 88
	walkRootAt  = 104
	walkBytes   = 136
)

// walk is the rounds of walks of a proof of memory.
type walk struct {
	set   *dataset
	nonce challenges.Hash

	messages driver.Devptr // one more than rounds: a root stands in the next one's
	keys     driver.Devptr
	context  driver.Devptr
	host     *driver.Pinned
}

// take takes what the walks need beside the run's own.
func (w *walk) take(c *driver.Calls, h *driver.Holds) (err error) {
	n := w.set.set.Rounds + 1
	if w.messages, err = h.Alloc(c, "messages", uint64(walkBase+n*walkMessage)); err != nil {
		return err
	}
	if w.keys, err = h.Alloc(c, "messages", uint64(n*32)); err != nil {
		return err
	}
	if w.context, err = h.Alloc(c, "messages", 32); err != nil {
		return err
	}
	w.host, err = h.Host(c, "messages", n*walkMessage+32)
	return err
}

// frame puts the frames of all messages on the card.
func (w *walk) frame(q queue) error {
	n := w.set.set.Rounds + 1
	for r := range n {
		m := w.host.B[r*walkMessage:][:walkMessage]
		clear(m)
		binary.LittleEndian.PutUint64(m, 32)
		copy(m[8:], w.set.key[:])
		binary.LittleEndian.PutUint64(m[walkNonceAt-8:], 32)
		copy(m[walkNonceAt:], w.nonce[:])
		binary.LittleEndian.PutUint64(m[walkRoundAt-8:], 8)
		binary.LittleEndian.PutUint64(m[walkRoundAt:], uint64(r))
		binary.LittleEndian.PutUint64(m[walkRootAt-8:], 32)
	}
	words := contextWords(contextWalk)
	copy(w.host.B[n*walkMessage:], words[:])
	if err := q.ToDevice(w.message(0), w.host, 0, n*walkMessage, q.s); err != nil {
		return err
	}
	return q.ToDevice(w.context, w.host, n*walkMessage, 32, q.s)
}

func (*walk) beside() bool { return false }

// feeds: no key waits for positions.
func (w *walk) feeds(int) int { return -1 }

func (w *walk) message(n int) driver.Devptr {
	return w.messages + walkBase + driver.Devptr(n)*walkMessage
}

func (w *walk) key(n int) driver.Devptr { return w.keys + driver.Devptr(n)*32 }

func (w *walk) root(n int) driver.Devptr { return w.message(n+1) + walkRootAt }

func (w *walk) derive(q queue, n, _ int, _ []byte) error {
	return q.derive(w.context, w.message(n), walkBytes, w.key(n))
}

// compute leads the walks of a round, and hashes their outputs.
func (w *walk) compute(q queue, n int, s *slot) error {
	set := w.set.set
	walks, each := set.Walks(), perLaunch(set.ReadRate/uint64(set.Steps))
	for first := uint64(0); first < walks; first += each {
		if err := q.lead(w.set, w.key(n), s.data, first, min(each, walks-first)); err != nil {
			return err
		}
	}
	return q.chunks(s.data, s.tree, 0, walks/128)
}
