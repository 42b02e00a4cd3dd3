package worker

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"

	"github.com/assaynet/assay/challenges"
	"github.com/assaynet/assay/gpu"
)

// held is something that the child holds, until it is closed or the child is gone.
type held struct {
	p       *process
	number  uint64
	once    sync.Once
	closing *call // set by once
}

// end has the child close it, and does not wait.
func (h *held) end(op uint8) {
	h.once.Do(func() {
		h.closing = h.p.begin(op, &handleMessage{Number: h.number})
		h.p.limit(h.closing, h.p.cfg.closing, "being asked to free what it holds")
	})
}

// wait returns when it is closed, after end. A child that is gone holds nothing.
func (h *held) wait() error {
	<-h.closing.done
	if h.closing.fallen {
		return nil
	}
	return h.p.meaning(context.Background(), h.closing)
}

// start begins a run.
func (p *process) start(ctx context.Context, op uint8, number uint64, message any) (gpu.Run, error) {
	if _, err := p.do(ctx, op, message); err != nil {
		return nil, err
	}
	r := &run{held: held{p: p, number: number}, ended: make(chan struct{}), cause: func() error { return context.Cause(ctx) }}
	r.detach = context.AfterFunc(ctx, r.finish)
	return r, nil
}

// run is a run in the child.
type run struct {
	held
	ended  chan struct{} // closed when it is being closed
	cause  func() error  // why the context of Start has ended; nil: it has not
	mark   sync.Once     // closes ended
	detach func() bool   // from that context
	round  int           // the next; owned by Next's caller
}

func (r *run) finish() {
	r.end(opClose)
	r.mark.Do(func() { close(r.ended) })
}

// Close ends the run.
func (r *run) Close() error {
	r.detach()
	r.finish()
	return r.wait()
}

// over says why a run that is being closed does not go on.
func (r *run) over() error {
	if err := r.cause(); err != nil {
		return err
	}
	return errClosed
}

// do is a call of the run.
func (r *run) do(ctx context.Context, op uint8, message any) ([]byte, error) {
	select {
	case <-r.ended:
		return nil, r.over()
	default:
	}
	payload, err := r.p.do(ctx, op, message)
	if err == nil || errors.Is(err, io.EOF) {
		return payload, err
	}
	if _, ok := errors.AsType[*gpu.Fault](err); ok || ctx.Err() != nil {
		return nil, err
	}
	select {
	case <-r.ended: // while the child was at it
		return nil, r.over()
	default:
		return nil, err
	}
}

// Next computes the next round.
func (r *run) Next(ctx context.Context) (gpu.Root, error) {
	payload, err := r.do(ctx, opNext, &handleMessage{Number: r.number})
	m, err := answer[rootMessage](r.p, payload, err)
	if err != nil {
		return gpu.Root{}, err
	}
	if m.Round != uint32(r.round) {
		f := gpu.NewFault(gpu.FaultCrash, "worker gave round %d where %d is next", m.Round, r.round)
		r.p.fail(f)
		return gpu.Root{}, f
	}
	r.round++
	return m.root(), nil
}

// Open proves entries of a round.
func (r *run) Open(ctx context.Context, round int, at []uint32) ([]byte, error) {
	if round < 0 || round >= maxRounds || len(at) > maxPositions {
		return nil, fmt.Errorf("open round %d: %d entries", round, len(at))
	}
	return r.do(ctx, opOpen, &openMessage{Run: r.number, Round: uint32(round), Positions: challenges.PackPositions(at)})
}
