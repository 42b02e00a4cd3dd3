package cuda

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/assaynet/assay/challenges"
	"github.com/assaynet/assay/gpu"
	"github.com/assaynet/assay/gpu/cuda/driver"
)

// A card that is too full says so, at whichever allocation; what was taken until
// then is given back, and the card goes on.
func TestOutOfMemory(t *testing.T) {
	d, f := device(t, "")
	small := challenges.Shape{M: 2, N: 256, K: 64}
	var filled gpu.Memory
	for _, tt := range []struct {
		name  string
		least int // allocations that it cannot do without
		do    func() (close func() error, err error)
	}{
		{"start", 7, func() (func() error, error) {
			run, err := d.Start(t.Context(), shaped(t, small, 4, 0, 1))
			if err != nil {
				return nil, err
			}
			for r := range 4 { // fewer slots than the window asks for
				next(t, run)
				open(t, run, r, 1)
			}
			return run.Close, nil
		}},
		{"start lanes", 6, func() (func() error, error) {
			run, err := d.Start(t.Context(), computeJob(t, 6, 1))
			if err != nil {
				return nil, err
			}
			return run.Close, nil
		}},
		{"fill", 4, func() (func() error, error) {
			m, err := d.Fill(t.Context(), memoryJob(t, 502, 2600))
			if err != nil {
				return nil, err
			}
			return m.Close, nil
		}},
		{"walk", 6, func() (func() error, error) {
			run, err := filled.Walk(t.Context(), challenges.Hash{})
			if err != nil {
				return nil, err
			}
			return run.Close, nil
		}},
	} {
		for _, setting := range []string{"oom_after", "pinned_after"} {
			t.Run(tt.name+"/"+setting, func(t *testing.T) {
				if tt.name == "walk" {
					var err error
					if filled, err = d.Fill(t.Context(), memoryJob(t, 502, 2048)); err != nil {
						t.Fatal(err)
					}
					defer func() { _ = filled.Close() }()
				}
				held, pins := f.Count("allocations"), f.Count("pinned")
				for n := 0; ; n++ {
					f.Configure(fmt.Sprintf("%s=%d", setting, n))
					end, err := tt.do()
					f.Configure(setting + "=-1")
					if err == nil {
						if setting == "oom_after" && n < tt.least {
							t.Errorf("succeeded with %d allocations", n)
						}
						if err := end(); err != nil {
							t.Error(err)
						}
						break
					}
					if !errors.Is(err, driver.ErrOutOfMemory) {
						t.Fatalf("after %d: %v", n, err)
					}
					if setting == "oom_after" && (!strings.Contains(err.Error(), "bytes asked, ") || !strings.Contains(err.Error(), " free: ")) {
						t.Errorf("after %d: %v", n, err)
					}
					if a, p := f.Count("allocations")-held, f.Count("pinned")-pins; a != 0 || p != 0 {
						t.Fatalf("after %d: %d allocations and %d pinned are left", n, a, p)
					}
				}
			})
		}
	}
}

// The same for the start of a device.
func TestNewOutOfMemory(t *testing.T) {
	f := newFake(t, "")
	for _, n := range []int{0, 1, 2, 5, 11, 23} {
		f.Configure(fmt.Sprintf("oom_after=%d", n))
		if _, err := New(t.Context(), f.config(t, 0)); !errors.Is(err, driver.ErrOutOfMemory) {
			t.Errorf("after %d: %v", n, err)
		}
		f.Leaves(t)
	}
}

// A ring that memory makes short only makes the card wait.
func TestRingTakesWhatIsFree(t *testing.T) {
	d, _ := device(t, "memory=2500000")
	job := shaped(t, challenges.Shape{M: 400, N: 256, K: 64}, 8, 0, 6) // 0.4 MB of entries
	run, err := d.start(t.Context(), &compute{job: job, shape: job.Profile.Shape, maker: d.makers[0], step: 256}, 8, job.Profile.Shape.Layout(), 1, 8)
	if err != nil {
		t.Fatal(err)
	}
	if n := len(run.all); n < 2 || n > 6 {
		t.Errorf("%d slots in 2.5 MB", n)
	}
	truth, err := gpu.NewCPU(gpu.CPUConfig{}).Start(t.Context(), job)
	if err != nil {
		t.Fatal(err)
	}
	follow(t, run, truth, 8, func(r int) []uint32 { return []uint32{uint32(r)} })
}

// What ends a card ends everything on it, at once and with the same words.
func TestFaultsEndTheCard(t *testing.T) {
	for _, tt := range []struct {
		name, setting string
		want          error
	}{
		{"a kernel that does not end", "hang=" + b3Top, driver.ErrTimeout},
		{"a product that does not end", "hang=" + matmulInt8, driver.ErrTimeout},
		{"a kernel that faults", "illegal=" + b3Parents, driver.ErrSticky},
		{"a card that is gone", "lost_after=40", driver.ErrLost},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f := newFake(t, "")
			d, err := New(t.Context(), f.config(t, 0))
			if err != nil {
				t.Fatal(err)
			}
			d.patience = 300 * time.Millisecond
			f.Configure(tt.setting)
			run, err := d.Start(t.Context(), computeJob(t, 2, 1))
			for err == nil {
				_, err = run.Next(t.Context())
			}
			if !errors.Is(err, tt.want) {
				t.Errorf("error %v, want %v", err, tt.want)
			}
			if run != nil {
				if _, err := run.Open(t.Context(), 0, []uint32{0}); !errors.Is(err, tt.want) {
					t.Errorf("open: error %v, want %v", err, tt.want)
				}
				if err := run.Close(); !errors.Is(err, tt.want) {
					t.Errorf("close: error %v, want %v", err, tt.want)
				}
			}
			if _, err := d.Start(t.Context(), computeJob(t, 2, 1)); !errors.Is(err, tt.want) {
				t.Errorf("start: error %v, want %v", err, tt.want)
			}
			if _, err := d.Fill(t.Context(), memoryJob(t, 502, 2048)); !errors.Is(err, tt.want) {
				t.Errorf("fill: error %v, want %v", err, tt.want)
			}
			if err := d.Close(); !errors.Is(err, tt.want) {
				t.Errorf("close: error %v, want %v", err, tt.want)
			}
			f.Configure("hang=,illegal=,lost_after=-1")
		})
	}
}

// A caller's deadline that passes while the card works says nothing of the card.
func TestDeadlineOfTheCallerIsNoFault(t *testing.T) {
	d, f := device(t, "")
	f.Configure("polls=1000000")
	run := start(t, d, computeJob(t, 2, 1))
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if _, err := run.Next(ctx); !errors.Is(err, context.DeadlineExceeded) || errors.Is(err, driver.ErrTimeout) {
		t.Errorf("error %v", err)
	}
	f.Configure("polls=1")
	if root := next(t, run); root.Round != 0 {
		t.Errorf("round %d, want 0", root.Round)
	}
	if err := run.Close(); err != nil {
		t.Error(err)
	}
}

// Fill ends with its context, and leaves nothing.
func TestFillEndsWithItsContext(t *testing.T) {
	d, f := device(t, "")
	held := f.Count("allocations")
	f.Configure("polls=1000000")
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	time.AfterFunc(50*time.Millisecond, func() { f.Configure("polls=1") })
	if _, err := d.Fill(ctx, memoryJob(t, 502, 2048)); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("error %v", err)
	}
	if n := f.Count("allocations"); n != held {
		t.Errorf("%d allocations are left", n-held)
	}
	if _, err := d.Fill(t.Context(), memoryJob(t, 502, 100)); err == nil {
		t.Error("filled a dataset without walks")
	}
}

func TestNewTakesAnotherModule(t *testing.T) {
	for _, tt := range []struct {
		name, settings, target string
		err                    error
	}{
		{"ampere", "cc=8.0", "sm_80", nil},
		{"later than all", "cc=12.0", "sm_80", nil},
		{"hopper", "cc=9.0", "sm_90a", nil},
		{"hopper with an old driver", "cc=9.0,ptx=7.0", "sm_80", nil},
		{"hopper whose driver does not know it", "cc=9.0,reject=sm_90a", "sm_80", nil},
		{"turing", "cc=7.5", "sm_75", nil},
		{"too old", "cc=7.0", "", errAny},
		{"ampere without a compiler", "nojit=1,cc=8.0", "sm_80", nil},
		{"ada without a compiler", "nojit=1,cc=8.9", "sm_80", nil},
		{"hopper without a compiler", "nojit=1,cc=9.0", "sm_90a", nil},
		{"turing without a compiler", "nojit=1,cc=7.5", "sm_75", nil},
		{"later than all machine code, without a compiler", "nojit=1,cc=12.0", "", driver.ErrNoJIT},
		{"driver too old", "ptx=6.0", "", driver.ErrUnsupportedPTX},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f := newFake(t, tt.settings)
			d, err := New(t.Context(), f.config(t, 0))
			if tt.err != nil {
				if err == nil || tt.err != errAny && !errors.Is(err, tt.err) {
					t.Errorf("error %v, want %v", err, tt.err)
				}
				f.Leaves(t)
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if d.program.Target != tt.target {
				t.Errorf("kernels for %s, want %s", d.program.Target, tt.target)
			}
			if err := d.Close(); err != nil {
				t.Error(err)
			}
			f.Leaves(t)
		})
	}
}

var errAny = errors.New("any")

// Cards work side by side, and one that fails leaves the others alone.
func TestCardsAreApart(t *testing.T) {
	f := newFake(t, "devices=3")
	var devices []*Device
	for i := range 3 {
		cfg := f.config(t, i)
		cfg.ID = fmt.Sprint("gpu", i)
		d, err := New(t.Context(), cfg)
		if err != nil {
			t.Fatal(err)
		}
		devices = append(devices, d)
	}
	f.Configure("only=1,illegal=" + b3Top)
	var wg sync.WaitGroup
	for i, d := range devices {
		wg.Go(func() {
			job := computeJob(t, 2, 1)
			job.Device = d.Info().ID
			run, err := d.Start(t.Context(), job)
			if err != nil {
				t.Error(err)
				return
			}
			defer run.Close()
			for r := range job.Profile.Rounds {
				root, err := run.Next(t.Context())
				if (err == nil) != (i != 1) {
					t.Errorf("card %d: error %v", i, err)
				}
				if err != nil {
					return
				}
				if r == 0 && root.Key != challenges.FirstKey(job.ID, job.Device) {
					t.Errorf("card %d: key %v", i, root.Key)
				}
				if _, err := run.Open(t.Context(), r, []uint32{9}); err != nil {
					t.Errorf("card %d: %v", i, err)
				}
			}
		})
	}
	wg.Wait()
	for i, d := range devices {
		if err := d.Close(); (err == nil) != (i != 1) {
			t.Errorf("card %d: close: %v", i, err)
		}
	}
}
