package main

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/assaynet/assay/gpu/cuda"
	"github.com/assaynet/assay/gpu/cuda/driver"
	"github.com/assaynet/assay/gpu/exam"
)

// checked is a card's check as JSON.
type checked struct {
	Card   card         `json:"card"`
	CUDA   string       `json:"cuda"` // that the driver knows
	Choice *cuda.Choice `json:"choice"`
	Seed   string       `json:"seed"`
	Cases  []caseResult `json:"cases"`
	Passed bool         `json:"passed"`
}

type caseResult struct {
	Name  string  `json:"name"`
	Error *string `json:"error"` // null: bit for bit the processor's
}

// cardOptions are the flags of the commands that use a card.
type cardOptions struct {
	*options
	number int
	lt     string
	seed   string
}

func (o *cardOptions) flags(cmd *cobra.Command) {
	cmd.Flags().IntVar(&o.number, "card", 0, "which card, as assay-gpu cards numbers them")
	cmd.Flags().StringVar(&o.lt, "cublaslt", "", "path of libcublasLt; empty: where systems have it; none: not used")
	cmd.Flags().StringVar(&o.seed, "seed", "", "64 hex digits that the random inputs follow from; empty: a new one")
}

func checkCommand(shared *options) *cobra.Command {
	o := cardOptions{options: shared}
	cmd := &cobra.Command{
		Use:   "check",
		Short: "Compare every kernel on a card with the processor",
		Long: "check gives a card random inputs in the shapes at whose edges kernels go wrong, and compares every key, root and\n" +
			"opening with the processor, bit for bit. A card that fails would be proven wrong by checkers: do not offer it.\n" +
			"Exit codes: 0 nothing differs, 1 something differs or failed, 2 wrong usage, 3 no driver or no such card,\n" +
			"130: interrupted.",
		Example: "  assay-gpu check\n  assay-gpu check --card 3 --json\n  assay-gpu check --cublaslt none",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			p := newProgress(cmd.ErrOrStderr())
			defer p.end()
			c, err := o.open(cmd.Context())
			if err != nil {
				return err
			}
			r, err := c.check(cmd.Context(), p, o.cases)
			if err = c.closed(err); err != nil {
				return err
			}
			p.end()
			if o.json {
				err = writeJSON(cmd.OutOrStdout(), r)
			} else {
				err = printCheck(cmd.OutOrStdout(), r)
			}
			if err == nil && !r.Passed {
				err = fmt.Errorf("card %d: %w", o.number, exam.ErrDiffers)
			}
			return err
		},
	}
	o.flags(cmd)
	return cmd
}

// opened is a card in use.
type opened struct {
	*cuda.Device
	card    driver.Card
	version int
	seed    [32]byte
}

// open opens the card, which checks every kernel once.
func (o *cardOptions) open(ctx context.Context) (*opened, error) {
	var out opened
	if o.seed == "" {
		rand.Read(out.seed[:])
	} else if b, err := hex.DecodeString(o.seed); err != nil || len(b) != len(out.seed) {
		return nil, usageError{fmt.Errorf("--seed %q: want 64 hex digits", o.seed)}
	} else {
		copy(out.seed[:], b)
	}
	lib, err := driver.Load(o.library)
	if err != nil {
		return nil, err
	}
	if out.version, err = lib.Version(); err != nil {
		return nil, err
	}
	if out.card, err = find(lib, o.number); err != nil {
		return nil, err
	}
	spec, _, _ := out.card.Model()
	out.Device, err = cuda.New(ctx, cuda.Config{
		Library: lib, Card: out.card, ID: "gpu0", Model: spec.Name, Memory: out.card.Memory, CUBLASLt: o.lt,
	})
	if err != nil {
		return nil, err
	}
	return &out, nil
}

// closed closes the card after its work, and gives the error of both. After one that
// ends the card closing it says the same again.
func (c *opened) closed(err error) error {
	closeErr := c.Close()
	if driver.Ends(err) {
		return err
	}
	return errors.Join(err, closeErr)
}

// check compares all cases.
func (c *opened) check(ctx context.Context, p *progress, cases []exam.Case) (checked, error) {
	choice := c.Choice()
	r := checked{
		Card: describe(c.card), CUDA: cudaVersion(c.version), Choice: &choice, Seed: hex.EncodeToString(c.seed[:]), Passed: true,
	}
	for i, one := range cases {
		p.say("check %s %s", bar(i, len(cases)), one.Name)
		err := exam.Compare(ctx, c.Device, one, c.seed)
		result := caseResult{Name: one.Name}
		switch {
		case errors.Is(err, exam.ErrDiffers):
			said := err.Error()
			result.Error, r.Passed = &said, false
		case err != nil:
			return r, fmt.Errorf("check: %w", err)
		}
		r.Cases = append(r.Cases, result)
	}
	return r, nil
}

func printCheck(out io.Writer, r checked) error {
	printCard(out, r.Card, r.CUDA, *r.Choice)
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "CASE\tRESULT")
	for _, c := range r.Cases {
		said := "same"
		if c.Error != nil {
			said = *c.Error
		}
		fmt.Fprintf(w, "%s\t%s\n", c.Name, said)
	}
	return w.Flush()
}

// printCard says what is examined.
func printCard(out io.Writer, c card, version string, choice cuda.Choice) {
	model := "not in the table"
	if c.Model != nil {
		model = *c.Model
	}
	fmt.Fprintf(out, "Card %d: %s (%s), %.1f GB, %d multiprocessors, driver for CUDA %s.\n", c.Number, c.Name, model, float64(c.Bytes)/1e9, c.SMs, version)
	fmt.Fprintf(out, "Kernels: %s; products of int8 by %s, of bf16 by %s.\n\n", choice.Kernels, choice.Int8, choice.BF16)
}
