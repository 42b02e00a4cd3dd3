package attest

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/sha256"
	"crypto/x509"
	"encoding/asn1"
	"encoding/pem"
	"slices"
	"time"
)

// Codes of certificate chains.
const (
	CodeChainMissing  Code = "chain-missing"   // the evidence has none
	CodeChainEncoding Code = "chain-encoding"  // neither PEM nor DER certificates and nothing else
	CodeChainLong     Code = "chain-long"      // more than MaxChain bytes, or five certificates
	CodeChainLength   Code = "chain-length"    // not five certificates
	CodeChainRoot     Code = "chain-root"      // ends in a root that is not trusted
	CodeChainKey      Code = "chain-key"       // a key or a signature that is not P-384 with SHA-384
	CodeChainName     Code = "chain-name"      // names that NVIDIA's chains do not have
	CodeChainPath     Code = "chain-path"      // a certificate that the next did not sign, or may not have; or a first one that may sign others
	CodeChainExpired  Code = "chain-expired"   // a certificate that is not valid at the time of the reference; limits the grade alone
	CodeSimulated     Code = "chain-simulated" // ends in a simulation's root; rejects nothing
)

const (
	MaxChain    = 64 << 10 // bytes of a chain; NVIDIA's have 3 to 7 thousand
	chainLength = 5
)

// Chain is the certificates that vouch for a report's signature, its key's first and
// the root last:
//
//	0  the key that signs reports, derived anew for each version of the firmware
//	1  the device's identity, fused into the chip
//	2  the provisioner, of a chip
//	3  the identity authority, of a chip or its family
//	4  the root
type Chain []*x509.Certificate

// ParseChain parses a chain: certificates in PEM, or in DER one after another. There
// are at most five. White space and zeros at the end are a buffer's and ignored;
// anything else between the certificates is an error. Nothing is verified.
func ParseChain(b []byte) (Chain, error) {
	if len(b) > MaxChain {
		return nil, of(CodeChainLong, "chain", "%d bytes, at most %d are read", len(b), MaxChain)
	}
	rest := bytes.TrimLeft(b, " \t\r\n")
	if len(bytes.TrimRight(rest, " \t\r\n\x00")) == 0 {
		return nil, of(CodeChainMissing, "chain", "empty")
	}
	var (
		next = nextDER
		c    Chain
	)
	if bytes.HasPrefix(rest, []byte(pemStart)) {
		next = nextPEM
	}
	// DER may end in a zero: the end is looked for between certificates, not before.
	for len(bytes.Trim(rest, " \t\r\n\x00")) > 0 {
		offset := len(b) - len(rest)
		if len(c) == chainLength {
			return nil, at(CodeChainLong, "chain", offset, "more than %d certificates", chainLength)
		}
		var der []byte
		if der, rest = next(rest); der == nil {
			return nil, at(CodeChainEncoding, "certificate", offset, "number %d is no certificate in the encoding of the first", len(c))
		}
		cert, err := x509.ParseCertificate(der)
		if err != nil {
			return nil, at(CodeChainEncoding, "certificate", offset, "number %d: %s", len(c), clip(err.Error()))
		}
		c = append(c, cert)
	}
	return c, nil
}

const pemStart = "-----BEGIN "

// nextPEM cuts a certificate off; it is nil if b does not start with one.
func nextPEM(b []byte) (der, rest []byte) {
	b = bytes.TrimLeft(b, " \t\r\n")
	block, rest := pem.Decode(b)
	// The decoder skips what it cannot read: all of it must be this one block.
	if block == nil || block.Type != "CERTIFICATE" || len(block.Headers) > 0 ||
		!bytes.HasPrefix(b, []byte(pemStart)) || bytes.Count(b[:len(b)-len(rest)], []byte(pemStart)) != 1 {
		return nil, nil
	}
	return block.Bytes, rest
}

// nextDER cuts a certificate off; it is nil if b does not start with one.
func nextDER(b []byte) (der, rest []byte) {
	var raw asn1.RawValue
	rest, err := asn1.Unmarshal(b, &raw)
	if err != nil {
		return nil, nil
	}
	return raw.FullBytes, rest
}

// DER is the certificates one after another: the form for a wire, which [ParseChain]
// reads.
func (c Chain) DER() []byte {
	var out []byte
	for _, cert := range c {
		out = append(out, cert.Raw...)
	}
	return out
}

// DeviceID identifies the device for as long as it lives: the SHA-256 of the public key
// (SubjectPublicKeyInfo) of certificate 1. A chip's two processors (modes "cc" and "fsp")
// have one each: what they have in common is [Chain.PDI]. It is zero if the chain is too
// short. Only after Verify does it say anything.
func (c Chain) DeviceID() [32]byte {
	if len(c) < 2 {
		return [32]byte{}
	}
	return sha256.Sum256(c[1].RawSubjectPublicKeyInfo)
}

// Chip is the chip's name in the chain, like "GH100", "GB100" or "LS10". It is empty
// for a chain whose names are not NVIDIA's.
func (c Chain) Chip() string {
	n, _ := c.names()
	return n.product()
}

// Verify verifies that the chain is a device's of NVIDIA and ends in a trusted root.
// It does not look at the clock: the path is built for the instant at which the
// youngest certificate became valid, and NVIDIA's device certificates do not expire.
// What was revoked is [CheckOCSP]'s to tell.
//
// It asks for more than the path: exactly five certificates, P-384 and SHA-384
// throughout, the names of NVIDIA's chains, and a first certificate that is no
// authority. An error is a *[Reason].
func (c Chain) Verify(t Trust) error {
	if all := c.faults(t); len(all) > 0 {
		return &all[0]
	}
	return nil
}

// faults are all that Verify finds. The path is built to a trusted root alone: to another
// it proves nothing, and costs four verifications of signatures.
func (c Chain) faults(t Trust) []Reason {
	if len(c) != chainLength {
		return []Reason{*of(CodeChainLength, "chain", "%d certificates, want %d", len(c), chainLength)}
	}
	var out []Reason
	add := func(f *Reason) { out = append(out, *f) }
	_, trusted := find(t.Devices, c[chainLength-1])
	if !trusted {
		add(of(CodeChainRoot, "certificate 4", "%q with fingerprint %s is not a trusted root", clip(c[4].Subject.CommonName), FingerprintOf(c[4])))
	}
	strong := true // what strangers' keys of other kinds cost to verify is not bounded
	for i, cert := range c {
		if p384(cert) == nil {
			strong = false
			add(of(CodeChainKey, certificate(i), "a key of %s, want ECDSA on P-384", cert.PublicKeyAlgorithm))
		}
		if cert.SignatureAlgorithm != x509.ECDSAWithSHA384 {
			add(of(CodeChainKey, certificate(i), "signed with %s, want ECDSA-SHA384", cert.SignatureAlgorithm))
		}
	}
	if _, fault := c.parseNames(); fault != nil {
		add(fault)
	}
	if trusted && strong {
		if fault := c.path(); fault != nil {
			add(fault)
		}
	}
	return out
}

// expired are the certificates that are not valid at a time.
func (c Chain) expired(now time.Time) []Reason {
	var out []Reason
	for i, cert := range c {
		if now.Before(cert.NotBefore) || now.After(cert.NotAfter) {
			out = append(out, *of(CodeChainExpired, certificate(i), "valid from %s to %s", cert.NotBefore.UTC().Format(time.RFC3339), cert.NotAfter.UTC().Format(time.RFC3339)))
		}
	}
	return out
}

// path verifies that each certificate was signed by the next, which may do so, and that
// the first may not: no device's is an authority. The last one counts as trusted here.
func (c Chain) path() *Reason {
	if c[0].IsCA {
		return of(CodeChainPath, certificate(0), "it is an authority, and so no key that signs reports")
	}
	opts := x509.VerifyOptions{
		Roots:         x509.NewCertPool(),
		Intermediates: x509.NewCertPool(),
		KeyUsages:     []x509.ExtKeyUsage{x509.ExtKeyUsageAny},
	}
	last := len(c) - 1
	opts.Roots.AddCert(c[last])
	for i, cert := range c {
		if 0 < i && i < last {
			opts.Intermediates.AddCert(cert)
		}
		// Keys are younger than the authorities above them or not: the instant is the
		// first at which all are valid.
		if t := cert.NotBefore.Add(time.Second); t.After(opts.CurrentTime) {
			opts.CurrentTime = t
		}
	}
	paths, err := c[0].Verify(opts)
	if err != nil {
		return of(CodeChainPath, "chain", "%s", clip(err.Error()))
	}
	for _, p := range paths {
		if slices.EqualFunc(p, c, (*x509.Certificate).Equal) {
			return nil
		}
	}
	return of(CodeChainPath, "chain", "the certificates do not follow one another")
}

// p384 is a certificate's key, nil if it is of another kind.
func p384(c *x509.Certificate) *ecdsa.PublicKey {
	if k, ok := c.PublicKey.(*ecdsa.PublicKey); ok && k.Curve == elliptic.P384() {
		return k
	}
	return nil
}
