package cuda

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/bits"
	"time"

	"github.com/assaynet/assay/challenges"
	"github.com/assaynet/assay/challenges/memory"
	"github.com/assaynet/assay/gpu"
	"github.com/assaynet/assay/gpu/exam"
)

func (d *Device) measureMemory(ctx context.Context, o Options) (*exam.MemoryReport, error) {
	class, err := memory.Lookup(o.Class)
	if err != nil {
		return nil, err
	}
	set := memory.Dataset{Profile: class, Items: o.Items}
	if set.Items == 0 {
		set.Items = memory.Items(d.info.Memory)
	}
	r := &exam.MemoryReport{
		Class: class.Name, Items: set.Items, Bytes: set.Bytes(),
		ClassReadPerS: class.ReadRate, ClassMadePerS: class.MakeRate, HiddenShare: class.Hidden(),
	}
	if err := d.measureDataset(ctx, r, set); err != nil {
		return r, err
	}
	if !o.Alone {
		r.Challenge, err = exam.Memory(ctx, d, o.Class, set.Items)
	}
	return r, err
}

// measureDataset fills a dataset, reads it and walks it.
func (d *Device) measureDataset(ctx context.Context, r *exam.MemoryReport, set memory.Dataset) (err error) {
	begun := time.Now()
	filled, err := d.Fill(ctx, gpu.MemoryJob{Device: d.info.ID, Set: set})
	if err != nil {
		return err
	}
	r.FillS = time.Since(begun).Seconds()
	defer func() { err = ended(err, filled.Close()) }()
	m, ok := filled.(*dataset)
	if !ok {
		return fmt.Errorf("a dataset of type %T", filled)
	}
	begun = time.Now()
	if err := m.fill(ctx); err != nil {
		return err
	}
	took := time.Since(begun)
	r.MakeS, r.MadePerS = took.Seconds(), exam.Per(float64(set.Items), took)
	r.MadeBytesPerS = r.MadePerS * memory.ItemBytes
	if r.RandomPerS, err = d.randomRate(ctx, m); err != nil {
		return err
	}
	r.RandomBytesPerS = r.RandomPerS * memory.ItemBytes
	if r.ReadPerS, err = walkRate(ctx, m); err != nil {
		return err
	}
	r.ReadBytesPerS = r.ReadPerS * memory.ItemBytes
	r.ProvenBytes = set.Proven(uint64(r.ReadPerS))
	return nil
}

// walkRate is how many items a second the walks of a challenge read, by the host's
// clock: from their begin to their last root.
func walkRate(ctx context.Context, m *dataset) (float64, error) {
	begun := time.Now()
	run, err := m.Walk(ctx, challenges.Hash{1})
	if err != nil {
		return 0, err
	}
	for {
		root, nextErr := run.Next(ctx)
		if err = nextErr; err != nil {
			break
		}
		if _, err = run.Open(ctx, root.Round, []uint32{0}); err != nil {
			break
		}
	}
	took := time.Since(begun)
	if errors.Is(err, io.EOF) {
		err = nil
	}
	return exam.Per(float64(m.set.Reads()), took), ended(err, run.Close())
}

// randomRate is how many items a second the card reads where no read waits for
// another, in the windows that walks read in.
func (d *Device) randomRate(ctx context.Context, m *dataset) (float64, error) {
	t, err := newTrial(ctx, d)
	if err != nil {
		return 0, err
	}
	n := min(m.set.Walks(), perLaunch(m.set.ReadRate/uint64(m.set.Steps)))
	out, windows, seed := t.room(int(n)*8), m.set.Windows(), uint64(0)
	took := t.timed(repeats, func(q queue) error {
		seed++
		return q.spread(memRandom, n, 0, uint64(m.pieces), uint64(m.shift), uint64(out), n, m.set.Items/windows, windows,
			uint64(bits.TrailingZeros64(m.set.Batch)), uint64(m.set.Steps), seed)
	})
	rate := exam.Per(float64(n)*float64(m.set.Steps), took)
	return rate, ended(t.err, d.release(&t.holds))
}
