package bench

import (
	"flag"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/assaynet/assay/challenges"
)

var (
	honestFull = flag.Int("honest", 0, "so many challenges of honest providers in each cell of TestHonest, and its tables")
	honestDocs = flag.String("honest.docs", "", "folder of FALSE-MARKS.md, whose tables TestHonest -honest writes anew")
)

// honestPaths are the conditions. On clean ones nothing is withheld.
func honestPaths() []honestPath {
	const near, half = 10 * time.Millisecond, 50e6
	return []honestPath{
		{name: "quiet, 20 ms", oneWay: near, clean: true},
		{name: "RTT 100 ms", oneWay: 50 * time.Millisecond, clean: true},
		{name: "RTT 100 ms, half-speed card", oneWay: 50 * time.Millisecond, nominal: half, clean: true},
		{name: "RTT 300 ms", oneWay: 150 * time.Millisecond, clean: true},
		{name: "RTT 300 ms, half-speed card", oneWay: 150 * time.Millisecond, nominal: half, clean: true},
		{name: "heavy jitter", oneWay: near, jitter: 10, clean: true},
		{name: "loss 2 %", oneWay: near, loss: 0.02},
		{name: "path stalls", oneWay: near, stalls: true},
		{name: "device stalls", oneWay: near, device: true},
		{name: "uplink 1.2 x", oneWay: near, uplink: 1.2},
		{name: "uplink 1.0 x", oneWay: near, uplink: 1.0},
		{name: "uplink 0.8 x", oneWay: near, uplink: 0.8},
		{name: "all together", oneWay: 25 * time.Millisecond, jitter: 10, loss: 0.01, stalls: true, uplink: 1.2},
	}
}

func honestPurposes() []challenges.Purpose {
	return []challenges.Purpose{challenges.Devnet, challenges.Spot, challenges.Capacity}
}

// honestCell is one condition and purpose.
type honestCell struct {
	path    honestPath
	purpose challenges.Purpose
	planned int // challenges that the plan has
	runs    []honestRun
}

// TestHonest lets honest providers be checked over bad paths: nothing that they do
// is ever wrong, no bound exceeds their true rate, and every mark follows from its
// rule. With -honest it prints how often which mark is false.
func TestHonest(t *testing.T) {
	start := time.Now()
	var cells []honestCell
	for _, purpose := range honestPurposes() {
		for _, path := range honestPaths() {
			if purpose == challenges.Devnet && path.nominal > 0 {
				continue // its slots are for whole-speed devices
			}
			t.Run(fmt.Sprintf("%s/%s", purpose, strings.ReplaceAll(path.name, " ", "_")), func(t *testing.T) {
				c := honestCell{path: path, purpose: purpose}
				const checkers = 3
				providers, epochs, worlds := 2, 2, 1
				switch {
				case *honestFull > 0:
					providers, epochs = 8, 6
					worlds = (*honestFull + checkers*providers*epochs - 1) / (checkers * providers * epochs)
				case testing.Short() && purpose != challenges.Spot:
					t.Skip("spot alone in a short run")
				case testing.Short():
					providers, epochs = 1, 1
				case purpose == challenges.Capacity:
					epochs = 1
				}
				for w := range worlds {
					synctest.Test(t, func(t *testing.T) {
						c.runs = append(c.runs, newHonestNet(t, path, purpose, checkers, providers, uint64(w+1)).run(epochs)...)
					})
					c.planned += checkers * providers * epochs
				}
				for _, r := range c.runs {
					r.judge(t, path)
				}
				if far := purpose != challenges.Devnet && path.oneWay >= 150*time.Millisecond && path.nominal == 0; far != (len(c.runs) == 0) {
					t.Errorf("%d of %d challenges sent", len(c.runs), c.planned)
				}
				cells = append(cells, c)
			})
		}
	}
	if *honestFull > 0 {
		honestReport(t, cells, time.Since(start))
	}
}

// judge asserts what must hold of every run.
func (r *honestRun) judge(t *testing.T, path honestPath) {
	t.Helper()
	v := r.verdict
	switch {
	case v.Outcome == challenges.Wrong:
		t.Errorf("an honest provider is wrong: %+v", v)
	case v.Outcome == challenges.Withheld && path.clean:
		t.Errorf("an honest provider on a clean path withholds: %+v", v)
	case v.Outcome == challenges.Refused && r.reason != challenges.ReasonCollision:
		t.Errorf("an honest provider refuses: %s", r.reason)
	}
	// A simulated device rounds its time down by less than a nanosecond a round.
	if limit := r.truth + r.truth/1e6; v.OpsLower > limit || v.OpsBest > limit {
		t.Errorf("bounds %d and %d exceed the true %d ops/s", v.OpsLower, v.OpsBest, r.truth)
	}
	if got := r.outcome(r.profile.Slack); got != v.Outcome {
		t.Errorf("the rule gives %v at its slack, the checker said %v: %+v", got, v.Outcome, r)
	}
	if r.complete && r.figure() != v.OpsLower {
		t.Errorf("the rule gives %d ops/s, the checker said %d", r.figure(), v.OpsLower)
	}
}
