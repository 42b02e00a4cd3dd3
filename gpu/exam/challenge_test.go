package exam

import (
	"context"
	"errors"
	"testing"

	"go.uber.org/goleak"

	"github.com/assaynet/assay/challenges"
	"github.com/assaynet/assay/gpu"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// off is a product with every entry wrong.
type off struct{ gpu.Exact }

func (o off) Compute(ctx context.Context, key challenges.Hash, s challenges.Shape, c []byte) error {
	err := o.Exact.Compute(ctx, key, s, c)
	for i := range c {
		c[i] ^= 1
	}
	return err
}

func rowOf(t *testing.T, number uint16) challenges.Profile {
	t.Helper()
	row, err := challenges.LookupProfile(number)
	if err != nil {
		t.Fatal(err)
	}
	return row
}

// slow is a claim that any machine keeps: half a minute for the row.
func slow(row challenges.Profile) uint64 { return row.TotalOps() / 30 }

func TestCompute(t *testing.T) {
	for _, profile := range []uint16{2, 5, 6} {
		row := rowOf(t, profile)
		for _, tt := range []struct {
			name    string
			product gpu.Product
			outcome string
			samples uint32
		}{
			{"right", nil, "pass", uint32(row.Rounds * row.Samples)},
			{"wrong", off{}, "wrong", 1},
		} {
			t.Run(row.Name+"/"+tt.name, func(t *testing.T) {
				d := gpu.NewCPU(gpu.CPUConfig{Product: tt.product}) // a device without a name
				x, err := Compute(t.Context(), d, row, slow(row))
				if err != nil {
					t.Fatal(err)
				}
				if x.Outcome != tt.outcome || x.Samples != tt.samples || x.Profile != profile || x.BytesOpened == 0 || x.CheckerS <= 0 {
					t.Errorf("%+v, want %s after %d samples", x, tt.outcome, tt.samples)
				}
			})
		}
	}
	if _, err := Compute(t.Context(), gpu.NewCPU(gpu.CPUConfig{}), rowOf(t, 2), 0); err == nil {
		t.Error("a claim of nothing was examined")
	}
}

func TestMemory(t *testing.T) {
	d := gpu.NewCPU(gpu.CPUConfig{Info: gpu.Info{ID: "gpu0"}})
	x, err := Memory(t.Context(), d, 502, 1<<11)
	if err != nil {
		t.Fatal(err)
	}
	// The class is faster than a processor may be: the walks may be late, not wrong.
	if x.Outcome == "wrong" || x.Samples != 6 || x.FillS <= 0 || x.ElapsedS <= 0 {
		t.Errorf("%+v", x)
	}
	if _, err := Memory(t.Context(), d, 502, 1); err == nil {
		t.Error("a dataset of one item was examined")
	}
}

func TestDeviceFails(t *testing.T) {
	why := errors.New("broken")
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(why)
	if _, err := Compute(ctx, gpu.NewCPU(gpu.CPUConfig{}), rowOf(t, 6), slow(rowOf(t, 6))); err == nil {
		t.Error("a run whose context had ended was examined")
	}
	if _, err := Memory(ctx, gpu.NewCPU(gpu.CPUConfig{}), 502, 1<<11); err == nil {
		t.Error("a fill whose context had ended was examined")
	}
}
