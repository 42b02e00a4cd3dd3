package main

import (
	"bytes"
	"cmp"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"
	"text/tabwriter"
	"time"
	"unicode"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/assaynet/assay/cmd/node"
)

func statusCommand() *cobra.Command {
	var asJSON bool
	cmd := agentCommand(&cobra.Command{
		Use:     "status --dir DIR",
		Short:   "Show what a running agent does",
		Example: "  assay provider status --dir ./provider\n  assay provider status --dir ./provider --json",
		Args:    cobra.NoArgs,
	}, func(cmd *cobra.Command, a *node.Agent, _ []string) error {
		s, err := a.Status(cmd.Context())
		if err != nil {
			return err
		}
		if asJSON {
			return writeJSON(cmd.OutOrStdout(), s)
		}
		return printStatus(cmd.OutOrStdout(), s, time.Now())
	})
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

// printStatus prints an agent's state for people.
func printStatus(out io.Writer, s node.AgentStatus, now time.Time) error {
	var top table
	top.row(plain, "provider", "%v", s.ID)
	top.row(plain, "network", "%v", s.Network)
	top.row(plain, "agent", "%s, process %d, up %s", clean(s.Agent), s.PID, brief(now.Sub(s.Since)))
	if s.Draining {
		var until time.Time
		if s.DrainUntil != nil {
			until = *s.DrainUntil
		}
		top.row(yellow, "draining", "until %s", orResume(until))
	}
	for _, c := range s.Checks {
		if !c.OK {
			top.row(red, "not ready", "%s: %s", clean(c.Name), clean(c.Detail))
		}
	}
	top.row(plain, "answered", "%d probes, %d requests for the offer", s.Probes, s.Offers)
	var ends []string
	for _, name := range slices.Sorted(maps.Keys(s.Challenges)) {
		if n := s.Challenges[name]; n > 0 {
			ends = append(ends, fmt.Sprintf("%d %s", n, clean(strings.ReplaceAll(name, "_", " "))))
		}
	}
	top.row(plain, "challenges", "%s", orNone(strings.Join(ends, ", ")))

	var devices table
	devices.line(plain, "DEVICE\tMODEL\tSTATE\tBUSY WITH\tTENANT\tUSED IN 24 H\tWORKER")
	for _, d := range s.Devices {
		busy, worker := "-", "-"
		if d.BusyWith != nil {
			busy = d.BusyWith.String()[:8]
		}
		if d.Starts > 0 {
			worker = fmt.Sprintf("process %d, start %d", d.PID, d.Starts)
			if d.PID == 0 {
				worker = fmt.Sprintf("none, %d starts", d.Starts)
			}
		}
		devices.line(colourOf(d), "%s\t%s\t%s\t%s\t%s\t%s\t%s", clean(d.ID), clean(d.Model), clean(d.State), busy, tenantOf(d.Tenant),
			budgetOf(d.Budget), worker)
	}
	var notes table
	for _, d := range s.Devices {
		if d.About != "" {
			notes.row(plain, clean(d.ID), "%s", clean(d.About))
		}
		if d.Tenant.Error != "" {
			notes.row(red, clean(d.ID), "tenant not known: %s", clean(d.Tenant.Error))
		}
		if f := d.Fault; f != nil {
			xid := ""
			if f.Xid != 0 {
				xid = fmt.Sprintf(", Xid %d", f.Xid)
			}
			notes.row(red, clean(d.ID), "last fault %s ago: %s%s: %s", brief(now.Sub(f.At)), clean(f.Class), xid, clean(f.Detail))
		}
	}
	var marks table
	if len(s.LastMarks) > 0 {
		marks.line(plain, "CHALLENGE\tDEVICE\tBEGAN\tENDED AS")
		for _, m := range s.LastMarks {
			marks.line(plain, "%s\t%s\t%s\t%s", m.Challenge.String()[:8], clean(m.Device), m.At.Local().Format(time.RFC3339), cmp.Or(clean(m.Result), "-"))
		}
	}
	colours := coloured(out)
	for i, t := range []*table{&top, &devices, &notes, &marks} {
		if len(t.text) > 0 && i > 0 {
			fmt.Fprintln(out)
		}
		if err := t.print(out, colours); err != nil {
			return err
		}
	}
	return nil
}

func colourOf(d node.AgentDevice) colour {
	switch {
	case !d.Tenant.Known || d.State == "waiting":
		return red
	case d.Tenant.Present || d.State == "released" || d.State == "starting":
		return yellow
	}
	return green
}

func tenantOf(t node.AgentTenant) string {
	switch {
	case !t.Known:
		return "not known"
	case !t.Present:
		return "none"
	case t.Until != nil:
		return clean(t.By) + ", until " + t.Until.Local().Format(time.RFC3339)
	}
	return cmp.Or(clean(t.By), "there")
}

func budgetOf(b node.AgentBudget) string {
	used := brief(time.Duration(b.Used * float64(time.Second)))
	if b.Of == nil {
		return used
	}
	return used + " of " + brief(time.Duration(*b.Of*float64(time.Second)))
}

// clean is somebody else's text, fit for a terminal.
func clean(s string) string {
	return strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return '?'
		}
		return r
	}, s)
}

// colour is a terminal's code.
type colour string

const (
	plain  colour = ""
	red    colour = "\x1b[31m"
	green  colour = "\x1b[32m"
	yellow colour = "\x1b[33m"
)

// table is lines with columns, each line in one colour: codes inside of it would
// count as width.
type table struct {
	text []string
	in   []colour
}

func (t *table) line(c colour, format string, args ...any) {
	t.text, t.in = append(t.text, fmt.Sprintf(format, args...)), append(t.in, c)
}

// row is a line with a name.
func (t *table) row(c colour, name, format string, args ...any) {
	t.line(c, "%s\t%s", name, fmt.Sprintf(format, args...))
}

func (t *table) print(out io.Writer, colours bool) error {
	var b bytes.Buffer
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	for _, line := range t.text {
		fmt.Fprintln(w, line)
	}
	if err := w.Flush(); err != nil {
		return err
	}
	i := 0
	for line := range strings.Lines(b.String()) {
		if c := t.in[i]; colours && c != plain {
			line = string(c) + strings.TrimSuffix(line, "\n") + "\x1b[m\n"
		}
		i++
		if _, err := io.WriteString(out, line); err != nil {
			return err
		}
	}
	return nil
}

// coloured is whether a writer is a terminal whose owner likes colours.
func coloured(w io.Writer) bool {
	f, ok := w.(*os.File)
	return ok && os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb" && term.IsTerminal(int(f.Fd()))
}
