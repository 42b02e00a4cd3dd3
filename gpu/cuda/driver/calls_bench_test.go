package driver

import (
	"context"
	"encoding/binary"
	"errors"
	"testing"
)

// probes is a module of the kernels in fakecuda/c/probes.h, as far as the fake
// driver reads one.
const probes = `.version 7.0
.target sm_80
.visible .entry probe_add(
.visible .entry probe_reverse(
.visible .entry probe_warp(
.visible .entry probe_deadlock(
.visible .entry probe_overrun(
.visible .entry nowhere(
{}
`

// bench is a card with a stream, an event and a piece of memory on both sides.
type bench struct {
	*fake
	t      *testing.T
	th     *Thread
	module Module
	s      Stream
	e      Event
	host   *Pinned
	mem    Devptr
}

const benchWords = 1000

func newBench(t *testing.T, settings string) *bench {
	t.Helper()
	f := newFake(t, settings)
	b := &bench{fake: f, t: t, th: f.opened(t, 0)}
	b.do(func(c *Calls) (err error) {
		b.module, err = c.Load(probes)
		b.must(err)
		b.s, err = c.NewStream()
		b.must(err)
		b.e, err = c.NewEvent(false)
		b.must(err)
		b.host, err = c.HostAlloc(4 * benchWords)
		b.must(err)
		b.mem, err = c.Alloc(4 * benchWords)
		return err
	})
	return b
}

// close gives everything back and looks for leaks.
func (b *bench) close() {
	b.t.Helper()
	b.do(func(c *Calls) error {
		return errors.Join(c.Free(b.mem), c.HostFree(b.host), c.DestroyEvent(b.e), c.DestroyStream(b.s), c.Unload(b.module))
	})
	b.must(b.th.Close())
	b.Leaves(b.t)
}

func (b *bench) must(err error) {
	b.t.Helper()
	if err != nil {
		b.t.Error(err) // not Fatal: it would end the card's thread
	}
}

func (b *bench) do(f func(c *Calls) error) {
	b.t.Helper()
	if err := b.th.Do(b.t.Context(), f); err != nil {
		b.t.Fatal(err)
	}
}

// launch puts a kernel into the bench's stream.
func (b *bench) launch(c *Calls, name string, grid, block, shared int, args ...uint64) error {
	f, err := c.Function(b.module, name)
	if err != nil {
		return err
	}
	return c.Launch(f, grid, block, shared, b.s, args...)
}

// sync waits for what is in the stream.
func (b *bench) sync(ctx context.Context) error {
	if err := b.th.Do(ctx, func(c *Calls) error { return c.Record(b.e, b.s) }); err != nil {
		return err
	}
	return b.th.await(ctx, b.e)
}

func (b *bench) put(i int, w uint32) { binary.LittleEndian.PutUint32(b.host.B[4*i:], w) }

func (b *bench) word(i int) uint32 { return binary.LittleEndian.Uint32(b.host.B[4*i:]) }
