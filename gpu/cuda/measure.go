package cuda

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/assaynet/assay/challenges"
	"github.com/assaynet/assay/gpu"
	"github.com/assaynet/assay/gpu/cuda/driver"
	"github.com/assaynet/assay/gpu/exam"
)

// Options say what is measured.
type Options struct {
	Profiles []uint16 // rows of compute; nil: of each flavour that of capacity whose round takes 40 to 80 ms
	Rounds   int      // that are measured; 0: 24
	Class    uint16   // row of the table of classes of memory; 0: memory is not measured
	Items    uint64   // of the dataset; 0: as many as the offered memory asks for
	Alone    bool     // no challenges are played

	Energy func() (float64, error) // joules that the card has taken so far; nil: not known
}

// Report is what was measured. All times are seconds.
type Report struct {
	Card     string          `json:"card"`
	Kernels  string          `json:"kernels"` // the module
	Copy     float64         `json:"copy_bytes_per_s"`
	Flavours []ComputeReport `json:"flavours"`
	Memory   *MemoryReport   `json:"memory,omitempty"`
}

// ComputeReport is a flavour on a row of the profile table.
type ComputeReport struct {
	Flavour  string        `json:"flavour"`
	Profile  uint16        `json:"profile"`
	Shape    string        `json:"shape"`
	Maker    string        `json:"maker"` // that runs use
	Products []ProductTime `json:"products"`

	RoundS     float64 `json:"round_s"` // mean of whole rounds
	OpsPerS    float64 `json:"ops_per_s"`
	OpsPerSP10 float64 `json:"ops_per_s_p10"` // of the slowest tenth of rounds at best: what an offer may claim
	ProductS   float64 `json:"product_s"`     // the product alone
	GenerateS  float64 `json:"generate_s"`    // alone, not beside a product as in a round
	HashS      float64 `json:"hash_s"`
	Overhead   float64 `json:"overhead_percent"` // a round over the product alone

	JoulesPerOp float64 `json:"joules_per_op,omitempty"` // of the whole card, in whole rounds

	Challenge *exam.Result `json:"challenge,omitempty"`
}

// ProductTime is a maker's product alone.
type ProductTime struct {
	Maker   string  `json:"maker"`
	S       float64 `json:"product_s"`
	OpsPerS float64 `json:"ops_per_s"`
}

// Measure measures the card. It takes a minute or two, and the card must have
// nothing else to do. progress may be nil.
func (d *Device) Measure(ctx context.Context, o Options, progress func(done, of int, what string)) (Report, error) {
	if progress == nil {
		progress = func(int, int, string) {}
	}
	if o.Rounds == 0 {
		o.Rounds = 24
	}
	r := Report{Card: d.card.Name, Kernels: d.program.Target}
	rows, err := d.rowsFor(ctx, o, func(what string) { progress(0, 1, what) })
	if err != nil {
		return r, err
	}
	steps := len(rows) + 1
	if o.Class != 0 {
		steps++
	}
	progress(0, steps, "copy")
	if r.Copy, err = d.copyRate(ctx); err != nil {
		return r, fmt.Errorf("measure copies: %w", err)
	}
	for i, row := range rows {
		progress(i+1, steps, row.Name)
		c, err := d.measureCompute(ctx, row, o)
		if err != nil {
			return r, fmt.Errorf("measure %s: %w", row.Name, err)
		}
		r.Flavours = append(r.Flavours, c)
	}
	if o.Class != 0 {
		progress(steps-1, steps, "memory")
		if r.Memory, err = d.measureMemory(ctx, o); err != nil {
			return r, fmt.Errorf("measure memory: %w", err)
		}
	}
	progress(steps, steps, "")
	return r, nil
}

// rowsFor looks the asked rows up, or finds those that fit the card's speed.
func (d *Device) rowsFor(ctx context.Context, o Options, progress func(what string)) ([]challenges.Profile, error) {
	var rows []challenges.Profile
	for _, number := range o.Profiles {
		row, err := challenges.LookupProfile(number)
		if err != nil {
			return nil, err
		}
		rows = append(rows, row)
	}
	if o.Profiles != nil {
		return rows, nil
	}
	for _, f := range []challenges.Flavour{challenges.Int8, challenges.BF16, challenges.FP64} {
		progress("speed of " + f.String())
		row, err := fit(f, func(s challenges.Shape) (time.Duration, error) { return d.timeProduct(ctx, d.maker(f), s) })
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

func (d *Device) measureCompute(ctx context.Context, row challenges.Profile, o Options) (ComputeReport, error) {
	s := row.Shape
	ops := float64(s.Ops())
	r := ComputeReport{Flavour: s.Flavour.String(), Profile: row.Number, Shape: s.String(), Maker: "own"}
	makers := []maker{nil}
	if s.Flavour != challenges.FP64 {
		r.Maker, makers = d.makers[s.Flavour].name(), d.right[s.Flavour]
	}
	for _, m := range makers {
		name := "own"
		if m != nil {
			name = m.name()
		}
		parts, err := d.timeParts(ctx, m, s, true)
		if err != nil {
			return r, err
		}
		r.Products = append(r.Products, ProductTime{name, parts.product.Seconds(), per(ops, parts.product)})
		if name == r.Maker {
			r.ProductS, r.GenerateS, r.HashS = parts.product.Seconds(), parts.generate.Seconds(), parts.hash.Seconds()
		}
	}
	rounds, joules, err := d.timeRounds(ctx, row, o)
	if err != nil {
		return r, err
	}
	r.JoulesPerOp = joules / ops / float64(len(rounds))
	var sum time.Duration
	for _, took := range rounds {
		sum += took
	}
	slices.Sort(rounds)
	r.RoundS = sum.Seconds() / float64(len(rounds))
	r.OpsPerS = per(ops*float64(len(rounds)), sum)
	r.OpsPerSP10 = per(ops, rounds[len(rounds)*9/10])
	if r.ProductS > 0 {
		r.Overhead = (r.RoundS/r.ProductS - 1) * 100
	}
	if !o.Alone {
		r.Challenge, err = exam.Compute(ctx, d, row, uint64(max(1e3, r.OpsPerSP10)))
	}
	return r, err
}

// per is how many of n a second; 0 for no time at all, which JSON can say.
func per(n float64, took time.Duration) float64 {
	if took <= 0 {
		return 0
	}
	return n / took.Seconds()
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
	defer func() { err = errors.Join(err, run.Close()) }()
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
	return per(float64(size), took), errors.Join(t.err, d.release(&t.holds, func() {}))
}
