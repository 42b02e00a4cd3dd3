package api_test

import (
	"bytes"
	"net/http"
	"slices"
	"strings"
	"testing"

	"lukechampine.com/blake3"

	"github.com/assaynet/assay/challenges"
	"github.com/assaynet/assay/checker/client"
	"github.com/assaynet/assay/checker/committee"
	"github.com/assaynet/assay/checker/reputation"
)

func TestIndex(t *testing.T) {
	w := newWorld(t)
	resp, body := w.get(t, "/")
	if resp.StatusCode != http.StatusOK || resp.Header.Get("Content-Type") != "text/plain; charset=utf-8" {
		t.Errorf("status %d, type %q", resp.StatusCode, resp.Header.Get("Content-Type"))
	}
	for _, want := range []string{
		"checker-1", `"test"`, "/v1/status", "/v1/registry", "/v1/providers", "/v1/providers/ID",
		"/v1/epochs/EPOCH/observations", "/v1/transcripts?", "/v1/transcripts/HASH",
	} {
		if !bytes.Contains(body, []byte(want)) {
			t.Errorf("index lacks %q:\n%s", want, body)
		}
	}
}

func TestStatus(t *testing.T) {
	w := newWorld(t)
	resp, body := w.get(t, "/v1/status")
	got := wantJSON[client.Status](t, resp, body, http.StatusOK)
	want := client.Status{
		Network: "test", NetworkID: w.registry.Hash(), Simulated: true, ID: challenges.IDOf(checkerKey), Name: "checker-1",
		Epoch: got.Epoch, Sealed: 2, Verdicts: 33,
	}
	if got != want || got.Epoch < 2 {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

func TestRegistry(t *testing.T) {
	w := newWorld(t)
	resp, body := w.get(t, "/v1/registry")
	if resp.StatusCode != http.StatusOK || resp.Header.Get("Content-Type") != "application/cbor" {
		t.Errorf("status %d, type %q", resp.StatusCode, resp.Header.Get("Content-Type"))
	}
	if got := challenges.Hash(blake3.Sum256(body)); got != w.registry.Hash() {
		t.Errorf("the bytes hash to %v, want the network's id %v", got, w.registry.Hash())
	}
	if r, err := committee.DecodeRegistry(body); err != nil || r.Name != "test" {
		t.Errorf("registry %q, %v", r.Name, err)
	}
}

func TestProviders(t *testing.T) {
	w := newWorld(t)
	resp, body := w.get(t, "/v1/providers")
	doc := wantJSON[client.Providers](t, resp, body, http.StatusOK)
	var got []string
	for _, p := range doc.Providers {
		got = append(got, p.ID.String()[:6])
	}
	// Best score first, ties by id.
	if want := []string{"abcd11", "abcd00", "ffff00"}; !slices.Equal(got, want) {
		t.Fatalf("ranked %v, want %v", got, want)
	}
	best := doc.Providers[0]
	if best.ByKind["matmul"] != (client.Outcomes{Pass: 9, Late: 1}) || best.Outcomes.Pass != 10 || !best.Provisional || *best.ThroughputOps != 90 {
		t.Errorf("%+v", best)
	}
	// What is not known is null, and lists are lists.
	for _, want := range []string{
		`"level":"L0"`, `"confirmed":null`, `"lower95":null`, `"flags":[]`, `"proofs":[]`, `"provisional":true`,
		`"throughput_ops":90,"claim_ops":100,"throughput":[{"flavour":"int8","ops":90,"claim_ops":100},{"flavour":"fp64fma","ops":null,"claim_ops":40}]`,
		`"fma":{"pass":0,"wrong":0,`, `"memory":{"pass":0,"wrong":0,`,
		`"memory":{"bytes":null,"claim_bytes":0,"figures":0,"read_bytes":null},"together":{"share":null,"figures":0},"shared":[],`, `"reasons":[]`,
	} {
		if !bytes.Contains(body, []byte(want)) {
			t.Errorf("%s not in %s", want, body)
		}
	}
	// What is known of memory and of several devices, and a sentence for each flag.
	figure := func(checker byte, ops uint64) reputation.Figure {
		return reputation.Figure{Checker: challenges.NodeID{checker}, Ops: ops, Claim: 1000}
	}
	s := standing(provider("abcd00"), 4)
	s.Memory, s.Reads = []reputation.Figure{figure(1, 850), figure(2, 900)}, 3
	s.Fleets = []reputation.Figure{figure(1, 500), figure(2, 400), figure(1, 500)}
	w.standings = []reputation.Standing{s}
	_, body = w.get(t, "/v1/providers")
	for _, want := range []string{
		`"memory":{"bytes":875,"claim_bytes":1000,"figures":2,"read_bytes":192},"together":{"share":0.5,"figures":3},"shared":[],`,
		`"flags":["oversold"],"reasons":[{"code":"oversold","detail":"at one time its devices did 50 % (median of 3 figures of 2 checkers) of what they claim each"}]`,
	} {
		if !bytes.Contains(body, []byte(want)) {
			t.Errorf("%s not in %s", want, body)
		}
	}
	w.standings = nil
	if _, body := w.get(t, "/v1/providers"); strings.TrimSpace(string(body)) != `{"providers":[]}` {
		t.Errorf("without providers: %s", body)
	}
}

func TestProvider(t *testing.T) {
	full := provider("abcd00").String()
	for _, c := range []struct {
		name, id string
		code     int
		in       string // the error, or the id
	}{
		{"whole id", full, http.StatusOK, full},
		{"unique prefix", "abcd11", http.StatusOK, provider("abcd11").String()},
		{"four digits", "ffff", http.StatusOK, provider("ffff").String()},
		{"ambiguous", "abcd", http.StatusConflict, "2 ids begin so"},
		{"three digits", "fff", http.StatusNotFound, "not seen"},
		{"unknown", "1234", http.StatusNotFound, "not seen"},
		{"no hex", "zzzz", http.StatusNotFound, "not seen"},
		{"too long", full + "0", http.StatusNotFound, "not seen"},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t)
			if c.code != http.StatusOK {
				p := w.wantProblem(t, "/v1/providers/"+c.id, c.code)
				if !strings.Contains(p.Error, c.in) || !strings.Contains(p.Error, c.id) || p.Hint == "" {
					t.Errorf("problem %+v", p)
				}
				return
			}
			resp, body := w.get(t, "/v1/providers/"+c.id)
			if p := wantJSON[client.Provider](t, resp, body, c.code); p.ID.String() != c.in {
				t.Errorf("provider %v, want %s", p.ID, c.in)
			}
		})
	}
}

func TestObservations(t *testing.T) {
	w := newWorld(t)
	resp, body := w.get(t, "/v1/epochs/1/observations")
	doc := wantJSON[client.Observations](t, resp, body, http.StatusOK)
	if doc.Epoch != 1 || len(doc.Observations) != 1 || !bytes.Equal(doc.Observations[0], challenges.Marshal(&w.observed[1][0])) {
		t.Errorf("%+v", doc)
	}
	if _, body := w.get(t, "/v1/epochs/0/observations"); strings.TrimSpace(string(body)) != `{"epoch":0,"observations":[]}` {
		t.Errorf("an epoch without observations: %s", body)
	}
	for _, c := range []struct {
		name, epoch string
		code        int
		hint        bool
	}{
		{"not sealed", "2", http.StatusNotFound, true},
		{"far off", "4611686018427387903", http.StatusNotFound, true},
		{"word", "first", http.StatusBadRequest, false},
		{"negative", "-1", http.StatusBadRequest, false},
		{"sign", "+1", http.StatusBadRequest, false},
		{"fraction", "1.0", http.StatusBadRequest, false},
		{"hex", "0x1", http.StatusBadRequest, false},
		{"over 64 bits", "18446744073709551616", http.StatusBadRequest, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := w.wantProblem(t, "/v1/epochs/"+c.epoch+"/observations", c.code)
			if !strings.Contains(p.Error, c.epoch) || (p.Hint != "") != c.hint {
				t.Errorf("problem %+v", p)
			}
		})
	}
}
