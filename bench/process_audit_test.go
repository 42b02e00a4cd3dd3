package bench

import (
	"bytes"
	"fmt"
	"maps"
	"math"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/assaynet/assay/challenges"
	"github.com/assaynet/assay/checker/client"
	"github.com/assaynet/assay/checker/evidence"
	"github.com/assaynet/assay/checker/report"
	"github.com/assaynet/assay/store"
)

// audit reads the stores of a stopped cluster and holds them against each other.
type audit struct {
	*cluster
	known    map[challenges.Hash]string // challenge: the checker that has written it down
	worked   map[challenges.Hash]bool   // challenges that a provider must have accepted
	outcomes map[string]int             // of items, by outcome and reason
	probes   map[string]int             // transcripts of probes, by outcome
	lines    []string
}

// audit checks every promise that a crash must not break, and sums up.
func (c *cluster) audit(s *sealings) *audit {
	a := &audit{
		cluster: c, known: make(map[challenges.Hash]string), worked: make(map[challenges.Hash]bool),
		outcomes: make(map[string]int), probes: make(map[string]int),
	}
	for i, p := range c.checkers {
		db := openStopped(c.t, p)
		if s != nil {
			for epoch, was := range s.seen[i] {
				list, err := db.EpochObservations(epoch)
				if err != nil || !bytes.Equal(envelopes(list), was) {
					c.t.Errorf("%s, epoch %d: was sealed once and is different now (%v)", p.name, epoch, err)
				}
			}
		}
		a.checker(p, db)
		_ = db.Close()
	}
	for _, p := range c.providers {
		db := openStopped(c.t, p)
		a.provider(p, db)
		_ = db.Close()
	}
	return a
}

func openStopped(t *testing.T, p *process) *store.DB {
	t.Helper()
	db, err := store.OpenReadOnly(filepath.Join(p.dir, "db"), store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() }) // a second Close does nothing
	return db
}

// must is a value that there has to be.
func must[T any](v T, err error) func(t *testing.T) T {
	return func(t *testing.T) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

// know notes a challenge; each has one checker and one end.
func (a *audit) know(p *process, id challenges.Hash, as string) {
	if was, ok := a.known[id]; ok {
		a.t.Errorf("challenge %v is %s at %s, and %s", id, as, p.name, was)
	}
	a.known[id] = as + " at " + p.name
}

func (a *audit) checker(p *process, db *store.DB) {
	t := a.t
	t.Helper()
	finished := make(map[challenges.Hash]report.TranscriptInfo) // matmul, by challenge
	for _, info := range must(db.Transcripts(report.Query{Limit: math.MaxInt}))(t) {
		a.know(p, info.Challenge, "finished")
		file := must(db.Transcript(info.Hash))(t)
		f, err := client.Verify(file, &a.network.Registry, evidence.NVIDIA())
		if err != nil || !f.OK || *f.Outcome != info.Outcome {
			t.Errorf("%s: transcript %v, %v: %+v, %v", p.name, info.Hash, info.Outcome, f, err)
		}
		switch {
		case info.Outcome == challenges.Wrong:
			t.Errorf("%s: an honest provider is wrong: %+v", p.name, info)
		case info.Kind == challenges.Probe:
			a.probes[info.Outcome.String()]++
			continue
		case info.Outcome == challenges.Pass || info.Outcome == challenges.Late || info.Outcome == challenges.Withheld:
			a.worked[info.Challenge] = true
		}
		finished[info.Challenge] = info
	}
	abandoned := make(map[challenges.Hash]report.Pending)
	for _, b := range must(db.Abandoned())(t) {
		a.know(p, b.ID, "abandoned")
		abandoned[b.ID] = b
	}
	// The checker stopped in good order: nothing is open.
	for _, b := range must(db.Pending())(t) {
		a.know(p, b.ID, "pending")
		t.Errorf("%s: challenge %v is pending, in epoch %d", p.name, b.ID, b.Epoch)
	}
	if open := must(db.Unsealed())(t); len(open) > 0 {
		t.Errorf("%s: epochs %d are not sealed", p.name, open)
	}
	a.observations(p, db, finished, abandoned)
}

// observations holds what a checker signed against what it has.
func (a *audit) observations(p *process, db *store.DB, finished map[challenges.Hash]report.TranscriptInfo, abandoned map[challenges.Hash]report.Pending) {
	t := a.t
	epochs := make(map[uint64]bool)
	items := make(map[challenges.Hash]bool)
	folded := make(map[challenges.NodeID]map[challenges.Outcome]uint64)
	for _, env := range must(db.Observations(0, math.MaxInt))(t) {
		o := must(report.OpenObservation(env, a.network.Registry.Hash()))(t)
		if env.Signer != p.id {
			t.Errorf("%s: observation signed by %v", p.name, env.Signer)
		}
		epochs[o.Epoch] = true
		if folded[o.Provider] == nil {
			folded[o.Provider] = make(map[challenges.Outcome]uint64)
		}
		for _, it := range o.Items {
			if items[it.Challenge] {
				t.Errorf("%s: challenge %v is in two items", p.name, it.Challenge)
			}
			items[it.Challenge] = true
			folded[o.Provider][it.Outcome]++
			a.outcomes[strings.TrimSpace(it.Outcome.String()+" "+it.Reason)]++
			info, ended := finished[it.Challenge]
			b, gone := abandoned[it.Challenge]
			switch {
			case it.Reason == store.ReasonAbandoned:
				if !gone || it.Outcome != challenges.Unknown || b.Epoch != o.Epoch || b.Provider != o.Provider {
					t.Errorf("%s: item %+v in epoch %d: abandoned %v %+v", p.name, it, o.Epoch, gone, b)
				}
			case !ended || info.Hash != it.Transcript || info.Outcome != it.Outcome || info.Epoch != o.Epoch || info.Provider != o.Provider:
				t.Errorf("%s: item %+v in epoch %d: transcript %v %+v", p.name, it, o.Epoch, ended, info)
			}
		}
	}
	for _, id := range slices.Concat(slices.Collect(maps.Keys(finished)), slices.Collect(maps.Keys(abandoned))) {
		if !items[id] {
			t.Errorf("%s: challenge %v is %s, and in no observation", p.name, id, a.known[id])
		}
	}
	// Each observation was folded once.
	for id, want := range folded {
		s := must(db.Standing(id))(t)
		for _, o := range challenges.Outcomes() {
			if got := s.Count("", o) - s.Count(challenges.Probe, o); got != want[o] {
				t.Errorf("%s: standing of %s counts %d %v, its items %d", p.name, id.Short(), got, o, want[o])
			}
		}
	}
	next := must(db.SealedEpoch())(t)
	for e := range epochs {
		if e >= next {
			t.Errorf("%s: epoch %d has observations, the first unsealed epoch is %d", p.name, e, next)
		}
	}
	a.lines = append(a.lines, fmt.Sprintf("%-11s killed %2d times; %d challenges finished, %d abandoned; epochs: %d sealed, %d missed",
		p.name, len(p.kills), len(finished), len(abandoned), len(epochs), next-uint64(len(epochs))))
}

// provider holds a provider's ledger against the checkers and the kills.
func (a *audit) provider(p *process, db *store.DB) {
	t := a.t
	uses := must(db.Uses(math.MaxInt))(t) // newest first
	seen := make(map[challenges.Hash]bool)
	open, later := 0, time.Now()
	for _, u := range uses {
		if seen[u.ID] {
			t.Errorf("%s: challenge %v was used twice", p.name, u.ID)
		}
		seen[u.ID] = true
		// Written down before it was sent: no crash hides that time was used.
		if a.known[u.ID] == "" && slices.ContainsFunc(a.checkers, func(k *process) bool { return k.id == u.Checker }) {
			t.Errorf("%s: worked on %v in epoch %d, which no checker knows", p.name, u.ID, u.Epoch)
		}
		at := time.Unix(0, u.At)
		if u.Ended == 0 {
			// The job, or the note of its end, which is not synced, died with the process:
			// the next use, synced, would have saved it.
			open++
			if !slices.ContainsFunc(p.kills, func(k time.Time) bool { return k.After(at) && k.Before(later) }) {
				t.Errorf("%s: use %v began %v and has no end, but no kill until %v (kills %v)", p.name, u.ID, at, later, p.kills)
			}
		}
		later = at
		delete(a.worked, u.ID)
	}
	a.lines = append(a.lines, fmt.Sprintf("%-11s killed %2d times; %d challenges used, %d without an end", p.name, len(p.kills), len(uses), open))
	if p == a.providers[len(a.providers)-1] {
		for id := range a.worked {
			t.Errorf("challenge %v is %s, and in no provider's ledger", id, a.known[id])
		}
	}
}

// String is the summary.
func (a *audit) String() string {
	row := func(m map[string]int) string {
		var out []string
		for _, k := range slices.Sorted(maps.Keys(m)) {
			out = append(out, fmt.Sprintf("%d %s", m[k], k))
		}
		return strings.Join(out, ", ")
	}
	return strings.Join(append(a.lines, "challenges: "+row(a.outcomes), "probes that did not pass: "+row(a.probes)), "\n")
}
