package synthetic

import (
	"crypto"
	"crypto/sha512"
	"encoding/asn1"
	"math/big"

	"github.com/assaynet/assay/gpu/attest"
)

// Draft is a report before it is signed: every field may be edited, into what no
// device would sign too.
type Draft struct {
	Request   [4]byte // version, code, the two parameters
	Nonce     [32]byte
	Slot      byte
	Response  [4]byte // version, code, the two parameters
	Blocks    []Block
	Responder [32]byte
	Format    string // attest.FormatTLV or attest.FormatNVDAOD
	Header    []byte // of the opaque data; NVDAOD has one
	Fields    []attest.Field
	Trailing  []byte // after the signature

	Raw func(signed []byte) []byte // a last edit of the bytes that are signed; may be nil
	Sig func(sig []byte) []byte    // an edit of the signature; may be nil
}

// Block is a measurement of a draft.
type Block struct {
	Index, Spec, Type uint8
	Value             []byte
}

// Field finds a draft's opaque field; nil if it has none of the type.
func (d *Draft) Field(typ uint16) *attest.Field {
	for i := range d.Fields {
		if d.Fields[i].Type == typ {
			return &d.Fields[i]
		}
	}
	return nil
}

// Sign makes the card's evidence for a nonce. Edits change the report before it is
// signed, in their order.
func (c *Card) Sign(nonce [32]byte, edits ...func(*Draft)) attest.Evidence {
	responder := c.maker.digest("responder", c.PDI.String(), string(nonce[:]))
	d := Draft{
		Request:   [4]byte{0x11, 0xE0, 0x01, 0xFF},
		Nonce:     nonce,
		Response:  [4]byte{0x11, 0x60, 0, 0},
		Blocks:    c.blocks(),
		Responder: [32]byte(responder[:32]),
		Format:    c.Format,
	}
	if c.Kind != FSP {
		d.Fields = c.opaque()
		if c.Format == attest.FormatNVDAOD {
			d.Header = []byte("NVDAOD\x00\x00\x02\x00\x00\x00")
		}
	}
	for _, edit := range edits {
		edit(&d)
	}
	b := d.encode()
	if d.Raw != nil {
		b = d.Raw(b)
	}
	sig := c.sign(b)
	if d.Sig != nil {
		sig = d.Sig(sig)
	}
	b = append(append(b, sig...), d.Trailing...)
	return attest.Evidence{Report: b, Chain: c.Chain().DER(), Nonce: &nonce}
}

// sign signs with the card's reporting key: r and s, 48 bytes each.
func (c *Card) sign(b []byte) []byte {
	digest := sha512.Sum384(b)
	var v struct{ R, S *big.Int }
	must(asn1.Unmarshal(must(c.chain[0].key.Sign(nil, digest[:], crypto.SHA384)), &v))
	out := make([]byte, 96)
	v.R.FillBytes(out[:48])
	v.S.FillBytes(out[48:])
	return out
}

// encode writes all of the report that is signed.
func (d *Draft) encode() []byte {
	var record []byte
	for _, b := range d.Blocks {
		record = append(record, b.Index, b.Spec)
		record = append(le16(record, uint16(len(b.Value)+3)), b.Type)
		record = append(le16(record, uint16(len(b.Value))), b.Value...)
	}
	opaque := append([]byte{}, d.Header...)
	for _, f := range d.Fields {
		opaque = le16(opaque, f.Type)
		if d.Format == attest.FormatNVDAOD {
			opaque = le16(opaque, f.ValueType)
		}
		opaque = append(le16(opaque, uint16(len(f.Data))), f.Data...)
	}
	out := append(d.Request[:], d.Nonce[:]...)
	out = append(append(out, d.Slot), d.Response[:]...)
	out = append(out, byte(len(d.Blocks)), byte(len(record)), byte(len(record)>>8), byte(len(record)>>16))
	out = append(append(out, record...), d.Responder[:]...)
	return append(le16(out, uint16(len(opaque))), opaque...)
}
