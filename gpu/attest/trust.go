package attest

import (
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
)

// Fingerprint is the SHA-256 of a certificate's DER bytes.
type Fingerprint [32]byte

func (f Fingerprint) String() string { return hex.EncodeToString(f[:]) }

// FingerprintOf is a certificate's fingerprint.
func FingerprintOf(c *x509.Certificate) Fingerprint { return sha256.Sum256(c.Raw) }

// Root is a trusted root certificate. Pinning its fingerprint suffices: chains bring
// the certificate itself.
type Root struct {
	Name        string // for messages
	Fingerprint Fingerprint
	Simulated   bool // of a simulation: whatever ends in it is marked so
}

// Trust is the roots that evidence may end in. The zero value trusts nothing.
type Trust struct {
	Devices []Root // of chains that sign reports
	RIMs    []Root // of chains that sign reference manifests
}

// NVIDIA trusts NVIDIA's two roots: "NVIDIA Device Identity CA" and "NVIDIA CoRIM
// signing Root CA". Both are published in NVIDIA/nvtrust and NVIDIA/attestation-sdk.
func NVIDIA() Trust {
	return Trust{
		Devices: []Root{{Name: "NVIDIA Device Identity CA", Fingerprint: Fingerprint{
			0x10, 0x2b, 0xf6, 0x59, 0xd5, 0x41, 0x96, 0x14, 0xc9, 0xd8, 0xe6, 0xae, 0xce, 0xbc, 0x80, 0x45,
			0x4e, 0xb2, 0x6b, 0x1d, 0xf6, 0xa7, 0x69, 0xac, 0x72, 0x0b, 0x9a, 0x69, 0x0b, 0x16, 0x7b, 0x48,
		}}},
		RIMs: []Root{{Name: "NVIDIA CoRIM signing Root CA", Fingerprint: Fingerprint{
			0x12, 0x97, 0x7b, 0x51, 0x15, 0xac, 0xb0, 0x38, 0x11, 0x79, 0x27, 0x9f, 0xff, 0xeb, 0x5a, 0x8c,
			0x4d, 0x26, 0x49, 0x71, 0xeb, 0xb3, 0x22, 0x98, 0x02, 0x3a, 0x46, 0x5f, 0xa4, 0x1d, 0xf5, 0xd1,
		}}},
	}
}

// With trusts another's roots too.
func (t Trust) With(o Trust) Trust {
	return Trust{append(t.Devices[:len(t.Devices):len(t.Devices)], o.Devices...), append(t.RIMs[:len(t.RIMs):len(t.RIMs)], o.RIMs...)}
}

// find looks a certificate up among roots.
func find(roots []Root, c *x509.Certificate) (Root, bool) {
	got := FingerprintOf(c)
	for _, r := range roots {
		if r.Fingerprint == got {
			return r, true
		}
	}
	return Root{}, false
}
