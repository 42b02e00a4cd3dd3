package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/assaynet/assay/challenges"
	"github.com/assaynet/assay/checker/client"
	"github.com/assaynet/assay/cmd/assay/terminal"
)

// defaultAPI is a checker on this machine.
const defaultAPI = "http://127.0.0.1:8420"

// apiFlag adds --api, which falls back on ASSAY_API and then on this machine.
func apiFlag(cmd *cobra.Command, api *string) {
	def := defaultAPI
	if v := os.Getenv("ASSAY_API"); v != "" {
		def = v
	}
	cmd.Flags().StringVar(api, "api", def, "a checker's API; ASSAY_API sets the default")
}

func connect(api string) (*client.Client, error) {
	c, err := client.New(api)
	if err != nil {
		return nil, usageError{err}
	}
	return c, nil
}

func providersCommand() *cobra.Command {
	var api string
	var asJSON bool
	cmd := &cobra.Command{
		Use:     "providers",
		Short:   "List what a checker knows of the providers, best score first",
		Example: "  assay providers\n  assay providers --api http://127.0.0.1:8420 --json",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := connect(api)
			if err != nil {
				return err
			}
			list, err := c.Providers(cmd.Context())
			if err != nil {
				return hinted{err, "is a checker running there? --api or ASSAY_API names another"}
			}
			out := cmd.OutOrStdout()
			if asJSON {
				return writeJSON(out, client.Providers{Providers: list})
			}
			if len(list) == 0 {
				fmt.Fprintln(cmd.ErrOrStderr(), "assay: no epoch is sealed yet, so nothing is known")
				return nil
			}
			w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
			fmt.Fprintln(w, "PROVIDER\tLEVEL\tSCORE\tPASS\tWRONG\tLATE\tWITHHELD\tREFUSED\tREACHABLE\tTHROUGHPUT\tCLAIM\tMEMORY\tFLAGS")
			for _, p := range list {
				m, level := p.GPU(), p.Level.String()
				if p.Simulated && p.Level > 0 {
					level += " sim"
				}
				fmt.Fprintf(w, "%s\t%s\t%.2f\t%d\t%d\t%d\t%d\t%d\t%s\t%s\t%s\t%s\t%s\n", p.ID.Short(), level, p.Score,
					m.Pass, m.Wrong, m.Late, m.Withheld, m.Refused, terminal.Share(p.Availability.Reachability),
					terminal.Ops(p.ThroughputOps), terminal.Ops(&p.ClaimOps), terminal.Bytes(p.Memory.Bytes), strings.Join(p.Flags, " "))
			}
			return w.Flush()
		},
	}
	apiFlag(cmd, &api)
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

func showCommand() *cobra.Command {
	var api string
	var asJSON bool
	cmd := &cobra.Command{
		Use:     "show ID",
		Short:   "Show what a checker knows of one provider",
		Long:    "ID is a provider's id, or the first digits of it if no other begins so.",
		Example: "  assay show 7671b13e\n  assay show 7671b13e --json",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := connect(api)
			if err != nil {
				return err
			}
			p, err := c.Provider(cmd.Context(), strings.ToLower(args[0]))
			if err != nil {
				return hinted{err, "assay providers lists the ids"}
			}
			if asJSON {
				return writeJSON(cmd.OutOrStdout(), p)
			}
			return describe(cmd.OutOrStdout(), p)
		},
	}
	apiFlag(cmd, &api)
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

// describe prints one provider for people.
func describe(out io.Writer, p client.Provider) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	row := func(name, format string, args ...any) {
		fmt.Fprintf(w, "%s\t"+format+"\n", append([]any{name}, args...)...)
	}
	row("provider", "%v", p.ID)
	level := p.Level.String()
	if p.Attested {
		level += ", attested: its cards sign their results"
	}
	if p.Simulated {
		level += ", simulated: no card is behind it"
	}
	row("level", "%s", level)
	for _, c := range p.Cards {
		row("card", "%s", describeCard(c))
	}
	row("score", "%.3f (provisional)", p.Score)
	row("flags", "%s", terminal.OrNone(strings.Join(p.Flags, " ")))
	for _, t := range p.Throughput {
		row(t.Flavour.String(), "%s shown, %s claimed", terminal.Ops(t.Ops), terminal.Ops(&t.ClaimOps))
	}
	if m := p.Memory; m.Figures > 0 {
		reads := "-"
		if m.ReadBytes != nil {
			reads = terminal.Unit(*m.ReadBytes, "B/s")
		}
		row("memory", "%s shown, %s claimed (of a device, median of %d), %s read at random", terminal.Bytes(m.Bytes), terminal.Bytes(&m.ClaimBytes),
			m.Figures, reads)
	}
	if t := p.Together; t.Figures > 0 {
		row("together", "%s of the claims of all devices at one time (median of %d)", terminal.Share(t.Share), t.Figures)
	}
	a := p.Availability
	row("availability", "%s confirmed, %s reachable, %s demonstrated (95 %%)", terminal.Share(a.Confirmed), terminal.Share(a.Reachability), terminal.Share(a.Lower95))
	for _, k := range challenges.Kinds() {
		o := p.ByKind[string(k)]
		row(string(k), "%d pass, %d wrong, %d late, %d withheld, %d refused, %d unreachable, %d unknown",
			o.Pass, o.Wrong, o.Late, o.Withheld, o.Refused, o.Unreachable, o.Unknown)
	}
	row("epochs", "%d", p.Epochs)
	for _, r := range p.Reasons {
		row("why", "%s: %s", r.Code, r.Detail)
	}
	for _, h := range p.Proofs {
		row("proof", "%v", h)
	}
	return w.Flush()
}

// describeCard is one line on a device's card. What telemetry says is a claim.
func describeCard(c client.Card) string {
	s := fmt.Sprintf("%s  %v", terminal.Clean(c.Device), c.Level)
	if c.Simulated {
		s += " simulated"
	}
	if c.Model != nil {
		s += ", " + terminal.Clean(*c.Model) + " by its driver's word"
	}
	if c.Identity != nil {
		s += ", signed by card " + c.Identity.String()[:16]
	}
	if c.Code != nil {
		s += fmt.Sprintf(", %d results cannot be true (%s)", c.Contradict, terminal.Clean(*c.Code))
	}
	return s
}

func writeJSON(w io.Writer, v any) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	return e.Encode(v)
}
