package prover

import (
	"context"
	"io"
	"sync"
	"testing"

	"go.uber.org/goleak"

	"github.com/assaynet/assay/challenges"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// pipeEnd is one end of an in-memory stream of frames. A close lets the peer
// read what is on the way, then io.EOF; a reset does not.
type pipeEnd struct {
	in, out chan []byte
	mine    *ending
	theirs  *ending
	onSend  func([]byte) error // fault hook; nil: none
}

type ending struct {
	once  sync.Once
	done  chan struct{}
	reset bool // read after done
}

func (e *ending) end(reset bool) { e.once.Do(func() { e.reset = reset; close(e.done) }) }

func newPipe() (checker, provider *pipeEnd) {
	// No protocol here has so many frames on the way that a send would block.
	a, b := make(chan []byte, 1024), make(chan []byte, 1024)
	x, y := &ending{done: make(chan struct{})}, &ending{done: make(chan struct{})}
	return &pipeEnd{in: a, out: b, mine: x, theirs: y}, &pipeEnd{in: b, out: a, mine: y, theirs: x}
}

func (p *pipeEnd) Send(ctx context.Context, frame []byte) error {
	if p.onSend != nil {
		if err := p.onSend(frame); err != nil {
			return err
		}
	}
	select {
	case <-p.theirs.done:
		return challenges.ErrReset
	case <-p.mine.done:
		return challenges.ErrReset
	default:
	}
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case p.out <- frame:
		return nil
	}
}

func (p *pipeEnd) Recv(ctx context.Context) ([]byte, error) {
	select {
	case <-p.mine.done:
		return nil, challenges.ErrReset
	case f := <-p.in:
		return f, nil
	default:
	}
	select {
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	case <-p.mine.done:
		return nil, challenges.ErrReset
	case f := <-p.in:
		return f, nil
	case <-p.theirs.done:
		if p.theirs.reset {
			return nil, challenges.ErrReset
		}
		select {
		case f := <-p.in:
			return f, nil
		default:
			return nil, io.EOF
		}
	}
}

func (p *pipeEnd) Relayed() bool { return false }

func (p *pipeEnd) Close() error { p.mine.end(false); return nil }

// fakeNetwork holds an agent's handlers.
type fakeNetwork map[string]func(context.Context, challenges.NodeID, challenges.Conn) error

func (n fakeNetwork) Handle(proto string, h func(context.Context, challenges.NodeID, challenges.Conn) error) {
	n[proto] = h
}

// dial opens a stream as peer. The handler's result comes on done; as on a real
// network its error resets the stream and its return closes it.
func (n fakeNetwork) dial(t *testing.T, peer challenges.NodeID, proto string) (conn *pipeEnd, done <-chan error) {
	t.Helper()
	near, far := newPipe()
	result := make(chan error, 1)
	go func() {
		err := n[proto](t.Context(), peer, far)
		far.mine.end(err != nil)
		result <- err
	}()
	return near, result
}

// fakeLedger is a ledger in memory.
type fakeLedger struct {
	mu    sync.Mutex
	used  map[challenges.Hash]challenges.Use
	ended map[challenges.Hash]string
	fault error // of Use
}

func newLedger() *fakeLedger {
	return &fakeLedger{used: make(map[challenges.Hash]challenges.Use), ended: make(map[challenges.Hash]string)}
}

func (l *fakeLedger) Use(id challenges.Hash, u challenges.Use) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.fault != nil {
		return l.fault
	}
	if _, ok := l.used[id]; ok {
		return challenges.ErrUsed
	}
	l.used[id] = u
	return nil
}

func (l *fakeLedger) Ended(id challenges.Hash, _ int64, how string) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.ended[id] = how
	return nil
}

func (l *fakeLedger) end(id challenges.Hash) string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.ended[id]
}
