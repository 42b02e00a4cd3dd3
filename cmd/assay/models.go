package main

import (
	"fmt"
	"io"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/assaynet/assay/cmd/assay/terminal"
	"github.com/assaynet/assay/gpu/models"
)

// modelRow is a row of the table of GPU models as JSON. Rates are ops/s; 0: not known.
type modelRow struct {
	Name       string     `json:"name"`
	Title      string     `json:"title"`
	Simulated  bool       `json:"simulated"`
	Capability string     `json:"compute_capability"`
	Memory     uint64     `json:"memory_bytes"`
	Bandwidth  uint64     `json:"memory_bytes_per_s"`
	SMs        int        `json:"sms"`
	ClockHz    uint64     `json:"clock_hz"`
	L2         uint64     `json:"l2_bytes"`
	Watts      int        `json:"watts"`
	PCI        []string   `json:"pci_ids"`
	Class      uint16     `json:"memory_class"` // row of assay profiles --memory; 0: none
	Peak       modelRates `json:"peak"`
	Reference  modelRates `json:"reference"` // of the exact products and lanes, by the best known method
	Measured   modelFrom  `json:"reference_from"`
	Source     string     `json:"source"`
}

type modelRates struct {
	Int8 uint64 `json:"int8"`
	BF16 uint64 `json:"bf16"`
	FP64 uint64 `json:"fp64fma"`
}

type modelFrom struct {
	Int8 modelBasis `json:"int8"`
	BF16 modelBasis `json:"bf16"`
	FP64 modelBasis `json:"fp64fma"`
}

// modelBasis is where a reference comes from; empty: there is none.
type modelBasis struct {
	Measured bool   `json:"measured"`
	From     string `json:"from"`
}

func describeModel(s models.Spec) modelRow {
	row := modelRow{
		Name: s.Name, Title: s.Title, Simulated: s.Simulated, Memory: s.Memory, Bandwidth: s.Bandwidth, SMs: s.SMs,
		ClockHz: s.ClockHz, L2: s.L2, Watts: s.Watts, PCI: []string{}, Class: s.Memories, Source: s.Source,
		Peak:      modelRates{s.Peak.Int8, max(s.Peak.BF16, s.Peak.FP16), s.Peak.FP64},
		Reference: modelRates{s.Int8Ops, s.BF16Ops, s.FP64Ops},
		Measured:  modelFrom{modelBasis(s.Reference.Int8), modelBasis(s.Reference.BF16), modelBasis(s.Reference.FP64)},
	}
	if s.Major > 0 {
		row.Capability = fmt.Sprintf("%d.%d", s.Major, s.Minor)
	}
	for _, id := range s.PCI {
		if id != 0 {
			row.PCI = append(row.PCI, fmt.Sprintf("10de:%04x", id))
		}
	}
	return row
}

func modelsCommand() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "models [NAME]",
		Short: "Show the table of GPU models, or one with its sources",
		Long: "The table of models has what is published of each GPU, and what its best exact method is known or estimated to\n" +
			"reach. A card that is not in it has a class and no rates: nothing is held against it.",
		Example: "  assay models\n  assay models h100-sxm\n  assay models --json",
		Args:    cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			var rows []modelRow
			if len(args) == 1 {
				s, err := models.Lookup(args[0])
				if err != nil {
					return hinted{usageError{err}, "assay models lists them"}
				}
				rows = append(rows, describeModel(s))
			} else {
				for _, s := range models.Table() {
					rows = append(rows, describeModel(s))
				}
			}
			switch out := cmd.OutOrStdout(); {
			case asJSON:
				return writeJSON(out, struct {
					Models []modelRow `json:"models"`
				}{rows})
			case len(args) == 1:
				return printModel(out, rows[0])
			default:
				return printModels(out, rows)
			}
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

// figure writes a figure, or that there is none.
func figure(v uint64, of string) string {
	if v == 0 {
		return "-"
	}
	return terminal.Unit(v, of)
}

func printModels(out io.Writer, rows []modelRow) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "NAME\tCC\tMEMORY\tBANDWIDTH\tINT8 PEAK\tBF16 PEAK\tFP64 PEAK\tCLASS\tTITLE")
	for _, r := range rows {
		capability := r.Capability
		if r.Simulated {
			capability = "sim"
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t%d\t%s\n", r.Name, capability, figure(r.Memory, "B"), figure(r.Bandwidth, "B/s"),
			figure(r.Peak.Int8, "op/s"), figure(r.Peak.BF16, "op/s"), figure(r.Peak.FP64, "op/s"), r.Class, r.Title)
	}
	return w.Flush()
}

func printModel(out io.Writer, r modelRow) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	line := func(what, format string, args ...any) { fmt.Fprintf(w, what+"\t"+format+"\n", args...) }
	rate := func(what string, peak, reference uint64, from modelBasis) {
		how := figure(reference, "op/s")
		switch {
		case from.Measured:
			how += ", measured: " + from.From
		case from.From != "":
			how += ", " + from.From
		}
		line(what, "peak %s; best known %s", figure(peak, "op/s"), how)
	}
	line("name", "%s", r.Name)
	if r.Title != "" {
		line("title", "%s", r.Title)
	}
	if r.Capability != "" {
		line("compute capability", "%s, %d multiprocessors, clock %s", r.Capability, r.SMs, figure(r.ClockHz, "Hz"))
		line("PCI ids", "%v", r.PCI)
	}
	line("memory", "%s at %s, class %d", figure(r.Memory, "B"), figure(r.Bandwidth, "B/s"), r.Class)
	rate("int8", r.Peak.Int8, r.Reference.Int8, r.Measured.Int8)
	rate("bf16", r.Peak.BF16, r.Reference.BF16, r.Measured.BF16)
	rate("fp64fma", r.Peak.FP64, r.Reference.FP64, r.Measured.FP64)
	line("source", "%s", r.Source)
	return w.Flush()
}
