package prover

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/assaynet/assay/gpu"
)

// Holder is what runs on a card and must be gone while a tenant has it.
type Holder interface {
	// Release ends it and returns when the card is free: how long that took. It stays
	// away until Resume. To release what is not there takes no time.
	Release(ctx context.Context) (time.Duration, error)
	// Resume lets it run again.
	Resume()
}

// TenancyCard is a card that may get tenants.
type TenancyCard struct {
	Device  string
	Card    string          // UUID
	Monitor gpu.Monitor     // lists the card's processes; nil: they are not looked at
	Holder  Holder          // nil: nothing has to be ended
	Own     func() []uint32 // the processes of Holder now; nil: none
}

// TenancyConfig holds what a Tenancy needs.
type TenancyConfig struct {
	Cards  []TenancyCard
	Hooks  []Hook        // each is asked about each card
	Ignore []string      // processes that are no tenant's, by path.Match over the name without its folder
	Every  time.Duration // between two questions to a source; 0: 250 ms
	// What a source said counts for so long when it fails; then the device is not
	// known to be free. 0: 2 s.
	Unknown time.Duration
	Settle  time.Duration // a device is free when all have said so for so long; 0: 1 s
	Log     *slog.Logger
}

const (
	listWithin    = time.Second      // a process list
	hookWithin    = 3 * time.Second  // a hook; a command ends itself earlier
	releaseWithin = 10 * time.Second // a release; then it is tried again
)

// errNotYet is what is known of a source before it answered.
var errNotYet = errors.New("not known yet")

// Tenancy knows which devices belong to tenants: by the process lists of the cards,
// by the owner's hooks, and by what it is told. Who has a device is the strongest of
// what its sources say: a tenant, then not known, then free. The moment that a
// device is not surely free, what we run on it is ended.
type Tenancy struct {
	cfg   TenancyConfig
	log   *slog.Logger
	cards map[string]*tenantCard
}

// NewTenancy makes a tenancy of devices that are not known to be free, and releases
// what runs on them: until Run has asked everybody once.
func NewTenancy(cfg TenancyConfig) (*Tenancy, error) {
	cfg.Every, cfg.Unknown = cmp.Or(cfg.Every, 250*time.Millisecond), cmp.Or(cfg.Unknown, 2*time.Second)
	cfg.Settle = cmp.Or(cfg.Settle, time.Second)
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	for _, pattern := range cfg.Ignore {
		if _, err := path.Match(pattern, ""); err != nil {
			return nil, fmt.Errorf("ignored process %q: %w", pattern, err)
		}
	}
	t := &Tenancy{cfg: cfg, log: cfg.Log, cards: make(map[string]*tenantCard)}
	for _, card := range cfg.Cards {
		if _, ok := t.cards[card.Device]; ok {
			return nil, fmt.Errorf("two cards of device %q", card.Device)
		}
		c := &tenantCard{
			TenancyCard: card, wake: make(chan struct{}, 1), freed: make(chan struct{}), taken: true, fresh: true,
			state: seen{err: errNotYet}, since: time.Now(), arrived: make(chan struct{}),
		}
		close(c.arrived)
		if card.Monitor != nil {
			c.sources = append(c.sources, &source{within: listWithin, find: t.processes(card)})
		}
		for _, h := range cfg.Hooks {
			about := Card{Device: card.Device, UUID: card.Card}
			c.sources = append(c.sources, &source{within: hookWithin, find: func(ctx context.Context) (Tenant, bool, error) {
				return h.Tenant(ctx, about)
			}})
		}
		for _, s := range c.sources {
			s.err = errNotYet
		}
		t.cards[card.Device] = c
	}
	for _, c := range t.cards {
		// Before anything could start it.
		if err := t.release(context.Background(), c); err != nil {
			return nil, fmt.Errorf("release %s: %w", c.Device, err)
		}
	}
	return t, nil
}

// Run asks every source of every card until ctx ends. What was known last stays:
// the end of the watch is no tenant.
func (t *Tenancy) Run(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	for _, c := range t.cards {
		g.Go(func() error { return t.hold(ctx, c) })
		for _, s := range c.sources {
			g.Go(func() error { return t.watch(ctx, c, s) })
		}
	}
	return g.Wait()
}

// watch asks a source again and again, a slow one for at most half of the time.
func (t *Tenancy) watch(ctx context.Context, c *tenantCard, s *source) error {
	var asks asker[seen]
	for {
		start := time.Now()
		got, err := asks.ask(ctx, s.within, func(ctx context.Context) (seen, error) {
			tenant, present, err := s.find(ctx)
			return seen{tenant: tenant, present: present}, err
		})
		if ctx.Err() != nil {
			return nil
		}
		now := time.Now()
		c.mu.Lock()
		if s.err = err; err == nil {
			s.last, s.goodAt = got, now
		}
		c.judge(ctx, t, now)
		c.mu.Unlock()
		took := now.Sub(start)
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(max(took, t.cfg.Every-took)):
		}
	}
}

// hold releases and resumes what runs on a card, and lets no time pass unnoticed.
func (t *Tenancy) hold(ctx context.Context, c *tenantCard) error {
	for {
		now := time.Now()
		c.mu.Lock()
		c.judge(ctx, t, now)
		taken, down := c.taken, c.down
		if !taken && down {
			c.freed = make(chan struct{})
		}
		if !taken && (down || c.failed != nil) {
			// Also after a release that did not end in time: what was asked to go stays away
			// until Resume.
			c.down, c.failed, down = false, nil, true
		}
		c.mu.Unlock()
		switch {
		case taken && !down:
			if err := t.release(ctx, c); err != nil && ctx.Err() == nil {
				t.log.ErrorContext(ctx, "release for a tenant", "device", c.Device, "err", err)
			}
		case !taken && down && c.Holder != nil:
			c.Holder.Resume()
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(t.cfg.Every):
		case <-c.wake:
		}
	}
}

// release ends what runs on a card. Only hold calls it, and NewTenancy before it.
func (t *Tenancy) release(ctx context.Context, c *tenantCard) error {
	var err error
	if c.Holder != nil {
		ctx, cancel := context.WithTimeout(ctx, releaseWithin)
		defer cancel()
		_, err = c.Holder.Release(ctx)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.failed = err; err != nil {
		return err
	}
	c.down = true
	close(c.freed)
	if !c.fresh {
		c.took = time.Since(c.since)
		t.log.InfoContext(ctx, "device released", "device", c.Device, "took", c.took)
	}
	return nil
}
