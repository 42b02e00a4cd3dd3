package main

import (
	"fmt"
	"io"
	"text/tabwriter"

	"github.com/assaynet/assay/gpu/exam"
)

// printBench writes what was measured for a person.
func printBench(out io.Writer, r measured) error {
	printCard(out, r.Card, r.CUDA, *r.Choice)
	fmt.Fprintf(out, "All %d cases of random inputs (seed %s) are bit for bit the processor's.\n\n", len(r.Cases), r.Seed)
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "FLAVOUR\tPROFILE\tMAKER\tROUND\tOPS/S\tSLOW TENTH\tOF PEAK\tOVERHEAD\tGENERATOR\tHASH\tENERGY")
	for _, c := range r.Report.Flavours {
		fmt.Fprintf(w, "%s\t%d\t%s\t%s\t%s\t%s\t%s\t%.1f %%\t%s\t%s\t%s\n",
			c.Flavour, c.Profile, c.Maker, si(c.RoundS, "s"), si(c.OpsPerS, "op/s"), si(c.OpsPerSP10, "op/s"),
			share(c.OpsPerS, float64(r.Peak.of(c.Flavour))), c.Overhead,
			share(c.GenerateS, c.RoundS), share(c.HashS, c.RoundS), si(c.JoulesPerOp, "J/op"))
	}
	if err := w.Flush(); err != nil {
		return err
	}
	fmt.Fprintln(out, "\nThe product alone, at best:")
	w = tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "FLAVOUR\tSHAPE\tMAKER\tTIME\tOPS/S\tOF PEAK\tOF THE FASTEST")
	for _, c := range r.Report.Flavours {
		fastest := 0.0
		for _, p := range c.Products {
			fastest = max(fastest, p.OpsPerS)
		}
		for _, p := range c.Products {
			fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\t%s\n", c.Flavour, c.Shape, p.Maker, si(p.S, "s"), si(p.OpsPerS, "op/s"),
				share(p.OpsPerS, float64(r.Peak.of(c.Flavour))), share(p.OpsPerS, fastest))
		}
	}
	if err := w.Flush(); err != nil {
		return err
	}
	printMemory(out, r)
	if err := printChallenges(out, *r.Report); err != nil || r.Report.Error == "" {
		return err
	}
	_, err := fmt.Fprintln(out, "\nNot all was measured: an error ended it.")
	return err
}

// printMemory writes how a dataset was filled and walked.
func printMemory(out io.Writer, r measured) {
	bandwidth := 0.0
	if r.Peak != nil {
		bandwidth = float64(r.Peak.Bandwidth)
	}
	fmt.Fprintf(out, "\nCopies within the card's memory: %s each way, %s of its bandwidth for both.\n", si(r.Report.Copy, "B/s"), share(2*r.Report.Copy, bandwidth))
	m := r.Report.Memory
	if m == nil {
		if r.Report.Error == "" {
			fmt.Fprintln(out, "Memory: no class for this model; --memory names one.")
		}
		return
	}
	fmt.Fprintf(out, "Memory, class %s, a dataset of %s:\n", m.Class, si(float64(m.Bytes), "B"))
	fmt.Fprintf(out, "  filled in %s with taking the memory, the items alone in %s: %s a second, %s of what the class can at best\n",
		si(m.FillS, "s"), si(m.MakeS, "s"), si(m.MadePerS, "items"), share(m.MadePerS, float64(m.ClassMadePerS)))
	fmt.Fprintf(out, "  random reads, none waits: %s a second, %s, %s of the bandwidth\n",
		si(m.RandomPerS, "items"), si(m.RandomBytesPerS, "B/s"), share(m.RandomBytesPerS, bandwidth))
	fmt.Fprintf(out, "  walks: %s a second, %s, %s of random reads, %s of what the class can at best\n",
		si(m.ReadPerS, "items"), si(m.ReadBytesPerS, "B/s"), share(m.ReadPerS, m.RandomPerS), share(m.ReadPerS, float64(m.ClassReadPerS)))
	fmt.Fprintf(out, "  that proves %s, %s of the dataset; a best of the class could hide %.1f %%\n",
		si(float64(m.ProvenBytes), "B"), share(float64(m.ProvenBytes), float64(m.Bytes)), 100*m.HiddenShare)
}

// printChallenges writes the whole challenges.
func printChallenges(out io.Writer, r exam.Report) error {
	fmt.Fprintln(out, "\nWhole challenges, the checker in this process:")
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "CHALLENGE\tOUTCOME\tTOOK\tSHOWN AT LEAST\tSAMPLES\tOPENED\tCHECKER'S PROCESSOR")
	row := func(name, unit string, c *exam.Result) {
		if c == nil {
			return
		}
		outcome := c.Outcome
		if c.Clause != "" {
			outcome += " (" + c.Clause + ")"
		}
		fmt.Fprintf(w, "%s %d\t%s\t%s\t%s\t%d\t%s\t%s\n", name, c.Profile, outcome, si(c.ElapsedS+c.FillS, "s"), si(c.PerSLower, unit),
			c.Samples, si(float64(c.BytesOpened), "B"), si(c.CheckerS, "s"))
	}
	for _, c := range r.Flavours {
		row(c.Flavour, "op/s", c.Challenge)
	}
	if r.Memory != nil {
		row("memory", "read/s", r.Memory.Challenge)
	}
	return w.Flush()
}

// of is the peak of a flavour; 0: not known.
func (p *peaks) of(flavour string) uint64 {
	switch {
	case p == nil:
		return 0
	case flavour == "int8":
		return p.Int8
	case flavour == "bf16":
		return p.BF16
	default:
		return p.FP64
	}
}
