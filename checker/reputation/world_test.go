package reputation

import (
	"bytes"
	"crypto/ed25519"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/assaynet/assay/challenges"
	"github.com/assaynet/assay/checker/committee"
	"github.com/assaynet/assay/checker/evidence"
	"github.com/assaynet/assay/checker/report"
)

func testID(i int) challenges.NodeID {
	return challenges.IDOf(ed25519.NewKeyFromSeed(bytes.Repeat([]byte{byte(i + 1)}, ed25519.SeedSize)))
}

var provider = testID(200)

// testRegistry has the checkers testID(0) to testID(n-1).
func testRegistry(n int) *committee.Registry {
	r := &committee.Registry{Name: "test", Genesis: 1, Simulated: true, Params: committee.Devnet()}
	for i := range n {
		r.Checkers = append(r.Checkers, committee.Member{ID: testID(i), Name: fmt.Sprint(i)})
	}
	slices.SortFunc(r.Checkers, func(a, b committee.Member) int { return a.ID.Compare(b.ID) })
	return r
}

// saw is what checker i saw of the provider: a letter a slice, '.' not probed.
func saw(i int, epoch uint64, slices string, items ...report.Item) Seen {
	letters := map[rune]challenges.Outcome{'.': 0, 'u': challenges.Pass, 'd': challenges.Unreachable, '?': challenges.Unknown, 'r': challenges.Refused}
	o := report.Observation{Epoch: epoch, Provider: provider, Items: items}
	for _, c := range slices {
		o.Slices = append(o.Slices, byte(letters[c]))
	}
	return Seen{Checker: testID(i), Observation: o}
}

func item(n int, o challenges.Outcome, ops, claim uint64) report.Item {
	return report.Item{
		Challenge: challenges.Hash{byte(n >> 8), byte(n)}, Kind: challenges.Matmul, Device: "gpu0", Profile: 1, Outcome: o,
		OpsLower: ops, Claim: claim, Transcript: challenges.Hash{0xf0, byte(n >> 8), byte(n)},
	}
}

// in is the item as one of another flavour.
func in(f challenges.Flavour, it report.Item) report.Item {
	it.Kind = f.Kind()
	it.Profile = map[challenges.Flavour]uint16{challenges.Int8: 1, challenges.BF16: 3, challenges.FP64: 4}[f]
	return it
}

// remembered is an item of memory: bytes claimed, and items of the dataset read a
// second.
func remembered(n int, o challenges.Outcome, reads, claim uint64) report.Item {
	it := item(n, o, reads, claim)
	it.Kind, it.Profile = challenges.Memory, 501
	return it
}

// together is the item as one of a run of several devices.
func together(run byte, sum, claim uint64, it report.Item) report.Item {
	it.Fleet = report.FleetPart{Run: challenges.Hash{run}, Devices: 2, Group: 2, Sum: sum, Claim: claim}
	return it
}

func refusal(n int, reason string) report.Item {
	it := item(n, challenges.Refused, 0, 100)
	it.Reason = reason
	return it
}

// drawSeen makes one observation of each of some checkers.
func drawSeen(t *rapid.T, checkers int, epoch uint64) []Seen {
	var out []Seen
	n := 0
	for i := range checkers {
		if !rapid.Bool().Draw(t, "took part") {
			continue
		}
		s := saw(i, epoch, rapid.StringMatching(`[.ud?r]{0,10}`).Draw(t, "slices"))
		for range rapid.IntRange(0, 3).Draw(t, "items") {
			n++
			it := item(n, rapid.SampledFrom(challenges.Outcomes()).Draw(t, "outcome"), rapid.Uint64Range(0, 200).Draw(t, "ops"), rapid.Uint64Range(0, 200).Draw(t, "claim"))
			if it.Outcome == challenges.Refused {
				it.Reason = rapid.SampledFrom([]string{challenges.ReasonBusy, challenges.ReasonTenant}).Draw(t, "reason")
			}
			it = in(rapid.SampledFrom(challenges.Flavours()).Draw(t, "flavour"), it)
			if rapid.IntRange(0, 3).Draw(t, "memory") == 0 {
				it = remembered(n, it.Outcome, rapid.Uint64Range(0, 8e6).Draw(t, "reads"), rapid.Uint64Range(0, 4<<20).Draw(t, "bytes"))
			}
			if rapid.Bool().Draw(t, "together") {
				it = together(rapid.ByteRange(1, 2).Draw(t, "run"), rapid.Uint64Range(0, 400).Draw(t, "sum"), rapid.Uint64Range(0, 400).Draw(t, "claimed"), it)
			}
			if rapid.Bool().Draw(t, "card") {
				it = of(evidence.Level(rapid.IntRange(0, 5).Draw(t, "level")), rapid.Byte().Draw(t, "identity"), it)
				if rapid.Bool().Draw(t, "doubtful") {
					it = doubtful(it)
				}
			}
			s.Observation.Items = append(s.Observation.Items, it)
		}
		out = append(out, s)
	}
	return out
}

func shuffle(t *rapid.T, seen []Seen) []Seen {
	seen = slices.Clone(seen)
	r := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "shuffle"), 0))
	r.Shuffle(len(seen), func(i, j int) { seen[i], seen[j] = seen[j], seen[i] })
	return seen
}

// foldAll folds observations given epoch by epoch.
func foldAll(t *testing.T, r *committee.Registry, epochs ...[]Seen) Standing {
	t.Helper()
	var s Standing
	for e, seen := range epochs {
		s, _ = Fold(s, Combine(r, uint64(e), provider, seen), &r.Params)
	}
	return s
}

// same compares two figures that may be unknown.
func same(t *testing.T, name string, got, want *float64) {
	t.Helper()
	switch {
	case got == nil && want == nil:
	case got == nil || want == nil:
		t.Errorf("%s: known %v, want known %v", name, got != nil, want != nil)
	case max(*got-*want, *want-*got) > 1e-6:
		t.Errorf("%s: %.9f, want %.9f", name, *got, *want)
	}
}
