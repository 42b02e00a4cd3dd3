package driver

import (
	"bytes"
	"errors"
	"fmt"
	"regexp"
	"testing"

	"github.com/assaynet/assay/challenges/simd"
	"github.com/assaynet/assay/gpu/kernels"
)

// The shipped modules load, and the fake driver has all of their kernels.
func TestShippedModules(t *testing.T) {
	entry := regexp.MustCompile(`\.visible \.entry (\w+)\(`)
	for _, capability := range [][2]int{{7, 5}, {8, 0}, {9, 0}, {12, 0}} {
		f := newFake(t, fmt.Sprintf("cc=%d.%d", capability[0], capability[1]))
		th := f.opened(t, 0)
		for _, module := range kernels.Modules(capability[0], capability[1]) {
			err := th.Do(t.Context(), func(c *Calls) error {
				m, err := c.Load(module.PTX)
				if err != nil {
					return err
				}
				names := entry.FindAllStringSubmatch(module.PTX, -1)
				if len(names) < 10 {
					t.Errorf("%d kernels", len(names))
				}
				for _, name := range names {
					if _, err := c.Function(m, name[1]); err != nil {
						t.Error(err)
					}
				}
				return c.Unload(m)
			})
			if err != nil {
				t.Errorf("%s on %v: %v", module.Target, capability, err)
			}
		}
		if err := th.Close(); err != nil {
			t.Error(err)
		}
		f.Leaves(t)
	}
}

// A matrix that comes through the driver is the one that the checker computes.
func TestGenerate(t *testing.T) {
	const matrix, first, lines, blocks = 2, 3, 40, 9
	key := [32]byte{1, 2, 3, 31: 4}
	want := make([]byte, lines*blocks*64)
	for i := range lines {
		simd.ChaCha8(want[i*blocks*64:][:blocks*64], &key, matrix, uint64(first+i)*blocks)
	}
	f := newFake(t, "polls=2")
	th := f.opened(t, 0)
	var m Module
	var s Stream
	var e Event
	var host *Pinned
	var on, out Devptr
	err := th.Do(t.Context(), func(c *Calls) (err error) {
		if m, err = c.Load(kernels.Modules(8, 0)[0].PTX); err != nil {
			return err
		}
		generate, err := c.Function(m, "gen_int8")
		if err != nil {
			return err
		}
		if s, err = c.NewStream(); err != nil {
			return err
		}
		if e, err = c.NewEvent(false); err != nil {
			return err
		}
		if host, err = c.HostAlloc(32 + len(want)); err != nil {
			return err
		}
		if on, err = c.Alloc(32); err != nil {
			return err
		}
		if out, err = c.Alloc(uint64((first + lines) * blocks * 64)); err != nil {
			return err
		}
		copy(host.B, key[:])
		grid := (lines*blocks + kernels.Threads - 1) / kernels.Threads
		return errors.Join(
			c.ToDevice(on, host, 0, 32, s),
			c.Launch(generate, grid, kernels.Threads, 0, s, uint64(on), uint64(out), matrix, first, lines, blocks, 0),
			c.ToHost(host, 32, out+first*blocks*64, len(want), s),
			c.Record(e, s),
		)
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := th.await(t.Context(), e); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(host.B[32:], want) {
		t.Error("another matrix")
	}
	err = th.Do(t.Context(), func(c *Calls) error {
		return errors.Join(c.Free(on), c.Free(out), c.HostFree(host), c.DestroyEvent(e), c.DestroyStream(s), c.Unload(m))
	})
	if err != nil {
		t.Error(err)
	}
	if err := th.Close(); err != nil {
		t.Error(err)
	}
	f.Leaves(t)
}
