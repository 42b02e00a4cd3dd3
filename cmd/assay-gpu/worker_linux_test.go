package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
	"unsafe"

	"github.com/assaynet/assay/gpu"
	"github.com/assaynet/assay/gpu/exam"
	"github.com/assaynet/assay/gpu/nvml/fakenvml"
	"github.com/assaynet/assay/gpu/worker"
)

// A card in another process gives the processor's bytes. Its driver prints to the
// standard output, between the frames that are not there.
func TestWorker(t *testing.T) {
	r := newRemote(t, "cc=9.0")
	binary(t)
	began := time.Now()
	d := child(t, worker.Config{Env: []string{r.env()}, Setup: worker.Setup{Driver: r.path}})
	s := ready(t, d)
	t.Logf("ready after %v: %s", time.Since(began), s.About)
	if want := "Fake 0, CUDA 12.4, kernels sm_90a, int8 by own, bf16 by own, 1.1 GB free"; s.About != want {
		t.Errorf("about %q, want %q", s.About, want)
	}
	works(t, d, one(t)...)
	if now := d.Status(); now.PID != s.PID || now.Starts != 1 || now.Fault != nil {
		t.Errorf("after work: %+v", now)
	}
	if maps := loaded(t, s.PID); !strings.Contains(maps, r.path) || strings.Contains(maps, "nvidia-ml") {
		t.Error("not the driver alone is loaded")
	}
}

// The settings of the environment reach the driver through the program's second start,
// which gives the driver its own.
func TestWorkerEnvironment(t *testing.T) {
	if testing.Short() {
		t.Skip("starts a process")
	}
	const second = "GPU-a0a1a2a3-a4a5-a6a7-a8a9-aaabacadae01"
	r := newRemote(t, "")
	d := child(t, worker.Config{Env: []string{"ASSAY_FAKE_CUDA=devices=2,cc=7.5", r.env()}, Setup: worker.Setup{Driver: r.path}})
	fault(t, down(t, d, 1), gpu.FaultAbsent, "the driver shows 2: GPU-", second+" (Fake 1)")

	d = child(t, worker.Config{Env: []string{"ASSAY_FAKE_CUDA=devices=2,cc=7.5", r.env()}, Setup: worker.Setup{Driver: r.path, Card: second}})
	s := ready(t, d)
	if !strings.HasPrefix(s.About, "Fake 1, ") || !strings.Contains(s.About, "kernels sm_75") {
		t.Error(s.About)
	}
	environ, err := os.ReadFile(fmt.Sprintf("/proc/%d/environ", s.PID))
	if err != nil || !strings.Contains(string(environ), "CUDA_DEVICE_ORDER=PCI_BUS_ID\x00") {
		t.Errorf("%v: %q", err, environ)
	}
}

// A card that fails ends its process, and its next one works.
func TestWorkerFaults(t *testing.T) {
	const none = "illegal=,hang=,lost_after=-1,oom_after=-1"
	for _, tt := range []struct {
		name, setting, class string
		details              []string
		starts               int // in all
		short                bool
	}{
		{"a kernel that faults", "illegal=matmul_int8", gpu.FaultDriver, []string{"CUDA_ERROR_ILLEGAL_ADDRESS", "dmesg"}, 2, true},
		{"a kernel that does not end", "hang=matmul_int8", gpu.FaultHang, []string{"in time", "dmesg"}, 2, false},
		{"a card that is gone", "lost_after=20", gpu.FaultLost, []string{"CUDA_ERROR_DEVICE_UNAVAILABLE"}, 2, true},
		{"a card that is full", "oom_after=2", gpu.FaultMemory, []string{"bytes asked", "nvidia-smi"}, 1, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if testing.Short() && !tt.short {
				t.Skip("starts processes")
			}
			r := newRemote(t, "")
			d := child(t, worker.Config{Env: []string{r.env()}, Setup: worker.Setup{Driver: r.path, Patience: 500 * time.Millisecond}})
			ready(t, d)
			r.configure(t, tt.setting)
			began := time.Now()
			err := exam.Compare(t.Context(), d, one(t)[0], [32]byte{1})
			fault(t, err, tt.class, tt.details...)
			took := time.Since(began)
			t.Logf("after %v: %v", took, err)
			if took > 15*time.Second {
				t.Errorf("after %v", took) // not the setup's patience, but the card's own
			}
			r.write(t, none)
			if tt.starts == 1 {
				r.configure(t, none)
			} else {
				eventually(t, "it starts again", func() bool { return d.Status().Starts >= tt.starts })
			}
			s := ready(t, d)
			works(t, d, one(t)[0])
			if tt.starts == 1 && s.Starts != 1 {
				t.Errorf("%d starts", s.Starts)
			}
			if s.Fault == nil && tt.starts > 1 || s.Fault != nil && s.Fault.Class != tt.class {
				t.Errorf("the last fault: %v", s.Fault)
			}
		})
	}
}

// A card that cannot be opened stays down, and is tried again.
func TestWorkerStaysDown(t *testing.T) {
	if testing.Short() {
		t.Skip("starts processes")
	}
	for _, tt := range []struct {
		name, settings, class string
		details               []string
	}{
		{"wrong", "wrong=matmul_short", gpu.FaultWrong, []string{"matmul_short", "do not offer this card"}},
		{"no compiler", "cc=12.0,nojit=1", gpu.FaultDriver, []string{"libnvidia-ptxjitcompiler"}},
		{"no card", "devices=0", gpu.FaultAbsent, []string{"CUDA_ERROR_NO_DEVICE"}},
		{"full", "oom_after=1", gpu.FaultMemory, []string{"something else holds the card's memory"}},
		{"faults", "illegal=matmul_int8", gpu.FaultDriver, []string{"CUDA_ERROR_ILLEGAL_ADDRESS"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			d, r := fakeChild(t, tt.settings)
			fault(t, down(t, d, 2), tt.class, tt.details...)
			if _, err := d.Start(t.Context(), gpu.Job{}); err == nil {
				t.Error("a job was started")
			} else if _, ok := errors.AsType[*gpu.Fault](err); !ok {
				t.Errorf("start: %v", err)
			}
			if tt.name == "wrong" { // as after a repair
				r.write(t, "wrong=")
				ready(t, d)
			}
		})
	}
}

// Without any library of NVIDIA's the program starts, and says what is missing.
func TestWorkerWithoutDriver(t *testing.T) {
	if testing.Short() {
		t.Skip("starts processes")
	}
	for _, tt := range []struct{ name, driver, nvml string }{
		{"a path with nothing there", filepath.Join(t.TempDir(), "libcuda.so.1"), filepath.Join(t.TempDir(), "libnvidia-ml.so.1")},
		{"the system's", "", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if tt.driver == "" {
				withoutDriver(t)
			}
			d := child(t, worker.Config{Setup: worker.Setup{Driver: tt.driver}})
			fault(t, down(t, d, 1), gpu.FaultAbsent, "no usable NVIDIA driver", "is the NVIDIA driver installed?")
			m := worker.NewMonitor(configured(t, worker.Config{Setup: worker.Setup{Role: worker.RoleMonitor, NVML: tt.nvml}}))
			while(t, m.Run)
			eventually(t, "a fault", func() bool { return m.Status().Fault != nil })
			fault(t, m.Status().Fault, gpu.FaultAbsent, "no NVIDIA management library", `capability "utility"`)
		})
	}
}

// What watches cards takes nothing of them.
func TestWorkerMonitor(t *testing.T) {
	if testing.Short() {
		t.Skip("starts a process")
	}
	f := fakenvml.New(t, "")
	m := worker.NewMonitor(configured(t, worker.Config{Setup: worker.Setup{
		Role: worker.RoleMonitor, NVML: f.Path, Driver: newRemote(t, "").path,
	}}))
	while(t, m.Run)
	var cards int
	eventually(t, "the cards", func() bool {
		all, err := m.Cards(t.Context())
		cards = len(all)
		return err == nil
	})
	if cards == 0 {
		t.Fatal("no card")
	}
	all, err := m.Cards(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	s, err := m.Card(all[0].UUID).Sample(t.Context())
	if err != nil || len(s.Readings) == 0 {
		t.Errorf("%+v, %v", s, err)
	}
	if maps := loaded(t, m.Status().PID); !strings.Contains(maps, f.Path) || strings.Contains(maps, "libcuda") {
		t.Error("not NVML alone is loaded")
	}
}

// Signals of the terminal leave a worker alone; one that is for it ends it.
func TestWorkerSignals(t *testing.T) {
	if testing.Short() {
		t.Skip("starts processes")
	}
	d, _ := fakeChild(t, "")
	s := ready(t, d)
	for range 3 {
		if err := syscall.Kill(s.PID, syscall.SIGINT); err != nil {
			t.Fatal(err)
		}
		time.Sleep(50 * time.Millisecond) // else they are one
	}
	works(t, d, one(t)[0])
	if now := d.Status(); now.PID != s.PID || now.Starts != 1 {
		t.Errorf("%+v after %+v", now, s)
	}
	if err := syscall.Kill(s.PID, syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	eventually(t, "it starts again", func() bool { return d.Status().Starts == 2 })
	if alive(s.PID) {
		t.Error("still there")
	}
	ready(t, d)
	works(t, d, one(t)[0])
}

// Nobody has to read what a worker and its driver print.
func TestWorkerPrintsToNobody(t *testing.T) {
	if testing.Short() {
		t.Skip("starts processes")
	}
	r := newRemote(t, "")
	cfg := configured(t, worker.Config{Env: []string{r.env(), "PATH=" + os.Getenv("PATH")}, Setup: worker.Setup{Driver: r.path}})
	cfg.Path, cfg.Args = "/bin/sh", []string{"-c", `exec 3>&1; "$0" worker 2>&1 >&3 | true`, cfg.Path}
	d := worker.NewDevice(cfg)
	while(t, d.Run)
	ready(t, d)
	works(t, d, one(t)[0])
	if s := d.Status(); s.Starts != 1 {
		t.Errorf("%+v", s)
	}
}

// A worker ends with its parent, whatever the driver is doing.
func TestWorkerEndsWithItsParent(t *testing.T) {
	if testing.Short() {
		t.Skip("starts processes")
	}
	for _, tt := range []struct{ name, at, settings, then string }{
		{"while it starts", "start", "stuck=cuInit", ""},
		{"while it opens the card", "start", "stuck=cuModuleLoadDataEx", ""},
		{"while it works", "work", "", "stuck=cuMemAlloc_v2"},
		{"while it has nothing to do", "idle", "", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := newRemote(t, tt.settings)
			parent := exec.CommandContext(t.Context(), os.Args[0])
			parent.Env = append(os.Environ(), "ASSAY_GPU_TEST_PARENT="+binary(t), "ASSAY_GPU_TEST_DRIVER="+r.path, r.env())
			parent.Stderr = t.Output()
			in, err := parent.StdinPipe()
			if err != nil {
				t.Fatal(err)
			}
			out, err := parent.StdoutPipe()
			if err != nil {
				t.Fatal(err)
			}
			if err := parent.Start(); err != nil {
				t.Fatal(err)
			}
			pid := 0
			say := func(word string) {
				t.Helper()
				if _, err := fmt.Fprintln(in, word); err != nil {
					t.Fatal(err)
				}
			}
			say(tt.at)
			if _, err := fmt.Fscan(out, &pid); err != nil || !alive(pid) {
				t.Fatalf("process %d: %v", pid, err)
			}
			defer func() {
				if t.Failed() && alive(pid) {
					_ = syscall.Kill(pid, syscall.SIGKILL)
				}
			}()
			if tt.then != "" {
				r.configure(t, tt.then)
				say("go")
			}
			if tt.at != "idle" {
				r.stuck(t)
			}
			if err := parent.Process.Kill(); err != nil {
				t.Fatal(err)
			}
			_ = parent.Wait()
			began := time.Now()
			eventually(t, "the end of it", func() bool { return !alive(pid) })
			if took := time.Since(began); took > 10*time.Second {
				t.Errorf("ended after %v", took)
			}
		})
	}
}

// A person is told who the command is for, and does not find it by accident.
func TestWorkerAtATerminal(t *testing.T) {
	if testing.Short() {
		t.Skip("starts processes")
	}
	if _, out, _ := command("--help"); strings.Contains(out, "worker") {
		t.Errorf("in the help: %s", out)
	}
	ctx, cancel := context.WithTimeout(t.Context(), patient)
	defer cancel()
	cmd := exec.CommandContext(ctx, binary(t), "worker")
	cmd.Stdin = terminal(t)
	said, err := cmd.CombinedOutput()
	if cmd.ProcessState.ExitCode() != 2 || !strings.Contains(string(said), "assay starts it") {
		t.Errorf("%v: %s", err, said)
	}
	// Without one it ends with its input, and says nothing.
	cmd = exec.CommandContext(ctx, binary(t), "worker")
	if said, err := cmd.CombinedOutput(); err != nil || len(said) != 0 {
		t.Errorf("%v: %q", err, said)
	}
}

// terminal is the side of a pseudoterminal that programs have.
func terminal(t *testing.T) *os.File {
	t.Helper()
	owner, err := os.OpenFile("/dev/ptmx", os.O_RDWR|syscall.O_NOCTTY, 0)
	if err != nil {
		t.Skipf("needs a pseudoterminal: %v", err)
	}
	t.Cleanup(func() { _ = owner.Close() })
	var locked, number int32
	for _, ask := range []struct {
		request uintptr
		at      *int32
	}{{syscall.TIOCSPTLCK, &locked}, {syscall.TIOCGPTN, &number}} {
		if _, _, code := syscall.Syscall(syscall.SYS_IOCTL, owner.Fd(), ask.request, uintptr(unsafe.Pointer(ask.at))); code != 0 {
			t.Skipf("needs a pseudoterminal: %v", code)
		}
	}
	file, err := os.OpenFile("/dev/pts/"+strconv.Itoa(int(number)), os.O_RDWR|syscall.O_NOCTTY, 0)
	if err != nil {
		t.Skipf("needs a pseudoterminal: %v", err)
	}
	t.Cleanup(func() { _ = file.Close() })
	return file
}
