package devnet

import (
	"maps"
	"slices"
	"testing"

	"github.com/assaynet/assay/challenges"
	"github.com/assaynet/assay/checker/client"
	"github.com/assaynet/assay/checker/reputation"
)

// doc is a provider that did everything well; edit makes it worse.
func doc(edit func(d *client.Provider)) client.Provider {
	d := client.Provider{
		Score: 0.9, ThroughputOps: new(uint64(100e6)), Flags: []string{},
		Throughput:   []client.Throughput{{Flavour: challenges.Int8, Ops: new(uint64(100e6)), ClaimOps: 95e6}},
		Availability: client.Availability{Confirmed: new(1.0), Reachability: new(1.0)},
		Memory:       client.Memory{Bytes: new(uint64(1_900_000)), ClaimBytes: 2_000_000, Figures: 3, ReadBytes: new(uint64(350e6))},
		Outcomes:     client.Outcomes{Pass: 13},
		ByKind:       map[string]client.Outcomes{"matmul": {Pass: 3}, "probe": {Pass: 10}},
	}
	if edit != nil {
		edit(&d)
	}
	return d
}

// TestExpect judges one provider of each behaviour beside an honest one of score
// 0.9 that is always reachable.
func TestExpect(t *testing.T) {
	good := doc(nil)
	type want map[string]bool
	for _, c := range []struct {
		name, behaviour string
		doc             client.Provider
		want            want
	}{
		{"caught", Liar, doc(func(d *client.Provider) {
			d.Score, d.Outcomes.Wrong, d.Flags = 0, 1, []string{reputation.FlagWorkIncorrect}
		}), want{"outcomes wrong > 0": true, "flag work-incorrect": true}},
		{"wrong, not flagged", Liar, doc(func(d *client.Provider) {
			d.Score, d.Outcomes.Wrong = 0, 1
		}), want{"outcomes wrong > 0": true, "flag work-incorrect": false}},
		{"another flag", Liar, doc(func(d *client.Provider) {
			d.Score, d.Flags = 0, []string{reputation.FlagBelowClaim}
		}), want{"outcomes wrong > 0": false, "flag work-incorrect": false}},

		{"flagged", Slow, doc(func(d *client.Provider) {
			d.Score, d.Flags = 0.2, []string{reputation.FlagBelowClaim}
		}), want{"flag below-claim": true}},
		{"not flagged", Slow, doc(func(d *client.Provider) { d.Score = 0.2 }), want{"flag below-claim": false}},

		{"less reachable", Flaky, doc(func(d *client.Provider) {
			d.Score, d.Availability.Reachability = 0.6, new(0.66)
		}), want{"reachability lower than every honest one": true}},
		{"as reachable", Flaky, doc(func(d *client.Provider) { d.Score = 0.6 }), want{"reachability lower than every honest one": false}},
		{"reachability not known", Flaky, doc(func(d *client.Provider) {
			d.Score, d.Availability.Reachability = 0.6, nil
		}), want{"reachability lower than every honest one": false}},

		{"refuses, answers probes", Busy, doc(func(d *client.Provider) {
			d.Score, d.Outcomes = 0, client.Outcomes{Refused: 2, Pass: 9}
		}), want{"outcomes refused > 0": true, "probes answered": true, "no hard mark": true}},
		{"never refuses", Busy, doc(func(d *client.Provider) { d.Score = 0 }), want{
			"outcomes refused > 0": false, "probes answered": true, "no hard mark": true,
		}},
		{"no probe answered", Busy, doc(func(d *client.Provider) {
			d.Score, d.Outcomes.Refused, d.ByKind = 0, 1, map[string]client.Outcomes{"probe": {Unreachable: 4}}
		}), want{"outcomes refused > 0": true, "probes answered": false, "no hard mark": true}},
		{"wrong", Busy, doc(func(d *client.Provider) { d.Score, d.Outcomes.Refused, d.Outcomes.Wrong = 0, 1, 1 }), want{
			"outcomes refused > 0": true, "probes answered": true, "no hard mark": false,
		}},
		{"flagged", Busy, doc(func(d *client.Provider) {
			d.Score, d.Outcomes.Refused, d.Flags = 0, 1, []string{reputation.FlagWorkIncorrect}
		}), want{"outcomes refused > 0": true, "probes answered": true, "no hard mark": false}},

		{"below", Coward, doc(func(d *client.Provider) { d.Score = 0.89 }), want{"score below every honest one": true}},
		{"equal", Coward, doc(func(d *client.Provider) { d.Score = 0.9 }), want{"score below every honest one": false}},
		{"above", Coward, doc(func(d *client.Provider) { d.Score = 1 }), want{"score below every honest one": false}},

		{"found", SmallMem, doc(func(d *client.Provider) {
			d.Score, d.Flags, d.Memory.Bytes = 0.3, []string{reputation.FlagBelowMemory}, new(uint64(999_999))
		}), want{"flag below-memory": true, "under half of the claimed memory proven": true, "no hard mark": true}},
		{"half proven", SmallMem, doc(func(d *client.Provider) {
			d.Score, d.Flags, d.Memory.Bytes = 0.3, []string{reputation.FlagBelowMemory}, new(uint64(1_000_000))
		}), want{"flag below-memory": true, "under half of the claimed memory proven": false, "no hard mark": true}},
		{"nothing proven", SmallMem, doc(func(d *client.Provider) {
			d.Score, d.Flags, d.Memory.Bytes = 0.3, []string{reputation.FlagBelowMemory}, new(uint64)
		}), want{"flag below-memory": true, "under half of the claimed memory proven": true, "no hard mark": true}},
		{"no figure", SmallMem, doc(func(d *client.Provider) {
			d.Score, d.Memory = 0.3, client.Memory{}
		}), want{"flag below-memory": false, "under half of the claimed memory proven": false, "no hard mark": true}},
		{"another flag", SmallMem, doc(func(d *client.Provider) {
			d.Score, d.Flags, d.Memory.Bytes = 0.3, []string{reputation.FlagBelowClaim}, new(uint64(800_000))
		}), want{"flag below-memory": false, "under half of the claimed memory proven": true, "no hard mark": true}},
		{"wrong", SmallMem, doc(func(d *client.Provider) {
			d.Score, d.Flags, d.Memory.Bytes, d.Outcomes.Wrong = 0, []string{reputation.FlagBelowMemory}, new(uint64(800_000)), 1
		}), want{"flag below-memory": true, "under half of the claimed memory proven": true, "no hard mark": false}},

		{"found", Counterfeit, doc(func(d *client.Provider) {
			d.Score, d.Flags = 0, []string{reputation.FlagCardContradicted, reputation.FlagUnlikeModel}
		}), want{"flag card-contradicted": true, "flag unlike-model": true, "level L0": true, "no hard mark": true}},
		{"telemetry alone", Counterfeit, doc(func(d *client.Provider) {
			d.Score, d.Flags = 0, []string{reputation.FlagCardContradicted}
		}), want{"flag card-contradicted": true, "flag unlike-model": false, "level L0": true, "no hard mark": true}},
		{"believed", Counterfeit, doc(func(d *client.Provider) {
			d.Score, d.Level = 0.8, 2
		}), want{"flag card-contradicted": false, "flag unlike-model": false, "level L0": false, "no hard mark": true}},

		{"found", Oversold, doc(func(d *client.Provider) {
			d.Score, d.Flags = 0.8, []string{reputation.FlagOversold}
		}), want{"flag oversold": true, "no hard mark": true}},
		{"another flag", Oversold, doc(func(d *client.Provider) {
			d.Score, d.Flags = 0.8, []string{reputation.FlagBelowMemory}
		}), want{"flag oversold": false, "no hard mark": true}},
		{"wrong", Oversold, doc(func(d *client.Provider) { d.Score, d.Outcomes.Wrong = 0, 1 }), want{"flag oversold": false, "no hard mark": false}},
	} {
		t.Run(c.behaviour+" "+c.name, func(t *testing.T) {
			p := []planted{{Name: "provider-1", Behaviour: c.behaviour}, {Name: "provider-2", Behaviour: Honest}}
			got := want{}
			for _, e := range expect(p, []client.Provider{c.doc, good}) {
				if e.Provider == "provider-1" {
					got[e.Expect] = e.Met
					continue
				}
				if met := e.Expect != "score above every planted cheater" || c.doc.Score < good.Score; e.Met != met {
					t.Errorf("the honest one: %q is %v", e.Expect, e.Met)
				}
			}
			if !maps.Equal(got, c.want) {
				t.Errorf("got  %v\nwant %v", got, c.want)
			}
		})
	}
}

// memoryProven is what is expected of an honest provider's memory.
const memoryProven = "no less than 70 % of the claimed memory proven"

func TestExpectHonest(t *testing.T) {
	for _, c := range []struct {
		name   string
		doc    client.Provider
		other  float64 // score of a liar beside it
		missed string  // the one expectation that is; empty: none
	}{
		{"all met", doc(nil), 0, ""},
		{"two passes", doc(func(d *client.Provider) { d.ByKind["matmul"] = client.Outcomes{Pass: 2} }), 0, "at least 3 passes"},
		{"probes are no passes", doc(func(d *client.Provider) { delete(d.ByKind, "matmul") }), 0, "at least 3 passes"},
		{"passes of both kinds", doc(func(d *client.Provider) {
			d.ByKind["matmul"], d.ByKind["fma"] = client.Outcomes{Pass: 2}, client.Outcomes{Pass: 1}
		}), 0, ""},
		{"no throughput", doc(func(d *client.Provider) { d.ThroughputOps, d.Throughput = nil, []client.Throughput{} }), 0, "a throughput"},
		{"no figure yet", doc(func(d *client.Provider) { d.ThroughputOps, d.Throughput[0].Ops = nil, nil }), 0, "a throughput"},
		// A short network may not have come to int8's turn.
		{"a throughput of fp64fma alone", doc(func(d *client.Provider) {
			d.ThroughputOps, d.Throughput[0].Flavour = nil, challenges.FP64
		}), 0, ""},
		{"flagged", doc(func(d *client.Provider) { d.Flags = []string{reputation.FlagBelowClaim} }), 0, "no flag"},
		{"a shared device", doc(func(d *client.Provider) { d.Flags = []string{reputation.FlagSharedDevice} }), 0, "no flag"},
		{"no memory asked yet", doc(func(d *client.Provider) { d.Memory = client.Memory{} }), 0, ""},
		{"all of its memory", doc(func(d *client.Provider) { d.Memory.Bytes = new(uint64(2_000_000)) }), 0, ""},
		{"70 % of its memory", doc(func(d *client.Provider) { d.Memory.Bytes = new(uint64(1_400_000)) }), 0, ""},
		{"just less", doc(func(d *client.Provider) { d.Memory.Bytes = new(uint64(1_399_999)) }), 0, memoryProven},
		{"none of its memory", doc(func(d *client.Provider) { d.Memory.Bytes = new(uint64) }), 0, memoryProven},
		{"liar above", doc(nil), 0.95, "score above every planted cheater"},
		{"liar equal", doc(nil), 0.9, "score above every planted cheater"},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := []planted{{Name: "provider-1", Behaviour: Honest}, {Name: "provider-2", Behaviour: Liar}}
			var names []string
			for _, e := range expect(p, []client.Provider{c.doc, {Score: c.other}}) {
				if e.Provider != "provider-1" {
					continue
				}
				names = append(names, e.Expect)
				if e.Met != (e.Expect != c.missed) {
					t.Errorf("%q is %v", e.Expect, e.Met)
				}
			}
			if !slices.Equal(names, []string{"at least 3 passes", "a throughput", "no flag", memoryProven, "score above every planted cheater"}) {
				t.Errorf("expectations %v", names)
			}
		})
	}
	// Honest ones need not beat each other, and nobody at all is no failure.
	two := []planted{{Name: "a", Behaviour: Honest}, {Name: "b", Behaviour: Honest}}
	if r := (Report{Expectations: expect(two, []client.Provider{doc(nil), doc(nil)})}); !r.Met() || len(r.Expectations) != 10 {
		t.Errorf("two equal honest ones: %+v", r.Expectations)
	}
	if got := expect(nil, nil); got == nil || len(got) != 0 {
		t.Errorf("no providers: %v, want an empty list", got)
	}
}

// TestExpectSharer holds each of two pairs against its own partner, whatever stands
// between them.
func TestExpectSharer(t *testing.T) {
	p := []planted{
		{Name: "provider-1", Behaviour: Sharer},
		{Name: "provider-2", Behaviour: Honest},
		{Name: "provider-3", Behaviour: Sharer},
		{Name: "provider-4", Behaviour: Sharer},
		{Name: "provider-5", Behaviour: Liar},
		{Name: "provider-6", Behaviour: Oversold},
		{Name: "provider-7", Behaviour: Sharer},
	}
	for i := range p {
		p[i].ID = challenges.NodeID{byte(i + 1)}
	}
	for i, want := range map[int]int{0: 2, 2: 0, 3: 6, 6: 3} {
		if got := partner(p, i); got != want {
			t.Errorf("partner of %s: %s, want %s", p[i].Name, p[got].Name, p[want].Name)
		}
	}
	for _, c := range []struct {
		name   string
		shared []int // the providers that the first sharer's device was found to be shared with
		wrong  uint64
		want   []bool
	}{
		{"found", []int{2}, 0, []bool{true, true}},
		{"found, with another", []int{1, 2}, 0, []bool{true, true}},
		{"not found", nil, 0, []bool{false, true}},
		{"with another", []int{3}, 0, []bool{false, true}},
		{"with itself", []int{0}, 0, []bool{false, true}},
		{"wrong", []int{2}, 1, []bool{true, false}},
	} {
		docs := make([]client.Provider, len(p))
		for i := range docs {
			docs[i] = doc(nil)
		}
		docs[0] = doc(func(d *client.Provider) {
			d.Outcomes.Wrong = c.wrong
			for _, k := range c.shared {
				d.Flags = append(d.Flags, reputation.FlagSharedDevice)
				d.Shared = append(d.Shared, client.SharedDevice{Device: "gpu0", Other: p[k].ID, OtherDevice: "gpu0"})
			}
		})
		got := expect(p, docs)[:2]
		for k, expect := range []string{"flag shared-device, with provider-3", "no hard mark"} {
			if want := (Expectation{"provider-1", expect, c.want[k]}); got[k] != want {
				t.Errorf("%s: %+v, want %+v", c.name, got[k], want)
			}
		}
	}
}

// TestExpectAttested: an attested provider is an honest one whose card is known.
func TestExpectAttested(t *testing.T) {
	signed := func(d *client.Provider) {
		d.Level, d.Attested, d.Cards = 4, true, []client.Card{{Device: "gpu0", Level: 4, Identity: &challenges.Hash{1}}}
	}
	p := []planted{{Name: "a", Behaviour: Attested}, {Name: "b", Behaviour: Honest}, {Name: "c", Behaviour: Liar}}
	for _, c := range []struct {
		name   string
		edit   func(d *client.Provider)
		missed []string
	}{
		{"as it should be", signed, nil},
		{"no identity", func(d *client.Provider) { signed(d); d.Cards[0].Identity = nil }, []string{"the identity of its card"}},
		{"identity alone", func(d *client.Provider) { signed(d); d.Level = 3 }, []string{"level L4, simulated"}},
		{"not called attested", func(d *client.Provider) { signed(d); d.Attested = false }, []string{"level L4, simulated"}},
		{"flagged", func(d *client.Provider) { signed(d); d.Flags = []string{reputation.FlagCardContradicted} }, []string{"no flag"}},
		{"below the liar", func(d *client.Provider) { signed(d); d.Score = 0 }, []string{"score above every planted cheater"}},
	} {
		liar := doc(func(d *client.Provider) {
			d.Score, d.Outcomes.Wrong, d.Flags = 0.1, 1, []string{reputation.FlagWorkIncorrect}
		})
		var missed []string
		for _, e := range expect(p, []client.Provider{doc(c.edit), doc(nil), liar}) {
			if !e.Met {
				missed = append(missed, e.Expect)
				if e.Provider != "a" {
					t.Errorf("%s: %+v", c.name, e)
				}
			}
		}
		if !slices.Equal(missed, c.missed) {
			t.Errorf("%s: missed %q, want %q", c.name, missed, c.missed)
		}
	}
}

// TestExpectWorst has every cheater held against all honest ones, not the first
// or the last.
func TestExpectWorst(t *testing.T) {
	low := doc(func(d *client.Provider) { d.Score, d.Availability.Reachability = 0.5, new(0.5) })
	for _, honest := range [][]client.Provider{{doc(nil), low}, {low, doc(nil)}} {
		for _, kind := range []string{Coward, Flaky} {
			p := []planted{{Behaviour: kind, Name: "x"}, {Behaviour: Honest}, {Behaviour: Honest}}
			mid := doc(func(d *client.Provider) { d.Score, d.Availability.Reachability = 0.7, new(0.7) })
			if e := expect(p, append([]client.Provider{mid}, honest...)); e[0].Provider != "x" || e[0].Met {
				t.Errorf("%s: %+v", kind, e[0])
			}
		}
	}
}

func TestMet(t *testing.T) {
	for _, c := range []struct {
		name string
		met  []bool
		want bool
	}{
		{"none", nil, true},
		{"all", []bool{true, true}, true},
		{"last missed", []bool{true, false}, false},
		{"first missed", []bool{false, true}, false},
	} {
		r := Report{}
		for _, m := range c.met {
			r.Expectations = append(r.Expectations, Expectation{Met: m})
		}
		if r.Met() != c.want {
			t.Errorf("%s: met %v", c.name, r.Met())
		}
	}
}
