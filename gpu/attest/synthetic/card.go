package synthetic

import (
	"cmp"
	"crypto/ecdsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"fmt"
	"math/big"
	"strings"

	"github.com/assaynet/assay/gpu/attest"
)

// Kind is a kind of device.
type Kind uint8

// Kinds.
const (
	Hopper    Kind = iota // a GH100 in confidential mode
	Blackwell             // a GB100 in confidential mode
	FSP                   // the firmware processor of a GB100, outside that mode
	Switch                // an NVSwitch LS10
)

func (k Kind) String() string {
	return [...]string{"hopper", "blackwell", "fsp", "switch"}[k]
}

// CardConfig describes a device. What is left empty gets what a published report of
// the kind says.
type CardConfig struct {
	Kind       Kind
	PDI        attest.PDI   // the chip's identifier; the device id follows from it
	Chip       string       // as certificates write it, like "GH100" or "LS_10"
	Driver     string       // "550.90.07"
	VBIOS      string       // "96.00.9F.00.01"
	Project    string       // "1010"
	ProjectSKU string       // "0200"
	ChipSKU    string       // "882"
	Format     string       // of the opaque data; attest.FormatTLV if empty
	NVDEC0     bool         // the decoder is enabled
	Model      attest.Model // what an FSP signs
	Peers      []attest.PDI // at the other ends of the links; not empty: protected PCIe is on

	// Edit changes a certificate of the chain before it is signed, by its index, into
	// what no authority would sign too; it may return another key for it. Nil: no edit.
	Edit func(index int, tmpl *x509.Certificate) *ecdsa.PrivateKey
}

func (c CardConfig) withDefaults() CardConfig {
	d := [...]CardConfig{
		Hopper:    {Chip: "GH100", Driver: "550.90.07", VBIOS: "96.00.9F.00.01", Project: "1010", ProjectSKU: "0200", ChipSKU: "882"},
		Blackwell: {Chip: "GB100", Driver: "575.32", VBIOS: "97.00.88.00.0F", Project: "G525", ProjectSKU: "0220", ChipSKU: "886"},
		FSP:       {Chip: "GB100"},
		Switch:    {Chip: "LS_10", VBIOS: "96.10.55.00.01"},
	}[c.Kind]
	c.Chip, c.Driver, c.VBIOS = cmp.Or(c.Chip, d.Chip), cmp.Or(c.Driver, d.Driver), cmp.Or(c.VBIOS, d.VBIOS)
	c.Project, c.ProjectSKU, c.ChipSKU = cmp.Or(c.Project, d.Project), cmp.Or(c.ProjectSKU, d.ProjectSKU), cmp.Or(c.ChipSKU, d.ChipSKU)
	c.Format = cmp.Or(c.Format, attest.FormatTLV)
	c.Model = cmp.Or(c.Model, attest.Model{Vendor: 0x10DE, Device: 0x2941, SubVendor: 0x10DE, Subsystem: 0x2046})
	return c
}

// Card is a device: its keys, its certificates and what it runs.
type Card struct {
	CardConfig
	maker *Maker
	chain []authority // the key that signs reports first, the root last
	fwid  [48]byte
}

// Card makes a device.
func (m *Maker) Card(cfg CardConfig) *Card {
	c := &Card{CardConfig: cfg.withDefaults(), maker: m}
	c.fwid = m.digest("firmware", c.Kind.String(), c.Driver, c.VBIOS)

	family, number := c.Chip, "1"
	if c.Kind == Switch {
		family = "GH100" // NVIDIA's switches have the authority of the GPU they came with
	}
	if strings.HasPrefix(c.Chip, "GB") {
		number = "00000"
	}
	processor, prefix := "GSP", byte(0x41)
	switch c.Kind {
	case FSP:
		processor, prefix = "FSP", 0x40
	case Switch:
		processor, prefix = "FSP", 0x50
	}
	unit := c.Chip + " A01 " + processor
	serial := append([]byte{prefix}, c.PDI[:]...)

	c.chain = []authority{4: m.device}
	tmpl, key := m.named("NVIDIA "+family+" Identity", big.NewInt(2))
	c.issue(3, tmpl, key)
	tmpl, key = m.named("NVIDIA "+c.Chip+" Provisioner ICA "+number, big.NewInt(3))
	c.issue(2, tmpl, key)

	tmpl = template(unit+" BROM", new(big.Int).SetBytes(serial), true)
	tmpl.Subject.SerialNumber = fmt.Sprintf("%X", serial)
	c.issue(1, tmpl, m.key("device", unit, c.PDI.String()))

	// The last key is of the chip and of the firmware that it runs.
	tmpl = template(unit+" FMC LF", new(big.Int).SetBytes(c.fwid[:16]), false)
	tmpl.Subject.SerialNumber = fmt.Sprintf("%X", c.fwid[:20])
	tmpl.ExtraExtensions = []pkix.Extension{c.firmware(unit)}
	c.issue(0, tmpl, m.key("report", unit, c.PDI.String(), string(c.fwid[:])))
	return c
}

// issue makes a certificate of the chain, signed by the next.
func (c *Card) issue(index int, tmpl *x509.Certificate, key *ecdsa.PrivateKey) {
	if c.Edit != nil {
		if other := c.Edit(index, tmpl); other != nil {
			key = other
		}
	}
	c.chain[index] = c.maker.issue(c.chain[index+1], tmpl, key)
}

type fwid struct {
	Algorithm asn1.ObjectIdentifier
	Digest    []byte
}

// firmware is the extension that ties the first certificate to the firmware: Hopper and
// its switch have one form, later chips another.
func (c *Card) firmware(unit string) pkix.Extension {
	id := fwid{asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 2, 2}, c.fwid[:]}
	if c.Kind == Hopper || c.Kind == Switch {
		return pkix.Extension{Id: asn1.ObjectIdentifier{2, 23, 133, 5, 4, 1}, Value: must(asn1.Marshal(struct {
			Version int
			Key     asn1.RawValue
			FWID    fwid
		}{1, asn1.RawValue{FullBytes: c.chain[1].cert.RawSubjectPublicKeyInfo}, id}))}
	}
	return pkix.Extension{Id: asn1.ObjectIdentifier{2, 23, 133, 5, 4, 1, 1}, Value: must(asn1.Marshal(struct {
		Vendor     string         `asn1:"tag:0,utf8"`
		Model      string         `asn1:"tag:1,utf8"`
		Version    string         `asn1:"tag:2,utf8"`
		SVN        int            `asn1:"tag:3"`
		Layer      int            `asn1:"tag:4"`
		Index      int            `asn1:"tag:5"`
		FWIDs      []fwid         `asn1:"tag:6"`
		Flags      asn1.BitString `asn1:"tag:7"`
		VendorInfo []byte         `asn1:"tag:8"`
		Type       []byte         `asn1:"tag:9"`
	}{"NVIDIA", unit, "01", 3, 0, 0, []fwid{id, {id.Algorithm, make([]byte, 48)}}, asn1.BitString{Bytes: []byte{0x90, 0, 0, 1}, BitLength: 32}, []byte{0}, []byte{0}}))}
}

// Chain is the device's certificates.
func (c *Card) Chain() attest.Chain {
	var out attest.Chain
	for _, a := range c.chain {
		out = append(out, a.cert)
	}
	return out
}
