// Package report is what checkers sign for each other and for customers: the
// observation of one provider in one epoch, and the header over an epoch's
// observations.
package report

import (
	"crypto/ed25519"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/assaynet/assay/challenges"
	"github.com/assaynet/assay/challenges/memory"
	"github.com/assaynet/assay/checker/evidence"
)

// Limits of an observation.
const (
	MaxSlices = 1024
	MaxItems  = 1024
)

// Item is one GPU challenge in an observation.
type Item struct {
	_          struct{} `cbor:",toarray"`
	Challenge  challenges.Hash
	Kind       challenges.Kind
	Device     string
	Profile    uint16 // row of the profile table
	Outcome    challenges.Outcome
	Reason     string          // of a refusal
	OpsLower   uint64          // lower bound, ops/s (memory: reads/s); 0: no figure
	Claim      uint64          // ops/s, or bytes of memory, from the provider's offer
	Slot       uint64          // the global slot that it ran in, from 1 on; 0: none
	Fleet      FleetPart       // the zero value: alone
	Card       CardPart        // the zero value: the result says nothing of its card
	Transcript challenges.Hash // object id of the sealed transcript
}

// CardPart is what a result says and shows of the card that made it. The item's
// transcript shows it to anybody.
type CardPart struct {
	_          struct{}        `cbor:",toarray"`
	Level      evidence.Level  // of the transcript
	Model      string          // name in gpu/models, as telemetry has it; empty: none
	Identity   challenges.Hash // of the card that signed; zeros: none
	Contradict string          // code of the first thing that cannot be true; empty: none
}

// PartOf is a card's part in an item.
func PartOf(k *evidence.Card, l evidence.Level) CardPart {
	part := CardPart{Level: l, Model: k.Model, Identity: k.Identity}
	if len(k.Contradict) > 0 {
		part.Contradict = k.Contradict[0].Code
	}
	return part
}

// check bounds the fields.
func (p *CardPart) check() error {
	if p.Level > 5 {
		return fmt.Errorf("level %d", p.Level)
	}
	return errors.Join(challenges.Text("model", p.Model, 64), challenges.Text("code", p.Contradict, 32))
}

// FleetPart is what a provider's devices did together in a run of a whole group.
// Every item of one run and provider has the same, and times in it are the
// checker's word.
type FleetPart struct {
	_       struct{}        `cbor:",toarray"`
	Run     challenges.Hash // of the challenges in it; zeros: none
	Devices uint16          // of the provider that count
	Group   uint16          // devices of the whole group
	Sum     uint64          // lower bound of what they did at one time: ops/s, or bytes held
	Claim   uint64          // what the offer claims for them together
}

// Flavour is what the item measured; false for memory.
func (i Item) Flavour() (challenges.Flavour, bool) {
	row, err := challenges.LookupProfile(i.Profile)
	return row.Shape.Flavour, err == nil
}

// Proven is the memory that the item shows at least, in bytes; 0: no figure.
func (i Item) Proven() uint64 {
	row, err := memory.Lookup(i.Profile)
	if i.Kind != challenges.Memory || err != nil {
		return 0
	}
	return memory.Dataset{Profile: row, Items: memory.Items(i.Claim)}.Proven(i.OpsLower)
}

// profiled reports that the item's profile belongs to its kind.
func (i Item) profiled() bool {
	if i.Kind == challenges.Memory {
		_, err := memory.Lookup(i.Profile)
		return err == nil
	}
	f, ok := i.Flavour()
	return ok && f.Kind() == i.Kind
}

// Neutral reports a refusal that is no fault of the provider's: rented,
// draining, or running another checker's challenge.
func (i Item) Neutral() bool {
	return i.Outcome == challenges.Refused && evidence.NeutralReason(i.Reason)
}

// Observation is what one checker saw of one provider in one epoch.
type Observation struct {
	_         struct{} `cbor:",toarray"`
	Epoch     uint64
	Provider  challenges.NodeID
	Simulated bool          // the provider's devices are simulated: level L0
	Slices    []byte        // one per scheduled probe: its challenges.Outcome, 0 not probed
	RTT       time.Duration // least round-trip time over a direct path, ns; 0: none
	Items     []Item        // ascending by challenge id
}

// Check bounds the fields.
func (o *Observation) Check() error {
	if err := o.Provider.Check(); err != nil {
		return fmt.Errorf("provider: %w", err)
	}
	if len(o.Slices) > MaxSlices || len(o.Items) > MaxItems || o.RTT < 0 {
		return fmt.Errorf("%d slices, %d items, rtt %v", len(o.Slices), len(o.Items), o.RTT)
	}
	for i, s := range o.Slices {
		if s != 0 && !challenges.Outcome(s).Valid() {
			return fmt.Errorf("slice %d: outcome %d", i, s)
		}
	}
	for i, it := range o.Items {
		if i > 0 && o.Items[i-1].Challenge.Compare(it.Challenge) >= 0 {
			return fmt.Errorf("item %d: not ascending by challenge", i)
		}
		// Probes stand in the slices. A kind that nobody knows would grow standings.
		if it.Kind == challenges.Probe || !slices.Contains(challenges.Kinds(), it.Kind) {
			return fmt.Errorf("item %d: kind %q", i, it.Kind)
		}
		if !it.profiled() {
			return fmt.Errorf("item %d: profile %d in kind %q", i, it.Profile, it.Kind)
		}
		if !it.Outcome.Valid() || len(it.Device) > 64 || len(it.Reason) > 16 {
			return fmt.Errorf("item %d: out of range", i)
		}
		if err := it.Card.check(); err != nil {
			return fmt.Errorf("item %d: card: %w", i, err)
		}
	}
	return nil
}

// Seal signs the observation as a checker's.
func (o *Observation) Seal(network challenges.Hash, key ed25519.PrivateKey) challenges.Envelope {
	return challenges.Seal(network, challenges.KindObservation, challenges.Marshal(o), key)
}

// OpenObservation authenticates and decodes an observation. Whether its signer
// may observe is the registry's business.
func OpenObservation(e challenges.Envelope, network challenges.Hash) (Observation, error) {
	payload, err := e.Open(network, challenges.KindObservation)
	if err != nil {
		return Observation{}, err
	}
	var o Observation
	err = challenges.Unmarshal(payload, &o)
	return o, err
}
