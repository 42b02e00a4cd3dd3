package store_test

import (
	"bytes"
	"errors"
	"math"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/assaynet/assay/challenges"
	"github.com/assaynet/assay/challenges/receipt"
	"github.com/assaynet/assay/checker/report"
	"github.com/assaynet/assay/checker/reputation"
	"github.com/assaynet/assay/store"
)

// TestBehaviour is what every store does, in memory and on disk, before and
// after it is opened again.
func TestBehaviour(t *testing.T) {
	for _, c := range []struct {
		name string
		run  func(t *testing.T, d *store.DB)
	}{
		{"challenge", challengeLife},
		{"probe", probe},
		{"abandon", abandon},
		{"slices", slicesAndRecords},
		{"seal", seal},
		{"observations", observations},
		{"order", order},
		{"queries", queries},
		{"offers", offers},
		{"ledger", ledger},
		{"boots", boots},
		{"copies", copies},
		{"copies that are none", notCopies},
		{"a copy and a refusal", copyRefused},
		{"concurrent", concurrent},
	} {
		t.Run(c.name, func(t *testing.T) {
			everywhere(t, func(t *testing.T, w world) {
				d := w.create(t)
				c.run(t, d)
				want := dump(t, d)
				check(t, d.Close())
				d = w.open(t)
				equal(t, dump(t, d), want)
				check(t, d.Close())
			})
		})
	}
}

func challengeLife(t *testing.T, d *store.DB) {
	check(t, d.Begin(hash(1), begun(1)))
	check(t, d.Begin(hash(2), begun(2)))
	wantErr(t, d.Begin(hash(1), begun(1)), store.ErrExists)
	equal(t, must[[]report.Pending](t)(d.Pending()),
		[]report.Pending{{ID: hash(1), Begun: begun(1)}, {ID: hash(2), Begun: begun(2)}})

	f := finished(1, large)
	check(t, d.Finish(f))
	check(t, d.Finish(f))
	wantErr(t, d.Begin(hash(1), begun(1)), store.ErrExists)
	again := finished(1, 10)
	again.Info.Hash, again.Item.Transcript = hash(99), hash(99)
	wantErr(t, d.Finish(again), store.ErrExists)
	other := finished(2, 10)
	other.Info.Hash, other.Item.Transcript = f.Info.Hash, f.Info.Hash
	wantErr(t, d.Finish(other), store.ErrExists)
	wantErr(t, d.Abandon(hash(1), 5), store.ErrExists)

	equal(t, must[[]report.Pending](t)(d.Pending()), []report.Pending{{ID: hash(2), Begun: begun(2)}})
	equal(t, must[[]report.TranscriptInfo](t)(d.Transcripts(report.Query{})), []report.TranscriptInfo{f.Info})
	equal(t, blake(must[[]byte](t)(d.Transcript(f.Info.Hash))), blake(f.Transcript))
	_, err := d.Transcript(hash(99))
	wantErr(t, err, store.ErrNotFound)
	equal(t, must[uint64](t)(d.TranscriptCount()), 1)
	equal(t, must[[]report.ProviderEpoch](t)(d.EpochRecords(3)),
		[]report.ProviderEpoch{{Slices: report.Slices{Provider: node(1)}, Items: []report.Item{*f.Item}}})
}

// A probe's transcript is kept, without Begin and without an item.
func probe(t *testing.T, d *store.DB) {
	f := finished(1, 10)
	f.Info.Kind, f.Item = challenges.Probe, nil
	check(t, d.Finish(f))
	equal(t, must[uint64](t)(d.TranscriptCount()), 1)
	equal(t, len(must[[]report.ProviderEpoch](t)(d.EpochRecords(3))), 0)

	b := begun(2)
	b.Kind = challenges.Probe
	check(t, d.Begin(hash(2), b))
	check(t, d.Abandon(hash(2), 9))
	equal(t, len(must[[]report.ProviderEpoch](t)(d.EpochRecords(3))), 0)
}

func abandon(t *testing.T, d *store.DB) {
	wantErr(t, d.Abandon(hash(1), 9), store.ErrNotFound)
	check(t, d.Begin(hash(1), begun(1)))
	check(t, d.Abandon(hash(1), 9))
	check(t, d.Abandon(hash(1), 10))
	wantErr(t, d.Begin(hash(1), begun(1)), store.ErrExists)
	wantErr(t, d.Finish(finished(1, 10)), store.ErrExists)
	equal(t, len(must[[]report.Pending](t)(d.Pending())), 0)
	equal(t, must[[]report.Pending](t)(d.Abandoned()), []report.Pending{{ID: hash(1), Begun: begun(1)}})
	b := begun(1)
	equal(t, must[[]report.ProviderEpoch](t)(d.EpochRecords(3))[0].Items, []report.Item{{
		Challenge: hash(1), Kind: b.Kind, Device: b.Device, Profile: b.Profile, Outcome: challenges.Unknown, Reason: "abandoned", Claim: b.Claim,
	}})
	equal(t, must[[]uint64](t)(d.Unsealed()), []uint64{3})
}

func slicesAndRecords(t *testing.T, d *store.DB) {
	check(t, d.PutSlices(3, nil))
	check(t, d.PutSlices(3, slicesOf(1)))
	check(t, d.PutSlices(3, slicesOf(2)[:1]))
	check(t, d.PutSlices(math.MaxUint64, slicesOf(3)))
	for _, n := range []byte{5, 2, 8, 1} { // providers 2, 2, 2, 1
		check(t, d.Finish(finished(n, 10)))
	}
	got := must[[]report.ProviderEpoch](t)(d.EpochRecords(3))
	equal(t, got, []report.ProviderEpoch{
		{Slices: slicesOf(2)[0]},
		{Slices: report.Slices{Provider: node(1)}, Items: []report.Item{*finished(1, 0).Item}},
		{Slices: report.Slices{Provider: node(2)}, Items: []report.Item{*finished(2, 0).Item, *finished(5, 0).Item, *finished(8, 0).Item}},
		{Slices: slicesOf(1)[1]},
	})
	equal(t, len(must[[]report.ProviderEpoch](t)(d.EpochRecords(math.MaxUint64))), 2)
	equal(t, len(must[[]report.ProviderEpoch](t)(d.EpochRecords(4))), 0)
	equal(t, must[[]uint64](t)(d.Unsealed()), []uint64{3, math.MaxUint64})
}

func seal(t *testing.T, d *store.DB) {
	equal(t, must[uint64](t)(d.SealedEpoch()), 0)
	_, err := d.Standing(node(1))
	wantErr(t, err, store.ErrNotFound)
	check(t, d.PutSlices(0, slicesOf(1)))
	check(t, d.PutSlices(5, slicesOf(1)))
	check(t, d.Finish(finished(1, 10))) // epoch 3
	equal(t, must[[]uint64](t)(d.Unsealed()), []uint64{0, 3, 5})

	check(t, d.Seal(0, nil))
	wantErr(t, d.Seal(0, sealed(0, 1)), store.ErrExists)
	equal(t, must[uint64](t)(d.SealedEpoch()), 1)
	check(t, d.Seal(3, sealed(3, 2, 1)))
	wantErr(t, d.Seal(2, nil), store.ErrExists)
	equal(t, must[uint64](t)(d.SealedEpoch()), 4)
	equal(t, must[[]uint64](t)(d.Unsealed()), []uint64{5})
	equal(t, len(must[[]report.ProviderEpoch](t)(d.EpochRecords(3))), 1)

	equal(t, must[reputation.Standing](t)(d.Standing(node(1))).Next, 4)
	check(t, d.Seal(4, sealed(4, 1)))
	equal(t, must[reputation.Standing](t)(d.Standing(node(1))).Next, 5)
	all := must[[]reputation.Standing](t)(d.Standings())
	equal(t, []uint64{uint64(len(all)), all[0].Next, all[1].Next}, []uint64{2, 5, 4})

	for name, s := range map[string][]reputation.Sealed{
		"twice": sealed(6, 1, 1), "other epoch": sealed(7, 1),
		"other provider": {{Epoch: 6, Provider: node(1), Standing: reputation.Standing{Provider: node(2)}}},
	} {
		if err := d.Seal(6, s); err == nil || errors.Is(err, store.ErrExists) {
			t.Errorf("%s: error %v", name, err)
		}
	}
	if d.Seal(math.MaxUint64, nil) == nil {
		t.Error("the last epoch was sealed, and the mark wrapped")
	}
}

func observations(t *testing.T, d *store.DB) {
	for e := range uint64(4) {
		check(t, d.Seal(e, sealed(e, 3, 1)))
	}
	for _, c := range []struct {
		name  string
		from  uint64
		limit int
		want  [][]byte
	}{
		{"all", 2, 0, [][]byte{{1, 2}, {3, 2}, {1, 3}, {3, 3}}},
		{"limit", 0, 3, [][]byte{{1, 0}, {3, 0}, {1, 1}}},
		{"none", 4, 10, nil},
	} {
		var got [][]byte
		for _, e := range must[[]challenges.Envelope](t)(d.Observations(c.from, c.limit)) {
			got = append(got, e.Payload)
		}
		equal(t, got, c.want)
	}
	one := must[[]challenges.Envelope](t)(d.EpochObservations(2))
	equal(t, one, must[[]challenges.Envelope](t)(d.Observations(2, 2)))
	equal(t, len(must[[]challenges.Envelope](t)(d.EpochObservations(4))), 0)
}

func order(t *testing.T, d *store.DB) {
	for _, c := range []struct {
		n  byte
		at int64
	}{{1, 5}, {2, -1}, {3, 5}, {4, math.MaxInt64}, {5, 0}, {6, math.MinInt64}, {7, 5}} {
		f := finished(c.n, 1)
		f.Info.At = c.at
		check(t, d.Finish(f))
		check(t, d.Use(hash(c.n), challenges.Use{At: c.at}))
	}
	var got, uses []byte
	for _, i := range must[[]report.TranscriptInfo](t)(d.Transcripts(report.Query{})) {
		got = append(got, i.Challenge[0])
	}
	for _, u := range must[[]store.UseRecord](t)(d.Uses(0)) {
		uses = append(uses, u.ID[0])
	}
	equal(t, got, []byte{4, 7, 3, 1, 5, 2, 6})
	equal(t, uses, got)
}

func queries(t *testing.T, d *store.DB) {
	for n := range byte(150) {
		f := finished(n, 1)
		f.Item = nil
		if n%10 == 0 {
			f.Info.Kind = challenges.Probe
		}
		if n%2 == 0 {
			f.Info.Outcome = challenges.Late
		}
		check(t, d.Finish(f))
	}
	for _, c := range []struct {
		name  string
		q     report.Query
		count int
		first byte
	}{
		{"default limit", report.Query{}, 100, 149},
		{"limit", report.Query{Limit: 7}, 7, 149},
		{"all", report.Query{Limit: 1000}, 150, 149},
		{"kind", report.Query{Kind: challenges.Probe}, 15, 140},
		{"outcome", report.Query{Outcome: challenges.Late}, 75, 148},
		{"provider", report.Query{Provider: node(1)}, 50, 148},
		{"several", report.Query{Kind: challenges.Probe, Outcome: challenges.Late, Provider: node(1), Limit: 2}, 2, 130},
		{"none", report.Query{Kind: challenges.Probe, Outcome: challenges.Pass}, 0, 0},
	} {
		got := must[[]report.TranscriptInfo](t)(d.Transcripts(c.q))
		if len(got) != c.count || (c.count > 0 && got[0].Challenge != hash(c.first)) {
			t.Errorf("%s: %d rows, want %d from %d on", c.name, len(got), c.count, c.first)
		}
	}
	equal(t, must[uint64](t)(d.TranscriptCount()), 150)
}

func offers(t *testing.T, d *store.DB) {
	check(t, d.PutOffer(node(2), []byte("two")))
	check(t, d.PutOffer(node(1), []byte("one")))
	check(t, d.PutOffer(node(2), []byte("two again")))
	equal(t, must[map[challenges.NodeID][]byte](t)(d.Offers()),
		map[challenges.NodeID][]byte{node(1): []byte("one"), node(2): []byte("two again")})
}

func ledger(t *testing.T, d *store.DB) {
	u := challenges.Use{Checker: node(1), Device: "gpu0", Epoch: 4, At: 10}
	check(t, d.Use(hash(1), u))
	wantErr(t, d.Use(hash(1), u), store.ErrUsed)
	wantErr(t, d.Ended(hash(2), 20, "pass"), store.ErrNotFound)
	check(t, d.Ended(hash(1), 20, "reset"))
	check(t, d.Ended(hash(1), 21, "pass"))
	wantErr(t, d.Use(hash(1), u), store.ErrUsed)
	check(t, d.Use(hash(2), challenges.Use{At: 11}))
	u.Ended, u.Outcome = 21, "pass"
	equal(t, must[[]store.UseRecord](t)(d.Uses(0)), []store.UseRecord{{ID: hash(2), Use: challenges.Use{At: 11}}, {ID: hash(1), Use: u}})
	equal(t, len(must[[]store.UseRecord](t)(d.Uses(1))), 1)
}

func copies(t *testing.T, d *store.DB) {
	m := d.Meta()
	var ids []challenges.Hash
	for n, o := range []challenges.Outcome{challenges.Pass, challenges.Late, 0, challenges.Wrong, challenges.Refused, 0} {
		id, c := copied(m, byte(n), o, n)
		if n == 5 {
			c.Result = receipt.Answered
		}
		check(t, d.PutCopy(id, c))
		ids = append(ids, id)
	}
	for _, c := range []struct {
		name string
		q    store.CopyQuery
		want []int
	}{
		{"all", store.CopyQuery{}, []int{5, 4, 3, 2, 1, 0}},
		{"limit", store.CopyQuery{Limit: 2}, []int{5, 4}},
		{"marks", store.CopyQuery{Marks: true}, []int{4, 3, 2, 1}},
		{"marks, limit", store.CopyQuery{Marks: true, Limit: 3}, []int{4, 3, 2}},
	} {
		var got []challenges.Hash
		for _, i := range must[[]store.CopyInfo](t)(d.Copies(c.q)) {
			got = append(got, i.Challenge)
		}
		var want []challenges.Hash
		for _, n := range c.want {
			want = append(want, ids[n])
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s: got %v, want %v", c.name, got, want)
		}
	}
	first := must[[]store.CopyInfo](t)(d.Copies(store.CopyQuery{Limit: 5}))[3]
	equal(t, first, store.CopyInfo{
		Challenge: ids[2], Checker: idOf(40), Device: "gpu0", Kind: challenges.Matmul, Epoch: 3, At: 2000, Ended: 2500,
		Result: "left", Bytes: first.Bytes,
	})
	// The receipt comes late, and the copy at another time: it has one place.
	id, c := copied(m, 2, challenges.Withheld, 200)
	c.At = 9000
	c.Ended = 9001
	check(t, d.PutCopy(id, c))
	all := must[[]store.CopyInfo](t)(d.Copies(store.CopyQuery{}))
	equal(t, []any{len(all), all[0].Challenge, all[0].Outcome, all[0].Clause}, []any{6, ids[2], challenges.Withheld, ""})

	for _, name := range []string{id.String(), id.String()[:20], id.String()[:7], strings.ToUpper(id.String()[:8])} {
		h, got, err := d.Copy(name)
		check(t, err)
		if h != id || !bytes.Equal(challenges.Marshal(&got), challenges.Marshal(&c)) {
			t.Errorf("copy %s: %v", name, h)
		}
	}
	for _, name := range []string{"", id.String()[:3], "xyzt", id.String() + "00", id.String()[:4] + "-"} {
		if _, _, err := d.Copy(name); err == nil || errors.Is(err, store.ErrNotFound) {
			t.Errorf("copy %q: error %v", name, err)
		}
	}
	last := byte('0')
	if id.String()[63] == last {
		last = '1'
	}
	_, _, err := d.Copy(id.String()[:63] + string(last))
	wantErr(t, err, store.ErrNotFound)

	// Two whose first digits are the same.
	seen := make(map[[2]byte]challenges.Secret)
	for n := 0; ; n++ {
		secret := challenges.Secret{1: 1, 2: byte(n), 3: byte(n >> 8)}
		id, c := copiedAs(m, secret, 1, 0, 0)
		other, ok := seen[[2]byte(id[:2])]
		if !ok {
			seen[[2]byte(id[:2])] = secret
			continue
		}
		otherID, _ := copiedAs(m, other, 1, 0, 0)
		if id[2]>>4 == otherID[2]>>4 {
			continue
		}
		check(t, d.PutCopy(id, c))
		check(t, d.PutCopy(copiedAs(m, other, 1, 0, 0)))
		_, _, err = d.Copy(id.String()[:4])
		wantErr(t, err, store.ErrAmbiguous)
		for _, name := range []string{id.String(), id.String()[:5]} { // the fifth digit tells them apart
			h, _, err := d.Copy(name)
			equal(t, []any{h, err}, []any{id, nil})
		}
		break
	}
	// As large as one can be.
	check(t, d.PutCopy(copied(m, 9, challenges.Late, 520)))
}

// copyRefused: a checker that sends a challenge again, and is refused, does not wipe the
// copy.
func copyRefused(t *testing.T, d *store.DB) {
	kept, first := copied(d.Meta(), 7, challenges.Wrong, 1)
	check(t, d.PutCopy(kept, first))
	again := first
	again.At, again.Ended, again.Receipt, again.Events, again.Signatures, again.Result = first.At+1e9, first.Ended+1e9, nil, nil, nil, "refused_quota"
	check(t, d.PutCopy(kept, again))
	if _, c, err := d.Copy(kept.String()); err != nil || c.Result != first.Result || len(c.Receipt) == 0 {
		t.Errorf("after a refusal of the same challenge the copy is %q, %v", c.Result, err)
	}
}

// notCopies is what PutCopy does not take.
func notCopies(t *testing.T, d *store.DB) {
	id, c := copied(d.Meta(), 1, challenges.Pass, 0)
	for name, change := range map[string]func(id *challenges.Hash, c *receipt.Copy){
		"another id": func(id *challenges.Hash, _ *receipt.Copy) { id[0]++ },
		"another provider": func(id *challenges.Hash, c *receipt.Copy) {
			*id, *c = copied(store.Meta{Network: hash(1), Node: node(2)}, 1, 0, 0)
		},
		"another network": func(id *challenges.Hash, c *receipt.Copy) {
			*id, *c = copied(store.Meta{Network: hash(2), Node: node(1)}, 1, 0, 0)
		},
		"another's receipt": func(_ *challenges.Hash, c *receipt.Copy) {
			_, other := copied(d.Meta(), 2, challenges.Pass, 0)
			c.Receipt = other.Receipt
		},
		"a receipt that was changed": func(_ *challenges.Hash, c *receipt.Copy) { c.Receipt[len(c.Receipt)-1] ^= 1 },
		"a challenge that was":       func(_ *challenges.Hash, c *receipt.Copy) { c.Challenge[len(c.Challenge)-1] ^= 1 },
		"out of its limits":          func(_ *challenges.Hash, c *receipt.Copy) { c.Detail = "a\nb" },
		"not UTF-8":                  func(_ *challenges.Hash, c *receipt.Copy) { c.Detail = "a\xff" },
	} {
		bad := c
		bad.Receipt, bad.Challenge = bytes.Clone(c.Receipt), bytes.Clone(c.Challenge)
		at := id
		change(&at, &bad)
		if d.PutCopy(at, bad) == nil {
			t.Errorf("%s was kept", name)
		}
	}
	equal(t, len(must[[]store.CopyInfo](t)(d.Copies(store.CopyQuery{}))), 0)
	check(t, d.PutCopy(id, c))
}

func boots(t *testing.T, d *store.DB) {
	for want := range uint64(3) {
		equal(t, must[uint64](t)(d.NextBoot()), want+1)
	}
}

// Of many that claim the same id at once, one gets it.
func concurrent(t *testing.T, d *store.DB) {
	var wg sync.WaitGroup
	var begins, uses, ends atomic.Int64
	for range 8 {
		wg.Go(func() {
			for n := range byte(8) {
				if d.Begin(hash(n), begun(n)) == nil {
					begins.Add(1)
				}
				if d.Use(hash(n), challenges.Use{At: int64(n)}) == nil {
					uses.Add(1)
				}
				if _, err := d.Pending(); err != nil {
					t.Error(err)
				}
				if err := d.PutSlices(3, slicesOf(n)); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	for g := range byte(8) {
		wg.Go(func() {
			for n := range byte(8) {
				f := finished(n, 10)
				f.Info.Hash = hash(100 + 10*g + n)
				f.Item.Transcript = f.Info.Hash
				if d.Finish(f) == nil {
					ends.Add(1)
				}
				if _, err := d.EpochRecords(3); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	equal(t, []int64{begins.Load(), uses.Load(), ends.Load()}, []int64{8, 8, 8})
	equal(t, must[uint64](t)(d.TranscriptCount()), 8)
}
