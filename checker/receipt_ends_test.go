package checker_test

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/assaynet/assay/challenges"
	"github.com/assaynet/assay/challenges/receipt"
	"github.com/assaynet/assay/checker/committee"
	"github.com/assaynet/assay/checker/report"
	"github.com/assaynet/assay/prover"
)

// alone is a network without fleets, as long as no provider has two devices, and
// without global slots.
func alone(p *committee.Params) { p.Slots = 0 }

// TestReceiptIsWrittenDownFirst: no receipt leaves whose end is neither in the store
// nor kept for it.
func TestReceiptIsWrittenDownFirst(t *testing.T) {
	for _, tt := range []struct {
		name string
		fail bool // the store, for a while
	}{{"store works", false}, {"store fails", true}} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := newHall(t, func(p *committee.Params) { p.FleetEvery = 1 })
				box := &mailbox{}
				h.collect(h.host(2, "", prover.NewGate(prover.GateConfig{PerEpoch: 8}), "sim-100", "sim-100"), box)
				var mu sync.Mutex
				written := 0
				h.store.fail = func(op string, done bool) error {
					if op != "finish" {
						return nil
					}
					if h.now() < 4*time.Second && tt.fail {
						return errDisk
					}
					if !done { // a slow disk
						time.Sleep(200 * ms)
						return nil
					}
					mu.Lock()
					defer mu.Unlock()
					written++
					return nil
				}
				early := 0
				h.stall = func(f said) bool {
					if f.what != receipt.Kind || tt.fail && f.at < 4*time.Second {
						return false
					}
					if h.store.wrote(f.id) {
						return false
					}
					mu.Lock()
					defer mu.Unlock()
					early++
					return false
				}
				h.run(20 * time.Second)
				h.farm[challenges.IDOf(testKey(2))].running.Wait()
				box.check(t)
				sent := 0
				for _, f := range h.said {
					if f.what == challenges.KindChallenge {
						sent++
					}
				}
				if early > 0 || len(box.got) != sent || sent < 8 || written < sent {
					t.Errorf("%d receipts of %d challenges, %d of them before their end was written; %d ends", len(box.got), sent, early, written)
				}
			})
		})
	}
}

// TestReceiptsOfAStoppedChecker: a checker that is being stopped gives none, and does
// not wait for anybody.
func TestReceiptsOfAStoppedChecker(t *testing.T) {
	for _, tt := range []struct {
		name string
		stop time.Duration
		hang time.Duration // for so long and until it is told to stop, the transport takes no receipt
		want int
	}{
		{"in a challenge", 600 * ms, 0, 0},
		{"after it", 2 * time.Second, 0, 1},
		{"over a receipt", 1500 * ms, ms, 0},
		{"over a receipt, and the transport is slow", 860 * ms, 100 * ms, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := newHall(t, alone)
				p := h.host(2, "", nil, "sim-100")
				box := &mailbox{}
				h.collect(p, box)
				if tt.hang > 0 {
					h.stall = func(f said) bool {
						if f.what != receipt.Kind {
							return false
						}
						time.Sleep(tt.hang)
						return true
					}
				}
				h.run(tt.stop)
				if at := h.now(); at > tt.stop+tt.hang {
					t.Errorf("it took until %v to stop", at)
				}
				if left := len(h.heard("gave up", 0, 0)); (left == 1) != (tt.hang > 0) {
					t.Errorf("%d receipts were given up when the checker had stopped", left)
				}
				h.farm[p].running.Wait()
				if len(box.got) != tt.want {
					t.Errorf("%d receipts, want %d", len(box.got), tt.want)
				}
				box.check(t)
			})
		})
	}
}

// TestReceiptHoldsNoPlace: while a provider takes no receipt its challenge counts as
// over. After 2 s it is let go.
func TestReceiptHoldsNoPlace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHall(t, alone)
		p := h.host(2, "", nil, "sim-100")
		h.make()
		c, looks, taken := h.checker, 0, 0
		h.stall = func(f said) bool {
			if f.what != receipt.Kind {
				return false
			}
			time.AfterFunc(ms, func() {
				looks++
				taken += c.Flights()
			})
			return true
		}
		h.run(14900 * ms)
		h.farm[p].running.Wait()
		if looks != 3 || taken > 0 {
			t.Errorf("%d receipts hung, and %d places with them", looks, taken)
		}
		for epoch := range uint64(3) {
			sent, left := h.heard(receipt.Kind, epoch, 0), h.heard("gave up", epoch, 0)
			if len(sent) != 1 || len(left) != 1 || left[0].at-sent[0].at != 2*time.Second {
				t.Errorf("epoch %d: sent %+v, given up %+v", epoch, sent, left)
			}
		}
	})
}

// TestReceiptOfALostEnd: an end that is neither written nor kept has no receipt, and
// its stream is closed.
func TestReceiptOfALostEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHall(t, alone)
		p := h.host(2, "", nil, "sim-100")
		own := h.says(2, func(challenges.Challenge, challenges.Hash) [][]byte {
			return [][]byte{challenges.NewRefusal(challenges.ReasonBusy, 0)}
		})
		over := make([]time.Duration, 0, 1)
		h.farm[p].handlers[challenges.ProtoControl] = func(ctx context.Context, from challenges.NodeID, c challenges.Conn) error {
			err := own(ctx, from, c)
			over = append(over, h.now())
			return err
		}
		box := &mailbox{}
		h.collect(p, box)
		h.store.fail = func(op string, _ bool) error {
			if op == "finish" {
				return errDisk
			}
			return nil
		}
		h.make()
		h.checker.NoRoom()
		h.run(4 * time.Second)
		h.farm[p].running.Wait()
		sent := h.heard(challenges.KindChallenge, 0, 0)
		if len(sent) != 1 || len(over) != 1 || over[0] != sent[0].at || len(box.got) > 0 {
			t.Errorf("sent %+v, over at %v, %d receipts", sent, over, len(box.got))
		}
	})
}

// TestProbeIsHungUp: a probe's stream ends with it, and no receipt is sent on it.
func TestProbeIsHungUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHall(t, alone)
		p := h.host(2, "", nil, "sim-100")
		probes := 0
		h.farm[p].handlers[challenges.ProtoProbe] = func(ctx context.Context, _ challenges.NodeID, c challenges.Conn) error {
			begin, frames := time.Now(), 0
			for {
				if _, err := c.Recv(ctx); err != nil {
					break
				}
				frames++
			}
			h.mu.Lock()
			defer h.mu.Unlock()
			probes++
			if took := time.Since(begin); took > challenges.ProbeDeadline || frames != 2 {
				t.Errorf("%d frames in %v, want the challenge and a ping in %v", frames, took, challenges.ProbeDeadline)
			}
			return nil
		}
		h.run(10 * time.Second)
		h.farm[p].running.Wait()
		if probes < 10 {
			t.Errorf("%d probes", probes)
		}
	})
}

// TestReceiptThatNobodyTakes: nor does it hold up what comes next, or the end of its
// epoch.
func TestReceiptThatNobodyTakes(t *testing.T) {
	for _, hang := range []bool{false, true} {
		t.Run(fmt.Sprint(hang), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := newHall(t, func(p *committee.Params) { p.FleetEvery = 1 })
				box := &mailbox{}
				p := h.host(2, "", prover.NewGate(prover.GateConfig{PerEpoch: 8}), "sim-100", "sim-100")
				h.collect(p, box)
				var stalled []said
				if hang {
					h.stall = func(f said) bool {
						if f.what != receipt.Kind {
							return false
						}
						h.mu.Lock()
						defer h.mu.Unlock()
						stalled = append(stalled, f)
						return true
					}
				}
				h.run(20 * time.Second)
				h.farm[p].running.Wait()
				if hang && (len(stalled) < 8 || len(box.got) > 0) || !hang && len(box.got) < 8 {
					t.Errorf("%d receipts hung, %d came", len(stalled), len(box.got))
				}
				for epoch := range uint64(3) {
					fleet := h.heard(challenges.KindChallenge, epoch, 1)
					for _, f := range fleet {
						if want := together + time.Duration(epoch)*5*time.Second; f.at != want {
							t.Errorf("epoch %d: %s left at %v, want %v", epoch, f.challenge.Device, f.at, want)
						}
					}
					if items := h.of(p, epoch); len(fleet) != 2 || len(items) < 4 || slices.ContainsFunc(items, func(it report.Item) bool { return it.Outcome != challenges.Pass }) {
						t.Errorf("epoch %d: %d of the fleet, items %+v", epoch, len(fleet), items)
					}
				}
			})
		})
	}
}

// TestReceiptsOfAFleet: they leave when all of the run have ended. A provider that
// has said its last word waits for them; one that works on is let go at once.
func TestReceiptsOfAFleet(t *testing.T) {
	for _, tt := range []struct {
		name string
		say  func(id challenges.Hash, c challenges.Challenge) [][]byte
		over time.Duration // when the other's stream ends, after the instant; 0: with the run
		gets bool
	}{
		{"refuses", func(challenges.Hash, challenges.Challenge) [][]byte {
			return [][]byte{challenges.NewRefusal(challenges.ReasonBusy, 0)}
		}, 0, true},
		{"gives up", func(id challenges.Hash, c challenges.Challenge) [][]byte {
			return [][]byte{challenges.NewRoot(0, challenges.Hash{7}, challenges.FirstKey(id, c.Device), 0), challenges.NewAbort(challenges.AbortFault)}
		}, 0, true},
		{"talks nonsense and works on", func(id challenges.Hash, _ challenges.Challenge) [][]byte {
			return [][]byte{challenges.NewAttach(id)}
		}, ms, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := newHall(t, fleets)
				honest, other := h.host(2, "acme", nil, "sim-100"), h.host(3, "acme", nil, "sim-100")
				own := h.farm[other].handlers[challenges.ProtoControl]
				odd := h.says(3, func(c challenges.Challenge, id challenges.Hash) [][]byte { return tt.say(id, c) })
				over := time.Duration(-1)
				h.farm[other].handlers[challenges.ProtoControl] = func(ctx context.Context, from challenges.NodeID, c challenges.Conn) error {
					if h.now() < dialled {
						return own(ctx, from, c)
					}
					err := odd(ctx, from, c)
					if over < 0 { // the first of them
						over = h.now() - together
					}
					return err
				}
				box := &mailbox{}
				h.collect(honest, box)
				h.collect(other, box)
				h.run(6 * time.Second)
				for _, w := range h.farm {
					w.running.Wait()
				}
				box.check(t)
				got := box.of(0, 1)
				if want := map[bool]int{true: 2, false: 1}[tt.gets]; len(got) != want {
					t.Fatalf("%d receipts of the run, want %d", len(got), want)
				}
				run := got[0].at - together
				if run < 800*ms || run > time.Second || got[len(got)-1].at != got[0].at {
					t.Errorf("the receipts left at %v and %v, want both with the run's end", got[0].at, got[len(got)-1].at)
				}
				if tt.over > 0 && over > tt.over || tt.over == 0 && over != run {
					t.Errorf("the other's stream ended at %v, the run at %v", over, run)
				}
			})
		})
	}
}

// TestReceiptForNobody: where there is no stream, or it broke, there is no receipt, and
// that is nobody's trouble.
func TestReceiptForNobody(t *testing.T) {
	for _, tt := range []struct {
		name    string
		change  func(h *hall, p challenges.NodeID)
		outcome challenges.Outcome
		tries   bool // a send is tried
	}{
		{"not reached", func(h *hall, _ challenges.NodeID) {
			h.dial = func(challenges.NodeID, string) (time.Duration, error) { return 0, challenges.ErrDial }
		}, challenges.Unreachable, false},
		{"no bulk stream", func(h *hall, p challenges.NodeID) {
			delete(h.farm[p].handlers, challenges.ProtoBulk)
		}, challenges.Unreachable, false},
		{"reset", func(h *hall, p challenges.NodeID) {
			h.farm[p].handlers[challenges.ProtoControl] = func(ctx context.Context, _ challenges.NodeID, c challenges.Conn) error {
				_, _ = c.Recv(ctx)
				return challenges.ErrReset
			}
		}, challenges.Unreachable, true},
		{"left after its result", func(*hall, challenges.NodeID) {}, challenges.Pass, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := newHall(t, alone)
				p := h.host(2, "", nil, "sim-100")
				tt.change(h, p)
				h.run(4 * time.Second)
				h.farm[p].running.Wait()
				if tries := len(h.heard(receipt.Kind, 0, 0)); (tries == 1) != tt.tries {
					t.Errorf("%d receipts were sent", tries)
				}
				infos, err := h.db.Transcripts(report.Query{Kind: challenges.Matmul})
				if err != nil || len(infos) == 0 || infos[0].Outcome != tt.outcome {
					t.Errorf("transcripts %+v, %v", infos, err)
				}
			})
		})
	}
}
