// Package identity binds what a card signs to what it computed: a result may carry a
// report of the card over the result's core.
package identity

import (
	"crypto/sha256"
	"fmt"

	"lukechampine.com/blake3"

	"github.com/assaynet/assay/challenges"
)

// label is what the nonce's hash begins with.
const label = "assay/attest/v1"

// Bounds of an attestation, in bytes. A driver gives at most 8 KiB of report and
// 5 KiB of chain in PEM, of which DER is three quarters; real ones have 4.3 and 3.4.
const (
	MaxReport = 7 << 10
	MaxChain  = 4 << 10
)

// Attestation is what a card signed, as the result carries it. Whether it holds is
// for package gpu/attest to say.
type Attestation struct {
	_      struct{} `cbor:",toarray"`
	Report []byte   // SPDM request and response
	Chain  []byte   // the card's certificate first, DER, one after another
}

// Check bounds the parts.
func (a *Attestation) Check() error {
	// SPEC: A1. Both parts are there, and bounded.
	if len(a.Report) == 0 || len(a.Report) > MaxReport || len(a.Chain) == 0 || len(a.Chain) > MaxChain {
		return fmt.Errorf("attestation: a report of %d bytes, a chain of %d; want 1 to %d and 1 to %d", len(a.Report), len(a.Chain), MaxReport, MaxChain)
	}
	return nil
}

// CoreHash stands for all that a result says but the attestation.
func CoreHash(core *challenges.Core) challenges.Hash {
	return blake3.Sum256(challenges.Marshal(core))
}

// Nonce is what the card has to sign. It binds the report to one challenge, one
// agent and one result: a report can answer no other. It does not bind the card that
// signs to the card that computed.
func Nonce(challenge challenges.Hash, agent challenges.NodeID, core challenges.Hash) [32]byte {
	// SPEC: A2. SHA-256("assay/attest/v1" || challenge id || agent || hash of the core).
	h := sha256.New()
	h.Write([]byte(label))
	h.Write(challenge[:])
	h.Write(agent[:])
	h.Write(core[:])
	return [32]byte(h.Sum(nil))
}

// Result is the result in a transcript, if there is one.
func Result(t challenges.Transcript) (challenges.ResultFrame, bool) {
	for _, e := range t.Events {
		var f challenges.ResultFrame
		if !e.Out && e.Stream == challenges.StreamControl && challenges.IsLast(e.Frame) && challenges.Unmarshal(e.Frame, &f) == nil {
			return f, true
		}
	}
	return challenges.ResultFrame{}, false
}
