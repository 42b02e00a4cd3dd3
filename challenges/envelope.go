package challenges

import (
	"crypto/ed25519"
	"errors"
	"fmt"

	"lukechampine.com/blake3"
)

// Kinds of envelopes: what a signature can be about. No two kinds share a
// signature, since the kind is part of what is signed. Packages notice and receipt
// have one each.
const (
	KindChallenge   = "challenge"
	KindTranscript  = "transcript"
	KindOffer       = "offer"
	KindObservation = "observation"
	KindHeader      = "header"
	kindFrame       = "frame" // provider frames; never an envelope
)

// MaxEnvelope bounds an encoded envelope, in bytes: a transcript of the largest
// challenge fits.
const MaxEnvelope = 8 << 20

var (
	// ErrSignature says that a signature does not verify.
	ErrSignature = errors.New("signature does not verify")
	// ErrNetwork says that a signed object belongs to another network.
	ErrNetwork = errors.New("signed for another network")
	// ErrKind says that a signed object is of another kind than expected.
	ErrKind = errors.New("signed as another kind")
)

// Envelope is a signed payload. Network is the network's id: BLAKE3 of its
// genesis registry. The signature covers network, kind and payload.
type Envelope struct {
	_         struct{} `cbor:",toarray"`
	Network   Hash
	Kind      string
	Payload   []byte
	Signer    NodeID
	Signature [64]byte
}

// signInput is what Ed25519 signs: a fixed domain, the network, the kind, a zero
// byte that no kind may hold, and the payload.
func signInput(network Hash, kind string, payload []byte) []byte {
	// SPEC: E2. The signature is Ed25519 over "assay/v1/" || network id || kind
	// || 0x00 || payload.
	b := make([]byte, 0, 9+32+len(kind)+1+len(payload))
	b = append(b, "assay/v1/"...)
	b = append(b, network[:]...)
	b = append(b, kind...)
	b = append(b, 0)
	return append(b, payload...)
}

// Seal signs payload as kind for network.
func Seal(network Hash, kind string, payload []byte, key ed25519.PrivateKey) Envelope {
	e := Envelope{Network: network, Kind: kind, Payload: payload, Signer: IDOf(key)}
	copy(e.Signature[:], ed25519.Sign(key, signInput(network, kind, payload)))
	return e
}

// Open checks that e is of the network and kind and that its signature
// verifies, and returns the payload, which is authentic but not yet decoded.
func (e Envelope) Open(network Hash, kind string) ([]byte, error) {
	// SPEC: E4. An object of another network or kind MUST be refused.
	if e.Kind != kind {
		return nil, fmt.Errorf("%w: %q, want %q", ErrKind, e.Kind, kind)
	}
	if e.Network != network {
		return nil, fmt.Errorf("%w: %v, want %v", ErrNetwork, e.Network, network)
	}
	if err := e.Signer.Check(); err != nil {
		return nil, err
	}
	if !ed25519.Verify(e.Signer[:], signInput(e.Network, e.Kind, e.Payload), e.Signature[:]) {
		return nil, fmt.Errorf("%s by %s: %w", e.Kind, e.Signer.Short(), ErrSignature)
	}
	return e.Payload, nil
}

// clauseOfOpen is the clause that an error of Open is about.
func clauseOfOpen(err error) string {
	switch {
	case errors.Is(err, ErrNetwork), errors.Is(err, ErrKind):
		return ClauseNetwork
	case errors.Is(err, ErrKey):
		return ClauseKey
	}
	return ClauseSignature
}

// ID is the object id: BLAKE3 over kind, signer and payload. The signature is
// left out, so that re-signing makes no second object.
func (e Envelope) ID() Hash {
	h := blake3.New(32, nil)
	h.Write([]byte(e.Kind))
	h.Write([]byte{0})
	h.Write(e.Signer[:])
	h.Write(e.Payload)
	return Hash(h.Sum(nil))
}

// Check bounds the fields.
func (e *Envelope) Check() error {
	if e.Kind == "" || len(e.Kind) > 32 {
		return fmt.Errorf("kind of %d bytes", len(e.Kind))
	}
	for _, c := range []byte(e.Kind) {
		if c < 'a' || c > 'z' {
			return fmt.Errorf("kind %q: letters a to z only", e.Kind)
		}
	}
	return nil
}

// DecodeEnvelope reads one envelope from its encoding, at most [MaxEnvelope]
// bytes. It does not verify: see [Envelope.Open].
func DecodeEnvelope(data []byte) (Envelope, error) {
	if len(data) > MaxEnvelope {
		// SPEC: E5. An encoded envelope MUST NOT exceed 8 MiB.
		return Envelope{}, breach(ClauseSize, "envelope of %d bytes, limit %d", len(data), MaxEnvelope)
	}
	var e Envelope
	if err := Unmarshal(data, &e); err != nil {
		return Envelope{}, fmt.Errorf("envelope: %w", err)
	}
	return e, nil
}
