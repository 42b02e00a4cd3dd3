package reputation

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/assaynet/assay/challenges"
	"github.com/assaynet/assay/checker/committee"
	"github.com/assaynet/assay/checker/evidence"
	"github.com/assaynet/assay/checker/report"
	"github.com/assaynet/assay/gpu/models"
)

// of puts what a result says of its card into an item.
func of(level evidence.Level, identity byte, it report.Item) report.Item {
	it.Card = report.CardPart{Level: level, Model: "sim-h100"}
	if identity > 0 {
		it.Card.Identity = challenges.Hash{identity}
	}
	return it
}

func on(device string, it report.Item) report.Item {
	it.Device = device
	return it
}

func doubtful(it report.Item) report.Item {
	it.Card.Contradict = "memory-total"
	return it
}

// TestLevelOf: what several checkers' transcripts of both kinds show of all devices.
func TestLevelOf(t *testing.T) {
	pass := func(n int) report.Item { return item(n, challenges.Pass, 100, 100) }
	held := func(n int) report.Item { return remembered(n, challenges.Pass, 1e6, 2<<20) }
	for _, tt := range []struct {
		name string
		seen []Seen
		want evidence.Level
	}{
		{"nothing", nil, 0},
		{"nothing of a card", []Seen{saw(0, 0, "u", pass(1)), saw(1, 0, "u", pass(2))}, 0},
		{"compute alone", []Seen{saw(0, 0, "u", of(4, 1, pass(1))), saw(1, 0, "u", of(4, 1, pass(2)))}, 1},
		{"memory alone", []Seen{saw(0, 0, "u", of(4, 1, held(1))), saw(1, 0, "u", of(4, 1, held(2)))}, 1},
		{"both", []Seen{saw(0, 0, "u", of(4, 1, pass(1)), of(4, 1, held(2))), saw(1, 0, "u", of(4, 1, pass(3)), of(4, 1, held(4)))}, 4},
		{"the lesser of both", []Seen{saw(0, 0, "u", of(4, 1, pass(1)), of(2, 1, held(2))), saw(1, 0, "u", of(4, 1, pass(3)), of(2, 1, held(4)))}, 2},
		{"one checker's word of two", []Seen{saw(0, 0, "u", of(4, 1, pass(1)), of(4, 1, held(2))), saw(1, 0, "u")}, 0},
		{"one that refuses beside it", []Seen{
			saw(0, 0, "u", of(4, 1, pass(1)), of(4, 1, held(2)), on("gpu1", refusal(5, challenges.ReasonTenant))),
			saw(1, 0, "u", of(4, 1, pass(3)), of(4, 1, held(4)), on("gpu1", refusal(6, challenges.ReasonTenant))),
		}, 0},
		{"one says more than the other", []Seen{saw(0, 0, "u", of(4, 1, pass(1)), of(4, 1, held(2))), saw(1, 0, "u", of(3, 1, pass(3)), of(3, 1, held(4)))}, 3},
		{"one liar of three", []Seen{
			saw(0, 0, "u", of(4, 1, pass(1)), of(4, 1, held(2))), saw(1, 0, "u", of(1, 0, pass(3)), of(1, 0, held(4))), saw(2, 0, "u", of(1, 0, pass(5)), of(1, 0, held(6))),
		}, 1},
		{"the only checker there is", []Seen{saw(0, 0, "u", of(4, 1, pass(1)), of(4, 1, held(2)))}, 4},
		{"the latest counts", []Seen{saw(0, 0, "u", of(4, 1, pass(1)), of(4, 1, held(2)), of(1, 0, pass(3)))}, 1},
		{"a refusal changes nothing", []Seen{saw(0, 0, "u", of(4, 1, pass(1)), of(4, 1, held(2)), refusal(3, challenges.ReasonBusy))}, 4},
		{"late changes nothing", []Seen{saw(0, 0, "u", of(4, 1, pass(1)), of(4, 1, held(2)), of(1, 1, item(3, challenges.Late, 50, 100)))}, 4},
		{"nor does a pass without a figure", []Seen{saw(0, 0, "u", of(4, 1, pass(1)), of(4, 1, held(2)), of(1, 1, item(3, challenges.Pass, 0, 100)))}, 4},
		{"a contradiction does", []Seen{saw(0, 0, "u", of(4, 1, pass(1)), of(4, 1, held(2)), doubtful(of(0, 1, item(3, challenges.Late, 50, 100))))}, 1},
		{"the least device", []Seen{saw(0, 0, "u", of(4, 1, pass(1)), of(4, 1, held(2)), on("gpu1", of(2, 0, pass(3))), on("gpu1", of(2, 0, held(4))))}, 2},
		{"a device that says nothing", []Seen{saw(0, 0, "u", of(4, 1, pass(1)), of(4, 1, held(2)), on("gpu1", pass(3)))}, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := testRegistry(3)
			s := foldAll(t, r, tt.seen)
			if got := LevelOf(&s, &r.Params); got != tt.want {
				t.Errorf("%v, want %v; cards %+v", got, tt.want, s.Cards)
			}
		})
	}
}

// TestFlagCardContradicted takes three results of two checkers: one may be a driver's
// bad moment.
func TestFlagCardContradicted(t *testing.T) {
	bad := func(n int) report.Item { return doubtful(of(0, 0, item(n, challenges.Pass, 100, 100))) }
	good := func(n int) report.Item { return of(2, 0, item(n, challenges.Pass, 100, 100)) }
	for _, tt := range []struct {
		name string
		seen []Seen
		want bool
	}{
		{"none", []Seen{saw(0, 0, "u", good(1)), saw(1, 0, "u", good(2))}, false},
		{"two of two", []Seen{saw(0, 0, "u", bad(1)), saw(1, 0, "u", bad(2))}, false},
		{"three of one", []Seen{saw(0, 0, "u", bad(1), bad(2), bad(3)), saw(1, 0, "u", good(4))}, false},
		{"three of two", []Seen{saw(0, 0, "u", bad(1), bad(2)), saw(1, 0, "u", bad(3))}, true},
		{"three of two, of two devices", []Seen{saw(0, 0, "u", bad(1), bad(2)), saw(1, 0, "u", on("gpu1", bad(3)))}, false},
		{"of the only checker", []Seen{saw(0, 0, "u", bad(1), bad(2), bad(3))}, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := testRegistry(3)
			s := foldAll(t, r, tt.seen)
			flags := Flags(&s, &r.Params)
			if got := slices.Contains(flags, FlagCardContradicted); got != tt.want {
				t.Errorf("flags %v, want it: %v", flags, tt.want)
			}
			if score := Score(&s, &r.Params); (score == 0) != tt.want {
				t.Errorf("score %v with flags %v", score, flags)
			}
			for _, why := range Why(&s, &r.Params) {
				if !strings.Contains(why.Detail, "by rule memory-total (transcript f0") {
					t.Errorf("why: %+v", why)
				}
			}
		})
	}
}

// TestFlagUnlikeModel: a card that runs one model's rates under another's name.
func TestFlagUnlikeModel(t *testing.T) {
	named, err := models.Lookup("sim-h100")
	if err != nil {
		t.Fatal(err)
	}
	other, err := models.Lookup("sim-4090")
	if err != nil {
		t.Fatal(err)
	}
	show := func(s models.Spec, cap float64) []report.Item {
		rate := func(v uint64) uint64 { return uint64(float64(v) * cap) }
		return []report.Item{
			of(2, 0, in(challenges.Int8, item(1, challenges.Pass, rate(s.Int8Ops), rate(s.Int8Ops)))),
			of(2, 0, in(challenges.BF16, item(2, challenges.Pass, rate(s.BF16Ops), rate(s.BF16Ops)))),
			of(2, 0, in(challenges.FP64, item(3, challenges.Pass, rate(s.FP64Ops), rate(s.FP64Ops)))),
		}
	}
	for _, tt := range []struct {
		name string
		seen []Seen
		want bool
	}{
		{"itself", []Seen{saw(0, 0, "u", show(named, 1)...), saw(1, 0, "u", show(named, 1)...)}, false},
		{"itself at half its power", []Seen{saw(0, 0, "u", show(named, 0.5)...), saw(1, 0, "u", show(named, 1)...)}, false},
		{"another's rates", []Seen{saw(0, 0, "u", show(other, 1)...), saw(1, 0, "u", show(other, 1)...)}, true},
		{"a ratio that a cap may make", []Seen{saw(0, 0, "u", show(named, 1)[0], show(named, 0.3)[2]), saw(1, 0, "u", show(named, 1)[0], show(named, 0.3)[2])}, false},
		{"as one checker has it", []Seen{saw(0, 0, "u", show(other, 1)...), saw(1, 0, "u")}, false},
		{"one flavour alone", []Seen{saw(0, 0, "u", show(other, 1)[2]), saw(1, 0, "u", show(other, 1)[2])}, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := testRegistry(2)
			s := foldAll(t, r, tt.seen)
			flags := Flags(&s, &r.Params)
			if got := slices.Contains(flags, FlagUnlikeModel); got != tt.want {
				t.Errorf("flags %v, want it: %v; %+v", flags, tt.want, s.Cards)
			}
			if why := Why(&s, &r.Params); tt.want && (len(why) != 1 || !strings.Contains(why[0].Detail, "sim-h100")) {
				t.Errorf("why: %+v", why)
			}
		})
	}
}

// TestCardsAreBounded: neither devices nor checkers grow a standing for ever, the
// standing before a fold is not changed by it, and whoever invents devices takes no
// room from others.
func TestCardsAreBounded(t *testing.T) {
	p := committee.Devnet()
	var s Standing
	add := func(checker challenges.NodeID, device string) {
		s.card(0, checker, on(device, of(2, 0, item(1, challenges.Pass, 1, 1))), &p)
	}
	has := func(device string) bool {
		return slices.ContainsFunc(s.Cards, func(c Card) bool { return c.Device == device })
	}
	for i := range 2 * MaxCards {
		add(testID(0), fmt.Sprintf("ghost%03d", i))
	}
	if len(s.Cards) != MaxCards {
		t.Errorf("%d cards", len(s.Cards))
	}
	before := s.clone()
	add(testID(1), "gpu0")
	for i := range 10 {
		add(testID(0), fmt.Sprintf("more%d", i))
	}
	add(testID(2), "gpu0")
	if len(s.Cards) != MaxCards || !has("gpu0") {
		t.Errorf("%d cards, gpu0 among them: %v", len(s.Cards), has("gpu0"))
	}
	if slices.ContainsFunc(before.Cards, func(c Card) bool { return c.Device == "gpu0" }) {
		t.Error("the standing before has the card")
	}
	for i := range 2 * MaxWords {
		add(challenges.NodeID{byte(i), byte(i >> 8), 7}, "gpu0")
	}
	i := slices.IndexFunc(s.Cards, func(c Card) bool { return c.Device == "gpu0" })
	if n := len(s.Cards[i].Words); n != MaxWords {
		t.Errorf("%d words", n)
	}
	if err := s.Check(); err != nil {
		t.Error(err)
	}
	s.Cards = append(s.Cards, Card{Device: "one more"})
	if s.Check() == nil {
		t.Error("a card too many")
	}
	s.Cards = []Card{{Words: make([]Word, MaxWords+1)}}
	if s.Check() == nil {
		t.Error("a word too many")
	}
	s.Cards, s.Conflicts = nil, make([]Conflict, MaxConflicts+1)
	if s.Check() == nil {
		t.Error("a conflict too many")
	}
}

// TestOneCheckerAlone: where several have seen a provider, what one says of its cards
// is neither good nor bad: no device that it invents, no model, no level.
func TestOneCheckerAlone(t *testing.T) {
	r := testRegistry(3)
	pass := func(n int) report.Item { return item(n, challenges.Pass, 90e6, 90e6) }
	held := func(n int) report.Item { return remembered(n, challenges.Pass, 6e6, 2<<20) }
	honest := func(i int) Seen { return saw(i, 0, "u", of(4, 1, pass(1+10*i)), of(4, 1, held(2+10*i))) }
	lie := func(it report.Item) report.Item {
		it.Card.Model, it.Card.Identity = "rtx-4090", challenges.Hash{0xff}
		return it
	}
	s := foldAll(t, r, []Seen{honest(0), honest(1), saw(2, 0, "u", lie(of(4, 1, pass(31))), on("ghost", of(0, 0, item(32, challenges.Late, 1, 100))))})
	i := slices.IndexFunc(s.Cards, func(c Card) bool { return c.Device == "gpu0" })
	k := Know(&s, &s.Cards[i], &r.Params)
	if LevelOf(&s, &r.Params) != 4 || k.Model != "sim-h100" || k.Identity != (challenges.Hash{1}) || len(Flags(&s, &r.Params)) > 0 {
		t.Errorf("level %v, %+v, flags %v", LevelOf(&s, &r.Params), k, Flags(&s, &r.Params))
	}
}

// TestCardsAreForgotten: what is known of a card, good or bad, counts for a time.
func TestCardsAreForgotten(t *testing.T) {
	r := testRegistry(2)
	pass := func(n int) report.Item { return item(n, challenges.Pass, 100, 100) }
	held := func(n int) report.Item { return remembered(n, challenges.Pass, 1e6, 2<<20) }
	good := func(i int) Seen { return saw(i, 0, "u", of(4, 1, pass(1+10*i)), of(4, 1, held(2+10*i))) }
	bad := func(i int) Seen {
		return saw(i, 0, "u", doubtful(of(0, 0, pass(1+10*i))), doubtful(of(0, 0, pass(2+10*i))))
	}
	span := int(window(&r.Params))
	later := func(first []Seen, epochs int, rest ...report.Item) Standing {
		all := [][]Seen{first}
		for e := range epochs {
			var seen []Seen
			for i := range 2 {
				seen = append(seen, saw(i, uint64(e+1), "u", rest...))
			}
			all = append(all, seen)
		}
		return foldAll(t, r, all...)
	}
	for _, tt := range []struct {
		name   string
		s      Standing
		level  evidence.Level
		doubts bool
	}{
		{"good, and new", later([]Seen{good(0), good(1)}, 0), 4, false},
		{"good, at the end of its time", later([]Seen{good(0), good(1)}, span-1), 4, false},
		{"good, and old", later([]Seen{good(0), good(1)}, span), 0, false},
		{"good, old, and refusing ever since", later([]Seen{good(0), good(1)}, span, refusal(9, challenges.ReasonTenant)), 0, false},
		{"good, and refusing for a while", later([]Seen{good(0), good(1)}, 3, refusal(9, challenges.ReasonTenant)), 4, false},
		{"bad, and new", later([]Seen{bad(0), bad(1)}, 0), 0, true},
		{"bad, at the end of its time", later([]Seen{bad(0), bad(1)}, span-1), 0, true},
		{"bad, and old", later([]Seen{bad(0), bad(1)}, span), 0, false},
	} {
		if got := LevelOf(&tt.s, &r.Params); got != tt.level {
			t.Errorf("%s: %v, want %v", tt.name, got, tt.level)
		}
		if got := slices.Contains(Flags(&tt.s, &r.Params), FlagCardContradicted); got != tt.doubts {
			t.Errorf("%s: flags %v", tt.name, Flags(&tt.s, &r.Params))
		}
	}
}

// TestConflicting: a conflict is flagged on both sides, with both transcripts, takes
// the level of the device from both, and is forgotten like the rest.
func TestConflicting(t *testing.T) {
	r := testRegistry(2)
	pass := func(n int) report.Item { return item(n, challenges.Pass, 90e6, 90e6) }
	held := func(n int) report.Item { return remembered(n, challenges.Pass, 6e6, 2<<20) }
	good := func(i int) Seen { return saw(i, 0, "u", of(4, 1, pass(1+10*i)), of(4, 1, held(2+10*i))) }
	k := evidence.Conflict{
		A: evidence.Sighting{Identity: challenges.Hash{1}, Provider: challenges.NodeID{1}, Device: "theirs", Transcript: challenges.Hash{0xaa}},
		B: evidence.Sighting{Identity: challenges.Hash{1}, Provider: provider, Device: "gpu0", Transcript: challenges.Hash{0xbb}},
	}
	before := foldAll(t, r, []Seen{good(0), good(1)})
	s := Conflicting(before, k)
	why := Why(&s, &r.Params)
	if LevelOf(&s, &r.Params) != 2 || !slices.Equal(Flags(&s, &r.Params), []string{FlagIdentityConflict}) || len(why) != 1 ||
		!strings.Contains(why[0].Detail, "aa0000") || !strings.Contains(why[0].Detail, "bb0000") || !strings.Contains(why[0].Detail, "theirs") {
		t.Errorf("level %v, why %+v", LevelOf(&s, &r.Params), why)
	}
	if len(before.Conflicts) > 0 || LevelOf(&before, &r.Params) != 4 {
		t.Error("the standing before was changed")
	}
	other := k
	other.B.Device = "another"
	if s := Conflicting(before, other); LevelOf(&s, &r.Params) != 4 || len(Flags(&s, &r.Params)) != 1 {
		t.Errorf("of another device: level %v, flags %v", LevelOf(&s, &r.Params), Flags(&s, &r.Params))
	}
	s.Next += window(&r.Params) + 1
	if len(Flags(&s, &r.Params)) > 0 {
		t.Errorf("flags %v after its time", Flags(&s, &r.Params))
	}
}

// TestOneCardForBoth: a level from L3 on is of one card, whose signature is under a
// proof of compute and one of memory.
func TestOneCardForBoth(t *testing.T) {
	r := testRegistry(1)
	for identity, want := range map[byte]evidence.Level{1: 4, 2: 2, 0: 2} {
		s := foldAll(t, r, []Seen{saw(0, 0, "u", of(4, 1, item(1, challenges.Pass, 100, 100)), of(4, identity, remembered(2, challenges.Pass, 1e6, 2<<20)))})
		if got := LevelOf(&s, &r.Params); got != want {
			t.Errorf("compute signed by card 1, memory by %d: %v, want %v", identity, got, want)
		}
	}
}
