package devnet

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/assaynet/assay/challenges"
	"github.com/assaynet/assay/checker/client"
	"github.com/assaynet/assay/checker/evidence"
)

// Report is what a devnet prints at its end.
type Report struct {
	Network      string        `json:"network"`
	DurationS    float64       `json:"duration_s"`
	Epochs       uint64        `json:"epochs"` // sealed by every checker
	Checkers     []CheckerRow  `json:"checkers"`
	Providers    []ProviderRow `json:"providers"`
	Expectations []Expectation `json:"expectations"`
	dir          string
}

// CheckerRow is one checker.
type CheckerRow struct {
	Name     string            `json:"name"`
	ID       challenges.NodeID `json:"id"`
	API      string            `json:"api"`
	Verdicts uint64            `json:"verdicts"`
}

// ProviderRow is one provider, as all checkers together see it.
type ProviderRow struct {
	Name          string                     `json:"name"`
	ID            challenges.NodeID          `json:"id"`
	Behaviour     string                     `json:"behaviour"`
	Level         evidence.Level             `json:"level"`
	Score         float64                    `json:"score"`
	ThroughputOps *uint64                    `json:"throughput_ops"` // flavour int8
	Throughput    []client.Throughput        `json:"throughput"`
	Memory        client.Memory              `json:"memory"`
	Together      client.Together            `json:"together"`
	Shared        []client.SharedDevice      `json:"shared"`
	Availability  client.Availability        `json:"availability"`
	Outcomes      client.Outcomes            `json:"outcomes"`
	ByKind        map[string]client.Outcomes `json:"by_kind"`
	Flags         []string                   `json:"flags"`
	Reasons       []evidence.Reason          `json:"reasons"`  // for each flag
	Attested      bool                       `json:"attested"` // its cards sign their results; here they are simulated
	Cards         []client.Card              `json:"cards"`
}

// readable reports that a provider has a card that says what it is.
func (p ProviderRow) readable() bool {
	return slices.ContainsFunc(p.Cards, func(c client.Card) bool { return c.Model != nil })
}

// Met reports that every expectation is met.
func (r *Report) Met() bool {
	for _, e := range r.Expectations {
		if !e.Met {
			return false
		}
	}
	return true
}

// report judges the network as it stands.
func (n *network) report(ctx context.Context, elapsed time.Duration) (*Report, error) {
	docs, err := n.judge.look(ctx)
	for try := 0; err != nil && try < 5; try++ {
		docs, err = n.judge.look(ctx)
	}
	if err != nil {
		return nil, fmt.Errorf("read the checkers' API: %w", err)
	}
	r := &Report{
		Network: n.registry.Name, DurationS: max(0, elapsed).Round(time.Millisecond).Seconds(), Epochs: n.judge.collector.Epochs(),
		Expectations: expect(n.planted, docs), dir: n.cfg.Dir,
	}
	for i, c := range n.checkers {
		s, err := n.judge.clients[i].Status(ctx)
		if err != nil {
			return nil, fmt.Errorf("read the checkers' API: %w", err)
		}
		r.Checkers = append(r.Checkers, CheckerRow{s.Name, s.ID, c.API(), s.Verdicts})
	}
	for i, d := range docs {
		r.Providers = append(r.Providers, ProviderRow{
			n.planted[i].Name, d.ID, n.planted[i].Behaviour, d.Level, d.Score, d.ThroughputOps,
			d.Throughput, d.Memory, d.Together, d.Shared, d.Availability, d.Outcomes, d.ByKind, d.Flags, d.Reasons,
			d.Attested, d.Cards,
		})
	}
	return r, nil
}

// WriteJSON prints the report as one document.
func (r *Report) WriteJSON(w io.Writer) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	return e.Encode(r)
}
