package gpu

import (
	"context"
	"errors"
	"fmt"
	"io"
	"runtime"
	"slices"
	"testing"
	"testing/synctest"

	"github.com/assaynet/assay/challenges"
	"github.com/assaynet/assay/challenges/commit"
	"github.com/assaynet/assay/challenges/memory"
)

// memoryJob is a proof of memory by a row, over so many items.
func memoryJob(t *testing.T, row uint16, items uint64) MemoryJob {
	t.Helper()
	p, err := memory.Lookup(row)
	if err != nil {
		t.Fatal(err)
	}
	return MemoryJob{ID: challenges.Hash{1, 2, 3}, Device: "gpu0", Set: memory.Dataset{Profile: p, Items: items}}
}

func fill(t *testing.T, d Device, job MemoryJob) Memory {
	t.Helper()
	m, err := d.Fill(t.Context(), job)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func walk(t *testing.T, m Memory, nonce challenges.Hash) Run {
	t.Helper()
	run, err := m.Walk(t.Context(), nonce)
	if err != nil {
		t.Fatal(err)
	}
	return run
}

// Whole jobs over several sizes, one that windows and groups do not divide among
// them: the chain of keys, and opened walks against those made from the cache alone.
func TestCPUWalks(t *testing.T) {
	for _, tt := range []struct {
		row   uint16
		items uint64
	}{{502, 2048}, {502, 4099}, {502, 70_001}, {501, 29_491}} {
		t.Run(fmt.Sprintf("row %d, %d items", tt.row, tt.items), func(t *testing.T) {
			job, nonce := memoryJob(t, tt.row, tt.items), challenges.Hash{5}
			m := fill(t, NewCPU(CPUConfig{}), job)
			run := walk(t, m, nonce)
			set, dataset := job.Set, challenges.DatasetKey(job.ID, job.Device)
			layout := commit.Layout{Chunks: int(set.Walks()) * memory.OutputBytes / commit.ChunkBytes, Width: memory.OutputBytes}
			var samples []memory.Sample
			var values []uint64
			var last challenges.Hash
			for r := range set.Rounds {
				root := next(t, run)
				key := challenges.WalkKey(dataset, nonce, r, last)
				if root.Round != r || root.Key != key {
					t.Fatalf("root of round %d with key %v, want round %d, key %v", root.Round, root.Key, r, key)
				}
				if want := (Costs{Held: set.Walks() * uint64(set.Steps)}); root.Costs != want {
					t.Errorf("round %d costs %+v, want %+v", r, root.Costs, want)
				}
				at := []uint32{uint32(set.Walks()) - 1 - uint32(r), uint32(r), 77, 77}
				v, err := layout.Verify(root.Root, at, open(t, run, r, at...))
				if err != nil {
					t.Fatalf("round %d: %v", r, err)
				}
				for _, w := range at {
					samples = append(samples, memory.Sample{Key: key, Walk: w})
				}
				values, last = append(values, v...), root.Root
			}
			if root, err := run.Next(t.Context()); !errors.Is(err, io.EOF) {
				t.Errorf("after the last round: %+v, %v", root, err)
			}
			key, want := [32]byte(dataset), make([]uint64, len(samples))
			set.Light(&key, set.Cache(&key), samples, want)
			if !slices.Equal(values, want) {
				t.Errorf("outputs %x, want %x", values, want)
			}
			if err := errors.Join(run.Close(), m.Close()); err != nil {
				t.Error(err)
			}
		})
	}
}

// The dataset is the challenge's and the device's; the walks are the nonce's too.
func TestCPUWalksAreTheirOwn(t *testing.T) {
	first := func(change func(*MemoryJob), nonce challenges.Hash) challenges.Hash {
		job := memoryJob(t, 502, 2048)
		change(&job)
		m := fill(t, NewCPU(CPUConfig{}), job)
		defer m.Close()
		run := walk(t, m, nonce)
		defer run.Close()
		return next(t, run).Root
	}
	same := func(*MemoryJob) {}
	root := first(same, challenges.Hash{})
	if again := first(same, challenges.Hash{}); again != root {
		t.Errorf("roots %v and %v of one job", root, again)
	}
	for name, other := range map[string]challenges.Hash{
		"challenge": first(func(j *MemoryJob) { j.ID[0]++ }, challenges.Hash{}),
		"device":    first(func(j *MemoryJob) { j.Device = "gpu1" }, challenges.Hash{}),
		"nonce":     first(same, challenges.Hash{1}),
		"size":      first(func(j *MemoryJob) { j.Set.Items++ }, challenges.Hash{}),
	} {
		if other == root {
			t.Errorf("another %s, the same root", name)
		}
	}
}

// Walks wait for no positions: all roots come without a word of the checker's.
func TestCPUWalksWaitForNobody(t *testing.T) {
	m := fill(t, NewCPU(CPUConfig{}), memoryJob(t, 502, 2048))
	run := walk(t, m, challenges.Hash{})
	for range 2 {
		next(t, run)
	}
	if _, err := run.Open(t.Context(), 1, []uint32{127}); err != nil {
		t.Error(err)
	}
	if _, err := run.Open(t.Context(), 0, []uint32{128}); err == nil {
		t.Error("opened a walk that does not exist")
	}
}

// stop is items that stop in a read until the context ends.
type stop struct {
	Items
	reached chan struct{}
	closed  int
	fails   error
}

func (s *stop) Read(ctx context.Context, at []uint64, out []memory.Item) (Costs, error) {
	if s.fails != nil {
		return Costs{}, s.fails
	}
	close(s.reached)
	<-ctx.Done()
	return Costs{}, context.Cause(ctx)
}

func (s *stop) Close() error {
	s.closed++
	return s.Items.Close()
}

func TestCPUWalksStopWithTheirContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &stop{reached: make(chan struct{})}
		d := NewCPU(CPUConfig{Items: func(set memory.Dataset, key challenges.Hash) Items {
			s.Items = NewHeld(set, key)
			return s
		}})
		m := fill(t, d, memoryJob(t, 502, 2048))
		run := walk(t, m, challenges.Hash{})
		why := errors.New("checker left")
		ctx, cancel := context.WithCancelCause(t.Context())
		go func() {
			<-s.reached
			cancel(why)
		}()
		if _, err := run.Next(ctx); !errors.Is(err, why) {
			t.Errorf("error %v, want %v", err, why)
		}
		s.fails = errors.New("broken")
		if _, err := run.Next(t.Context()); !errors.Is(err, s.fails) {
			t.Errorf("error %v, want %v", err, s.fails)
		}
		if _, err := run.Open(t.Context(), 0, []uint32{0}); err == nil {
			t.Error("a round that failed was opened")
		}
		if err := m.Close(); err != nil || s.closed != 1 {
			t.Errorf("closed %d times (%v)", s.closed, err)
		}
	})
}

// broken are items that cannot be filled.
type broken struct{ *stop }

func (broken) Fill(context.Context) (Costs, error) { return Costs{Made: 1}, errors.New("no memory") }

// A fill that fails, or is left, frees what it had.
func TestCPUFillFails(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	var s *stop
	for name, items := range map[string]func(i Items) Items{
		"broken": func(Items) Items { return broken{s} },
		"left":   func(Items) Items { return s },
	} {
		d := NewCPU(CPUConfig{Items: func(set memory.Dataset, key challenges.Hash) Items {
			s = &stop{Items: NewHeld(set, key)}
			return items(s)
		}})
		if m, err := d.Fill(ctx, memoryJob(t, 502, 2048)); err == nil || m != nil || s.closed != 1 {
			t.Errorf("%s: %v, closed %d times", name, err, s.closed)
		}
	}
}

// Held is the dataset, item by item, and none once it is closed.
func TestHeld(t *testing.T) {
	set := memoryJob(t, 502, 3*group+17).Set
	h := NewHeld(set, challenges.Hash{3})
	costs, err := h.Fill(t.Context())
	if err != nil || costs != (Costs{Made: set.Items}) {
		t.Fatalf("filled with %+v (%v)", costs, err)
	}
	key := [32]byte{3}
	cache, at := set.Cache(&key), []uint64{set.Items - 1, 0, group - 1, group, 0, 2*group + 5}
	got, want := make([]memory.Item, len(at)), make([]memory.Item, len(at))
	costs, err = h.Read(t.Context(), at, got)
	if err != nil || costs != (Costs{Held: uint64(len(at))}) {
		t.Errorf("read with %+v (%v)", costs, err)
	}
	set.Make(&key, cache, at, want)
	if !slices.Equal(got, want) {
		t.Error("items differ")
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := h.Read(ctx, at, got); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
	if err := h.Close(); err != nil || h.items != nil {
		t.Errorf("closed with %d items (%v)", len(h.items), err)
	}
}

// A dataset is as large as it says: the engine takes its bytes, the cache and
// little more, and gives them back.
func TestCPUFillAllocates(t *testing.T) {
	if testing.Short() {
		t.Skip("a large dataset")
	}
	job := memoryJob(t, 502, 1<<18) // 16 MiB
	d := NewCPU(CPUConfig{})
	var before, held, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	m := fill(t, d, job)
	runtime.GC()
	runtime.ReadMemStats(&held)
	if got, want := held.HeapAlloc-before.HeapAlloc, job.Set.Bytes(); got < want-want/8 || got > want+want/8 {
		t.Errorf("a dataset of %d bytes takes %d", want, got)
	}
	run := walk(t, m, challenges.Hash{})
	next(t, run)
	if err := errors.Join(run.Close(), m.Close()); err != nil {
		t.Error(err)
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	if after.HeapAlloc > before.HeapAlloc+job.Set.Bytes()/8 {
		t.Errorf("%d bytes are left", after.HeapAlloc-before.HeapAlloc)
	}
	runtime.KeepAlive(m)
	runtime.KeepAlive(run)
}

func TestCostsAdd(t *testing.T) {
	c := Costs{1, 2, 3}
	c.Add(Costs{10, 20, 30})
	if c != (Costs{11, 22, 33}) {
		t.Errorf("%+v", c)
	}
}
