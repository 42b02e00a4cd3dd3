package checker_test

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"fmt"
	"io"
	"sync"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"go.uber.org/goleak"

	"github.com/assaynet/assay/challenges"
	"github.com/assaynet/assay/checker"
	"github.com/assaynet/assay/checker/committee"
	"github.com/assaynet/assay/gpu"
	"github.com/assaynet/assay/gpu/models"
	"github.com/assaynet/assay/prover"
	"github.com/assaynet/assay/store"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func testKey(i byte) ed25519.PrivateKey {
	return ed25519.NewKeyFromSeed(bytes.Repeat([]byte{i}, ed25519.SeedSize))
}

// wire is a network in memory: Open runs the provider's handler on the other end
// of a pipe. lag delays what the provider sends on a protocol.
type wire struct {
	checker  challenges.NodeID
	handlers map[string]func(context.Context, challenges.NodeID, challenges.Conn) error
	lag      map[string]time.Duration
	dial     error // every Open fails with it
	running  sync.WaitGroup
}

func newWire(checker challenges.NodeID) *wire {
	return &wire{
		checker: checker, handlers: make(map[string]func(context.Context, challenges.NodeID, challenges.Conn) error),
		lag: make(map[string]time.Duration),
	}
}

func (w *wire) Handle(proto string, h func(context.Context, challenges.NodeID, challenges.Conn) error) {
	w.handlers[proto] = h
}

func (w *wire) Open(_ context.Context, _ challenges.NodeID, proto string) (challenges.Conn, error) {
	if w.dial != nil {
		return nil, w.dial
	}
	h := w.handlers[proto]
	if h == nil {
		return nil, fmt.Errorf("%w: %s is not spoken", challenges.ErrDial, proto)
	}
	ours, theirs := pipe(w.lag[proto])
	ctx, cancel := context.WithCancel(context.Background())
	ours.onClose = cancel
	w.running.Go(func() {
		defer cancel()
		if err := h(ctx, w.checker, theirs); err != nil {
			theirs.finish(challenges.ErrReset)
			return
		}
		theirs.Close()
	})
	return ours, nil
}

// end is one side of a pipe of frames.
type end struct {
	in, out *half
	lag     time.Duration // of what this side sends
	onClose func()
}

// half is one direction; frames carry the instant at which they arrive.
type half struct {
	frames chan timed
	done   chan struct{}
	once   sync.Once
	err    error
}

type timed struct {
	frame []byte
	at    time.Time
}

func pipe(lag time.Duration) (checker, provider *end) {
	a := &half{frames: make(chan timed, 128), done: make(chan struct{})}
	b := &half{frames: make(chan timed, 128), done: make(chan struct{})}
	return &end{in: b, out: a}, &end{in: a, out: b, lag: lag}
}

// stopped resets the stream, as a context that ends does: what is on its way is lost.
func (e *end) stopped(ctx context.Context) error {
	select {
	case <-e.out.done: // it has ended before
		return ctx.Err()
	default:
	}
	e.finish(challenges.ErrReset)
	for {
		select {
		case <-e.out.frames:
		default:
			return ctx.Err()
		}
	}
}

func (e *end) Send(ctx context.Context, frame []byte) error {
	if ctx.Err() != nil {
		return e.stopped(ctx)
	}
	select {
	case <-e.out.done:
		return challenges.ErrReset
	case <-ctx.Done():
		return e.stopped(ctx)
	case e.out.frames <- timed{bytes.Clone(frame), time.Now().Add(e.lag)}:
		return nil
	}
}

func (e *end) Recv(ctx context.Context) ([]byte, error) {
	var t timed
	select {
	case t = <-e.in.frames:
	default:
		select {
		case t = <-e.in.frames:
		case <-e.in.done:
			select {
			case t = <-e.in.frames:
			default:
				return nil, e.in.err
			}
		case <-ctx.Done():
			return nil, e.stopped(ctx)
		}
	}
	if time.Until(t.at) <= 0 {
		return t.frame, nil
	}
	select {
	case <-time.After(time.Until(t.at)):
		return t.frame, nil
	case <-ctx.Done():
		return nil, e.stopped(ctx)
	}
}

func (e *end) Relayed() bool { return false }

func (e *end) finish(err error) {
	for _, h := range []*half{e.in, e.out} {
		h.once.Do(func() {
			h.err = err
			close(h.done)
		})
	}
	if e.onClose != nil {
		e.onClose()
	}
}

func (e *end) Close() error {
	e.finish(io.EOF)
	return nil
}

// bed is one checker with its store, and one honest provider on a wire.
type bed struct {
	t        *testing.T
	registry committee.Registry
	wire     *wire
	fs       *vfs.MemFS
	db       *store.DB
	provider challenges.NodeID
	restored checker.Restored // nil: not restored
	epochs   checker.Epochs   // nil: the store
}

// restored is a store's mark.
type restored struct{ at time.Time }

func (r *restored) RestoredAt() (time.Time, bool, error) { return r.at, !r.at.IsZero(), nil }
func (r *restored) ClearRestored() error                 { r.at = time.Time{}; return nil }

func newBed(t *testing.T) *bed {
	t.Helper()
	id := challenges.IDOf(testKey(1))
	b := &bed{t: t, wire: newWire(id), fs: vfs.NewMem(), provider: challenges.IDOf(testKey(2))}
	b.registry = committee.Registry{
		Name: "bed", Genesis: uint64(time.Now().UnixNano()), Simulated: true, Params: committee.Devnet(),
		Checkers: []committee.Member{{ID: id, Name: "c", Operator: "o"}},
	}
	b.registry.Params.Slots = 0 // one challenge of a device in an epoch, unless a test wants more
	db, err := store.Create("db", store.Meta{Kind: store.KindChecker, Network: b.registry.Hash(), Node: id}, store.Options{FS: b.fs})
	if err != nil {
		t.Fatal(err)
	}
	b.db = db
	t.Cleanup(func() {
		b.wire.running.Wait()
		if err := b.db.Close(); err != nil {
			t.Error(err)
		}
	})
	return b
}

// honest puts an honest agent on the wire.
func (b *bed) honest() {
	b.t.Helper()
	spec, err := models.Lookup("sim-100")
	if err != nil {
		b.t.Fatal(err)
	}
	device, err := gpu.NewSim(gpu.SimConfig{ID: "gpu0", Claims: spec, Runs: spec})
	if err != nil {
		b.t.Fatal(err)
	}
	_, err = prover.New(prover.Config{
		Key: testKey(2), Registry: &b.registry, Devices: []gpu.Device{device}, Network: b.wire, Ledger: ledger{},
	})
	if err != nil {
		b.t.Fatal(err)
	}
}

// ledger forgets.
type ledger struct{}

func (ledger) Use(challenges.Hash, challenges.Use) error  { return nil }
func (ledger) Ended(challenges.Hash, int64, string) error { return nil }

// run runs the checker until ctx ends.
func (b *bed) run(ctx context.Context) {
	b.t.Helper()
	epochs := b.epochs
	if epochs == nil {
		epochs = b.db
	}
	c, err := checker.New(checker.Config{
		Key: testKey(1), Registry: &b.registry, Network: b.wire, Challenges: b.db, Epochs: epochs, Reports: b.db, Offers: b.db,
		Providers: []challenges.NodeID{b.provider}, Restored: b.restored,
	})
	if err != nil {
		b.t.Fatal(err)
	}
	if err := c.Run(ctx); err != nil {
		b.t.Error(err)
	}
}

// runFor runs the checker up to just before an instant after genesis: at an
// epoch's first instant its next challenge may or may not have begun.
func (b *bed) runFor(d time.Duration) {
	b.t.Helper()
	ctx, cancel := context.WithDeadline(b.t.Context(), b.registry.Clock().Genesis.Add(d-time.Millisecond))
	defer cancel()
	b.run(ctx)
}
