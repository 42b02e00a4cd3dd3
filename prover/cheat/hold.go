package cheat

import (
	"context"
	"io"
	"time"

	"github.com/assaynet/assay/challenges"
	"github.com/assaynet/assay/gpu"
)

// Hold is a device that computes ahead as far as the key chain lets it, keeps the
// roots, and then sends them one after another at the pace of a faster device.
type Hold struct {
	gpu.Device
	Pace time.Duration // between two roots
}

// Start begins a job whose roots are held back.
func (h Hold) Start(ctx context.Context, job gpu.Job) (gpu.Run, error) {
	run, err := h.Device.Start(ctx, job)
	if err != nil {
		return nil, err
	}
	return &holdRun{Run: run, job: job, pace: h.Pace}, nil
}

// holdRun belongs to Next's caller.
type holdRun struct {
	gpu.Run
	job  gpu.Job
	pace time.Duration
	held []gpu.Root
	next int // round to compute
}

func (h *holdRun) Next(ctx context.Context) (gpu.Root, error) {
	if len(h.held) == 0 {
		if err := h.fill(ctx); err != nil {
			return gpu.Root{}, err
		}
	}
	if err := sleep(ctx, h.pace); err != nil {
		return gpu.Root{}, err
	}
	root := h.held[0]
	h.held = h.held[1:]
	return root, nil
}

// fill computes until a key needs positions of a root that was not sent yet.
func (h *holdRun) fill(ctx context.Context) error {
	sent := h.next
	for h.next < h.job.Profile.Rounds && h.job.Profile.Feeds(h.next, h.job.Window) < sent {
		root, err := h.Run.Next(ctx)
		if err != nil {
			return err
		}
		h.held = append(h.held, root)
		h.next++
	}
	if len(h.held) == 0 {
		return io.EOF
	}
	return nil
}

func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-timer.C:
		return nil
	}
}

// Skewed is a device that begins late: its runs and fills, and its walks.
type Skewed struct {
	gpu.Device
	By    time.Duration // after the challenge
	Walks time.Duration // after the nonce
}

// Start begins a job late.
func (s Skewed) Start(ctx context.Context, job gpu.Job) (gpu.Run, error) {
	if err := sleep(ctx, s.By); err != nil {
		return nil, err
	}
	return s.Device.Start(ctx, job)
}

// Fill begins to fill late.
func (s Skewed) Fill(ctx context.Context, job gpu.MemoryJob) (gpu.Memory, error) {
	if err := sleep(ctx, s.By); err != nil {
		return nil, err
	}
	m, err := s.Device.Fill(ctx, job)
	if err != nil {
		return nil, err
	}
	return skewedMemory{m, s.Walks}, nil
}

type skewedMemory struct {
	gpu.Memory
	by time.Duration
}

// Walk begins the walks late.
func (s skewedMemory) Walk(ctx context.Context, nonce challenges.Hash) (gpu.Run, error) {
	if err := sleep(ctx, s.by); err != nil {
		return nil, err
	}
	return s.Memory.Walk(ctx, nonce)
}
