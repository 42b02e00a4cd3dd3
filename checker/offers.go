package checker

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/assaynet/assay/challenges"
)

// fetchOffers asks every provider for its offer, all at once.
func (c *Checker) fetchOffers(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	var wg sync.WaitGroup
	for _, p := range c.providers() {
		wg.Go(func() {
			if err := c.fetchOffer(ctx, p); err != nil {
				c.log.DebugContext(ctx, "offer", "peer", p, "err", peerError{err})
			}
		})
	}
	wg.Wait()
}

func (c *Checker) fetchOffer(ctx context.Context, p challenges.NodeID) error {
	start := time.Now()
	conn, err := c.cfg.Network.Open(ctx, p, challenges.ProtoOffer)
	if err != nil {
		return err
	}
	defer conn.Close()
	frame, err := conn.Recv(ctx)
	if err != nil {
		return err
	}
	took := time.Since(start)
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
	err = c.cfg.Offers.PutOffer(p, frame)
	c.wrote(ctx, opOffer, err, "peer", p)
	if err != nil {
		return fmt.Errorf("store offer: %w", err)
	}
	c.offers[p] = offer
	// Until a probe knows better, a whole fetch stands for a round trip: too long
	// rather than too short, so that no far provider is late for its distance.
	if c.rtts[p] == 0 && !conn.Relayed() {
		c.rtts[p] = took
	}
	return nil
}
