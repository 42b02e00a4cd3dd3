package prover

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil/promlint"

	"github.com/assaynet/assay/challenges"
	"github.com/assaynet/assay/gpu"
)

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

func (l *lines) find(t *testing.T, level string) (out []map[string]any) {
	t.Helper()
	l.mu.Lock()
	defer l.mu.Unlock()
	for line := range strings.Lines(l.buf.String()) {
		var m map[string]any
		if err := json.Unmarshal([]byte(line), &m); err != nil {
			t.Fatalf("%v: %q", err, line)
		}
		if m["level"] == level {
			out = append(out, m)
		}
	}
	return out
}

// watched is a world whose agent has a registry and a log.
type watched struct {
	*world
	reg *prometheus.Registry
	log lines
}

func watch(t *testing.T, change func(*Config)) *watched {
	t.Helper()
	w := &watched{reg: prometheus.NewRegistry()}
	w.world = newWorld(t, func(c *Config) {
		c.Metrics = w.reg
		c.Log = slog.New(slog.NewJSONHandler(&w.log, &slog.HandlerOptions{Level: slog.LevelDebug}))
		if change != nil {
			change(c)
		}
	})
	return w
}

// value is a metric's value, of the series with the label; of a histogram, its
// count.
func (w *watched) value(name, label string) float64 {
	w.t.Helper()
	families, err := w.reg.Gather()
	if err != nil {
		w.t.Fatal(err)
	}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			if f.GetName() == "assay_provider_"+name && (label == "" || m.GetLabel()[0].GetValue() == label) {
				return m.GetCounter().GetValue() + m.GetGauge().GetValue() + float64(m.GetHistogram().GetSampleCount())
			}
		}
	}
	w.t.Fatalf("no metric %s of %q", name, label)
	return 0
}

func (w *watched) failing() (names []string) {
	w.t.Helper()
	checks := w.agent.Health()
	for _, c := range checks {
		if c.Detail == "" || c.Since.IsZero() || c.Since.After(time.Now()) {
			w.t.Errorf("check %+v", c)
		}
		if !c.OK {
			names = append(names, c.Name)
		}
	}
	if ok, doc := w.agent.Ready(); ok != (len(names) == 0) || fmt.Sprint(doc) != fmt.Sprint(checks) {
		w.t.Errorf("ready %v with %v failing", ok, names)
	}
	return names
}

// hung is a product that comes so many times, and then no more.
type hung struct{ after int }

func (h *hung) Compute(ctx context.Context, key challenges.Hash, s challenges.Shape, c []byte) error {
	if h.after--; h.after >= 0 {
		return gpu.Exact{}.Compute(ctx, key, s, c)
	}
	<-ctx.Done()
	return context.Cause(ctx)
}

// TestResults brings about each result: how it is counted, at which level it is
// logged, and what it does to the agent's health.
func TestResults(t *testing.T) {
	judged := func(change func(*ask)) func(*watched) { return func(w *watched) { _, _ = w.judge(w.ask(change)) } }
	device := func(p gpu.Product) func(*Config) {
		return func(c *Config) { c.Devices = []gpu.Device{simDevice(t, p)} }
	}
	hangs := func(c *Config) { roomy(c); device(&hung{16})(c) }
	scripted := func(play func(*script)) func(*watched) {
		return func(w *watched) { s := w.begin(nil); play(s); <-s.done }
	}
	for _, tt := range []struct {
		name   string
		config func(*Config)
		play   func(*watched)
		result string
		errors int // lines
		bad    []string
	}{
		{"honest", nil, judged(nil), "answered", 0, nil},
		{"no member", nil, judged(func(a *ask) { a.key = strangerKey }), "refused_not_member", 0, nil},
		{"another claim", nil, judged(func(a *ask) { a.params.Claim++ }), "refused_unsupported", 0, nil},
		{"rented", func(c *Config) { c.Admission = rented{c.Admission} }, judged(nil), "refused_tenant", 0, nil},
		{"the ledger fails", func(c *Config) { c.Ledger.(*fakeLedger).fault = errors.New("disk") }, judged(nil), "refused_busy", 1, []string{"ledger"}},
		{"overrun", device(slow{}), judged(nil), "aborted", 0, nil},
		{"device lost", device(broken{}), judged(nil), "failed", 1, []string{"device"}},
		{"device hangs", device(&hung{}), judged(nil), "failed", 1, []string{"device"}},
		{"device hangs later", device(&hung{3}), judged(nil), "failed", 1, []string{"device"}},
		// After a warm-up a round waits for the positions of the one before it: it is
		// the checker that holds such a round up, and the device that hangs behind them.
		{"device hangs after the warm-up", hangs, judged(of(8)), "failed", 1, []string{"device"}},
		{"checker says nothing after the warm-up", roomy, unwarmed, "left", 0, nil},
		{"checker leaves", nil, scripted(func(s *script) { s.root(0); _ = s.control.Close() }), "left", 0, nil},
		{"checker says nothing", nil, scripted(func(*script) {}), "left", 0, nil},
		{"entry outside the matrix", nil, scripted(func(s *script) { s.root(0); s.positions(0, 3*256) }), "left", 0, nil},
		{"checker breaks the protocol", nil, scripted(func(s *script) { s.root(0); s.positions(7, 1) }), "left", 0, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := watch(t, tt.config)
				tt.play(w)
				total := 0.0
				for _, r := range []string{resultAnswered, resultAborted, resultLeft, resultFailed} {
					total += w.value("challenges_total", r)
				}
				for _, r := range reasons {
					total += w.value("challenges_total", refused(r))
				}
				if n := w.value("challenges_total", tt.result); n != 1 || total != 1 {
					t.Errorf("%v of %s, %v in all", n, tt.result, total)
				}
				if n := w.value("running_challenges", ""); n != 0 {
					t.Errorf("%v running", n)
				}
				if got := w.failing(); !slices.Equal(got, tt.bad) {
					t.Errorf("checks that fail: %v, want %v", got, tt.bad)
				}
				if l := w.log.find(t, "ERROR"); len(l) != tt.errors {
					t.Errorf("errors in the log: %v", l)
				}
				both := append(w.log.find(t, "DEBUG"), w.log.find(t, "ERROR")...)
				n := 0
				for _, l := range both {
					if l["msg"] == "challenge" {
						n++
						if l["result"] != tt.result || l["kind"] != "matmul" || l["peer"] == nil || l["challenge"] == nil {
							t.Errorf("line %v", l)
						}
					}
				}
				if n != 1 {
					t.Errorf("%d lines of one challenge", n)
				}
			})
		})
	}
	if got := refused("lunch"); got != "refused_other" {
		t.Errorf("a reason of somebody's own is %s", got)
	}
}

// unwarmed plays a checker that asks of every round of the warm-up but the last,
// and takes no more part.
func unwarmed(w *watched) {
	w.t.Helper()
	s := w.begin(func(a *ask) { of(8)(a); a.params.Window = 4 })
	row, err := challenges.LookupProfile(8)
	if err != nil {
		w.t.Fatal(err)
	}
	bulk := w.attach(checkerKey, s.ask.seal().ID())
	for r := range row.Warm {
		s.root(r)
		if r < row.Warm-1 {
			s.positions(uint32(r), make([]uint32, row.Samples)...)
		}
	}
	<-s.done
	<-bulk
}

func TestAgentMetrics(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := watch(t, nil)
		a := w.ask(nil)
		if s, err := w.judge(a); err != nil || s.Verdict().Outcome != challenges.Pass {
			t.Fatalf("%+v, %v", s.Verdict(), err)
		}
		row, err := challenges.LookupProfile(a.params.Profile)
		if err != nil {
			t.Fatal(err)
		}
		if n := w.value("round_seconds", ""); n != float64(row.Rounds) {
			t.Errorf("%v rounds timed, want %d", n, row.Rounds)
		}
		// At least a chunk of 1 KiB for each round.
		if n := w.value("opening_bytes_total", ""); n < float64(row.Rounds<<10) {
			t.Errorf("%v bytes of openings in %d rounds", n, row.Rounds)
		}
		w.offer(checkerKey[32:])
		if n := w.value("offers_served_total", ""); n != 1 {
			t.Errorf("%v offers", n)
		}
		families, err := w.reg.Gather()
		if err != nil {
			t.Fatal(err)
		}
		if problems, err := promlint.NewWithMetricFamilies(families).Lint(); err != nil || len(problems) > 0 {
			t.Errorf("lint: %v, %v", problems, err)
		}
		cfg := w.agent.cfg
		cfg.Network = fakeNetwork{}
		if _, err := New(cfg); err == nil || len(cfg.Network.(fakeNetwork)) > 0 {
			t.Errorf("two agents count in one registry: %v", err)
		}
	})
}

// offer fetches the agent's offer as a peer.
func (w *watched) offer(peer []byte) {
	w.t.Helper()
	conn, done := w.net.dial(w.t, challenges.NodeID(peer), challenges.ProtoOffer)
	if _, err := conn.Recv(w.t.Context()); err != nil {
		w.t.Fatal(err)
	}
	if err := <-done; err != nil {
		w.t.Fatal(err)
	}
}

func TestCheckersCheck(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := watch(t, nil)
		epoch := w.registry.Params.Epoch
		expect := func(when string, want ...string) {
			t.Helper()
			if got := w.failing(); !slices.Equal(got, want) {
				t.Errorf("%s: %v fail, want %v", when, got, want)
			}
		}
		time.Sleep(10 * epoch)
		expect("no checker seen")
		w.offer(strangerKey[32:])
		time.Sleep(10 * epoch)
		expect("a stranger came")
		w.offer(checkerKey[32:])
		time.Sleep(3 * epoch)
		expect("three epochs after an offer")
		time.Sleep(time.Millisecond)
		expect("longer", "checkers")
		w.offer(strangerKey[32:])
		expect("a stranger came again", "checkers")
		w.offer(secondKey[32:])
		expect("another checker came")
	})
}

// TestFaultsEnd: the next answer is the end of a fault, and of a row of
// ledger errors only the first is one in the log.
func TestFaultsEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := watch(t, func(c *Config) { c.Devices = []gpu.Device{simDevice(t, &brokenOnce{})} })
		if _, err := w.judge(w.ask(nil)); err == nil {
			t.Fatal("no error")
		}
		if got := w.failing(); !slices.Equal(got, []string{"device"}) {
			t.Errorf("%v fail", got)
		}
		w.ledger.fault = errors.New("disk full")
		w.refused(w.ask(func(a *ask) { a.key = secondKey }))
		w.refused(w.ask(func(a *ask) { a.key = secondKey; a.Epoch++ }))
		if n := w.value("ledger_errors_total", opUse); n != 2 {
			t.Errorf("%v ledger errors", n)
		}
		if l := w.log.find(t, "ERROR"); len(l) != 2 || l[1]["msg"] != "ledger" || l[1]["err"] != "disk full" {
			t.Errorf("errors in the log: %v", l)
		}
		if got := w.failing(); !slices.Equal(got, []string{"device", "ledger"}) {
			t.Errorf("%v fail", got)
		}
		w.ledger.fault = nil
		time.Sleep(w.registry.Params.Epoch)
		if s, err := w.judge(w.ask(nil)); err != nil || s.Verdict().Outcome != challenges.Pass {
			t.Fatalf("%+v, %v", s.Verdict(), err)
		}
		if got := w.failing(); got != nil {
			t.Errorf("%v fail after a good run", got)
		}
	})
}

// brokenOnce fails its first product.
type brokenOnce struct{ done bool }

func (b *brokenOnce) Compute(ctx context.Context, key challenges.Hash, s challenges.Shape, c []byte) error {
	if !b.done {
		b.done = true
		return errors.New("device lost")
	}
	return gpu.Exact{}.Compute(ctx, key, s, c)
}

// TestProbesAreCounted, those of strangers up to their allowance.
func TestProbesAreCounted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := watch(t, nil)
		const asked, allowed = 15, 10
		for i := range asked {
			c := challenges.Challenge{
				Network: w.registry.Hash(), Provider: w.agent.ID(), Kind: challenges.Probe, Seq: uint32(i), Deadline: challenges.ProbeDeadline,
				Params: challenges.Marshal(&challenges.ProbeParams{Pings: 1}), Commit: challenges.Secret{}.Commit(),
			}
			e := challenges.Seal(c.Network, challenges.KindChallenge, challenges.Marshal(&c), strangerKey)
			s, err := challenges.NewSession(e, challenges.Secret{})
			if err != nil {
				t.Fatal(err)
			}
			conn, done := w.net.dial(t, challenges.IDOf(strangerKey), challenges.ProtoProbe)
			_ = conn.Send(t.Context(), challenges.Marshal(&e))
			_ = conn.Send(t.Context(), s.Start()[0].Frame)
			if err := <-done; (err == nil) != (i < allowed) {
				t.Errorf("probe %d: %v", i, err)
			}
		}
		if n, m := w.value("probes_total", ""), w.value("strangers_limited_total", ""); n != allowed || m != asked-allowed {
			t.Errorf("%v answered, %v limited", n, m)
		}
	})
}
