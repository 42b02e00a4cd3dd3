package devnet

import (
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/assaynet/assay/challenges"
	"github.com/assaynet/assay/challenges/memory"
	"github.com/assaynet/assay/checker/committee"
	"github.com/assaynet/assay/cmd/node"
	"github.com/assaynet/assay/gpu"
	"github.com/assaynet/assay/gpu/models"
)

// planting plants kinds in their order and returns each provider's devices.
func planting(t *testing.T, kinds ...string) [][]gpu.Device {
	t.Helper()
	s := stage{seed: 1, genesis: time.Now(), vendor: newVendor(1)}
	r := committee.Registry{Params: committee.Devnet()}
	var out [][]gpu.Device
	for i, kind := range kinds {
		cfg := node.ProviderConfig{Registry: &r}
		if err := s.behave(i, kind, &cfg); err != nil {
			t.Fatalf("%s: %v", kind, err)
		}
		if (cfg.Network != nil) != (kind == Flaky) || (cfg.Admission != nil) != (kind == Busy) {
			t.Errorf("%s: network %v, admission %v", kind, cfg.Network != nil, cfg.Admission != nil)
		}
		out = append(out, cfg.Devices)
	}
	return out
}

// Every kind that can be asked for can be made, and claims what it says.
func TestBehaveClaims(t *testing.T) {
	for _, kind := range ProviderKinds() {
		model, devices := "sim-100", 1
		switch kind {
		case Slow:
			model = "sim-400"
		case Oversold:
			devices = 4
		case Attested, Counterfeit:
			model = cardModel
		}
		spec, err := models.Lookup(model)
		if err != nil {
			t.Fatal(err)
		}
		if kind == Counterfeit { // the name is all that it has of the model
			if spec, err = models.Lookup(otherModel); err != nil {
				t.Fatal(err)
			}
		}
		got := planting(t, kind)[0]
		if len(got) != devices {
			t.Errorf("%s: %d devices, want %d", kind, len(got), devices)
		}
		for i, d := range got {
			want := gpu.Info{
				ID: fmt.Sprint("gpu", i), Model: model, Memory: spec.Memory, Simulated: true,
				Int8Ops: spec.Int8Ops / 100 * 95, BF16Ops: spec.BF16Ops / 100 * 95, FP64Ops: spec.FP64Ops / 100 * 95,
			}
			if d.Info() != want {
				t.Errorf("%s: claims %+v, want %+v", kind, d.Info(), want)
			}
		}
	}
	if err := new(stage).behave(0, "saint", &node.ProviderConfig{}); err == nil {
		t.Error("an unknown behaviour: no error")
	}
}

// dataset is what a checker would have a device fill.
func dataset(t *testing.T, d gpu.Device) memory.Dataset {
	t.Helper()
	row, err := memory.Lookup(501)
	if err != nil {
		t.Fatal(err)
	}
	return memory.Dataset{Profile: row, Items: memory.Items(d.Info().Memory)}
}

// One round of walks has as many items made again as the device has no memory for.
func TestBehaveMemory(t *testing.T) {
	for _, c := range []struct {
		kind string
		made float64 // share of what is read
	}{{Honest, 0}, {Slow, 0}, {Liar, 0}, {SmallMem, 0.5}, {Sharer, 0}, {Oversold, 0}} {
		synctest.Test(t, func(t *testing.T) {
			d := planting(t, c.kind)[0][0]
			set := dataset(t, d)
			m, err := d.Fill(t.Context(), gpu.MemoryJob{Device: d.Info().ID, Set: set})
			if err != nil {
				t.Fatal(err)
			}
			defer m.Close()
			run, err := m.Walk(t.Context(), challenges.Hash{1})
			if err != nil {
				t.Fatal(err)
			}
			defer run.Close()
			root, err := run.Next(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			reads := set.Walks() * uint64(set.Steps)
			if made := float64(root.Costs.Made) / float64(reads); root.Costs.Held+root.Costs.Made != reads || made < c.made-0.02 || made > c.made+0.02 {
				t.Errorf("%s: %+v of %d reads, want a share of %v made", c.kind, root.Costs, reads, c.made)
			}
		})
	}
}

// All devices of a network fill their memory at one time: who shares a card waits
// for it.
func TestBehaveTogether(t *testing.T) {
	for _, c := range []struct {
		name  string
		kinds []string
		turns []int // in which each provider's last device is done
	}{
		{"honest", []string{Honest, Honest}, []int{1, 1}},
		{"a pair", []string{Sharer, Honest, Sharer}, []int{1, 1, 2}},
		{"two pairs", []string{Sharer, Sharer, Sharer, Honest, Sharer}, []int{1, 2, 1, 1, 2}},
		{"oversold", []string{Oversold, Honest}, []int{2, 1}},
		// Each has cards of its own.
		{"oversold twice, and a pair", []string{Oversold, Sharer, Oversold, Sharer}, []int{2, 1, 2, 2}},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				providers := planting(t, c.kinds...)
				set := dataset(t, providers[0][0])
				begun := time.Now()
				type end struct {
					provider int
					at       time.Duration
					err      error
				}
				ends := make(chan end)
				n := 0
				for i, devices := range providers {
					for _, d := range devices {
						// Who comes first is no accident.
						time.Sleep(time.Nanosecond)
						n++
						go func() {
							m, err := d.Fill(t.Context(), gpu.MemoryJob{Device: d.Info().ID, Set: set})
							if err == nil {
								err = m.Close()
							}
							ends <- end{i, time.Since(begun), err}
						}()
					}
				}
				turns := make([]int, len(providers))
				for range n {
					e := <-ends
					if e.err != nil {
						t.Error(e.err)
					}
					turns[e.provider] = max(turns[e.provider], int(e.at/set.FillTime()))
				}
				if !slices.Equal(turns, c.turns) {
					t.Errorf("turns %v, want %v", turns, c.turns)
				}
			})
		})
	}
}
