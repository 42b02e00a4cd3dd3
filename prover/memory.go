package prover

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/assaynet/assay/challenges"
	"github.com/assaynet/assay/challenges/memory"
	"github.com/assaynet/assay/gpu"
)

// memory makes the work a proof of memory.
func (w *work) memory(p memory.Params) {
	set := p.Dataset()
	w.rounds, w.samples, w.entries = set.Rounds, set.Samples, set.Walks()
	w.fits = func(d gpu.Device) bool {
		// As for compute: neither more memory than was offered, nor more time than was
		// agreed on.
		return (!set.Simulated || w.agent.cfg.Registry.Simulated) && set.Items == memory.Items(d.Info().Memory) &&
			set.Expected() <= w.agent.cfg.Registry.Params.MinSlot
	}
	w.begin = func(ctx, busy context.Context, d gpu.Device) (gpu.Run, func(), error) {
		filled, err := d.Fill(busy, gpu.MemoryJob{ID: w.request.ID, Device: w.request.Challenge.Device, Set: set})
		if err != nil {
			return nil, nil, w.fault(busy, "fill", err)
		}
		free := func() { _ = filled.Close() }
		run, err := w.walk(ctx, busy, filled)
		if err != nil {
			free()
			return nil, nil, err
		}
		return run, free, nil
	}
}

// walk says that the dataset is filled and waits for the nonce, which a checker of
// a whole fleet keeps back until all are.
func (w *work) walk(ctx, busy context.Context, filled gpu.Memory) (gpu.Run, error) {
	if err := w.send(ctx, challenges.NewFilled(time.Since(w.start))); err != nil {
		return nil, fmt.Errorf("send filled: %w", err)
	}
	w.awaits.Store(true)
	// The wait may be long: a tenant who comes now is told of at once.
	unwatch := context.AfterFunc(busy, func() {
		if cause := context.Cause(busy); ours(cause) {
			_ = w.say(ctx, cause)
		}
	})
	frame, err := w.control.Recv(ctx)
	if !unwatch() && ours(context.Cause(busy)) {
		return nil, w.fault(busy, "wait for the nonce", context.Cause(busy))
	}
	if errors.Is(err, io.EOF) {
		return nil, errGone
	}
	if err != nil {
		return nil, fmt.Errorf("read nonce: %w", err)
	}
	w.moved.Store(int64(time.Since(w.start)))
	w.awaits.Store(false)
	var f challenges.NonceFrame
	if err := challenges.Unmarshal(frame, &f); err != nil {
		return nil, err
	}
	run, err := filled.Walk(busy, f.Nonce)
	if err != nil {
		return nil, w.fault(busy, "walk", err)
	}
	return run, nil
}
