package devnet

import (
	"context"
	"fmt"
	"slices"

	"github.com/assaynet/assay/challenges"
	"github.com/assaynet/assay/checker/client"
	"github.com/assaynet/assay/checker/committee"
	"github.com/assaynet/assay/checker/evidence"
	"github.com/assaynet/assay/checker/reputation"
)

// judge knows what was planted and reads what the checkers say, over their API
// alone.
type judge struct {
	params    *committee.Params
	planted   []planted // in the order of the providers
	clients   []*client.Client
	collector *client.Collector
}

// planted is a provider and how it was made to behave.
type planted struct {
	Name      string
	ID        challenges.NodeID
	Behaviour string
}

// honest reports that nothing bad was planted.
func (p planted) honest() bool { return p.Behaviour == Honest || p.Behaviour == Attested }

func newJudge(r *committee.Registry, apis []string, p []planted, trust evidence.Trust) (*judge, error) {
	j := &judge{params: &r.Params, planted: p}
	for _, a := range apis {
		c, err := client.New(a)
		if err != nil {
			return nil, err
		}
		j.clients = append(j.clients, c)
	}
	j.collector = client.NewCollector(r, j.clients, trust)
	return j, nil
}

// look reads what is new and returns every planted provider's document; the zero
// document for one that no checker has reported on yet.
func (j *judge) look(ctx context.Context) ([]client.Provider, error) {
	err := j.collector.Update(ctx)
	byID := make(map[challenges.NodeID]client.Provider)
	for _, p := range j.collector.Providers() {
		byID[p.ID] = p
	}
	out := make([]client.Provider, len(j.planted))
	for i, p := range j.planted {
		d, ok := byID[p.ID]
		if !ok {
			d = client.Describe(&reputation.Standing{Provider: p.ID}, j.params)
		}
		out[i] = d
	}
	return out, err
}

// Expectation is one thing that must be true of a planted provider.
type Expectation struct {
	Provider string `json:"provider"`
	Expect   string `json:"expect"`
	Met      bool   `json:"met"`
}

// expect holds what the checkers say against what was planted.
func expect(p []planted, docs []client.Provider) []Expectation {
	out := []Expectation{}
	for i, d := range docs {
		add := func(met bool, format string, args ...any) {
			out = append(out, Expectation{p[i].Name, fmt.Sprintf(format, args...), met})
		}
		has := func(flag string) bool {
			return slices.Contains(d.Flags, flag)
		}
		switch p[i].Behaviour {
		case Liar:
			add(d.Outcomes.Wrong > 0, "outcomes wrong > 0")
			add(has(reputation.FlagWorkIncorrect), "flag %s", reputation.FlagWorkIncorrect)
		case Slow:
			add(has(reputation.FlagBelowClaim), "flag %s", reputation.FlagBelowClaim)
		case Flaky:
			add(forHonest(p, docs, func(h client.Provider) bool {
				a, b := d.Availability.Reachability, h.Availability.Reachability
				return a != nil && b != nil && *a < *b
			}), "reachability lower than every honest one")
		case Busy:
			add(d.Outcomes.Refused > 0, "outcomes refused > 0")
			add(d.ByKind[string(challenges.Probe)].Pass > 0, "probes answered")
			add(d.Outcomes.Wrong == 0 && !has(reputation.FlagWorkIncorrect), "no hard mark")
		case Coward:
			add(forHonest(p, docs, func(h client.Provider) bool { return d.Score < h.Score }), "score below every honest one")
		case SmallMem:
			add(has(reputation.FlagBelowMemory), "flag %s", reputation.FlagBelowMemory)
			add(d.Memory.Bytes != nil && *d.Memory.Bytes < d.Memory.ClaimBytes/2, "under half of the claimed memory proven")
			add(d.Outcomes.Wrong == 0, "no hard mark")
		case Sharer:
			k := partner(p, i)
			add(slices.ContainsFunc(d.Shared, func(s client.SharedDevice) bool { return s.Other == p[k].ID }),
				"flag %s, with %s", reputation.FlagSharedDevice, p[k].Name)
			add(d.Outcomes.Wrong == 0, "no hard mark")
		case Oversold:
			add(has(reputation.FlagOversold), "flag %s", reputation.FlagOversold)
			add(d.Outcomes.Wrong == 0, "no hard mark")
		case Counterfeit:
			add(has(reputation.FlagCardContradicted), "flag %s", reputation.FlagCardContradicted)
			add(has(reputation.FlagUnlikeModel), "flag %s", reputation.FlagUnlikeModel)
			add(d.Level == 0, "level L0")
			add(d.Outcomes.Wrong == 0, "no hard mark")
		case Attested, Honest:
			if p[i].Behaviour == Attested {
				add(d.Attested && d.Level == 4, "level L4, simulated")
				add(len(d.Cards) == 1 && d.Cards[0].Identity != nil, "the identity of its card")
			}
			add(d.GPU().Pass >= 3, "at least 3 passes")
			shown := func(t client.Throughput) bool { return t.Ops != nil }
			add(slices.ContainsFunc(d.Throughput, shown), "a throughput")
			add(len(d.Flags) == 0, "no flag")
			add(d.Memory.Bytes == nil || *d.Memory.Bytes >= d.Memory.ClaimBytes*7/10, "no less than 70 %% of the claimed memory proven")
			above := true
			for k, other := range docs {
				if !p[k].honest() && other.Score >= d.Score {
					above = false
				}
			}
			add(above, "score above every planted cheater")
		}
	}
	return out
}

// partner is the provider that shares a device with sharer i.
func partner(p []planted, i int) int {
	before := 0
	for _, other := range p[:i] {
		if other.Behaviour == Sharer {
			before++
		}
	}
	step := 1 - 2*(before%2)
	for i += step; p[i].Behaviour != Sharer; i += step {
	}
	return i
}

// forHonest reports that ok holds against every honest provider.
func forHonest(p []planted, docs []client.Provider, ok func(client.Provider) bool) bool {
	for i, d := range docs {
		if p[i].honest() && !ok(d) {
			return false
		}
	}
	return true
}
