package reputation

import (
	"fmt"
	"slices"

	"github.com/assaynet/assay/challenges"
	"github.com/assaynet/assay/checker/committee"
	"github.com/assaynet/assay/checker/report"
)

// Bounds of what a standing keeps.
const (
	MaxFigures = 64 // latest figures of throughput, of memory, and of fleets
	MaxProofs  = 16 // first transcripts that prove wrong work
)

// KindCount counts outcomes of one kind of challenge.
type KindCount struct {
	_        struct{} `cbor:",toarray"`
	Kind     challenges.Kind
	Outcomes [8]uint64 // by challenges.Outcome; index 0 is unused
}

// CheckerRate is how often one checker reached the provider.
type CheckerRate struct {
	_       struct{} `cbor:",toarray"`
	Checker challenges.NodeID
	Up      uint64
	Total   uint64
}

// Figure is one measured throughput; or memory, in bytes.
type Figure struct {
	_       struct{} `cbor:",toarray"`
	Epoch   uint64
	Checker challenges.NodeID
	Flavour challenges.Flavour
	Ops     uint64 // lower bound, ops/s
	Claim   uint64 // ops/s
}

// Rate is the throughput of one flavour.
type Rate struct {
	_       struct{} `cbor:",toarray"`
	Flavour challenges.Flavour
	Best    uint64 // largest lower bound, ops/s; 0: none yet
	Claim   uint64 // latest claim, ops/s
}

// Standing is everything that is remembered of a provider. The zero value is a
// provider that nobody has seen.
type Standing struct {
	_         struct{} `cbor:",toarray"`
	Provider  challenges.NodeID
	Next      uint64 // first epoch that is not folded yet
	Simulated bool
	Kinds     []KindCount // as challenges.Kinds
	Neutral   uint64      // refusals that count for nothing
	Checkers  []CheckerRate
	Figures   []Figure
	Rates     []Rate   // ascending by flavour
	Memory    []Figure // bytes proven, and claimed
	Reads     uint64   // largest lower bound of items of memory read at random, items/s; 0: none yet
	Fleets    []Figure // what its devices did together, and were claimed to
	Cards     []Card   // ascending by device
	Conflicts []Conflict
	Proofs    []challenges.Hash

	Slices    uint64 // probe instants seen
	Down      uint64 // confirmed down
	Contested uint64
	Uncertain uint64
	Possible  uint64 // confirmed down, with the slices on both sides of each outage
	Episodes  uint64
	LastDown  uint64 // index of the last confirmed-down slice since genesis, plus one
}

// Event is a change of standing that somebody may want to hear of.
type Event struct {
	Epoch    uint64
	Provider challenges.NodeID
	Code     string
}

// Fold adds one epoch. Epochs must come in order, each once: an epoch that is
// folded already changes nothing.
func Fold(s Standing, a Aggregate, p *committee.Params) (Standing, []Event) {
	if a.Epoch < s.Next {
		return s, nil
	}
	before := Flags(&s, p)
	s = s.clone()
	s.Provider, s.Next = a.Provider, a.Epoch+1
	s.Simulated = s.Simulated || a.Simulated
	for _, o := range a.Observers {
		s.observer(a.Epoch, o, p)
	}
	for k, word := range a.Slices {
		s.slice(a.Epoch*uint64(p.Slices())+uint64(k), word, p)
	}
	var events []Event
	for _, f := range Flags(&s, p) {
		if !slices.Contains(before, f) {
			events = append(events, Event{a.Epoch, a.Provider, f})
		}
	}
	return s, events
}

func (s *Standing) clone() Standing {
	c := *s
	c.Kinds = slices.Clone(s.Kinds)
	c.Checkers = slices.Clone(s.Checkers)
	c.Figures = slices.Clone(s.Figures)
	c.Rates = slices.Clone(s.Rates)
	c.Memory = slices.Clone(s.Memory)
	c.Fleets = slices.Clone(s.Fleets)
	c.Cards = slices.Clone(s.Cards)
	c.Proofs = slices.Clone(s.Proofs)
	return c
}

func (s *Standing) observer(epoch uint64, o Observer, p *committee.Params) {
	probes := s.kind(challenges.Probe)
	rate := s.checker(o.Checker)
	for out, n := range o.Probes {
		probes.Outcomes[out] += n
		switch challenges.Outcome(out) {
		case 0, challenges.Unknown:
		case challenges.Unreachable:
			rate.Total += n
		default:
			rate.Total += n
			rate.Up += n
		}
	}
	var runs []challenges.Hash
	for _, it := range o.Items {
		s.kind(it.Kind).Outcomes[it.Outcome]++
		if it.Kind != challenges.Probe && it.Neutral() {
			s.Neutral++
		}
		if run := it.Fleet; run.Claim > 0 && !slices.Contains(runs, run.Run) {
			runs = append(runs, run.Run)
			s.Fleets = kept(s.Fleets, Figure{Epoch: epoch, Checker: o.Checker, Ops: run.Sum, Claim: run.Claim})
		}
		switch flavour, ok := it.Flavour(); {
		case ok:
			s.throughput(epoch, o.Checker, flavour, it)
		// A run that came too late to prove anything is a figure: it is the device's
		// own speed that proves so little.
		case it.OpsLower > 0 || it.Outcome == challenges.Late:
			s.Reads = max(s.Reads, it.OpsLower)
			s.Memory = kept(s.Memory, Figure{Epoch: epoch, Checker: o.Checker, Ops: it.Proven(), Claim: it.Claim})
		}
		s.card(epoch, o.Checker, it, p)
		if it.Outcome == challenges.Wrong && len(s.Proofs) < MaxProofs {
			s.Proofs = append(s.Proofs, it.Transcript)
		}
	}
}

// throughput notes the claim of a flavour, and a figure if there is one.
func (s *Standing) throughput(epoch uint64, checker challenges.NodeID, f challenges.Flavour, it report.Item) {
	rate := s.rate(f)
	if it.Claim > 0 {
		rate.Claim = it.Claim
	}
	if it.OpsLower > 0 {
		rate.Best = max(rate.Best, it.OpsLower)
		s.Figures = kept(s.Figures, Figure{Epoch: epoch, Checker: checker, Flavour: f, Ops: it.OpsLower, Claim: it.Claim})
	}
}

// kept adds a figure and keeps the latest.
func kept(figures []Figure, f Figure) []Figure {
	figures = append(figures, f)
	return figures[max(0, len(figures)-MaxFigures):]
}

// slice adds one probe instant and keeps the outage sums: an outage's possible
// length reaches one slice further on both sides than what was confirmed.
func (s *Standing) slice(index uint64, word Slice, p *committee.Params) {
	s.Slices++
	switch word {
	case SliceUncertain:
		s.Uncertain++
	case SliceContested:
		s.Contested++
	case SliceDown:
		s.Down++
		s.Possible++
		gap := uint64(p.EpisodeGap / p.ProbeEvery)
		if s.LastDown == 0 || index-(s.LastDown-1) > 1 {
			s.Possible += 2
		}
		if s.LastDown == 0 || index-(s.LastDown-1) > gap {
			s.Episodes++
		}
		s.LastDown = index + 1
	}
}

func (s *Standing) kind(k challenges.Kind) *KindCount {
	for i := range s.Kinds {
		if s.Kinds[i].Kind == k {
			return &s.Kinds[i]
		}
	}
	s.Kinds = append(s.Kinds, KindCount{Kind: k})
	slices.SortFunc(s.Kinds, func(a, b KindCount) int {
		if a.Kind < b.Kind {
			return -1
		}
		return 1
	})
	return s.kind(k)
}

func (s *Standing) rate(f challenges.Flavour) *Rate {
	i, ok := slices.BinarySearchFunc(s.Rates, f, func(r Rate, f challenges.Flavour) int { return int(r.Flavour) - int(f) })
	if !ok {
		s.Rates = slices.Insert(s.Rates, i, Rate{Flavour: f})
	}
	return &s.Rates[i]
}

func (s *Standing) checker(id challenges.NodeID) *CheckerRate {
	i, ok := slices.BinarySearchFunc(s.Checkers, id, func(r CheckerRate, id challenges.NodeID) int { return r.Checker.Compare(id) })
	if !ok {
		s.Checkers = slices.Insert(s.Checkers, i, CheckerRate{Checker: id})
	}
	return &s.Checkers[i]
}

// Check bounds the fields of a standing read from a store.
func (s *Standing) Check() error {
	if max(len(s.Figures), len(s.Memory), len(s.Fleets)) > MaxFigures || len(s.Proofs) > MaxProofs || len(s.Kinds) > len(challenges.Kinds()) ||
		len(s.Rates) > len(challenges.Flavours()) || len(s.Cards) > MaxCards || len(s.Conflicts) > MaxConflicts {
		return fmt.Errorf("%d figures, %d proofs, %d kinds, %d rates, %d cards", len(s.Figures), len(s.Proofs), len(s.Kinds), len(s.Rates), len(s.Cards))
	}
	for _, c := range s.Cards {
		if len(c.Words) > MaxWords {
			return fmt.Errorf("card %q: %d words", c.Device, len(c.Words))
		}
	}
	return nil
}

// Count is how often challenges of a kind ended so; of all kinds for kind "".
func (s *Standing) Count(k challenges.Kind, o challenges.Outcome) uint64 {
	var n uint64
	for i := range s.Kinds {
		if k == "" || s.Kinds[i].Kind == k {
			n += s.Kinds[i].Outcomes[o]
		}
	}
	return n
}

// gpu counts the challenges that cost GPU time: all kinds but probes.
func (s *Standing) gpu(o challenges.Outcome) uint64 {
	return s.Count("", o) - s.Count(challenges.Probe, o)
}
