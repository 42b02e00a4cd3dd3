package cuda

import (
	"errors"
	"strings"
	"testing"

	"github.com/assaynet/assay/challenges"
	"github.com/assaynet/assay/challenges/memory"
	"github.com/assaynet/assay/gpu"
)

var _ gpu.Device = (*Device)(nil)

// config is a device on a card of a fake driver.
func (f *fake) config(t testing.TB, ordinal int) Config {
	t.Helper()
	cards, err := f.Cards()
	if err != nil {
		t.Fatal(err)
	}
	return Config{Library: f.Library, Card: cards[ordinal], ID: "gpu0", CUBLASLt: "none", pieceItems: 10}
}

// device is the only device of a fake driver with settings, and leaves nothing.
func device(t testing.TB, settings string) (*Device, *fake) {
	t.Helper()
	f := newFake(t, settings)
	d, err := New(t.Context(), f.config(t, 0))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := d.Close(); err != nil {
			t.Error(err)
		}
		f.Leaves(t)
	})
	return d, f
}

// computeJob is a job on a row of the profile table.
func computeJob(t testing.TB, profile uint16, window int) gpu.Job {
	t.Helper()
	row, err := challenges.LookupProfile(profile)
	if err != nil {
		t.Fatal(err)
	}
	return gpu.Job{ID: challenges.Hash{1, 2, 3}, Device: "gpu0", Profile: row, Window: window}
}

// memoryJob is a job on a row of the table of classes.
func memoryJob(t testing.TB, class uint16, items uint64) gpu.MemoryJob {
	t.Helper()
	row, err := memory.Lookup(class)
	if err != nil {
		t.Fatal(err)
	}
	return gpu.MemoryJob{ID: challenges.Hash{1, 2, 3}, Device: "gpu0", Set: memory.Dataset{Profile: row, Items: items}}
}

func TestNew(t *testing.T) {
	d, _ := device(t, "")
	if got := d.Info(); got.ID != "gpu0" || got.Memory != d.card.Memory || got.Simulated {
		t.Errorf("info %+v", got)
	}
	c := d.Choice()
	if c.Free == 0 || c.Free > d.card.Memory {
		t.Errorf("%d bytes free", c.Free)
	}
	if c.Free = 0; c != (Choice{Kernels: "sm_80", Int8: "own", BF16: "own"}) {
		t.Errorf("choice %+v", c)
	}
}

// Every kernel that miscomputes is found at the start, by name.
func TestNewNamesTheKernelThatMiscomputes(t *testing.T) {
	for _, kernel := range kernelNames() {
		if kernel == memRandom {
			continue // measures, and proves nothing
		}
		t.Run(kernel, func(t *testing.T) {
			f := newFake(t, "wrong="+kernel)
			_, err := New(t.Context(), f.config(t, 0))
			if !errors.Is(err, ErrMiscomputes) || !strings.Contains(err.Error(), "kernel "+kernel+":") {
				t.Errorf("error %v", err)
			}
			f.Leaves(t)
		})
	}
}
