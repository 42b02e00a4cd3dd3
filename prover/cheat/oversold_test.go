package cheat

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/assaynet/assay/challenges"
	"github.com/assaynet/assay/challenges/memory"
	"github.com/assaynet/assay/gpu"
	"github.com/assaynet/assay/gpu/models"
)

func spec(t *testing.T, name string) models.Spec {
	t.Helper()
	s, err := models.Lookup(name)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// rate is a model of so many ops/s of each flavour.
func rate(ops uint64) models.Spec {
	return models.Spec{Simulated: true, Memory: 1 << 20, Int8Ops: ops, BF16Ops: ops, FP64Ops: ops}
}

// poolDevice is the only device of a new pool.
func poolDevice(t *testing.T, cfg PoolConfig) gpu.Device {
	t.Helper()
	d, err := NewPool(cfg).Device("gpu0", spec(t, "sim-100"))
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func poolDevices(t *testing.T, p *Pool, n int) (out []gpu.Device) {
	t.Helper()
	for i := range n {
		d, err := p.Device(fmt.Sprint("gpu", i), spec(t, "sim-100"))
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, d)
	}
	return out
}

// memoryJob is a proof of memory of a device's whole offer.
func memoryJob(t *testing.T, d gpu.Device) gpu.MemoryJob {
	t.Helper()
	row, err := memory.Lookup(501)
	if err != nil {
		t.Fatal(err)
	}
	i := d.Info()
	return gpu.MemoryJob{ID: challenges.Hash{4}, Device: i.ID, Set: memory.Dataset{Profile: row, Items: memory.Items(i.Memory)}}
}

// A device of a pool offers what a simulated device of that model does.
func TestPoolInfo(t *testing.T) {
	claims := spec(t, "sim-200")
	want, err := gpu.NewSim(gpu.SimConfig{ID: "a", Claims: claims, Runs: claims})
	if err != nil {
		t.Fatal(err)
	}
	p := NewPool(PoolConfig{Cards: 1, Runs: spec(t, "sim-100")})
	d, err := p.Device("a", claims)
	if err != nil || d.Info() != want.Info() {
		t.Errorf("info %+v, want %+v (%v)", d.Info(), want.Info(), err)
	}
	if _, err := p.Device("b", models.Spec{Name: "H100", Int8Ops: 1e15}); err == nil {
		t.Error("a device that claims to be a real model")
	}
}

// together plays a run of every device at one time, and returns how long it took.
func together(t *testing.T, devices []gpu.Device, play func(gpu.Device) error) time.Duration {
	t.Helper()
	begun, done := time.Now(), make(chan error, len(devices))
	for _, d := range devices {
		go func() { done <- play(d) }()
	}
	for range devices {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
	return time.Since(begun)
}

func rounds(run gpu.Run, err error, n int, t *testing.T) error {
	if err != nil {
		return err
	}
	for r := range n {
		if _, err := run.Next(t.Context()); err != nil {
			return err
		}
		if _, err := run.Open(t.Context(), r, []uint32{1}); err != nil {
			return err
		}
	}
	return run.Close()
}

// So many devices as there are cards are at full speed, one alone too; n at once
// share the cards.
func TestPoolShares(t *testing.T) {
	for _, whole := range []bool{false, true} {
		for _, tt := range []struct{ cards, devices, turns int }{
			{1, 1, 1}, {1, 2, 2}, {1, 3, 3}, {3, 2, 1}, {3, 3, 1}, {2, 4, 2}, {2, 6, 3},
		} {
			t.Run(fmt.Sprintf("%d on %d, whole %v", tt.devices, tt.cards, whole), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					job := testJob(t, 2, 1)
					p := NewPool(PoolConfig{Cards: tt.cards, Runs: rate(job.Profile.Shape.Ops()), Whole: whole})
					took := together(t, poolDevices(t, p, tt.devices), func(d gpu.Device) error {
						run, err := d.Start(t.Context(), job)
						return rounds(run, err, 4, t)
					})
					if want := time.Duration(4*tt.turns) * time.Second; took != want {
						t.Errorf("4 rounds each in %v, want %v", took, want)
					}
				})
			})
		}
	}
}

// Where the devices are no multiple of the cards, all get their part all the same.
func TestPoolIsFair(t *testing.T) {
	for _, tt := range []struct{ cards, devices int }{{3, 4}, {7, 8}, {2, 3}} {
		synctest.Test(t, func(t *testing.T) {
			const n = 240
			job := jobWith(t, n)
			p := NewPool(PoolConfig{Cards: tt.cards, Runs: rate(job.Profile.Shape.Ops())})
			var shortest time.Duration
			took := together(t, poolDevices(t, p, tt.devices), func(d gpu.Device) error {
				begun := time.Now()
				run, err := d.Start(t.Context(), job)
				err = rounds(run, err, n, t)
				if d.Info().ID == "gpu0" {
					shortest = time.Since(begun)
				}
				return err
			})
			want := time.Duration(n*tt.devices/tt.cards) * time.Second
			if took < want || took > want*110/100 || shortest < want*90/100 {
				t.Errorf("%d on %d: %d rounds each in %v, the first in %v, want %v", tt.devices, tt.cards, n, took, shortest, want)
			}
		})
	}
}

// jobWith is a job of n small rounds.
func jobWith(t *testing.T, n int) gpu.Job {
	t.Helper()
	job := testJob(t, 2, 1)
	job.Profile.Rounds = n
	return job
}

// Whole runs come one after another.
func TestPoolOneRunAfterAnother(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		job := testJob(t, 2, 1)
		p := NewPool(PoolConfig{Cards: 1, Runs: rate(job.Profile.Shape.Ops()), Whole: true})
		ends := make(chan time.Duration, 3)
		begun := time.Now()
		together(t, poolDevices(t, p, 3), func(d gpu.Device) error {
			run, err := d.Start(t.Context(), job)
			err = rounds(run, err, 4, t)
			ends <- time.Since(begun)
			return err
		})
		for i := range 3 {
			if end := <-ends; end != time.Duration(4*(i+1))*time.Second {
				t.Errorf("run %d ends after %v", i, end)
			}
		}
	})
}

// Positions that come late cost a device of a pool time, as they do any other.
func TestPoolStallsOnLatePositions(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		job := testJob(t, 2, 1)
		run := start(t, poolDevice(t, PoolConfig{Cards: 1, Runs: rate(job.Profile.Shape.Ops())}), job)
		begun := time.Now()
		next(t, run)
		next(t, run)
		time.Sleep(5 * time.Second)
		if _, err := run.Open(t.Context(), 0, []uint32{1}); err != nil {
			t.Fatal(err)
		}
		next(t, run)
		if took := time.Since(begun); took != 8*time.Second {
			t.Errorf("3 rounds in %v, want 8 s", took)
		}
	})
}

// Who leaves the queue, or the card, is not in the way of others.
func TestPoolDeviceThatLeaves(t *testing.T) {
	for _, whole := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			job := testJob(t, 2, 1)
			p := NewPool(PoolConfig{Cards: 1, Runs: rate(job.Profile.Shape.Ops()), Whole: whole})
			devices := poolDevices(t, p, 4)
			begun, why := time.Now(), errors.New("checker left")
			failed := make(chan error, 2)
			for i, after := range []time.Duration{500 * time.Millisecond, 250 * time.Millisecond} {
				ctx, cancel := context.WithTimeoutCause(t.Context(), after, why)
				defer cancel()
				run := start(t, devices[i], job)
				go func() {
					_, err := run.Next(ctx)
					failed <- err
				}()
				synctest.Wait()
			}
			next(t, start(t, devices[2], job))
			if took := time.Since(begun); took != 1500*time.Millisecond {
				t.Errorf("a round after %v, want 1.5 s", took)
			}
			for range 2 {
				if err := <-failed; !errors.Is(err, why) {
					t.Errorf("error %v", err)
				}
			}
			// A run that is closed while it keeps a card gives it back.
			run := start(t, devices[3], job)
			if whole {
				return // the card is kept by the third
			}
			next(t, run)
		})
	}
}

// A machine that cannot keep the cards' pace says so.
func TestPoolOverrun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		job := testJob(t, 2, 1)
		run := start(t, poolDevice(t, PoolConfig{Cards: 1, Runs: rate(job.Profile.Shape.Ops())}), job)
		time.Sleep(1600 * time.Millisecond)
		if _, err := run.Next(t.Context()); !errors.Is(err, gpu.ErrOverrun) {
			t.Errorf("error %v, want an overrun", err)
		}
	})
}

// All datasets of a pool together have no more than its cards' memory, and what
// was used is free again. Without enough of it walks take longer.
func TestPoolMemory(t *testing.T) {
	for _, tt := range []struct {
		cards, devices int
		held           []float64 // of each device's dataset
	}{
		{1, 1, []float64{1}},
		{1, 2, []float64{1, 0.111}},
		{2, 2, []float64{1, 1}},
		{3, 4, []float64{1, 1, 1, 0.333}},
	} {
		if testing.Short() && tt.cards > 2 {
			continue
		}
		synctest.Test(t, func(t *testing.T) {
			p := NewPool(PoolConfig{Cards: tt.cards, Runs: spec(t, "sim-100")})
			// The second time there is no more and no less.
			for range 2 {
				var all []gpu.Memory
				var sum uint64
				for i, d := range poolDevices(t, p, tt.devices) {
					begun, job := time.Now(), memoryJob(t, d)
					m, err := d.Fill(t.Context(), job)
					if err != nil {
						t.Fatal(err)
					}
					if took := time.Since(begun); took != job.Set.FillTime() {
						t.Errorf("filled in %v, want %v", took, job.Set.FillTime())
					}
					all = append(all, m)
					begun = time.Now()
					run, err := m.Walk(t.Context(), challenges.Hash{})
					if err != nil {
						t.Fatal(err)
					}
					root := next(t, run)
					held := float64(root.Costs.Held) / float64(root.Costs.Held+root.Costs.Made)
					if diff := held - tt.held[i]; diff > 0.01 || diff < -0.01 {
						t.Errorf("device %d holds %.3f, want %.3f", i, held, tt.held[i])
					}
					if took := time.Since(begun); took != root.Costs.Time(job.Set) {
						t.Errorf("a round of %+v in %v", root.Costs, took)
					}
					sum += uint64(held * float64(job.Set.Bytes()))
					if err := run.Close(); err != nil {
						t.Error(err)
					}
				}
				if has := uint64(tt.cards) * spec(t, "sim-100").Memory; sum > has/100*101 {
					t.Errorf("%d bytes held, the cards have %d", sum, has)
				}
				for _, m := range all {
					if err := m.Close(); err != nil {
						t.Error(err)
					}
				}
			}
		})
	}
}
