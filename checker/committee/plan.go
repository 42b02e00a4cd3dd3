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
	Turn     uint64 // rises by one each epoch: flavours take turns by it
	Seq      uint32
}

// Plan is a checker's GPU challenges of one epoch, in order of time. Checkers
// get disjoint slots on a device, so that one job does not meet another; where
// the registry has more checkers than slots, they take turns over the epochs.
// A checker outside the registry has no plan.
func Plan(r *Registry, checker challenges.NodeID, epoch uint64, targets []Target) []Assignment {
	i := r.Index(checker)
	if i < 0 {
		return nil
	}
	n := len(r.Checkers)
	open := max(1, min(n, int(r.Params.Epoch/r.Params.MinSlot)))
	length := r.Params.Epoch / time.Duration(open)
	var out []Assignment
	for _, t := range targets {
		turn := rotation(t)
		slot := int((uint64(i) + turn%uint64(n) + epoch) % uint64(n))
		if slot >= open {
			continue
		}
		// Devices start a little apart within the slot, for the checker's own sake.
		stagger := time.Duration(turn>>32%8) * (length / 40)
		out = append(out, Assignment{
			Epoch: epoch, At: time.Duration(slot)*length + stagger,
			Provider: t.Provider, Device: t.Device, Turn: turn%1024 + epoch,
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

// rotation spreads the devices over the slots, the same for every checker
// whatever other devices it knows.
func rotation(t Target) uint64 {
	h := blake3.New(8, nil)
	h.Write(t.Provider[:])
	h.Write([]byte(t.Device))
	return binary.LittleEndian.Uint64(h.Sum(nil))
}
