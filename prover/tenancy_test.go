package prover

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/assaynet/assay/challenges"
	"github.com/assaynet/assay/gpu"
	"github.com/assaynet/assay/gpu/telemetry"
)

var python = telemetry.Process{PID: 7, Name: "/usr/bin/python3", Memory: 12_300_000_000}

const (
	tenant = challenges.ReasonTenant
	fault  = challenges.ReasonFault
)

// TestTenancy plays what happens to a card. The holder is one whose process is in
// the card's list while it runs.
func TestTenancy(t *testing.T) {
	broken := errors.New("nvml: lost")
	ms := time.Millisecond
	tests := []struct {
		name    string
		change  func(*landlord, *TenancyConfig)
		play    func(l *landlord)
		changes string // of the holder
	}{
		{"nobody comes", nil, func(l *landlord) {
			l.check("at once", "")
			l.after(time.Hour, "an hour later", "")
			if c := l.hook.cards[0]; c != (Card{"gpu0", "GPU-1"}) {
				l.t.Errorf("asked about %+v", c)
			}
		}, "release resume"},
		{"comes and leaves", nil, func(l *landlord) {
			l.after(10*time.Second, "free", "")
			arrived := l.Arrived("gpu0")
			l.monitor.set(nil, python)
			l.after(250*ms, "came", tenant)
			select {
			case <-arrived:
			default:
				l.t.Error("who waited was not told")
			}
			l.after(20*ms, "released", tenant)
			if s := l.Status("gpu0"); s.Freed != 20*ms || s.By != "process 7 python3, 12.3 GB" || l.holder.did() != "release resume release" {
				l.t.Errorf("%+v, %v", s, l.holder.did())
			}
			l.after(time.Hour, "stays", tenant)
			l.monitor.set(nil)
			l.after(time.Second, "left a moment ago", tenant)
			l.after(500*ms, "left", "")
			if strings.Count(l.log.String(), "python3") != 1 {
				l.t.Errorf("logged: %s", l.log)
			}
		}, "release resume release resume"},
		{"is there at the start", func(l *landlord, _ *TenancyConfig) { l.monitor.set(nil, python) }, func(l *landlord) {
			l.check("at once", tenant)
			l.after(time.Hour, "stays", tenant)
			l.monitor.set(nil)
			l.after(1500*ms, "left", "")
		}, "release resume"},
		{"does not leave for long", nil, func(l *landlord) {
			for range 5 {
				l.monitor.set(nil, python)
				l.after(time.Second, "came", tenant)
				l.monitor.set(nil)
				l.after(700*ms, "for a moment", tenant)
			}
			l.after(time.Second, "left", "")
		}, "release resume release resume"},
		{"an ignored process", nil, func(l *landlord) {
			l.monitor.set(nil, telemetry.Process{PID: 9, Name: "/usr/lib/Xorg"})
			l.after(time.Second, "X", "")
			l.monitor.set(nil, telemetry.Process{PID: 9, Name: "/usr/lib/Xorg"}, python, telemetry.Process{PID: 8})
			l.after(time.Second, "X and others", tenant)
			if by := l.Status("gpu0").By; by != "process 7 python3, 12.3 GB, and 1 more" {
				l.t.Error(by)
			}
		}, "release resume release"},
		{"the hook's word", nil, func(l *landlord) {
			until := time.Now().Add(time.Hour)
			l.hook.set(true, until, nil)
			l.after(250*ms, "came", tenant)
			if r, s := l.Refuse("gpu0"), l.Status("gpu0"); r.Until != time.Hour-250*ms || !s.Until.Equal(until) || s.By != "hook: fake" {
				l.t.Errorf("%+v, %+v", r, s)
			}
			l.after(2*time.Hour, "stays longer", tenant)
			if r := l.Refuse("gpu0"); r.Until != 0 {
				l.t.Errorf("%+v", r)
			}
			l.hook.set(false, time.Time{}, nil)
			l.after(250*ms, "a moment later", tenant)
			if r := l.Refuse("gpu0"); r.Until != time.Second {
				l.t.Errorf("%+v", r)
			}
			l.after(1250*ms, "left", "")
		}, "release resume release resume"},
		{"a slow hook has its rest", func(l *landlord, _ *TenancyConfig) { l.hook.takes = 2 * time.Second }, func(l *landlord) {
			l.check("at once", fault)
			l.after(2*time.Second, "answered", "")
			l.after(time.Minute, "later", "")
			if n := len(l.hook.cards); n != 16 {
				l.t.Errorf("asked %d times", n)
			}
		}, "release resume"},
		{"both say so", nil, func(l *landlord) {
			until := time.Now().Add(time.Hour)
			l.hook.set(true, until, nil)
			l.monitor.set(nil, python)
			l.after(time.Second, "came", tenant)
			if s := l.Status("gpu0"); !s.Until.Equal(until) || !strings.HasPrefix(s.By, "process") {
				l.t.Errorf("%+v", s)
			}
			l.monitor.set(nil)
			l.after(time.Minute, "the hook still does", tenant)
			l.hook.set(false, time.Time{}, nil)
			l.after(2*time.Second, "left", "")
		}, "release resume release resume"},
		{"the list fails for a moment", nil, func(l *landlord) {
			l.monitor.set(broken)
			l.after(1900*ms, "not for long", "")
			l.monitor.set(nil)
			l.after(time.Hour, "back", "")
		}, "release resume"},
		{"the list fails, and comes back", nil, func(l *landlord) {
			l.monitor.set(broken)
			l.after(2250*ms, "for too long", fault)
			if s := l.Status("gpu0"); !strings.Contains(s.Error, "nvml: lost") {
				l.t.Errorf("%+v", s)
			}
			l.after(time.Minute, "for long", fault)
			l.monitor.set(nil)
			l.after(1250*ms, "back", "")
			if n := strings.Count(l.log.String(), "nvml: lost"); n != 1 {
				l.t.Errorf("%d in the log: %s", n, l.log)
			}
		}, "release resume release resume"},
		{"the list fails while the tenant is there", nil, func(l *landlord) {
			l.monitor.set(nil, python)
			l.after(time.Second, "came", tenant)
			l.monitor.set(broken)
			l.after(1900*ms, "not for long", tenant)
			l.after(time.Second, "for too long", fault)
			l.monitor.set(nil, python)
			l.after(time.Second, "is still there", tenant)
		}, "release resume release"},
		{"the list fails, the hook knows", nil, func(l *landlord) {
			l.monitor.set(broken)
			l.hook.set(true, time.Time{}, nil)
			l.after(time.Minute, "came", tenant)
			l.hook.set(false, time.Time{}, nil)
			l.after(time.Minute, "left, as far as that one knows", fault)
		}, "release resume release"},
		{"the hook fails", nil, func(l *landlord) {
			l.hook.set(false, time.Time{}, errors.New("exit status 3"))
			l.after(time.Second, "not for long", "")
			l.after(1250*ms, "for too long", fault)
			l.hook.set(false, time.Time{}, nil)
			l.after(1250*ms, "back", "")
		}, "release resume release resume"},
		{"the hook fails from the start", func(l *landlord, _ *TenancyConfig) { l.hook.set(false, time.Time{}, broken) }, func(l *landlord) {
			l.check("at once", fault)
			l.after(time.Minute, "later", fault)
			l.hook.set(false, time.Time{}, nil)
			l.after(250*ms, "answers", "")
		}, "release resume"},
		{"the list hangs from the start", func(l *landlord, _ *TenancyConfig) { l.monitor.hang(make(chan struct{})) }, func(l *landlord) {
			l.check("at once", fault)
			if s := l.Status("gpu0"); s.Error != "not known yet" {
				l.t.Errorf("%+v", s)
			}
			l.after(time.Minute, "later", fault)
			close(l.monitor.stuck)
			l.monitor.hang(nil)
			l.after(2*time.Second, "answers", "")
		}, "release resume"},
		{"the list hangs, the hook is heard", nil, func(l *landlord) {
			l.after(time.Second, "free", "")
			before := l.monitor.asked
			stuck := make(chan struct{})
			l.monitor.hang(stuck)
			l.after(500*ms, "hangs", "")
			l.hook.set(true, time.Time{}, nil)
			l.after(250*ms, "the hook says so", tenant)
			l.hook.set(false, time.Time{}, nil)
			l.after(time.Hour, "the hook knows no more", fault)
			if n := l.monitor.asked - before; n != 1 {
				l.t.Errorf("%d calls hang", n)
			}
			close(stuck)
			l.monitor.hang(nil)
			l.after(2250*ms, "answers again", "")
		}, "release resume release resume"},
		{"the card's list has another number for us", func(l *landlord, _ *TenancyConfig) { l.holder.inList = 99 }, func(l *landlord) {
			l.after(time.Minute, "free", "")
			l.hook.set(true, time.Time{}, nil)
			l.after(time.Minute, "came", tenant)
			l.hook.set(false, time.Time{}, nil)
			l.after(time.Minute, "left", "")
		}, "release resume release resume"},
		{"our entry lingers", func(l *landlord, _ *TenancyConfig) { l.holder.lingers = 1500 * ms }, func(l *landlord) {
			l.hook.set(true, time.Time{}, nil)
			l.after(250*ms, "came", tenant)
			l.hook.set(false, time.Time{}, nil)
			l.after(1250*ms, "left", "")
			l.after(time.Minute, "later", "")
		}, "release resume release resume"},
		{"our entry stays", func(l *landlord, _ *TenancyConfig) { l.holder.lingers = time.Hour }, func(l *landlord) {
			l.after(time.Second, "free", "")
			_, _ = l.Arrive(l.t.Context(), "gpu0", time.Time{})
			_ = l.Leave("gpu0")
			l.after(1250*ms, "left", "")
			l.after(3*time.Second, "something of the old one is there", tenant)
		}, "release resume release resume release"},
		{"the release fails", nil, func(l *landlord) {
			l.after(time.Second, "free", "")
			l.holder.fail(errors.New("process 40 does not die"))
			ctx, cancel := context.WithTimeout(l.t.Context(), time.Second)
			defer cancel()
			if d, err := l.Arrive(ctx, "gpu0", time.Time{}); !errors.Is(err, context.DeadlineExceeded) {
				l.t.Errorf("free after %v, %v", d, err)
			}
			l.check("not released", tenant)
			if s := l.Status("gpu0"); !strings.Contains(s.Error, "does not die") {
				l.t.Errorf("%+v", s)
			}
			l.holder.fail(nil)
			l.after(time.Second, "released", tenant)
			if s := l.Status("gpu0"); s.Error != "" || s.Freed < time.Second {
				l.t.Errorf("%+v", s)
			}
			_ = l.Leave("gpu0")
			l.after(1250*ms, "left", "")
		}, "release resume release resume"},
		{"told by the owner", nil, func(l *landlord) {
			l.after(time.Second, "free", "")
			until := time.Now().Add(time.Minute)
			if d, err := l.Arrive(l.t.Context(), "gpu0", until); d != 20*ms || err != nil {
				l.t.Errorf("free after %v, %v", d, err)
			}
			if did := l.holder.did(); did != "release resume release" {
				l.t.Error(did)
			}
			l.check("came", tenant)
			if s := l.Status("gpu0"); s.By != "told by the owner" || !s.Until.Equal(until) {
				l.t.Errorf("%+v", s)
			}
			if d, err := l.Arrive(l.t.Context(), "gpu0", until.Add(time.Hour)); d != 0 || err != nil {
				l.t.Errorf("again: free after %v, %v", d, err)
			}
			if r := l.Refuse("gpu0"); r.Until != 61*time.Minute-20*ms {
				l.t.Errorf("%+v", r)
			}
			l.after(2*time.Hour, "stays longer", tenant)
			if err := l.Leave("gpu0"); err != nil {
				l.t.Error(err)
			}
			l.after(1250*ms, "left", "")
			_ = l.Leave("gpu0")
			l.check("left again", "")
		}, "release resume release resume"},
		{"told in the moment of the resume", nil, func(l *landlord) {
			l.after(time.Second, "free", "")
			for range 3 {
				_, _ = l.Arrive(l.t.Context(), "gpu0", time.Time{})
				_ = l.Leave("gpu0")
				for l.Refuse("gpu0") != nil {
					time.Sleep(time.Millisecond)
				}
				if d, err := l.Arrive(l.t.Context(), "gpu0", time.Time{}); err != nil || d > 20*ms || l.holder.own() != nil {
					l.t.Errorf("free after %v, %v, runs %v", d, err, l.holder.own())
				}
			}
		}, "release resume release resume release resume release resume release"},
		{"no sources, no holder", func(_ *landlord, c *TenancyConfig) { c.Hooks, c.Cards = nil, []TenancyCard{{Device: "gpu0"}} }, func(l *landlord) {
			l.check("at once", "")
			if d, err := l.Arrive(l.t.Context(), "gpu0", time.Time{}); d != 0 || err != nil {
				l.t.Errorf("free after %v, %v", d, err)
			}
			l.check("came", tenant)
			_ = l.Leave("gpu0")
			l.after(1250*ms, "left", "")
		}, ""},
		{"other devices", nil, func(l *landlord) {
			if l.Refuse("gpu1") != nil || l.Arrived("gpu1") != nil || l.Status("gpu1") != (TenantStatus{Known: true}) {
				l.t.Error("knows of another device")
			}
			if _, err := l.Arrive(l.t.Context(), "gpu1", time.Time{}); err == nil {
				l.t.Error("a tenant has it")
			}
			if err := l.Leave("gpu1"); err == nil {
				l.t.Error("a tenant left it")
			}
		}, "release resume"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := rent(t, tt.change)
				tt.play(l)
				synctest.Wait()
				if did := l.holder.did(); did != tt.changes {
					t.Errorf("the holder did %q, want %q", did, tt.changes)
				}
			})
		})
	}
}

// readyHolder comes back, or does not.
type readyHolder struct {
	Holder
	ready bool
}

func (h *readyHolder) Ready() (bool, *gpu.Fault) { return h.ready, nil }

// While the device comes back after a tenant a refusal is for him. What fails later is
// a failure.
func TestTenantHasLeft(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := &readyHolder{}
		c := &tenantCard{TenancyCard: TenancyCard{Holder: h}}
		if r := c.back(); r != nil {
			t.Errorf("without a tenant: %+v", r)
		}
		c.left = time.Now()
		time.Sleep(time.Second)
		if r := c.back(); r == nil || r.Reason != challenges.ReasonTenant || r.Until != backWithin-time.Second {
			t.Errorf("on its way back: %+v", r)
		}
		h.ready = true
		if r := c.back(); r != nil {
			t.Errorf("ready: %+v", r)
		}
		h.ready = false
		if r := c.back(); r != nil {
			t.Errorf("it failed afterwards: %+v", r)
		}
		c.left = time.Now()
		time.Sleep(backWithin)
		if r := c.back(); r != nil {
			t.Errorf("it never came back: %+v", r)
		}
	})
}
