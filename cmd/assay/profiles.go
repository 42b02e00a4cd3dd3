package main

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/assaynet/assay/challenges"
	"github.com/assaynet/assay/checker/committee"
)

// profileRow is a row of the profile table as JSON.
type profileRow struct {
	Number    uint16             `json:"number"`
	Name      string             `json:"name"`
	Purpose   challenges.Purpose `json:"purpose"`
	Simulated bool               `json:"simulated"`
	Flavour   challenges.Flavour `json:"flavour"`
	M         int                `json:"m"`
	N         int                `json:"n"`
	K         int                `json:"k"`
	Rounds    int                `json:"rounds"`
	Warm      int                `json:"warm_rounds"`
	Samples   int                `json:"samples"` // a round
	Ops       uint64             `json:"ops"`     // of the whole challenge
	Miss      float64            `json:"miss"`    // probability that 1 % skipped passes
	Choice    *profileChoice     `json:"choice"`  // null without --ops
}

// profileChoice is what a checker would send to a device.
type profileChoice struct {
	Window    uint8   `json:"window"`
	ExpectedS float64 `json:"expected_s"` // device time at the claim
	MeasuredS float64 `json:"measured_s"` // of it, after the warm-up
	DeadlineS float64 `json:"deadline_s"`
}

func describeProfile(p challenges.Profile) profileRow {
	s := p.Shape
	return profileRow{
		Number: p.Number, Name: p.Name, Purpose: p.Purpose, Simulated: p.Simulated, Flavour: s.Flavour, M: s.M, N: s.N, K: s.K,
		Rounds: p.Rounds, Warm: p.Warm, Samples: p.Samples, Ops: p.TotalOps(), Miss: p.Miss(0.01),
	}
}

// profileOptions are the flags of assay profiles.
type profileOptions struct {
	flavour, purpose string
	ops              float64
	rtt, budget      time.Duration
	json             bool

	memory bool
	bytes  float64
}

func profilesCommand() *cobra.Command {
	var o profileOptions
	cmd := &cobra.Command{
		Use:   "profiles",
		Short: "Show the table of challenges, or what a device would be asked",
		Long: "The profile table fixes what a proof of compute asks: nobody chooses anything else. With --ops, the rows that a\n" +
			"checker takes for a device of that claim: the cheapest that mean something at that distance. With --memory, the\n" +
			"classes of proofs of memory, and with --bytes what a device with so much memory would be asked.",
		Example: "  assay profiles --memory --bytes 80e9\n  assay profiles --flavour bf16\n  assay profiles --flavour int8 --ops 1.1e15 --rtt 30ms\n" +
			"  assay profiles --flavour int8 --ops 60e12 --purpose capacity --json",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if o.memory || o.bytes != 0 {
				return o.printMemories(cmd.OutOrStdout())
			}
			want, err := o.want()
			if err != nil {
				return usageError{err}
			}
			rows, why := o.rows(want)
			if o.json {
				err = writeJSON(cmd.OutOrStdout(), struct {
					Profiles []profileRow `json:"profiles"`
				}{append([]profileRow{}, rows...)})
			} else {
				err = printProfiles(cmd.OutOrStdout(), rows)
			}
			for _, w := range why {
				fmt.Fprintf(cmd.ErrOrStderr(), "assay: %v\n", w)
			}
			return err
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&o.flavour, "flavour", "", "only this flavour: int8, bf16 or fp64fma")
	flags.StringVar(&o.purpose, "purpose", "", "only this purpose: spot, capacity, pulse, devnet, slot or vector")
	flags.Float64Var(&o.ops, "ops", 0, "what the device claims, in ops/s: show what it would be asked")
	flags.DurationVar(&o.rtt, "rtt", 0, "round-trip time between checker and device")
	flags.DurationVar(&o.budget, "budget", 0, "most device time for one challenge; 0: the table's bounds")
	flags.BoolVar(&o.memory, "memory", false, "the classes of proofs of memory, with what none of them shows")
	flags.Float64Var(&o.bytes, "bytes", 0, "with --memory: what the device has, in bytes: show what it would be asked")
	flags.BoolVar(&o.json, "json", false, "print JSON")
	return cmd
}

// want checks the flags. Without --ops nothing is wanted of the chooser.
func (o *profileOptions) want() (committee.Want, error) {
	w := committee.Want{RTT: o.rtt, Budget: o.budget}
	if o.flavour != "" {
		if err := w.Flavour.UnmarshalText([]byte(o.flavour)); err != nil {
			return w, fmt.Errorf("--flavour: %w", err)
		}
	}
	purposes := []challenges.Purpose{challenges.Spot, challenges.Capacity, challenges.Pulse, challenges.Devnet, challenges.Slot, challenges.Vector}
	switch {
	case o.purpose != "" && !slices.Contains(purposes, challenges.Purpose(o.purpose)):
		return w, fmt.Errorf("--purpose %q: want spot, capacity, pulse, devnet, slot or vector", o.purpose)
	case o.rtt < 0 || o.budget < 0:
		return w, errors.New("--rtt and --budget: want no negative time")
	case o.ops == 0 && (o.rtt != 0 || o.budget != 0):
		return w, errors.New("--rtt and --budget need --ops")
	case o.ops == 0:
		return w, nil
	case !(o.ops >= 1e3 && o.ops <= 1e18):
		return w, fmt.Errorf("--ops %g: want 1e3 to 1e18", o.ops)
	case o.flavour == "":
		return w, errors.New("--ops needs --flavour: a device has a rate for each")
	}
	w.Claim = uint64(o.ops)
	return w, nil
}

// rows are the table's, or the chosen ones and why some purposes have none.
func (o *profileOptions) rows(w committee.Want) (rows []profileRow, why []error) {
	if w.Claim > 0 {
		return chosenProfiles(w, o.purpose)
	}
	for _, p := range challenges.Profiles() {
		if (o.flavour == "" || p.Shape.Flavour == w.Flavour) && (o.purpose == "" || string(p.Purpose) == o.purpose) {
			rows = append(rows, describeProfile(p))
		}
	}
	return rows, nil
}

// chosenProfiles is what the chooser takes for each purpose, and why nothing.
func chosenProfiles(w committee.Want, purpose string) (rows []profileRow, why []error) {
	for _, p := range []challenges.Purpose{challenges.Spot, challenges.Capacity, challenges.Pulse} {
		if purpose != "" && string(p) != purpose {
			continue
		}
		w.Purpose = p
		c, err := committee.Choose(w)
		if err != nil {
			why = append(why, err)
			continue
		}
		row := describeProfile(c.Profile)
		row.Choice = &profileChoice{
			c.Params.Window, c.Expected.Seconds(), c.Profile.Measured(w.Claim).Seconds(), c.Deadline.Seconds(),
		}
		rows = append(rows, row)
	}
	return rows, why
}

func printProfiles(out io.Writer, rows []profileRow) error {
	if len(rows) == 0 {
		return nil
	}
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	head := "NUMBER\tNAME\tM x N x K\tROUNDS\tWARM\tSAMPLES\tOPS\tMISS 1 %"
	if rows[0].Choice != nil {
		head += "\tWINDOW\tTAKES\tMEASURED\tDEADLINE"
	}
	fmt.Fprintln(w, head)
	for _, r := range rows {
		fmt.Fprintf(w, "%d\t%s\t%d x %d x %d\t%d\t%d\t%d\t%.2g\t%.1e", r.Number, r.Name, r.M, r.N, r.K, r.Rounds, r.Warm,
			r.Rounds*r.Samples, float64(r.Ops), r.Miss)
		if c := r.Choice; c != nil {
			fmt.Fprintf(w, "\t%d\t%.3g s\t%.3g s\t%.3g s", c.Window, c.ExpectedS, c.MeasuredS, c.DeadlineS)
		}
		fmt.Fprintln(w)
	}
	return w.Flush()
}
