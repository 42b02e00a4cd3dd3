package client

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/assaynet/assay/challenges"
	"github.com/assaynet/assay/checker/committee"
	"github.com/assaynet/assay/checker/evidence"
)

func mustVerify(t *testing.T, file []byte, r *committee.Registry) (Finding, string) {
	t.Helper()
	f, err := Verify(file, r, evidence.NVIDIA())
	if err != nil {
		t.Fatal(err)
	}
	b, err := json.Marshal(f)
	if err != nil {
		t.Fatal(err)
	}
	return f, string(b)
}

// What the cases without a reason of their own have in common.
const (
	noClaims = `"claims":{"genuine":"unknown","throughput":"unknown","memory":"unknown","exclusive":"unknown"}`
	shown    = `"claims":{"genuine":"unknown","throughput":"shown","memory":"unknown","exclusive":"unknown"}`
	refuted  = `"claims":{"genuine":"unknown","throughput":"refuted","memory":"unknown","exclusive":"unknown"}`
)

// TestVerifyOutcomes holds every kind of end against the whole document: scripts
// read it, so its fields and their order are a contract.
func TestVerifyOutcomes(t *testing.T) {
	for _, c := range []struct {
		name string
		game game
		json string
	}{
		{
			"pass",
			game{},
			`{"kind":"matmul","ok":true,"recorded":"pass","outcome":"pass","clause":null,` + shown +
				`,"ops_lower":1000000,"miss":0.96059601,"testimony":[{"name":"elapsed_s","value":0.393216},{"name":"ops_lower","value":1000000},{"name":"ops_best_interval","value":666666}]` +
				`,"reasons":[{"code":"pass","detail":"4 sampled values equal the exact result"}]}`,
		},
		{
			"wrong",
			game{spoil: 1},
			`{"kind":"matmul","ok":true,"recorded":"wrong","outcome":"wrong","clause":null,` + refuted +
				`,"ops_lower":null,"miss":null,"testimony":[{"name":"elapsed_s","value":0.098304}]` +
				`,"reasons":[{"code":"M6","detail":"the provider signed a root, and an opening of it holds a value that is not the exact result"}]}`,
		},
		{
			"late",
			game{round: 150 * time.Millisecond},
			`{"kind":"matmul","ok":true,"recorded":"late","outcome":"late","clause":null,` + noClaims +
				`,"ops_lower":655360,"miss":null,"testimony":[{"name":"elapsed_s","value":0.6},{"name":"ops_lower","value":655360},{"name":"ops_best_interval","value":436906}]` +
				`,"reasons":[{"code":"M9","detail":"every value is right, but the run stayed below the claim by more than the slack"}]}`,
		},
		{
			"withheld",
			game{silent: true},
			`{"kind":"matmul","ok":true,"recorded":"withheld","outcome":"withheld","clause":null,` + noClaims +
				`,"ops_lower":null,"miss":null,"testimony":[{"name":"elapsed_s","value":2.863296},{"name":"end_timeout","value":true}]` +
				`,"reasons":[{"code":"M7","detail":"after a signed root the provider fell silent or broke the protocol, by the checker's word"}]}`,
		},
		{
			"refused",
			game{refuse: challenges.ReasonBusy},
			`{"kind":"matmul","ok":true,"recorded":"refused","outcome":"refused","clause":null,` + noClaims +
				`,"ops_lower":null,"miss":null,"testimony":[{"name":"elapsed_s","value":0.001}]` +
				`,"reasons":[{"code":"S6","detail":"the provider signed a refusal"}]}`,
		},
		{
			"unreachable",
			game{absent: true},
			`{"kind":"matmul","ok":true,"recorded":"unreachable","outcome":"unreachable","clause":null,` + noClaims +
				`,"ops_lower":null,"miss":null,"testimony":[{"name":"elapsed_s","value":2.863296},{"name":"end_timeout","value":true}]` +
				`,"reasons":[{"code":"M7","detail":"no usable answer came before any root, by the checker's word"}]}`,
		},
		{
			"unknown",
			game{abort: true},
			`{"kind":"matmul","ok":true,"recorded":"unknown","outcome":"unknown","clause":null,` + noClaims +
				`,"ops_lower":null,"miss":null,"testimony":[{"name":"elapsed_s","value":0.098304}]` +
				`,"reasons":[{"code":"S7","detail":"nothing can be said: the checker's own fault, or a simulated device's overrun"}]}`,
		},
		{
			"fma pass",
			game{profile: smallFP64},
			`{"kind":"fma","ok":true,"recorded":"pass","outcome":"pass","clause":null,` + shown +
				`,"ops_lower":1000000,"miss":0.96059601,"testimony":[{"name":"elapsed_s","value":0.196608},{"name":"ops_lower","value":1000000},{"name":"ops_best_interval","value":666666}]` +
				`,"reasons":[{"code":"pass","detail":"4 sampled values equal the exact result"}]}`,
		},
		{
			"fma wrong",
			game{profile: smallFP64, spoil: 1},
			`{"kind":"fma","ok":true,"recorded":"wrong","outcome":"wrong","clause":null,` + refuted +
				`,"ops_lower":null,"miss":null,"testimony":[{"name":"elapsed_s","value":0.049152}]` +
				`,"reasons":[{"code":"M6","detail":"the provider signed a root, and an opening of it holds a value that is not the exact result"}]}`,
		},
		{
			"fma refused",
			game{profile: smallFP64, refuse: challenges.ReasonUnsupported},
			`{"kind":"fma","ok":true,"recorded":"refused","outcome":"refused","clause":null,` + noClaims +
				`,"ops_lower":null,"miss":null,"testimony":[{"name":"elapsed_s","value":0.001}]` +
				`,"reasons":[{"code":"S6","detail":"the provider signed a refusal"}]}`,
		},
		{
			"bf16 pass",
			game{profile: smallBF16},
			`{"kind":"matmul","ok":true,"recorded":"pass","outcome":"pass","clause":null,` + shown +
				`,"ops_lower":1000000,"miss":0.96059601,"testimony":[{"name":"elapsed_s","value":0.393216},{"name":"ops_lower","value":1000000},{"name":"ops_best_interval","value":666666}]` +
				`,"reasons":[{"code":"pass","detail":"4 sampled values equal the exact result"}]}`,
		},
		{
			"probe pass",
			game{pings: 2, pongs: 2},
			`{"kind":"probe","ok":true,"recorded":"pass","outcome":"pass","clause":null,` + noClaims +
				`,"ops_lower":null,"miss":null,"testimony":[{"name":"elapsed_s","value":0.004},{"name":"rtt_s","value":0.002}]` +
				`,"reasons":[{"code":"pass","detail":"2 signed pongs to fresh nonces"}]}`,
		},
		{
			"probe unreachable",
			game{pings: 2},
			`{"kind":"probe","ok":true,"recorded":"unreachable","outcome":"unreachable","clause":null,` + noClaims +
				`,"ops_lower":null,"miss":null,"testimony":[{"name":"elapsed_s","value":2},{"name":"end_timeout","value":true}]` +
				`,"reasons":[{"code":"P3","detail":"no usable answer came before any root, by the checker's word"}]}`,
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			file := c.game.file(t)
			before := bytes.Clone(file)
			_, got := mustVerify(t, file, network())
			if first(got) != c.json {
				t.Errorf("got  %s\nwant %s", got, c.json)
			}
			if _, again := mustVerify(t, file, network()); again != got || !bytes.Equal(file, before) {
				t.Errorf("the second time: %s", again)
			}
			// Without a registry the same is proved, and the gap is named.
			want := c.json[:len(c.json)-2] + `,{"code":"network","detail":"network not checked: no registry was given"}]}`
			if _, got := mustVerify(t, file, nil); first(got) != want {
				t.Errorf("without a registry\ngot  %s\nwant %s", got, want)
			}
		})
	}
}

// first is the document without what came to it later: the level and what it rests on.
func first(document string) string {
	before, _, _ := strings.Cut(document, `,"grades":`)
	return before + "}"
}

// wantBroken checks that a file proves nothing, over the clause given.
func wantBroken(t *testing.T, f Finding, clause string) {
	t.Helper()
	switch {
	case f.OK:
		t.Error("ok")
	case f.Clause == nil || *f.Clause != clause:
		t.Errorf("clause %v, want %s: %v", deref(f.Clause), clause, f.Reasons)
	case len(f.Reasons) == 0 || f.Reasons[len(f.Reasons)-1].Code != clause || f.Reasons[len(f.Reasons)-1].Detail == "":
		t.Errorf("reasons %v", f.Reasons)
	case f.Testimony == nil:
		t.Error("testimony is null in JSON, want a list")
	}
}

func deref[T any](p *T) any {
	if p == nil {
		return nil
	}
	return *p
}

func TestVerifyBelongs(t *testing.T) {
	other := network()
	other.Name = "other"
	real := network()
	real.Simulated = false
	for _, c := range []struct {
		name     string
		game     game
		registry *committee.Registry
		clause   string
	}{
		{"other registry", game{}, other, challenges.ClauseNetwork},
		{"other registry, probe", game{pings: 1, pongs: 1}, other, challenges.ClauseNetwork},
		{"signer is no member", game{checker: strangerKey}, network(), challenges.ClauseParties},
		{"simulated profile in a real network", game{registry: real}, real, challenges.ClauseProfile},
		{"simulated profile of bf16 in a real network", game{registry: real, profile: smallBF16}, real, challenges.ClauseProfile},
		{"simulated profile of fp64fma in a real network", game{registry: real, profile: smallFP64}, real, challenges.ClauseProfile},
	} {
		t.Run(c.name, func(t *testing.T) {
			f, doc := mustVerify(t, c.game.file(t), c.registry)
			wantBroken(t, f, c.clause)
			if kind := c.game.kind(); *f.Kind != kind {
				t.Errorf("kind %q, want %q", *f.Kind, kind)
			}
			want := fmt.Sprintf(`{"kind":%q,"ok":false,"recorded":"pass","outcome":null,"clause":%q,"claims":null,"ops_lower":null,`+
				`"miss":null,"testimony":[],"reasons":[{"code":%q,"detail":"`, *f.Kind, c.clause, c.clause)
			if !strings.HasPrefix(doc, want) {
				t.Errorf("got  %s\nwant %s", doc, want)
			}
			// What is known of it is said; what does not belong is not judged.
			if *f.Recorded != challenges.Pass || f.Outcome != nil || f.Claims != nil {
				t.Errorf("recorded %v, outcome %v, claims %v", *f.Recorded, deref(f.Outcome), f.Claims)
			}
			if f, _ := mustVerify(t, c.game.file(t), nil); !f.OK {
				t.Errorf("without a registry: %v", f.Reasons)
			}
		})
	}
	// The profiles of real devices are what a real network is for.
	for _, g := range []game{{profile: 1100, claim: 5e12}, {profile: 2200, claim: 1e12}, {profile: 3105, claim: 1e12}} {
		g.registry, g.refuse = real, challenges.ReasonBusy
		if f, _ := mustVerify(t, g.file(t), real); !f.OK || *f.Outcome != challenges.Refused {
			t.Errorf("profile %d in a real network: %v", g.profile, f.Reasons)
		}
	}
	// A probe has no profile: a real network may send it.
	if f, _ := mustVerify(t, game{registry: real, pings: 1, pongs: 1}.file(t), real); !f.OK {
		t.Errorf("probe in a real network: %v", f.Reasons)
	}
}

func TestVerifyUnreadable(t *testing.T) {
	file := game{}.file(t)
	kind := func(k string) []byte {
		e := challenges.Seal(network().Hash(), k, []byte{1}, keyA)
		return challenges.Marshal(&e)
	}
	for _, c := range []struct {
		name string
		file []byte
	}{
		{"nil", nil},
		{"empty", []byte{}},
		{"garbage", []byte("not a transcript")},
		{"first half", file[:len(file)/2]},
		{"last byte missing", file[:len(file)-1]},
		{"byte too many", append(bytes.Clone(file), 0)},
		{"twice", append(bytes.Clone(file), file...)},
		{"over the size limit", make([]byte, challenges.MaxEnvelope+1)},
		{"challenge", game{}.play(t).Challenge},
		{"observation", kind(challenges.KindObservation)},
		{"unknown kind", kind("other")},
	} {
		t.Run(c.name, func(t *testing.T) {
			for _, r := range []*committee.Registry{nil, network()} {
				f, err := Verify(c.file, r, evidence.NVIDIA())
				if !errors.Is(err, ErrUnreadable) {
					t.Errorf("error %v, want %v", err, ErrUnreadable)
				}
				if fmt.Sprint(f) != fmt.Sprint(Finding{}) {
					t.Errorf("finding %+v beside the error", f)
				}
			}
		})
	}
}
