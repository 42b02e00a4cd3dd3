package driver

import (
	"errors"
	"strings"
	"testing"
	"time"
	"unsafe"
)

func TestRoundTrip(t *testing.T) {
	b := newBench(t, "")
	defer b.close()
	var out Devptr
	b.do(func(c *Calls) (err error) {
		out, err = c.Alloc(4 * benchWords)
		b.must(err)
		b.must(c.fill32(out, 7, benchWords, b.s))
		b.must(c.ToDevice(b.mem, b.host, 0, 4*benchWords, b.s))
		// The whole grid is one thread too large, and the value has bits above the parameter's 32.
		b.must(b.launch(c, "probe_add", 4, 250, 0, uint64(b.mem), uint64(out), benchWords-1, 1<<40|5))
		b.must(c.CopyDevice(b.mem, out+4*(benchWords-2), 8, b.s))
		b.must(c.CopyDevice(out, b.mem, 8, b.s))
		return c.ToHost(b.host, 0, out, 4*benchWords, b.s)
	})
	for i := range benchWords {
		b.put(i, uint32(100*i)) // the card looks only later
	}
	b.must(b.sync(t.Context()))
	for i := range benchWords {
		want := uint32(100*i) + 5
		switch i {
		case 0:
			want = 100*(benchWords-2) + 5
		case 1, benchWords - 1:
			want = 7
		}
		if b.word(i) != want {
			t.Fatalf("word %d is %d, want %d", i, b.word(i), want)
		}
	}
	b.do(func(c *Calls) error { return c.Free(out) })
	if n := b.Count("launches.probe_add"); n != 1 {
		t.Errorf("%d launches", n)
	}
}

// Streams are ordered by events and by nothing else.
func TestStreamsWait(t *testing.T) {
	for _, test := range []struct {
		name string
		wait bool
		want uint32
	}{{"with a wait", true, 42}, {"without", false, 0xcbcbcbcb}} {
		t.Run(test.name, func(t *testing.T) {
			b := newBench(t, "")
			defer b.close()
			var other Stream
			var filled Event
			b.do(func(c *Calls) (err error) {
				other, err = c.NewStream()
				b.must(err)
				filled, err = c.NewEvent(false)
				b.must(err)
				b.must(c.Wait(b.s, filled)) // never recorded: nothing to wait for
				b.must(c.fill32(b.mem, 42, benchWords, other))
				b.must(c.Record(filled, other))
				if test.wait {
					b.must(c.Wait(b.s, filled))
				}
				return c.ToHost(b.host, 0, b.mem, 4, b.s)
			})
			b.must(b.sync(t.Context()))
			if b.word(0) != test.want {
				t.Errorf("got %#x", b.word(0))
			}
			b.do(func(c *Calls) error {
				return errors.Join(c.Await(t.Context(), filled), c.DestroyEvent(filled), c.DestroyStream(other))
			})
		})
	}
}

func TestEvents(t *testing.T) {
	b := newBench(t, "polls=3")
	defer b.close()
	b.do(func(c *Calls) error {
		from, err := c.NewEvent(true)
		b.must(err)
		to, err := c.NewEvent(true)
		b.must(err)
		if done, err := c.Done(to); !done || err != nil {
			t.Errorf("an event without a record is done: %v, %v", done, err)
		}
		b.must(c.Record(from, b.s))
		b.must(c.fill32(b.mem, 1, benchWords, b.s))
		b.must(c.Record(to, b.s))
		if _, err := c.Elapsed(from, to); err == nil {
			t.Error("a time before the events are done")
		}
		for i := range 4 {
			if done, err := c.Done(to); done != (i == 3) || err != nil {
				t.Errorf("asked %d times: %v, %v", i+1, done, err)
			}
		}
		if d, err := c.Elapsed(from, to); err != nil || d < 0 || d > time.Minute {
			t.Errorf("elapsed %v, %v", d, err)
		}
		b.must(c.Record(b.e, b.s))
		b.must(c.Await(t.Context(), b.e))
		if _, err := c.Elapsed(from, b.e); err == nil {
			t.Error("a time of an event that has none")
		}
		b.must(c.Record(to, b.s))
		b.must(c.Await(t.Context(), to))
		return errors.Join(c.DestroyEvent(from), c.DestroyEvent(to))
	})
}

func TestLoadPTX(t *testing.T) {
	for _, test := range []struct {
		name, settings, ptx string
		code                int // 0: loads
		want                error
		log                 string
	}{
		{name: "good", ptx: probes},
		{name: "another card's", settings: "cc=7.5", ptx: probes, code: 218, want: ErrUnsupportedPTX, log: ".target"},
		{name: "exact", settings: "cc=9.0", ptx: strings.Replace(probes, "sm_80", "sm_90a", 1)},
		{name: "exact on a later card", settings: "cc=10.0", ptx: strings.Replace(probes, "sm_80", "sm_90a", 1), code: 218, want: ErrUnsupportedPTX},
		{name: "rejected", settings: "cc=9.0,reject=sm_90a", ptx: strings.Replace(probes, "sm_80", "sm_90a", 1), code: 218, want: ErrUnsupportedPTX},
		{name: "another rejected", settings: "cc=9.0,reject=sm_90a", ptx: probes},
		{name: "old driver", settings: "ptx=6.5", ptx: probes, code: 222, want: ErrUnsupportedPTX, log: ".version"},
		{name: "no compiler", settings: "nojit=1", ptx: probes, code: 221, want: ErrNoJIT},
		{name: "no PTX", ptx: "hello", code: 200, log: "aborted"},
		{name: "empty", ptx: "", code: 200, log: "aborted"},
	} {
		t.Run(test.name, func(t *testing.T) {
			f := newFake(t, test.settings)
			th := f.opened(t, 0)
			err := th.Do(t.Context(), func(c *Calls) error {
				m, err := c.Load(test.ptx)
				if err != nil {
					return err
				}
				return c.Unload(m)
			})
			if e, ok := errors.AsType[*Error](err); ok != (test.code != 0) || ok && (e.Code != test.code || !strings.Contains(e.Log, test.log)) {
				t.Errorf("got %v", err)
			}
			if test.want != nil && !errors.Is(err, test.want) {
				t.Errorf("got %v, not %v", err, test.want)
			}
			if err := th.Close(); err != nil {
				t.Error(err)
			}
			f.Leaves(t)
		})
	}
}

func TestModuleMisuse(t *testing.T) {
	b := newBench(t, "")
	defer b.close()
	b.do(func(c *Calls) error {
		if _, err := c.Load("a\x00b"); err == nil {
			t.Error("PTX with a zero byte")
		}
		for _, name := range []string{"nobody", "nowhere", "probe_ad", "probe_adds", ""} {
			if _, err := c.Function(b.module, name); err == nil || !strings.Contains(err.Error(), "kernel "+name) {
				t.Errorf("kernel %q: %v", name, err)
			}
		}
		if _, err := c.Function(Module(12345), "probe_add"); err == nil {
			t.Error("a function of no module")
		}
		return nil
	})
}

func TestLaunchLimits(t *testing.T) {
	b := newBench(t, "cc=8.6") // 99 KiB of shared memory
	defer b.close()
	b.do(func(c *Calls) error {
		f, err := c.Function(b.module, "probe_reverse")
		b.must(err)
		for _, test := range []struct {
			name                         string
			grid, block, shared, allowed int
			good                         bool
		}{
			{"small", 1, 32, 128, 0, true},
			{"largest block", 1, 1024, 4096, 0, true},
			{"larger block", 1, 1025, 4096, 0, false},
			{"no block", 1, 0, 0, 0, false},
			{"negative block", 1, -1, 0, 0, false},
			{"no grid", 0, 32, 128, 0, false},
			{"negative grid", -1, 32, 128, 0, false},
			{"grid beyond 31 bits", 1 << 31, 32, 128, 0, false},
			{"negative shared memory", 1, 32, -1, 0, false},
			{"48 KiB", 1, 32, 48 << 10, 0, true},
			{"above 48 KiB", 1, 32, 48<<10 + 1, 0, false},
			{"allowed", 1, 32, 99 << 10, 99 << 10, true},
			{"above the allowed", 1, 32, 99<<10 + 1, 99 << 10, false},
		} {
			if test.allowed > 0 {
				b.must(c.AllowShared(f, test.allowed))
			}
			err := c.Launch(f, test.grid, test.block, test.shared, b.s, uint64(b.mem), 32)
			if (err == nil) != test.good {
				t.Errorf("%s: %v", test.name, err)
			}
		}
		for _, bytes := range []int{-1, 99<<10 + 1, 1 << 40} {
			if c.AllowShared(f, bytes) == nil {
				t.Errorf("%d bytes of shared memory are allowed", bytes)
			}
		}
		if c.Launch(f, 1, 1, 0, b.s, make([]uint64, maxParams+1)...) == nil {
			t.Error("too many arguments")
		}
		return nil
	})
	b.must(b.sync(t.Context()))
}

func TestMemory(t *testing.T) {
	b := newBench(t, "memory=1000000")
	defer b.close()
	b.do(func(c *Calls) error {
		free, total, err := c.MemInfo()
		if free != 1000000-4*benchWords || total != 1000000 || err != nil {
			t.Errorf("%d of %d, %v", free, total, err)
		}
		if _, err := c.Alloc(free + 1); !errors.Is(err, ErrOutOfMemory) {
			t.Errorf("more than there is: %v", err)
		}
		if _, err := c.Alloc(0); err == nil {
			t.Error("nothing")
		}
		p, err := c.Alloc(free)
		b.must(err)
		if p%256 != 0 {
			t.Errorf("%#x", p)
		}
		b.must(c.Free(p))
		if err := c.Free(p); err == nil {
			t.Error("freed twice")
		}
		b.must(c.Free(0))
		b.must(c.HostFree(nil))
		for _, n := range []int{0, -1} {
			if _, err := c.HostAlloc(n); err == nil {
				t.Errorf("%d bytes of pinned memory", n)
			}
		}
		h, err := c.HostAlloc(10)
		b.must(err)
		b.must(c.HostFree(h))
		b.must(c.HostFree(h)) // nothing any more
		if h.B != nil || c.ToDevice(b.mem, h, 0, 1, b.s) == nil {
			t.Error("freed memory can be used")
		}
		return nil
	})
	b.Configure("oom_after=1,pinned_after=0")
	b.do(func(c *Calls) error {
		p, err := c.Alloc(1)
		b.must(err)
		if _, err := c.Alloc(1); !errors.Is(err, ErrOutOfMemory) {
			t.Errorf("got %v", err)
		}
		if _, err := c.HostAlloc(1); !errors.Is(err, ErrOutOfMemory) {
			t.Errorf("got %v", err)
		}
		return c.Free(p) // the context is as good as before
	})
}

func TestPinnedBounds(t *testing.T) {
	b := newBench(t, "")
	defer b.close()
	const size = 4 * benchWords
	b.do(func(c *Calls) error {
		for _, test := range []struct {
			off, n int
			good   bool
		}{
			{0, size, true},
			{size, 0, true},
			{size - 1, 1, true},
			{0, size + 1, false},
			{size, 1, false},
			{size + 1, 0, false},
			{-1, 1, false},
			{0, -1, false},
			{1 << 62, 1 << 62, false},
			{1, int(^uint(0) >> 1), false},
		} {
			if err := c.ToDevice(b.mem, b.host, test.off, test.n, b.s); (err == nil) != test.good {
				t.Errorf("to the card, %d at %d: %v", test.n, test.off, err)
			}
			if err := c.ToHost(b.host, test.off, b.mem, test.n, b.s); (err == nil) != test.good {
				t.Errorf("to the host, %d at %d: %v", test.n, test.off, err)
			}
		}
		return errors.Join(c.CopyDevice(b.mem, b.mem, 0, b.s), c.fill32(b.mem, 1, 0, b.s))
	})
	b.must(b.sync(t.Context()))
}

// A context is current on its own thread only.
func TestOtherThread(t *testing.T) {
	b := newBench(t, "")
	defer b.close()
	var p Devptr
	err := b.call(b.sym.memAlloc, uintptr(unsafe.Pointer(&p)), 1)
	if e, ok := errors.AsType[*Error](err); !ok || e.Code != 201 {
		t.Errorf("got %v", err)
	}
}
