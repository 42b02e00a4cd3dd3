package selftest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"time"

	"github.com/assaynet/assay/challenges"
	"github.com/assaynet/assay/gpu"
)

// Bounds by which checkers choose a row (checker/committee, Choose).
const (
	minRound    = 40 * time.Millisecond
	minBF16     = 30 * time.Millisecond
	maxCapacity = 15 * time.Second
)

// rowsOf lists the rows of a flavour and a purpose, from the smallest.
func rowsOf(f challenges.Flavour, simulated bool, purpose challenges.Purpose) []challenges.Profile {
	var out []challenges.Profile
	for _, p := range challenges.Profiles() {
		if p.Shape.Flavour == f && p.Simulated == simulated && p.Purpose == purpose {
			out = append(out, p)
		}
	}
	return out
}

// rowFor is the row that checkers would choose for a claim of so many ops/s, on a
// short path: the cheapest one of capacity whose rounds are long enough.
func rowFor(f challenges.Flavour, simulated bool, rate uint64) (challenges.Profile, error) {
	least := minRound
	if f == challenges.BF16 {
		least = minBF16
	}
	for _, p := range rowsOf(f, simulated, challenges.Capacity) {
		took := p.Expected(max(1, rate))
		if took <= maxCapacity && took/time.Duration(p.Rounds) >= least {
			return p, nil
		}
	}
	if rows := rowsOf(f, simulated, challenges.Devnet); len(rows) > 0 {
		return rows[0], nil // the table has no other row of this flavour for simulated devices
	}
	return challenges.Profile{}, fmt.Errorf("no row of the table fits %s: checkers would not measure it", ops(float64(rate)))
}

// longEnough is a round that shows how fast a device is, about.
const longEnough = 20 * time.Millisecond

// speed is how many ops/s a device does, about: of rows that grow until one takes
// long enough.
func speed(ctx context.Context, d gpu.Device, f challenges.Flavour) (uint64, error) {
	rate := 0.0
	for _, row := range rowsOf(f, false, challenges.Capacity) {
		took, err := timeRounds(ctx, d, row, 2)
		if fault, ok := errors.AsType[*gpu.Fault](err); ok && fault.Class == gpu.FaultMemory && rate > 0 {
			break // it has no room for more
		}
		if err != nil {
			return 0, err
		}
		least := min(took[0], took[1])
		rate = per(float64(row.Shape.Ops()), least)
		if least >= longEnough {
			break
		}
	}
	return uint64(rate), nil
}

// timeRounds is how long each of n rounds of a row takes whose openings are asked for
// at once; the first, which waits for nothing, does not count. With an error it has
// those until then.
func timeRounds(ctx context.Context, d gpu.Device, row challenges.Profile, n int) (took []time.Duration, err error) {
	row.Rounds, row.Warm = n+1, 0
	var id challenges.Hash
	for i := range id {
		id[i] = byte(rand.Uint32())
	}
	run, err := d.Start(ctx, gpu.Job{ID: id, Device: d.Info().ID, Profile: row, Window: 4})
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, run.Close()) }()
	at := make([]uint32, row.Samples)
	var last time.Time
	for r := range row.Rounds {
		if _, err := run.Next(ctx); err != nil {
			return took, early(err)
		}
		now := time.Now()
		if r > 0 {
			took = append(took, now.Sub(last))
		}
		last = now
		for i := range at {
			at[i] = uint32(rand.Uint64N(row.Shape.Entries()))
		}
		if _, err := run.Open(ctx, r, at); err != nil {
			return took, err
		}
	}
	return took, nil
}

// early makes a run's end before its last round an error like others.
func early(err error) error {
	if errors.Is(err, io.EOF) {
		return errors.New("the run ended before its last round")
	}
	return err
}

// per is how many of n a second.
func per(n float64, took time.Duration) float64 {
	if took <= 0 {
		return 0
	}
	return n / took.Seconds()
}
