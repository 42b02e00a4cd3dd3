package checker_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/assaynet/assay/challenges"
	"github.com/assaynet/assay/checker"
	"github.com/assaynet/assay/checker/report"
	"github.com/assaynet/assay/checker/reputation"
	"github.com/assaynet/assay/store"
)

var errDisk = errors.New("no space left on device")

// faulty is a store that fails: fail is asked before each write, and again after
// it was done.
type faulty struct {
	*store.DB
	fail func(op string, done bool) error

	mu    sync.Mutex
	calls map[string]int
	begun []report.Begun
	ended []challenges.Hash // challenges whose end is written
}

func (f *faulty) do(op string, write func() error) error {
	f.mu.Lock()
	f.calls[op]++
	f.mu.Unlock()
	if err := f.fail(op, false); err != nil {
		return err
	}
	if err := write(); err != nil {
		return err
	}
	return f.fail(op, true)
}

func (f *faulty) count(op string) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.calls[op]
}

func (f *faulty) Begin(id challenges.Hash, b report.Begun) error {
	return f.do("begin", func() error {
		f.mu.Lock()
		f.begun = append(f.begun, b)
		f.mu.Unlock()
		return f.DB.Begin(id, b)
	})
}

func (f *faulty) Finish(e report.Finished) error {
	op := "finish"
	if e.Item == nil {
		op = "finish_probe"
	}
	return f.do(op, func() error {
		err := f.DB.Finish(e)
		f.mu.Lock()
		defer f.mu.Unlock()
		if err == nil {
			f.ended = append(f.ended, e.Info.Challenge)
		}
		return err
	})
}

func (f *faulty) wrote(id challenges.Hash) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Contains(f.ended, id)
}

func (f *faulty) PutSlices(epoch uint64, s []report.Slices) error {
	return f.do("put_slices", func() error { return f.DB.PutSlices(epoch, s) })
}

func (f *faulty) Seal(epoch uint64, s []reputation.Sealed) error {
	return f.do("seal", func() error { return f.DB.Seal(epoch, s) })
}

// watched is a checker over a store that may fail, with its log and metrics.
type watched struct {
	*bed
	*checker.Checker
	store *faulty
	log   *lines
	reg   *prometheus.Registry
	looks sync.Mutex
}

func (b *bed) watch(fail func(op string, done bool) error) *watched {
	b.t.Helper()
	w := &watched{bed: b, store: &faulty{DB: b.db, fail: fail, calls: make(map[string]int)}, log: &lines{}, reg: prometheus.NewRegistry()}
	c, err := checker.New(checker.Config{
		Key: testKey(1), Registry: &b.registry, Network: b.wire, Challenges: w.store, Epochs: w.store, Reports: w.store, Offers: w.store,
		Providers: []challenges.NodeID{b.provider}, Metrics: w.reg,
		Log: slog.New(slog.NewJSONHandler(w.log, &slog.HandlerOptions{Level: slog.LevelDebug})),
	})
	if err != nil {
		b.t.Fatal(err)
	}
	w.Checker = c
	return w
}

// runTo runs the checker to just before an instant after genesis, and calls at
// just before others.
func (w *watched) runTo(end time.Duration, at map[time.Duration]func()) error {
	genesis := w.registry.Clock().Genesis
	ctx, cancel := context.WithDeadline(w.t.Context(), genesis.Add(end-time.Millisecond))
	defer cancel()
	for d, f := range at {
		defer time.AfterFunc(time.Until(genesis.Add(d-2*time.Millisecond)), func() {
			w.looks.Lock()
			defer w.looks.Unlock()
			f()
		}).Stop()
	}
	err := w.Run(ctx)
	w.looks.Lock() // what f saw is its caller's now
	defer w.looks.Unlock()
	return err
}

// lines is a log in memory.
type lines struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *lines) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(b)
}

// find lists the lines of a level and message; an empty one is any.
func (l *lines) find(t *testing.T, level, msg string) (out []map[string]any) {
	t.Helper()
	l.mu.Lock()
	defer l.mu.Unlock()
	for line := range strings.SplitSeq(strings.TrimSpace(l.buf.String()), "\n") {
		var m map[string]any
		if err := json.Unmarshal([]byte(line), &m); err != nil {
			t.Fatalf("%v: %q", err, line)
		}
		if (level == "" || m["level"] == level) && (msg == "" || m["msg"] == msg) {
			out = append(out, m)
		}
	}
	return out
}

// value is a metric's value, summed over the series that have all the labels;
// of a histogram, its count.
func value(t *testing.T, g prometheus.Gatherer, name string, labels ...string) float64 {
	t.Helper()
	families, err := g.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() != name {
			continue
		}
		sum := 0.0
		for _, m := range f.GetMetric() {
			var have strings.Builder
			for _, l := range m.GetLabel() {
				have.WriteString(l.GetValue() + " ")
			}
			all := true
			for _, l := range labels {
				all = all && strings.Contains(have.String(), l+" ")
			}
			if all {
				sum += m.GetCounter().GetValue() + m.GetGauge().GetValue() + float64(m.GetHistogram().GetSampleCount())
			}
		}
		return sum
	}
	t.Fatalf("no metric %s", name)
	return 0
}

func failing(checks []checker.Check) (names []string) {
	for _, c := range checks {
		if !c.OK {
			names = append(names, c.Name)
		}
	}
	return names
}

// TestStoreFaults lets each write fail for a while, before and after it is done:
// no verdict is lost or doubled, and the checker goes on by itself.
func TestStoreFaults(t *testing.T) {
	const from, to, end = 6 * time.Second, 17 * time.Second, 50 * time.Second
	for _, tt := range []struct {
		op     string
		errors []string // in the log
		pauses bool
		skips  bool // a later challenge of the fault is not even begun
		passes int  // challenges that are judged, of one in each of 10 epochs
	}{
		{"begin", []string{"begin"}, true, false, 8},
		{"finish", []string{"finish"}, true, true, 9},
		{"put_slices", []string{"put_slices"}, true, true, 8},
		{"seal", []string{"seal"}, false, false, 10},
		{"all", []string{"put_slices"}, true, true, 8},
	} {
		for _, done := range []bool{false, true} {
			name := tt.op + " before"
			if done {
				name = tt.op + " after"
			}
			t.Run(name, func(t *testing.T) {
				if testing.Short() && tt.op != "finish" {
					t.Skip("slow under the race detector")
				}
				synctest.Test(t, func(t *testing.T) {
					b := newBed(t)
					b.honest()
					genesis := b.registry.Clock().Genesis
					w := b.watch(func(op string, after bool) error {
						if at := time.Since(genesis); (op == tt.op || tt.op == "all") && after == done && at > from && at < to {
							return errDisk
						}
						return nil
					})
					var during, after []string
					var begun int
					err := w.runTo(end, map[time.Duration]func(){
						to:  func() { during, begun = failing(w.Health()), w.store.count("begin") },
						end: func() { after = failing(w.Health()) },
					})
					if err != nil {
						t.Fatal(err)
					}
					if !strings.Contains(strings.Join(during, " "), "store") || len(after) > 0 {
						t.Errorf("checks that failed: %v in the fault, %v at the end", during, after)
					}
					if ok, _ := w.Ready(); ok {
						t.Error("ready after its end")
					}
					judged := 0
					for _, kind := range []string{"matmul", "fma", "memory"} {
						judged += int(value(t, w.reg, "assay_checker_verdicts_total", kind))
					}
					if got := b.outcomes(); len(got) != 1 || got[challenges.Pass] != judged || judged < tt.passes {
						t.Errorf("outcomes %v, judged %d, want %d passes or more", got, judged, tt.passes)
					}
					envelopes, err := b.db.Observations(0, 100)
					if err != nil || len(envelopes) != 10 {
						t.Errorf("%d observations, %v, want one in each of 10 epochs", len(envelopes), err)
					}
					s, err := b.db.Standing(b.provider)
					if err != nil || s.Count(challenges.Probe, challenges.Pass) != 100 {
						t.Errorf("%d probes passed, %v, want 100", s.Count(challenges.Probe, challenges.Pass), err)
					}
					// A challenge that Begin may have written was never sent.
					pending, err := b.db.Pending()
					if most := 3; err != nil || len(pending) > 0 && !(done && tt.op == "begin") || len(pending) > most {
						t.Errorf("%d pending, %v", len(pending), err)
					}
					// In the fault a challenge is begun only until the pause.
					skipped := value(t, w.reg, "assay_checker_challenges_skipped_total")
					if (skipped > 0) != tt.skips || begun+int(skipped) != 4 {
						t.Errorf("%v challenges skipped and %d begun of 4 up to the fault's end", skipped, begun)
					}
					// Once each, however often it failed.
					errs := w.log.find(t, "ERROR", "")
					for i, op := range tt.errors {
						if n := value(t, w.reg, "assay_checker_store_errors_total", op); n == 0 {
							t.Errorf("no store error counted of %s", op)
						}
						if len(errs) != len(tt.errors) || errs[i]["op"] != op || errs[i]["err"] != errDisk.Error() || errs[i]["pauses"] != tt.pauses {
							t.Errorf("errors in the log: %v", errs)
						}
					}
					for _, name := range []string{"paused", "ends_waiting", "open_challenges", "probes_in_flight", "ends_lost_total"} {
						if got := value(t, w.reg, "assay_checker_"+name); got != 0 {
							t.Errorf("%s: %v at the end", name, got)
						}
					}
				})
			})
		}
	}
}

// TestStopWhileTheStoreFails: what could not be written is given up at the next
// start, and its epoch sealed then, once.
func TestStopWhileTheStoreFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBed(t)
		b.honest()
		w := b.watch(func(op string, _ bool) error {
			if op == "finish" {
				return errDisk
			}
			return nil
		})
		if err := w.runTo(13*time.Second, nil); !errors.Is(err, errDisk) {
			t.Errorf("run: %v, want the disk's error", err)
		}
		if got := b.outcomes(); len(got) != 0 {
			t.Errorf("outcomes %v: sealed without its verdict", got)
		}
		b.runFor(30 * time.Second)
		if got := b.outcomes(); got[challenges.Unknown] != 1 || got[challenges.Pass] != 3 || len(got) != 2 {
			t.Errorf("outcomes %v, want one unknown and three passes", got)
		}
		if left, err := b.db.Abandoned(); err != nil || len(left) != 1 {
			t.Errorf("%d abandoned, %v", len(left), err)
		}
	})
}

// TestFailedProbesOutliveAFault: the transcripts of failed probes wait in memory.
func TestFailedProbesOutliveAFault(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBed(t)
		b.wire.dial = challenges.ErrDial
		genesis := b.registry.Clock().Genesis
		w := b.watch(func(op string, _ bool) error {
			if at := time.Since(genesis); op == "finish_probe" && at > time.Second && at < 8*time.Second {
				return errDisk
			}
			return nil
		})
		if err := w.runTo(20*time.Second, nil); err != nil {
			t.Fatal(err)
		}
		list, err := b.db.Transcripts(report.Query{Kind: challenges.Probe, Limit: 1000})
		if err != nil || len(list) != 40 {
			t.Errorf("%d transcripts of failed probes, %v, want 40", len(list), err)
		}
	})
}

// TestUnsealedEpochsAreBounded: a store that never comes back stops the probes,
// too, before they fill the memory.
func TestUnsealedEpochsAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBed(t)
		b.honest()
		w := b.watch(func(string, bool) error { return errDisk })
		var early, late float64
		probes := func() float64 { return value(t, w.reg, "assay_checker_verdicts_total", "probe") }
		err := w.runTo(120*time.Second, map[time.Duration]func(){
			30 * time.Second:  func() { early = probes() },
			100 * time.Second: func() { late = probes() },
		})
		if err == nil {
			t.Error("no error of a store that never worked")
		}
		if early < 59 || late != probes() || late != 170 {
			t.Errorf("%v probes after 30 s, %v after 100 s, %v at the end; want 60, and those of 17 epochs", early, late, probes())
		}
		if n := len(w.log.find(t, "ERROR", "store")); n != 2 {
			t.Errorf("%d errors in the log, want one of begin and one of put_slices", n)
		}
	})
}
