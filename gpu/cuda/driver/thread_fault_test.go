package driver

import (
	"errors"
	"testing"
)

func TestExecutor(t *testing.T) {
	for _, test := range []struct {
		name   string
		kernel string
		grid   int
		block  int
		shared int
		args   []uint64
		want   func(i int) uint32
	}{
		{"barriers", "probe_reverse", 3, 96, 4 * 96, []uint64{288}, func(i int) uint32 { return uint32(i/96*96 + 95 - i%96) }},
		{"warps", "probe_warp", 2, 128, 0, nil, func(i int) uint32 { return uint32(i/32*32*32 + 31*16) }},
	} {
		t.Run(test.name, func(t *testing.T) {
			b := newBench(t, "")
			defer b.close()
			for i := range benchWords {
				b.put(i, uint32(i))
			}
			b.do(func(c *Calls) error {
				b.must(c.ToDevice(b.mem, b.host, 0, 4*benchWords, b.s))
				b.must(b.launch(c, test.kernel, test.grid, test.block, test.shared, append([]uint64{uint64(b.mem)}, test.args...)...))
				return c.ToHost(b.host, 0, b.mem, 4*benchWords, b.s)
			})
			b.must(b.sync(t.Context()))
			for i := range benchWords {
				want := uint32(i)
				if i < test.grid*test.block {
					want = test.want(i)
				}
				if b.word(i) != want {
					t.Fatalf("word %d is %d, want %d", i, b.word(i), want)
				}
			}
		})
	}
}

// Faults of kernels and copies end the context, and every later job fails with the first of them.
func TestSticky(t *testing.T) {
	for _, test := range []struct {
		name, settings string
		f              func(b *bench, c *Calls) error
		code           int
		want           error
	}{
		{"illegal access", "illegal=probe_warp", func(b *bench, c *Calls) error {
			return b.launch(c, "probe_warp", 1, 32, 0, uint64(b.mem))
		}, 700, ErrSticky},
		{"wild pointer", "", func(b *bench, c *Calls) error {
			return b.launch(c, "probe_warp", 1, 32, 0, 4096)
		}, 700, ErrSticky},
		{"write after the end", "", func(b *bench, c *Calls) error {
			return b.launch(c, "probe_overrun", 1, 32, 0, uint64(b.mem), benchWords)
		}, 700, ErrSticky},
		{"lanes that don't come", "", func(b *bench, c *Calls) error {
			return b.launch(c, "probe_deadlock", 1, 32, 0, uint64(b.mem))
		}, 719, ErrSticky},
		{"write after shared memory", "", func(b *bench, c *Calls) error {
			return b.launch(c, "probe_reverse", 1, 64, 4*64-4, uint64(b.mem), 64)
		}, 719, ErrSticky},
		{"copy from freed memory", "", func(b *bench, c *Calls) error {
			p, err := c.Alloc(4)
			b.must(err)
			b.must(c.ToHost(b.host, 0, p, 4, b.s))
			return c.Free(p)
		}, 700, ErrSticky},
		{"copy over the end", "", func(b *bench, c *Calls) error {
			return c.ToDevice(b.mem+4, b.host, 0, 4*benchWords, b.s)
		}, 700, ErrSticky},
		{"copy to freed pinned memory", "", func(b *bench, c *Calls) error {
			p, err := c.HostAlloc(4)
			b.must(err)
			b.must(c.ToHost(p, 0, b.mem, 4, b.s))
			return c.HostFree(p)
		}, 700, ErrSticky},
		{"filling over the end", "", func(b *bench, c *Calls) error {
			return c.fill32(b.mem, 0, benchWords+1, b.s)
		}, 700, ErrSticky},
		{"lost", "", func(b *bench, c *Calls) error {
			b.Configure("lost_after=0")
			return c.Record(b.e, b.s)
		}, 46, ErrLost},
		{"fallen off the bus", "", func(b *bench, c *Calls) error {
			b.Configure("lost_after=1,lost_code=999")
			b.must(c.Record(b.e, b.s))
			_, err := c.Done(b.e)
			return err
		}, 999, ErrSticky},
	} {
		t.Run(test.name, func(t *testing.T) {
			b := newBench(t, test.settings)
			err := b.th.Do(t.Context(), func(c *Calls) error { return test.f(b, c) })
			if err == nil {
				err = b.sync(t.Context())
			}
			if e, ok := errors.AsType[*Error](err); !ok || e.Code != test.code || !errors.Is(err, test.want) {
				t.Fatalf("got %v", err)
			}
			ran := false
			if later := b.th.Do(t.Context(), func(*Calls) error { ran = true; return nil }); later != err || ran {
				t.Errorf("later: %v", later)
			}
			if later := b.th.await(t.Context(), b.e); later != err {
				t.Errorf("later: %v", later)
			}
			if closed := b.th.Close(); closed != err {
				t.Errorf("closed: %v", closed)
			}
		})
	}
}

// A wrong kernel's answer differs in one bit.
func TestWrong(t *testing.T) {
	b := newBench(t, "wrong=probe_warp")
	defer b.close()
	b.do(func(c *Calls) error {
		b.must(c.fill32(b.mem, 1, benchWords, b.s))
		b.must(b.launch(c, "probe_warp", 1, 32, 0, uint64(b.mem)))
		return c.ToHost(b.host, 0, b.mem, 128, b.s)
	})
	b.must(b.sync(t.Context()))
	for i := range 32 {
		if want := uint32(32); i > 0 && b.word(i) != want || i == 0 && b.word(i) != want^1 {
			t.Errorf("word %d is %d", i, b.word(i))
		}
	}
}
