package committee

import (
	"cmp"
	"encoding/binary"
	"slices"

	"lukechampine.com/blake3"

	"github.com/assaynet/assay/challenges"
)

// Slotted is one device of a global slot: an instant at which random halves of
// all devices, of whatever provider, run at once. Two devices that are one card
// are slow when both are in, and only then.
type Slotted struct {
	Epoch  uint64
	Index  int    // of the slot in its epoch
	Number uint64 // of the slot since genesis
	Target Target
}

// Pair is two devices that passed the screen of the sharing test. What A shows
// decides, B is the load.
type Pair struct{ A, B Target }

// SlotNumber numbers the slots since genesis.
func SlotNumber(p *Params, epoch uint64, index int) uint64 {
	return epoch/uint64(max(1, p.SlotEvery))*uint64(p.Slots) + uint64(index)
}

// SlotPlan is a checker's part of the global slots of an epoch, by slot, then
// target. Every SlotEvery epochs there are Slots of them. A device is in with
// probability 1/2, and one checker runs it. Of a watched pair A is in every slot
// and B in half of them. All checkers that know the same devices and the same
// pairs plan the same.
//
// Who is in hangs on the beacon. Until it comes from drand it is known ahead, and
// so are the slots: a cheat can free a second card for just those in which both
// of its devices run, be rented in them, or disturb the checker that runs one.
// The test then finds only who does not bother. What it finds holds either way:
// no provider can put another's device into a slot.
func SlotPlan(r *Registry, beacon challenges.Hash, checker challenges.NodeID, epoch uint64, targets []Target, watched []Pair) []Slotted {
	if epoch%uint64(max(1, r.Params.SlotEvery)) != 0 || r.Index(checker) < 0 {
		return nil
	}
	targets = slices.Clone(targets)
	slices.SortFunc(targets, Target.Compare)
	targets = slices.Compact(targets)
	watched = slices.Clone(watched)
	slices.SortFunc(watched, func(a, b Pair) int { return cmp.Or(a.A.Compare(b.A), a.B.Compare(b.B)) })
	var out []Slotted
	for index := range int(r.Params.Slots) {
		n := SlotNumber(&r.Params, epoch, index)
		set := targeted(&r.Params, n, watched)
		for _, t := range targets {
			in, ok := set[t]
			if !ok {
				in = drawn("slot", beacon[:], number(n), t.append(nil))[0]&1 == 1
			}
			if in && r.first("slot checker", beacon[:], number(n), t.append(nil)) == checker {
				out = append(out, Slotted{epoch, index, n, t})
			}
		}
	}
	return out
}

// targeted says of each watched device whether it is in a slot. Of several pairs
// with the same device the first decides.
func targeted(p *Params, n uint64, watched []Pair) map[Target]bool {
	in := make(map[Target]bool)
	set := func(t Target, to bool) {
		if _, ok := in[t]; !ok {
			in[t] = to
		}
	}
	for _, w := range watched {
		if w.A != w.B {
			set(w.A, true)
			set(w.B, together(p, n, w))
		}
	}
	return in
}

// together reports whether B runs beside A: in exactly half of the slots of each
// block of SharingTargeted, in an order that is shuffled anew for each. The order
// hangs on no beacon, as the block's slots have many: who knows that it is watched
// knows the whole block ahead.
func together(p *Params, n uint64, w Pair) bool {
	size := uint64(max(2, p.SharingTargeted))
	h := blake3.New(32, nil)
	h.Write(framed("block", [][]byte{w.A.append(nil), w.B.append(nil), number(n / size)}))
	random := h.XOF()
	place := make([]uint64, size) // of each of the block's slots in the shuffled order
	for i := range place {
		place[i] = uint64(i)
	}
	for i := size - 1; i > 0; i-- {
		var b [8]byte
		_, _ = random.Read(b[:]) // an XOF has no end
		j := binary.LittleEndian.Uint64(b[:]) % (i + 1)
		place[i], place[j] = place[j], place[i]
	}
	return place[n%size] < size/2
}
