package prover

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/assaynet/assay/challenges"
	"github.com/assaynet/assay/challenges/memory"
	"github.com/assaynet/assay/gpu"
)

// ofMemory asks for a proof of the memory that the device of newWorld offers;
// change may alter its parameters.
func ofMemory(change func(*memory.Params)) func(*ask) {
	p := memory.Params{Profile: 501, Items: memory.Items(2 << 20), RTT: time.Millisecond}
	if change != nil {
		change(&p)
	}
	return func(a *ask) {
		a.Kind, a.Params, a.Deadline = challenges.Memory, challenges.Marshal(&p), p.Dataset().Deadline(p.RTT)
	}
}

// testDataset is what ofMemory asks for.
func testDataset() memory.Dataset {
	p := memory.Params{Profile: 501, Items: memory.Items(2 << 20)}
	return p.Dataset()
}

func TestHonestAgentPassesMemory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, nil)
		set := testDataset()
		s, err := w.judge(w.ask(ofMemory(nil)))
		v := s.Verdict()
		if err != nil || v.Outcome != challenges.Pass || int(v.Samples) != set.Rounds*set.Samples || v.Disputed {
			t.Fatalf("%+v, %v", v, err)
		}
		// The pipes take no time: all the time is the model's.
		if proven := set.Proven(v.OpsLower); proven < set.Bytes()/100*93 || proven > set.Bytes() {
			t.Errorf("%d of %d bytes proven", proven, set.Bytes())
		}
		if again, err := challenges.Replay(s.Transcript()); err != nil || again != v {
			t.Errorf("replays as %+v, %v", again, err)
		}
		if w.gate.Busy() {
			t.Error("the device is still taken")
		}
	})
}

func TestAgentRefusesMemory(t *testing.T) {
	set := testDataset()
	longer := func(by time.Duration) func(*Config) {
		return func(c *Config) { c.Registry.Params.MinSlot = set.Expected() + by }
	}
	tests := []struct {
		name   string
		config func(*Config)
		change func(*memory.Params)
		ok     bool
	}{
		{"as offered", nil, nil, true},
		{"one item more than offered", nil, func(p *memory.Params) { p.Items++ }, false},
		{"one less", nil, func(p *memory.Params) { p.Items-- }, false},
		{"as much as a slot takes", longer(0), nil, true},
		{"more than a slot takes", longer(-1), nil, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, tt.config)
				if tt.ok {
					s := w.begin(ofMemory(tt.change))
					if !w.gate.Busy() {
						t.Error("the device was not taken")
					}
					_ = s.control.Close()
					<-s.done
					return
				}
				if f := w.refused(w.ask(ofMemory(tt.change))); f.Reason != challenges.ReasonUnsupported {
					t.Errorf("refused for %q", f.Reason)
				}
				if w.gate.Busy() {
					t.Error("the device is still taken")
				}
			})
		})
	}
}

// A real device on a real network does not answer a row that forgives an overrun.
func TestAgentRefusesASimulatedMemoryOnARealNetwork(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, func(c *Config) {
			r := *c.Registry
			r.Simulated = false
			c.Registry = &r
			c.Devices = []gpu.Device{gpu.NewCPU(gpu.CPUConfig{Info: gpu.Info{ID: "gpu0", Memory: 2 << 20, Int8Ops: 95e6}})}
		})
		w.registry = w.agent.cfg.Registry
		if f := w.refused(w.ask(ofMemory(nil))); f.Reason != challenges.ReasonUnsupported {
			t.Errorf("refused for %q", f.Reason)
		}
	})
}

// filled waits for the word that the dataset is filled.
func (s *script) filled() {
	s.t.Helper()
	frame, err := s.control.Recv(s.t.Context())
	if err != nil {
		s.t.Fatal(err)
	}
	var f challenges.FilledFrame
	if err := challenges.Unmarshal(frame[:len(frame)-64], &f); err != nil || f.Mono != testDataset().FillTime() {
		s.t.Fatalf("frame %+v, %v; want filled after %v", f, err, testDataset().FillTime())
	}
}

func (s *script) nonce() {
	s.t.Helper()
	if err := s.control.Send(s.t.Context(), challenges.Marshal(&challenges.NonceFrame{Type: 11, Nonce: challenges.Hash{7}})); err != nil {
		s.t.Fatal(err)
	}
}

// freed is a device whose datasets are counted.
type freed struct {
	gpu.Device
	filled, closed int
}

func (f *freed) Fill(ctx context.Context, job gpu.MemoryJob) (gpu.Memory, error) {
	m, err := f.Device.Fill(ctx, job)
	if err != nil {
		return nil, err
	}
	f.filled++
	return freedMemory{m, f}, nil
}

type freedMemory struct {
	gpu.Memory
	device *freed
}

func (m freedMemory) Close() error {
	m.device.closed++
	return m.Memory.Close()
}

// Nothing is walked before the nonce, and a checker that breaks the protocol or
// leaves costs no memory: the dataset is freed, and the device with it.
func TestAgentAgainstABadCheckerOfMemory(t *testing.T) {
	tests := []struct {
		name string
		play func(*script)
		held time.Duration // at most, from then on
	}{
		{"leaves while the dataset is filled", func(s *script) { _ = s.control.Close() }, testDataset().FillTime()},
		{"leaves before the nonce", func(s *script) { s.filled(); _ = s.control.Close() }, 0},
		{"resets before the nonce", func(s *script) { s.filled(); s.control.mine.end(true) }, 0},
		{"positions for a nonce", func(s *script) { s.filled(); s.positions(0, 1) }, 0},
		{"garbage for a nonce", func(s *script) { s.filled(); _ = s.control.Send(s.t.Context(), []byte{0xff}) }, 0},
		{"a nonce before filled, and no positions", func(s *script) {
			s.nonce()
			s.filled()
			s.root(0)
			_ = s.control.Close()
		}, testDataset().WalkTime() / 32},
		{"two nonces", func(s *script) { s.filled(); s.nonce(); s.nonce() }, testDataset().WalkTime() / 32},
		{"leaves after a root", func(s *script) { s.filled(); s.nonce(); s.root(0); _ = s.control.Close() }, testDataset().WalkTime() / 32},
		{"a walk that does not exist", func(s *script) {
			s.filled()
			s.nonce()
			s.root(0)
			s.positions(0, 1, 2, 3, uint32(testDataset().Walks()))
		}, testDataset().WalkTime() / 32},
		{"too few positions", func(s *script) { s.filled(); s.nonce(); s.root(0); s.positions(0, 1, 2, 3) }, testDataset().WalkTime() / 32},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				d := &freed{Device: simDevice(t, nil)}
				w := newWorld(t, func(c *Config) { c.Devices = []gpu.Device{d} })
				s := w.begin(ofMemory(nil))
				tt.play(s)
				start := time.Now()
				err := <-s.done
				if err == nil {
					t.Fatal("no error")
				}
				if took := time.Since(start); took > tt.held+time.Millisecond {
					t.Errorf("the device was held for another %v (%v)", took, err)
				}
				if w.gate.Busy() || d.filled != 1 || d.closed != 1 {
					t.Errorf("busy %v, filled %d times, freed %d times", w.gate.Busy(), d.filled, d.closed)
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

// A checker that keeps the nonce to itself holds the device no longer than its own
// deadline and a second. That is no fault of the device's.
func TestAgentWaitsForANonce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, nil)
		start := time.Now()
		s := w.begin(ofMemory(nil))
		s.filled()
		if err := <-s.done; !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("error %v", err)
		}
		if got, want := time.Since(start), s.ask.Deadline+time.Second; got != want {
			t.Errorf("held for %v, want %v", got, want)
		}
		if w.gate.Busy() || len(w.agent.health.failing) > 0 {
			t.Errorf("busy %v, failing %v", w.gate.Busy(), w.agent.health.failing)
		}
	})
}

// slowItems are made on a machine far slower than the device's class.
type slowItems struct {
	gpu.Items
	fill, read time.Duration
}

func (s slowItems) Fill(ctx context.Context) (gpu.Costs, error) {
	time.Sleep(s.fill)
	return s.Items.Fill(ctx)
}

func (s slowItems) Read(ctx context.Context, at []uint64, out []memory.Item) (gpu.Costs, error) {
	time.Sleep(s.read)
	return s.Items.Read(ctx, at, out)
}

// slowMemory is a simulated device with such items.
func slowMemory(t *testing.T, fill, read time.Duration) gpu.Device {
	t.Helper()
	d := simSpec(t)
	sim, err := gpu.NewSim(gpu.SimConfig{ID: "gpu0", Claims: d, Runs: d, Items: func(set memory.Dataset, key challenges.Hash) gpu.Items {
		return slowItems{gpu.NewHeld(set, key), fill, read}
	}})
	if err != nil {
		t.Fatal(err)
	}
	return sim
}

// An overrun is said, signed, and read as neither side's fault, in the fill too.
// The device is free as soon as the checker leaves, not later.
func TestAgentAbortsAnOverrunOfMemory(t *testing.T) {
	for name, device := range map[string]func(*testing.T) gpu.Device{
		"fill":  func(t *testing.T) gpu.Device { return slowMemory(t, time.Second, 0) },
		"walks": func(t *testing.T) gpu.Device { return slowMemory(t, 0, 10*time.Millisecond) },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				d := &freed{Device: device(t)}
				w := newWorld(t, func(c *Config) { c.Devices = []gpu.Device{d} })
				s, err := w.judge(w.ask(ofMemory(nil)))
				if v := s.Verdict(); v.Outcome != challenges.Unknown || v.Clause != challenges.ClauseAbort {
					t.Errorf("verdict %+v", v)
				}
				if !errors.Is(err, gpu.ErrOverrun) || w.gate.Busy() || d.filled != d.closed {
					t.Errorf("error %v, busy %v, filled %d times, freed %d times", err, w.gate.Busy(), d.filled, d.closed)
				}
				by := w.begin(func(a *ask) { ofMemory(nil)(a); a.key = secondKey })
				for abort := false; !abort; {
					frame, err := by.control.Recv(t.Context())
					if err != nil {
						t.Fatal(err)
					}
					var f challenges.FilledFrame
					var a challenges.AbortFrame
					if challenges.Unmarshal(frame[:len(frame)-64], &f) == nil {
						by.nonce()
					}
					abort = challenges.Unmarshal(frame[:len(frame)-64], &a) == nil
				}
				time.Sleep(time.Second)
				if !w.gate.Busy() {
					t.Error("the device was given up before the checker left")
				}
				left := time.Now()
				_ = by.control.Close()
				if err := <-by.done; !errors.Is(err, gpu.ErrOverrun) || time.Since(left) > 0 || w.gate.Busy() {
					t.Errorf("error %v, busy %v, %v after the checker left", err, w.gate.Busy(), time.Since(left))
				}
			})
		})
	}
}
