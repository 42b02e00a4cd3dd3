package exam

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"

	"github.com/assaynet/assay/challenges"
	"github.com/assaynet/assay/gpu"
)

// Compare gives a case to a device and to the CPU engine, with keys that follow from
// the seed, and compares every key, root and opening. The error is ErrDiffers where
// they do.
func Compare(ctx context.Context, device gpu.Device, c Case, seed [32]byte) error {
	if err := compare(ctx, device, c, rand.New(rand.NewChaCha8(seed))); err != nil {
		return fmt.Errorf("%s: %w", c.Name, err)
	}
	return nil
}

func compare(ctx context.Context, device gpu.Device, c Case, random *rand.Rand) (err error) {
	var id, nonce challenges.Hash
	for i := range id {
		id[i], nonce[i] = byte(random.Uint32()), byte(random.Uint32())
	}
	truth := gpu.NewCPU(gpu.CPUConfig{})
	var runs [2]gpu.Run
	var open []io.Closer // what was opened later is closed first
	defer func() {
		for _, c := range slices.Backward(open) {
			err = errors.Join(err, c.Close())
		}
	}()
	entries := c.Shape.Entries()
	for i, d := range []gpu.Device{truth, device} {
		if c.Set.Items == 0 {
			row := challenges.Profile{Name: c.Name, Shape: c.Shape, Rounds: c.Rounds, Samples: samples}
			runs[i], err = d.Start(ctx, gpu.Job{ID: id, Device: device.Info().ID, Profile: row, Window: c.Window})
		} else {
			entries = c.Set.Walks()
			var filled gpu.Memory
			if filled, err = d.Fill(ctx, gpu.MemoryJob{ID: id, Device: device.Info().ID, Set: c.Set}); err != nil {
				return err
			}
			open = append(open, filled)
			runs[i], err = filled.Walk(ctx, nonce)
		}
		if err != nil {
			return err
		}
		open = append(open, runs[i])
	}
	for round := 0; ; round++ {
		done, err := step(ctx, runs, round, positions(random, entries))
		if done || err != nil {
			return err
		}
	}
}

// samples is how many entries are opened in a round.
const samples = 24

// positions are entries at random, and the first and the last.
func positions(random *rand.Rand, entries uint64) []uint32 {
	at := []uint32{0, uint32(entries - 1)}
	for len(at) < samples {
		at = append(at, uint32(random.Uint64N(entries)))
	}
	return at
}

// step compares one round of two runs, the engine's first.
func step(ctx context.Context, runs [2]gpu.Run, round int, at []uint32) (done bool, err error) {
	var roots [2]gpu.Root
	var ends [2]bool
	for i, r := range runs {
		roots[i], err = r.Next(ctx)
		if ends[i] = errors.Is(err, io.EOF); err != nil && !ends[i] {
			return false, err
		}
	}
	switch want, got := roots[0], roots[1]; {
	case ends[0] && ends[1]:
		return true, nil
	case ends[0] != ends[1]:
		return false, fmt.Errorf("round %d: one of them ends here: %w", round, ErrDiffers)
	case got.Round != want.Round || got.Key != want.Key:
		return false, fmt.Errorf("round %d: key: %w", round, ErrDiffers)
	case got.Root != want.Root:
		// The openings say where, unless they were made of other entries.
		return false, fmt.Errorf("round %d: root: %w%s", round, ErrDiffers, where(ctx, runs, round, at))
	}
	openings, err := open(ctx, runs, round, at)
	if err == nil && !bytes.Equal(openings[0], openings[1]) {
		err = fmt.Errorf("round %d: opening: %w", round, ErrDiffers)
	}
	return false, err
}

func open(ctx context.Context, runs [2]gpu.Run, round int, at []uint32) (openings [2][]byte, err error) {
	for i, r := range runs {
		if openings[i], err = r.Open(ctx, round, at); err != nil {
			return openings, err
		}
	}
	return openings, nil
}

// where looks for the first of the opened words that differs: what is wrong shows in
// how far off it is.
func where(ctx context.Context, runs [2]gpu.Run, round int, at []uint32) string {
	o, err := open(ctx, runs, round, at)
	if err != nil || len(o[0]) != len(o[1]) {
		return ""
	}
	for i := 0; i+4 <= len(o[0]); i += 4 {
		want, got := binary.LittleEndian.Uint32(o[0][i:]), binary.LittleEndian.Uint32(o[1][i:])
		if want != got {
			return fmt.Sprintf(" (byte %d of the opening: %#08x, want %#08x)", i, got, want)
		}
	}
	return ""
}
