package worker

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/assaynet/assay/gpu"
)

// A tenant arrives in the middle of a job: the card is free at once, the job fails,
// nothing comes back before Resume.
func TestRelease(t *testing.T) {
	for _, fault := range []string{"", "hang:1", "frozen:1"} {
		t.Run("child "+fault, func(t *testing.T) {
			d := running(t, config(t, fault))
			ready(t, d)
			pid := d.Status().PID
			run, err := d.Start(t.Context(), job(2, 0))
			if err != nil {
				t.Fatal(err)
			}
			if _, err := run.Next(t.Context()); err != nil {
				t.Fatal(err)
			}
			got := make(chan error, 1)
			go func() { got <- second(run.Next(t.Context())) }()
			time.Sleep(20 * time.Millisecond)
			took, err := d.Release(t.Context())
			if err != nil || took > time.Second {
				t.Errorf("released in %v: %v", took, err)
			}
			t.Logf("released in %v", took)
			if alive(pid) {
				t.Error("the child lives")
			}
			if err := <-got; class(err) != gpu.FaultAbsent {
				t.Errorf("the job: %v", err)
			}
			if err := run.Close(); err != nil {
				t.Error(err)
			}
			if ok, f := d.Ready(); ok || f.Class != gpu.FaultAbsent || !strings.Contains(f.Detail, "released") {
				t.Errorf("ready %v: %v", ok, f)
			}
			if _, err := d.Release(t.Context()); err != nil {
				t.Errorf("again: %v", err)
			}
			time.Sleep(30 * time.Millisecond)
			if s := d.Status(); s.State != StateReleased || s.PID != 0 || s.Starts != 1 || s.Fault != nil {
				t.Errorf("%+v", s)
			}
			d.Resume()
			ready(t, d)
			if err := play(t.Context(), d, job(2, 1)); err != nil {
				t.Error(err)
			}
		})
	}
}

// Released while it starts, or before it runs at all.
func TestReleaseAtAnyTime(t *testing.T) {
	d := NewDevice(config(t, ""))
	if _, err := d.Release(t.Context()); err != nil {
		t.Error(err)
	}
	runs(t, d.Run)
	time.Sleep(20 * time.Millisecond)
	if s := d.Status(); s.State != StateReleased || s.Starts != 0 {
		t.Errorf("%+v", s)
	}
	for range 40 {
		d.Resume()
		time.Sleep(rand.N(15 * time.Millisecond))
		if _, err := d.Release(t.Context()); err != nil {
			t.Error(err)
		}
		if s := d.Status(); s.PID != 0 || s.State != StateReleased {
			t.Fatalf("%+v", s)
		}
		if n := children(t); len(n) != 0 {
			t.Fatalf("children %v", n)
		}
	}
	d.Resume()
	ready(t, d)
	if err := play(t.Context(), d, job(2, 1)); err != nil {
		t.Error(err)
	}
	if f := d.Status().Fault; f != nil {
		t.Errorf("a release is no fault: %v", f)
	}
}

// Tenants, crashes, jobs and the end, all at once.
func TestReleaseCrashAndEndTogether(t *testing.T) {
	for range 8 {
		d := NewDevice(config(t, ""))
		ctx, cancel := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		wg.Go(func() {
			if err := d.Run(ctx); err != nil {
				t.Error(err)
			}
		})
		for range 2 {
			wg.Go(func() {
				for ctx.Err() == nil {
					time.Sleep(rand.N(20 * time.Millisecond))
					_, _ = d.Release(ctx)
					d.Resume()
				}
			})
		}
		wg.Go(func() {
			for ctx.Err() == nil {
				time.Sleep(rand.N(20 * time.Millisecond))
				if pid := d.Status().PID; pid != 0 && slices.Contains(children(t), pid) {
					_ = syscall.Kill(pid, syscall.SIGKILL)
				}
			}
		})
		wg.Go(func() {
			for ctx.Err() == nil {
				err := play(ctx, d, job(2, 1))
				if c := class(err); err != nil && c != gpu.FaultAbsent && c != gpu.FaultCrash && !errors.Is(err, context.Canceled) {
					t.Error(err)
				}
				time.Sleep(time.Millisecond)
			}
		})
		time.Sleep(rand.N(300 * time.Millisecond))
		cancel()
		wg.Wait()
		if n := children(t); len(n) != 0 {
			t.Fatalf("children %v", n)
		}
	}
}

// At the end, a child leaves by itself; one that does not is killed.
func TestEnd(t *testing.T) {
	for _, fault := range []string{"", "stays", "hang:0", "frozen:0"} {
		t.Run("child "+fault, func(t *testing.T) {
			cfg := config(t, fault)
			cfg.grace = 100 * time.Millisecond
			if fault == "" {
				cfg.grace = 10 * time.Second
			}
			d := NewDevice(cfg)
			ctx, cancel := context.WithCancel(t.Context())
			done := make(chan error, 1)
			go func() { done <- d.Run(ctx) }()
			ready(t, d)
			run, err := d.Start(t.Context(), job(2, 0))
			if err != nil {
				t.Fatal(err)
			}
			got := make(chan error, 1)
			go func() {
				_, _ = run.Next(t.Context())
				got <- second(run.Next(t.Context()))
			}()
			time.Sleep(20 * time.Millisecond)
			begun := time.Now()
			cancel()
			if err := <-got; class(err) != gpu.FaultAbsent {
				t.Errorf("an open call: %v", err)
			}
			if err := <-done; err != nil {
				t.Error(err)
			}
			if took := time.Since(begun); took > 3*time.Second {
				t.Errorf("it took %v", took)
			}
			if n := children(t); len(n) != 0 {
				t.Errorf("children %v", n)
			}
			if ok, f := d.Ready(); ok || f.Class != gpu.FaultAbsent {
				t.Errorf("ready %v, %v", ok, f)
			}
		})
	}
}

// Whatever moment it is killed at, no challenge is answered wrongly, and none hangs.
func TestKilledAtRandom(t *testing.T) {
	want := 30
	if testing.Short() {
		want = 5
	}
	d := running(t, config(t, ""))
	ready(t, d)
	begun := time.Now()
	if err := play(t.Context(), d, job(7, 1)); err != nil {
		t.Fatal(err)
	}
	took := time.Since(begun)
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	defer wg.Wait()
	defer cancel()
	wg.Go(func() {
		for ctx.Err() == nil {
			time.Sleep(time.Millisecond)
			s := d.Status()
			if s.State != StateReady {
				continue
			}
			time.Sleep(rand.N(2 * took))
			if slices.Contains(children(t), s.PID) {
				_ = syscall.Kill(s.PID, syscall.SIGKILL)
			}
		}
	})
	failed, passed := 0, 0
	for failed < want || passed < want {
		ready(t, d)
		switch err := play(t.Context(), d, job(uint16(2+rand.N(2)*5), 1)); {
		case err == nil:
			passed++
		case class(err) == gpu.FaultCrash:
			failed++
		case class(err) != gpu.FaultAbsent:
			t.Fatal(err)
		}
	}
	t.Logf("%d challenges passed, %d failed; one takes %v", passed, failed, took)
}

// freeze stops this process, until it is killed.
func freeze() { _ = syscall.Kill(os.Getpid(), syscall.SIGSTOP) }

// A child ends with its parent, however that ends.
func TestChildEndsWithItsParent(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(self)
	cmd.Env = append(os.Environ(), childEnv+"=parent")
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	said, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	pid, err := strconv.Atoi(strings.TrimSpace(said))
	if err != nil || !alive(pid) {
		t.Fatalf("child %d: %v", pid, err)
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait()
	for range 500 {
		if !alive(pid) {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	_ = syscall.Kill(pid, syscall.SIGKILL)
	t.Error("the child outlives its parent")
}

// What a child leaves in its group goes with it.
func TestGroup(t *testing.T) {
	cfg := config(t, "")
	cfg.Path, cfg.Args = "/bin/sh", []string{"-c", `sleep 1000 & echo "leaves $!" >&2; exit 4`}
	d := running(t, cfg)
	until(t, d.Changed, func() bool { return d.Status().Fault != nil })
	detail := d.Status().Fault.Detail
	_, after, ok := strings.Cut(detail, "leaves ")
	pid, err := strconv.Atoi(after)
	if !ok || err != nil || !strings.Contains(detail, "status 4") {
		t.Fatal(detail)
	}
	for range 200 {
		if !alive(pid) {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	_ = syscall.Kill(pid, syscall.SIGKILL)
	t.Error("it is still there")
}

// Nothing is left of a thousand children: no zombie, no file, no goroutine.
func TestThousandRestarts(t *testing.T) {
	const side = 4 // devices side by side
	n := 1000 / side
	if testing.Short() {
		n = 50 / side
	}
	var all [side]*Device
	for i := range all {
		cfg := config(t, "")
		cfg.Backoff, cfg.MaxBackoff = time.Nanosecond, time.Nanosecond
		all[i] = running(t, cfg)
		ready(t, all[i])
	}
	files, goroutines := open(t), runtime.NumGoroutine()
	begun := time.Now()
	var wg sync.WaitGroup
	for _, d := range all {
		wg.Go(func() { restarts(t, d, n) })
	}
	wg.Wait()
	t.Logf("%v a restart, %d side by side", time.Since(begun)/time.Duration(n), side)
	want := make([]int, side)
	for i, d := range all {
		want[i] = d.Status().PID
	}
	got := children(t)
	slices.Sort(want)
	if slices.Sort(got); !slices.Equal(got, want) {
		t.Errorf("children %v, want %v", got, want)
	}
	time.Sleep(50 * time.Millisecond) // what has just ended
	if now := open(t); now > files+side {
		t.Errorf("%d open files, before %d", now, files)
	}
	if now := runtime.NumGoroutine(); now > goroutines+side {
		t.Errorf("%d goroutines, before %d", now, goroutines)
	}
}

// restarts kills children, and releases cards.
func restarts(t *testing.T, d *Device, n int) {
	for i := range n {
		s := d.Status()
		if i%2 == 0 {
			_ = syscall.Kill(s.PID, syscall.SIGKILL)
		} else {
			if _, err := d.Release(t.Context()); err != nil {
				t.Error(err)
			}
			d.Resume()
		}
		limit := time.After(30 * time.Second)
		for now := d.Status(); now.State != StateReady || now.Starts == s.Starts; now = d.Status() {
			change := d.Changed()
			if now := d.Status(); now.State == StateReady && now.Starts > s.Starts {
				break
			}
			select {
			case <-change:
			case <-limit:
				t.Error("it does not come back")
				return
			}
		}
	}
}

// open counts this process' files.
func open(t *testing.T) int {
	t.Helper()
	all, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(all)
}

// children lists this process' children, zombies among them.
func children(t *testing.T) []int {
	t.Helper()
	all, err := os.ReadDir("/proc")
	if err != nil {
		t.Fatal(err)
	}
	var out []int
	for _, e := range all {
		if pid, err := strconv.Atoi(e.Name()); err == nil {
			if _, parent := stat(pid); parent == os.Getpid() {
				out = append(out, pid)
			}
		}
	}
	return out
}

// alive says whether a process runs: a zombie does not.
func alive(pid int) bool {
	state, _ := stat(pid)
	return state != "" && state != "Z" && state != "X"
}

func stat(pid int) (state string, parent int) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return "", 0
	}
	_, after, ok := strings.Cut(string(b), ") ")
	if fields := strings.Fields(after); ok && len(fields) > 1 {
		parent, _ = strconv.Atoi(fields[1])
		return fields[0], parent
	}
	return "", 0
}
