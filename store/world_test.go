package store_test

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/assaynet/assay/challenges"
	"github.com/assaynet/assay/challenges/receipt"
	"github.com/assaynet/assay/checker/report"
	"github.com/assaynet/assay/checker/reputation"
	"github.com/assaynet/assay/store"
)

// world is a folder that a store lives in.
type world struct {
	fs  vfs.FS // nil: the disk
	dir string
}

func (w world) options() store.Options { return store.Options{FS: w.fs} }

func (w world) create(t testing.TB) *store.DB {
	t.Helper()
	d, err := store.Create(w.dir, meta(), w.options())
	return opened(t, d, err)
}

func (w world) open(t testing.TB) *store.DB {
	t.Helper()
	d, err := store.Open(w.dir, w.options())
	return opened(t, d, err)
}

func opened(t testing.TB, d *store.DB, err error) *store.DB {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = d.Close() })
	return d
}

// everywhere runs a test in memory and on disk.
func everywhere(t *testing.T, test func(t *testing.T, w world)) {
	t.Run("memory", func(t *testing.T) { test(t, world{vfs.NewMem(), "db"}) })
	t.Run("disk", func(t *testing.T) { test(t, world{nil, t.TempDir() + "/a/db"}) })
}

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func wantErr(t testing.TB, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Fatalf("error %v, want %v", err, want)
	}
}

func equal(t testing.TB, got, want any) {
	t.Helper()
	if g, w := fmt.Sprintf("%+v", got), fmt.Sprintf("%+v", want); g != w {
		t.Fatalf("got  %s\nwant %s", g, w)
	}
}

func must[T any](t testing.TB) func(v T, err error) T {
	return func(v T, err error) T {
		t.Helper()
		check(t, err)
		return v
	}
}

func hash(n byte) challenges.Hash   { return challenges.Hash{0: n, 31: 1} }
func node(n byte) challenges.NodeID { return challenges.NodeID{0: n, 31: 2} }

func meta() store.Meta {
	return store.Meta{Kind: store.KindChecker, Network: hash(1), Node: node(1)}
}

func begun(n byte) report.Begun {
	return report.Begun{
		Epoch: 3, Kind: challenges.Matmul, Provider: node(n % 3), Device: "gpu0", At: int64(n) * 1000,
		Profile: 1, Claim: 7e12, Challenge: []byte{n, n}, Secret: challenges.Secret{n},
	}
}

// finished ends the challenge n with a transcript of some bytes.
func finished(n byte, size int) report.Finished {
	b := begun(n)
	f := report.Finished{
		Info: report.TranscriptInfo{
			Hash: hash(n + 100), Challenge: hash(n), Kind: b.Kind, Outcome: challenges.Pass,
			Provider: b.Provider, Device: b.Device, Epoch: b.Epoch, At: b.At + 500, Bytes: uint32(size),
		},
		Transcript: bytes.Repeat([]byte{n}, size),
	}
	f.Item = &report.Item{
		Challenge: hash(n), Kind: b.Kind, Device: b.Device, Profile: b.Profile, Outcome: challenges.Pass,
		OpsLower: 6e12, Claim: b.Claim, Transcript: f.Info.Hash,
		Slot: uint64(n), Fleet: report.FleetPart{Run: hash(n + 50), Devices: 2, Group: uint16(n), Sum: 11e12, Claim: 14e12},
	}
	return f
}

func slicesOf(n byte) []report.Slices {
	return []report.Slices{
		{Provider: node(0), Slices: []byte{1, n}, RTT: 1000},
		{Provider: node(7), Simulated: true, Slices: []byte{6, 0, n}},
	}
}

func sealed(epoch uint64, providers ...byte) []reputation.Sealed {
	var out []reputation.Sealed
	for _, p := range providers {
		out = append(out, reputation.Sealed{
			Observation: challenges.Envelope{Network: hash(1), Kind: challenges.KindObservation, Payload: []byte{p, byte(epoch)}, Signer: node(1)},
			Epoch:       epoch, Provider: node(p),
			Standing: reputation.Standing{
				Provider: node(p), Next: epoch + 1, Rates: []reputation.Rate{{Flavour: challenges.BF16, Best: epoch}},
				Kinds:  []reputation.KindCount{{Kind: challenges.Matmul, Outcomes: [8]uint64{1: epoch}}},
				Memory: []reputation.Figure{{Epoch: epoch, Checker: node(1), Ops: 1 << 30, Claim: 2 << 30}}, Reads: epoch + 1,
				Fleets: []reputation.Figure{{Epoch: epoch, Checker: node(1), Ops: 11e12, Claim: 14e12}},
			},
		})
	}
	return out
}

// copied is a provider's copy of the challenge n, with so many full frames; the
// checker said o of it, or 0: nothing.
func copied(m store.Meta, n byte, o challenges.Outcome, frames int) (challenges.Hash, receipt.Copy) {
	return copiedAs(m, challenges.Secret{n, 9}, int64(n)*1000, o, frames)
}

func copiedAs(m store.Meta, secret challenges.Secret, at int64, o challenges.Outcome, frames int) (challenges.Hash, receipt.Copy) {
	p := challenges.ComputeParams{Profile: 2, Window: 1, Claim: 1e6}
	row, _ := challenges.LookupProfile(p.Profile)
	ch := challenges.Challenge{
		Network: m.Network, Epoch: 3, Provider: m.Node, Device: "gpu0", Kind: challenges.Matmul,
		Commit: secret.Commit(), Deadline: row.Deadline(p.Claim, 0), Params: challenges.Marshal(&p),
	}
	e := challenges.Seal(m.Network, challenges.KindChallenge, challenges.Marshal(&ch), testKey(40))
	c := receipt.Copy{Challenge: challenges.Marshal(&e), At: at, Ended: at + 500, Result: "left"}
	for i := range frames {
		c.Events = append(c.Events, challenges.Event{At: time.Duration(i), Stream: 1, Frame: bytes.Repeat([]byte{secret[0]}, 16000)})
		c.Signatures = append(c.Signatures, make([]byte, 64))
	}
	if o != 0 {
		r := receipt.Seal(receipt.Receipt{Challenge: e.ID(), Outcome: o, Secret: secret}, m.Network, testKey(40))
		c.Receipt = challenges.Marshal(&r)
	}
	return e.ID(), c
}

// dump writes down everything that a store holds, by its own methods. Stores
// with equal dumps are equal.
func dump(t testing.TB, d *store.DB) string {
	t.Helper()
	var s strings.Builder
	put := func(name string, v any, err error) {
		t.Helper()
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		fmt.Fprintf(&s, "%s: %+v\n", name, v)
	}
	put("meta", d.Meta(), nil)
	pending, err := d.Pending()
	put("pending", pending, err)
	abandoned, err := d.Abandoned()
	put("abandoned", abandoned, err)
	infos, err := d.Transcripts(report.Query{Limit: 1e6})
	put("index", infos, err)
	for _, i := range infos {
		b, err := d.Transcript(i.Hash)
		if errors.Is(err, store.ErrNotFound) {
			err = nil // deleted: no bytes
		}
		put("transcript", challenges.Hash(blake(b)), err)
	}
	unsealed, err := d.Unsealed()
	put("unsealed", unsealed, err)
	for e := range uint64(6) {
		records, err := d.EpochRecords(e)
		put(fmt.Sprint("epoch ", e), records, err)
	}
	next, err := d.SealedEpoch()
	put("sealed", next, err)
	observations, err := d.Observations(0, 1e6)
	put("observations", observations, err)
	standings, err := d.Standings()
	put("standings", standings, err)
	offers, err := d.Offers()
	put("offers", offers, err)
	uses, err := d.Uses(1e6)
	put("uses", uses, err)
	copies, err := d.Copies(store.CopyQuery{Limit: 1e6})
	put("copies", copies, err)
	for _, i := range copies {
		_, c, err := d.Copy(i.Challenge.String())
		put("copy", challenges.Hash(blake(challenges.Marshal(&c))), err)
	}
	return s.String()
}
