package cuda

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/assaynet/assay/challenges"
	"github.com/assaynet/assay/gpu"
	"github.com/assaynet/assay/gpu/cuda/driver"
	"github.com/assaynet/assay/gpu/exam"
)

// Options say what is measured.
type Options struct {
	Profiles []uint16 // rows of compute; nil: of each flavour that of capacity whose round takes 40 to 80 ms
	Rounds   int      // that are measured; 0: 10 s of them, at least 24
	Class    uint16   // row of the table of classes of memory; 0: memory is not measured
	Items    uint64   // of the dataset; 0: as many as the offered memory asks for
	Alone    bool     // no challenges are played

	Warm time.Duration // how long products warm the card before anything is timed; 0: 1 s

	Energy func() (float64, error) // joules that the card has taken so far; nil: not known
}

// Measure measures the card. It takes some minutes, and the card must have nothing
// else to do. progress may be nil.
func (d *Device) Measure(ctx context.Context, o Options, progress func(done, of int, what string)) (exam.Report, error) {
	if progress == nil {
		progress = func(int, int, string) {}
	}
	r := exam.Report{Card: d.card.Name, Kernels: d.program.Target}
	err := d.measure(ctx, &r, o, progress)
	if err != nil {
		r.Error = err.Error()
	}
	return r, err
}

func (d *Device) measure(ctx context.Context, r *exam.Report, o Options, progress func(done, of int, what string)) error {
	progress(0, 1, "warm up")
	if o.Warm == 0 {
		o.Warm = time.Second
	}
	if err := d.warm(ctx, o.Warm); err != nil {
		return fmt.Errorf("warm the card: %w", err)
	}
	rows, err := d.rowsFor(ctx, o, func(what string) { progress(0, 1, what) })
	if err != nil {
		return err
	}
	steps := len(rows) + 1
	if o.Class != 0 {
		steps++
	}
	progress(0, steps, "copy")
	if r.Copy, err = d.copyRate(ctx); err != nil {
		return fmt.Errorf("measure copies: %w", err)
	}
	for i, row := range rows {
		progress(i+1, steps, row.Name)
		c, err := d.measureCompute(ctx, row, o)
		if len(c.Products) > 0 {
			r.Flavours = append(r.Flavours, c)
		}
		if err != nil {
			return fmt.Errorf("measure %s: %w", row.Name, err)
		}
	}
	if o.Class != 0 {
		progress(steps-1, steps, "memory")
		if r.Memory, err = d.measureMemory(ctx, o); err != nil {
			return fmt.Errorf("measure memory: %w", err)
		}
	}
	progress(steps, steps, "")
	return nil
}

// rowsFor looks the asked rows up, or finds those that fit the card's speed. A row
// that the card takes too long for is an error, before it runs.
func (d *Device) rowsFor(ctx context.Context, o Options, progress func(what string)) ([]challenges.Profile, error) {
	rates := map[challenges.Flavour]float64{}
	took := func(s challenges.Shape) (time.Duration, error) {
		m := d.maker(s.Flavour)
		t, err := d.timeProduct(ctx, m, s)
		if err == nil || m == nil || m == d.right[s.Flavour][0] || driver.Ends(err) || ctx.Err() != nil {
			return t, err
		}
		d.unused(ctx, m, s.Flavour, err)
		return d.timeProduct(ctx, d.right[s.Flavour][0], s)
	}
	check := func(s challenges.Shape) error {
		if _, known := rates[s.Flavour]; !known {
			progress("speed of " + s.Flavour.String())
			_, rate, err := speed(s.Flavour, took)
			if err != nil {
				return fmt.Errorf("speed of %v: %w", s.Flavour, err)
			}
			rates[s.Flavour] = rate
		}
		return exam.Bearable(s, rates[s.Flavour])
	}
	var rows []challenges.Profile
	for _, number := range o.Profiles {
		row, err := challenges.LookupProfile(number)
		if err != nil {
			return nil, err
		}
		if err := check(row.Shape); err != nil {
			return nil, fmt.Errorf("profile %d: %w", number, err)
		}
		rows = append(rows, row)
	}
	if o.Profiles != nil {
		return rows, nil
	}
	for _, f := range []challenges.Flavour{challenges.Int8, challenges.BF16, challenges.FP64} {
		row, err := fit(f, func(s challenges.Shape) (time.Duration, error) {
			if err := check(s); err != nil {
				return 0, err
			}
			return took(s)
		})
		if err != nil {
			return nil, fmt.Errorf("find a row of %v: %w", f, err)
		}
		rows = append(rows, row)
	}
	return rows, nil
}

// fit is a flavour's row of capacity whose round takes 40 ms or more: the first, as
// each has twice the work of the one before. One that the card's memory is too
// small for is not taken.
func fit(f challenges.Flavour, took func(s challenges.Shape) (time.Duration, error)) (challenges.Profile, error) {
	const shortest = 40 * time.Millisecond
	var best challenges.Profile
	for _, row := range challenges.Profiles() {
		if row.Purpose != challenges.Capacity || row.Simulated || row.Shape.Flavour != f {
			continue
		}
		t, err := took(row.Shape)
		if errors.Is(err, driver.ErrOutOfMemory) && best.Rounds > 0 {
			break
		}
		if err != nil {
			return best, err
		}
		best = row
		if t >= shortest {
			break
		}
	}
	return best, nil
}

// maker is that of a flavour; nil for lanes.
func (d *Device) maker(f challenges.Flavour) maker {
	if f == challenges.FP64 {
		return nil
	}
	return d.makers[f]
}

// passes is how many times the makers take turns.
const passes = 3

func (d *Device) measureCompute(ctx context.Context, row challenges.Profile, o Options) (exam.ComputeReport, error) {
	s := row.Shape
	ops := float64(s.Ops())
	r := exam.ComputeReport{Flavour: s.Flavour.String(), Profile: row.Number, Shape: s.String()}
	var used maker // nil: lanes
	makers := []maker{nil}
	if s.Flavour != challenges.FP64 {
		used, makers = d.makerFor(ctx, s), d.right[s.Flavour]
	}
	r.Maker = nameOf(used)
	best, err := d.timeMakers(ctx, s, makers)
	if err != nil {
		return r, err
	}
	for _, m := range makers {
		if t, ok := best[nameOf(m)]; ok {
			r.Products = append(r.Products, exam.ProductTime{Maker: nameOf(m), S: t.product.Seconds(), OpsPerS: exam.Per(ops, t.product)})
		}
	}
	mine, ok := best[r.Maker]
	if !ok { // a library that makes strips of the shape, but not the whole
		used = makers[0]
		mine = best[nameOf(used)]
	}
	r.GenerateS, r.HashS = mine.generate.Seconds(), mine.hash.Seconds()
	if o.Rounds == 0 {
		o.Rounds = exam.RoundsOf(mine.product)
	}
	rounds, joules, err := d.timeRounds(ctx, row, o)
	if err != nil {
		return r, err
	}
	r.Rounds = len(rounds)
	r.JoulesPerOp = joules / ops / float64(len(rounds))
	var sum time.Duration
	for _, took := range rounds {
		sum += took
	}
	r.RoundS = sum.Seconds() / float64(len(rounds))
	r.OpsPerS = exam.Per(ops*float64(len(rounds)), sum)
	r.OpsPerSP10 = exam.Per(ops, exam.SlowTenth(rounds))
	after, err := d.timeProduct(ctx, used, s)
	if err != nil {
		return r, err
	}
	if r.ProductS = after.Seconds(); r.ProductS > 0 {
		r.Overhead = (r.RoundS/r.ProductS - 1) * 100
	}
	if !o.Alone {
		r.Challenge, err = exam.Compute(ctx, d, row, uint64(max(1e3, r.OpsPerSP10)))
	}
	return r, err
}

func nameOf(m maker) string {
	if m == nil {
		return "own"
	}
	return m.name()
}

// timeMakers times the parts of a round, in passes in which the makers take turns, so
// that a card that gets slower is not held against one of them. A library that fails
// is left out.
func (d *Device) timeMakers(ctx context.Context, s challenges.Shape, makers []maker) (map[string]times, error) {
	best, fails := map[string]times{}, map[string]bool{}
	for range passes {
		for i, m := range makers {
			name := nameOf(m)
			if fails[name] {
				continue
			}
			parts, err := d.timeParts(ctx, m, s, true)
			if err != nil && (i == 0 || driver.Ends(err) || ctx.Err() != nil) { // the first is the kernels' own
				return nil, err
			}
			if err != nil {
				d.unused(ctx, m, s.Flavour, err)
				fails[name] = true
				delete(best, name)
				continue
			}
			t := best[name]
			t.least(parts)
			best[name] = t
		}
	}
	return best, nil
}

// timeRounds is how long each round of a run takes whose openings are asked for at
// once, and the joules that all took; the first, which waits for nothing, does not
// count.
func (d *Device) timeRounds(ctx context.Context, row challenges.Profile, o Options) (took []time.Duration, joules float64, err error) {
	if o.Energy == nil {
		o.Energy = func() (float64, error) { return 0, nil }
	}
	row.Rounds, row.Warm = o.Rounds+1, 0
	run, err := d.Start(ctx, gpu.Job{Device: d.info.ID, Profile: row, Window: 4})
	if err != nil {
		return nil, 0, err
	}
	defer func() { err = ended(err, run.Close()) }()
	var last time.Time
	var before float64
	for r := range row.Rounds {
		if _, err := run.Next(ctx); err != nil {
			return nil, 0, err
		}
		now := time.Now()
		if r > 0 {
			took = append(took, now.Sub(last))
		} else if before, err = o.Energy(); err != nil {
			return nil, 0, fmt.Errorf("energy: %w", err)
		}
		last = now
		at := make([]uint32, row.Samples)
		for i := range at {
			at[i] = uint32(rand.Uint64N(row.Shape.Entries()))
		}
		if _, err := run.Open(ctx, r, at); err != nil {
			return nil, 0, err
		}
	}
	after, err := o.Energy()
	return took, after - before, err
}

// copyRate is how many bytes the card copies a second within its memory; each is
// read and written, and counts once.
func (d *Device) copyRate(ctx context.Context) (float64, error) {
	t, err := newTrial(ctx, d)
	if err != nil {
		return 0, err
	}
	size := min(1<<30, d.card.Memory/16) &^ 255
	from, to := t.room(int(size)), t.room(int(size))
	took := t.timed(repeats, func(q queue) error { return q.CopyDevice(to, from, size, q.s) })
	return exam.Per(float64(size), took), ended(t.err, d.release(&t.holds))
}
