package client

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/assaynet/assay/challenges"
	"github.com/assaynet/assay/checker/evidence"
	"github.com/assaynet/assay/checker/report"
)

func update(t *testing.T, c *Collector) {
	t.Helper()
	if err := c.Update(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// only is the one provider that a collector knows.
func only(t *testing.T, c *Collector) Provider {
	t.Helper()
	p := c.Providers()
	if len(p) != 1 {
		t.Fatalf("%d providers, want 1", len(p))
	}
	return p[0]
}

func TestCollectorFoldsOnce(t *testing.T) {
	r := network()
	a, b := newFakeChecker(t, keyA), newFakeChecker(t, keyB)
	c := NewCollector(r, clientsOf(a, b), evidence.NVIDIA())
	update(t, c)
	if c.Epochs() != 0 || len(c.Providers()) != 0 {
		t.Fatalf("%d epochs, %d providers before the first", c.Epochs(), len(c.Providers()))
	}
	for epoch := range uint64(3) {
		a.seal(r, epoch, saw(providerKey, "ud", item(byte(epoch), challenges.Pass)))
		b.seal(r, epoch, saw(providerKey, "uu", item(byte(100+epoch), challenges.Late)))
	}
	// A is one epoch ahead: that waits for B.
	a.seal(r, 3, saw(providerKey, "ud", item(3, challenges.Pass)))
	want := Outcomes{Pass: 3, Late: 3}
	for range 2 {
		update(t, c)
		if p := only(t, c); p.ByKind["matmul"] != want || p.Epochs != 3 || c.Epochs() != 3 {
			t.Errorf("%+v, %d epochs; want %+v, 3", p.ByKind["matmul"], c.Epochs(), want)
		}
	}
	for _, f := range []*fakeChecker{a, b} {
		if got := f.takeAsked(); !slices.Equal(got, []string{"0", "1", "2"}) {
			t.Errorf("asked for epochs %v", got)
		}
	}
	b.seal(r, 3, saw(providerKey, "uu"))
	update(t, c)
	p := only(t, c)
	if want.Pass++; p.ByKind["matmul"] != want || c.Epochs() != 4 {
		t.Errorf("%+v, %d epochs; want %+v, 4", p.ByKind["matmul"], c.Epochs(), want)
	}
	// The second slice is down for A alone, which confirms nothing.
	if a := p.Availability; *a.Confirmed != 1 || *a.Reachability != 0.75 {
		t.Errorf("confirmed %v, reachability %v", *a.Confirmed, *a.Reachability)
	}
	for _, f := range []*fakeChecker{a, b} {
		if got := f.takeAsked(); !slices.Equal(got, []string{"3"}) {
			t.Errorf("asked for epochs %v", got)
		}
	}
}

func TestCollectorCheckerDown(t *testing.T) {
	r := network()
	a, b := newFakeChecker(t, keyA), newFakeChecker(t, keyB)
	a.seal(r, 0, saw(providerKey, "u", item(1, challenges.Pass)))
	b.server.Close()
	c := NewCollector(r, clientsOf(b, a), evidence.NVIDIA())
	for range 2 {
		err := c.Update(t.Context())
		if err == nil || !strings.Contains(err.Error(), strings.TrimPrefix(b.server.URL, "http://")) {
			t.Errorf("error %v does not name %s", err, b.server.URL)
		}
		if err != nil && strings.Contains(err.Error(), strings.TrimPrefix(a.server.URL, "http://")) {
			t.Errorf("error %v names %s, which is up", err, a.server.URL)
		}
		if p := only(t, c); p.Outcomes.Pass != 2 || c.Epochs() != 1 {
			t.Errorf("%+v after %d epochs", p.Outcomes, c.Epochs())
		}
	}
	a.server.Close()
	if err := c.Update(t.Context()); err == nil || c.Epochs() != 1 {
		t.Errorf("error %v, %d epochs with nobody up", err, c.Epochs())
	}
}

// TestCollectorRefuses serves observations that nobody honest would: the epoch
// is not folded, and is once they are gone.
func TestCollectorRefuses(t *testing.T) {
	r, other := network(), network()
	other.Name = "other"
	o := saw(providerKey, "u")
	bad := o.Seal(r.Hash(), keyA)
	bad.Signature[0] ^= 1
	foreign := o.Seal(other.Hash(), keyA)
	header := challenges.Seal(r.Hash(), challenges.KindHeader, challenges.Marshal(&o), keyA)
	garbage := challenges.Seal(r.Hash(), challenges.KindObservation, []byte("x"), keyA)
	for _, c := range []struct {
		name string
		row  []byte
		want error
	}{
		{"bad signature", challenges.Marshal(&bad), challenges.ErrSignature},
		{"another network", challenges.Marshal(&foreign), challenges.ErrNetwork},
		{"another kind", challenges.Marshal(&header), challenges.ErrKind},
		{"signed garbage", challenges.Marshal(&garbage), challenges.ErrEncoding},
		{"no envelope", []byte("x"), challenges.ErrEncoding},
	} {
		t.Run(c.name, func(t *testing.T) {
			a := newFakeChecker(t, keyA)
			a.seal(r, 0, o, saw(otherKey, "u"))
			good := a.replace(0, nil)
			a.replace(0, append(good[:1:1], c.row))
			col := NewCollector(r, clientsOf(a), evidence.NVIDIA())
			if err := col.Update(t.Context()); !errors.Is(err, c.want) || !strings.Contains(err.Error(), "epoch 0") {
				t.Errorf("error %v, want %v of epoch 0", err, c.want)
			}
			if col.Epochs() != 0 || len(col.Providers()) != 0 {
				t.Errorf("%d epochs, %d providers", col.Epochs(), len(col.Providers()))
			}
			a.replace(0, good)
			if update(t, col); col.Epochs() != 1 || len(col.Providers()) != 2 {
				t.Errorf("then %d epochs, %d providers", col.Epochs(), len(col.Providers()))
			}
		})
	}
}

// TestCollectorLeavesOut serves signed observations that must not count.
func TestCollectorLeavesOut(t *testing.T) {
	r := network()
	a := newFakeChecker(t, strangerKey)
	a.seal(r, 0, saw(providerKey, "uu", item(1, challenges.Pass)))
	a.key = keyA
	a.seal(r, 1, saw(providerKey, "u", item(2, challenges.Pass)), saw(providerKey, "u", item(3, challenges.Pass)))
	a.observations[2] = a.observations[1] // of an epoch before
	a.sealed = 3
	c := NewCollector(r, clientsOf(a), evidence.NVIDIA())
	update(t, c)
	if p := only(t, c); p.Outcomes != (Outcomes{Pass: 2}) || c.Epochs() != 3 {
		t.Errorf("%+v after %d epochs, want one probe and one item", p.Outcomes, c.Epochs())
	}
}

func TestCollectorCancelled(t *testing.T) {
	a := newFakeChecker(t, keyA)
	a.seal(network(), 0, saw(providerKey, "u"))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	c := NewCollector(network(), clientsOf(a), evidence.NVIDIA())
	if err := c.Update(ctx); !errors.Is(err, context.Canceled) || c.Epochs() != 0 {
		t.Errorf("error %v, %d epochs", err, c.Epochs())
	}
}

// TestCollectorEpochLost has a checker that promises an epoch and fails to serve
// it: the epochs before it count, it is asked for again.
func TestCollectorEpochLost(t *testing.T) {
	r := network()
	a := newFakeChecker(t, keyA)
	a.seal(r, 0, saw(providerKey, "u"))
	var fail atomic.Bool
	fail.Store(true)
	inner := a.server.Config.Handler
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		if fail.Load() && strings.Contains(q.URL.Path, "/epochs/1/") {
			http.Error(w, "no", http.StatusInternalServerError)
			return
		}
		inner.ServeHTTP(w, q)
	}))
	defer srv.Close()
	a.seal(r, 1, saw(providerKey, "u"))
	cl, err := New(srv.URL)
	if err != nil {
		t.Fatal(err)
	}
	c := NewCollector(r, []*Client{cl}, evidence.NVIDIA())
	if err := c.Update(t.Context()); err == nil || c.Epochs() != 1 || only(t, c).Outcomes.Pass != 1 {
		t.Errorf("error %v, %d epochs", err, c.Epochs())
	}
	fail.Store(false)
	if update(t, c); c.Epochs() != 2 || only(t, c).Outcomes.Pass != 2 {
		t.Errorf("%d epochs, %+v", c.Epochs(), only(t, c).Outcomes)
	}
}

func TestRank(t *testing.T) {
	p := func(id byte, score float64) Provider { return Provider{ID: challenges.NodeID{id}, Score: score} }
	got := []Provider{p(5, 0), p(2, 0.5), p(9, 1), p(3, 0), p(1, 0.5), p(4, 0.25)}
	Rank(got)
	var ids []byte
	for _, p := range got {
		ids = append(ids, p.ID[0])
	}
	if want := []byte{9, 1, 2, 4, 3, 5}; !slices.Equal(ids, want) {
		t.Errorf("ranked %v, want %v", ids, want)
	}
	Rank(nil)
}

// TestCollectorRanks folds two providers, the better one second by id.
func TestCollectorRanks(t *testing.T) {
	r := network()
	a := newFakeChecker(t, keyA)
	good, bad := providerKey, otherKey
	if challenges.IDOf(good).Compare(challenges.IDOf(bad)) < 0 {
		good, bad = bad, good
	}
	a.seal(r, 0, saw(bad, "ud", item(1, challenges.Late)), saw(good, "uu", item(2, challenges.Pass)))
	c := NewCollector(r, clientsOf(a), evidence.NVIDIA())
	update(t, c)
	p := c.Providers()
	if len(p) != 2 || p[0].ID != challenges.IDOf(good) || p[0].Score != 1 || p[1].Score != 0 {
		t.Fatalf("%+v", p)
	}
	o, err := a.client.Observations(t.Context(), 0)
	if err != nil || len(o) != 2 {
		t.Fatalf("%d observations, %v", len(o), err)
	}
	if _, err := report.OpenObservation(o[0], r.Hash()); err != nil {
		t.Error(err)
	}
}
