package synthetic_test

import (
	"bytes"
	"testing"

	"github.com/assaynet/assay/gpu/attest"
	. "github.com/assaynet/assay/gpu/attest/synthetic"
)

var kinds = []Kind{Hopper, Blackwell, FSP, Switch}

func TestHolds(t *testing.T) {
	m := New([32]byte{1})
	for _, k := range kinds {
		for _, format := range []string{attest.FormatTLV, attest.FormatNVDAOD} {
			t.Run(k.String()+" "+format, func(t *testing.T) {
				card := m.Card(CardConfig{Kind: k, PDI: attest.PDI{1, 2, 3}, Format: format})
				res := attest.Verify(card.Sign([32]byte{7}), m.Trust(), attest.Reference{})
				if !res.Holds() || !res.Simulated || res.Grade != attest.GradeIdentity {
					t.Fatalf("%+v", res)
				}
				if res.Driver != card.Driver || res.VBIOS != card.VBIOS {
					t.Errorf("driver %q, VBIOS %q", res.Driver, res.VBIOS)
				}
			})
		}
	}
}

// Nobody but those who name the maker's roots trusts what it makes.
func TestUntrusted(t *testing.T) {
	e := New([32]byte{1}).Card(CardConfig{}).Sign([32]byte{7})
	for name, trust := range map[string]attest.Trust{"vendor": attest.NVIDIA(), "another maker": New([32]byte{2}).Trust()} {
		if res := attest.Verify(e, trust, attest.Reference{}); res.Holds() || res.Simulated {
			t.Errorf("%s: %+v", name, res)
		}
	}
}

func TestDeterministic(t *testing.T) {
	for _, k := range kinds {
		a := New([32]byte{1}).Card(CardConfig{Kind: k}).Sign([32]byte{7})
		b := New([32]byte{1}).Card(CardConfig{Kind: k}).Sign([32]byte{7})
		if !bytes.Equal(a.Report, b.Report) || !bytes.Equal(a.Chain, b.Chain) {
			t.Errorf("%s: two makers of one seed sign different bytes", k)
		}
		c := New([32]byte{2}).Card(CardConfig{Kind: k}).Sign([32]byte{7})
		if bytes.Equal(a.Chain, c.Chain) {
			t.Errorf("%s: two seeds, one chain", k)
		}
	}
}

// The device id is the chip's: it outlives an update of its firmware, which changes the
// key that signs, and no other chip has it.
func TestDeviceID(t *testing.T) {
	m := New([32]byte{1})
	id := func(cfg CardConfig) [32]byte {
		return attest.Verify(m.Card(cfg).Sign([32]byte{}), m.Trust(), attest.Reference{}).DeviceID
	}
	a := id(CardConfig{PDI: attest.PDI{1}})
	if a == [32]byte{} || a != id(CardConfig{PDI: attest.PDI{1}, Driver: "570.124.03"}) {
		t.Error("a new driver makes another device")
	}
	if a == id(CardConfig{PDI: attest.PDI{2}}) {
		t.Error("two chips of one device id")
	}
}

// Sizes are those of published reports of the same kind.
func TestSizes(t *testing.T) {
	for kind, want := range map[Kind]int{FSP: 2017, Switch: 2172} {
		if got := len(New([32]byte{1}).Card(CardConfig{Kind: kind}).Sign([32]byte{}).Report); got != want {
			t.Errorf("%s: %d bytes, want %d", kind, got, want)
		}
	}
}
