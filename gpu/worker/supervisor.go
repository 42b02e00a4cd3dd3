package worker

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/assaynet/assay/gpu"
)

// Config describes a child and how it is watched.
type Config struct {
	Path  string   // of the program, see Find
	Args  []string // that make it a worker
	Env   []string // nil: this process' own
	Setup Setup
	Log   *slog.Logger // nil: discards
	// Xid asks for the number of the error that the card has reported just now, once
	// for each fault; 0: none. It has half a second. Nil: nobody to ask.
	Xid func(ctx context.Context) uint32

	Silence    time.Duration // without an answer to a ping: the child hangs; 0: 5 s
	Backoff    time.Duration // before the child is started again; 0: 1 s
	MaxBackoff time.Duration // what it doubles up to; 0: 1 min

	grace   time.Duration // for a cancelled call to come back; 0: 2 s
	opening time.Duration // for the card to be opened; 0: 3 min
	closing time.Duration // for a run or a memory to be closed; 0: the patience and 10 s
	noted   func(*gpu.Fault)
}

// patience of a child whose setup leaves it to it.
const patience = 20 * time.Second

func (c Config) withDefaults(role string) Config {
	c.Setup.Role = role
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	for _, d := range []struct {
		at    *time.Duration
		value time.Duration
	}{
		{&c.Silence, 5 * time.Second},
		{&c.Backoff, time.Second},
		{&c.MaxBackoff, time.Minute},
		{&c.grace, 2 * time.Second},
		{&c.opening, 3 * time.Minute},
	} {
		if *d.at == 0 {
			*d.at = d.value
		}
	}
	if c.closing == 0 {
		c.closing = 10*time.Second + patience
		if c.Setup.Patience != 0 {
			c.closing = 10*time.Second + c.Setup.Patience
		}
	}
	return c
}

// States of a child.
const (
	StateStarting = "starting" // it opens the card and checks it
	StateReady    = "ready"
	StateReleased = "released" // until Resume
	StateWaiting  = "waiting"  // to be started, or Run does not run
)

// Status is how a child does.
type Status struct {
	State   string // one of the states
	PID     int    // 0: there is none
	Starts  int
	Since   time.Time  // in the state
	About   string     // what the card runs with, when it was last ready
	Fault   *gpu.Fault // the last one; nil: none
	FaultAt time.Time
}

// supervisor starts a child, again and again.
type supervisor struct {
	cfg Config

	mu       sync.Mutex
	status   Status
	running  bool          // Run runs
	starting bool          // a process is being made
	released bool          // no process may be
	current  *process      // not reaped; nil: none
	ready    *process      // that calls go to; nil: none
	again    time.Time     // when the next one is started
	changed  chan struct{} // closed at the next change of these
}

func newSupervisor(cfg Config, role string) *supervisor {
	s := &supervisor{changed: make(chan struct{}), status: Status{State: StateWaiting, Since: time.Now()}}
	s.cfg = cfg.withDefaults(role)
	s.cfg.noted = s.note
	return s
}

// update changes what is guarded by mu, and says so.
func (s *supervisor) update(change func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change()
	state := StateWaiting
	switch {
	case s.ready != nil:
		state = StateReady
	case s.released:
		state = StateReleased
	case s.starting || s.current != nil:
		state = StateStarting
	}
	if state != s.status.State {
		s.status.State, s.status.Since = state, time.Now()
	}
	s.status.PID = 0
	if s.current != nil {
		s.status.PID = s.current.cmd.Process.Pid
	}
	close(s.changed)
	s.changed = make(chan struct{})
}

func (s *supervisor) note(f *gpu.Fault) {
	s.update(func() {
		copied := *f
		s.status.Fault, s.status.FaultAt = &copied, time.Now()
	})
}

// Status is how the child does.
func (s *supervisor) read() Status {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.status
}

// changes is closed at the next change of the status.
func (s *supervisor) changes() <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.changed
}

// until waits for a condition that mu guards.
func (s *supervisor) until(ctx context.Context, holds func() bool) error {
	for {
		s.mu.Lock()
		done, changed := holds(), s.changed
		s.mu.Unlock()
		if done {
			return nil
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-changed:
		}
	}
}

// take is the process that calls go to, or why there is none.
func (s *supervisor) take() (*process, *gpu.Fault) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ready != nil && !s.ready.fallen() {
		return s.ready, nil
	}
	last := ""
	if s.ready != nil && s.ready.why != nil {
		last = "; it ended: " + s.ready.why.Error() // and is not noted yet
	} else if s.status.Fault != nil {
		last = "; the last one: " + s.status.Fault.Error()
	}
	switch {
	case !s.running:
		return nil, gpu.NewFault(gpu.FaultAbsent, "no worker is run")
	case s.released:
		return nil, gpu.NewFault(gpu.FaultAbsent, "the card is released: no worker runs")
	case s.status.State == StateStarting:
		return nil, gpu.NewFault(gpu.FaultAbsent, "worker is being started%s", last)
	default:
		return nil, gpu.NewFault(gpu.FaultAbsent, "worker is started again in %v%s", max(0, time.Until(s.again)).Round(time.Second), last)
	}
}

// run starts the child whenever there is none, until ctx ends.
func (s *supervisor) run(ctx context.Context) error {
	twice := false
	s.update(func() { twice, s.running = s.running, true })
	if twice {
		return errors.New("worker: run twice")
	}
	defer s.update(func() { s.running = false })
	b := backoff{first: s.cfg.Backoff, most: s.cfg.MaxBackoff}
	for s.until(ctx, func() bool { return !s.released }) == nil {
		fault, up := s.once(ctx)
		if ctx.Err() != nil {
			break
		}
		if fault == nil {
			continue // released
		}
		wait := b.next(up, fault.Class == gpu.FaultWrong)
		s.update(func() { s.again = time.Now().Add(wait) })
		s.cfg.Log.WarnContext(ctx, "worker is down", "device", s.cfg.Setup.ID, "class", fault.Class, "err", fault, "again_in", wait)
		s.pause(ctx, wait)
	}
	return nil
}

// pause waits, but for no longer than nobody wants the card.
func (s *supervisor) pause(ctx context.Context, d time.Duration) {
	ctx, cancel := context.WithTimeout(ctx, d)
	defer cancel()
	_ = s.until(ctx, func() bool { return s.released })
}

// once runs one child to its end. The fault is nil if the card was released. It
// says how long the child was ready.
func (s *supervisor) once(ctx context.Context) (fault *gpu.Fault, up time.Duration) {
	p, err := s.launch()
	if err != nil {
		fault = gpu.NewFault(gpu.FaultAbsent, "worker cannot be started: %s", line(err.Error(), gpu.MaxDetail/2))
		s.note(fault)
		return fault, 0
	}
	if p == nil {
		return nil, 0
	}
	defer s.bury(ctx, p)
	about, err := s.open(ctx, p)
	if err != nil {
		f, ok := errors.AsType[*gpu.Fault](err)
		if !ok {
			f = gpu.NewFault(gpu.FaultAbsent, "worker cannot be set up: %s", line(err.Error(), gpu.MaxDetail/2))
		}
		p.fail(f)
	} else {
		begun := time.Now()
		s.update(func() {
			s.status.About = about
			if !s.released {
				s.ready = p
			}
		})
		s.cfg.Log.InfoContext(ctx, "worker is ready", "device", s.cfg.Setup.ID, "pid", p.cmd.Process.Pid, "about", about)
		select {
		case <-ctx.Done():
			p.stop()
		case <-p.down:
		}
		up = time.Since(begun)
	}
	<-p.down
	s.update(func() { s.ready = nil })
	if p.asked || ctx.Err() != nil {
		return nil, up
	}
	s.note(p.why)
	return p.why, up
}

// launch makes a process, or none if the card was released.
func (s *supervisor) launch() (p *process, err error) {
	released := false
	s.update(func() {
		released = s.released
		s.starting = !released
	})
	if released {
		return nil, nil
	}
	p, err = launch(s.cfg)
	s.update(func() {
		s.starting, released = false, s.released
		if err == nil {
			s.current = p
			s.status.Starts++
		}
	})
	if err == nil && released {
		p.release()
	}
	return p, err
}

// open has the child open the card.
func (s *supervisor) open(ctx context.Context, p *process) (string, error) {
	select {
	case <-ctx.Done():
		return "", context.Cause(ctx)
	case <-p.down:
		return "", p.why
	case <-p.greeted:
	}
	c := p.begin(opSetup, &s.cfg.Setup)
	p.limit(c, s.cfg.opening, "being asked to open the card")
	select {
	case <-ctx.Done():
		return "", context.Cause(ctx)
	case <-c.done:
	}
	m, err := answer[aboutMessage](p, c.payload, c.err)
	if err != nil {
		return "", err
	}
	return line(m.Line, gpu.MaxDetail), nil
}

// bury waits until a process that is down is gone, with its goroutines.
func (s *supervisor) bury(ctx context.Context, p *process) {
	grace := s.cfg.grace
	if ctx.Err() != nil {
		grace = min(grace, farewell) // the end: others wait for it
	}
	select {
	case <-p.reaped:
	case <-time.After(grace):
		p.kill()
	}
	select {
	case <-p.reaped:
	case <-time.After(unkillable):
		// It is within a call of the kernel. The card is of no use before it is back.
		s.cfg.Log.ErrorContext(ctx, "worker does not die", "device", s.cfg.Setup.ID, "pid", p.cmd.Process.Pid)
		select {
		case <-p.reaped:
		case <-ctx.Done():
			return
		}
	}
	s.update(func() { s.forget(p) })
	p.work.Wait()
}

// unkillable is how long after its SIGKILL a process may take to be gone.
const unkillable = 5 * time.Second

// release ends the child at once, and keeps it down.
func (s *supervisor) release(ctx context.Context) (time.Duration, error) {
	begun := time.Now()
	s.update(func() { s.released, s.ready = true, nil })
	var p *process
	err := s.until(ctx, func() bool {
		p = s.current
		return !s.starting
	})
	if err == nil && p != nil {
		p.release()
		select {
		case <-p.reaped:
			s.update(func() { s.forget(p) })
		case <-ctx.Done():
			err = context.Cause(ctx)
		}
	}
	if err != nil {
		err = fmt.Errorf("release the card: %w", err)
	}
	return time.Since(begun), err
}

// forget is called, with mu, when a process is reaped.
func (s *supervisor) forget(p *process) {
	if s.current == p {
		s.current = nil
	}
}

func (s *supervisor) resume() { s.update(func() { s.released = false }) }
