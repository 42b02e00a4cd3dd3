// Package synthetic makes evidence as NVIDIA's devices give it, signed by roots of its
// own: for tests, which cannot have a card sign what they like, and for simulated
// networks. It has the form of the real thing down to the byte, and none of its worth.
// Whoever knows a maker's seed can make more: its roots are marked so ([attest.Root]),
// and a program that is meant for real devices must not trust them.
//
// Everything follows from the seed: two makers of one seed sign the same bytes.
package synthetic

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/sha1"
	"crypto/sha512"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/binary"
	"fmt"
	"math/big"
	"time"

	"github.com/assaynet/assay/gpu/attest"
)

// Maker makes devices, manifests and answers of one pair of roots.
type Maker struct {
	seed        [32]byte
	device, rim authority
}

// authority is a certificate and its key.
type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

// New makes a maker.
func New(seed [32]byte) *Maker {
	m := &Maker{seed: seed}
	m.device = m.root("Assay Simulation Device Identity CA")
	m.rim = m.root("Assay Simulation CoRIM signing Root CA")
	return m
}

// Trust trusts the maker's roots, which are marked as a simulation's.
func (m *Maker) Trust() attest.Trust {
	root := func(a authority) []attest.Root {
		return []attest.Root{{Name: a.cert.Subject.CommonName, Fingerprint: attest.FingerprintOf(a.cert), Simulated: true}}
	}
	return attest.Trust{Devices: root(m.device), RIMs: root(m.rim)}
}

// Roots are the maker's two root certificates.
func (m *Maker) Roots() (device, rim *x509.Certificate) { return m.device.cert, m.rim.cert }

// digest derives 48 bytes for a purpose.
func (m *Maker) digest(parts ...string) [48]byte {
	h := sha512.New384()
	h.Write(m.seed[:])
	for _, p := range parts {
		h.Write(binary.LittleEndian.AppendUint32(nil, uint32(len(p))))
		h.Write([]byte(p))
	}
	return [48]byte(h.Sum(nil))
}

// key derives a P-384 key for a purpose.
func (m *Maker) key(parts ...string) *ecdsa.PrivateKey {
	for i := 0; ; i++ {
		// Nearly every string of 48 bytes is a key of this curve.
		d := m.digest(append(parts, "key", fmt.Sprint(i))...)
		if k, err := ecdsa.ParseRawPrivateKey(elliptic.P384(), d[:]); err == nil {
			return k
		}
	}
}

func (m *Maker) root(name string) authority {
	key := m.key(name)
	return m.issue(authority{key: key}, template(name, big.NewInt(1), true), key)
}

// template is what all the certificates have in common. The dates are those of NVIDIA's.
func template(name string, serial *big.Int, ca bool) *x509.Certificate {
	usage := x509.KeyUsageDigitalSignature
	if ca {
		usage = x509.KeyUsageCertSign | x509.KeyUsageCRLSign
	}
	return &x509.Certificate{
		SerialNumber:          serial,
		Subject:               pkix.Name{CommonName: name, Organization: []string{"Assay simulation"}, Country: []string{"US"}},
		NotBefore:             time.Date(2023, 6, 20, 0, 0, 0, 0, time.UTC),
		NotAfter:              time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC),
		KeyUsage:              usage,
		BasicConstraintsValid: ca,
		IsCA:                  ca,
		SignatureAlgorithm:    x509.ECDSAWithSHA384,
	}
}

// named is the template and the key of an authority: the same for everything below it.
func (m *Maker) named(name string, serial *big.Int) (*x509.Certificate, *ecdsa.PrivateKey) {
	tmpl := template(name, serial, true)
	tmpl.OCSPServer = []string{"http://ocsp.invalid"}
	return tmpl, m.key(name)
}

// child is an authority below another.
func (m *Maker) child(by authority, name string, serial *big.Int) authority {
	tmpl, key := m.named(name, serial)
	return m.issue(by, tmpl, key)
}

// issue makes a certificate for a key. An issuer without a certificate signs itself.
func (m *Maker) issue(by authority, tmpl *x509.Certificate, key *ecdsa.PrivateKey) authority {
	parent := by.cert
	if parent == nil {
		parent = tmpl
	}
	id := sha1.Sum(must(key.PublicKey.Bytes()))
	tmpl.SubjectKeyId = id[:]
	// Without a source of randomness signatures are deterministic (RFC 6979).
	der := must(x509.CreateCertificate(nil, tmpl, parent, &key.PublicKey, by.key))
	return authority{cert: must(x509.ParseCertificate(der)), key: key}
}

// must is for what cannot fail: the keys and the templates are this package's own.
func must[T any](v T, err error) T {
	if err != nil {
		panic("synthetic: " + err.Error())
	}
	return v
}
