package main

import (
	"cmp"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/assaynet/assay/cmd/assay/terminal"
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
	var top terminal.Table
	top.Row(terminal.Plain, "provider", "%v", s.ID)
	top.Row(terminal.Plain, "network", "%v", s.Network)
	top.Row(terminal.Plain, "agent", "%s, process %d, up %s", terminal.Clean(s.Agent), s.PID, terminal.Brief(now.Sub(s.Since)))
	if s.Draining {
		var until time.Time
		if s.DrainUntil != nil {
			until = *s.DrainUntil
		}
		top.Row(terminal.Yellow, "draining", "until %s", orResume(until))
	}
	for _, c := range s.Checks {
		if !c.OK {
			top.Row(terminal.Red, "not ready", "%s: %s", terminal.Clean(c.Name), terminal.Clean(c.Detail))
		}
	}
	top.Row(terminal.Plain, "answered", "%d probes, %d requests for the offer", s.Probes, s.Offers)
	var ends []string
	for _, name := range slices.Sorted(maps.Keys(s.Challenges)) {
		if n := s.Challenges[name]; n > 0 {
			ends = append(ends, fmt.Sprintf("%d %s", n, terminal.Clean(strings.ReplaceAll(name, "_", " "))))
		}
	}
	top.Row(terminal.Plain, "challenges", "%s", terminal.OrNone(strings.Join(ends, ", ")))

	var devices terminal.Table
	devices.Line(terminal.Plain, "DEVICE\tMODEL\tSTATE\tBUSY WITH\tTENANT\tUSED IN 24 H\tWORKER")
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
		devices.Line(colourOf(d), "%s\t%s\t%s\t%s\t%s\t%s\t%s", terminal.Clean(d.ID), terminal.Clean(d.Model), terminal.Clean(d.State), busy, tenantOf(d.Tenant),
			budgetOf(d.Budget), worker)
	}
	var notes terminal.Table
	for _, d := range s.Devices {
		if d.About != "" {
			notes.Row(terminal.Plain, terminal.Clean(d.ID), "%s", terminal.Clean(d.About))
		}
		if d.Tenant.Error != "" {
			notes.Row(terminal.Red, terminal.Clean(d.ID), "tenant not known: %s", terminal.Clean(d.Tenant.Error))
		}
		if f := d.Fault; f != nil {
			xid := ""
			if f.Xid != 0 {
				xid = fmt.Sprintf(", Xid %d", f.Xid)
			}
			notes.Row(terminal.Red, terminal.Clean(d.ID), "last fault %s ago: %s%s: %s", terminal.Brief(now.Sub(f.At)), terminal.Clean(f.Class), xid, terminal.Clean(f.Detail))
		}
	}
	var marks terminal.Table
	if len(s.LastMarks) > 0 {
		marks.Line(terminal.Plain, "CHALLENGE\tDEVICE\tBEGAN\tENDED AS")
		for _, m := range s.LastMarks {
			marks.Line(terminal.Plain, "%s\t%s\t%s\t%s", m.Challenge.String()[:8], terminal.Clean(m.Device), m.At.Local().Format(time.RFC3339), cmp.Or(terminal.Clean(m.Result), "-"))
		}
	}
	colours := terminal.Coloured(out)
	for i, t := range []*terminal.Table{&top, &devices, &notes, &marks} {
		if !t.Empty() && i > 0 {
			fmt.Fprintln(out)
		}
		if err := t.Print(out, colours); err != nil {
			return err
		}
	}
	return nil
}

func colourOf(d node.AgentDevice) terminal.Colour {
	switch {
	case !d.Tenant.Known || d.State == "waiting":
		return terminal.Red
	case d.Tenant.Present || d.State == "released" || d.State == "starting":
		return terminal.Yellow
	}
	return terminal.Green
}

func tenantOf(t node.AgentTenant) string {
	switch {
	case !t.Known:
		return "not known"
	case !t.Present:
		return "none"
	case t.Until != nil:
		return terminal.Clean(t.By) + ", until " + t.Until.Local().Format(time.RFC3339)
	}
	return cmp.Or(terminal.Clean(t.By), "there")
}

func budgetOf(b node.AgentBudget) string {
	used := terminal.Brief(time.Duration(b.Used * float64(time.Second)))
	if b.Of == nil {
		return used
	}
	return used + " of " + terminal.Brief(time.Duration(*b.Of*float64(time.Second)))
}
