// Package receipt is what is left of a challenge on both sides when it is over:
// the checker's signed word of how it ended, and the provider's own copy.
package receipt

import (
	"crypto/ed25519"
	"fmt"
	"time"

	"lukechampine.com/blake3"

	"github.com/assaynet/assay/challenges"
)

// Kind is the envelope's kind.
const Kind = "receipt"

// Receipt is a checker's word of how a challenge ended, given to its provider when
// it has ended. A report that says otherwise contradicts the same key.
type Receipt struct {
	_          struct{} `cbor:",toarray"`
	Challenge  challenges.Hash
	Outcome    challenges.Outcome
	Clause     string            // that decided; empty: none
	Elapsed    time.Duration     // by the checker's clock
	Lower      uint64            // the verdict's OpsLower, in the kind's unit a second; 0: no figure
	Roots      challenges.Hash   // of those that the session took; see [RootsHash]
	Transcript challenges.Hash   // the sealed transcript's id
	Secret     challenges.Secret // with it the provider judges its own copy
}

// Check bounds the fields.
func (r *Receipt) Check() error {
	if !r.Outcome.Valid() || r.Elapsed < 0 {
		return fmt.Errorf("receipt: outcome %v, elapsed %v", r.Outcome, r.Elapsed)
	}
	return challenges.Text("clause", r.Clause, 8)
}

// Of is the receipt of a session that is over, with its transcript t, whose object
// id, once it is sealed, is transcript.
func Of(s *challenges.Session, t challenges.Transcript, transcript challenges.Hash) Receipt {
	// SPEC: R2. The receipt says what the sealed transcript does.
	return Receipt{
		Challenge: s.ID(), Outcome: t.Verdict.Outcome, Clause: t.Verdict.Clause, Elapsed: t.Verdict.Elapsed, Lower: t.Verdict.OpsLower,
		Roots: RootsHash(s.Roots()), Transcript: transcript, Secret: t.Secret,
	}
}

// RootsHash stands for a chain of roots: BLAKE3 of all of them in round order. A run
// that was cut short has the first ones; where there is none it is the hash of
// nothing.
func RootsHash(roots []challenges.Hash) challenges.Hash {
	h := blake3.New(32, nil)
	for _, r := range roots {
		h.Write(r[:])
	}
	return challenges.Hash(h.Sum(nil))
}

// Seal signs a receipt.
func Seal(r Receipt, network challenges.Hash, key ed25519.PrivateKey) challenges.Envelope {
	return challenges.Seal(network, Kind, challenges.Marshal(&r), key)
}

// Open authenticates and decodes the receipt of a challenge from its checker.
func Open(e challenges.Envelope, network challenges.Hash, checker challenges.NodeID, id challenges.Hash) (Receipt, error) {
	payload, err := e.Open(network, Kind)
	if err != nil {
		return Receipt{}, err
	}
	var r Receipt
	if err := challenges.Unmarshal(payload, &r); err != nil {
		return Receipt{}, err
	}
	// SPEC: R3. Only the challenge's checker says how that challenge ended.
	switch {
	case e.Signer != checker:
		return Receipt{}, fmt.Errorf("receipt signed by %s, want %s", e.Signer.Short(), checker.Short())
	case r.Challenge != id:
		return Receipt{}, fmt.Errorf("receipt of challenge %v, want %v", r.Challenge, id)
	}
	return r, nil
}
