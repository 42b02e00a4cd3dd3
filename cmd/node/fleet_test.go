package node

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"reflect"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/assaynet/assay/challenges"
	"github.com/assaynet/assay/cmd/node/file"
	"github.com/assaynet/assay/gpu/telemetry"
	"github.com/assaynet/assay/prover"
	"github.com/assaynet/assay/prover/control"
)

// cardYAML is a provider with a card, run by the program at WORKER.
const cardYAML = `kind: provider
name: two
listen: [/ip4/127.0.0.1/udp/0/quic-v1]
worker: WORKER
devices:
  - {id: gpu0, model: h100-sxm, card: GPU-5c1b2d3e-1111-2222-3333-444455556666, int8: 1.2e15, bf16: 6e14}
`

// cardDir is the folder of a provider with a card, in a network that is not simulated.
func cardDir(t *testing.T, more string) string {
	t.Helper()
	self, err := os.Executable()
	check(t, err)
	dir := daemonDir(t, strings.ReplaceAll(cardYAML, "WORKER", self)+more, 10)
	edit(t, filepath.Join(dir, "network.yaml"), "simulated: true", "simulated: false")
	return dir
}

// running is a provider's daemon that runs until the test ends.
type running struct {
	t     *testing.T
	dir   string
	log   *buffer
	agent *Agent
	stop  func() error
}

func runProvider(t *testing.T, dir string) *running {
	t.Helper()
	r := &running{t: t, dir: dir, log: new(buffer)}
	ready := make(chan string, 1)
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	var failed error
	wg.Go(func() {
		defer close(ready)
		failed = RunProvider(ctx, DaemonConfig{Dir: dir, Getenv: noEnv, Stderr: r.log, Ready: func(line string) { ready <- line }})
	})
	r.stop = sync.OnceValue(func() error {
		cancel()
		wg.Wait()
		return failed
	})
	t.Cleanup(func() {
		if err := r.stop(); err != nil {
			t.Error(err)
		}
	})
	if line := <-ready; line == "" {
		t.Fatalf("did not start: %v\n%s", r.stop(), r.log)
	}
	var err error
	r.agent, err = DialAgent(t.Context(), dir)
	check(t, err)
	return r
}

// until waits for a state of the agent.
func (r *running) until(what string, holds func(AgentStatus) bool) AgentStatus {
	r.t.Helper()
	for end := time.Now().Add(20 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		s, err := r.agent.Status(r.t.Context())
		check(r.t, err)
		if holds(s) {
			return s
		}
		if time.Now().After(end) {
			b, _ := json.MarshalIndent(s, "", "  ")
			r.t.Fatalf("never %s:\n%s\n%s", what, b, r.log)
		}
	}
}

func onLinux(t *testing.T) {
	t.Helper()
	if runtime.GOOS != "linux" {
		t.Skip("looks into /proc")
	}
}

// TestCards runs a provider with a card: a tenant who is seen on it or told of has it
// at once and wholly, a worker that dies is started again, and the end leaves nothing.
func TestCards(t *testing.T) {
	onLinux(t)
	if testing.Short() {
		t.Skip("starts processes and waits for them")
	}
	list := filepath.Join(t.TempDir(), "processes")
	t.Setenv(processesEnv, list)
	r := runProvider(t, cardDir(t, ""))
	is := func(state string) func(AgentStatus) bool {
		return func(s AgentStatus) bool { return s.Devices[0].State == state }
	}
	s := r.until("ready", is("ready"))
	d := s.Devices[0]
	if d.Card != "GPU-5c1b2d3e-1111-2222-3333-444455556666" || d.About != "a card of the tests" || d.Model != "h100-sxm" || d.Starts != 1 || d.Fault != nil {
		t.Errorf("device %+v", d)
	}
	if of := d.Budget.Of; of == nil || *of != gpuPerDay.Seconds() {
		t.Errorf("budget %+v", d.Budget)
	}
	if !alive(d.PID) {
		t.Errorf("process %d is not there", d.PID)
	}

	// Somebody else's process on the card.
	b, err := json.Marshal([]telemetry.Process{{PID: 1, Name: "/usr/bin/train", Memory: 5e9}})
	check(t, err)
	check(t, os.WriteFile(list, b, 0o600))
	s = r.until("released", func(s AgentStatus) bool {
		return s.Devices[0].Tenant.Present && s.Devices[0].Tenant.Freed != nil && is("released")(s)
	})
	if alive(d.PID) || s.Devices[0].PID != 0 || !strings.Contains(s.Devices[0].Tenant.By, "train") || s.Devices[0].Tenant.Freed == nil {
		t.Errorf("with a tenant: %+v, worker alive %v", s.Devices[0], alive(d.PID))
	}
	check(t, os.Remove(list))
	s = r.until("ready again", is("ready"))
	if s.Devices[0].Starts != 2 || s.Devices[0].PID == d.PID {
		t.Errorf("after the tenant: %+v", s.Devices[0])
	}

	// A tenant of whom the agent is told: free when the call returns.
	pid := s.Devices[0].PID
	freed, err := r.agent.Tenant(t.Context(), "gpu0", true, time.Time{})
	check(t, err)
	if alive(pid) || freed > 2*time.Second {
		t.Errorf("after arrival the worker is alive %v, freed in %v", alive(pid), freed)
	}
	if s = r.until("released", is("released")); !s.Devices[0].Tenant.Present {
		t.Errorf("tenant %+v", s.Devices[0].Tenant)
	}
	_, err = r.agent.Tenant(t.Context(), "gpu0", false, time.Time{})
	check(t, err)
	s = r.until("ready a third time", is("ready"))
	if _, err = r.agent.Tenant(t.Context(), "gpu7", true, time.Time{}); !errors.Is(err, ErrUnknown) {
		t.Errorf("tenant of no device: %v", err)
	}

	// A worker that dies is a fault, with the card's own number, and comes back.
	pid = s.Devices[0].PID
	check(t, syscall.Kill(pid, syscall.SIGKILL))
	s = r.until("ready after a death", func(s AgentStatus) bool { return is("ready")(s) && s.Devices[0].PID != pid })
	if f := s.Devices[0].Fault; f == nil || f.Class != "crash" || f.Xid != 79 {
		t.Errorf("fault %+v", s.Devices[0].Fault)
	}

	pid = s.Devices[0].PID
	start := time.Now()
	check(t, r.stop())
	if d := time.Since(start); d > 5*time.Second {
		t.Errorf("ended after %v", d)
	}
	if alive(pid) {
		t.Error("the worker outlived the agent")
	}
	if file.Exists(filepath.Join(r.dir, control.SocketName)) {
		t.Error("the socket is left")
	}
}

// TestStartWithTenant starts while somebody else has the card: the agent comes up
// without it, and nothing of ours touches it.
func TestStartWithTenant(t *testing.T) {
	onLinux(t)
	if testing.Short() {
		t.Skip("starts processes")
	}
	list := filepath.Join(t.TempDir(), "processes")
	check(t, os.WriteFile(list, []byte(`[{"PID": 1, "Name": "train"}]`), 0o600))
	t.Setenv(processesEnv, list)
	start := time.Now()
	r := runProvider(t, cardDir(t, ""))
	if d := time.Since(start); d > startWithin/2 {
		t.Errorf("waited %v for a card that is a tenant's", d)
	}
	if s := r.until("released", func(s AgentStatus) bool { return s.Devices[0].State == "released" }); s.Devices[0].Starts != 0 {
		t.Errorf("the worker was started %d times", s.Devices[0].Starts)
	}
}

// TestCardsRefuse holds what a start with cards cannot do without: each error is one
// line of what is missing, with what to do.
func TestCardsRefuse(t *testing.T) {
	if testing.Short() {
		t.Skip("starts processes")
	}
	for _, c := range []struct {
		name, more string
		change     func(t *testing.T, dir string)
		says, hint string
	}{
		{"no driver", "driver: " + noLibrary + "\nnvml: " + noLibrary + "\n", nil, "device gpu0: no NVIDIA driver: /nowhere/lib.so is not on this machine", "is it mounted? Or set model: sim-100"},
		{
			"no driver, tenants by hooks", "driver: " + noLibrary + "\nnvml: " + noLibrary + "\ntenancy: {processes: false}\n", nil,
			"device gpu0: no NVIDIA driver: /nowhere/lib.so is not on this machine", "is it installed? Or set model: sim-100",
		},
		{"no NVML", "nvml: " + noLibrary + "\n", nil, "tenancy.processes: no NVML: /nowhere/lib.so is not on this machine", "tenancy.processes: false"},
		{"computes wrong", "driver: " + wrongDriver + "\n", nil, "2 of 9 entries differ", "do not offer this card"},
		{"no worker", "", func(t *testing.T, dir string) {
			self, err := os.Executable()
			check(t, err)
			edit(t, filepath.Join(dir, ConfigName), "worker: "+self, "worker: /nowhere/assay-gpu")
		}, "worker: ", "worker: in assay.yaml names it"},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := cardDir(t, c.more)
			if c.change != nil {
				c.change(t, dir)
			}
			err := RunProvider(t.Context(), DaemonConfig{Dir: dir, Getenv: noEnv, Stderr: new(buffer), Ready: func(line string) { t.Error("runs:", line) }})
			start, ok := errors.AsType[*StartError](err)
			if !ok || !strings.Contains(err.Error(), c.says) || strings.Contains(err.Error(), "\n") || !strings.Contains(start.Hint, c.hint) {
				t.Errorf("error %v, %+v; want %q with a hint of %q", err, start, c.says, c.hint)
			}
			if file.Exists(filepath.Join(dir, "db")) || file.Exists(filepath.Join(dir, control.SocketName)) {
				t.Errorf("a refused start left %v", names(t, dir))
			}
		})
	}
}

// TestStopAtStart ends a daemon that still waits for its card.
func TestStopAtStart(t *testing.T) {
	if testing.Short() {
		t.Skip("starts processes")
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	start := time.Now()
	check(t, RunProvider(ctx, DaemonConfig{
		Dir: cardDir(t, "driver: "+slowDriver+"\n"), Getenv: noEnv, Stderr: new(buffer), Ready: func(line string) { t.Error("runs:", line) },
	}))
	if d := time.Since(start); d > 5*time.Second {
		t.Errorf("ended after %v", d)
	}
}

// TestControlledProvider drains, and restarts: the drain stays until its time.
func TestControlledProvider(t *testing.T) {
	dir := daemonDir(t, strings.ReplaceAll(providerYAML, "/4101", "/0"), 10)
	r := runProvider(t, dir)
	s, err := r.agent.Status(t.Context())
	check(t, err)
	if s.ID != idOf(10) || s.Network != testNetworkHash(t, dir) || s.Draining || len(s.Devices) != 2 || s.Devices[1].State != "simulated" ||
		len(s.Checks) != 3 || s.Devices[0].Budget.Of != nil {
		t.Errorf("status %+v", s)
	}
	if err := RunProvider(t.Context(), DaemonConfig{Dir: dir, Getenv: noEnv, Stderr: new(buffer)}); err == nil {
		t.Error("a second agent ran in the folder")
	}
	check(t, r.agent.Drain(t.Context(), time.Time{}))
	check(t, r.stop())
	r = runProvider(t, dir)
	if s, err = r.agent.Status(t.Context()); err != nil || !s.Draining || s.DrainUntil != nil {
		t.Errorf("after a restart: %+v, %v", s, err)
	}
	until := time.Now().Add(time.Hour).Truncate(time.Second)
	check(t, r.agent.Drain(t.Context(), until))
	check(t, r.stop())
	r = runProvider(t, dir)
	if s, err = r.agent.Status(t.Context()); err != nil || !s.Draining || s.DrainUntil == nil || !s.DrainUntil.Equal(until) {
		t.Errorf("after a second restart: %+v, %v", s, err)
	}
	check(t, r.agent.Resume(t.Context()))
	check(t, r.stop())
	r = runProvider(t, dir)
	if s, err = r.agent.Status(t.Context()); err != nil || s.Draining {
		t.Errorf("after resume and a restart: %+v, %v", s, err)
	}
	// A stop drains too, but the owner did not ask for that.
	check(t, r.stop())
	if file.Exists(filepath.Join(dir, drainName)) {
		t.Error("the stop left a drain")
	}
}

func testNetworkHash(t *testing.T, dir string) challenges.Hash {
	t.Helper()
	n, err := ReadNetwork(filepath.Join(dir, "network.yaml"))
	check(t, err)
	return n.Registry.Hash()
}

func TestDrainFile(t *testing.T) {
	dir, now := t.TempDir(), time.Now()
	path := filepath.Join(dir, drainName)
	if _, drained, err := readDrain(dir, now); drained || err != nil {
		t.Errorf("no file: %v, %v", drained, err)
	}
	check(t, removeDrain(dir))
	check(t, writeDrain(dir, time.Time{}))
	if until, drained, err := readDrain(dir, now); !drained || err != nil || !until.IsZero() {
		t.Errorf("for ever: %v, %v, %v", until, drained, err)
	}
	end := now.Add(time.Minute)
	check(t, writeDrain(dir, end))
	if until, drained, err := readDrain(dir, now); !drained || err != nil || !until.Equal(end) {
		t.Errorf("for a minute: %v, %v, %v", until, drained, err)
	}
	if _, drained, err := readDrain(dir, end); drained || err != nil {
		t.Errorf("when it is over: %v, %v", drained, err)
	}
	for _, text := range []string{"", "{", `{"until": 5}`, `{"untill": null}`, `{} {}`} {
		check(t, os.WriteFile(path, []byte(text), 0o600))
		if _, drained, err := readDrain(dir, now); drained || err == nil || !strings.Contains(err.Error(), path) {
			t.Errorf("%q: drained %v, %v", text, drained, err)
		}
	}
	check(t, removeDrain(dir))
	if file.Exists(path) {
		t.Error("the file is left")
	}
}

func TestRealNetworkTakesCardsOnly(t *testing.T) {
	dir := cardDir(t, "")
	edit(t, filepath.Join(dir, ConfigName), "devices:\n", "devices:\n  - {id: gpu1, model: sim-100}\n")
	d := DaemonConfig{Dir: dir, Getenv: noEnv, Stderr: new(buffer)}
	if err := Check(d, new(buffer)); err == nil || !strings.Contains(err.Error(), `devices[0]: sim-100 is simulated, and network`) {
		t.Errorf("a simulated device in a real network: %v", err)
	}
	out := new(buffer)
	d.Dir = cardDir(t, "budget: {checker_per_day: 0s}\ntenancy: {ignore: [nvtop], file: run/x}\n")
	check(t, Check(d, out))
	for _, want := range []string{
		"\ndevice    gpu0  h100-sxm  GPU-5c1b2d3e-1111-2222-3333-444455556666, 85899345920 bytes, int8 1.2e15 op/s, bf16 6e14 op/s, fp64 0 op/s\n",
		"\nworker    /", "\ndriver    the system's\n", "\ntenancy   processes but [\"nvtop\"], file " + filepath.Join(d.Dir, "run/x") + ", assay provider tenant\n",
		"\nbudget    a device and day: 1h12m0s, of one checker no bound\n", "\ncontrol   " + filepath.Join(d.Dir, control.SocketName) + "\n",
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("config check without %q:\n%s", want, out)
		}
	}
}

// TestFleetMetrics has a series for each device of the configuration, and no other.
func TestFleetMetrics(t *testing.T) {
	dir := cardDir(t, "")
	edit(t, filepath.Join(dir, ConfigName), "devices:\n", "devices:\n  - {id: sim0, model: sim-100}\n")
	c, err := ReadConfig(dir, noEnv)
	check(t, err)
	f, err := newFleet(&c, slog.New(slog.DiscardHandler))
	check(t, err)
	gate := prover.NewGate(prover.GateConfig{})
	gate.Drain(time.Time{})
	r := prometheus.NewRegistry()
	watchFleet(r, f)
	watchGate(r, gate)
	got := make(map[string]float64)
	families, err := r.Gather()
	check(t, err)
	for _, family := range families {
		for _, m := range family.GetMetric() {
			name := []string{family.GetName()}
			for _, l := range m.GetLabel() {
				name = append(name, l.GetName()+"="+l.GetValue())
			}
			got[strings.Join(name, " ")] = m.GetGauge().GetValue() + m.GetCounter().GetValue()
		}
	}
	// Nobody has asked for tenants yet: neither device is known to be free.
	want := map[string]float64{
		"assay_provider_draining": 1, "assay_provider_tenant device=sim0": 1, "assay_provider_tenant device=gpu0": 1,
		"assay_provider_worker_ready device=gpu0": 0, "assay_provider_worker_restarts_total device=gpu0": 0,
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
}
