package bench

import (
	"context"
	"errors"
	"io"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/assaynet/assay/challenges"
	"github.com/assaynet/assay/checker/committee"
	"github.com/assaynet/assay/gpu"
	"github.com/assaynet/assay/prover"
)

// arena joins a provider's real agent and real sessions of a checker by streams
// in memory: all frames, signatures and moments of the protocol, and no network.
// Time is a bubble's, so a challenge costs its arithmetic alone.
type arena struct {
	t        *testing.T
	registry committee.Registry
	handlers map[string]handler
	delay    time.Duration        // one way
	late     func() time.Duration // of each frame, more; nil: nothing
	id       challenges.NodeID
	played   atomic.Uint32 // makes each challenge another
}

type handler = func(context.Context, challenges.NodeID, challenges.Conn) error

// Handle is the agent's network.
func (a *arena) Handle(proto string, h handler) { a.handlers[proto] = h }

// newArena starts an agent. Call it in a bubble.
func newArena(t *testing.T, delay time.Duration, decorate func(prover.Network) prover.Network, devices ...gpu.Device) *arena {
	t.Helper()
	a := &arena{t: t, handlers: make(map[string]handler), delay: delay, id: challenges.IDOf(simKey(1))}
	a.registry = committee.Registry{Name: "arena", Genesis: uint64(time.Now().UnixNano()), Simulated: true, Params: committee.Devnet()}
	a.registry.Params.MinSlot = a.registry.Params.Epoch // room for the longest row
	a.registry.Checkers = []committee.Member{{ID: challenges.IDOf(simKey(0)), Name: "checker"}}
	var net prover.Network = a
	if decorate != nil {
		net = decorate(net)
	}
	_, err := prover.New(prover.Config{
		Key: simKey(1), Registry: &a.registry, Devices: devices, Network: net, Ledger: forgetful{}, Admission: ready{},
	})
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// forgetful is a ledger, ready an admission, that never stand in the way.
type (
	forgetful struct{}
	ready     struct{}
)

func (forgetful) Use(challenges.Hash, challenges.Use) error  { return nil }
func (forgetful) Ended(challenges.Hash, int64, string) error { return nil }
func (ready) Admit(prover.Request) (func(), *prover.Refusal) { return func() {}, nil }
func (ready) Busy() bool                                     { return false }

// bout is one challenge to play. The zero value of a field is the usual.
type bout struct {
	profile uint16
	device  string            // "gpu0"
	claim   uint64            // the model's of simDevice "sim-100"
	rtt     time.Duration     // that the checker has seen: twice the delay
	window  int               // what the path and the device ask for
	secret  challenges.Secret // one of its own for each bout
}

// play judges one challenge to its end.
func (a *arena) play(b bout) *challenges.Session {
	a.t.Helper()
	row, err := challenges.LookupProfile(b.profile)
	if err != nil {
		a.t.Fatal(err)
	}
	n := a.played.Add(1)
	if b.device == "" {
		b.device = "gpu0"
	}
	if b.claim == 0 {
		b.claim = map[challenges.Flavour]uint64{challenges.Int8: 95e6, challenges.BF16: 95e6, challenges.FP64: 38e6}[row.Shape.Flavour]
	}
	if b.rtt == 0 {
		b.rtt = 2 * a.delay
	}
	if b.window == 0 {
		round := row.Expected(b.claim) / time.Duration(row.Rounds)
		b.window = min(row.MaxWindow(), int(2+(2*b.rtt+100*time.Millisecond+round-1)/round))
	}
	if b.secret == (challenges.Secret{}) {
		b.secret = challenges.Secret{byte(n), byte(n >> 8), byte(n >> 16), 1}
	}
	params := challenges.ComputeParams{Profile: b.profile, Window: uint8(b.window), Claim: b.claim, RTT: b.rtt}
	c := challenges.Challenge{
		Network: a.registry.Hash(), Epoch: a.registry.Clock().Epoch(time.Now()), Provider: a.id, Device: b.device,
		Kind: row.Shape.Flavour.Kind(), Seq: n, Commit: b.secret.Commit(),
		Deadline: row.Deadline(b.claim, b.rtt), Params: challenges.Marshal(&params),
	}
	env := challenges.Seal(c.Network, challenges.KindChallenge, challenges.Marshal(&c), simKey(0))
	s, err := challenges.NewSession(env, b.secret)
	if err != nil {
		a.t.Fatal(err)
	}
	a.drive(s, challenges.Marshal(&env), nil)
	return s
}

// drive runs a session as a checker does. Before the nonce of a proof of memory
// leaves it calls filled, if there is one.
func (a *arena) drive(s *challenges.Session, wire []byte, filled func()) {
	ctx, cancel := context.WithTimeout(a.t.Context(), s.Challenge().Deadline)
	type arrival struct {
		stream uint8
		frame  []byte
		err    error
	}
	var both sync.WaitGroup // readers and handlers
	arrivals := make(chan arrival)
	var conns []*duct
	for i, proto := range []string{challenges.ProtoControl, challenges.ProtoBulk} {
		near, far := newDuct(a.delay, a.late)
		conns = append(conns, near)
		both.Go(func() {
			_ = a.handlers[proto](a.t.Context(), challenges.IDOf(simKey(0)), far)
			_ = far.Close()
		})
		both.Go(func() {
			for {
				f, err := near.Recv(ctx)
				select {
				case arrivals <- arrival{uint8(i), f, err}:
				case <-ctx.Done():
					return
				}
				if err != nil {
					return
				}
			}
		})
	}
	start, closed := time.Now(), 0
	_ = conns[0].Send(ctx, wire)
	say := func(out []challenges.Out) {
		for _, o := range out {
			if filled != nil && challenges.StartsWalks(o.Frame) {
				filled()
			}
			s.Step(challenges.Event{At: time.Since(start), Stream: o.Stream, Out: true, Frame: o.Frame})
			_ = conns[o.Stream].Send(ctx, o.Frame)
		}
	}
	say(s.Start())
	for done := false; !done; {
		e := challenges.Event{End: challenges.EndTimeout}
		select {
		case x := <-arrivals:
			e = challenges.Event{Stream: x.stream, Frame: x.frame}
			if x.err != nil && ctx.Err() == nil {
				if closed++; closed < len(conns) {
					continue // the other stream may still talk
				}
				e.End = challenges.EndClosed
			} else if x.err != nil {
				e.End = challenges.EndTimeout
			}
		case <-ctx.Done():
		}
		e.At = time.Since(start)
		var out []challenges.Out
		out, done = s.Step(e)
		say(out)
	}
	cancel()
	for _, c := range conns {
		_ = c.Close()
	}
	both.Wait()
}

// duct is one end of a stream in memory that takes its time.
type duct struct {
	in, out      chan parcel
	mine, theirs *hangup
	delay        time.Duration
	late         func() time.Duration
}

type parcel struct {
	due   time.Time
	frame []byte
}

type hangup struct {
	once sync.Once
	done chan struct{}
}

func newDuct(delay time.Duration, late func() time.Duration) (near, far *duct) {
	a, b := make(chan parcel, 1024), make(chan parcel, 1024) // more than any challenge has on the way
	x, y := &hangup{done: make(chan struct{})}, &hangup{done: make(chan struct{})}
	return &duct{a, b, x, y, delay, late}, &duct{b, a, y, x, delay, late}
}

func (d *duct) Send(ctx context.Context, frame []byte) error {
	due := time.Now().Add(d.delay)
	if d.late != nil {
		due = due.Add(d.late())
	}
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-d.mine.done:
		return challenges.ErrReset
	case <-d.theirs.done:
		return challenges.ErrReset
	case d.out <- parcel{due, frame}:
		return nil
	}
}

func (d *duct) Recv(ctx context.Context) ([]byte, error) {
	var p parcel
	select {
	case p = <-d.in:
	default:
		select {
		case p = <-d.in:
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		case <-d.mine.done:
			return nil, challenges.ErrReset
		case <-d.theirs.done:
			select {
			case p = <-d.in:
			default:
				return nil, io.EOF
			}
		}
	}
	timer := time.NewTimer(time.Until(p.due))
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	case <-timer.C:
		return p.frame, nil
	}
}

func (d *duct) Relayed() bool { return false }

func (d *duct) Close() error {
	d.mine.once.Do(func() { close(d.mine.done) })
	return nil
}

var errReplay = errors.New("replays as another verdict")

// replays holds a session's transcript against the verdict of its session.
func replays(s *challenges.Session) error {
	v, err := challenges.Replay(s.Transcript())
	if err == nil && v != s.Verdict() {
		err = errReplay
	}
	return err
}
