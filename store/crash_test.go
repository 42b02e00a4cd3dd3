package store_test

import (
	"errors"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"

	"github.com/assaynet/assay/challenges"
	"github.com/assaynet/assay/store"
)

// step is one call. Its error, when it is repeated, may be again.
type step struct {
	name   string
	synced bool
	do     func(d *store.DB) error
	again  error // nil: repeating changes nothing and is no error
}

// life puts at least one row into every table but boot's, and moves some. One of
// its transcripts has so many bytes.
func life(size int) []step {
	three := finished(3, size)
	return []step{
		{"slices", false, func(d *store.DB) error { return d.PutSlices(3, slicesOf(1)) }, nil},
		{"begin 1", true, func(d *store.DB) error { return d.Begin(hash(1), begun(1)) }, store.ErrExists},
		{"begin 2", true, func(d *store.DB) error { return d.Begin(hash(2), begun(2)) }, store.ErrExists},
		{"finish 2", true, func(d *store.DB) error { return d.Finish(finished(2, 5000)) }, nil},
		{"begin 3", true, func(d *store.DB) error { return d.Begin(hash(3), begun(3)) }, store.ErrExists},
		{"begin 4", true, func(d *store.DB) error { return d.Begin(hash(4), begun(4)) }, store.ErrExists},
		{"offer", false, func(d *store.DB) error { return d.PutOffer(node(1), []byte("offer")) }, nil},
		{"finish 3", true, func(d *store.DB) error { return d.Finish(three) }, nil},
		{"abandon 4", true, func(d *store.DB) error { return d.Abandon(hash(4), 77) }, nil},
		{"slices again", false, func(d *store.DB) error { return d.PutSlices(3, slicesOf(2)) }, nil},
		{"copy", false, func(d *store.DB) error { return d.PutCopy(copied(meta(), 5, 0, 1)) }, nil},
		{"copy again", false, func(d *store.DB) error { return d.PutCopy(copied(meta(), 5, challenges.Late, 1)) }, nil},
		{"seal", true, func(d *store.DB) error { return d.Seal(3, sealed(3, 0, 1)) }, store.ErrExists},
		{"use", true, func(d *store.DB) error { return d.Use(hash(9), challenges.Use{At: 4}) }, store.ErrUsed},
	}
}

// large is more than half a memtable: such a batch changes Pebble's log.
const large = 3 << 20

// crash is a disk as a crash left it, and how far the life had come: it must
// hold the state after some step from least to most.
type crash struct {
	fs          *vfs.MemFS
	least, most int
	op          string
}

// states is what a store holds after each number of steps.
func states(t *testing.T, size int) []string {
	t.Helper()
	d := world{vfs.NewMem(), "db"}.create(t)
	out := []string{dump(t, d)}
	for _, s := range life(size) {
		check(t, s.do(d))
		out = append(out, dump(t, d))
	}
	check(t, d.Close())
	return out
}

// crashes lives a life and clones the disk before every write and sync: as it
// is for sure, and with half of what was not synced.
func crashes(t *testing.T) []crash {
	t.Helper()
	mem := vfs.NewCrashableMem()
	rng := rand.New(rand.NewPCG(1, 2))
	var mu sync.Mutex
	var out []crash
	var ops, every int
	least, most := -1, 0 // -1: no store yet
	clone := func(op errorfs.Op) error {
		mu.Lock()
		defer mu.Unlock()
		if every == 0 || op.Kind.ReadOrWrite() != errorfs.OpIsWrite {
			return nil
		}
		if ops++; ops%every == 0 {
			for _, percent := range []int{0, 50} {
				fs := mem.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: percent, RNG: rng})
				out = append(out, crash{fs, least, most, op.Path})
			}
		}
		return nil
	}
	progress := func(a, b, sample int) {
		mu.Lock()
		defer mu.Unlock()
		least, most, every = a, b, sample
	}
	sample := 1
	if testing.Short() {
		sample = 5
	}
	progress(-1, 0, sample)
	w := world{errorfs.Wrap(mem, errorfs.InjectorFunc(clone)), "db"}
	d := w.create(t)
	last := 0
	for i, s := range life(large) {
		few := sample
		if s.name == "finish 3" {
			few = 25 // a hundred writes of a large transcript
		}
		progress(last, i+1, few)
		check(t, s.do(d))
		if s.synced {
			last = i + 1
		}
		progress(last, i+1, few)
	}
	// Opening again writes files of its own.
	progress(last, last, 3*sample)
	check(t, d.Close())
	d = w.open(t)
	progress(0, 0, 0)
	check(t, d.Close())
	return out
}

func TestCrash(t *testing.T) {
	all, states := crashes(t), states(t, large)
	found := make(map[int]int)
	for _, c := range all {
		w := world{c.fs, "db"}
		d, err := store.Open(w.dir, w.options())
		if c.least < 0 && errors.Is(err, store.ErrNotFound) {
			if d, err = store.Create(w.dir, meta(), w.options()); err != nil {
				t.Fatalf("crash before %s: create again: %v", c.op, err)
			}
		}
		if err != nil {
			t.Fatalf("crash before %s: %v", c.op, err)
		}
		at := slices.Index(states, dump(t, d))
		if at < c.least || at > c.most {
			t.Fatalf("crash before %s: state %d, want %d to %d:\n%s", c.op, at, c.least, c.most, dump(t, d))
		}
		found[at]++
		// The life goes on from there to the same end, whether or not the caller
		// repeats what it cannot know to have happened.
		steps := life(large)
		for i := at; i < len(steps); i++ {
			if i == at && i > 0 && (steps[i-1].synced || at == c.most) {
				if err := steps[i-1].do(d); !errors.Is(err, steps[i-1].again) {
					t.Fatalf("%s again: %v, want %v", steps[i-1].name, err, steps[i-1].again)
				}
				equal(t, dump(t, d), states[at])
			}
			if err := steps[i].do(d); err != nil {
				t.Fatalf("crash before %s: then %s: %v", c.op, steps[i].name, err)
			}
		}
		equal(t, dump(t, d), states[len(states)-1])
		check(t, d.Close())
	}
	if !testing.Short() && len(found) < len(states)-3 {
		t.Errorf("crashes found only the states %v of %d", found, len(states))
	}
	t.Logf("%d crashes, by state: %v", len(all), found)
}
