package prover

import (
	"crypto/ed25519"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/assaynet/assay/challenges"
	"github.com/assaynet/assay/gpu"
)

// attach opens a bulk stream for a challenge.
func (w *world) attach(key ed25519.PrivateKey, id challenges.Hash) <-chan error {
	w.t.Helper()
	conn, done := w.net.dial(w.t, challenges.IDOf(key), challenges.ProtoBulk)
	if err := conn.Send(w.t.Context(), challenges.NewAttach(id)); err != nil {
		w.t.Fatal(err)
	}
	return done
}

// fails is what a handler returned, if it has.
func fails(done <-chan error) (over bool, err error) {
	synctest.Wait()
	select {
	case err := <-done:
		return true, err
	default:
		return false, nil
	}
}

func TestBulkStreamWithoutAChallenge(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, nil)
		start := time.Now()
		if err := <-w.attach(checkerKey, challenges.Hash{1}); err == nil || time.Since(start) != attachWait {
			t.Errorf("error %v after %v", err, time.Since(start))
		}
		if len(w.agent.meet.tables) != 0 {
			t.Error("the agent remembers it")
		}
	})
}

func TestBulkStreamsOfOneChallenge(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, nil)
		s := w.begin(nil)
		id := s.ask.seal().ID()
		if over, err := fails(w.attach(secondKey, id)); !over || err == nil {
			t.Error("another peer's bulk stream was taken")
		}
		mine := w.attach(checkerKey, id)
		if over, err := fails(mine); over {
			t.Errorf("the bulk stream ended with %v", err)
		}
		if over, err := fails(w.attach(checkerKey, id)); !over || err == nil {
			t.Error("a second bulk stream was taken")
		}
		_ = s.control.Close()
		<-s.done
		if err := <-mine; err != nil {
			t.Errorf("after the challenge: %v", err)
		}
		if len(w.agent.meet.tables) != 0 {
			t.Error("the agent remembers it")
		}
	})
}

// A peer cannot fill the agent's memory with streams that belong to nothing, nor
// keep others out by it.
func TestBulkStreamsOfAPeerAreBounded(t *testing.T) {
	// A checker may ask of all devices at once, and its bulk streams come first.
	for devices, most := range map[int]int{1: maxGuests, maxGuests: maxGuests, 20: 20} {
		t.Run(fmt.Sprint(devices, " devices"), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, func(c *Config) {
					c.Devices = nil
					for i := range devices {
						c.Devices = append(c.Devices, gpu.NewCPU(gpu.CPUConfig{Info: gpu.Info{ID: fmt.Sprint("gpu", i), Simulated: true}}))
					}
				})
				var waiting []<-chan error
				for i := range most {
					done := w.attach(checkerKey, challenges.Hash{1, byte(i)})
					if over, err := fails(done); over {
						t.Fatalf("bulk stream %d ended with %v", i+1, err)
					}
					waiting = append(waiting, done)
				}
				if over, err := fails(w.attach(checkerKey, challenges.Hash{2})); !over || err == nil {
					t.Errorf("bulk stream %d waits", most+1)
				}
				other := w.attach(secondKey, challenges.Hash{3})
				if over, err := fails(other); over {
					t.Errorf("another peer's ended with %v", err)
				}
				for _, done := range append(waiting, other) {
					if err := <-done; err == nil {
						t.Error("a bulk stream without a challenge ended well")
					}
				}
			})
		})
	}
}

// Either stream may arrive first.
func TestBulkStreamBeforeItsChallenge(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, nil)
		a := w.ask(func(a *ask) { a.Epoch++ }) // the wait is longer than an epoch
		bulk := w.attach(checkerKey, a.seal().ID())
		synctest.Wait()
		time.Sleep(attachWait - time.Second)
		s := w.begin(func(b *ask) { *b = *a })
		s.root(0)
		s.positions(0, 1)
		s.root(1)
		if over, err := fails(bulk); over {
			t.Errorf("the bulk stream ended with %v", err)
		}
		_ = s.control.Close()
		<-s.done
		if err := <-bulk; err != nil {
			t.Error(err)
		}
	})
}

// probe asks for pongs as a checker does.
func (w *world) probe(key ed25519.PrivateKey, pings uint8, seq uint32) (*challenges.Session, []challenges.PongFrame, error) {
	w.t.Helper()
	a := w.ask(func(a *ask) {
		a.Kind, a.Device, a.Deadline, a.Seq, a.key = challenges.Probe, "", challenges.ProbeDeadline, seq, key
		a.Params = challenges.Marshal(&challenges.ProbeParams{Pings: pings})
	})
	s, err := challenges.NewSession(a.seal(), a.secret)
	if err != nil {
		w.t.Fatal(err)
	}
	conn, done := w.net.dial(w.t, challenges.IDOf(key), challenges.ProtoProbe)
	e := a.seal()
	_ = conn.Send(w.t.Context(), challenges.Marshal(&e))
	var pongs []challenges.PongFrame
	out, over := s.Start(), false
	for at := time.Duration(0); !over; at += time.Millisecond {
		for _, o := range out {
			s.Step(challenges.Event{At: at, Out: true, Frame: o.Frame})
			_ = conn.Send(w.t.Context(), o.Frame)
		}
		frame, err := conn.Recv(w.t.Context())
		if err != nil {
			s.Step(challenges.Event{At: at, End: challenges.EndReset})
			break
		}
		var f challenges.PongFrame
		if err := challenges.Unmarshal(frame[:len(frame)-64], &f); err != nil {
			w.t.Fatal(err)
		}
		pongs = append(pongs, f)
		out, over = s.Step(challenges.Event{At: at + 500*time.Microsecond, Frame: frame})
	}
	return s, pongs, <-done
}

// Pongs are signed (the session verifies them), and their counter rises over all
// probes since the start, so that two boots of one key show.
func TestProbe(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, nil)
		var last uint64
		for i, key := range []ed25519.PrivateKey{checkerKey, secondKey, strangerKey, checkerKey} {
			s, pongs, err := w.probe(key, 3, uint32(i))
			if v := s.Verdict(); err != nil || v.Outcome != challenges.Pass || v.Samples != 3 || v.Clause != "" {
				t.Fatalf("probe %d: %+v, %v", i, v, err)
			}
			for _, p := range pongs {
				if p.Counter <= last || p.Boot != [16]byte{8} || p.Devices != w.agent.listed || p.Flags != 0 {
					t.Errorf("probe %d: pong %+v after counter %d", i, p, last)
				}
				last = p.Counter
			}
		}
		s := w.begin(nil)
		if _, pongs, err := w.probe(checkerKey, 1, 9); err != nil || len(pongs) != 1 || pongs[0].Flags != challenges.FlagBusy {
			t.Errorf("while a job runs: %+v, %v", pongs, err)
		}
		_ = s.control.Close()
		<-s.done
	})
}

// Strangers are answered, since a provider must not greet known checkers alone,
// but they share one slow allowance that checkers have no part in.
func TestProbesOfStrangersAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, nil)
		answered := 0
		for i := range 30 {
			if _, pongs, err := w.probe(strangerKey, 1, uint32(i)); err == nil && len(pongs) == 1 {
				answered++
			}
		}
		if answered != 10 {
			t.Errorf("%d probes of a stranger answered at once, want 10", answered)
		}
		if s, _, err := w.probe(checkerKey, 1, 0); err != nil || s.Verdict().Outcome != challenges.Pass {
			t.Errorf("a checker's probe: %+v, %v", s.Verdict(), err)
		}
		time.Sleep(time.Second)
		if _, pongs, err := w.probe(strangerKey, 1, 99); err != nil || len(pongs) != 1 {
			t.Errorf("a second later: %d pongs, %v", len(pongs), err)
		}
	})
}

func TestOffer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, nil)
		conn, done := w.net.dial(t, challenges.IDOf(strangerKey), challenges.ProtoOffer)
		frame, err := conn.Recv(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		e, err := challenges.DecodeEnvelope(frame)
		if err != nil {
			t.Fatal(err)
		}
		o, err := challenges.OpenOffer(e, w.registry.Hash())
		if err != nil || e.Signer != w.agent.ID() {
			t.Fatalf("offer of %s: %v", e.Signer.Short(), err)
		}
		info := w.agent.cfg.Devices[0].Info()
		d, ok := o.Device("gpu0")
		if !ok || d.Model != "sim-100" || d.Int8Ops != 95e6 || d.Memory != info.Memory || len(o.Devices) != 1 {
			t.Errorf("devices %+v", o.Devices)
		}
		if o.DevicesHash() != w.agent.listed {
			t.Error("pongs name another list of devices")
		}
		now := uint64(time.Now().Unix())
		if o.Operator != "op" || o.Region != "here" || o.Agent != "v1" || len(o.Addrs) != 1 || o.Issued > now || o.Expires <= now {
			t.Errorf("offer %+v", o)
		}
	})
}

// An agent that runs for months serves an offer that a checker still takes.
func TestOfferIsRenewed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, nil)
		fetch := func() challenges.Offer {
			conn, done := w.net.dial(t, challenges.IDOf(strangerKey), challenges.ProtoOffer)
			frame, err := conn.Recv(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if err := <-done; err != nil {
				t.Fatal(err)
			}
			e, err := challenges.DecodeEnvelope(frame)
			if err != nil {
				t.Fatal(err)
			}
			o, err := challenges.OpenOffer(e, w.registry.Hash())
			if err != nil {
				t.Fatal(err)
			}
			return o
		}
		first := fetch()
		time.Sleep(offerLife/2 - time.Second)
		if again := fetch(); again.Seq != first.Seq {
			t.Error("renewed before its time")
		}
		time.Sleep(40 * 24 * time.Hour)
		if o := fetch(); o.Seq <= first.Seq || o.Expires <= uint64(time.Now().Unix()) || o.DevicesHash() != first.DevicesHash() {
			t.Errorf("after 40 days: %+v", o)
		}
	})
}
