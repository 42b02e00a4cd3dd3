package checker

import (
	"context"
	"slices"
	"sync"

	"github.com/assaynet/assay/challenges"
)

// providers is whom to check now.
func (c *Checker) providers() []challenges.NodeID {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.cfg.Providers
}

// SetProviders replaces whom to check, while Run runs. New providers are probed
// at once and challenged from the next epoch on; of those that are gone, what is
// under way ends as it would, and nothing new begins.
func (c *Checker) SetProviders(p []challenges.NodeID) {
	c.mu.Lock()
	c.cfg.Providers = slices.Clone(p)
	c.mu.Unlock()
	select {
	case c.changed <- struct{}{}:
	default: // a change is waiting already
	}
}

// probers keeps one prober for each provider.
func (c *Checker) probers(ctx context.Context) error {
	var running sync.WaitGroup
	defer running.Wait()
	stops := make(map[challenges.NodeID]context.CancelFunc)
	defer func() {
		for _, stop := range stops {
			stop()
		}
	}()
	for {
		list := c.providers()
		for _, p := range list {
			if stops[p] != nil {
				continue
			}
			within, stop := context.WithCancel(ctx)
			stops[p] = stop
			running.Go(func() { c.prober(within, p) })
		}
		for p, stop := range stops {
			if !slices.Contains(list, p) {
				stop()
				delete(stops, p)
			}
		}
		select {
		case <-ctx.Done():
			return nil
		case <-c.changed:
			c.fetchOffers(ctx)
		}
	}
}
