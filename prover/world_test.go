package prover

import (
	"bytes"
	"crypto/ed25519"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/assaynet/assay/challenges"
	"github.com/assaynet/assay/challenges/receipt"
	"github.com/assaynet/assay/checker/committee"
	"github.com/assaynet/assay/gpu"
	"github.com/assaynet/assay/gpu/models"
)

func testKey(i byte) ed25519.PrivateKey {
	return ed25519.NewKeyFromSeed(bytes.Repeat([]byte{i}, ed25519.SeedSize))
}

var (
	checkerKey  = testKey(1)
	secondKey   = testKey(2) // another checker
	strangerKey = testKey(3)
	providerKey = testKey(4)
)

const vector = 2 // the small profile

// world is one agent with fakes around it, in a synctest bubble.
type world struct {
	t        *testing.T
	registry *committee.Registry
	net      fakeNetwork
	ledger   *fakeLedger
	gate     *Gate
	agent    *Agent
	receipts bool // the checker gives them
}

// newWorld starts an agent of one simulated device, "gpu0", in the registry's
// epoch 2; change may alter its configuration.
func newWorld(t *testing.T, change func(*Config)) *world {
	t.Helper()
	params := committee.Devnet()
	r := &committee.Registry{
		Name: "test", Simulated: true, Params: params, Genesis: uint64(time.Now().Add(-2*params.Epoch - time.Second).UnixNano()),
		Checkers: []committee.Member{{ID: challenges.IDOf(checkerKey)}, {ID: challenges.IDOf(secondKey)}},
	}
	slices.SortFunc(r.Checkers, func(a, b committee.Member) int { return a.ID.Compare(b.ID) })
	w := &world{t: t, registry: r, net: fakeNetwork{}, ledger: newLedger(), gate: NewGate(GateConfig{PerEpoch: 1})}
	cfg := Config{
		Key: providerKey, Registry: r, Devices: []gpu.Device{simDevice(t, nil)}, Network: w.net, Ledger: w.ledger,
		Admission: w.gate, Operator: "op", Region: "here", Version: "v1", Addrs: []string{"/ip4/1.2.3.4"}, Boot: [16]byte{8},
	}
	if change != nil {
		change(&cfg)
	}
	a, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	w.agent = a
	return w
}

func simSpec(t *testing.T) models.Spec {
	t.Helper()
	spec, err := models.Lookup("sim-100")
	if err != nil {
		t.Fatal(err)
	}
	return spec
}

func simDevice(t *testing.T, p gpu.Product) gpu.Device {
	t.Helper()
	spec := simSpec(t)
	d, err := gpu.NewSim(gpu.SimConfig{ID: "gpu0", Claims: spec, Runs: spec, Product: p})
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// ask is a challenge that the agent takes on, unless it is changed.
type ask struct {
	challenges.Challenge
	params challenges.ComputeParams
	secret challenges.Secret
	key    ed25519.PrivateKey // signs it
	peer   ed25519.PrivateKey // sends it
}

func (w *world) ask(change func(*ask)) *ask {
	a := &ask{
		Challenge: challenges.Challenge{
			Network: w.registry.Hash(), Epoch: w.registry.Clock().Epoch(time.Now()), Provider: challenges.IDOf(providerKey),
			Device: "gpu0", Kind: challenges.Matmul,
		},
		params: challenges.ComputeParams{Profile: vector, Window: 1, Claim: 95e6, RTT: time.Millisecond},
		secret: challenges.Secret{3, 1, 4}, key: checkerKey,
	}
	if change != nil {
		change(a)
	}
	if a.peer == nil {
		a.peer = a.key
	}
	a.Commit = a.secret.Commit()
	if row, err := challenges.LookupProfile(a.params.Profile); err == nil && a.Deadline == 0 {
		a.Deadline = row.Deadline(a.params.Claim, a.params.RTT)
	}
	if a.Params == nil {
		a.Params = challenges.Marshal(&a.params)
	}
	return a
}

// roomy is a network whose epochs and slots have room for a capacity challenge,
// and for its deadline.
func roomy(c *Config) {
	c.Registry.Params.Epoch, c.Registry.Params.MinSlot = time.Hour, 10*time.Second
}

// of asks by a row of the profile table, against what the device of newWorld
// claims of its flavour.
func of(profile uint16) func(*ask) {
	row, err := challenges.LookupProfile(profile)
	if err != nil {
		panic(err)
	}
	return func(a *ask) {
		a.Kind, a.params.Profile = row.Shape.Flavour.Kind(), profile
		a.params.Claim = map[challenges.Flavour]uint64{challenges.Int8: 95e6, challenges.BF16: 95e6, challenges.FP64: 38e6}[row.Shape.Flavour]
	}
}

func (a *ask) seal() challenges.Envelope {
	return challenges.Seal(a.Network, challenges.KindChallenge, challenges.Marshal(&a.Challenge), a.key)
}

// send opens a control stream with the challenge.
func (w *world) send(a *ask) (conn *pipeEnd, done <-chan error) {
	w.t.Helper()
	conn, done = w.net.dial(w.t, challenges.IDOf(a.peer), challenges.ProtoControl)
	e := a.seal()
	if err := conn.Send(w.t.Context(), challenges.Marshal(&e)); err != nil {
		w.t.Fatal(err)
	}
	return conn, done
}

// judge drives a whole challenge as a checker does and returns its session, and
// what the agent's control handler returned.
func (w *world) judge(a *ask) (*challenges.Session, error) {
	w.t.Helper()
	s, err := challenges.NewSession(a.seal(), a.secret)
	if err != nil {
		w.t.Fatal(err)
	}
	start := time.Now()
	control, done := w.send(a)
	// Not waited for: where the challenge is refused first, it waits for one.
	bulk, _ := w.net.dial(w.t, challenges.IDOf(a.peer), challenges.ProtoBulk)
	type arrival struct {
		stream uint8
		frame  []byte
		err    error
	}
	arrivals := make(chan arrival)
	read := make(chan struct{}, 2)
	stop := make(chan struct{})
	for i, c := range []*pipeEnd{control, bulk} {
		go func() {
			defer func() { read <- struct{}{} }()
			for {
				f, err := c.Recv(w.t.Context())
				select {
				case arrivals <- arrival{uint8(i), f, err}:
				case <-stop:
					return
				}
				if err != nil {
					return
				}
			}
		}()
	}
	over := false
	say := func(out []challenges.Out) {
		for _, o := range out {
			if over {
				return
			}
			_, over = s.Step(challenges.Event{At: time.Since(start), Stream: o.Stream, Out: true, Frame: o.Frame})
			// The provider may be gone: the readers will tell.
			_ = []*pipeEnd{control, bulk}[o.Stream].Send(w.t.Context(), o.Frame)
		}
	}
	say(s.Start())
	deadline := time.After(a.Deadline)
	for over = false; !over; {
		e := challenges.Event{End: challenges.EndTimeout}
		select {
		case x := <-arrivals:
			e = challenges.Event{Stream: x.stream, Frame: x.frame}
			switch {
			case errors.Is(x.err, challenges.ErrReset):
				e.End = challenges.EndReset
			case x.err != nil:
				continue // closed; the other stream may still talk
			}
		case <-deadline:
		}
		e.At = time.Since(start)
		var out []challenges.Out
		out, over = s.Step(e)
		say(out)
	}
	if w.receipts {
		t := s.Transcript()
		sealed := challenges.SealTranscript(t, w.registry.Hash(), a.key)
		e := receipt.Seal(receipt.Of(s, t, sealed.ID()), w.registry.Hash(), a.key)
		_ = control.Send(w.t.Context(), challenges.Marshal(&e)) // as the last frame
	}
	close(stop)
	_ = control.Close()
	_ = bulk.Close()
	<-read
	<-read
	return s, <-done
}

// refused reads the one frame of a refusal, with its signature verified.
func (w *world) refused(a *ask) challenges.RefusalFrame {
	w.t.Helper()
	s, err := w.judge(a)
	if err != nil {
		w.t.Errorf("the handler failed: %v", err)
	}
	f, ok := s.Transcript().Refusal()
	if !ok || s.Verdict().Outcome != challenges.Refused {
		w.t.Fatalf("verdict %+v, want a refusal", s.Verdict())
	}
	return f
}
