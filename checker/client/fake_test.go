package client

import (
	"crypto/ed25519"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strconv"
	"sync"
	"testing"

	"github.com/assaynet/assay/challenges"
	"github.com/assaynet/assay/checker/committee"
	"github.com/assaynet/assay/checker/report"
)

// fakeChecker serves what a test puts into it, true or not, and notes what it was
// asked for.
type fakeChecker struct {
	key    ed25519.PrivateKey
	client *Client
	server *httptest.Server

	mu           sync.Mutex
	sealed       uint64
	observations map[uint64][][]byte
	transcripts  map[challenges.Hash][]byte
	asked        []string
}

func newFakeChecker(t *testing.T, key ed25519.PrivateKey) *fakeChecker {
	t.Helper()
	f := &fakeChecker{key: key, observations: make(map[uint64][][]byte), transcripts: make(map[challenges.Hash][]byte)}
	mux := http.NewServeMux()
	send := func(w http.ResponseWriter, doc any) {
		if err := json.NewEncoder(w).Encode(doc); err != nil {
			t.Error(err)
		}
	}
	mux.HandleFunc("GET /v1/status", func(w http.ResponseWriter, _ *http.Request) {
		f.mu.Lock()
		defer f.mu.Unlock()
		send(w, Status{ID: challenges.IDOf(key), Sealed: f.sealed})
	})
	mux.HandleFunc("GET /v1/epochs/{epoch}/observations", func(w http.ResponseWriter, r *http.Request) {
		f.mu.Lock()
		defer f.mu.Unlock()
		f.asked = append(f.asked, r.PathValue("epoch"))
		epoch, _ := strconv.ParseUint(r.PathValue("epoch"), 10, 64)
		send(w, Observations{epoch, f.observations[epoch]})
	})
	mux.HandleFunc("GET /v1/transcripts/{hash}", func(w http.ResponseWriter, r *http.Request) {
		f.mu.Lock()
		defer f.mu.Unlock()
		var h challenges.Hash
		if err := h.UnmarshalText([]byte(r.PathValue("hash"))); err != nil || f.transcripts[h] == nil {
			w.WriteHeader(http.StatusNotFound)
			send(w, Problem{Error: "no such transcript"})
			return
		}
		_, _ = w.Write(f.transcripts[h])
	})
	f.server = httptest.NewServer(mux)
	t.Cleanup(f.server.Close)
	var err error
	if f.client, err = New(f.server.URL); err != nil {
		t.Fatal(err)
	}
	return f
}

// seal signs observations into an epoch and makes it the last sealed one.
func (f *fakeChecker) seal(r *committee.Registry, epoch uint64, obs ...report.Observation) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, o := range obs {
		o.Epoch = epoch
		e := o.Seal(r.Hash(), f.key)
		f.observations[epoch] = append(f.observations[epoch], challenges.Marshal(&e))
	}
	f.sealed = epoch + 1
}

// replace serves other rows for an epoch, and returns those before.
func (f *fakeChecker) replace(epoch uint64, rows [][]byte) [][]byte {
	f.mu.Lock()
	defer f.mu.Unlock()
	old := f.observations[epoch]
	f.observations[epoch] = rows
	return old
}

// keep serves a transcript under its hash.
func (f *fakeChecker) keep(t *testing.T, file []byte) challenges.Hash {
	t.Helper()
	e, err := challenges.DecodeEnvelope(file)
	if err != nil {
		t.Fatal(err)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.transcripts[e.ID()] = file
	return e.ID()
}

// takeAsked returns the epochs asked for since the last call.
func (f *fakeChecker) takeAsked() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	out := f.asked
	f.asked = nil
	return out
}

func clientsOf(fakes ...*fakeChecker) []*Client {
	var out []*Client
	for _, f := range fakes {
		out = append(out, f.client)
	}
	return out
}

// saw is an observation of a provider: a letter a slice, u up or d down, and one
// item for each outcome.
func saw(provider ed25519.PrivateKey, slices string, items ...report.Item) report.Observation {
	o := report.Observation{Provider: challenges.IDOf(provider), Simulated: true, Items: items}
	for _, c := range slices {
		out := challenges.Pass
		if c == 'd' {
			out = challenges.Unreachable
		}
		o.Slices = append(o.Slices, byte(out))
	}
	return o
}

func item(n byte, o challenges.Outcome) report.Item {
	it := report.Item{Challenge: challenges.Hash{n}, Kind: challenges.Matmul, Device: device, Profile: small, Outcome: o, Claim: claim}
	if o == challenges.Pass {
		it.OpsLower = claim
	}
	return it
}
