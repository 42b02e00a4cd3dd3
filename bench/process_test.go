package bench

import (
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/assaynet/assay/challenges"
	"github.com/assaynet/assay/checker/client"
	"github.com/assaynet/assay/checker/report"
)

var (
	kills    = flag.Int("kills", 10, "how often TestProcessKill kills a checker, and how often a provider")
	killSeed = flag.Uint64("killseed", 0, "seed of TestProcessKill; 0: a new one")
)

// TestProcessKill kills checkers and providers at random moments, with SIGKILL,
// and starts them again at once. Whatever they had said must hold afterwards.
func TestProcessKill(t *testing.T) {
	if testing.Short() {
		t.Skip("runs a network of processes for a minute")
	}
	seed := *killSeed
	if seed == 0 {
		seed = uint64(time.Now().UnixNano())
	}
	t.Logf("seed: -killseed %d", seed)
	c := newCluster(t, 2, 3, 3)
	began := time.Now()
	c.startAll(c.all()...)
	c.until(40*time.Second, "every checker sees every provider pass", c.passes(began, c.checkers, c.providers))
	s := c.watch()
	defer s.close()

	var wg sync.WaitGroup
	for i, list := range [][]*process{c.checkers, c.providers} {
		wg.Go(func() {
			if err := c.killer(list, *kills, rand.New(rand.NewPCG(seed, uint64(i)))); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if t.Failed() {
		return
	}
	healed := time.Now()
	c.until(40*time.Second, "all recover after the last kill", c.passes(healed, c.checkers, c.providers))
	recovered := time.Since(healed)
	s.close()
	stopped := c.stopAll()
	a := c.audit(s)
	t.Logf("%d kills of checkers and %d of providers in %v; all passed again %.1f s after the last; stopped in %.1f s\n%v",
		*kills, *kills, time.Since(began).Round(time.Second), recovered.Seconds(), stopped.Seconds(), a)
}

// killer kills one of a list in every epoch, n times, each time at another phase of
// the epoch.
func (c *cluster) killer(list []*process, n int, rnd *rand.Rand) error {
	clock, length := c.network.Registry.Clock(), c.network.Registry.Params.Epoch
	first, phases := clock.Epoch(time.Now())+1, rnd.Perm(n)
	for i := range n {
		phase := (float64(phases[i]) + rnd.Float64()) / float64(n)
		time.Sleep(time.Until(clock.Start(first + uint64(i)).Add(time.Duration(phase * float64(length)))))
		p := list[rnd.IntN(len(list))]
		if err := p.kill(); err != nil {
			return err
		}
		if err := p.start(); err != nil {
			return fmt.Errorf("start %s: %w", p.name, err)
		}
		c.t.Logf("killed %s in epoch %d at %2.0f %%", p.name, first+uint64(i), 100*phase)
	}
	return nil
}

// sawPass reports that a checker has seen a provider pass a challenge of any kind
// since then.
func (p *process) sawPass(provider challenges.NodeID, since time.Time) bool {
	for _, kind := range []challenges.Kind{challenges.FMA, challenges.Matmul} {
		list, err := p.transcripts(report.Query{Kind: kind, Outcome: challenges.Pass, Provider: provider, Limit: 1})
		if err == nil && len(list) > 0 && !list[0].At.Before(since) {
			return true
		}
	}
	return false
}

func (p *process) transcripts(q report.Query) ([]client.Transcript, error) {
	api, err := client.New(p.page)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	return api.Transcripts(ctx, q)
}
