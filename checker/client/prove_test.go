package client

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/assaynet/assay/challenges"
	"github.com/assaynet/assay/checker/evidence"
	"github.com/assaynet/assay/checker/report"
	"github.com/assaynet/assay/checker/reputation"
)

// challengeOf is the id of the challenge that a transcript is of.
func challengeOf(t *testing.T, file []byte) challenges.Hash {
	t.Helper()
	env, err := challenges.DecodeEnvelope(file)
	if err != nil {
		t.Fatal(err)
	}
	var tr challenges.Transcript
	if err := challenges.Unmarshal(env.Payload, &tr); err != nil {
		t.Fatal(err)
	}
	inner, err := challenges.DecodeEnvelope(tr.Challenge)
	if err != nil {
		t.Fatal(err)
	}
	return inner.ID()
}

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
		{"wrong, but another kind", game{profile: smallFP64, spoil: 1}.file(t), challenges.Unknown},
		{"wrong, but another member's challenge", game{spoil: 1, checker: keyB}.file(t), challenges.Unknown},
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
			late.Challenge = challenges.Hash{0xff, 0xff, 0xff}
			if c.file != nil {
				it.Transcript, it.Challenge = a.keep(t, c.file), challengeOf(t, c.file)
			}
			a.seal(r, 0, saw(providerKey, "u", it, late))
			col := NewCollector(r, clientsOf(a), evidence.NVIDIA())
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
	for _, c := range []struct {
		name  string
		alter func(it *report.Item, o *report.Observation)
	}{
		{"another challenge's id", func(it *report.Item, _ *report.Observation) { it.Challenge[0] ^= 1 }},
		{"another device", func(it *report.Item, _ *report.Observation) { it.Device += "x" }},
		{"another epoch", func(_ *report.Item, o *report.Observation) { o.Epoch = 1 }},
	} {
		t.Run("a true proof of "+c.name, func(t *testing.T) {
			a := newFakeChecker(t, keyA)
			file := game{spoil: 1}.file(t)
			it := item(1, challenges.Wrong)
			it.Transcript, it.Challenge = a.keep(t, file), challengeOf(t, file)
			o := saw(providerKey, "u", it)
			c.alter(&o.Items[0], &o)
			a.seal(r, 0)
			a.seal(r, 1)
			a.seal(r, o.Epoch, o)
			col := NewCollector(r, clientsOf(a), evidence.NVIDIA())
			update(t, col)
			if p := only(t, col); p.Outcomes.Wrong != 0 || len(p.Proofs) != 0 {
				t.Errorf("%+v, proofs %v", p.Outcomes, p.Proofs)
			}
		})
	}
	for _, profile := range []uint16{smallBF16, smallFP64} {
		g := game{profile: profile, spoil: 1}
		t.Run(fmt.Sprint("a proof of kind ", g.kind(), ", profile ", profile), func(t *testing.T) {
			a := newFakeChecker(t, keyA)
			file := g.file(t)
			it := item(1, challenges.Wrong)
			it.Kind, it.Profile = g.kind(), profile
			it.Transcript, it.Challenge = a.keep(t, file), challengeOf(t, file)
			a.seal(r, 0, saw(providerKey, "u", it))
			col := NewCollector(r, clientsOf(a), evidence.NVIDIA())
			update(t, col)
			if p := only(t, col); p.GPU() != (Outcomes{Wrong: 1}) || !slices.Equal(p.Proofs, []challenges.Hash{it.Transcript}) {
				t.Errorf("%+v, proofs %v", p.GPU(), p.Proofs)
			}
		})
	}
	t.Run("the file served has another hash", func(t *testing.T) {
		a := newFakeChecker(t, keyA)
		it := item(1, challenges.Wrong)
		it.Transcript = challenges.Hash{0xee}
		a.transcripts[it.Transcript] = game{spoil: 1}.file(t)
		a.seal(r, 0, saw(providerKey, "u", it))
		col := NewCollector(r, clientsOf(a), evidence.NVIDIA())
		update(t, col)
		if p := only(t, col); p.Outcomes.Wrong != 0 || len(p.Flags) != 0 {
			t.Errorf("%+v, flags %v", p.Outcomes, p.Flags)
		}
	})
}

// TestCollectorWaitsForAProof: a fetch that fails says nothing. The epoch waits,
// but not for ever: a checker that serves errors must not stop the others.
func TestCollectorWaitsForAProof(t *testing.T) {
	r := network()
	a := newFakeChecker(t, keyA)
	file := game{spoil: 1}.file(t)
	it := item(1, challenges.Wrong)
	it.Transcript, it.Challenge = a.keep(t, file), challengeOf(t, file)
	a.seal(r, 0, saw(providerKey, "u", it))
	broken := func(fail func(n int) bool) *Collector {
		n := 0
		proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
			if strings.HasPrefix(req.URL.Path, "/v1/transcripts/") {
				if n++; fail(n) {
					http.Error(w, "disk on fire", http.StatusInternalServerError)
					return
				}
			}
			a.server.Config.Handler.ServeHTTP(w, req)
		}))
		t.Cleanup(proxy.Close)
		c, err := New(proxy.URL)
		if err != nil {
			t.Fatal(err)
		}
		return NewCollector(r, []*Client{c}, evidence.NVIDIA())
	}
	c := broken(func(n int) bool { return n == 1 })
	if err := c.Update(t.Context()); err == nil || c.Epochs() != 0 {
		t.Fatalf("error %v, %d epochs folded without the proof", err, c.Epochs())
	}
	update(t, c)
	if p := only(t, c); p.Outcomes.Wrong != 1 || c.Epochs() != 1 {
		t.Errorf("%+v after %d epochs", p.Outcomes, c.Epochs())
	}
	c = broken(func(int) bool { return true })
	for range maxTries {
		if err := c.Update(t.Context()); err == nil {
			t.Error("no error")
		}
	}
	update(t, c)
	if p := only(t, c); p.Outcomes.Wrong != 0 || p.Outcomes.Unknown != 1 {
		t.Errorf("%+v without a proof", p.Outcomes)
	}
}
