package synthetic

import (
	"time"

	"github.com/assaynet/assay/gpu/attest"
)

// SignerOCSP answers about the signer of a card's manifests alone: of answers of one
// time the worse counts, so added to those of OCSP it revokes the manifests.
func (m *Maker) SignerOCSP(c *Card, at time.Time, status attest.Revocation) []byte {
	chain := m.signers(c.Manifests()[0].Product, time.Time{}, time.Time{})
	return m.answer(chain[0].cert, chain[1], at, status)
}
