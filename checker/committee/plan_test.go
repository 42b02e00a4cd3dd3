package committee

import (
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/assaynet/assay/challenges"
)

func testTargets(n int) []Target {
	var out []Target
	for i := range n {
		out = append(out, Target{Provider: testID(100 + i/2), Device: fmt.Sprint("gpu", i%2)})
	}
	return out
}

// openSlots is how many slots of checkers fit before the part of an epoch that is
// kept free.
func openSlots(p Params) int { return int((p.Epoch - p.MinSlot) / p.MinSlot) }

// drawParams makes any epoch with a slot that fits twice.
func drawParams(t *rapid.T) Params {
	p := Standard()
	p.Epoch = time.Duration(rapid.Int64Range(int64(time.Second), int64(24*time.Hour)).Draw(t, "epoch"))
	p.MinSlot = min(p.Epoch/2, max(1, time.Duration(rapid.Float64Range(0.001, 0.5).Draw(t, "slot")*float64(p.Epoch))))
	if rapid.Bool().Draw(t, "tight") { // so that slots fill what there is
		p.Epoch = p.MinSlot * (p.Epoch / p.MinSlot)
	}
	return p
}

// The part of an epoch that is kept free is free: a challenge that begins as late
// as any ends before it, and before the next one to the same device, if it takes
// no longer than a slot. Some devices start apart where there is room for it.
func TestPlanKeepsTheLastSlotFree(t *testing.T) {
	apart := 0
	rapid.Check(t, func(t *rapid.T) {
		p := drawParams(t)
		n := rapid.IntRange(1, 30).Draw(t, "checkers")
		r := testRegistry(n, p)
		targets := testTargets(rapid.IntRange(1, 20).Draw(t, "targets"))
		epoch := rapid.Uint64Range(0, 1<<40).Draw(t, "epoch")
		all := make(map[Target][]time.Duration)
		begun := make(map[time.Duration]bool)
		for _, m := range r.Checkers {
			for _, a := range Plan(r, m.ID, epoch, targets) {
				if a.At < 0 || a.At+p.MinSlot > p.TogetherAt() {
					t.Fatalf("%d checkers: %v at %v, its slot of %v ends after %v", n, a.Device, a.At, p.MinSlot, p.TogetherAt())
				}
				begun[a.At] = true
				tg := Target{a.Provider, a.Device}
				all[tg] = append(all[tg], a.At)
			}
		}
		for tg, at := range all {
			if len(at) != min(n, openSlots(p)) {
				t.Fatalf("%d checkers: %d challenges of %v, %d slots", n, len(at), tg.Device, openSlots(p))
			}
			slices.Sort(at)
			for i := 1; i < len(at); i++ {
				if at[i]-at[i-1] < p.MinSlot {
					t.Fatalf("%d checkers: %v asked at %v and %v, slot is %v", n, tg.Device, at[i-1], at[i], p.MinSlot)
				}
			}
		}
		if len(begun) > min(n, openSlots(p)) {
			apart++
		}
	})
	if apart == 0 {
		t.Error("all devices of a slot begin at one instant")
	}
}

// One device must never be asked by two checkers at once, also not across the
// border of two epochs: the gaps between its challenges are at least a slot.
func TestPlanKeepsCheckersApart(t *testing.T) {
	targets := testTargets(4)
	for _, params := range []Params{Standard(), Devnet()} {
		open := openSlots(params)
		for n := 1; n <= 20; n++ {
			r := testRegistry(n, params)
			all := make(map[Target][]time.Duration)
			for epoch := range uint64(n + 2) {
				count := make(map[Target]int)
				for _, m := range r.Checkers {
					for _, a := range Plan(r, m.ID, epoch, targets) {
						tg := Target{a.Provider, a.Device}
						if a.Epoch != epoch || a.At < 0 || a.At >= params.Epoch {
							t.Fatalf("%d checkers, epoch %d: %+v", n, epoch, a)
						}
						count[tg]++
						all[tg] = append(all[tg], time.Duration(epoch)*params.Epoch+a.At)
					}
				}
				for _, tg := range targets {
					if want := min(n, open); count[tg] != want {
						t.Fatalf("%d checkers, epoch %d: %d challenges of %s, want %d", n, epoch, count[tg], tg.Device, want)
					}
				}
			}
			for tg, at := range all {
				slices.Sort(at)
				for i := 1; i < len(at); i++ {
					if gap := at[i] - at[i-1]; gap < params.MinSlot {
						t.Fatalf("%d checkers: %s asked at %v and %v, %v apart, slot is %v", n, tg.Device, at[i-1], at[i], gap, params.MinSlot)
					}
				}
			}
		}
	}
}

// Nobody may be able to keep a checker from a device for good.
func TestPlanGivesEveryCheckerEveryDevice(t *testing.T) {
	targets := testTargets(6)
	for n := 1; n <= 20; n++ {
		r := testRegistry(n, Devnet())
		const first = 1000
		for _, m := range r.Checkers {
			met := make(map[Target]int)
			for epoch := uint64(first); epoch < first+uint64(n); epoch++ {
				for _, a := range Plan(r, m.ID, epoch, targets) {
					met[Target{a.Provider, a.Device}]++
				}
			}
			want := min(n, openSlots(r.Params))
			for _, tg := range targets {
				if met[tg] != want {
					t.Fatalf("%d checkers: one met %s %d times in %d epochs, want %d", n, tg.Device, met[tg], n, want)
				}
			}
		}
	}
}

// Flavours take turns by the turn, so it must rise by one each epoch, and be the
// same for all checkers: they measure the same thing in the same epoch. Devices
// start apart from each other.
func TestPlanTurns(t *testing.T) {
	r := testRegistry(3, Standard())
	targets := testTargets(12)
	first := make(map[Target]uint64)
	for epoch := range uint64(7) {
		for _, m := range r.Checkers {
			plan := Plan(r, m.ID, epoch, targets)
			if len(plan) != len(targets) {
				t.Fatalf("epoch %d: %d challenges of %d devices", epoch, len(plan), len(targets))
			}
			for _, a := range plan {
				tg := Target{a.Provider, a.Device}
				if _, ok := first[tg]; !ok {
					first[tg] = a.Turn
				}
				if want := first[tg] + epoch; a.Turn != want {
					t.Errorf("epoch %d: %s has turn %d, want %d", epoch, a.Device, a.Turn, want)
				}
			}
		}
	}
	begin := make(map[uint64]bool)
	for _, turn := range first {
		begin[turn%uint64(len(challenges.Flavours()))] = true
	}
	if len(begin) != len(challenges.Flavours()) {
		t.Errorf("%d devices begin with %d flavours", len(targets), len(begin))
	}
}

func TestPlanOfAStrangerIsEmpty(t *testing.T) {
	if got := Plan(testRegistry(3, Standard()), testID(9), 0, testTargets(4)); len(got) != 0 {
		t.Errorf("%d challenges", len(got))
	}
}

// Two nodes that know the same targets, learned in any order, plan the same; a
// node that knows more targets plans the common ones the same.
func TestPlanIsPure(t *testing.T) {
	r := testRegistry(9, Standard())
	rapid.Check(t, func(t *rapid.T) {
		checker := testID(rapid.IntRange(0, 8).Draw(t, "checker"))
		epoch := rapid.Uint64Range(0, 1<<40).Draw(t, "epoch")
		targets := testTargets(rapid.IntRange(0, 12).Draw(t, "targets"))
		want := Plan(r, checker, epoch, targets)

		shuffled := slices.Clone(targets)
		rnd := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 0))
		rnd.Shuffle(len(shuffled), func(i, j int) { shuffled[i], shuffled[j] = shuffled[j], shuffled[i] })
		if got := Plan(r, checker, epoch, shuffled); !reflect.DeepEqual(got, want) {
			t.Fatalf("plan %v, in another order %v", want, got)
		}
		if !slices.IsSortedFunc(want, func(a, b Assignment) int { return int(a.At - b.At) }) {
			t.Fatalf("plan is not in order of time: %v", want)
		}

		few := targets[:len(targets)/2]
		var kept []Assignment
		for _, a := range want {
			if slices.Contains(few, Target{a.Provider, a.Device}) {
				kept = append(kept, a)
			}
		}
		if got := Plan(r, checker, epoch, few); !reflect.DeepEqual(got, kept) {
			t.Fatalf("plan of fewer targets %v, want %v", got, kept)
		}
	})
}

// However checkers take turns at a device, each of them comes to see every flavour.
func TestPlanTurnsReachEveryFlavour(t *testing.T) {
	for _, slots := range []int{1, 2, 3, 20} {
		params := Standard()
		params.MinSlot = params.Epoch / time.Duration(slots+1)
		for n := 1; n <= 9; n++ {
			r := testRegistry(n, params)
			targets := testTargets(2) // of one provider
			// By how many things are measured (memory is one more), and who measures what.
			var seen [5]map[string]map[uint64]bool
			for epoch := range uint64(40 * n) {
				for _, m := range r.Checkers {
					for _, a := range Plan(r, m.ID, epoch, targets) {
						who := m.Name + a.Device
						for things := 1; things < len(seen); things++ {
							if seen[things] == nil {
								seen[things] = make(map[string]map[uint64]bool)
							}
							if seen[things][who] == nil {
								seen[things][who] = make(map[uint64]bool)
							}
							seen[things][who][a.Turn%uint64(things)] = true
						}
					}
				}
			}
			for things := 1; things < len(seen); things++ {
				if len(seen[things]) != n*len(targets) {
					t.Errorf("%d slots, %d checkers: %d met a device", slots, n, len(seen[things]))
				}
				for who, s := range seen[things] {
					if len(s) != things {
						t.Errorf("%d slots, %d checkers: %s met %d things of %d", slots, n, who, len(s), things)
					}
				}
			}
		}
	}
}
