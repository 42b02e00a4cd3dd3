package control

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/assaynet/assay/challenges"
	"github.com/assaynet/assay/prover"
)

const (
	maxBody   = 4 << 10         // bytes of a request
	maxHeader = 8 << 10         // bytes
	readTime  = 5 * time.Second // for a whole request
	// A device is freed in much less: a worker that does not answer is killed.
	writeTime = 60 * time.Second
	endTime   = 300 * time.Millisecond // for requests that are under way at the end
	maxConns  = 16                     // the others wait
)

// Config is what a server needs.
type Config struct {
	Agent   Agent
	Records Records
	Log     *slog.Logger
}

// Server serves the socket.
type Server struct {
	cfg  Config
	self int                                             // user
	peer func(net.Conn) (uid int, known bool, err error) // who is at the other end
}

// New makes a server.
func New(cfg Config) *Server {
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	return &Server{cfg: cfg, self: os.Geteuid(), peer: peerUID}
}

// Serve serves a socket of [Listen] until ctx ends, and closes it.
func (s *Server) Serve(ctx context.Context, l net.Listener) error {
	server := &http.Server{
		Handler: s.handler(), ReadTimeout: readTime, WriteTimeout: writeTime, IdleTimeout: readTime, MaxHeaderBytes: maxHeader,
		ConnContext: func(ctx context.Context, c net.Conn) context.Context {
			if b, ok := c.(*bounded); ok {
				c = b.Conn
			}
			return context.WithValue(ctx, connKey{}, c)
		},
		BaseContext: func(net.Listener) context.Context { return ctx },
		ErrorLog:    slog.NewLogLogger(s.cfg.Log.Handler(), slog.LevelDebug),
	}
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error {
		err := server.Serve(&bound{l, make(chan struct{}, maxConns)})
		if errors.Is(err, http.ErrServerClosed) {
			err = nil
		}
		return err
	})
	g.Go(func() error {
		<-ctx.Done()
		end, cancel := context.WithTimeout(context.WithoutCancel(ctx), endTime)
		defer cancel()
		if server.Shutdown(end) != nil {
			_ = server.Close()
		}
		return nil
	})
	if err := g.Wait(); err != nil {
		return fmt.Errorf("control socket: %w", err)
	}
	return nil
}

// connKey finds a request's connection in its context.
type connKey struct{}

func (s *Server) handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /v1/status", func(w http.ResponseWriter, _ *http.Request) { answer(w, s.cfg.Agent.Status()) })
	mux.HandleFunc("POST /v1/drain", s.drain)
	mux.HandleFunc("POST /v1/resume", func(w http.ResponseWriter, r *http.Request) {
		if !decode(w, r, &struct{}{}) {
			return
		}
		s.done(w, r, s.cfg.Agent.Resume(), struct{}{})
	})
	mux.HandleFunc("POST /v1/tenant", s.tenant)
	mux.HandleFunc("GET /v1/why", s.why)
	mux.HandleFunc("GET /v1/transcript", s.transcript)
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		problem(w, http.StatusNotFound, r.Method+" "+r.URL.Path+": this agent has no such request")
	})
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := s.allows(r); err != nil {
			s.cfg.Log.WarnContext(r.Context(), "control refused", "err", err)
			problem(w, http.StatusForbidden, err.Error())
			return
		}
		mux.ServeHTTP(w, r)
	})
}

// allows holds that the user at the other end is the agent's own, or root.
func (s *Server) allows(r *http.Request) error {
	conn, ok := r.Context().Value(connKey{}).(net.Conn)
	if !ok {
		return errors.New("no connection")
	}
	uid, known, err := s.peer(conn)
	switch {
	case err != nil:
		return err
	case known && uid != 0 && uid != s.self:
		return fmt.Errorf("user %d may not control an agent of user %d", uid, s.self)
	}
	return nil
}

type drainRequest struct {
	Until *time.Time `json:"until"`
}

func (s *Server) drain(w http.ResponseWriter, r *http.Request) {
	var q drainRequest
	if !decode(w, r, &q) {
		return
	}
	until, err := future(q.Until)
	if err != nil {
		problem(w, http.StatusBadRequest, err.Error())
		return
	}
	s.done(w, r, s.cfg.Agent.Drain(until), struct{}{})
}

type tenantRequest struct {
	Device  string     `json:"device"`
	Present bool       `json:"present"`
	Until   *time.Time `json:"until"`
}

type tenantAnswer struct {
	Freed float64 `json:"freed_ms"`
}

func (s *Server) tenant(w http.ResponseWriter, r *http.Request) {
	var q tenantRequest
	if !decode(w, r, &q) {
		return
	}
	until, err := future(q.Until)
	switch {
	case err != nil:
	case q.Device == "":
		err = errors.New("device: empty")
	case !q.Present && q.Until != nil:
		err = errors.New("until: only while the tenant is there")
	}
	if err != nil {
		problem(w, http.StatusBadRequest, err.Error())
		return
	}
	freed, err := s.cfg.Agent.Tenant(r.Context(), q.Device, q.Present, until)
	s.done(w, r, err, tenantAnswer{milliseconds(freed)})
}

type whyAnswer struct {
	Explanations []prover.Explanation `json:"explanations"`
}

func (s *Server) why(w http.ResponseWriter, r *http.Request) {
	form, q := r.URL.Query(), WhyQuery{Limit: DefaultLimit}
	var err error
	q.Challenge = strings.ToLower(form.Get("challenge"))
	most := hex.EncodedLen(len(challenges.Hash{}))
	if n := len(q.Challenge); n > 0 && (n < MinDigits || n > most || strings.Trim(q.Challenge, "0123456789abcdef") != "") {
		err = fmt.Errorf("challenge %.80q: want %d to %d digits of an id, in hex", q.Challenge, MinDigits, most)
	}
	if v := form.Get("limit"); err == nil && v != "" {
		if q.Limit, err = strconv.Atoi(v); err != nil || q.Limit < 1 || q.Limit > MaxLimit {
			err = fmt.Errorf("limit %.20q: want 1 to %d", v, MaxLimit)
		}
	}
	if v := form.Get("all"); err == nil && v != "" {
		if q.All, err = strconv.ParseBool(v); err != nil {
			err = fmt.Errorf("all %.20q: want true or false", v)
		}
	}
	if err != nil {
		problem(w, http.StatusBadRequest, err.Error())
		return
	}
	list, err := s.cfg.Records.Why(q)
	if list == nil {
		list = []prover.Explanation{}
	}
	s.done(w, r, err, whyAnswer{list})
}

func (s *Server) transcript(w http.ResponseWriter, r *http.Request) {
	var id challenges.Hash
	if err := id.UnmarshalText([]byte(r.URL.Query().Get("challenge"))); err != nil {
		problem(w, http.StatusBadRequest, fmt.Sprintf("challenge: %v", err))
		return
	}
	b, err := s.cfg.Records.Transcript(id)
	if err != nil {
		s.done(w, r, err, nil)
		return
	}
	w.Header().Set("Content-Type", "application/cbor")
	_, _ = w.Write(b) // a client that has gone needs none
}

// done answers with v, or with what went wrong: here errors become status codes.
func (s *Server) done(w http.ResponseWriter, r *http.Request, err error, v any) {
	switch {
	case err == nil:
		answer(w, v)
	case errors.Is(err, ErrUnknown):
		problem(w, http.StatusNotFound, err.Error())
	default:
		s.cfg.Log.ErrorContext(r.Context(), "control", "request", r.URL.Path, "err", err)
		problem(w, http.StatusInternalServerError, err.Error())
	}
}

// decode reads a request's one JSON value into v, strictly; nothing is an empty one.
func decode(w http.ResponseWriter, r *http.Request, v any) bool {
	d := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxBody))
	d.DisallowUnknownFields()
	err := d.Decode(v)
	switch {
	case errors.Is(err, io.EOF):
		return true
	case err == nil:
		if _, more := d.Token(); !errors.Is(more, io.EOF) {
			err = errors.New("more than one value")
		}
	}
	if err != nil {
		problem(w, http.StatusBadRequest, "request: "+err.Error())
		return false
	}
	return true
}

// future is a time that has not passed; nil: zero.
func future(t *time.Time) (time.Time, error) {
	if t == nil {
		return time.Time{}, nil
	}
	if !t.After(time.Now()) {
		return time.Time{}, fmt.Errorf("until %s: has passed", t.Format(time.RFC3339))
	}
	return *t, nil
}

func milliseconds(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

func answer(w http.ResponseWriter, v any) { write(w, http.StatusOK, v) }

// trouble is an error as JSON.
type trouble struct {
	Error string `json:"error"`
}

func problem(w http.ResponseWriter, code int, text string) { write(w, code, trouble{text}) }

func write(w http.ResponseWriter, code int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	_ = json.NewEncoder(w).Encode(v) // a client that has gone needs none
}

// bound takes so many connections at a time.
type bound struct {
	net.Listener
	slots chan struct{}
}

func (b *bound) Accept() (net.Conn, error) {
	b.slots <- struct{}{}
	conn, err := b.Listener.Accept()
	if err != nil {
		<-b.slots
		return nil, err
	}
	return &bounded{conn, b.slots, make(chan struct{}, 1)}, nil
}

// bounded gives its place back when it is closed, once.
type bounded struct {
	net.Conn
	slots  chan struct{}
	closed chan struct{}
}

func (b *bounded) Close() error {
	select {
	case b.closed <- struct{}{}:
		<-b.slots
	default:
	}
	return b.Conn.Close()
}
