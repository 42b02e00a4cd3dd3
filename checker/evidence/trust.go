package evidence

import "github.com/assaynet/assay/gpu/attest"

// Trust is what a judge believes beside a transcript. With the same transcript and
// the same trust everybody comes to the same assessment.
type Trust struct {
	Roots     attest.Trust
	Reference attest.Reference // manifests and revocation answers at hand: they grade, and never block
}

// NVIDIA trusts the vendor's pinned roots, and has no reference values.
func NVIDIA() Trust { return Trust{Roots: attest.NVIDIA()} }

// Simulated reports that a simulation's roots are among the trusted ones: then its
// devices may have a level, and it is marked.
func (t Trust) Simulated() bool {
	for _, r := range t.Roots.Devices {
		if r.Simulated {
			return true
		}
	}
	return false
}
