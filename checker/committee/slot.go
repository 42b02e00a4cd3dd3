package committee

import (
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
// and B in half of them; where pairs are in each other's way the earlier goes
// first. All checkers that know the same devices and the same pairs, in the same
// order, plan the same.
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
	var out []Slotted
	for index := range int(r.Params.Slots) {
		n := SlotNumber(&r.Params, epoch, index)
		set := targeted(&r.Params, n, watched)
		for _, t := range targets {
			in, ok := set[t]
			if !ok {
				// SPEC: G4. In if the least bit of the draw's first byte is set.
				in = drawn("slot", beacon[:], number(n), t.append(nil))[0]&1 == 1
			}
			if in && r.first("slot checker", beacon[:], number(n), t.append(nil)) == checker {
				out = append(out, Slotted{epoch, index, n, t})
			}
		}
	}
	return out
}

// targeted says of each watched device whether it is in a slot. A pair waits if
// one of its devices has the other part in an earlier pair.
func targeted(p *Params, n uint64, watched []Pair) map[Target]bool {
	in := make(map[Target]bool)
	partners := make(map[Target]int) // of an A
	load := make(map[Target]bool)    // is a B
	for _, w := range watched {
		if w.A == w.B || load[w.A] || partners[w.B] > 0 {
			continue
		}
		in[w.A] = true
		if !load[w.B] { // else it keeps its part, which is as good for this pair
			load[w.B], in[w.B] = true, together(p, n, w.A, partners[w.A])
		}
		partners[w.A]++
	}
	return in
}

// together reports whether a partner of A runs beside it: in exactly half of the
// slots of each block of SharingTargeted, in an order that is shuffled anew for
// each. Each further partner is in half of the slots of those before it and in
// half of the others, so that at most one can look like the cause. The order hangs
// on no beacon, as the block's slots have many: who knows that it is watched knows
// the whole block ahead.
func together(p *Params, n uint64, a Target, partner int) bool {
	size := uint64(max(2, p.SharingTargeted))
	h := blake3.New(32, nil)
	h.Write(framed("block", [][]byte{a.append(nil), number(n / size)}))
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
	width := max(2, size>>min(partner, 16))
	return place[n%size]%width < width/2
}
