package reputation

import (
	"reflect"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/assaynet/assay/challenges"
)

// Statistics, rule 5: of five or more valid votes two thirds rounded up, of two
// to four all, of one nothing; a registry of five or more that gives fewer than
// five votes is thin.
func TestQuorum(t *testing.T) {
	tests := []struct {
		name    string
		members int
		votes   string // a letter a checker
		want    Slice
	}{
		{"nobody voted", 3, "...", SliceUncertain},
		{"one checker, up", 1, "u", SliceUncertain},
		{"one checker, down", 1, "d", SliceUncertain},
		{"two, both up", 2, "uu", SliceUp},
		{"two, one down", 2, "ud", SliceContested},
		{"two, both down", 2, "dd", SliceDown},
		{"three, all up", 3, "uuu", SliceUp},
		{"three, one down", 3, "uud", SliceContested},
		{"three, two down", 3, "udd", SliceContested},
		{"three, all down", 3, "ddd", SliceDown},
		{"three, one silent, both down", 3, "dd.", SliceDown},
		{"three, one unknown, both down", 3, "dd?", SliceDown},
		{"three, two unknown", 3, "d??", SliceUncertain},
		{"four, all up", 4, "uuuu", SliceUp},
		{"four, one down", 4, "uuud", SliceUp},
		{"four, two down", 4, "uudd", SliceContested},
		{"four, three down", 4, "uddd", SliceContested},
		{"four, all down", 4, "dddd", SliceDown},
		{"five, one down", 5, "uuuud", SliceUp},
		{"five, two down", 5, "uuudd", SliceContested},
		{"five, three down", 5, "uuddd", SliceContested},
		{"five, four down", 5, "udddd", SliceDown},
		{"five, thin, four down", 5, "dddd.", SliceUncertain},
		{"five, thin by an unknown", 5, "dddd?", SliceUncertain},
		{"seven, two down", 7, "uuuuudd", SliceUp},
		{"seven, three down", 7, "uuuuddd", SliceContested},
		{"seven, four down", 7, "uuudddd", SliceContested},
		{"seven, five down", 7, "uuddddd", SliceDown},
		{"seven, five votes, four down", 7, "udddd..", SliceDown},
		{"seven, thin", 7, "dddd...", SliceUncertain},
		{"six, four down", 6, "uudddd", SliceDown},
		{"refusing is reachable", 2, "rr", SliceUp},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var seen []Seen
			for i, v := range tt.votes {
				seen = append(seen, saw(i, 4, string(v)))
			}
			a := Combine(testRegistry(tt.members), 4, provider, seen)
			if len(a.Slices) != 1 || a.Slices[0] != tt.want {
				t.Errorf("slices %v, want %v", a.Slices, tt.want)
			}
		})
	}
}

func TestCombineCountsWhatEachCheckerSaw(t *testing.T) {
	seen := []Seen{saw(1, 4, "uud?.r", item(1, challenges.Pass, 90, 100)), saw(0, 4, "u")}
	seen[1].Observation.Simulated = true
	seen[1].Observation.RTT = 5
	a := Combine(testRegistry(2), 4, provider, seen)
	if a.Epoch != 4 || a.Provider != provider || !a.Simulated || len(a.Observers) != 2 || len(a.Slices) != 6 {
		t.Fatalf("%+v", a)
	}
	if !slices.IsSortedFunc(a.Observers, func(x, y Observer) int { return x.Checker.Compare(y.Checker) }) {
		t.Error("observers are not in order")
	}
	for _, o := range a.Observers {
		want := Observer{Checker: testID(0), Probes: [8]uint64{challenges.Pass: 1}, RTT: 5}
		if o.Checker == testID(1) {
			want = Observer{
				Checker: testID(1), Items: seen[0].Observation.Items,
				Probes: [8]uint64{challenges.Pass: 2, challenges.Unreachable: 1, challenges.Unknown: 1, challenges.Refused: 1},
			}
		}
		if !reflect.DeepEqual(o, want) {
			t.Errorf("observer %+v, want %+v", o, want)
		}
	}
}

// A checker that writes more slices than the epoch has gets no say beyond it.
func TestCombineCutsSlicesToTheEpoch(t *testing.T) {
	r := testRegistry(2)
	n := r.Params.Slices()
	a := Combine(r, 4, provider, []Seen{saw(0, 4, strings.Repeat("d", n+5)), saw(1, 4, strings.Repeat("d", n+5))})
	if len(a.Slices) != n || a.Observers[0].Probes[challenges.Unreachable] != uint64(n) {
		t.Errorf("%d slices, %d probes, want %d", len(a.Slices), a.Observers[0].Probes[challenges.Unreachable], n)
	}
}

// Whatever order the observations arrive in, and whoever else talks, everybody
// must combine the same, or two honest judges publish two standings.
func TestCombineIsIndependentOfOrderAndNoise(t *testing.T) {
	r := testRegistry(6)
	rapid.Check(t, func(t *rapid.T) {
		seen := drawSeen(t, 6, 4)
		want := Combine(r, 4, provider, seen)
		noise := slices.Clone(seen)
		for i := 6; i < 6+rapid.IntRange(0, 3).Draw(t, "strangers"); i++ {
			noise = append(noise, saw(i, 4, "dddddddddd", item(500+i, challenges.Wrong, 1, 100)))
		}
		for _, s := range seen {
			if rapid.Bool().Draw(t, "sent twice") {
				noise = append(noise, s)
			}
		}
		for i := range 6 {
			switch rapid.IntRange(0, 2).Draw(t, "noise") {
			case 0:
				noise = append(noise, saw(i, 5, "dddd"), saw(i, 3, "dddd"))
			case 1:
				other := saw(i, 4, "dddd")
				other.Observation.Provider = testID(201)
				noise = append(noise, other)
			}
		}
		noise = shuffle(t, noise)
		before := slices.Clone(noise)
		if got := Combine(r, 4, provider, noise); !reflect.DeepEqual(got, want) {
			t.Fatalf("%+v, want %+v", got, want)
		}
		if !reflect.DeepEqual(noise, before) {
			t.Fatal("the caller's slice was reordered")
		}
	})
}

// A checker that tells two stories counts once, and the same one for everybody.
func TestCombineOfEquivocation(t *testing.T) {
	r := testRegistry(3)
	rapid.Check(t, func(t *rapid.T) {
		seen := append(drawSeen(t, 3, 4), drawSeen(t, 3, 4)...)
		a, b := Combine(r, 4, provider, seen), Combine(r, 4, provider, shuffle(t, seen))
		if !reflect.DeepEqual(a, b) {
			t.Fatalf("%+v, in another order %+v", a, b)
		}
		for i := 1; i < len(a.Observers); i++ {
			if a.Observers[i-1].Checker == a.Observers[i].Checker {
				t.Fatal("one checker counts twice")
			}
		}
	})
}
