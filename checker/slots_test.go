package checker_test

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/assaynet/assay/challenges"
	"github.com/assaynet/assay/checker"
	"github.com/assaynet/assay/checker/committee"
	"github.com/assaynet/assay/prover"
)

// inSlots is a network with three global slots in every epoch and, until long
// after, no fleet challenges.
func inSlots(p *committee.Params) { p.FleetEvery = 60_000 }

// crowd adds providers of one device each, each of an operator of its own.
func (h *hall) crowd(n int) (out []challenges.NodeID) {
	h.t.Helper()
	for i := range n {
		out = append(out, h.host(byte(2+i), fmt.Sprint("operator ", i), nil, "sim-100"))
	}
	return out
}

// planned is what the hall's one checker has to run in an epoch's global slots.
func (h *hall) planned(epoch uint64) []committee.Slotted {
	var targets []committee.Target
	for id, o := range h.offers {
		for _, d := range o.Devices {
			targets = append(targets, committee.Target{Provider: id, Device: d.ID})
		}
	}
	return committee.SlotPlan(&h.registry, h.registry.Hash(), challenges.IDOf(testKey(1)), epoch, targets, nil)
}

// ran is what left in an epoch's slots: by slot and device, when.
func (h *hall) ran(epoch uint64) map[committee.Slotted]time.Duration {
	out := make(map[committee.Slotted]time.Duration)
	for index := range int(h.registry.Params.Slots) {
		for _, f := range h.heard("challenge", epoch, uint32(2+index)) {
			if f.challenge.Kind == challenges.Probe {
				continue // probes are numbered by their slice
			}
			s := committee.Slotted{
				Epoch: epoch, Index: index, Number: committee.SlotNumber(&h.registry.Params, epoch, index),
				Target: committee.Target{Provider: f.challenge.Provider, Device: f.challenge.Device},
			}
			out[s] = f.at
		}
	}
	return out
}

// TestSlots: in each global slot just those devices run that the plan has in it,
// all at once, and their items say which slot it was.
func TestSlots(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHall(t, inSlots)
		h.crowd(6)
		h.run(15 * time.Second)
		in, items := 0, 0
		for epoch := range uint64(3) {
			plan, ran := h.planned(epoch), h.ran(epoch)
			if len(plan) != len(ran) {
				t.Errorf("epoch %d: %d ran, want %d", epoch, len(ran), len(plan))
			}
			slotOf := make(map[committee.Target][]uint64)
			for _, s := range plan {
				in++
				slotOf[s.Target] = append(slotOf[s.Target], s.Number+1)
				want := time.Duration(epoch)*5*time.Second + together + time.Duration(s.Index)*400*ms
				if at, ok := ran[s]; !ok || at != want {
					t.Errorf("%+v left at %v, want %v", s, at, want)
				}
			}
			for p := range h.offers {
				var got []uint64
				for _, it := range h.of(p, epoch) {
					if it.Slot == 0 {
						continue
					}
					items++
					got = append(got, it.Slot)
					if it.Outcome != challenges.Pass || it.Profile != 10 || it.Kind != challenges.Matmul || it.OpsLower < it.Claim || it.Fleet.Devices != 0 {
						t.Errorf("epoch %d: item %+v", epoch, it)
					}
				}
				slices.Sort(got)
				if want := slotOf[committee.Target{Provider: p, Device: "gpu0"}]; !slices.Equal(got, want) {
					t.Errorf("epoch %d: items of slots %v, want %v", epoch, got, want)
				}
			}
		}
		// Half of six devices in nine slots.
		if in < 15 || in > 40 || items != in {
			t.Errorf("%d in the slots, %d items", in, items)
		}
	})
}

// TestSlotsLeaveFleetsAlone: a device that is in a fleet challenge of the epoch
// sits its slots out.
func TestSlotsLeaveFleetsAlone(t *testing.T) {
	if testing.Short() {
		t.Skip("slow under the race detector")
	}
	synctest.Test(t, func(t *testing.T) {
		h := newHall(t, func(p *committee.Params) { p.FleetEvery = 2 })
		h.crowd(4)
		pair := h.host(50, "pair", nil, "sim-100", "sim-100")
		h.run(20 * time.Second)
		out, in := 0, 0
		for epoch := range uint64(4) {
			busy := len(h.joint(pair, epoch)) > 0
			ran := h.ran(epoch)
			for _, s := range h.planned(epoch) {
				_, ok := ran[s]
				switch {
				case s.Target.Provider == pair && busy:
					if out++; ok {
						t.Errorf("epoch %d: %s ran in slot %d and in a fleet challenge", epoch, s.Target.Device, s.Index)
					}
				case !ok:
					t.Errorf("epoch %d: %s of %s did not run in slot %d", epoch, s.Target.Device, s.Target.Provider.Short(), s.Index)
				case s.Target.Provider == pair:
					in++
				}
			}
			for _, it := range h.of(pair, epoch) {
				if it.Outcome != challenges.Pass {
					t.Errorf("epoch %d: %v of slot %d, profile %d", epoch, it.Outcome, it.Slot, it.Profile)
				}
			}
		}
		if out == 0 || in == 0 {
			t.Errorf("of the pair %d were to sit out and %d to run: the plan says little", out, in)
		}
	})
}

// TestSlotsEverySoOften: epochs between have none, and numbers go on.
func TestSlotsEverySoOften(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHall(t, func(p *committee.Params) { p.FleetEvery, p.SlotEvery, p.Slots = 60_000, 2, 2 })
		h.crowd(8) // so that no slot's draw leaves all of them out
		h.run(25 * time.Second)
		seen := make(map[uint64]bool)
		for epoch := range uint64(5) {
			ran := h.ran(epoch)
			if (len(ran) > 0) != (epoch%2 == 0) {
				t.Errorf("epoch %d: %d ran", epoch, len(ran))
			}
			for s := range ran {
				seen[s.Number] = true
			}
		}
		if got := slices.Sorted(maps.Keys(seen)); !slices.Equal(got, []uint64{0, 1, 2, 3, 4, 5}) {
			t.Errorf("slots %v", got)
		}
	})
}

// lateSlot is a device of one slot that is known to be in it, and a hall of which
// it is one.
func lateSlot(t *testing.T) (h *hall, s committee.Slotted) {
	t.Helper()
	h = newHall(t, inSlots)
	h.crowd(6)
	plan := h.planned(0)
	i := slices.IndexFunc(plan, func(s committee.Slotted) bool { return s.Index == 2 })
	if i < 0 {
		t.Fatal("nobody is in the last slot")
	}
	return h, plan[i]
}

// TestSlotLeftLate: who ran, but not beside the others, was not in the slot. A
// provider chooses when a dial succeeds.
func TestSlotLeftLate(t *testing.T) {
	for _, tt := range []struct {
		lag  time.Duration // of each of two streams, dialled 300 ms before
		slot bool
	}{{140 * ms, true}, {175 * ms, true}, {200 * ms, false}} {
		t.Run(tt.lag.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h, s := lateSlot(t)
				at := h.registry.Params.SlotAt(s.Index)
				h.dial = func(p challenges.NodeID, _ string) (time.Duration, error) {
					if p == s.Target.Provider && h.now() >= at-300*ms && h.now() < at+100*ms {
						return tt.lag, nil
					}
					return 0, nil
				}
				h.run(6 * time.Second)
				left, ok := h.ran(0)[s]
				if want := max(at, at-300*ms+2*tt.lag); !ok || left != want {
					t.Fatalf("left at %v, want %v", left, want)
				}
				found := false
				for _, it := range h.of(s.Target.Provider, 0) {
					found = found || it.Slot == s.Number+1
				}
				if found != tt.slot {
					t.Errorf("an item of the slot: %v, want %v", found, tt.slot)
				}
			})
		})
	}
}

// TestSlotWithoutAPlace: who has none in time is not run later, beside others.
func TestSlotWithoutAPlace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, _ := lateSlot(t)
		h.make()
		h.crowded(checker.MaxFlights, dialled-ms, together+10*ms)
		h.run(6 * time.Second)
		ran := h.ran(0)
		for _, s := range h.planned(0) {
			if at, ok := ran[s]; ok != (s.Index > 0) || ok && at != h.registry.Params.SlotAt(s.Index) {
				t.Errorf("slot %d: ran %v, at %v", s.Index, ok, at)
			}
		}
	})
}

// TestSlotIsWaitedFor: an epoch is sealed only when its last slot is over.
func TestSlotIsWaitedFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, s := lateSlot(t)
		h.keep = func(f said) bool {
			return f.challenge.Epoch == 0 && f.challenge.Kind == challenges.Matmul && f.challenge.Seq == 4 && f.challenge.Provider == s.Target.Provider
		}
		var early, late uint64
		look := func(at time.Duration, into *uint64) {
			time.AfterFunc(at, func() { *into, _ = h.db.SealedEpoch() })
		}
		// The silent one is waited for until 4.6 + 6 x 0.22 + 0.5 s.
		look(6300*ms, &early)
		look(6600*ms, &late)
		h.run(10 * time.Second)
		if early != 0 || late != 1 {
			t.Errorf("sealed up to %d in the slot, up to %d after it", early, late)
		}
		found := false
		for _, it := range h.of(s.Target.Provider, 0) {
			if it.Slot == s.Number+1 {
				found = it.Outcome == challenges.Unreachable
			}
		}
		if !found {
			t.Errorf("items %+v, want one unreachable in slot %d", h.of(s.Target.Provider, 0), s.Number+1)
		}
	})
}

// TestSlotStop: as for fleets, and in a slot that is to come nothing is begun.
func TestSlotStop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, _ := lateSlot(t)
		const end = together + 100*ms // in the first slot, when the second is dialled
		h.run(end)
		unknown, passed := 0, 0
		for p := range h.offers {
			for _, it := range h.of(p, 0) {
				switch {
				case it.Slot > 0 && it.Outcome == challenges.Unknown:
					unknown++
				case it.Slot == 0 && it.Outcome == challenges.Pass:
					passed++
				default:
					t.Errorf("item %+v", it)
				}
			}
		}
		first, second := 0, 0
		for _, s := range h.planned(0) {
			switch s.Index {
			case 0:
				first++
			case 1:
				second++
			}
		}
		if unknown != first || second == 0 || passed != 6 {
			t.Errorf("%d unknown, %d passed; %d were in the first slot and %d in the second", unknown, passed, first, second)
		}
		for _, f := range h.said {
			if f.out && f.at >= end {
				t.Errorf("%s left at %v, after the end", f.what, f.at)
			}
		}
		if next, err := h.db.SealedEpoch(); err != nil || next != 1 {
			t.Errorf("sealed up to %d, %v", next, err)
		}
		if pending, err := h.db.Pending(); err != nil || len(pending) > 0 {
			t.Errorf("%d pending, %v", len(pending), err)
		}
	})
}

// TestSlotsInAnEpochEnteredLate: the slots that can still be dialled in time are
// run, the others not.
func TestSlotsInAnEpochEnteredLate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, _ := lateSlot(t)
		time.Sleep(dialled + 50*ms)
		h.run(5 * time.Second)
		ran := h.ran(0)
		for _, s := range h.planned(0) {
			if _, ok := ran[s]; ok != (s.Index > 0) {
				t.Errorf("slot %d: ran %v", s.Index, ok)
			}
		}
	})
}

// TestSlotsWithinTheQuota: what one checker asks of a device in an epoch, a gate
// of the network's own parameters takes.
func TestSlotsWithinTheQuota(t *testing.T) {
	if testing.Short() {
		t.Skip("slow under the race detector")
	}
	synctest.Test(t, func(t *testing.T) {
		h := newHall(t, func(p *committee.Params) { p.FleetEvery, p.PerEpoch = 60_000, 1+p.Slots })
		for i := range 4 {
			h.host(byte(2+i), fmt.Sprint(i), prover.NewGate(prover.GateConfig{PerEpoch: h.registry.Params.PerEpoch}), "sim-100")
		}
		h.run(50 * time.Second)
		full := 0
		for p := range h.offers {
			for epoch := range uint64(10) {
				items := h.of(p, epoch)
				if len(items) == 1+int(h.registry.Params.Slots) {
					full++
				}
				for _, it := range items {
					if it.Outcome != challenges.Pass {
						t.Errorf("epoch %d: %v %s of slot %d", epoch, it.Outcome, it.Reason, it.Slot)
					}
				}
			}
		}
		if full == 0 {
			t.Error("no device was in all slots of an epoch")
		}
	})
}

// TestSlotFaults: a fault of the store in the middle of slots loses no item.
func TestSlotFaults(t *testing.T) {
	for _, op := range []string{"begin", "finish"} {
		t.Run(op, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h, _ := lateSlot(t)
				h.store.fail = func(o string, done bool) error {
					if at := h.now(); o == op && !done && at > together+50*ms && at < 6*time.Second {
						return errDisk
					}
					return nil
				}
				ctx, cancel := context.WithDeadline(t.Context(), h.registry.Clock().Start(4).Add(-ms))
				defer cancel()
				h.runUntil(ctx)
				want := make(map[int]int) // of each slot; those not begun are left out
				for s := range h.ran(0) {
					want[s.Index]++
				}
				got := make(map[int]int)
				for p := range h.offers {
					for _, it := range h.of(p, 0) {
						if it.Slot > 0 {
							got[int(it.Slot-1)]++
						}
						if it.Outcome != challenges.Pass {
							t.Errorf("item %+v", it)
						}
					}
				}
				if !maps.Equal(got, want) || len(h.ran(3)) == 0 {
					t.Errorf("items of slots %v, ran %v; %d ran after the fault", got, want, len(h.ran(3)))
				}
				if pending, err := h.db.Pending(); err != nil || len(pending) > 0 {
					t.Errorf("%d pending, %v", len(pending), err)
				}
			})
		})
	}
}
