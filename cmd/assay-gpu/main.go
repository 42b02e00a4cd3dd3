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
	"github.com/assaynet/assay/gpu/nvml"
)

func main() {
	againWith(driverEnv())
	os.Exit(run(os.Args[1:], os.Stdout, os.Stderr, exam.Cases()))
}

// run is the whole program; cases are what check and bench compare. Exit codes: 0
// success, 1 failure, 2 wrong usage, 3 no driver or no card, 130 interrupted.
func run(args []string, stdout, stderr io.Writer, cases []exam.Case) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	// The first Ctrl-C ends the work cleanly, a second one kills.
	context.AfterFunc(ctx, stop)
	o := options{cases: cases}
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
	root.AddCommand(cardsCommand(&o), checkCommand(&o), benchCommand(&o), workerCommand())
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

// Codes of the driver that say what to do.
const (
	unavailable    = 46  // CUDA_ERROR_DEVICE_UNAVAILABLE
	noDevice       = 100 // CUDA_ERROR_NO_DEVICE
	notReady       = 802 // CUDA_ERROR_SYSTEM_NOT_READY
	driverMismatch = 803 // CUDA_ERROR_SYSTEM_DRIVER_MISMATCH
	unknown        = 999 // CUDA_ERROR_UNKNOWN
)

// verdict is the exit code of an error, and what to do about it.
func verdict(err error) (code int, hint string) {
	var usage usageError
	switch {
	case errors.As(err, &usage):
		return 2, "assay-gpu --help and assay-gpu COMMAND --help show what there is"
	case errors.Is(err, context.Canceled) && !driver.Ends(err):
		return 130, ""
	case errors.Is(err, errNoCard):
		return 3, "assay-gpu cards lists what the driver shows; CUDA_VISIBLE_DEVICES hides cards"
	}
	if e, ok := errors.AsType[*driver.Error](err); ok {
		if code, hint = refused(e); hint != "" {
			return code, hint
		}
	}
	switch {
	case errors.Is(err, driver.ErrNoDriver):
		return 3, "is the NVIDIA driver installed? In a container: is it started with the cards, and is the driver's capability \"compute\" among those mounted?"
	case errors.Is(err, nvml.ErrNoDriver):
		return 3, "is the NVIDIA driver installed? In a container: is the driver's capability \"utility\" among those mounted?"
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

// refused is the verdict of a call that the driver failed, where its code alone says
// what to do.
func refused(e *driver.Error) (code int, hint string) {
	switch e.Code {
	case noDevice:
		return 3, "assay-gpu cards lists what the driver shows; CUDA_VISIBLE_DEVICES hides cards"
	case unavailable:
		return 1, "another process has the card for itself, or its compute mode forbids all: nvidia-smi shows both. Else the card is off the bus: see dmesg"
	case notReady:
		return 1, "cards behind NVSwitch need the fabric manager, which is not running: systemctl status nvidia-fabricmanager"
	case driverMismatch:
		return 3, "the driver was updated while its old kernel module is loaded: restart the machine. In a container: mount the host's own libcuda"
	case unknown:
		if e.Call == "cuInit" {
			return 1, "/dev/nvidia-uvm is missing or closed to this user: nvidia-modprobe -u -c 0 makes it; a container must have it mounted"
		}
	}
	return 0, ""
}
