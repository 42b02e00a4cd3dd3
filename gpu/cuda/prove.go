package cuda

import (
	"context"
	"errors"

	"github.com/assaynet/assay/challenges"
	"github.com/assaynet/assay/gpu/cuda/driver"
)

// makerFor is what makes the products of a shape. A library takes another kernel of
// its own for each shape, so one that was right on others is tried on the very strips
// that it is to make, once for each: a wrong one would be found by a checker. The
// kernels' own maker is the same for all.
func (d *Device) makerFor(ctx context.Context, s challenges.Shape) maker {
	mine, m := d.right[s.Flavour][0], d.makers[s.Flavour]
	if m == mine {
		return m
	}
	rows := d.stripRows(s, m)
	for _, n := range []int{min(rows, s.M), s.M % rows} {
		if strip := (challenges.Shape{Flavour: s.Flavour, M: n, N: s.N, K: s.K}); n > 0 && !d.proves(ctx, m, strip) {
			return mine
		}
	}
	return m
}

// proves says whether a maker makes a strip as the processor does.
func (d *Device) proves(ctx context.Context, m maker, strip challenges.Shape) bool {
	d.mu.Lock()
	right, known := d.proven[strip]
	d.mu.Unlock()
	if known {
		return right
	}
	_, err := d.timeProduct(ctx, m, strip)
	if err != nil {
		d.log.WarnContext(ctx, "a library is not used for a shape", "maker", m.name(), "shape", strip.String(), "err", err)
	}
	if ctx.Err() != nil || errors.Is(err, driver.ErrOutOfMemory) || err != nil && driver.Ends(err) {
		return false // that says nothing of the maker
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.proven == nil {
		d.proven = map[challenges.Shape]bool{}
	}
	d.proven[strip] = err == nil
	return err == nil
}
