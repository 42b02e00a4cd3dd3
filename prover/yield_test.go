package prover

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/assaynet/assay/challenges"
	"github.com/assaynet/assay/gpu"
)

// tenants is somebody's word of who has the device.
type tenants struct {
	mu      sync.Mutex
	refusal *Refusal
	arrived chan struct{}
}

func newTenants() *tenants { return &tenants{arrived: make(chan struct{})} }

func (t *tenants) Refuse(string) *Refusal {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.refusal
}

func (t *tenants) Arrived(string) <-chan struct{} {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.arrived
}

func (t *tenants) arrive() { t.taken(&Refusal{Reason: challenges.ReasonTenant, Until: time.Minute}) }

func (t *tenants) taken(r *Refusal) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.refusal = r
	close(t.arrived)
}

// hooked is a device at whose steps something happens. A step whose hook gives an
// error fails with it.
type hooked struct {
	gpu.Device
	start, fill, walk, next, open func() error
}

func call(hook func() error) error {
	if hook == nil {
		return nil
	}
	return hook()
}

func (d hooked) Start(ctx context.Context, job gpu.Job) (gpu.Run, error) {
	if err := call(d.start); err != nil {
		return nil, err
	}
	run, err := d.Device.Start(ctx, job)
	return &hookedRun{Run: run, device: d}, err
}

func (d hooked) Fill(ctx context.Context, job gpu.MemoryJob) (gpu.Memory, error) {
	if err := call(d.fill); err != nil {
		return nil, err
	}
	m, err := d.Device.Fill(ctx, job)
	return hookedMemory{m, d}, err
}

type hookedMemory struct {
	gpu.Memory
	device hooked
}

func (m hookedMemory) Walk(ctx context.Context, nonce challenges.Hash) (gpu.Run, error) {
	if err := call(m.device.walk); err != nil {
		return nil, err
	}
	run, err := m.Memory.Walk(ctx, nonce)
	return &hookedRun{Run: run, device: m.device}, err
}

// hookedRun fires its hooks in round 1: one root is out by then.
type hookedRun struct {
	gpu.Run
	device hooked
	round  int
}

func (r *hookedRun) Next(ctx context.Context) (gpu.Root, error) {
	if r.round == 1 {
		if err := call(r.device.next); err != nil {
			return gpu.Root{}, err
		}
	}
	root, err := r.Run.Next(ctx)
	if err == nil {
		r.round++
	}
	return root, err
}

func (r *hookedRun) Open(ctx context.Context, round int, at []uint32) ([]byte, error) {
	if round == 0 {
		if err := call(r.device.open); err != nil {
			return nil, err
		}
	}
	return r.Run.Open(ctx, round, at)
}

// Whatever stops a run is said, signed, with its reason: before anything was
// committed to as a refusal, later as an abort, which is no way out. It never looks
// like a wrong answer.
func TestGivenUp(t *testing.T) {
	fault := gpu.NewFault(gpu.FaultCrash, "worker was killed by signal 9")
	type at struct {
		memory bool
		put    func(d *hooked, hook func() error)
		bound  bool
	}
	points := map[string]at{
		"start":           {false, func(d *hooked, h func() error) { d.start = h }, false},
		"a round":         {false, func(d *hooked, h func() error) { d.next = h }, true},
		"an opening":      {false, func(d *hooked, h func() error) { d.open = h }, true},
		"fill":            {true, func(d *hooked, h func() error) { d.fill = h }, false},
		"the walks":       {true, func(d *hooked, h func() error) { d.walk = h }, true},
		"a round of them": {true, func(d *hooked, h func() error) { d.next = h }, true},
	}
	for name, point := range points {
		for _, tenant := range []bool{false, true} {
			said := map[bool]string{false: "fault in ", true: "tenant in "}[tenant]
			t.Run(said+name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					who := newTenants()
					w := watch(t, func(c *Config) {
						c.Tenants = who
						d := hooked{Device: simDevice(t, nil)}
						point.put(&d, func() error {
							if tenant {
								who.arrive()
							}
							return fault // what held the device was ended
						})
						c.Devices = []gpu.Device{d}
					})
					var change func(*ask)
					if point.memory {
						change = ofMemory(nil)
					}
					began := time.Now()
					s, err := w.judge(w.ask(change))
					if took := time.Since(began); took > time.Second {
						t.Errorf("it took %v", took)
					}
					v := s.Verdict()
					want := challenges.Verdict{Outcome: challenges.Refused, Clause: challenges.ClauseRefusal}
					if point.bound {
						want = challenges.Verdict{Outcome: challenges.Withheld, Clause: challenges.ClauseAbort}
					}
					if v.Outcome != want.Outcome || v.Clause != want.Clause {
						t.Errorf("verdict %v by %s, want %v by %s", v.Outcome, v.Clause, want.Outcome, want.Clause)
					}
					result, reason := resultFailed, challenges.ReasonFault
					if tenant {
						result, reason = resultYielded, challenges.ReasonTenant
					}
					if f, ok := s.Transcript().Refusal(); ok == point.bound || ok && f.Reason != reason {
						t.Errorf("refusal %v, %+v", ok, f)
					}
					if errors.Is(err, errTenant) != tenant || errors.Is(err, fault) == tenant {
						t.Errorf("the handler's error: %v", err)
					}
					if n := w.value("challenges_total", result); n != 1 {
						t.Errorf("%v counted as %s", n, result)
					}
					if w.gate.Busy() {
						t.Error("the device is still taken")
					}
				})
			})
		}
	}
}

// A tenant who comes while the nonce is waited for is told of at once, and so is that
// nobody knows any more whether one is there: that is a fault.
func TestTenantBeforeTheNonce(t *testing.T) {
	for reason, abort := range map[string]string{
		challenges.ReasonTenant: challenges.AbortTenant, challenges.ReasonFault: challenges.AbortFault,
	} {
		t.Run(reason, func(t *testing.T) { synctest.Test(t, func(t *testing.T) { beforeTheNonce(t, reason, abort) }) })
	}
}

func beforeTheNonce(t *testing.T, reason, abort string) {
	who := newTenants()
	w := watch(t, func(c *Config) { c.Tenants = who })
	s := w.begin(ofMemory(nil))
	s.filled()
	time.Sleep(time.Second)
	who.taken(&Refusal{Reason: reason})
	frame, err := s.control.Recv(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var f challenges.AbortFrame
	if err := challenges.Unmarshal(frame[:len(frame)-64], &f); err != nil || f.Reason != abort {
		t.Errorf("abort %+v, %v", f, err)
	}
	_ = s.control.Close()
	if err := <-s.done; errors.Is(err, errTenant) != (abort == challenges.AbortTenant) || !ours(err) {
		t.Errorf("the handler's error: %v", err)
	}
}

// A checker that never ends what was given up does not hold the device.
func TestGivenUpToADeafChecker(t *testing.T) {
	fault := func() error { return gpu.NewFault(gpu.FaultLost, "gone") }
	for name, device := range map[string]func(d *hooked){
		"before a root": func(d *hooked) { d.start = fault },
		"after one":     func(d *hooked) { d.next = fault },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := watch(t, func(c *Config) {
					roomy(c)
					d := hooked{Device: simDevice(t, nil)}
					device(&d)
					c.Devices = []gpu.Device{d}
				})
				began := time.Now()
				s := w.begin(of(8))
				if err := <-s.done; err == nil || w.gate.Busy() {
					t.Errorf("error %v, busy %v", err, w.gate.Busy())
				}
				if took := time.Since(began); took > 2*heardWithin-time.Second {
					t.Errorf("the device was held for %v", took)
				}
			})
		})
	}
}

// A device that has a tenant, or whose worker is not up, takes nothing on, and
// nobody's quota is used.
func TestNotFree(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		who := newTenants()
		down := &restarting{simDevice(t, nil), false}
		w := watch(t, func(c *Config) {
			c.Tenants, c.Devices = who, []gpu.Device{down}
		})
		if f := w.refused(w.ask(nil)); f.Reason != challenges.ReasonFault {
			t.Errorf("refusal %+v of a worker that is down", f)
		}
		down.up = true
		who.arrive()
		if f := w.refused(w.ask(func(a *ask) { a.Seq = 1 })); f.Reason != challenges.ReasonTenant || f.Until != time.Minute {
			t.Errorf("refusal %+v of a device with a tenant", f)
		}
		who.mu.Lock()
		who.refusal, who.arrived = nil, make(chan struct{})
		who.mu.Unlock()
		// The gate allows one challenge an epoch.
		if s, err := w.judge(w.ask(func(a *ask) { a.Seq = 2 })); err != nil || s.Verdict().Outcome != challenges.Pass {
			t.Errorf("verdict %+v, %v", s.Verdict(), err)
		}
	})
}

type restarting struct {
	gpu.Device
	up bool
}

func (r *restarting) Ready() (bool, *gpu.Fault) {
	if r.up {
		return true, nil
	}
	return false, gpu.NewFault(gpu.FaultAbsent, "the worker is being started")
}
