// Package fakecuda is a driver without a card, for tests: a library with libcuda's
// functions that runs the kernels' own C on the processor. Streams run as late as
// they may and in a hostile order, memory is fenced, and anything can be made to
// fail. It is built with gcc from the sources in c and in gpu/kernels/c.
package fakecuda

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"unsafe"

	"github.com/assaynet/assay/gpu/cuda/dl"
)

// Driver is a driver that belongs to one test: its state is its own.
type Driver struct {
	Path                 string // of the library
	configureAt, countAt uintptr
}

// New builds the library, once for a test binary, and loads it with settings; see
// c/settings.c.
func New(t testing.TB, settings string) *Driver {
	t.Helper()
	if _, err := exec.LookPath("gcc"); err != nil || runtime.GOOS != "linux" {
		t.Skip("the fake driver needs gcc and Linux")
	}
	driver, err := build()
	if err != nil {
		t.Fatalf("build the fake driver: %v", err)
	}
	path := filepath.Join(t.TempDir(), "libcuda.so.1") // another file is another library
	if err := os.WriteFile(path, driver, 0o700); err != nil {
		t.Fatal(err)
	}
	lib, err := dl.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	d := &Driver{path, dl.Symbol(lib, "fake_configure"), dl.Symbol(lib, "fake_count")}
	d.Configure(settings)
	return d
}

// build gives the library as a file's content.
var build = sync.OnceValues(func() ([]byte, error) {
	_, self, _, _ := runtime.Caller(0)
	here := filepath.Dir(self)
	kernels := filepath.Join(here, "..", "..", "kernels", "c")
	dir, err := os.MkdirTemp("", "assay-fake-cuda")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	var sources []string
	for _, from := range []string{filepath.Join(here, "c"), kernels} {
		files, err := filepath.Glob(filepath.Join(from, "*.[ch]"))
		if err != nil {
			return nil, err
		}
		for _, file := range files {
			if _, err := os.Stat(file); err != nil { // also tells go test what a result depends on
				return nil, err
			}
			if from != kernels && filepath.Ext(file) == ".c" {
				sources = append(sources, file)
			}
		}
	}
	// As for a card's compiler, no function is taken for the C library's, and no two
	// operations become one.
	const flags = "-std=gnu11 -shared -fPIC -O2 -fno-builtin -ffp-contract=off -fvisibility=hidden -Wall -Wextra -Werror"
	out := filepath.Join(dir, "libcuda.so.1")
	args := append(strings.Fields(flags), "-I"+kernels, "-I"+filepath.Join(here, "c"), "-o", out)
	args = append(args, sources...)
	if said, err := exec.Command("gcc", append(args, "-lpthread", "-lm")...).CombinedOutput(); err != nil {
		return nil, fmt.Errorf("%w\n%s", err, said)
	}
	return os.ReadFile(out)
})

// Configure changes settings: pairs KEY=VALUE with commas between them.
func (d *Driver) Configure(settings string) {
	b := append([]byte(settings), 0)
	dl.Call(d.configureAt, uintptr(unsafe.Pointer(&b[0])))
}

// Count reads one of the counters.
func (d *Driver) Count(name string) int {
	b := append([]byte(name), 0)
	return int(dl.Call(d.countAt, uintptr(unsafe.Pointer(&b[0]))))
}

// Leaves fails the test if something is left on the cards, or was freed while queued
// work still used it.
func (d *Driver) Leaves(t testing.TB) {
	t.Helper()
	for _, name := range []string{"allocations", "pinned", "streams", "events", "modules", "contexts", "leaked", "early"} {
		if n := d.Count(name); n != 0 {
			t.Errorf("%d %s: are left, or were freed too early", n, name)
		}
	}
}
