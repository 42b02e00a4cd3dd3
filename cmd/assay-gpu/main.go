// Command assay-gpu runs challenges on NVIDIA cards, with nothing but the driver
// installed: it checks every kernel against the processor and measures the card.
//
// It is a program of its own because it loads the driver's libraries: assay stays
// static, and whatever a driver does ends this process alone.
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

	"github.com/assaynet/assay/gpu/cuda"
	"github.com/assaynet/assay/gpu/cuda/driver"
	"github.com/assaynet/assay/gpu/exam"
)

func main() { os.Exit(run(os.Args[1:], os.Stdout, os.Stderr)) }

// run is the whole program. Exit codes: 0 success, 1 failure, 2 wrong usage, 3 no
// driver or no card.
func run(args []string, stdout, stderr io.Writer) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	// The first Ctrl-C ends the work cleanly, a second one kills.
	context.AfterFunc(ctx, stop)
	var o options
	root := &cobra.Command{
		Use:   "assay-gpu",
		Short: "Run Assay's challenges on NVIDIA cards",
		Long: "assay-gpu needs an NVIDIA driver and nothing else: no CUDA toolkit, no network. The kernels are inside it.\n" +
			"It looks at the cards of this machine, checks its kernels on them against the processor, and measures them.",
		Example:       "  assay-gpu cards\n  assay-gpu check\n  assay-gpu bench --json > card.json",
		SilenceUsage:  true,
		SilenceErrors: true,
	}
	root.SetOut(stdout)
	root.SetErr(stderr)
	root.SetArgs(args)
	root.CompletionOptions.HiddenDefaultCmd = true
	flags := root.PersistentFlags()
	flags.StringVar(&o.library, "driver", "", "the driver's library; empty: libcuda.so.1 where the system has it")
	flags.BoolVar(&o.json, "json", false, "print JSON")
	root.AddCommand(cardsCommand(&o), checkCommand(&o), benchCommand(&o))
	ran := false
	for _, c := range root.Commands() {
		inner := c.RunE
		c.RunE = func(cmd *cobra.Command, args []string) error {
			ran = true
			return inner(cmd, args)
		}
	}
	err := root.ExecuteContext(ctx)
	switch {
	case err == nil:
		return 0
	case !ran:
		err = usageError{err}
	}
	fmt.Fprintf(stderr, "assay-gpu: error: %v\n", err)
	code, hint := verdict(err)
	if hint != "" {
		fmt.Fprintf(stderr, "assay-gpu: hint: %s\n", hint)
	}
	return code
}

// usageError is a command line that makes no sense.
type usageError struct{ error }

func (u usageError) Unwrap() error { return u.error }

// errNoCard says that the driver sees no card, or not the one that was asked for.
var errNoCard = errors.New("no such card")

// verdict is the exit code of an error, and what to do about it.
func verdict(err error) (code int, hint string) {
	const noDevice = 100 // CUDA_ERROR_NO_DEVICE
	var usage usageError
	refused, ok := errors.AsType[*driver.Error](err)
	switch {
	case errors.As(err, &usage):
		return 2, "assay-gpu --help and assay-gpu COMMAND --help show what there is"
	case errors.Is(err, driver.ErrNoDriver):
		return 3, "is the NVIDIA driver installed? In a container: is it started with the cards, and is the driver's capability \"compute\" among those mounted?"
	case errors.Is(err, errNoCard), ok && refused.Code == noDevice:
		return 3, "assay-gpu cards lists what the driver shows; CUDA_VISIBLE_DEVICES hides cards"
	case errors.Is(err, driver.ErrOutOfMemory):
		return 1, "something else holds the card's memory: nvidia-smi shows what"
	case errors.Is(err, driver.ErrNoJIT):
		return 1, "mount libnvidia-ptxjitcompiler.so.1 of the driver into the container"
	case errors.Is(err, driver.ErrSticky), errors.Is(err, driver.ErrLost), errors.Is(err, driver.ErrTimeout):
		return 1, "the kernel's log (dmesg, lines with NVRM: Xid) says what the card reported"
	case errors.Is(err, cuda.ErrMiscomputes), errors.Is(err, exam.ErrDiffers):
		return 1, "do not offer this card: checkers would prove it wrong. A clock or a memory set beyond its specification is the usual cause"
	default:
		return 1, ""
	}
}
