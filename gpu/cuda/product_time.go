package cuda

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/assaynet/assay/challenges"
	"github.com/assaynet/assay/challenges/commit"
	"github.com/assaynet/assay/gpu/cuda/driver"
)

// timed is how long f takes on the card's clock, the mean of n after one that does
// not count. Each is awaited: the device's patience is for one of them.
func (t *trial) timed(n int, f func(q queue) error) time.Duration {
	if t.err != nil {
		return 0
	}
	var from, to driver.Event
	t.err = t.do(func(c *driver.Calls) (err error) {
		if from, err = t.holds.Event(c, true); err != nil {
			return err
		}
		to, err = t.holds.Event(c, true)
		return err
	})
	var sum time.Duration
	for i := range n + 1 {
		t.run(func(q queue) error {
			if err := q.Record(from, t.s); err != nil {
				return err
			}
			if err := f(q); err != nil {
				return err
			}
			return q.Record(to, t.s)
		})
		if t.err != nil {
			return 0
		}
		t.err = t.do(func(c *driver.Calls) error {
			took, err := c.Elapsed(from, to)
			if i > 0 {
				sum += took
			}
			return err
		})
	}
	return sum / time.Duration(n)
}

// times are the times of a round's parts, each alone on the card.
type times struct {
	generate, product, hash time.Duration
}

// least takes the lesser of each part; a part that was not timed is 0.
func (t *times) least(o times) {
	for _, p := range [][2]*time.Duration{{&t.generate, &o.generate}, {&t.product, &o.product}, {&t.hash, &o.hash}} {
		if *p[0] == 0 || *p[1] > 0 && *p[1] < *p[0] {
			*p[0] = *p[1]
		}
	}
}

const repeats = 3

// timeProduct is how long a maker takes for a product. Some of its entries are
// checked.
func (d *Device) timeProduct(ctx context.Context, m maker, s challenges.Shape) (time.Duration, error) {
	parts, err := d.timeParts(ctx, m, s, false)
	return parts.product, err
}

// timeParts times the parts of a round, hashing too if asked to. m is nil for
// lanes.
func (d *Device) timeParts(ctx context.Context, m maker, s challenges.Shape, hashing bool) (times, error) {
	t, err := newTrial(ctx, d)
	if err != nil {
		return times{}, err
	}
	var out times
	key, c := t.put(testKey[:]), t.room(s.Bytes())
	if m == nil {
		coef := t.room(64 * s.K)
		out.generate = t.timed(repeats, func(q queue) error { return q.coefficients(key, coef, s.K) })
		out.product = t.timed(repeats, func(q queue) error { return q.lanes(key, coef, c, s.Entries(), s.K) })
		t.sample(fmaLanes, s, c)
	} else {
		l := lines{s.Flavour, s.Line(), m.tiled()}
		a, b, scratch := t.room(int(l.size(s.M))), t.room(int(l.size(s.N))), t.scratch(m)
		out.generate = t.timed(repeats, func(q queue) error {
			if err := q.generate(key, a, l, matrixA, 0, s.M); err != nil {
				return err
			}
			return q.generate(key, b, l, matrixB, 0, s.N)
		})
		out.product = t.timed(repeats, func(q queue) error {
			return m.multiply(q, product{flavour: s.Flavour, a: a, b: b, c: c, scratch: scratch, m: s.M, n: s.N, lines: l})
		})
		t.sample(m.kernel(s.Flavour), s, c)
	}
	if hashing {
		r := newRun(d, 1, s.Layout())
		_, size := levelsOf(r.layout.Chunks)
		at, root := &slot{data: c, tree: t.room(int(size))}, t.room(32)
		out.hash = t.timed(repeats, func(q queue) error {
			if err := q.chunks(at.data, at.tree, 0, uint64(s.Bytes()/commit.ChunkBytes)); err != nil {
				return err
			}
			return r.climb(q, at, root)
		})
	}
	return out, ended(t.err, d.release(&t.holds))
}

// ended joins the error of work with that of giving back what it used. After an
// error that ends the card that is the same one again.
func ended(err, closeErr error) error {
	if driver.Ends(err) {
		return err
	}
	return errors.Join(err, closeErr)
}

// warm keeps the card busy with products of int8 for a while: a card that was idle
// has slow clocks, and a cold one faster ones than it can keep.
func (d *Device) warm(ctx context.Context, long time.Duration) error {
	m := d.right[challenges.Int8][0]
	s, _, err := speed(challenges.Int8, func(s challenges.Shape) (time.Duration, error) { return d.timeProduct(ctx, m, s) })
	if errors.Is(err, driver.ErrOutOfMemory) {
		return nil // what is measured will say so, or need less
	}
	if err != nil {
		return err
	}
	t, err := newTrial(ctx, d)
	if err != nil {
		return err
	}
	l := lines{s.Flavour, s.Line(), m.tiled()}
	key, c := t.put(testKey[:]), t.room(s.Bytes())
	a, b := t.room(int(l.size(s.M))), t.room(int(l.size(s.N)))
	t.run(func(q queue) error {
		if err := q.generate(key, a, l, matrixA, 0, s.M); err != nil {
			return err
		}
		return q.generate(key, b, l, matrixB, 0, s.N)
	})
	for end := time.Now().Add(long); t.err == nil && time.Now().Before(end); {
		t.run(func(q queue) error {
			return m.multiply(q, product{flavour: s.Flavour, a: a, b: b, c: c, m: s.M, n: s.N, lines: l})
		})
	}
	return ended(t.err, d.release(&t.holds))
}

// sample compares some entries of a large product with the processor's.
func (t *trial) sample(kernel string, s challenges.Shape, c driver.Devptr) {
	const samples = 32
	rng := rand.New(rand.NewPCG(uint64(s.M), uint64(s.K)))
	at, want := make([]uint32, samples), make([]uint64, samples)
	for i := range at {
		at[i] = uint32(rng.Uint64N(s.Entries()))
	}
	at[0], at[1] = 0, uint32(s.Entries()-1)
	key := challenges.Hash(testKey)
	s.Values(&key, at, want)
	for i, e := range at {
		got := append(t.get(c+driver.Devptr(e)*driver.Devptr(s.Width()), s.Width()), 0, 0, 0, 0)
		if t.err != nil {
			return
		}
		if v := binary.LittleEndian.Uint64(got); v != want[i] {
			t.err = fmt.Errorf("kernel %s: %w: entry %d of %v is %#x, the processor has %#x", kernel, ErrMiscomputes, e, s, v, want[i])
			return
		}
	}
}
