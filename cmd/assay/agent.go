package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"time"

	"github.com/spf13/cobra"

	"github.com/assaynet/assay/cmd/assay/terminal"
	"github.com/assaynet/assay/cmd/node"
	"github.com/assaynet/assay/cmd/node/file"
)

// dial finds the agent that runs in a folder.
func dial(ctx context.Context, dir string) (*node.Agent, error) {
	a, err := node.DialAgent(ctx, dir)
	return a, agentHint(err, dir)
}

// agentHint adds what to do about an agent's error.
func agentHint(err error, dir string) error {
	switch {
	case errors.Is(err, node.ErrNoAgent) && !file.Exists(dir):
		return usageError{fmt.Errorf("%s: no such folder", dir)}
	case errors.Is(err, fs.ErrPermission):
		return hinted{err, "only the agent's user and root may talk to it"}
	case errors.Is(err, node.ErrNoAgent):
		return hinted{fmt.Errorf("no agent runs in %s", dir), "assay provider run --dir " + dir + " runs it"}
	case errors.Is(err, context.Canceled):
		return errors.New("interrupted")
	}
	return err
}

// agentCommand is a command for the agent that runs in --dir.
func agentCommand(cmd *cobra.Command, run func(cmd *cobra.Command, a *node.Agent, args []string) error) *cobra.Command {
	var dir string
	cmd.Flags().StringVar(&dir, "dir", "", "the provider's folder")
	_ = cmd.MarkFlagRequired("dir")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		a, err := dial(cmd.Context(), dir)
		if err != nil {
			return err
		}
		return agentHint(run(cmd, a, args), dir)
	}
	return cmd
}

// until reads the flag --until; zero: it was not given.
func until(cmd *cobra.Command, text string) (time.Time, error) {
	if !cmd.Flags().Changed("until") {
		return time.Time{}, nil
	}
	return parseUntil(text, time.Now())
}

// parseUntil reads a time, or how long from now. An empty text is no time: it would be
// for ever, where a script's variable is not set.
func parseUntil(text string, now time.Time) (time.Time, error) {
	if d, err := time.ParseDuration(text); err == nil {
		if d <= 0 {
			return time.Time{}, usageError{fmt.Errorf("--until %s: want a time that is to come", text)}
		}
		return now.Add(d), nil
	}
	t, err := time.Parse(time.RFC3339, text)
	switch {
	case err != nil:
		return t, usageError{fmt.Errorf("--until %s: want a duration such as 2h30m, or a time such as 2026-01-02T15:04:05Z", text)}
	case !t.After(now):
		return t, usageError{fmt.Errorf("--until %s: has passed", text)}
	}
	return t, nil
}

func drainCommand() *cobra.Command {
	var text string
	cmd := agentCommand(&cobra.Command{
		Use:   "drain --dir DIR",
		Short: "Have a running agent refuse new challenges",
		Long: "The agent refuses challenges as drain, which is neutral, and lets the running ones end. It answers probes.\n" +
			"A drain lasts over restarts, until its time or until assay provider resume. The last word counts.",
		Example: "  assay provider drain --dir ./provider\n  assay provider drain --dir ./provider --until 2h",
		Args:    cobra.NoArgs,
	}, func(cmd *cobra.Command, a *node.Agent, _ []string) error {
		until, err := until(cmd, text)
		if err != nil {
			return err
		}
		if err := a.Drain(cmd.Context(), until); err != nil {
			return err
		}
		fmt.Fprintf(cmd.OutOrStdout(), "draining until %s\n", orResume(until))
		return nil
	})
	cmd.Flags().StringVar(&text, "until", "", "a time (RFC 3339), or how long from now (default: until resume)")
	return cmd
}

func orResume(t time.Time) string {
	if t.IsZero() {
		return "assay provider resume"
	}
	return t.Local().Format(time.RFC3339)
}

func resumeCommand() *cobra.Command {
	return agentCommand(&cobra.Command{
		Use:     "resume --dir DIR",
		Short:   "Have a drained agent take challenges again",
		Example: "  assay provider resume --dir ./provider",
		Args:    cobra.NoArgs,
	}, func(cmd *cobra.Command, a *node.Agent, _ []string) error {
		if err := a.Resume(cmd.Context()); err != nil {
			return err
		}
		fmt.Fprintln(cmd.OutOrStdout(), "takes challenges")
		return nil
	})
}

func tenantCommand() *cobra.Command {
	var device, text string
	var arrive, leave bool
	cmd := agentCommand(&cobra.Command{
		Use:   "tenant --dir DIR --device ID (--arrive | --leave)",
		Short: "Tell a running agent that a device's tenant comes or has left",
		Long: "For schedulers: before a tenant starts, so that he never shares the card with a challenge. When the command\n" +
			"ends with 0 the card is free of the agent: what ran was given up, its worker is gone, and so is its memory.\n" +
			"He has the device until --leave, whatever processes and hooks say; --until is only told to checkers.",
		Example: "  assay provider tenant --dir ./provider --device gpu0 --arrive\n" +
			"  assay provider tenant --dir ./provider --device gpu0 --arrive --until 2026-01-02T15:04:05Z\n" +
			"  assay provider tenant --dir ./provider --device gpu0 --leave",
		Args: cobra.NoArgs,
	}, func(cmd *cobra.Command, a *node.Agent, _ []string) error {
		until, err := until(cmd, text)
		if err != nil {
			return err
		}
		freed, err := a.Tenant(cmd.Context(), device, arrive, until)
		switch {
		case errors.Is(err, node.ErrUnknown):
			return hinted{err, "assay provider status lists the devices"}
		case err != nil:
			return err
		case leave:
			fmt.Fprintf(cmd.OutOrStdout(), "%s: the tenant has left\n", device)
		default:
			fmt.Fprintf(cmd.OutOrStdout(), "%s: free for the tenant after %s\n", device, terminal.Brief(freed))
		}
		return nil
	})
	f := cmd.Flags()
	f.StringVar(&device, "device", "", "the device's id in the configuration")
	f.BoolVar(&arrive, "arrive", false, "a tenant comes: free the device")
	f.BoolVar(&leave, "leave", false, "the tenant has left")
	f.StringVar(&text, "until", "", "with --arrive: about when he leaves: a time (RFC 3339), or how long from now")
	_ = cmd.MarkFlagRequired("device")
	cmd.MarkFlagsOneRequired("arrive", "leave")
	cmd.MarkFlagsMutuallyExclusive("arrive", "leave")
	cmd.MarkFlagsMutuallyExclusive("until", "leave")
	return cmd
}
