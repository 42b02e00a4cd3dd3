package bench

import (
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/assaynet/assay/gpu/cuda/fakecuda"
)

// fakeCard is the first card of the fake driver, and of the fake management library.
const fakeCard = "GPU-a0a1a2a3-a4a5-a6a7-a8a9-aaabacadae00"

// cardPrograms is what stands in for a machine with a card.
type cardPrograms struct {
	worker string // assay-gpu, as go build makes it
	driver *remoteDriver
}

// newCardPrograms builds assay-gpu and a driver; it skips where they cannot be built.
func newCardPrograms(t *testing.T) *cardPrograms {
	t.Helper()
	if runtime.GOOS != "linux" {
		t.Skip("runs processes with a fake driver and looks into /proc: needs Linux")
	}
	for _, tool := range []string{"go", "gcc"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skipf("builds assay-gpu and a fake driver: needs %s", tool)
		}
	}
	if out, err := exec.CommandContext(t.Context(), "go", "env", "CGO_ENABLED").Output(); err != nil || strings.TrimSpace(string(out)) != "1" {
		t.Skip("builds assay-gpu: needs cgo")
	}
	path := filepath.Join(t.TempDir(), "assay-gpu")
	out, err := exec.CommandContext(t.Context(), "go", "build", "-buildvcs=false", "-o", path, "../cmd/assay-gpu").CombinedOutput()
	if err != nil {
		t.Fatalf("build assay-gpu: %v\n%s", err, out)
	}
	return &cardPrograms{worker: path, driver: newRemoteDriver(t)}
}

// remoteDriver is the fake driver in another process, which this one controls by a file.
type remoteDriver struct {
	t    *testing.T
	path string // of the library
	file string

	mu sync.Mutex
	n  int
}

func newRemoteDriver(t *testing.T) *remoteDriver {
	t.Helper()
	fake := fakecuda.New(t, "").Path
	const source = "../cmd/assay-gpu/testdata/remote.c"
	if _, err := os.Stat(source); err != nil { // also tells go test what a result depends on
		t.Fatal(err)
	}
	dir := t.TempDir()
	r := &remoteDriver{t: t, path: filepath.Join(dir, "libcuda.so.1"), file: filepath.Join(dir, "settings")}
	out, err := exec.CommandContext(t.Context(), "gcc", "-shared", "-fPIC", "-o", r.path, source, fake, "-lpthread").CombinedOutput()
	if err != nil {
		t.Fatalf("build the remote driver: %v\n%s", err, out)
	}
	r.set("")
	return r
}

// env has a process listen to the settings.
func (r *remoteDriver) env() (key, value string) { return "ASSAY_REMOTE", r.file }

// set changes settings of the driver in whatever process has it, soon, or has it next.
func (r *remoteDriver) set(settings string) {
	r.t.Helper()
	r.mu.Lock()
	defer r.mu.Unlock()
	r.n++
	if err := os.WriteFile(r.file+".new", fmt.Appendf(nil, "%d %s", r.n, settings), 0o600); err != nil {
		r.t.Fatal(err)
	}
	if err := os.Rename(r.file+".new", r.file); err != nil {
		r.t.Fatal(err)
	}
}

// children lists the processes that this one has started, and which of them are dead
// and not waited for.
func children(t *testing.T) (alive, zombies []int) {
	t.Helper()
	all, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range all {
		stat, err := os.ReadFile(file)
		if err != nil {
			continue // it has ended
		}
		// PID (name) state parent: the name may hold anything.
		pid, _, _ := strings.Cut(string(stat), " ")
		at := strings.LastIndex(string(stat), ") ")
		fields := strings.Fields(string(stat)[at+2:])
		if at < 0 || len(fields) < 2 || fields[1] != strconv.Itoa(os.Getpid()) {
			continue
		}
		n, err := strconv.Atoi(pid)
		if err != nil {
			t.Fatal(err)
		}
		if fields[0] == "Z" {
			zombies = append(zombies, n)
		} else {
			alive = append(alive, n)
		}
	}
	return alive, zombies
}

// there reports that a process is there, dead or alive.
func there(pid int) bool {
	_, err := os.Stat(fmt.Sprintf("/proc/%d", pid))
	return err == nil
}

// openFiles is how many this process has open.
func openFiles(t *testing.T) int {
	t.Helper()
	list, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(list)
}

// soon waits for what must come true.
func soon(t *testing.T, limit time.Duration, what string, is func() bool) {
	t.Helper()
	for end := time.Now().Add(limit); !is(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("never came, in %v: %s", limit, what)
		}
	}
}

// span is a time from one instant to another.
type span struct{ from, to time.Time }

func (s span) length() time.Duration { return s.to.Sub(s.from) }

// lags watches the machine: when it let a plain timer wait, it let everything wait, and
// what was too slow then says nothing.
type lags struct {
	mu   sync.Mutex
	list []span
	most time.Duration
}

// lagLimit is how late a timer may be on a machine whose measurements count.
const lagLimit = 300 * time.Millisecond

// watchLags watches until stop.
func watchLags() (l *lags, stop func()) {
	l = new(lags)
	done := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		const every = 10 * time.Millisecond
		for {
			s := span{from: time.Now()}
			select {
			case <-done:
				return
			case <-time.After(every):
			}
			s.to = time.Now()
			l.mu.Lock()
			l.most = max(l.most, s.length()-every)
			if s.length()-every > lagLimit {
				l.list = append(l.list, s)
			}
			l.mu.Unlock()
		}
	})
	return l, sync.OnceFunc(func() {
		close(done)
		wg.Wait()
	})
}

// during reports that the machine stood still within a time.
func (l *lags) during(s span) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.ContainsFunc(l.list, func(lag span) bool { return lag.from.Before(s.to) && s.from.Before(lag.to) })
}

// dice is chance with its seed printed.
func dice(t *testing.T) *rand.Rand {
	t.Helper()
	seed := uint64(time.Now().UnixNano())
	if s := os.Getenv("ASSAY_BENCH_SEED"); s != "" {
		n, err := strconv.ParseUint(s, 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		seed = n
	}
	t.Logf("seed %d (ASSAY_BENCH_SEED=%d plays it again)", seed, seed)
	return rand.New(rand.NewPCG(seed, 1))
}

// upTo is a random time.
func upTo(r *rand.Rand, most time.Duration) time.Duration {
	return time.Duration(r.Int64N(int64(most)))
}

// middleAndMost are the median and the largest of some times.
func middleAndMost(all []time.Duration) (median, most time.Duration) {
	if len(all) == 0 {
		return 0, 0
	}
	sorted := slices.Sorted(slices.Values(all))
	return sorted[len(sorted)/2], sorted[len(sorted)-1]
}
