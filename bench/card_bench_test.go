package bench

import (
	"testing"
	"time"

	"github.com/assaynet/assay/gpu/attest"
	"github.com/assaynet/assay/gpu/attest/synthetic"
	"github.com/assaynet/assay/gpu/models"
	"github.com/assaynet/assay/gpu/telemetry"
)

// BenchmarkCard is what a checker computes for the card of one result, beside
// BenchmarkVerifyOpenings, which is what it computes for the work: a report with its
// chain, the same with manifests and OCSP answers at hand, and twelve snapshots.
func BenchmarkCard(b *testing.B) {
	m := synthetic.New([32]byte{1})
	card := m.Card(synthetic.CardConfig{})
	e, trust := card.Sign([32]byte{7}), m.Trust()
	at := time.Date(2026, 3, 4, 0, 0, 0, 0, time.UTC)
	ref := attest.Reference{At: at}
	for _, f := range m.RIMs(card) {
		rim, err := attest.ParseRIM(f, trust)
		if err != nil {
			b.Fatal(err)
		}
		ref.RIMs = append(ref.RIMs, rim)
	}
	for _, f := range m.OCSP(card, at, attest.OCSPGood) {
		answer, err := attest.ParseOCSP(f)
		if err != nil {
			b.Fatal(err)
		}
		ref.OCSP = append(ref.OCSP, answer)
	}
	for _, c := range []struct {
		name string
		ref  attest.Reference
		want attest.Grade
	}{{"report", attest.Reference{}, attest.GradeIdentity}, {"report+manifests+ocsp", ref, attest.GradeMeasured}} {
		b.Run(c.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if r := attest.Verify(e, trust, c.ref); r.Grade != c.want {
					b.Fatal(r.Reasons)
				}
			}
		})
	}
	b.Run("telemetry", func(b *testing.B) {
		r := snapshots(b)
		b.ReportAllocs()
		for b.Loop() {
			if j := telemetry.Judge(r, telemetry.Work{}); !j.Plausible() {
				b.Fatal(j.Findings)
			}
		}
	})
}

// snapshots is a record of an H100, as long as records are.
func snapshots(b *testing.B) telemetry.Record {
	s, err := models.Lookup("h100-sxm")
	if err != nil {
		b.Fatal(err)
	}
	r := telemetry.Record{Inventory: telemetry.Inventory{
		Name: s.Names[0], UUID: "GPU-10f35015-e921-bfab-2eb8-4e9b6664d5f1", Serial: "1654123038646", PCI: "0000:19:00.0",
		Driver: "550.90.07", NVML: "12.550.90.07", CUDA: "12.4", VBIOS: "96.00.9F.00.01", PCIDevice: uint32(s.PCI[0])<<16 | 0x10de,
		PCISubsystem: 0x16c110de, Major: 9, Cores: uint32(s.SMs * 128), BusBits: uint32(s.BusBits), PowerMax: uint32(s.Watts * 1000), Confidential: "on",
	}}
	for i := range int64(telemetry.MaxSnapshots) {
		snapshot := telemetry.Snapshot{At: time.Duration(i) * 500 * time.Millisecond}
		for k, v := range map[telemetry.Kind]int64{
			telemetry.Energy: 1e9 + 325_000*i, telemetry.Power: 650_000 + 100*(i%5), telemetry.PowerLimit: 700_000, telemetry.ClockSM: 1900 + 5*(i%3),
			telemetry.ClockSMMax: 1980, telemetry.ClockMemory: 2619, telemetry.ClockMemoryMax: 2619, telemetry.Temperature: 55 + i%4,
			telemetry.MemoryTotal: 81559 << 20, telemetry.MemoryUsed: 40 << 30, telemetry.UtilGPU: 100, telemetry.ECC: 1,
		} {
			snapshot.Set(k, v)
		}
		r.Snapshots = append(r.Snapshots, snapshot)
	}
	return r
}
