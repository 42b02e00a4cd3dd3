package api_test

import (
	"bytes"
	"crypto/ed25519"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/assaynet/assay/challenges"
	"github.com/assaynet/assay/checker/api"
	"github.com/assaynet/assay/checker/client"
	"github.com/assaynet/assay/checker/committee"
	"github.com/assaynet/assay/checker/report"
	"github.com/assaynet/assay/checker/reputation"
)

var checkerKey = ed25519.NewKeyFromSeed(bytes.Repeat([]byte{1}, ed25519.SeedSize))

// world is a checker's memory with a fault hook, and the API over it.
type world struct {
	registry    *committee.Registry
	sealed      uint64
	observed    map[uint64][]challenges.Envelope
	standings   []reputation.Standing
	infos       []report.TranscriptInfo
	transcripts map[challenges.Hash][]byte

	fail  func(method string) error // nil: nothing fails
	query report.Query              // the last one
	log   bytes.Buffer
	url   string
}

func (w *world) fault(method string) error {
	if w.fail == nil {
		return nil
	}
	return w.fail(method)
}

func (w *world) EpochObservations(epoch uint64) ([]challenges.Envelope, error) {
	return w.observed[epoch], w.fault("EpochObservations")
}

func (w *world) SealedEpoch() (uint64, error) { return w.sealed, w.fault("SealedEpoch") }

func (w *world) Standings() ([]reputation.Standing, error) {
	return slices.Clone(w.standings), w.fault("Standings")
}

func (w *world) Transcripts(q report.Query) ([]report.TranscriptInfo, error) {
	w.query = q
	return w.infos, w.fault("Transcripts")
}

func (w *world) Transcript(h challenges.Hash) ([]byte, error) {
	if err := w.fault("Transcript"); err != nil {
		return nil, err
	}
	b, ok := w.transcripts[h]
	if !ok {
		return nil, report.ErrNotFound
	}
	return b, nil
}

// provider makes an id that begins with the given digits.
func provider(prefix string) (id challenges.NodeID) {
	text := prefix + strings.Repeat("0", 64-len(prefix))
	if err := id.UnmarshalText([]byte(text)); err != nil {
		panic(err)
	}
	return id
}

// standing has passed so many of ten GPU challenges and one probe.
func standing(id challenges.NodeID, passes uint64) reputation.Standing {
	return reputation.Standing{
		Provider: id, Next: 3,
		Rates: []reputation.Rate{{Flavour: challenges.Int8, Best: 90, Claim: 100}, {Flavour: challenges.FP64, Claim: 40}},
		Kinds: []reputation.KindCount{
			{Kind: challenges.Matmul, Outcomes: [8]uint64{challenges.Pass: passes, challenges.Late: 10 - passes}},
			{Kind: challenges.Probe, Outcomes: [8]uint64{challenges.Pass: 1}},
		},
		Checkers: []reputation.CheckerRate{{Up: 1, Total: 1}},
	}
}

var (
	hashA = challenges.Hash{0xa1}
	hashB = challenges.Hash{0xb2}
)

// newWorld has two sealed epochs, three providers and one transcript.
func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{
		registry: &committee.Registry{
			Name: "test", Genesis: uint64(time.Now().Add(-12 * time.Second).UnixNano()), Simulated: true, Params: committee.Devnet(),
			Checkers: []committee.Member{{ID: challenges.IDOf(checkerKey), Name: "checker-1"}},
		},
		sealed:    2,
		standings: []reputation.Standing{standing(provider("abcd00"), 4), standing(provider("abcd11"), 9), standing(provider("ffff"), 4)},
		infos: []report.TranscriptInfo{{
			Hash: hashA, Challenge: hashB, Kind: challenges.Matmul, Outcome: challenges.Wrong, Provider: provider("ffff"),
			Device: "gpu0", Epoch: 1, At: 1_700_000_000_123_456_789, Bytes: 3,
		}},
		transcripts: map[challenges.Hash][]byte{hashA: {1, 2, 3}},
	}
	o := report.Observation{Epoch: 1, Provider: challenges.IDOf(checkerKey), Slices: []byte{1}}
	w.observed = map[uint64][]challenges.Envelope{1: {o.Seal(w.registry.Hash(), checkerKey)}}
	srv := httptest.NewServer(api.Handler(api.Config{
		Registry: w.registry, ID: challenges.IDOf(checkerKey), Name: "checker-1", Reports: w, Evidence: w,
		Log: slog.New(slog.NewTextHandler(&w.log, nil)),
	}))
	t.Cleanup(srv.Close)
	w.url = srv.URL
	return w
}

// get asks for a path and returns the answer and its body.
func (w *world) get(t *testing.T, path string) (*http.Response, []byte) {
	t.Helper()
	return w.do(t, http.MethodGet, path)
}

func (w *world) do(t *testing.T, method, path string) (*http.Response, []byte) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, w.url+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp, b
}

// wantJSON checks status and type and decodes the body strictly: a field that
// the document does not have is a failure.
func wantJSON[T any](t *testing.T, resp *http.Response, body []byte, code int) (doc T) {
	t.Helper()
	if resp.StatusCode != code {
		t.Fatalf("status %d, want %d: %s", resp.StatusCode, code, body)
	}
	if ct := resp.Header.Get("Content-Type"); ct != "application/json" {
		t.Errorf("content type %q", ct)
	}
	d := json.NewDecoder(bytes.NewReader(body))
	d.DisallowUnknownFields()
	if err := d.Decode(&doc); err != nil {
		t.Fatalf("%v: %s", err, body)
	}
	return doc
}

func (w *world) wantProblem(t *testing.T, path string, code int) client.Problem {
	t.Helper()
	resp, body := w.get(t, path)
	p := wantJSON[client.Problem](t, resp, body, code)
	if p.Error == "" {
		t.Errorf("GET %s: a problem without words: %s", path, body)
	}
	return p
}
