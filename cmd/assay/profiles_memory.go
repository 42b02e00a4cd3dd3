package main

import (
	"errors"
	"fmt"
	"io"
	"text/tabwriter"
	"time"

	"github.com/assaynet/assay/challenges/memory"
	"github.com/assaynet/assay/cmd/assay/terminal"
)

// memoryRow is a class of proofs of memory as JSON.
type memoryRow struct {
	Number     uint16  `json:"number"`
	Name       string  `json:"name"`
	Simulated  bool    `json:"simulated"`
	CacheBytes int     `json:"cache_bytes"`
	Parents    int     `json:"parents"` // dependent reads of the cache for an item
	Rounds     int     `json:"rounds"`
	Samples    int     `json:"samples"`    // walks, a round
	ReadBytes  uint64  `json:"read_bytes"` // the best random reads of the class, bytes/s
	Hidden     float64 `json:"hidden"`     // g*: the share of a dataset that no proof of the class shows
	Miss       float64 `json:"miss"`       // probability that 5 % invented outputs pass

	Asked *memoryAsked `json:"asked"` // null without --bytes
}

// memoryAsked is what a device would be asked.
type memoryAsked struct {
	DatasetBytes uint64  `json:"dataset_bytes"`
	ProvenBytes  uint64  `json:"proven_bytes"` // at the best rate of the class
	FillS        float64 `json:"fill_s"`       // at the class's best
	WalkS        float64 `json:"walk_s"`
	DeadlineS    float64 `json:"deadline_s"`
}

// memoryRows are the rows that can ask for so many bytes; all of them for 0.
func (o *profileOptions) memoryRows() ([]memoryRow, error) {
	switch {
	case o.flavour != "" || o.purpose != "" || o.ops != 0 || o.budget != 0:
		return nil, errors.New("--memory goes with --bytes and --rtt alone")
	case o.bytes != 0 && !(o.bytes >= 150e3 && o.bytes <= 4.8e12):
		return nil, fmt.Errorf("--bytes %g: want 150e3 to 4.8e12", o.bytes)
	case o.rtt < 0 || o.rtt > 10*time.Second:
		return nil, fmt.Errorf("--rtt %v: want 0s to 10s", o.rtt)
	case o.rtt != 0 && o.bytes == 0:
		return nil, errors.New("--rtt needs --bytes")
	}
	rows := []memoryRow{}
	for _, p := range memory.Profiles() {
		row := memoryRow{
			p.Number, p.Name, p.Simulated, p.Lines * memory.ItemBytes, p.Parents, p.Rounds, p.Samples,
			p.ReadRate * memory.ItemBytes, p.Hidden(), p.Miss(0.05), nil,
		}
		if o.bytes != 0 {
			params := memory.Params{Profile: p.Number, Items: memory.Items(uint64(o.bytes)), RTT: o.rtt}
			if params.Check() != nil {
				continue // the class has no such device
			}
			d := params.Dataset()
			row.Asked = &memoryAsked{
				d.Bytes(), d.Proven(p.ReadRate), d.FillTime().Seconds(), d.WalkTime().Seconds(), d.Deadline(o.rtt).Seconds(),
			}
		}
		rows = append(rows, row)
	}
	return rows, nil
}

func (o *profileOptions) printMemories(out io.Writer) error {
	rows, err := o.memoryRows()
	if err != nil {
		return usageError{err}
	}
	if o.json {
		return writeJSON(out, struct {
			Memory []memoryRow `json:"memory"`
		}{rows})
	}
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	head := "NUMBER\tNAME\tCACHE\tPARENTS\tROUNDS\tSAMPLES\tREADS\tG*\tMISS 5 %"
	if o.bytes != 0 {
		head += "\tDATASET\tPROVEN\tFILL\tWALKS\tDEADLINE"
	}
	fmt.Fprintln(w, head)
	for _, r := range rows {
		fmt.Fprintf(w, "%d\t%s\t%d KiB\t%d\t%d\t%d\t%s\t%.1f %%\t%.1e", r.Number, r.Name, max(1, r.CacheBytes>>10), r.Parents,
			r.Rounds, r.Rounds*r.Samples, terminal.Unit(r.ReadBytes, "B/s"), 100*r.Hidden, r.Miss)
		if a := r.Asked; a != nil {
			fmt.Fprintf(w, "\t%s\t%s\t%.3g s\t%.3g s\t%.3g s", terminal.Unit(a.DatasetBytes, "B"), terminal.Unit(a.ProvenBytes, "B"),
				a.FillS, a.WalkS, a.DeadlineS)
		}
		fmt.Fprintln(w)
	}
	return w.Flush()
}
