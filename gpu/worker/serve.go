package worker

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/assaynet/assay/challenges"
	"github.com/assaynet/assay/gpu"
)

// Bounds of a child.
const (
	maxCalls   = 256                    // at a time
	maxHandles = 1024                   // runs and memories, each
	farewell   = time.Second            // for calls to return and the card to be closed at the end
	lastWords  = 100 * time.Millisecond // for calls to say themselves what they failed with
)

// Serve does what the parent asks for on in, and answers on out. It returns nil at
// the end of in, and an error when the card is lost, once the parent was told; it
// does not wait for calls that are stuck in the driver, so the process has to end
// then. A panic of the host ends the process: that is what it is for.
//
// What else the process writes to its standard output would be the end of the
// talk: out should be a copy of it, and the original point to the standard error.
func Serve(ctx context.Context, in io.Reader, out io.Writer, h Host) error {
	s := &server{
		host: h, out: out, calls: map[uint64]context.CancelFunc{},
		runs: map[uint64]*heldRun{}, memories: map[uint64]gpu.Memory{}, monitors: map[string]gpu.Monitor{},
		opened: make(chan Card, 1),
	}
	f := newFrames(in)
	if err := s.greet(f); err != nil {
		return fmt.Errorf("worker: %w", err)
	}
	ctx, cancel := context.WithCancel(ctx)
	defer s.leave()
	defer cancel()
	// Nothing ends a read of a pipe: the goroutine ends with the process, or with in.
	read := make(chan error, 1)
	go func() { read <- s.read(ctx, f) }()
	var failed <-chan struct{}
	for {
		select {
		case err := <-read:
			if errors.Is(err, io.EOF) {
				return nil
			}
			return fmt.Errorf("worker: %w", err)
		case <-ctx.Done():
			return context.Cause(ctx)
		case c := <-s.opened:
			failed = c.Failed()
		case <-failed:
			return fmt.Errorf("worker: %w", s.lost())
		}
	}
}

// server is a child.
type server struct {
	host   Host
	opened chan Card // the card, once

	write sync.Mutex
	out   io.Writer

	work sync.WaitGroup // calls

	mu       sync.Mutex
	ending   bool // no call begins any more
	calls    map[uint64]context.CancelFunc
	setup    bool // was asked for
	card     Card
	library  Library
	runs     map[uint64]*heldRun
	memories map[uint64]gpu.Memory
	monitors map[string]gpu.Monitor
	fault    *gpu.Fault // the last that a call ended with, but for a full card
	faultAt  time.Time
}

type heldRun struct {
	gpu.Run
	cancel context.CancelFunc
}

// greet learns the parent's version, and says its own.
func (s *server) greet(f *frames) error {
	var g greeting
	if err := f.next(&g); err != nil {
		return fmt.Errorf("greeting: %w", err)
	}
	if g.Magic != magic {
		return fmt.Errorf("greeting: %q: what started this is not assay", line(g.Magic, 64))
	}
	s.send(&greeting{Magic: magic, Version: Version})
	if g.Version != Version {
		return mismatch(Version, g.Version)
	}
	return nil
}

// mismatch says that the two programs are not from one build.
func mismatch(child, parent uint64) error {
	return fmt.Errorf("%s speaks version %d of the worker's protocol, assay version %d: install both from one build", program, child, parent)
}

// send writes a message. That the parent does not read any more shows at the end
// of what it sends.
func (s *server) send(v any) {
	b := frame(v)
	s.write.Lock()
	defer s.write.Unlock()
	_, _ = s.out.Write(b)
}

// read takes requests until there are no more. It answers pings itself, so that
// calls may take as long as they need.
func (s *server) read(ctx context.Context, f *frames) error {
	for {
		var r request
		if err := f.next(&r); err != nil {
			return err
		}
		switch r.Op {
		case opPing:
			s.send(&reply{})
		case opCancel:
			s.mu.Lock()
			if cancel := s.calls[r.Call]; cancel != nil {
				cancel()
			}
			s.mu.Unlock()
		default:
			if err := s.begin(ctx, r); err != nil {
				return err
			}
		}
	}
}

// begin runs a call beside the others.
func (s *server) begin(ctx context.Context, r request) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ending {
		return nil // the parent hears why soon enough
	}
	if s.calls[r.Call] != nil || len(s.calls) == maxCalls {
		return fmt.Errorf("call %d is open, or one of more than %d", r.Call, maxCalls)
	}
	ctx, cancel := context.WithCancel(ctx)
	s.calls[r.Call] = cancel
	s.work.Go(func() {
		defer cancel()
		payload, err := s.do(ctx, r)
		s.finish(ctx, r.Call, payload, err)
	})
	return nil
}

// finish replies, unless the call was told of the card's end before.
func (s *server) finish(ctx context.Context, call uint64, payload []byte, err error) {
	m := &reply{Call: call, Payload: payload}
	var fault *gpu.Fault
	if err != nil {
		m.Status, m.Payload, fault = s.verdict(ctx, err)
	}
	if len(m.Payload) > maxFrame-64 {
		m.Status, m.Payload = statusFailed, []byte("the answer does not fit a frame")
	}
	s.mu.Lock()
	_, open := s.calls[call]
	delete(s.calls, call)
	if fault != nil && fault.Class != gpu.FaultMemory {
		s.fault, s.faultAt = fault, time.Now()
	}
	s.mu.Unlock()
	if open {
		s.send(m)
	}
}

// verdict is an error's status and payload, and its fault.
func (s *server) verdict(ctx context.Context, err error) (uint8, []byte, *gpu.Fault) {
	if errors.Is(err, io.EOF) {
		return statusEOF, nil, nil
	}
	if errors.Is(err, gpu.ErrNoAttestation) {
		return statusUnattested, nil, nil
	}
	caller, isCaller := errors.AsType[*callerError](err)
	if isCaller {
		return statusFailed, []byte(line(caller.Error(), gpu.MaxDetail)), nil
	}
	f := s.host.Fault(err)
	// A driver that fails while it ends what was cancelled is worth hearing of only
	// where nothing works after it.
	if ended(ctx, err) && (f == nil || f.Class != gpu.FaultLost && f.Class != gpu.FaultHang) {
		return statusCancelled, nil, nil
	}
	if f != nil {
		return statusFault, encodeFault(f), f
	}
	return statusFailed, []byte(line(err.Error(), gpu.MaxDetail)), nil
}

// ended says whether an error is that of an ended context.
func ended(ctx context.Context, err error) bool {
	return errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) ||
		ctx.Err() != nil && errors.Is(err, context.Cause(ctx))
}

// callerError is a mistake of the parent: no driver saw it.
type callerError struct{ error }

func wrong(format string, args ...any) error { return &callerError{fmt.Errorf(format, args...)} }

// stop lets no call begin any more, and says when those that did have returned.
func (s *server) stop() <-chan struct{} {
	s.mu.Lock()
	s.ending = true
	s.mu.Unlock()
	idle := make(chan struct{})
	go func() {
		s.work.Wait()
		close(idle)
	}()
	return idle
}

// lost tells the parent that nothing works on the card any more: first the open
// calls, which mostly know best themselves.
func (s *server) lost() *gpu.Fault {
	select {
	case <-s.stop():
	case <-time.After(lastWords):
	}
	s.mu.Lock()
	f := s.fault
	if f == nil || time.Since(s.faultAt) > 10*lastWords {
		f = gpu.NewFault(gpu.FaultLost, "the card failed")
	}
	open := s.calls
	s.calls = map[uint64]context.CancelFunc{}
	s.mu.Unlock()
	for call := range open {
		s.send(&reply{Call: call, Status: statusFault, Payload: encodeFault(f)})
	}
	s.send(&reply{Status: statusFault, Payload: encodeFault(f)})
	return f
}

// leave closes the card, if its calls return.
func (s *server) leave() {
	idle, done := s.stop(), make(chan struct{})
	limit := time.After(farewell)
	select {
	case <-idle:
	case <-limit:
		return
	}
	go func() {
		defer close(done)
		s.mu.Lock()
		card, library := s.card, s.library
		s.mu.Unlock()
		// The parent is gone, or wants no more of it: nobody hears an error.
		if card != nil {
			_ = card.Close()
		}
		if library != nil {
			_ = library.Close()
		}
	}()
	select {
	case <-done:
	case <-limit:
	}
}

// prepare opens what the setup asks for.
func (s *server) prepare(ctx context.Context, payload []byte) ([]byte, error) {
	setup, err := decode[Setup](payload)
	if err != nil {
		return nil, &callerError{err}
	}
	s.mu.Lock()
	again := s.setup
	s.setup = true
	s.mu.Unlock()
	if again {
		return nil, wrong("set up before")
	}
	if setup.Role == RoleMonitor {
		library, err := s.host.Library(*setup)
		if err != nil {
			return nil, err
		}
		s.mu.Lock()
		s.library = library
		s.mu.Unlock()
		return challenges.Marshal(&aboutMessage{}), nil
	}
	card, err := s.host.Open(ctx, *setup)
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	s.card = card
	s.mu.Unlock()
	s.opened <- card
	return challenges.Marshal(&aboutMessage{Line: line(card.About(), maxText)}), nil
}
