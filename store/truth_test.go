package store_test

import (
	"bytes"
	"crypto/ed25519"
	"testing"
	"time"

	"github.com/assaynet/assay/challenges"
	"github.com/assaynet/assay/challenges/memory"
	"github.com/assaynet/assay/checker/committee"
	"github.com/assaynet/assay/checker/report"
	"github.com/assaynet/assay/checker/reputation"
	"github.com/assaynet/assay/store"
)

func testKey(n byte) ed25519.PrivateKey {
	return ed25519.NewKeyFromSeed(bytes.Repeat([]byte{n}, ed25519.SeedSize))
}

func idOf(n byte) challenges.NodeID { return challenges.IDOf(testKey(n)) }

// checkerKey, and the providers, of a truth.
const (
	checkerKey = 1
	providerA  = 2
	providerB  = 3
)

func registry() *committee.Registry {
	return &committee.Registry{
		Name: "truth", Genesis: 1, Simulated: true, Params: committee.Devnet(),
		Checkers: []committee.Member{{ID: idOf(checkerKey), Name: "c"}},
	}
}

func network() challenges.Hash { return registry().Hash() }

// challenge draws a challenge and what is written down of it.
func challenge(kind challenges.Kind, epoch uint64, provider, n byte) (challenges.Hash, report.Begun) {
	secret := challenges.Secret{n, 1}
	c := challenges.Challenge{
		Network: network(), Epoch: epoch, Provider: idOf(provider), Kind: kind, Seq: uint32(n), Commit: secret.Commit(),
	}
	b := report.Begun{Epoch: epoch, Kind: kind, Provider: idOf(provider), At: int64(epoch)*1e9 + int64(n), Secret: secret}
	switch kind {
	case challenges.Matmul, challenges.FMA:
		p := challenges.ComputeParams{Profile: 2, Window: 1, Claim: 1e6}
		if kind == challenges.FMA {
			p.Profile = 6
		}
		row, _ := challenges.LookupProfile(p.Profile)
		c.Device, c.Deadline, c.Params = "gpu0", row.Deadline(p.Claim, 0), challenges.Marshal(&p)
		b.Device, b.Profile, b.Claim = c.Device, p.Profile, p.Claim
	case challenges.Memory:
		p := memory.Params{Profile: 502, Items: memory.Items(1 << 18)}
		c.Device, c.Deadline, c.Params = "gpu0", p.Dataset().Deadline(0), challenges.Marshal(&p)
		b.Device, b.Profile, b.Claim = c.Device, p.Profile, 1<<18
	case challenges.Probe:
		c.Deadline, c.Params = challenges.ProbeDeadline, challenges.Marshal(&challenges.ProbeParams{Pings: 2})
	}
	e := challenges.Seal(network(), challenges.KindChallenge, challenges.Marshal(&c), testKey(checkerKey))
	b.Challenge = challenges.Marshal(&e)
	return e.ID(), b
}

// end ends a challenge so.
func end(id challenges.Hash, b report.Begun, o challenges.Outcome, ops uint64) report.Finished {
	t := challenges.Transcript{
		Challenge: b.Challenge, Secret: b.Secret, Signatures: make([][]byte, 2),
		Verdict: challenges.Verdict{Outcome: o, OpsLower: ops},
	}
	e := challenges.SealTranscript(t, network(), testKey(checkerKey))
	f := report.Finished{
		Transcript: challenges.Marshal(&e),
		Info: report.TranscriptInfo{
			Hash: e.ID(), Challenge: id, Kind: b.Kind, Outcome: o, Provider: b.Provider, Device: b.Device, Epoch: b.Epoch, At: b.At + 500,
		},
	}
	if b.Kind != challenges.Probe {
		f.Item = &report.Item{
			Challenge: id, Kind: b.Kind, Device: b.Device, Profile: b.Profile, Outcome: o, OpsLower: ops, Claim: b.Claim, Transcript: e.ID(),
			Slot: b.Epoch, Fleet: report.FleetPart{Run: challenges.Hash{byte(b.Epoch)}, Devices: 2, Group: 3, Sum: ops, Claim: b.Claim},
		}
	}
	return f
}

// sealEpoch seals an epoch as the checker does.
func sealEpoch(t testing.TB, d *store.DB, epoch uint64) {
	t.Helper()
	r := registry()
	var out []reputation.Sealed
	for _, rec := range must[[]report.ProviderEpoch](t)(d.EpochRecords(epoch)) {
		o := report.Observation{
			Epoch: epoch, Provider: rec.Provider, Simulated: true, Slices: rec.Slices.Slices, RTT: rec.RTT, Items: rec.Items,
		}
		old, _ := d.Standing(rec.Provider)
		a := reputation.Combine(r, epoch, rec.Provider, []reputation.Seen{{Checker: idOf(checkerKey), Observation: o}})
		s, _ := reputation.Fold(old, a, &r.Params)
		out = append(out, reputation.Sealed{
			Observation: o.Seal(network(), testKey(checkerKey)), Epoch: epoch, Provider: rec.Provider, Standing: s,
		})
	}
	check(t, d.Seal(epoch, out))
}

func truthMeta() store.Meta {
	return store.Meta{Kind: store.KindChecker, Network: network(), Node: idOf(checkerKey)}
}

// truth is a store as a checker leaves it: with signed rows in every table, four
// sealed epochs, one that is open, and a challenge that a crash cut short.
func truth(t testing.TB, w world) *store.DB {
	t.Helper()
	d, err := store.Create(w.dir, truthMeta(), w.options())
	opened(t, d, err)
	run := func(kind challenges.Kind, epoch uint64, provider, n byte, o challenges.Outcome, ops uint64) {
		id, b := challenge(kind, epoch, provider, n)
		if kind != challenges.Probe {
			check(t, d.Begin(id, b))
		}
		check(t, d.Finish(end(id, b, o, ops)))
	}
	probes := func(p byte, b ...byte) report.Slices {
		return report.Slices{Provider: idOf(p), Simulated: true, Slices: b, RTT: time.Millisecond}
	}
	for epoch := range uint64(5) {
		kind := challenges.Matmul
		if epoch == 3 {
			kind = challenges.Memory
		}
		run(kind, epoch, providerA, byte(10*epoch), challenges.Pass, 5e5)
		run(challenges.Probe, epoch, providerA, byte(10*epoch+1), challenges.Unreachable, 0)
		check(t, d.PutSlices(epoch, []report.Slices{probes(providerA, 1, 0, byte(challenges.Unreachable))}))
		if epoch == 1 {
			run(challenges.FMA, epoch, providerB, 12, challenges.Wrong, 0) // and no probes
		}
		if epoch == 2 {
			id, b := challenge(challenges.FMA, epoch, providerB, 22)
			check(t, d.Begin(id, b))
			check(t, d.Abandon(id, 5e9))
			id, b = challenge(challenges.Probe, epoch, providerB, 23)
			check(t, d.Begin(id, b))
			check(t, d.Abandon(id, 5e9))
		}
		if epoch < 4 && epoch != 3 { // 3 is passed over
			sealEpoch(t, d, epoch)
		}
	}
	sealEpoch(t, d, 3)
	id, b := challenge(challenges.Matmul, 4, providerA, 42)
	check(t, d.Begin(id, b))
	r := must[store.RetainReport](t)(d.Retain(time.Unix(2, 0), store.RetainPolicy{Passes: 5e8, Others: 15e8}))
	equal(t, []uint64{r.Passes, r.Others}, []uint64{2, 1})
	offer := challenges.Offer{Seq: 1, Expires: 9, Devices: []challenges.OfferDevice{}, Addrs: []string{}}
	e := challenges.Seal(network(), challenges.KindOffer, challenges.Marshal(&offer), testKey(providerA))
	check(t, d.PutOffer(idOf(providerA), challenges.Marshal(&e)))
	check(t, d.Use(hash(9), challenges.Use{At: 4}))
	check(t, d.PutCopy(copied(truthMeta(), 1, challenges.Pass, 0)))
	check(t, d.PutCopy(copied(truthMeta(), 2, challenges.Late, 2)))
	check(t, d.PutCopy(copied(truthMeta(), 3, 0, 2)))
	r = must[store.RetainReport](t)(d.Retain(time.Unix(0, 2000), store.RetainPolicy{Passes: 500}))
	equal(t, r.Copies, 1)
	must[uint64](t)(d.NextBoot())
	return d
}
