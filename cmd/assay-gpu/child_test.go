package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/assaynet/assay/gpu"
	"github.com/assaynet/assay/gpu/cuda/driver"
	"github.com/assaynet/assay/gpu/cuda/fakecuda"
	"github.com/assaynet/assay/gpu/exam"
	"github.com/assaynet/assay/gpu/worker"
)

// patient is how long a test waits for what takes less than a second alone.
const patient = 60 * time.Second

// program is assay-gpu itself, as go build makes it, once for the tests.
var program = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "assay-gpu")
	if err != nil {
		return "", err
	}
	atEnd = append(atEnd, func() { _ = os.RemoveAll(dir) })
	path := filepath.Join(dir, "assay-gpu")
	if said, err := exec.Command("go", "build", "-buildvcs=false", "-o", path, ".").CombinedOutput(); err != nil {
		return "", fmt.Errorf("%w\n%s", err, said)
	}
	return path, nil
})

func binary(t *testing.T) string {
	t.Helper()
	if _, err := exec.LookPath("go"); err != nil {
		t.Skip("builds the program")
	}
	path, err := program()
	if err != nil {
		t.Fatalf("build assay-gpu: %v", err)
	}
	return path
}

// remote is a fake driver in another process, which this one controls.
type remote struct {
	path string // of the library
	file string
	n    int
}

func newRemote(t *testing.T, settings string) *remote {
	t.Helper()
	fake := fakecuda.New(t, "").Path
	const source = "testdata/remote.c"
	if _, err := os.Stat(source); err != nil { // also tells go test what a result depends on
		t.Fatal(err)
	}
	dir := t.TempDir()
	r := &remote{path: filepath.Join(dir, "libcuda.so.1"), file: filepath.Join(dir, "settings")}
	said, err := exec.Command("gcc", "-shared", "-fPIC", "-Wall", "-Wextra", "-Werror", "-o", r.path, source, fake, "-lpthread").CombinedOutput()
	if err != nil {
		t.Fatalf("build the remote driver: %v\n%s", err, said)
	}
	r.write(t, settings)
	return r
}

func (r *remote) env() string { return "ASSAY_REMOTE=" + r.file }

// write is for a process that is yet to start.
func (r *remote) write(t *testing.T, settings string) {
	t.Helper()
	r.n++
	if err := os.WriteFile(r.file+".new", fmt.Appendf(nil, "%d %s", r.n, settings), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(r.file+".new", r.file); err != nil {
		t.Fatal(err)
	}
}

// configure changes settings, and waits until the process has them.
func (r *remote) configure(t *testing.T, settings string) {
	t.Helper()
	r.write(t, settings)
	want := fmt.Sprintf("%d %s", r.n, settings)
	eventually(t, "the settings are there", func() bool {
		got, err := os.ReadFile(r.file + ".done")
		return err == nil && string(got) == want
	})
}

// stuck waits until a call of the driver doesn't return.
func (r *remote) stuck(t *testing.T) {
	t.Helper()
	eventually(t, "a call is stuck", func() bool {
		_, err := os.Stat(r.file + ".stuck")
		return err == nil
	})
}

func eventually(t *testing.T, what string, is func() bool) {
	t.Helper()
	for end := time.Now().Add(patient); !is(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("never came: %s", what)
		}
	}
}

// child runs a device's process until the test's end.
func child(t *testing.T, cfg worker.Config) *worker.Device {
	t.Helper()
	d := worker.NewDevice(configured(t, cfg))
	while(t, d.Run)
	return d
}

// configured fills a config up: starts again come soon.
func configured(t *testing.T, cfg worker.Config) worker.Config {
	cfg.Path, cfg.Args = binary(t), []string{"worker"}
	cfg.Log = slog.New(slog.NewTextHandler(t.Output(), nil))
	cfg.Backoff, cfg.MaxBackoff = 20*time.Millisecond, 100*time.Millisecond
	if cfg.Setup.Role == "" {
		cfg.Setup.Role, cfg.Setup.ID, cfg.Setup.Model, cfg.Setup.CUBLASLt = worker.RoleDevice, "gpu0", "other-a100", "none"
		cfg.Setup.Memory = 1 << 29
	}
	return cfg
}

// while runs something beside the test, and waits for it after the test.
func while(t *testing.T, run func(context.Context) error) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil && !errors.Is(err, context.Canceled) {
			t.Errorf("run: %v", err)
		}
	})
}

// fakeChild is a device on a remote driver.
func fakeChild(t *testing.T, settings string) (*worker.Device, *remote) {
	t.Helper()
	r := newRemote(t, settings)
	return child(t, worker.Config{Env: []string{r.env()}, Setup: worker.Setup{Driver: r.path}}), r
}

// ready waits until a device can work.
func ready(t *testing.T, d *worker.Device) worker.Status {
	t.Helper()
	eventually(t, "the device is ready", func() bool {
		ok, _ := d.Ready()
		return ok
	})
	return d.Status()
}

// down waits until a device has failed to start some times.
func down(t *testing.T, d *worker.Device, starts int) *gpu.Fault {
	t.Helper()
	eventually(t, fmt.Sprintf("%d starts", starts), func() bool { return d.Status().Starts >= starts && d.Status().Fault != nil })
	if ok, f := d.Ready(); ok || f == nil {
		t.Errorf("ready: %v, %v", ok, f)
	}
	return d.Status().Fault
}

// works compares cases with the processor.
func works(t *testing.T, d gpu.Device, all ...exam.Case) {
	t.Helper()
	for _, c := range all {
		if err := exam.Compare(t.Context(), d, c, [32]byte{1}); err != nil {
			t.Error(err)
		}
	}
}

// one is a case of compute and one of memory.
func one(t *testing.T) []exam.Case {
	t.Helper()
	all := cases()
	i := 0
	for i < len(all) && all[i].Set.Items == 0 {
		i++
	}
	if i == 0 || i == len(all) {
		t.Fatal("no case of one kind")
	}
	return []exam.Case{all[0], all[i]}
}

// fault is the device's failure in an error.
func fault(t *testing.T, err error, class string, details ...string) {
	t.Helper()
	f, ok := errors.AsType[*gpu.Fault](err)
	if !ok || f.Class != class {
		t.Fatalf("%v, want a fault: %s", err, class)
	}
	for _, want := range details {
		if !strings.Contains(f.Detail, want) {
			t.Errorf("%q is not in %q", want, f.Detail)
		}
	}
}

// loaded is what a process has in its memory.
func loaded(t *testing.T, pid int) string {
	t.Helper()
	maps, err := os.ReadFile(fmt.Sprintf("/proc/%d/maps", pid))
	if err != nil {
		t.Fatal(err)
	}
	return string(maps)
}

// alive is whether a process runs: one that nobody has waited for does not.
func alive(pid int) bool {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return false
	}
	_, state, ok := strings.Cut(string(stat), ") ")
	return ok && state[0] != 'Z' && state[0] != 'X'
}

// withoutDriver skips on a machine that has one.
func withoutDriver(t *testing.T) {
	t.Helper()
	if _, err := driver.Load(""); err == nil {
		t.Skip("this machine has a driver")
	}
}

// parent is a process with a worker, which is killed: TestWorkerEndsWithItsParent.
func parent(path string) {
	d := worker.NewDevice(worker.Config{Path: path, Args: []string{"worker"}, Setup: worker.Setup{
		Role: worker.RoleDevice, ID: "gpu0", Memory: 1 << 30, CUBLASLt: "none", Driver: os.Getenv("ASSAY_GPU_TEST_DRIVER"),
	}})
	go func() { _ = d.Run(context.Background()) }()
	var at, word string
	fmt.Scan(&at)
	for at != "start" {
		if ok, _ := d.Ready(); ok {
			break
		}
		time.Sleep(time.Millisecond)
	}
	for d.Status().PID == 0 {
		time.Sleep(time.Millisecond)
	}
	fmt.Println(d.Status().PID)
	fmt.Scan(&word)
	_ = exam.Compare(context.Background(), d, cases()[0], [32]byte{1})
	select {}
}
