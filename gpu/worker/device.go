package worker

import (
	"context"
	"time"

	"github.com/assaynet/assay/challenges"
	"github.com/assaynet/assay/gpu"
)

// Device is a card behind a child. What fails by the card, the driver or the child
// is a *gpu.Fault; where the caller's context has ended as well, the error is both.
type Device struct{ s *supervisor }

// NewDevice makes a device. Nothing is started before Run.
func NewDevice(cfg Config) *Device { return &Device{newSupervisor(cfg, RoleDevice)} }

// Run starts the child, again when it is gone, until ctx ends. Then it ends and
// reaps the child, and returns nil.
func (d *Device) Run(ctx context.Context) error { return d.s.run(ctx) }

// Release kills the child and returns when it is reaped: the card is wholly free
// then. It says how long this took. No child is started before Resume.
func (d *Device) Release(ctx context.Context) (time.Duration, error) { return d.s.release(ctx) }

// Resume lets a child be started again after Release.
func (d *Device) Resume() { d.s.resume() }

// Ready says whether a job can start at once, and why not.
func (d *Device) Ready() (bool, *gpu.Fault) {
	_, f := d.s.take()
	return f == nil, f
}

// Status is how the child does.
func (d *Device) Status() Status { return d.s.read() }

// Changed is closed at the next change of the status.
func (d *Device) Changed() <-chan struct{} { return d.s.changes() }

// Info is what the setup says.
func (d *Device) Info() gpu.Info {
	s := &d.s.cfg.Setup
	return gpu.Info{ID: s.ID, Model: s.Model, Memory: s.Memory, Int8Ops: s.Int8Ops, BF16Ops: s.BF16Ops, FP64Ops: s.FP64Ops}
}

// Start begins a job. The child is told what of the profile a device computes by.
func (d *Device) Start(ctx context.Context, job gpu.Job) (gpu.Run, error) {
	p, f := d.s.take()
	if f != nil {
		return nil, f
	}
	m, err := newJob(p.number(), job)
	if err != nil {
		return nil, err
	}
	return p.start(ctx, opStart, m.Run, m)
}

// Fill fills a dataset.
func (d *Device) Fill(ctx context.Context, job gpu.MemoryJob) (gpu.Memory, error) {
	p, f := d.s.take()
	if f != nil {
		return nil, f
	}
	m, err := newFill(p.number(), job)
	if err != nil {
		return nil, err
	}
	if _, err := p.do(ctx, opFill, m); err != nil {
		return nil, err
	}
	return &filled{held: held{p: p, number: m.Memory}}, nil
}

// filled is a dataset in the child.
type filled struct{ held }

// Walk begins the walks.
func (m *filled) Walk(ctx context.Context, nonce challenges.Hash) (gpu.Run, error) {
	run := m.p.number()
	return m.p.start(ctx, opWalk, run, &walkMessage{Memory: m.number, Run: run, Nonce: nonce})
}

// Close frees the dataset.
func (m *filled) Close() error {
	m.end(opFree)
	return m.wait()
}
