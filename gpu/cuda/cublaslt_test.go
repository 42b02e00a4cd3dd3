package cuda

import (
	"context"
	"errors"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/assaynet/assay/challenges"
	"github.com/assaynet/assay/gpu"
	"github.com/assaynet/assay/gpu/cuda/dl"
	"github.com/assaynet/assay/gpu/cuda/driver"
)

// fakeLt is a library that multiplies, built for one test.
type fakeLt struct {
	path  string
	value uintptr
}

func newFakeLt(t *testing.T, f *fake, wrong, refuses int) *fakeLt {
	t.Helper()
	path := filepath.Join(t.TempDir(), "libcublasLt.so.12")
	if out, err := exec.Command("gcc", "-shared", "-fPIC", "-O2", "-Wall", "-Werror", "-o", path, "testdata/cublaslt.c").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	lib, err := dl.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	cuda, err := dl.Open(f.Path) // the same one again
	if err != nil {
		t.Fatal(err)
	}
	dl.Call(dl.Symbol(lib, "fake_setup"), dl.Symbol(cuda, "cuEventCreate"), dl.Symbol(cuda, "cuEventRecord"), dl.Symbol(cuda, "cuEventQuery"),
		dl.Symbol(cuda, "cuEventDestroy_v2"), uintptr(wrong), uintptr(refuses))
	return &fakeLt{path, dl.Symbol(lib, "fake_value")}
}

// count is how many products were made, or how many things are left.
func (f *fakeLt) count(which uintptr) int { return int(dl.Call(f.value, which)) }

func TestCublasLt(t *testing.T) {
	if testing.Short() {
		t.Skip("times makers that are slow here")
	}
	for _, tt := range []struct {
		name           string
		wrong, refuses int
		makers         int
	}{
		{"right", 0, 0, 2},
		{"wrong", 1, 0, 1},
		{"refuses", 0, 1, 1},
		{"refuses what is timed", 0, 2, 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f := newFake(t, "")
			lt := newFakeLt(t, f, tt.wrong, tt.refuses)
			cfg := f.config(t, 0)
			cfg.CUBLASLt = lt.path
			d, err := New(t.Context(), cfg)
			if err != nil {
				t.Fatal(err)
			}
			for _, flavour := range []challenges.Flavour{challenges.Int8, challenges.BF16} {
				if n := len(d.right[flavour]); n != tt.makers {
					t.Errorf("%v: %d makers, want %d", flavour, n, tt.makers)
				}
			}
			if tt.makers == 2 {
				d.makers = [2]maker{library{d.lt}, library{d.lt}} // whichever is faster here
				for _, s := range []challenges.Shape{
					{Flavour: challenges.Int8, M: 600, N: 256, K: 64}, {Flavour: challenges.BF16, M: 3, N: 512, K: 128},
				} {
					before := lt.count(0)
					job := shaped(t, s, 3, 0, 1)
					truth, err := gpu.NewCPU(gpu.CPUConfig{}).Start(t.Context(), job)
					if err != nil {
						t.Fatal(err)
					}
					follow(t, start(t, d, job), truth, 3, func(r int) []uint32 { return []uint32{uint32(r), 500} })
					if lt.count(0) == before {
						t.Errorf("%v: the library made nothing", s)
					}
				}
			} else if name := d.makers[0].name(); name != "own" {
				t.Errorf("maker %s", name)
			}
			if err := d.Close(); err != nil {
				t.Error(err)
			}
			if n := lt.count(1); n != 0 {
				t.Errorf("%d things of the library are left", n)
			}
			f.Leaves(t)
		})
	}
}

// A library that fails on a larger shape is not used any more; a card that is too full
// for one keeps the makers as they were.
func TestFastest(t *testing.T) {
	d, _ := device(t, "")
	mine, lib := d.right[0][0], maker(library{})
	broken := errors.New("broken")
	for _, tt := range []struct {
		name   string
		own    time.Duration // of the first shape; 8 times as much of the next
		lib    time.Duration
		fails  maker // at size 1024
		with   error
		want   maker
		makers int
		err    error
	}{
		{"own", 1000, 1001, nil, nil, mine, 2, nil},
		{"library", 1001, 1000, nil, nil, lib, 2, nil},
		{"library fails", 1001, 1000, lib, broken, mine, 1, nil},
		{"library miscomputes", 1001, 1000, lib, ErrMiscomputes, mine, 1, nil},
		{"no room for the library", 1001, 1000, lib, driver.ErrOutOfMemory, mine, 1, nil},
		{"no room, library is faster", 1001, 1000, mine, driver.ErrOutOfMemory, lib, 2, nil},
		{"no room, own is faster", 1000, 1001, mine, driver.ErrOutOfMemory, mine, 2, nil},
		{"own fails", 1000, 1001, mine, broken, nil, 2, broken},
		{"own miscomputes", 1000, 1001, mine, ErrMiscomputes, nil, 2, ErrMiscomputes},
		{"library ends the card", 1000, 1001, lib, driver.ErrSticky, nil, 2, driver.ErrSticky},
		{"fails where it is not asked", 2e6, 1e6, lib, broken, lib, 2, nil}, // long enough before
	} {
		t.Run(tt.name, func(t *testing.T) {
			d.right[0] = []maker{mine, lib}
			defer func() { d.right[0] = []maker{mine} }()
			got, err := d.fastest(t.Context(), challenges.Int8, func(m maker, s challenges.Shape) (time.Duration, error) {
				if s.M >= 1024 && m == tt.fails {
					return 0, tt.with
				}
				first := tt.own
				if m == lib {
					first = tt.lib
				}
				for size := 256; size < s.M; size *= 2 {
					first *= 8
				}
				return first, nil
			})
			if got != tt.want || !errors.Is(err, tt.err) || len(d.right[0]) != tt.makers {
				t.Errorf("maker %v of %d, error %v", got, len(d.right[0]), err)
			}
		})
	}
	d.right[0] = []maker{mine, lib}
	defer func() { d.right[0] = []maker{mine} }()
	ctx, cancel := context.WithCancel(t.Context())
	if _, err := d.fastest(ctx, challenges.Int8, func(m maker, s challenges.Shape) (time.Duration, error) {
		if m == lib {
			cancel()
			return 0, ctx.Err()
		}
		return 1, nil
	}); !errors.Is(err, context.Canceled) || len(d.right[0]) != 2 {
		t.Errorf("cancelled: %v, %d makers", err, len(d.right[0]))
	}
}

// Where there is no library the kernels do.
func TestCublasLtMissing(t *testing.T) {
	f := newFake(t, "")
	cfg := f.config(t, 0)
	cfg.CUBLASLt = filepath.Join(t.TempDir(), "libcublasLt.so.12")
	d, err := New(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	if d.lt != nil || len(d.right[0]) != 1 {
		t.Errorf("makers %v", d.right)
	}
	if err := d.Close(); err != nil {
		t.Error(err)
	}
}
