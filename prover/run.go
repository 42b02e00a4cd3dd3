package prover

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/assaynet/assay/challenges"
	"github.com/assaynet/assay/gpu"
)

// opened is an opening on its way to the bulk stream.
type opened struct {
	round   int
	request challenges.Hash
	opening []byte
}

// errGone says that the checker left before the end.
var errGone = errors.New("checker left")

// run computes, commits and opens. Roots never queue behind openings: they have
// the control stream to themselves.
func (w *work) run(ctx context.Context, device gpu.Device) error {
	// The checker's patience bounds ours: a checker that says nothing must not hold
	// the device.
	ctx, cancel := context.WithTimeout(ctx, w.request.Challenge.Deadline+time.Second)
	defer cancel()
	g, ctx := errgroup.WithContext(ctx)
	// A tenant's arrival ends what the device does. The streams live on, for the word
	// of it.
	busy, stop := context.WithCancelCause(ctx)
	var watch sync.WaitGroup
	defer watch.Wait()
	defer stop(nil)
	watch.Go(func() {
		select {
		case <-w.arrived:
			stop(w.arrival())
		case <-busy.Done():
		}
	})
	w.sampler = startSampler(ctx, w.agent.cfg.Monitors[w.request.Challenge.Device], w.start)
	run, free, err := w.begin(ctx, busy, device)
	if err != nil {
		if !ours(err) {
			return err
		}
		// Nobody reads the control stream yet, and only the checker's end ends this.
		g.Go(func() error { return w.hear(ctx) })
		g.Go(func() error { return w.giveUp(ctx, err) })
		_ = g.Wait()
		return err
	}
	defer free()
	defer run.Close()

	roots := make(chan challenges.Hash, w.rounds) // committed, not yet asked for
	queue := make(chan opened, w.rounds)          // bounded: one opening a round
	sent := make(chan struct{})                   // every opening is on the wire
	g.Go(func() error { return w.commit(ctx, busy, run, roots, sent) })
	g.Go(func() error { return w.listen(ctx, busy, run, roots, queue) })
	g.Go(func() error {
		if err := w.open(ctx, queue); err != nil {
			return err
		}
		close(sent)
		return nil
	})
	err = g.Wait()
	if gave := w.given(); gave != nil {
		return gave // what came after it is the checker leaving
	}
	return err
}

// commit sends the roots as they come, and the result after the last opening.
func (w *work) commit(ctx, busy context.Context, run gpu.Run, roots chan<- challenges.Hash, sent <-chan struct{}) error {
	core := challenges.Core{Challenge: w.request.ID, Device: w.request.Challenge.Device, Boot: w.agent.cfg.Boot}
	for {
		asked := time.Now()
		root, err := run.Next(busy)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			if err = w.fault(busy, "compute", err); ours(err) {
				return w.giveUp(ctx, err)
			}
			return err
		}
		w.agent.metrics.round.Observe(time.Since(asked).Seconds())
		w.computed.Add(1) // before its root is sent: a stream that takes none is no device's fault
		core.Roots = append(core.Roots, root.Root)
		roots <- root.Root
		if err := w.send(ctx, challenges.NewRoot(root.Round, root.Root, root.Key, time.Since(w.start))); err != nil {
			return fmt.Errorf("send root %d: %w", root.Round, err)
		}
	}
	close(roots)
	core.Telemetry = w.sampler.stop() // while the last openings travel
	signed := w.attest(busy, &core)
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-sent:
	}
	return w.send(ctx, challenges.NewResult(core, signed))
}

// listen answers each request for positions: it must name the round whose turn
// it is, after its root was sent, and entries inside the matrix.
func (w *work) listen(ctx, busy context.Context, run gpu.Run, roots <-chan challenges.Hash, queue chan<- opened) error {
	defer close(queue)
	for round := range w.rounds {
		frame, err := w.control.Recv(ctx)
		if errors.Is(err, io.EOF) {
			return errGone
		}
		if err != nil {
			return fmt.Errorf("read positions: %w", err)
		}
		var f challenges.PositionsFrame
		if err := challenges.Unmarshal(frame, &f); err != nil {
			return err
		}
		if int64(f.Round) != int64(round) || len(f.Positions) != 4*w.samples {
			return fmt.Errorf("positions of round %d, %d bytes; want round %d, %d bytes", f.Round, len(f.Positions), round, 4*w.samples)
		}
		select {
		case <-roots:
		default:
			return fmt.Errorf("positions of round %d before its root", round)
		}
		at := challenges.UnpackPositions(f.Positions)
		for _, e := range at {
			if uint64(e) >= w.entries {
				return fmt.Errorf("positions of round %d: entry %d is outside the matrix", f.Round, e)
			}
		}
		w.moved.Store(int64(time.Since(w.start)))
		w.asked.Add(1)
		opening, err := run.Open(busy, round, at)
		if err != nil {
			if err = w.fault(busy, "open", err); !ours(err) {
				return err
			}
			if err := w.say(ctx, err); err != nil {
				return err
			}
			return w.hear(ctx)
		}
		w.opened.Add(1)
		queue <- opened{round, challenges.FrameHash(frame), opening}
	}
	return nil
}

// open sends the openings, in round order, on the bulk stream.
func (w *work) open(ctx context.Context, queue <-chan opened) error {
	timer := time.NewTimer(attachWait)
	defer timer.Stop()
	var conn challenges.Conn
	select {
	case conn = <-w.bulk.conns:
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-timer.C:
		return errors.New("no bulk stream")
	}
	conn = w.record.bulk(conn)
	sign := challenges.NewFrameSigner(w.agent.cfg.Key, w.agent.network, w.request.ID, challenges.StreamBulk)
	for {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case o, ok := <-queue:
			if !ok {
				return nil
			}
			for _, body := range challenges.NewOpening(o.round, o.request, o.opening) {
				if err := conn.Send(ctx, sign.Sign(body)); err != nil {
					return fmt.Errorf("send opening %d: %w", o.round, err)
				}
			}
			w.agent.metrics.openings.Add(float64(len(o.opening)))
		}
	}
}
