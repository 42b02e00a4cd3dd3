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
	"errors"
	"fmt"
	"io"
	"log/slog"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/assaynet/assay/challenges"
	"github.com/assaynet/assay/checker/committee"
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

// Epochs keeps what an epoch's observations are made of, and the standings.
type Epochs interface {
	// PutSlices replaces the probe slices of an epoch.
	PutSlices(epoch uint64, s []report.Slices) error
	// EpochRecords lists everything recorded in an epoch, by provider.
	EpochRecords(epoch uint64) ([]report.ProviderEpoch, error)
	// Seal closes an epoch in one synced batch; later ones only.
	Seal(epoch uint64, s []reputation.Sealed) error
	// Unsealed lists epochs with records that are not sealed, and the first epoch
	// that may be.
	Unsealed() (epochs []uint64, next uint64, err error)
	// Standing reads a provider's standing; the zero value if there is none.
	Standing(p challenges.NodeID) (reputation.Standing, error)
}

// Offers keeps the providers' latest offers.
type Offers interface {
	PutOffer(p challenges.NodeID, offer []byte) error
}

// Config holds what a checker needs.
type Config struct {
	Key        ed25519.PrivateKey
	Registry   *committee.Registry
	Network    Network
	Challenges Challenges
	Epochs     Epochs
	Offers     Offers
	Providers  []challenges.NodeID // whom to check
	Random     io.Reader           // for secrets; nil: the system's
	Log        *slog.Logger
}

// Checker is a running checker.
type Checker struct {
	cfg     Config
	id      challenges.NodeID
	network challenges.Hash
	params  *committee.Params
	clock   committee.Clock
	log     *slog.Logger

	mu     sync.Mutex
	offers map[challenges.NodeID]challenges.Offer
	rtts   map[challenges.NodeID]time.Duration // least seen
	probes map[uint64]map[challenges.NodeID]*report.Slices
	failed []report.Finished // probe transcripts that wait for the next batch
	open   map[uint64]*sync.WaitGroup // epochs that still take challenges
	closed uint64                     // epochs below take none
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
	return &Checker{
		cfg: cfg, id: id, network: cfg.Registry.Hash(), params: &cfg.Registry.Params, clock: cfg.Registry.Clock(), log: cfg.Log,
		offers: make(map[challenges.NodeID]challenges.Offer),
		rtts:   make(map[challenges.NodeID]time.Duration),
		probes: make(map[uint64]map[challenges.NodeID]*report.Slices),
		open:   make(map[uint64]*sync.WaitGroup),
	}, nil
}

// ID is the checker's id.
func (c *Checker) ID() challenges.NodeID { return c.id }

// Run checks until ctx ends, then closes the epoch that is open and returns nil.
// What was open when an earlier process died is given up first.
func (c *Checker) Run(ctx context.Context) error {
	if err := c.recover(); err != nil {
		return fmt.Errorf("recover: %w", err)
	}
	c.fetchOffers(ctx)
	g, ctx := errgroup.WithContext(ctx)
	sealing := make(chan uint64, 16)
	g.Go(func() error { return c.epochs(ctx, sealing) })
	g.Go(func() error { return c.sealer(sealing) })
	g.Go(func() error { return c.flusher(ctx) })
	for _, p := range c.cfg.Providers {
		g.Go(func() error { return c.prober(ctx, p) })
	}
	return g.Wait()
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
	unsealed, next, err := c.cfg.Epochs.Unsealed()
	if err != nil {
		return err
	}
	for _, e := range unsealed {
		if e >= next && e < c.clock.Epoch(time.Now()) {
			if err := c.seal(e); err != nil {
				return err
			}
		}
	}
	return nil
}

// epochs starts each epoch's challenges and hands ended epochs to the sealer.
// It closes the channel when it has handed over the last.
func (c *Checker) epochs(ctx context.Context, sealing chan<- uint64) error {
	defer close(sealing)
	_, next, err := c.cfg.Epochs.Unsealed()
	if err != nil {
		return err
	}
	// An epoch that an earlier process sealed before its end stays sealed.
	epoch := max(next, c.clock.Epoch(time.Now()))
	for {
		if !sleepUntil(ctx, c.clock.Start(epoch)) {
			return nil
		}
		c.start(ctx, epoch)
		ended := sleepUntil(ctx, c.clock.Start(epoch+1))
		sealing <- epoch
		if !ended {
			return nil
		}
		c.fetchOffers(ctx)
		epoch++
	}
}

// start plans an epoch and sends each challenge at its time.
func (c *Checker) start(ctx context.Context, epoch uint64) {
	c.mu.Lock()
	var targets []committee.Target
	for _, p := range c.cfg.Providers {
		offer := c.offers[p]
		for _, d := range offer.Devices {
			targets = append(targets, committee.Target{Provider: p, Device: d.ID})
		}
	}
	c.mu.Unlock()
	begin := c.clock.Start(epoch)
	for _, a := range committee.Plan(c.cfg.Registry, c.id, epoch, targets) {
		if time.Since(begin.Add(a.At)) > c.params.ProbeEvery {
			continue // started in the middle of an epoch: that moment is gone
		}
		done, ok := c.track(epoch)
		if !ok {
			return
		}
		go func() {
			defer done() // the sealer waits for it
			if !sleepUntil(ctx, begin.Add(a.At)) {
				return
			}
			if err := c.issue(ctx, a); err != nil {
				c.log.ErrorContext(ctx, "challenge", "peer", a.Provider, "kind", a.Kind, "err", err)
			}
		}()
	}
}

// track counts one more challenge of an epoch, unless the epoch is being closed.
// The sealer waits until each one's done was called.
func (c *Checker) track(epoch uint64) (done func(), ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if epoch < c.closed {
		return nil, false
	}
	open := c.open[epoch]
	if open == nil {
		open = &sync.WaitGroup{}
		c.open[epoch] = open
	}
	open.Add(1)
	return open.Done, true
}

// close stops an epoch from taking more challenges and waits for those it has.
func (c *Checker) close(epoch uint64) {
	c.mu.Lock()
	open := c.open[epoch]
	delete(c.open, epoch)
	c.closed = epoch + 1
	c.mu.Unlock()
	if open != nil {
		open.Wait()
	}
}

// sealer closes epochs in order, each when its last challenge is final.
func (c *Checker) sealer(sealing <-chan uint64) error {
	var first error
	for epoch := range sealing {
		c.close(epoch)
		if err := c.seal(epoch); err != nil && first == nil {
			first = fmt.Errorf("seal epoch %d: %w", epoch, err)
		}
	}
	return first
}

// seal writes an epoch's observations and folds them.
func (c *Checker) seal(epoch uint64) error {
	if err := c.flush(); err != nil {
		return err
	}
	records, err := c.cfg.Epochs.EpochRecords(epoch)
	if err != nil {
		return err
	}
	sealed := make([]reputation.Sealed, 0, len(records))
	for _, r := range records {
		o := report.Observation{
			Epoch: epoch, Provider: r.Provider, Simulated: c.cfg.Registry.Simulated,
			Slices: r.Slices.Slices, RTT: r.RTT, Items: r.Items,
		}
		old, err := c.cfg.Epochs.Standing(r.Provider)
		if err != nil {
			return err
		}
		a := reputation.Combine(c.cfg.Registry, epoch, r.Provider, []reputation.Seen{{Checker: c.id, Observation: o}})
		standing, events := reputation.Fold(old, a, c.params)
		for _, e := range events {
			c.log.Info("flag", "peer", e.Provider, "flag", e.Code, "epoch", e.Epoch)
		}
		sealed = append(sealed, reputation.Sealed{
			Observation: o.Seal(c.network, c.cfg.Key), Epoch: epoch, Provider: r.Provider, Standing: standing,
		})
	}
	if err := c.cfg.Epochs.Seal(epoch, sealed); err != nil {
		return err
	}
	c.mu.Lock()
	delete(c.probes, epoch)
	c.mu.Unlock()
	return nil
}

// fetchOffers asks every provider for its offer, all at once.
func (c *Checker) fetchOffers(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	var wg sync.WaitGroup
	for _, p := range c.cfg.Providers {
		wg.Go(func() {
			if err := c.fetchOffer(ctx, p); err != nil {
				c.log.DebugContext(ctx, "offer", "peer", p, "err", err)
			}
		})
	}
	wg.Wait()
}

func (c *Checker) fetchOffer(ctx context.Context, p challenges.NodeID) error {
	conn, err := c.cfg.Network.Open(ctx, p, challenges.ProtoOffer)
	if err != nil {
		return err
	}
	defer conn.Close()
	frame, err := conn.Recv(ctx)
	if err != nil {
		return err
	}
	env, err := challenges.DecodeEnvelope(frame)
	if err != nil {
		return err
	}
	offer, err := challenges.OpenOffer(env, c.network)
	if err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	switch old, known := c.offers[p]; {
	case env.Signer != p:
		return fmt.Errorf("offer of %s served by %s", env.Signer.Short(), p.Short())
	case uint64(time.Now().Unix()) >= offer.Expires:
		return errors.New("offer has expired")
	case known && old.Seq >= offer.Seq:
		return nil
	}
	if err := c.cfg.Offers.PutOffer(p, frame); err != nil {
		return fmt.Errorf("store offer: %w", err)
	}
	c.offers[p] = offer
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
