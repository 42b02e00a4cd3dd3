// Package client is the customer's side: the documents that a checker's HTTP
// API serves, a client for them, a collector that combines several checkers,
// and Verify for evidence on disk.
package client

import (
	"time"

	"github.com/assaynet/assay/challenges"
	"github.com/assaynet/assay/challenges/memory"
	"github.com/assaynet/assay/checker/committee"
	"github.com/assaynet/assay/checker/evidence"
	"github.com/assaynet/assay/checker/report"
	"github.com/assaynet/assay/checker/reputation"
)

// Status is GET /v1/status.
type Status struct {
	Network   string            `json:"network"`    // name
	NetworkID challenges.Hash   `json:"network_id"` // hash of the genesis registry
	Simulated bool              `json:"simulated"`
	ID        challenges.NodeID `json:"id"`
	Name      string            `json:"name"`
	Epoch     uint64            `json:"epoch"`  // now
	Sealed    uint64            `json:"sealed"` // epochs below are sealed
	Verdicts  uint64            `json:"verdicts"`
}

// Outcomes counts how challenges ended.
type Outcomes struct {
	Pass        uint64 `json:"pass"`
	Wrong       uint64 `json:"wrong"`
	Late        uint64 `json:"late"`
	Withheld    uint64 `json:"withheld"`
	Refused     uint64 `json:"refused"`
	Unreachable uint64 `json:"unreachable"`
	Unknown     uint64 `json:"unknown"`
}

// Total is the sum over all outcomes.
func (o Outcomes) Total() uint64 {
	return o.Pass + o.Wrong + o.Late + o.Withheld + o.Refused + o.Unreachable + o.Unknown
}

// GPU counts the challenges that cost GPU time: all kinds but probes.
func (p Provider) GPU() Outcomes {
	var sum Outcomes
	for kind, o := range p.ByKind {
		if kind == string(challenges.Probe) {
			continue
		}
		sum.Pass += o.Pass
		sum.Wrong += o.Wrong
		sum.Late += o.Late
		sum.Withheld += o.Withheld
		sum.Refused += o.Refused
		sum.Unreachable += o.Unreachable
		sum.Unknown += o.Unknown
	}
	return sum
}

// Availability is a provider's availability; null is not known.
type Availability struct {
	Confirmed    *float64 `json:"confirmed"`
	Reachability *float64 `json:"reachability"`
	Lower95      *float64 `json:"lower95"`
}

// Throughput is what a provider showed in one flavour.
type Throughput struct {
	Flavour  challenges.Flavour `json:"flavour"`
	Ops      *uint64            `json:"ops"`       // lower bound, ops/s; null without a figure
	ClaimOps uint64             `json:"claim_ops"` // ops/s
}

// Memory is what a provider showed of its memory.
type Memory struct {
	Bytes      *uint64 `json:"bytes"`       // of a device: median of the latest proofs, each a lower bound; null without one
	ClaimBytes uint64  `json:"claim_bytes"` // of the same device
	Figures    int     `json:"figures"`
	ReadBytes  *uint64 `json:"read_bytes"` // read at random, lower bound, bytes/s; null without a figure
}

// Together is what a provider's devices did at one time.
type Together struct {
	Share   *float64 `json:"share"` // of what they claim each: median of the latest runs; null without one
	Figures int      `json:"figures"`
}

// SharedDevice is a device that slows down exactly when another one runs.
type SharedDevice struct {
	Device       string            `json:"device"`
	Other        challenges.NodeID `json:"other"`
	OtherDevice  string            `json:"other_device"`
	Together     int               `json:"together"` // slots in which both ran, after they were noticed
	TogetherSlow int               `json:"together_slow"`
	Apart        int               `json:"apart"`
	ApartSlow    int               `json:"apart_slow"`
}

// Card is what a device's results say and show of the card that made them.
type Card struct {
	Device     string           `json:"device"`
	Level      evidence.Level   `json:"level"`
	Simulated  bool             `json:"simulated"`  // no card is behind it
	Model      *string          `json:"model"`      // in gpu/models, by its telemetry: a claim; null without
	Identity   *challenges.Hash `json:"identity"`   // of the card that signed: the hash of its key; null without
	Contradict uint64           `json:"contradict"` // results with something that cannot be true
	Code       *string          `json:"code"`       // of the latest of them; null without
	Proof      *challenges.Hash `json:"proof"`      // transcript that shows it; null without
}

// Provider is what is known of a provider: GET /v1/providers/ID.
type Provider struct {
	ID            challenges.NodeID   `json:"id"`
	Level         evidence.Level      `json:"level"`
	Score         float64             `json:"score"`          // 0 to 1
	Provisional   bool                `json:"provisional"`    // the score's rule is
	ThroughputOps *uint64             `json:"throughput_ops"` // flavour int8
	ClaimOps      uint64              `json:"claim_ops"`      // flavour int8
	Throughput    []Throughput        `json:"throughput"`     // of every flavour that was asked for
	Memory        Memory              `json:"memory"`
	Together      Together            `json:"together"`
	Shared        []SharedDevice      `json:"shared"` // of a collector: one checker sees too little
	Availability  Availability        `json:"availability"`
	Outcomes      Outcomes            `json:"outcomes"`
	ByKind        map[string]Outcomes `json:"by_kind"`
	Flags         []string            `json:"flags"`
	Reasons       []evidence.Reason   `json:"reasons"`   // for each flag
	Proofs        []challenges.Hash   `json:"proofs"`    // transcripts of wrong work
	Epochs        uint64              `json:"epochs"`    // folded up to here
	Simulated     bool                `json:"simulated"` // its devices are: no level of theirs is of a card
	Attested      bool                `json:"attested"`  // the cards signed: level L3 or more
	Cards         []Card              `json:"cards"`     // what the results say and show of them
}

// Describe reads a provider's document off its standing.
func Describe(s *reputation.Standing, p *committee.Params) Provider {
	a := reputation.Available(s, p)
	d := Provider{
		ID: s.Provider, Level: reputation.LevelOf(s, p), Score: reputation.Score(s, p), Provisional: true,
		ThroughputOps: reputation.Throughput(s, challenges.Int8), ClaimOps: reputation.Claim(s, challenges.Int8),
		Throughput: []Throughput{}, Cards: []Card{},
		Together: Together{reputation.Share(s.Fleets), len(s.Fleets)}, Shared: []SharedDevice{},
		Availability: Availability(a), Outcomes: outcomes(s, ""), ByKind: make(map[string]Outcomes),
		Flags: reputation.Flags(s, p), Reasons: reputation.Why(s, p), Proofs: append([]challenges.Hash{}, s.Proofs...), Epochs: s.Next,
	}
	d.Memory.Bytes, d.Memory.ClaimBytes = reputation.Proven(s)
	d.Memory.Figures = len(s.Memory)
	if s.Reads > 0 {
		v := s.Reads * memory.ItemBytes
		d.Memory.ReadBytes = &v
	}
	d.Simulated, d.Attested = s.Simulated, d.Level >= evidence.Attested
	for i := range s.Cards {
		d.Cards = append(d.Cards, describeCard(s, &s.Cards[i], p))
	}
	for _, r := range s.Rates {
		d.Throughput = append(d.Throughput, Throughput{r.Flavour, reputation.Throughput(s, r.Flavour), r.Claim})
	}
	for _, k := range challenges.Kinds() {
		d.ByKind[string(k)] = outcomes(s, k)
	}
	return d
}

func describeCard(s *reputation.Standing, c *reputation.Card, p *committee.Params) Card {
	k := reputation.Know(s, c, p)
	d := Card{Device: c.Device, Level: k.Level, Simulated: s.Simulated, Contradict: k.Doubts}
	if k.Model != "" {
		d.Model = &k.Model
	}
	if k.Identity != (challenges.Hash{}) {
		d.Identity = &k.Identity
	}
	if k.Code != "" {
		d.Code, d.Proof = &k.Code, &k.Proof
	}
	return d
}

func outcomes(s *reputation.Standing, k challenges.Kind) Outcomes {
	n := func(o challenges.Outcome) uint64 { return s.Count(k, o) }
	return Outcomes{
		n(challenges.Pass), n(challenges.Wrong), n(challenges.Late), n(challenges.Withheld),
		n(challenges.Refused), n(challenges.Unreachable), n(challenges.Unknown),
	}
}

// Providers is GET /v1/providers, best score first.
type Providers struct {
	Providers []Provider `json:"providers"`
}

// Observations is GET /v1/epochs/E/observations.
type Observations struct {
	Epoch        uint64   `json:"epoch"`
	Observations [][]byte `json:"observations"` // signed envelopes, canonical CBOR in base64
}

// Transcript is one row of GET /v1/transcripts.
type Transcript struct {
	Hash      challenges.Hash    `json:"hash"`
	Challenge challenges.Hash    `json:"challenge"`
	Kind      challenges.Kind    `json:"kind"`
	Outcome   challenges.Outcome `json:"outcome"`
	Provider  challenges.NodeID  `json:"provider"`
	Device    string             `json:"device"`
	Epoch     uint64             `json:"epoch"`
	At        time.Time          `json:"at"`
	Bytes     uint32             `json:"bytes"`
}

// Transcripts is GET /v1/transcripts, newest first.
type Transcripts struct {
	Transcripts []Transcript `json:"transcripts"`
}

// DescribeTranscript is the row of a stored transcript.
func DescribeTranscript(i report.TranscriptInfo) Transcript {
	return Transcript{
		Hash: i.Hash, Challenge: i.Challenge, Kind: i.Kind, Outcome: i.Outcome, Provider: i.Provider,
		Device: i.Device, Epoch: i.Epoch, At: time.Unix(0, i.At).UTC(), Bytes: i.Bytes,
	}
}

// Problem is what the API answers an error with.
type Problem struct {
	Error string `json:"error"`
	Hint  string `json:"hint,omitempty"`
}
