package exam

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/assaynet/assay/challenges"
	"github.com/assaynet/assay/challenges/memory"
	"github.com/assaynet/assay/gpu"
)

func engine(p gpu.Product, items func(memory.Dataset, challenges.Hash) gpu.Items) gpu.Device {
	return gpu.NewCPU(gpu.CPUConfig{Info: gpu.Info{ID: "gpu0"}, Product: p, Items: items})
}

func TestCompare(t *testing.T) {
	names := make(map[string]bool)
	for _, c := range Cases() {
		if names[c.Name] {
			t.Errorf("two cases are %q", c.Name)
		}
		names[c.Name] = true
		t.Run(c.Name, func(t *testing.T) {
			if testing.Short() && c.Shape.K > 5000 {
				t.Skip("the engine takes long for it")
			}
			t.Parallel()
			if c.Set.Items == 0 {
				if err := c.Shape.Check(); err != nil {
					t.Fatal(err)
				}
			}
			if err := Compare(t.Context(), engine(nil, nil), c, [32]byte{1}); err != nil {
				t.Error(err)
			}
		})
	}
}

// slip is wrong in one bit of one entry of the last row.
type slip struct{}

func (slip) Compute(ctx context.Context, key challenges.Hash, s challenges.Shape, c []byte) error {
	err := gpu.Exact{}.Compute(ctx, key, s, c)
	c[len(c)-1] ^= 1
	return err
}

// rotten is a dataset with one bit that does not hold.
type rotten struct{ *gpu.Held }

func (r rotten) Read(ctx context.Context, at []uint64, out []memory.Item) (gpu.Costs, error) {
	costs, err := r.Held.Read(ctx, at, out)
	for i, item := range at {
		if item == 1234 {
			out[i][5] ^= 1 << 9
		}
	}
	return costs, err
}

func TestCompareFinds(t *testing.T) {
	decay := func(set memory.Dataset, key challenges.Hash) gpu.Items { return rotten{gpu.NewHeld(set, key)} }
	found := 0
	for _, c := range Cases() {
		if c.Shape.K > 5000 {
			continue
		}
		err := Compare(t.Context(), engine(slip{}, decay), c, [32]byte{2})
		if !errors.Is(err, ErrDiffers) {
			t.Errorf("%s: %v", c.Name, err)
		}
		found++
	}
	if found < 14 {
		t.Errorf("%d cases", found)
	}
}

// short ends a round early, or opens other entries than it is asked for.
type short struct {
	gpu.Device
	rounds int
	other  bool
}

func (s short) Start(ctx context.Context, job gpu.Job) (gpu.Run, error) {
	job.Profile.Rounds -= s.rounds
	run, err := s.Device.Start(ctx, job)
	return stray{run, s.other}, err
}

type stray struct {
	gpu.Run
	other bool
}

func (s stray) Open(ctx context.Context, round int, at []uint32) ([]byte, error) {
	opening, err := s.Run.Open(ctx, round, at)
	if s.other && err == nil {
		opening[0] ^= 1
	}
	return opening, err
}

func TestCompareFindsTheRest(t *testing.T) {
	c := Cases()[1]
	for _, tt := range []struct {
		name   string
		device gpu.Device
	}{
		{"a round too few", short{engine(nil, nil), 1, false}},
		{"another opening", short{engine(nil, nil), 0, true}},
	} {
		if err := Compare(t.Context(), tt.device, c, [32]byte{3}); !errors.Is(err, ErrDiffers) {
			t.Errorf("%s: %v", tt.name, err)
		}
	}
}

func TestCompareEnds(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), -time.Second)
	defer cancel()
	for _, c := range []Case{Cases()[0], Cases()[len(Cases())-1]} {
		if err := Compare(ctx, engine(nil, nil), c, [32]byte{4}); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%s: %v", c.Name, err)
		}
	}
}
