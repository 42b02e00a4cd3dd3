package gpu

import (
	"context"
	"errors"
	"io"
	"testing"
	"testing/synctest"
	"time"

	"github.com/assaynet/assay/challenges"
	"github.com/assaynet/assay/challenges/memory"
)

// simItems is a simulated device over given items.
func simItems(t *testing.T, items func(memory.Dataset, challenges.Hash) Items) Device {
	t.Helper()
	d, err := NewSim(SimConfig{ID: "gpu0", Claims: spec(t, "sim-100"), Runs: spec(t, "sim-100"), Items: items})
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// cost is items that say what they cost, a fill and a read of one item, and take
// the machine a time of its own.
type cost struct {
	fill, read Costs
	fills      time.Duration
	reads      time.Duration // a batch
	closed     *int
}

func (c cost) Fill(context.Context) (Costs, error) {
	time.Sleep(c.fills)
	return c.fill, nil
}

func (c cost) Read(_ context.Context, at []uint64, _ []memory.Item) (Costs, error) {
	time.Sleep(c.reads)
	n := uint64(len(at))
	return Costs{c.read.Held * n, c.read.Made * n, c.read.Far * n}, nil
}

func (c cost) Close() error {
	if c.closed != nil {
		*c.closed++
	}
	return nil
}

func (c cost) items(memory.Dataset, challenges.Hash) Items { return c }

// The dataset is filled when the class would have filled it, and each root comes
// when it would have made the walks: what comes from memory, the cache and
// elsewhere comes all at once.
func TestSimMemoryComesWhenTheClassWouldHaveIt(t *testing.T) {
	job := memoryJob(t, 502, 1<<17) // 6e6 reads, 150,000 makes, 150,000 from elsewhere a second
	reads := job.Set.Walks() * uint64(job.Set.Steps)
	per := func(rate uint64) time.Duration { return roundTime(reads, rate) }
	for _, tt := range []struct {
		name        string
		items       func(memory.Dataset, challenges.Hash) Items
		fill, round time.Duration
	}{
		{"held", nil, took(1<<17, 150_000), per(6_000_000)},
		{"half filled", cost{fill: Costs{Made: 1 << 16}, read: Costs{Held: 1}}.items, took(1<<16, 150_000), per(6_000_000)},
		{"made", cost{read: Costs{Made: 1}}.items, 0, per(150_000)},
		{"far", cost{read: Costs{Far: 1}}.items, 0, per(150_000)},
		{"all at once", cost{read: Costs{Held: 40, Made: 1, Far: 1}}.items, 0, per(150_000)},
		{"mostly held", cost{read: Costs{Held: 50, Made: 1}}.items, 0, per(120_000)},
		{"nothing", cost{}.items, 0, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				begun := time.Now()
				m := fill(t, simItems(t, tt.items), job)
				if got := time.Since(begun); got != tt.fill {
					t.Errorf("filled after %v, want %v", got, tt.fill)
				}
				time.Sleep(time.Second) // the walks' time is their own
				begun = time.Now()
				run := walk(t, m, challenges.Hash{})
				for r := range job.Set.Rounds {
					root := next(t, run)
					if got, want := time.Since(begun), time.Duration(r+1)*tt.round; root.Round != r || got != want {
						t.Errorf("root %d after %v, want root %d after %v", root.Round, got, r, want)
					}
					if len(open(t, run, r, 0)) == 0 {
						t.Error("no opening")
					}
				}
				if _, err := run.Next(t.Context()); !errors.Is(err, io.EOF) {
					t.Errorf("after the last round: %v", err)
				}
			})
		})
	}
}

func took(n, rate uint64) time.Duration { return time.Duration(n * 1e9 / rate) }

// The engine's whole run takes what the row says that the class takes at best.
func TestSimMemoryTakesTheRowsTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		job := memoryJob(t, 501, memory.Items(2<<20))
		begun := time.Now()
		m := fill(t, simItems(t, nil), job)
		filled := time.Since(begun)
		run := walk(t, m, challenges.Hash{})
		for range job.Set.Rounds {
			next(t, run)
		}
		walked := time.Since(begun) - filled
		if filled != job.Set.FillTime() || (walked-job.Set.WalkTime()).Abs() > time.Microsecond {
			t.Errorf("filled in %v, walked in %v, want %v and %v", filled, walked, job.Set.FillTime(), job.Set.WalkTime())
		}
	})
}

// A class that cannot bring anything from elsewhere never does.
func TestCostsWithoutALink(t *testing.T) {
	set := memoryJob(t, 502, 2048).Set
	set.LinkRate = 0
	if got := (Costs{Far: 1000}).Time(set); got < 1000*time.Second {
		t.Errorf("1000 items from nowhere in %v", got)
	}
	if got := (Costs{Held: 6_000_000}).Time(set); got != time.Second {
		t.Errorf("6e6 reads in %v", got)
	}
}

// A machine that is slower than the class says so, in the fill and in the walks,
// whose lateness adds up.
func TestSimMemoryOverrun(t *testing.T) {
	job := memoryJob(t, 502, 1<<17)
	fills := job.Set.FillTime()
	walks := job.Set.WalkTime()
	groups := time.Duration(job.Set.Walks()+group-1) / group * time.Duration(job.Set.Steps) // reads a round
	for _, tt := range []struct {
		name  string
		cost  cost
		fill  bool // overruns
		round int  // that overruns; Rounds: none does
	}{
		{"as fast as the class", cost{fills: fills, reads: walks / 2 / groups}, false, 2},
		{"less than half a fill late", cost{fills: fills * 149 / 100}, false, 2},
		{"more", cost{fills: fills * 151 / 100}, true, 0},
		{"a tenth of the walks late in the end", cost{reads: walks * 109 / 100 / 2 / groups}, false, 2},
		{"more in the end", cost{reads: walks * 112 / 100 / 2 / groups}, false, 1},
		{"more at once", cost{reads: walks * 61 / 100 / groups}, false, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				closed := 0
				tt.cost.closed, tt.cost.fill, tt.cost.read = &closed, Costs{Made: job.Set.Items}, Costs{Held: 1}
				m, err := simItems(t, tt.cost.items).Fill(t.Context(), job)
				if errors.Is(err, ErrOverrun) != tt.fill || (err == nil) == tt.fill {
					t.Fatalf("fill: %v, want an overrun %v", err, tt.fill)
				}
				if tt.fill {
					if closed != 1 {
						t.Errorf("closed %d times", closed)
					}
					return
				}
				run := walk(t, m, challenges.Hash{})
				for r := range job.Set.Rounds {
					_, err := run.Next(t.Context())
					if want := r == tt.round; errors.Is(err, ErrOverrun) != want || (err == nil) == want {
						t.Fatalf("round %d: %v, want an overrun %v", r, err, want)
					}
					if err != nil {
						return
					}
				}
			})
		})
	}
}

func TestSimMemoryStopsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		job, closed := memoryJob(t, 502, 1<<17), 0
		d := simItems(t, cost{fill: Costs{Made: job.Set.Items}, read: Costs{Held: 1}, closed: &closed}.items)
		why := errors.New("checker left")
		for _, wait := range []time.Duration{job.Set.FillTime() / 2, job.Set.FillTime() + job.Set.WalkTime()/4} {
			begun := time.Now()
			ctx, cancel := context.WithTimeoutCause(t.Context(), wait, why)
			m, err := d.Fill(ctx, job)
			if err == nil {
				run := walk(t, m, challenges.Hash{})
				_, err = run.Next(ctx)
				_ = run.Close()
				_ = m.Close()
			}
			if !errors.Is(err, why) || time.Since(begun) != wait {
				t.Errorf("error %v after %v, want after %v", err, time.Since(begun), wait)
			}
			cancel()
		}
		if closed != 2 {
			t.Errorf("closed %d times, want 2", closed)
		}
	})
}
