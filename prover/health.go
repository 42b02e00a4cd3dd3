package prover

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/assaynet/assay/challenges"
)

// Check is what one named check says. It carries no error's text: the log has it,
// and a check may be shown to strangers.
type Check struct {
	Name   string    `json:"name"`
	OK     bool      `json:"ok"`
	Detail string    `json:"detail"`
	Since  time.Time `json:"since"` // since when it is so
}

// offerEpochs is how long a checker that is there can be without our offer: it
// asks at every epoch's start.
const offerEpochs = 3

// Health is what an agent remembers for its checks, evaluated when asked.
type Health struct {
	mu        sync.Mutex
	born      time.Time
	met       time.Time            // first sight of a checker; zero: none was seen
	offered   time.Time            // the last offer that a checker took
	regained  time.Time            // when offers were taken again after a silence
	failing   map[string]time.Time // by device: since when its runs fail by our fault
	ledger    map[string]time.Time // by operation: since when it fails
	recovered map[string]time.Time // by check: the last failure's end
}

// saw notes a sign of a checker; offered if it took the offer.
func (h *Health) saw(now time.Time, offered bool, within time.Duration) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.met.IsZero() {
		h.met = now
	}
	if offered {
		if now.Sub(h.lastOffer()) > within {
			h.regained = now
		}
		h.offered = now
	}
}

func (h *Health) lastOffer() time.Time {
	if h.offered.After(h.met) {
		return h.offered
	}
	return h.met
}

// note sets how something does. It reports that a row of failures begins.
func (h *Health) note(row map[string]time.Time, check, key string, ok bool, now time.Time) (first bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	_, bad := row[key]
	switch {
	case ok && bad:
		delete(row, key)
		h.recovered[check] = now
	case !ok && !bad:
		row[key] = now
		return true
	}
	return false
}

func (h *Health) checks(now time.Time, within time.Duration) []Check {
	h.mu.Lock()
	defer h.mu.Unlock()
	latest := func(t time.Time) time.Time {
		if t.Before(h.born) {
			return h.born
		}
		return t
	}
	out := []Check{{Name: "checkers", OK: true}}
	switch quiet := now.Sub(h.lastOffer()); {
	case h.met.IsZero():
		out[0].Detail, out[0].Since = "no checker was seen yet", h.born
	case quiet > within:
		out[0].OK, out[0].Since = false, h.lastOffer().Add(within)
		out[0].Detail = fmt.Sprintf("no checker took the offer for %v", quiet.Round(time.Second))
	default:
		out[0].Detail, out[0].Since = "checkers take the offer", latest(h.regained)
	}
	rows := func(name, well string, bad map[string]time.Time) {
		c := Check{Name: name, OK: len(bad) == 0, Detail: well, Since: latest(h.recovered[name])}
		var names []string
		for key, since := range bad {
			names = append(names, key)
			if len(names) == 1 || since.Before(c.Since) {
				c.Since = since
			}
		}
		if !c.OK {
			slices.Sort(names)
			c.Detail = "fails: " + strings.Join(names, ", ")
		}
		out = append(out, c)
	}
	rows("device", "the last runs did not fail", h.failing)
	rows("ledger", "the last writes succeeded", h.ledger)
	for i := range out {
		out[i].Since = out[i].Since.UTC()
	}
	return out
}

// Health asks every check: whether checkers take the offer, whether the last run
// on each device failed by our fault, and whether the ledger is written.
func (a *Agent) Health() []Check { return a.health.checks(time.Now(), a.offerWithin()) }

// Ready is Health in the shape that api.Ops takes.
func (a *Agent) Ready() (ok bool, checks any) {
	list := a.Health()
	ok = true
	for _, c := range list {
		ok = ok && c.OK
	}
	return ok, list
}

func (a *Agent) offerWithin() time.Duration { return offerEpochs * a.cfg.Registry.Params.Epoch }

// contact notes a sign of a peer, if it is a checker.
func (a *Agent) contact(peer challenges.NodeID, offered bool) {
	if a.cfg.Registry.Index(peer) >= 0 {
		a.health.saw(time.Now(), offered, a.offerWithin())
	}
}

// wrote notes a ledger write's result. Of the failures in a row the first is an
// error in the log, the others are counted only.
func (a *Agent) wrote(ctx context.Context, op string, r Request, err error) {
	first := a.health.note(a.health.ledger, "ledger", op, err == nil, time.Now())
	if err == nil {
		return
	}
	a.metrics.ledger.WithLabelValues(op).Inc()
	level := slog.LevelDebug
	if first {
		level = slog.LevelError
	}
	a.log.Log(ctx, level, "ledger", "op", op, "peer", r.Checker, "challenge", r.ID, "kind", r.Challenge.Kind, "err", err)
}

// ended counts how a challenge ended and writes its one line.
func (a *Agent) ended(ctx context.Context, r Request, result string, err error) {
	a.metrics.challenges.WithLabelValues(result).Inc()
	level := slog.LevelDebug
	switch result {
	case resultAnswered:
		a.health.note(a.health.failing, "device", r.Challenge.Device, true, time.Now())
	case resultFailed:
		level = slog.LevelError
		a.health.note(a.health.failing, "device", r.Challenge.Device, false, time.Now())
	}
	attrs := []any{"peer", r.Checker, "challenge", r.ID, "kind", r.Challenge.Kind, "result", result}
	if err != nil {
		attrs = append(attrs, "err", peerError{err})
	}
	a.log.Log(ctx, level, "challenge", attrs...)
}

// peerError is an error that may repeat what a peer said; the log takes so much
// of it.
type peerError struct{ error }

// LogValue is the error's text, cut.
func (e peerError) LogValue() slog.Value {
	const most = 200
	s := e.Error()
	if len(s) > most {
		s = s[:most] + "..."
	}
	return slog.StringValue(s)
}
