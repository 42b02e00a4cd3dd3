package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/assaynet/assay/challenges"
	"github.com/assaynet/assay/challenges/memory"
	"github.com/assaynet/assay/gpu/cuda"
	"github.com/assaynet/assay/gpu/exam"
	"github.com/assaynet/assay/gpu/nvml"
)

// measured is a card's bench as JSON.
type measured struct {
	checked
	Energy string       `json:"energy"` // how joules were read, or why not
	Peak   *peaks       `json:"peak"`   // of the model; null: not in the table
	Report *exam.Report `json:"report"` // null: the check was not passed
}

// peaks are the model's published ones, in ops/s and bytes/s; 0: not known.
type peaks struct {
	Model     string `json:"model"`
	Int8      uint64 `json:"int8_ops_per_s"`
	BF16      uint64 `json:"bf16_ops_per_s"`
	FP64      uint64 `json:"fp64_ops_per_s"`
	Bandwidth uint64 `json:"memory_bytes_per_s"`
	Source    string `json:"source"`
}

// benchOptions are the flags of assay-gpu bench.
type benchOptions struct {
	cardOptions
	profiles []uint
	rounds   int
	class    uint
	items    uint64
}

func benchCommand(shared *options) *cobra.Command {
	o := benchOptions{cardOptions: cardOptions{options: shared}}
	cmd := &cobra.Command{
		Use:   "bench",
		Short: "Check a card, and measure what it does in challenges",
		Long: "bench first compares every kernel with the processor, as check does. Then it measures whole rounds of each flavour,\n" +
			"their product alone and with cuBLASLt, what generator and hash cost, how fast a dataset is filled and walked, and\n" +
			"energy, and plays a capacity and a memory challenge with a checker in this process.\n" +
			"The card must have nothing else to do. It takes some minutes, and most of the card's memory.\n" +
			"After an error it prints what was measured until then. Exit codes: as of check.\n" +
			"For a machine without Go or network: build it elsewhere and carry the one file (docs/OPERATIONS.md).",
		Example: "  assay-gpu bench\n  assay-gpu bench --json > card.json\n  assay-gpu bench --card 1 --cublaslt /opt/cuda/lib64/libcublasLt.so.12",
		Args:    cobra.NoArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return o.run(cmd) },
	}
	o.flags(cmd)
	flags := cmd.Flags()
	flags.UintSliceVar(&o.profiles, "profile", nil, "rows of assay profiles to measure; empty: those that fit the card")
	flags.IntVar(&o.rounds, "rounds", 0, "rounds of each that are timed; 0: 10 s of them, at least 24")
	flags.UintVar(&o.class, "memory", 0, "row of assay profiles --memory; 0: that of the model")
	flags.Uint64Var(&o.items, "items", 0, "of the dataset of --memory, 64 bytes each; 0: what a challenge would ask for")
	return cmd
}

func (o *benchOptions) run(cmd *cobra.Command) error {
	want, err := o.want()
	if err != nil {
		return usageError{err}
	}
	p := newProgress(cmd.ErrOrStderr())
	defer p.end()
	c, err := o.open(cmd.Context())
	if err != nil {
		return err
	}
	r, err := c.bench(cmd.Context(), p, o.cases, want)
	err = c.closed(err)
	p.end()
	if r.Report == nil && err != nil {
		return err
	}
	return errors.Join(err, o.print(cmd.OutOrStdout(), r))
}

// want looks everything up before a card is opened.
func (o *benchOptions) want() (cuda.Options, error) {
	want := cuda.Options{Rounds: o.rounds, Class: uint16(o.class), Items: o.items}
	for _, p := range o.profiles {
		if p > 1<<16-1 {
			return want, fmt.Errorf("--profile %d: not in the table", p)
		}
		if _, err := challenges.LookupProfile(uint16(p)); err != nil {
			return want, fmt.Errorf("--profile: %w", err)
		}
		want.Profiles = append(want.Profiles, uint16(p))
	}
	switch {
	case o.rounds < 0:
		return want, fmt.Errorf("--rounds %d: out of range", o.rounds)
	case o.class > 1<<16-1:
		return want, fmt.Errorf("--memory %d: not in the table", o.class)
	case o.class == 0 && o.items > 0:
		return want, errors.New("--items: of which class? --memory names one")
	case o.class == 0:
		return want, nil
	}
	if _, err := memory.Lookup(want.Class); err != nil {
		return want, fmt.Errorf("--memory: %w", err)
	}
	if p := (memory.Params{Profile: want.Class, Items: o.items}); o.items > 0 {
		if err := p.Check(); err != nil {
			return want, fmt.Errorf("--items: %w", err)
		}
	}
	return want, nil
}

// bench checks the card, and measures it if it computes right. With an error the
// report is what was measured until then, if anything was.
func (c *opened) bench(ctx context.Context, p *progress, cases []exam.Case, want cuda.Options) (r measured, err error) {
	if r.checked, err = c.check(ctx, p, cases); err != nil || !r.Passed {
		return r, err
	}
	spec, known, _ := c.card.Model()
	if known {
		r.Peak = &peaks{spec.Name, spec.Peak.Int8, max(spec.Peak.BF16, spec.Peak.FP16), spec.Peak.FP64, spec.Bandwidth, spec.Source}
	}
	if want.Class == 0 {
		want.Class = spec.Memories
	}
	var closeEnergy func() error
	want.Energy, closeEnergy, r.Energy = energy(c.card.PCI)
	report, err := c.Measure(ctx, want, func(done, of int, what string) { p.say("measure %s %s", bar(done, of), what) })
	r.Report = &report
	if err != nil {
		err = fmt.Errorf("bench: %w", err)
	}
	return r, errors.Join(err, closeEnergy())
}

// print writes what was measured, or what stopped it.
func (o *options) print(out io.Writer, r measured) error {
	var err error
	switch {
	case o.json:
		err = writeJSON(out, r)
	case r.Passed:
		err = printBench(out, r)
	default:
		err = printCheck(out, r.checked)
	}
	if err == nil && !r.Passed {
		err = fmt.Errorf("card %d: %w", r.Card.Number, exam.ErrDiffers)
	}
	return err
}

// energy is a reader of the card's counter, if there is one, and what to say of it.
func energy(pci string) (read func() (float64, error), end func() error, said string) {
	none := func() error { return nil }
	lib, err := nvml.Open("")
	if err != nil {
		return nil, none, err.Error()
	}
	if read, err = lib.Energy(pci); err != nil {
		return nil, lib.Close, err.Error()
	}
	return read, lib.Close, "NVML's counter of the whole card"
}

// share writes a part of a whole; "-" where the whole is not known.
func share(part, whole float64) string {
	if whole <= 0 || part <= 0 {
		return "-"
	}
	return fmt.Sprintf("%.0f %%", 100*part/whole)
}

// si writes a figure with three digits and a prefix.
func si(v float64, unit string) string {
	if v <= 0 {
		return "-"
	}
	prefixes := []string{"p", "n", "u", "m", "", "k", "M", "G", "T", "P", "E"}
	i := 4
	for ; v >= 999.5 && i < len(prefixes)-1; i++ {
		v /= 1000
	}
	for ; v < 0.9995 && i > 0; i-- {
		v *= 1000
	}
	digits := 2
	if v >= 9.995 {
		digits--
	}
	if v >= 99.95 {
		digits--
	}
	return strings.TrimSpace(fmt.Sprintf("%.*f %s%s", digits, v, prefixes[i], unit))
}
