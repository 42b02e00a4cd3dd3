package reputation

import (
	"bytes"
	"testing"

	"pgregory.net/rapid"

	"github.com/assaynet/assay/challenges"
	"github.com/assaynet/assay/checker/committee"
)

func TestStandingRoundTrip(t *testing.T) {
	r := testRegistry(6)
	rapid.Check(t, func(t *rapid.T) {
		var s Standing
		for e := range uint64(rapid.IntRange(0, 4).Draw(t, "epochs")) {
			s, _ = Fold(s, Combine(r, e, provider, drawSeen(t, 6, e)), &r.Params)
		}
		data := challenges.Marshal(&s)
		var got Standing
		if err := challenges.Unmarshal(data, &got); err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(challenges.Marshal(&got), data) || Score(&got, &r.Params) != Score(&s, &r.Params) {
			t.Fatalf("read %+v, wrote %+v", got, s)
		}
		// A node that restarts goes on with what it read.
		seen := drawSeen(t, 6, 9)
		a, _ := Fold(s, Combine(r, 9, provider, seen), &r.Params)
		b, _ := Fold(got, Combine(r, 9, provider, seen), &r.Params)
		if !bytes.Equal(challenges.Marshal(&a), challenges.Marshal(&b)) {
			t.Fatalf("after a restart %+v, without %+v", b, a)
		}
	})
}

func FuzzStanding(f *testing.F) {
	f.Add([]byte{})
	f.Add(challenges.Marshal(&Standing{}))
	f.Add(challenges.Marshal(&Standing{
		Provider: provider, Next: 5, Kinds: gpu(map[challenges.Outcome]uint64{challenges.Pass: 3}),
		Checkers: []CheckerRate{{Checker: testID(0), Up: 1, Total: 2}}, Figures: figures(100, 2, 90, 91),
		Rates: []Rate{{Flavour: challenges.Int8, Best: 91, Claim: 100}, {Flavour: challenges.FP64, Claim: 40}}, Proofs: []challenges.Hash{{1}},
		Memory: figures(2<<20, 2, 1<<20), Fleets: figures(400, 2, 100, 200), Slices: 50, Down: 1, Possible: 3, Episodes: 1, LastDown: 9,
		Cards: []Card{{Device: "gpu0", Words: []Word{{
			Checker: testID(0), At: 4, Model: "sim-h100", Compute: Shown{Level: 4, Identity: challenges.Hash{1}, At: 4}, Memory: Shown{Level: 4, Identity: challenges.Hash{1}, At: 5},
			Rates: [4]uint64{1, 2, 3, 4}, Doubts: 3, Doubted: 2, Code: "memory-total",
		}}}},
		Conflicts: []Conflict{{Epoch: 3, Identity: challenges.Hash{1}, Device: "gpu0", Other: testID(1), OtherDevice: "gpu1"}},
	}))
	p := committee.Devnet()
	f.Fuzz(func(t *testing.T, data []byte) {
		var s Standing
		if err := challenges.Unmarshal(data, &s); err != nil {
			return
		}
		if !bytes.Equal(challenges.Marshal(&s), data) {
			t.Fatal("reads what it would not write")
		}
		if max(len(s.Figures), len(s.Memory), len(s.Fleets)) > MaxFigures || len(s.Proofs) > MaxProofs || len(s.Rates) > len(challenges.Flavours()) {
			t.Fatalf("read %d figures, %d proofs, %d rates", len(s.Figures), len(s.Proofs), len(s.Rates))
		}
		_ = Score(&s, &p)
		if flags, why := Flags(&s, &p), Why(&s, &p); len(flags) != len(why) {
			t.Fatalf("flags %v, reasons %v", flags, why)
		}
		if bytes, _ := Proven(&s); (bytes == nil) != (len(s.Memory) == 0) {
			t.Fatalf("proven %v of %d figures", bytes, len(s.Memory))
		}
		_ = Share(s.Fleets)
	})
}
