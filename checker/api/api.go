// Package api serves what a checker knows over HTTP: its signed observations,
// its own fold, and the transcripts behind them. It only reads.
package api

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/assaynet/assay/challenges"
	"github.com/assaynet/assay/checker/client"
	"github.com/assaynet/assay/checker/committee"
	"github.com/assaynet/assay/checker/report"
	"github.com/assaynet/assay/checker/reputation"
)

// Reports are the checker's signed words and its standings.
type Reports interface {
	// EpochObservations lists the signed observations of a sealed epoch.
	EpochObservations(epoch uint64) ([]challenges.Envelope, error)
	// SealedEpoch is the first epoch that is not sealed.
	SealedEpoch() (uint64, error)
	// Standings lists every provider's standing.
	Standings() ([]reputation.Standing, error)
}

// Evidence are the stored transcripts.
type Evidence interface {
	// Transcripts lists them, newest first.
	Transcripts(q report.Query) ([]report.TranscriptInfo, error)
	// Transcript reads one sealed transcript; report.ErrNotFound if there is none.
	Transcript(h challenges.Hash) ([]byte, error)
}

// Config holds what the API needs.
type Config struct {
	Registry *committee.Registry
	ID       challenges.NodeID
	Name     string
	Reports  Reports
	Evidence Evidence
	Log      *slog.Logger
	Health   func() (ok bool, checks any) // of the daemon, for /readyz; nil: no such page
	Gatherer prometheus.Gatherer          // for /metrics; nil: no such page
}

// maxList bounds the rows of one answer.
const maxList = 1000

// Handler serves the API.
func Handler(cfg Config) http.Handler {
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	s := &server{cfg: cfg, registry: challenges.Marshal(cfg.Registry)}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", s.index)
	mux.HandleFunc("GET /v1/status", s.status)
	mux.HandleFunc("GET /v1/registry", s.sendRegistry)
	mux.HandleFunc("GET /v1/providers", s.providers)
	mux.HandleFunc("GET /v1/providers/{id}", s.provider)
	mux.HandleFunc("GET /v1/epochs/{epoch}/observations", s.observations)
	mux.HandleFunc("GET /v1/transcripts", s.transcripts)
	mux.HandleFunc("GET /v1/transcripts/{hash}", s.transcript)
	ops(mux, cfg.Gatherer, cfg.Health)
	mux.HandleFunc("GET /", func(w http.ResponseWriter, r *http.Request) {
		s.problem(w, http.StatusNotFound, fmt.Sprintf("%s: no such page", r.URL.Path), "GET / lists the pages")
	})
	return mux
}

// Serve serves the API on a listener until ctx ends.
func Serve(ctx context.Context, l net.Listener, h http.Handler) error {
	srv := &http.Server{
		Handler: h, ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 10 * time.Second,
		WriteTimeout: time.Minute, IdleTimeout: 2 * time.Minute, MaxHeaderBytes: 16 << 10,
	}
	stop := context.AfterFunc(ctx, func() { _ = srv.Close() })
	defer stop()
	if err := srv.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serve API: %w", err)
	}
	return nil
}

type server struct {
	cfg      Config
	registry []byte
}

func (s *server) index(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	fmt.Fprintf(w, "Assay checker %s of network %q\n\n"+
		"GET /v1/status\nGET /v1/registry                     canonical CBOR; its BLAKE3 is the network id\n"+
		"GET /v1/providers                    this checker's own fold, best score first\nGET /v1/providers/ID\n"+
		"GET /v1/epochs/EPOCH/observations    signed envelopes\n"+
		"GET /v1/transcripts?kind=&outcome=&provider=&limit=\nGET /v1/transcripts/HASH             one sealed transcript, for assay verify\n"+
		"GET /healthz                         the process serves\nGET /readyz                          its checks, 503 if one fails\n",
		s.cfg.Name, s.cfg.Registry.Name)
}

func (s *server) status(w http.ResponseWriter, _ *http.Request) {
	sealed, err := s.cfg.Reports.SealedEpoch()
	if err != nil {
		s.fail(w, err)
		return
	}
	standings, err := s.cfg.Reports.Standings()
	if err != nil {
		s.fail(w, err)
		return
	}
	var verdicts uint64
	for i := range standings {
		for _, o := range challenges.Outcomes() {
			verdicts += standings[i].Count("", o)
		}
	}
	s.send(w, client.Status{
		Network: s.cfg.Registry.Name, NetworkID: s.cfg.Registry.Hash(), Simulated: s.cfg.Registry.Simulated,
		ID: s.cfg.ID, Name: s.cfg.Name, Epoch: s.cfg.Registry.Clock().Epoch(time.Now()), Sealed: sealed, Verdicts: verdicts,
	})
}

func (s *server) sendRegistry(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "application/cbor")
	_, _ = w.Write(s.registry)
}

func (s *server) providers(w http.ResponseWriter, _ *http.Request) {
	standings, err := s.cfg.Reports.Standings()
	if err != nil {
		s.fail(w, err)
		return
	}
	doc := client.Providers{Providers: make([]client.Provider, 0, len(standings))}
	for i := range standings {
		doc.Providers = append(doc.Providers, client.Describe(&standings[i], &s.cfg.Registry.Params))
	}
	client.Rank(doc.Providers)
	s.send(w, doc)
}

func (s *server) provider(w http.ResponseWriter, r *http.Request) {
	prefix := r.PathValue("id")
	standings, err := s.cfg.Reports.Standings()
	if err != nil {
		s.fail(w, err)
		return
	}
	var found []*reputation.Standing
	for i := range standings {
		if id := standings[i].Provider.String(); len(prefix) >= 4 && len(prefix) <= len(id) && id[:len(prefix)] == prefix {
			found = append(found, &standings[i])
		}
	}
	switch len(found) {
	case 1:
		s.send(w, client.Describe(found[0], &s.cfg.Registry.Params))
	case 0:
		s.problem(w, http.StatusNotFound, fmt.Sprintf("provider %q: not seen by this checker", prefix), "GET /v1/providers lists the ids; a unique prefix of at least 4 digits will do")
	default:
		s.problem(w, http.StatusConflict, fmt.Sprintf("provider %q: %d ids begin so", prefix, len(found)), "give more digits")
	}
}

func (s *server) observations(w http.ResponseWriter, r *http.Request) {
	epoch, err := strconv.ParseUint(r.PathValue("epoch"), 10, 62)
	if err != nil {
		s.problem(w, http.StatusBadRequest, fmt.Sprintf("epoch %q: want a number", r.PathValue("epoch")), "")
		return
	}
	sealed, err := s.cfg.Reports.SealedEpoch()
	if err != nil {
		s.fail(w, err)
		return
	}
	if epoch >= sealed {
		s.problem(w, http.StatusNotFound, fmt.Sprintf("epoch %d: not sealed yet", epoch), "GET /v1/status says up to where epochs are sealed")
		return
	}
	envelopes, err := s.cfg.Reports.EpochObservations(epoch)
	if err != nil {
		s.fail(w, err)
		return
	}
	doc := client.Observations{Epoch: epoch, Observations: make([][]byte, len(envelopes))}
	for i := range envelopes {
		doc.Observations[i] = challenges.Marshal(&envelopes[i])
	}
	s.send(w, doc)
}

func (s *server) transcripts(w http.ResponseWriter, r *http.Request) {
	q, err := query(r)
	if err != nil {
		s.problem(w, http.StatusBadRequest, err.Error(), "")
		return
	}
	infos, err := s.cfg.Evidence.Transcripts(q)
	if err != nil {
		s.fail(w, err)
		return
	}
	doc := client.Transcripts{Transcripts: make([]client.Transcript, len(infos))}
	for i, info := range infos {
		doc.Transcripts[i] = client.DescribeTranscript(info)
	}
	s.send(w, doc)
}

func query(r *http.Request) (q report.Query, err error) {
	v := r.URL.Query()
	q.Kind = challenges.Kind(v.Get("kind"))
	if q.Kind != "" && !slices.Contains(challenges.Kinds(), q.Kind) {
		return q, fmt.Errorf("kind %q: want one of %v", q.Kind, challenges.Kinds())
	}
	if o := v.Get("outcome"); o != "" {
		if q.Outcome, err = challenges.ParseOutcome(o); err != nil {
			return q, err
		}
	}
	if p := v.Get("provider"); p != "" {
		if err := q.Provider.UnmarshalText([]byte(p)); err != nil {
			return q, fmt.Errorf("provider: %w", err)
		}
		if err := q.Provider.Check(); err != nil {
			return q, fmt.Errorf("provider: %w", err)
		}
	}
	q.Limit = 100
	if l := v.Get("limit"); l != "" {
		n, err := strconv.Atoi(l)
		if err != nil || n < 1 {
			return q, fmt.Errorf("limit %q: want a positive number", l)
		}
		q.Limit = min(n, maxList)
	}
	return q, nil
}

func (s *server) transcript(w http.ResponseWriter, r *http.Request) {
	var h challenges.Hash
	if err := h.UnmarshalText([]byte(r.PathValue("hash"))); err != nil {
		s.problem(w, http.StatusBadRequest, "transcript hash: "+err.Error(), "")
		return
	}
	b, err := s.cfg.Evidence.Transcript(h)
	switch {
	case errors.Is(err, report.ErrNotFound):
		s.problem(w, http.StatusNotFound, "no such transcript", "")
	case err != nil:
		s.fail(w, err)
	default:
		w.Header().Set("Content-Type", "application/cbor")
		_, _ = w.Write(b)
	}
}

func (s *server) send(w http.ResponseWriter, doc any) {
	w.Header().Set("Content-Type", "application/json")
	if err := json.NewEncoder(w).Encode(doc); err != nil {
		s.cfg.Log.Debug("send answer", "err", err)
	}
}

func (s *server) problem(w http.ResponseWriter, code int, what, hint string) {
	problem(w, code, what, hint)
}

func problem(w http.ResponseWriter, code int, what, hint string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	_ = json.NewEncoder(w).Encode(client.Problem{Error: what, Hint: hint})
}

// fail hides what failed on our side from a stranger, and logs it.
func (s *server) fail(w http.ResponseWriter, err error) {
	s.cfg.Log.Error("api", "err", err)
	s.problem(w, http.StatusInternalServerError, "internal error", "")
}
