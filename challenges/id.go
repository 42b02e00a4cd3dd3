package challenges

import (
	"bytes"
	"crypto/ed25519"
	"encoding/hex"
	"errors"
	"fmt"

	"lukechampine.com/blake3"
)

// Hash is a 32-byte BLAKE3 output. Its text form is 64 lower-case hex digits.
type Hash [32]byte

// NodeID is a node's Ed25519 public key (RFC 8032). Its text form is 64
// lower-case hex digits.
type NodeID [32]byte

// ErrKey says that 32 bytes are no acceptable Ed25519 public key.
var ErrKey = errors.New("unacceptable Ed25519 key")

func (h Hash) String() string   { return hex.EncodeToString(h[:]) }
func (n NodeID) String() string { return hex.EncodeToString(n[:]) }

// Short is the first eight hex digits, for tables and logs.
func (n NodeID) Short() string { return hex.EncodeToString(n[:4]) }

// MarshalText writes the hex form.
func (h Hash) MarshalText() ([]byte, error) { return []byte(h.String()), nil }

// UnmarshalText reads the hex form.
func (h *Hash) UnmarshalText(text []byte) error { return parseHex(h[:], text) }

// MarshalText writes the hex form.
func (n NodeID) MarshalText() ([]byte, error) { return []byte(n.String()), nil }

// UnmarshalText reads the hex form; it does not judge the key, see
// [NodeID.Check].
func (n *NodeID) UnmarshalText(text []byte) error { return parseHex(n[:], text) }

// Compare orders NodeIDs by their bytes.
func (n NodeID) Compare(m NodeID) int { return bytes.Compare(n[:], m[:]) }

// Compare orders hashes by their bytes.
func (h Hash) Compare(g Hash) int { return bytes.Compare(h[:], g[:]) }

func parseHex(out, text []byte) error {
	if len(text) != 2*len(out) {
		return fmt.Errorf("%d hex digits, want %d", len(text), 2*len(out))
	}
	if !bytes.Equal(text, bytes.ToLower(text)) {
		return errors.New("upper-case hex digit")
	}
	_, err := hex.Decode(out, text)
	return err
}

// smallOrder lists the canonical encodings of the eight points of order 1, 2, 4
// and 8 on edwards25519: a signature under such a key fits many messages or all.
var smallOrder = [8]string{
	"0100000000000000000000000000000000000000000000000000000000000000",
	"ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
	"0000000000000000000000000000000000000000000000000000000000000000",
	"0000000000000000000000000000000000000000000000000000000000000080",
	"c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
	"c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa",
	"26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
	"26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc85",
}

// Check refuses keys under which a signature says nothing: small-order points
// and non-canonical encodings (RFC 8032, 5.1.3; Chalkias et al., "Taming the
// many EdDSAs", 2020). Keys that decode to no point at all never verify.
func (n NodeID) Check() error {
	// SPEC: E3. A key MUST be the canonical encoding of a point that is not of
	// small order.
	y := n
	y[31] &= 0x7f
	if !belowP(y) {
		return fmt.Errorf("%w: not canonical", ErrKey)
	}
	text := n.String()
	for _, bad := range smallOrder {
		if text == bad {
			return fmt.Errorf("%w: small order", ErrKey)
		}
	}
	// x = 0 has no sign: y = 1 and y = -1 with the sign bit set.
	if n[31]&0x80 != 0 {
		unsigned := y.String()
		if unsigned == smallOrder[0] || unsigned == smallOrder[1] {
			return fmt.Errorf("%w: not canonical", ErrKey)
		}
	}
	return nil
}

// belowP reports y < 2^255 - 19, y little-endian.
func belowP(y [32]byte) bool {
	if y[31] != 0x7f || y[0] < 0xed {
		return true
	}
	for _, b := range y[1:31] {
		if b != 0xff {
			return true
		}
	}
	return false
}

// IDOf is the NodeID of a private key.
func IDOf(key ed25519.PrivateKey) NodeID {
	return NodeID(key.Public().(ed25519.PublicKey))
}

// derive is BLAKE3's key derivation over length-framed fields, so that no two
// lists of fields share an input and no two contexts share an output.
func derive(context string, fields ...[]byte) Hash {
	var material []byte
	for _, f := range fields {
		material = appendUint64(material, uint64(len(f)))
		material = append(material, f...)
	}
	var out Hash
	blake3.DeriveKey(out[:], context, material)
	return out
}

func appendUint64(b []byte, v uint64) []byte {
	return append(b, byte(v), byte(v>>8), byte(v>>16), byte(v>>24), byte(v>>32), byte(v>>40), byte(v>>48), byte(v>>56))
}
