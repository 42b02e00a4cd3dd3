package worker

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/assaynet/assay/challenges"
	"github.com/assaynet/assay/gpu"
)

// call is a request that waits for its reply, or for the end of the process.
type call struct {
	id      uint64
	done    chan struct{} // closed when the rest is set
	payload []byte
	err     error
	fallen  bool        // by the end of the process
	overdue *time.Timer // nil: it may take as long as it needs; guarded by process.mu
}

// end is called once.
func (c *call) end(payload []byte, err error) {
	if f, ok := err.(*gpu.Fault); ok {
		own := *f // a caller may do with it what he wants
		err = &own
	}
	if c.overdue != nil {
		c.overdue.Stop()
	}
	c.payload, c.err = payload, err
	close(c.done)
}

// Errors of calls.
var (
	errCancelled = errors.New("worker: the call was cancelled")
	errClosed    = errors.New("worker: closed")
)

// begin sends a request.
func (p *process) begin(op uint8, message any) *call {
	c := &call{done: make(chan struct{})}
	p.mu.Lock()
	if p.calls == nil {
		c.fallen = true
		c.end(nil, p.why)
		p.mu.Unlock()
		return c
	}
	p.last++
	c.id = p.last
	p.calls[c.id] = c
	p.mu.Unlock()
	p.send(&request{Call: c.id, Op: op, Payload: challenges.Marshal(message)})
	return c
}

// number is one that no other run or memory of the process has.
func (p *process) number() uint64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.last++
	return p.last
}

// limit ends the process if a call has not come back after a time.
func (p *process) limit(c *call, d time.Duration, what string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.calls[c.id] == c {
		c.overdue = time.AfterFunc(d, func() {
			p.fail(gpu.NewFault(gpu.FaultHang, "worker did not come back within %v of %s", d, what))
		})
	}
}

// do is a call that takes as long as it needs, or until ctx ends. Then it waits for
// the call to come back, for what holds one call at a time must not be asked again
// before; a process that lets it wait is ended.
func (p *process) do(ctx context.Context, op uint8, message any) ([]byte, error) {
	return p.ask(ctx, op, message, true)
}

// ask may leave the call to itself where ctx ends.
func (p *process) ask(ctx context.Context, op uint8, message any, wait bool) ([]byte, error) {
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	c := p.begin(op, message)
	select {
	case <-c.done:
	case <-ctx.Done():
		p.limit(c, p.cfg.grace, "its call's end")
		p.send(&request{Call: c.id, Op: opCancel})
		if !wait {
			return nil, context.Cause(ctx)
		}
		<-c.done
	}
	return c.payload, p.meaning(ctx, c)
}

// meaning is a call's error as its caller sees it.
func (p *process) meaning(ctx context.Context, c *call) error {
	f, ok := c.err.(*gpu.Fault)
	switch {
	case ok && !c.fallen:
		p.addXid(f)
		p.cfg.noted(f)
	case c.err == errCancelled && ctx.Err() != nil:
		return context.Cause(ctx)
	}
	if ok && ctx.Err() != nil {
		return fmt.Errorf("%w: %w", context.Cause(ctx), f)
	}
	return c.err
}

// fatal says whether a process is to be replaced after a fault. After others of a
// driver the child knows, and says so in a message of its own. A monitor reads
// many cards: it stays when one is lost.
func (p *process) fatal(f *gpu.Fault) bool {
	if p.cfg.Setup.Role != RoleDevice {
		return false
	}
	switch f.Class {
	case gpu.FaultLost, gpu.FaultHang, gpu.FaultWrong, gpu.FaultCrash:
		return true
	default:
		return false
	}
}

// take gives a reply to its call.
func (p *process) take(r *reply) error {
	if r.Call == 0 && r.Status == statusOK {
		return nil // a ping's
	}
	var err error
	switch r.Status {
	case statusOK:
	case statusEOF:
		err = io.EOF
	case statusFault:
		f, bad := decodeFault(r.Payload)
		if bad != nil {
			return fmt.Errorf("%w: %w", errFrame, bad)
		}
		if r.Call == 0 || p.fatal(f) {
			p.fail(f) // this call with all others
			return nil
		}
		err = f
	case statusCancelled:
		err = errCancelled
	case statusUnattested:
		err = gpu.ErrNoAttestation
	default:
		err = fmt.Errorf("worker: %s", line(string(r.Payload), gpu.MaxDetail))
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.calls == nil {
		return nil
	}
	c := p.calls[r.Call]
	if c == nil {
		return fmt.Errorf("%w: it answers call %d, which is not open", errFrame, r.Call)
	}
	delete(p.calls, r.Call)
	c.end(r.Payload, err)
	return nil
}

// answer reads the payload of a reply. A child that sends another one is broken.
func answer[T any](p *process, payload []byte, err error) (*T, error) {
	if err != nil {
		return nil, err
	}
	v, err := decode[T](payload)
	if err != nil {
		f := gpu.NewFault(gpu.FaultCrash, "worker sent what is not an answer: %s", line(err.Error(), gpu.MaxDetail/2))
		p.fail(f)
		return nil, f
	}
	return v, nil
}
