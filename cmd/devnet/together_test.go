package devnet

import (
	"context"
	"log/slog"
	"path/filepath"
	"testing"
	"time"

	"github.com/assaynet/assay/challenges"
	"github.com/assaynet/assay/checker/client"
	"github.com/assaynet/assay/checker/evidence"
	"github.com/assaynet/assay/checker/report"
	"github.com/assaynet/assay/cmd/node"
	"github.com/assaynet/assay/cmd/node/trust"
)

// TestMemoryAndFleets runs a network until everything that was planted about memory
// and about several devices is found: at most so long as a busy machine may need.
func TestMemoryAndFleets(t *testing.T) {
	if testing.Short() {
		t.Skip("runs a network for two minutes")
	}
	untilFound(t, t.TempDir(), Honest, SmallMem, Sharer, Oversold, Sharer, Honest)
}

// TestCards runs a network until what was planted about cards is found. What a card
// signed is then verified from a file, by whoever trusts the network's vendor, and
// proves no card to whoever does not.
func TestCards(t *testing.T) {
	if testing.Short() {
		t.Skip("runs a network for a minute")
	}
	dir := t.TempDir()
	docs := untilFound(t, dir, Honest, Attested, Counterfeit)
	src, err := node.OpenFolder(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer src.Close()
	trusted, err := trust.Load(filepath.Join(dir, evidenceDir))
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range []struct {
		level   evidence.Level
		genuine evidence.Shown
	}{{0, evidence.IsUnknown}, {4, evidence.IsShown}, {0, evidence.IsRefuted}} {
		list, err := src.List(t.Context(), report.Query{Kind: challenges.Matmul, Outcome: challenges.Pass, Provider: docs[i].ID, Limit: 1})
		if err != nil || len(list) != 1 {
			t.Fatalf("provider %d: %v, %v", i, list, err)
		}
		file, err := src.Get(t.Context(), list[0].Hash)
		if err != nil {
			t.Fatal(err)
		}
		f, err := client.Verify(file, nil, trusted)
		if err != nil || !f.OK || *f.Level != want.level || f.Claims.Genuine != want.genuine || !f.Simulated {
			t.Errorf("provider %d: level %v, genuine %v, %+v, %v", i, f.Level, f.Claims.Genuine, f.Reasons, err)
		}
		f, err = client.Verify(file, nil, evidence.NVIDIA())
		if err != nil || !f.OK || *f.Level != 0 || f.Attested || f.Claims.Genuine == evidence.IsShown {
			t.Errorf("provider %d, by NVIDIA's roots: %+v, %v", i, f, err)
		}
	}
}

// untilFound runs a network until all that is expected is met, and returns the
// providers' documents.
func untilFound(t *testing.T, dir string, providers ...string) []client.Provider {
	t.Helper()
	const most = 6 * time.Minute
	n, err := start(Config{
		Checkers:  []string{Honest, Honest, Honest},
		Providers: providers, Seed: 11,
		Dir: dir, Listen: "127.0.0.1:0", Log: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := n.close(); err != nil {
			t.Error(err)
		}
	}()
	ctx, cancel := context.WithTimeout(t.Context(), most)
	defer cancel()
	ended := make(chan error, 1)
	go func() { ended <- n.check(ctx) }()
	found := make(map[Expectation]time.Duration)
	began := time.Now()
	var last []Expectation
	for len(found) == 0 || missing(last) > 0 {
		select {
		case <-ctx.Done():
			t.Fatalf("not found in %v: %+v", most, last)
		case <-time.After(time.Second):
		}
		docs, err := n.judge.look(ctx)
		if err != nil {
			continue // a checker that does not answer this time will the next
		}
		before := last
		last = expect(n.planted, docs)
		for i, e := range last {
			at := time.Since(began).Round(time.Second)
			if _, ok := found[e]; !ok && e.Met {
				found[e] = at
			}
			if len(before) > 0 && before[i].Met && !e.Met {
				t.Logf("%-11s %-60s no longer after %v", e.Provider, e.Expect, at)
			}
		}
	}
	for _, e := range last {
		t.Logf("%-11s %-60s after %v", e.Provider, e.Expect, found[e])
	}
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	docs, err := n.judge.look(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for i, d := range docs {
		if len(d.Reasons) != len(d.Flags) {
			t.Errorf("%s: flags %v, reasons %+v", n.planted[i].Name, d.Flags, d.Reasons)
		}
		for _, r := range d.Reasons {
			t.Logf("%s %s: %s", n.planted[i].Name, r.Code, r.Detail)
		}
	}
	return docs
}

func missing(e []Expectation) int {
	n := 0
	for _, x := range e {
		if !x.Met {
			n++
		}
	}
	return n
}
