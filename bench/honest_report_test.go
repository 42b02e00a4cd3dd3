package bench

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/assaynet/assay/challenges"
	"github.com/assaynet/assay/checker/committee"
)

// honestReport prints the tables, and writes them into the document.
func honestReport(t *testing.T, cells []honestCell, took time.Duration) {
	t.Helper()
	var b strings.Builder
	total := 0
	for _, c := range cells {
		total += len(c.runs)
	}
	fmt.Fprintf(&b, "%d challenges of honest providers in %d cells, %v of one core.\n", total, len(cells), took.Round(time.Minute))
	for _, p := range honestPurposes() {
		fmt.Fprintf(&b, "\n### Outcomes: %s\n\n", p)
		honestOutcomes(&b, honestOf(cells, p))
	}
	for _, p := range honestPurposes() {
		fmt.Fprintf(&b, "\n### False `late` over the slack: %s\n\n", p)
		honestLates(&b, honestOf(cells, p))
	}
	below := honestBelows(&b, cells)
	honestWindowTable(&b, honestWindows(t, honestPurposes(),
		[]time.Duration{100 * time.Millisecond, 300 * time.Millisecond}, []int{1, 2, 3, 4, 5, 6, 8, 10, 15, 20}))
	honestRows(&b)
	t.Log("\n" + b.String())
	if *honestDocs == "" {
		return
	}
	const begin, end = "<!-- written by TestHonest: begin -->\n", "<!-- written by TestHonest: end -->\n"
	file := filepath.Join(*honestDocs, "FALSE-MARKS.md")
	doc, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	head, rest, ok := strings.Cut(string(doc), begin)
	_, tail, ok2 := strings.Cut(rest, end)
	if !ok || !ok2 {
		t.Fatalf("%s has no place for the tables", file)
	}
	if err := os.WriteFile(file, []byte(head+begin+b.String()+end+tail), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(*honestDocs, "false-marks.svg"), []byte(honestPlot(cells, below)), 0o644); err != nil {
		t.Fatal(err)
	}
}

func honestOf(cells []honestCell, p challenges.Purpose) []honestCell {
	return slices.DeleteFunc(slices.Clone(cells), func(c honestCell) bool { return c.purpose != p })
}

// honestPart is a share for a table: a zero says of how many.
func honestPart(n float64, of int) string {
	switch {
	case of == 0:
		return "-"
	case n == 0:
		return "0"
	}
	return fmt.Sprintf("%.1f", 100*n/float64(of))
}

func honestCount(runs []honestRun, is func(r *honestRun) bool) (n float64) {
	for i := range runs {
		n += honestShare(is(&runs[i]))
	}
	return n
}

func honestOutcomes(b *strings.Builder, cells []honestCell) {
	outcomes := []challenges.Outcome{challenges.Pass, challenges.Wrong, challenges.Late, challenges.Withheld, challenges.Refused, challenges.Unreachable, challenges.Unknown}
	b.WriteString("| condition | planned | asked | rows |")
	for _, o := range outcomes {
		fmt.Fprintf(b, " %v |", o)
	}
	b.WriteString(" no figure % | disputed % | shown p5 | median |\n|---|---|---|---|" + strings.Repeat("---|", len(outcomes)+4) + "\n")
	for _, c := range cells {
		rows := make(map[uint16]bool)
		var used []string
		for _, r := range c.runs {
			if !rows[r.profile.Number] {
				rows[r.profile.Number] = true
				used = append(used, fmt.Sprint(r.profile.Number))
			}
		}
		slices.Sort(used)
		fmt.Fprintf(b, "| %s | %d | %d | %s |", c.path.name, c.planned, len(c.runs), strings.Join(used, ", "))
		for _, o := range outcomes {
			fmt.Fprintf(b, " %.0f |", honestCount(c.runs, func(r *honestRun) bool { return r.verdict.Outcome == o }))
		}
		complete := int(honestCount(c.runs, func(r *honestRun) bool { return r.complete }))
		fmt.Fprintf(b, " %s | %s |", honestPart(honestCount(c.runs, func(r *honestRun) bool { return r.complete && r.verdict.OpsLower == 0 }), complete),
			honestPart(honestCount(c.runs, func(r *honestRun) bool { return r.verdict.Disputed }), complete))
		if pool := honestPool(c.runs, false); len(pool) > 0 {
			slices.Sort(pool)
			fmt.Fprintf(b, " %.3f | %.3f |\n", pool[len(pool)/20], pool[len(pool)/2])
		} else {
			b.WriteString(" - | - |\n")
		}
	}
}

var honestSlacks = []int{0, 2, 5, 8, 10, 12, 15, 18, 20, 25, 30}

// honestFalse is a run marked late while its device kept its claim less the slack.
func honestFalse(slack int) func(r *honestRun) bool {
	return func(r *honestRun) bool { return r.outcome(slack) == challenges.Late && !r.slow(slack) }
}

func honestLates(b *strings.Builder, cells []honestCell) {
	b.WriteString("| condition | complete |")
	for _, s := range honestSlacks {
		fmt.Fprintf(b, " %d %% |", s)
	}
	b.WriteString(" device slow at 15 % | whole run alone, 15 % | gate on the time measured, 15 % |\n|---|---|" + strings.Repeat("---|", len(honestSlacks)+3) + "\n")
	var all []honestRun
	for _, c := range cells {
		judged := slices.DeleteFunc(slices.Clone(c.runs), func(r honestRun) bool {
			return !r.complete || r.ours // no time to judge
		})
		all = append(all, judged...)
		n := len(judged)
		fmt.Fprintf(b, "| %s | %d |", c.path.name, n)
		for _, s := range honestSlacks {
			fmt.Fprintf(b, " %s |", honestPart(honestCount(judged, honestFalse(s)), n))
		}
		for _, is := range []func(r *honestRun) bool{
			func(r *honestRun) bool { return r.slow(15) },
			func(r *honestRun) bool { return r.wholeLate(15) && !r.slow(15) },
			func(r *honestRun) bool { return r.measuredLate(15) && !r.slow(15) },
		} {
			fmt.Fprintf(b, " %s |", honestPart(honestCount(judged, is), n))
		}
		b.WriteString("\n")
	}
	fmt.Fprintf(b, "| the device itself is that slow | %d |", len(all))
	for _, s := range honestSlacks {
		fmt.Fprintf(b, " %s |", honestPart(honestCount(all, func(r *honestRun) bool { return r.slow(s) }), len(all)))
	}
	b.WriteString(" | | |\n")
}

// honestProviders is how many providers a history follows for two months each.
const honestProviders = 1000

var honestPercents = []int{80, 85, 88, 90, 91, 92, 93, 94, 95, 96, 97, 98, 99}

// honestCadences are figures a day and of how many checkers: a 12th of a day apart
// as the rules were measured, and as committee.Plan has it with standard parameters.
var honestCadences = []struct{ perDay, checkers int }{{12, 4}, {576, 4}, {2880, 20}}

// honestBelows writes the curves of below-claim, and returns those of the first
// cadence for spot.
func honestBelows(b *strings.Builder, cells []honestCell) (plotted []honestBelow) {
	head := func() {
		b.WriteString("| condition |")
		for _, x := range honestPercents {
			fmt.Fprintf(b, " %d %% |", x)
		}
		b.WriteString("\n|---|" + strings.Repeat("---|", len(honestPercents)) + "\n")
	}
	row := func(name string, v [100]float64) {
		fmt.Fprintf(b, "| %s |", name)
		for _, x := range honestPercents {
			fmt.Fprintf(b, " %s |", honestPart(v[x], 1))
		}
		b.WriteString("\n")
	}
	for _, p := range honestPurposes() {
		var months []honestBelow
		for _, c := range honestOf(cells, p) {
			var m honestBelow
			if pool := honestPool(c.runs, false); len(pool) > 0 {
				m = honestMonths(pool, 12, 4, honestProviders, 100)
			}
			m.name = c.path.name
			months = append(months, m)
		}
		if p == challenges.Spot {
			plotted = months
		}
		fmt.Fprintf(b, "\n### False `below-claim`: %s, 12 figures a day\n\nFirst months of a provider in which the flag is up at some time, %%:\n\n", p)
		head()
		for _, m := range months {
			if m.months > 0 {
				row(m.name, m.first)
			}
		}
		b.WriteString("\nSecond months, with 64 figures kept, %:\n\n")
		head()
		for _, m := range months {
			if m.months > 0 {
				row(m.name, m.later)
			}
		}
	}
	b.WriteString("\n### False `below-claim` by cadence: spot, quiet path\n\nSecond months with the flag up at some time, times it goes up in one, share of time that it is up, all in %:\n\n")
	head()
	quiet := honestPool(honestOf(cells, challenges.Spot)[0].runs, false)
	for _, cad := range honestCadences {
		m := honestMonths(quiet, cad.perDay, cad.checkers, honestProviders/10, 100)
		name := fmt.Sprintf("%d a day, %d checkers: ", cad.perDay, cad.checkers)
		row(name+"months", m.later)
		row(name+"times", m.raised)
		row(name+"time", m.standed)
	}
	honestRules(b, cells)
	return plotted
}

// honestRules compares the flag with the rules of statistics, on plain figures and
// on figures with the benefit of the doubt, for honest devices and for some that
// give less than they did when they tested themselves.
func honestRules(b *strings.Builder, cells []honestCell) {
	const rules = " the flag | 6 of 7 < 0.92 X | 12 of 14 < 0.95 X |"
	for _, p := range []challenges.Purpose{challenges.Spot, challenges.Capacity} {
		fmt.Fprintf(b, "\n### The flag at 92 %% and the rules of daily medians: %s, 12 figures a day\n\n"+
			"Second months with an accusation, %%; on the right from figures with the benefit of the doubt:\n\n", p)
		b.WriteString("| condition |" + rules + rules + "\n|---|---|---|---|---|---|---|\n")
		row := func(c honestCell, name string, cut float64) {
			fmt.Fprintf(b, "| %s |", name)
			for _, doubt := range []bool{false, true} {
				pool := honestPool(c.runs, doubt)
				for i := range pool {
					pool[i] *= 1 - cut
				}
				m := honestMonths(pool, 12, 4, honestProviders, 100)
				fmt.Fprintf(b, " %s | %s | %s |", honestPart(m.later[92], 1), honestPart(m.fast, 1), honestPart(m.slow, 1))
			}
			b.WriteString("\n")
		}
		of := honestOf(cells, p)
		for _, c := range of {
			if len(honestPool(c.runs, false)) > 0 {
				row(c, c.path.name, 0)
			}
		}
		for _, cut := range []float64{0.05, 0.10, 0.15} {
			row(of[0], fmt.Sprintf("%s, device cut by %.0f %%", of[0].path.name, 100*cut), cut)
		}
	}
}

func honestWindowTable(b *strings.Builder, rows []honestWindow) {
	b.WriteString("\n### The window\n\nShare of its true rate that a device is shown to have, over the timed rounds and over the best interval:\n\n" +
		"| purpose | RTT | W asked for by C2 | W | OpsLower | OpsBest |\n|---|---|---|---|---|---|\n")
	for _, r := range rows {
		fmt.Fprintf(b, "| %s | %v | %d | %d | %.3f | %.3f |\n", r.purpose, r.rtt, r.wanted, r.window, r.whole, r.best)
	}
}

// honestRows says how the chooser meets distance, and what the openings need.
func honestRows(b *strings.Builder) {
	b.WriteString("\n### What the chooser picks for a real int8 device of 3e14 ops/s\n\n" +
		"| RTT | spot: row | W | takes | capacity: row | W | takes | openings, Mbit/s |\n|---|---|---|---|---|---|---|---|\n")
	for _, ms := range []time.Duration{5, 20, 50, 100, 150, 200, 300, 400} {
		fmt.Fprintf(b, "| %d ms |", ms)
		var need float64
		for _, p := range []challenges.Purpose{challenges.Spot, challenges.Capacity} {
			c, err := committee.Choose(committee.Want{Purpose: p, Claim: 3e14, RTT: ms * time.Millisecond, Budget: 30 * time.Second})
			if err != nil {
				b.WriteString(" none | - | - |")
				continue
			}
			need = honestNeed(c.Profile, 3e14)
			fmt.Fprintf(b, " %s | %d | %.1f s |", c.Profile.Name, c.Params.Window, c.Expected.Seconds())
		}
		fmt.Fprintf(b, " %.1f |\n", need/1e6)
	}
}
