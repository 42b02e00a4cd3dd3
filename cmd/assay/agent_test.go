package main

import (
	"bytes"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/assaynet/assay/challenges"
	"github.com/assaynet/assay/cmd/assay/terminal"
	"github.com/assaynet/assay/cmd/node"
)

func TestParseUntil(t *testing.T) {
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	for _, c := range []struct {
		text string
		want time.Time
		ok   bool
	}{
		{"", time.Time{}, false}, // a variable that is not set
		{"90m", now.Add(90 * time.Minute), true},
		{"2026-01-02T04:00:00Z", time.Date(2026, 1, 2, 4, 0, 0, 0, time.UTC), true},
		{"2026-01-02T05:00:00+01:00", time.Date(2026, 1, 2, 4, 0, 0, 0, time.UTC), true},
		{"0s", time.Time{}, false},
		{"-1h", time.Time{}, false},
		{"2026-01-02T03:04:05Z", time.Time{}, false},
		{"2025-01-02T03:04:05Z", time.Time{}, false},
		{"tomorrow", time.Time{}, false},
		{"2026-01-03", time.Time{}, false},
	} {
		got, err := parseUntil(c.text, now)
		if (err == nil) != c.ok || c.ok && !got.Equal(c.want) {
			t.Errorf("%q: %v, %v; want %v", c.text, got, err, c.want)
		}
		if _, usage := errors.AsType[usageError](err); err != nil && !usage {
			t.Errorf("%q: %v is no wrong usage", c.text, err)
		}
	}
}

func TestBrief(t *testing.T) {
	for d, want := range map[time.Duration]string{
		0: "0s", 20 * time.Microsecond: "under 1ms", 12345 * time.Microsecond: "12ms", 1250 * time.Millisecond: "1.3s",
		61 * time.Second: "1m1s", 2*time.Hour + 29*time.Second: "2h0m", 72 * time.Minute: "1h12m",
	} {
		if got := terminal.Brief(d); got != want {
			t.Errorf("%d ns: %s, want %s", d, got, want)
		}
	}
}

// TestColours has codes that move no column, and none where nobody asked.
func TestColours(t *testing.T) {
	var with, without bytes.Buffer
	for out, on := range map[*bytes.Buffer]bool{&with: true, &without: false} {
		var tab terminal.Table
		tab.Line(terminal.Plain, "A\tB")
		tab.Line(terminal.Red, "long cell\tb")
		tab.Line(terminal.Green, "c\td")
		if err := tab.Print(out, on); err != nil {
			t.Fatal(err)
		}
	}
	if want := "A          B\nlong cell  b\nc          d\n"; without.String() != want {
		t.Errorf("%q, want %q", without.String(), want)
	}
	if want := "A          B\n\x1b[31mlong cell  b\x1b[m\n\x1b[32mc          d\x1b[m\n"; with.String() != want {
		t.Errorf("%q, want %q", with.String(), want)
	}
}

func TestIndented(t *testing.T) {
	for _, c := range []struct{ text, want string }{
		{"", ""},
		{"one", "  one\n"},
		{"one two  three", "  one two\n  three\n"},
		{"averyverylongword x", "  averyverylongword\n  x\n"},
		{"abc defgh", "  abc defgh\n"},
	} {
		if got := terminal.Indented(c.text, 11); got != c.want {
			t.Errorf("%q: %q, want %q", c.text, got, c.want)
		}
	}
}

// TestPrintStatus shows a device in trouble; what comes from elsewhere does nothing
// to a terminal.
func TestPrintStatus(t *testing.T) {
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	of, busy := 4320.0, challenges.Hash{0xab, 0xcd, 0xef, 0x01}
	until := now.Add(time.Hour)
	s := node.AgentStatus{
		ID: challenges.NodeID{1}, Network: challenges.Hash{2}, Agent: "assay/0", PID: 7, Since: now.Add(-90 * time.Minute), Draining: true,
		DrainUntil: &until, Probes: 3, Offers: 2, Challenges: map[string]uint64{"refused_not_member": 2, "answered": 5, "left": 0},
		Devices: []node.AgentDevice{
			{
				ID: "gpu0", Model: "h100-sxm", State: "ready", About: "about\x1b[31m it", PID: 9, Starts: 2, BusyWith: &busy,
				Tenant: node.AgentTenant{Known: true}, Budget: node.AgentBudget{Used: 60, Of: &of},
			},
			{ID: "gpu1", Model: "h100-sxm", State: "released", Starts: 1, Tenant: node.AgentTenant{Error: "hook: no answer"}},
			{ID: "gpu2", Model: "h100-sxm", State: "released", Tenant: node.AgentTenant{Known: true, Present: true, By: "process 5 train", Until: &until}},
		},
	}
	var out bytes.Buffer
	if err := printStatus(&out, s, now); err != nil {
		t.Fatal(err)
	}
	local := until.Local().Format(time.RFC3339)
	for _, want := range []string{
		"agent       assay/0, process 7, up 1h30m\n",
		"draining    until " + local + "\n",
		"answered    3 probes, 2 requests for the offer\n",
		"challenges  5 answered, 2 refused not member\n",
		"gpu0    h100-sxm  ready     abcdef01   none ",
		"1m0s of 1h12m  process 9, start 2\n",
		"not known ", "none, 1 starts\n", "process 5 train, until " + local,
		"gpu0  about?[31m it\n", "gpu1  tenant not known: hook: no answer\n",
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %q in\n%s", want, out.String())
		}
	}
	if strings.Contains(out.String(), "\x1b") {
		t.Errorf("codes in\n%s", out.String())
	}
}

func TestPrintWhy(t *testing.T) {
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	list := []node.AgentExplanation{
		{
			Challenge: challenges.Hash{0xab, 0xcd, 0xef, 0x01}, Checker: challenges.NodeID{3}, Device: "gpu0", Kind: challenges.Matmul, At: at, Took: 2.5,
			Result: "yielded", Reason: "tenant", Outcome: challenges.Withheld, Clause: "S7", Mark: "failure", Own: "the same", Agrees: true,
			Detail: "died\x07", Says: "A tenant came.", Remedy: "Say so before.", Transcript: challenges.Hash{9},
		},
		{Challenge: challenges.Hash{1}, Device: "gpu1", Kind: challenges.Memory, At: at, Result: "refused_not_member", Mark: "not known", Says: "No word.", Own: "x", Contradicts: true},
	}
	var brief, full bytes.Buffer
	if err := errors.Join(printWhy(&brief, list, false), printWhy(&full, list[:1], true)); err != nil {
		t.Fatal(err)
	}
	when := at.Local().Format(time.RFC3339)
	want := "abcdef01  " + when + "  gpu0  matmul  withheld (S7, tenant)           mark: failure\n" +
		"  A tenant came.\n  The agent's copy: the same\n  The device said: died?\n  What to do: Say so before.\n\n" +
		"01000000  " + when + "  gpu1  memory  no receipt, refused not member  mark: not known\n  No word.\n"
	if brief.String() != want {
		t.Errorf("\n%s\nwant\n%s", brief.String(), want)
	}
	for _, want := range []string{"  challenge   abcdef01000", "  checker     03000", "  transcript  09000", "  took        2.5s\n"} {
		if !strings.Contains(full.String(), want) {
			t.Errorf("no %q in\n%s", want, full.String())
		}
	}
}
