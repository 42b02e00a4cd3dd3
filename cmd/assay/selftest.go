package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/assaynet/assay/cmd/assay/terminal"
	"github.com/assaynet/assay/cmd/node"
)

// selftestCommand examines a provider's machine.
func selftestCommand() *cobra.Command {
	var (
		c      node.SelftestConfig
		asJSON bool
	)
	cmd := &cobra.Command{
		Use:   "selftest --dir DIR",
		Short: "Examine a provider's machine before checkers do",
		Long: "Examines all devices of a provider's folder and the machine around them: whether cards compute right, how fast,\n" +
			"with how much memory, how hot, and what else would cost challenges. Each line has a verdict, what was seen, and\n" +
			"what to do. It ends with the lines of assay.yaml that claim what was measured.\n" +
			"The quick test measures each flavour for about 10 s; --for 24h finds what only heat and time show. Ctrl-C ends it early with what\n" +
			"was measured. An agent that runs cards has to be stopped first: it would take the test for a tenant.\n" +
			"Exit codes: 0 no line failed, 1 a line failed or the test was ended early, 2 wrong usage or an unreadable folder.",
		Example: "  assay provider selftest --dir ./provider\n  assay provider selftest --dir ./provider --device gpu3 --for 24h\n" +
			"  assay provider selftest --dir ./provider --checker http://192.0.2.1:8420 --bundle selftest.zip",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if c.For < 0 {
				return usageError{errors.New("--for: want a positive duration such as 24h")}
			}
			p := terminal.NewProgress(cmd.ErrOrStderr())
			defer p.End()
			c.Getenv = os.Getenv
			c.Progress = func(done, of int, what string) { p.Say("self-test %s %s", doneBar(done, of, c.For), what) }
			r, err := node.Selftest(cmd.Context(), c)
			p.End()
			if errors.Is(err, node.ErrInput) {
				return hinted{usageError{err}, "assay config check --dir " + c.Dir + " says what is in force"}
			}
			if r.Lines == nil && err != nil {
				return err
			}
			out := cmd.OutOrStdout()
			if asJSON {
				err = errors.Join(err, writeJSON(out, r))
			} else {
				printSelftest(out, r, colourful(out, os.Getenv("NO_COLOR")))
				if c.Bundle != "" && err == nil {
					fmt.Fprintf(out, "\nbundle %s: look through it before you give it away\n", c.Bundle)
				}
			}
			if err == nil && (r.Verdict == node.SelftestFail || !r.Complete) {
				err = exit(1)
			}
			return err
		},
	}
	f := cmd.Flags()
	f.StringVar(&c.Dir, "dir", "", "the provider's folder")
	f.StringArrayVar(&c.Devices, "device", nil, "id of a device; once for each (default all)")
	f.DurationVar(&c.For, "for", 0, "how long throughput is measured, such as 24h (default about 10 s a flavour)")
	f.StringVar(&c.Bundle, "bundle", "", "write a zip with the report, telemetry and configuration for whoever helps; never the key")
	f.StringVar(&c.Checker, "checker", "", "address of a checker's API, whose clock is compared: http://HOST:PORT")
	f.BoolVar(&asJSON, "json", false, "print JSON")
	_ = cmd.MarkFlagRequired("dir")
	return cmd
}

// doneBar is how far a test has come: in steps, or in time.
func doneBar(done, of int, long time.Duration) string {
	const width = 24
	n := min(width, width*done/max(1, of))
	s := "[" + strings.Repeat("#", n) + strings.Repeat(".", width-n) + "]"
	if long > 0 {
		return fmt.Sprintf("%s %v left,", s, (time.Duration(max(0, of-done)) * time.Second).Round(time.Second))
	}
	return fmt.Sprintf("%s %d/%d", s, done, of)
}

// colourful is whether colours are wanted: at a terminal that nobody has them off at.
func colourful(out io.Writer, off string) bool {
	f, ok := out.(*os.File)
	return ok && off == "" && term.IsTerminal(int(f.Fd()))
}

// verdictColours are green, yellow and red; what was skipped has none.
var verdictColours = map[string]string{
	node.SelftestOK: "\x1b[32m", node.SelftestWarn: "\x1b[33m", node.SelftestIncomplete: "\x1b[33m", node.SelftestFail: "\x1b[31m",
}

// printSelftest prints a report's lines, each with its remedy below, a summary, and
// what to claim.
func printSelftest(out io.Writer, r node.SelftestReport, colours bool) {
	paint := func(verdict, text string) string {
		if c := verdictColours[verdict]; colours && c != "" {
			return c + text + "\x1b[0m"
		}
		return text
	}
	check, device := len("CHECK"), len("DEVICE")
	for _, l := range r.Lines {
		check, device = max(check, len(l.Check)), max(device, len(l.Device))
	}
	const verdict = len("VERDICT")
	fmt.Fprintf(out, "%-*s  %-*s  %-*s  SAYS\n", check, "CHECK", device, "DEVICE", verdict, "VERDICT")
	count := map[string]int{}
	for _, l := range r.Lines {
		count[l.Verdict]++
		of := l.Device
		if of == "" {
			of = "-"
		}
		fmt.Fprintf(out, "%-*s  %-*s  %s  %s\n", check, l.Check, device, of, paint(l.Verdict, fmt.Sprintf("%-*s", verdict, l.Verdict)), l.Says)
		if l.Remedy != "" {
			fmt.Fprintf(out, "%*s  to do: %s\n", check+device+2, "", l.Remedy)
		}
	}
	fmt.Fprintf(out, "\nself-test: %s: %d failed, %d warned, %d ok, %d skipped, in %v\n", paint(r.Verdict, r.Verdict), count[node.SelftestFail],
		count[node.SelftestWarn], count[node.SelftestOK], count[node.SelftestSkip], time.Duration(r.TookS*float64(time.Second)).Round(100*time.Millisecond))
	if !r.Complete {
		fmt.Fprintln(out, "It was ended early: this is what was measured until then.")
	}
	if yaml := node.SelftestYAML(r); yaml != "" {
		fmt.Fprintf(out, "\nassay.yaml, to claim what was measured:\n\n%s", yaml)
		return
	}
	simulated := true
	for _, c := range r.Claims {
		simulated = simulated && c.Simulated
	}
	if simulated {
		fmt.Fprintln(out, "Simulated devices claim what the table of models says: there is nothing to set.")
	}
}
