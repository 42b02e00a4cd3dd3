package cuda

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/assaynet/assay/challenges"
	"github.com/assaynet/assay/gpu/cuda/driver"
	"github.com/assaynet/assay/gpu/exam"
)

// choose checks the makers of each flavour and takes the fastest that is right.
// The kernels' own must be right: a card that gets it wrong gets others wrong too.
func (d *Device) choose(ctx context.Context, t *trial, cfg Config) {
	for _, f := range []challenges.Flavour{challenges.Int8, challenges.BF16} {
		mine := own{d.program.Products[f]}
		right(t, f, mine)
		t.drop()
		if t.err != nil {
			return
		}
		d.right[f] = []maker{mine}
		for _, m := range d.libraries(ctx, t, cfg, f) {
			right(t, f, m)
			if errors.Is(t.err, ErrMiscomputes) || t.err != nil && !driver.Ends(t.err) && ctx.Err() == nil {
				d.unused(ctx, m, f, t.err)
				t.err = nil
				t.drop()
				continue
			}
			t.drop()
			if t.err != nil {
				return
			}
			d.right[f] = append(d.right[f], m)
		}
		d.makers[f], t.err = d.fastest(ctx, f, func(m maker, s challenges.Shape) (time.Duration, error) { return d.timeProduct(ctx, m, s) })
		if t.err != nil {
			return
		}
	}
}

// unused says that a library is not used, and why.
func (d *Device) unused(ctx context.Context, m maker, f challenges.Flavour, err error) {
	d.log.WarnContext(ctx, "a library is not used", "maker", m.name(), "flavour", f.String(), "err", err)
}

// fastest times the makers that are right on shapes that grow until a product takes
// long enough to be timed, or the card has no room. A library that fails on one of
// them is not right any more.
func (d *Device) fastest(ctx context.Context, f challenges.Flavour, took func(m maker, s challenges.Shape) (time.Duration, error)) (maker, error) {
	best := d.right[f][0]
	for size := 256; size <= 8192 && len(d.right[f]) > 1; size *= 2 {
		shape := sized(f, size)
		var first maker
		var least time.Duration
		for i, m := range slices.Clone(d.right[f]) {
			t, err := took(m, shape)
			switch {
			case err != nil && (driver.Ends(err) || ctx.Err() != nil):
				return nil, fmt.Errorf("time maker %s: %w", m.name(), err)
			case err != nil && i > 0: // the first is the kernels' own
				d.unused(ctx, m, f, err)
				d.right[f] = slices.DeleteFunc(d.right[f], func(o maker) bool { return o == m })
			case errors.Is(err, driver.ErrOutOfMemory):
				return best, nil
			case err != nil:
				return nil, fmt.Errorf("time maker %s: %w", m.name(), err)
			case first == nil || t < least:
				first, least = m, t
			}
		}
		best = first
		if least >= longEnough {
			break
		}
	}
	return best, nil
}

// sized is one of the shapes that grow until a product can be timed: size is a power
// of two from 256 to 8192.
func sized(f challenges.Flavour, size int) challenges.Shape {
	switch {
	case f == challenges.FP64:
		return challenges.Shape{Flavour: f, M: size / 8, N: size, K: min(size, 4096)}
	case size == 256:
		return checkShape(f)
	}
	return challenges.Shape{Flavour: f, M: size, N: size, K: min(4*size, 8192)}
}

// longEnough is a product that is timed to a percent: events are exact to a
// microsecond.
const longEnough = time.Millisecond

// speed is how many operations a second a flavour's products do, about: of the first
// shape that takes long enough to be timed, or the last that the card has room for.
func speed(f challenges.Flavour, took func(s challenges.Shape) (time.Duration, error)) (of challenges.Shape, rate float64, err error) {
	for size := 256; size <= 8192; size *= 2 {
		s := sized(f, size)
		t, err := took(s)
		if errors.Is(err, driver.ErrOutOfMemory) && rate > 0 {
			break
		}
		if err != nil {
			return of, 0, err
		}
		of, rate = s, exam.Per(float64(s.Ops()), t)
		if t >= longEnough {
			break
		}
	}
	return of, rate, nil
}
