package challenges

import (
	"encoding/binary"

	"lukechampine.com/blake3"
)

// Secret is what a challenge commits to and its transcript reveals: positions
// and nonces follow from it, so a provider that does not know it cannot tell
// where it will be sampled. The zero value is a valid but useless secret.
type Secret [32]byte

// Commit is the hash that a challenge carries in place of its secret.
func (s Secret) Commit() Hash {
	// SPEC: C1. commit = BLAKE3.derive_key("assay/secret-commit/v1", frame(secret)).
	return derive("assay/secret-commit/v1", s[:])
}

// xof is the secret's extendable output for one labelled use: a keyed hash, so
// outputs that were seen say nothing about the others.
func (s Secret) xof(label string, fields ...[]byte) *blake3.OutputReader {
	h := blake3.New(32, s[:])
	var n [8]byte
	put := func(b []byte) {
		binary.LittleEndian.PutUint64(n[:], uint64(len(b)))
		h.Write(n[:])
		h.Write(b)
	}
	put([]byte(label))
	for _, f := range fields {
		put(f)
	}
	return h.XOF()
}

// Positions draws k entry indices below n, uniformly and with replacement, for
// the round whose root is root. They depend on the root, so no root can be
// chosen after its positions. n must be in [1, 2^32].
func (s Secret) Positions(id Hash, round int, root Hash, n uint64, k int) []uint32 {
	// SPEC: M3. pos_r = XOF(secret; "pos" || challenge id || r || root_r): words of
	// eight little-endian bytes; a word at or over the largest multiple of n is
	// skipped; the index is the word modulo n.
	var r [8]byte
	binary.LittleEndian.PutUint64(r[:], uint64(round))
	x := s.xof("pos", id[:], r[:], root[:])
	limit := -n % n // 2^64 mod n: words below it would be over-represented
	out := make([]uint32, 0, k)
	var word [8]byte
	for len(out) < k {
		x.Read(word[:])
		w := binary.LittleEndian.Uint64(word[:])
		if w >= -limit && limit != 0 {
			continue
		}
		out = append(out, uint32(w%n))
	}
	return out
}

// Nonce is the nonce of ping number seq.
func (s Secret) Nonce(id Hash, seq int) [16]byte {
	// SPEC: P1. nonce_i = the first 16 bytes of XOF(secret; "nonce" || challenge id || i).
	var i [8]byte
	binary.LittleEndian.PutUint64(i[:], uint64(seq))
	var out [16]byte
	s.xof("nonce", id[:], i[:]).Read(out[:])
	return out
}

// WalkNonce is the nonce that starts the walks of a proof of memory.
func (s Secret) WalkNonce(id Hash) (out Hash) {
	// SPEC: D2. nonce = the first 32 bytes of XOF(secret; "walk" || challenge id).
	s.xof("walk", id[:]).Read(out[:])
	return out
}

// PackPositions writes indices as 4-byte little-endian words, as drawn.
func PackPositions(pos []uint32) []byte {
	b := make([]byte, 0, 4*len(pos))
	for _, p := range pos {
		b = binary.LittleEndian.AppendUint32(b, p)
	}
	return b
}

// UnpackPositions reads what a positions frame carries.
func UnpackPositions(b []byte) []uint32 {
	out := make([]uint32, len(b)/4)
	for i := range out {
		out[i] = binary.LittleEndian.Uint32(b[4*i:])
	}
	return out
}
