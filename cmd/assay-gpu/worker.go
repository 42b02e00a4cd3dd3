package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"strings"
	"sync/atomic"
	"syscall"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/assaynet/assay/gpu"
	"github.com/assaynet/assay/gpu/cuda"
	"github.com/assaynet/assay/gpu/cuda/driver"
	"github.com/assaynet/assay/gpu/nvml"
	"github.com/assaynet/assay/gpu/worker"
)

// errTerminal is for a person who runs what only assay can talk to.
var errTerminal = errors.New("worker speaks no language of people: assay starts it, one for each card, and talks to it through pipes")

func workerCommand() *cobra.Command {
	return &cobra.Command{
		Use:    "worker",
		Short:  "Run a card for assay, which starts this",
		Long:   "worker is how assay reaches a card: it does what comes through its standard input, and ends with it.",
		Hidden: true,
		Args:   cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if term.IsTerminal(int(os.Stdin.Fd())) || term.IsTerminal(int(os.Stdout.Fd())) {
				return usageError{errTerminal}
			}
			return serve(context.WithoutCancel(cmd.Context()))
		},
	}
}

// serve runs a card, or the library that watches them all, until the standard input
// ends. The process has to end then, whatever a driver's call is doing.
func serve(ctx context.Context) error {
	out, err := takeOutput()
	if err != nil {
		return fmt.Errorf("worker: %w", err)
	}
	// Ctrl-C at a terminal goes to everybody there: the parent says when this ends.
	// It may also be gone, and nobody read any more what is written.
	signal.Ignore(os.Interrupt, syscall.SIGPIPE)
	signal.Reset(syscall.SIGTERM) // ends the process at once
	log := slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{ReplaceAttr: withoutTime}))
	return worker.Serve(ctx, last{os.Stdin}, out, &host{log: log})
}

// last ends the process with what it reads: nobody is left to hear of anything, and a
// call that is stuck in the driver would never return.
type last struct{ io.Reader }

func (l last) Read(b []byte) (int, error) {
	n, err := l.Reader.Read(b)
	if n == 0 && err != nil {
		os.Exit(0)
	}
	return n, err
}

// withoutTime leaves the time to who reads the log.
func withoutTime(groups []string, a slog.Attr) slog.Attr {
	if len(groups) == 0 && a.Key == slog.TimeKey {
		return slog.Attr{}
	}
	return a
}

// host opens this machine's cards for worker.Serve.
type host struct {
	log     *slog.Logger
	watches atomic.Bool // errors are NVML's
}

// served is a card in use.
type served struct {
	*cuda.Device
	about string
}

// About says in a line what the card runs with.
func (s served) About() string { return s.about }

// Open loads the driver and opens a card, which checks every kernel on it.
func (h *host) Open(ctx context.Context, s worker.Setup) (worker.Card, error) {
	lib, err := driver.Load(s.Driver)
	if err != nil {
		return nil, err
	}
	all, err := lib.Cards()
	if err != nil {
		return nil, err
	}
	version, err := lib.Version()
	if err != nil {
		return nil, err
	}
	card, err := named(all, s.Card)
	if err != nil {
		return nil, err
	}
	device, err := cuda.New(ctx, cuda.Config{
		Library: lib, Card: card, ID: s.ID, Model: s.Model, Memory: s.Memory,
		Int8Ops: s.Int8Ops, BF16Ops: s.BF16Ops, FP64Ops: s.FP64Ops,
		CUBLASLt: s.CUBLASLt, Patience: s.Patience, Log: h.log,
	})
	if err != nil {
		return nil, err
	}
	return served{device, about(card, version, device.Choice())}, nil
}

// about is a card in a line.
func about(card driver.Card, version int, c cuda.Choice) string {
	return fmt.Sprintf("%s, CUDA %s, kernels %s, int8 by %s, bf16 by %s, %.1f GB free",
		oneLine(card.Name), cudaVersion(version), c.Kernels, c.Int8, c.BF16, float64(c.Free)/1e9)
}

// named is the card with a UUID, or the only one for none.
func named(all []driver.Card, uuid string) (driver.Card, error) {
	if uuid == "" && len(all) == 1 {
		return all[0], nil
	}
	shown := make([]string, len(all))
	for i, c := range all {
		if uuid != "" && strings.EqualFold(c.UUID, uuid) {
			return c, nil
		}
		shown[i] = fmt.Sprintf("%s (%s)", c.UUID, oneLine(c.Name))
	}
	if uuid == "" {
		uuid = "without a UUID"
	}
	return driver.Card{}, fmt.Errorf("card %s: %w: the driver shows %d: %s", uuid, errNoCard, len(all), strings.Join(shown, ", "))
}

// Library loads NVML, which takes nothing of a card; the driver for computing is not
// loaded.
func (h *host) Library(s worker.Setup) (worker.Library, error) {
	h.watches.Store(true)
	lib, err := nvml.Open(s.NVML)
	if err == nil {
		return lib, nil
	}
	if f := watchFault(err); f != nil {
		return nil, f
	}
	return nil, newFault(gpu.FaultDriver, err)
}

// Fault says whose doing an error is, and what to do about it.
func (h *host) Fault(err error) *gpu.Fault {
	if h.watches.Load() {
		return watchFault(err)
	}
	return cardFault(err)
}
