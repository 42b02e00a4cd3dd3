package main

import (
	"encoding/json"
	"fmt"
	"io"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/assaynet/assay/gpu/cuda/driver"
	"github.com/assaynet/assay/gpu/exam"
)

// options are the flags of all commands.
type options struct {
	library string
	json    bool
	cases   []exam.Case // that check and bench compare
}

// card is a card as JSON: what the driver says of it, and the row of the table of
// models that this fits.
type card struct {
	Number     int     `json:"number"` // among those that the driver shows
	Name       string  `json:"name"`
	Model      *string `json:"model"` // its row in the table, or other-CLASS; null: too old
	UUID       string  `json:"uuid"`
	PCI        string  `json:"pci"`
	Capability string  `json:"compute_capability"`
	Bytes      uint64  `json:"memory_bytes"`
	SMs        int     `json:"sms"`
	ClockHz    uint64  `json:"clock_hz"`
	BytesPerS  uint64  `json:"memory_bytes_per_s"` // by its clock and width; 0: not given
	Supported  bool    `json:"supported"`
}

// describe is a driver's word of a card.
func describe(c driver.Card) card {
	out := card{
		Number: c.Ordinal, Name: c.Name, UUID: c.UUID, PCI: c.PCI, Capability: fmt.Sprintf("%d.%d", c.Major, c.Minor),
		Bytes: c.Memory, SMs: c.SMs, ClockHz: uint64(c.ClockKHz) * 1000, BytesPerS: c.Bandwidth(), Supported: c.Supported(),
	}
	if spec, _, ok := c.Model(); ok {
		out.Model = &spec.Name
	}
	return out
}

func cardsCommand(o *options) *cobra.Command {
	return &cobra.Command{
		Use:     "cards",
		Short:   "List the cards that the driver shows",
		Long:    "cards lists what the driver says of this machine's cards. Whoever owns the machine can make it say anything.",
		Example: "  assay-gpu cards\n  CUDA_VISIBLE_DEVICES=1 assay-gpu cards --json",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			lib, err := driver.Load(o.library)
			if err != nil {
				return err
			}
			all, err := lib.Cards()
			if err != nil {
				return err
			}
			version, err := lib.Version()
			if err != nil {
				return err
			}
			return printCards(cmd.OutOrStdout(), o.json, version, all)
		},
	}
}

func printCards(out io.Writer, asJSON bool, version int, all []driver.Card) error {
	rows := make([]card, len(all))
	for i, c := range all {
		rows[i] = describe(c)
	}
	if asJSON {
		return writeJSON(out, struct {
			CUDA  string `json:"cuda"`
			Cards []card `json:"cards"`
		}{cudaVersion(version), rows})
	}
	if len(rows) == 0 {
		fmt.Fprintf(out, "The driver (CUDA %s) shows no card.\n", cudaVersion(version))
		return nil
	}
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "CARD\tNAME\tMODEL\tMEMORY\tSMS\tCC\tPCI\tUUID")
	for _, c := range rows {
		model := "-"
		switch {
		case !c.Supported:
			model = "too old: 7.5 is the least"
		case c.Model != nil:
			model = *c.Model
		}
		fmt.Fprintf(w, "%d\t%s\t%s\t%.1f GB\t%d\t%s\t%s\t%s\n", c.Number, c.Name, model, float64(c.Bytes)/1e9, c.SMs, c.Capability, c.PCI, c.UUID)
	}
	return w.Flush()
}

// cudaVersion writes what cuDriverGetVersion says: 12040 is 12.4.
func cudaVersion(v int) string { return fmt.Sprintf("%d.%d", v/1000, v%1000/10) }

func writeJSON(out io.Writer, v any) error {
	enc := json.NewEncoder(out)
	enc.SetIndent("", "  ")
	return enc.Encode(v)
}

// find is the card of a number.
func find(lib *driver.Library, number int) (driver.Card, error) {
	all, err := lib.Cards()
	if err != nil {
		return driver.Card{}, err
	}
	for _, c := range all {
		if c.Ordinal == number {
			return c, nil
		}
	}
	return driver.Card{}, fmt.Errorf("card %d: %w: the driver shows %d", number, errNoCard, len(all))
}
