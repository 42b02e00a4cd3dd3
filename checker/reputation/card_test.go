package reputation

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/assaynet/assay/challenges"
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
				if !strings.Contains(why.Detail, "memory-total") {
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

// TestCardsAreBounded: neither devices nor checkers grow a standing for ever, and the
// standing before a fold is not changed by it.
func TestCardsAreBounded(t *testing.T) {
	var s Standing
	for i := range 2 * MaxCards {
		s.card(testID(0), on(fmt.Sprintf("gpu%03d", i), of(2, 0, item(i, challenges.Pass, 1, 1))))
	}
	before := s.clone()
	for i := range 2 * MaxWords {
		s.card(challenges.NodeID{byte(i), byte(i >> 8)}, on("gpu000", of(2, 0, item(i, challenges.Pass, 1, 1))))
	}
	if len(s.Cards) != MaxCards || len(s.Cards[0].Words) != MaxWords {
		t.Errorf("%d cards, %d words", len(s.Cards), len(s.Cards[0].Words))
	}
	if err := s.Check(); err != nil {
		t.Error(err)
	}
	if len(before.Cards[0].Words) != 1 {
		t.Errorf("the standing before has %d words", len(before.Cards[0].Words))
	}
	s.Cards = append(s.Cards, Card{Device: "one more"})
	if s.Check() == nil {
		t.Error("a card too many")
	}
	s.Cards = []Card{{Words: make([]Word, MaxWords+1)}}
	if s.Check() == nil {
		t.Error("a word too many")
	}
}
