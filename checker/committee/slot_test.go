package committee

import (
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/assaynet/assay/challenges"
)

// members is who is in the slots of an epoch, by whatever checker.
func members(t *testing.T, r *Registry, beacon challenges.Hash, epoch uint64, targets []Target, watched []Pair) []map[Target]bool {
	t.Helper()
	in := make([]map[Target]bool, r.Params.Slots)
	for i := range in {
		in[i] = make(map[Target]bool)
	}
	for _, m := range r.Checkers {
		for _, s := range SlotPlan(r, beacon, m.ID, epoch, targets, watched) {
			if in[s.Index][s.Target] {
				t.Fatalf("epoch %d, slot %d: %v twice", epoch, s.Index, s.Target)
			}
			in[s.Index][s.Target] = true
		}
	}
	return in
}

// Slots are in each SlotEvery-th epoch, numbered without a gap.
func TestSlotEpochs(t *testing.T) {
	for _, params := range []Params{Standard(), Devnet()} {
		r := testRegistry(3, params)
		next := uint64(0)
		for epoch := range uint64(40) {
			for index, in := range members(t, r, challenges.Hash{}, epoch, testTargets(64), nil) {
				if due := epoch%uint64(params.SlotEvery) == 0; due != (len(in) > 0) {
					t.Errorf("epoch %d: %d devices in a slot", epoch, len(in))
				} else if due {
					if n := SlotNumber(&params, epoch, index); n != next {
						t.Errorf("epoch %d, slot %d has number %d, want %d", epoch, index, n, next)
					}
					next++
				}
			}
		}
	}
}

// Who is in is a fair coin for each device and slot, whoever else there is, and by
// whatever beacon; who runs it is any checker.
func TestSlotDraw(t *testing.T) {
	r := testRegistry(4, Devnet())
	targets := testTargets(40)
	both, same, runs := 0, 0, make(map[challenges.NodeID]int)
	const epochs = 100
	for epoch := range uint64(epochs) {
		a := members(t, r, challenges.Hash{1}, epoch, targets, nil)
		b := members(t, r, challenges.Hash{2}, epoch, targets, nil)
		few := members(t, r, challenges.Hash{1}, epoch, targets[:10], nil)
		for i := range a {
			for _, d := range targets[:10] {
				if a[i][d] != few[i][d] {
					t.Fatalf("epoch %d: %v is in or out by whether others are known", epoch, d)
				}
			}
			if a[i][targets[0]] && a[i][targets[1]] {
				both++
			}
			if a[i][targets[0]] == b[i][targets[0]] {
				same++
			}
		}
		for _, m := range r.Checkers {
			runs[m.ID] += len(SlotPlan(r, challenges.Hash{1}, m.ID, epoch, targets, nil))
		}
	}
	n := epochs * int(r.Params.Slots)
	if both < n*15/100 || both > n*35/100 || same < n*40/100 || same > n*60/100 {
		t.Errorf("of %d slots two devices were in %d, and one as by another beacon in %d", n, both, same)
	}
	for _, m := range r.Checkers {
		if share := float64(runs[m.ID]) / float64(n*len(targets)/2); share < 0.2 || share > 0.3 {
			t.Errorf("checker %s runs %.2f of all, of four", m.Name, share)
		}
	}
}

// In a block of SharingTargeted slots each B is in half of them, whatever else is
// watched; two partners of one A are in half of each other's.
func TestSlotWatched(t *testing.T) {
	d := testTargets(12)
	tests := []struct {
		name    string
		watched []Pair
		always  []Target
		half    []Target
		free    []Target // as if nobody watched
	}{
		{"one pair", []Pair{{d[0], d[1]}}, d[:1], d[1:2], d[2:]},
		{"two pairs", []Pair{{d[0], d[1]}, {d[2], d[3]}}, []Target{d[0], d[2]}, []Target{d[1], d[3]}, d[4:]},
		{"three partners", []Pair{{d[0], d[1]}, {d[0], d[2]}, {d[0], d[3]}}, d[:1], d[1:4], d[4:]},
		{"one partner of two", []Pair{{d[0], d[2]}, {d[1], d[2]}}, d[:2], d[2:3], d[3:]},
		{"the second pair waits", []Pair{{d[0], d[1]}, {d[1], d[2]}}, d[:1], d[1:2], d[2:]},
		{"and this one", []Pair{{d[0], d[1]}, {d[2], d[0]}}, d[:1], d[1:2], d[2:]},
		{"a pair of one", []Pair{{d[0], d[0]}}, nil, nil, d},
	}
	for _, params := range []Params{Standard(), Devnet()} {
		params.SlotEvery, params.Slots = 1, 1
		r := testRegistry(3, params)
		block := int(params.SharingTargeted)
		for _, tt := range tests {
			order := make(map[string]bool)
			for first := 0; first < 20*block; first += block {
				count := make(map[Target]int)
				pairs := make(map[Pair]int)
				var line strings.Builder
				for k := range block {
					epoch := uint64(first + k)
					in := members(t, r, challenges.Hash{1}, epoch, d, tt.watched)[0]
					plain := members(t, r, challenges.Hash{1}, epoch, d, nil)[0]
					for _, x := range tt.free {
						if in[x] != plain[x] {
							t.Fatalf("%s: %v is not free", tt.name, x)
						}
					}
					for x := range in {
						count[x]++
					}
					for _, x := range tt.half {
						line.WriteString(map[bool]string{true: "1", false: "0"}[in[x]])
						for _, y := range tt.half {
							if in[x] && in[y] {
								pairs[Pair{x, y}]++
							}
						}
					}
				}
				order[line.String()] = true
				for _, x := range tt.always {
					if count[x] != block {
						t.Errorf("%s: %v in %d of %d slots", tt.name, x, count[x], block)
					}
				}
				for i, x := range tt.half {
					if count[x] != block/2 {
						t.Errorf("%s: partner %v in %d of %d slots", tt.name, x, count[x], block)
					}
					for _, y := range tt.half[:i] {
						if n := pairs[Pair{x, y}]; tt.name == "three partners" && n != block/4 {
							t.Errorf("%s: partners %v and %v together in %d of %d slots", tt.name, x, y, n, block)
						}
					}
				}
			}
			if len(tt.half) > 0 && len(order) < 10 {
				t.Errorf("%s: %d orders in 20 blocks", tt.name, len(order))
			}
		}
	}
}

// The order of devices, and devices that are named twice, change nothing.
func TestSlotPlanIsPure(t *testing.T) {
	r := testRegistry(3, Devnet())
	targets := testTargets(20)
	watched := []Pair{{targets[3], targets[4]}}
	random := rand.New(rand.NewPCG(2, 2))
	for epoch := range uint64(30) {
		mixed := append(slices.Clone(targets), targets[:5]...)
		random.Shuffle(len(mixed), func(i, j int) { mixed[i], mixed[j] = mixed[j], mixed[i] })
		for _, m := range r.Checkers {
			want := SlotPlan(r, challenges.Hash{1}, m.ID, epoch, targets, watched)
			if got := SlotPlan(r, challenges.Hash{1}, m.ID, epoch, mixed, watched); !reflect.DeepEqual(got, want) {
				t.Fatalf("epoch %d: %v, in another order %v", epoch, want, got)
			}
		}
	}
}

// No number of a slot and no parameter that passes its check is a panic.
func TestSlotBounds(t *testing.T) {
	for _, size := range []uint16{2, 3, 7, 65535} {
		r := testRegistry(1, Devnet())
		r.Params.SharingTargeted = size
		d := testTargets(30)
		var watched []Pair
		for _, x := range d[1:] {
			watched = append(watched, Pair{d[0], x})
		}
		if err := r.Check(); err != nil {
			t.Fatal(err)
		}
		for _, epoch := range []uint64{0, 1, 1<<64 - 1} {
			SlotPlan(r, challenges.Hash{}, testID(0), epoch, d, watched)
			Fleets(r, challenges.Hash{}, testID(0), epoch, overlapping())
		}
	}
}
