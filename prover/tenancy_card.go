package prover

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/assaynet/assay/challenges"
	"github.com/assaynet/assay/gpu"
)

// tenantCard is a card's state.
type tenantCard struct {
	TenancyCard
	wake  chan struct{} // for hold; holds one
	freed chan struct{} // closed when the card is taken and released; a new one after

	mu      sync.Mutex
	sources []*source
	told    *Tenant // by the owner, until he says that the tenant left
	state   seen
	taken   bool          // not to be used; true until everybody said free
	freeAt  time.Time     // since when all say free; zero: they do not
	since   time.Time     // of taken, or free
	fresh   bool          // nobody has said anything yet
	arrived chan struct{} // closed while taken
	took    time.Duration // the last release
	failed  error         // the last release's
	down    bool          // Holder is released
	left    time.Time     // when a tenant left for whom Holder is not back yet; zero: none
}

// backWithin is how long the holder may take to come back after a tenant: to open a
// card takes seconds. What the tenant caused is not counted as a failure.
const backWithin = 30 * time.Second

// seen is what the sources say together.
type seen struct {
	tenant  Tenant
	present bool
	err     error // nil: it is known
	doubt   bool  // an answer is old: enough to go on with, and not to begin
}

// source is one that says whether a card has a tenant. Its loop alone asks it.
type source struct {
	within time.Duration
	find   func(ctx context.Context) (Tenant, bool, error)

	last   seen // the last good answer; the card's mu guards it
	goodAt time.Time
	err    error // since then
}

// TenantStatus is what is known of a device.
type TenantStatus struct {
	Present bool          // the device is a tenant's, or was until a moment ago
	By      string        // who or what says so; empty: nobody does
	Since   time.Time     // of its being taken, or free
	Until   time.Time     // zero: not known
	Known   bool          // false: it cannot be told, and the device does not work
	Error   string        // of a source, or of the last release
	Freed   time.Duration // how long the last release took, from the first sight of its reason
}

// look is what the sources say together. The caller holds mu.
func (c *tenantCard) look(now time.Time, unknown time.Duration) (s seen) {
	if c.told != nil {
		s = seen{tenant: *c.told, present: true}
	}
	for _, from := range c.sources {
		counts := from.err == nil || !from.goodAt.IsZero() && now.Sub(from.goodAt) <= unknown
		s.doubt = s.doubt || from.err != nil
		switch {
		case !counts && s.err == nil:
			s.err = from.err
		case counts && from.last.present && !s.present:
			s.tenant, s.present = from.last.tenant, true
		case counts && from.last.present && s.tenant.Until.IsZero():
			s.tenant.Until = from.last.tenant.Until
		}
	}
	return s
}

// kind is what the log says of a state; empty: nothing.
func (s *seen) kind() string {
	switch {
	case s.present:
		return "tenant"
	case s.err == nil:
		return "free"
	case errors.Is(s.err, errNotYet):
		return ""
	}
	return "not known"
}

// judge looks at a card and acts where its state has changed: at once for a tenant,
// after a while for his leaving. The caller holds mu.
func (c *tenantCard) judge(ctx context.Context, t *Tenancy, now time.Time) {
	s := c.look(now, t.cfg.Unknown)
	busy := s.present || s.err != nil
	switch {
	case busy:
		c.freeAt, c.fresh = time.Time{}, c.fresh && !s.present
	case c.taken && s.doubt:
		c.freeAt = time.Time{}
		return
	case c.taken:
		// The last tenant, or the last doubt, stays for a while.
		if c.freeAt.IsZero() {
			c.freeAt = now
		}
		if !c.fresh && now.Sub(c.freeAt) < t.cfg.Settle {
			return
		}
	}
	was := c.state.kind()
	if c.state = s; was != s.kind() {
		t.log.InfoContext(ctx, "tenancy", "device", c.Device, "state", s.kind(), "by", s.tenant.By, "err", s.err)
	}
	switch {
	case busy && !c.taken:
		c.taken, c.since = true, now
		close(c.arrived)
	case !busy && c.taken:
		c.taken, c.fresh, c.since, c.left = false, false, now, time.Time{}
		if was == "tenant" {
			c.left = now
		}
		c.arrived = make(chan struct{})
	default:
		return
	}
	select {
	case c.wake <- struct{}{}:
	default:
	}
}

// back refuses for a tenant who has left as long as what runs the device is being
// started again. The caller holds mu.
func (c *tenantCard) back() *Refusal {
	if c.left.IsZero() {
		return nil
	}
	holder, ok := c.Holder.(interface{ Ready() (bool, *gpu.Fault) })
	if ok && time.Since(c.left) < backWithin {
		if ready, _ := holder.Ready(); !ready {
			return &Refusal{Reason: challenges.ReasonTenant, Until: max(0, time.Until(c.left.Add(backWithin)))}
		}
	}
	c.left = time.Time{}
	return nil
}

// Refuse is why a device takes no work; nil: it is free, or not one of the cards.
func (t *Tenancy) Refuse(device string) *Refusal {
	c := t.cards[device]
	if c == nil {
		return nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.taken {
		return c.back()
	}
	r := &Refusal{Reason: challenges.ReasonFault, Why: c.state.err}
	if c.state.present {
		r.Reason = challenges.ReasonTenant
		if until := c.state.tenant.Until; !until.IsZero() {
			r.Until = max(0, time.Until(until))
		}
	}
	if !c.freeAt.IsZero() {
		r.Until = max(0, time.Until(c.freeAt.Add(t.cfg.Settle)))
	}
	return r
}

// Arrived is closed while a device is not surely free; nil where it is not one of
// the cards.
func (t *Tenancy) Arrived(device string) <-chan struct{} {
	c := t.cards[device]
	if c == nil {
		return nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.arrived
}

// errNoCard says that there is no such device.
var errNoCard = errors.New("no such device")

// Arrive says that a tenant has a device now, until about a time; zero: not known.
// It returns when the card is free for him, and how long that took. He has it until
// Leave, whatever until says, and also where ctx ends first.
func (t *Tenancy) Arrive(ctx context.Context, device string, until time.Time) (time.Duration, error) {
	c := t.cards[device]
	if c == nil {
		return 0, fmt.Errorf("device %q: %w", device, errNoCard)
	}
	start := time.Now()
	c.mu.Lock()
	c.told = &Tenant{By: "told by the owner", Until: until}
	c.judge(ctx, t, start)
	freed := c.freed
	c.mu.Unlock()
	select {
	case <-freed:
		return time.Since(start), nil
	case <-ctx.Done():
		return 0, fmt.Errorf("device %q is not released yet: %w", device, context.Cause(ctx))
	}
}

// Leave says that the tenant of whom Arrive was told has left.
func (t *Tenancy) Leave(device string) error {
	c := t.cards[device]
	if c == nil {
		return fmt.Errorf("device %q: %w", device, errNoCard)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.told = nil
	c.judge(context.Background(), t, time.Now())
	return nil
}

// Status is what is known of a device; one that is not one of the cards has none.
func (t *Tenancy) Status(device string) TenantStatus {
	c := t.cards[device]
	if c == nil {
		return TenantStatus{Known: true}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	s := TenantStatus{
		Present: c.state.present, By: c.state.tenant.By, Until: c.state.tenant.Until, Since: c.since,
		Known: !c.taken || c.state.present, Freed: c.took,
	}
	if err := cmp.Or(c.failed, c.state.err); err != nil {
		s.Error = printable(err.Error(), maxLine)
	}
	return s
}
