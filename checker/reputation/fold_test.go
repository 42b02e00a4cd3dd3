package reputation

import (
	"bytes"
	"reflect"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/assaynet/assay/challenges"
	"github.com/assaynet/assay/checker/report"
)

func TestFoldIsIndependentOfOrderWithinAnEpoch(t *testing.T) {
	r := testRegistry(6)
	rapid.Check(t, func(t *rapid.T) {
		var a, b Standing
		for e := range uint64(rapid.IntRange(1, 4).Draw(t, "epochs")) {
			seen := drawSeen(t, 6, e)
			a, _ = Fold(a, Combine(r, e, provider, seen), &r.Params)
			b, _ = Fold(b, Combine(r, e, provider, shuffle(t, seen)), &r.Params)
		}
		if !bytes.Equal(challenges.Marshal(&a), challenges.Marshal(&b)) {
			t.Fatalf("%+v and %+v", a, b)
		}
	})
}

func TestFoldTakesEachEpochOnceAndInOrder(t *testing.T) {
	r := testRegistry(2)
	agg := func(e uint64) Aggregate {
		return Combine(r, e, provider, []Seen{saw(0, e, "ud", item(1, challenges.Pass, 90, 100)), saw(1, e, "ud")})
	}
	var s Standing
	s, _ = Fold(s, agg(3), &r.Params)
	if s.Next != 4 || s.Provider != provider || s.Slices != 2 {
		t.Fatalf("after epoch 3: %+v", s)
	}
	for _, e := range []uint64{3, 2, 0} {
		again, events := Fold(s, agg(e), &r.Params)
		if !reflect.DeepEqual(again, s) || events != nil {
			t.Errorf("epoch %d again: %+v, %v", e, again, events)
		}
	}
	// A checker that was off for a while goes on with a later epoch.
	s, _ = Fold(s, agg(9), &r.Params)
	if s.Next != 10 || s.Slices != 4 || len(s.Figures) != 2 {
		t.Errorf("after epoch 9: %+v", s)
	}
}

// A judge keeps old standings for its API: folding must not write into them.
func TestFoldLeavesTheOldStandingAlone(t *testing.T) {
	r := testRegistry(3)
	old := foldAll(t, r, []Seen{
		saw(0, 0, "uud", together(1, 90, 200, item(1, challenges.Wrong, 90, 100)), remembered(2, challenges.Pass, 6e6, 2<<20)), saw(1, 0, "uu"),
	})
	// Spare capacity is what an append without a copy would write into.
	old.Figures, old.Proofs = slices.Grow(old.Figures, 8), slices.Grow(old.Proofs, 8)
	old.Kinds, old.Checkers = slices.Grow(old.Kinds, 8), slices.Grow(old.Checkers, 8)
	old.Rates, old.Memory, old.Fleets = slices.Grow(old.Rates, 8), slices.Grow(old.Memory, 8), slices.Grow(old.Fleets, 8)
	before := challenges.Marshal(&old)
	spare := func() []any {
		return []any{
			slices.Clone(old.Figures[:cap(old.Figures)]), slices.Clone(old.Proofs[:cap(old.Proofs)]),
			slices.Clone(old.Kinds[:cap(old.Kinds)]), slices.Clone(old.Checkers[:cap(old.Checkers)]),
			slices.Clone(old.Rates[:cap(old.Rates)]), slices.Clone(old.Memory[:cap(old.Memory)]), slices.Clone(old.Fleets[:cap(old.Fleets)]),
		}
	}
	spareBefore := spare()
	now, _ := Fold(old, Combine(r, 1, provider, []Seen{
		saw(0, 1, "ddd", item(2, challenges.Wrong, 80, 100), in(challenges.FP64, together(2, 95, 200, item(3, challenges.Pass, 95, 100))),
			remembered(4, challenges.Pass, 5e6, 2<<20)), saw(2, 1, "ddd", report.Item{Kind: "else", Outcome: challenges.Late}),
	}), &r.Params)
	for i := range now.Kinds {
		now.Kinds[i].Outcomes[1] += 1000
	}
	for i := range now.Checkers {
		now.Checkers[i].Total += 1000
	}
	for i := range now.Figures {
		now.Figures[i].Ops += 1000
	}
	for i := range now.Rates {
		now.Rates[i].Best += 1000
	}
	for i := range now.Memory {
		now.Memory[i].Ops += 1000
	}
	for i := range now.Fleets {
		now.Fleets[i].Ops += 1000
	}
	for i := range now.Proofs {
		now.Proofs[i][5] ^= 1
	}
	if !bytes.Equal(challenges.Marshal(&old), before) || !reflect.DeepEqual(spare(), spareBefore) {
		t.Errorf("the old standing changed: %+v", old)
	}
}

func TestFoldKeepsBoundedLists(t *testing.T) {
	r := testRegistry(1)
	var items []report.Item
	for i := range 100 {
		items = append(items, item(i, challenges.Wrong, uint64(i+1), 1000))
	}
	s := foldAll(t, r, []Seen{saw(0, 0, "", items...)})
	if err := s.Check(); err != nil {
		t.Fatal(err)
	}
	if len(s.Figures) != MaxFigures || s.Figures[0].Ops != 100-MaxFigures+1 || s.Figures[MaxFigures-1].Ops != 100 {
		t.Errorf("%d figures, %d to %d; want the latest %d", len(s.Figures), s.Figures[0].Ops, s.Figures[len(s.Figures)-1].Ops, MaxFigures)
	}
	if len(s.Proofs) != MaxProofs || s.Proofs[0] != items[0].Transcript || s.Proofs[MaxProofs-1] != items[MaxProofs-1].Transcript {
		t.Errorf("%d proofs %v; want the first %d", len(s.Proofs), s.Proofs, MaxProofs)
	}
	if want := []Rate{{Flavour: challenges.Int8, Best: 100, Claim: 1000}}; !slices.Equal(s.Rates, want) || s.Count(challenges.Matmul, challenges.Wrong) != 100 {
		t.Errorf("rates %+v, want %+v; wrong %d", s.Rates, want, s.Count(challenges.Matmul, challenges.Wrong))
	}
}

func TestStandingCheck(t *testing.T) {
	s := Standing{Figures: make([]Figure, MaxFigures+1)}
	if s.Check() == nil {
		t.Error("too many figures pass")
	}
	s = Standing{Proofs: make([]challenges.Hash, MaxProofs+1)}
	if s.Check() == nil {
		t.Error("too many proofs pass")
	}
	s = Standing{Kinds: make([]KindCount, len(challenges.Kinds())+1)}
	if s.Check() == nil {
		t.Error("too many kinds pass")
	}
	s = Standing{Rates: make([]Rate, len(challenges.Flavours())+1)}
	if s.Check() == nil {
		t.Error("too many rates pass")
	}
	s = Standing{Memory: make([]Figure, MaxFigures+1)}
	if s.Check() == nil {
		t.Error("too many figures of memory pass")
	}
	s = Standing{Fleets: make([]Figure, MaxFigures+1)}
	if s.Check() == nil {
		t.Error("too many figures of fleets pass")
	}
	s = Standing{
		Kinds: make([]KindCount, len(challenges.Kinds())), Rates: make([]Rate, len(challenges.Flavours())),
		Figures: make([]Figure, MaxFigures), Memory: make([]Figure, MaxFigures), Fleets: make([]Figure, MaxFigures), Proofs: make([]challenges.Hash, MaxProofs),
	}
	if err := s.Check(); err != nil {
		t.Error(err)
	}
}

func TestFoldCounts(t *testing.T) {
	r := testRegistry(2)
	s := foldAll(t, r, []Seen{
		saw(0, 0, "uud?r", item(1, challenges.Pass, 90, 100), item(2, challenges.Unknown, 0, 110), item(3, challenges.Late, 40, 0)),
		saw(1, 0, "uuddd", refusal(4, challenges.ReasonTenant), refusal(5, challenges.ReasonDrain),
			refusal(6, challenges.ReasonCollision), refusal(7, challenges.ReasonBusy), refusal(8, challenges.ReasonQuota)),
	})
	for o, want := range map[challenges.Outcome][2]uint64{
		challenges.Pass: {4, 1}, challenges.Unreachable: {4, 0}, challenges.Unknown: {1, 1}, challenges.Refused: {1, 5}, challenges.Late: {0, 1},
	} {
		if got := [2]uint64{s.Count(challenges.Probe, o), s.Count(challenges.Matmul, o)}; got != want {
			t.Errorf("%v: %v probes and matmuls, want %v", o, got, want)
		}
		if got := s.Count("", o); got != want[0]+want[1] {
			t.Errorf("%v: %d of all kinds", o, got)
		}
		if s.gpu(o) != want[1] {
			t.Errorf("%v: %d that cost GPU time, want %d", o, s.gpu(o), want[1])
		}
	}
	if s.Neutral != 3 {
		t.Errorf("%d neutral refusals, want 3", s.Neutral)
	}
	if len(s.Rates) != 1 || s.Rates[0].Best != 90 || len(s.Figures) != 2 {
		t.Errorf("rates %+v, %d figures", s.Rates, len(s.Figures))
	}
	for _, c := range s.Checkers {
		// Unknown is no answer and no silence; a refusal is an answer.
		want := CheckerRate{Checker: testID(0), Up: 3, Total: 4}
		if c.Checker == testID(1) {
			want = CheckerRate{Checker: testID(1), Up: 2, Total: 5}
		}
		if c != want {
			t.Errorf("rate %+v, want %+v", c, want)
		}
	}
	// u u d contested contested: the third vote of checker 0 is unknown, so one
	// vote is left and says nothing.
	if s.Slices != 5 || s.Down != 1 || s.Uncertain != 1 || s.Contested != 1 {
		t.Errorf("%d slices: %d down, %d uncertain, %d contested", s.Slices, s.Down, s.Uncertain, s.Contested)
	}
}

// Outages are counted as episodes, and their possible length reaches from the
// last good slice to the first.
func TestFoldOutages(t *testing.T) {
	r := testRegistry(2)
	gap := int(r.Params.EpisodeGap / r.Params.ProbeEvery) // in slices; ten make an epoch
	tests := []struct {
		name                     string
		down                     []int // slices since genesis
		down1, possible, episode uint64
	}{
		{"none", nil, 0, 0, 0},
		{"one slice", []int{5}, 1, 3, 1},
		{"the very first slice", []int{0}, 1, 3, 1},
		{"three in a row", []int{5, 6, 7}, 3, 5, 1},
		{"over the border of an epoch", []int{9, 10}, 2, 4, 1},
		{"two outages, one episode", []int{5, 8}, 2, 6, 1},
		{"as far apart as one episode can be", []int{1, 1 + gap}, 2, 6, 1},
		{"one slice further", []int{1, 2 + gap}, 2, 6, 2},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			last := 0
			if len(tt.down) > 0 {
				last = slices.Max(tt.down)
			}
			var epochs [][]Seen
			for e := range uint64(last/10 + 1) {
				s := []byte("uuuuuuuuuu")
				for _, d := range tt.down {
					if uint64(d/10) == e {
						s[d%10] = 'd'
					}
				}
				epochs = append(epochs, []Seen{saw(0, e, string(s)), saw(1, e, string(s))})
			}
			s := foldAll(t, r, epochs...)
			if s.Down != tt.down1 || s.Possible != tt.possible || s.Episodes != tt.episode {
				t.Errorf("down %d, possible %d, episodes %d; want %d, %d, %d", s.Down, s.Possible, s.Episodes, tt.down1, tt.possible, tt.episode)
			}
		})
	}
}

// A change of flags is told once, when it happens.
func TestFoldEvents(t *testing.T) {
	r := testRegistry(1)
	codes := func(items ...report.Item) (e uint64, fold func(Standing) (Standing, []string)) {
		return 0, func(s Standing) (Standing, []string) {
			s, events := Fold(s, Combine(r, s.Next, provider, []Seen{saw(0, s.Next, "u", items...)}), &r.Params)
			var out []string
			for _, ev := range events {
				if ev.Provider != provider || ev.Epoch != s.Next-1 {
					t.Errorf("event %+v", ev)
				}
				out = append(out, ev.Code)
			}
			return s, out
		}
	}
	_, good := codes(item(1, challenges.Pass, 90, 100))
	_, wrong := codes(item(2, challenges.Wrong, 0, 100))
	s, got := good(Standing{})
	if got != nil {
		t.Errorf("a pass told %v", got)
	}
	if s, got = wrong(s); !slices.Equal(got, []string{FlagWorkIncorrect}) {
		t.Errorf("a proof told %v", got)
	}
	if _, got = wrong(s); got != nil {
		t.Errorf("a second proof told %v", got)
	}
}
