package prover

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/assaynet/assay/challenges"
	"github.com/assaynet/assay/gpu"
	"github.com/assaynet/assay/gpu/telemetry"
)

// fakeMonitor is a card's monitor whose list and faults are set.
type fakeMonitor struct {
	gpu.Monitor // what is not faked panics

	ours *fakeHolder // nil: none

	mu    sync.Mutex
	list  []telemetry.Process // of others
	err   error
	stuck chan struct{} // not nil: calls end when it is closed, and obey no context
	asked int
}

func (m *fakeMonitor) set(err error, list ...telemetry.Process) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.err, m.list = err, list
}

func (m *fakeMonitor) hang(stuck chan struct{}) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.stuck = stuck
}

func (m *fakeMonitor) Processes(context.Context) ([]telemetry.Process, error) {
	m.mu.Lock()
	m.asked++
	stuck := m.stuck
	m.mu.Unlock()
	if stuck != nil {
		<-stuck
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	list := slices.Clone(m.list)
	if m.ours != nil {
		list = append(list, m.ours.entries()...)
	}
	return list, m.err
}

// fakeHook says what it is set to.
type fakeHook struct {
	mu      sync.Mutex
	tenant  Tenant
	present bool
	err     error
	takes   time.Duration
	cards   []Card
}

func (h *fakeHook) set(present bool, until time.Time, err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.present, h.err, h.tenant = present, err, Tenant{}
	if present {
		h.tenant = Tenant{By: "hook: fake", Until: until}
	}
}

func (h *fakeHook) Tenant(_ context.Context, c Card) (Tenant, bool, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	time.Sleep(h.takes)
	h.cards = append(h.cards, c)
	return h.tenant, h.present, h.err
}

// fakeHolder is what runs on a card. The card's list has it a moment after its
// start, by its number here or another one, and for a while after its end.
type fakeHolder struct {
	pid     uint32
	inList  uint32        // 0: pid
	takes   time.Duration // a release
	lingers time.Duration // its entry, after that

	mu      sync.Mutex
	err     error
	running bool
	ended   time.Time // the last release
	list    []fakeEntry
	changes []string
}

type fakeEntry struct {
	pid        uint32
	from, till time.Time
}

func (h *fakeHolder) Release(ctx context.Context) (time.Duration, error) {
	start := time.Now()
	select {
	case <-time.After(h.takes):
	case <-ctx.Done():
		return 0, context.Cause(ctx)
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.err != nil {
		return 0, h.err
	}
	h.ended = time.Now()
	if h.running {
		h.list[len(h.list)-1].till = h.ended.Add(h.lingers)
	}
	h.running = false
	h.changes = append(h.changes, "release")
	return time.Since(start), nil
}

func (h *fakeHolder) Resume() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.running = true
	if h.pid++; h.inList > 0 {
		h.inList++
	}
	now := time.Now()
	h.list = append(h.list, fakeEntry{max(h.pid, h.inList), now.Add(300 * time.Millisecond), now.Add(1e6 * time.Hour)})
	h.changes = append(h.changes, "resume")
}

func (h *fakeHolder) entries() (list []telemetry.Process) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, e := range h.list {
		if now := time.Now(); !now.Before(e.from) && now.Before(e.till) {
			list = append(list, telemetry.Process{PID: e.pid, Name: "assay-gpu"})
		}
	}
	return list
}

func (h *fakeHolder) own() []uint32 {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.running {
		return []uint32{h.pid}
	}
	return nil
}

func (h *fakeHolder) fail(err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.err = err
}

func (h *fakeHolder) did() string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return strings.Join(h.changes, " ")
}

// landlord is a tenancy of one card, gpu0, that runs.
type landlord struct {
	*Tenancy
	t       *testing.T
	monitor *fakeMonitor
	hook    *fakeHook
	holder  *fakeHolder
	log     *bytes.Buffer // read it after a Wait
}

// rent runs a tenancy until the test ends. It was not asked to wait for anything.
func rent(t *testing.T, change func(*landlord, *TenancyConfig)) *landlord {
	t.Helper()
	m := &fakeMonitor{}
	l := &landlord{t: t, monitor: m, hook: &fakeHook{}, holder: &fakeHolder{pid: 40, takes: 20 * time.Millisecond}, log: &bytes.Buffer{}}
	m.ours = l.holder
	cfg := TenancyConfig{
		Cards: []TenancyCard{{Device: "gpu0", Card: "GPU-1", Monitor: m, Holder: l.holder, Own: l.holder.own}},
		Hooks: []Hook{l.hook}, Ignore: []string{"Xorg"}, Log: slog.New(slog.NewTextHandler(l.log, nil)),
	}
	if change != nil {
		change(l, &cfg)
	}
	var err error
	if l.Tenancy, err = NewTenancy(cfg); err != nil {
		t.Fatal(err)
	}
	l.check("before it runs", challenges.ReasonFault)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- l.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	synctest.Wait()
	return l
}

// check holds what the tenancy says of gpu0 against a reason; empty: free.
func (l *landlord) check(when, reason string) {
	l.t.Helper()
	r, s := l.Refuse("gpu0"), l.Status("gpu0")
	got := ""
	if r != nil {
		got = r.Reason
		var f challenges.RefusalFrame
		if err := challenges.Unmarshal(challenges.NewRefusal(r.Reason, r.Until, r.IDs...), &f); err != nil {
			l.t.Errorf("%s: %v", when, err)
		}
	}
	if got != reason || s.Present != (reason == challenges.ReasonTenant) || s.Known != (reason != challenges.ReasonFault) ||
		(s.By != "") != s.Present || s.Since.IsZero() || s.Since.After(time.Now()) || reason == challenges.ReasonFault && s.Error == "" {
		l.t.Errorf("%s: refused with %+v, want %q; %+v", when, r, reason, s)
	}
	select {
	case <-l.Arrived("gpu0"):
		if reason == "" {
			l.t.Errorf("%s: says that one arrived", when)
		}
	default:
		if reason != "" {
			l.t.Errorf("%s: does not say that one arrived", when)
		}
	}
}

func (l *landlord) after(d time.Duration, when, reason string) {
	l.t.Helper()
	time.Sleep(d)
	synctest.Wait()
	l.check(when, reason)
}

// A tenant comes and goes: the card is his within the time between two looks and
// that of a release.
func TestTenancyIsQuick(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := rent(t, nil)
		l.after(time.Second, "free", "")
		var worst, sum time.Duration
		const visits = 20
		for i := range visits {
			time.Sleep(time.Duration(i*37) * time.Millisecond) // at any time between two looks
			came := time.Now()
			l.monitor.set(nil, python)
			l.after(3*time.Second, "came", tenant)
			took := l.holder.ended.Sub(came)
			worst, sum = max(worst, took), sum+took
			l.monitor.set(nil)
			l.after(3*time.Second, "left", "")
		}
		t.Logf("%d tenants: the card was free after %v on average, %v at worst", visits, sum/visits, worst)
		if most := 250*time.Millisecond + l.holder.takes; worst > most {
			t.Errorf("free after %v, want at most %v", worst, most)
		}
		if did := l.holder.did(); did != strings.TrimSpace(strings.Repeat("release resume ", visits+1)) {
			t.Error(did)
		}
	})
}

func TestNewTenancy(t *testing.T) {
	stubborn := &fakeHolder{err: errors.New("does not die")}
	for _, tt := range []struct {
		name string
		cfg  TenancyConfig
		ok   bool
	}{
		{"nothing", TenancyConfig{}, true},
		{"two cards", TenancyConfig{Cards: []TenancyCard{{Device: "a"}, {Device: "b"}}}, true},
		{"one device twice", TenancyConfig{Cards: []TenancyCard{{Device: "a"}, {Device: "a"}}}, false},
		{"a bad pattern", TenancyConfig{Ignore: []string{"["}}, false},
		{"what cannot be released", TenancyConfig{Cards: []TenancyCard{{Device: "a", Holder: stubborn}}}, false},
	} {
		if _, err := NewTenancy(tt.cfg); (err == nil) != tt.ok {
			t.Errorf("%s: %v", tt.name, err)
		}
	}
}
