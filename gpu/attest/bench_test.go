package attest_test

import (
	"testing"
	"time"

	. "github.com/assaynet/assay/gpu/attest"
	"github.com/assaynet/assay/gpu/attest/synthetic"
)

// BenchmarkVerify is what a checker pays for a device: steps 1 to 5, which every one
// of them repeats; all of them with manifests and answers at hand; and what reading a
// manifest costs, which is done once for many devices.
func BenchmarkVerify(b *testing.B) {
	m := synthetic.New([32]byte{1})
	card := m.Card(synthetic.CardConfig{})
	e, trust := card.Sign([32]byte{7}), m.Trust()
	b.Run("identity", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if res := Verify(e, trust, Reference{}); res.Grade != GradeIdentity {
				b.Fatal(res.Reasons)
			}
		}
	})
	ref := reference(b, m, card, time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC), OCSPGood)
	b.Run("all", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if res := Verify(e, trust, ref); res.Grade != GradeMeasured {
				b.Fatal(res.Reasons)
			}
		}
	})
	rims := m.RIMs(card)
	b.Run("manifest", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := ParseRIM(rims[0], trust); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("parse", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := ParseReport(e.Report); err != nil {
				b.Fatal(err)
			}
		}
	})
}
