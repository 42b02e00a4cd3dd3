package cuda

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/assaynet/assay/challenges"
	"github.com/assaynet/assay/gpu/cuda/driver"
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
				d.log.WarnContext(ctx, "a library is not used", "maker", m.name(), "flavour", f.String(), "err", t.err)
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
		d.makers[f] = mine
		if len(d.right[f]) > 1 {
			d.makers[f] = d.fastest(ctx, t, f)
		}
	}
}

// fastest times the makers on shapes that grow until a product takes long enough
// to be timed.
func (d *Device) fastest(ctx context.Context, t *trial, f challenges.Flavour) maker {
	var best maker
	for size := 256; size <= 8192 && t.err == nil; size *= 2 {
		shape := challenges.Shape{Flavour: f, M: size, N: size, K: min(4*size, 8192)}
		if size == 256 {
			shape = checkShape(f)
		}
		var least time.Duration
		best = nil
		for _, m := range d.right[f] {
			took, err := d.timeProduct(ctx, m, shape)
			if err != nil {
				t.err = fmt.Errorf("time maker %s: %w", m.name(), err)
				return nil
			}
			if best == nil || took < least {
				best, least = m, took
			}
		}
		if least >= longEnough {
			break
		}
	}
	return best
}

// longEnough is a product that is timed to a percent: events are exact to a
// microsecond.
const longEnough = time.Millisecond
