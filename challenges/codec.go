package challenges

import (
	"bytes"
	"errors"
	"fmt"

	"github.com/fxamacker/cbor/v2"
)

// ErrEncoding says that bytes are not the one canonical encoding of a value.
var ErrEncoding = errors.New("not canonical CBOR")

// checked is a message that knows the limits of its own fields.
type checked interface{ Check() error }

// codec is the one pair of modes that every message of the protocol uses:
// core deterministic encoding (RFC 8949, 4.2.1), no tags, no indefinite lengths.
type codec struct {
	enc cbor.EncMode
	dec cbor.DecMode
}

var strict = newCodec()

func newCodec() codec {
	eo := cbor.CoreDetEncOptions()
	eo.NilContainers = cbor.NilContainerAsEmpty
	eo.TagsMd = cbor.TagsForbidden
	enc, err := eo.EncMode()
	if err != nil {
		panic(err)
	}
	dec, err := cbor.DecOptions{
		DupMapKey:         cbor.DupMapKeyEnforcedAPF,
		IndefLength:       cbor.IndefLengthForbidden,
		TagsMd:            cbor.TagsForbidden,
		MaxNestedLevels:   8,
		MaxArrayElements:  1 << 17,
		MaxMapPairs:       16,
		ExtraReturnErrors: cbor.ExtraDecErrorUnknownField,
	}.DecMode()
	if err != nil {
		panic(err)
	}
	return codec{enc, dec}
}

// Marshal encodes a message: an array struct whose fields are all present. It
// panics on a type that cannot be encoded, which is a bug of the caller.
func Marshal(v any) []byte {
	b, err := strict.enc.Marshal(v)
	if err != nil {
		panic(fmt.Sprintf("challenges: marshal %T: %v", v, err))
	}
	return b
}

// Unmarshal decodes data into v, a pointer to an array struct, and accepts only
// the bytes that [Marshal] would write for it. Values with a Check method are
// checked too. On an error v is in no particular state.
func Unmarshal(data []byte, v any) error {
	// SPEC: E1. A receiver MUST decode, re-encode and compare: anything that is
	// not the deterministic encoding of the message is an error.
	if err := strict.dec.Unmarshal(data, v); err != nil {
		return fmt.Errorf("%w: %w", ErrEncoding, err)
	}
	again, err := strict.enc.Marshal(v)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrEncoding, err)
	}
	if !bytes.Equal(again, data) {
		return fmt.Errorf("%w: %T re-encodes to other bytes", ErrEncoding, v)
	}
	if c, ok := v.(checked); ok {
		if err := c.Check(); err != nil {
			return fmt.Errorf("%T: %w", v, err)
		}
	}
	return nil
}

// Text checks a string field: its length in bytes, and that it has no control
// characters. Valid UTF-8 is the codec's business.
func Text(name, s string, limit int) error {
	if len(s) > limit {
		return fmt.Errorf("%s: %d bytes, limit %d", name, len(s), limit)
	}
	for _, r := range s {
		if r < 0x20 || r == 0x7f || r == '\u2028' || r == '\u2029' || (r >= 0x80 && r < 0xa0) {
			return fmt.Errorf("%s: control character %U", name, r)
		}
	}
	return nil
}
