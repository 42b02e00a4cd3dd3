package devnet

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"golang.org/x/term"

	"github.com/assaynet/assay/challenges"
	"github.com/assaynet/assay/checker/client"
	"github.com/assaynet/assay/checker/evidence"
)

// screen is what people see: lines and a closing table everywhere, a live table
// in place only at a terminal, nothing at all with --json.
type screen struct {
	out   io.Writer
	live  bool
	width func() int // of the terminal, in columns
	lines int        // of the live table on the screen
}

func newScreen(cfg Config) *screen {
	if cfg.JSON {
		return &screen{out: io.Discard}
	}
	s := &screen{out: cfg.Out, width: func() int { return 1 << 20 }}
	if f, ok := cfg.Out.(*os.File); ok && term.IsTerminal(int(f.Fd())) {
		s.live = true
		s.width = func() int {
			if w, _, err := term.GetSize(int(f.Fd())); err == nil && w > 20 {
				return w
			}
			return 80
		}
	}
	return s
}

func (s *screen) line(format string, args ...any) { fmt.Fprintf(s.out, format+"\n", args...) }

// watch repaints the live table until ctx ends.
func (s *screen) watch(ctx context.Context, n *network) {
	if !s.live {
		return
	}
	tick := time.NewTicker(500 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		// What a checker does not answer this time it will the next.
		docs, _ := n.judge.look(ctx)
		clock := n.registry.Clock()
		head := fmt.Sprintf("epoch %d, %d sealed, %s   Ctrl-C ends it", clock.Epoch(time.Now()), n.judge.collector.Epochs(),
			max(0, time.Since(clock.Genesis)).Round(time.Second))
		head = head[:min(len(head), s.width())]
		s.paint("\n" + head + "\n" + table(n.planted, docs, true, s.width()))
	}
}

// paint replaces the last painting.
func (s *screen) paint(text string) {
	var b strings.Builder
	if s.lines > 0 {
		fmt.Fprintf(&b, "\x1b[%dA\x1b[J", s.lines)
	}
	b.WriteString(text)
	s.lines = strings.Count(text, "\n")
	io.WriteString(s.out, b.String())
}

// finish prints the closing table, the expectations and where everything is.
func (s *screen) finish(r *Report) {
	p := make([]planted, len(r.Providers))
	docs := make([]client.Provider, len(r.Providers))
	for i, row := range r.Providers {
		p[i] = planted{row.Name, row.ID, row.Behaviour}
		docs[i] = client.Provider{
			ID: row.ID, Level: row.Level, Score: row.Score, ThroughputOps: row.ThroughputOps, Availability: row.Availability,
			Outcomes: row.Outcomes, ByKind: row.ByKind, Flags: row.Flags, Memory: row.Memory, Together: row.Together,
		}
	}
	s.paint(fmt.Sprintf("\n%.0f s, %d epochs sealed by %d checkers\n%s", r.DurationS, r.Epochs, len(r.Checkers), table(p, docs, s.live, 1<<20)))
	s.line("")
	reasons := 0
	for _, row := range r.Providers {
		for _, why := range row.Reasons {
			s.line("%-12s %s: %s", row.Name, why.Code, why.Detail)
			reasons++
		}
	}
	if reasons > 0 {
		s.line("")
	}
	for _, e := range r.Expectations {
		mark := s.colour("32", "met   ")
		if !e.Met {
			mark = s.colour("31", "MISSED")
		}
		s.line("%s  %-12s %s", mark, e.Provider, e.Expect)
	}
	s.line("\ndata is kept in %s", r.dir)
	s.line("evidence: assay transcripts list --dir %s --outcome wrong", r.dir)
	if slices.ContainsFunc(r.Providers, ProviderRow.readable) {
		s.line("cards: assay transcripts export --dir %s --kind matmul --out FOLDER; assay verify --evidence %s FOLDER/*", r.dir, filepath.Join(r.dir, evidenceDir))
	}
}

// level marks what simulated devices reach.
func level(l evidence.Level) string {
	if l == 0 {
		return l.String()
	}
	return l.String() + " sim"
}

func (s *screen) colour(code, text string) string { return colour(s.live, code, text) }

func colour(on bool, code, text string) string {
	if !on {
		return text
	}
	return "\x1b[" + code + "m" + text + "\x1b[0m"
}

// table lays the providers out, no line wider than width: a line that wraps
// would spoil the repainting. Colour goes on after the columns are aligned, since
// the aligner would count the escapes.
func table(p []planted, docs []client.Provider, colours bool, width int) string {
	var b strings.Builder
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "PROVIDER\tBEHAVIOUR\tSCORE\tPASS\tWRONG\tLATE\tWITHHELD\tREFUSED\tFLAGS\tPROBES\tREACHABLE\tTHROUGHPUT\tMEMORY\tTOGETHER\tLEVEL")
	for i, d := range docs {
		m, pr := d.GPU(), d.ByKind[string(challenges.Probe)]
		fmt.Fprintf(w, "%s\t%s\t%.2f\t%d\t%d\t%d\t%d\t%d\t%s\t%s\t%s\t%s\t%s\t%s\t%s\n",
			p[i].Name, p[i].Behaviour, d.Score, m.Pass, m.Wrong, m.Late, m.Withheld, m.Refused,
			strings.Join(d.Flags, " "), fmt.Sprintf("%d/%d", pr.Pass, pr.Total()-pr.Unknown), percent(d.Availability.Reachability),
			rate(d.ThroughputOps), proven(d.Memory), percent(d.Together.Share), level(d.Level))
	}
	w.Flush()
	lines := strings.SplitAfter(b.String(), "\n")
	for i := range lines {
		body := strings.TrimRight(lines[i], "\n")
		if len(body) > width { // all ASCII
			body = body[:width]
			lines[i] = body + "\n"
		}
		if !colours {
			continue
		}
		switch {
		case body == "":
		case i == 0:
			lines[i] = colour(true, "1", body) + "\n"
		case len(docs[i-1].Flags) > 0:
			lines[i] = colour(true, "31", body) + "\n"
		}
	}
	return strings.Join(lines, "")
}

// rate prints ops/s; simulated, so never mistaken for a card's.
func rate(ops *uint64) string {
	if ops == nil {
		return "-"
	}
	return fmt.Sprintf("%.1f Mop/s sim", float64(*ops)/1e6)
}

// proven prints the share of the claimed memory that was proven.
func proven(m client.Memory) string {
	if m.Bytes == nil || m.ClaimBytes == 0 {
		return "-"
	}
	share := float64(*m.Bytes) / float64(m.ClaimBytes)
	return percent(&share)
}

func percent(v *float64) string {
	if v == nil {
		return "-"
	}
	return fmt.Sprintf("%.1f %%", 100**v)
}
