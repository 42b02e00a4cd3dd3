package report

import (
	"fmt"

	"github.com/assaynet/assay/challenges"
)

// Header stands for all observations of one checker in one epoch. Checkers will
// commit to its hash, then reveal it; until then nothing sends it.
type Header struct {
	_        struct{} `cbor:",toarray"`
	Network  challenges.Hash
	Registry challenges.Hash
	Epoch    uint64
	Beacon   uint64          // drand round of the epoch; 0 with a local beacon
	Ticket   []byte          // BLS signature, 48 bytes; empty before tickets exist
	Root     challenges.Hash // Merkle root over the observations, sorted by provider
	Count    uint32          // observations
}

// Check bounds the fields.
func (h *Header) Check() error {
	if len(h.Ticket) != 0 && len(h.Ticket) != 48 {
		return fmt.Errorf("ticket of %d bytes, want 48 or none", len(h.Ticket))
	}
	return nil
}

// OpenHeader authenticates and decodes a header.
func OpenHeader(e challenges.Envelope, network challenges.Hash) (Header, error) {
	payload, err := e.Open(network, challenges.KindHeader)
	if err != nil {
		return Header{}, err
	}
	var h Header
	if err := challenges.Unmarshal(payload, &h); err != nil {
		return Header{}, err
	}
	if h.Network != network {
		return Header{}, fmt.Errorf("%w: header of %v", challenges.ErrNetwork, h.Network)
	}
	return h, nil
}
