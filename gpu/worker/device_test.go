package worker

import (
	"context"
	"errors"
	"io"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/assaynet/assay/challenges"
	"github.com/assaynet/assay/gpu"
	"github.com/assaynet/assay/gpu/exam"
)

// A card behind a child gives what the engine gives, bit for bit.
func TestComparesWithTheEngine(t *testing.T) {
	quick := []string{
		"int8 1x256x64", "int8 3x256x128", "bf16 1x256x64", "fp64fma 1x128x1", "fp64fma 3x128x129",
		"memory of one window", "memory of windows that do not divide",
	}
	d := running(t, config(t, ""))
	ready(t, d)
	seen := 0
	for _, c := range exam.Cases() {
		if !slices.Contains(quick, c.Name) {
			continue
		}
		seen++
		t.Run(c.Name, func(t *testing.T) {
			if err := exam.Compare(t.Context(), d, c, [32]byte{1}); err != nil {
				t.Error(err)
			}
		})
	}
	if seen != len(quick) {
		t.Errorf("%d of %d cases", seen, len(quick))
	}
}

func TestStatusAndInfo(t *testing.T) {
	cfg := config(t, "")
	d := NewDevice(cfg)
	if ok, f := d.Ready(); ok || f == nil || f.Class != gpu.FaultAbsent {
		t.Errorf("before Run: ready %v, %v", ok, f)
	}
	if _, err := d.Start(t.Context(), job(2, 1)); class(err) != gpu.FaultAbsent {
		t.Errorf("start before Run: %v", err)
	}
	if _, err := d.Fill(t.Context(), gpu.MemoryJob{}); class(err) != gpu.FaultAbsent {
		t.Errorf("fill before Run: %v", err)
	}
	if s := d.Status(); s.State != StateWaiting || s.PID != 0 || s.Starts != 0 || s.Fault != nil {
		t.Errorf("before Run: %+v", s)
	}
	want := gpu.Info{ID: "gpu0", Model: "a card", Memory: 1 << 30, Int8Ops: 7}
	if got := d.Info(); got != want {
		t.Errorf("info %+v, want %+v", got, want)
	}
	runs(t, d.Run)
	ready(t, d)
	s := d.Status()
	if s.State != StateReady || s.PID == 0 || s.Starts != 1 || s.About != "a card GPU-0 1073741824" || time.Since(s.Since) > time.Minute {
		t.Errorf("%+v", s)
	}
	if err := d.Run(t.Context()); err == nil {
		t.Error("ran twice")
	}
	if ok, _ := d.Ready(); !ok {
		t.Error("a second Run stopped the first")
	}
}

// class is a fault's; "" where there is none.
func class(err error) string {
	if f, ok := errors.AsType[*gpu.Fault](err); ok {
		return f.Class
	}
	return ""
}

// Each failure of the child is a fault of its class, at once and in all open calls;
// the challenge after it works.
func TestFaults(t *testing.T) {
	hang := func(c *Config) { c.grace = 300 * time.Millisecond }
	deaf := func(c *Config) { c.Silence = 500 * time.Millisecond }
	for _, tt := range []struct {
		fault  string
		class  string
		detail string
		starts int // children until the next challenge has worked
		cancel bool
		tune   func(*Config)
	}{
		{"panic:2", gpu.FaultCrash, "ended with status 2: panic: the driver did something", 2, false, nil},
		{"throw:1", gpu.FaultCrash, "fatal error: sync: unlock of unlocked mutex", 2, false, nil},
		{"exit:1", gpu.FaultCrash, "ended with status 3: assertion failed | core not dumped", 2, false, nil},
		{"chatty:1", gpu.FaultCrash, "ended with status 5: something | something | the very last line", 2, false, nil},
		{"kill", gpu.FaultCrash, "killed by signal 9", 2, false, nil},
		{"garbage:1", gpu.FaultCrash, "not a frame", 2, false, nil},
		{"huge", gpu.FaultCrash, "2147483647 bytes", 2, false, nil},
		{"nobody", gpu.FaultCrash, "not open", 2, false, nil},
		{"closes", gpu.FaultCrash, "closed its output", 2, false, nil},
		{"bad-round", gpu.FaultCrash, "gave round 1 where 0 is next", 2, false, nil},
		{"gone:1", gpu.FaultLost, "round: gone", 2, false, nil},
		{"tired:1", gpu.FaultHang, "round: tired", 2, false, nil},
		{"wrong:1", gpu.FaultWrong, "round: wrong", 2, false, nil},
		{"sticky:1", gpu.FaultDriver, "round: sticky", 2, false, nil},
		{"stuck-and-fails:1", gpu.FaultLost, "the card failed", 2, false, nil},
		{"hiccup:1", gpu.FaultDriver, "round: sticky", 1, false, nil},
		{"full", gpu.FaultMemory, "start: no room", 1, false, nil},
		{"hang:1", gpu.FaultHang, "did not come back within 300ms", 2, true, hang},
		{"frozen:1", gpu.FaultHang, "did not answer for 500ms", 2, false, deaf},
	} {
		t.Run(tt.fault, func(t *testing.T) {
			t.Parallel()
			cfg := config(t, tt.fault)
			if tt.tune != nil {
				tt.tune(&cfg)
			}
			var asked atomic.Int32
			cfg.Xid = func(context.Context) uint32 {
				asked.Add(1)
				return 79
			}
			d := running(t, cfg)
			ready(t, d)
			ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
			defer cancel()
			if tt.cancel {
				time.AfterFunc(100*time.Millisecond, cancel)
			}
			err := play(ctx, d, job(2, 1))
			f, ok := errors.AsType[*gpu.Fault](err)
			if !ok || f.Class != tt.class || !strings.Contains(f.Detail, tt.detail) {
				t.Fatalf("got %v, want class %s with %q", err, tt.class, tt.detail)
			}
			if tt.cancel != errors.Is(err, context.Canceled) {
				t.Errorf("%v: of the context too: want %v", err, tt.cancel)
			}
			want := uint32(79)
			if tt.class == gpu.FaultMemory || tt.class == gpu.FaultWrong {
				want = 0
			}
			if f.Xid != want {
				t.Errorf("Xid %d, want %d", f.Xid, want)
			}
			until(t, d.Changed, func() bool {
				ok, _ := d.Ready()
				return ok && d.Status().Starts == tt.starts
			})
			if err := play(t.Context(), d, job(2, 1)); err != nil {
				t.Errorf("the next challenge: %v", err)
			}
			s := d.Status()
			if s.Starts != tt.starts || s.Fault == nil || s.Fault.Class != tt.class || s.FaultAt.IsZero() || s.Fault.Xid != want {
				t.Errorf("%+v", s)
			}
			// A driver's error that turns out to end the card is two: of the call, and of the process.
			if n := asked.Load(); want != 0 && n != 1 && tt.fault != "sticky:1" {
				t.Errorf("asked for the Xid %d times", n)
			}
		})
	}
}

// play is a whole challenge, held against the engine. The rounds are opened by
// another goroutine than computes them.
func play(ctx context.Context, d gpu.Device, job gpu.Job) (err error) {
	run, err := d.Start(ctx, job)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, run.Close()) }()
	truth, err := gpu.NewCPU(gpu.CPUConfig{}).Start(ctx, job)
	if err != nil {
		return err
	}
	defer func() { _ = truth.Close() }()
	roots := make(chan gpu.Root, 100)
	opened := make(chan error, 1)
	go func() {
		var failed error
		for root := range roots {
			at := []uint32{0, uint32(root.Round), 130}
			want, err1 := truth.Open(ctx, root.Round, at)
			got, err2 := run.Open(ctx, root.Round, at)
			if failed == nil {
				failed = errors.Join(err1, err2)
			}
			if failed == nil && string(want) != string(got) {
				failed = errors.New("wrong opening")
			}
		}
		opened <- failed
	}()
	err = func() error {
		defer close(roots)
		for n := 0; ; n++ {
			got, err := run.Next(ctx)
			if errors.Is(err, io.EOF) {
				if n != job.Profile.Rounds {
					return errors.New("too few rounds")
				}
				return nil
			}
			if err != nil {
				return err
			}
			want, err := truth.Next(ctx)
			if err != nil {
				return err
			}
			if want != got {
				return errors.New("wrong root")
			}
			roots <- got
		}
	}()
	if failed := <-opened; err == nil {
		err = failed
	}
	return err
}

// A child that does not even start is tried again, and says why.
func TestDoesNotComeUp(t *testing.T) {
	missing := func(c *Config) { c.Path = "/nowhere/assay-gpu" }
	deaf := func(c *Config) { c.Silence = 200 * time.Millisecond }
	slow := func(c *Config) { c.opening = 200 * time.Millisecond }
	for _, tt := range []struct {
		name   string
		fault  string
		class  string
		detail string
		tune   func(*Config)
	}{
		{"missing", "", gpu.FaultAbsent, "cannot be started", missing},
		{"usage", "usage", gpu.FaultAbsent, "did not come up: worker ended with status 2: unknown command", nil},
		{"another program", "hello", gpu.FaultAbsent, "did not come up", nil},
		{"another magic", "other", gpu.FaultAbsent, "something else", nil},
		{"another version", "version", gpu.FaultAbsent, "assay-gpu speaks version 2 of the worker's protocol, assay version 1: install both from one build", nil},
		{"no greeting", "mute", gpu.FaultHang, "did not answer", deaf},
		{"hangs while it opens", "open-hang", gpu.FaultHang, "of being asked to open the card", slow},
		{"miscomputes", "open-wrong", gpu.FaultWrong, "kernel: wrong", nil},
		{"panics", "open-panic", gpu.FaultCrash, "panic: no such luck", nil},
		{"plain", "open-plain", gpu.FaultAbsent, "a plain error", nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			cfg := always(config(t, tt.fault))
			if tt.tune != nil {
				tt.tune(&cfg)
			}
			d := running(t, cfg)
			var first time.Time
			for range 2 {
				until(t, d.Changed, func() bool {
					s := d.Status()
					return s.Fault != nil && s.FaultAt.After(first)
				})
				s := d.Status()
				first = s.FaultAt
				if s.Fault.Class != tt.class || !strings.Contains(s.Fault.Detail, tt.detail) {
					t.Fatalf("%v, want class %s with %q", s.Fault, tt.class, tt.detail)
				}
			}
			ok, f := d.Ready()
			if ok || f.Class != gpu.FaultAbsent || !strings.Contains(f.Detail, tt.detail[:4]) {
				t.Errorf("ready %v: %v", ok, f)
			}
		})
	}
}

// Plain mistakes of the caller are no faults, and cost no child.
func TestCallersMistakes(t *testing.T) {
	d := running(t, config(t, ""))
	ready(t, d)
	none := job(2, 1)
	none.Profile.Rounds = 0
	odd := job(2, 1)
	odd.Profile.Shape.N = 3
	for _, j := range []gpu.Job{none, odd} {
		if run, err := d.Start(t.Context(), j); err == nil || class(err) != "" {
			t.Errorf("start: %v, %v", run, err)
		}
	}
	if m, err := d.Fill(t.Context(), gpu.MemoryJob{}); err == nil || class(err) != "" {
		t.Errorf("fill: %v, %v", m, err)
	}
	run, err := d.Start(t.Context(), job(2, 1))
	if err != nil {
		t.Fatal(err)
	}
	for _, err := range []error{
		second(run.Open(t.Context(), 0, []uint32{1})), second(run.Open(t.Context(), -1, []uint32{1})),
		second(run.Open(t.Context(), 0, make([]uint32, maxPositions+1))),
	} {
		if err == nil || class(err) != "" {
			t.Errorf("open before next: %v", err)
		}
	}
	if err := run.Close(); err != nil {
		t.Error(err)
	}
	if _, err := run.Next(t.Context()); !errors.Is(err, errClosed) {
		t.Errorf("next after close: %v", err)
	}
	if err := run.Close(); err != nil {
		t.Errorf("second close: %v", err)
	}
	if s := d.Status(); s.Starts != 1 || s.Fault != nil {
		t.Errorf("%+v", s)
	}
}

func second[T any](_ T, err error) error { return err }

// A call ends with its context, a run with that of Start; both errors are the
// contexts'.
func TestContexts(t *testing.T) {
	d := running(t, config(t, ""))
	ready(t, d)
	cause := errors.New("the checker went away")
	life, end := context.WithCancelCause(t.Context())
	run, err := d.Start(life, job(2, 1))
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if _, err := run.Next(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	time.AfterFunc(20*time.Millisecond, func() { cancel(cause) })
	if _, err := run.Next(ctx); !errors.Is(err, cause) || class(err) != "" { // it waits for positions
		t.Errorf("cancelled: %v", err)
	}
	if _, err := run.Open(t.Context(), 0, []uint32{7}); err != nil {
		t.Error(err)
	}
	if root, err := run.Next(t.Context()); err != nil || root.Round != 2 {
		t.Errorf("after a cancelled call: round %d, %v", root.Round, err)
	}
	time.AfterFunc(20*time.Millisecond, func() { end(cause) })
	if _, err := run.Next(t.Context()); !errors.Is(err, cause) || class(err) != "" {
		t.Errorf("after the run's end: %v", err)
	}
	if _, err := run.Open(t.Context(), 1, []uint32{7}); !errors.Is(err, cause) {
		t.Errorf("after the run's end: %v", err)
	}
	if err := run.Close(); err != nil {
		t.Error(err)
	}
	if _, err := d.Start(life, job(2, 1)); !errors.Is(err, cause) {
		t.Errorf("start: %v", err)
	}
	if s := d.Status(); s.Starts != 1 || s.Fault != nil {
		t.Errorf("%+v", s)
	}
}

// Next waits for Open: neither may hold up the other.
func TestNextWaitsForOpen(t *testing.T) {
	d := running(t, config(t, ""))
	ready(t, d)
	run, err := d.Start(t.Context(), job(2, 0))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = run.Close() }()
	if _, err := run.Next(t.Context()); err != nil {
		t.Fatal(err)
	}
	got := make(chan error, 1)
	go func() {
		_, err := run.Next(t.Context())
		got <- err
	}()
	select {
	case err := <-got:
		t.Fatalf("round 1 came without positions: %v", err)
	case <-time.After(50 * time.Millisecond):
	}
	if _, err := run.Open(t.Context(), 0, []uint32{1}); err != nil {
		t.Fatal(err)
	}
	if err := <-got; err != nil {
		t.Error(err)
	}
}

// A run that is not freed in time is a card that hangs.
func TestCloseHangs(t *testing.T) {
	cfg := config(t, "close-hang")
	cfg.closing = 200 * time.Millisecond
	d := running(t, cfg)
	ready(t, d)
	run, err := d.Start(t.Context(), job(2, 1))
	if err != nil {
		t.Fatal(err)
	}
	if err := run.Close(); err != nil {
		t.Errorf("the child is gone, and all that it held: %v", err)
	}
	until(t, d.Changed, func() bool { return d.Status().Starts == 2 })
	if f := d.Status().Fault; f == nil || f.Class != gpu.FaultHang {
		t.Errorf("%v", f)
	}
}

// A card that fails between jobs costs no job.
func TestFailsIdle(t *testing.T) {
	d := running(t, config(t, "fails-idle"))
	ready(t, d)
	run, err := d.Start(t.Context(), job(2, 1))
	if err != nil {
		t.Fatal(err)
	}
	until(t, d.Changed, func() bool { ok, _ := d.Ready(); return ok && d.Status().Starts == 2 })
	if f := d.Status().Fault; f == nil || f.Class != gpu.FaultLost {
		t.Errorf("%v", f)
	}
	if _, err := run.Next(t.Context()); class(err) != gpu.FaultLost {
		t.Errorf("a run of the child before: %v", err)
	}
	if err := run.Close(); err != nil {
		t.Error(err)
	}
	if err := play(t.Context(), d, job(2, 1)); err != nil {
		t.Error(err)
	}
}

// All that is open at a crash fails with it, walks and datasets too.
func TestAllCallsFail(t *testing.T) {
	d := running(t, config(t, ""))
	ready(t, d)
	set := exam.Cases()[len(exam.Cases())-2].Set
	filled, err := d.Fill(t.Context(), gpu.MemoryJob{Device: "gpu0", Set: set})
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	errs := make(chan error, 20)
	for range 20 {
		run, err := d.Start(t.Context(), job(2, 0))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := run.Next(t.Context()); err != nil {
			t.Fatal(err)
		}
		wg.Go(func() {
			errs <- second(run.Next(t.Context()))
			if err := run.Close(); err != nil {
				t.Error(err)
			}
		})
	}
	time.Sleep(20 * time.Millisecond)
	pid, err := os.FindProcess(d.Status().PID)
	if err != nil {
		t.Fatal(err)
	}
	if err := pid.Kill(); err != nil {
		t.Fatal(err)
	}
	begun := time.Now()
	wg.Wait()
	if took := time.Since(begun); took > time.Second {
		t.Errorf("it took %v", took)
	}
	for range 20 {
		if err := <-errs; class(err) != gpu.FaultCrash {
			t.Error(err)
		}
	}
	if _, err := filled.Walk(t.Context(), challenges.Hash{}); class(err) != gpu.FaultCrash {
		t.Error(err)
	}
	if err := filled.Close(); err != nil {
		t.Error(err)
	}
}
