package checker_test

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/assaynet/assay/challenges"
	"github.com/assaynet/assay/challenges/memory"
	"github.com/assaynet/assay/checker"
	"github.com/assaynet/assay/prover"
)

const (
	ms = time.Millisecond
	// Of the devnet's epoch the last 1.2 s are for several devices at one time, and
	// 300 ms before that they are dialled.
	together = 3800 * ms
	dialled  = 3500 * ms
)

// within reports that a sum is that share of a claim, at least and at most.
func within(t *testing.T, name string, sum, claim uint64, least, most float64) {
	t.Helper()
	if share := float64(sum) / float64(max(1, claim)); share < least || share > most {
		t.Errorf("%s: %d of %d together, %.3f of it, want %.2f to %.2f", name, sum, claim, share, least, most)
	}
}

// TestFleetLeavesAtOneInstant: every device of a group is dialled ahead, and then
// all challenges leave at once; what they did together stands in every item.
func TestFleetLeavesAtOneInstant(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHall(t, fleets)
		two, one := h.host(2, "acme", nil, "sim-100", "sim-100"), h.host(3, "acme", nil, "sim-400")
		stranger := h.host(4, "else", nil, "sim-100")
		h.run(5 * time.Second)
		sent := h.heard("challenge", 0, 1)
		if len(sent) != 3 {
			t.Fatalf("%d challenges of three devices", len(sent))
		}
		ids := make(map[challenges.Hash]bool)
		for _, f := range sent {
			ids[f.id] = true
			if f.at != together {
				t.Errorf("%s of %s left at %v, want %v", f.challenge.Device, f.challenge.Provider.Short(), f.at, together)
			}
			if p, err := f.challenge.ComputeParams(); err != nil || p.Profile != 1 {
				t.Errorf("profile %d, %v, want that of int8 for all", p.Profile, err)
			}
		}
		for _, f := range h.said {
			if ids[f.id] && f.at < together {
				t.Errorf("%s at %v, before the instant", f.what, f.at)
			}
		}
		ahead := 0
		for _, d := range h.dials {
			if d.at >= dialled && d.at <= together && d.what != challenges.ProtoProbe && d.what != challenges.ProtoOffer {
				ahead++
				if d.at != dialled || d.challenge.Provider == stranger {
					t.Errorf("%s of %s dialled at %v", d.what, d.challenge.Provider.Short(), d.at)
				}
			}
		}
		if ahead != 6 {
			t.Errorf("%d streams were dialled ahead, want two a device", ahead)
		}
		run := h.joint(one, 0)
		if len(run) != 1 {
			t.Fatalf("%d items of a device", len(run))
		}
		for _, tt := range []struct {
			name  string
			p     challenges.NodeID
			items int
			claim uint64
		}{{"two devices", two, 2, 190e6}, {"one of another provider", one, 1, 380e6}, {"of no group", stranger, 0, 0}} {
			items := h.joint(tt.p, 0)
			if len(items) != tt.items || len(h.of(tt.p, 0)) != 2*max(1, tt.items)-map[bool]int{true: 1}[tt.items == 0] {
				t.Errorf("%s: %d items together of %d", tt.name, len(items), len(h.of(tt.p, 0)))
			}
			for _, it := range items {
				if it.Fleet != items[0].Fleet || it.Fleet.Run != run[0].Fleet.Run || it.Outcome != challenges.Pass || it.Slot != 0 {
					t.Errorf("%s: item %+v", tt.name, it)
				}
				if !ids[it.Challenge] {
					t.Errorf("%s: item of a challenge that left alone", tt.name)
				}
			}
			if tt.items == 0 {
				continue
			}
			part := items[0].Fleet
			if int(part.Devices) != tt.items || part.Group != 3 || part.Claim != tt.claim {
				t.Errorf("%s: %+v", tt.name, part)
			}
			within(t, tt.name, part.Sum, part.Claim, 1, 1.06) // a claim is 95 % of what the model does
			s, err := h.db.Standing(tt.p)
			if err != nil || len(s.Fleets) != 1 || s.Fleets[0].Ops != part.Sum || s.Fleets[0].Claim != part.Claim {
				t.Errorf("%s: figures %+v, %v", tt.name, s.Fleets, err)
			}
		}
	})
}

// TestFleetTakesTurns: compute and memory by turns, compute in each flavour, and a
// run of its own number each time.
func TestFleetTakesTurns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHall(t, fleets)
		p := h.host(2, "", nil, "sim-100", "sim-100")
		h.run(30 * time.Second)
		runs := make(map[challenges.Hash]bool)
		var rows []uint16
		for epoch := range uint64(6) {
			items := h.joint(p, epoch)
			if len(items) != 2 {
				t.Fatalf("epoch %d: %d items together", epoch, len(items))
			}
			if items[0].Profile != items[1].Profile {
				t.Errorf("epoch %d: profiles %d and %d", epoch, items[0].Profile, items[1].Profile)
			}
			rows = append(rows, items[0].Profile)
			runs[items[0].Fleet.Run] = true
		}
		if want := []uint16{1, 501, 3, 501, 4, 501}; !slices.Equal(rows, want) || len(runs) != 6 {
			t.Errorf("profiles %v of %d runs, want %v", rows, len(runs), want)
		}
		if s, err := h.db.Standing(p); err != nil || len(s.Fleets) != 6 {
			t.Errorf("%d figures of fleets, %v, want one a run", len(s.Fleets), err)
		}
	})
}

// TestFleetLateDial: who is connected late starts late, and what they did together
// begins with the first.
func TestFleetLateDial(t *testing.T) {
	for _, tt := range []struct {
		name  string
		lag   time.Duration // of each of two streams
		both  bool          // devices of the provider, else one
		late  time.Duration
		least float64
		most  float64
	}{
		{"at once", 0, false, 0, 1, 1.06},
		{"just in time", 150 * ms, false, 0, 1, 1.06},
		{"late", 250 * ms, false, 200 * ms, 0.9, 0.95}, // of a run of 840 ms one misses a quarter
		{"both late", 250 * ms, true, 200 * ms, 1, 1.06},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := newHall(t, fleets)
				near, far := h.host(2, "acme", nil, "sim-100", "sim-100"), h.host(3, "acme", nil, "sim-100")
				first := true // of the provider's two devices
				h.dial = func(p challenges.NodeID, proto string) (time.Duration, error) {
					if h.now() < dialled || p != near || !first {
						return 0, nil
					}
					first = proto != challenges.ProtoBulk || tt.both
					return tt.lag, nil
				}
				h.run(6 * time.Second)
				var at []time.Duration
				for _, f := range h.heard("challenge", 0, 1) {
					at = append(at, f.at)
				}
				slices.Sort(at)
				want := []time.Duration{together, together, together + tt.late}
				if tt.both {
					want[1] = want[2]
				}
				if !slices.Equal(at, want) {
					t.Errorf("challenges left at %v, want %v", at, want)
				}
				part := h.joint(near, 0)[0].Fleet
				within(t, "the late one's", part.Sum, part.Claim, tt.least, tt.most)
				if part := h.joint(far, 0)[0].Fleet; part.Sum < part.Claim {
					t.Errorf("another's run %+v suffers", part)
				}
			})
		})
	}
}

// memberFault is what one device of a fleet does, and what becomes of the others.
type memberFault struct {
	name      string
	admission prover.Admission
	dial      error  // of the bad one's streams
	keep      string // frames of the bad one's that never come
	reset     bool   // the bad one resets its stream
	outcome   challenges.Outcome
	void      bool          // the run says nothing of the bad one's provider
	sum       float64       // share of its claims else
	wait      time.Duration // of the others for it, after they were filled; -1: until the last instant
}

// TestFleetOfMemory: no nonce leaves before all have said that they are filled, or
// have ended, or had all the time for it that there is; and one that fails holds
// up nobody.
func TestFleetOfMemory(t *testing.T) {
	for _, tt := range []memberFault{
		{name: "none", outcome: challenges.Pass, sum: 0.9},
		{name: "never filled", keep: "filled", outcome: challenges.Unreachable, sum: 0.4, wait: -1},
		{name: "filled, and silent", keep: "root", outcome: challenges.Withheld, sum: 0.4},
		{name: "cannot be dialled", dial: challenges.ErrDial, outcome: challenges.Unreachable, sum: 0.4},
		{name: "resets its stream", reset: true, outcome: challenges.Unreachable, sum: 0.4},
		{name: "busy", admission: refuses("gpu1", challenges.ReasonBusy), outcome: challenges.Refused, sum: 0.4},
		{name: "rented", admission: refuses("gpu1", challenges.ReasonTenant), outcome: challenges.Refused, void: true},
		{name: "draining", admission: refuses("gpu1", challenges.ReasonDrain), outcome: challenges.Refused, void: true},
		{name: "in another challenge", admission: refuses("gpu1", challenges.ReasonCollision), outcome: challenges.Refused, void: true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if testing.Short() && tt.keep == "" && tt.outcome != challenges.Pass {
				t.Skip("slow under the race detector")
			}
			synctest.Test(t, tt.check)
		})
	}
}

func (tt memberFault) check(t *testing.T) {
	h := newHall(t, fleets)
	p, other := h.host(2, "acme", tt.admission, "sim-100", "sim-100"), h.host(3, "acme", nil, "sim-400")
	const begin = 5*time.Second + together
	bad := func(c challenges.Challenge) bool {
		return c.Provider == p && c.Device == "gpu1" && c.Seq == 1 && c.Epoch == 1
	}
	h.keep = func(f said) bool { return bad(f.challenge) && f.what == tt.keep }
	if tt.reset || tt.dial != nil {
		control := h.farm[p].handlers[challenges.ProtoControl]
		var asked atomic.Int32
		h.farm[p].handlers[challenges.ProtoControl] = func(ctx context.Context, from challenges.NodeID, c challenges.Conn) error {
			if h.now() > begin-300*ms-1 && asked.Add(1) == 2 && tt.reset {
				return challenges.ErrReset
			}
			return control(ctx, from, c)
		}
		dials := 0
		h.dial = func(to challenges.NodeID, proto string) (time.Duration, error) {
			if to == p && proto == challenges.ProtoControl && h.now() > begin-300*ms-1 {
				if dials++; dials == 2 {
					return 0, tt.dial
				}
			}
			return 0, nil
		}
	}
	h.run(15 * time.Second)

	nonces, filled := h.heard("nonce", 1, 1), h.heard("filled", 1, 1)
	var last, by time.Duration // the last that was filled; and the last instant
	for _, f := range filled {
		if f.what != tt.keep || !bad(f.challenge) {
			last = max(last, f.at)
		}
	}
	for _, f := range h.heard("challenge", 1, 1) {
		params, err := f.challenge.MemoryParams()
		if err != nil {
			t.Fatal(err)
		}
		by = max(by, begin+params.Dataset().FillBy(params.RTT))
		if f.at != begin {
			t.Errorf("%s left at %v", f.challenge.Device, f.at)
		}
	}
	want := last
	if tt.wait < 0 {
		want = by
	}
	if last <= begin || by <= last {
		t.Fatalf("filled by %v at the latest, by %v at the last instant", last, by)
	}
	for _, f := range nonces {
		if f.at != want {
			t.Errorf("the nonce of %s left at %v, want %v", f.challenge.Device, f.at, want)
		}
	}
	least := 2 // the others'
	if tt.outcome == challenges.Pass || tt.keep == "root" {
		least = 3
	}
	if len(nonces) != least {
		t.Errorf("%d nonces left, want %d", len(nonces), least)
	}

	items := h.joint(p, 1)
	if len(items) != 2 {
		t.Fatalf("%d items together, want the bad one's, too", len(items))
	}
	ended := make(map[challenges.Outcome]int)
	for _, it := range items {
		if ended[it.Outcome]++; it.Outcome != challenges.Pass && it.Device != "gpu1" && !tt.reset && tt.dial == nil {
			t.Errorf("%v of %s", it.Outcome, it.Device)
		}
		if it.Kind != challenges.Memory || it.Fleet != items[0].Fleet || it.Fleet.Devices != 2 {
			t.Errorf("%s: kind %s, part %+v", it.Device, it.Kind, it.Fleet)
		}
		if it.Claim != 2<<20 {
			t.Errorf("%s: claim %d, want the memory that is offered", it.Device, it.Claim)
		}
	}
	outcomes := map[challenges.Outcome]int{challenges.Pass: 1}
	if outcomes[tt.outcome]++; !maps.Equal(ended, outcomes) {
		t.Errorf("outcomes %v, want %v", ended, outcomes)
	}
	part := items[0].Fleet
	if tt.void {
		if part.Sum != 0 || part.Claim != 0 {
			t.Errorf("%+v of a run that says nothing", part)
		}
	} else {
		if claim := 2 * memory.Items(2<<20) * memory.ItemBytes; part.Claim != claim {
			t.Errorf("claim %d, want both datasets, %d", part.Claim, claim)
		}
		within(t, "the bad one's", part.Sum, part.Claim, tt.sum, tt.sum+0.1)
	}
	// It is another provider's run, too, and none of its business.
	if its := h.joint(other, 1); len(its) != 1 || its[0].Fleet.Run != part.Run || its[0].Outcome != challenges.Pass {
		t.Errorf("the other's items: %+v", its)
	} else {
		within(t, "the other's", its[0].Fleet.Sum, its[0].Fleet.Claim, 0.9, 1)
	}
	s, err := h.db.Standing(p)
	if err != nil {
		t.Fatal(err)
	}
	figures := 0
	for _, f := range s.Fleets {
		if f.Epoch == 1 {
			figures++
		}
	}
	if (figures == 0) != tt.void || figures > 1 {
		t.Errorf("%d figures of the run", figures)
	}
}

// TestFleetOfComputeRefused: as for memory.
func TestFleetOfComputeRefused(t *testing.T) {
	for _, tt := range []struct {
		reason string
		void   bool
	}{{challenges.ReasonBusy, false}, {challenges.ReasonQuota, false}, {challenges.ReasonFault, false}, {challenges.ReasonTenant, true}, {challenges.ReasonDrain, true}, {challenges.ReasonCollision, true}} {
		t.Run(tt.reason, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := newHall(t, fleets)
				p := h.host(2, "", refuses("gpu0", tt.reason), "sim-100", "sim-100")
				h.run(5 * time.Second)
				items := h.joint(p, 0)
				if len(items) != 2 {
					t.Fatalf("%d items", len(items))
				}
				part := items[0].Fleet
				if (part.Claim == 0) != tt.void || (part.Sum == 0) != tt.void {
					t.Errorf("%+v", part)
				}
				if !tt.void {
					within(t, tt.reason, part.Sum, part.Claim, 0.5, 0.53)
				}
			})
		})
	}
}

// TestFleetWithoutAPlace: who has none in time is left out, and nobody waits for
// it. One that would be left alone is not asked.
func TestFleetWithoutAPlace(t *testing.T) {
	for _, tt := range []struct{ places, want int }{{3, 3}, {2, 2}, {1, 0}, {0, 0}} {
		t.Run(fmt.Sprint(tt.places), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := newHall(t, fleets)
				p := h.host(2, "", nil, "sim-100", "sim-100", "sim-100")
				h.make()
				h.crowded(checker.MaxFlights-tt.places, dialled-ms, 4900*ms)
				h.run(5 * time.Second)
				sent := h.heard("challenge", 0, 1)
				for _, f := range sent {
					if f.at != together {
						t.Errorf("%s left at %v, want %v", f.challenge.Device, f.at, together)
					}
				}
				begun := 0
				for _, b := range h.store.begun {
					if b.At >= h.registry.Clock().Genesis.Add(dialled).UnixNano() {
						begun++
					}
				}
				items := h.joint(p, 0)
				if len(sent) != tt.want || begun != tt.want || len(items) != tt.want {
					t.Errorf("%d sent, %d written down, %d items; want %d of each", len(sent), begun, len(items), tt.want)
				}
				for _, it := range items {
					if int(it.Fleet.Devices) != tt.want || it.Fleet.Group != 3 {
						t.Errorf("%+v", it.Fleet)
					}
					within(t, it.Device, it.Fleet.Sum, it.Fleet.Claim, 1, 1.06)
				}
			})
		})
	}
}

// TestFleetThatCannotBeWrittenDown: who is not written down is not asked, and one
// that is left alone shows nothing.
func TestFleetThatCannotBeWrittenDown(t *testing.T) {
	for _, tt := range []struct {
		name  string
		fails func(n int) bool // the n-th of three
		want  int
	}{
		{"the second", func(n int) bool { return n == 2 }, 2},
		{"all but the first", func(n int) bool { return n > 1 }, 1},
		{"all", func(int) bool { return true }, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := newHall(t, fleets)
				p := h.host(2, "", nil, "sim-100", "sim-100", "sim-100")
				n := 0
				h.store.fail = func(op string, done bool) error {
					if op != "begin" || done || h.now() < dialled || h.now() > 5*time.Second {
						return nil
					}
					if n++; tt.fails(n) {
						return errDisk
					}
					return nil
				}
				h.run(5 * time.Second)
				sent, items := h.heard("challenge", 0, 1), h.joint(p, 0)
				if n != 3 || len(sent) != tt.want {
					t.Errorf("%d sent of %d, want %d", len(sent), n, tt.want)
				}
				if tt.want < 2 {
					if len(items) > 0 || len(h.of(p, 0)) != 3+tt.want {
						t.Errorf("%d items of a run of %d, %d in all", len(items), tt.want, len(h.of(p, 0)))
					}
					return
				}
				for _, it := range items {
					if it.Fleet.Devices != 2 || it.Fleet.Claim != 190e6 || it.Outcome != challenges.Pass {
						t.Errorf("%v, %+v", it.Outcome, it.Fleet)
					}
				}
				if pending, err := h.db.Pending(); err != nil || len(pending) > 0 {
					t.Errorf("%d pending, %v", len(pending), err)
				}
			})
		})
	}
}

// TestFleetOfOne: a group in which only one device has what is asked for is not
// asked for it, and nothing is written down of it.
func TestFleetOfOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHall(t, fleets)
		p := h.host(2, "acme", nil, "sim-100")
		h.host(3, "acme", nil, "sim-100")
		// The second provider's offer names a model of no class.
		w := h.farm[challenges.IDOf(testKey(3))]
		offer := challenges.Offer{
			Operator: "acme", Seq: 1, Issued: uint64(time.Now().Unix()), Expires: uint64(time.Now().Unix()) + 86400,
			Devices: []challenges.OfferDevice{{ID: "gpu0", Model: "RTX 9090", Memory: 2 << 20, Int8Ops: 95e6}},
		}
		env := challenges.Seal(h.registry.Hash(), challenges.KindOffer, challenges.Marshal(&offer), testKey(3))
		w.handlers[challenges.ProtoOffer] = func(ctx context.Context, _ challenges.NodeID, c challenges.Conn) error {
			return c.Send(ctx, challenges.Marshal(&env))
		}
		h.run(10 * time.Second)
		if n := len(h.heard("challenge", 0, 1)); n != 2 {
			t.Errorf("%d challenges of compute, want both devices'", n)
		}
		if n := len(h.heard("challenge", 1, 1)); n != 0 || len(h.joint(p, 1)) != 0 {
			t.Errorf("%d challenges of memory in a run of one", n)
		}
		begun := 0
		for _, b := range h.store.begun {
			if b.Epoch == 1 {
				begun++
			}
		}
		if begun != 2 {
			t.Errorf("%d challenges were written down in epoch 1, want the two alone", begun)
		}
	})
}

// TestFleetUnsignedReason: a reason that nobody signed excuses nobody.
func TestFleetUnsignedReason(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHall(t, fleets)
		p := h.host(2, "", nil, "sim-100", "sim-100")
		control := h.farm[p].handlers[challenges.ProtoControl]
		var asked atomic.Int32
		h.farm[p].handlers[challenges.ProtoControl] = func(ctx context.Context, from challenges.NodeID, c challenges.Conn) error {
			if h.now() >= dialled && asked.Add(1) == 2 {
				_, _ = c.Recv(ctx)
				_ = c.Send(ctx, append(challenges.NewRefusal(challenges.ReasonTenant, 0), make([]byte, 64)...))
				<-ctx.Done()
				return nil
			}
			return control(ctx, from, c)
		}
		h.run(5 * time.Second)
		items := h.joint(p, 0)
		if len(items) != 2 || items[1].Outcome == items[0].Outcome {
			t.Fatalf("items %+v", items)
		}
		within(t, "with an unsigned reason", items[0].Fleet.Sum, items[0].Fleet.Claim, 0.5, 0.53)
	})
}

// TestFleetStop: the checker's end in the middle is nobody's fault, nothing leaves
// after it, and the epoch is sealed with all items.
func TestFleetStop(t *testing.T) {
	for _, tt := range []struct {
		name string
		at   time.Duration
		sent int
	}{
		{"before the dial", dialled - ms, 0},
		{"between the dial and the instant", dialled + 100*ms, 0},
		{"while it runs", together + 300*ms, 2},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := newHall(t, fleets)
				p := h.host(2, "", nil, "sim-100", "sim-100")
				h.run(tt.at)
				if d := h.now(); d > tt.at {
					t.Errorf("it took until %v to stop", d)
				}
				if n := len(h.heard("challenge", 0, 1)); n != tt.sent {
					t.Errorf("%d challenges left, want %d", n, tt.sent)
				}
				for _, f := range h.said {
					if f.out && f.at >= tt.at {
						t.Errorf("%s left at %v, after the end", f.what, f.at)
					}
				}
				items := h.joint(p, 0)
				if want := map[bool]int{true: 2}[tt.at > dialled]; len(items) != want {
					t.Errorf("%d items together, want %d", len(items), want)
				}
				for _, it := range items {
					if it.Outcome != challenges.Unknown || it.Fleet.Sum != 0 || it.Fleet.Claim != 0 {
						t.Errorf("%v, %+v", it.Outcome, it.Fleet)
					}
				}
				if next, err := h.db.SealedEpoch(); err != nil || next != 1 {
					t.Errorf("sealed up to %d, %v", next, err)
				}
			})
		})
	}
}

// TestFleetInAnEpochEnteredLate: who comes too late to connect in time leaves the
// run out.
func TestFleetInAnEpochEnteredLate(t *testing.T) {
	for _, tt := range []struct {
		at   time.Duration
		want int
	}{{3 * time.Second, 2}, {dialled, 2}, {dialled + ms, 0}, {4 * time.Second, 0}} {
		t.Run(tt.at.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := newHall(t, fleets)
				h.host(2, "", nil, "sim-100", "sim-100")
				time.Sleep(tt.at)
				h.run(10 * time.Second)
				if n := len(h.heard("challenge", 0, 1)); n != tt.want {
					t.Errorf("%d challenges of the first epoch, want %d", n, tt.want)
				}
				if n := len(h.heard("challenge", 1, 1)); n != 2 {
					t.Errorf("%d challenges of the second epoch, want 2", n)
				}
			})
		})
	}
}

// TestFleetIsWaitedFor: an epoch is sealed only when its run is over, with it.
func TestFleetIsWaitedFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHall(t, fleets)
		p := h.host(2, "", nil, "sim-100", "sim-100")
		h.keep = func(f said) bool {
			return f.challenge.Seq == 1 && f.challenge.Epoch == 0 && f.challenge.Device == "gpu0"
		}
		var early, late uint64
		look := func(at time.Duration, into *uint64) {
			time.AfterFunc(at, func() { *into, _ = h.db.SealedEpoch() })
		}
		// The silent one is waited for until 3.8 + 6 x 0.88 + 0.5 s.
		look(9400*ms, &early)
		look(9800*ms, &late)
		h.run(20 * time.Second)
		if early != 0 || late < 1 {
			t.Errorf("sealed up to %d in the run, up to %d after it", early, late)
		}
		items := h.joint(p, 0)
		if len(items) != 2 || items[0].Fleet.Claim != 190e6 {
			t.Fatalf("items %+v", items)
		}
		within(t, "one is silent", items[0].Fleet.Sum, items[0].Fleet.Claim, 0.5, 0.53)
	})
}

// TestFleetPausedStore: while the store fails nobody is asked.
func TestFleetPausedStore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHall(t, fleets)
		p := h.host(2, "", nil, "sim-100", "sim-100")
		h.store.fail = func(op string, _ bool) error {
			if at := h.now(); op == "put_slices" && at > 2*time.Second && at < 5*time.Second {
				return errDisk
			}
			return nil
		}
		h.run(15 * time.Second)
		if n := len(h.heard("challenge", 0, 1)); n != 0 || len(h.joint(p, 0)) != 0 {
			t.Errorf("%d challenges left while the store failed", n)
		}
		if len(h.joint(p, 2)) != 2 {
			t.Error("none after it")
		}
	})
}
