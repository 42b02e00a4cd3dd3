package prover

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/assaynet/assay/challenges"
	"github.com/assaynet/assay/gpu"
	"github.com/assaynet/assay/gpu/models"
)

func TestAgentRefuses(t *testing.T) {
	tests := []struct {
		name   string
		config func(*Config)
		ask    func(*ask)
		reason string
	}{
		{"no member", nil, func(a *ask) { a.key = strangerKey }, challenges.ReasonNotMember},
		{"unknown device", nil, func(a *ask) { a.Device = "gpu1" }, challenges.ReasonUnsupported},
		{"a higher claim than offered", nil, func(a *ask) { a.params.Claim++ }, challenges.ReasonUnsupported},
		{"a lower claim than offered", nil, func(a *ask) { a.params.Claim-- }, challenges.ReasonUnsupported},
		{"bf16", nil, of(5), ""},
		{"bf16, a higher claim than offered", nil, func(a *ask) { of(5)(a); a.params.Claim++ }, challenges.ReasonUnsupported},
		{"fp64fma", nil, of(6), ""},
		{"fp64fma, a lower claim than offered", nil, func(a *ask) { of(6)(a); a.params.Claim-- }, challenges.ReasonUnsupported},
		{"fp64fma, with the claim of int8", nil, func(a *ask) { of(6)(a); a.params.Claim = 95e6 }, challenges.ReasonUnsupported},
		{"int8, with the claim of fp64fma", nil, func(a *ask) { a.params.Claim = 38e6 }, challenges.ReasonUnsupported},
		{"bf16 of a device without", lopsided, of(5), challenges.ReasonUnsupported},
		{"fp64fma of a device without bf16", lopsided, of(6), ""},
		{"int8 of a device without bf16", lopsided, of(2), ""},
		{"as long as a slot", slot(0), of(8), ""},
		{"longer than a slot", slot(-1), of(8), challenges.ReasonUnsupported},
		{"longer than a devnet's slot", nil, of(8), challenges.ReasonUnsupported},
		{"two epochs old", nil, func(a *ask) { a.Epoch -= 2 }, challenges.ReasonUnsupported},
		{"two epochs ahead", nil, func(a *ask) { a.Epoch += 2 }, challenges.ReasonUnsupported},
		{"an epoch that never comes", nil, func(a *ask) { a.Epoch = 1<<64 - 1 }, challenges.ReasonUnsupported},
		{"last epoch", nil, func(a *ask) { a.Epoch-- }, ""},
		{"next epoch", nil, func(a *ask) { a.Epoch++ }, ""},
		{"the ledger fails", func(c *Config) { c.Ledger.(*fakeLedger).fault = errors.New("disk") }, nil, challenges.ReasonBusy},
		{"admission refuses", func(c *Config) { c.Admission = rented{c.Admission} }, nil, challenges.ReasonTenant},
		{"honest", nil, nil, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, tt.config)
				a := w.ask(tt.ask)
				if tt.reason == "" {
					if s, err := w.judge(a); err != nil || s.Verdict().Outcome != challenges.Pass {
						t.Errorf("verdict %+v, %v", s.Verdict(), err)
					}
					return
				}
				if f := w.refused(a); f.Reason != tt.reason {
					t.Errorf("refused for %q, want %q", f.Reason, tt.reason)
				}
				if w.gate.Busy() {
					t.Error("the device is still taken")
				}
				if _, ok := w.ledger.ended[a.seal().ID()]; ok {
					t.Error("the ledger has an end of what never ran")
				}
			})
		})
	}
}

// slot is a network whose slots are so much longer than the capacity challenge of
// the device.
func slot(by time.Duration) func(*Config) {
	return func(c *Config) {
		row, err := challenges.LookupProfile(8)
		if err != nil {
			panic(err)
		}
		c.Registry.Params.MinSlot = row.Expected(95e6) + by
	}
}

// lopsided is a device that is not offered for bf16.
func lopsided(c *Config) {
	spec := models.Spec{Name: "no-bf16", Simulated: true, Memory: 1, Int8Ops: 100e6, FP64Ops: 40e6}
	d, err := gpu.NewSim(gpu.SimConfig{ID: "gpu0", Claims: spec, Runs: spec})
	if err != nil {
		panic(err)
	}
	c.Devices = []gpu.Device{d}
}

// rented is an admission whose device a customer has.
type rented struct{ Admission }

func (rented) Admit(Request) (func(), *Refusal) {
	return nil, &Refusal{Reason: challenges.ReasonTenant, Until: time.Hour}
}

// A real device on a real network does not answer profiles that forgive an
// overrun.
func TestAgentRefusesASimulatedProfileOnARealNetwork(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, func(c *Config) {
			r := *c.Registry
			r.Simulated = false
			c.Registry = &r
			c.Devices = []gpu.Device{gpu.NewCPU(gpu.CPUConfig{Info: gpu.Info{ID: "gpu0", Int8Ops: 95e6}})}
		})
		w.registry = w.agent.cfg.Registry
		if f := w.refused(w.ask(nil)); f.Reason != challenges.ReasonUnsupported {
			t.Errorf("refused for %q", f.Reason)
		}
	})
}

// An id is answered once, also by an agent that was restarted in between and
// whose gate has forgotten.
func TestAgentRefusesAReplay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, nil)
		a := w.ask(nil)
		if s, err := w.judge(a); err != nil || s.Verdict().Outcome != challenges.Pass {
			t.Fatalf("verdict %+v, %v", s.Verdict(), err)
		}
		u := w.ledger.used[a.seal().ID()]
		if u.Checker != challenges.IDOf(checkerKey) || u.Device != "gpu0" || u.Epoch != a.Epoch || u.At == 0 {
			t.Errorf("recorded as %+v", u)
		}
		if how := w.ledger.end(a.seal().ID()); how != "answered" {
			t.Errorf("recorded as ended by %q", how)
		}
		if f := w.refused(a); f.Reason != challenges.ReasonQuota || !slices.Equal(f.IDs, []challenges.Hash{a.seal().ID()}) {
			t.Errorf("at once: %+v, want a quota that names it", f)
		}
		again := newWorld(t, func(c *Config) { c.Ledger, c.Registry = w.ledger, w.registry })
		again.registry = w.registry
		if f := again.refused(a); f.Reason != challenges.ReasonReplay {
			t.Errorf("after a restart: %+v", f)
		}
		if again.gate.Busy() {
			t.Error("the device is still taken")
		}
	})
}

func TestAgentNamesTheRunningChallenge(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, nil)
		first := w.ask(nil)
		conn, done := w.send(first)
		synctest.Wait()
		f := w.refused(w.ask(func(a *ask) { a.key = secondKey }))
		if f.Reason != challenges.ReasonCollision || !slices.Equal(f.IDs, []challenges.Hash{first.seal().ID()}) {
			t.Errorf("refusal %+v", f)
		}
		// A second control stream of the running challenge is no second run.
		again, againDone := w.send(first)
		if err := <-againDone; err == nil {
			t.Error("the challenge was taken on twice")
		}
		_ = again.Close()
		_ = conn.Close()
		<-done
	})
}

// What is no challenge for this agent from this peer is not answered at all:
// a signed refusal would be a proof of something.
func TestAgentResetsWhatIsNoChallengeForIt(t *testing.T) {
	tests := []struct {
		name string
		ask  func(*ask)
		err  string
	}{
		{"signed by another than the peer", func(a *ask) { a.peer = secondKey }, "sent by"},
		{"for another provider", func(a *ask) { a.Provider = challenges.IDOf(strangerKey) }, "challenge for"},
		{"of another network", func(a *ask) { a.Network[0] ^= 1 }, "another network"},
		{"deadline of its own", func(a *ask) { a.Deadline = time.Hour }, "deadline"},
		{"profile of no table", func(a *ask) { a.params.Profile, a.Deadline = 77, time.Second }, "profile"},
		{"profile of kind fma", func(a *ask) { of(6)(a); a.Kind = challenges.Matmul }, "profile 6 in a challenge of kind matmul"},
		{"profile of kind matmul", func(a *ask) { of(5)(a); a.Kind = challenges.FMA }, "profile 5 in a challenge of kind fma"},
		{"kind of no table", func(a *ask) { a.Kind = "sha" }, "kind"},
		{"a probe", func(a *ask) {
			a.Kind, a.Device, a.Deadline = challenges.Probe, "", challenges.ProbeDeadline
			a.Params = challenges.Marshal(&challenges.ProbeParams{Pings: 1})
		}, "kind"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, nil)
				conn, done := w.send(w.ask(tt.ask))
				err := <-done
				if err == nil || !strings.Contains(err.Error(), tt.err) {
					t.Errorf("error %v, want one about %q", err, tt.err)
				}
				if f, err := conn.Recv(t.Context()); !errors.Is(err, challenges.ErrReset) {
					t.Errorf("answered with %d bytes, %v", len(f), err)
				}
				if w.gate.Busy() || len(w.ledger.used) != 0 {
					t.Error("it was taken on")
				}
			})
		})
	}
}

func TestAgentResetsGarbage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, nil)
		for _, proto := range []string{challenges.ProtoControl, challenges.ProtoProbe, challenges.ProtoBulk} {
			conn, done := w.net.dial(t, challenges.IDOf(checkerKey), proto)
			if err := conn.Send(t.Context(), []byte("garbage")); err != nil {
				t.Fatal(err)
			}
			if err := <-done; err == nil {
				t.Errorf("%s: no error", proto)
			}
			conn, done = w.net.dial(t, challenges.IDOf(checkerKey), proto)
			_ = conn.Close()
			if err := <-done; err == nil {
				t.Errorf("%s: no error over an empty stream", proto)
			}
		}
	})
}

func TestNewAgent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, nil)
		cfg := w.agent.cfg
		sim := cfg.Devices[0]
		real := *w.registry
		real.Simulated = false
		tests := []struct {
			name   string
			change func(*Config)
			ok     bool
		}{
			{"as it is", func(*Config) {}, true},
			{"no devices", func(c *Config) { c.Devices = nil }, true},
			{"defaults", func(c *Config) { c.Log, c.Admission = nil, nil }, true},
			{"simulated device on a real network", func(c *Config) { c.Registry = &real }, false},
			{"two devices of one name", func(c *Config) { c.Devices = []gpu.Device{sim, sim} }, false},
			{"operator of a kilobyte", func(c *Config) { c.Operator = strings.Repeat("o", 1024) }, false},
			{"device without a name", func(c *Config) { c.Devices = []gpu.Device{gpu.NewCPU(gpu.CPUConfig{})} }, false},
		}
		for _, tt := range tests {
			cfg := cfg
			cfg.Network = fakeNetwork{}
			tt.change(&cfg)
			a, err := New(cfg)
			if (err == nil) != tt.ok {
				t.Errorf("%s: %v, want ok %v", tt.name, err, tt.ok)
			}
			if err == nil && a.ID() != challenges.IDOf(providerKey) {
				t.Errorf("%s: id %s", tt.name, a.ID().Short())
			}
			if err != nil && len(cfg.Network.(fakeNetwork)) > 0 {
				t.Errorf("%s: failed, and serves", tt.name)
			}
		}
	})
}
