package prover

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/assaynet/assay/challenges"
	"github.com/assaynet/assay/gpu"
)

func TestHonestAgentPasses(t *testing.T) {
	for _, row := range challenges.Profiles() {
		if !row.Simulated {
			continue
		}
		t.Run(row.Name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, roomy)
				s, err := w.judge(w.ask(of(row.Number)))
				v := s.Verdict()
				if err != nil || v.Outcome != challenges.Pass || int(v.Samples) != row.Rounds*row.Samples || v.Disputed {
					t.Fatalf("%+v, %v", v, err)
				}
				if again, err := challenges.Replay(s.Transcript()); err != nil || again != v {
					t.Errorf("replays as %+v, %v", again, err)
				}
				if w.gate.Busy() {
					t.Error("the device is still taken")
				}
			})
		})
	}
}

// script is a checker that talks by hand: it has a challenge running.
type script struct {
	*world
	ask     *ask
	control *pipeEnd
	done    <-chan error
}

func (w *world) begin(change func(*ask)) *script {
	w.t.Helper()
	a := w.ask(change)
	c, done := w.send(a)
	synctest.Wait()
	return &script{w, a, c, done}
}

// root waits for the root of a round.
func (s *script) root(round int) {
	s.t.Helper()
	frame, err := s.control.Recv(s.t.Context())
	if err != nil {
		s.t.Fatal(err)
	}
	var f challenges.RootFrame
	if err := challenges.Unmarshal(frame[:len(frame)-64], &f); err != nil || int(f.Round) != round {
		s.t.Fatalf("frame %+v, %v; want root %d", f, err, round)
	}
}

func (s *script) positions(round uint32, at ...uint32) {
	s.t.Helper()
	frame := challenges.Marshal(&challenges.PositionsFrame{Type: 2, Round: round, Positions: challenges.PackPositions(at)})
	if err := s.control.Send(s.t.Context(), frame); err != nil {
		s.t.Fatal(err)
	}
}

// A checker that breaks the protocol is reset, and costs the provider nothing
// more: the device is free for the next one.
func TestAgentAgainstABadChecker(t *testing.T) {
	tests := []struct {
		name string
		play func(*script)
	}{
		{"positions before any root", func(s *script) { s.positions(0, 1) }},
		{"positions before the round's root", func(s *script) { s.root(0); s.positions(0, 1); s.positions(1, 1) }},
		{"positions of a round that is not next", func(s *script) { s.root(0); s.root(1); s.positions(1, 1) }},
		{"positions of a round beyond the job", func(s *script) { s.root(0); s.positions(1<<32-1, 1) }},
		{"positions twice", func(s *script) { s.root(0); s.positions(0, 1); s.positions(0, 1) }},
		{"too many positions", func(s *script) { s.root(0); s.positions(0, 1, 2) }},
		{"no positions", func(s *script) { s.root(0); s.positions(0) }},
		{"entry outside the matrix", func(s *script) { s.root(0); s.positions(0, 3*256) }},
		{"garbage", func(s *script) { s.root(0); _ = s.control.Send(s.t.Context(), []byte{0xff}) }},
		{"half a position", func(s *script) {
			s.root(0)
			_ = s.control.Send(s.t.Context(), challenges.Marshal(&challenges.PositionsFrame{Type: 2, Positions: make([]byte, 3)}))
		}},
		{"leaves before the first root", func(s *script) { _ = s.control.Close() }},
		{"leaves after a root", func(s *script) { s.root(0); _ = s.control.Close() }},
		{"leaves while it is waited for", func(s *script) { s.root(0); s.root(1); synctest.Wait(); _ = s.control.Close() }},
		{"leaves with an opening on the way", func(s *script) { s.root(0); s.positions(0, 1); _ = s.control.Close() }},
		{"resets", func(s *script) { s.root(0); s.control.mine.end(true) }},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, nil)
				s := w.begin(nil)
				if !w.gate.Busy() {
					t.Fatal("the device was not taken")
				}
				tt.play(s)
				start := time.Now()
				err := <-s.done
				if err == nil {
					t.Fatal("no error")
				}
				if took := time.Since(start); took > 2*time.Millisecond {
					t.Errorf("the device was held for another %v (%v)", took, err)
				}
				if w.gate.Busy() {
					t.Error("the device is still taken")
				}
				if how := w.ledger.end(s.ask.seal().ID()); how != err.Error() {
					t.Errorf("ended by %q, error %q", how, err)
				}
				next, err := w.judge(w.ask(func(a *ask) { a.key = secondKey }))
				if err != nil || next.Verdict().Outcome != challenges.Pass {
					t.Errorf("the next challenge: %+v, %v", next.Verdict(), err)
				}
			})
		})
	}
}

// A checker that just says nothing holds the device no longer than its own
// deadline and a second.
func TestAgentLosesPatience(t *testing.T) {
	for _, bulk := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t, nil)
			start := time.Now()
			s := w.begin(nil)
			var bulkDone <-chan error
			if bulk {
				bulkDone = w.attach(checkerKey, s.ask.seal().ID())
			}
			if err := <-s.done; !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("error %v", err)
			}
			if got, want := time.Since(start), s.ask.Deadline+time.Second; got != want {
				t.Errorf("held for %v, want %v", got, want)
			}
			if bulk {
				if err := <-bulkDone; err != nil {
					t.Errorf("bulk stream: %v", err)
				}
			}
			if w.gate.Busy() {
				t.Error("the device is still taken")
			}
		})
	}
}

// slow is a product on a machine far slower than the device's model.
type slow struct{}

func (slow) Compute(ctx context.Context, key challenges.Hash, s challenges.Shape, c []byte) error {
	time.Sleep(50 * time.Millisecond)
	return gpu.Exact{}.Compute(ctx, key, s, c)
}

// An overrun is said, signed, and read as neither side's fault.
func TestAgentAbortsAnOverrun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, func(c *Config) { c.Devices = []gpu.Device{simDevice(t, slow{})} })
		s, err := w.judge(w.ask(nil))
		if v := s.Verdict(); v.Outcome != challenges.Unknown || v.Clause != challenges.ClauseAbort {
			t.Errorf("verdict %+v", v)
		}
		if !errors.Is(err, gpu.ErrOverrun) || w.gate.Busy() {
			t.Errorf("error %v, busy %v", err, w.gate.Busy())
		}
	})
}

// broken is a product that fails; the provider says nothing that it cannot sign
// for.
type broken struct{}

func (broken) Compute(context.Context, challenges.Hash, challenges.Shape, []byte) error {
	return errors.New("device lost")
}
