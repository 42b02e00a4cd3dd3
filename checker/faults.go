package checker

import (
	"context"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/assaynet/assay/challenges"
	"github.com/assaynet/assay/checker/report"
)

// Operations of the store, as metrics and logs name them.
const (
	opBegin  = "begin"
	opFinish = "finish"
	opSlices = "put_slices"
	opSeal   = "seal"
	opOffer  = "put_offer"
)

var storeOps = []string{opBegin, opFinish, opSlices, opSeal, opOffer}

// Limits of what is kept in memory while the store cannot be written. GPU
// challenges pause then, so that only those under way add to it; probes go on.
const (
	maxEnds     = 4096
	maxEndBytes = 256 << 20
	maxUnsealed = 16 // epochs; then probes stop, too
)

// faults is how the store's writes go.
type faults struct {
	mu       sync.Mutex
	failing  map[string]time.Time // by operation: first of the failures in a row
	pausedAt time.Time            // zero: not paused
	resumed  time.Time            // the last time
	hold     time.Duration        // least length of the pause
}

// wrote takes note of a write's result. Of the failures in a row the first is
// logged as an error and the others are counted only. After one of begin, finish
// and put_slices GPU challenges pause: they cost a provider's time and could not
// be written down.
func (c *Checker) wrote(ctx context.Context, op string, err error, attrs ...any) {
	s := &c.store
	s.mu.Lock()
	defer s.mu.Unlock()
	if err == nil {
		// Ends and slices are well when a whole flush succeeded; see resume.
		if s.pausedAt.IsZero() || op != opFinish && op != opSlices {
			delete(s.failing, op)
		}
		return
	}
	c.metrics.storeErrors.WithLabelValues(op).Inc()
	level := slog.LevelDebug
	now := time.Now()
	if _, ok := s.failing[op]; !ok {
		s.failing[op] = now
		level = slog.LevelError
	}
	pauses := s.pausedAt.IsZero() && op != opSeal && op != opOffer
	c.log.Log(ctx, level, "store", append([]any{"op", op, "err", err, "pauses", pauses}, attrs...)...)
	if !pauses {
		return
	}
	// A store that takes probes and no challenges would pause and resume each
	// second: a pause soon after another lasts twice as long.
	if now.Sub(s.resumed) < c.params.Epoch && s.hold > 0 {
		s.hold = min(2*s.hold, c.params.Epoch)
	} else {
		s.hold = time.Second
	}
	s.pausedAt = now
}

// resume ends a pause: everything that waited was written.
func (c *Checker) resume(ctx context.Context) {
	s := &c.store
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	if s.pausedAt.IsZero() || now.Sub(s.pausedAt) < s.hold {
		return
	}
	c.log.InfoContext(ctx, "store is written again, GPU challenges go on", "paused", now.Sub(s.pausedAt))
	s.pausedAt, s.resumed = time.Time{}, now
	// Whether Begin works is not known before the next one.
	delete(s.failing, opFinish)
	delete(s.failing, opSlices)
}

// paused reports that no GPU challenge may begin.
func (c *Checker) paused() bool {
	c.store.mu.Lock()
	defer c.store.mu.Unlock()
	return !c.store.pausedAt.IsZero()
}

// ends is a queue of what Finish must write down: failed probes, which wait for
// the next batch, and challenges whose Finish failed.
type ends struct {
	list  []*report.Finished
	items int // of GPU challenges
	bytes int
}

// add reports that there was room.
func (q *ends) add(f *report.Finished) bool {
	if len(q.list) >= maxEnds || q.bytes+len(f.Transcript) > maxEndBytes {
		return false
	}
	q.list = append(q.list, f)
	q.bytes += len(f.Transcript)
	if f.Item != nil {
		q.items++
	}
	return true
}

// remove takes one out, if it is there.
func (q *ends) remove(f *report.Finished) {
	i := slices.Index(q.list, f)
	if i < 0 {
		return
	}
	q.list = slices.Delete(q.list, i, i+1)
	q.bytes -= len(f.Transcript)
	if f.Item != nil {
		q.items--
	}
}

// keep holds an end in memory until a flush has written it; false if there is no
// room.
func (c *Checker) keep(ctx context.Context, f report.Finished) bool {
	c.mu.Lock()
	ok := c.ends.add(&f)
	c.mu.Unlock()
	if ok {
		return true
	}
	c.metrics.lost.WithLabelValues(string(f.Info.Kind)).Inc()
	if f.Info.Kind != challenges.Probe {
		// A challenge that was begun is given up at the next start. Of a probe only
		// the transcript is lost: its outcome stands in the slices.
		c.log.ErrorContext(ctx, "no room for a challenge's end", "peer", f.Info.Provider, "challenge", f.Info.Challenge, "kind", f.Info.Kind)
	}
	return false
}

// flush writes down what waits: the ends, each on its own, then the probes. What
// fails stays in memory for the next flush.
func (c *Checker) flush(ctx context.Context) error {
	c.flushing.Lock()
	defer c.flushing.Unlock()
	c.mu.Lock()
	waiting := slices.Clone(c.ends.list)
	batches := make(map[uint64][]report.Slices, len(c.probes))
	for epoch, byProvider := range c.probes {
		for _, s := range byProvider {
			row := *s
			row.Slices = slices.Clone(s.Slices)
			batches[epoch] = append(batches[epoch], row)
		}
	}
	c.mu.Unlock()
	var first error
	for _, f := range waiting {
		first = c.cfg.Challenges.Finish(*f)
		c.wrote(ctx, opFinish, first, "peer", f.Info.Provider, "challenge", f.Info.Challenge, "kind", f.Info.Kind)
		c.mu.Lock()
		c.ends.remove(f)
		if first != nil {
			// To the back: one that never succeeds must not bar the others.
			c.ends.add(f)
		}
		c.mu.Unlock()
		if first != nil {
			break // the disk is full, most likely: no use in trying each
		}
	}
	for epoch, b := range batches {
		err := c.cfg.Epochs.PutSlices(epoch, b)
		c.wrote(ctx, opSlices, err, "epoch", epoch)
		if first == nil {
			first = err
		}
	}
	if first != nil {
		return first
	}
	// Nothing to write proves nothing.
	if len(batches) > 0 || len(waiting) > 0 {
		c.resume(ctx)
	}
	c.mu.Lock()
	c.flushed = time.Now()
	c.mu.Unlock()
	return nil
}

// peerError is an error that repeats what a peer said; the log takes so much of
// it.
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

// tally counts outcomes, for the line of a sealed epoch.
type tally [8]uint64

// add counts an outcome; what is none, such as a slice without a probe, is not
// counted.
func (t *tally) add(o challenges.Outcome) {
	if o.Valid() {
		t[o]++
	}
}

// LogValue lists the outcomes that were seen.
func (t *tally) LogValue() slog.Value {
	var attrs []slog.Attr
	for _, o := range challenges.Outcomes() {
		if n := t[o]; n > 0 {
			attrs = append(attrs, slog.Uint64(o.String(), n))
		}
	}
	return slog.GroupValue(attrs...)
}
