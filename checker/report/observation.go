// Package report is what checkers sign for each other and for customers: the
// observation of one provider in one epoch, and the header over an epoch's
// observations.
package report

import (
	"crypto/ed25519"
	"fmt"
	"slices"
	"time"

	"github.com/assaynet/assay/challenges"
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
	OpsLower   uint64          // lower bound, ops/s; 0: no figure
	Claim      uint64          // ops/s, from the provider's offer
	Transcript challenges.Hash // object id of the sealed transcript
}

// Flavour is what the item measured.
func (i Item) Flavour() challenges.Flavour {
	row, _ := challenges.LookupProfile(i.Profile)
	return row.Shape.Flavour
}

// Neutral reports a refusal that is no fault of the provider's: rented,
// draining, or running another checker's challenge.
func (i Item) Neutral() bool {
	return i.Outcome == challenges.Refused &&
		(i.Reason == challenges.ReasonTenant || i.Reason == challenges.ReasonDrain || i.Reason == challenges.ReasonCollision)
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
		if row, err := challenges.LookupProfile(it.Profile); err != nil || row.Shape.Flavour.Kind() != it.Kind {
			return fmt.Errorf("item %d: profile %d in kind %q", i, it.Profile, it.Kind)
		}
		if !it.Outcome.Valid() || len(it.Device) > 64 || len(it.Reason) > 16 {
			return fmt.Errorf("item %d: out of range", i)
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
