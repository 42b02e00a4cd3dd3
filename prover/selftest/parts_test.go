package selftest

import (
	"context"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/assaynet/assay/challenges"
	"github.com/assaynet/assay/checker/committee"
	"github.com/assaynet/assay/gpu/models"
	"github.com/assaynet/assay/gpu/telemetry"
)

// TestRowFor holds the row that is measured against the row that checkers choose.
func TestRowFor(t *testing.T) {
	for _, f := range flavours {
		fit := 0
		for rate := uint64(1e9); rate < 1e17; rate = rate * 11 / 10 {
			want, err := committee.Choose(committee.Want{Flavour: f.of, Purpose: challenges.Capacity, Claim: rate})
			got, gotErr := rowFor(f.of, false, rate)
			if (err == nil) != (gotErr == nil) || got.Number != want.Profile.Number {
				t.Errorf("%s at %d: row %d (%v), checkers choose %d (%v)", f.name, rate, got.Number, gotErr, want.Profile.Number, err)
			}
			if err == nil {
				fit++
			}
		}
		if fit < 50 {
			t.Errorf("%s: only %d rates have a row", f.name, fit)
		}
		for _, s := range models.Table() {
			rate := map[string]uint64{"int8": s.Int8Ops, "bf16": s.BF16Ops, "fp64": s.FP64Ops}[f.name]
			if row, err := rowFor(f.of, s.Simulated, rate); rate > 0 && (err != nil || row.Simulated != s.Simulated) {
				t.Errorf("%s of %s: row %d, %v", f.name, s.Name, row.Number, err)
			}
		}
	}
}

func TestRoundDown(t *testing.T) {
	for in, want := range map[float64]uint64{
		0: 0, 0.5: 0, 7: 7, 1234: 1234, 12345: 12340, 99999.9: 99990, 1.23456e15: 1.234e15, 3.0001e12: 3e12,
	} {
		if got := roundDown(in); got != want {
			t.Errorf("%g: %d, want %d", in, got, want)
		}
	}
}

// TestMeter keeps the distribution of more rounds than it has room for.
func TestMeter(t *testing.T) {
	row, err := challenges.LookupProfile(1200)
	if err != nil {
		t.Fatal(err)
	}
	m := &meter{row: row, every: 1}
	window := make([]time.Duration, 10_000)
	for i := range window {
		window[i] = time.Duration(40+i%10) * time.Millisecond // a tenth takes 49 ms
	}
	const windows = 220
	for range windows {
		m.add(window)
	}
	m.finish()
	if m.Rounds != windows*len(window)-len(window)/2 || len(m.rounds) > mostRounds || len(m.rounds) < mostRounds/2 || m.every < 2 {
		t.Errorf("%d rounds, %d kept, one of %d", m.Rounds, len(m.rounds), m.every)
	}
	if want := float64(row.Shape.Ops()) / 0.049; m.OpsPerSP10 < 0.999*want || m.OpsPerSP10 > 1.022*want {
		t.Errorf("p10 %g, want %g", m.OpsPerSP10, want)
	}
}

// TestMeterOfAll counts what was slow at the beginning as well.
func TestMeterOfAll(t *testing.T) {
	row, err := challenges.LookupProfile(1200)
	if err != nil {
		t.Fatal(err)
	}
	m := &meter{row: row, every: 1}
	for _, each := range []time.Duration{50, 80, 80, 50, 50, 50, 50, 50, 50, 50, 50, 50} {
		window := make([]time.Duration, 100)
		for i := range window {
			window[i] = each * time.Millisecond
		}
		m.add(window)
	}
	m.finish()
	if want := float64(row.Shape.Ops()) / 0.080; m.OpsPerSP10 < 0.999*want || m.OpsPerSP10 > 1.001*want || m.Worst != m.OpsPerSP10 {
		t.Errorf("p10 %g, worst %g, want %g", m.OpsPerSP10, m.Worst, want)
	}
}

func TestJudgeProcesses(t *testing.T) {
	nameless := telemetry.Process{PID: 4711}
	for _, tt := range []struct {
		name    string
		list    []telemetry.Process
		own     []uint32
		open    bool
		verdict string
	}{
		{"our own by its number", []telemetry.Process{{PID: 5, Name: "x"}}, []uint32{5}, true, OK},
		{"our own by its name, numbered by the host", []telemetry.Process{{PID: 900, Name: "/opt/assay-gpu"}}, []uint32{5}, true, OK},
		{"our own without a name", []telemetry.Process{nameless}, []uint32{5}, true, OK},
		{"two without names", []telemetry.Process{nameless, {PID: 4712}}, []uint32{5}, true, Fail},
		{"one without a name, and ours", []telemetry.Process{nameless, {PID: 5}}, []uint32{5}, true, Fail},
		{"one without a name, nothing of ours runs", []telemetry.Process{nameless}, nil, false, Fail},
		{"nothing of ours runs", nil, nil, false, OK},
		{"a name that only ends like ours", []telemetry.Process{{PID: 5}, {PID: 6, Name: "/tmp/not-assay-gpu"}}, []uint32{5}, true, Fail},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if verdict, says, _ := judgeProcesses(tt.list, tt.own, tt.open); verdict != tt.verdict {
				t.Errorf("%s %q, want %s", verdict, says, tt.verdict)
			}
		})
	}
}

// TestNothingKnown judges a card whose driver gives next to nothing: unknown is no
// finding.
func TestNothingKnown(t *testing.T) {
	l := newLoad()
	var s sums
	l.take(&s, &telemetry.Snapshot{})
	l.finish(s)
	if verdict, says, remedy := judgeLoad(l); verdict != OK || remedy != "" || !strings.Contains(says, "? MHz on average at most ? MHz, ? W, ? C") {
		t.Errorf("%s %q %q", verdict, says, remedy)
	}
}

func TestAhead(t *testing.T) {
	for _, tt := range []struct {
		name string
		off  time.Duration // of the server
		date bool
	}{{"the same", 0, true}, {"the server is behind", -time.Hour, true}, {"the server is ahead", 10 * time.Second, true}, {"no date", 0, false}} {
		t.Run(tt.name, func(t *testing.T) {
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				w.Header()["Date"] = nil
				if tt.date {
					w.Header().Set("Date", time.Now().Add(tt.off).UTC().Format(http.TimeFormat))
				}
			}))
			defer server.Close()
			client := server.Client()
			defer client.CloseIdleConnections()
			got, err := ahead(t.Context(), client, server.URL)
			if (err == nil) != tt.date {
				t.Fatal(err)
			}
			if d := got + tt.off; tt.date && d.Abs() > 1500*time.Millisecond {
				t.Errorf("ahead %v, want %v", got, -tt.off)
			}
		})
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := ahead(ctx, http.DefaultClient, "http://127.0.0.1:1"); err == nil {
		t.Error("an answer of nobody")
	}
}

func TestKernelClock(t *testing.T) {
	c, err := KernelClock()
	if runtime.GOOS == "linux" && err != nil {
		t.Skip("not allowed here:", err)
	}
	if err == nil && c.Most < 0 {
		t.Errorf("%+v", c)
	}
}

func TestSecret(t *testing.T) {
	path := filepath.Join(t.TempDir(), "key")
	if k := StatKey(path); Secret(path) != nil || k.Owner != -1 {
		t.Errorf("of no file: %x, %+v", Secret(path), k)
	}
	for in, want := range map[string]string{
		strings.Repeat("ab", 32) + "\n":        strings.Repeat("\xab", 32),
		"not hex, but it was meant as a key\n": "not hex, but it was meant as a key",
		"short\n":                              "",
	} {
		if err := os.WriteFile(path, []byte(in), 0o600); err != nil {
			t.Fatal(err)
		}
		if got := string(Secret(path)); got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
	if k := StatKey(path); k.Mode != 0o600 || k.Owner != k.User {
		t.Errorf("%+v", k)
	}
}

func TestCheckerClock(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/healthz" {
			w.WriteHeader(http.StatusNotFound)
		}
	}))
	defer server.Close()
	ask, err := CheckerClock(server.URL + "/")
	if err != nil {
		t.Fatal(err)
	}
	if off, err := ask(t.Context()); err != nil || off.Abs() > 1500*time.Millisecond {
		t.Errorf("%v, %v", off, err)
	}
	for _, bad := range []string{"localhost:8420", "ftp://x", "http://", "::"} {
		if _, err := CheckerClock(bad); err == nil {
			t.Errorf("%q is an address", bad)
		}
	}
}
