package client

import (
	"encoding/json"
	"errors"
	"testing"
	"time"

	"github.com/assaynet/assay/challenges"
	"github.com/assaynet/assay/checker/committee"
	"github.com/assaynet/assay/checker/evidence"
)

// FuzzVerify feeds files, and payloads that a member has signed: with a valid
// signature the fuzzer gets past it, as a checker that cheats does.
func FuzzVerify(f *testing.F) {
	r := network()
	for _, g := range []game{
		{},
		{spoil: 1},
		{profile: smallBF16},
		{profile: smallFP64},
		{profile: smallFP64, spoil: 1},
		{round: 150 * time.Millisecond},
		{silent: true},
		{absent: true},
		{abort: true},
		{refuse: challenges.ReasonBusy},
		{pings: 2, pongs: 2},
		{pings: 2, pongs: 1},
		{checker: strangerKey},
	} {
		file := g.file(f)
		e, err := challenges.DecodeEnvelope(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(file, false, true)
		f.Add(file[:len(file)/2], false, false)
		f.Add(e.Payload, true, true)
		f.Add(e.Payload[:len(e.Payload)/2], true, false)
	}
	altered := game{}.play(f)
	altered.Verdict.OpsLower++
	f.Add(challenges.Marshal(&altered), true, true)
	f.Fuzz(func(t *testing.T, file []byte, signed, registered bool) {
		if signed {
			e := challenges.Seal(r.Hash(), challenges.KindTranscript, file, keyA)
			file = challenges.Marshal(&e)
		}
		registry := r
		if !registered {
			registry = nil
		}
		got, err := Verify(file, registry, evidence.NVIDIA())
		if err != nil {
			if !errors.Is(err, ErrUnreadable) || signed {
				t.Fatalf("error %v", err)
			}
			return
		}
		doc, err := json.Marshal(got)
		if err != nil {
			t.Fatal(err)
		}
		again, _ := Verify(file, registry, evidence.NVIDIA())
		if same, _ := json.Marshal(again); string(same) != string(doc) {
			t.Fatalf("two findings of one file:\n%s\n%s", doc, same)
		}
		if got.OK {
			holdsUp(t, file, registry, got)
			return
		}
		if got.Clause == nil || len(got.Reasons) == 0 || got.Reasons[len(got.Reasons)-1].Code != *got.Clause {
			t.Fatalf("not ok, without a clause or its reason: %s", doc)
		}
	})
}

// holdsUp checks an ok by what it must mean, without Verify's own helpers.
func holdsUp(t *testing.T, file []byte, r *committee.Registry, got Finding) {
	t.Helper()
	e, err := challenges.DecodeEnvelope(file)
	if err != nil {
		t.Fatal(err)
	}
	tr, c, err := challenges.OpenTranscript(e)
	if err != nil {
		t.Fatalf("ok, but %v", err)
	}
	v, err := challenges.Replay(tr)
	switch {
	case err != nil:
		t.Fatalf("ok, but %v", err)
	case v != tr.Verdict || got.Outcome == nil || *got.Outcome != v.Outcome || *got.Recorded != v.Outcome || *got.Kind != c.Kind:
		t.Fatalf("ok, but %+v recorded, %+v replayed, %+v found", tr.Verdict, v, got)
	case got.Clause != nil || got.Claims == nil:
		t.Fatalf("ok, with clause %v and claims %v", got.Clause, got.Claims)
	case r != nil && (e.Network != r.Hash() || r.Index(e.Signer) < 0):
		t.Fatalf("ok, of network %v by %v", e.Network, e.Signer)
	}
}
