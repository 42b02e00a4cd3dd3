// Package checker is the checker's daemon: it plans challenges, writes them
// down, sends them, drives the sessions that judge them, and closes each epoch
// with signed observations and its own fold.
//
// The judging is in challenges, the folding in reputation; this package only
// moves values and keeps time.
package checker

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"fmt"
	"io"
	"log/slog"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/errgroup"

	"github.com/assaynet/assay/challenges"
	"github.com/assaynet/assay/checker/committee"
	"github.com/assaynet/assay/checker/evidence"
	"github.com/assaynet/assay/checker/report"
	"github.com/assaynet/assay/checker/reputation"
)

// Network opens streams to peers.
type Network interface {
	// Open opens a stream of a protocol. ctx bounds the dial, not the stream.
	Open(ctx context.Context, to challenges.NodeID, proto string) (challenges.Conn, error)
}

// Challenges keeps challenges through their life.
type Challenges interface {
	// Begin writes a challenge down, synced, before it is sent.
	Begin(id challenges.Hash, b report.Begun) error
	// Finish writes its end in one batch.
	Finish(f report.Finished) error
	// Pending lists challenges without an end, after a crash.
	Pending() ([]report.Pending, error)
	// Abandon gives a pending one up: its item is unknown, by our own fault.
	Abandon(id challenges.Hash, at int64) error
}

// Epochs keeps what an epoch's observations are made of.
type Epochs interface {
	// PutSlices replaces the probe slices of an epoch.
	PutSlices(epoch uint64, s []report.Slices) error
	// EpochRecords lists everything recorded in an epoch, by provider.
	EpochRecords(epoch uint64) ([]report.ProviderEpoch, error)
	// Unsealed lists epochs with records that are not sealed.
	Unsealed() ([]uint64, error)
}

// Reports keeps signed observations and standings.
type Reports interface {
	// Seal closes an epoch in one synced batch; later ones only.
	Seal(epoch uint64, s []reputation.Sealed) error
	// SealedEpoch is the first epoch that may be sealed.
	SealedEpoch() (uint64, error)
	// Standing reads a provider's standing; report.ErrNotFound if there is none.
	Standing(p challenges.NodeID) (reputation.Standing, error)
}

// Restored says whether the store is a backup that was brought back. It cannot
// know what was signed after the backup: speaking on at once could contradict it.
type Restored interface {
	// RestoredAt is when, until ClearRestored.
	RestoredAt() (at time.Time, restored bool, err error)
	ClearRestored() error
}

// Offers keeps the providers' latest offers.
type Offers interface {
	PutOffer(p challenges.NodeID, offer []byte) error
}

// Spools hold the openings of challenges in flight, which would not fit into
// memory together.
type Spools interface {
	// Spool starts one. Its frames are gone once it is closed.
	Spool() Spool
}

// Spool is one challenge's.
type Spool interface {
	challenges.Spool
	Close() error
}

// Bounds of a checker's memory. A challenge in flight holds at most 256 KiB: its
// rounds, what is being read, and one opening; a transcript that is being written
// at most four times its size, which is 8 MiB at most.
const (
	MaxFlights = 1000 // challenges in flight; those over it wait, then are skipped
	maxSealing = 4    // transcripts that are being written
)

// Config holds what a checker needs.
type Config struct {
	Key        ed25519.PrivateKey
	Registry   *committee.Registry
	Network    Network
	Challenges Challenges
	Epochs     Epochs
	Reports    Reports
	Offers     Offers
	Spools     Spools              // nil: openings wait in memory
	Restored   Restored            // nil: never restored
	Providers  []challenges.NodeID // whom to check
	Trust      evidence.Trust      // what identity evidence is judged by
	Random     io.Reader           // for secrets; nil: the system's
	Log        *slog.Logger
	Metrics    prometheus.Registerer // takes one checker; nil: nobody reads them
}

// Checker is a running checker.
type Checker struct {
	cfg     Config
	id      challenges.NodeID
	network challenges.Hash
	params  *committee.Params
	clock   committee.Clock
	log     *slog.Logger
	metrics *metrics
	health  Health
	store   faults

	flushing sync.Mutex // held for the whole of a flush

	flights chan struct{}  // one for each challenge in flight
	sealing chan struct{}  // one for each transcript that is being written
	handing sync.WaitGroup // receipts on their way

	mu     sync.Mutex
	trust  evidence.Trust
	offers map[challenges.NodeID]challenges.Offer
	rtts   map[challenges.NodeID]time.Duration // least seen
	probes map[uint64]map[challenges.NodeID]*report.Slices
	open   map[uint64]*sync.WaitGroup // epochs that still take challenges
	closed uint64                     // epochs below take none

	ends     ends                          // what ended and is not written; removed by flush alone
	running  map[challenges.Hash]time.Time // begun, and when an end is due at the latest
	phase    int
	unsealed uint64    // the epoch to seal next
	flushed  time.Time // end of the last flush that succeeded
	born     time.Time
	steps    stepper // of the wall clock

	first   uint64                    // after a restore: silent before this epoch; owned by epochs once Run runs
	takenUp uint64                    // epoch in which an earlier process ended
	asked   map[committee.Target]bool // what it had asked for in that epoch

	changed chan struct{} // SetProviders was called
}

// New makes a checker.
func New(cfg Config) (*Checker, error) {
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	if cfg.Random == nil {
		cfg.Random = rand.Reader
	}
	id := challenges.IDOf(cfg.Key)
	if cfg.Registry.Index(id) < 0 {
		return nil, fmt.Errorf("checker %s is not in the registry of network %q", id.Short(), cfg.Registry.Name)
	}
	c := &Checker{
		cfg: cfg, id: id, network: cfg.Registry.Hash(), params: &cfg.Registry.Params, clock: cfg.Registry.Clock(), log: cfg.Log,
		trust: cfg.Trust, offers: make(map[challenges.NodeID]challenges.Offer),
		rtts:   make(map[challenges.NodeID]time.Duration),
		probes: make(map[uint64]map[challenges.NodeID]*report.Slices),
		open:   make(map[uint64]*sync.WaitGroup), changed: make(chan struct{}, 1), asked: make(map[committee.Target]bool),
		running: make(map[challenges.Hash]time.Time), born: time.Now(),
		flights: make(chan struct{}, MaxFlights), sealing: make(chan struct{}, maxSealing),
	}
	c.store.failing = make(map[string]time.Time)
	c.metrics = newMetrics(c)
	c.addChecks()
	if err := c.metrics.register(cfg.Metrics); err != nil {
		return nil, err
	}
	return c, nil
}

// ID is the checker's id.
func (c *Checker) ID() challenges.NodeID { return c.id }

// Run checks until ctx ends, then closes the epoch that is open and returns nil.
// What was open when an earlier process died is given up first.
func (c *Checker) Run(ctx context.Context) error {
	if err := c.recover(); err != nil {
		return fmt.Errorf("recover: %w", err)
	}
	defer c.enter(phaseStopped)
	c.enter(phaseRuns)
	c.fetchOffers(ctx)
	g, ctx := errgroup.WithContext(ctx)
	sealing := make(chan uint64, 16)
	g.Go(func() error { return c.epochs(ctx, sealing) })
	g.Go(func() error { return c.sealer(ctx, sealing) })
	g.Go(func() error { return c.flusher(ctx) })
	g.Go(func() error { return c.probers(ctx) })
	err := g.Wait()
	c.handing.Wait()
	return err
}

// enter begins a phase of the checker's life, for its health.
func (c *Checker) enter(phase int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.phase, c.flushed = phase, time.Now()
}

// recover says what an earlier process left open.
func (c *Checker) recover() error {
	pending, err := c.cfg.Challenges.Pending()
	if err != nil {
		return err
	}
	for _, p := range pending {
		c.log.Warn("abandoned by checker", "challenge", p.ID, "kind", p.Kind, "peer", p.Provider)
		if err := c.cfg.Challenges.Abandon(p.ID, time.Now().UnixNano()); err != nil {
			return err
		}
	}
	if silent, err := c.silence(); err != nil || silent {
		return err
	}
	unsealed, err := c.cfg.Epochs.Unsealed()
	if err != nil {
		return err
	}
	next, err := c.cfg.Reports.SealedEpoch()
	if err != nil {
		return err
	}
	c.mu.Lock()
	c.closed = next
	if next > 0 {
		c.metrics.lastSealed.Set(float64(next - 1))
	}
	c.unsealed = max(next, c.clock.Epoch(time.Now())) // those before are sealed here, or never were
	c.mu.Unlock()
	for _, e := range unsealed {
		if e >= next && e < c.clock.Epoch(time.Now()) {
			if err := c.seal(context.Background(), e); err != nil {
				return err
			}
		}
	}
	return c.takeUp(c.clock.Epoch(time.Now()))
}

// silence keeps a checker with a restored store quiet for one full epoch: it
// issues, probes and seals nothing before c.first.
func (c *Checker) silence() (bool, error) {
	if c.cfg.Restored == nil {
		return false, nil
	}
	at, restored, err := c.cfg.Restored.RestoredAt()
	if err != nil || !restored {
		return false, err
	}
	if now := time.Now(); at.Before(now) {
		at = now
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.first = c.clock.Epoch(at) + 2
	c.closed, c.unsealed = c.first, c.first
	c.log.Warn("store was restored from a backup: silent for one full epoch", "first", c.first)
	return true, nil
}

// speak ends the silence, at the start of the first epoch.
func (c *Checker) speak() error {
	if c.first == 0 {
		return nil
	}
	// What the backup had left open before stays unsaid.
	if err := c.cfg.Reports.Seal(c.first-1, nil); err != nil {
		return fmt.Errorf("end the silence: %w", err)
	}
	if err := c.cfg.Restored.ClearRestored(); err != nil {
		return fmt.Errorf("end the silence: %w", err)
	}
	c.first = 0
	return nil
}

// takeUp goes on with the epoch in which an earlier process ended: what it saw
// stays seen, and what it asked for is not asked for twice, since a provider
// would have to refuse that.
func (c *Checker) takeUp(epoch uint64) error {
	records, err := c.cfg.Epochs.EpochRecords(epoch)
	if err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if epoch < c.closed {
		return nil // it was sealed when that process was stopped
	}
	c.takenUp = epoch
	for _, r := range records {
		if len(r.Slices.Slices) == c.params.Slices() {
			if c.probes[epoch] == nil {
				c.probes[epoch] = make(map[challenges.NodeID]*report.Slices)
			}
			c.probes[epoch][r.Provider] = &r.Slices
		}
		for _, it := range r.Items {
			c.asked[committee.Target{Provider: r.Provider, Device: it.Device}] = true
		}
	}
	return nil
}

// sleepUntil waits for t; false if ctx ended first.
func sleepUntil(ctx context.Context, t time.Time) bool {
	if ctx.Err() != nil {
		return false
	}
	timer := time.NewTimer(time.Until(t))
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}
