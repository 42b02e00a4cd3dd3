package devnet

import (
	"context"
	"log/slog"
	"testing"
	"time"
)

// TestMemoryAndFleets runs a network until everything that was planted about memory
// and about several devices is found: at most so long as a busy machine may need.
func TestMemoryAndFleets(t *testing.T) {
	if testing.Short() {
		t.Skip("runs a network for two minutes")
	}
	const most = 6 * time.Minute
	n, err := start(Config{
		Checkers:  []string{Honest, Honest, Honest},
		Providers: []string{Honest, SmallMem, Sharer, Oversold, Sharer, Honest}, Seed: 11,
		Dir: t.TempDir(), Listen: "127.0.0.1:0", Log: slog.New(slog.DiscardHandler),
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
			t.Errorf("not found in %v: %+v", most, last)
			return
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
