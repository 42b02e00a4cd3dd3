package client

import (
	"bytes"
	"slices"
	"testing"

	"github.com/assaynet/assay/challenges"
)

// TestVerifyRecorded lets a checker state another verdict than its own
// transcript gives, under its own signature.
func TestVerifyRecorded(t *testing.T) {
	for _, c := range []struct {
		name  string
		game  game
		alter func(v *challenges.Verdict)
	}{
		{"pass called wrong", game{}, func(v *challenges.Verdict) { v.Outcome, v.Clause = challenges.Wrong, challenges.ClauseValue }},
		{"wrong called pass", game{spoil: 1}, func(v *challenges.Verdict) { v.Outcome, v.Clause = challenges.Pass, "" }},
		{"clause", game{silent: true}, func(v *challenges.Verdict) { v.Clause = challenges.ClauseShape }},
		{"rate", game{}, func(v *challenges.Verdict) { v.OpsLower++ }},
		{"best rate", game{}, func(v *challenges.Verdict) { v.OpsBest++ }},
		{"elapsed", game{}, func(v *challenges.Verdict) { v.Elapsed++ }},
		{"round-trip time", game{pings: 1, pongs: 1}, func(v *challenges.Verdict) { v.RTT-- }},
		{"samples", game{}, func(v *challenges.Verdict) { v.Samples++ }},
		{"disputed", game{}, func(v *challenges.Verdict) { v.Disputed = true }},
	} {
		t.Run(c.name, func(t *testing.T) {
			tr := c.game.play(t)
			replayed := tr.Verdict.Outcome
			c.alter(&tr.Verdict)
			f, _ := mustVerify(t, c.game.seal(tr), network())
			wantBroken(t, f, challenges.ClauseRecorded)
			if *f.Recorded != tr.Verdict.Outcome || f.Outcome == nil || *f.Outcome != replayed {
				t.Errorf("recorded %v, outcome %v; want %v, %v", *f.Recorded, deref(f.Outcome), tr.Verdict.Outcome, replayed)
			}
		})
	}
}

// TestVerifyTampered alters what a checker sealed, with its signature where it
// is the checker that cheats.
func TestVerifyTampered(t *testing.T) {
	reseal := func(alter func(tr *challenges.Transcript)) func(testing.TB) []byte {
		return func(t testing.TB) []byte {
			tr := game{}.play(t)
			alter(&tr)
			return game{}.seal(tr)
		}
	}
	envelope := func(alter func(e *challenges.Envelope)) func(testing.TB) []byte {
		return func(t testing.TB) []byte {
			e, err := challenges.DecodeEnvelope(game{}.file(t))
			if err != nil {
				t.Fatal(err)
			}
			e.Payload = bytes.Clone(e.Payload)
			alter(&e)
			return challenges.Marshal(&e)
		}
	}
	flip := func(b []byte) []byte {
		b = bytes.Clone(b)
		b[len(b)-1] ^= 1
		return b
	}
	frame := func(out bool) func(tr *challenges.Transcript) {
		return func(tr *challenges.Transcript) {
			i := slices.IndexFunc(tr.Events, func(e challenges.Event) bool { return e.Out == out })
			tr.Events[i].Frame = flip(tr.Events[i].Frame)
		}
	}
	for _, c := range []struct {
		name, clause string
		file         func(t testing.TB) []byte
	}{
		{"signature", challenges.ClauseSignature, envelope(func(e *challenges.Envelope) { e.Signature[5] ^= 1 })},
		{"payload", challenges.ClauseSignature, envelope(func(e *challenges.Envelope) { e.Payload[len(e.Payload)-1] ^= 1 })},
		{"signer", challenges.ClauseSignature, envelope(func(e *challenges.Envelope) { e.Signer = challenges.IDOf(keyB) })},
		{"network", challenges.ClauseSignature, envelope(func(e *challenges.Envelope) { e.Network[0] ^= 1 })},
		{"signed garbage", challenges.ClauseEncoding, envelope(func(e *challenges.Envelope) {
			*e = challenges.Seal(e.Network, e.Kind, []byte("garbage"), keyA)
		})},
		{"signed by another checker than the challenge", challenges.ClauseParties, func(t testing.TB) []byte {
			return game{checker: keyB}.seal(game{}.play(t))
		}},
		{"challenge is garbage", challenges.ClauseEncoding, reseal(func(tr *challenges.Transcript) { tr.Challenge = []byte("x") })},
		{"challenge signature", challenges.ClauseSignature, reseal(func(tr *challenges.Transcript) { tr.Challenge = flip(tr.Challenge) })},
		{"secret", challenges.ClauseSecret, reseal(func(tr *challenges.Transcript) { tr.Secret[0] ^= 1 })},
		{"provider frame", challenges.ClauseFrames, reseal(func(tr *challenges.Transcript) {
			tr.Signatures[1] = flip(tr.Signatures[1])
		})},
		{"checker frame", challenges.ClauseSent, reseal(frame(true))},
		{"last event cut off", challenges.ClauseEnd, reseal(func(tr *challenges.Transcript) {
			tr.Events = tr.Events[:len(tr.Events)-1]
		})},
		{"event after the end", challenges.ClauseEnd, reseal(func(tr *challenges.Transcript) {
			tr.Events = append(tr.Events, tr.Events[len(tr.Events)-1])
		})},
		{"time falls", challenges.ClauseTime, reseal(func(tr *challenges.Transcript) {
			tr.Events[len(tr.Events)-1].At = 0
		})},
	} {
		t.Run(c.name, func(t *testing.T) {
			f, _ := mustVerify(t, c.file(t), network())
			wantBroken(t, f, c.clause)
			if f.Outcome != nil {
				t.Errorf("outcome %v", *f.Outcome)
			}
		})
	}
}
