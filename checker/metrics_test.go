package checker_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil/promlint"

	"github.com/assaynet/assay/challenges"
	"github.com/assaynet/assay/challenges/memory"
	"github.com/assaynet/assay/checker"
)

func fine(string, bool) error { return nil }

func TestMetrics(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBed(t)
		b.honest()
		w := b.watch(fine)
		if _, err := checker.New(checker.Config{Key: testKey(1), Registry: &b.registry, Metrics: w.reg}); err == nil {
			t.Error("two checkers count in one registry")
		}
		if got := failing(w.Health()); !slices.Equal(got, []string{"sealing"}) {
			t.Errorf("before the start %v fail", got)
		}
		var open, ready float64
		err := w.runTo(20*time.Second, map[time.Duration]func(){
			10*time.Second + 300*time.Millisecond: func() {
				open = value(t, w.reg, "assay_checker_open_challenges")
				if ok, _ := w.Ready(); ok {
					ready = 1
				}
			},
		})
		if err != nil {
			t.Fatal(err)
		}
		if got := failing(w.Health()); !slices.Equal(got, []string{"sealing"}) {
			t.Errorf("after the end %v fail", got)
		}
		row, err := challenges.LookupProfile(1) // those of all flavours have so many rounds
		if err != nil {
			t.Fatal(err)
		}
		walks, err := memory.Lookup(501)
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range []struct {
			name   string
			got    float64
			labels []string
			want   float64
		}{
			{"open in a challenge", open, nil, 1},
			{"ready in a challenge", ready, nil, 1},
			// Four turns: two flavours of kind matmul, fp64fma, and memory.
			{"verdicts_total", -1, []string{"matmul", "pass"}, 2},
			{"verdicts_total", -1, []string{"matmul"}, 2},
			{"verdicts_total", -1, []string{"memory", "pass"}, 1},
			{"verdicts_total", -1, []string{"memory"}, 1},
			{"verdicts_total", -1, []string{"fma", "pass"}, 1},
			{"verdicts_total", -1, []string{"fma"}, 1},
			{"verdicts_total", -1, []string{"probe", "pass"}, 40},
			{"challenge_seconds", -1, []string{"matmul", "pass"}, 2},
			{"challenge_seconds", -1, []string{"memory", "pass"}, 1},
			{"challenge_seconds", -1, []string{"fma", "pass"}, 1},
			{"challenge_seconds", -1, []string{"probe", "pass"}, 40},
			{"lag_seconds", -1, nil, float64(3*row.Rounds + walks.Rounds)},
			{"epochs_sealed_total", -1, nil, 4},
			{"last_sealed_epoch", -1, nil, 3},
			{"seal_seconds", -1, nil, 4},
			{"offers_known", -1, nil, 1},
			{"open_challenges", -1, nil, 0},
			{"probes_in_flight", -1, nil, 0},
			{"store_errors_total", -1, nil, 0},
			{"paused", -1, nil, 0},
		} {
			if c.got < 0 {
				c.got = value(t, w.reg, "assay_checker_"+c.name, c.labels...)
			}
			if c.got != c.want {
				t.Errorf("%s %v: %v, want %v", c.name, c.labels, c.got, c.want)
			}
		}
		families, err := w.reg.Gather()
		if err != nil {
			t.Fatal(err)
		}
		problems, err := promlint.NewWithMetricFamilies(families).Lint()
		if err != nil || len(problems) > 0 {
			t.Errorf("lint: %v, %v", problems, err)
		}
		// No peer makes series: of one provider or of many there are so few.
		series := 0
		for _, f := range families {
			series += len(f.GetMetric())
			if !strings.HasPrefix(f.GetName(), "assay_checker_") {
				t.Errorf("name %s", f.GetName())
			}
			if text := fmt.Sprint(f); strings.Contains(text, b.provider.String()) || strings.Contains(text, b.provider.Short()) {
				t.Errorf("%s names a provider", f.GetName())
			}
		}
		if series > 60 {
			t.Errorf("%d series", series)
		}
		b.runFor(21 * time.Second) // a later process over the same store
	})
}

// TestLines: one line for each verdict, at debug, and one for each epoch.
func TestLines(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBed(t)
		b.honest()
		w := b.watch(fine)
		if err := w.runTo(10*time.Second, nil); err != nil {
			t.Fatal(err)
		}
		verdicts := w.log.find(t, "DEBUG", "verdict")
		ids := make(map[any]bool)
		for _, l := range verdicts {
			ids[l["challenge"]] = true
			if l["peer"] != b.provider.String() || l["outcome"] != "pass" || l["kind"] == nil {
				t.Errorf("verdict %v", l)
			}
		}
		if len(verdicts) != 22 || len(ids) != 22 {
			t.Errorf("%d lines of %d verdicts, want 22", len(verdicts), len(ids))
		}
		epochs := w.log.find(t, "INFO", "")
		for i, l := range epochs {
			items, _ := l["challenges"].(map[string]any)
			probes, _ := l["probes"].(map[string]any)
			if l["msg"] != "epoch sealed" || l["epoch"] != float64(i) || len(items) != 1 || items["pass"] != 1.0 || probes["pass"] != 10.0 {
				t.Errorf("line %v", l)
			}
		}
		if len(epochs) != 2 {
			t.Errorf("%d lines at Info, want one for each of 2 epochs", len(epochs))
		}
		if l := append(w.log.find(t, "WARN", ""), w.log.find(t, "ERROR", "")...); len(l) > 0 {
			t.Errorf("nothing went wrong: %v", l)
		}
	})
}

// TestPeersFaultIsNoError: whatever a peer does or says, the log's errors stay
// ours, and its lines short.
func TestPeersFaultIsNoError(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBed(t)
		b.wire.dial = fmt.Errorf("%w: %s", challenges.ErrDial, strings.Repeat("x", 10_000))
		w := b.watch(fine)
		if err := w.runTo(10*time.Second, nil); err != nil {
			t.Fatal(err)
		}
		if l := append(w.log.find(t, "WARN", ""), w.log.find(t, "ERROR", "")...); len(l) > 0 {
			t.Errorf("lines %v", l)
		}
		offers := w.log.find(t, "DEBUG", "offer")
		if len(offers) == 0 {
			t.Error("no line of an offer that could not be had")
		}
		for _, l := range offers {
			if n := len(fmt.Sprint(l)); n > 500 {
				t.Errorf("a line of %d bytes", n)
			}
		}
	})
}
