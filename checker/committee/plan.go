package committee

import (
	"encoding/binary"
	"slices"
	"time"

	"lukechampine.com/blake3"

	"github.com/assaynet/assay/challenges"
)

// Target is one device of one provider.
type Target struct {
	Provider challenges.NodeID
	Device   string
}

// Assignment is one challenge that a checker must send.
type Assignment struct {
	Epoch    uint64
	At       time.Duration // after the start of the epoch
	Provider challenges.NodeID
	Device   string
	Turn     uint64 // modulo the number of things to measure, whose turn it is
	Seq      uint32
}

// Plan is a checker's GPU challenges of one epoch that ask for one device alone,
// in order of time. Checkers get disjoint slots on a device, so that one job does
// not meet another; where the registry has more checkers than slots, they take
// turns over the epochs. A checker outside the registry has no plan.
func Plan(r *Registry, checker challenges.NodeID, epoch uint64, targets []Target) []Assignment {
	i := r.Index(checker)
	if i < 0 {
		return nil
	}
	n := len(r.Checkers)
	alone := r.Params.TogetherAt()
	open := max(1, min(n, int(alone/r.Params.MinSlot)))
	// Devices start a little apart within the slot, for the checker's own sake, as far
	// as the last of them still ends before that part of the epoch does.
	apart := max(0, min(alone/time.Duration(40*open), (alone-time.Duration(open)*r.Params.MinSlot)/7))
	length := (alone - 7*apart) / time.Duration(open)
	var out []Assignment
	for _, t := range targets {
		turn := rotation(t, 0)
		slot := int((uint64(i) + turn%uint64(n) + epoch) % uint64(n))
		if slot >= open {
			continue
		}
		out = append(out, Assignment{
			Epoch: epoch, At: time.Duration(slot)*length + time.Duration(turn>>32%8)*apart,
			Provider: t.Provider, Device: t.Device, Turn: flavourTurn(t, epoch, n == open),
		})
	}
	slices.SortFunc(out, func(a, b Assignment) int {
		switch {
		case a.At != b.At:
			return int(a.At - b.At)
		case a.Provider != b.Provider:
			return a.Provider.Compare(b.Provider)
		}
		return slices.Compare([]byte(a.Device), []byte(b.Device))
	})
	return out
}

// flavourTurn steps through the flavours where every checker meets the device in
// every epoch. Where they meet it in turns it is drawn: steps could keep pace with
// the turns, and one checker would see one flavour for ever.
func flavourTurn(t Target, epoch uint64, all bool) uint64 {
	if all {
		return rotation(t, 0)%1024 + epoch
	}
	return rotation(t, epoch+1)
}

// rotation spreads the devices, over the slots for epoch 0, the same for every
// checker whatever other devices it knows.
func rotation(t Target, epoch uint64) uint64 {
	h := blake3.New(8, nil)
	h.Write(t.Provider[:])
	h.Write([]byte(t.Device))
	if epoch > 0 {
		h.Write(binary.LittleEndian.AppendUint64(nil, epoch))
	}
	return binary.LittleEndian.Uint64(h.Sum(nil))
}
