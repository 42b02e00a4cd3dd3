package cuda

import (
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/assaynet/assay/challenges"
	"github.com/assaynet/assay/gpu"
	"github.com/assaynet/assay/gpu/cuda/dl"
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
