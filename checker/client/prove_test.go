package client

import (
	"slices"
	"testing"

	"github.com/assaynet/assay/challenges"
	"github.com/assaynet/assay/checker/reputation"
)

// TestCollectorProves lets a checker call work wrong. Its word alone is unknown.
func TestCollectorProves(t *testing.T) {
	r := network()
	altered := game{}.play(t)
	altered.Verdict.Outcome, altered.Verdict.Clause = challenges.Wrong, challenges.ClauseValue
	hidden := game{spoil: 1}.play(t)
	hidden.Verdict.Outcome, hidden.Verdict.Clause = challenges.Pass, ""
	for _, c := range []struct {
		name string
		file []byte // nil: none is served
		want challenges.Outcome
	}{
		{"wrong", game{spoil: 1}.file(t), challenges.Wrong},
		{"wrong, found by another member", game{spoil: 1, checker: keyB}.file(t), challenges.Wrong},
		{"no transcript", nil, challenges.Unknown},
		{"replays as pass", game{}.file(t), challenges.Unknown},
		{"replays as withheld", game{silent: true}.file(t), challenges.Unknown},
		{"recorded as wrong, replays as pass", game{}.seal(altered), challenges.Unknown},
		{"recorded as pass, replays as wrong", game{}.seal(hidden), challenges.Unknown},
		{"of another provider", game{spoil: 1, provider: otherKey}.file(t), challenges.Unknown},
		{"by a stranger", game{spoil: 1, checker: strangerKey}.file(t), challenges.Unknown},
		{"of another network", game{spoil: 1, registry: network(keyA)}.file(t), challenges.Unknown},
	} {
		t.Run(c.name, func(t *testing.T) {
			a := newFakeChecker(t, keyA)
			it, late := item(1, challenges.Wrong), item(2, challenges.Late)
			it.Transcript = challenges.Hash{0xee}
			if c.file != nil {
				it.Transcript = a.keep(t, c.file)
			}
			a.seal(r, 0, saw(providerKey, "u", it, late))
			col := NewCollector(r, clientsOf(a))
			update(t, col)
			p := only(t, col)
			want := Outcomes{Wrong: 1, Late: 1}
			flags, proofs := []string{reputation.FlagWorkIncorrect}, []challenges.Hash{it.Transcript}
			if c.want == challenges.Unknown {
				want, flags, proofs = Outcomes{Unknown: 1, Late: 1}, []string{}, []challenges.Hash{}
			}
			if p.ByKind["matmul"] != want || !slices.Equal(p.Flags, flags) || !slices.Equal(p.Proofs, proofs) {
				t.Errorf("%+v, flags %v, proofs %v; want %+v, %v", p.ByKind["matmul"], p.Flags, p.Proofs, want, flags)
			}
		})
	}
	t.Run("the file served has another hash", func(t *testing.T) {
		a := newFakeChecker(t, keyA)
		it := item(1, challenges.Wrong)
		it.Transcript = challenges.Hash{0xee}
		a.transcripts[it.Transcript] = game{spoil: 1}.file(t)
		a.seal(r, 0, saw(providerKey, "u", it))
		col := NewCollector(r, clientsOf(a))
		update(t, col)
		if p := only(t, col); p.Outcomes.Wrong != 0 || len(p.Flags) != 0 {
			t.Errorf("%+v, flags %v", p.Outcomes, p.Flags)
		}
	})
}
