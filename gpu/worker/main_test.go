package worker

import (
	"context"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/assaynet/assay/challenges"
	"github.com/assaynet/assay/gpu"
)

// The test's own program is the child: these say so, and how it misbehaves.
const (
	childEnv  = "ASSAY_TEST_WORKER"     // "child", or "parent" of another child
	faultEnv  = "ASSAY_TEST_FAULT"      // see misbehave
	markerEnv = "ASSAY_TEST_FAULT_ONCE" // a file: whoever makes it misbehaves, the next child does not
)

func TestMain(m *testing.M) {
	switch os.Getenv(childEnv) {
	case "child":
		os.Exit(child())
	case "parent":
		os.Exit(middle())
	}
	goleak.VerifyTestMain(m)
}

// config is a child that behaves as fault says: once, then as it should.
func config(t testing.TB, fault string) Config {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return Config{
		Path: self, Backoff: time.Millisecond, MaxBackoff: 5 * time.Millisecond,
		Setup: Setup{ID: "gpu0", Model: "a card", Card: "GPU-0", Memory: 1 << 30, Int8Ops: 7},
		Env: append(os.Environ(), childEnv+"=child", "GOMAXPROCS=1", faultEnv+"="+fault,
			markerEnv+"="+filepath.Join(t.TempDir(), "done")),
	}
}

// always makes each child misbehave.
func always(cfg Config) Config {
	cfg.Env = append(cfg.Env, markerEnv+"=")
	return cfg
}

// running runs a device until the test's end.
func running(t testing.TB, cfg Config) *Device {
	t.Helper()
	d := NewDevice(cfg)
	runs(t, d.Run)
	return d
}

func runs(t testing.TB, run func(context.Context) error) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("run: %v", err)
		}
	})
}

// ready waits for a device that can work.
func ready(t testing.TB, d *Device) {
	t.Helper()
	until(t, d.Changed, func() bool { ok, _ := d.Ready(); return ok })
}

// until waits for a condition that hangs on changes.
func until(t testing.TB, changed func() <-chan struct{}, holds func() bool) {
	t.Helper()
	limit := time.After(20 * time.Second)
	for {
		change := changed()
		if holds() {
			return
		}
		select {
		case <-change:
		case <-limit:
			t.Fatal("it never came to be")
		}
	}
}

func job(profile uint16, window int) gpu.Job {
	row, err := challenges.LookupProfile(profile)
	if err != nil {
		panic(err)
	}
	return gpu.Job{ID: challenges.Hash{1, 2, 3}, Device: "gpu0", Profile: row, Window: window}
}

// number is what follows a word, as in "panic:3".
func number(s string) (word string, n int) {
	word, after, _ := strings.Cut(s, ":")
	n, _ = strconv.Atoi(after)
	return word, n
}
