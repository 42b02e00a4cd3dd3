package checker

import (
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/assaynet/assay/challenges"
	"github.com/assaynet/assay/checker/committee"
	"github.com/assaynet/assay/checker/report"
)

func TestStepper(t *testing.T) {
	const s = time.Second
	for _, tt := range []struct {
		name       string
		wall, mono []time.Duration
		at, by     time.Duration
	}{
		{"in step", []time.Duration{5 * s, 6 * s, 7 * s}, []time.Duration{0, s, 2 * s}, 0, 0},
		{"slewed", []time.Duration{0, s + 400*time.Millisecond, 2*s + 800*time.Millisecond}, []time.Duration{0, s, 2 * s}, 0, 0},
		{"set ahead", []time.Duration{0, s, 12 * s}, []time.Duration{0, s, 2 * s}, 2 * s, 10 * s},
		{"set back", []time.Duration{0, s, -s}, []time.Duration{0, s, 2 * s}, 2 * s, -3 * s},
		{"asleep", []time.Duration{0, 100 * s, 101 * s}, []time.Duration{0, s, 2 * s}, s, 99 * s},
		{"one look", []time.Duration{100 * s}, []time.Duration{0}, 0, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var st stepper
			for i := range tt.wall {
				st.see(tt.wall[i], tt.mono[i])
			}
			if st.at != tt.at || st.by != tt.by {
				t.Errorf("a step at %v by %v, want at %v by %v", st.at, st.by, tt.at, tt.by)
			}
		})
	}
}

func TestHealthSince(t *testing.T) {
	var h Health
	ok := true
	h.Add("a", func(time.Time) (bool, string) { return ok, "x" })
	h.Add("b", func(time.Time) (bool, string) { return true, "y" })
	at := func(s int64) time.Time { return time.Unix(s, 0).UTC() }
	for _, step := range []struct {
		now, since int64
		ok         bool
	}{{1, 1, true}, {2, 1, true}, {3, 3, false}, {4, 3, false}, {5, 5, true}} {
		ok = step.ok
		want := []Check{{"a", step.ok, "x", at(step.since)}, {"b", true, "y", at(1)}}
		if got := h.Checks(at(step.now)); !slices.Equal(got, want) {
			t.Errorf("at %d: %v, want %v", step.now, got, want)
		}
	}
}

// TestChecksCanFail brings about what each check looks for.
func TestChecksCanFail(t *testing.T) {
	id := challenges.IDOf(make([]byte, 64))
	for _, tt := range []struct {
		name   string
		breaks func(*Checker)
		want   []string
	}{
		{"nothing", func(*Checker) {}, nil},
		{"two epochs not sealed", func(c *Checker) { c.unsealed-- }, nil},
		{"three epochs not sealed", func(c *Checker) { c.unsealed -= 2 }, []string{"sealing"}},
		{"a flush that hangs", func(c *Checker) { c.flushed = time.Now().Add(-flushWithin - 1) }, []string{"flush"}},
		{"a challenge in time", func(c *Checker) { c.begun(challenges.Hash{1}, time.Second) }, nil},
		{"a challenge that hangs", func(c *Checker) { c.begun(challenges.Hash{1}, -time.Hour) }, []string{"challenges"}},
		{"a challenge that hung", func(c *Checker) { c.begun(challenges.Hash{1}, -time.Hour)() }, nil},
		{"an end in memory", func(c *Checker) { c.keep(t.Context(), report.Finished{Item: &report.Item{}}) }, []string{"challenges"}},
		{"a probe in memory", func(c *Checker) { c.keep(t.Context(), report.Finished{}) }, nil},
		{"the clock was set", func(c *Checker) { c.steps.wall += time.Minute }, []string{"clock"}},
		{"a failed begin", func(c *Checker) { c.wrote(t.Context(), opBegin, report.ErrNotFound) }, []string{"store"}},
		{"a failed seal", func(c *Checker) { c.wrote(t.Context(), opSeal, report.ErrNotFound) }, []string{"store"}},
		{"a seal that failed once", func(c *Checker) {
			c.wrote(t.Context(), opSeal, report.ErrNotFound)
			c.wrote(t.Context(), opSeal, nil)
		}, nil},
		{"stopped", func(c *Checker) { c.phase = phaseStopped }, []string{"sealing"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := newBare(t, id)
				time.Sleep(time.Second)
				c.Health()
				tt.breaks(c)
				ok, doc := c.Ready()
				var bad []string
				for _, check := range doc.([]Check) {
					if check.Detail == "" || check.Since.IsZero() {
						t.Errorf("check %+v", check)
					}
					if !check.OK {
						bad = append(bad, check.Name)
					}
				}
				if !slices.Equal(bad, tt.want) || ok != (len(tt.want) == 0) {
					t.Errorf("ok %v, failing %v, want %v", ok, bad, tt.want)
				}
				if time.Sleep(2 * c.params.Epoch); tt.want != nil && tt.want[0] == "clock" {
					c.unsealed, c.flushed = c.clock.Epoch(time.Now()), time.Now()
					if ok, doc := c.Ready(); !ok {
						t.Errorf("two epochs later: %v", doc)
					}
				}
			})
		})
	}
}

// newBare makes a checker in its epoch 9, as if it ran.
func newBare(t *testing.T, id challenges.NodeID) *Checker {
	t.Helper()
	p := committee.Devnet()
	r := &committee.Registry{
		Name: "n", Genesis: uint64(time.Now().Add(-9 * p.Epoch).UnixNano()), Simulated: true, Params: p,
		Checkers: []committee.Member{{ID: id}},
	}
	c, err := New(Config{Key: make([]byte, 64), Registry: r})
	if err != nil {
		t.Fatal(err)
	}
	c.enter(phaseRuns)
	c.unsealed = 9
	return c
}

func TestEndsAreBounded(t *testing.T) {
	var q ends
	f := &report.Finished{Transcript: make([]byte, 1000), Item: &report.Item{}}
	if !q.add(f) || q.items != 1 || q.bytes != 1000 {
		t.Errorf("%d items, %d bytes", q.items, q.bytes)
	}
	q.remove(f)
	q.remove(f)
	if q.items != 0 || q.bytes != 0 || len(q.list) != 0 {
		t.Errorf("%d items, %d bytes, %d ends", q.items, q.bytes, len(q.list))
	}
	for range maxEnds {
		if !q.add(&report.Finished{}) {
			t.Fatal("no room for a few")
		}
	}
	if q.add(f) {
		t.Error("room for ever more")
	}
	q = ends{bytes: maxEndBytes - 999}
	if q.add(f) {
		t.Error("room for any size")
	}
}

// TestPauseGrows: a store that takes all but challenges is not tried each second.
func TestPauseGrows(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newBare(t, challenges.IDOf(make([]byte, 64)))
		for _, want := range []time.Duration{1, 2, 4, 5, 5} { // seconds; an epoch has 5
			c.wrote(t.Context(), opBegin, report.ErrNotFound)
			start := time.Now()
			for c.paused() {
				time.Sleep(time.Second)
				c.resume(t.Context())
			}
			if got := time.Since(start); got != want*time.Second {
				t.Errorf("paused for %v, want %v s", got, want)
			}
		}
		time.Sleep(c.params.Epoch)
		c.wrote(t.Context(), opBegin, report.ErrNotFound)
		time.Sleep(time.Second)
		if c.resume(t.Context()); c.paused() {
			t.Error("a pause long after the last is as long")
		}
	})
}
