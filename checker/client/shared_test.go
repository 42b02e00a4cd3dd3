package client

import (
	"crypto/ed25519"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/assaynet/assay/challenges"
	"github.com/assaynet/assay/checker/committee"
	"github.com/assaynet/assay/checker/evidence"
	"github.com/assaynet/assay/checker/report"
	"github.com/assaynet/assay/checker/reputation"
)

// slotWorld is devices in global slots, some of which are one card, and the
// checkers who tell of them.
type slotWorld struct {
	registry *committee.Registry
	devices  []ed25519.PrivateKey // a provider each
	card     []int                // of each device
	void     bool                 // devices of one card refuse neutrally where they meet
}

var slotDevices = []ed25519.PrivateKey{testKey(20), testKey(21), testKey(22), testKey(23), testKey(24), testKey(25)}

func (w slotWorld) targets() (out []committee.Target) {
	for _, k := range w.devices {
		out = append(out, committee.Target{Provider: challenges.IDOf(k), Device: device})
	}
	return out
}

// slotsOf is what a checker has to run in an epoch.
func (w slotWorld) slotsOf(checker ed25519.PrivateKey, epoch uint64) []committee.Slotted {
	return committee.SlotPlan(w.registry, w.registry.Hash(), challenges.IDOf(checker), epoch, w.targets(), nil)
}

// in is which devices are in an epoch's slots, by number, whoever runs them.
func (w slotWorld) in(epoch uint64) map[uint64]map[committee.Target]bool {
	in := make(map[uint64]map[committee.Target]bool)
	for _, c := range w.registry.Checkers {
		for _, s := range committee.SlotPlan(w.registry, w.registry.Hash(), c.ID, epoch, w.targets(), nil) {
			if in[s.Number] == nil {
				in[s.Number] = make(map[committee.Target]bool)
			}
			in[s.Number][s.Target] = true
		}
	}
	return in
}

// seal lets checkers run an epoch and sign what they saw.
func (w slotWorld) seal(epoch uint64, checkers ...*fakeChecker) {
	in, targets := w.in(epoch), w.targets()
	for _, f := range checkers {
		obs := make(map[committee.Target]*report.Observation)
		for i, t := range targets {
			o := saw(w.devices[i], "u")
			obs[t] = &o
		}
		for _, s := range w.slotsOf(f.key, epoch) {
			me := slices.Index(targets, s.Target)
			busy := false
			for i, t := range targets {
				busy = busy || i != me && w.card[i] == w.card[me] && in[s.Number][t]
			}
			it := slotItem(epoch, s, claim)
			switch {
			case busy && w.void:
				it.Outcome, it.Reason, it.OpsLower = challenges.Refused, challenges.ReasonTenant, 0
			case busy:
				it.OpsLower = claim / 2
			}
			o := obs[s.Target]
			o.Items = append(o.Items, it)
		}
		var all []report.Observation
		for _, t := range targets {
			slices.SortFunc(obs[t].Items, func(a, b report.Item) int { return a.Challenge.Compare(b.Challenge) })
			all = append(all, *obs[t])
		}
		f.seal(w.registry, epoch, all...)
	}
}

func slotItem(epoch uint64, s committee.Slotted, ops uint64) report.Item {
	return report.Item{
		Challenge: challenges.Hash{byte(epoch), byte(s.Index), s.Target.Provider[0]}, Kind: challenges.Matmul, Device: s.Target.Device,
		Profile: 10, Outcome: challenges.Pass, OpsLower: ops, Claim: claim, Slot: s.Number + 1,
	}
}

// TestCollectorFindsASharedCard: what three checkers sign of global slots names
// two providers whose devices are one card, and no other.
func TestCollectorFindsASharedCard(t *testing.T) {
	keys := []ed25519.PrivateKey{keyA, keyB, testKey(30)}
	for _, tt := range []struct {
		name   string
		card   []int
		void   bool
		shared [][2]int
	}{
		{"each its own", []int{0, 1, 2, 3, 4, 5}, false, nil},
		{"two are one", []int{0, 1, 2, 1, 4, 5}, false, [][2]int{{1, 3}}},
		{"two and two", []int{0, 1, 0, 1, 4, 5}, false, [][2]int{{0, 2}, {1, 3}}},
		// It says nothing, and keeps them from running where they meet.
		{"two are one, and rented where they meet", []int{0, 1, 2, 1, 4, 5}, true, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := slotWorld{network(keys...), slotDevices, tt.card, tt.void}
			var fakes []*fakeChecker
			for _, k := range keys {
				fakes = append(fakes, newFakeChecker(t, k))
			}
			for epoch := range uint64(60) {
				w.seal(epoch, fakes...)
			}
			c := NewCollector(w.registry, clientsOf(fakes...), evidence.NVIDIA())
			update(t, c)
			providers := c.Providers()
			if len(providers) != len(tt.card) {
				t.Fatalf("%d providers", len(providers))
			}
			other := make(map[challenges.NodeID]challenges.NodeID)
			for _, pair := range tt.shared {
				a, b := challenges.IDOf(slotDevices[pair[0]]), challenges.IDOf(slotDevices[pair[1]])
				other[a], other[b] = b, a
			}
			for _, p := range providers {
				flagged := slices.Contains(p.Flags, reputation.FlagSharedDevice)
				named := slices.ContainsFunc(p.Reasons, func(r evidence.Reason) bool {
					return r.Code == reputation.FlagSharedDevice && strings.Contains(r.Detail, other[p.ID].Short())
				})
				want, shared := other[p.ID]
				if flagged != shared || named != shared || (len(p.Shared) > 0) != shared {
					t.Errorf("%s: flags %v, reasons %+v, shared %+v", p.ID.Short(), p.Flags, p.Reasons, p.Shared)
				}
				if len(p.Flags) != len(p.Reasons) {
					t.Errorf("%s: %d flags, %d reasons", p.ID.Short(), len(p.Flags), len(p.Reasons))
				}
				if !shared {
					continue
				}
				s := p.Shared[0]
				half := int(w.registry.Params.SharingTargeted) / 2
				if len(p.Shared) != 1 || s.Other != want || s.Device != device || s.OtherDevice != device || s.Together != half || s.TogetherSlow != half || s.Apart != half || s.ApartSlow != 0 {
					t.Errorf("%s: %+v, want %s", p.ID.Short(), p.Shared, want.Short())
				}
			}
			// One checker alone sees too little of it.
			alone := NewCollector(w.registry, clientsOf(fakes[0]), evidence.NVIDIA())
			update(t, alone)
			for _, p := range alone.Providers() {
				if len(p.Shared) > 0 {
					t.Errorf("one checker alone: %+v", p.Shared)
				}
			}
		})
	}
}

// TestCollectorTakesSlotsOfThePlanAlone: a checker that tells of slots in which it
// had no device to run could make any two devices look like one card.
func TestCollectorTakesSlotsOfThePlanAlone(t *testing.T) {
	keys := []ed25519.PrivateKey{keyA, keyB, testKey(30)}
	w := slotWorld{network(keys...), slotDevices, []int{0, 1, 2, 3, 4, 5}, false}
	a, b := w.targets()[1], w.targets()[3]
	for _, tt := range []struct {
		name string
		liar ed25519.PrivateKey
	}{{"a stranger", strangerKey}, {"one of three", testKey(30)}} {
		t.Run(tt.name, func(t *testing.T) {
			honest := []*fakeChecker{newFakeChecker(t, keyA), newFakeChecker(t, keyB)}
			liar := newFakeChecker(t, tt.liar)
			for epoch := range uint64(60) {
				w.seal(epoch, honest...)
				in := w.in(epoch)
				obs := []report.Observation{saw(slotDevices[1], "u"), saw(slotDevices[3], "u")}
				for index := range int(w.registry.Params.Slots) {
					n := committee.SlotNumber(&w.registry.Params, epoch, index)
					// Where both run it contradicts who ran them; where none does, it
					// lets both run slowly. That they are fine apart is true.
					if in[n][a] != in[n][b] {
						continue
					}
					for i, target := range []committee.Target{a, b} {
						obs[i].Items = append(obs[i].Items, slotItem(epoch, committee.Slotted{Index: index, Number: n, Target: target}, claim/2))
					}
				}
				liar.seal(w.registry, epoch, obs...)
			}
			c := NewCollector(w.registry, clientsOf(append(honest, liar)...), evidence.NVIDIA())
			update(t, c)
			for _, p := range c.Providers() {
				if len(p.Shared) > 0 || slices.Contains(p.Flags, reputation.FlagSharedDevice) {
					t.Errorf("%s: %+v", p.ID.Short(), p.Shared)
				}
			}
			for _, r := range c.ran {
				if r.Slot == 0 || r.Slot > 180 {
					t.Errorf("a run of slot %d", r.Slot)
				}
			}
		})
	}
}

// What an item says of a run in a slot.
func TestCollectorSlots(t *testing.T) {
	w := slotWorld{network(keyA), slotDevices[:1], []int{0}, false}
	me := challenges.IDOf(keyA)
	var in committee.Slotted
	epoch := uint64(0)
	for ; in.Target.Device == ""; epoch++ {
		if s := w.slotsOf(keyA, epoch); len(s) > 0 {
			in = s[0]
		}
	}
	epoch--
	good := slotItem(epoch, in, 7)
	change := func(f func(*report.Item)) report.Item {
		it := good
		f(&it)
		return it
	}
	outcome := func(o challenges.Outcome, reason string) report.Item {
		return change(func(it *report.Item) { it.Outcome, it.Reason = o, reason })
	}
	for _, tt := range []struct {
		name  string
		epoch uint64
		item  report.Item
		ran   int
		slow  bool
		void  bool
	}{
		{"pass", epoch, good, 1, false, false},
		{"late", epoch, outcome(challenges.Late, ""), 1, true, false},
		{"withheld", epoch, outcome(challenges.Withheld, ""), 1, true, false},
		{"busy", epoch, outcome(challenges.Refused, challenges.ReasonBusy), 1, true, false},
		{"rented", epoch, outcome(challenges.Refused, challenges.ReasonTenant), 1, false, true},
		{"in another challenge", epoch, outcome(challenges.Refused, challenges.ReasonCollision), 1, false, true},
		{"unreachable", epoch, outcome(challenges.Unreachable, ""), 1, false, true},
		{"unknown", epoch, outcome(challenges.Unknown, ""), 1, false, true},
		{"wrong", epoch, outcome(challenges.Wrong, ""), 1, false, true},
		{"in no slot", epoch, change(func(it *report.Item) { it.Slot = 0 }), 0, false, false},
		{"memory", epoch, change(func(it *report.Item) { it.Kind, it.Profile = challenges.Memory, 501 }), 0, false, false},
		{"a slot of another epoch", epoch + 1, good, 0, false, false},
		{"a slot to come", epoch, change(func(it *report.Item) { it.Slot += 1000 }), 0, false, false},
		{"no number of a slot", epoch, change(func(it *report.Item) { it.Slot = 1<<64 - 1 }), 0, false, false},
	} {
		c := NewCollector(w.registry, nil, evidence.NVIDIA())
		c.slots(tt.epoch, in.Target.Provider, reputation.Observer{Checker: me, Items: []report.Item{tt.item}})
		if len(c.ran) != tt.ran {
			t.Errorf("%s: %d runs, want %d", tt.name, len(c.ran), tt.ran)
			continue
		}
		if tt.ran == 0 {
			continue
		}
		want := reputation.Ran{Slot: in.Number + 1, Target: in.Target, Ops: 7, Flavour: challenges.Int8, Slow: tt.slow, Void: tt.void}
		if c.ran[0] != want {
			t.Errorf("%s: %+v, want %+v", tt.name, c.ran[0], want)
		}
	}
}

// TestCollectorForgetsOldSlots: what it keeps of them is bounded, the latest stay.
func TestCollectorForgetsOldSlots(t *testing.T) {
	w := slotWorld{network(keyA, keyB), slotDevices, []int{0, 1, 2, 3, 4, 5}, false}
	a, b := newFakeChecker(t, keyA), newFakeChecker(t, keyB)
	w.seal(0, a, b)
	c := NewCollector(w.registry, clientsOf(a, b), evidence.NVIDIA())
	c.ran = make([]reputation.Ran, maxRan-1)
	update(t, c)
	fresh := 0
	for _, r := range c.ran {
		if r.Slot > 0 {
			fresh++
		}
	}
	if want := len(w.slotsOf(keyA, 0)) + len(w.slotsOf(keyB, 0)); len(c.ran) != maxRan || fresh != want || want < 2 {
		t.Errorf("%d runs are kept, %d of them new, want %d and %d", len(c.ran), fresh, maxRan, want)
	}
}

// TestCollectorCountsSlotsOnce: an epoch that is tried again leaves nothing of the
// first try.
func TestCollectorCountsSlotsOnce(t *testing.T) {
	w := slotWorld{network(keyA, keyB), slotDevices, []int{0, 1, 2, 3, 4, 5}, false}
	a, b := newFakeChecker(t, keyA), newFakeChecker(t, keyB)
	w.seal(0, a, b)
	var fail atomic.Bool
	fail.Store(true)
	inner := b.server.Config.Handler
	srv := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, q *http.Request) {
		if fail.Load() && strings.Contains(q.URL.Path, "/epochs/") {
			http.Error(rw, "no", http.StatusInternalServerError)
			return
		}
		inner.ServeHTTP(rw, q)
	}))
	defer srv.Close()
	cl, err := New(srv.URL)
	if err != nil {
		t.Fatal(err)
	}
	c := NewCollector(w.registry, []*Client{a.client, cl}, evidence.NVIDIA())
	for range 2 {
		if err := c.Update(t.Context()); err == nil || len(c.ran) > 0 || c.Epochs() != 0 {
			t.Fatalf("error %v, %d runs of an epoch that is not folded", err, len(c.ran))
		}
	}
	fail.Store(false)
	update(t, c)
	if want := len(w.slotsOf(keyA, 0)) + len(w.slotsOf(keyB, 0)); len(c.ran) != want {
		t.Errorf("%d runs, want %d", len(c.ran), want)
	}
}

// TestDescribeMemoryAndTogether holds what a provider's document says of memory
// and of exclusive use against scripts that read it: null is not known.
func TestDescribeMemoryAndTogether(t *testing.T) {
	p := committee.Devnet()
	figures := func(claim uint64, ops ...uint64) (out []reputation.Figure) {
		for i, o := range ops {
			out = append(out, reputation.Figure{Checker: challenges.NodeID{byte(i)}, Ops: o, Claim: claim})
		}
		return out
	}
	for _, tt := range []struct {
		name string
		s    reputation.Standing
		want string
	}{
		{
			"nothing known",
			reputation.Standing{},
			`{"memory":{"bytes":null,"claim_bytes":0,"figures":0,"read_bytes":null},"together":{"share":null,"figures":0},"shared":[],"flags":[],"reasons":[]}`,
		},
		{
			"memory",
			reputation.Standing{Memory: figures(1000, 800, 900), Reads: 5},
			`{"memory":{"bytes":850,"claim_bytes":1000,"figures":2,"read_bytes":320},"together":{"share":null,"figures":0},"shared":[],"flags":[],"reasons":[]}`,
		},
		{
			// None is known to be none.
			"no memory shown",
			reputation.Standing{Memory: figures(1000, 0)},
			`{"memory":{"bytes":0,"claim_bytes":1000,"figures":1,"read_bytes":null},"together":{"share":null,"figures":0},"shared":[],"flags":[],"reasons":[]}`,
		},
		{
			"together",
			reputation.Standing{Fleets: figures(1000, 1000, 500)},
			`{"memory":{"bytes":null,"claim_bytes":0,"figures":0,"read_bytes":null},"together":{"share":0.75,"figures":2},"shared":[],"flags":[],"reasons":[]}`,
		},
		{
			"oversold",
			reputation.Standing{Fleets: figures(1000, 500, 500, 500)},
			`{"memory":{"bytes":null,"claim_bytes":0,"figures":0,"read_bytes":null},"together":{"share":0.5,"figures":3},"shared":[],"flags":["oversold"],` +
				`"reasons":[{"code":"oversold","detail":"at one time its devices did 50 % (median of 3 figures of 3 checkers) of what they claim each"}]}`,
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			d := Describe(&tt.s, &p)
			got, err := json.Marshal(struct {
				Memory   Memory         `json:"memory"`
				Together Together       `json:"together"`
				Shared   []SharedDevice `json:"shared"`
				Flags    []string       `json:"flags"`
				Reasons  any            `json:"reasons"`
			}{d.Memory, d.Together, d.Shared, d.Flags, d.Reasons})
			if err != nil || string(got) != tt.want {
				t.Errorf("got  %s, %v\nwant %s", got, err, tt.want)
			}
		})
	}
	// A device that is shared.
	var d Provider
	d.share([]SharedDevice{{Device: "gpu0", Other: challenges.NodeID{1}, OtherDevice: "gpu1", Together: 4, TogetherSlow: 4, Apart: 4, ApartSlow: 1}})
	got, err := json.Marshal(d.Shared)
	want := `[{"device":"gpu0","other":"0100000000000000000000000000000000000000000000000000000000000000","other_device":"gpu1",` +
		`"together":4,"together_slow":4,"apart":4,"apart_slow":1}]`
	if err != nil || string(got) != want || len(d.Flags) != 1 || len(d.Reasons) != 1 {
		t.Errorf("got  %s, %v\nwant %s", got, err, want)
	}
}
