package reputation

import (
	"fmt"
	"math"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/assaynet/assay/challenges"
	"github.com/assaynet/assay/checker/committee"
)

// device is a provider with one device.
func device(i int) committee.Target {
	return committee.Target{Provider: challenges.NodeID{byte(i + 1)}, Device: "gpu"}
}

// timeline draws slots: each line is one device, each sign one slot. "." is out,
// "+" its usual figure, "s" half of it, "r" a refusal, "n" a neutral one, "v" void.
func timeline(lines ...string) []Ran {
	var out []Ran
	for i, line := range lines {
		for slot, sign := range strings.ReplaceAll(line, " ", "") {
			r := Ran{Slot: uint64(slot), Target: device(i)}
			switch sign {
			case '.':
				continue
			case '+':
				r.Ops = 1e12
			case 's':
				r.Ops = 5e11
			case 'r':
				r.Slow = true
			case 'v':
				r.Void, r.Slow, r.Ops = true, true, 1
			}
			out = append(out, r)
		}
	}
	return out
}

// verdict is what the test says of each pair, for tables.
func verdict(shared []Shared) string {
	var out []string
	for _, s := range shared {
		word := "pending"
		switch {
		case s.Confirmed:
			word = "confirmed"
		case s.Cleared:
			word = "cleared"
		}
		if s.Either {
			word += " either"
		}
		out = append(out, fmt.Sprintf("%d%d %s after %d: %d/%d %d/%d",
			s.A.Provider[0]-1, s.B.Provider[0]-1, word, s.Screened, s.TogetherSlow, s.Together, s.ApartSlow, s.Apart))
	}
	return strings.Join(out, "; ")
}

// The devnet's rule: a screen at 1 in 200, then 4 slots together and 4 apart.
func TestSharingTimelines(t *testing.T) {
	const ( // ten slots of one device: five beside the other are slow; 1 in 252
		slow  = "sssss+++++"
		load  = "+++++....."
		found = "ssss++++"
		after = "++++...."
	)
	for _, tt := range []struct {
		name  string
		lines []string
		want  string
	}{
		{"found", []string{slow + found, load + after}, "01 confirmed after 9: 4/4 0/4"},
		{"the later one is slow", []string{load + after, slow + found}, "10 confirmed after 9: 4/4 0/4"},
		{"it refuses", []string{"rrrrr+++++ rrrr++++", load + after}, "01 confirmed after 9: 4/4 0/4"},
		{"both are slow", []string{slow + found, "sssss....." + "ssss...." + "+++++"}, "01 confirmed after 9: 4/4 0/4"},
		{"either refuses", []string{
			"rrr+++ ++++++...... rr++++++....",
			"+++rrr ......++++++ ++rr....++++",
		}, "01 confirmed either after 15: 4/4 0/4"},
		// A device that is never slow stands beside one that is.
		{"either must be slow", []string{
			"++++++++++++...... ++++++++....",
			"rrrrrr......++++++ rrrr....++++",
		}, "10 confirmed after 15: 4/4 0/4"},
		{"a neighbour", []string{slow + found, load + after, "+.+.+.+.+. +.+.+.+."}, "01 confirmed after 9: 4/4 0/4"},
		{"too few slots", []string{slow[1:], load[1:]}, ""},
		{"the screen alone", []string{slow, load}, "01 pending after 9: 0/0 0/0"},
		{"not yet", []string{slow + found[:7], load + after[:7]}, "01 pending after 9: 4/4 0/3"},
		{"more than enough", []string{slow + found + "++++++++", load + after + "++++...."}, "01 confirmed after 9: 4/4 0/4"},
		{"more than enough of one kind", []string{slow + "ssss++" + "++++", load + "++++++" + "...."}, "01 confirmed after 9: 4/4 0/4"},
		{"not slow together any more", []string{slow + "sss+++++", load + after}, "01 cleared after 9: 3/4 0/0"},
		{"slow apart too", []string{slow + "sssss+++", load + after}, "01 cleared after 9: 4/4 1/1"},
		{"slow whatever the other does", []string{"s+s+s+s+s+s+s+s+s+s+", "++..++..++..++..++.."}, ""},
		{"slow when the other is out", []string{"+++++sssss ++++ssss", load + after}, ""},
		{"one slow slot apart of five", []string{"ssssss+++++++s", "++++++........"}, "01 cleared after 9: 0/0 1/4"},
		{"slow in six of ten together", []string{"ssssss++++++++++++++++++", "++++++++++.............."}, ""},

		// Slots before the screen decide nothing, and those before a clearing pass no screen again.
		{"cleared and no new screen", []string{slow + "+" + slow[1:6], load + "+" + load[1:6]}, "01 cleared after 9: 0/1 0/0"},
		{"cleared, then found", []string{slow + "+" + slow + found, load + "+" + load + after}, "01 confirmed after 20: 4/4 0/4"},
		{"cleared twice", []string{slow + "+" + slow + "+", load + "+" + load + "+"}, "01 cleared after 20: 0/1 0/0"},

		{"void apart", []string{slow + found, "+++++vvvvv ++++vvvv"}, ""},
		{"void together", []string{"vvvvv+++++ vvvv++++", load + after}, ""},
		{"void later", []string{slow + found + "++++", load + "++++vvvv" + "...."}, "01 confirmed after 9: 4/4 0/4"},
		{"void for one", []string{slow + "vvvvssss++++", load + "++++++++...."}, "01 confirmed after 9: 4/4 0/4"},
		{"a neutral refusal", []string{"nnnnn+++++ nnnn++++", load + after}, ""},
		{"the other refuses neutrally", []string{slow + found, "nnnnn.....nnnn...."}, ""},
		{"nothing", nil, ""},
		{"one device", []string{slow}, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p := committee.Devnet()
			got := Sharing(timeline(tt.lines...), &p)
			if verdict(got) != tt.want {
				t.Errorf("%q, want %q", verdict(got), tt.want)
			}
			for _, s := range got {
				if s.P <= 0 || s.P >= float64(p.SharingScreen)/1e6 {
					t.Errorf("passed with p = %v", s.P)
				}
			}
		})
	}
}

// By the standard rule 10 of 12 and 2 of 12 are enough, one less is not.
func TestSharingCounts(t *testing.T) {
	screen := [2]string{strings.Repeat("s", 10) + strings.Repeat("+", 10), strings.Repeat("+", 10) + strings.Repeat(".", 10)}
	for _, tt := range []struct {
		together, apart int // slow ones, of 12
		want            bool
	}{{12, 0, true}, {10, 2, true}, {9, 0, false}, {12, 3, false}, {0, 12, false}} {
		some := func(n int) string { return strings.Repeat("s", n) + strings.Repeat("+", 12-n) }
		p := committee.Standard()
		got := Sharing(timeline(
			screen[0]+some(tt.together)+some(tt.apart), screen[1]+strings.Repeat("+", 12)+strings.Repeat(".", 12),
		), &p)
		if len(got) != 1 || got[0].Confirmed != tt.want || got[0].Cleared == tt.want {
			t.Errorf("%d and %d of 12: %s", tt.together, tt.apart, verdict(got))
		}
	}
}

// A site's common slowness is nobody's: from three devices on, if all have it.
func TestSharingSites(t *testing.T) {
	const slow, load = "sssss+++++ssss++++", "+++++.....++++...."
	for _, tt := range []struct {
		name string
		site []string
		want bool // device 0 is found slow beside another provider's
	}{
		{"alone", nil, true},
		{"of two", []string{slow}, true},
		{"of three", []string{slow, slow}, false},
		{"of three, of which one goes on", []string{slow, strings.Repeat("+", 18)}, true},
		{"of three, of which one refuses", []string{slow, strings.ReplaceAll(slow, "s", "r")}, true},
	} {
		ran := timeline(append([]string{slow, load}, tt.site...)...)
		for i, r := range ran {
			if r.Target != device(1) {
				ran[i].Target = committee.Target{Provider: device(0).Provider, Device: fmt.Sprint("gpu", r.Target.Provider[0])}
			}
		}
		p := committee.Devnet()
		found := false
		for _, s := range Sharing(ran, &p) {
			found = found || s.Confirmed && s.A.Device == "gpu1" && s.B == device(1)
		}
		if found != tt.want {
			t.Errorf("%s: found %v", tt.name, found)
		}
	}
}

// A device is held against its own figures of the same flavour, and a third of
// them under its rate does not make them the usual ones.
func TestSharingFigures(t *testing.T) {
	p := committee.Devnet()
	const slow, load = "sssss+++++ssss++++", "+++++.....++++...."
	for _, tt := range []struct {
		name   string
		change func(r *Ran)
		want   bool
	}{
		{"as it is", func(*Ran) {}, true},
		{"just slow", func(r *Ran) { r.Ops = max(r.Ops, 74e10) }, true},
		{"not quite", func(r *Ran) { r.Ops = max(r.Ops, 75e10) }, false},
		{"a slower flavour", func(r *Ran) {
			if r.Ops == 5e11 {
				r.Flavour = challenges.BF16
			}
		}, false},
		{"huge", func(r *Ran) {
			if r.Ops > 5e11 {
				r.Ops = math.MaxUint64
			}
		}, true},
	} {
		ran := timeline(slow, load)
		for i := range ran {
			tt.change(&ran[i])
		}
		if got := Sharing(ran, &p); (len(got) == 1 && got[0].Confirmed) != tt.want {
			t.Errorf("%s: %s", tt.name, verdict(got))
		}
	}
	// Slow in 8 of 10 slots: the median would be the slow figure.
	got := Sharing(timeline("ssss+ssss+ssss+ssss++++", "++++.++++.++++.++++...."), &p)
	if len(got) != 1 || !got[0].Confirmed {
		t.Errorf("mostly slow: %s", verdict(got))
	}
}

// Observations come in any order and more than once; two that differ are void.
func TestSharingOrder(t *testing.T) {
	p := committee.Devnet()
	for seed := range uint64(20) {
		random := rand.New(rand.NewPCG(seed, 3))
		ran := slotted(seed, 9, 90, func(_, d int, in []bool) bool { return d < 2 && in[0] && in[1] })
		want := Sharing(ran, &p)
		mixed := append(slices.Clone(ran), ran[:100]...)
		random.Shuffle(len(mixed), func(i, j int) { mixed[i], mixed[j] = mixed[j], mixed[i] })
		if got := Sharing(mixed, &p); !reflect.DeepEqual(got, want) {
			t.Fatalf("seed %d: %s, in another order %s", seed, verdict(want), verdict(got))
		}
	}
	ran := timeline("sssss+++++ssss++++", "+++++.....++++....")
	for _, r := range slices.Clone(ran) {
		other := r
		other.Ops++
		ran = append(ran, other, r)
	}
	if got := Sharing(ran, &p); len(got) != 0 {
		t.Errorf("of contradictions: %s", verdict(got))
	}
}

// Of two devices that are one card, and any noise, only these two are ever found.
func TestSharingWorlds(t *testing.T) {
	p := committee.Devnet()
	found := 0
	const worlds = 150
	for seed := range uint64(worlds) {
		random := rand.New(rand.NewPCG(seed, 4))
		ran := slotted(seed, 12, 120, func(_, d int, in []bool) bool {
			return d < 2 && in[0] && in[1] || random.IntN(100) < 2
		})
		for _, s := range Sharing(ran, &p) {
			switch mine := s.A.Provider[0] <= 2 && s.B.Provider[0] <= 2; {
			case s.Confirmed && mine:
				found++
			case s.Confirmed:
				t.Errorf("seed %d: %s", seed, verdict([]Shared{s}))
			}
		}
	}
	if found < worlds*9/10 {
		t.Errorf("found in %d of %d worlds", found, worlds)
	}
}

// Fisher's exact test against its definition over all ways to place the slow slots.
func TestFisher(t *testing.T) {
	w := &sharing{tests: make(map[table]float64)}
	for together := 1; together <= 6; together++ {
		for apart := 1; apart <= 6; apart++ {
			for slow := 1; slow < together+apart; slow++ {
				for hits := max(0, slow-apart); hits <= min(slow, together); hits++ {
					ways, all := 0, 0
					for set := range 1 << (together + apart) {
						inside, total := 0, 0
						for i := range together + apart {
							if set>>i&1 == 1 {
								total++
								inside += one(i < together)
							}
						}
						all += one(total == slow)
						ways += one(total == slow && inside >= hits)
					}
					got, want := w.fisher(&table{together, hits, apart, slow - hits}), float64(ways)/float64(all)
					if math.Abs(got-want) > 1e-15 {
						t.Fatalf("%d of %d, %d of %d: %v, want %v", hits, together, slow-hits, apart, got, want)
					}
				}
			}
		}
	}
}

// Those longest under test come first; those with a verdict are not watched.
func TestWatched(t *testing.T) {
	pair := func(a, together, apart int) Shared {
		return Shared{A: device(a), B: device(a + 1), Together: together, Apart: apart}
	}
	done, cleared := pair(8, 12, 12), pair(6, 5, 5)
	done.Confirmed, cleared.Cleared = true, true
	shared := []Shared{pair(0, 1, 1), pair(2, 4, 3), done, cleared, pair(4, 0, 2)}
	want := []committee.Pair{{A: device(2), B: device(3)}, {A: device(0), B: device(1)}, {A: device(4), B: device(5)}}
	if got := Watched(shared); !slices.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
}
