package main

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/assaynet/assay/challenges"
	"github.com/assaynet/assay/cmd/assay/terminal"
	"github.com/assaynet/assay/cmd/node"
	"github.com/assaynet/assay/cmd/node/file"
)

// idDigits are the first digits of an id.
var idDigits = regexp.MustCompile("^[0-9a-f]{4,64}$")

func whyCommand() *cobra.Command {
	var q node.AgentWhy
	var to string
	var asJSON bool
	cmd := agentCommand(&cobra.Command{
		Use:   "why [CHALLENGE] --dir DIR",
		Short: "Say how challenges ended, why, and what to do about it",
		Long: "Reads the copies that a running agent keeps: of the latest challenges that did not pass, or of one.\n" +
			"CHALLENGE is its id, or at least its first four digits. It asks nobody: what the agent's own copy does not\n" +
			"show is said to be the checker's word. What a checker sealed itself is in assay transcripts export.",
		Example: "  assay provider why --dir ./provider\n" +
			"  assay provider why 3fa9 --dir ./provider\n" +
			"  assay provider why 3fa9 --dir ./provider --copy 3fa9.cbor\n" +
			"  assay provider why --dir ./provider --all --limit 100 --json",
		Args: func(_ *cobra.Command, args []string) error {
			switch {
			case len(args) > 1:
				return errors.New("why: more than one challenge")
			case len(args) == 0 && to != "":
				return errors.New("--copy: of which challenge?")
			case len(args) == 1 && (q.All || q.Limit != 0):
				return errors.New("--all, --limit: of a list, not of one challenge")
			case len(args) == 1 && !idDigits.MatchString(args[0]):
				return fmt.Errorf("challenge %.80q: want 4 to 64 digits of an id, in hex", args[0])
			}
			return nil
		},
	}, func(cmd *cobra.Command, a *node.Agent, args []string) error {
		if cmd.Flags().Changed("limit") && (q.Limit < 1 || q.Limit > node.MaxWhy) {
			return usageError{fmt.Errorf("--limit %d: want 1 to %d", q.Limit, node.MaxWhy)}
		}
		if to != "" && file.Exists(to) {
			return fmt.Errorf("--copy %s: there is a file already", to)
		}
		if len(args) == 1 {
			q.Challenge = args[0]
		}
		list, err := a.Why(cmd.Context(), q)
		switch {
		case errors.Is(err, node.ErrUnknown):
			return hinted{err, "assay provider why --all lists the challenges that are kept"}
		case err != nil:
			return err
		}
		if to != "" && len(list) > 0 {
			b, err := a.Transcript(cmd.Context(), list[0].Challenge)
			if err != nil {
				return err
			}
			if err := file.Write(to, b); err != nil {
				return err
			}
		}
		out := cmd.OutOrStdout()
		if asJSON {
			return writeJSON(out, struct {
				Explanations []node.AgentExplanation `json:"explanations"`
			}{list})
		}
		if len(list) == 0 {
			fmt.Fprintln(cmd.ErrOrStderr(), "assay: nothing to explain: every challenge that is kept went well, or none has come")
			return nil
		}
		return printWhy(out, list, len(args) == 1)
	})
	f := cmd.Flags()
	f.BoolVar(&q.All, "all", false, "those that passed too")
	f.IntVar(&q.Limit, "limit", 0, "at most so many, newest first (default 20)")
	f.BoolVar(&asJSON, "json", false, "print JSON")
	f.StringVar(&to, "copy", "", "write the agent's copy of CHALLENGE to this new file, in CBOR: frames and receipt")
	return cmd
}

// whyWidth is where sentences are broken.
const whyWidth = 100

// printWhy prints explanations for people; in full with every id.
func printWhy(out io.Writer, list []node.AgentExplanation, full bool) error {
	var heads terminal.Table
	for _, e := range list {
		heads.Line(markColour(e.Mark), "%s\t%s\t%s\t%s\t%s\tmark: %s", e.Challenge.String()[:8], e.At.Local().Format(time.RFC3339),
			cmp.Or(terminal.Clean(e.Device), "-"), cmp.Or(terminal.Clean(string(e.Kind)), "-"), endOf(e), terminal.Clean(e.Mark))
	}
	var b strings.Builder
	if err := heads.Print(&b, terminal.Coloured(out)); err != nil {
		return err
	}
	lines := strings.Split(strings.TrimSuffix(b.String(), "\n"), "\n")
	for i, e := range list {
		if i > 0 {
			fmt.Fprintln(out)
		}
		fmt.Fprintln(out, lines[i])
		said := []string{terminal.Clean(e.Says)}
		if e.Own != "" && !e.Contradicts { // else it has been said
			said = append(said, "The agent's copy: "+terminal.Clean(e.Own))
		}
		if e.Detail != "" {
			said = append(said, "The device said: "+terminal.Clean(e.Detail))
		}
		if e.Throttle != "" {
			said = append(said, "Clocks were held down by: "+terminal.Clean(e.Throttle)+".")
		}
		if e.Remedy != "" {
			said = append(said, "What to do: "+terminal.Clean(e.Remedy))
		}
		for _, s := range said {
			fmt.Fprint(out, terminal.Indented(s, whyWidth))
		}
		if !full {
			continue
		}
		var ids terminal.Table
		ids.Row(terminal.Plain, "  challenge", "%v", e.Challenge)
		ids.Row(terminal.Plain, "  checker", "%v", e.Checker)
		if e.Transcript != (challenges.Hash{}) {
			ids.Row(terminal.Plain, "  transcript", "%v", e.Transcript)
		}
		ids.Row(terminal.Plain, "  took", "%s", terminal.Brief(time.Duration(e.Took*float64(time.Second))))
		if err := ids.Print(out, false); err != nil {
			return err
		}
	}
	return nil
}

// endOf is how a challenge ended: in the checker's word, else in the agent's.
func endOf(e node.AgentExplanation) string {
	if e.Outcome == 0 {
		return "no receipt, " + terminal.Clean(strings.ReplaceAll(e.Result, "_", " "))
	}
	var by []string
	for _, s := range []string{e.Clause, e.Reason} {
		if s != "" {
			by = append(by, terminal.Clean(s))
		}
	}
	if len(by) == 0 {
		return e.Outcome.String()
	}
	return fmt.Sprintf("%v (%s)", e.Outcome, strings.Join(by, ", "))
}

func markColour(mark string) terminal.Colour {
	switch mark {
	case "proof", "failure":
		return terminal.Red
	case "none":
		return terminal.Green
	case "refusal", "reach", "not known":
		return terminal.Yellow
	}
	return terminal.Plain
}
