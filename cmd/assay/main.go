// Command assay runs checkers and providers, reads what checkers know, and
// verifies their evidence offline.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"
)

// exit is a command's exit code when it is not plain success or plain failure.
// What there is to say has been said.
type exit int

func (e exit) Error() string { return fmt.Sprintf("exit %d", int(e)) }

// hinted is an error with advice.
type hinted struct {
	error
	hint string
}

func (h hinted) Unwrap() error { return h.error }

func main() { os.Exit(run(os.Args[1:], os.Stdout, os.Stderr)) }

// run is the whole program. Exit codes: 0 success, 1 failure or expectations
// missed, 2 wrong usage or unreadable input.
func run(args []string, stdout, stderr io.Writer) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	// The first Ctrl-C ends the work cleanly, a second one kills.
	context.AfterFunc(ctx, stop)
	root := &cobra.Command{
		Use:   "assay",
		Short: "Verify what GPU providers promise",
		Long: "Assay checks GPU providers: proof of compute, reachability and reputation,\n" +
			"with evidence that anybody can verify offline.",
		Example:       "  assay devnet                 a whole network on this machine\n  assay verify FILE            what does this transcript prove?",
		SilenceUsage:  true,
		SilenceErrors: true,
	}
	root.SetOut(stdout)
	root.SetErr(stderr)
	root.SetArgs(args)
	root.CompletionOptions.HiddenDefaultCmd = true
	root.AddCommand(devnetCommand(), checkerCommand(), providerCommand(), networkCommand(), configCommand(),
		providersCommand(), showCommand(), transcriptsCommand(), verifyCommand(), profilesCommand(), modelsCommand(), storeCommand(), attestCommand())
	ran := false
	wrap(root, &ran)
	err := root.ExecuteContext(ctx)
	if err != nil && !ran {
		// Whatever stops a command before it runs is a line that makes no sense.
		var h hinted
		if !errors.As(err, &h) {
			h.hint = "assay --help and assay COMMAND --help show what there is"
		}
		err = hinted{usageError{err}, h.hint}
	}
	var code exit
	switch {
	case err == nil:
		return 0
	case errors.As(err, &code):
		return int(code)
	}
	fmt.Fprintf(stderr, "assay: error: %v\n", err)
	var h hinted
	if errors.As(err, &h) {
		fmt.Fprintf(stderr, "assay: hint: %s\n", h.hint)
	}
	var u usageError
	if errors.As(err, &u) {
		return 2
	}
	return 1
}

// wrap notes whether any command got to run.
func wrap(cmd *cobra.Command, ran *bool) {
	if inner := cmd.RunE; inner != nil {
		cmd.RunE = func(cmd *cobra.Command, args []string) error {
			*ran = true
			return inner(cmd, args)
		}
	}
	if cmd.HasSubCommands() && cmd.HasParent() && cmd.RunE == nil {
		// Else a subcommand that does not exist prints help and succeeds.
		cmd.Args = cobra.NoArgs
		cmd.RunE = func(cmd *cobra.Command, _ []string) error { return cmd.Help() }
	}
	for _, c := range cmd.Commands() {
		wrap(c, ran)
	}
}

// usageError is a command line that makes no sense.
type usageError struct{ error }

func (u usageError) Unwrap() error { return u.error }
