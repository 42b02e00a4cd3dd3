package checker

import (
	"fmt"
	"strings"
	"sync"
	"time"
)

// Check is what one named check says. It carries no error's text, which may name
// paths or peers: the log has it, and a check may be shown to strangers.
type Check struct {
	Name   string    `json:"name"`
	OK     bool      `json:"ok"`
	Detail string    `json:"detail"`
	Since  time.Time `json:"since"` // when it was first seen to say so
}

// Health evaluates named checks when it is asked, and remembers since when each
// says what it says.
type Health struct {
	mu     sync.Mutex
	checks []check
}

type check struct {
	name string
	ask  func(now time.Time) (ok bool, detail string)
	last Check
}

// Add adds a check. ask may be called by several goroutines.
func (h *Health) Add(name string, ask func(now time.Time) (ok bool, detail string)) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.checks = append(h.checks, check{name: name, ask: ask})
}

// Checks asks all of them, in the order in which they were added.
func (h *Health) Checks(now time.Time) []Check {
	h.mu.Lock()
	defer h.mu.Unlock()
	out := make([]Check, len(h.checks))
	for i := range h.checks {
		c := &h.checks[i]
		ok, detail := c.ask(now)
		if c.last.Since.IsZero() || c.last.OK != ok {
			c.last.Since = now.UTC()
		}
		c.last.Name, c.last.OK, c.last.Detail = c.name, ok, detail
		out[i] = c.last
	}
	return out
}

const (
	flushWithin = 15 * time.Second       // a flush is due every second
	endWithin   = 10 * time.Second       // a challenge ends so long after its deadlines
	clockSlack  = 500 * time.Millisecond // a wall clock that moves more than this was set
)

// phases of a Checker.
const (
	phaseNew = iota
	phaseRuns
	phaseStopped
)

// stepper notices when the wall clock is set: from one look to the next it must
// move as the monotonic clock does.
type stepper struct {
	seen bool
	wall time.Duration
	mono time.Duration
	at   time.Duration // monotonic, of the last step; 0: none
	by   time.Duration
}

func (s *stepper) see(wall, mono time.Duration) {
	if by := (wall - s.wall) - (mono - s.mono); s.seen && by.Abs() > clockSlack {
		s.at, s.by = mono, by
	}
	s.seen, s.wall, s.mono = true, wall, mono
}

// Health asks every check. It is safe at any time, also before and after Run.
func (c *Checker) Health() []Check { return c.health.Checks(time.Now()) }

// Ready is Health in the shape that api.Config.Health and api.Ops take.
func (c *Checker) Ready() (ok bool, checks any) {
	list := c.Health()
	ok = true
	for _, check := range list {
		ok = ok && check.OK
	}
	return ok, list
}

func (c *Checker) addChecks() {
	locked := func(ask func(time.Time) (bool, string)) func(time.Time) (bool, string) {
		return func(now time.Time) (bool, string) {
			c.mu.Lock()
			defer c.mu.Unlock()
			return ask(now)
		}
	}
	c.health.Add("sealing", locked(func(now time.Time) (bool, string) {
		switch c.phase {
		case phaseNew:
			return false, "not started"
		case phaseStopped:
			return false, "stopped"
		}
		epoch := c.clock.Epoch(now)
		if c.unsealed+1 < epoch {
			return false, fmt.Sprintf("epoch %d is not sealed in epoch %d", c.unsealed, epoch)
		}
		return true, fmt.Sprintf("epoch %d is next, in epoch %d", c.unsealed, epoch)
	}))
	c.health.Add("flush", locked(func(now time.Time) (bool, string) {
		if c.phase != phaseRuns {
			return true, "not running"
		}
		if age := now.Sub(c.flushed); age > flushWithin {
			return false, fmt.Sprintf("probes were last written %v ago", age.Round(time.Second))
		}
		return true, "probes are written every second"
	}))
	c.health.Add("challenges", locked(func(now time.Time) (bool, string) {
		overdue := 0
		for _, due := range c.running {
			if now.After(due) {
				overdue++
			}
		}
		if overdue > 0 || c.ends.items > 0 {
			return false, fmt.Sprintf("%d open beyond their deadlines, %d ended and not written", overdue, c.ends.items)
		}
		return true, fmt.Sprintf("%d open", len(c.running))
	}))
	c.health.Add("clock", locked(func(now time.Time) (bool, string) {
		c.look(now)
		mono := now.Sub(c.born)
		// The epoch in which it was set is cut askew, and so may be the next.
		if c.steps.at > 0 && mono-c.steps.at < 2*c.params.Epoch {
			return false, fmt.Sprintf("the wall clock was set by %v", c.steps.by.Round(time.Millisecond))
		}
		return true, "the wall clock runs as the monotonic one"
	}))
	c.health.Add("store", func(now time.Time) (bool, string) {
		c.store.mu.Lock()
		defer c.store.mu.Unlock()
		var bad []string
		for _, op := range storeOps {
			since, ok := c.store.failing[op]
			if ok && (op != opBegin || !c.store.pausedAt.IsZero()) { // else it is to be tried again
				bad = append(bad, fmt.Sprintf("%s fails for %v", op, now.Sub(since).Round(time.Second)))
			}
		}
		if c.store.pausedAt.IsZero() && len(bad) == 0 {
			return true, "the last writes succeeded"
		}
		if !c.store.pausedAt.IsZero() {
			bad = append(bad, "GPU challenges pause")
		}
		return false, strings.Join(bad, ", ")
	})
}

// look compares the clocks. The caller holds mu.
func (c *Checker) look(now time.Time) {
	// Round strips the monotonic reading.
	c.steps.see(now.Round(0).Sub(c.born.Round(0)), now.Sub(c.born))
}
