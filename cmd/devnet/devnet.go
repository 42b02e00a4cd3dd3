package devnet

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"time"

	"golang.org/x/sync/errgroup"
)

// Config describes a devnet.
type Config struct {
	Checkers  []string      // behaviour of each
	Providers []string      // behaviour of each
	Seed      uint64        // fixes keys and behaviours; secrets stay random
	For       time.Duration // from epoch 0 on; 0: until ctx ends
	Dir       string        // empty: a new temporary folder, kept
	Listen    string        // host:port of checker 1's API
	JSON      bool
	Out       io.Writer // the report
	Log       *slog.Logger
}

// Run runs a devnet until its time is up or ctx ends, judges it, prints the
// report and returns it. Its error is a failure to run, not an expectation that
// was missed.
func Run(ctx context.Context, cfg Config) (_ *Report, err error) {
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	s := newScreen(cfg)
	s.line("starting %d checkers and %d providers ...", len(cfg.Checkers), len(cfg.Providers))
	n, err := start(cfg)
	if err != nil {
		return nil, fmt.Errorf("start devnet: %w", err)
	}
	defer func() {
		if cerr := n.close(); err == nil && cerr != nil {
			err = fmt.Errorf("stop devnet: %w", cerr)
		}
	}()
	for i, c := range n.checkers {
		s.line("checker-%d  %s", i+1, c.API())
	}
	s.line("data       %s", n.cfg.Dir)
	s.line("devices are simulated: exact work of the CPU, delivered at a modelled time (level L0); levels of simulated cards are marked sim")
	genesis := n.registry.Clock().Genesis
	checking := ctx
	if cfg.For > 0 {
		var cancel context.CancelFunc
		checking, cancel = context.WithDeadline(ctx, genesis.Add(cfg.For))
		defer cancel()
	}
	var g errgroup.Group
	watching, done := context.WithCancel(ctx)
	g.Go(func() error {
		defer done()
		return n.check(checking)
	})
	g.Go(func() error {
		s.watch(watching, n)
		return nil
	})
	if err := g.Wait(); err != nil {
		return nil, err
	}
	// The nodes still serve their API; Ctrl-C must not cut the judgement short.
	judging, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Minute)
	defer cancel()
	r, err := n.report(judging, time.Since(genesis))
	if err != nil {
		return nil, err
	}
	if cfg.JSON {
		return r, r.WriteJSON(cfg.Out)
	}
	s.finish(r)
	return r, nil
}
