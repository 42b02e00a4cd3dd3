package telemetry

import (
	"math"
	"slices"
	"strings"

	"github.com/assaynet/assay/gpu/models"
)

// card is a record as rules look at it. Values are hostile 64-bit integers: all sums
// are in floating point, which does not wrap. Every checker must judge alike, so each
// product is converted to float64: Go may fuse it with a sum otherwise, and does on some
// machines.
type card struct {
	inventory *Inventory
	snapshots []Snapshot
	work      Work
	model     models.Spec // a row, a class, or zero
	known     bool        // a row
	sliced    bool        // MIG or a virtual card: rates of the whole card say nothing of the work
	rows      []models.Spec
}

// point is a reading with its time in seconds.
type point struct{ at, v float64 }

func newCard(r *Record, w Work) *card {
	c := &card{inventory: &r.Inventory, snapshots: r.Snapshots, work: w, rows: models.Table()}
	on, _ := c.most(MIG)
	c.sliced = r.Inventory.MIG || on == 1 || isSlice(r.Inventory.Name)
	c.model, c.known = c.named()
	if !c.known {
		c.model, _ = models.Class(int(r.Inventory.Major), int(r.Inventory.Minor), c.bandwidth())
	}
	return c
}

// isSlice is whether a name is of a part of a card: MIG's, as in "NVIDIA A100-SXM4-40GB
// MIG 1g.5gb", or a virtual card's, as in "NVIDIA A10-24Q" or "GRID T4-8C".
func isSlice(name string) bool {
	words := strings.Fields(name)
	if len(words) == 0 || slices.Contains(words, "MIG") {
		return len(words) > 0
	}
	_, profile, ok := strings.Cut(words[len(words)-1], "-")
	if size := strings.TrimRight(profile, "ABCQ"); ok && size != profile {
		return size != "" && strings.Trim(size, "0123456789") == ""
	}
	return false
}

// series is all readings of a kind in their order.
func (c *card) series(k Kind) []point { return readings(c.snapshots, k) }

// during is those that were taken while the work ran: neither the first snapshot nor
// the last, which are from before and after it.
func (c *card) during(k Kind) []point {
	if len(c.snapshots) < 3 {
		return nil
	}
	return readings(c.snapshots[1:len(c.snapshots)-1], k)
}

func readings(snapshots []Snapshot, k Kind) []point {
	var out []point
	for n := range snapshots {
		if v, ok := snapshots[n].Get(k); ok {
			out = append(out, point{snapshots[n].At.Seconds(), float64(v)})
		}
	}
	return out
}

// most is the highest reading of a kind.
func (c *card) most(k Kind) (float64, bool) {
	all := c.series(k)
	if len(all) == 0 {
		return 0, false
	}
	return slices.MaxFunc(all, func(a, b point) int { return compare(a.v, b.v) }).v, true
}

func compare(a, b float64) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}

// bandwidth is the memory's in bytes/s as the driver's figures make it; 0: not known.
func (c *card) bandwidth() uint64 {
	clock, _ := c.most(ClockMemoryMax)
	if b := float64(2*clock*1e6*float64(c.inventory.BusBits)) / 8; b > 0 && b < math.MaxInt64 {
		return uint64(b)
	}
	return 0
}

// named is the row that the card's name stands for. Where several rows have it, the
// one that the rest of the record fits best.
func (c *card) named() (models.Spec, bool) {
	i := c.inventory
	if s, ok := models.Match(i.Name, 0, 0, 0); ok {
		return s, true
	}
	total, _ := c.most(MemoryTotal)
	clock, _ := c.most(ClockMemoryMax)
	clock = float64(clock * 1e6)
	var best models.Spec
	most := -1
	for n, s := range c.rows {
		// Only rows of one name are left.
		if s.Names[0] == "" || !slices.ContainsFunc(c.rows, func(o models.Spec) bool { return o.Name != s.Name && o.Names == s.Names }) {
			continue
		}
		if got, ok := models.Match(i.Name, uint32(s.PCI[0]), s.Memory, s.SMs); !ok || got.Name != s.Name {
			continue
		}
		score := 0
		for weight, agrees := range map[int]bool{
			16: fits(s, total), 8: owns(s, i.PCIDevice), // ids are known in part
			4: i.BusBits == uint32(s.BusBits), 2: clock > float64(0.9*float64(s.MemoryHz)) && clock < float64(1.1*float64(s.MemoryHz)),
			1: i.Cores == uint32(s.SMs)*coresOf(s.Major, s.Minor),
		} {
			if agrees {
				score += weight
			}
		}
		if score > most {
			best, most = c.rows[n], score
		}
	}
	return best, most >= 0
}

// vendor is NVIDIA's on the PCI bus: the low half of NVML's device ids.
const vendor = 0x10de

// owns is whether a device id is a model's.
func owns(s models.Spec, id uint32) bool {
	return id&0xffff == vendor && id>>16 != 0 && slices.Contains(s.PCI[:], uint16(id>>16))
}

// owner is the row that has a device id.
func (c *card) owner(id uint32) (models.Spec, bool) {
	for _, s := range c.rows {
		if owns(s, id) {
			return s, true
		}
	}
	return models.Spec{}, false
}

// coresOf is how many cores an SM has by compute capability, as NVML counts them
// (CUDA programming guide, arithmetic instructions).
func coresOf(major, minor int) uint32 {
	if major == 7 || major == 8 && minor == 0 {
		return 64
	}
	return 128
}

// boost is the clock that a model's limits are taken from, Hz; 0: not known.
func boost(s models.Spec) float64 {
	return float64(max(s.ClockHz, s.TensorHz))
}

// clock is the highest clock in Hz that the SMs may have had: what the driver says,
// but no more than an owner's tuning adds to the model's. Where the driver does not
// say its maximum, all that.
func (c *card) clock() float64 {
	limit := float64(boost(c.model) * overclock)
	said, ok := c.most(ClockSMMax)
	if !ok {
		return limit
	}
	now, _ := c.most(ClockSM)
	if said = float64(max(said, now) * 1e6); limit == 0 {
		return max(said, 0)
	}
	return min(max(said, 0), limit)
}

// overclock is what tuning may add to the clocks of the table.
const overclock = 1.15

// rates are the most ops in a second and hertz that the units can do, by the best
// exact method: of a row its own, of another card the best of its compute capability.
func (c *card) rates() Rates {
	if c.known {
		return perHertz(c.model, float64(c.model.SMs))
	}
	sms := float64(c.inventory.Cores / coresOf(int(c.inventory.Major), int(c.inventory.Minor)))
	var best Rates
	for _, s := range c.rows {
		if s.Simulated || s.Major != int(c.inventory.Major) || s.Minor != int(c.inventory.Minor) {
			continue
		}
		r := perHertz(s, sms)
		best = Rates{max(best.Int8, r.Int8), max(best.BF16, r.BF16), max(best.FP64, r.FP64), 0}
	}
	return best
}

// perHertz are the ops in a second and hertz of so many SMs of a model.
func perHertz(s models.Spec, sms float64) Rates {
	clock := s.TensorHz
	if clock == 0 {
		clock = s.ClockHz
	}
	if clock == 0 || s.SMs == 0 {
		return Rates{}
	}
	e := s.Peak.Exact()
	// Products of 9-bit entries by int8 would take 2.5 products, were the smallest on
	// int4 units (models: nobody has shown that, but it is no accusation then).
	half := max(float64(e.BF16), float64(s.Peak.Int8)/2.5)
	share := sms / float64(s.SMs) / float64(clock)
	if s.Name == "a10g" || s.Name == "l40" {
		// Published at half of what the same units do in A10 and L40S: the datasheets
		// may be wrong, and a card that does better is not.
		share = float64(share * 2)
	}
	// The vector units' peak holds at the boost clock.
	fp64 := float64(float64(e.FP64)*sms) / float64(s.SMs) / max(boost(s), 1)
	return Rates{Int8: float64(float64(e.Int8) * share), BF16: float64(half * share), FP64: fp64}
}
