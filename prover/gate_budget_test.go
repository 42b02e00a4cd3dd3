package prover

import (
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/assaynet/assay/challenges"
)

// job runs a job of a checker on a device, at a gate that takes it.
func job(t *testing.T, g *Gate, id, checker byte, device string, epoch uint64, length time.Duration) {
	t.Helper()
	release, refusal := g.Admit(gateRequest(id, checker, device, epoch))
	if refusal != nil {
		t.Fatalf("job %d refused with %+v", id, refusal)
	}
	time.Sleep(length)
	release()
	release() // ends nothing more
}

func gateRequest(id, checker byte, device string, epoch uint64) Request {
	return Request{
		ID: challenges.Hash{id}, Checker: challenges.NodeID{checker},
		Challenge: challenges.Challenge{Device: device, Epoch: epoch},
	}
}

// TestGateBudgets: each case has spent something, and asks once more. What is
// refused until a time is refused a moment before it and taken at it.
func TestGateBudgets(t *testing.T) {
	const m = time.Minute
	tests := []struct {
		name         string
		gpu, checker time.Duration // budgets
		spend        func(t *testing.T, g *Gate)
		until        time.Duration // 0: admitted
		ids          []byte
	}{
		{"no bounds", 0, 0, func(t *testing.T, g *Gate) { job(t, g, 1, 1, "a", 1, 10*time.Hour) }, 0, nil},
		{"within", 10 * m, 5 * m, func(t *testing.T, g *Gate) { job(t, g, 1, 1, "a", 1, 5*m-1) }, 0, nil},
		// The first minute of the five must have left the window: it did a day after it
		// was used, four minutes before now.
		{"the checker's own", 10 * m, 4 * m, func(t *testing.T, g *Gate) { job(t, g, 1, 1, "a", 1, 5*m) }, Day - 4*m + 1, []byte{1}},
		{"another checker's", 0, 5 * m, func(t *testing.T, g *Gate) { job(t, g, 1, 2, "a", 1, 50*m) }, 0, nil},
		{"another device's", 5 * m, 5 * m, func(t *testing.T, g *Gate) { job(t, g, 1, 1, "b", 1, 50*m) }, 0, nil},
		{"the device's, used by others", 5 * m, 3 * m, func(t *testing.T, g *Gate) {
			job(t, g, 2, 2, "a", 1, m)
			job(t, g, 3, 3, "a", 1, 3*m)
			job(t, g, 4, 2, "a", 2, m)
			job(t, g, 5, 1, "b", 2, m) // no part of it
		}, Day - 6*m + 1, []byte{3, 4, 2}},
		{"both, the checker's own for longer", 6 * m, 4 * m, func(t *testing.T, g *Gate) {
			job(t, g, 1, 2, "a", 1, 3*m)
			job(t, g, 2, 1, "a", 1, 4*m)
		}, Day - 4*m + 1, []byte{2}},
		{"both, the device's for longer", 4*m + time.Second, 4 * m, func(t *testing.T, g *Gate) {
			job(t, g, 1, 1, "a", 1, 4*m)
			job(t, g, 2, 2, "a", 1, 3*m)
		}, Day - 4*m - time.Second + 1, []byte{1, 2}},
		{"pieces with pauses", 0, 7 * m / 2, func(t *testing.T, g *Gate) {
			for i := range byte(4) {
				job(t, g, i+1, 1, "a", uint64(i), m)
				time.Sleep(time.Hour)
			}
			// Half of the first must go, and a ns.
		}, Day - 4*time.Hour - 4*m + m/2 + 1, []byte{4, 3, 2, 1}},
		{"half out of the window", 0, 3 * m, func(t *testing.T, g *Gate) {
			job(t, g, 1, 1, "a", 1, 4*m)
			time.Sleep(Day - 2*m)
		}, 0, nil},
		{"wholly out of the window", 0, 3 * m, func(t *testing.T, g *Gate) {
			job(t, g, 1, 1, "a", 1, 4*m)
			time.Sleep(Day)
		}, 0, nil},
		{"nothing that was refused counts", 0, m, func(t *testing.T, g *Gate) {
			release, _ := g.Admit(gateRequest(1, 2, "a", 1))
			for range 3 {
				if _, refusal := g.Admit(gateRequest(2, 1, "a", 1)); refusal.Reason != challenges.ReasonCollision {
					t.Errorf("%+v", refusal)
				}
				time.Sleep(m)
			}
			release()
		}, 0, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				g := NewGate(GateConfig{PerEpoch: 8, GPUPerDay: tt.gpu, CheckerPerDay: tt.checker})
				tt.spend(t, g)
				ask := gateRequest(100, 1, "a", 9)
				release, refusal := g.Admit(ask)
				if tt.until == 0 {
					if refusal != nil {
						t.Fatalf("refused with %+v", refusal)
					}
					release()
					return
				}
				var ids []challenges.Hash
				for _, id := range tt.ids {
					ids = append(ids, challenges.Hash{id})
				}
				if refusal == nil || refusal.Reason != challenges.ReasonQuota || refusal.Until != tt.until || !slices.Equal(refusal.IDs, ids) {
					t.Fatalf("refused with %+v, want until %v and %v", refusal, tt.until, tt.ids)
				}
				time.Sleep(refusal.Until - 1)
				if _, refusal := g.Admit(ask); refusal == nil || refusal.Until != 1 {
					t.Errorf("a moment before: %+v", refusal)
				}
				time.Sleep(time.Nanosecond)
				if release, refusal = g.Admit(ask); refusal != nil {
					t.Fatalf("then: %+v", refusal)
				}
				release()
			})
		})
	}
}

// The refusal names what a frame holds, the longest first, and is sendable.
func TestGateNamesTheLongest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := NewGate(GateConfig{PerEpoch: 1, GPUPerDay: 40 * time.Second})
		for i := range byte(40) {
			length := time.Second
			if i%10 == 3 {
				length += time.Duration(i) * time.Millisecond
			}
			job(t, g, i, i, "a", 1, length)
		}
		_, r := g.Admit(gateRequest(99, 99, "a", 1))
		if r == nil || len(r.IDs) != 32 || !slices.Equal(r.IDs[:5], []challenges.Hash{{33}, {23}, {13}, {3}, {39}}) {
			t.Fatalf("%+v", r)
		}
		var f challenges.RefusalFrame
		if err := challenges.Unmarshal(challenges.NewRefusal(r.Reason, r.Until, r.IDs...), &f); err != nil {
			t.Error(err)
		}
	})
}

// A restart frees no budget and gives no turns, and what ran when the program died
// counts too.
func TestGateOverARestart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		time.Sleep(Day)
		ago := func(d time.Duration) int64 { return time.Now().Add(-d).UnixNano() }
		const m = time.Minute
		tests := []struct {
			name string
			uses []Used
			used time.Duration // of device a
			turn bool          // checker 1 has one in epoch 7
		}{
			{"nothing", nil, 0, true},
			{"ended", []Used{{At: ago(9 * m), Ended: ago(7 * m), Device: "a"}}, 2 * m, true},
			{"any order", []Used{{At: ago(9 * m), Ended: ago(7 * m), Device: "a"}, {At: ago(20 * m), Ended: ago(15 * m), Device: "a"}}, 7 * m, true},
			{"too old", []Used{{At: start.Add(-2 * m).UnixNano(), Ended: start.UnixNano(), Device: "a"}}, 0, true},
			{"half too old", []Used{{At: start.Add(-2 * m).UnixNano(), Ended: start.Add(m).UnixNano(), Device: "a"}}, m, true},
			{"no end", []Used{{At: ago(9 * m), Device: "a"}}, m, true},
			{"no end, just now", []Used{{At: ago(time.Second), Device: "a"}}, time.Second, true},
			{"from the future", []Used{{At: ago(-m), Ended: ago(-3 * m), Device: "a"}}, 0, true},
			{"began before, ends in the future", []Used{{At: ago(m), Ended: ago(-3 * m), Device: "a"}}, m, true},
			{"ends before its begin", []Used{{At: ago(m), Ended: ago(3 * m), Device: "a"}}, 0, true},
			{"a turn", []Used{{At: ago(m), Ended: ago(0), Device: "a", Epoch: 7, Checker: challenges.NodeID{1}}}, m, false},
			{"a turn of the epoch before", []Used{{At: ago(m), Ended: ago(0), Device: "a", Epoch: 6, Checker: challenges.NodeID{1}}}, m, true},
			{"another's turn", []Used{{At: ago(m), Ended: ago(0), Device: "a", Epoch: 7, Checker: challenges.NodeID{2}}}, m, true},
			{"a turn on another device", []Used{{At: ago(m), Ended: ago(0), Device: "b", Epoch: 7, Checker: challenges.NodeID{1}}}, 0, true},
		}
		for _, tt := range tests {
			uses := slices.Clone(tt.uses)
			g := NewGate(GateConfig{PerEpoch: 1, GPUPerDay: time.Hour, Uses: uses})
			if used, of := g.Budget("a"); used != tt.used || of != time.Hour {
				t.Errorf("%s: %v of %v, want %v", tt.name, used, of, tt.used)
			}
			if !slices.Equal(uses, tt.uses) {
				t.Errorf("%s: changed the caller's list", tt.name)
			}
			release, refusal := g.Admit(gateRequest(9, 1, "a", 7))
			if (refusal == nil) != tt.turn {
				t.Errorf("%s: %+v", tt.name, refusal)
			}
			if release != nil {
				release()
			}
		}
	})
}

// A running job counts in the budget as it goes, each device's alone.
func TestGateBudgetOfDevices(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := NewGate(GateConfig{PerEpoch: 8})
		a, _ := g.Admit(gateRequest(1, 1, "a", 1))
		time.Sleep(time.Second)
		b, _ := g.Admit(gateRequest(2, 1, "b", 1))
		time.Sleep(time.Second)
		check := func(when string, wantA, wantB time.Duration) {
			t.Helper()
			usedA, _ := g.Budget("a")
			usedB, _ := g.Budget("b")
			if usedA != wantA || usedB != wantB {
				t.Errorf("%s: a %v, b %v; want %v, %v", when, usedA, usedB, wantA, wantB)
			}
		}
		check("both run", 2*time.Second, time.Second)
		if id, ok := g.Running("b"); !ok || id != (challenges.Hash{2}) {
			t.Errorf("b runs %v, %v", id, ok)
		}
		a()
		time.Sleep(time.Second)
		if c, _ := g.Admit(gateRequest(3, 1, "a", 1)); c != nil {
			a() // once more: it was over, and the next one is not
			if id, ok := g.Running("a"); !ok || id != (challenges.Hash{3}) {
				t.Errorf("a runs %v, %v", id, ok)
			}
			c()
		}
		check("one runs", 2*time.Second, 2*time.Second)
		b()
		if _, ok := g.Running("b"); ok {
			t.Error("b still runs")
		}
		time.Sleep(Day - 2*time.Second)
		check("the window slides", time.Second, 2*time.Second)
		time.Sleep(2 * time.Second)
		check("all is out of it", 0, 0)
		if len(g.spent) != 0 {
			t.Errorf("remembers %d devices", len(g.spent))
		}
	})
}

// A clock that is set has no part in how long a job was.
func TestGateClock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		step := time.Duration(0) // of a clock without a monotonic part, as after a suspend
		g := NewGate(GateConfig{PerEpoch: 8, Now: func() time.Time { return time.Now().Round(0).Add(step) }})
		release, _ := g.Admit(gateRequest(1, 1, "a", 1))
		step = -time.Hour
		release()
		if used, _ := g.Budget("a"); used != 0 {
			t.Errorf("set back: %v", used)
		}
		if release, refusal := g.Admit(gateRequest(2, 1, "a", 1)); refusal != nil {
			t.Errorf("%+v", refusal)
		} else {
			release()
		}
	})
}

// What is remembered is bounded, however many short jobs there are.
func TestGateForgets(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var uses []Used
		for i := range maxSpent + 100 {
			at := time.Now().UnixNano() - int64(i)*int64(time.Second)
			uses = append(uses, Used{Device: "a", At: at, Ended: at + 1})
		}
		g := NewGate(GateConfig{PerEpoch: 1, Uses: uses})
		if n := len(g.spent["a"]); n != maxSpent || len(g.last) != 1 || len(g.last[visit{device: "a"}].ids) > 1 {
			t.Errorf("remembers %d, %d of the turns", n, len(g.last))
		}
		if got := g.spent["a"][0].At; got != uses[maxSpent-1].At {
			t.Error("forgot others than the oldest")
		}
		time.Sleep(Day)
		g.Budget("a")
		if n := len(g.spent); n != 0 {
			t.Errorf("remembers %d devices", n)
		}
	})
}

func TestGateDrains(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := NewGate(GateConfig{PerEpoch: 99})
		steps := []struct {
			name  string
			do    func()
			until time.Duration // of the refusal
			drain bool
		}{
			{"at first", func() {}, 0, false},
			{"for good", func() { g.Drain(time.Time{}) }, 0, true},
			{"much later", func() { time.Sleep(100 * Day) }, 0, true},
			{"resumed", g.Resume, 0, false},
			{"resumed again", g.Resume, 0, false},
			{"for an hour", func() { g.Drain(time.Now().Add(time.Hour)) }, time.Hour, true},
			{"half an hour later", func() { time.Sleep(30 * time.Minute) }, 30 * time.Minute, true},
			{"longer after all", func() { g.Drain(time.Now().Add(time.Hour)) }, time.Hour, true},
			{"a moment before", func() { time.Sleep(time.Hour - 1) }, 1, true},
			{"it ends by itself", func() { time.Sleep(time.Nanosecond) }, 0, false},
			{"until a time that is over", func() { g.Drain(time.Now()) }, 0, false},
			{"for an hour, then for good", func() { g.Drain(time.Now().Add(time.Hour)); g.Drain(time.Time{}) }, 0, true},
			{"two hours later", func() { time.Sleep(2 * time.Hour) }, 0, true},
			{"shorter after all", func() { g.Drain(time.Now().Add(time.Minute)) }, time.Minute, true},
			{"resumed early", g.Resume, 0, false},
		}
		for i, s := range steps {
			s.do()
			var want time.Time
			if s.until > 0 {
				want = time.Now().Add(s.until)
			}
			if got := g.DrainedUntil(); !got.Equal(want) || g.Draining() != s.drain {
				t.Errorf("%s: draining %v until %v, want %v", s.name, g.Draining(), got, want)
			}
			release, r := g.Admit(gateRequest(byte(i), 1, "a", 1))
			switch {
			case release != nil:
				release()
				if s.drain {
					t.Errorf("%s: admitted", s.name)
				}
			case !s.drain || r.Reason != challenges.ReasonDrain || r.Until != s.until || len(r.IDs) != 0:
				t.Errorf("%s: %+v", s.name, r)
			}
		}
		// A drain lets what runs run.
		release, _ := g.Admit(gateRequest(200, 1, "a", 2))
		g.Drain(time.Time{})
		if !g.Busy() {
			t.Error("a running job is over")
		}
		release()
	})
}
